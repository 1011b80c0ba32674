//! Who calls whom, and when: campaigns, toll-free services, ordinary people; and who dials again.
//!
//! Numbers are 555-01xx of every area code that can be, toll-free ones included, and British numbers kept for drama.

use super::carry::{Call, Carrier, Outcome, Stop, Then};
use super::chance;
use super::leg::{End, Head};
use super::network::{Network, SECOND};
use super::profile::Figures;
use crate::lab::random::Random;

/// Area codes by the North American plan, without toll-free ones: 300 of them, 30,000 numbers.
fn area_codes() -> Vec<u64> {
    let can_be = |a: &u64| {
        let (tens, ones) = (a / 10 % 10, a % 10);
        tens != 9 && !(tens == 1 && ones == 1) && !(*a >= 800 && tens == ones)
    };
    (200..990).filter(can_be).step_by(2).take(300).collect()
}

/// Toll-free area codes.
const TOLL_FREE: [u64; 6] = [800, 833, 844, 855, 866, 877];
/// Services that are called often, by Zipf's law: 480 of the 600 numbers there are.
const SERVICES: usize = 480;

/// What numbers a campaign shows.
#[derive(Clone, Debug)]
enum Shows {
    /// Always one.
    One(u64),
    /// One of a few.
    Few(Vec<u64>),
    /// Any: snowshoe.
    Any,
    /// One of the called party's area code.
    Neighbour,
}

/// Somebody who makes many calls.
#[derive(Clone, Debug)]
struct Campaign {
    /// Where its calls enter: customer of a provider, or abroad and a gateway.
    homes: Vec<(End, usize)>,
    shows: Shows,
    /// A number that it is billed by, which stands in P-Asserted-Identity.
    billed: Option<u64>,
}

/// A toll-free service.
#[derive(Clone, Copy, Debug)]
struct Service {
    number: u64,
    /// Who carries toll-free calls for it.
    carrier: usize,
    /// Number behind it, where the carrier translates.
    behind: Option<u64>,
    /// Who serves it.
    at: usize,
}

/// What kind of call it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of a campaign.
    Campaign,
    /// To a toll-free service.
    TollFree,
    /// Of ordinary people.
    Ordinary,
}

/// Everybody who calls.
pub struct Demand<'a> {
    net: &'a Network,
    f: &'a Figures,
    areas: Vec<u64>,
    campaigns: Vec<Campaign>,
    services: Vec<Service>,
    /// Providers at home, and those abroad.
    home: Vec<usize>,
    span: (i64, i64),
}

impl<'a> Demand<'a> {
    /// Makes them up.
    pub fn new(net: &'a Network, f: &'a Figures, seed: u64, span: (i64, i64)) -> Self {
        let mut rng = Random::new(seed, "demand");
        let list = |foreign: bool| -> Vec<usize> {
            let is = |i: &usize| net.providers[*i].foreign == foreign;
            (0..net.providers.len()).filter(is).collect()
        };
        let (home, abroad) = (list(false), list(true));
        let mut demand = Self {
            net,
            f,
            areas: area_codes(),
            campaigns: Vec::new(),
            services: Vec::new(),
            home,
            span,
        };
        let count = (net.providers.len() / 6).max(12);
        demand.campaigns = (0..count)
            .map(|_| demand.campaign(&mut rng, &abroad))
            .collect();
        demand.services = (0..SERVICES).map(|i| demand.service(&mut rng, i)).collect();
        demand
    }

