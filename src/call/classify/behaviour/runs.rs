//! Sequential dialling: called numbers that rise by one to five, one after the other.
//!
//! Runs are kept by neighbour and block of a hundred called numbers, so that other traffic between does not hide them, and handed on from one block
//! to the next. A step back by up to five, which parallel lines make, neither adds nor breaks; anything else into the same block halves the run.

use super::heads::{Heads, Weight};
use super::sketch::{Key, key};
use super::window::seconds;
use crate::base::Timestamp;
use crate::number::Tn;

/// The widest step: diallers leave out numbers that are on lists.
const STEP: u64 = 5;

/// Numbers in a block.
const BLOCK: u64 = 100;

/// A run that has waited longer than this is over.
const PAUSE: u32 = 600;

/// Blocks at once, as a power of two. Each takes 84 octets at most.
const BITS: u32 = 16;

#[derive(Debug, Default)]
struct Run {
    last: u64,
    at: u32,
    length: u32,
    /// The calling number, 0 where several take turns.
    caller: Key,
}

impl Weight for Run {
    fn weight(&self, now: Timestamp) -> f64 {
        // The longer, and among equals the younger, as long as it goes on at all.
        match seconds(now).saturating_sub(self.at) {
            pause @ 0..=PAUSE => f64::from(self.length) + 1.0 / f64::from(pause + 1),
            _ => 0.0,
        }
    }
}

/// A run as it stands after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunIs {
    pub length: u32,
    /// The calling number that made all of it, where it was one.
    pub caller: Option<Key>,
}

/// All runs.
#[derive(Debug)]
pub(super) struct Runs {
    heads: Heads<Run>,
}

impl Runs {
    pub fn new() -> Self {
        Self {
            heads: Heads::new(BITS),
        }
    }

    /// Takes a call in. Gives the run that it goes on, if it does.
    pub fn handle_call(
        &mut self,
        now: Timestamp,
        room: u64,
        caller: Key,
        called: &Tn,
    ) -> Option<RunIs> {
        let number = called.as_u64()?;
        let block = |number: u64| {
            let block = Tn::from_u64(number / BLOCK);
            block.map(|b| key(room, b.as_bytes()))
        };
        let here = block(number)?;
        let own = self.heads.find(here).map(|(_, run)| run);
        let mut from = match own {
            Some(run) if goes_on(run, now, number) => Some((run.length, run.caller)),
            _ => None,
        };
        // The first numbers of a block may go on where the block before ended.
        if from.is_none()
            && number % BLOCK < STEP
            && let Some((_, run)) = self.heads.find(block(number.checked_sub(STEP)?)?)
            && goes_on(run, now, number)
        {
            from = Some((run.length, run.caller));
            // It lives on here alone.
            *run = Run::default();
        }
        let (_, run) = self.heads.find_or_add(now, here)?;
        let fresh = seconds(now).saturating_sub(run.at) <= PAUSE && run.last > 0;
        if fresh && from.is_none() {
            run.at = seconds(now);
            if number > run.last || run.last - number > STEP {
                run.length /= 2;
                run.last = number;
                if run.length == 0 {
                    run.caller = caller;
                }
            }
            return None;
        }
        let (length, by) = from.unwrap_or((0, caller));
        *run = Run {
            last: number,
            at: seconds(now),
            length: length.saturating_add(u32::from(from.is_some())),
            caller: if by == caller { caller } else { 0 },
        };
        from.is_some().then_some(RunIs {
            length: run.length,
            caller: (run.caller != 0).then_some(run.caller),
        })
    }

    /// Blocks given up for others.
    pub fn displaced(&self) -> u64 {
        self.heads.displaced
    }

    #[cfg(test)]
    pub fn most_octets(&self) -> usize {
        self.heads.most_octets()
    }
}

fn goes_on(run: &Run, now: Timestamp, number: u64) -> bool {
    number > run.last
        && number - run.last <= STEP
        && run.last > 0
        && seconds(now).saturating_sub(run.at) <= PAUSE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(called: impl IntoIterator<Item = u64>) -> u32 {
        let mut runs = Runs::new();
        let caller = key(1, b"12025550100");
        let mut longest = 0;
        for (second, number) in (100u32..).zip(called) {
            let tn = Tn::from_u64(number).unwrap();
            let now = Timestamp::from_secs(second.into());
            if let Some(run) = runs.handle_call(now, 1, caller, &tn) {
                longest = longest.max(run.length);
                assert_eq!(run.caller, Some(caller));
            }
        }
        longest
    }

    #[test]
    fn a_run_goes_on_through_blocks_and_other_calls() {
        let start = 12_025_550_080u64;
        assert_eq!(length((0..50).map(|n| start + n)), 49);
        assert_eq!(length((0..50).map(|n| start + n * 3)), 49);
        let mixed = (0..50).flat_map(|n| [start + n, 13_035_550_000 + n * 7_919 % 10_000]);
        assert_eq!(length(mixed), 49);
        // Parallel lines: each pair the wrong way round.
        let swapped = (0..25).flat_map(|n| [start + 2 * n + 1, start + 2 * n]);
        assert!(length(swapped) >= 20);
    }

    #[test]
    fn a_busy_block_is_no_run() {
        let mut n = 1u64;
        let random = std::iter::repeat_with(|| {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            12_025_550_100 + (n >> 33) % 100
        });
        assert!(length(random.take(20_000)) < 8);
        assert_eq!(length((0..50).map(|n| 12_025_559_999 - n)), 0);
        assert_eq!(length([12_025_550_100; 50]), 0);
    }
}
