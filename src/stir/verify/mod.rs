//! The rules of verification and what comes out of them (RFC 8224 §6.2, RFC 8225, RFC 8588, ATIS-1000074).
//!
//! [`verify_call_at`] judges every Identity header of an INVITE at its capture time and says which one speaks for the call.
//! Pure: no clock, no state but the caller's [`SignatureMemo`], which changes no result. Whether a message is an initial
//! INVITE (rule H1) is the caller's to ask.
//!
//! The cheap rules come first ([`ORDER_OF_WORK`]), but a header that breaks one is judged to the end, so that
//! [`HeaderVerdict::failed`] lists all that is wrong with it. Two exceptions save work under a flood: a token that can't be read
//! gets no signature check, and a header of a kind that we don't verify is set aside at once. "Could not find out" is never
//! "failed": an unknown certificate, a cut message and a withheld number are undetermined.
//!
//! - [`rule`]: every rule with its ID, what it checks, its source and its class of failure; [`practice`]: those that are no state of a header
//! - [`verdict`]: rule states, one verdict per Identity header, one per call
//! - [`facts`]: what the rest of the message says: parties, privacy, date
//! - [`token`]: families header, grammar and token
//! - [`freshness`], [`orig`], [`dest`], [`credential`], [`signature`]: one file per further family
//! - [`div`], [`chain`]: one diversion, and how several hang together; [`rph`], [`rcd`]: the other kinds beside SHAKEN
//! - [`compact`]: what a token in compact form stands for; [`media`]: keys of the media
//! - [`reason`]: what an answer would say of it
//! - [`explain`], [`drawing`]: a verdict with its evidence, and a value in its parts, for people

pub mod chain;
pub mod compact;
pub mod credential;
pub mod dest;
pub mod div;
pub mod drawing;
pub mod explain;
pub mod facts;
pub mod freshness;
pub mod media;
pub mod orig;
pub mod practice;
pub mod rcd;
pub mod reason;
pub mod rph;
pub mod rule;
pub mod signature;
pub mod states;
#[cfg(test)]
mod tests;
pub mod token;
pub mod verdict;

pub use credential::{CrlPolicy, Want, wanted_certificates};
pub use facts::CallFacts;
pub use rule::{Rule, RuleSet};
pub use signature::SignatureMemo;
pub use states::{RuleStates, State};
pub use verdict::{
    Attestation, CallVerdict, Chain, ChainState, DestMatch, HeaderVerdict, OrigMatch, Validation,
    VerstatMapping,
};

use std::time::Duration;

use crate::base::Timestamp;
use crate::number::{NumberPlan, Tn};
use crate::stir::credential::Credentials;
use crate::stir::passport::{Identity, Kind, MAX_IDENTITIES, MAX_VALUE, Orig};
use crate::wire::sip::Message;

/// Whose rules hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// ATIS-1000074: only SHAKEN vouches for a call, in full form.
    #[default]
    Shaken,
    /// RFC 8224 alone: base PASSporTs count as well, and may be in compact form.
    Generic,
}

/// What is local policy in verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifySettings {
    /// How far `iat` may lie from the capture time, on either side.
    pub window: Duration,
    /// How numbers without a country code are completed.
    pub plan: NumberPlan,
    /// Whose rules hold.
    pub profile: Profile,
    /// Bound of the error of capture times (rule F3).
    pub clock_error: Duration,
    /// Whether a call without Identity would be answered 428 (rule H6).
    pub require_identity: bool,
    /// Service provider codes that may sign for priorities (rule E1A).
    pub priority_signers: Vec<Box<str>>,
    /// What an unknown revocation state means.
    pub crl: CrlPolicy,
    /// Headers that no rule here reads, and whose values go on with the facts: rules about neighbours ask for them.
    pub kept_headers: Vec<Box<str>>,
}

