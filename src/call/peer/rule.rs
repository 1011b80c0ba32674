//! One rule: its keys, and whether a message fits them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use regex_lite::Regex;

use super::attribution::{PeerKey, PeerKeys};
use super::said::Words;
use crate::call::record::{Direction, Sensor};
use crate::wire::{Flow, Mac, Provenance, Transport};

/// One rule; keys that are set must all match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerRule {
    /// Unique name, kept in the record.
    pub name: Arc<str>,
    /// The neighbour that it names, by index.
    pub peer: usize,
    /// Which calls it speaks of.
    pub way: Way,
    /// Service provider codes that sign calls here; none: those of the neighbour.
    pub signers: Vec<Box<str>>,
    /// Sensor that is an interface, or files.
    pub interface: Option<Arc<str>>,
    /// Sensor that is a HEP agent.
    pub agent: Option<Arc<str>>,
    /// Hardware addresses of the neighbour's routers; any of them.
    pub macs: Vec<Mac>,
    /// Outer VLAN id.
    pub vlan: Option<u16>,
    /// Second VLAN id.
    pub inner_vlan: Option<u16>,
    /// The neighbour's addresses; any of them. Without any: every address but those of our own platform.
    pub networks: Vec<IpNet>,
    /// The neighbour's port.
    pub port: Option<u16>,
    /// Our addresses; any of them.
    pub own_networks: Vec<IpNet>,
    /// Our port.
    pub own_port: Option<u16>,
    /// What carries it.
    pub transport: Option<Transport>,
    /// Trunk group (RFC 4904 `tgrp`, or `otg`), in any case.
    pub trunk_group: Option<Box<str>>,
    /// `trunk-context` beside it, in any case.
    pub trunk_context: Option<Box<str>>,
    /// `otg`, in any case.
    pub otg: Option<Box<str>>,
    /// `orig-ioi` of P-Charging-Vector, in any case.
    pub orig_ioi: Option<Box<str>>,
    /// What stands in front of the called number: digits, `*`, `#`.
    pub tech_prefix: Option<Box<str>>,
    /// A header and its value.
    pub header: Option<HeaderKey>,
}

/// Which calls a rule speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// All.
    #[default]
    Both,
    /// Those that come from the neighbour.
    Ingress,
    /// Those that go to it.
    Egress,
}

impl Way {
    /// Whether a call of this direction is meant.
    pub fn takes(self, direction: Direction) -> bool {
        match self {
            Self::Both => true,
            Self::Ingress => direction != Direction::Egress,
            Self::Egress => direction != Direction::Ingress,
        }
    }

    /// Whether some call is meant by both.
    pub fn meets(self, other: Self) -> bool {
        self == other || self == Self::Both || other == Self::Both
    }

    /// Its name, as in peers.toml.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// A header that a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderKey {
    /// Its name, in any case.
    pub name: Box<str>,
    /// What its value must be.
    pub test: HeaderTest,
}

/// What a header's value must be. Values are compared as escaped text of 256 octets at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderTest {
    /// This, in any case.
    Value(Box<str>),
    /// Begin with this, in any case.
    Prefix(Box<str>),
    /// Match this.
    Pattern(Pattern),
}

/// A regular expression of bounded size. It is searched for anywhere in a value, in time linear in both.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// Octets that a compiled pattern may take: four times what the longest sensible one needs.
const PATTERN_SIZE: usize = 64 << 10;

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for people.
    pub fn new(text: &str) -> Result<Self, String> {
        regex_lite::RegexBuilder::new(text)
            .size_limit(PATTERN_SIZE)
            .build()
            .map(Self)
            .map_err(|e| e.to_string())
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl HeaderTest {
    /// Whether a value passes.
    pub fn passes(&self, value: &str) -> bool {
        match self {
            Self::Value(wanted) => value.eq_ignore_ascii_case(wanted),
            Self::Prefix(wanted) => value
                .get(..wanted.len())
                .is_some_and(|front| front.eq_ignore_ascii_case(wanted)),
            Self::Pattern(pattern) => pattern.0.is_match(value),
        }
    }
}

/// Where a message was seen: all that packets show of it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Between whom, and over what.
    pub flow: &'a Flow,
    /// Which sensor saw it, where that is known.
    pub sensor: Option<&'a Sensor>,
}

impl<'a> Seen<'a> {
    /// Its sender, taken for the neighbour.
    pub(super) fn sender(self) -> End<'a> {
        End {
            theirs: self.flow.source,
            ours: self.flow.destination,
            mac: self.flow.macs.source,
            direction: Direction::Ingress,
            seen: self,
        }
    }

    /// Its receiver, taken for the neighbour.
    pub(super) fn receiver(self) -> End<'a> {
        End {
            theirs: self.flow.destination,
            ours: self.flow.source,
            mac: self.flow.macs.destination,
            direction: Direction::Egress,
            seen: self,
        }
    }
}

/// One end of a message, taken for the neighbour.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a> {
    pub theirs: SocketAddr,
    pub ours: SocketAddr,
    pub mac: Option<Mac>,
    pub direction: Direction,
    pub seen: Seen<'a>,
}

