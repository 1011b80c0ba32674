//! Random acts.
