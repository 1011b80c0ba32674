//! From a plan to messages: the leg that comes in, what our platform makes of it, and the leg that goes out.
//!
//! Our border controller is a back-to-back user agent: Call-ID, tags, Via and Contact are new on the leg that goes out; the Identity
//! header and the SDP's origin stay, Session-ID and the charging identifier do as often as not.

use std::collections::BTreeMap;

use super::dialog::{CANCEL_CAUSE, Leg, Tape, via};
use super::flags;
use super::marked::SOS;
use super::memory::SLOW;
use super::plan::{Outcome, Plan, Route, SECOND, Tried};
use super::writing::{
    address, caller_headers, common_headers, from_value, number_in, request_uri, sdp,
};
use crate::call::classify::Flag;
use crate::call::leg::Pairing;
use crate::call::record::State;
use crate::lab::kind::{CALLED_FIRST, Defect, Kind};
use crate::lab::message::{Style, sip_date};
use crate::lab::network::{
    KEEPS_TO_ITS_OWN, Neighbour, OWN_DOMAIN, STRANGER, TECH_PREFIX, TRUNK_HEADER, Told, Writing,
};
use crate::lab::passport::{self, Claims, Field, Form};
use crate::lab::pki::{Pki, Signer};
use crate::lab::random::Random;
use crate::lab::truth::{Side, Truth};
use crate::stir::verify::{Attestation, Validation};
use crate::wire::Transport;

/// One millisecond in nanoseconds.
pub const MS: i64 = 1_000_000;

/// Turns plans into messages and truth.
pub struct Bridge<'a> {
    pki: &'a Pki,
    pub(super) rng: Random,
    /// What was sent.
    pub tape: Tape,
    /// What is true of each leg; messages name theirs by index.
    pub truth: Vec<Truth>,
    /// Identity headers of calls, for attempts that share them.
    identities: BTreeMap<usize, (Vec<Field>, &'static str)>,
    /// Number of a call's first attempt.
    first: BTreeMap<usize, usize>,
    /// First instant of the capture; what came before has no truth.
    pub(super) start: i64,
    /// When the connections of neighbours over TCP change.
    pub(super) change: i64,
}

/// What both legs of a call have in common.
struct Shared {
    session: String,
    icid: String,
    sdp: String,
    iat: i64,
}

impl<'a> Bridge<'a> {
    /// A bridge for a capture that begins at `start` and lasts for `span`.
    pub fn new(pki: &'a Pki, seed: u64, start: i64, span: i64) -> Self {
        Self {
            pki,
            rng: Random::new(seed, "bridge"),
            tape: Tape::default(),
            truth: Vec::new(),
            identities: BTreeMap::new(),
            first: BTreeMap::new(),
            start,
            change: start + span / 5 * 3,
        }
    }

    /// Plays call number `n`.
    pub fn play(&mut self, n: usize, plan: &Plan) {
        let own = self.rng.bits();
        let mut names = Random::new(plan.memory.session.unwrap_or(own), "session");
        let shared = Shared {
            session: names.uuid().replace('-', ""),
            icid: format!("{}-{}", names.hex(12), names.hex(6)),
            sdp: sdp(&mut self.rng, plan.upstream.unwrap_or(&STRANGER)),
            iat: (plan.at - self.rng.between(50, 900) * MS).div_euclid(SECOND),
        };
        let (identity, signer) = match self.identities.get(&plan.family) {
            Some(known) => known.clone(),
            None => self.identity(plan, shared.iat),
        };
        self.identities
            .insert(plan.family, (identity.clone(), signer));
        let ingress = self.ingress(plan, &shared, &identity);
        let refused = matches!(plan.outcome, Outcome::RefusedHere { .. });
        let mut egress = (plan.route != Route::ToOwn && !refused)
            .then(|| self.egress(plan, &shared, &identity, &ingress));
        let tried = self.tried(plan, &shared, &identity, &ingress, &mut egress);
        let first = *self.first.entry(plan.family).or_insert(n);
        let course = self.declare(
            n,
            (first != n && !plan.memory.set_apart).then_some(first),
            plan,
            (ingress, tried, egress),
            signer,
        );
        self.dialog(plan, &course);
    }

