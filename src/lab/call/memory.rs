//! Calls that only a memory of other calls tells apart: the same PASSporT again, a signer whose clock is wrong, and what other
//! verification says of them.

use super::plan::{Outcome, Plan, SECOND};
use super::traffic::Planner;
use crate::call::classify::{Flag, Verstat};
use crate::lab::kind::{Defect, Kind, Trouble};
use crate::lab::network::Neighbour;
use crate::stir::verify::Attestation;

/// How far behind the clock of one signer is: far from sound, and within the freshness window.
pub const SLOW: i64 = 27 * SECOND;

/// The calls, within the last third of the capture, where the tap loses nothing.
pub fn calls(planner: &mut Planner) -> Vec<Plan> {
    let start = planner.scope.start + planner.scope.span * 2 / 3;
    let mut made = Vec::new();
    replays(planner, start, &mut made);
    slow_signer(planner, start, &mut made);
    claims(planner, start, &mut made);
    refusals(planner, start, &mut made);
    made
}

/// A call that is answered, signed and goes through.
fn signed(planner: &mut Planner, at: i64, up: &str) -> Option<Plan> {
    let (up, down) = (Neighbour::named(up)?, Neighbour::named("lakeside")?);
    let mut plan = planner.ordinary(at, up, down);
    planner.sign(&mut plan);
    plan.memory.set_apart = true;
    // Over before its like comes: else that one would be a call of ours which comes back.
    plan.outcome = Outcome::Final {
        code: 486,
        after: 300_000_000,
    };
    Some(plan)
}

/// Its like a while later, with the same PASSporT.
fn again(plan: &Plan, seconds: i64, up: &str, earns: Option<Flag>) -> Plan {
    let mut again = plan.clone();
    again.at += seconds * SECOND;
    again.upstream = Neighbour::named(up);
    again.memory.flag = earns;
    again
}

fn replays(planner: &mut Planner, start: i64, made: &mut Vec<Plan>) {
    let trouble = |defect| Trouble::of(defect).map(Kind::Trouble);
    for i in 0..2 {
        // Towards another number.
        let Some(first) = signed(planner, start + i * 5 * SECOND, "westgate") else {
            return;
        };
        let mut other = again(&first, 4, "keystone", Some(Flag::Replayed));
        other.called = planner.other_number(&first.called);
        other.kind = trouble(Defect::OtherDest).unwrap_or(other.kind);
        made.extend([first, other]);
        // After its freshness.
        let Some(first) = signed(planner, start + (1 + i * 5) * SECOND, "keystone") else {
            return;
        };
        let mut late = again(&first, 75, "prairie", Some(Flag::Replayed));
        late.kind = trouble(Defect::Past).unwrap_or(late.kind);
        made.extend([first, late]);
        // More often than there are routes.
        let Some(first) = signed(planner, start + (2 + i * 5) * SECOND, "westgate") else {
            return;
        };
        for n in 1..6 {
            let up = ["keystone", "prairie", "westgate"][n % 3];
            let suspect = (n >= 4).then_some(Flag::ReplaySuspect);
            made.push(again(&first, 2 * n as i64, up, suspect));
        }
        made.push(first);
    }
}

fn slow_signer(planner: &mut Planner, start: i64, made: &mut Vec<Plan>) {
    for i in 0..8 {
        let plan = signed(planner, start + (3 + 7 * i) * SECOND, "prairie");
        made.extend(plan.map(|mut p| {
            p.memory.slow_signer = true;
            p
        }));
    }
}

/// INVITEs that say what somebody verified before us.
fn claims(planner: &mut Planner, start: i64, made: &mut Vec<Plan>) {
    let wrong = Trouble::of(Defect::FlippedSignature).map_or(Kind::Unsigned, Kind::Trouble);
    let valid = Kind::Valid(Attestation::A);
    use Verstat as V;
    let claims = [
        (V::PassedA, valid, false),
        (V::Failed, valid, true),
        (V::Passed, wrong, true),
        (V::FailedC, wrong, false),
        (V::None, valid, false),
        // Somebody took the header out, or made the claim up: we have no opinion.
        (V::Passed, Kind::Unsigned, false),
    ];
    // Switches that write sip: and tel: addresses.
    for (i, up) in (0..).zip(["westgate", "northstar", "keystone"]) {
        for (j, (verstat, kind, disagrees)) in (0..).zip(claims) {
            let at = start + (4 + 6 * i) * SECOND + j * 700_000_000;
            made.extend(signed(planner, at, up).map(|mut p| {
                (p.kind, p.attest) = (kind, Attestation::A);
                p.memory.verstat = Some(verstat);
                p.memory.flag_of_ingress = disagrees.then_some(Flag::Disagrees);
                p
            }));
        }
    }
}

/// Calls that the downstream's verification refuses, rightly and wrongly.
fn refusals(planner: &mut Planner, start: i64, made: &mut Vec<Plan>) {
    let wrong = Trouble::of(Defect::FlippedSignature).map_or(Kind::Unsigned, Kind::Trouble);
    for (i, (code, kind)) in (0..).zip([
        (438, Kind::Valid(Attestation::A)),
        (437, Kind::Valid(Attestation::A)),
        (438, wrong),
        (428, Kind::Unsigned),
    ]) {
        made.extend(
            signed(planner, start + (30 + i) * SECOND, "westgate").map(|mut p| {
                (p.kind, p.attest) = (kind, Attestation::A);
                p.outcome = Outcome::Final {
                    code,
                    after: 90_000_000,
                };
                p
            }),
        );
    }
}
