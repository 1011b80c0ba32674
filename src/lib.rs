//! tracehop watches a voice provider's SIP edge without touching it: it judges the STIR/SHAKEN Identity headers of every INVITE,
//! remembers which neighbour handed each call over, and answers the traceback question *who handed you this call?* with evidence.
//!
//! # The map
//!
//! A lower floor never imports a higher one. Floors 0 to 4 are pure: no file, socket, thread, environment, log or clock of their
//! own; time comes in as an argument. `tests/house.rs` holds the walls.
//!
//! | floor | rooms |
//! |---|---|
//! | 6 | [`cli`] the commands · [`config`] TOML to checked values · [`daemon`] threads and queues · [`lab`] keys, signed calls, whole networks, and their truth |
//! | 5 | [`capture`] frames from files · [`fetch`] credentials from a directory and over HTTPS · [`findings`] what is flagged, to files, journal, syslog and webhooks · [`host`] the clock, the log, privileges · [`sys`] system calls, the only `unsafe` · [`web`] metrics and health over HTTP · [`store`] call records and coverage · [`proof`] signatures and the audit log · [`responder`] traceback requests in, signed answers out: desk, adapters, API · [`portal`] the reference portal: cases walked from hop to hop, directory, console |
//! | 4 | [`engine`] the three stages as machines: assemble, judge, collect, and where calls wait |
//! | 3 | [`call`] attempts, neighbours, flags, the record · [`traceback`] request, candidates, match, answer, path, deadlines, the tree of the audit log |
//! | 2 | [`stir`] PASSporT, credential, the rules of verification |
//! | 1 | [`wire`] layers, fragments, streams, SIP · [`number`] telephone numbers |
//! | 0 | [`base`] time, bounded maps, digests, escaped text |
//!
//! # The life of a call
//!
//! ```text
//! capture ─► engine::assemble ─► engine::judge ─► engine::collect ─► store
//!   frames      wire: messages      stir: verdict     call: record       │
//!                             fetch ─► park ─► judged again ─┘            │
//! traceback request ─► responder ─► traceback: match ─► answer ◄─────────┘
//!                          └► desk ─► signed ─► outbox ─► portal
//! ```

// What comes from outside never makes us panic and is never cut short in silence. Tests may.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap,
    )
)]

pub mod base;
pub mod call;
pub mod capture;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod engine;
pub mod fetch;
pub mod findings;
pub mod host;
// It reads nothing from outside: its tables and captures are its own.
#[allow(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]
pub mod lab;
pub mod number;
pub mod portal;
pub mod proof;
pub mod responder;
pub mod stir;
pub mod store;
#[allow(unsafe_code)]
pub mod sys;
pub mod traceback;
pub mod web;
pub mod wire;
