//! Floor 5: the reference traceback portal. Suspected illegal calls come in, each is walked from provider to provider until its originator or the
//! point where it entered the country is known, and people watch.
//!
//! ```text
//! console, api ─► docket: request ─► case ─► walk ─► hop question ─► push, pull ─► provider
//!                    ▲                        ▲                                      │
//!                    │ pages, events          └──── answer, verified ◄───────────────┘
//! ```
//!
//! - [`word`]: the words that the rooms below share
//! - [`settings`]: what the operator decides
//! - [`password`]: passwords of people
//! - [`console`]: what people see, in a browser
//! - [`api`]: machines: providers', requesters'
//! - [`push`]: events to providers that are pushed to
//! - [`service`]: all of it on threads
//! - [`docket`]: cases, questions, answers, providers, users: one SQLite database, each act one transaction with its line in the audit log

pub mod api;
pub mod console;
pub mod docket;
pub mod password;
pub mod push;
pub mod service;
pub mod settings;
pub mod word;
