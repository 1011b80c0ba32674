//! Neighbours: who hands calls to us and to whom we hand them, found by ordered rules over where a message came in.
//!
//! The first rule whose keys all match names the neighbour. The table has a version, which every record keeps, so that
//! an old call keeps the neighbour of its day.
//!
//! What the packet shows comes before what the message says: a message narrows the choice between the rules of the address that it came from and
//! never widens it. A rule that asks for words of a message names networks too (`config` refuses any other), so headers that imitate another
//! neighbour's trunk change nothing. Where only words tell neighbours apart, the record says so ([`Attribution::shared`]).
//!
//! - [`rule`]: one rule's keys
//! - [`said`]: what an INVITE says of its trunk
//! - [`attribution`]: by what a neighbour was told
//! - [`review`]: rules that meet, share or reach far
//! - [`explain`]: which rule matches, and why the others don't
//! - [`unknown`]: addresses that no rule knows

pub mod attribution;
pub mod explain;
mod index;
pub mod review;
pub mod rule;
pub mod said;
pub mod unknown;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub use attribution::{Attribution, PeerKey, PeerKeys};
pub use rule::{HeaderKey, HeaderTest, Pattern, PeerRule, Seen, Way};
pub use said::{Said, Words};

use crate::base::digest::IdDigest;
use crate::call::record::Direction;
use crate::wire::Flow;
use index::Index;
use rule::End;

/// What a neighbour is to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerKind {
    /// A voice service provider in our country.
    #[default]
    Provider,
    /// An end customer of ours: calls from here begin here.
    Customer,
    /// A provider abroad: calls from here enter the country with us.
    Foreign,
    /// Our own platform.
    Own,
}

/// A neighbour.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Peer {
    /// Short name, unique in the table.
    pub id: Arc<str>,
    /// Legal name.
    pub name: Arc<str>,
    /// What it is to us.
    pub kind: PeerKind,
    /// A customer that is a reseller or a dialling platform, and in no registry of providers.
    pub platform: bool,
    /// ISO 3166 country code.
    pub country: Arc<str>,
    /// Operating company number or service provider code, where it has one.
    pub ocn: Option<Arc<str>>,
    /// Service provider codes that its calls are expected to be signed with; none: any.
    pub signers: Vec<Box<str>>,
    /// Its id at the traceback portal.
    pub portal_id: Option<Arc<str>>,
    /// Its number in the Robocall Mitigation Database.
    pub rmd: Option<Arc<str>>,
    /// Its FCC registration number.
    pub frn: Option<Arc<str>>,
    /// Whom to write to about a traceback.
    pub contact: Option<Arc<str>>,
}

impl Peer {
    /// A neighbour in the United States that is named by its id, of whom nothing else is known.
    pub fn new(id: &str, kind: PeerKind) -> Self {
        Self {
            id: id.into(),
            name: id.into(),
            kind,
            country: "US".into(),
            ..Self::default()
        }
    }
}

/// All neighbours and rules of one configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerTable {
    /// Neighbours in the order written.
    pub peers: Vec<Peer>,
    /// Rules in the order written. They are found by an index that [`PeerTable::new`] makes: other rules are another table.
    pub rules: Vec<PeerRule>,
    /// Version of the configuration: a checksum of its text.
    pub version: u32,
    index: Index,
    /// For each rule, how a [`Side`] names it, and whether it is for our own platform.
    marks: Vec<Mark>,
    takes_prefixes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    name: u64,
    own: bool,
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
    /// The rule that is the first to name its address, and its port and VLAN where it asks for these: a digest of the rule's name, so that calls stay
    /// theirs when rules move in the table.
    Rule(u64),
    /// An address that no rule names.
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
        match self.peer {
            Some((_, rule)) if !rule.signers.is_empty() => &rule.signers,
            Some((peer, _)) => &peer.signers,
            None => &[],
        }
    }
}

impl PeerTable {
    /// A table of neighbours and rules, in the order written.
    pub fn new(peers: Vec<Peer>, rules: Vec<PeerRule>, version: u32) -> Self {
        let index = Index::new(&peers, &rules);
        let takes_prefixes = rules.iter().any(|r| r.tech_prefix.is_some());
        let mark = |r: &PeerRule| Mark {
            name: IdDigest::of(r.name.as_bytes()).0,
            own: peers.get(r.peer).is_some_and(|p| p.kind == PeerKind::Own),
        };
        let marks = rules.iter().map(mark).collect();
        Self {
            peers,
            rules,
            version,
            index,
            marks,
            takes_prefixes,
        }
    }

    /// Finds the neighbour of a request: its sender, unless that is our own platform, then its receiver.
    pub fn resolve(&self, seen: Seen<'_>, words: Words<'_>) -> Resolved<'_> {
        let from = self.find(&seen.sender(), words);
        let to = self.find(&seen.receiver(), words);
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

