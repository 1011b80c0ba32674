//! Floor 5: what only `unsafe` reaches, each behind a safe door. The only room in which it is allowed.
//!
//! - [`timex`]: what the kernel says of its clock

#![allow(unsafe_code)]

pub mod timex;
