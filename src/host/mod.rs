//! Floor 5: what the machine gives.
//!
//! - [`clock`]: the wall clock, read here and nowhere else
//! - [`privilege`]: what the daemon gives up
//! - [`step`]: steps of the wall clock
//! - [`supervisor`]: what systemd is told

pub mod clock;
pub mod privilege;
pub mod step;
pub mod supervisor;
