//! Floor 5: where credentials come from.
//!
//! - [`directory`]: from files, for capture hosts without internet and for laboratories
//! - [`lists`]: the list of authorities and the revocation lists among them
//! - [`held`]: trust that is held while these files change

pub mod directory;
pub mod held;
mod lists;
