//! The responder as a real process among portals that mean ill and hosts that fail: kill -9 anywhere, hostile portals, floods, and refusals that tell nothing.
//!
//! Each test has a daemon of its own over real HTTP on loopback, with a store that holds one call.

mod away;
mod flood;
mod hostile_portal;
mod house;
mod kill;
mod mind;
mod portal;
mod refusals;
mod web;

#[path = "../traceback/calls.rs"]
mod calls;
#[allow(dead_code)] // the chain starts its daemons by it
#[path = "../traceback/node.rs"]
mod node;
