//! Behaviour: what many calls show together and none alone.
//!
//! In: calls that neighbours hand to us, in order of capture, and what became of them. Out: the flags that a call earns by what its subject has done up
//! to it, and findings. Only capture time counts, memory is bounded whatever comes (64 MB, of which a quiet edge touches little), and the same calls
//! give the same findings in every run.
//!
//! - [`thresholds`]: where each behaviour begins, with reasons
//! - [`sketch`]: who may matter · [`heads`]: exact counts of those who do. Nobody is flagged by a sketch's count alone.
//! - [`caller`]: high-volume, short-calls, low-answer of one number · [`called`]: floods · [`runs`]: sequential dialling
//! - [`neighbour`]: snowshoe, short-calls, low-answer of a whole neighbour · [`mix`]: its mix against its usual
//! - [`score`]: terms and weights · [`open`]: findings open, go on and close · [`outcomes`]: whose end an end is
//!
//! Each call counts once, where it comes in. Calls to emergency numbers, and their call-backs, never count.

mod called;
mod caller;
mod heads;
mod mix;
mod neighbour;
mod open;
mod outcomes;
mod runs;
mod score;
mod sketch;
pub mod thresholds;
mod window;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use called::{Called, Target};
use caller::{Became, Caller};
use heads::{Heads, Place};
use neighbour::{Neighbour, OFTEN};
use open::{About, OpenFindings, Seen};
use outcomes::Outcomes;
use runs::Runs;
use sketch::{CountMin, Key, key, stranger};
pub use thresholds::{BehaviourSettings, Threshold, Thresholds};

use super::finding::{Example, Finding};
use super::{Flag, Flags};
use crate::base::Timestamp;
use crate::call::record::{Begin, Direction, End, State};
use crate::number::{NumberSet, Tn};
use crate::stir::verify::{Attestation, Validation};

pub(super) use open::Examples;

/// Flags that behaviours earn.
pub const KINDS: [Flag; 8] = [
    Flag::HighVolume,
    Flag::Snowshoe,
    Flag::ShortCalls,
    Flag::LowAnswer,
    Flag::SequentialDialling,
    Flag::Flood,
    Flag::ProtectedFlood,
    Flag::MixChange,
];

/// Calls of a number in an hour, as the sketch sees it, before it is counted exactly. So many of its first calls are never counted.
const PROMOTED: u32 = 10;

/// Counters a row of the sketches, as powers of two: 16 MB for calling numbers, 8 MB for called ones and blocks.
const CALLING_WIDTH: u32 = 20;
const CALLED_WIDTH: u32 = 19;

/// Numbers counted exactly, as powers of two: 65,536 calling ones of 176 octets, 32,768 called ones and as many blocks of 60.
const CALLING: u32 = 16;
const CALLED: u32 = 15;

/// Neighbours: more than a table of rules holds.
const NEIGHBOURS: usize = 4_096;

/// Capture time that goes back further than this is another time: counts begin anew.
const STEP: Duration = Duration::from_secs(3_600);

/// Numbers of a block whose last digits are left out: thousands.
const BLOCK_DIGITS: usize = 3;

/// Toll-free area codes of the North American plan (NANPA).
const TOLL_FREE: [&str; 7] = ["1800", "1833", "1844", "1855", "1866", "1877", "1888"];

/// What is looked at of a call.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its record.
    pub uid: u64,
    /// Its time.
    pub at: Timestamp,
    /// The neighbour that handed it to us; `None` for one that no rule names.
    pub peer: Option<&'a Arc<str>>,
    /// From which address: strangers are told apart by it.
    pub source: IpAddr,
    /// From, or the asserted number where From is none.
    pub calling: Option<&'a Tn>,
    /// Whom it is to.
    pub called: Option<&'a Tn>,
    /// Valid attestation A.
    pub attested: bool,
    /// No Identity header.
    pub unsigned: bool,
}

impl<'a> Call<'a> {
    /// What is looked at of a record and the flags that it has earned; nothing of one that does not count: not handed to us, or `exempt`
    /// ([`Flagged::exempt`](super::flagging::Flagged::exempt)).
    pub fn of(begin: &'a Begin, flags: Flags, exempt: bool) -> Option<Self> {
        if begin.direction != Direction::Ingress || exempt {
            return None;
        }
        let (n, v) = (&begin.numbers, &begin.verdict);
        Some(Self {
            uid: begin.uid,
            at: begin.at,
            peer: begin.peer.as_ref(),
            source: begin.source.ip(),
            calling: n.from.as_ref().or(n.asserted.as_ref()),
            called: n.called.as_ref(),
            attested: v.validation == Validation::Passed && v.attest == Some(Attestation::A),
            unsigned: flags.contains(Flag::Unsigned),
        })
    }
}

