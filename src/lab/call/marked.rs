//! Calls that earn a flag by their numbers, by an emergency, or by coming back to us, and beside each its like that just does not.

use super::plan::{Outcome, Plan, Route, SECOND, Spoofed};
use super::traffic::Planner;
use crate::call::classify::Flag;
use crate::lab::call::cases::number;
use crate::lab::kind::Kind;
use crate::lab::network::Neighbour;
use crate::stir::verify::Attestation;

/// The number of ours that calls for help, and that nobody calls otherwise.
pub const IN_NEED: &str = "12025550150";
/// What a telephone sends that knows no emergency number.
pub const SOS: &str = "urn:service:sos";

/// What From may hold instead of a number: as written, and as it is read.
pub const ODD: [(&str, Option<&str>, bool); 6] = [
    ("+0125550123", Some("0125550123"), true),
    ("+44207946012345678", Some("44207946012345678"), true),
    ("2125A550123", None, true),
    ("+", None, true),
    // Names and short codes pretend nothing.
    ("24680", Some("24680"), false),
    ("front-desk", None, false),
];

/// All of them, through the whole capture.
pub fn calls(planner: &mut Planner) -> Vec<Plan> {
    let mut made = Vec::new();
    let times = 2.max(planner.scope.calls / 1_250);
    for _ in 0..times {
        numbers(planner, &mut made);
        neighbours(planner, &mut made);
        nobody(planner, &mut made);
        loops(planner, &mut made);
        imitations(planner, &mut made);
    }
    emergencies(planner, &mut made);
    made
}

/// An unsigned call at any time, of which the rest is still in the capture.
fn any(planner: &mut Planner, up: &str) -> Option<Plan> {
    let scope = planner.scope;
    let at = scope.start + planner.rng.between(2 * SECOND, scope.span - 45 * SECOND);
    at_time(planner, at, up)
}

fn at_time(planner: &mut Planner, at: i64, up: &str) -> Option<Plan> {
    let (up, down) = (Neighbour::named(up)?, Neighbour::named("lakeside")?);
    let mut plan = planner.ordinary(at, up, down);
    plan.memory.set_apart = true;
    plan.extras.challenged = up.kind == "customer";
    Some(plan)
}

/// Calls from numbers that nobody has, nobody calls from, or that are none.
fn numbers(planner: &mut Planner, made: &mut Vec<Plan>) {
    let line = planner.rng.below(100);
    for (up, calling) in [
        // On the list, and beside it.
        ("westgate", "18005550150".to_owned()),
        ("keystone", "18005550151".to_owned()),
        ("northstar", format!("1888555017{}", line % 10)),
        ("northstar", "18885550169".to_owned()),
        // Of a block that nobody has, of one within an exchange, and of one that somebody has in an area that nobody has.
        ("prairie", format!("140655501{line:02}")),
        ("keystone", format!("130755501{line:02}")),
        ("keystone", format!("150555501{line:02}")),
        // At a charge.
        ("tidewater", format!("190055501{line:02}")),
        ("westgate", format!("150455501{line:02}")),
    ] {
        made.extend(any(planner, up).map(|mut p| {
            p.calling = calling;
            p
        }));
    }
    for (written, read, _) in ODD {
        made.extend(any(planner, "northstar").map(|mut p| {
            p.odd = Some(written);
            p.calling = read.unwrap_or_default().to_owned();
            p.asserted = false;
            p
        }));
    }
}

/// Calls from the called number's own exchange.
fn neighbours(planner: &mut Planner, made: &mut Vec<Plan>) {
    let signed = |attest| Some(Kind::Valid(attest));
    for (up, kind) in [
        ("bargain", None),
        ("meridian", None),
        ("keystone", signed(Attestation::B)),
        // Signed with A, or a customer of ours.
        ("westgate", signed(Attestation::A)),
        ("acme", None),
    ] {
        made.extend(any(planner, up).map(|mut p| {
            p.called = format!("{}0199", &p.calling[..7]);
            if p.called == p.calling {
                p.called = format!("{}0198", &p.calling[..7]);
            }
            if let Some(Kind::Valid(attest)) = kind {
                (p.kind, p.attest) = (Kind::Valid(attest), attest);
            }
            p
        }));
    }
}

