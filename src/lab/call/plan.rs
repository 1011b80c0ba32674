//! What an attempt at a call is: who calls whom, when, through whom, and how it ends.

use crate::call::classify::{Flag, Verstat};
use crate::lab::kind::Kind;
use crate::lab::network::Neighbour;
use crate::lab::truth::Behaviour;
use crate::stir::verify::Attestation;

/// One second in nanoseconds.
pub const SECOND: i64 = 1_000_000_000;

/// Area code of calls that somebody asks about; nobody else calls there.
pub const TRACED_AREA: &str = "907";

/// One attempt at a call.
#[derive(Clone, Debug)]
pub struct Plan {
    /// When its INVITE passes our edge, nanoseconds since 1970.
    pub at: i64,
    /// Who hands it to us; `None` for somebody whom no rule knows.
    pub upstream: Option<&'static Neighbour>,
    /// To whom we hand it on, unless it ends with us.
    pub downstream: &'static Neighbour,
    /// What it is like when it comes in.
    pub kind: Kind,
    /// Attestation that its token claims.
    pub attest: Attestation,
    /// The caller's number, canonical.
    pub calling: String,
    /// A number in From that differs from the asserted one.
    pub shown: Option<String>,
    /// Whether the caller's number is asserted.
    pub asserted: bool,
    /// Whether From is anonymous.
    pub anonymous: bool,
    /// The number called, canonical.
    pub called: String,
    /// What happens to it with us.
    pub route: Route,
    /// What we tried before the downstream that takes it.
    pub tried: Tried,
    /// How it ends.
    pub outcome: Outcome,
    /// What else happens.
    pub extras: Extras,
    /// Attempts of one call share this number, and the PASSporT.
    pub family: usize,
    /// The request that asks about it.
    pub case: Option<&'static str>,
    /// Whether the number that calls is one of ours and comes from outside, or can't exist.
    pub spoofed: Spoofed,
    /// What other calls have to do with it.
    pub memory: Memory,
    /// Its headers are those of other neighbours.
    pub imitates: bool,
    /// What From holds instead of a number.
    pub odd: Option<&'static str>,
    /// The INVITE says that an answering point calls back.
    pub claims_callback: bool,
    /// What it is a part of.
    pub behaviour: Option<Behaviour>,
}

/// What only a memory of other calls tells; see [`super::memory`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// It is one of those calls, and nothing else happens to it.
    pub set_apart: bool,
    /// The flag that both legs earn for what went before.
    pub flag: Option<Flag>,
    /// The flag that the leg which comes in earns for its claim.
    pub flag_of_ingress: Option<Flag>,
    /// What the INVITE says of an earlier verification.
    pub verstat: Option<Verstat>,
    /// Signed by the one whose clock is slow.
    pub slow_signer: bool,
    /// Calls with the same number here have the same Session-ID and charging identifier: it is one call, on its way again.
    pub session: Option<u64>,
}

/// What is remarkable about the caller's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spoofed {
    /// Nothing.
    #[default]
    No,
    /// It is one of our own.
    Own,
    /// It can't exist.
    Impossible,
}

/// What happens to a call with us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// It goes through.
    Through,
    /// It ends with a customer of ours.
    ToOwn,
    /// A customer of ours has diverted to another number.
    Diverted(String),
    /// A toll-free number is translated.
    Translated(String),
}

/// What we tried first with a call, in vain: each try is a leg of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Tried {
    /// Nothing.
    #[default]
    Nothing,
    /// Another downstream, which had no circuit: route advance.
    Other(&'static Neighbour),
    /// Another host of the downstream, which named this one (3xx).
    Redirected,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered after so much ringing, for so long (nanoseconds both), ended by the caller or the called.
    Answered {
        /// Ringing.
        ring: i64,
        /// Talking.
        talk: i64,
        /// Who hangs up.
        by_caller: bool,
    },
    /// A final answer of the called side, with or without ringing before.
    Final {
        /// Its code.
        code: u16,
        /// After how long.
        after: i64,
    },
    /// The caller gives up.
    Cancelled {
        /// After how long.
        after: i64,
    },
    /// The caller gives up in the instant in which the called side answers: the answer wins, and BYE follows (RFC 3261 §15).
    Glare {
        /// Ringing.
        ring: i64,
    },
    /// We refuse it ourselves.
    RefusedHere {
        /// With which code.
        code: u16,
    },
    /// The downstream never answers.
    Silence,
}

/// What else happens in an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// The INVITE comes twice.
    pub retransmitted: bool,
    /// The upstream forks to both of our controllers.
    pub forked_in: bool,
    /// We fork to two hosts of the downstream.
    pub forked_out: bool,
    /// We ask for credentials first.
    pub challenged: bool,
    /// An INVITE within the dialog.
    pub reinvited: bool,
    /// Both branches of our fork answer, one a little later; we take the first.
    pub both_answer: bool,
    /// A provisional answer that is acknowledged (PRACK), and an offer before the answer (UPDATE).
    pub early: bool,
    /// CANCEL or BYE says why.
    pub reason: bool,
    /// We are a proxy for it: Call-ID, tags and CSeq stay, Via and Record-Route are added.
    pub proxied: bool,
    /// What goes out has a session description of its own.
    pub rewritten: bool,
    /// The tap sees only what the caller's side sends on the leg that comes in.
    pub one_way_in: bool,
    /// The same on the leg that goes out.
    pub one_way_out: bool,
    /// The tap loses the first fragment of the INVITE, so that nobody can tell what the others belonged to.
    pub headless: bool,
}

/// How much and when.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// First instant of the capture.
    pub start: i64,
    /// How long it lasts.
    pub span: i64,
    /// When the run began that it is a part of.
    pub run: i64,
    /// About how many calls.
    pub calls: usize,
    /// Whether the tap loses something.
    pub lossy: bool,
}