impl Default for VerifySettings {
    /// Sixty seconds, as RFC 8224 recommends, the North American plan, and revocation where it can be told.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            plan: NumberPlan::default(),
            profile: Profile::default(),
            clock_error: Duration::ZERO,
            require_identity: false,
            priority_signers: Vec::new(),
            crl: CrlPolicy::default(),
            kept_headers: Vec::new(),
        }
    }
}

/// Most signatures checked for one INVITE. One for each header that is judged, and some for what is nested in a `div-o`: more than
/// the eight of a real one at its worst.
const MAX_CHECKS: usize = MAX_IDENTITIES + 8;

/// The order in which rules decide: the first one that failed, or else the first one that could not be found out, is
/// [`HeaderVerdict::decided_by`]. Cheap ones first (rule S3): header, grammar, token, freshness, numbers, credential, signature.
/// Findings decide nothing and stand last.
pub const ORDER_OF_WORK: &[Rule] = &[
    Rule::H4,
    Rule::H7,
    Rule::H5,
    Rule::G7,
    Rule::G1,
    Rule::G2,
    Rule::G3,
    Rule::G4,
    Rule::G5,
    Rule::S1,
    Rule::J1,
    Rule::J2,
    Rule::J3,
    Rule::J4,
    Rule::J5,
    Rule::J6,
    Rule::G6,
    Rule::G8,
    Rule::P1,
    Rule::P2,
    Rule::P3,
    Rule::P4,
    Rule::P6,
    Rule::P7,
    Rule::V1,
    Rule::E1,
    Rule::E2,
    Rule::E2D,
    Rule::F3,
    Rule::F1,
    Rule::F4,
    Rule::O1,
    Rule::O3,
    Rule::V3,
    Rule::D1,
    Rule::E1M,
    Rule::X1,
    Rule::X2,
    Rule::X3,
    Rule::X5,
    Rule::X6,
    Rule::X8,
    Rule::X9,
    Rule::X4,
    Rule::X4E,
    Rule::X10,
    Rule::X13,
    Rule::X14C,
    Rule::X14,
    Rule::R3,
    Rule::S2,
    Rule::V6,
    Rule::E1A,
    Rule::E2C,
    Rule::H3,
    Rule::G1S,
    Rule::P5,
    Rule::P7U,
    Rule::P9,
    Rule::F2,
    Rule::O2,
    Rule::D2,
    Rule::V4,
    Rule::E2K,
    Rule::X1I,
    Rule::X3D,
    Rule::X7,
    Rule::X11,
    Rule::X12,
    Rule::X13S,
    Rule::X15,
    Rule::R4,
    Rule::R5,
];

/// Judges every Identity header of a message that was captured at `at`.
///
/// A message without the blank line behind its headers is taken as cut: Identity headers seen whole are judged, the last header is not
/// relied on, and what may have stood behind the cut is undetermined, never absent (rule H4). A cut in the body changes nothing.
pub fn verify_call_at(
    message: &Message<'_>,
    at: Timestamp,
    credentials: &Credentials,
    settings: &VerifySettings,
) -> CallVerdict {
    verify_call_with_memo_at(
        message,
        at,
        credentials,
        settings,
        &mut SignatureMemo::none(),
    )
}

/// [`verify_call_at`] with a memory of signatures checked before: retransmissions, forks and second legs carry the very same ones.
pub fn verify_call_with_memo_at(
    message: &Message<'_>,
    at: Timestamp,
    credentials: &Credentials,
    settings: &VerifySettings,
    memo: &mut SignatureMemo,
) -> CallVerdict {
    let mut out = CallVerdict {
        truncated: facts::is_cut_in_headers(message),
        required: settings.require_identity,
        ..CallVerdict::default()
    };
    let mut fields = facts::identity_fields(message).peekable();
    if fields.peek().is_none() {
        return out;
    }
    let facts = CallFacts::of(message, &settings.plan);
    let mut judge = Judge::new(&facts, at, credentials, settings, memo);
    for field in fields {
        if !field.whole {
            out.headers.push(decided_only(Rule::H4));
            continue;
        }
        judge.field(field.value, &mut out);
        if out.headers.len() > MAX_IDENTITIES {
            break;
        }
    }
    finish(&mut out, || identities(message).collect(), &facts, settings);
    out
}

