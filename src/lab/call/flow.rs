//! The course of a call: in which order, and after how long, both legs say what.

use super::bridge::{Bridge, Course, MOVED, MS, Marked, NO_CIRCUIT, UNANSWERED};
use super::dialog::{BYE_CAUSE, Leg, Loss};
use super::plan::{Outcome, Plan, Tried};
use crate::call::record::ReleasedBy;
use crate::lab::kind::{Defect, Kind, Trouble};
use crate::lab::network::STRANGER;
use crate::wire::Transport;

impl Bridge<'_> {
    /// Every message of both legs.
    pub(super) fn dialog(&mut self, plan: &Plan, course: &Course) {
        let mut begun = plan.at;
        let Marked(mut ingress, mark_in) = course.ingress.clone();
        let loss = match plan.kind {
            Kind::Trouble(Trouble {
                defect: Defect::LostFragment,
                ..
            }) => Loss::LastFragment,
            Kind::Trouble(Trouble {
                defect: Defect::SnapLength,
                ..
            }) => Loss::Snap(700),
            _ if plan.extras.headless => Loss::FirstFragment,
            _ => Loss::None,
        };
        ingress.send_invite(&mut self.tape, begun, mark_in, loss);
        if plan.extras.challenged {
            ingress.send(&mut self.tape, begun + 8 * MS, false, &ingress.answer(407));
            ingress.send(&mut self.tape, begun + 20 * MS, true, &ingress.ack(407));
            begun += 45 * MS;
            ingress.cseq += 1;
            ingress.branch += "c";
            let nonce = std::mem::replace(&mut ingress.to_tag, self.rng.hex(10));
            ingress.extra.push((
                "Proxy-Authorization",
                format!(
                    "Digest username=\"acme\", realm=\"example-voice.example\", nonce=\"{nonce}\", uri=\"{}\", response=\"{}{}\"",
                    ingress.uri,
                    self.rng.hex(16),
                    self.rng.hex(16)
                ),
            ));
            ingress.send_invite(&mut self.tape, begun, None, Loss::None);
        }
        if plan.extras.retransmitted {
            ingress.send_invite(&mut self.tape, begun + 500 * MS, None, Loss::None);
        }
        ingress.send(&mut self.tape, begun + 7 * MS, false, &ingress.answer(100));
        if plan.extras.forked_in {
            self.merged(plan, &ingress, begun);
        }
        // The delay counts from the INVITE that we accept.
        let mut at = begun + self.rng.between(8, 78) * MS + self.rng.between(0, 999_999);
        if let Some(Marked(leg, mark)) = &course.tried {
            at = self.in_vain(plan, leg, *mark, at);
        }
        let egress = course.egress.as_ref().map(|Marked(leg, mark)| {
            leg.send_invite(&mut self.tape, at, *mark, Loss::None);
            (leg, at)
        });
        let marks = [mark_in, course.egress.as_ref().and_then(|m| m.1)];
        self.end(plan, &ingress, egress, begun, marks);
    }

    /// A try that is refused, or told where to go instead. Gives when the next may begin.
    fn in_vain(&mut self, plan: &Plan, leg: &Leg, mark: Option<usize>, at: i64) -> i64 {
        let code = match plan.tried {
            Tried::Other(_) => NO_CIRCUIT,
            _ => MOVED,
        };
        let refused = at + self.rng.between(25, 90) * MS;
        leg.send_invite(&mut self.tape, at, mark, Loss::None);
        leg.send(&mut self.tape, at + 9 * MS, false, &leg.answer(100));
        leg.send(&mut self.tape, refused, false, &leg.answer(code));
        leg.send(&mut self.tape, refused + 2 * MS, true, &leg.ack(code));
        refused + 5 * MS
    }

    /// The upstream's second branch: our other controller sees the same Call-ID, tag and CSeq and says so (RFC 3261 §8.2.2.2).
    fn merged(&mut self, plan: &Plan, ingress: &Leg, begun: i64) {
        let mut other = ingress.clone();
        other.path = plan.upstream.unwrap_or(&STRANGER).path(0, 1, 5060, true);
        other.path.theirs = ingress.path.theirs;
        other.branch += "f";
        other.to_tag = self.rng.hex(10);
        other.uri = ingress
            .uri
            .replace(&ingress.path.ours.to_string(), &other.path.ours.to_string());
        other.send_invite(&mut self.tape, begun + 3 * MS, None, Loss::None);
        other.send(&mut self.tape, begun + 11 * MS, false, &other.answer(482));
        other.send(&mut self.tape, begun + 23 * MS, true, &other.ack(482));
    }

    fn end(
        &mut self,
        plan: &Plan,
        ingress: &Leg,
        egress: Option<(&Leg, i64)>,
        begun: i64,
        marks: [Option<usize>; 2],
    ) {
        // Without a second leg our own platform rings the customer.
        let started = egress.map_or(begun + 20 * MS, |(_, at)| at);
        let rtt = self.rng.between(9, 30) * MS;
        if let (Some((leg, at)), true) = (egress, plan.outcome != Outcome::Silence) {
            leg.send(&mut self.tape, at + rtt, false, &leg.answer(100));
        }
        match plan.outcome {
            Outcome::Answered {
                ring,
                talk,
                by_caller,
            } => {
                let rings = started + rtt + ring / 6;
                if plan.extras.early {
                    self.early(ingress, egress, rings);
                }
                self.ring(ingress, egress, rings + 150 * MS);
                self.final_answer(ingress, egress, started + rtt + ring, 200);
                let answered = started + rtt + ring;
                if plan.extras.forked_out {
                    self.forked(plan, egress, answered);
                }
                if plan.extras.reinvited {
                    self.reinvite(ingress, egress, answered + talk / 2);
                }
                self.hang_up(ingress, egress, answered, answered + talk, by_caller, marks);
            }
            Outcome::Glare { ring } => {
                let answered = started + rtt + ring;
                self.ring(ingress, egress, started + rtt + ring / 4);
                ingress.send(&mut self.tape, answered + 2 * MS, true, &ingress.cancel());
                self.final_answer(ingress, egress, answered, 200);
                ingress.send(
                    &mut self.tape,
                    answered + 6 * MS,
                    false,
                    &ingress.cancel_ok(),
                );
                self.hang_up(ingress, egress, answered, answered + 45 * MS, true, marks);
            }
            Outcome::Final { code, after } => {
                if after > 700 * MS && code != 486 {
                    self.ring(ingress, egress, started + rtt + after / 3);
                }
                self.final_answer(ingress, egress, started + rtt + after, code);
            }
            Outcome::RefusedHere { code } => {
                self.final_answer(ingress, None, begun + 30 * MS, code)
            }
            Outcome::Cancelled { after } => {
                self.ring(ingress, egress, started + rtt + after / 4);
                self.cancel(ingress, egress, started + rtt + after);
            }
            Outcome::Silence => {
                if let Some((leg, at)) = egress.filter(|(l, _)| l.path.transport == Transport::Udp)
                {
                    for again in UNANSWERED {
                        leg.send_invite(&mut self.tape, at + again * MS, None, Loss::None);
                    }
                }
                self.final_answer(ingress, None, started + 4_200 * MS, 504);
            }
        }
    }

    /// A provisional answer that is acknowledged, and an offer in the early dialog.
    fn early(&mut self, ingress: &Leg, egress: Option<(&Leg, i64)>, at: i64) {
        let legs = [
            Some((ingress, at + 3 * MS)),
            egress.map(|(leg, _)| (leg, at)),
        ];
        for (leg, at) in legs.into_iter().flatten() {
            leg.send(&mut self.tape, at, false, &leg.reliable());
            for (method, at) in [("PRACK", at + 20 * MS), ("UPDATE", at + 60 * MS)] {
                leg.send(&mut self.tape, at, true, &leg.early(method));
                leg.send(&mut self.tape, at + 18 * MS, false, &leg.early_ok(method));
            }
        }
    }

    fn ring(&mut self, ingress: &Leg, egress: Option<(&Leg, i64)>, at: i64) {
        let code = if self.rng.chance(0.3) { 183 } else { 180 };
        if let Some((leg, _)) = egress {
            leg.send(&mut self.tape, at, false, &leg.answer(code));
        }
        ingress.send(&mut self.tape, at + 3 * MS, false, &ingress.answer(code));
    }

    fn final_answer(&mut self, ingress: &Leg, egress: Option<(&Leg, i64)>, at: i64, code: u16) {
        if let Some((leg, _)) = egress {
            leg.send(&mut self.tape, at, false, &leg.answer(code));
            leg.send(&mut self.tape, at + 4 * MS, true, &leg.ack(code));
        }
        ingress.send(&mut self.tape, at + 3 * MS, false, &ingress.answer(code));
        ingress.send(&mut self.tape, at + 30 * MS, true, &ingress.ack(code));
        if code == 200 && ingress.path.transport == Transport::Udp && self.rng.chance(0.02) {
            // The ACK got lost behind the tap: answer and ACK come again.
            ingress.send(&mut self.tape, at + 503 * MS, false, &ingress.answer(code));
            ingress.send(&mut self.tape, at + 530 * MS, true, &ingress.ack(code));
        }
    }

    fn cancel(&mut self, ingress: &Leg, egress: Option<(&Leg, i64)>, at: i64) {
        let legs = [
            Some((ingress, at)),
            egress.map(|(leg, _)| (leg, at + 4 * MS)),
        ];
        for (leg, at) in legs.into_iter().flatten() {
            leg.send(&mut self.tape, at, true, &leg.cancel());
            leg.send(&mut self.tape, at + 9 * MS, false, &leg.cancel_ok());
            leg.send(&mut self.tape, at + 14 * MS, false, &leg.answer(487));
            leg.send(&mut self.tape, at + 30 * MS, true, &leg.ack(487));
        }
    }

    /// Our second branch towards the downstream, which loses.
    fn forked(&mut self, plan: &Plan, egress: Option<(&Leg, i64)>, answered: i64) {
        let Some((leg, at)) = egress else { return };
        let mut other = leg.clone();
        other.path = plan.downstream.path(1, 0, 5060, false);
        other.uri = leg
            .uri
            .replace(&leg.path.theirs.to_string(), &other.path.theirs.to_string());
        other.branch += "-2";
        other.to_tag = self.rng.hex(10);
        other.reason = false;
        other.send_invite(&mut self.tape, at + 2 * MS, None, Loss::None);
        other.send(&mut self.tape, at + 31 * MS, false, &other.answer(100));
        other.send(&mut self.tape, at + 210 * MS, false, &other.answer(180));
        if !plan.extras.both_answer {
            self.cancel(&other, None, answered + 12 * MS);
            return;
        }
        // Too late for CANCEL: taken, and let go at once.
        other.send(&mut self.tape, answered + 9 * MS, false, &other.answer(200));
        other.send(&mut self.tape, answered + 13 * MS, true, &other.ack(200));
        other.send(&mut self.tape, answered + 15 * MS, true, &other.bye(true));
        other.send(
            &mut self.tape,
            answered + 30 * MS,
            false,
            &other.bye_ok(true),
        );
    }

    fn reinvite(&mut self, ingress: &Leg, egress: Option<(&Leg, i64)>, at: i64) {
        let legs = [
            Some((ingress, at)),
            egress.map(|(leg, _)| (leg, at + 5 * MS)),
        ];
        for (leg, at) in legs.into_iter().flatten() {
            leg.send(&mut self.tape, at, true, &leg.reinvite());
            leg.send(&mut self.tape, at + 40 * MS, false, &leg.reinvite_ok());
            leg.send(&mut self.tape, at + 60 * MS, true, &leg.reinvite_ack());
        }
    }

    fn hang_up(
        &mut self,
        ingress: &Leg,
        egress: Option<(&Leg, i64)>,
        answered: i64,
        at: i64,
        by_caller: bool,
        [mark_in, mark_out]: [Option<usize>; 2],
    ) {
        let second = at + 3 * MS;
        let (first, second) = if by_caller {
            (at, second)
        } else {
            (second, at)
        };
        let legs = [
            Some((ingress, mark_in, answered + 3 * MS, first)),
            egress.map(|(leg, _)| (leg, mark_out, answered, second)),
        ];
        for (leg, mark, answered, at) in legs.into_iter().flatten() {
            leg.send(&mut self.tape, at, by_caller, &leg.bye(by_caller));
            leg.send(
                &mut self.tape,
                at + 12 * MS,
                !by_caller,
                &leg.bye_ok(by_caller),
            );
            let unseen = leg.one_way && !by_caller;
            let truth = mark.and_then(|m| self.truth.get_mut(m));
            let Some(truth) = truth.filter(|_| !unseen) else {
                continue;
            };
            let by = if by_caller {
                ReleasedBy::Caller
            } else {
                ReleasedBy::Called
            };
            truth.released = Some((at, ((at - answered) / MS) as u32, by));
            truth.cause = leg.reason.then_some(BYE_CAUSE);
        }
    }
}
