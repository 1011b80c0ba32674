//! All campaigns that are open, and what may become one.
//!
//! Bounds: [`CampaignSettings::open`] campaigns and four times as many candidates, about 600 octets each: 30 MB when full. The least recently active leaves first; a campaign that
//! must make room is closed and counted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use super::member::is_member;
use super::{Campaign, CampaignState, Key, SIGNERS};
use crate::base::Timestamp;
use crate::base::bounded::keyed;
use crate::call::classify::behaviour::Examples;
use crate::call::classify::finding::Example;
use crate::call::classify::{Flag, Flags};
use crate::call::record::{Begin, Direction};
use crate::number::Tn;
use crate::stir::verify::Validation;

/// How often an open campaign is told anew at most.
const UPDATE: Duration = Duration::from_secs(600);

/// Candidates for each campaign that may be open.
const CANDIDATES: usize = 4;

/// Last digits left out of a pattern: a block of ten thousand, one exchange.
const PATTERN_DIGITS: usize = 4;

/// Octets of an `origid` that are kept: a UUID has 36.
const ORIGID: usize = 64;

/// Bounds and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CampaignSettings {
    /// Calls from where on it is one.
    pub least: u32,
    /// How long it must be quiet before it is over.
    pub quiet: Duration,
    /// Campaigns open at once.
    pub open: usize,
}

impl Default for CampaignSettings {
    fn default() -> Self {
        Self {
            // Ten: fewer are no pattern, and a portal wants a few examples of each.
            least: 10,
            // A day: diallers rest at night, when calls are unlawful (47 CFR 64.1200(c)(1)).
            quiet: Duration::from_secs(86_400),
            open: 10_000,
        }
    }
}

/// What is looked at of a call.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Its record.
    pub example: Example,
    /// The upstream.
    pub peer: Option<&'a Arc<str>>,
    /// From which address: upstreams that no rule names are told apart by it.
    pub source: IpAddr,
    /// From, or the asserted number where From is none.
    pub calling: Option<&'a Tn>,
    /// The caller asked for privacy.
    pub private: bool,
    /// Who signed, where the signature is theirs.
    pub signer: Option<&'a str>,
    /// `origid` of that.
    pub origid: Option<&'a str>,
    /// What it earned.
    pub flags: Flags,
}

impl<'a> Member<'a> {
    /// What is looked at of a record; nothing of one that is part of no campaign, as an `exempt` one never is
    /// ([`Flagged::exempt`](crate::call::classify::flagging::Flagged::exempt)).
    pub fn of(begin: &'a Begin, exempt: bool) -> Option<Self> {
        if begin.direction != Direction::Ingress || exempt || !is_member(begin.flags) {
            return None;
        }
        let (n, v) = (&begin.numbers, &begin.verdict);
        // Anybody can write another's code into a token that does not verify.
        let passed = v.validation == Validation::Passed;
        Some(Self {
            example: Example {
                uid: begin.uid,
                at: begin.at,
            },
            peer: begin.peer.as_ref(),
            source: begin.source.ip(),
            calling: n.from.as_ref().or(n.asserted.as_ref()),
            private: n.private,
            signer: v.spc.as_deref().filter(|_| passed),
            origid: v.origid.as_deref().filter(|_| passed),
            flags: begin.flags,
        })
    }

    /// What it may have in common with others, the narrowest first.
    fn keys(&self) -> impl Iterator<Item = Key> {
        let number = self
            .calling
            .map(|tn| Key::CallingNumber(tn.as_str().into()));
        let signed = self.signer.zip(self.origid).map(|(signer, origid)| {
            let origid: String = origid.chars().take(ORIGID).collect();
            Key::SignerOrigid(format!("{signer}/{origid}").into())
        });
        let pattern = self.pattern().map(Key::NumberPattern);
        [number, signed, pattern].into_iter().flatten()
    }

    fn pattern(&self) -> Option<Box<str>> {
        let Some(tn) = self.calling else {
            return Some(
                if self.private {
                    "anonymous"
                } else {
                    "no-number"
                }
                .into(),
            );
        };
        if self.flags.contains(Flag::NeighbourSpoof) {
            return Some("local-to-called".into());
        }
        if self.flags.contains(Flag::Snowshoe) {
            return Some("many-numbers".into());
        }
        let text = tn.as_str();
        let kept = text.get(..text.len().checked_sub(PATTERN_DIGITS)?)?;
        // What is left of a short code is shared by too many.
        (kept.len() >= PATTERN_DIGITS).then(|| format!("{kept}xxxx").into())
    }
}

/// Counts for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CampaignCounters {
    /// Calls that are part of what is, or may become, a campaign.
    pub members: u64,
    /// Campaigns that opened.
    pub opened: u64,
    /// Campaigns closed after their quiet time.
    pub quiet: u64,
    /// Campaigns closed early to make room.
    pub crowded: u64,
    /// Candidates let go to make room.
    pub forgotten: u64,
}