/// Judges the value of an Identity header field that stands alone, without a message around it.
pub fn verify_value_at(
    value: &[u8],
    facts: &CallFacts<'_>,
    at: Timestamp,
    credentials: &Credentials,
    settings: &VerifySettings,
) -> CallVerdict {
    let mut out = CallVerdict::default();
    let mut memo = SignatureMemo::none();
    Judge::new(facts, at, credentials, settings, &mut memo).field(value, &mut out);
    let identities = || Identity::parse_field(value).take(MAX_IDENTITIES).collect();
    finish(&mut out, identities, facts, settings);
    out
}

/// Puts the verdicts on the headers together.
fn finish<'a>(
    out: &mut CallVerdict,
    identities: impl FnOnce() -> Vec<Identity<'a>>,
    facts: &CallFacts<'_>,
    settings: &VerifySettings,
) {
    if out.headers.iter().any(|h| h.kind == Kind::Div) {
        chain::judge(out, &identities(), facts, settings);
    } else if let Some(nested) = out.headers.iter().find(|h| h.kind == Kind::DivO) {
        let states = nested.states();
        out.chain.state = match (states.of(Rule::V3), states.of(Rule::V6)) {
            (State::Passed, State::Passed) => ChainState::Unbroken,
            (State::Failed, _) | (_, State::Failed) => ChainState::Broken(1),
            _ => ChainState::Undetermined,
        };
    }
    out.best = best(&out.headers);
}

/// The Identity values of a message in the order of the verdicts that [`verify_call_at`] gives.
pub fn identities<'a>(message: &Message<'a>) -> impl Iterator<Item = Identity<'a>> {
    facts::identity_fields(message)
        .flat_map(|field| {
            let whole = field.whole && field.value.len() <= MAX_VALUE;
            Identity::parse_field(field.value).take(if whole { usize::MAX } else { 1 })
        })
        .take(MAX_IDENTITIES + 1)
}

/// Judges one Identity value against what the rest of the message says, but for the chain of diversions, which takes all of them.
pub fn verify_header_at(
    identity: &Identity<'_>,
    facts: &CallFacts<'_>,
    at: Timestamp,
    credentials: &Credentials,
    settings: &VerifySettings,
    memo: &mut SignatureMemo,
) -> HeaderVerdict {
    Judge::new(facts, at, credentials, settings, memo).header(identity, 0)
}

/// What the headers of one INVITE are judged with.
struct Judge<'a, 'm> {
    facts: &'a CallFacts<'m>,
    at: Timestamp,
    credentials: &'a Credentials,
    settings: &'a VerifySettings,
    memo: &'a mut SignatureMemo,
    /// How many more signatures may be checked.
    checks: usize,
}

impl<'a, 'm> Judge<'a, 'm> {
    fn new(
        facts: &'a CallFacts<'m>,
        at: Timestamp,
        credentials: &'a Credentials,
        settings: &'a VerifySettings,
        memo: &'a mut SignatureMemo,
    ) -> Self {
        Self {
            facts,
            at,
            credentials,
            settings,
            memo,
            checks: MAX_CHECKS,
        }
    }

    /// Judges the values of one field, within the bounds of rule H7.
    fn field(&mut self, value: &[u8], out: &mut CallVerdict) {
        if value.len() > MAX_VALUE {
            out.headers.push(decided_only(Rule::H7));
            return;
        }
        for identity in Identity::parse_field(value) {
            if out.headers.len() >= MAX_IDENTITIES {
                // One verdict stands for all that are too many.
                out.headers.push(decided_only(Rule::H7));
                return;
            }
            out.headers.push(self.header(&identity, 0));
        }
    }

