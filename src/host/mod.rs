//! Floor 5: what the machine gives.
//!
//! - [`clock`]: the wall clock, read here and nowhere else

pub mod clock;
