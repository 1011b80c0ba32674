//! Calls: who calls whom, through whom, and every message of it on both sides of our edge.
//!
//! - [`plan`]: one attempt at a call
//! - [`traffic`]: all of them
//! - [`cases`]: the calls that somebody asks about later
//! - [`memory`]: the calls that only a memory of others tells apart
//! - [`bridge`]: from a plan to messages, and what is true of them
//! - [`flow`]: which leg says what when
//! - [`dialog`]: the messages of one leg
//! - [`writing`]: numbers, addresses and headers as switches write them
//! - [`noise`]: what else passes the tap

pub mod bridge;
pub mod cases;
pub mod dialog;
pub mod flow;
pub mod memory;
pub mod noise;
pub mod plan;
pub mod traffic;
pub mod writing;
