//! Rules O1 to O3: whether the signed calling number is the one that the message asserts (ATIS-1000074 §5.3).

use super::Rule;
use super::dest::same_uri;
use super::facts::CallFacts;
use super::states::RuleStates;
use super::token::SignedNumber;
use super::verdict::OrigMatch;
use crate::number::{NumberPlan, Tn};
use crate::wire::sip::Uri;

/// Judges the calling number and gives the reading of it that matched, or the one taken as complete.
///
/// P-Asserted-Identity counts where it holds a number, and any of its numbers will do (RFC 3325 allows a `sip:` and a `tel:` one); else From.
/// Never P-Preferred-Identity, Remote-Party-ID or Diversion. That only one of the two is the number signed is the finding O2.
pub(super) fn judge(
    orig: &SignedNumber<'_>,
    facts: &CallFacts<'_>,
    states: &mut RuleStates,
) -> (Option<Tn>, Option<OrigMatch>) {
    let mut asserted = facts.asserted.iter().filter(|p| p.tn.is_some()).peekable();
    let is_asserted = asserted.peek().is_some();
    let by_asserted = asserted.find_map(|p| orig.matching(p.tn));
    let by_from = facts.from.as_ref().and_then(|p| orig.matching(p.tn));
    let found = if is_asserted { by_asserted } else { by_from };
    if is_asserted && facts.from.as_ref().is_some_and(|p| p.tn.is_some()) {
        states.judge(Rule::O2, by_asserted.is_some() == by_from.is_some());
    }
    // A P-Asserted-Identity behind the cut would have counted instead of From, or as the second of two.
    let whole = !facts.calling_open;
    if found.is_some() && (is_asserted || whole) {
        states.judge(Rule::O1, true);
        states.judge(Rule::O3, true);
    } else if !whole {
        states.cannot_tell(Rule::O1);
    } else if !is_asserted && is_withheld(facts) {
        states.cannot_tell(Rule::O3);
    } else {
        states.judge(Rule::O3, true);
        states.judge(Rule::O1, false);
    }
    let matched = match (is_asserted, by_asserted, by_from) {
        (true, Some(_), _) => Some(OrigMatch::Asserted),
        (true, None, Some(_)) => Some(OrigMatch::FromOnly),
        (false, _, Some(_)) => Some(OrigMatch::From),
        _ => states
            .failed
            .contains(Rule::O1)
            .then_some(OrigMatch::Neither),
    };
    (found.or(orig.complete), matched)
}

/// Judges a calling URI, which no SHAKEN token has: the asserted identities count where there are any, else From.
pub(super) fn judge_uri(
    orig: &str,
    facts: &CallFacts<'_>,
    plan: &NumberPlan,
    states: &mut RuleStates,
) {
    let signed = Uri::parse(orig.as_bytes());
    let is = |p: &super::facts::Party<'_>| same_uri(&signed, &p.uri, plan);
    let is_asserted = !facts.asserted.is_empty();
    let found = if is_asserted {
        facts.asserted.iter().any(is)
    } else {
        facts.from.as_ref().is_some_and(is)
    };
    if found && (is_asserted || !facts.calling_open) {
        states.judge(Rule::O1, true);
    } else if facts.calling_open {
        states.cannot_tell(Rule::O1);
    } else if !is_asserted && is_withheld(facts) {
        states.cannot_tell(Rule::O3);
    } else {
        states.judge(Rule::O1, false);
    }
}

/// Whether From was never meant to be compared.
fn is_withheld(facts: &CallFacts<'_>) -> bool {
    facts.private || facts.from.as_ref().is_none_or(|f| f.is_withheld())
}
