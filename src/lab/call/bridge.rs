//! From a plan to messages: the leg that comes in, what our platform makes of it, and the leg that goes out.
//!
//! Our border controller is a back-to-back user agent: Call-ID, tags, Via and Contact are new on the leg that goes out; the Identity
//! header and the SDP's origin stay, Session-ID and the charging identifier do as often as not.

use std::collections::BTreeMap;

use super::dialog::{Leg, Tape};
use super::memory::SLOW;
use super::plan::{Outcome, Plan, Route, SECOND, Spoofed};
use super::writing::{
    address, caller_headers, common_headers, from_value, number_in, request_uri, sdp,
};
use crate::call::classify::Flag;
use crate::lab::kind::{CALLED_FIRST, Defect, Kind};
use crate::lab::message::{Style, sip_date};
use crate::lab::network::{Neighbour, OWN_DOMAIN, STRANGER, TECH_PREFIX, Writing};
use crate::lab::passport::{self, Claims, Field, Form};
use crate::lab::pki::{Pki, Signer};
use crate::lab::random::Random;
use crate::lab::truth::{Side, Truth};
use crate::stir::verify::{Attestation, Validation};

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
    identities: BTreeMap<usize, Vec<Field>>,
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
        let shared = Shared {
            session: self.rng.uuid().replace('-', ""),
            icid: format!("{}-{}", self.rng.hex(12), self.rng.hex(6)),
            sdp: sdp(&mut self.rng, plan.upstream.unwrap_or(&STRANGER)),
            iat: (plan.at - self.rng.between(50, 900) * MS).div_euclid(SECOND),
        };
        let identity = match self.identities.get(&plan.family) {
            Some(fields) => fields.clone(),
            None => self.identity(plan, shared.iat),
        };
        self.identities.insert(plan.family, identity.clone());
        let ingress = self.ingress(plan, &shared, &identity);
        let refused = matches!(plan.outcome, Outcome::RefusedHere { .. });
        let egress = (plan.route != Route::ToOwn && !refused)
            .then(|| self.egress(plan, &shared, &identity, &ingress));
        let first = *self.first.entry(plan.family).or_insert(n);
        let marks = self.declare(
            n,
            (first != n && !plan.memory.set_apart).then_some(first),
            plan,
            &ingress,
            egress.as_ref(),
        );
        self.dialog(plan, &ingress, egress.as_ref(), marks);
    }

    /// The Identity header that the caller's side puts in.
    fn identity(&mut self, plan: &Plan, iat: i64) -> Vec<Field> {
        if plan.kind == Kind::Unsigned {
            return Vec::new();
        }
        let defect = match plan.kind {
            Kind::Trouble(t) => Some(t.defect),
            _ => None,
        };
        // Nobody signs as we do, and one neighbour's calls are signed by many.
        let others = self.pki.signers.len() - 2;
        let mut signer = 1 + self.rng.index(others);
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
        passport::identity(plan.kind, &claims, &plan.called, signer, self.pki)
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
        if self.rng.chance(0.7) {
            extra.push((
                "P-Charging-Vector",
                format!("icid-value=\"{}\";orig-ioi={domain}", shared.icid),
            ));
        }
        if self.rng.chance(0.6) {
            extra.push((
                "Session-ID",
                format!("{};remote=00000000000000000000000000000000", shared.session),
            ));
        }
        if plan.kind.is_priority() {
            extra.push(("Resource-Priority", "ets.0".to_owned()));
        }
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
            Some(_) if from.by_trunk_group || self.rng.chance(0.5) => format!("gw{trunk}"),
            _ => "gw".to_owned(),
        };
        Leg {
            path,
            they_call: true,
            uri: request_uri(&plan.called, from.writing, &path.ours.to_string()),
            from: with_verstat(plan, from_value(plan, from.writing, &domain)),
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
        if let Some(v) = has("P-Charging-Vector").filter(|_| self.rng.chance(0.5)) {
            extra.push(("P-Charging-Vector", v));
        }
        if let Some(v) = has("Session-ID").filter(|_| self.rng.chance(0.6)) {
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
        Leg {
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
            offer: shared.sdp.clone(),
            answer: sdp(&mut self.rng, to),
            style: Style::Plain,
        }
    }

    /// Writes down what is true of both legs, and gives their indexes.
    fn declare(
        &mut self,
        n: usize,
        attempt_of: Option<usize>,
        plan: &Plan,
        ingress: &Leg,
        egress: Option<&Leg>,
    ) -> [Option<usize>; 2] {
        if plan.at < self.start {
            return [None; 2];
        }
        let upstream = plan.upstream.unwrap_or(&STRANGER);
        let id = |n: &Neighbour| (!n.id.is_empty()).then_some(n.id);
        let (state, code) = plan.outcome.end();
        let shown = plan.shown.as_ref().unwrap_or(&plan.calling);
        let calling = (!plan.anonymous).then(|| shown.clone());
        let verdict = plan.kind.verdict(plan.attest);
        let mut flags = vec![verdict.flag];
        match plan.spoofed {
            Spoofed::Own => flags.push(Flag::OwnNumberInbound),
            Spoofed::Impossible => flags.push(Flag::InvalidNanp),
            Spoofed::No => {}
        }
        if plan.upstream.is_none() {
            flags.push(Flag::UnknownUpstream);
        }
        flags.extend(plan.memory.flag);
        flags.extend(plan.memory.flag_of_ingress);
        let stir_cause = Some(code).filter(|c| matches!(c, 428 | 436..=438));
        let prefix = if upstream.writing == Writing::TechPrefix {
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
            called: format!("{prefix}{}", plan.called),
            calling,
            transport: ingress.path.transport,
            state,
            code,
            attempt_of,
            upstream: None,
            case: plan.case,
            identity: ingress.identity.first().map(|(_, v)| v.clone()),
        };
        let out = egress.map(|leg| {
            let kind = match plan.kind {
                Kind::CompactName | Kind::Folded => Kind::Valid(plan.attest),
                Kind::Trouble(t) if t.is_of_the_tap() => Kind::Valid(plan.attest),
                kind => own_signature(plan).map_or(kind, Kind::Valid),
            };
            let attest = own_signature(plan).unwrap_or(plan.attest);
            let verdict = kind.verdict(attest);
            let (state, code) = plan.outcome.end_of_egress();
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
                peer: id(plan.downstream),
                called: match &plan.route {
                    Route::Diverted(target) | Route::Translated(target) => target.clone(),
                    _ => plan.called.clone(),
                },
                transport: leg.path.transport,
                state,
                code,
                upstream: id(upstream),
                identity: leg.identity.first().map(|(_, v)| v.clone()),
                ..base.clone()
            }
        });
        let ingress = (!plan.extras.headless).then(|| {
            self.truth.push(base);
            self.truth.len() - 1
        });
        let egress = out.map(|t| {
            self.truth.push(t);
            self.truth.len() - 1
        });
        [ingress, egress]
    }
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
