//! Floor 5: where credentials come from.
//!
//! - [`directory`]: from files, for capture hosts without internet and for laboratories

pub mod directory;
