//! The rules of verification and what comes out of them.
//!
//! - [`rule`]: every rule with its ID, what it checks, its source and its class of failure
//! - [`verdict`]: rule states, one verdict per Identity header, one per call

pub mod rule;
pub mod verdict;

pub use rule::{Rule, RuleSet};
pub use verdict::{Attestation, CallVerdict, HeaderVerdict, Validation};