    /// By what the neighbour was told that [`PeerTable::resolve`] gave for the same message.
    pub fn attribution(
        &self,
        resolved: Resolved<'_>,
        seen: Seen<'_>,
        words: Words<'_>,
    ) -> Attribution {
        let end = match resolved.direction {
            Direction::Egress => seen.receiver(),
            Direction::Ingress | Direction::Unknown => seen.sender(),
        };
        let rivals = self.rivals(&end, words);
        let asked = |key| rivals.iter().any(|r| r.asks(key));
        let rule = resolved.peer.map(|(_, rule)| rule);
        let said = words.said;
        let header = rule.and_then(|r| r.header.as_ref());
        let header = header.or_else(|| rivals.iter().find_map(|r| r.header.as_ref()));
        Attribution {
            keys: rule.map(PeerRule::keys).unwrap_or_default(),
            shared: rivals
                .iter()
                .any(|r| rivals.first().is_some_and(|f| f.peer != r.peer)),
            mac: end.mac.filter(|_| asked(PeerKey::Mac)),
            trunk_context: said
                .context
                .clone()
                .filter(|_| asked(PeerKey::TrunkContext)),
            orig_ioi: said.orig_ioi.clone().filter(|_| asked(PeerKey::OrigIoi)),
            tech_prefix: rule.and_then(|r| r.tech_prefix.clone()),
            header: header.and_then(|h| {
                let mut values = said.header(&h.name);
                let first = values.next()?;
                // The value that passed, where one did.
                let passed = std::iter::once(first)
                    .chain(values)
                    .find(|v| h.test.passes(v));
                Some(format!("{}: {}", h.name, passed.unwrap_or(first)).into())
            }),
        }
    }

    /// The side of our edge on which an INVITE with this flow ran. Ask for a response with the flow reversed.
    pub fn side(&self, flow: &Flow) -> Side {
        let vlan = flow.vlans.first().copied();
        let at = |side: SocketAddr| {
            let (named, _) = self.index.by_network(side.ip());
            named.into_iter().find_map(|i| {
                let i = usize::try_from(i).ok()?;
                let rule = self.rules.get(i)?;
                let fits = rule.port.is_none_or(|p| p == side.port())
                    && rule.vlan.is_none_or(|v| vlan == Some(v));
                self.marks.get(i).copied().filter(|_| fits)
            })
        };
        let own = |mark: Option<Mark>| mark.is_some_and(|m| m.own);
        let (from, to) = (at(flow.source), at(flow.destination));
        let (direction, rule, address) = match (own(from), own(to)) {
            (false, true) => (Direction::Ingress, from, flow.source),
            (true, false) => (Direction::Egress, to, flow.destination),
            // Between strangers, or inside our platform: the sender tells attempts apart.
            (false, false) | (true, true) => (Direction::Unknown, None, flow.source),
        };
        let remote = rule.map_or(Remote::Address(address.ip()), |m| Remote::Rule(m.name));
        Side { direction, remote }
    }

    /// The neighbour with the given id.
    pub fn peer(&self, id: &str) -> Option<&Peer> {
        self.peers.iter().find(|p| &*p.id == id)
    }

    /// Whether some rule asks for a technical prefix.
    pub fn takes_prefixes(&self) -> bool {
        self.takes_prefixes
    }

    /// Headers that some rule asks for, each once.
    pub fn headers(&self) -> Vec<Box<str>> {
        let mut names: Vec<Box<str>> = Vec::new();
        for header in self.rules.iter().filter_map(|r| r.header.as_ref()) {
            if !names.iter().any(|n| n.eq_ignore_ascii_case(&header.name)) {
                names.push(header.name.clone());
            }
        }
        names
    }

    fn find(&self, end: &End<'_>, words: Words<'_>) -> Option<(&Peer, &PeerRule)> {
        let rule = self
            .candidates(end)
            .find(|r| r.fits_shown(end, words) && r.fits_said(end, words))?;
        Some((self.peers.get(rule.peer)?, rule))
    }

    /// Rules that the packet would let match, up to the first that asks for no words: which of them matches is for the message to say.
    fn rivals(&self, end: &End<'_>, words: Words<'_>) -> Vec<&PeerRule> {
        let mut rivals = Vec::new();
        for rule in self.candidates(end).filter(|r| r.fits_shown(end, words)) {
            rivals.push(rule);
            if !rule.listens() {
                break;
            }
        }
        rivals
    }

    fn candidates(&self, end: &End<'_>) -> impl Iterator<Item = &PeerRule> {
        let found = self.index.candidates(end.theirs.ip()).into_iter();
        found.filter_map(|i| self.rules.get(usize::try_from(i).ok()?))
    }
}

#[cfg(test)]
mod tests;
