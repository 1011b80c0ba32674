//! Which number and neighbour a call's end belongs to, for the last half million records.
//!
//! Records are numbered in order, so a ring indexed by their numbers holds them without hashing or searching.

use super::heads::Place;

/// Records back from the newest, as a power of two: as many as attempts are remembered (`AttemptLimits::open`). Sixteen octets each: 8 MB.
const BITS: u32 = 19;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// The lower half of the record's number.
    uid: u32,
    caller: Place,
    neighbour: u16,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Not ours to count.
    #[default]
    None,
    /// Its first end is awaited.
    Begun { own: bool },
    /// Its first end has been counted, and its length is awaited.
    Answered { own: bool },
}

/// A call that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Awaited {
    /// Its number among the exact counts.
    pub caller: Place,
    /// Its neighbour.
    pub neighbour: u16,
    /// Whether its number had a finding of its own when it began.
    pub own: bool,
    /// Whether it is known to be answered already.
    pub answered: bool,
}

/// The ring.
#[derive(Debug)]
pub(super) struct Outcomes {
    ring: Vec<Entry>,
}

impl Outcomes {
    pub fn new() -> Self {
        Self { ring: Vec::new() }
    }

    /// Waits for the end of a call.
    pub fn wait(&mut self, uid: u64, caller: Place, neighbour: u16, own: bool) {
        if self.ring.is_empty() {
            self.ring = vec![Entry::default(); 1 << BITS];
        }
        if let Some(entry) = self.entry(uid) {
            *entry = Entry {
                uid: low(uid),
                caller,
                neighbour,
                state: State::Begun { own },
            };
        }
    }

    /// Finds a call; one whose outcome has been counted in full is gone.
    pub fn find(&mut self, uid: u64) -> Option<Awaited> {
        let entry = self.entry(uid).filter(|e| e.uid == low(uid))?;
        let (own, answered) = match entry.state {
            State::None => return None,
            State::Begun { own } => (own, false),
            State::Answered { own } => (own, true),
        };
        Some(Awaited {
            caller: entry.caller,
            neighbour: entry.neighbour,
            own,
            answered,
        })
    }

    /// Its answer has been counted, and perhaps that was all.
    pub fn counted(&mut self, uid: u64, awaited: Awaited, all: bool) {
        if let Some(entry) = self.entry(uid) {
            entry.state = match all {
                true => State::None,
                false => State::Answered { own: awaited.own },
            };
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.ring.fill(Entry::default());
    }

    fn entry(&mut self, uid: u64) -> Option<&mut Entry> {
        let at = usize::try_from(uid & ((1 << BITS) - 1)).ok()?;
        self.ring.get_mut(at)
    }

    #[cfg(test)]
    pub fn octets(&self) -> usize {
        self.ring.len() * size_of::<Entry>()
    }
}

fn low(uid: u64) -> u32 {
    u32::try_from(uid & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}
