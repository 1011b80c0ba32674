//! What begins anew: other settings, another clock, a restart, a panic, the end.

use super::{CollectSettings, Collector};
use crate::base::Timestamp;
use crate::call::attempt::{Attempts, Snapshot, snapshot};
use crate::call::classify::FlagMemory;
use crate::call::record::Clock;

impl Collector {
    /// Other neighbours, numbers and sensors from now on; open attempts keep what they began with. Another freshness window costs what is remembered of
    /// PASSporTs.
    pub fn handle_settings(&mut self, settings: CollectSettings) {
        if settings.window != self.settings.window {
            self.replays.begin_anew(settings.window);
        }
        self.behaviours.handle_settings(settings.behaviour.clone());
        self.behaviours
            .handle_protected(settings.flags.protected.clone());
        self.campaigns.handle_settings(settings.campaign);
        self.memory.handle_peers(&settings.peers);
        self.settings = settings;
    }

    /// How good capture times are from now on.
    pub fn handle_clock(&mut self, clock: Clock) {
        self.settings.clock = clock;
    }

    /// The clock has stepped: open attempts end as they stand while [`Collector::poll_output`] is called, and later ones begin with a new table.
    pub fn handle_step(&mut self) {
        let mut old = std::mem::replace(&mut self.attempts, Attempts::new(self.settings.limits));
        old.finish();
        while let Some(ended) = old.poll_ended() {
            self.ended(ended);
        }
        self.attempts.count_on(old.counters(), 0);
        // Where the new time lies says the next call.
        self.behaviours.begin_anew(Timestamp::MIN);
        self.campaigns.begin_anew(Timestamp::MIN);
        self.take_findings();
        self.legs.begin_anew();
        self.now = Timestamp::MIN;
    }

    /// What is open, to be taken over after a restart. To be taken before [`Collector::finish`]: the records of these calls then say how they stand.
    pub fn snapshot(&self, now: Timestamp, clock: snapshot::ClockMark) -> Snapshot {
        let peers = self.settings.peers.version;
        self.attempts.snapshot(now, clock, peers)
    }

    /// Takes over what was open before a restart. Gives how many calls.
    ///
    /// # Errors
    ///
    /// [`snapshot::Refused`]: then they stay unfinished.
    pub fn resume(
        &mut self,
        snapshot: Snapshot,
        now: Timestamp,
        clock: snapshot::ClockMark,
    ) -> Result<u64, snapshot::Refused> {
        let peers = self.settings.peers.version;
        self.attempts.resume(snapshot, now, clock, peers)
    }

    /// Calls that were open before a restart and can't be taken over.
    pub fn count_not_resumed(&mut self, calls: u64) {
        self.attempts.count_not_resumed(calls);
    }

    /// Goes on with what another collector has remembered for flags.
    pub fn handle_memory(&mut self, memory: FlagMemory) {
        self.memory = memory;
        self.memory.handle_peers(&self.settings.peers);
    }

    /// What is remembered for flags, at the end: nothing is left.
    pub fn take_memory(&mut self) -> FlagMemory {
        std::mem::take(&mut self.memory)
    }

    /// Begins anew after a panic: what may be half done is let go, and counts and calls that wait are kept.
    pub fn rebuild(&mut self, next_uid: u64) {
        let open = u64::try_from(self.attempts.len()).unwrap_or(u64::MAX);
        let counters = self.attempts.counters();
        self.attempts = Attempts::new(self.settings.limits);
        self.attempts.count_on(counters, open);
        self.legs.begin_anew();
        self.replays.begin_anew(self.settings.window);
        self.next_uid = self.next_uid.max(next_uid) + 1;
        self.counters.panicked += 1;
        self.behaviours.begin_anew(Timestamp::MIN);
        self.campaigns.begin_anew(Timestamp::MIN);
    }

    /// The source has ended: what is still open is closed as it stands, while [`Collector::poll_output`] is called.
    pub fn finish(&mut self) {
        self.attempts.finish();
        self.behaviours.handle_time(self.now);
        self.behaviours.finish();
        self.campaigns.finish();
        self.take_findings();
    }
}