    /// The leg that we tried first, where there is one. A redirection changes the leg that follows: another host, and the next CSeq.
    fn tried(
        &mut self,
        plan: &Plan,
        shared: &Shared,
        identity: &[Field],
        ingress: &Leg,
        egress: &mut Option<Leg>,
    ) -> Option<Leg> {
        let leg = egress.as_mut()?;
        match plan.tried {
            Tried::Nothing => None,
            Tried::Other(downstream) => {
                let plan = Plan {
                    downstream,
                    ..plan.clone()
                };
                let mut leg = self.egress(&plan, shared, identity, ingress);
                leg.one_way = false;
                Some(leg)
            }
            Tried::Redirected => {
                let mut first = leg.clone();
                first.one_way = false;
                let target = plan
                    .downstream
                    .path(1, 0, leg.path.ours.port(), false)
                    .theirs;
                leg.uri = leg
                    .uri
                    .replace(&leg.path.theirs.to_string(), &target.to_string());
                leg.path.theirs = target;
                leg.cseq += 1;
                leg.branch += "-r";
                leg.to_tag = self.rng.hex(10);
                Some(first)
            }
        }
    }

    /// The Identity header that the caller's side puts in.
    fn identity(&mut self, plan: &Plan, iat: i64) -> (Vec<Field>, &'static str) {
        if plan.kind == Kind::Unsigned {
            return (Vec::new(), "");
        }
        let defect = match plan.kind {
            Kind::Trouble(t) => Some(t.defect),
            _ => None,
        };
        // Nobody signs as we do, and one neighbour's calls are signed by many.
        let others = self.pki.signers.len() - 2;
        let mut signer = 1 + self.rng.index(others);
        let own = plan.upstream.filter(|u| u.id == KEEPS_TO_ITS_OWN);
        if let (Some(own), true) = (own, self.rng.chance(0.97)) {
            let by_spc = |s: &Signer| Some(s.spc) == own.ocn;
            signer = self.pki.signers.iter().position(by_spc).unwrap_or(signer);
        }
        let mut iat = iat;
        if plan.memory.slow_signer {
            // The last one's clock is slow, and nobody else's calls are signed by it.
            signer = 1 + others;
            iat -= SLOW.div_euclid(SECOND);
        }
        let elsewhere = |number: &str| {
            format!(
                "{}{:02}",
                &number[..number.len() - 2],
                99 - number[number.len() - 2..].parse().unwrap_or(0)
            )
        };
        let claims = Claims {
            attest: plan.attest,
            orig: if defect == Some(Defect::OtherOrig) {
                elsewhere(&plan.calling)
            } else {
                plan.calling.clone()
            },
            dest: if plan.kind.is_sent_on() || defect == Some(Defect::DivUnsigned) {
                CALLED_FIRST.to_owned()
            } else if defect == Some(Defect::OtherDest) {
                elsewhere(&plan.called)
            } else {
                plan.called.clone()
            },
            iat,
            origid: self.origid(signer),
        };
        let signer = &self.pki.signers[signer];
        let spc = match defect {
            Some(Defect::Certificate(flaw)) => self.pki.flawed.get(&flaw).map_or("", |s| s.spc),
            _ => signer.spc,
        };
        let fields = passport::identity(plan.kind, &claims, &plan.called, signer, self.pki);
        (fields, spc)
    }

    /// A signer has few origids, one for each customer or trunk.
    fn origid(&mut self, signer: usize) -> String {
        let trunk = self.rng.below(4);
        Random::new(trunk, &format!("origid {signer}")).uuid()
    }

