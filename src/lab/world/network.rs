//! Who there is and how they are connected: providers, trunks between them, customers, numbers.
//!
//! The graph grows by preferential attachment (Barabási and Albert 1999, m = 2, as in the partial-deployment model of the reference §2.2), so
//! there are a few transits with hundreds of neighbours and many providers with two or three. Every provider is `2001:db8:<its number>::/48`.

use std::net::{Ipv6Addr, SocketAddr};

use super::chance;
use super::profile::Figures;
use crate::lab::random::Random;

/// How a trunk writes numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// `+12025550123`
    Plus,
    /// `2025550123`
    Ten,
    /// `12025550123`
    Eleven,
    /// `7788#12025550123`
    Prefix,
    /// `+12025550123;npdi;rn=…`
    Ported,
}

/// Technical prefix of the trunks that have one.
pub const PREFIX: &str = "7788#";

/// A provider.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Neighbours, by number.
    pub neighbours: Vec<usize>,
    /// Abroad: it is asked nothing and carries nothing through.
    pub foreign: bool,
    /// Customers with a trunk of their own.
    pub customers: usize,
    /// Signs the calls of its customers.
    pub signs: bool,
    /// Signs what comes unsigned, attestation C.
    pub signs_transit: bool,
    /// Identity headers get through its network.
    pub passes_identity: bool,
    /// A proxy that keeps Call-ID and tags; else a back-to-back user agent with its own.
    pub proxy: bool,
    /// Keeps the SDP's origin line.
    pub keeps_sdp: bool,
    /// Keeps Session-ID.
    pub keeps_session: bool,
    /// Writes, or keeps, P-Charging-Vector.
    pub charging_vector: bool,
    /// Puts the asserted number into From and forgets the other.
    pub asserts_in_from: bool,
    /// Drops P-Asserted-Identity.
    pub drops_asserted: bool,
    /// Its rules take technical prefixes off on the way out, too.
    pub strips_on_egress: bool,
    /// Seconds by which the clock that its call records are written with is off. Requests tell this time.
    pub cdr_clock_s: f64,
    /// Nanoseconds by which its probe's clock is off.
    pub probe_clock_ns: i64,
    /// What its probe says that the error is, at most.
    pub claimed_error_ns: u32,
    /// When a neighbour's address goes to another, and peers.toml changes with it: as a share of the traffic's time.
    pub remaps_at: Option<f64>,
    /// Two upstreams that come from one address, told by their trunk group; the second may be the one without a group.
    pub shared: Option<Shared>,
    /// When its sensor is blind or lossy.
    pub outages: Vec<Outage>,
}

/// Two upstreams behind one address.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    /// The first, with its trunk group.
    pub first: usize,
    /// The second.
    pub second: usize,
    /// Whether the second has a trunk group in peers.toml as well.
    pub both_told: bool,
}

/// A time in which a sensor does not see everything, and knows it. Nanoseconds since the traffic's start.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// Begin.
    pub from: i64,
    /// End.
    pub until: i64,
    /// Share of messages lost; 1 for one that is down.
    pub lost: f64,
}

/// The world's network.
#[derive(Clone, Debug)]
pub struct Network {
    /// Everybody; the first ones are the largest, more or less.
    pub providers: Vec<Provider>,
    /// Hops between any two, 255 for none; foreign ones carry nothing through.
    hops: Vec<Vec<u8>>,
    /// Providers that subscribers' numbers belong to, by weight.
    serving: Vec<u32>,
    seed: u64,
}

/// One nanosecond count of a second.
pub const SECOND: i64 = 1_000_000_000;

impl Network {
    /// Grows a network of `count` providers for traffic of `span` nanoseconds.
    pub fn grow(seed: u64, count: usize, span: i64, f: &Figures) -> Self {
        let mut rng = Random::new(seed, "network");
        let count = count.max(12);
        let links = attach(&mut rng, count);
        let mut providers: Vec<Provider> = links
            .into_iter()
            .enumerate()
            .map(|(i, neighbours)| provider(&mut rng, i, neighbours, span, f))
            .collect();
        share_addresses(&mut rng, &mut providers);
        let hops = (0..count).map(|i| distances(&providers, i)).collect();
        let serving = providers
            .iter()
            .map(|p| match p.foreign {
                true => 0,
                false => p.neighbours.len() as u32,
            })
            .collect();
        Self {
            providers,
            hops,
            serving,
            seed,
        }
    }

    /// Hops from one to the other.
    pub fn distance(&self, from: usize, to: usize) -> u8 {
        self.hops[to][from]
    }

    /// The provider that serves a number.
    pub fn serving(&self, number: u64) -> usize {
        let mut rng = Random::new(self.seed ^ number, "serving");
        rng.weighted(self.serving.iter().copied())
    }

    /// How many trunks run from one to the other.
    pub fn trunks(&self, from: usize, to: usize) -> u64 {
        match chance::fixed(&[self.seed, 1, from as u64, to as u64]) % 10 {
            0..6 => 1,
            6..9 => 2,
            _ => 3,
        }
    }

