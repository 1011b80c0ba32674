//! The walk of a traceback: from everything that was asked and answered in a case to what must be asked next, and where the case stands. Pure.
//!
//! Comes in: a [`WalkCase`]: every question with its current answer. Goes out: a [`Plan`]. It says what a case should look like, not what changes:
//! computed twice it is the same, so whoever crashed between two steps computes it again. The order in which independent answers came plays no part.
//!
//! Refused by name, as findings: circles, paths that are too long, providers that nobody knows, sides that contradict each other. Bounds: a path has
//! [`WalkRules::most_hops`] hops at most, a case [`WalkRules::most_questions`] questions, [`MAX_HINTS`] of them to signers.
//!
//! The table of its rules is in `docs/PORTAL.md`.
//!
//! - [`word`]: its words
//! - `slot`: the questions that one provider got about one leg, and what it says in the end
//! - `follow`: the path, from the terminating provider on
//! - `hint`: signers that are asked directly
//! - `call`: the call, as the next question puts it

mod call;
mod follow;
mod hint;
mod slot;
#[cfg(test)]
mod tests;
pub mod word;

use std::collections::{BTreeMap, BTreeSet};

pub use call::{apart, sharpened};
pub use word::{Branch, FindingKind, HintPolicy, HopState, Outcome};

use crate::base::Timestamp;
use crate::traceback::answer::{Party, Resolution};
use crate::traceback::request::RawCall;

/// Most signers of one case that are asked directly. Ours: a call bears one PASSporT, and a second where a gateway signed anew.
pub const MAX_HINTS: usize = 3;
/// Questions of a case for each hop that a path may have: each may be asked twice, and a branch may be taken back.
const QUESTIONS_PER_HOP: u32 = 4;

/// What the operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkRules {
    /// Most hops of a path.
    pub most_hops: u32,
    /// When signers are asked directly.
    pub hint: HintPolicy,
}

impl WalkRules {
    /// Most questions of a case, whatever anybody answers.
    pub fn most_questions(&self) -> usize {
        usize::try_from(self.most_hops.saturating_mul(QUESTIONS_PER_HOP)).unwrap_or(usize::MAX)
    }
}

/// A case.
#[derive(Clone, Debug, PartialEq)]
pub struct WalkCase {
    /// The terminating provider.
    pub first: Box<str>,
    /// The call, as it was handed in.
    pub call: RawCall,
    /// Every question, in the order of asking, withdrawn ones too.
    pub hops: Vec<WalkHop>,
    /// Names of providers, by id, for texts to people.
    pub names: BTreeMap<Box<str>, Box<str>>,
}

impl WalkCase {
    /// What people call a provider.
    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, |name| name)
    }
}

/// A question, and what came back.
#[derive(Clone, Debug, PartialEq)]
pub struct WalkHop {
    /// In which order it was asked; unique.
    pub n: u32,
    /// Place on its path, from 1 on.
    pub depth: u32,
    /// Whose answer led here.
    pub parent: Option<u32>,
    /// Why it was asked.
    pub branch: Branch,
    /// Who was asked.
    pub provider: Box<str>,
    /// Who says that it got the call from there.
    pub downstream: Option<Box<str>>,
    /// Where it stands.
    pub state: HopState,
    /// Digest of the answer that led here.
    pub previous_digest: Option<Box<str>>,
    /// The call, as it was asked about.
    pub call: RawCall,
    /// The current answer. One that is disputed does not count.
    pub answer: Option<WalkAnswer>,
}

/// What of an answer moves a walk.
#[derive(Clone, Debug, PartialEq)]
pub struct WalkAnswer {
    /// What it is.
    pub resolution: Resolution,
    /// The provider that it names as its upstream.
    pub named: Option<WalkProvider>,
    /// Whom it names, as it says it: the caller, a party abroad, a provider.
    pub party: Option<Party>,
    /// SHA-256 of its compact JWS.
    pub digest: Box<str>,
    /// Digests of earlier revisions that say the same: what was asked because of them still stands.
    pub also: Vec<Box<str>>,
    /// The leg that it found.
    pub leg: Option<WalkLeg>,
    /// Of a forwarded call: the number that was called before the forwarding.
    pub forwarded: Option<Box<str>>,
}

/// A provider that an answer names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkProvider {
    /// Its id; of one that is not in the directory, that of its stub.
    pub id: Box<str>,
    /// Whether it can be asked.
    pub listed: bool,
}

/// A leg, as an answer's evidence has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WalkLeg {
    /// When it came in.
    pub at: Timestamp,
    /// How far that may be off, in seconds.
    pub error_s: f64,
    /// Whether it was answered.
    pub answered: Option<bool>,
    /// Digest of its PASSporT's signing input, 32 hexadecimal digits or more.
    pub passport: Option<Box<str>>,
    /// `origid` of it.
    pub origid: Option<Box<str>>,
    /// Provider of the directory that signed it, where the answer says that the signature was valid.
    pub signer: Option<Box<str>>,
    /// Identifiers of the question that it bore.
    pub identifiers: Vec<Box<str>>,
}