    fn ingress(&mut self, plan: &Plan, shared: &Shared, identity: &[Field]) -> Leg {
        let from = plan.upstream.unwrap_or(&STRANGER);
        let port = if plan.at < self.change || from.id != "westgate" {
            port_of(from)
        } else {
            port_of(from) + 164
        };
        let path = from.path(self.rng.index(2), 0, port, true);
        let domain = from.domain();
        let defect = match plan.kind {
            Kind::Trouble(t) => Some(t.defect),
            _ => None,
        };
        let to_number = if defect == Some(Defect::DestByRequestUri) {
            // The toll-free number that the caller dialled, before somebody translated it.
            "18445550199".to_owned()
        } else if plan.kind.keeps_to() {
            CALLED_FIRST.to_owned()
        } else {
            plan.called.clone()
        };
        let mut extra = caller_headers(plan, from.writing, &domain);
        let says_ioi = from.told == Told::OrigIoi || plan.imitates;
        if self.rng.chance(0.7) || plan.memory.session.is_some() || says_ioi {
            let domain = if plan.imitates {
                domain_of("quarry")
            } else {
                domain.clone()
            };
            extra.push((
                "P-Charging-Vector",
                format!("icid-value=\"{}\";orig-ioi={domain}", shared.icid),
            ));
        }
        if self.rng.chance(0.6) || plan.memory.session.is_some() {
            extra.push((
                "Session-ID",
                format!("{};remote=00000000000000000000000000000000", shared.session),
            ));
        }
        if plan.kind.is_priority() {
            extra.push(("Resource-Priority", "ets.0".to_owned()));
        }
        match from.told {
            Told::Header(value) => extra.push((TRUNK_HEADER, value.to_owned())),
            _ if plan.imitates => extra.push((TRUNK_HEADER, "SIERRA-1".to_owned())),
            _ => {}
        }
        let otg = match from.told {
            Told::Otg(otg) => format!(";otg={otg}"),
            _ if plan.imitates => ";otg=PIO-9".to_owned(),
            _ => String::new(),
        };
        if defect == Some(Defect::DivUnsigned) {
            let first = address(CALLED_FIRST, from.writing, &domain);
            extra.push(("Diversion", format!("{first};reason=no-answer")));
        }
        common_headers(&mut extra, "ExampleSwitch/7.4.2");
        match defect {
            Some(Defect::DateHeader) => extra.push(("Date", sip_date(shared.iat - 600))),
            Some(Defect::LostFragment | Defect::SnapLength) => {
                // Long enough that what is lost holds the Identity header.
                for i in 0..6 {
                    extra.push((
                        "X-Carrier-Route",
                        format!("{i};{}", "route=example.net;".repeat(8)),
                    ));
                }
            }
            _ if self.rng.chance(0.3) => extra.push(("Date", sip_date(plan.at.div_euclid(SECOND)))),
            _ => {}
        }
        let trunk = from
            .trunk_group
            .map(|g| format!(";tgrp={g};trunk-context={domain}"))
            .unwrap_or_default();
        let contact = match from.trunk_group {
            // Only where a trunk is told apart by it can we be sure that it is always there.
            _ if plan.imitates => format!("gw;tgrp=BG-07;trunk-context={}", domain_of("orion")),
            Some(_)
                if matches!(from.told, Told::TrunkGroup | Told::TrunkContext)
                    || self.rng.chance(0.5) =>
            {
                format!("gw{trunk}")
            }
            _ => "gw".to_owned(),
        };
        Leg {
            path,
            they_call: true,
            uri: request_uri(&plan.called, from.writing, &path.ours.to_string()),
            from: with_verstat(plan, from_value(plan, from.writing, &domain)) + &otg,
            to: address(&to_number, from.writing, OWN_DOMAIN),
            call_id: format!("{}@{}", self.rng.uuid(), path.theirs.ip()),
            from_tag: self.rng.hex(10),
            to_tag: self.rng.hex(10),
            branch: format!("z9hG4bK{}", self.rng.hex(14)),
            lower_vias: (0..self.rng.index(3))
                .map(|i| {
                    format!(
                        "SIP/2.0/UDP 198.51.100.{}:5060;branch=z9hG4bK{}",
                        200 + 20 * i + self.rng.index(20),
                        self.rng.hex(12)
                    )
                })
                .collect(),
            contact,
            cseq: 1 + self.rng.below(900) as u32,
            extra,
            identity: identity.iter().map(|f| (f.name, f.value.clone())).collect(),
            offer: shared.sdp.clone(),
            answer: sdp(&mut self.rng, &STRANGER),
            style: self.style(plan, identity),
            one_way: plan.extras.one_way_in,
            reason: plan.extras.reason,
        }
    }

    fn style(&mut self, plan: &Plan, identity: &[Field]) -> Style {
        match identity.first().map(|f| f.form) {
            Some(Form::Compact) => Style::CompactIdentity,
            Some(Form::Folded) => Style::FoldedIdentity,
            // Some switches write everything short, whatever they send.
            _ if plan.kind == Kind::Unsigned && self.rng.chance(0.03) => Style::Compact,
            _ => Style::Plain,
        }
    }

