//! Where a leg runs: a side of our edge, within one network. Two tenants whose addresses, Call-ID and tags are equal never meet.
//!
//! In goes what both directions of a dialog have in common and nothing else. VLAN ids count where a rule of peers.toml names them, through the
//! [`Side`]: taps and aggregators that put another tag on each direction would part answers from their calls.

use std::net::IpAddr;

use crate::base::digest::IdDigest;
use crate::call::peer::Side;
use crate::wire::Flow;
use crate::wire::tunnel::{TunnelKind, TunnelPath};

/// See the module. Both ways of a dialog give the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    /// The side of our edge.
    pub side: Side,
    /// Names the network: a digest of the tunnels, 0 outside of any.
    pub network: u64,
}

impl Lane {
    /// The lane of an INVITE with this flow and side.
    pub fn new(side: Side, flow: &Flow) -> Self {
        Self {
            side,
            network: network(&flow.path),
        }
    }
}

/// Outside of any tunnel.
impl From<Side> for Lane {
    fn from(side: Side) -> Self {
        Self { side, network: 0 }
    }
}

/// A digest that nobody finds a second way into, and the same after a restart.
fn network(path: &TunnelPath) -> u64 {
    if path.is_empty() {
        return 0;
    }
    let mut text = Vec::with_capacity(64);
    for hop in path.iter() {
        text.extend_from_slice(hop.kind.label().as_bytes());
        let (id, ends) = match hop.kind {
            // Each direction has a label of its own, and a mirror's session is no network.
            TunnelKind::Mpls | TunnelKind::Erspan => (None, None),
            // Which of an overlay's routers a packet takes may differ by direction (RFC 9135 §4).
            TunnelKind::Vxlan | TunnelKind::Geneve | TunnelKind::Pppoe => (hop.id, None),
            TunnelKind::Gre | TunnelKind::IpInIp => (hop.id, hop.ends),
        };
        if let Some(id) = id {
            text.push(b'#');
            text.extend_from_slice(&id.to_be_bytes());
        }
        for end in ends.into_iter().flat_map(|(a, b)| [a, b]) {
            text.push(b'@');
            match end {
                IpAddr::V4(a) => text.extend_from_slice(&a.octets()),
                IpAddr::V6(a) => text.extend_from_slice(&a.octets()),
            }
        }
        text.push(b'/');
    }
    IdDigest::of(&text).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tunnel::{Carries, Opened};

    fn path(kind: TunnelKind, id: u32, ends: [&str; 2]) -> TunnelPath {
        let opened = Opened {
            kind,
            id: Some(id),
            carries: Carries::Ip,
            vlan: None,
            truncated: false,
            inside: &[],
        };
        let [a, b] = ends.map(|e| e.parse().unwrap());
        TunnelPath::none().into_tunnel(&opened, Some((a, b)), Default::default())
    }

    #[test]
    fn a_tunnels_number_names_the_network_and_a_label_or_a_mirror_does_not() {
        let of = |kind, id| network(&path(kind, id, ["192.0.2.1", "192.0.2.2"]));
        assert_ne!(of(TunnelKind::Vxlan, 1), of(TunnelKind::Vxlan, 2));
        assert_ne!(of(TunnelKind::Vxlan, 1), of(TunnelKind::Geneve, 1));
        assert_ne!(of(TunnelKind::Gre, 1), of(TunnelKind::Gre, 2));
        assert_eq!(of(TunnelKind::Mpls, 1), of(TunnelKind::Mpls, 2));
        assert_eq!(of(TunnelKind::Erspan, 1), of(TunnelKind::Erspan, 2));
        assert_eq!(network(&TunnelPath::none()), 0);
    }

    #[test]
    fn both_ways_through_a_tunnel_are_one_network() {
        let (a, b, c) = ("192.0.2.1", "192.0.2.2", "192.0.2.3");
        let gre = |ends| network(&path(TunnelKind::Gre, 7, ends));
        assert_eq!(gre([a, b]), gre([b, a]));
        assert_ne!(gre([a, b]), gre([a, c]));
    }
}
