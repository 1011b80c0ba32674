//! Floor 5: what can be shown to others years later, without us. Both sides of a traceback rest on it: [`crate::responder`] and [`crate::portal`].
//!
//! - [`sign`]: signatures of answers, reports and heads, and their check
//! - [`audit`]: the log that nobody can change
//! - [`who`]: who did something, as the log names him
//! - [`database`]: the file that the log is kept in, beside what it is about

pub mod audit;
pub mod database;
pub mod sign;
pub mod who;

pub use who::Who;
