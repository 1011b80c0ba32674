//! What a flag rests on, in words: read from the record, so that nothing is stored twice.

use std::net::SocketAddr;

use super::Flagged;
use crate::base::Timestamp;
use crate::call::attempt::InviteFacts;
use crate::call::classify::{Flag, Flags, Notes, Verstat};
use crate::call::record::{Begin, Numbers, Verdict};
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

/// What evidence is read from.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Its flags.
    pub flags: Flags,
    /// Notes of the time of the call.
    pub notes: &'a Notes,
    /// When it was seen.
    pub at: Timestamp,
    /// Sender and receiver, where they are known.
    pub flow: Option<(SocketAddr, SocketAddr)>,
    /// Numbers.
    pub numbers: &'a Numbers,
    /// Request-URI, where its user is no number.
    pub called_text: Option<&'a str>,
    /// Verdict.
    pub verdict: &'a Verdict,
    /// What it says of an earlier verification.
    pub verstat: Option<Verstat>,
}

impl<'a> From<&'a Begin> for Shown<'a> {
    fn from(b: &'a Begin) -> Self {
        Self {
            flags: b.flags,
            notes: &b.notes,
            at: b.at,
            flow: Some((b.source, b.destination)),
            numbers: &b.numbers,
            called_text: b.called_text.as_deref(),
            verdict: &b.verdict,
            verstat: b.verstat,
        }
    }
}

impl<'a> Shown<'a> {
    /// Of a message without a record, such as one that is judged by hand.
    pub fn of_invite(at: Timestamp, invite: &'a InviteFacts, flagged: &'a Flagged) -> Self {
        Self {
            flags: flagged.flags,
            notes: &flagged.notes,
            at,
            flow: None,
            numbers: &invite.numbers,
            called_text: invite.called_text.as_deref(),
            verdict: &invite.verdict,
            verstat: invite.verstat,
        }
    }
}

/// Every flag of a call with what it rests on.
pub fn of_call<'a>(call: impl Into<Shown<'a>>) -> Vec<FlagEvidence> {
    let call = call.into();
    let one = |flag: Flag| FlagEvidence {
        flag: flag.label(),
        group: flag.group().label(),
        severity: flag.severity().label(),
        evidence: evidence(flag, &call),
    };
    call.flags.iter().map(one).collect()
}

/// What one flag rests on. A note of the time of the call says it where there is one; total on purpose: a new flag must say what shows it.
pub fn evidence(flag: Flag, call: &Shown<'_>) -> String {
    use Flag::*;
    let (v, n) = (call.verdict, call.numbers);
    let noted = call.notes.of(flag);
    let said = |what: &str| noted.unwrap_or(what).to_owned();
    match flag {
        Unsigned => "no Identity header".to_owned(),
        AttestA | AttestB | AttestC => format!("passed, signed by {}", signer(v)),
        Malformed | BadCredential | Untrusted | Revoked | BadSignature => rules(v),
        Stale => match v.iat {
            Some(iat) => {
                let age = call.at.nanos() / 1_000_000_000 - iat;
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
        UnknownUpstream => match call.flow {
            Some((source, destination)) => format!("from {source} to {destination}"),
            None => "no rule names the neighbour".to_owned(),
        },
        Replayed | ReplaySuspect => match &v.passport {
            Some(p) => said(&format!("PASSporT {p}, seen before")),
            None => said("a PASSporT that was seen before"),
        },
        Disagrees => format!(
            "verstat={}, ours {}",
            call.verstat.map_or("none", |v| v.label()),
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
        Emergency => match (&n.called, call.called_text) {
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
