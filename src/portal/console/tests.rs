//! The console, asked as a browser asks.

pub(super) mod browser;
mod case;
mod door;
mod look;
mod pages;
mod traced;
