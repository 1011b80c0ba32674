//! Neighbours: who hands calls to us and to whom we hand them, found by ordered rules over where a message came in.
//!
//! The first rule whose keys all match names the neighbour. The table has a version, which every record keeps, so that
//! an old call keeps the neighbour of its day.

pub mod attribution;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub use attribution::{Attribution, PeerKey, PeerKeys};
use ipnet::IpNet;

use crate::call::record::Direction;
use crate::wire::Flow;

/// What a neighbour is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerKind {
    /// A voice service provider in our country.
    Provider,
    /// An end customer of ours: calls from here begin here.
    Customer,
    /// A provider abroad: calls from here enter the country with us.
    Foreign,
    /// Our own platform.
    Own,
}

/// A neighbour.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Peer {
    /// Short name, unique in the table.
    pub id: Arc<str>,
    /// Legal name.
    pub name: Arc<str>,
    /// What it is to us.
    pub kind: PeerKind,
    /// ISO 3166 country code.
    pub country: Arc<str>,
    /// Operating company number or service provider code, where it has one.
    pub ocn: Option<Arc<str>>,
    /// Its id at the traceback portal.
    pub portal_id: Option<Arc<str>>,
    /// Its number in the Robocall Mitigation Database.
    pub rmd: Option<Arc<str>>,
    /// Whom to write to about a traceback.
    pub contact: Option<Arc<str>>,
}

/// One rule; keys that are set must all match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRule {
    /// Unique name, kept in the record.
    pub name: Arc<str>,
    /// The neighbour that it names, by index.
    pub peer: usize,
    /// The neighbour's addresses.
    pub networks: Vec<IpNet>,
    /// The neighbour's port.
    pub port: Option<u16>,
    /// Outer VLAN id.
    pub vlan: Option<u16>,
    /// Trunk group (RFC 4904 `tgrp`, or `otg`), in any case.
    pub trunk_group: Option<Box<str>>,
}

/// All neighbours and rules of one configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerTable {
    /// Neighbours in the order written.
    pub peers: Vec<Peer>,
    /// Rules in the order written.
    pub rules: Vec<PeerRule>,
    /// Version of the configuration: a checksum of its text.
    pub version: u32,
}

/// A side of our edge, told by addresses alone so that both ways of a dialog give the same one. Groups what belongs to one call
/// attempt; who the neighbour is says [`PeerTable::resolve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Side {
    /// Which way the INVITE crossed our edge.
    pub direction: Direction,
    /// The other end.
    pub remote: Remote,
}

/// The other end of a [`Side`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remote {
    /// The rule, by index, that is the first to match its address.
    Rule(usize),
    /// An address that no rule knows.
    Address(IpAddr),
}

/// What [`PeerTable::resolve`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// Which way the message crossed our edge.
    pub direction: Direction,
    /// The neighbour and the rule that named it.
    pub peer: Option<(&'a Peer, &'a PeerRule)>,
}

impl<'a> Resolved<'a> {
    /// Service provider codes that may sign here: the rule's, else the neighbour's. None: any may.
    pub fn signers(&self) -> &'a [Box<str>] {
        &[]
    }
}

impl PeerTable {
    /// Finds the neighbour of a request: its sender, unless that is our own platform, then its receiver.
    pub fn resolve(&self, flow: &Flow, trunk: Option<&[u8]>) -> Resolved<'_> {
        let vlan = flow.vlans.first().copied();
        let from = self.find(flow.source, vlan, trunk);
        let to = self.find(flow.destination, vlan, trunk);
        let own =
            |side: Option<(&Peer, &PeerRule)>| side.is_some_and(|(p, _)| p.kind == PeerKind::Own);
        let (direction, peer) = match (from, to) {
            (Some(_), Some(_)) if own(from) && own(to) => (Direction::Unknown, from),
            (Some(_), _) if !own(from) => (Direction::Ingress, from),
            (Some(_), _) => (Direction::Egress, to),
            (None, Some(_)) if own(to) => (Direction::Ingress, None),
            (None, Some(_)) => (Direction::Egress, to),
            (None, None) => (Direction::Unknown, None),
        };
        Resolved { direction, peer }
    }

    /// The side of our edge on which an INVITE with this flow ran. Ask for a response with the flow reversed.
    pub fn side(&self, flow: &Flow) -> Side {
        let vlan = flow.vlans.first().copied();
        let at = |side: SocketAddr| {
            self.rules
                .iter()
                .position(|r| r.matches_address(side, vlan))
        };
        let own = |rule: Option<usize>| {
            rule.and_then(|r| self.peers.get(self.rules.get(r)?.peer))
                .is_some_and(|p| p.kind == PeerKind::Own)
        };
        let (from, to) = (at(flow.source), at(flow.destination));
        let (direction, rule, address) = match (own(from), own(to)) {
            (false, true) => (Direction::Ingress, from, flow.source),
            (true, false) => (Direction::Egress, to, flow.destination),
            // Between strangers, or inside our platform: the sender tells attempts apart.
            (false, false) | (true, true) => (Direction::Unknown, None, flow.source),
        };
        let remote = rule.map_or(Remote::Address(address.ip()), Remote::Rule);
        Side { direction, remote }
    }

    /// The neighbour with the given id.
    pub fn peer(&self, id: &str) -> Option<&Peer> {
        self.peers.iter().find(|p| &*p.id == id)
    }

    fn find(
        &self,
        side: SocketAddr,
        vlan: Option<u16>,
        trunk: Option<&[u8]>,
    ) -> Option<(&Peer, &PeerRule)> {
        let rule = self.rules.iter().find(|r| r.matches(side, vlan, trunk))?;
        Some((self.peers.get(rule.peer)?, rule))
    }
}

