//! Fetched certificates in memory, by exact URL: how long each is good, which to refresh, which to drop. Rules N8 and N13, without a clock.
//!
//! A certificate is fresh for as long as its server says, but for a day at least (ATIS-1000074) and never beyond its own end. After that
//! judges don't get it until it was asked for again; if that fails, one that has not ended is used on. One that a server does not want
//! kept is used for the calls in hand and never goes to disk; so is one that has ended already, for an old capture is replayed then, but it
//! does go to disk: it judges the calls of its time, offline.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::Timestamp;
use crate::base::digest::Digest128;
use crate::stir::credential::{Credential, Credentials, Mark, TrustStore};

/// Shortest time for which a certificate is fresh (ATIS-1000074: at least 24 hours).
const SHORTEST: Duration = Duration::from_secs(86_400);

/// Longest, whatever a server says: a certificate withdrawn by its owner should be noticed within a week.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// How long "the calls in hand" are: the freshness window of RFC 8224, within which the same PASSporT may come again.
const IN_HAND: Duration = Duration::from_secs(60);

/// A certificate that was looked up within this is refreshed before it runs out (rule N13).
const IN_USE: Duration = Duration::from_secs(3600);

/// Bounds of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Certificates.
    pub entries: usize,
    /// Octets of what the servers sent.
    pub octets: usize,
    /// How old a certificate must be for a signature that disagrees with it to be a reason to ask again (rule N12).
    pub settled: Duration,
}

impl Default for CacheLimits {
    /// Four times the 1,000 certificates that a survey of 2025 found in use, at the largest that it found (4 KB) and four times that.
    fn default() -> Self {
        Self {
            entries: 4096,
            octets: 64 << 20,
            settled: Duration::from_secs(60),
        }
    }
}

/// What a server said about keeping its answer (RFC 9111 §5.2, §5.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// `no-store`.
    pub no_store: bool,
    /// `max-age`, or Expires less Date.
    pub max_age: Option<Duration>,
}

impl Keeping {
    /// Reads Cache-Control, Expires and Date. What can't be read says nothing; of several `max-age` the shortest counts.
    pub fn parse(cache_control: &[&str], expires: Option<&str>, date: Option<&str>) -> Self {
        let mut out = Self::default();
        let directives = cache_control.iter().flat_map(|line| line.split(','));
        for directive in directives.map(str::trim) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            if name.eq_ignore_ascii_case("no-store") {
                out.no_store = true;
            } else if name.eq_ignore_ascii_case("no-cache") {
                out.max_age = Some(Duration::ZERO);
            } else if name.eq_ignore_ascii_case("max-age")
                && let Ok(secs) = value.trim_matches('"').parse().map(Duration::from_secs)
            {
                out.max_age = Some(out.max_age.map_or(secs, |m| m.min(secs)));
            }
        }
        if out.max_age.is_none()
            && let Some(expires) = expires
        {
            let time = |text: &str| httpdate::parse_http_date(text).ok();
            // A date that is none, such as "0", lies in the past.
            let left = match (time(expires), date.and_then(time)) {
                (Some(end), Some(now)) => end.duration_since(now).unwrap_or_default(),
                _ => Duration::ZERO,
            };
            out.max_age = Some(left);
        }
        out
    }
}

/// One certificate as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The octets.
    pub bytes: Arc<[u8]>,
    /// What the server said about keeping them.
    pub keeping: Keeping,
}

#[derive(Debug)]
struct Entry {
    bytes: Arc<[u8]>,
    credential: Arc<Credential>,
    mark: Mark,
    /// When it came.
    since: Timestamp,
    /// When it was last asked for, in vain or not.
    asked: Timestamp,
    fresh_until: Timestamp,
    used: Timestamp,
    /// It is for the calls in hand only.
    in_hand: bool,
}

/// The certificates.
#[derive(Debug)]
pub struct Cache {
    limits: CacheLimits,
    entries: HashMap<Box<str>, Entry>,
    octets: usize,
    /// Judges get what ran out too, because nobody can be asked.
    offline: bool,
}

/// What came of putting a certificate in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// Another one was there.
    pub renewed: bool,
    /// The same was there.
    pub confirmed: bool,
    /// It may go to disk.
    pub keep: bool,
    /// Until when it is fresh.
    pub fresh_until: Timestamp,
}

impl Cache {
    /// An empty one.
    pub fn new(limits: CacheLimits, offline: bool) -> Self {
        Self {
            limits,
            entries: HashMap::new(),
            octets: 0,
            offline,
        }
    }

    /// Puts in what a server sent. `hold` replaces what the server says about keeping, for a body in which no certificate can be read.
    pub fn handle_body(
        &mut self,
        url: &str,
        body: &Body,
        credential: Arc<Credential>,
        hold: Option<Duration>,
        now: Timestamp,
    ) -> Put {
        let end = credential
            .ends()
            .map_or(Timestamp::MAX, Timestamp::from_secs);
        let in_hand = body.keeping.no_store || end <= now || hold.is_some();
        let fresh = body.keeping.max_age.unwrap_or_default();
        let fresh_until = match (in_hand, hold) {
            (_, Some(hold)) => now.plus(hold),
            (true, None) => now.plus(IN_HAND),
            (false, None) => now.plus(fresh.clamp(SHORTEST, LONGEST)).min(end),
        };
        let before = self.entries.get(url);
        let confirmed = before.is_some_and(|e| e.bytes == body.bytes);
        let renewed = before.is_some() && !confirmed;
        let used = before.map_or(now, |e| e.used);
        let entry = Entry {
            bytes: body.bytes.clone(),
            credential,
            mark: before.map_or_else(Mark::default, |e| e.mark.clone()),
            since: now,
            asked: now,
            fresh_until,
            used,
            in_hand,
        };
        self.insert(url, entry);
        Put {
            renewed,
            confirmed,
            keep: !body.keeping.no_store && hold.is_none(),
            fresh_until,
        }
    }

