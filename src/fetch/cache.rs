//! Fetched certificates in memory, by exact URL: how long each is good, which to refresh, which to drop. Rules N8 and N13, without a clock.
//!
//! A certificate is fresh for as long as its server says, but for a day at least (ATIS-1000074) and never beyond its own end. After that
//! judges don't get it until it was asked for again; if that fails, one that has not ended is used on. One that a server does not want
//! kept, or that has ended already (an old capture is replayed), is used for the calls in hand and never goes to disk.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::Timestamp;
use crate::stir::credential::{Credential, Credentials, Mark, TrustStore};

/// Shortest time for which a certificate is fresh (ATIS-1000074: at least 24 hours).
const SHORTEST: Duration = Duration::from_secs(86_400);

/// Longest, whatever a server says: a certificate withdrawn by its owner should be noticed within a week.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// How long "the calls in hand" are: the freshness window of RFC 8224, within which the same PASSporT may come again.
const IN_HAND: Duration = Duration::from_secs(60);

/// A certificate that was looked up within this is refreshed before it runs out (rule N13).
const IN_USE: Duration = Duration::from_secs(3600);

/// A certificate younger than this is believed when a signature disagrees with it (rule N12).
const SETTLED: Duration = Duration::from_secs(60);

/// Bounds of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Certificates.
    pub entries: usize,
    /// Octets of what the servers sent.
    pub octets: usize,
}

