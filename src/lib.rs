//! tracehop
pub mod base;
pub mod call;
pub mod number;
pub mod stir;
pub mod store;
pub mod wire;
