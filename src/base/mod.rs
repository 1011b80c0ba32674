//! Floor 0: what every other room may use. Pure: no file, socket, thread, clock or log.
//!
//! - [`time`]: one [`Timestamp`], nanoseconds since 1970 in UTC
//! - [`bounded`]: a map that can't grow past its limits and says what it evicted
//! - `counters`: counters with a name and a help each
//! - [`text`]: bytes from the wire as text that can be undone
//! - `words`: closed sets of words with stable names
//! - [`digest`]: short digests of identifiers that only need to be compared

pub mod bounded;
pub(crate) mod counters;
pub mod digest;
pub mod text;
pub mod time;
pub(crate) mod words;

pub use time::Timestamp;