/// What could not be looked at as it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BehaviourCounters {
    /// Calls looked at.
    pub calls: u64,
    /// Ends that were counted.
    pub outcomes: u64,
    /// Numbers, blocks and runs given up for busier ones.
    pub displaced: u64,
    /// Findings that found no room; their calls were flagged.
    pub refused: u64,
    /// Calls of neighbours beyond the most.
    pub crowded: u64,
    /// Times that counts began anew because capture time went back.
    pub steps: u64,
}

/// The machine.
#[derive(Debug)]
pub struct Behaviours {
    settings: BehaviourSettings,
    protected: Arc<NumberSet>,
    now: Timestamp,
    /// Since when we look.
    began: Option<Timestamp>,
    calling: CountMin,
    called: CountMin,
    callers: Heads<Caller>,
    numbers: Heads<Called>,
    blocks: Heads<Called>,
    runs: Runs,
    /// The first is all strangers: it has thresholds, and no counts of its own.
    neighbours: Vec<Neighbour>,
    places: BTreeMap<Arc<str>, u16>,
    outcomes: Outcomes,
    open: OpenFindings,
    counters: BehaviourCounters,
}

impl Behaviours {
    /// Nothing seen yet.
    pub fn new(settings: BehaviourSettings) -> Self {
        Self {
            protected: Arc::default(),
            neighbours: vec![Neighbour::new(settings.all)],
            settings,
            now: Timestamp::MIN,
            began: None,
            calling: CountMin::new(CALLING_WIDTH),
            called: CountMin::new(CALLED_WIDTH),
            callers: Heads::new(CALLING),
            numbers: Heads::new(CALLED),
            blocks: Heads::new(CALLED),
            runs: Runs::new(),
            places: BTreeMap::new(),
            outcomes: Outcomes::new(),
            open: OpenFindings::default(),
            counters: BehaviourCounters::default(),
        }
    }

    /// Called numbers that are protected from now on: public-safety answering points, hospitals.
    pub fn handle_protected(&mut self, protected: Arc<NumberSet>) {
        self.protected = protected;
    }

    /// Other thresholds from now on; counts stay.
    pub fn handle_settings(&mut self, settings: BehaviourSettings) {
        if let Some(strangers) = self.neighbours.first_mut() {
            strangers.thresholds = settings.all;
        }
        for (peer, place) in &self.places {
            if let Some(neighbour) = self.neighbours.get_mut(usize::from(*place)) {
                neighbour.thresholds = *settings.of(Some(peer));
            }
        }
        self.settings = settings;
    }

    /// Takes a call in. Gives the flags that it earns.
    pub fn handle_call(&mut self, call: &Call<'_>) -> Flags {
        self.handle_time(call.at);
        self.began.get_or_insert(self.now);
        self.counters.calls += 1;
        let mut flags = Flags::default();
        let Some(place) = self.neighbour(call.peer) else {
            self.counters.crowded += 1;
            return flags;
        };
        let seen = Seen {
            now: self.now,
            example: Example {
                uid: call.uid,
                at: call.at,
            },
            peer: call.peer,
        };
        let room = match call.peer {
            Some(_) => place.into(),
            None => stranger(call.source),
        };
        let calling = call.calling.map(|tn| key(room, tn.as_bytes()));
        let (caller, times) = self.handle_caller(seen, place, calling, call.attested, &mut flags);
        // What a number has done itself is not held against its neighbour as a whole.
        let mut own = flags.0 != 0;
        let mut caller_and_times = calling.map(|k| (k, times));
        if let Some(called) = call.called {
            self.handle_run(seen, (place, room), calling, called, &mut flags);
            // Calls to a number that many call (a vote, a hot line), or into a flood, say something of that number, and nothing of the neighbour.
            let many = self.handle_called(seen, place, called, &mut flags);
            if many || flags.contains(Flag::Flood) {
                own = true;
                caller_and_times = None;
            }
        }
        self.handle_neighbour(seen, place, caller_and_times, call, &mut flags);
        self.outcomes.wait(call.uid, caller, place, own);
        flags
    }

