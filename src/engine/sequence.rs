//! Several sources side by side become one sequence of messages, in the order in which they came.
//!
//! ```text
//! source ─ caught ─┐
//! source ─ caught ─┼─► Sequencer ─► messages, numbered
//! source ─ caught ─┘
//! ```
//!
//! Each source speaks for itself and in order, and says up to which time it has told everything ([`Caught::upto`]). A message goes out when every
//! source has passed its time, or when it has waited as long as we grant: a source that stands still must not hold up the others. What comes later than
//! that goes out at once, and is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::Timestamp;
use crate::call::record::Coverage;
use crate::wire::Message;

/// What a source tells at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caught {
    /// Which source, by index.
    pub source: usize,
    /// Messages with the time at which each reached this host, which for the wire is its capture time. An agent's own clock is in
    /// [`Message::at`]. `seq` is given anew.
    pub messages: Vec<(Timestamp, Message)>,
    /// Rows of the coverage ledger.
    pub coverage: Vec<Coverage>,
    /// Nothing that came before this time will follow.
    pub upto: Timestamp,
}

/// Puts messages of several sources in order.
#[derive(Debug)]
pub struct Sequencer {
    /// How long a message waits for slower sources, at most.
    patience: Duration,
    /// How far each source has told everything.
    upto: Vec<Timestamp>,
    waiting: BTreeMap<(Timestamp, u64), Message>,
    /// Tells messages of one time apart: first come, first served.
    tie: u64,
    next_seq: u64,
    /// Messages up to here have gone out.
    gone: Timestamp,
    now: Timestamp,
    late: u64,
}

impl Sequencer {
    /// For so many sources.
    pub fn new(sources: usize, patience: Duration) -> Self {
        Self {
            patience,
            upto: vec![Timestamp::MIN; sources],
            waiting: BTreeMap::new(),
            tie: 0,
            next_seq: 0,
            gone: Timestamp::MIN,
            now: Timestamp::MIN,
            late: 0,
        }
    }

    /// Takes in what a source tells. Its coverage stays in `caught`: it needs no order.
    pub fn handle_caught(&mut self, caught: &mut Caught) {
        for (at, message) in caught.messages.drain(..) {
            self.late += u64::from(at < self.gone);
            self.waiting.insert((at, self.tie), message);
            self.tie += 1;
        }
        if let Some(upto) = self.upto.get_mut(caught.source) {
            // A clock that is set back must not hold up anything: the host's time decides then.
            *upto = caught.upto;
        }
    }

    /// Time passes, by the host's clock.
    pub fn handle_time(&mut self, now: Timestamp) {
        self.now = now;
        // A clock that was set back begins anew.
        self.gone = self.gone.min(now.plus(self.patience));
    }

    /// The next message in order, numbered, and when it reached this host.
    pub fn poll_message(&mut self) -> Option<(Timestamp, Message)> {
        let all_told = self.upto.iter().min().copied();
        let all_told = all_told.unwrap_or(Timestamp::MAX);
        let patient = self.now.minus(self.patience);
        let entry = self.waiting.first_entry()?;
        let at = entry.key().0;
        // A time ahead of ours by more than we wait is another clock's: waiting for it would be waiting for ever.
        let ahead = at > self.now.plus(self.patience);
        if at > all_told.max(patient) && !ahead {
            return None;
        }
        self.gone = if ahead { self.gone } else { self.gone.max(at) };
        let mut message = entry.remove();
        message.seq = self.next_seq;
        self.next_seq += 1;
        Some((at, message))
    }

    /// All that still waits, in order: the end has come.
    pub fn finish(&mut self) {
        self.upto.fill(Timestamp::MAX);
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many came after messages of a later time had gone out.
    pub fn late(&self) -> u64 {
        self.late
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::test_support;

    fn ms(ms: i64) -> Timestamp {
        Timestamp::from_secs(1_000).plus(Duration::from_millis(u64::try_from(ms).unwrap()))
    }

    fn message(name: u8) -> Message {
        test_support::message(ms(0), &[name])
    }

    fn tell(s: &mut Sequencer, source: usize, messages: &[(i64, u8)], upto: i64) {
        s.handle_caught(&mut Caught {
            source,
            messages: messages
                .iter()
                .map(|(at, n)| (ms(*at), message(*n)))
                .collect(),
            coverage: Vec::new(),
            upto: ms(upto),
        });
    }

    fn out(s: &mut Sequencer) -> Vec<(u64, u8)> {
        std::iter::from_fn(|| s.poll_message())
            .map(|(_, m)| (m.seq, m.bytes[0]))
            .collect()
    }

    #[test]
    fn messages_wait_until_every_source_has_passed_their_time() {
        let mut s = Sequencer::new(2, Duration::from_millis(100));
        s.handle_time(ms(20));
        tell(&mut s, 0, &[(1, 1), (10, 3)], 20);
        assert_eq!(out(&mut s), []);
        tell(&mut s, 1, &[(5, 2), (15, 4)], 10);
        assert_eq!(out(&mut s), [(0, 1), (1, 2), (2, 3)]);
        tell(&mut s, 1, &[], 20);
        assert_eq!(out(&mut s), [(3, 4)]);
        assert_eq!(s.late(), 0);
    }

    #[test]
    fn a_source_that_stands_still_holds_up_nobody_for_long() {
        let mut s = Sequencer::new(2, Duration::from_millis(100));
        s.handle_time(ms(50));
        tell(&mut s, 0, &[(10, 1)], 50);
        assert_eq!(out(&mut s), []);
        s.handle_time(ms(110));
        assert_eq!(out(&mut s), [(0, 1)]);
        tell(&mut s, 1, &[(9, 2)], 9);
        assert_eq!((out(&mut s), s.late()), (vec![(1, 2)], 1));
    }

    #[test]
    fn the_end_lets_all_out() {
        let mut s = Sequencer::new(1, Duration::from_secs(9));
        s.handle_time(ms(20));
        tell(&mut s, 0, &[(10, 1), (20, 2)], 15);
        assert_eq!(out(&mut s), [(0, 1)]);
        s.finish();
        assert_eq!(out(&mut s), [(1, 2)]);
    }

    #[test]
    fn a_clock_that_is_set_back_or_lies_ahead_holds_up_nothing() {
        let mut s = Sequencer::new(1, Duration::from_millis(100));
        s.handle_time(ms(5_000));
        tell(&mut s, 0, &[(5_000, 1), (60_000, 2)], 5_000);
        assert_eq!(out(&mut s), [(0, 1), (1, 2)]);
        // The clock goes an hour back: what comes then goes out, and is counted as late.
        s.handle_time(ms(1_000));
        tell(&mut s, 0, &[(1_000, 3)], 1_000);
        assert_eq!((out(&mut s), s.late()), (vec![(2, 3)], 1));
    }
}