impl Default for CacheLimits {
    /// Four times the 1,000 certificates that a survey of 2025 found in use, at the largest that it found (4 KB) and four times that.
    fn default() -> Self {
        Self {
            entries: 4096,
            octets: 64 << 20,
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
            keep: !in_hand,
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

    /// Whether a certificate that a signature disagrees with is old enough to be asked for once more (rule N12).
    pub fn is_doubtful(&self, url: &str, now: Timestamp) -> bool {
        self.entries
            .get(url)
            .is_some_and(|e| now > e.asked.plus(SETTLED))
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
            entry.credential = Arc::new(Credential::prepare(&entry.bytes, trust));
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
mod tests {
    use super::*;
    use crate::stir::credential::testpki as pki;

    const URL: &str = "https://cert.example.net/sp.pem";

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(pki::NOW + secs)
    }

    fn body(spc: &str, keeping: Keeping) -> (Body, Arc<Credential>) {
        body_until(spc, keeping, pki::TO)
    }

    fn body_until(spc: &str, keeping: Keeping, to: i64) -> (Body, Arc<Credential>) {
        let leaf = pki::leaf(&pki::root(), spc).valid(pki::FROM, to);
        let bytes: Arc<[u8]> = pki::pem(&[&leaf.build()]).into();
        let credential = Arc::new(Credential::prepare(&bytes, &TrustStore::default()));
        (Body { bytes, keeping }, credential)
    }

    fn max_age(secs: u64) -> Keeping {
        Keeping {
            max_age: Some(Duration::from_secs(secs)),
            ..Keeping::default()
        }
    }

    fn cache() -> Cache {
        Cache::new(CacheLimits::default(), false)
    }

    fn put(c: &mut Cache, (body, credential): &(Body, Arc<Credential>), now: Timestamp) -> Put {
        c.handle_body(URL, body, credential.clone(), None, now)
    }

    #[test]
    fn n8_what_servers_say_about_keeping() {
        let of = |lines: &[&str]| Keeping::parse(lines, None, None);
        assert_eq!(of(&["public, Max-Age=172800"]), max_age(172_800));
        assert_eq!(of(&["max-age=10", "max-age=\"5\""]), max_age(5));
        assert_eq!(of(&["no-cache"]), max_age(0));
        assert!(of(&["private, NO-STORE, max-age=9"]).no_store);
        assert_eq!(
            of(&["max-age=-1", "max-age=", "foo", ",,="]),
            Keeping::default()
        );
        let (date, end) = (
            "Mon, 01 Jun 2026 12:00:00 GMT",
            "Mon, 01 Jun 2026 13:00:00 GMT",
        );
        assert_eq!(Keeping::parse(&[], Some(end), Some(date)), max_age(3600));
        assert_eq!(Keeping::parse(&[], Some(date), Some(end)), max_age(0));
        assert_eq!(Keeping::parse(&[], Some("0"), Some(date)), max_age(0));
        assert_eq!(
            Keeping::parse(&["max-age=7"], Some(end), Some(date)),
            max_age(7)
        );
    }

    #[test]
    fn n8_a_day_at_least_a_week_at_most_and_never_beyond_its_end() {
        let until = |keeping, to: i64| {
            let b = body_until("709J", keeping, to);
            put(&mut cache(), &b, at(0)).fresh_until.secs() - pki::NOW
        };
        assert_eq!(until(Keeping::default(), pki::TO), 86_400);
        assert_eq!(until(max_age(60), pki::TO), 86_400);
        assert_eq!(until(max_age(100_000), pki::TO), 100_000);
        assert_eq!(until(max_age(u64::MAX), pki::TO), 7 * 86_400);
        assert_eq!(until(max_age(100_000), pki::NOW + 500), 500);
    }

    #[test]
    fn n8_no_store_and_one_that_has_ended_are_for_the_calls_in_hand() {
        let no_store = Keeping {
            no_store: true,
            ..max_age(100_000)
        };
        for b in [
            body("709J", no_store),
            body_until("709J", Keeping::default(), pki::NOW - 1),
        ] {
            let mut c = cache();
            let put = put(&mut c, &b, at(0));
            assert!(!put.keep);
            assert!(c.is_at_hand(URL, at(59)) && !c.is_at_hand(URL, at(60)));
            assert!(!c.handle_failure(URL, at(500), at(60)), "not used on");
            c.handle_timeout(at(61));
            assert!(c.is_empty() && c.octets() == 0);
        }
    }

    #[test]
    fn n13_used_on_when_its_server_fails_until_it_ends() {
        let mut c = cache();
        put(
            &mut c,
            &body_until("709J", Keeping::default(), pki::NOW + 100_000),
            at(0),
        );
        assert!(!c.is_at_hand(URL, at(86_400)));
        c.handle_timeout(at(86_400));
        assert!(c.handle_failure(URL, at(86_500), at(86_400)));
        assert!(c.is_at_hand(URL, at(86_499)) && !c.is_at_hand(URL, at(86_500)));
        assert!(c.handle_failure(URL, at(200_000), at(99_999)));
        assert!(!c.is_at_hand(URL, at(100_000)));
        assert!(!c.handle_failure(URL, at(200_000), at(100_000)));
        c.handle_timeout(at(100_001));
        assert!(c.is_empty());
    }

    #[test]
    fn n13_one_in_use_is_refreshed_at_eight_tenths_of_its_time() {
        let mut c = cache();
        put(&mut c, &body("709J", Keeping::default()), at(0));
        let mut seen = Credentials::default();
        c.show(&mut seen, at(0));
        assert_eq!(
            c.handle_timeout(at(70_000)),
            [Box::<str>::from(""); 0],
            "not in use"
        );
        assert!(seen.get(URL).is_some());
        assert_eq!(
            c.handle_timeout(at(69_119)),
            [Box::<str>::from(""); 0],
            "not yet"
        );
        assert_eq!(c.handle_timeout(at(69_120)), [URL.into()]);
        assert_eq!(
            c.handle_timeout(at(69_119 + 3_600)),
            [Box::<str>::from(""); 0],
            "used an hour ago"
        );
    }

    #[test]
    fn n12_a_certificate_is_doubted_after_a_minute_and_once_a_minute() {
        let mut c = cache();
        put(&mut c, &body("709J", Keeping::default()), at(0));
        assert!(!c.is_doubtful(URL, at(60)) && c.is_doubtful(URL, at(61)));
        c.handle_failure(URL, at(200), at(61));
        assert!(!c.is_doubtful(URL, at(121)) && c.is_doubtful(URL, at(122)));
        let again = put(&mut c, &body("709J", Keeping::default()), at(130));
        assert!(again.confirmed && !again.renewed);
        let other = put(&mut c, &body("710J", Keeping::default()), at(140));
        assert!(other.renewed && !other.confirmed);
        assert!(!c.is_doubtful("https://other.example/", at(1_000)));
    }

    #[test]
    fn n14_offline_shows_what_ran_out() {
        let mut c = Cache::new(CacheLimits::default(), true);
        let (b, credential) = body("709J", Keeping::default());
        c.handle_kept(URL, b.bytes, credential, at(-9_000_000), at(-8_000_000));
        c.handle_timeout(at(0));
        assert!(c.is_at_hand(URL, at(0)));
        let mut seen = Credentials::default();
        c.show(&mut seen, at(0));
        assert!(seen.is_fetched(URL));
    }

    #[test]
    fn it_is_bounded_and_the_one_used_least_lately_leaves() {
        let limits = CacheLimits {
            entries: 2,
            octets: 1 << 20,
        };
        let mut c = Cache::new(limits, false);
        let (b, credential) = body("709J", Keeping::default());
        for (i, url) in [
            "https://a.example/",
            "https://b.example/",
            "https://c.example/",
        ]
        .iter()
        .enumerate()
        {
            c.handle_body(url, &b, credential.clone(), None, at(i as i64));
        }
        assert!(
            !c.is_at_hand("https://a.example/", at(3)) && c.is_at_hand("https://c.example/", at(3))
        );
        assert_eq!((c.len(), c.octets()), (2, 2 * b.bytes.len()));
        let mut c = Cache::new(
            CacheLimits {
                entries: 9,
                octets: b.bytes.len(),
            },
            false,
        );
        for url in ["https://a.example/", "https://b.example/"] {
            c.handle_body(url, &b, credential.clone(), None, at(0));
        }
        assert_eq!(c.len(), 1);
    }
}
