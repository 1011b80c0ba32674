//! What is counted and remembered, for metrics and pages.

use std::collections::BTreeMap;

use super::{CollectCounters, Collector, Tally, TallyKey};
use crate::call::attempt::AttemptCounters;
use crate::call::classify::behaviour::Behaviours;
use crate::call::classify::campaign::Campaigns;
use crate::call::classify::memory::MemoryCounters;
use crate::call::classify::replay::ReplayCounters;
use crate::call::classify::skew::Skews;
use crate::call::leg::LegCounters;
use crate::call::peer::unknown::UnknownNeighbours;

impl Collector {
    /// Counts so far.
    pub fn counters(&self) -> CollectCounters {
        self.counters
    }

    /// Counts of the table of attempts so far.
    pub fn attempt_counters(&self) -> AttemptCounters {
        self.attempts.counters()
    }

    /// What became of legs so far.
    pub fn leg_counters(&self) -> LegCounters {
        self.legs.counters()
    }

    /// Entries kept for attempts now: bounded by a small multiple of [`AttemptLimits`](crate::call::attempt::AttemptLimits).
    pub fn remembered(&self) -> usize {
        self.attempts.remembered()
    }

    /// What became of PASSporTs so far.
    pub fn replay_counters(&self) -> ReplayCounters {
        self.replays.counters()
    }

    /// Counts of what is remembered for flags.
    pub fn memory_counters(&self) -> MemoryCounters {
        self.memory.counters()
    }

    /// How far each signer's clock is off, as far as calls show.
    pub fn skews(&self) -> &Skews {
        &self.skews
    }

    /// What calls show together.
    pub fn behaviours(&self) -> &Behaviours {
        &self.behaviours
    }

    /// Flagged calls that belong together.
    pub fn campaigns(&self) -> &Campaigns {
        &self.campaigns
    }

    /// Addresses that handed calls over and that no rule knows.
    pub fn unknown(&self) -> &UnknownNeighbours {
        &self.unknown
    }

    /// What each neighbour sent or got so far.
    pub fn tallies(&self) -> &BTreeMap<TallyKey, Tally> {
        &self.tallies
    }
}
