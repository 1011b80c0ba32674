//! What a flag of a record rests on, in words: read from the record, so that nothing is stored twice.

use crate::call::classify::Flag;
use crate::call::record::{Begin, Verdict};
use crate::number::Tn;
use crate::number::nanp::{NanpShape, shape};
use crate::stir::verify::{Rule, RuleSet};

/// A flag with what it rests on, as events and commands show it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FlagEvidence {
    /// Name of the flag.
    pub flag: &'static str,
    /// Its group.
    pub group: &'static str,
    /// How bad it is by itself.
    pub severity: &'static str,
    /// What it rests on.
    pub evidence: String,
}

/// Every flag of a record with what it rests on.
pub fn of_record(begin: &Begin) -> Vec<FlagEvidence> {
    let one = |flag: Flag| FlagEvidence {
        flag: flag.label(),
        group: flag.group().label(),
        severity: flag.severity().label(),
        evidence: evidence(flag, begin),
    };
    begin.flags.iter().map(one).collect()
}

/// What one flag rests on. A note of the time of the call says it where there is one; total on purpose: a new flag must say what shows it.
pub fn evidence(flag: Flag, begin: &Begin) -> String {
    use Flag::*;
    let (v, n) = (&begin.verdict, &begin.numbers);
    let noted = begin.notes.of(flag);
    let said = |what: &str| noted.unwrap_or(what).to_owned();
    match flag {
        Unsigned => "no Identity header".to_owned(),
        AttestA | AttestB | AttestC => format!("passed, signed by {}", signer(v)),
        Malformed | BadCredential | Untrusted | Revoked | BadSignature => rules(v),
        Stale => match v.iat {
            Some(iat) => {
                let age = begin.at.nanos() / 1_000_000_000 - iat;
                format!("{}; iat {iat}, {age} s before the INVITE", rules(v))
            }
            None => rules(v),
        },
        OrigMismatch => format!(
            "{}; signed for {}, From {}, P-Asserted-Identity {}",
            rules(v),
            number(v.orig),
            number(n.from),
            number(n.asserted)
        ),
        DestMismatch => format!(
            "{}; called {}, To {}",
            rules(v),
            number(n.called),
            number(n.to.or(n.called))
        ),
        Undetermined => match v.decided_by {
            Some(rule) => format!("could not decide {}", ids(v.undetermined, rule)),
            None => "nobody looked".to_owned(),
        },
        UnknownPpt => format!(
            "{} Identity headers, none of a kind that is verified",
            v.identities
        ),
        OwnNumberInbound => format!(
            "From {}, P-Asserted-Identity {}",
            number(n.from),
            number(n.asserted)
        ),
        InvalidNanp => {
            let bad = [n.from, n.asserted].into_iter().flatten();
            let bad = bad.filter(|tn| shape(tn) == NanpShape::Impossible);
            bad.map(|tn| tn.to_string()).collect::<Vec<_>>().join(", ")
        }
        UnknownUpstream => format!("from {} to {}", begin.source, begin.destination),
        Replayed | ReplaySuspect => match &v.passport {
            Some(p) => said(&format!("PASSporT {p}, seen before")),
            None => said("a PASSporT that was seen before"),
        },
        Disagrees => format!(
            "verstat={}, ours {}",
            begin.verstat.map_or("none", |v| v.label()),
            v.validation.label()
        ),
        NotVerified => format!("{} Identity headers, no signature checked", v.identities),
        SignerUnexpected => said(&format!("signed by {}", signer(v))),
        NewSignedNumber => said(&format!("{} signed by {}", number(v.orig), signer(v))),
        DoNotOriginate => said("a calling number is on the list"),
        Unallocated => said("a calling number's block is assigned to nobody"),
        Premium => said("a calling number is premium"),
        MalformedNumber => said("From or P-Asserted-Identity is no number"),
        NeighbourSpoof => said(&format!(
            "calls from {} to {}",
            number(n.from.or(n.asserted)),
            number(n.called)
        )),
        Emergency => match (&n.called, &begin.called_text) {
            (Some(tn), _) => format!("called {tn}"),
            (None, Some(text)) => format!("called {text}"),
            (None, None) => "called an emergency service".to_owned(),
        },
        EmergencyCallback => said("to a number that called an emergency number"),
        AnonymousAttested => format!(
            "no number in From or P-Asserted-Identity; attestation {} for {} by {}",
            v.attest.map_or("?", |a| a.label()),
            number(v.orig),
            signer(v)
        ),
        Loop => said("the same call was handed on before"),
        HighVolume | Snowshoe | ShortCalls | LowAnswer | SequentialDialling | Flood
        | ProtectedFlood | MixChange => said("above the threshold at that moment"),
    }
}

fn signer(v: &Verdict) -> &str {
    v.spc.as_deref().unwrap_or("?")
}

fn number(tn: Option<Tn>) -> String {
    tn.map_or("none".to_owned(), |t| t.to_string())
}

/// The rules that failed, the deciding one first.
fn rules(v: &Verdict) -> String {
    match v.decided_by {
        Some(rule) => format!("{} ({})", ids(v.failed, rule), rule.label()),
        None => "no rule".to_owned(),
    }
}

fn ids(set: RuleSet, first: Rule) -> String {
    let others = set.iter().filter(|r| *r != first);
    let all: Vec<&str> = std::iter::once(first)
        .chain(others)
        .map(|r| r.id())
        .collect();
    all.join(" ")
}