/// What a case should look like.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Questions to be asked now.
    pub ask: Vec<Question>,
    /// Open questions that get more in them.
    pub clarify: Vec<Clarify>,
    /// Questions to be taken back, and why.
    pub withdraw: Vec<(u32, &'static str)>,
    /// Everything that was come upon, old and new.
    pub findings: Vec<Finding>,
    /// Numbers of the questions whose answers make the path, from the terminating provider on.
    pub path: Vec<u32>,
    /// Where the case stands.
    pub standing: Standing,
}

/// A question to be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Whom.
    pub provider: Box<str>,
    /// Who says that it got the call from there.
    pub downstream: Option<Box<str>>,
    /// Whose answer led here.
    pub parent: Option<u32>,
    /// Place on its path.
    pub depth: u32,
    /// Why.
    pub branch: Branch,
    /// Digest of the answer that led here.
    pub previous_digest: Option<Box<str>>,
    /// The call.
    pub call: RawCall,
    /// In words, to people.
    pub remark: Option<String>,
}

/// More for an open question.
#[derive(Clone, Debug, PartialEq)]
pub struct Clarify {
    /// Which.
    pub n: u32,
    /// The call, with all that is known now.
    pub call: RawCall,
}

/// Something that a walk came upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// At which question.
    pub n: Option<u32>,
    /// In words.
    pub text: String,
}

/// Where a case stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Somebody is asked.
    Walking,
    /// A person decides: why.
    Stuck(String),
    /// It is over.
    Ended(Box<End>),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// How.
    pub outcome: Outcome,
    /// Whom the outcome is about. Nobody, where two sides contradict each other: which one is wrong is not known.
    pub at: Option<Box<str>>,
    /// The caller, or the party abroad.
    pub party: Option<Party>,
    /// In words.
    pub text: String,
}

/// What a case should look like.
pub fn next(case: &WalkCase, rules: &WalkRules) -> Plan {
    let mut plan = Plan {
        ask: Vec::new(),
        clarify: Vec::new(),
        withdraw: Vec::new(),
        findings: Vec::new(),
        path: Vec::new(),
        standing: Standing::Walking,
    };
    let mut needed = BTreeSet::new();
    plan.standing = follow::follow(case, rules, &mut plan, &mut needed);
    hint::hints(case, rules, &mut plan);
    let room = rules.most_questions().saturating_sub(case.hops.len());
    if plan.ask.len() > room {
        plan.ask.truncate(room);
        plan.find(
            FindingKind::TooLong,
            None,
            format!("{} questions were asked in this case", case.hops.len()),
        );
        if !case.hops.iter().any(WalkHop::is_open) && plan.ask.is_empty() {
            let why = "too many questions were asked in this case; a person decides";
            plan.standing = Standing::Stuck(why.to_owned());
        }
    }
    plan.withdraw = unneeded(case, &plan.standing, &needed);
    plan
}

impl Plan {
    fn find(&mut self, kind: FindingKind, n: Option<u32>, text: String) {
        let finding = Finding { kind, n, text };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}

impl WalkHop {
    /// Whether somebody still owes something: an answer, or what the provider asked back for.
    pub fn is_open(&self) -> bool {
        matches!(
            self.state,
            HopState::Asked | HopState::Acknowledged | HopState::NeedsInfo
        )
    }

    fn is_live(&self) -> bool {
        self.state != HopState::Withdrawn
    }

    /// The answer, where it counts.
    fn counted(&self) -> Option<&WalkAnswer> {
        self.answer
            .as_ref()
            .filter(|_| self.state == HopState::Answered)
    }
}

impl WalkAnswer {
    /// Whether a question with this digest was asked because of it.
    fn led_to(&self, digest: Option<&str>) -> bool {
        digest.is_some_and(|d| *self.digest == *d || self.also.iter().any(|a| **a == *d))
    }
}

/// Questions that lead nowhere any more: open ones that nobody needs, and everything on a branch that hangs on nothing.
fn unneeded(
    case: &WalkCase,
    standing: &Standing,
    needed: &BTreeSet<u32>,
) -> Vec<(u32, &'static str)> {
    let over = matches!(standing, Standing::Ended(_));
    let led = |parent: u32, hop: &WalkHop| {
        let parent = case.hops.iter().find(|h| h.n == parent);
        let answer = parent.and_then(WalkHop::counted);
        answer.is_some_and(|a| a.led_to(hop.previous_digest.as_deref()))
    };
    let mut gone = Vec::new();
    for hop in case.hops.iter().filter(|h| h.is_live()) {
        if over && hop.is_open() {
            gone.push((hop.n, "the case is over"));
        } else if hop.branch == Branch::Hint || needed.contains(&hop.n) {
        } else if hop.is_open() {
            gone.push((hop.n, "it is no longer needed"));
        } else if hop
            .parent
            .is_some_and(|p| !needed.contains(&p) || !led(p, hop))
        {
            gone.push((hop.n, "the answer that led here no longer stands"));
        }
    }
    gone
}