impl PeerRule {
    /// A rule without keys: the rest is set field by field.
    pub fn new(name: &str, peer: usize) -> Self {
        Self {
            name: name.into(),
            peer,
            ..Self::default()
        }
    }

    /// Keys that it asks for.
    pub fn keys(&self) -> PeerKeys {
        PeerKey::ALL
            .iter()
            .copied()
            .filter(|k| self.asks(*k))
            .collect()
    }

    /// Whether it asks for something that only the message says.
    pub fn listens(&self) -> bool {
        self.keys().iter().any(|k| !k.is_shown())
    }

    /// Whether an address is the neighbour's, as far as `networks` say.
    pub fn has_address(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|n| n.contains(&ip))
    }

    /// Whether a key is set.
    pub fn asks(&self, key: PeerKey) -> bool {
        match key {
            PeerKey::Interface => self.interface.is_some(),
            PeerKey::Agent => self.agent.is_some(),
            PeerKey::Mac => !self.macs.is_empty(),
            PeerKey::Vlan => self.vlan.is_some(),
            PeerKey::InnerVlan => self.inner_vlan.is_some(),
            PeerKey::Networks => !self.networks.is_empty(),
            PeerKey::Port => self.port.is_some(),
            PeerKey::OwnNetworks => !self.own_networks.is_empty(),
            PeerKey::OwnPort => self.own_port.is_some(),
            PeerKey::Transport => self.transport.is_some(),
            PeerKey::TrunkGroup => self.trunk_group.is_some(),
            PeerKey::TrunkContext => self.trunk_context.is_some(),
            PeerKey::Otg => self.otg.is_some(),
            PeerKey::OrigIoi => self.orig_ioi.is_some(),
            PeerKey::TechPrefix => self.tech_prefix.is_some(),
            PeerKey::Header => self.header.is_some(),
        }
    }

    /// Whether one key of the rule matches; a key that is not set does.
    pub(super) fn fits(&self, key: PeerKey, end: &End<'_>, words: Words<'_>) -> bool {
        let flow = end.seen.flow;
        match key {
            PeerKey::Interface => is_sensor(self.interface.as_deref(), end, false),
            PeerKey::Agent => is_sensor(self.agent.as_deref(), end, true),
            PeerKey::Mac => self.macs.is_empty() || end.mac.is_some_and(|m| self.macs.contains(&m)),
            PeerKey::Vlan => is(self.vlan, flow.vlans.first().copied()),
            PeerKey::InnerVlan => is(self.inner_vlan, flow.vlans.get(1).copied()),
            PeerKey::Networks => self.networks.is_empty() || self.has_address(end.theirs.ip()),
            PeerKey::Port => is(self.port, Some(end.theirs.port())),
            PeerKey::OwnNetworks => {
                let ours = end.ours.ip();
                self.own_networks.is_empty() || self.own_networks.iter().any(|n| n.contains(&ours))
            }
            PeerKey::OwnPort => is(self.own_port, Some(end.ours.port())),
            PeerKey::Transport => is(self.transport, Some(flow.transport)),
            PeerKey::TrunkGroup => says(self.trunk_group.as_deref(), words.group),
            PeerKey::TrunkContext => {
                says(self.trunk_context.as_deref(), words.said.context.as_deref())
            }
            PeerKey::Otg => says(self.otg.as_deref(), words.said.otg.as_deref()),
            PeerKey::OrigIoi => says(self.orig_ioi.as_deref(), words.said.orig_ioi.as_deref()),
            PeerKey::TechPrefix => self
                .tech_prefix
                .as_deref()
                .is_none_or(|p| words.said.without_prefix(p).is_some()),
            PeerKey::Header => self.header.as_ref().is_none_or(|h| {
                let mut values = words.said.header(&h.name);
                values.any(|v| h.test.passes(v))
            }),
        }
    }

    /// Whether every key that the packet shows matches.
    pub(super) fn fits_shown(&self, end: &End<'_>, words: Words<'_>) -> bool {
        self.way.takes(end.direction)
            && PeerKey::SHOWN.iter().all(|key| self.fits(*key, end, words))
    }

    /// Whether every key that the message says matches.
    pub(super) fn fits_said(&self, end: &End<'_>, words: Words<'_>) -> bool {
        PeerKey::SAID.iter().all(|key| self.fits(*key, end, words))
    }
}

fn is<T: PartialEq>(wanted: Option<T>, seen: Option<T>) -> bool {
    wanted.is_none() || wanted == seen
}

fn says(wanted: Option<&str>, said: Option<&str>) -> bool {
    wanted.is_none_or(|w| said.is_some_and(|s| s.eq_ignore_ascii_case(w)))
}

fn is_sensor(wanted: Option<&str>, end: &End<'_>, agent: bool) -> bool {
    wanted.is_none_or(|w| {
        end.seen
            .sensor
            .is_some_and(|s| &*s.name == w && (s.provenance == Provenance::Hep) == agent)
    })
}
