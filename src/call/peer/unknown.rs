//! Addresses that handed calls to us and that no rule knows: the busiest of them, in bounded memory.
//!
//! Space-saving (Metwally, Agrawal, El Abbadi 2005): when the list is full, the address with the fewest calls gives its place to the new one, which starts with
//! as many calls, and says how many of them may be another's. What has more calls than all calls by the length of the list is always on it.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::base::Timestamp;

/// Addresses that are remembered: some 300 KB. Who meets more strangers has a rule missing, and the busiest show it.
pub const MOST: usize = 1_000;

/// One address that no rule knows.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UnknownNeighbour {
    /// The address.
    pub address: IpAddr,
    /// Calls that came from it, at most.
    pub calls: u64,
    /// How many of these may be another address's that had to go.
    pub uncertain: u64,
    /// Capture time of the first call since it is on the list.
    pub first: Timestamp,
    /// And of the last.
    pub last: Timestamp,
    /// Its socket in the last call.
    pub socket: SocketAddr,
    /// Ours.
    pub own: SocketAddr,
    /// Outer VLAN id of the last call.
    pub vlan: Option<u16>,
    /// Trunk group that the last call named.
    pub trunk: Option<Box<str>>,
    /// Sensor of the last call.
    pub sensor: Arc<str>,
}

/// The list.
#[derive(Clone, Debug, Default)]
pub struct UnknownNeighbours {
    seen: HashMap<IpAddr, UnknownNeighbour, ahash::RandomState>,
    /// By calls, and among the same by address: so that one input gives one list.
    order: BTreeSet<(u64, IpAddr)>,
    evicted: u64,
}

impl UnknownNeighbours {
    /// Takes a call in, as a list of one.
    pub fn handle(&mut self, mut call: UnknownNeighbour) {
        let address = call.address;
        if let Some(known) = self.seen.get_mut(&address) {
            self.order.remove(&(known.calls, address));
            (call.calls, call.uncertain) = (known.calls + 1, known.uncertain);
            call.first = known.first.min(call.first);
            call.last = known.last.max(call.last);
            self.order.insert((call.calls, address));
            *known = call;
            return;
        }
        (call.calls, call.uncertain) = (1, 0);
        if self.seen.len() >= MOST
            && let Some((calls, gone)) = self.order.pop_first()
        {
            self.seen.remove(&gone);
            self.evicted += 1;
            (call.calls, call.uncertain) = (calls + 1, calls);
        }
        self.order.insert((call.calls, address));
        self.seen.insert(address, call);
    }

    /// How many addresses are on the list.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// How many had to go.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The list, busiest first.
    pub fn busiest(&self) -> Vec<UnknownNeighbour> {
        let all = self.order.iter().rev();
        all.filter_map(|(_, a)| self.seen.get(a).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn call(n: u32, at: i64) -> UnknownNeighbour {
        let address = IpAddr::from((0xcb00_7100 + n).to_be_bytes());
        UnknownNeighbour {
            address,
            calls: 0,
            uncertain: 0,
            first: Timestamp::from_secs(at),
            last: Timestamp::from_secs(at),
            socket: SocketAddr::new(address, 5060),
            own: "192.0.2.1:5060".parse().unwrap(),
            vlan: None,
            trunk: None,
            sensor: "edge".into(),
        }
    }

    #[test]
    fn an_address_is_counted_with_its_first_and_last_time() {
        let mut list = UnknownNeighbours::default();
        for (n, at) in [(1, 10), (2, 11), (1, 12), (1, 9)] {
            list.handle(call(n, at));
        }
        let busiest = list.busiest();
        assert_eq!((list.len(), busiest.len()), (2, 2));
        assert_eq!((busiest[0].calls, busiest[0].uncertain), (3, 0));
        assert_eq!(busiest[0].first, Timestamp::from_secs(9));
        assert_eq!(busiest[0].last, Timestamp::from_secs(12));
    }

    #[test]
    fn a_flood_of_addresses_does_not_push_out_a_busy_one() {
        let mut list = UnknownNeighbours::default();
        let flood = u32::try_from(MOST).unwrap() * 3;
        for n in 0..flood {
            list.handle(call(n + 2, 0));
            list.handle(call(1, 0));
        }
        assert_eq!(list.len(), MOST);
        assert_eq!(list.evicted(), u64::from(flood) + 1 - 1_000);
        let first = list.busiest().remove(0);
        assert_eq!(first.address, call(1, 0).address);
        assert_eq!(first.calls - first.uncertain, u64::from(flood));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn calls_add_up(calls in proptest::collection::vec(0u32..1_500, 3_000..4_000)) {
            let mut list = UnknownNeighbours::default();
            for n in &calls {
                list.handle(call(*n, 0));
            }
            let mut really = HashMap::new();
            for n in &calls {
                *really.entry(call(*n, 0).address).or_insert(0u64) += 1;
            }
            let busiest = list.busiest();
            prop_assert!(busiest.len() <= MOST);
            // Each place given away takes its calls along, so the list holds every call.
            let sum: u64 = busiest.iter().map(|b| b.calls).sum();
            prop_assert_eq!(sum, calls.len() as u64);
            for b in busiest {
                let real = really[&b.address];
                prop_assert!(b.calls - b.uncertain <= real && real <= b.calls);
            }
        }
    }
}