    /// Judges one value; `depth` is that of nesting in a `div-o`.
    fn header(&mut self, identity: &Identity<'_>, depth: u8) -> HeaderVerdict {
        let (facts, settings, at) = (self.facts, self.settings, self.at);
        let plan = &settings.plan;
        let mut states = RuleStates::default();
        let mut room = token::Room::default();
        let token = token::judge(identity, facts, &mut room, settings, &mut states);
        let mut out = token.describe();
        if states.failed.contains(Rule::H5) || states.failed.contains(Rule::G7) {
            return conclude(out, states);
        }
        let iat = out.iat;
        if let Some(iat) = iat
            && freshness::judge_clock(settings.clock_error, &mut states)
        {
            freshness::judge(iat, at, settings.window, &mut states);
        }
        let (orig, dest) = (token.orig(plan), token.dest(plan));
        if let Some(orig) = &orig {
            (out.orig, out.orig_match) = orig::judge(orig, facts, &mut states);
        } else if let Some(uri) = token.orig_uri() {
            orig::judge_uri(uri, facts, plan, &mut states);
        }
        match (&dest, token.kind) {
            // The chain says where a diverted call may go.
            (_, Kind::Div) | (None, _) => {}
            (Some(dest), Kind::DivO) => chain::judge_outermost(dest, facts, settings, &mut states),
            (Some(dest), _) => out.dest_match = dest::judge(dest, facts, plan, &mut states),
        }
        if orig.is_some() || dest.is_some() {
            let mut numbers = orig.iter().chain(dest.iter().flat_map(|d| &d.numbers));
            states.judge(Rule::P5, numbers.all(token::SignedNumber::is_canonical));
        }
        let authority = self.extension(&token, depth, &mut out, &mut states);
        let credential = credential::find(token.x5u(), self.credentials, &mut states);
        if let Some(date) = facts.date {
            let leaf = credential.and_then(|c| c.leaf());
            freshness::judge_date(date, at, settings.window, leaf, &mut states);
        }
        if let Some(credential) = credential {
            let claimed = credential::Claimed {
                orig: authority.as_ref(),
                iat,
                payload: token.payload(),
            };
            credential::judge(credential, &claimed, at, settings.crl, &mut states);
            out.spc = credential.spc().map(Into::into);
            out.chain = Some(credential.digest());
            if token.kind == Kind::Rph {
                rph::judge_authority(out.spc.as_deref(), settings, &mut states);
            }
            if let (Some(signed), Some(key)) = (token.signed(&states), credential.key()) {
                if self.checks == 0 {
                    states.cannot_tell(Rule::S2);
                } else {
                    self.checks -= 1;
                    states.judge(Rule::S2, self.memo.check(&signed, key));
                }
            }
        }
        conclude(out, states)
    }

    /// Judges the claims beyond those of SHAKEN, and gives the number that the certificate has to be good for: `orig`, or with a
    /// diversion the one that sent the call on (rule V2).
    fn extension(
        &mut self,
        token: &token::ReadToken<'_>,
        depth: u8,
        out: &mut HeaderVerdict,
        states: &mut RuleStates,
    ) -> Option<Tn> {
        let Some(extension) = token.extension() else {
            return out.orig;
        };
        if token.kind == Kind::Rcd || token.claims().is_some_and(|c| c.has_rcd) {
            rcd::judge(token.kind, &extension, states);
        }
        if token.claims().is_some_and(|c| c.has_mky) {
            media::judge(&extension, self.facts, states);
        }
        match token.kind {
            Kind::Rph => rph::judge(&extension, self.facts, states),
            Kind::DivO => {
                let original = extension.original().unwrap_or_default();
                self.original(original, token, &extension.div(), depth, out, states);
            }
            _ => {}
        }
        if token.kind.is_div() {
            return div::judge(&extension, &self.settings.plan, states);
        }
        out.orig
    }