    /// How numbers are written on a trunk: called number, calling number.
    pub fn writing(&self, from: usize, to: usize, trunk: u64) -> (Writing, Writing) {
        let key = [self.seed, 2, from as u64, to as u64, trunk];
        let called = match chance::fixed(&key) % 20 {
            0..9 => Writing::Plus,
            9..13 => Writing::Ten,
            13..17 => Writing::Eleven,
            17 => Writing::Prefix,
            _ => Writing::Ported,
        };
        let calling = match chance::fixed(&[key[0], 3, key[2], key[3], trunk]) % 10 {
            0..6 => Writing::Plus,
            6..8 => Writing::Ten,
            _ => Writing::Eleven,
        };
        (called, calling)
    }

    /// Sockets of a trunk: the sender's and the receiver's, at a time given as a share of the traffic's.
    pub fn sockets(&self, from: usize, to: usize, trunk: u64, at: f64) -> (SocketAddr, SocketAddr) {
        (
            socket(self.source(from, to, trunk, at)),
            socket(self.own(to, trunk)),
        )
    }

    /// From which address `from` sends to `to`.
    pub fn source(&self, from: usize, to: usize, trunk: u64, at: f64) -> Ipv6Addr {
        if let Some(s) = self.providers[to].shared
            && (from == s.first || from == s.second)
        {
            return address(0xfff0, to as u16, 0, 1);
        }
        let p = &self.providers[to];
        let Some(when) = p.remaps_at else {
            return address(from as u16, to as u16, 1, 1 + trunk as u16);
        };
        // Addresses that the receiver gave out: one neighbour gets a new one, and another the one that it had.
        let of = match (at >= when, from) {
            (true, n) if n == p.neighbours[0] => 0xfffd,
            (true, n) if n == p.neighbours[1] && trunk == 0 => p.neighbours[0] as u16,
            (_, n) => n as u16,
        };
        address(0xfff1, to as u16, of, 1 + trunk as u16)
    }

    /// The address of ours that a trunk ends at.
    pub fn own(&self, of: usize, trunk: u64) -> Ipv6Addr {
        address(of as u16, 0xffff, 0, 1 + trunk as u16 % 4)
    }

    /// A customer's socket.
    pub fn customer(&self, of: usize, customer: usize) -> Ipv6Addr {
        address(of as u16, 0xfffe, customer as u16, 1)
    }

    /// Trunk group that `from` writes towards `to`, where it takes one to tell them apart.
    pub fn group(&self, from: usize, to: usize) -> Option<String> {
        let s = self.providers[to].shared?;
        (from == s.first || from == s.second).then(|| format!("TG-{from}"))
    }
}

/// A socket on the SIP port.
pub fn socket(ip: Ipv6Addr) -> SocketAddr {
    SocketAddr::new(ip.into(), 5060)
}

fn address(a: u16, b: u16, c: u16, d: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, a, b, c, 0, 0, d)
}

/// Preferential attachment: each newcomer connects to two that are there, by their number of links.
fn attach(rng: &mut Random, count: usize) -> Vec<Vec<usize>> {
    let mut links: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut ends = Vec::new();
    let join = |links: &mut Vec<Vec<usize>>, ends: &mut Vec<usize>, a: usize, b: usize| {
        links[a].push(b);
        links[b].push(a);
        ends.extend([a, b]);
    };
    // The core: six that are all connected to each other.
    for a in 0..6 {
        for b in 0..a {
            join(&mut links, &mut ends, a, b);
        }
    }
    for new in 6..count {
        // Two of three have two providers, the others three or four.
        let want = 2 + rng.weighted([66, 22, 12].into_iter());
        while links[new].len() < want {
            let to = *rng.pick(&ends);
            if to != new && !links[new].contains(&to) {
                join(&mut links, &mut ends, new, to);
            }
        }
    }
    links
}

fn provider(
    rng: &mut Random,
    i: usize,
    neighbours: Vec<usize>,
    span: i64,
    f: &Figures,
) -> Provider {
    // One provider in fourteen is abroad; none of the core.
    let foreign = i >= 40 && rng.chance(0.07);
    let small = neighbours.len() < 8;
    let (probe_clock_ns, claimed_error_ns) = probe_clock(rng, f);
    Provider {
        foreign,
        customers: 2 + rng.index(if small { 5 } else { 3 }),
        signs: rng.chance(0.56), // share of the RMD with STIR/SHAKEN, §2.3
        signs_transit: rng.chance(0.15),
        passes_identity: rng.chance(0.75),
        proxy: rng.chance(0.15),
        keeps_sdp: rng.chance(0.45),
        keeps_session: rng.chance(0.8),
        charging_vector: rng.chance(0.4),
        asserts_in_from: rng.chance(0.04),
        drops_asserted: rng.chance(0.05),
        strips_on_egress: rng.chance(0.5),
        cdr_clock_s: cdr_clock(rng, f),
        probe_clock_ns,
        claimed_error_ns,
        // A peers file changes once a week or so, and the traffic lasts a quarter of a day.
        remaps_at: rng.chance(0.04).then(|| chance::uniform(rng, 0.2, 0.8)),
        shared: None,
        outages: outages(rng, span, f),
        neighbours,
    }
}

