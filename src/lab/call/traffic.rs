//! Who calls whom, when, through whom, and how it ends: the traffic of a smaller carrier, with everything that goes wrong.
//!
//! Shares: 60 % of calls unsigned; of the signed ones 75 % A, 15 % B, 10 % C (published figures for smaller carriers in 2025, the
//! split between letters is a guess); 0.4 % signed for another called number and 0.1 % for another calling number (published for
//! June 2021). Every trouble comes up at least twice.

use std::collections::BTreeSet;

use super::bridge::MOVED;
use super::plan::{
    Extras, Memory, Outcome, Plan, Route, SECOND, Scope, Spoofed, TRACED_AREA, Tried,
};
use crate::lab::kind::{Defect, Kind, TROUBLES, Trouble};
use crate::lab::lists::LISTED_AREAS;
use crate::lab::network::{NEIGHBOURS, Neighbour, OWN_NUMBERS};
use crate::lab::random::Random;
use crate::stir::verify::Attestation;
use crate::wire::Transport;

/// Toll-free area codes.
const TOLL_FREE: [&str; 5] = ["800", "833", "844", "866", "888"];
/// Plans everything, in order of time.
pub fn plan(scope: Scope, seed: u64) -> Vec<Plan> {
    let mut planner = Planner {
        rng: Random::new(seed, "plan"),
        scope,
        families: 0,
    };
    let mut plans = planner.traffic();
    planner.trouble(&mut plans);
    planner.retries(&mut plans);
    planner.headless(&mut plans);
    plans.extend(planner.before());
    plans.extend(super::cases::cases(&mut planner));
    plans.extend(super::memory::calls(&mut planner));
    plans.extend(super::marked::calls(&mut planner));
    super::behaviour::calls(&mut planner, &mut plans);
    plans.sort_by_key(|p| p.at);
    plans
}

/// Makes plans.
pub struct Planner {
    /// Its numbers.
    pub rng: Random,
    /// How much and when.
    pub scope: Scope,
    families: usize,
}

impl Planner {
    /// A call that is answered and in no way remarkable.
    pub fn ordinary(
        &mut self,
        at: i64,
        upstream: &'static Neighbour,
        downstream: &'static Neighbour,
    ) -> Plan {
        self.families += 1;
        let customer = upstream.kind == "customer";
        Plan {
            at,
            upstream: Some(upstream),
            downstream,
            kind: Kind::Unsigned,
            attest: if customer {
                Attestation::A
            } else {
                Attestation::C
            },
            calling: if customer {
                self.own_number()
            } else {
                self.number()
            },
            shown: None,
            asserted: true,
            anonymous: false,
            called: self.number(),
            route: Route::Through,
            tried: Tried::Nothing,
            outcome: Outcome::Answered {
                ring: 4 * SECOND,
                talk: 30 * SECOND,
                by_caller: true,
            },
            extras: Extras {
                challenged: customer,
                ..Extras::default()
            },
            family: self.families,
            case: None,
            spoofed: Spoofed::No,
            memory: Memory::default(),
            imitates: false,
            odd: None,
            claims_callback: false,
            behaviour: None,
        }
    }

    /// Makes a call a signed one.
    pub fn sign(&mut self, plan: &mut Plan) {
        plan.attest = match self.rng.weighted([75, 15, 10].into_iter()) {
            0 => Attestation::A,
            1 => Attestation::B,
            _ => Attestation::C,
        };
        plan.kind = Kind::Valid(plan.attest);
    }

    /// Some number in use: the line is always 555-01xx, the area code any that can be, so that there are 60,000.
    fn number(&mut self) -> String {
        loop {
            let area = self.rng.between(200, 989);
            let (tens, ones) = (area / 10 % 10, area % 10);
            let special = tens == 9 || tens == 1 && ones == 1 || area >= 800 && tens == ones;
            let text = area.to_string();
            if special || text == TRACED_AREA || LISTED_AREAS.contains(&&*text) {
                continue;
            }
            let number = format!("1{area}55501{:02}", self.rng.below(100));
            if !OWN_NUMBERS.iter().any(|own| number.starts_with(own)) {
                return number;
            }
        }
    }

    /// A number that is not the given one.
    pub fn other_number(&mut self, not: &str) -> String {
        loop {
            let number = self.number();
            if number != not {
                return number;
            }
        }
    }