/// Calls that show nobody, and that nobody attests.
fn nobody(planner: &mut Planner, made: &mut Vec<Plan>) {
    made.extend(any(planner, "westgate").map(|mut p| {
        (p.anonymous, p.asserted) = (true, false);
        p
    }));
}

/// Calls that a downstream hands back to us through somebody else, under a Call-ID of its own.
fn loops(planner: &mut Planner, made: &mut Vec<Plan>) {
    for (signed, up, back) in [
        (true, "westgate", "prairie"),
        (false, "keystone", "northstar"),
    ] {
        let Some(mut first) = any(planner, up) else {
            return;
        };
        if signed {
            (first.kind, first.attest) = (Kind::Valid(Attestation::B), Attestation::B);
        } else {
            first.memory.session = Some(planner.rng.bits());
        }
        let mut second = first.clone();
        second.at += 400_000_000;
        second.upstream = Neighbour::named(back);
        second.memory.flag_of_ingress = Some(Flag::Loop);
        // Its like: our downstream had refused it before the upstream tried another way.
        let mut refused = first.clone();
        refused.family = planner.family();
        refused.memory.session = (!signed).then(|| planner.rng.bits());
        refused.at += 11 * SECOND;
        refused.called = planner.other_number(&first.called);
        refused.outcome = Outcome::Final {
            code: 503,
            after: 60_000_000,
        };
        let mut retried = refused.clone();
        retried.at += 900_000_000;
        retried.upstream = Neighbour::named(back);
        made.extend([first, second, refused, retried]);
    }
}

/// Calls whose headers are those of others' trunks: whose they are says the address that they come from.
fn imitations(planner: &mut Planner, made: &mut Vec<Plan>) {
    for up in ["westgate", "keystone", "ursa", "yukon", "acme"] {
        made.extend(any(planner, up).map(|mut p| {
            p.imitates = true;
            p
        }));
    }
}

/// Calls for help, and back.
fn emergencies(planner: &mut Planner, made: &mut Vec<Plan>) {
    let start = planner.scope.start + planner.scope.span / 3;
    for i in 0..2 {
        let at = start + i * 40 * SECOND;
        made.extend(at_time(planner, at, "acme").map(|mut p| {
            p.calling = IN_NEED.to_owned();
            p.called = if i == 0 { "911" } else { "112" }.to_owned();
            p.memory.flag = Some(Flag::Emergency);
            p
        }));
        // From the very exchange, which is no wonder of an answering point.
        made.extend(at_time(planner, at + 20 * SECOND, "keystone").map(|mut p| {
            p.calling = "12025550199".to_owned();
            p.called = IN_NEED.to_owned();
            p.route = Route::ToOwn;
            p.memory.flag_of_ingress = Some(Flag::EmergencyCallback);
            p
        }));
        // Who only says so is flagged, and protected from nothing.
        let own = planner.own_number();
        made.extend(at_time(planner, at + 22 * SECOND, "keystone").map(|mut p| {
            p.calling = format!("{}0100", &own[..7]);
            if p.calling == own {
                p.calling = format!("{}0101", &own[..7]);
                p.spoofed = Spoofed::No;
            }
            p.called = own.clone();
            p.route = Route::ToOwn;
            p.claims_callback = true;
            p.memory.flag_of_ingress = Some(Flag::EmergencyCallback);
            p
        }));
        made.extend(
            at_time(planner, at + 25 * SECOND, "northstar").map(|mut p| {
                p.calling = number(91);
                p.called = SOS.to_owned();
                p.memory.flag = Some(Flag::Emergency);
                p
            }),
        );
    }
}
