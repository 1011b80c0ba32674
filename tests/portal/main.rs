//! The portal as a real process: a whole trace with ten daemons, kill -9 anywhere, floods, and providers who mean ill. Traffic stays on loopback.

mod flood;
mod house;
mod kill;
mod whole;

#[path = "../traceback/calls.rs"]
mod calls;
#[allow(dead_code)] // written for another portal as well
#[path = "../traceback/chain.rs"]
mod chain;
#[allow(dead_code)]
#[path = "../traceback/node.rs"]
mod node;
/// What the chain knows of a portal.
mod portal {
    pub use crate::house::Portal;
}
