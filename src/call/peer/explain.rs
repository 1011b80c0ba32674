//! Which rule names the neighbour of a message, and why the others don't.

use std::net::IpAddr;
use std::sync::Arc;

use super::rule::{End, HeaderTest, Way};
use super::{Attribution, PeerKey, PeerRule, PeerTable, Seen, Words};
use crate::call::record::Direction;
use crate::wire::Mac;

/// What was found, rule by rule.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// Which way the message crossed our edge.
    pub direction: Direction,
    /// The neighbour's address: the sender's, or the receiver's where we sent it.
    pub address: IpAddr,
    /// The neighbour.
    pub peer: Option<Arc<str>>,
    /// The rule that named it.
    pub rule: Option<Arc<str>>,
    /// By what it was told, as its record would say.
    pub attribution: Attribution,
    /// Every rule in the order written.
    pub rules: Vec<RuleLine>,
}

/// One rule held against the message.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RuleLine {
    /// Its name.
    pub rule: Arc<str>,
    /// Whom it names.
    pub peer: Arc<str>,
    /// What became of it.
    pub outcome: Outcome,
    /// Each of its keys.
    pub keys: Vec<KeyLine>,
}

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It names the neighbour.
    Wins,
    /// It matches, and one that stands before it won.
    Late,
    /// A key does not match.
    NoMatch,
}

impl Outcome {
    /// Its name in output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Wins => "wins",
            Self::Late => "late",
            Self::NoMatch => "no match",
        }
    }
}

/// One key of a rule held against the message.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeyLine {
    /// Its name in peers.toml.
    pub key: &'static str,
    /// What the rule asks for.
    pub wanted: String,
    /// What the message has; none where it has nothing of the sort.
    pub seen: Option<String>,
    /// Whether that matches.
    pub matches: bool,
}

impl PeerTable {
    /// Holds every rule against a message.
    pub fn explain(&self, seen: Seen<'_>, words: Words<'_>) -> Explanation {
        let resolved = self.resolve(seen, words);
        let end = match resolved.direction {
            Direction::Egress => seen.receiver(),
            Direction::Ingress | Direction::Unknown => seen.sender(),
        };
        let ours = self.index.by_network(end.theirs.ip()).1;
        let winner = self.rules.iter().position(|r| {
            let won = resolved.peer.map(|(_, rule)| rule);
            won.is_some_and(|won| std::ptr::eq(won, r))
        });
        let rules = self.rules.iter().enumerate().map(|(i, rule)| {
            let keys = key_lines(rule, &end, words, ours);
            let matches = keys.iter().all(|k| k.matches);
            let outcome = match winner {
                Some(w) if w == i => Outcome::Wins,
                _ if matches => Outcome::Late,
                _ => Outcome::NoMatch,
            };
            let peer = self.peers.get(rule.peer);
            RuleLine {
                rule: rule.name.clone(),
                peer: peer.map(|p| p.id.clone()).unwrap_or_default(),
                outcome,
                keys,
            }
        });
        Explanation {
            direction: resolved.direction,
            address: end.theirs.ip(),
            peer: resolved.peer.map(|(p, _)| p.id.clone()),
            rule: resolved.peer.map(|(_, r)| r.name.clone()),
            attribution: self.attribution(resolved, seen, words),
            rules: rules.collect(),
        }
    }
}

fn key_lines(rule: &PeerRule, end: &End<'_>, words: Words<'_>, ours: bool) -> Vec<KeyLine> {
    let mut lines = Vec::new();
    if rule.way != Way::Both {
        lines.push(KeyLine {
            key: "direction",
            wanted: rule.way.label().to_owned(),
            seen: Some(
                match end.direction {
                    Direction::Egress => "egress",
                    Direction::Ingress | Direction::Unknown => "ingress",
                }
                .to_owned(),
            ),
            matches: rule.way.takes(end.direction),
        });
    }
    if rule.networks.is_empty() && ours {
        lines.push(KeyLine {
            key: PeerKey::Networks.label(),
            wanted: "any address but our platform's".to_owned(),
            seen: Some(end.theirs.ip().to_string()),
            matches: false,
        });
    }
    lines.extend(rule.keys().iter().map(|key| KeyLine {
        key: key.label(),
        wanted: wanted(rule, key).unwrap_or_default(),
        seen: shown(rule, key, end, words),
        matches: rule.fits(key, end, words),
    }));
    lines
}