type GroupKey = (Upstream, Key);

/// Whose calls belong together. Strangers are many, and share the places of [`CampaignSettings::open`] with all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Upstream {
    Known(Arc<str>),
    /// An address that no rule names; of IPv6 its /64, in which a subscriber chooses freely (RFC 6177).
    Stranger(IpAddr),
}

impl Upstream {
    fn of(member: &Member<'_>) -> Self {
        match (member.peer, member.source.to_canonical()) {
            (Some(peer), _) => Self::Known(peer.clone()),
            (None, IpAddr::V6(a)) => {
                Self::Stranger(Ipv6Addr::from_bits(a.to_bits() >> 64 << 64).into())
            }
            (None, v4) => Self::Stranger(v4),
        }
    }

    fn peer(&self) -> Option<&Arc<str>> {
        match self {
            Self::Known(peer) => Some(peer),
            Self::Stranger(_) => None,
        }
    }
}

#[derive(Debug)]
struct Group {
    first: Example,
    last: Timestamp,
    volume: u64,
    flags: Vec<(Flag, u64)>,
    signers: Vec<Box<str>>,
    examples: Examples,
    /// When it was told last; `None` for a candidate.
    told: Option<Timestamp>,
    /// Its place among the recently active.
    stamp: u64,
}

/// How a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// Too few calls so far.
    Candidate,
    /// Just enough, with this call.
    Opened,
    /// It is a campaign.
    Open,
}

/// The machine.
#[derive(Debug)]
pub struct Campaigns {
    settings: CampaignSettings,
    groups: HashMap<GroupKey, Group, ahash::RandomState>,
    /// By activity, the least recent first.
    open: BTreeMap<u64, GroupKey>,
    candidates: BTreeMap<u64, GroupKey>,
    stamps: u64,
    now: Timestamp,
    told: VecDeque<Campaign>,
    calls: BTreeMap<Option<Arc<str>>, u64>,
    counters: CampaignCounters,
}

impl Campaigns {
    /// Nothing seen yet.
    pub fn new(settings: CampaignSettings) -> Self {
        Self {
            settings,
            groups: HashMap::with_hasher(keyed()),
            open: BTreeMap::new(),
            candidates: BTreeMap::new(),
            stamps: 0,
            now: Timestamp::MIN,
            told: VecDeque::new(),
            calls: BTreeMap::new(),
            counters: CampaignCounters::default(),
        }
    }

    /// Other limits from now on.
    pub fn handle_settings(&mut self, settings: CampaignSettings) {
        self.settings = settings;
    }

    /// Takes a call in. It is counted in the narrowest campaign that it fits: that of its number if there is one, else of its signer, else of its pattern.
    pub fn handle_call(&mut self, member: &Member<'_>) {
        self.handle_time(member.example.at);
        self.counters.members += 1;
        let upstream = Upstream::of(member);
        let mut keys = member.keys();
        while let Some(key) = keys.next() {
            let key = (upstream.clone(), key);
            let stands = self.count(&key, member);
            if stands == Stands::Candidate {
                continue;
            }
            // Its earlier calls were counted in wider groups too, as long as it was none.
            if stands == Stands::Opened
                && let Some(opened) = self.groups.get(&key)
            {
                let (volume, flags) = (opened.volume - 1, opened.flags.clone());
                for wider in keys {
                    self.take_off(&(upstream.clone(), wider), volume, &flags, member.flags);
                }
            }
            *self.calls.entry(member.peer.cloned()).or_default() += 1;
            return;
        }
    }

    /// Lets time pass: what has been quiet closes.
    pub fn handle_time(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        let before = self.now.minus(self.settings.quiet);
        while let Some(key) = self.least_recent(true)
            && self.groups.get(&key).is_none_or(|g| g.last < before)
        {
            self.counters.quiet += 1;
            self.close(&key);
        }
        while let Some(key) = self.least_recent(false)
            && self.groups.get(&key).is_none_or(|g| g.last < before)
        {
            self.close(&key);
        }
    }

    /// Capture time is another from `now` on: what is open closes.
    pub fn begin_anew(&mut self, now: Timestamp) {
        self.finish();
        self.now = now;
    }

    /// The source has ended: what is open closes.
    pub fn finish(&mut self) {
        while let Some(key) = self.least_recent(true).or_else(|| self.least_recent(false)) {
            self.close(&key);
        }
    }

    /// Campaigns that opened, went on or closed.
    pub fn poll_campaign(&mut self) -> Option<Campaign> {
        self.told.pop_front()
    }

