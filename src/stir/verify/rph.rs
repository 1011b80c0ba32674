//! Rules E1, E1M and E1A: priority of resources, emergency calls and calls back (RFC 8443, RFC 9027).

use super::facts::CallFacts;
use super::{Rule, RuleStates, VerifySettings};
use crate::stir::passport::{Claim, Extension};
use crate::wire::sip::uri::split_values;

/// Judges the claims and holds them against Resource-Priority and Priority.
///
/// Priorities in the message that nobody signed are not judged: whoever acts on them has to strip them.
pub(super) fn judge(extension: &Extension, facts: &CallFacts<'_>, states: &mut RuleStates) {
    let (priorities, sph) = (extension.priorities(), extension.emergency_priority());
    let readable = priorities.is_some() && sph != Claim::Other;
    if !states.judge(Rule::E1, readable) {
        return;
    }
    let seen = |signed: &str| {
        let mut values = facts.resource_priority.iter().flat_map(|v| split_values(v));
        values.any(|v| v.eq_ignore_ascii_case(signed.as_bytes()))
    };
    let mut signed = priorities.unwrap_or_default().into_iter();
    let emergency = sph.text().is_none_or(|sph| {
        facts
            .priority
            .is_some_and(|p| p.trim_ascii().eq_ignore_ascii_case(sph.as_bytes()))
    });
    if signed.all(seen) && emergency {
        states.judge(Rule::E1M, true);
    } else if facts.called_open {
        states.cannot_tell(Rule::E1M);
    } else {
        states.judge(Rule::E1M, false);
    }
}

/// Judges whether the signer may sign for priorities. No certificate says it: a list of our own has to.
pub(super) fn judge_authority(
    spc: Option<&str>,
    settings: &VerifySettings,
    states: &mut RuleStates,
) {
    let known = |spc: &str| settings.priority_signers.iter().any(|s| **s == *spc);
    if spc.is_some_and(known) {
        states.judge(Rule::E1A, true);
    } else {
        states.cannot_tell(Rule::E1A);
    }
}
