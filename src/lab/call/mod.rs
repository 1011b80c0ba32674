//! Calls: who calls whom, through whom, and every message of it on both sides of our edge.
//!
//! - [`plan`]: one attempt at a call
//! - [`traffic`]: all of them
//! - [`cases`]: the calls that somebody asks about later
//! - [`marked`]: the calls that earn a flag by themselves, and their look-alikes; [`flags`]: which
//! - [`memory`]: the calls that only a memory of others tells apart
//! - [`behaviour`]: the calls that only their number makes remarkable
//! - [`bridge`]: from a plan to messages, and what is true of them
//! - [`flow`]: which leg says what when
//! - [`dialog`]: the messages of one leg
//! - [`writing`]: numbers, addresses and headers as switches write them
//! - [`noise`]: what else passes the tap

pub mod behaviour;
pub mod bridge;
pub mod cases;
pub mod dialog;
pub mod flags;
pub mod flow;
pub mod marked;
pub mod memory;
pub mod noise;
pub mod plan;
pub mod traffic;
pub mod writing;
