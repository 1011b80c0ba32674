//! The console, asked as a browser asks.

pub(super) mod browser;
mod door;
mod look;
mod pages;