    fn campaign(&self, rng: &mut Random, abroad: &[usize]) -> Campaign {
        let from_abroad = !abroad.is_empty() && rng.chance(0.25);
        let home = |rng: &mut Random| loop {
            if from_abroad {
                let f = *rng.pick(abroad);
                let gates = self.net.providers[f].neighbours.iter().copied();
                let gates: Vec<usize> = gates.filter(|g| !self.net.providers[*g].foreign).collect();
                if let Some(gate) = gates.get(rng.index(gates.len().max(1))) {
                    return (End::Provider(f), *gate);
                }
            } else {
                // Those who take such customers are small.
                let p = *rng.pick(&self.home);
                let links = self.net.providers[p].neighbours.len();
                if links <= 6 || rng.chance(0.03) {
                    let customer = rng.index(self.net.providers[p].customers);
                    return (End::Customer(p, customer), p);
                }
            }
        };
        // A dialler keeps accounts with several providers.
        let homes = 1 + rng.weighted([60, 25, 15].into_iter());
        let homes = (0..homes).map(|_| home(rng)).collect();
        let shows = match rng.below(10) {
            0..4 => Shows::One(self.subscriber(rng)),
            4..6 => Shows::Few((0..30).map(|_| self.subscriber(rng)).collect()),
            6..8 => Shows::Any,
            _ => Shows::Neighbour,
        };
        let billed = rng.chance(0.1).then(|| self.subscriber(rng));
        Campaign {
            homes,
            shows,
            billed,
        }
    }

    fn service(&self, rng: &mut Random, i: usize) -> Service {
        let number = 10_000_000_000 + TOLL_FREE[i % 6] * 10_000_000 + 5_550_100 + (i / 6) as u64;
        // Toll-free carriers are large: one of the first twenty.
        let carrier = loop {
            let c = rng.index(20.min(self.net.providers.len()));
            if !self.net.providers[c].foreign {
                break c;
            }
        };
        let behind = rng.chance(0.5).then(|| self.subscriber(rng));
        Service {
            number,
            carrier,
            behind,
            at: self.net.serving(behind.unwrap_or(number)),
        }
    }

    fn subscriber(&self, rng: &mut Random) -> u64 {
        let area = *rng.pick(&self.areas);
        10_000_000_000 + area * 10_000_000 + 5_550_100 + rng.below(100)
    }

    fn neighbour_of(&self, rng: &mut Random, called: u64) -> u64 {
        called / 100 * 100 + rng.below(100)
    }

    /// Makes one call, and those that are dialled because of it; carries them all. Gives what became of each.
    pub fn dial(&self, rng: &mut Random, carrier: &mut Carrier<'_>) -> Vec<(Kind, Call, Outcome)> {
        let at = rng.between(self.span.0, self.span.1);
        let kind = match rng.below(100) {
            0..55 => Kind::Campaign,
            55..75 => Kind::TollFree,
            _ => Kind::Ordinary,
        };
        let campaign = chance::zipf(rng, self.campaigns.len());
        let campaign = &self.campaigns[campaign];
        let (origin, first) = match kind {
            Kind::Campaign => *rng.pick(&campaign.homes),
            _ => self.somebody(rng),
        };
        let (called, stops) = self.called(rng, kind, first);
        let from = match (kind, &campaign.shows) {
            (Kind::Campaign, Shows::One(n)) => *n,
            (Kind::Campaign, Shows::Few(all)) => *rng.pick(all),
            (Kind::Campaign, Shows::Neighbour) => self.neighbour_of(rng, called),
            _ => self.subscriber(rng),
        };
        let abroad = matches!(origin, End::Provider(_)) && rng.chance(0.4);
        let from = if abroad {
            442_079_460_000 + rng.below(1_000)
        } else {
            from
        };
        let anonymous = rng.chance(if kind == Kind::Campaign { 0.01 } else { 0.03 });
        let head = Head {
            called,
            to: called,
            diverted: None,
            from: (!anonymous).then_some(from),
            asserted: match kind {
                Kind::Campaign if campaign.billed.is_some() => campaign.billed,
                _ if anonymous || rng.chance(0.4) => Some(from),
                _ => None,
            },
            call_id: rng.bits(),
            session: rng.chance(0.25).then(|| rng.bits()),
            icid: None,
            sdp: rng.bits(),
            identity: None,
        };
        let mut call = Call {
            at,
            origin,
            first,
            head,
            stops,
            patience: 0,
            answered: match kind {
                Kind::Campaign => 0.35,
                Kind::TollFree => 0.9,
                Kind::Ordinary => 0.6,
            },
            length: match kind {
                Kind::Campaign => 18.0,
                Kind::TollFree => 150.0,
                Kind::Ordinary => 110.0,
            },
        };
        let mut out = Vec::new();
        // Nobody dials one number more than six times in a row.
        for _ in 0..6 {
            let patience = match rng.chance(self.f.early_cancel) {
                true => chance::uniform(rng, 0.2, 3.0),
                false => chance::uniform(rng, 20.0, 45.0),
            };
            call.patience = call.at + (patience * SECOND as f64) as i64;
            let outcome = carrier.carry(rng, &call);
            let known = outcome.known_at();
            out.push((kind, call.clone(), outcome));
            if !rng.chance(self.f.redials) {
                break;
            }
            call.at = known
                + (chance::log_normal(rng, 20.0, 0.9).clamp(2.0, 300.0) * SECOND as f64) as i64;
            if call.at >= self.span.1 {
                break;
            }
            call.head.call_id = rng.bits();
            call.head.sdp = rng.bits();
            call.head.session = call.head.session.map(|_| rng.bits());
            if kind == Kind::Campaign {
                (call.origin, call.first) = *rng.pick(&campaign.homes);
                self.reach(rng, call.first, &mut call.stops);
            }
        }
        out
    }