    fn egress(&mut self, plan: &Plan, shared: &Shared, identity: &[Field], ingress: &Leg) -> Leg {
        let to = plan.downstream;
        let path = to.path(0, 0, port_of(to) + 1_000, false);
        let target = match &plan.route {
            Route::Diverted(target) | Route::Translated(target) => target,
            Route::Through | Route::ToOwn => &plan.called,
        };
        // The number that the caller dialled stays in To.
        let dialled = ingress.to.clone();
        let to_value = match plan.upstream.map(|u| u.writing) {
            Some(Writing::Plus) => dialled,
            _ => address(&number_in(&dialled), to.writing, &to.domain()),
        };
        let mut extra = caller_headers(plan, to.writing, OWN_DOMAIN);
        if let Route::Diverted(_) = plan.route {
            extra.push((
                "Diversion",
                format!(
                    "<sip:+{}@{OWN_DOMAIN}>;reason=unconditional;counter=1",
                    plan.called
                ),
            ));
        }
        let has = |name: &str| {
            ingress
                .extra
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| v.clone())
        };
        if let Some(v) = has("P-Charging-Vector")
            .filter(|_| self.rng.chance(0.5) || plan.memory.session.is_some())
        {
            extra.push(("P-Charging-Vector", v));
        }
        if let Some(v) =
            has("Session-ID").filter(|_| self.rng.chance(0.6) || plan.memory.session.is_some())
        {
            extra.push(("Session-ID", v));
        }
        if let Some(v) = has("Resource-Priority") {
            extra.push(("Resource-Priority", v));
        }
        common_headers(&mut extra, "ExampleVoice-SBC/3.1");
        if let Some(date) = has("Date") {
            extra.push(("Date", date));
        }
        let copied: Vec<_> = match own_signature(plan) {
            None => identity.iter().map(|f| (f.name, f.value.clone())).collect(),
            Some(attest) => {
                let signer: &Signer = &self.pki.signers[0];
                let claims = Claims {
                    attest,
                    orig: plan.calling.clone(),
                    dest: plan.called.clone(),
                    iat: plan.at.div_euclid(SECOND),
                    origid: Random::new(7, plan.upstream.map_or("", |u| u.id)).uuid(),
                };
                passport::identity(Kind::Valid(attest), &claims, "", signer, self.pki)
                    .into_iter()
                    .map(|f| (f.name, f.value))
                    .collect()
            }
        };
        let mut leg = Leg {
            path,
            they_call: false,
            uri: request_uri(target, to.writing, &path.theirs.to_string()),
            from: from_value(plan, to.writing, OWN_DOMAIN),
            to: to_value,
            call_id: format!("{}@{OWN_DOMAIN}", self.rng.hex(16)),
            from_tag: self.rng.hex(8),
            to_tag: self.rng.hex(10),
            branch: format!("z9hG4bK-ev-{}", self.rng.hex(10)),
            lower_vias: Vec::new(),
            contact: "sbc".to_owned(),
            cseq: 100 + self.rng.below(100) as u32,
            extra,
            identity: copied,
            offer: if plan.extras.rewritten {
                sdp(&mut self.rng, &STRANGER)
            } else {
                shared.sdp.clone()
            },
            answer: sdp(&mut self.rng, to),
            style: Style::Plain,
            one_way: plan.extras.one_way_out,
            reason: plan.extras.reason,
        };
        if plan.extras.proxied {
            as_proxy(&mut leg, ingress);
        }
        leg
    }

    /// Writes down what is true of every leg.
    fn declare(
        &mut self,
        n: usize,
        attempt_of: Option<usize>,
        plan: &Plan,
        (ingress, tried, egress): (Leg, Option<Leg>, Option<Leg>),
        signer: &str,
    ) -> Course {
        if plan.at < self.start {
            return Course {
                ingress: Marked(ingress, None),
                tried: tried.map(|leg| Marked(leg, None)),
                egress: egress.map(|leg| Marked(leg, None)),
            };
        }
        let upstream = plan.upstream.unwrap_or(&STRANGER);
        let id = |n: &Neighbour| (!n.id.is_empty()).then_some(n.id);
        let seen = plan.extras;
        let (state, code) = if seen.one_way_in {
            plan.outcome.end_one_way()
        } else {
            plan.outcome.end()
        };
        let shown = plan.shown.as_ref().unwrap_or(&plan.calling);
        let calling = (!plan.anonymous && !shown.is_empty()).then(|| shown.clone());
        let verdict = plan.kind.verdict(plan.attest);
        let mut flags = flags::of_ingress(plan, &verdict);
        let passed = verdict.validation == Validation::Passed;
        if passed && upstream.id == KEEPS_TO_ITS_OWN && Some(signer) != upstream.ocn {
            flags.push(Flag::SignerUnexpected);
        }
        let valid_a = passed && verdict.attest == Some(Attestation::A) && !upstream.id.is_empty();
        let stir_cause = Some(code).filter(|c| matches!(c, 428 | 436..=438));
        // Whose rule asks for the prefix has it taken off.
        let prefix = if upstream.writing == Writing::TechPrefix && upstream.told != Told::TechPrefix
        {
            TECH_PREFIX
        } else {
            ""
        };
        let base = Truth {
            call: n,
            side: Side::Ingress,
            at: plan.at,
            call_id: ingress.call_id.clone(),
            kind: plan.kind.label(),
            defect: match plan.kind {
                Kind::Trouble(t) => Some(format!("{:?}", t.defect)),
                _ => None,
            },
            verstat: plan.memory.verstat,
            stir_cause,
            disagrees: stir_cause.is_some() && verdict.validation == Validation::Passed,
            verdict,
            flags,
            peer: id(upstream),
            called: if plan.called == SOS {
                String::new()
            } else {
                format!("{prefix}{}", plan.called)
            },
            calling,
            transport: ingress.path.transport,
            state,
            code,
            cause: cause_of(code, plan, seen.one_way_in),
            released: None,
            one_way: seen.one_way_in,
            counts: [seen.retransmitted, seen.forked_in, seen.challenged].map(u8::from),
            pair: None,
            attempt_of,
            upstream: None,
            case: plan.case,
            identity: ingress.identity.first().map(|(_, v)| v.clone()),
            behaviour: plan.behaviour.clone(),
            signed_number: valid_a.then(|| plan.calling.clone()),
        };
        let kind = match plan.kind {
            Kind::CompactName | Kind::Folded => Kind::Valid(plan.attest),
            Kind::Trouble(t) if t.is_of_the_tap() => Kind::Valid(plan.attest),
            kind => own_signature(plan).map_or(kind, Kind::Valid),
        };
        let late = matches!(plan.kind, Kind::Trouble(t) if t.defect == Defect::LostFragment);
        let out = |leg: &Leg, to: &Neighbour, (state, code): (State, u16)| {
            let verdict = kind.verdict(own_signature(plan).unwrap_or(plan.attest));
            Truth {
                side: Side::Egress,
                call_id: leg.call_id.clone(),
                kind: kind.label(),
                defect: base
                    .defect
                    .clone()
                    .filter(|_| matches!(kind, Kind::Trouble(_))),
                flags: std::iter::once(verdict.flag)
                    .chain(plan.memory.flag)
                    .collect(),
                verstat: None,
                disagrees: stir_cause.is_some() && verdict.validation == Validation::Passed,
                verdict,
                peer: id(to),
                called: match &plan.route {
                    Route::Diverted(target) | Route::Translated(target) => target.clone(),
                    _ if plan.called == SOS => String::new(),
                    _ => plan.called.clone(),
                },
                transport: leg.path.transport,
                state,
                code,
                cause: cause_of(code, plan, leg.one_way),
                one_way: leg.one_way,
                counts: [0; 3],
                signed_number: None,
                // An INVITE that lost a fragment is given out when the rest is overdue: too late for the leg that went out.
                pair: (!plan.extras.headless && !late)
                    .then(|| (ingress.call_id.clone(), tie(plan, leg))),
                upstream: id(upstream),
                identity: leg.identity.first().map(|(_, v)| v.clone()),
                ..base.clone()
            }
        };
        let of_try = tried.as_ref().map(|leg| match plan.tried {
            Tried::Other(to) => Truth {
                cause: Some(34),
                ..out(leg, to, (State::Failed, NO_CIRCUIT))
            },
            _ => Truth {
                cause: None,
                ..out(leg, plan.downstream, (State::Redirected, MOVED))
            },
        });
        let of_egress = egress.as_ref().map(|leg| {
            let end = if leg.one_way {
                plan.outcome.end_one_way()
            } else {
                plan.outcome.end_of_egress()
            };
            let silent = plan.outcome == Outcome::Silence;
            let again = if silent && leg.path.transport == Transport::Udp {
                UNANSWERED.len() as u8
            } else {
                0
            };
            Truth {
                one_way: leg.one_way || silent,
                counts: [again, u8::from(plan.extras.forked_out), 0],
                ..out(leg, plan.downstream, end)
            }
        });
        let mut mark = |leg: Leg, truth: Option<Truth>| {
            let index = truth.map(|t| {
                self.truth.push(t);
                self.truth.len() - 1
            });
            Marked(leg, index)
        };
        Course {
            ingress: mark(ingress, (!plan.extras.headless).then_some(base)),
            tried: tried.map(|leg| mark(leg, of_try)),
            egress: egress.map(|leg| mark(leg, of_egress)),
        }
    }
}

