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
//! - [`docket`]: cases, questions, answers, providers, users: one SQLite database, each act one transaction with its line in the audit log

pub mod docket;
pub mod settings;
pub mod word;