/// Seconds by which the clock of a provider's call records is off.
fn cdr_clock(rng: &mut Random, f: &Figures) -> f64 {
    let off = match rng.weighted(f.clocks.into_iter()) {
        0 => chance::laplace(rng, 0.3),
        1 => chance::student(rng, 3, 1.5),
        2 => chance::student(rng, 2, 10.0),
        _ => chance::uniform(rng, -90.0, 90.0),
    };
    (off * f.skew).clamp(-600.0, 600.0)
}

fn probe_clock(rng: &mut Random, f: &Figures) -> (i64, u32) {
    const CLAIM: u32 = 50_000_000;
    let sign = if rng.chance(0.5) { -1.0 } else { 1.0 };
    let ns = |s: f64| (s * SECOND as f64) as i64;
    if rng.chance(f.lying_clocks) {
        return (ns(sign * chance::uniform(rng, 0.5, 4.0)), CLAIM);
    }
    if rng.chance(f.bad_clocks) {
        return (ns(sign * chance::uniform(rng, 0.0, 2.0)), 2_000_000_000);
    }
    (ns((0.012 * chance::normal(rng)).clamp(-0.05, 0.05)), CLAIM)
}

fn outages(rng: &mut Random, span: i64, f: &Figures) -> Vec<Outage> {
    // Five minutes each on average, so that they make up the share.
    let mean = 300.0;
    let expected = f.outages * span as f64 / SECOND as f64 / mean;
    let mut out = Vec::new();
    let mut left = expected;
    while left > 0.0 && rng.chance(left.min(1.0)) {
        let from = rng.between(0, span.max(1));
        let long = (chance::exponential(rng, mean) * SECOND as f64) as i64;
        let lost = if rng.chance(0.6) {
            1.0
        } else {
            chance::uniform(rng, 0.005, 0.2)
        };
        out.push(Outage {
            from,
            until: from + long,
            lost,
        });
        left -= 1.0;
    }
    out
}

/// A fifth of those with several small neighbours get two of them behind one address: resellers of one wholesaler's border controller.
fn share_addresses(rng: &mut Random, providers: &mut [Provider]) {
    let degree: Vec<usize> = providers.iter().map(|p| p.neighbours.len()).collect();
    for p in providers.iter_mut() {
        let mut small: Vec<usize> = p
            .neighbours
            .iter()
            .copied()
            .filter(|n| degree[*n] <= 4)
            .collect();
        if small.len() < 2 || p.remaps_at.is_some() || !rng.chance(0.2) {
            continue;
        }
        rng.shuffle(&mut small);
        p.shared = Some(Shared {
            first: small[0],
            second: small[1],
            both_told: rng.chance(0.7),
        });
    }
}

/// Hops to `to` from everybody, over providers at home.
fn distances(providers: &[Provider], to: usize) -> Vec<u8> {
    let mut out = vec![255; providers.len()];
    out[to] = 0;
    let mut row = vec![to];
    let mut far = 0u8;
    while !row.is_empty() && far < 254 {
        far += 1;
        let mut next = Vec::new();
        for at in row {
            if at != to && providers[at].foreign {
                continue;
            }
            for n in &providers[at].neighbours {
                if out[*n] == 255 {
                    out[*n] = far;
                    next.push(*n);
                }
            }
        }
        row = next;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::world::profile::Profile;

    #[test]
    fn few_are_large_and_everybody_is_connected() {
        let f = Profile::Normal.figures(1.0, 1.0);
        let net = Network::grow(3, 400, 3600 * SECOND, &f);
        let mut degrees: Vec<usize> = net.providers.iter().map(|p| p.neighbours.len()).collect();
        degrees.sort_unstable();
        assert!(
            degrees[0] >= 2 && degrees[200] <= 4 && degrees[399] >= 40,
            "{degrees:?}"
        );
        // No call goes through a provider abroad, so one whose neighbours are all abroad has calls with these alone.
        let alone = |p: usize| {
            let mut neighbours = net.providers[p].neighbours.iter();
            neighbours.all(|n| net.providers[*n].foreign)
        };
        let joined: Vec<usize> = (0..400).filter(|p| !alone(*p)).collect();
        assert!(joined.len() >= 390, "{}", joined.len());
        for a in &joined {
            for b in &joined {
                assert!(net.distance(*a, *b) < 12);
            }
        }
        // Addresses tell neighbours apart, where they are not shared.
        for (to, p) in net.providers.iter().enumerate() {
            let mut seen = std::collections::BTreeMap::new();
            for n in &p.neighbours {
                for t in 0..net.trunks(*n, to) {
                    for at in [0.0, 0.99] {
                        let other = seen.insert((net.source(*n, to, t, at), at > 0.5), *n);
                        let shared = p.shared.is_some_and(|s| s.first == *n || s.second == *n);
                        assert!(shared || other.is_none() || other == Some(*n));
                    }
                }
            }
        }
    }
}