    /// Puts in what an earlier run kept.
    pub fn handle_kept(
        &mut self,
        url: &str,
        bytes: Arc<[u8]>,
        credential: Arc<Credential>,
        since: Timestamp,
        fresh_until: Timestamp,
    ) {
        let entry = Entry {
            bytes,
            credential,
            mark: Mark::default(),
            since,
            asked: since,
            fresh_until,
            used: since,
            in_hand: false,
        };
        self.insert(url, entry);
    }

    fn insert(&mut self, url: &str, entry: Entry) {
        self.remove(url);
        self.octets += entry.bytes.len();
        self.entries.insert(url.into(), entry);
        while self.entries.len() > self.limits.entries || self.octets > self.limits.octets {
            // Rare, and thousands at most: a walk through all is no matter.
            let Some(oldest) = self
                .entries
                .iter()
                .filter(|(u, _)| ***u != *url)
                .min_by_key(|(_, e)| e.used)
                .map(|(u, _)| u.clone())
            else {
                return;
            };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, url: &str) {
        if let Some(entry) = self.entries.remove(url) {
            self.octets -= entry.bytes.len();
        }
    }

    /// Whether judges have the certificate of a URL.
    pub fn is_at_hand(&self, url: &str, now: Timestamp) -> bool {
        self.entries.get(url).is_some_and(|e| self.is_shown(e, now))
    }

    fn is_shown(&self, entry: &Entry, now: Timestamp) -> bool {
        self.offline || now < entry.fresh_until
    }

    /// Names the certificate of a URL.
    pub fn digest(&self, url: &str) -> Option<Digest128> {
        Some(self.entries.get(url)?.credential.digest())
    }

    /// Whether a certificate that a signature disagrees with is old enough to be asked for once more (rule N12).
    pub fn is_doubtful(&self, url: &str, now: Timestamp) -> bool {
        self.entries
            .get(url)
            .is_some_and(|e| now > e.asked.plus(self.limits.settled))
    }

    /// A certificate was asked for in vain, and won't be again before `until`: one that has not ended is used on (rule N13). Says
    /// whether there is such a one.
    pub fn handle_failure(&mut self, url: &str, until: Timestamp, now: Timestamp) -> bool {
        let Some(entry) = self.entries.get_mut(url) else {
            return false;
        };
        entry.asked = now;
        let end = entry
            .credential
            .ends()
            .map_or(Timestamp::MIN, Timestamp::from_secs);
        if !entry.in_hand && now < end {
            entry.fresh_until = entry.fresh_until.max(until.min(end));
        }
        now < entry.fresh_until
    }

    /// Certificates to refresh now: in use, and eight tenths of their time gone. Drops those that are of no more use.
    pub fn handle_timeout(&mut self, now: Timestamp) -> Vec<Box<str>> {
        let mut due = Vec::new();
        for (url, entry) in &mut self.entries {
            if entry.mark.take() {
                entry.used = now;
            }
            let life = entry.fresh_until.distance(entry.since);
            let ripe = entry.since.plus(life.mul_f64(0.8));
            let in_use = now < entry.used.plus(IN_USE);
            if !entry.in_hand && in_use && ripe <= now {
                due.push(url.clone());
            }
        }
        if !self.offline {
            let octets = &mut self.octets;
            self.entries.retain(|_, e| {
                let end = e
                    .credential
                    .ends()
                    .map_or(Timestamp::MIN, Timestamp::from_secs);
                let useful = now < e.fresh_until || (!e.in_hand && now < end);
                if !useful {
                    *octets -= e.bytes.len();
                }
                useful
            });
        }
        due
    }

    /// Prepares all of them anew, for other trust.
    pub fn handle_trust(&mut self, trust: &TrustStore) {
        for entry in self.entries.values_mut() {
            entry.credential = Arc::new(entry.credential.prepare_again(trust));
        }
    }

    /// Adds what judges may have to `credentials`; what is there under the same URL stays.
    pub fn show(&self, credentials: &mut Credentials, now: Timestamp) {
        for (url, entry) in &self.entries {
            if self.is_shown(entry, now) && !credentials.contains(url) {
                credentials.insert_fetched(url, entry.credential.clone(), entry.mark.clone());
            }
        }
    }

    /// The next moment at which judges lose a certificate.
    pub fn next_loss(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self.entries.values().map(|e| e.fresh_until);
        ends.filter(|end| *end > now).min()
    }

    /// How many certificates.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Octets of all of them.
    pub fn octets(&self) -> usize {
        self.octets
    }
}

#[cfg(test)]
mod tests;
