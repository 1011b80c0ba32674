//! What is true of the capture: one line for each leg of each attempt, as the generator decided it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};

use super::call::plan::Outcome;
use super::kind::Verdict;
use super::network::LEARNING_CALLS;
use crate::base::Timestamp;
use crate::call::classify::{Flag, Verstat};
use crate::call::leg::Pairing;
use crate::call::record::{ReleasedBy, State};
use crate::stir::verify::Rule;
use crate::wire::Transport;

/// Which side of our edge a leg is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// A neighbour hands us the call.
    Ingress,
    /// We hand it on.
    Egress,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// What is true of one leg.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Number of the attempt.
    pub call: usize,
    /// Which leg.
    pub side: Side,
    /// Capture time of its first INVITE.
    pub at: i64,
    /// Its Call-ID.
    pub call_id: String,
    /// Name of its kind.
    pub kind: &'static str,
    /// What was done to it, more exactly.
    pub defect: Option<String>,
    /// What a verifier must say.
    pub verdict: Verdict,
    /// All flags.
    pub flags: Vec<Flag>,
    /// The neighbour.
    pub peer: Option<&'static str>,
    /// Number in the Request-URI; empty where it names a service.
    pub called: String,
    /// Number in From.
    pub calling: Option<String>,
    /// What carried it.
    pub transport: Transport,
    /// How it ends.
    pub state: State,
    /// Final code, 0 for none.
    pub code: u16,
    /// Q.850 cause of the final answer, or else of CANCEL or BYE.
    pub cause: Option<u8>,
    /// When BYE is sent, how long after the answer that is in milliseconds, and by whom.
    pub released: Option<(i64, u32, ReleasedBy)>,
    /// The tap sees no answer to it.
    pub one_way: bool,
    /// How often the INVITE comes again, in how many further branches, and how often with credentials.
    pub counts: [u8; 3],
    /// For a leg that goes out: Call-ID of the leg that it continues, and what ties them at best; nothing is said of that where the Identity is in trouble.
    pub pair: Option<(String, Option<Pairing>)>,
    /// What the INVITE says of an earlier verification.
    pub verstat: Option<Verstat>,
    /// What the other side's verification says against it.
    pub stir_cause: Option<u16>,
    /// Whether that is the opposite of the verdict.
    pub disagrees: bool,
    /// The first attempt at the same call.
    pub attempt_of: Option<usize>,
    /// For the leg that goes out: who handed the call to us.
    pub upstream: Option<&'static str>,
    /// The request that asks about it.
    pub case: Option<&'static str>,
    /// Its Identity header.
    pub identity: Option<String>,
    /// What it is a part of.
    pub behaviour: Option<Behaviour>,
    /// For a leg that comes in with valid attestation A from a neighbour: the number signed for.
    pub signed_number: Option<String>,
}

/// Numbers that each neighbour has signed for with valid attestation A: every one, where the engine may err.
#[derive(Debug, Default)]
pub struct SignedNumbers(BTreeMap<&'static str, (u64, BTreeSet<String>)>);

impl SignedNumbers {
    /// Flags those that are new, in order of capture.
    pub fn flag<'a>(&mut self, truth: impl Iterator<Item = &'a mut Truth>) {
        for t in truth {
            let (Some(peer), Some(number)) = (t.peer, &t.signed_number) else {
                continue;
            };
            let (calls, numbers) = self.0.entry(peer).or_default();
            if numbers.insert(number.clone()) && *calls >= LEARNING_CALLS {
                t.flags.push(Flag::NewSignedNumber);
            }
            *calls += 1;
        }
    }
}

/// Calls that belong together: of one caller, one neighbour, or to one number or prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// What they are.
    pub name: &'static str,
    /// Which of these: a number, a prefix, a neighbour.
    pub subject: String,
    /// The flags that count calls and are meant for them; none for what only looks like it.
    pub flags: &'static [Flag],
    /// Flags that are not meant for them, and no mistake either.
    pub also: &'static [Flag],
}

impl Truth {
    /// One line of `truth.jsonl`.
    pub fn line(&self) -> Value {
        let v = &self.verdict;
        let ids = |rules: &[Rule]| rules.iter().map(|r| r.id()).collect::<Vec<_>>();
        let headers: Vec<_> = v
            .headers
            .iter()
            .map(|(validation, rule)| json!({"validation": validation.label(), "decided_by": rule.map(Rule::id)}))
            .collect();
        json!({
            "call": self.call,
            "leg": self.side.to_string(),
            "at": Timestamp::from_nanos(self.at),
            "call_id": self.call_id,
            "kind": self.kind,
            "defect": self.defect,
            "rule": v.rule.map(Rule::id),
            "validation": v.validation.label(),
            "attest": v.attest.map(|a| a.label()),
            "headers": headers,
            "failed": ids(&v.failed),
            "findings": ids(&v.findings),
            "sip_code": v.sip_code,
            "flags": self.flags.iter().map(|f| f.label()).collect::<Vec<_>>(),
            "peer": self.peer,
            "direction": self.side.to_string(),
            "called": Some(&self.called).filter(|c| !c.is_empty()),
            "calling": self.calling,
            "transport": self.transport.label(),
            "state": self.state,
            "code": self.code,
            "cause": self.cause,
            "released_by": self.released.map(|(_, _, by)| by),
            "duration_ms": self.released.map(|(_, ms, _)| ms),
            "one_way": self.one_way,
            "retransmissions": self.counts[0],
            "forks": self.counts[1],
            "auth_retries": self.counts[2],
            "pair": self.pair.as_ref().map(|(id, _)| id),
            "pair_by": self.pair.as_ref().and_then(|(_, by)| by.map(Pairing::label)),
            "verstat": self.verstat,
            "stir_cause": self.stir_cause,
            "disagrees": self.disagrees,
            "attempt_of": self.attempt_of,
            "upstream": self.upstream,
            "behaviour": self.behaviour.as_ref().map(|b| b.name),
            "subject": self.behaviour.as_ref().map(|b| &b.subject),
            "counting_flags": self.behaviour.iter().flat_map(|b| b.flags).map(|f| f.label()).collect::<Vec<_>>(),
        })
    }
}

impl Truth {
    /// The same where the capture ends: what comes later is not seen.
    pub fn cut(&mut self, end: i64) {
        if self.released.take_if(|(at, ..)| *at >= end).is_some() {
            self.cause = None;
        }
    }
}

impl Outcome {
    /// How the leg that comes in ends.
    pub fn end(self) -> (State, u16) {
        match self {
            Self::Answered { .. } | Self::Glare { .. } => (State::Answered, 200),
            Self::RefusedHere { code: 302 } => (State::Redirected, 302),
            Self::Final { code, .. } | Self::RefusedHere { code } => (State::Failed, code),
            Self::Cancelled { .. } => (State::Cancelled, 487),
            Self::Silence => (State::Failed, 504),
        }
    }

    /// How the leg that goes out ends.
    pub fn end_of_egress(self) -> (State, u16) {
        match self {
            Self::Silence => (State::Unfinished, 0),
            other => other.end(),
        }
    }

    /// How either looks to a tap that sees only what the caller's side sends: ACK and BYE tell of an answer, CANCEL of a caller who gave up.
    pub fn end_one_way(self) -> (State, u16) {
        match self {
            Self::Answered { .. } | Self::Glare { .. } => (State::Answered, 0),
            Self::Cancelled { .. } => (State::Cancelled, 0),
            Self::Final { .. } | Self::RefusedHere { .. } | Self::Silence => (State::Unfinished, 0),
        }
    }
}
