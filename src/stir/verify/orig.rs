//! Rules O1 and O3: whether the signed calling number is the one that the message asserts (ATIS-1000074 §5.3).

use super::Rule;
use super::facts::CallFacts;
use super::states::RuleStates;
use super::token::SignedNumber;
use crate::number::Tn;

/// Judges the calling number and gives the reading of it that matched, or the one taken as complete.
///
/// P-Asserted-Identity counts where it holds a number, and any of its numbers will do (RFC 3325 allows a `sip:` and a `tel:` one); else From.
/// Never P-Preferred-Identity, Remote-Party-ID or Diversion.
pub(super) fn judge(
    orig: &SignedNumber<'_>,
    facts: &CallFacts<'_>,
    states: &mut RuleStates,
) -> Option<Tn> {
    let mut asserted = facts.asserted.iter().filter(|p| p.tn.is_some()).peekable();
    let is_asserted = asserted.peek().is_some();
    let found = if is_asserted {
        asserted.find_map(|p| orig.matching(p.tn))
    } else {
        facts.from.as_ref().and_then(|p| orig.matching(p.tn))
    };
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
    found.or(orig.complete)
}

/// Whether From was never meant to be compared.
fn is_withheld(facts: &CallFacts<'_>) -> bool {
    facts.private || facts.from.as_ref().is_none_or(|f| f.is_withheld())
}
