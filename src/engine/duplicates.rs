//! The same message seen by several sensors: on the wire and by an agent, or by two agents. The first view wins, the others go no further.
//!
//! Two views are the same if sender, receiver and octets are. VLANs and tunnels don't count, since only some sensors see them, and of the transport only
//! whether it keeps datagrams apart: Asterisk says TCP of TLS. An agent that writes another port than the wire has (Kamailio, for replies over TLS: the port
//! of Via) shows another message: both pass, which costs a response counted twice, and never hides one. Likewise a message that one
//! sensor saw cut.
//!
//! A message passes if its own sensor has now shown it more often than any sensor before. So a real retransmission passes once however many see it, and what
//! one sensor alone shows always passes.
//!
//! Time goes by arrival at this host, never by what a message says of itself: one with a time of its own could else make all be forgotten. After a step of
//! the clock nothing is remembered: views on their way then pass once more, which counts as a retransmission.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ring::digest::{Context, SHA256};
use smallvec::SmallVec;

use crate::base::Timestamp;
use crate::base::counters::counters;
use crate::wire::{Message, Transport};

/// Bounds of [`Duplicates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuplicateSettings {
    /// How long after its last view a message is remembered.
    pub window: Duration,
    /// How many messages are remembered.
    pub count: usize,
    /// How many octets they may take.
    pub octets: usize,
}

impl Default for DuplicateSettings {
    /// Five seconds: agents send at once, and their clocks are within two. 262,144 messages, 64 MiB.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(5),
            count: 262_144,
            octets: 64 << 20,
        }
    }
}

/// What a remembered message costs: its key twice, its counts, and the room that tables leave.
const ENTRY: usize = 160;

counters! {
    /// Counters of a [`Duplicates`] since its beginning.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct DuplicateCounters {
        counters: {
            passed "messages that went on";
            duplicates "messages that another sensor had shown before";
            evicted "messages forgotten early for want of room: later views of them pass";
            stepped "messages forgotten because the clock was set: later views of them pass";
        }
        gauges: {
            remembered "messages remembered";
        }
    }
}

type Key = [u8; 16];

/// How often each sensor has shown a message.
#[derive(Debug)]
struct Seen {
    last: Timestamp,
    passed: u32,
    by: SmallVec<[(u16, u32); 3]>,
}

/// Remembers what was seen lately.
#[derive(Debug)]
pub struct Duplicates {
    settings: DuplicateSettings,
    seen: HashMap<Key, Seen>,
    /// By time of the first view, or of the last one when it was looked at.
    order: VecDeque<Key>,
    now: Timestamp,
    counters: DuplicateCounters,
}

impl Duplicates {
    /// One that has seen nothing.
    pub fn new(settings: DuplicateSettings) -> Self {
        Self {
            settings,
            seen: HashMap::new(),
            order: VecDeque::new(),
            now: Timestamp::MIN,
            counters: DuplicateCounters::default(),
        }
    }

    /// Whether a message goes on that reached this host at that time: never later than the host's clock is now.
    pub fn handle(&mut self, message: &Message, arrived: Timestamp) -> bool {
        self.now = self.now.max(arrived);
        self.expire();
        let key = key_of(message);
        let now = self.now;
        let seen = self.seen.entry(key).or_insert_with(|| {
            self.order.push_back(key);
            Seen {
                last: now,
                passed: 0,
                by: SmallVec::new(),
            }
        });
        seen.last = now;
        let shown = match seen.by.iter_mut().find(|(s, _)| *s == message.sensor) {
            Some((_, n)) => {
                *n = n.saturating_add(1);
                *n
            }
            None => {
                seen.by.push((message.sensor, 1));
                1
            }
        };
        // At the end of counting nothing is held back.
        let passes = shown > seen.passed || shown == u32::MAX;
        seen.passed = seen.passed.max(shown);
        if passes {
            self.counters.passed += 1;
        } else {
            self.counters.duplicates += 1;
        }
        self.make_room();
        passes
    }

    /// The clock was set: times before and after it don't compare.
    pub fn handle_step(&mut self) {
        let forgotten = u64::try_from(self.seen.len()).unwrap_or(u64::MAX);
        self.counters.stepped += forgotten;
        self.seen.clear();
        self.order.clear();
        self.now = Timestamp::MIN;
    }

    /// What became of messages so far.
    pub fn counters(&self) -> DuplicateCounters {
        let remembered = u64::try_from(self.seen.len()).unwrap_or(u64::MAX);
        DuplicateCounters {
            remembered,
            ..self.counters
        }
    }

    fn expire(&mut self) {
        let oldest = self.now.minus(self.settings.window);
        // A few at a time: what was seen again goes to the end, at most once around for each message.
        for _ in 0..EXPIRE_AT_ONCE {
            let Some(key) = self.order.front().copied() else {
                return;
            };
            match self.seen.get(&key) {
                Some(seen) if seen.last >= oldest => return,
                _ => {
                    self.seen.remove(&key);
                    self.order.pop_front();
                }
            }
        }
    }

    fn make_room(&mut self) {
        let most = self.settings.count.min(self.settings.octets / ENTRY).max(1);
        while self.seen.len() > most {
            let Some(key) = self.order.pop_front() else {
                return;
            };
            self.seen.remove(&key);
            self.counters.evicted += 1;
        }
    }
}

