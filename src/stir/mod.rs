//! Floor 2: STIR/SHAKEN. What an Identity header says, whether its credential is to be trusted, and whether it fits the message.
//!
//! - [`verify`]: the rules, one state each; a verdict per Identity header and one per call

pub mod verify;
