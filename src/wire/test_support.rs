//! A message to test with.

use super::tunnel::TunnelPath;
use super::{Flow, Message, Transport, Vlans};
use crate::base::Timestamp;

/// From a neighbour to us over UDP, whole, seen by the first sensor.
pub(crate) fn message(at: Timestamp, bytes: &[u8]) -> Message {
    Message {
        seq: 0,
        at,
        flow: Flow {
            source: SENDER.parse().unwrap(),
            destination: RECEIVER.parse().unwrap(),
            transport: Transport::Udp,
            vlans: Vlans::new(),
            path: TunnelPath::none(),
            macs: Default::default(),
        },
        sensor: 0,
        bytes: bytes.to_vec(),
        cut: None,
    }
}

const SENDER: &str = "198.51.100.1:5060";
const RECEIVER: &str = "192.0.2.1:5060";