/// More than come in between, so that what is too old does not pile up.
const EXPIRE_AT_ONCE: usize = 8;

fn key_of(message: &Message) -> Key {
    let mut context = Context::new(&SHA256);
    let flow = &message.flow;
    for socket in [flow.source, flow.destination] {
        put(&mut context, socket);
    }
    let class = match flow.transport {
        Transport::Udp => 0u8,
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => 1,
        Transport::Sctp => 2,
    };
    context.update(&[class]);
    context.update(&message.bytes);
    let digest = context.finish();
    let mut key = Key::default();
    for (k, b) in key.iter_mut().zip(digest.as_ref()) {
        *k = *b;
    }
    key
}

/// Both families have the same length, so that no two sockets read alike.
fn put(context: &mut Context, socket: SocketAddr) {
    let ip = match socket.ip().to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    context.update(&ip.octets());
    context.update(&socket.port().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Flow;

    fn seen(sensor: u16, ms: u64, bytes: &[u8]) -> Message {
        Message {
            seq: 0,
            at: Timestamp::from_secs(1_000).plus(Duration::from_millis(ms)),
            flow: Flow {
                source: "192.0.2.1:5060".parse().unwrap(),
                destination: "192.0.2.2:5060".parse().unwrap(),
                transport: Transport::Tcp,
                vlans: Default::default(),
                path: Default::default(),
                macs: Default::default(),
            },
            sensor,
            bytes: bytes.to_vec(),
            cut: None,
        }
    }

    fn run(messages: &[Message]) -> Vec<bool> {
        let mut d = Duplicates::new(DuplicateSettings::default());
        let out = messages.iter().map(|m| d.handle(m, m.at)).collect();
        assert_eq!(
            d.counters().passed + d.counters().duplicates,
            messages.len() as u64
        );
        out
    }

    #[test]
    fn the_first_view_wins_and_a_retransmission_passes_once() {
        let views = [
            seen(0, 0, b"a"),
            seen(1, 10, b"a"),
            seen(2, 20, b"a"),
            seen(1, 500, b"a"),
            seen(0, 510, b"a"),
            seen(2, 520, b"a"),
        ];
        assert_eq!(run(&views), [true, false, false, true, false, false]);
    }

    #[test]
    fn what_one_sensor_alone_shows_always_passes() {
        assert_eq!(run(&vec![seen(3, 0, b"a"); 50]), [true; 50]);
    }

    #[test]
    fn vlan_and_tls_don_t_matter_ports_octets_and_datagrams_do() {
        let first = seen(0, 0, b"a");
        let other = |change: &dyn Fn(&mut Message)| {
            let mut m = seen(1, 1, b"a");
            change(&mut m);
            run(&[first.clone(), m])[1]
        };
        assert!(!other(&|m| m.flow.transport = Transport::Tls));
        assert!(!other(&|m| m.flow.vlans.push(7)));
        assert!(other(&|m| m.flow.transport = Transport::Udp));
        assert!(other(&|m| m.flow.destination.set_port(5061)));
        assert!(other(&|m| m.bytes.push(b'b')));
        assert!(other(&|m| m.flow = m.flow.reversed()));
    }

    #[test]
    fn it_forgets_after_the_window_and_for_want_of_room() {
        assert_eq!(
            run(&[seen(0, 0, b"a"), seen(1, 5_000, b"a"), seen(0, 9_000, b"a")]),
            [true, false, true]
        );
        assert_eq!(run(&[seen(0, 0, b"a"), seen(1, 5_001, b"a")]), [true, true]);
        let small = DuplicateSettings {
            count: 2,
            ..DuplicateSettings::default()
        };
        let mut d = Duplicates::new(small);
        for n in 0..100u8 {
            let m = seen(0, 0, &[n]);
            assert!(d.handle(&m, m.at));
        }
        let later = seen(1, 0, &[99]);
        assert!(!d.handle(&later, later.at) && d.handle(&seen(1, 0, &[0]), later.at));
        assert_eq!((d.counters().evicted, d.counters().remembered), (99, 2));
    }

    #[test]
    fn a_message_s_own_time_moves_nothing() {
        let mut d = Duplicates::new(DuplicateSettings::default());
        let first = seen(0, 0, b"a");
        let far = Message {
            at: Timestamp::from_secs(4_000_000_000),
            ..seen(1, 0, b"far")
        };
        assert!(d.handle(&first, first.at) && d.handle(&far, first.at));
        assert!(!d.handle(&seen(1, 0, b"a"), first.at));
    }

    #[test]
    fn after_a_step_back_nothing_stays_longer_than_the_window() {
        let mut d = Duplicates::new(DuplicateSettings::default());
        let before = seen(0, 3_600_000, b"a");
        assert!(d.handle(&before, before.at));
        d.handle_step();
        let after = seen(0, 0, b"a");
        // Of another sensor, and not held against what was before the step.
        assert!(d.handle(&seen(1, 0, b"a"), after.at));
        assert!(!d.handle(&after, after.at));
        let late = seen(1, 5_001, b"b");
        assert!(d.handle(&late, late.at));
        let c = d.counters();
        assert_eq!((c.stepped, c.remembered), (1, 1));
    }
}
