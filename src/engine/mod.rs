//! Floor 4: the three stages as machines without files, sockets, threads or clocks: what happens goes in by `handle_*`, what follows
//! is polled, and time is an argument. The daemon, the replay of a file and the tests drive the same machines.
//!
//! ```text
//! frames ─► assemble ─► messages ─► judge ─► facts, verdict ─► collect ─► records
//! ```
//!
//! - [`assemble`]: frames → numbered SIP messages, and what was not seen
//! - [`coverage`]: what several sources and later stages know of the same minute → one row
//! - [`mirror`]: packets of agents that mirror what they see (HEP) → SIP messages
//! - [`sequence`]: messages of several sources → one sequence
//! - [`shed`]: what is let go under overload
//! - [`judge`]: a message and the credentials at hand → facts and a verdict
//! - [`collect`]: judged messages, in order → records
//! - [`park`]: where calls wait for certificates that are not at hand

pub mod assemble;
pub mod collect;
pub mod coverage;
pub mod judge;
pub mod mirror;
pub mod park;
pub mod sequence;
pub mod shed;

pub use assemble::{AssembleCounters, AssembleLimits, Assembler, Frame};