/// A leg, and where its truth is.
#[derive(Clone, Debug)]
pub(super) struct Marked(pub Leg, pub Option<usize>);

/// The legs of one attempt.
#[derive(Clone, Debug)]
pub(super) struct Course {
    pub ingress: Marked,
    pub tried: Option<Marked>,
    pub egress: Option<Marked>,
}

fn domain_of(id: &str) -> String {
    format!("sip.{id}.example")
}

/// What a downstream without a circuit answers.
pub(super) const NO_CIRCUIT: u16 = 503;
/// What a host answers that names another.
pub(super) const MOVED: u16 = 302;
/// When an INVITE is sent again that nobody answers, in milliseconds (RFC 3261 §17.1.1.2, T1 of half a second).
pub(super) const UNANSWERED: [i64; 3] = [500, 1_500, 3_500];

/// The Q.850 cause that an attempt ends with, as far as its final answer or CANCEL says it; see [`Leg::answer`].
fn cause_of(code: u16, plan: &Plan, one_way: bool) -> Option<u8> {
    match (code, plan.outcome) {
        (_, Outcome::Cancelled { .. }) => plan.extras.reason.then_some(CANCEL_CAUSE),
        _ if one_way => None,
        (404, _) => Some(1),
        (486, _) => Some(17),
        (503, _) => Some(34),
        _ => None,
    }
}