    /// One of our own numbers.
    pub fn own_number(&mut self) -> String {
        match self.rng.below(11) {
            0 => format!("1202555014{}", self.rng.below(10)),
            // The last ten are protected, or flooded.
            _ => format!("170355501{:02}", self.rng.below(90)),
        }
    }

    /// Its like with other numbers.
    pub fn with(&self, rng: Random) -> Self {
        Self {
            rng,
            scope: self.scope,
            families: 0,
        }
    }

    /// The number of a new call.
    pub fn family(&mut self) -> usize {
        self.families += 1;
        self.families
    }

    /// A number that a neighbour has signed for before, mostly: a thousand of them are its customers'.
    fn signed_number(&mut self, of: &Neighbour) -> String {
        let place = NEIGHBOURS.iter().position(|n| n.id == of.id).unwrap_or(0);
        format!(
            "1{}{}{}55501{:02}",
            2 + place % 6,
            self.rng.index(9),
            2 + place % 7,
            self.rng.below(100)
        )
    }

    fn toll_free(&mut self) -> String {
        format!(
            "1{}55501{:02}",
            self.rng.pick(&TOLL_FREE),
            self.rng.below(100)
        )
    }

    fn upstream(&mut self) -> &'static Neighbour {
        &NEIGHBOURS[self.rng.weighted(NEIGHBOURS.iter().map(|n| n.up))]
    }

    /// One that takes calls.
    pub fn downstream(&mut self) -> &'static Neighbour {
        &NEIGHBOURS[self.rng.weighted(NEIGHBOURS.iter().map(|n| n.down))]
    }

    /// Everyday traffic.
    fn traffic(&mut self) -> Vec<Plan> {
        let Scope {
            start, span, calls, ..
        } = self.scope;
        let mut times: Vec<_> = (0..calls)
            .map(|_| start + self.rng.between(SECOND, span - 45 * SECOND))
            .collect();
        times.sort_unstable();
        let mut plans: Vec<Plan> = Vec::with_capacity(calls);
        for at in times {
            // A dialler starts several calls at once, so that their packets mix.
            let burst = plans
                .last()
                .filter(|_| self.rng.chance(0.08))
                .and_then(|p| Some((p.at, p.upstream?)));
            let (at, upstream) = match burst {
                Some((before, same)) => (before + self.rng.between(80_000, 250_000), same),
                None => (at, self.upstream()),
            };
            let downstream = self.downstream();
            let mut plan = self.ordinary(at, upstream, downstream);
            if upstream.kind == "provider" {
                self.provider_call(&mut plan);
            }
            plan.outcome = self.outcome();
            self.extras(&mut plan);
            plans.push(plan);
        }
        plans
    }

    /// What a call from a provider may be like. Nearly half of them are signed, which makes, with those in trouble, 40 % of all calls.
    fn provider_call(&mut self, plan: &mut Plan) {
        if self.rng.chance(0.47) {
            self.sign(plan);
            if let (Attestation::A, Some(up)) = (plan.attest, plan.upstream)
                && !self.rng.chance(0.003)
            {
                plan.calling = self.signed_number(up);
            }
            match self.rng.below(100) {
                0..=5 => plan.kind = Kind::QuotedPpt,
                6 => plan.kind = Kind::CompactName,
                7 => plan.kind = Kind::Folded,
                8 => plan.kind = Kind::TwoHeaders,
                9..=11 => plan.shown = Some(self.toll_free()),
                12 | 13 => plan.anonymous = true,
                _ => {}
            }
        }
        plan.asserted = plan.shown.is_some() || plan.anonymous || self.rng.chance(0.75);
        match self.rng.below(100) {
            0..=9 => {
                plan.called = self.own_number();
                plan.route = Route::ToOwn;
            }
            10 | 11 => {
                plan.called = self.own_number();
                plan.route = Route::Diverted(self.number());
            }
            12..=14 => {
                plan.called = self.toll_free();
                plan.route = Route::Translated(self.number());
            }
            _ => {}
        }
    }

    fn outcome(&mut self) -> Outcome {
        let ms = |rng: &mut Random, low, high| rng.between(low, high) * 1_000_000;
        match self.rng.below(100) {
            0..=47 => Outcome::Answered {
                ring: ms(&mut self.rng, 1_500, 20_000),
                talk: ms(&mut self.rng, 2_000, 180_000),
                by_caller: self.rng.chance(0.6),
            },
            48..=62 => Outcome::Cancelled {
                after: ms(&mut self.rng, 1_500, 25_000),
            },
            63..=71 => Outcome::Final {
                code: 486,
                after: ms(&mut self.rng, 200, 900),
            },
            72..=78 => Outcome::Final {
                code: 404,
                after: ms(&mut self.rng, 30, 300),
            },
            79..=85 => Outcome::Final {
                code: 480,
                after: ms(&mut self.rng, 12_000, 25_000),
            },
            86..=90 => Outcome::Final {
                code: 603,
                after: ms(&mut self.rng, 800, 8_000),
            },
            91..=95 => Outcome::Final {
                code: 503,
                after: ms(&mut self.rng, 25, 120),
            },
            96 => Outcome::Glare {
                ring: ms(&mut self.rng, 1_500, 9_000),
            },
            97 => Outcome::RefusedHere { code: 503 },
            98 => Outcome::RefusedHere {
                code: if self.rng.chance(0.5) { 403 } else { MOVED },
            },
            _ => Outcome::Silence,
        }
    }

    fn extras(&mut self, plan: &mut Plan) {
        let answered = matches!(plan.outcome, Outcome::Answered { .. });
        let udp = plan.upstream.is_some_and(|u| u.transport == Transport::Udp);
        plan.extras.retransmitted = udp && self.rng.chance(0.02);
        plan.extras.forked_in = udp && answered && !plan.extras.challenged && self.rng.chance(0.02);
        plan.extras.forked_out =
            answered && plan.downstream.hosts.len() > 1 && self.rng.chance(0.04);
        plan.extras.reinvited = answered && self.rng.chance(0.06);
        plan.extras.both_answer = plan.extras.forked_out && self.rng.chance(0.3);
        plan.extras.early = answered && self.rng.chance(0.05);
        plan.extras.reason = self.rng.chance(0.5);
        plan.extras.rewritten = self.rng.chance(0.12);
        plan.extras.proxied = !plan.extras.challenged && self.rng.chance(0.05);
        if udp && self.rng.chance(0.02) {
            plan.extras.one_way_in = true;
            (plan.extras.forked_in, plan.extras.retransmitted) = (false, false);
        }
        if plan.downstream.transport == Transport::Udp && self.rng.chance(0.02) {
            plan.extras.one_way_out = true;
            plan.extras.forked_out = false;
        }
        let other = self.downstream();
        plan.tried = match self.rng.below(100) {
            0..=3 if other.id != plan.downstream.id => Tried::Other(other),
            4..=6 => Tried::Redirected,
            _ => Tried::Nothing,
        };
    }

    /// Puts every trouble on calls that were in order so far.
    fn trouble(&mut self, plans: &mut [Plan]) {
        let calls = self.scope.calls;
        let least = if calls >= 1_500 { 3 } else { 2 };
        for trouble in TROUBLES {
            let quota = match trouble.defect {
                Defect::OtherDest => calls * 4 / 1_000,
                Defect::OtherOrig => calls / 1_000,
                _ => 0,
            };
            // With several ways to break a rule, two of each are enough.
            let ways = TROUBLES.iter().filter(|t| t.rule == trouble.rule).count();
            for _ in 0..quota.max(if ways > 1 { 2 } else { least }) {
                self.trouble_one(plans, trouble);
            }
        }
        for kind in [
            Kind::CompactName,
            Kind::Folded,
            Kind::TwoHeaders,
            Kind::BadThenGood,
            Kind::Diverted,
            Kind::Nested,
            Kind::RichCallData,
        ] {
            for _ in 0..least {
                if let Some(plan) = self.victim(plans, |p| kind.fits(p.upstream)) {
                    plan.kind = kind;
                    if kind.is_sent_on() {
                        plan.route = Route::Through;
                    }
                }
            }
        }
        for _ in 0..least.max(calls / 250) {
            let (own, area) = (self.own_number(), self.rng.below(100));
            let signed = self.rng.chance(0.3);
            if let Some(plan) = self.victim(plans, |_| true) {
                (plan.calling, plan.spoofed) = (own, Spoofed::Own);
                plan.kind = if signed {
                    Kind::Valid(plan.attest)
                } else {
                    Kind::Unsigned
                };
            }
            if let Some(plan) = self.victim(plans, |_| true) {
                // Area codes begin with 2 at least.
                (plan.calling, plan.spoofed) = (format!("11{area:02}5550123"), Spoofed::Impossible);
                plan.kind = Kind::Unsigned;
            }
        }
        for i in 0..least.max(calls / 500) {
            if let Some(plan) = self.victim(plans, |_| true) {
                plan.upstream = None;
                plan.kind = if i % 3 == 2 {
                    Kind::Valid(plan.attest)
                } else {
                    Kind::Unsigned
                };
                plan.extras = Extras::default();
            }
        }
    }

    /// Calls of which the tap loses all but the end: in the capture they have one leg only.
    fn headless(&mut self, plans: &mut [Plan]) {
        let scope = self.scope;
        // Attempts of one call have one PASSporT, and this one gets its own.
        let mut seen = BTreeSet::new();
        let retried: BTreeSet<_> = plans
            .iter()
            .map(|p| p.family)
            .filter(|f| !seen.insert(*f))
            .collect();
        for _ in 0..2 {
            let fits = |p: &Plan| {
                may_lose(p, scope)
                    && p.route == Route::Through
                    && !matches!(p.outcome, Outcome::RefusedHere { .. })
                    && !retried.contains(&p.family)
            };
            if let Some(plan) = self.victim(plans, fits).filter(|_| scope.lossy) {
                plan.kind = Kind::Valid(plan.attest);
                plan.extras = Extras {
                    headless: true,
                    ..Extras::default()
                };
            }
        }
    }

    fn trouble_one(&mut self, plans: &mut [Plan], trouble: &'static Trouble) {
        let scope = self.scope;
        if trouble.is_of_the_tap() {
            if !scope.lossy {
                return;
            }
            if let Some(plan) = self.victim(plans, |p| may_lose(p, scope)) {
                plan.kind = Kind::Trouble(trouble);
                plan.extras = Extras::default();
            }
            return;
        }
        let kind = Kind::Trouble(trouble);
        if let Some(plan) = self.victim(plans, |p| kind.fits(p.upstream)) {
            plan.kind = kind;
            if trouble.defect == Defect::Anonymous {
                (plan.anonymous, plan.asserted) = (true, false);
            }
            match (trouble.defect, &plan.route) {
                (Defect::DestByRequestUri, _) => plan.route = Route::Through,
                _ if plan.kind.is_sent_on() => plan.route = Route::Through,
                // Else the number diverted to might be the one signed for.
                (Defect::OtherDest | Defect::DivUnsigned, Route::Diverted(_)) => {
                    plan.route = Route::ToOwn;
                }
                _ => {}
            }
        }
    }

    /// A call from a provider with nothing remarkable yet; it becomes one with attestation A, B or C that goes through.
    fn victim<'a>(
        &mut self,
        plans: &'a mut [Plan],
        fits: impl Fn(&Plan) -> bool,
    ) -> Option<&'a mut Plan> {
        let plain = |p: &Plan| {
            let kind = matches!(p.kind, Kind::Unsigned | Kind::Valid(_));
            let provider = p.upstream.is_some_and(|u| u.kind == "provider");
            kind && provider
                && p.spoofed == Spoofed::No
                && p.shown.is_none()
                && !p.anonymous
                && fits(p)
        };
        // Few tries are needed: half of all calls fit.
        let len = plans.len();
        let found = (0..10_000)
            .map(|_| self.rng.index(len))
            .find(|i| plans.get(*i).is_some_and(plain))?;
        let plan = plans.get_mut(found)?;
        if plan.kind == Kind::Unsigned {
            plan.attest = [
                Attestation::A,
                Attestation::A,
                Attestation::B,
                Attestation::C,
            ][self.rng.index(4)];
        }
        Some(plan)
    }

    /// Calls that fail through one upstream and come again through another half a second to six seconds later: route advance.
    fn retries(&mut self, plans: &mut Vec<Plan>) {
        let mut first = Vec::new();
        for plan in plans.iter_mut() {
            let fits = plan.upstream.is_some_and(|u| u.kind == "provider")
                && plan.route == Route::Through
                && plan.spoofed == Spoofed::No
                && matches!(plan.kind, Kind::Unsigned | Kind::Valid(_) | Kind::QuotedPpt)
                && matches!(
                    plan.outcome,
                    Outcome::Answered { .. } | Outcome::Cancelled { .. }
                );
            if !fits || !self.rng.chance(0.08) {
                continue;
            }
            let other = self.other_upstream(plan.upstream);
            let mut again = plan.clone();
            again.at += self.rng.between(500, 6_000) * 1_000_000;
            again.upstream = Some(other);
            again.extras = Extras::default();
            if self.rng.chance(0.3) {
                again.downstream = self.downstream();
            }
            plan.extras = Extras::default();
            plan.outcome = if self.rng.chance(0.6) {
                Outcome::Final {
                    code: 503,
                    after: self.rng.between(25, 120) * 1_000_000,
                }
            } else {
                Outcome::RefusedHere { code: 503 }
            };
            first.push(again);
        }
        plans.extend(first);
    }

    fn other_upstream(&mut self, not: Option<&'static Neighbour>) -> &'static Neighbour {
        loop {
            let other = self.upstream();
            if other.kind == "provider" && not.is_none_or(|n| n.id != other.id) {
                return other;
            }
        }
    }

    /// Calls that began before the capture: only the rest of their dialogs is seen.
    fn before(&mut self) -> Vec<Plan> {
        let mut plans = Vec::new();
        for i in 0..6 {
            let (up, down) = (self.upstream(), self.downstream());
            let at = self.scope.start - (20 + 5 * i) * SECOND;
            let mut plan = self.ordinary(at, up, down);
            plan.outcome = Outcome::Answered {
                ring: 3 * SECOND,
                talk: (60 + 20 * i) * SECOND,
                by_caller: i % 2 == 0,
            };
            plan.extras.reinvited = true;
            plans.push(plan);
        }
        plans
    }
}

