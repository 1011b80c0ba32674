//! Floor 5: what the machine gives.
//!
//! - [`clock`]: the wall clock, read here and nowhere else, and how good it is
//! - [`log`]: where the log goes and how much of it
//! - [`process`]: what this process costs
//! - [`trouble`]: what is wrong with the host, said once per change
//! - [`privilege`]: what the daemon gives up
//! - [`supervisor`]: what systemd is told

pub mod clock;
pub mod log;
pub mod privilege;
pub mod process;
pub mod supervisor;
pub mod trouble;