    /// Takes in how a call ended, and when that was known; of calls that did not count, nothing.
    pub fn handle_end(&mut self, at: Timestamp, end: &End) {
        self.now = self.now.max(at);
        let Some(awaited) = self.outcomes.find(end.uid) else {
            return;
        };
        let Some(neighbour) = self.neighbours.get_mut(usize::from(awaited.neighbour)) else {
            return;
        };
        let mut count = |became| {
            if let Some(caller) = self.callers.at(awaited.caller) {
                caller.handle_outcome(self.now, became, &neighbour.thresholds);
            }
            neighbour.handle_outcome(self.now, became, awaited.own);
        };
        let answered = answered(end);
        if let (false, Some(answered)) = (awaited.answered, answered) {
            count(Became::Finished { answered });
            self.counters.outcomes += 1;
        }
        if let (Some(true), Some(ms)) = (answered, end.duration_ms) {
            count(Became::Lasted { ms });
        }
        if let Some(answered) = answered {
            let all = !answered || end.duration_ms.is_some();
            self.outcomes.counted(end.uid, awaited, all);
        }
    }

    /// Lets time pass.
    pub fn handle_time(&mut self, now: Timestamp) {
        if now < self.now.minus(STEP) {
            self.counters.steps += 1;
            self.begin_anew(now);
        }
        self.now = self.now.max(now);
        self.open.handle_time(self.now);
    }

    /// Capture time is another from `now` on: what is open closes, and counts begin anew.
    pub fn begin_anew(&mut self, now: Timestamp) {
        self.open.finish(self.now);
        let counters = self.counters();
        let open = std::mem::take(&mut self.open);
        let mut outcomes = std::mem::replace(&mut self.outcomes, Outcomes::new());
        outcomes.clear();
        let settings = std::mem::take(&mut self.settings);
        *self = Self {
            now,
            protected: self.protected.clone(),
            outcomes,
            open,
            counters: BehaviourCounters {
                refused: 0,
                ..counters
            },
            ..Self::new(settings)
        };
    }

    /// The source has ended: what is open is closed.
    pub fn finish(&mut self) {
        self.open.finish(self.now);
    }

    /// Findings that opened, went on or closed.
    pub fn poll_finding(&mut self) -> Option<Finding> {
        self.open.poll()
    }

    /// How many findings are open, by kind and neighbour.
    pub fn open(&self) -> BTreeMap<(Flag, Option<Arc<str>>), u64> {
        self.open.count()
    }

    /// Counts so far.
    pub fn counters(&self) -> BehaviourCounters {
        let displaced = self.callers.displaced + self.numbers.displaced + self.blocks.displaced;
        BehaviourCounters {
            displaced: self.counters.displaced + displaced + self.runs.displaced(),
            refused: self.counters.refused + self.open.refused,
            ..self.counters
        }
    }

    fn neighbour(&mut self, peer: Option<&Arc<str>>) -> Option<u16> {
        let Some(peer) = peer else { return Some(0) };
        if let Some(place) = self.places.get(peer) {
            return Some(*place);
        }
        if self.neighbours.len() >= NEIGHBOURS {
            return None;
        }
        let place = u16::try_from(self.neighbours.len()).ok()?;
        let thresholds = *self.settings.of(Some(peer));
        self.neighbours.push(Neighbour::new(thresholds));
        self.places.insert(peer.clone(), place);
        Some(place)
    }

    /// Gives where the calling number's exact counts are, and how often it called in this hour of the clock.
    fn handle_caller(
        &mut self,
        seen: Seen<'_>,
        place: u16,
        calling: Option<Key>,
        attested: bool,
        flags: &mut Flags,
    ) -> (Place, u32) {
        let Some(key) = calling else {
            return Default::default();
        };
        let Some(neighbour) = self.neighbours.get(usize::from(place)) else {
            return Default::default();
        };
        let (times, lately) = self.calling.add(seen.now, key);
        let entry = match lately > PROMOTED {
            true => self.callers.find_or_add(seen.now, key),
            false => self.callers.find(key),
        };
        let Some((at, caller)) = entry else {
            return (Place::default(), times);
        };
        let (now, t) = (seen.now, &neighbour.thresholds);
        caller.handle_call(now, attested);
        let (about, open) = (About::Calling(key), &mut self.open);
        let mut judge = |kind, score: &dyn Fn(score::Strictness) -> score::Score| {
            if open.judge((kind, about), seen, score) {
                flags.insert(kind);
            }
        };
        judge(Flag::HighVolume, &|s| caller.high_volume(now, t, s));
        judge(Flag::ShortCalls, &|s| caller.short_calls(now, t, s));
        judge(Flag::LowAnswer, &|s| caller.low_answer(now, t, s));
        (at, times)
    }

