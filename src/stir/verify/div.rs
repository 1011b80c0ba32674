//! Rules V1, V2 and V6: one diversion (RFC 8946). How several hang together is [`super::chain`]'s to say.

use super::dest::{holds, same_uri};
use super::facts::Party;
use super::states::RuleStates;
use super::token::{SignedDest, SignedNumber};
use super::{HeaderVerdict, Rule};
use crate::number::{NumberPlan, Tn};
use crate::stir::passport::{Extension, Orig};
use crate::wire::sip::Uri;

/// Deepest nesting of `div-o`: France's MAN diverts up to five times, and a seventh PASSporT inside others has grown past rule H7.
pub(super) const MAX_NESTED: u8 = 8;

/// Judges the claims (V1) and gives the number that sent the call on: the signer's certificate has to be good for that one (V2).
pub(super) fn judge(
    extension: &Extension,
    plan: &NumberPlan,
    states: &mut RuleStates,
) -> Option<Tn> {
    let div = extension.div();
    states.judge(Rule::V1, matches!(div, Orig::Tn(_) | Orig::Uri(_)));
    match div {
        Orig::Tn(tn) => SignedNumber::read(&tn, plan).complete,
        _ => None,
    }
}

/// Judges the original of a `div-o` (V6): it has to pass but for what only the outer one can say, and to lead to it.
pub(super) fn judge_original(original: &HeaderVerdict, leads: bool, states: &mut RuleStates) {
    if !leads || !original.failed.is_empty() {
        states.judge(Rule::V6, false);
    } else if original.undetermined.is_empty() {
        states.judge(Rule::V6, true);
    } else {
        states.cannot_tell(Rule::V6);
    }
}

/// Whether a diversion follows from the PASSporT ahead of it: it was called there, and `orig` is the same.
pub(super) fn follows(
    before: (&Orig<'_>, &SignedDest<'_>),
    after: (&Orig<'_>, &Orig<'_>),
    plan: &NumberPlan,
) -> bool {
    let ((orig, dest), (next_orig, div)) = (before, after);
    same_party(orig, next_orig, plan) && dest_holds(dest, div, plan)
}

/// Whether `dest` holds the party that sent the call on.
fn dest_holds(dest: &SignedDest<'_>, div: &Orig<'_>, plan: &NumberPlan) -> bool {
    let of = |tn| Party {
        tn: Some(tn),
        uri: Uri::parse(b""),
    };
    match div {
        Orig::Tn(tn) => {
            let number = SignedNumber::read(tn, plan);
            let mut readings = number.complete.into_iter().chain(number.national);
            readings.any(|tn| holds(dest, &of(tn), plan))
        }
        Orig::Uri(uri) => holds(dest, &Party::of(Uri::parse(uri.as_bytes()), plan), plan),
        Orig::Absent | Orig::Malformed => false,
    }
}

/// Whether two signed parties are one.
pub(super) fn same_party(a: &Orig<'_>, b: &Orig<'_>, plan: &NumberPlan) -> bool {
    match (a, b) {
        (Orig::Tn(a), Orig::Tn(b)) => {
            let (a, b) = (SignedNumber::read(a, plan), SignedNumber::read(b, plan));
            a.matching(b.complete).or(a.matching(b.national)).is_some()
        }
        (Orig::Uri(a), Orig::Uri(b)) => {
            same_uri(&Uri::parse(a.as_bytes()), &Uri::parse(b.as_bytes()), plan)
        }
        _ => false,
    }
}
