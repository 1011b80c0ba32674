//! What is let go when more comes than can be judged, in a stated order, and counted.
//!
//! | queue before the judges | let go |
//! |---|---|
//! | half full | retransmissions of an INVITE; requests that belong to no call (OPTIONS, REGISTER, …) and their answers |
//! | three quarters | everything that is no INVITE: records lack how calls went on |
//! | seven eighths | signature checks: records say `not-verified` |
//! | full | nothing: the sources wait, the kernel's ring fills, and what it drops is counted in the ledger |
//!
//! No INVITE that was seen for the first time is ever let go: each call keeps its record, and with it the neighbour who sent it.

use std::time::Duration;

use crate::base::bounded::{BoundedMap, keyed};
use crate::wire::{Message, Transport};

/// How long an INVITE may be sent again: timer B, 64 times T1 of half a second (RFC 3261 §17.1.1.2).
const RETRANSMITTED: Duration = Duration::from_secs(32);

/// INVITEs remembered: 32 s at 4,000 a second. Beyond it the oldest is forgotten, and its retransmission judged once more.
const REMEMBERED: usize = 131_072;

/// How much is let go. Each level lets go what the one before does, and more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    #[default]
    Calm,
    /// Retransmissions, and what belongs to no call.
    Idle,
    /// Everything that is no INVITE.
    Answers,
    /// Signature checks too.
    Checks,
}

impl Level {
    /// By how many of so many places in the queue before the judges are taken.
    pub fn of(waiting: usize, room: usize) -> Self {
        match waiting * 8 / room.max(1) {
            0..4 => Self::Calm,
            4..6 => Self::Idle,
            6 => Self::Answers,
            _ => Self::Checks,
        }
    }
}

/// What was let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShedCounters {
    /// INVITEs sent again.
    pub retransmissions: u64,
    /// Requests that belong to no call, and their answers.
    pub others: u64,
    /// Answers and requests of calls.
    pub answers: u64,
    /// INVITEs with an Identity header or without that were passed on unchecked.
    pub checks: u64,
}

impl ShedCounters {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("retransmission", self.retransmissions),
            ("other", self.others),
            ("answer", self.answers),
            ("check", self.checks),
        ]
        .into_iter()
    }

    /// What each counts, in one line.
    pub const HELP: &'static [(&'static str, &'static str)] = &[
        ("retransmission", "INVITEs that had been seen before"),
        (
            "other",
            "requests that belong to no call, and answers to them",
        ),
        ("answer", "answers, ACK, CANCEL and BYE of calls"),
        (
            "check",
            "INVITEs whose signatures were not checked; their records are kept",
        ),
    ];
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Pass,
    /// It goes on, and its signatures are not checked.
    PassUnchecked,
    /// It is let go: an INVITE that had been seen before, so nothing of it is lost.
    ShedRepeat,
    /// It is let go.
    Shed,
}

/// Decides what is let go.
#[derive(Debug)]
pub struct Shedder {
    invites: BoundedMap<u64, ()>,
    /// Keyed, because strangers write what it digests.
    hasher: ahash::RandomState,
    counters: ShedCounters,
}

impl Default for Shedder {
    fn default() -> Self {
        Self::new()
    }
}

impl Shedder {
    /// One that has seen nothing.
    pub fn new() -> Self {
        Self {
            invites: BoundedMap::new(REMEMBERED, RETRANSMITTED),
            hasher: keyed(),
            counters: ShedCounters::default(),
        }
    }

    /// Takes the next message in order.
    pub fn handle(&mut self, message: &Message, level: Level) -> Fate {
        match Kind::of(&message.bytes) {
            Kind::Invite => {
                // Remembered at all times: the first may have come while it was calm.
                let again = message.flow.transport == Transport::Udp && self.is_again(message);
                match level {
                    Level::Calm => Fate::Pass,
                    _ if again => {
                        self.counters.retransmissions += 1;
                        Fate::ShedRepeat
                    }
                    Level::Checks => {
                        self.counters.checks += 1;
                        Fate::PassUnchecked
                    }
                    _ => Fate::Pass,
                }
            }
            Kind::OfCall if level >= Level::Answers => {
                self.counters.answers += 1;
                Fate::Shed
            }
            Kind::Other if level >= Level::Idle => {
                self.counters.others += 1;
                Fate::Shed
            }
            Kind::OfCall | Kind::Other => Fate::Pass,
        }
    }

    /// What was let go so far.
    pub fn counters(&self) -> ShedCounters {
        self.counters
    }

