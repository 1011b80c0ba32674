//! Floor 5: system calls for which there is no safe wrapper. The only room with `unsafe` in it (`tests/house.rs` sees to that): each block says
//! why it is sound, and what leaves the room is safe to use in any way that compiles.
//!
//! - [`kin`]: children that end with us
//! - [`packet`]: packet sockets and network interfaces
//! - [`ring`]: frames out of memory shared with the kernel
//! - [`timex`]: what the kernel says of its clock

#![warn(clippy::undocumented_unsafe_blocks)]

pub mod kin;
pub mod packet;
pub mod ring;
pub mod timex;
