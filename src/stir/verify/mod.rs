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
//! - [`explain`]: a verdict with its evidence, for people

pub mod credential;
pub mod dest;
pub mod explain;
pub mod facts;
pub mod freshness;
pub mod orig;
pub mod practice;
pub mod rule;
pub mod signature;
pub mod states;
#[cfg(test)]
mod tests;
pub mod token;
pub mod verdict;

pub use credential::{Want, missing_certificate, wanted_certificates};
pub use facts::CallFacts;
pub use rule::{Rule, RuleSet};
pub use signature::SignatureMemo;
pub use states::{RuleStates, State};
pub use verdict::{Attestation, CallVerdict, HeaderVerdict, Validation};

use std::time::Duration;

use crate::base::Timestamp;
use crate::number::NumberPlan;
use crate::stir::credential::Credentials;
use crate::stir::passport::{Identity, MAX_IDENTITIES, MAX_VALUE};
use crate::wire::sip::Message;

/// What is local policy in verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifySettings {
    /// How far `iat` may lie from the capture time, on either side.
    pub window: Duration,
    /// How numbers without a country code are completed.
    pub plan: NumberPlan,
}

impl Default for VerifySettings {
    /// Sixty seconds, as RFC 8224 recommends, and the North American plan.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            plan: NumberPlan::default(),
        }
    }
}

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
    Rule::F1,
    Rule::O1,
    Rule::O3,
    Rule::D1,
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
    Rule::R3,
    Rule::S2,
    Rule::H3,
    Rule::G1S,
    Rule::P5,
    Rule::P7U,
    Rule::F2,
    Rule::D2,
    Rule::X7,
    Rule::X12,
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
        ..CallVerdict::default()
    };
    let mut fields = facts::identity_fields(message).peekable();
    if fields.peek().is_none() {
        return out;
    }
    let facts = CallFacts::of(message, &settings.plan);
    for field in fields {
        if !field.whole {
            out.headers.push(decided_only(Rule::H4));
            continue;
        }
        verify_field_at(
            field.value,
            &facts,
            at,
            credentials,
            settings,
            memo,
            &mut out,
        );
        if out.headers.len() > MAX_IDENTITIES {
            break;
        }
    }
    out.best = best(&out.headers);
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
    verify_field_at(
        value,
        facts,
        at,
        credentials,
        settings,
        &mut SignatureMemo::none(),
        &mut out,
    );
    out.best = best(&out.headers);
    out
}

/// Judges the values of one field, within the bounds of rule H7.
fn verify_field_at(
    value: &[u8],
    facts: &CallFacts<'_>,
    at: Timestamp,
    credentials: &Credentials,
    settings: &VerifySettings,
    memo: &mut SignatureMemo,
    out: &mut CallVerdict,
) {
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
        out.headers.push(verify_header_at(
            &identity,
            facts,
            at,
            credentials,
            settings,
            memo,
        ));
    }
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

/// Judges one Identity value against what the rest of the message says.
pub fn verify_header_at(
    identity: &Identity<'_>,
    facts: &CallFacts<'_>,
    at: Timestamp,
    credentials: &Credentials,
    settings: &VerifySettings,
    memo: &mut SignatureMemo,
) -> HeaderVerdict {
    let mut states = RuleStates::default();
    let mut room = token::Room::default();
    let token = token::judge(identity, facts, &mut room, &mut states);
    let mut out = token.describe();
    if states.failed.contains(Rule::H5) || states.failed.contains(Rule::G7) {
        return conclude(out, states);
    }
    let iat = out.iat;
    if let Some(iat) = iat {
        freshness::judge(iat, at, settings.window, &mut states);
    }
    let orig = token.orig(&settings.plan);
    let dest = token.dest(&settings.plan);
    let orig_tn = orig.as_ref().map(|o| orig::judge(o, facts, &mut states));
    out.orig = orig_tn.flatten();
    if let Some(dest) = &dest {
        dest::judge(dest, facts, &settings.plan, &mut states);
    }
    if orig.is_some() || dest.is_some() {
        let mut numbers = orig.iter().chain(dest.iter().flat_map(|d| &d.numbers));
        states.judge(Rule::P5, numbers.all(token::SignedNumber::is_canonical));
    }
    let credential = credential::find(token.x5u(), credentials, &mut states);
    if let Some(date) = facts.date {
        let leaf = credential.and_then(|c| c.leaf());
        freshness::judge_date(date, at, settings.window, leaf, &mut states);
    }
    if let Some(credential) = credential {
        credential::judge(credential, out.orig.as_ref(), iat, at, &mut states);
        out.spc = credential.spc().map(Into::into);
        if let (Some(signed), Some(key)) = (token.signed(&states), credential.key()) {
            states.judge(Rule::S2, memo.check(&signed, key));
        }
    }
    conclude(out, states)
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
fn best(headers: &[HeaderVerdict]) -> Option<usize> {
    let rank = |h: &HeaderVerdict| match (h.validation, h.attest) {
        (Validation::Passed, Some(Attestation::A)) => 0,
        (Validation::Passed, Some(Attestation::B)) => 1,
        (Validation::Passed, _) => 2,
        (Validation::Undetermined, _) => 3,
        (Validation::Failed, _) => 4,
        (Validation::None, _) => 5,
    };
    let (i, _) = headers.iter().enumerate().min_by_key(|(_, h)| rank(h))?;
    Some(i)
}
