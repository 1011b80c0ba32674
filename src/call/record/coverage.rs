//! The coverage ledger: what a sensor saw, and what it knows that it did not see. "Not found" is only ever said with it.
//!
//! A row says when a sensor was looking, or, with [`Coverage::down`], when it was not and why. Rows with the same sensor and `from` are one row: the
//! later one replaces the earlier.

use std::sync::Arc;

use crate::base::Timestamp;

/// One sensor's account of one whole minute, or of the part of it in which the sensor was looking; or of a time in which it was not.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Coverage {
    /// Which sensor.
    pub sensor: Arc<str>,
    /// When it began to look within this minute.
    pub from: Timestamp,
    /// When it stopped looking, at the latest the end of the minute. A row with `until` equal to `from` counts and covers nothing.
    pub until: Timestamp,
    /// Packets seen.
    pub packets: u64,
    /// SIP messages seen whole.
    pub messages: u64,
    /// Messages that began and were never complete: fragment or segment lost, cut by snap length.
    pub incomplete: u64,
    /// Of these: for want of an IP fragment. Rows of earlier versions don't tell.
    pub lost_fragments: u64,
    /// Of these: for want of a TCP segment.
    pub tcp_gaps: u64,
    /// Packets that the capture itself reports as dropped.
    pub dropped: u64,
    /// Times that the kernel's ring was full and it stopped to wait for us.
    pub freezes: u64,
    /// SIP messages that could not be read.
    pub unreadable: u64,
    /// Messages that we let go under overload: no first INVITE is among them.
    pub shed: u64,
    /// Calls of which we skipped the verification under overload. Their records are there, undetermined.
    pub unverified: u64,
    /// Calls whose record could not be stored.
    pub lost_records: u64,
    /// Messages that another sensor or the same one had brought already. Nothing was missed by them.
    pub duplicates: u64,
    /// The host's clock, at its worst in this time. `None` where nobody asked, as for a capture file.
    pub clock: Option<ClockState>,
    /// Not looking, and why. Such a row counts nothing.
    pub down: Option<Down>,
}

/// How good the host's clock is, by what the kernel says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ClockState {
    /// Whether something keeps it in step with the world.
    pub synchronised: bool,
    /// How far it is known to be off: what is still to be slewed. Nanoseconds, positive when it is behind.
    pub offset_ns: i64,
    /// Bound of its error in nanoseconds.
    pub error_ns: u64,
}

impl ClockState {
    /// The largest error that a time of this clock can have; as large as can be said when nothing keeps it in step.
    pub fn bound_ns(self) -> u64 {
        match self.synchronised {
            true => self.error_ns.saturating_add(self.offset_ns.unsigned_abs()),
            false => u64::MAX,
        }
    }

    /// The worse of two.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |c: &Self| (!c.synchronised, c.bound_ns(), c.error_ns);
        if rank(&other) > rank(&self) {
            other
        } else {
            self
        }
    }
}

macro_rules! downs {
    ($($name:ident $label:literal $what:literal;)*) => {
        /// Why a sensor was not looking.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Down { $( #[doc = $what] $name, )* }

        impl Down {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Name, as in output and files.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label),* }
            }

            /// In words.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$name => $what),* }
            }
        }
    };
}

downs! {
    Stopped "stopped" "stopped on request";
    Died "died" "the process died, or the host did";
    Interface "interface" "the interface was down or gone";
    ClockStep "clock-step" "the clock was set: these times never were, or were twice";
    Damaged "damaged" "records of this time were damaged on the disk and are lost";
    Erased "erased" "what it saw was erased before its time";
    Unknown "unknown" "for a reason that is not known";
}

impl Down {
    /// By its name.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|d| d.label() == label)
    }
}

