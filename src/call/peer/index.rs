//! Which rules may fit an address, without asking each of them. Memory is linear in the networks written.

use std::net::IpAddr;

use ipnet::IpNet;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{Peer, PeerKind, PeerRule};

/// Rules by the networks that they name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    v4: Lengths,
    v6: Lengths,
    /// Rules without networks, in the order written.
    open: Vec<u32>,
}

/// For each length of a prefix that occurs: prefixes of that length, and the rules that name them. Keys are the operator's.
type Lengths = Vec<(u8, FxHashMap<u128, Vec<Entry>>)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    rule: u32,
    own: bool,
}

/// Rules in the order written. One or two nearly always.
pub(super) type Candidates = SmallVec<[u32; 16]>;

impl Index {
    pub fn new(peers: &[Peer], rules: &[PeerRule]) -> Self {
        let mut index = Self::default();
        for (rule, r) in (0u32..).zip(rules) {
            if r.networks.is_empty() {
                index.open.push(rule);
            }
            let own = peers.get(r.peer).is_some_and(|p| p.kind == PeerKind::Own);
            for net in &r.networks {
                index.insert(*net, Entry { rule, own });
            }
        }
        index
    }

    fn insert(&mut self, net: IpNet, entry: Entry) {
        let lengths = match net {
            IpNet::V4(_) => &mut self.v4,
            IpNet::V6(_) => &mut self.v6,
        };
        let length = net.prefix_len();
        let at = match lengths.binary_search_by_key(&length, |(l, _)| *l) {
            Ok(at) => at,
            Err(at) => {
                lengths.insert(at, (length, FxHashMap::default()));
                at
            }
        };
        if let Some((_, prefixes)) = lengths.get_mut(at) {
            let (bits, width) = bits(net.addr());
            prefixes
                .entry(front(bits, width, length))
                .or_default()
                .push(entry);
        }
    }

    /// Rules that name a network which holds the address; and whether one of them is for our own platform.
    pub fn by_network(&self, ip: IpAddr) -> (Candidates, bool) {
        let lengths = if ip.is_ipv4() { &self.v4 } else { &self.v6 };
        let (bits, width) = bits(ip);
        let (mut found, mut own) = (Candidates::new(), false);
        for (length, prefixes) in lengths {
            let rules = prefixes.get(&front(bits, width, *length));
            for entry in rules.into_iter().flatten() {
                found.push(entry.rule);
                own |= entry.own;
            }
        }
        found.sort_unstable();
        // A rule may name a network twice, or one within another.
        found.dedup();
        (found, own)
    }

    /// Rules that may fit the address: also those without networks, unless it is our own platform's.
    pub fn candidates(&self, ip: IpAddr) -> Candidates {
        let (mut found, own) = self.by_network(ip);
        if !own && !self.open.is_empty() {
            found.extend_from_slice(&self.open);
            found.sort_unstable();
        }
        found
    }
}

/// An address as a number, and how many bits it has.
fn bits(ip: IpAddr) -> (u128, u8) {
    match ip {
        IpAddr::V4(v4) => (u32::from(v4).into(), 32),
        IpAddr::V6(v6) => (v6.into(), 128),
    }
}

/// Its first bits.
fn front(bits: u128, width: u8, length: u8) -> u128 {
    let behind = u32::from(width.saturating_sub(length));
    bits.checked_shr(behind).unwrap_or(0)
}