    fn somebody(&self, rng: &mut Random) -> (End, usize) {
        let p = self.net.serving(rng.bits());
        let customer = rng.index(self.net.providers[p].customers);
        (End::Customer(p, customer), p)
    }

    /// Whom the call is to, and where it must come by.
    fn called(&self, rng: &mut Random, kind: Kind, first: usize) -> (u64, Vec<Stop>) {
        let stop = |at, then| Stop { at, then, hops: 0 };
        let mut stops = Vec::new();
        let called;
        let mut last = first;
        if kind == Kind::TollFree {
            let service = self.services[chance::zipf(rng, self.services.len())];
            called = service.number;
            if let Some(behind) = service.behind
                && service.carrier != first
            {
                stops.push(stop(service.carrier, Then::Translate(behind)));
                last = service.carrier;
            }
            if service.at != last {
                stops.push(stop(service.at, Then::End));
            }
        } else {
            called = self.subscriber(rng);
            let at = self.net.serving(called);
            if at != first && rng.chance(self.f.diverted) {
                let to = self.subscriber(rng);
                let then = match rng.chance(0.3) {
                    true => Then::DivertByExchange(to),
                    false => Then::Divert(to),
                };
                stops.push(stop(at, then));
                last = at;
                let at = self.net.serving(to);
                if at != last {
                    stops.push(stop(at, Then::End));
                }
            } else if at != first {
                stops.push(stop(at, Then::End));
            }
        }
        if stops.last().is_none_or(|s| s.then != Then::End) {
            // Somewhere else than where the call is already: calls that stay in one house are no business of traceback.
            let at = loop {
                let at = self.net.serving(rng.bits());
                if at != last && at != first {
                    break at;
                }
            };
            stops.push(stop(at, Then::End));
        }
        self.reach(rng, first, &mut stops);
        (called, stops)
    }

    /// In how many hops each stop is reached: four to ten providers in all (§1.5: 4.9 to 5.9 on average), as far as the network has such paths.
    fn reach(&self, rng: &mut Random, first: usize, stops: &mut [Stop]) {
        let providers = 4 + rng.weighted([28, 26, 20, 12, 8, 4, 2].into_iter());
        let mut left = (providers - 1) as u8;
        let mut from = first;
        let count = stops.len() as u8;
        for (i, stop) in stops.iter_mut().enumerate() {
            let rest = count - i as u8;
            let share = if rest == 1 { left } else { left.div_ceil(2) };
            stop.hops = share.max(self.net.distance(from, stop.at)).max(1);
            left = left.saturating_sub(stop.hops);
            from = stop.at;
        }
    }

    /// A number that nobody may have called, for those who fish.
    pub fn any_number(&self, rng: &mut Random) -> u64 {
        self.subscriber(rng)
    }

    /// A service that many call.
    pub fn any_service(&self, rng: &mut Random) -> u64 {
        self.services[chance::zipf(rng, self.services.len())].number
    }
}