/// What a rule asks for under a key, as it is written.
pub fn wanted(rule: &PeerRule, key: PeerKey) -> Option<String> {
    fn list<T>(all: &[T], text: impl Fn(&T) -> String) -> Option<String> {
        (!all.is_empty()).then(|| all.iter().map(text).collect::<Vec<_>>().join(", "))
    }
    let number = |n: Option<u16>| n.map(|n| n.to_string());
    let text = |t: &Option<Box<str>>| t.as_deref().map(str::to_owned);
    match key {
        PeerKey::Interface => rule.interface.as_deref().map(str::to_owned),
        PeerKey::Agent => rule.agent.as_deref().map(str::to_owned),
        PeerKey::Mac => list(&rule.macs, mac_text),
        PeerKey::Vlan => number(rule.vlan),
        PeerKey::InnerVlan => number(rule.inner_vlan),
        PeerKey::Networks => list(&rule.networks, ToString::to_string),
        PeerKey::Port => number(rule.port),
        PeerKey::OwnNetworks => list(&rule.own_networks, ToString::to_string),
        PeerKey::OwnPort => number(rule.own_port),
        PeerKey::Transport => rule.transport.map(|t| t.label().to_owned()),
        PeerKey::TrunkGroup => text(&rule.trunk_group),
        PeerKey::TrunkContext => text(&rule.trunk_context),
        PeerKey::Otg => text(&rule.otg),
        PeerKey::OrigIoi => text(&rule.orig_ioi),
        PeerKey::TechPrefix => text(&rule.tech_prefix),
        PeerKey::Header => rule.header.as_ref().map(|h| match &h.test {
            HeaderTest::Value(v) => format!("{}: {v}", h.name),
            HeaderTest::Prefix(v) => format!("{}: {v}…", h.name),
            HeaderTest::Pattern(p) => format!("{}: /{}/", h.name, p.as_str()),
        }),
    }
}

/// What a message has under a key.
fn shown(rule: &PeerRule, key: PeerKey, end: &End<'_>, words: Words<'_>) -> Option<String> {
    let flow = end.seen.flow;
    let said = words.said;
    let text = |t: &Option<Box<str>>| t.as_deref().map(str::to_owned);
    match key {
        PeerKey::Interface | PeerKey::Agent => end.seen.sensor.map(|s| s.name.to_string()),
        PeerKey::Mac => end.mac.as_ref().map(mac_text),
        PeerKey::Vlan => flow.vlans.first().map(u16::to_string),
        PeerKey::InnerVlan => flow.vlans.get(1).map(u16::to_string),
        PeerKey::Networks => Some(end.theirs.ip().to_string()),
        PeerKey::Port => Some(end.theirs.port().to_string()),
        PeerKey::OwnNetworks => Some(end.ours.ip().to_string()),
        PeerKey::OwnPort => Some(end.ours.port().to_string()),
        PeerKey::Transport => Some(flow.transport.label().to_owned()),
        PeerKey::TrunkGroup => words.group.map(str::to_owned),
        PeerKey::TrunkContext => text(&said.context),
        PeerKey::Otg => text(&said.otg),
        PeerKey::OrigIoi => text(&said.orig_ioi),
        PeerKey::TechPrefix => said.dialled.as_deref().map(crate::base::text::escape),
        PeerKey::Header => {
            let name = rule.header.as_ref().map(|h| &*h.name)?;
            let values: Vec<_> = said.header(name).collect();
            (!values.is_empty()).then(|| values.join(", "))
        }
    }
}

/// A hardware address as people write it.
pub fn mac_text(mac: &Mac) -> String {
    let octets: Vec<_> = mac.iter().map(|o| format!("{o:02x}")).collect();
    octets.join(":")
}