impl PeerRule {
    fn matches_address(&self, side: SocketAddr, vlan: Option<u16>) -> bool {
        (self.networks.is_empty() || self.networks.iter().any(|n| n.contains(&side.ip())))
            && self.port.is_none_or(|p| p == side.port())
            && self.vlan.is_none_or(|v| vlan == Some(v))
    }

    fn matches(&self, side: SocketAddr, vlan: Option<u16>, trunk: Option<&[u8]>) -> bool {
        self.matches_address(side, vlan)
            && self
                .trunk_group
                .as_ref()
                .is_none_or(|g| trunk.is_some_and(|t| t.eq_ignore_ascii_case(g.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Transport, Vlans};

    fn table() -> PeerTable {
        let peer = |id: &str, kind| Peer {
            id: id.into(),
            name: id.into(),
            kind,
            country: "US".into(),
            ocn: None,
            portal_id: None,
            rmd: None,
            contact: None,
        };
        let rule = |name: &str, peer, net: &str, trunk: Option<&str>| PeerRule {
            name: name.into(),
            peer,
            networks: vec![net.parse().unwrap()],
            port: None,
            vlan: None,
            trunk_group: trunk.map(Into::into),
        };
        PeerTable {
            peers: vec![
                peer("us", PeerKind::Own),
                peer("north", PeerKind::Provider),
                peer("reseller", PeerKind::Provider),
            ],
            rules: vec![
                rule("us", 0, "192.0.2.0/28", None),
                rule("north-reseller", 2, "198.51.100.0/28", Some("RS-1")),
                rule("north", 1, "198.51.100.0/28", None),
            ],
            version: 1,
        }
    }

    fn flow(source: &str, destination: &str) -> Flow {
        Flow {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            transport: Transport::Udp,
            vlans: Vlans::new(),
            path: Default::default(),
        }
    }

    fn resolve(
        source: &str,
        destination: &str,
        trunk: Option<&str>,
    ) -> (Direction, Option<String>) {
        let t = table();
        let r = t.resolve(&flow(source, destination), trunk.map(str::as_bytes));
        (r.direction, r.peer.map(|(p, _)| p.id.to_string()))
    }

    #[test]
    fn the_first_rule_that_matches_wins() {
        let (us, north) = ("192.0.2.1:5060", "198.51.100.1:5060");
        assert_eq!(
            resolve(north, us, None),
            (Direction::Ingress, Some("north".into()))
        );
        assert_eq!(
            resolve(north, us, Some("rs-1")),
            (Direction::Ingress, Some("reseller".into()))
        );
        assert_eq!(
            resolve(us, north, None),
            (Direction::Egress, Some("north".into()))
        );
    }

    #[test]
    fn strangers_are_unknown_upstreams_only_towards_us() {
        assert_eq!(
            resolve("203.0.113.7:5060", "192.0.2.1:5060", None),
            (Direction::Ingress, None)
        );
        assert_eq!(
            resolve("203.0.113.7:5060", "203.0.113.8:5060", None),
            (Direction::Unknown, None)
        );
        assert_eq!(
            resolve("192.0.2.1:5060", "203.0.113.8:5060", None),
            (Direction::Egress, None)
        );
    }
}