    fn handle_run(
        &mut self,
        seen: Seen<'_>,
        (place, room): (u16, u64),
        calling: Option<Key>,
        called: &Tn,
        flags: &mut Flags,
    ) {
        let caller = calling.unwrap_or(0);
        let Some(run) = self.runs.handle_call(seen.now, room, caller, called) else {
            return;
        };
        let Some(neighbour) = self.neighbours.get(usize::from(place)) else {
            return;
        };
        let t = &neighbour.thresholds;
        let (about, least) = match run.caller {
            Some(key) => (About::Calling(key), t.sequential_run),
            // Strangers are no neighbour.
            None if place == 0 => return,
            None => (About::Neighbour(place.into()), t.neighbour_sequential_run),
        };
        let score = |strictness| {
            let mut score = score::Score::new(strictness);
            score.above("run", run.length.into(), least.into(), 100);
            score
        };
        let kind = Flag::SequentialDialling;
        if self.open.judge((kind, about), seen, score) {
            flags.insert(kind);
        }
    }

    /// Gives whether the called number is one that many call.
    fn handle_called(
        &mut self,
        seen: Seen<'_>,
        place: u16,
        called: &Tn,
        flags: &mut Flags,
    ) -> bool {
        let Some(neighbour) = self.neighbours.get(usize::from(place)) else {
            return false;
        };
        let (now, t) = (seen.now, &neighbour.thresholds);
        // Several neighbours' calls meet at a number.
        let seen = Seen { peer: None, ..seen };
        let text = called.as_bytes();
        let known = self.began.map_or(0, |b| {
            window::seconds(now).saturating_sub(window::seconds(b)) / 60
        });
        let toll_free =
            TOLL_FREE.iter().any(|p| text.starts_with(p.as_bytes())) && text.len() == 11;
        let protected = self.protected.contains(called);
        let number = key(1, text);
        let many = self.called.add(now, number).1 > PROMOTED;
        if protected || many {
            let (kind, target) = match protected {
                true => (Flag::ProtectedFlood, Target::Protected),
                false => (Flag::Flood, Target::Number),
            };
            let about = About::Called(number);
            let flooded = self.open.is_open(kind, about);
            if let Some((_, called)) = self.numbers.find_or_add(now, number) {
                called.handle_call(now, flooded);
                let score = |s| called.flood(now, t, target, toll_free, known, s);
                if self.open.judge((kind, about), seen, score) {
                    flags.insert(kind);
                }
            }
        }
        let Some(block) = text
            .len()
            .checked_sub(BLOCK_DIGITS)
            .and_then(|n| text.get(..n))
        else {
            return many;
        };
        // Short codes have no blocks.
        if block.len() < BLOCK_DIGITS {
            return many;
        }
        let block = key(2, block);
        if self.called.add(now, block).1 > PROMOTED {
            let about = About::Prefix(block);
            let flooded = self.open.is_open(Flag::Flood, about);
            if let Some((_, called)) = self.blocks.find_or_add(now, block) {
                called.handle_call(now, flooded);
                let score = |s| called.flood(now, t, Target::Block, toll_free, known, s);
                if self.open.judge((Flag::Flood, about), seen, score) {
                    flags.insert(Flag::Flood);
                }
            }
        }
        many
    }

    fn handle_neighbour(
        &mut self,
        seen: Seen<'_>,
        place: u16,
        caller: Option<(Key, u32)>,
        call: &Call<'_>,
        flags: &mut Flags,
    ) {
        // Strangers are no neighbour: what one does is not the others' doing.
        if place == 0 {
            return;
        }
        let Some(n) = self.neighbours.get_mut(usize::from(place)) else {
            return;
        };
        let now = seen.now;
        n.handle_call(now, caller, call.attested, call.unsigned);
        let (n, open) = (&*n, &mut self.open);
        let about = About::Neighbour(place.into());
        let mut judge = |kind, score: &dyn Fn(score::Strictness) -> score::Score| {
            if open.judge((kind, about), seen, score) {
                flags.insert(kind);
            }
        };
        if caller.is_some_and(|(_, times)| times < OFTEN) {
            judge(Flag::Snowshoe, &|s| n.snowshoe(now, s));
        }
        judge(Flag::ShortCalls, &|s| n.short_calls(now, s));
        judge(Flag::LowAnswer, &|s| n.low_answer(now, s));
        judge(Flag::MixChange, &|s| n.mix.score(&n.thresholds, s));
    }
}

/// Whether an end says that the caller was answered; `None` where it says nothing of the caller: nothing was seen, or it is a challenge, a
/// redirection, or a failure of our side.
fn answered(end: &End) -> Option<bool> {
    match (end.one_way, end.state, end.code) {
        (true, _, _) => None,
        (_, State::Answered, _) => Some(true),
        (_, State::Cancelled, _) => Some(false),
        (_, State::Failed, 401 | 407 | 500..=599) => None,
        (_, State::Failed, _) => Some(false),
        (_, State::Unfinished | State::Redirected, _) => None,
    }
}

#[cfg(test)]
mod tests;
