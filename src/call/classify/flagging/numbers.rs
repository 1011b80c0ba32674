//! What a call's numbers say, by shape and by the operator's lists.

use super::{FlagSettings, Flagged, Subject, verdict};
use crate::call::classify::Flag;
use crate::number::nanp::{self, NanpShape};
use crate::number::{Allocation, Tn};

/// The area code whose numbers only take calls, at a charge (NANP: 900).
const PREMIUM_NPA: u16 = 900;

/// Where a calling number stands.
#[derive(Clone, Copy)]
enum Place {
    From,
    Asserted,
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::From => "From",
            Self::Asserted => "P-Asserted-Identity",
        }
    }
}

/// Adds the flags that calling numbers earn; asked for calls from a neighbour to us alone.
pub(super) fn flag_calling(call: &Subject<'_>, settings: &FlagSettings, out: &mut Flagged) {
    let n = call.numbers;
    let from = n.from.iter().map(|tn| (Place::From, tn));
    let asserted = n.asserted.iter().filter(|tn| n.from.as_ref() != Some(*tn));
    let asserted = asserted.map(|tn| (Place::Asserted, tn));
    for (place, tn) in from.chain(asserted) {
        if !call.is_from_customer() && settings.own.contains(tn) {
            out.flags.insert(Flag::OwnNumberInbound);
        }
        if let Some(entry) = settings.do_not_originate.find(tn) {
            let note = format!("{} {tn}, listed as {}", place.name(), entry.text(tn));
            out.add(Flag::DoNotOriginate, &note);
        }
        match nanp::shape(tn) {
            NanpShape::Impossible => out.flags.insert(Flag::InvalidNanp),
            NanpShape::Possible => of_block(place, tn, settings, out),
            NanpShape::NotNanp => {}
        }
    }
}

fn of_block(place: Place, tn: &Tn, settings: &FlagSettings, out: &mut Flagged) {
    let said = settings.allocations.as_ref();
    let said = said.map_or(Allocation::Unknown, |a| a.of(tn));
    let premium_npa = nanp::parts(tn).is_some_and(|p| p.npa == PREMIUM_NPA);
    let place = place.name();
    if said == Allocation::Premium || premium_npa {
        let by = if premium_npa {
            "area code 900"
        } else {
            "numbering data"
        };
        out.add(Flag::Premium, &format!("{place} {tn}, by {by}"));
    }
    if said == Allocation::Unassigned {
        let block = tn.as_str().get(..8).unwrap_or_default();
        let note = format!("{place} {tn}: nobody has {block}xxx");
        out.add(Flag::Unallocated, &note);
    }
}

/// Adds `neighbour-spoof`. Emergency calls, and calls back, are not asked.
pub(super) fn flag_neighbour(call: &Subject<'_>, out: &mut Flagged) {
    if call.is_from_outside()
        && !out.exempt
        && !verdict::is_validated_a(call.verdict)
        && let Some((npa, nxx)) = shared_exchange(call)
    {
        let note = format!("both numbers are of {npa}-{nxx:03}");
        out.add(Flag::NeighbourSpoof, &note);
    }
}

fn shared_exchange(call: &Subject<'_>) -> Option<(u16, u16)> {
    let calling = call.numbers.from.or(call.numbers.asserted)?;
    let calling = nanp::parts(&calling)?;
    let called = nanp::parts(&call.numbers.called?)?;
    let same = (calling.npa, calling.nxx) == (called.npa, called.nxx);
    same.then_some((calling.npa, calling.nxx))
}
