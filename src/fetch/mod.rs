//! Floor 5: where credentials come from.
//!
//! - [`directory`]: from files, for capture hosts without internet and for laboratories
//! - [`lists`]: the list of authorities and the revocation lists among them
//! - [`held`]: trust that is held while these files change
//!
//! Over HTTPS, from the URLs that calls name (RFC 8226 §7, ATIS-1000074); whoever sends a call chooses them, so everything is guarded:
//!
//! ```text
//! wish ─► desk: policy (may it be asked?) + cache (is it there?) ─► connect, http ─► desk ─► answer, credentials ─► disk
//! ```
//!
//! - [`desk`]: all of it without sockets, files and clock; made of [`policy`], [`cache`] and [`outcome`]
//! - [`address`]: where a name from outside may lead us
//! - [`connect`], `http`: one guarded exchange, every octet of it capped
//! - [`disk`]: what was fetched, over restarts
//! - [`renewal`], [`sti_pa`]: the lists that trust rests on, from the STI-PA
//! - [`fetcher`]: the threads

pub mod address;
pub mod cache;
pub mod connect;
pub mod desk;
pub mod directory;
pub mod disk;
pub mod fetcher;
pub mod held;
mod http;
pub mod lists;
pub mod outcome;
pub mod policy;
pub mod renewal;
pub mod sti_pa;

pub use desk::{FetchReport, ListsInUse};
pub use fetcher::{Client, FetchSettings, Fetcher, StartError};
pub use outcome::Outcome;