/// Whether the tap may lose part of a call: not in the middle, where the calls are that somebody asks about, because coverage must be
/// whole there.
fn may_lose(plan: &Plan, scope: Scope) -> bool {
    let share = (plan.at - scope.start) as f64 / scope.span as f64;
    plan.upstream.is_some_and(|u| u.transport == Transport::Udp)
        && (share < 0.2 || (0.8..0.93).contains(&share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn plans() -> Vec<Plan> {
        let scope = Scope {
            start: 0,
            span: 900 * SECOND,
            run: 0,
            calls: 3_000,
            lossy: true,
        };
        plan(scope, 1)
    }

    #[test]
    fn every_trouble_comes_up_twice_and_shares_are_as_said() {
        let plans = plans();
        let mut count = BTreeMap::new();
        for p in plans.iter().filter(|p| !p.memory.set_apart) {
            if let Kind::Trouble(t) = p.kind {
                *count.entry(format!("{:?}", t.defect)).or_insert(0) += 1;
            }
        }
        assert_eq!(count.len(), TROUBLES.len());
        assert!(count.values().all(|n| *n >= 2), "{count:?}");
        assert_eq!((count["OtherDest"], count["OtherOrig"]), (12, 3));
        let unsigned =
            plans.iter().filter(|p| p.kind == Kind::Unsigned).count() as f64 / plans.len() as f64;
        assert!((0.55..0.65).contains(&unsigned), "{unsigned}");
    }

    #[test]
    fn numbers_are_those_of_the_555_01xx_ranges() {
        for p in plans().iter().filter(|p| p.odd.is_none()) {
            for number in [&p.calling, &p.called]
                .into_iter()
                .filter(|n| n.len() == 11)
            {
                assert_eq!(number.get(4..9), Some("55501"), "{number}");
            }
        }
    }

    #[test]
    fn retries_come_soon_after_through_somebody_else() {
        let plans = plans();
        let mut families: BTreeMap<usize, Vec<&Plan>> = BTreeMap::new();
        // Replays are no retries.
        for p in plans.iter().filter(|p| !p.memory.set_apart) {
            families.entry(p.family).or_default().push(p);
        }
        let retried: Vec<_> = families.values().filter(|f| f.len() > 1).collect();
        assert!(retried.len() > 20);
        for f in retried {
            let gap = f[1].at - f[0].at;
            assert!((SECOND / 2..=6 * SECOND).contains(&gap));
            assert_ne!(f[0].upstream.unwrap().id, f[1].upstream.unwrap().id);
            assert_eq!(f[0].called, f[1].called);
        }
    }
}
