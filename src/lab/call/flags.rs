//! Which flags a call earns, as whoever planned it says: by its neighbour, its numbers and its verdict.

use super::marked::{ODD, SOS};
use super::plan::{Plan, Spoofed};
use crate::call::classify::Flag;
use crate::lab::kind::Verdict;
use crate::lab::lists;
use crate::lab::network::{OWN_NUMBERS, Told, Writing};
use crate::stir::verify::{Attestation, Validation};

/// Flags of the leg that comes in.
pub fn of_ingress(plan: &Plan, verdict: &Verdict) -> Vec<Flag> {
    let mut flags = vec![verdict.flag];
    let kind = plan.upstream.map(|u| u.kind);
    if plan.upstream.is_none() {
        flags.push(Flag::UnknownUpstream);
    }
    let numbers = shown(plan);
    let has = |what: fn(&str) -> bool| numbers.iter().any(|n| what(n));
    if plan.spoofed == Spoofed::Impossible {
        flags.push(Flag::InvalidNanp);
    }
    if kind != Some("customer") && has(|n| OWN_NUMBERS.iter().any(|o| n.starts_with(o))) {
        flags.push(Flag::OwnNumberInbound);
    }
    if has(lists::is_do_not_originate) {
        flags.push(Flag::DoNotOriginate);
    }
    if has(lists::is_unallocated) {
        flags.push(Flag::Unallocated);
    }
    if has(lists::is_premium) {
        flags.push(Flag::Premium);
    }
    if ODD
        .iter()
        .any(|(odd, _, none)| *none && plan.odd == Some(*odd))
    {
        flags.push(Flag::MalformedNumber);
    }
    let valid_a =
        verdict.validation == Validation::Passed && verdict.attest == Some(Attestation::A);
    let exempt = plan.memory.flag == Some(Flag::Emergency)
        || plan.memory.flag_of_ingress == Some(Flag::EmergencyCallback) && !plan.claims_callback;
    let same = |calling: &&str| calling.len() == 11 && calling[..7] == plan.called[..7];
    let next_door =
        plan.called != SOS && plan.called.len() == 11 && numbers.first().is_some_and(same);
    // A prefix that no rule takes off makes another number of it.
    let prefixed = plan
        .upstream
        .is_some_and(|u| u.writing == Writing::TechPrefix && u.told != Told::TechPrefix);
    if !prefixed && kind != Some("customer") && !valid_a && !exempt && next_door {
        flags.push(Flag::NeighbourSpoof);
    }
    if plan.anonymous && !plan.asserted && verdict.attest.is_some() {
        flags.push(Flag::AnonymousAttested);
    }
    flags.extend(plan.memory.flag);
    flags.extend(plan.memory.flag_of_ingress);
    flags
}

/// The calling numbers that are shown: of From, then of P-Asserted-Identity.
fn shown(plan: &Plan) -> Vec<&str> {
    let from = plan.shown.as_ref().unwrap_or(&plan.calling);
    let from = Some(from).filter(|n| !plan.anonymous && !n.is_empty());
    let asserted = Some(&plan.calling).filter(|_| plan.asserted);
    from.into_iter()
        .chain(asserted)
        .map(String::as_str)
        .collect()
}
