//! One call as octets.

use smallvec::SmallVec;

use crate::base::Timestamp;
use crate::base::digest::Digest128;
use crate::call::record::evidence::{Evidence, HeaderJudgement, Judgement, StoredEvidence};
use crate::stir::verify::{Attestation, RuleSet, Validation};
use crate::store::embedded::codec::{Cut, put_str, put_varint};
use crate::store::embedded::names::{Named, Numbering};

pub(super) fn encode(stored: &StoredEvidence, out: &mut Vec<u8>) {
    let e = &stored.evidence;
    out.extend_from_slice(&stored.uid.to_le_bytes());
    out.extend_from_slice(&stored.at.nanos().to_le_bytes());
    put_varint(out, e.chains.len() as u64);
    for chain in &e.chains {
        put_str(out, &chain.url);
        out.extend_from_slice(&chain.digest.0);
    }
    let j = &e.judgement;
    out.push(j.validation.code());
    // There are at most 128 rules: sets of them have 128 bits.
    out.push(j.decided_by.map_or(0, |r| (r as u8).saturating_add(1)));
    out.push(j.attest.map_or(0, |a| a.code().saturating_add(1)));
    put_varint(out, j.headers.len() as u64);
    for h in &j.headers {
        for set in [h.passed, h.failed, h.undetermined, h.findings] {
            out.extend_from_slice(&set.0.to_le_bytes());
        }
    }
    put_varint(out, e.head.len() as u64);
    out.extend_from_slice(&e.head);
}

/// A call whose chains are still digests.
pub(super) struct Call {
    pub stored: StoredEvidence,
    pub chains: Vec<(Box<str>, Digest128)>,
}

pub(super) fn decode(cut: &mut Cut<'_>, names: &Numbering) -> Option<Call> {
    let (uid, at) = (cut.u64()?, cut.i64()?);
    let count = |cut: &mut Cut<'_>| usize::try_from(cut.varint()?).ok();
    let mut chains = Vec::new();
    for _ in 0..count(cut)? {
        let url = cut.str()?.into();
        chains.push((url, Digest128(cut.take(16)?.try_into().ok()?)));
    }
    let validation = Validation::from_code(cut.u8()?)?;
    let decided_by = match cut.u8()? {
        0 => None,
        n => names.rule(n - 1),
    };
    let attest = match cut.u8()? {
        0 => None,
        n => Some(Attestation::from_code(n - 1)?),
    };
    let mut headers = SmallVec::new();
    for _ in 0..count(cut)? {
        let mut sets = [RuleSet::default(); 4];
        for set in &mut sets {
            let bits = cut.take(16)?.try_into().ok()?;
            *set = names.rules(u128::from_le_bytes(bits));
        }
        let [passed, failed, undetermined, findings] = sets;
        headers.push(HeaderJudgement {
            passed,
            failed,
            undetermined,
            findings,
        });
    }
    let length = count(cut)?;
    let head = cut.take(length)?.into();
    let stored = StoredEvidence {
        uid,
        at: Timestamp::from_nanos(at),
        evidence: Evidence {
            head,
            chains: SmallVec::new(),
            judgement: Judgement {
                validation,
                decided_by,
                attest,
                headers,
            },
        },
    };
    Some(Call { stored, chains })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::tests::evidence::evidence;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn octets_of_a_call_never_panic(uid: u64, cut in 0..400_usize, place in 0..400_usize, bit in 0..8_u8) {
            let mut octets = Vec::new();
            encode(&evidence(uid), &mut octets);
            let names = Numbering::current();
            let whole = decode(&mut Cut(&octets), &names).unwrap();
            prop_assert_eq!(whole.stored.uid, uid);
            prop_assert_eq!(&whole.stored.evidence.judgement, &evidence(uid).evidence.judgement);
            if let Some(octet) = octets.get_mut(place) {
                *octet ^= 1_u8 << bit;
            }
            let _ = decode(&mut Cut(&octets), &names);
            octets.truncate(cut);
            let _ = decode(&mut Cut(&octets), &names);
        }
    }
}
