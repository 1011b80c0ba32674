//! Calls that somebody asks about later, in the middle of the capture: each with numbers of its own.

use super::plan::{Outcome, Plan, Route, SECOND, TRACED_AREA};
use super::traffic::Planner;
use crate::lab::kind::Kind;
use crate::lab::network::Neighbour;
use crate::stir::verify::Attestation;

/// Number `line` of those that are asked about.
pub fn number(line: u8) -> String {
    format!("1{TRACED_AREA}55501{line:02}")
}

/// The calls behind the requests; see [`crate::lab::request`] for what is asked about each.
pub fn cases(planner: &mut Planner) -> Vec<Plan> {
    let middle = planner.scope.start + planner.scope.span / 2;
    let mut plans = Vec::new();
    let mut call = |case, line, seconds: i64, up: &str, down: &str| {
        let (Some(up), Some(down)) = (Neighbour::named(up), Neighbour::named(down)) else {
            return;
        };
        let mut plan = planner.ordinary(middle + seconds * SECOND + 137_000_000, up, down);
        if up.kind == "provider" {
            planner.sign(&mut plan);
        }
        plan.case = Some(case);
        plan.called = number(line);
        if up.kind != "customer" {
            plan.calling = number(50 + line);
        }
        plans.push(plan);
    };
    call("certain", 1, -60, "westgate", "lakeside");
    call("retry", 2, -50, "westgate", "lakeside");
    call("retry", 2, -47, "keystone", "lakeside");
    call("origin-customer", 3, -40, "acme", "harbor");
    call("foreign-gateway", 4, -30, "meridian", "summit");
    call("ambiguous", 5, -20, "northstar", "lakeside");
    call("ambiguous", 5, -11, "prairie", "lakeside");
    call("diverted", 6, 0, "westgate", "harbor");
    call("toll-free", 7, 10, "keystone", "lakeside");
    call("shared-address", 8, 20, "bargain", "cedar");
    call("by-passport", 9, 30, "tidewater", "harbor");
    call("tech-prefix", 10, 40, "prairie", "summit");
    let family = plans
        .iter()
        .find(|p| p.case == Some("retry"))
        .map(|p| (p.family, p.kind, p.attest));
    let own = planner.own_number();
    for plan in &mut plans {
        match plan.case {
            Some("retry") => {
                // One call, so one PASSporT.
                (plan.family, plan.kind, plan.attest) =
                    family.unwrap_or((plan.family, plan.kind, plan.attest));
                if plan.upstream.is_some_and(|u| u.id == "westgate") {
                    plan.outcome = Outcome::Final {
                        code: 503,
                        after: 60_000_000,
                    };
                }
            }
            Some("ambiguous") => {
                (plan.kind, plan.attest) = (Kind::Unsigned, Attestation::C);
                plan.outcome = Outcome::Final {
                    code: 486,
                    after: 400_000_000,
                };
            }
            Some("diverted") => {
                let target = std::mem::replace(&mut plan.called, own.clone());
                plan.route = Route::Diverted(target);
            }
            Some("toll-free") => {
                let target = std::mem::replace(&mut plan.called, "18885550107".to_owned());
                plan.route = Route::Translated(target);
            }
            Some("by-passport") => {
                (plan.kind, plan.attest) = (Kind::Valid(Attestation::B), Attestation::B)
            }
            _ => {}
        }
    }
    plans
}
