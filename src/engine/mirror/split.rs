//! Messages of streams (TCP, TLS, WebSocket) out of payloads: several in one payload, or one over several, as sofia-sip before June 2026 sends
//! one packet for each read. Framed by `Content-Length` for each agent and flow, within limits.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::base::Timestamp;
use crate::wire::sip::frame::{Framed, Framer, MAX_MESSAGE, Resync, resync};
use crate::wire::{Cut, Flow};

/// Limits on what is kept of split messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitLimits {
    /// How many at once.
    pub count: usize,
    /// How many octets in all.
    pub octets: usize,
    /// How long the last part may come after the first. An agent sends them at once.
    pub age: Duration,
}

impl Default for SplitLimits {
    /// 4,096 messages, 16 MiB, five seconds.
    fn default() -> Self {
        Self {
            count: 4_096,
            octets: 16 << 20,
            age: Duration::from_secs(5),
        }
    }
}

/// Whose stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SplitKey {
    /// Which agent's.
    pub sensor: u16,
    /// Between whom.
    pub flow: Flow,
}

/// When a part came: by the agent's clock, or ours in its place, and by ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The time that the message bears.
    pub at: Timestamp,
    /// When it reached us.
    pub arrived: Timestamp,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Whose.
    pub key: SplitKey,
    /// Of its last part.
    pub times: Times,
    /// The octets.
    pub bytes: Vec<u8>,
    /// Set when it is not whole.
    pub cut: Option<Cut>,
}

/// What became of split messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SplitCounts {
    pub begun: u64,
    pub completed: u64,
    pub age: u64,
    pub evicted: u64,
    pub replaced: u64,
    pub too_long: u64,
    pub end: u64,
    pub threads_lost: u64,
}

#[derive(Debug)]
struct Part {
    bytes: Vec<u8>,
    framer: Framer,
    times: Times,
    /// When its first octets reached us.
    begun: Timestamp,
    /// Tells it from a later one of the same flow, in the order of age.
    number: u64,
}

/// Split messages of all agents.
#[derive(Debug)]
pub struct Splits {
    limits: SplitLimits,
    parts: HashMap<SplitKey, Part>,
    /// By age of the first part. What has gone meanwhile is passed over.
    order: VecDeque<(SplitKey, u64)>,
    octets: usize,
    next: u64,
    ready: VecDeque<Whole>,
    counts: SplitCounts,
}

impl Splits {
    pub fn new(limits: SplitLimits) -> Self {
        Self {
            limits,
            parts: HashMap::new(),
            order: VecDeque::new(),
            octets: 0,
            next: 0,
            ready: VecDeque::new(),
            counts: SplitCounts::default(),
        }
    }

    /// Takes the next payload of a flow in.
    pub fn handle(&mut self, key: SplitKey, payload: &[u8], times: Times) {
        let (mut bytes, mut framer, mut part) = (Vec::new(), Framer::default(), None);
        if let Some(known) = self.take(&key) {
            // A start line where a rest is due: the agent cut the message before (many have a cap), and this is the next.
            if resync(payload) == Resync::At(0) {
                self.counts.replaced += 1;
                self.give(&key, known.times, known.bytes, Some(Cut::EndOfStream));
            } else {
                (bytes, framer) = (known.bytes, known.framer);
                part = Some((known.number, known.begun));
            }
        }
        bytes.extend_from_slice(payload);
        let mut from = 0;
        while let Some(rest) = bytes.get(from..).filter(|r| !r.is_empty()) {
            match framer.frame(rest) {
                Framed::Message(n) => {
                    self.counts.completed += u64::from(part.take().is_some());
                    let message = rest.get(..n).unwrap_or(rest).to_vec();
                    self.give(&key, times, message, None);
                    from += n;
                }
                Framed::KeepAlive(n) => from += n,
                Framed::NeedMore(_) => {
                    let (number, begun) = part.unwrap_or_else(|| (self.begin(&key), times.arrived));
                    bytes.drain(..from);
                    self.keep(
                        key,
                        Part {
                            bytes,
                            framer,
                            times,
                            number,
                            begun,
                        },
                    );
                    return;
                }
                Framed::TooLong(_) => {
                    self.counts.begun += u64::from(part.is_none());
                    self.counts.too_long += 1;
                    let front = rest.get(..MAX_MESSAGE).unwrap_or(rest).to_vec();
                    self.give(&key, times, front, Some(Cut::EndOfStream));
                    return;
                }
                Framed::Lost => {
                    self.counts.threads_lost += 1;
                    // What was taken for a message's front is none.
                    self.counts.replaced += u64::from(part.take().is_some());
                    match resync(rest) {
                        Resync::At(n) if n > 0 => from += n,
                        _ => return,
                    }
                }
            }
        }
    }

    /// Whether a message of this flow has begun.
    pub fn holds(&self, key: &SplitKey) -> bool {
        self.parts.contains_key(key)
    }

    /// Gives up what is too old.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some((key, number)) = self.order.front() {
            match self.parts.get(key) {
                Some(p) if p.number == *number => {
                    // A clock that steps back ends it as well: what is of the future never gets old.
                    if p.begun.distance(now) <= self.limits.age {
                        return;
                    }
                    self.counts.age += 1;
                    self.give_up_oldest();
                }
                _ => {
                    self.order.pop_front();
                }
            }
        }
    }

    /// Gives up everything.
    pub fn finish(&mut self) {
        while !self.parts.is_empty() {
            if self.give_up_oldest() {
                self.counts.end += 1;
            }
        }
        self.order.clear();
    }

    /// The next message.
    pub fn poll(&mut self) -> Option<Whole> {
        self.ready.pop_front()
    }

    pub fn counts(&self) -> SplitCounts {
        self.counts
    }

    pub fn open(&self) -> usize {
        self.parts.len()
    }

    pub fn octets(&self) -> usize {
        self.octets
    }

    fn begin(&mut self, key: &SplitKey) -> u64 {
        self.counts.begun += 1;
        self.next += 1;
        self.order.push_back((key.clone(), self.next));
        // Those that were completed leave their place in the order behind.
        if self.order.len() > 2 * self.limits.count.max(64) {
            let parts = &self.parts;
            let last = self.next;
            self.order
                .retain(|(k, n)| *n == last || parts.get(k).is_some_and(|p| p.number == *n));
        }
        self.next
    }

    fn keep(&mut self, key: SplitKey, part: Part) {
        self.octets += part.bytes.len();
        self.parts.insert(key, part);
        while self.parts.len() > self.limits.count || self.octets > self.limits.octets {
            if self.give_up_oldest() {
                self.counts.evicted += 1;
            } else if self.order.is_empty() {
                return;
            }
        }
    }

    fn take(&mut self, key: &SplitKey) -> Option<Part> {
        let part = self.parts.remove(key)?;
        self.octets = self.octets.saturating_sub(part.bytes.len());
        Some(part)
    }

    /// Whether the front of the order was still there.
    fn give_up_oldest(&mut self) -> bool {
        let Some((key, number)) = self.order.pop_front() else {
            self.parts.clear();
            return false;
        };
        if self.parts.get(&key).is_none_or(|p| p.number != number) {
            return false;
        }
        if let Some(part) = self.take(&key) {
            self.give(&key, part.times, part.bytes, Some(Cut::EndOfStream));
        }
        true
    }

    fn give(&mut self, key: &SplitKey, times: Times, bytes: Vec<u8>, cut: Option<Cut>) {
        self.ready.push_back(Whole {
            key: key.clone(),
            times,
            bytes,
            cut,
        });
    }
}