    /// Judges the PASSporT inside a `div-o` (rule V6).
    fn original(
        &mut self,
        text: &str,
        outer: &token::ReadToken<'_>,
        div: &Orig<'_>,
        depth: u8,
        out: &mut HeaderVerdict,
        states: &mut RuleStates,
    ) {
        if depth >= div::MAX_NESTED || text.is_empty() {
            states.judge(Rule::V6, false);
            return;
        }
        let identity = Identity {
            token: text.as_bytes(),
            ..Identity::default()
        };
        let inner = self.header(&identity, depth + 1);
        let mut inner_states = inner.states();
        // It has no parameters, was signed for another leg of the call, and stands behind the outer one.
        for rule in [
            Rule::G3,
            Rule::F1,
            Rule::F2,
            Rule::F3,
            Rule::D1,
            Rule::D2,
            Rule::V3,
            Rule::V4,
        ] {
            inner_states.withdraw(rule);
        }
        let inner = conclude(inner, inner_states);
        let settings = self.settings;
        let mut room = token::Room::default();
        let mut unused = RuleStates::default();
        let read = token::judge(&identity, self.facts, &mut room, settings, &mut unused);
        let vouches = match inner.kind {
            Kind::Shaken | Kind::DivO => true,
            kind => kind == Kind::Base && settings.profile == Profile::Generic,
        };
        let leads = match (read.claims(), read.dest(&settings.plan), outer.claims()) {
            (Some(before), Some(dest), Some(after)) => {
                div::follows((&before.orig, &dest), (&after.orig, div), &settings.plan)
            }
            _ => false,
        };
        div::judge_original(&inner, vouches && leads, states);
        if let (Some(before), Some(after)) = (inner.iat, out.iat) {
            states.judge(
                Rule::F4,
                freshness::in_order(before, after, settings.window),
            );
        }
        (out.attest, out.origid) = (inner.attest, inner.origid.clone());
        out.original = Some(Box::new(inner));
    }
}

/// Puts the states into the verdict and draws the conclusion.
fn conclude(mut out: HeaderVerdict, states: RuleStates) -> HeaderVerdict {
    let first = |set: RuleSet| {
        // Nearly always empty: not worth a walk.
        let rules = if set.is_empty() { &[] } else { ORDER_OF_WORK };
        rules.iter().copied().find(|r| set.contains(*r))
    };
    let (validation, decided_by) = match (first(states.failed), first(states.undetermined)) {
        // Not a kind that we verify: as if it were not there.
        (Some(r @ (Rule::H5 | Rule::G7)), _) => (Validation::None, Some(r)),
        (Some(r), _) => (Validation::Failed, Some(r)),
        (None, Some(r)) => (Validation::Undetermined, Some(r)),
        (None, None) => (Validation::Passed, None),
    };
    out.validation = validation;
    out.decided_by = decided_by;
    out.passed = states.passed;
    out.failed = states.failed;
    out.undetermined = states.undetermined;
    out.findings = states.findings;
    out
}

/// A header of which nothing is judged but one rule. Nothing of it is named: what could be read of it may be half the truth.
fn decided_only(rule: Rule) -> HeaderVerdict {
    let mut states = RuleStates::default();
    if rule.class() == rule::Class::Credential {
        states.cannot_tell(rule);
    } else {
        states.judge(rule, false);
    }
    conclude(HeaderVerdict::default(), states)
}

/// The header that speaks for the call (rule M1): one that passed, the strongest attestation first; else one that could not be
/// decided, for it might have passed; else one that failed; else one of a kind that we don't verify. Of equals, the first.
/// What only stands beside a call speaks for none.
fn best(headers: &[HeaderVerdict]) -> Option<usize> {
    let rank = |h: &HeaderVerdict| match (h.validation, h.attest) {
        (Validation::Passed, Some(Attestation::A)) => 0,
        (Validation::Passed, Some(Attestation::B)) => 1,
        (Validation::Passed, _) => 2,
        (Validation::Undetermined, _) => 3,
        (Validation::Failed, _) => 4,
        (Validation::None, _) => 5,
    };
    let (i, _) = headers
        .iter()
        .enumerate()
        .filter(|(_, h)| !h.kind.is_beside())
        .min_by_key(|(_, h)| rank(h))?;
    Some(i)
}
