//! Rules D1, D2 and V4: whether the signed called numbers hold the one that was called (RFC 8224 §6.2 step 5, ATIS-1000074 §5.3).

use super::Rule;
use super::facts::{CallFacts, Party, bare_host, bare_user, is_sos};
use super::states::RuleStates;
use super::token::SignedDest;
use super::verdict::DestMatch;
use crate::number::NumberPlan;
use crate::wire::sip::Uri;

/// Judges the called number: any element of `dest` may be the To number or URI; failing that, the Request-URI's, which is the finding D2,
/// because a retargeted or translated call looks so, and a replay may too.
///
/// An emergency call is never failed here: its Request-URI is rewritten on the way by design (rule D4).
pub(super) fn judge(
    dest: &SignedDest<'_>,
    facts: &CallFacts<'_>,
    plan: &NumberPlan,
    states: &mut RuleStates,
) -> Option<DestMatch> {
    let holds_some =
        |party: &Option<Party<'_>>| party.as_ref().is_some_and(|p| holds(dest, p, plan));
    if holds_some(&facts.to) {
        states.judge(Rule::D1, true);
        states.judge(Rule::D2, true);
        Some(DestMatch::To)
    } else if holds_some(&facts.request) {
        states.judge(Rule::D1, true);
        // Behind a cut To may still agree.
        if facts.to.is_some() || !facts.called_open {
            states.judge(Rule::D2, false);
        }
        Some(DestMatch::RequestUri)
    } else if facts.to.is_none() && facts.called_open {
        states.cannot_tell(Rule::D1);
        None
    } else if ![&facts.to, &facts.request]
        .into_iter()
        .flatten()
        .any(Party::is_emergency)
    {
        states.judge(Rule::D1, false);
        // The number signed for was called first, and somebody says so without a signature.
        if facts.diverted(plan).any(|p| holds(dest, &p, plan)) {
            states.judge(Rule::V4, false);
        }
        Some(DestMatch::Neither)
    } else {
        None
    }
}

/// Whether an element of `dest` is a party.
pub(super) fn holds(dest: &SignedDest<'_>, party: &Party<'_>, plan: &NumberPlan) -> bool {
    let emergency = party.is_emergency();
    let by_number = dest
        .numbers
        .iter()
        .any(|n| n.matching(party.tn).is_some() || emergency && matches!(n.text, "911" | "112"));
    by_number
        || dest.uris.iter().any(|written| {
            let uri = Uri::parse(written.as_bytes());
            let urn = uri.scheme.eq_ignore_ascii_case(b"urn");
            if urn && is_sos(uri.user) {
                emergency
            } else {
                same_uri(&uri, &party.uri, plan)
            }
        })
}

/// RFC 8224 §8.5: scheme and host in any case, user as written, no port, parameters or headers. A URI whose user is a number names that number.
pub(super) fn same_uri(signed: &Uri<'_>, seen: &Uri<'_>, plan: &NumberPlan) -> bool {
    let number = |u: &Uri<'_>| plan.canonical(u.subscriber()).tn();
    if let (Some(a), Some(b)) = (number(signed), number(seen)) {
        return a == b;
    }
    !signed.scheme.is_empty()
        && signed.scheme.eq_ignore_ascii_case(seen.scheme)
        && bare_user(signed) == bare_user(seen)
        && bare_host(signed).eq_ignore_ascii_case(bare_host(seen))
}