    /// How many are open, by upstream.
    pub fn open(&self) -> BTreeMap<Option<Arc<str>>, u64> {
        let mut counts = BTreeMap::new();
        for (upstream, _) in self.open.values() {
            *counts.entry(upstream.peer().cloned()).or_default() += 1;
        }
        counts
    }

    /// Calls in campaigns so far, by upstream.
    pub fn calls(&self) -> &BTreeMap<Option<Arc<str>>, u64> {
        &self.calls
    }

    /// Counts so far.
    pub fn counters(&self) -> CampaignCounters {
        self.counters
    }

    /// Campaigns and candidates at hand.
    pub fn remembered(&self) -> usize {
        self.groups.len()
    }

    /// Counts a call in a group; gives how that stands then.
    fn count(&mut self, key: &GroupKey, member: &Member<'_>) -> Stands {
        self.stamps += 1;
        let stamp = self.stamps;
        let group = self.groups.entry(key.clone()).or_insert_with(|| Group {
            first: member.example,
            last: member.example.at,
            volume: 0,
            flags: Vec::new(),
            signers: Vec::new(),
            examples: Examples::default(),
            told: None,
            stamp,
        });
        let was = std::mem::replace(&mut group.stamp, stamp);
        group.count(member);
        let least = u64::from(self.settings.least);
        let stands = match group.told {
            None if group.volume < least => Stands::Candidate,
            None => Stands::Opened,
            Some(_) => Stands::Open,
        };
        let due = match stands {
            Stands::Candidate => {
                self.candidates.remove(&was);
                self.candidates.insert(stamp, key.clone());
                self.make_room(false);
                return stands;
            }
            Stands::Opened => {
                self.candidates.remove(&was);
                self.counters.opened += 1;
                true
            }
            Stands::Open => {
                self.open.remove(&was);
                group.told.is_some_and(|told| told.plus(UPDATE) <= self.now)
            }
        };
        if due {
            group.told = Some(self.now);
            self.told.push_back(group.tell(key, CampaignState::Open));
        }
        self.open.insert(stamp, key.clone());
        self.make_room(true);
        stands
    }

    fn take_off(&mut self, key: &GroupKey, volume: u64, flags: &[(Flag, u64)], last: Flags) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        group.volume = group.volume.saturating_sub(volume);
        for (flag, n) in &mut group.flags {
            let taken = flags.iter().find(|(f, _)| f == flag).map_or(0, |(_, n)| *n);
            // The last call was never counted here.
            *n = n.saturating_sub(taken - u64::from(taken > 0 && last.contains(*flag)));
        }
        // One that was open is told once more, as closed and empty.
        if group.volume == 0 {
            self.close(key);
        }
    }

    fn least_recent(&self, open: bool) -> Option<GroupKey> {
        let list = if open { &self.open } else { &self.candidates };
        list.first_key_value().map(|(_, key)| key.clone())
    }

    fn make_room(&mut self, open: bool) {
        let (list, most, counter) = match open {
            true => (&self.open, self.settings.open, &mut self.counters.crowded),
            false => (
                &self.candidates,
                self.settings.open.saturating_mul(CANDIDATES),
                &mut self.counters.forgotten,
            ),
        };
        if list.len() > most.max(1)
            && let Some((_, key)) = list.first_key_value()
        {
            *counter += 1;
            let key = key.clone();
            self.close(&key);
        }
    }

    fn close(&mut self, key: &GroupKey) {
        let Some(group) = self.groups.remove(key) else {
            return;
        };
        match group.told {
            Some(_) => {
                self.open.remove(&group.stamp);
                self.told.push_back(group.tell(key, CampaignState::Closed));
            }
            None => drop(self.candidates.remove(&group.stamp)),
        }
    }
}

impl Group {
    fn count(&mut self, member: &Member<'_>) {
        self.volume += 1;
        self.last = self.last.max(member.example.at);
        self.examples.see(member.example);
        for flag in member.flags.iter() {
            match self.flags.iter_mut().find(|(f, _)| *f == flag) {
                Some((_, n)) => *n += 1,
                None => self.flags.push((flag, 1)),
            }
        }
        if let Some(signer) = member.signer
            && self.signers.len() < SIGNERS
            && !self.signers.iter().any(|s| &**s == signer)
        {
            self.signers.push(signer.into());
        }
    }

    fn tell(&self, (upstream, key): &GroupKey, state: CampaignState) -> Campaign {
        let mut flags: Vec<(Flag, u64)> =
            self.flags.iter().copied().filter(|(_, n)| *n > 0).collect();
        flags.sort_unstable();
        Campaign {
            id: format!("{}-{}", self.first.uid, key.label()).into(),
            peer: upstream.peer().cloned(),
            key: key.clone(),
            first: self.first.at,
            last: self.last,
            volume: self.volume,
            flags,
            signers: self.signers.clone(),
            examples: self.examples.kept().to_vec(),
            state,
        }
    }
}
