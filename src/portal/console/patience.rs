//! Wrong passwords of one address, whatever names they are for. Bounded, and forgotten at a restart: each user's own lock-out is kept in the docket.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::base::Timestamp;

/// Wrong ones that are free in a span: an office behind one address mistypes as well.
const FREE: u32 = 20;
/// After so long without a wrong one all is forgotten.
const SPAN: Duration = Duration::from_secs(15 * 60);
/// Addresses that are remembered; of more the one that was quiet for longest is forgotten.
const MOST: usize = 4096;

/// How often each address was wrong, and when last.
#[derive(Debug, Default)]
pub(super) struct Patience(Mutex<HashMap<Net, (u32, Timestamp)>>);

/// An address, or all of a household: IPv6 hosts have 2^64 to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Net {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl Net {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(a) => Self::V4(a.octets()),
            IpAddr::V6(a) => {
                let [a, b, c, d, e, f, g, h, ..] = a.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

impl Patience {
    /// Whether somebody at this address may try now.
    ///
    /// Behind a proxy on this host everybody has its address, and nobody's mistakes may keep the others out.
    pub fn has(&self, address: IpAddr, now: Timestamp) -> bool {
        if address.to_canonical().is_loopback() {
            return true;
        }
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = all.get(&Net::of(address));
        wrong.is_none_or(|(n, last)| *n < FREE || now > last.plus(SPAN))
    }

    /// One was wrong.
    pub fn wrong(&self, address: IpAddr, now: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let net = Net::of(address);
        if all.len() >= MOST && !all.contains_key(&net) {
            all.retain(|_, (_, last)| now <= last.plus(SPAN));
            let oldest = all.iter().min_by_key(|(_, (_, last))| *last);
            if let Some(oldest) = oldest.map(|(net, _)| *net).filter(|_| all.len() >= MOST) {
                all.remove(&oldest);
            }
        }
        let (n, last) = all.entry(net).or_insert((0, now));
        if now > last.plus(SPAN) {
            *n = 0;
        }
        *n = n.saturating_add(1);
        *last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_wrong_too_often_waits_and_others_do_not() {
        let patience = Patience::default();
        let now = Timestamp::from_secs(1000);
        let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|a| a.parse().unwrap());
        for _ in 0..FREE {
            assert!(patience.has(one, now));
            patience.wrong(one, now);
        }
        assert!(!patience.has(one, now) && patience.has(other, now));
        assert!(!patience.has("::ffff:192.0.2.1".parse().unwrap(), now));
        assert!(patience.has(one, now.plus(SPAN + Duration::from_secs(1))));
        let [v6, same]: [IpAddr; 2] =
            ["2001:db8::1", "2001:db8::ffff:2"].map(|a| a.parse().unwrap());
        for _ in 0..FREE {
            patience.wrong(v6, now);
        }
        assert!(!patience.has(same, now));
    }

    #[test]
    fn many_addresses_take_no_more_room() {
        let patience = Patience::default();
        for n in 0..10_000_u32 {
            let address = IpAddr::from(n.to_be_bytes());
            patience.wrong(address, Timestamp::from_nanos(n.into()));
        }
        assert_eq!(patience.0.lock().unwrap().len(), MOST);
    }
}
