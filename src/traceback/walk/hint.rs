//! Signers that are asked directly. A valid PASSporT names who signed it; that one had the call, wherever it stands on the path. No answer says that
//! anybody handed it over, so what comes of it is shown beside the path and never makes part of it.

use super::call::{seen, sharpened};
use super::slot::Claim;
use super::{
    Branch, End, FindingKind, HintPolicy, HopState, MAX_HINTS, Outcome, Plan, Question, Standing,
    WalkCase, WalkHop, WalkRules,
};

/// Asks signers where the policy says so, goes on from what they answer, and says what came of it.
pub(super) fn hints(case: &WalkCase, rules: &WalkRules, plan: &mut Plan) {
    let fails = fails(&plan.standing);
    let wanted = match rules.hint {
        HintPolicy::Never => false,
        HintPolicy::WhenStuck => fails,
        HintPolicy::AtOnce => !matches!(plan.standing, Standing::Ended(_)) || fails,
    };
    let before = plan.ask.len();
    if wanted {
        ask_signers(case, plan);
    }
    for hop in live(case).filter(|h| h.branch == Branch::Hint) {
        went(case, rules, hop, wanted, plan);
    }
    let waits = live(case).any(|h| {
        let open = matches!(h.state, HopState::Asked | HopState::Acknowledged);
        h.branch == Branch::Hint && open
    });
    if fails && (waits || plan.ask.len() > before) {
        plan.standing = Standing::Walking;
    }
}

/// Whether the path does not go on by itself.
fn fails(standing: &Standing) -> bool {
    match standing {
        Standing::Walking => false,
        Standing::Stuck(_) => true,
        Standing::Ended(end) => matches!(
            **end,
            End {
                outcome: Outcome::NonResponsive
                    | Outcome::NotFound
                    | Outcome::Contradiction
                    | Outcome::Loop
                    | Outcome::NoRecord
                    | Outcome::Refused,
                ..
            }
        ),
    }
}

fn live(case: &WalkCase) -> impl Iterator<Item = &WalkHop> {
    case.hops.iter().filter(|h| h.is_live())
}

/// Asks the signers that answers on the path name and whom nobody has asked.
fn ask_signers(case: &WalkCase, plan: &mut Plan) {
    let mut room = MAX_HINTS.saturating_sub(
        case.hops
            .iter()
            .filter(|h| h.branch == Branch::Hint && h.parent.is_none())
            .count(),
    );
    for n in plan.path.clone() {
        let Some(hop) = case.hops.iter().find(|h| h.n == n) else {
            continue;
        };
        let Some(answer) = hop.counted() else {
            continue;
        };
        let Some(signer) = answer.leg.as_ref().and_then(|l| l.signer.as_deref()) else {
            continue;
        };
        let asked = case.hops.iter().any(|h| *h.provider == *signer)
            || plan.ask.iter().any(|q| *q.provider == *signer);
        if asked || room == 0 {
            continue;
        }
        room -= 1;
        plan.find(
            FindingKind::Hint,
            Some(n),
            format!(
                "{} signed the call, and is asked directly",
                case.name(signer)
            ),
        );
        plan.ask.push(Question {
            provider: signer.into(),
            downstream: None,
            parent: None,
            depth: 1,
            branch: Branch::Hint,
            previous_digest: None,
            call: sharpened(&seen(&hop.call, answer), Some(answer)),
            remark: Some(
                "You signed this call. You are asked directly; no provider has named you yet."
                    .to_owned(),
            ),
        });
    }
}

/// What a signer's answer leads to.
fn went(case: &WalkCase, rules: &WalkRules, hop: &WalkHop, wanted: bool, plan: &mut Plan) {
    let Some(answer) = hop.counted() else {
        return;
    };
    let asked = case.name(&hop.provider);
    let text = match Claim::of(answer) {
        Some(Claim::Upstream(to)) => {
            if live(case).any(|h| h.branch != Branch::Hint && *h.provider == *to) {
                format!(
                    "{asked}, asked directly, names {}: there it meets the path",
                    case.name(to)
                )
            } else {
                let known = answer.named.as_ref().is_some_and(|p| p.listed);
                let new = !case.hops.iter().any(|h| *h.provider == *to)
                    && !plan.ask.iter().any(|q| *q.provider == *to);
                if wanted && known && new && hop.depth < rules.most_hops {
                    plan.ask.push(Question {
                        provider: to.into(),
                        downstream: Some(hop.provider.clone()),
                        parent: Some(hop.n),
                        depth: hop.depth.saturating_add(1),
                        branch: Branch::Hint,
                        previous_digest: Some(answer.digest.clone()),
                        call: seen(&hop.call, answer),
                        remark: None,
                    });
                }
                format!("{asked}, asked directly, names {}", case.name(to))
            }
        }
        Some(Claim::Diverted(to)) => {
            format!(
                "{asked}, asked directly, names {} as the provider before a forwarding",
                case.name(to)
            )
        }
        Some(Claim::Foreign) => format!("{asked}, asked directly: the call came to it from abroad"),
        Some(Claim::Origin) => format!("{asked}, asked directly: the call began there"),
        Some(Claim::Test) => format!("{asked}, asked directly: a test call"),
        Some(Claim::Denies | Claim::NoRecord | Claim::Refused) | None => {
            format!("{asked}, asked directly, does not know the call")
        }
    };
    plan.find(FindingKind::Hint, Some(hop.n), text);
}