    fn is_again(&mut self, message: &Message) -> bool {
        let digest = self.hasher.hash_one((&message.flow, &message.bytes));
        while self.invites.poll_expired(message.at).is_some() {}
        if self.invites.get(&digest).is_some() {
            return true;
        }
        self.invites.insert(digest, (), message.at);
        false
    }
}

/// What a message is, told by a look at its start line and, for an answer, its CSeq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Invite,
    /// An answer to an INVITE, or ACK, CANCEL, BYE, PRACK, UPDATE.
    OfCall,
    Other,
}

impl Kind {
    fn of(bytes: &[u8]) -> Self {
        let bytes = bytes.trim_ascii_start();
        let method = if bytes.starts_with(b"SIP/2.0 ") {
            method_of_answer(bytes)
        } else {
            bytes.split(|b| *b == b' ').next()
        };
        let answer = bytes.starts_with(b"SIP/2.0 ");
        match method {
            Some(b"INVITE") if !answer => Self::Invite,
            Some(b"INVITE" | b"ACK" | b"CANCEL" | b"BYE" | b"PRACK" | b"UPDATE") => Self::OfCall,
            // What we can't tell is not let go first.
            None => Self::OfCall,
            Some(_) => Self::Other,
        }
    }
}

fn method_of_answer(bytes: &[u8]) -> Option<&[u8]> {
    let lines = bytes.split(|b| *b == b'\n');
    let value = lines
        .take_while(|l| !l.trim_ascii().is_empty())
        .find_map(|line| {
            let (name, value) = line.split_at_checked(line.iter().position(|b| *b == b':')?)?;
            let is = name.trim_ascii_end().eq_ignore_ascii_case(b"cseq");
            is.then_some(value)
        })?;
    value
        .trim_ascii()
        .rsplit(|b| b.is_ascii_whitespace())
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::wire::test_support;

    fn message(text: &str, at: i64) -> Message {
        test_support::message(Timestamp::from_secs(at), text.as_bytes())
    }

    const INVITE: &str = "INVITE sip:+12025550142@example.net SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n";
    const RINGING: &str = "SIP/2.0 180 Ringing\r\nCSeq : 1  INVITE\r\n\r\n";
    const BYE: &str = "BYE sip:+12025550142@example.net SIP/2.0\r\n\r\n";
    const OPTIONS: &str = "OPTIONS sip:example.net SIP/2.0\r\n\r\n";
    const PONG: &str = "SIP/2.0 200 OK\r\ncseq:7 OPTIONS\r\n\r\n";

    #[test]
    fn what_is_let_go_grows_with_the_level_and_the_first_invite_never_is() {
        let fates = |level| {
            let mut s = Shedder::new();
            [INVITE, INVITE, RINGING, BYE, OPTIONS, PONG, "garbage"]
                .map(|m| s.handle(&message(m, 100), level))
        };
        use Fate::{Pass as P, PassUnchecked as U, Shed as S, ShedRepeat as R};
        assert_eq!(fates(Level::Calm), [P, P, P, P, P, P, P]);
        assert_eq!(fates(Level::Idle), [P, R, P, P, S, S, S]);
        assert_eq!(fates(Level::Answers), [P, R, S, S, S, S, S]);
        assert_eq!(fates(Level::Checks), [U, R, S, S, S, S, S]);
    }

    #[test]
    fn everything_let_go_is_counted() {
        let mut s = Shedder::new();
        for m in [INVITE, INVITE, RINGING, OPTIONS] {
            s.handle(&message(m, 100), Level::Checks);
        }
        let c = s.counters();
        let all = (c.checks, c.retransmissions, c.answers, c.others);
        assert_eq!(all, (1, 1, 1, 1));
        let names: Vec<_> = c.iter().map(|(n, _)| n).collect();
        let helped: Vec<_> = ShedCounters::HELP.iter().map(|(n, _)| *n).collect();
        assert_eq!(names, helped);
    }

    #[test]
    fn the_same_invite_after_its_time_is_a_new_one() {
        let mut s = Shedder::new();
        s.handle(&message(INVITE, 100), Level::Calm);
        assert_eq!(
            s.handle(&message(INVITE, 131), Level::Idle),
            Fate::ShedRepeat
        );
        assert_eq!(s.handle(&message(INVITE, 200), Level::Idle), Fate::Pass);
    }

    #[test]
    fn levels_follow_the_queue() {
        let levels = [0, 31, 32, 47, 48, 55, 56, 64].map(|n| Level::of(n, 64));
        use Level::{Answers, Calm, Checks, Idle};
        assert_eq!(
            levels,
            [Calm, Calm, Idle, Idle, Answers, Answers, Checks, Checks]
        );
    }
}