/// What ties the leg that goes out to the one that comes in, strongest first; `None` where the Identity is in trouble.
fn tie(plan: &Plan, leg: &Leg) -> Option<Pairing> {
    let has = |name| leg.extra.iter().any(|(n, _)| *n == name);
    if plan.extras.proxied {
        return Some(Pairing::CallId);
    }
    match plan.kind {
        Kind::Unsigned => {}
        Kind::Valid(_) | Kind::QuotedPpt | Kind::CompactName | Kind::Folded => {
            return Some(Pairing::Passport);
        }
        _ => return None,
    }
    Some(if has("Session-ID") {
        Pairing::SessionId
    } else if has("P-Charging-Vector") {
        Pairing::Icid
    } else if !plan.extras.rewritten {
        Pairing::SdpOrigin
    } else {
        Pairing::Numbers
    })
}

/// A proxy leaves the dialog what it is, and adds itself to the way.
fn as_proxy(leg: &mut Leg, ingress: &Leg) {
    leg.call_id.clone_from(&ingress.call_id);
    leg.from_tag.clone_from(&ingress.from_tag);
    leg.to_tag.clone_from(&ingress.to_tag);
    leg.from.clone_from(&ingress.from);
    leg.to.clone_from(&ingress.to);
    leg.cseq = ingress.cseq;
    leg.lower_vias = vec![via(&ingress.path, ingress.path.theirs, &ingress.branch)];
    leg.lower_vias.extend(ingress.lower_vias.iter().cloned());
    let route = ("Record-Route", format!("<sip:{OWN_DOMAIN};lr>"));
    leg.extra.insert(0, route);
}

/// Port of whoever opens TCP connections; its last digit says how they begin and end, see [`crate::lab::pcap::stream`].
pub fn port_of(neighbour: &Neighbour) -> u16 {
    match neighbour.id {
        // Closes, and another one takes over.
        "westgate" => 40_211,
        // Was there before the capture.
        "tidewater" => 41_337,
        _ => 42_102,
    }
}

/// From with the claim of an earlier verification: in the user part, or as a parameter of the URI, as switches differ.
fn with_verstat(plan: &Plan, from: String) -> String {
    let Some(verstat) = plan.memory.verstat else {
        return from;
    };
    let place = match from.find('@') {
        Some(at) if plan.family.is_multiple_of(2) => at,
        _ => from.find('>').unwrap_or(from.len()),
    };
    let (front, back) = from.split_at(place);
    format!("{front};verstat={}{back}", verstat.label())
}

/// How our platform signs a call that comes in unsigned: as its own for customers, as a gateway for calls from abroad.
fn own_signature(plan: &Plan) -> Option<Attestation> {
    match plan.upstream.map(|u| u.kind) {
        Some("customer") if plan.kind == Kind::Unsigned => Some(Attestation::A),
        Some("foreign") if plan.kind == Kind::Unsigned => Some(Attestation::C),
        _ => None,
    }
}
