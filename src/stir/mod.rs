//! Floor 2: STIR/SHAKEN. What an Identity header says, whether its credential is to be trusted, and whether it fits the message.
//!
//! - [`passport`]: Identity headers and PASSporTs, taken apart strictly over the octets received
//! - [`credential`]: certificates, paths to the trusted authorities, revocation
//! - [`verify`]: the rules, one state each; a verdict per Identity header and one per call

pub mod credential;
pub mod passport;
pub mod verify;
