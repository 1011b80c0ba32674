//! The walk of a traceback: from everything that was asked and answered in a case to what must be asked next, and where the case stands. Pure.
//!
//! - [`word`]: its words

pub mod word;

pub use word::{Branch, FindingKind, HintPolicy, HopState, Outcome};