impl Coverage {
    /// Share of what passed that was seen whole and kept, from 0 to 1. A minute without traffic was seen whole. Calls without verification and
    /// duplicates take nothing off: their records are there.
    pub fn completeness(&self) -> f64 {
        if self.down.is_some() {
            return 0.0;
        }
        // A message that was seen and then let go, or whose record is lost, is none that we have.
        let gone = self.shed.saturating_add(self.lost_records);
        let kept = self.messages.saturating_sub(gone);
        let lost = sum([self.incomplete, self.unreadable, gone]);
        let messages = share(kept, lost);
        messages * share(self.packets, self.dropped)
    }

    /// Whether nothing is known to have been lost of the records of calls.
    pub fn keeps_all_records(&self) -> bool {
        self.lost_records == 0
    }

    /// Adds what another account of the same sensor and minute counted. Times and the reason for being down stay as they are.
    pub fn merge(&mut self, other: &Self) {
        let Self {
            sensor: _,
            from: _,
            until: _,
            packets,
            messages,
            incomplete,
            lost_fragments,
            tcp_gaps,
            dropped,
            freezes,
            unreadable,
            shed,
            unverified,
            lost_records,
            duplicates,
            clock,
            down: _,
        } = other;
        for (mine, theirs) in [
            (&mut self.packets, packets),
            (&mut self.messages, messages),
            (&mut self.incomplete, incomplete),
            (&mut self.lost_fragments, lost_fragments),
            (&mut self.tcp_gaps, tcp_gaps),
            (&mut self.dropped, dropped),
            (&mut self.freezes, freezes),
            (&mut self.unreadable, unreadable),
            (&mut self.shed, shed),
            (&mut self.unverified, unverified),
            (&mut self.lost_records, lost_records),
            (&mut self.duplicates, duplicates),
        ] {
            *mine = mine.saturating_add(*theirs);
        }
        self.clock = match (self.clock, *clock) {
            (Some(a), Some(b)) => Some(a.worse(b)),
            (a, b) => a.or(b),
        };
    }
}

fn sum(parts: [u64; 3]) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}

fn share(seen: u64, lost: u64) -> f64 {
    if lost == 0 {
        1.0
    } else {
        seen as f64 / (seen as f64 + lost as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_and_let_go_again_is_not_whole() {
        let mut c = Coverage {
            packets: 100,
            messages: 100,
            ..Coverage::default()
        };
        assert_eq!(c.completeness(), 1.0);
        c.unverified = 50;
        c.duplicates = 50;
        assert_eq!(c.completeness(), 1.0);
        c.shed = 10;
        assert_eq!(c.completeness(), 0.9);
        c.lost_records = 10;
        assert_eq!(c.completeness(), 0.8);
        c.dropped = 100;
        assert_eq!(c.completeness(), 0.4);
        c.down = Some(Down::Died);
        assert_eq!(c.completeness(), 0.0);
    }

    #[test]
    fn numbers_from_a_damaged_file_end_at_the_limits() {
        let most = Coverage {
            packets: u64::MAX,
            dropped: u64::MAX,
            incomplete: u64::MAX,
            unreadable: u64::MAX,
            shed: u64::MAX,
            lost_records: u64::MAX,
            ..Coverage::default()
        };
        let mut twice = most.clone();
        twice.merge(&most);
        assert_eq!(twice.packets, u64::MAX);
        assert!((0.0..=1.0).contains(&twice.completeness()));
    }

    #[test]
    fn a_clock_that_nothing_keeps_is_worse_than_any_that_something_does() {
        let kept = |error_ns| ClockState {
            synchronised: true,
            offset_ns: -5,
            error_ns,
        };
        let free = ClockState::default();
        assert_eq!(kept(10).worse(kept(20)), kept(20));
        assert_eq!(kept(u64::MAX).worse(free), free);
        assert_eq!(free.worse(kept(3)), free);
        assert_eq!((kept(10).bound_ns(), free.bound_ns()), (15, u64::MAX));
    }

    #[test]
    fn every_reason_is_known_by_its_label() {
        for down in Down::ALL {
            assert_eq!(Down::from_label(down.label()), Some(*down));
            let json = serde_json::to_string(down).unwrap();
            assert_eq!(json, format!("\"{}\"", down.label()));
        }
    }
}
