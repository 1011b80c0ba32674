//! Which certificate may be asked for, and when: rules N1, N2, N9, N10 and N11 as a machine without clock or socket.
//!
//! A wish comes in by [`Policy::ask`] and is taken up or refused at once; [`Policy::poll_start`] gives the next URL to request as soon as
//! one may be; [`Policy::handle_end`] says what became of it. A URL that waits or is under way is not taken up twice.
//!
//! Everything that a caller can choose is bounded: wishes that wait, requests under way, those to one host, hosts that we never had a
//! certificate of, URLs of one host, failures remembered. Hosts that gave a certificate before keep half of the queue to themselves, and
//! need not stand in line behind names that somebody made up.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::outcome::Outcome;
use crate::base::Timestamp;
use crate::base::bounded::BoundedMap;
use crate::base::digest::{Digest128, IdDigest};
use crate::stir::verify::credential::is_certificate_url;

/// What may be under way at once, and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests under way.
    pub in_flight: usize,
    /// Requests under way to one host.
    pub per_host: usize,
    /// Wishes that wait.
    pub queue: usize,
    /// Wishes to one host that wait.
    pub queue_per_host: usize,
    /// Requests to hosts that were never asked before.
    pub new_hosts: Rate,
    /// Requests to one host, once it gave a certificate.
    pub host_urls: Rate,
    /// Requests to one host before that.
    pub unproven_urls: Rate,
}

/// How many at once, and how many a minute from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// A minute.
    pub per_minute: u32,
}

impl Limits {
    fn urls(&self, proven: bool) -> Rate {
        if proven {
            self.host_urls
        } else {
            self.unproven_urls
        }
    }
}

impl Default for Limits {
    /// In flight and per host as rule N10 has them. A survey of 2025 found 252 hosts with about 1,000 certificates in use: a start with an
    /// empty cache is not held back, and who makes URLs up gets one new host a second out of us, and two requests a second to one host.
    fn default() -> Self {
        Self {
            in_flight: 32,
            per_host: 2,
            queue: 2048,
            queue_per_host: 512,
            new_hosts: Rate {
                burst: 300,
                per_minute: 60,
            },
            host_urls: Rate {
                burst: 512,
                per_minute: 120,
            },
            unproven_urls: Rate {
                burst: 4,
                per_minute: 6,
            },
        }
    }
}

/// The operator's list of hosts; an empty one allows all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostList(pub Vec<Box<str>>);

impl HostList {
    /// Whether a host in lower case is on it: as it stands, or below an entry that begins with a dot.
    pub fn allows(&self, host: &str) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|entry| {
                **entry == *host || (entry.starts_with('.') && host.ends_with(&**entry))
            })
    }
}

/// Host in lower case, port and path of a URL that rule X1 lets pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name or address, an address of IPv6 without its brackets.
    pub host: Box<str>,
    /// 443 where none is written.
    pub port: u16,
    /// From the first slash; `/` where there is none.
    pub path: Box<str>,
}

/// Longest name of a host (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;

impl Place {
    /// Takes a URL with `https` apart; any port.
    pub fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_at_checked(8)?;
        if !scheme.eq_ignore_ascii_case("https://") {
            return None;
        }
        let (authority, path) = match rest.find('/') {
            Some(i) => rest.split_at_checked(i)?,
            None => (rest, "/"),
        };
        let (host, port) = match authority.strip_prefix('[') {
            Some(inner) => inner.split_once(']')?,
            None => authority
                .find(':')
                .and_then(|i| authority.split_at_checked(i))
                .unwrap_or((authority, "")),
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().ok()?,
            None if port.is_empty() => 443,
            None => return None,
        };
        (!host.is_empty() && host.len() <= MAX_HOST).then(|| Self {
            host: host.to_ascii_lowercase().into(),
            port,
            path: path.into(),
        })
    }
}

/// Failures that are remembered. Each cost a request, so a flood fills it no faster than requests may be made: an hour's worth at
/// the default rates is a tenth of it.
const FAILURES: usize = 65_536;

/// For how long a row of failures is remembered after the last: beyond the longest wait.
const FAILURE_AGE: Duration = Duration::from_secs(2 * 3600);

/// Hosts that are remembered. Sixteen times those that a survey of 2025 found.
const HOSTS: usize = 4096;

/// For how long a host is remembered that nobody asks for.
const HOST_AGE: Duration = Duration::from_secs(30 * 86_400);

/// How long a wish waits: for as long as a call (rule N10).
const QUEUE_AGE: Duration = Duration::from_secs(30);

/// How long a queue in which nothing can be started is left alone: to look through it takes a tenth of a millisecond.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The machine.
#[derive(Debug)]
pub struct Policy {
    limits: Limits,
    list: HostList,
    failures: BoundedMap<Digest128, Failure>,
    hosts: BoundedMap<Box<str>, Host>,
    new_hosts: Bucket,
    queue: VecDeque<Wish>,
    /// How many of the queue are for hosts that never gave a certificate.
    unproven: usize,
    /// Until when nothing in the queue can be started, unless a request ends.
    stuck_until: Timestamp,
    /// URLs that wait or are under way, and whether they are under way.
    pending: HashMap<Arc<str>, bool>,
    /// By host: wishes that wait, requests under way. No more entries than `pending`.
    load: HashMap<Box<str>, Load>,
    in_flight: usize,
}

#[derive(Debug)]
struct Wish {
    url: Arc<str>,
    host: Box<str>,
    /// Its host had given a certificate when it was taken up.
    proven: bool,
    since: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Failure {
    outcome: Outcome,
    tries: u32,
    until: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Host {
    /// It gave a certificate.
    proven: bool,
    urls: Bucket,
}

#[derive(Clone, Copy, Debug, Default)]
struct Load {
    waiting: usize,
    in_flight: usize,
}

impl Policy {
    /// Nothing asked yet.
    pub fn new(limits: Limits, list: HostList) -> Self {
        Self {
            new_hosts: Bucket::full(limits.new_hosts),
            limits,
            list,
            failures: BoundedMap::new(FAILURES, FAILURE_AGE),
            hosts: BoundedMap::new(HOSTS, HOST_AGE),
            queue: VecDeque::new(),
            unproven: 0,
            stuck_until: Timestamp::MIN,
            pending: HashMap::new(),
            load: HashMap::new(),
            in_flight: 0,
        }
    }

    /// A host that gave a certificate in an earlier run.
    pub fn handle_proven(&mut self, host: &str, now: Timestamp) {
        let urls = Bucket::full(self.limits.host_urls);
        self.hosts
            .insert(host.into(), Host { proven: true, urls }, now);
    }

    /// Takes a wish up, if it may be.
    ///
    /// # Errors
    ///
    /// Why not. For a [`Refusal::Failed`] the failure that is remembered stands beside it.
    pub fn ask(&mut self, url: &str, now: Timestamp) -> Result<(), Refusal> {
        let refused = |outcome| Err(Refusal::Now(outcome));
        let place = Place::of(url).filter(|_| is_certificate_url(url));
        let Some(Place { host, .. }) = place else {
            return refused(Outcome::BadUrl);
        };
        if !self.list.allows(&host) {
            return refused(Outcome::HostNotListed);
        }
        if self.pending.contains_key(url) {
            return Ok(());
        }
        if let Some(f) = self.failures.get(&key(url))
            && now < f.until
        {
            return Err(Refusal::Failed {
                outcome: f.outcome,
                until: f.until,
            });
        }
        let waiting = self.load.get(&host).map_or(0, |l| l.waiting);
        if self.queue.len() >= self.limits.queue || waiting >= self.limits.queue_per_host {
            return refused(Outcome::QueueFull);
        }
        let proven = self.hosts.get(&host).is_some_and(|h| h.proven);
        if !proven && self.unproven >= self.limits.queue.div_ceil(2) {
            return refused(Outcome::NewHosts);
        }
        self.unproven += usize::from(!proven);
        self.load.entry(host.clone()).or_default().waiting += 1;
        let url: Arc<str> = url.into();
        self.pending.insert(url.clone(), false);
        self.queue.push_back(Wish {
            url,
            host,
            proven,
            since: now,
        });
        Ok(())
    }

    /// The next URL to request now.
    pub fn poll_start(&mut self, now: Timestamp) -> Option<Arc<str>> {
        let idle = self.queue.is_empty() || self.in_flight >= self.limits.in_flight;
        if idle || now < self.stuck_until {
            return None;
        }
        let Some(next) = self.queue.iter().position(|w| self.may_start(&w.host, now)) else {
            self.stuck_until = now.plus(LOOK_AGAIN);
            return None;
        };
        let Wish {
            url, host, proven, ..
        } = self.queue.remove(next)?;
        self.unproven -= usize::from(!proven);
        let state = match self.hosts.remove(&host) {
            Some(mut state) => {
                state.urls.take(self.limits.urls(state.proven), now);
                state
            }
            None => {
                self.new_hosts.take(self.limits.new_hosts, now);
                let mut urls = Bucket::full(self.limits.unproven_urls);
                urls.take(self.limits.unproven_urls, now);
                Host {
                    proven: false,
                    urls,
                }
            }
        };
        self.hosts.insert(host.clone(), state, now);
        let load = self.load.entry(host).or_default();
        load.waiting = load.waiting.saturating_sub(1);
        load.in_flight += 1;
        self.in_flight += 1;
        self.pending.insert(url.clone(), true);
        Some(url)
    }

    /// A URL that waited for so long that no call waits for it any more: it is let go, and may be asked for anew.
    pub fn poll_given_up(&mut self, now: Timestamp) -> Option<Arc<str>> {
        let wish = self
            .queue
            .pop_front_if(|w| w.since.plus(QUEUE_AGE) <= now)?;
        self.unproven -= usize::from(!wish.proven);
        self.pending.remove(&wish.url);
        if let Some(load) = self.load.get_mut(&wish.host) {
            load.waiting = load.waiting.saturating_sub(1);
        }
        self.forget_idle(&wish.host);
        Some(wish.url)
    }

    fn forget_idle(&mut self, host: &str) {
        if self
            .load
            .get(host)
            .is_some_and(|l| l.in_flight + l.waiting == 0)
        {
            self.load.remove(host);
        }
    }

    fn may_start(&self, host: &Box<str>, now: Timestamp) -> bool {
        let busy = self
            .load
            .get(host)
            .is_some_and(|l| l.in_flight >= self.limits.per_host);
        !busy
            && match self.hosts.get(host) {
                Some(state) => state.urls.has(self.limits.urls(state.proven), now),
                None => self.new_hosts.has(self.limits.new_hosts, now),
            }
    }

    /// What became of a request. Gives back until when the URL won't be asked again, where it failed.
    pub fn handle_end(&mut self, url: &str, outcome: Outcome, now: Timestamp) -> Option<Timestamp> {
        let Some(Place { host, .. }) = Place::of(url) else {
            return None;
        };
        if self.pending.remove(url) == Some(true) {
            self.in_flight = self.in_flight.saturating_sub(1);
            self.stuck_until = Timestamp::MIN;
            if let Some(load) = self.load.get_mut(&host) {
                load.in_flight = load.in_flight.saturating_sub(1);
            }
            self.forget_idle(&host);
        }
        while self.failures.poll_expired(now).is_some() {}
        while self.hosts.poll_expired(now).is_some() {}
        let key = key(url);
        let before = self.failures.remove(&key);
        if outcome.is_good() {
            if self.hosts.get(&host).is_none_or(|h| !h.proven) {
                self.handle_proven(&host, now);
            }
            return None;
        }
        let tries = before.map_or(0, |f| f.tries).saturating_add(1);
        let until = now.plus(jittered(outcome.backoff(tries)?, url, tries));
        let failure = Failure {
            outcome,
            tries,
            until,
        };
        self.failures.insert(key, failure, now);
        Some(until)
    }

    /// Requests under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Wishes that wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Everything kept; bounded whatever is asked.
    pub fn remembered(&self) -> usize {
        self.failures.len()
            + self.hosts.len()
            + self.queue.len()
            + self.pending.len()
            + self.load.len()
    }
}

/// Why a wish is not taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It may not be asked, or not now.
    Now(Outcome),
    /// It failed a short while ago.
    Failed {
        /// How.
        outcome: Outcome,
        /// Until when it is not asked again.
        until: Timestamp,
    },
}

/// Failures are kept under a digest: a URL may have two thousand octets.
fn key(url: &str) -> Digest128 {
    Digest128::of(url.as_bytes())
}

/// Up to a fifth longer, by URL and try, so that what failed together is not asked again together.
fn jittered(wait: Duration, url: &str, tries: u32) -> Duration {
    let share = IdDigest::of(format!("{tries} {url}").as_bytes()).0 % 200;
    wait + wait.saturating_mul(u32::try_from(share).unwrap_or(0)) / 1000
}

/// A token bucket in thousandths of a token.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    thousandths: u64,
    at: Timestamp,
}

impl Bucket {
    fn full(rate: Rate) -> Self {
        Self {
            thousandths: u64::from(rate.burst) * 1000,
            at: Timestamp::MIN,
        }
    }

    /// Whether there is a token. A clock that was put back gives none.
    fn has(&self, rate: Rate, now: Timestamp) -> bool {
        self.at(rate, now).thousandths >= 1000
    }

    /// Takes a token, if there is one.
    fn take(&mut self, rate: Rate, now: Timestamp) {
        *self = self.at(rate, now);
        self.thousandths = self.thousandths.saturating_sub(1000);
    }

    fn at(&self, rate: Rate, now: Timestamp) -> Self {
        // Beyond a day every bucket is full.
        let millis = now.distance(self.at).as_millis().min(86_400_000);
        let gained = u64::try_from(millis).unwrap_or(0) * u64::from(rate.per_minute) / 60;
        if now <= self.at || gained == 0 {
            return *self;
        }
        Self {
            thousandths: (self.thousandths + gained).min(u64::from(rate.burst) * 1000),
            at: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const URL: &str = "https://cert.example.net/sp.pem";

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + secs)
    }

    fn policy(edit: impl Fn(&mut Limits)) -> Policy {
        let mut limits = Limits::default();
        edit(&mut limits);
        Policy::new(limits, HostList::default())
    }

    fn refused(p: &mut Policy, url: &str, now: Timestamp) -> Option<Outcome> {
        match p.ask(url, now) {
            Ok(()) => None,
            Err(Refusal::Now(o) | Refusal::Failed { outcome: o, .. }) => Some(o),
        }
    }

    #[test]
    fn n1_n2_what_x1_fails_is_never_asked() {
        let mut p = policy(|_| ());
        for bad in [
            "http://cert.example.net/sp.pem",
            "https://cert.example.net:8080/sp.pem",
            "https://me@cert.example.net/sp.pem",
            "https://cert.example.net/sp.pem?x",
            "https:///sp.pem",
            "",
        ] {
            assert_eq!(refused(&mut p, bad, at(0)), Some(Outcome::BadUrl), "{bad}");
        }
        let long = format!("https://{}.example/sp.pem", "a".repeat(260));
        assert_eq!(refused(&mut p, &long, at(0)), Some(Outcome::BadUrl));
        assert_eq!(p.poll_start(at(0)), None);
    }

    #[test]
    fn places() {
        let of = |url| Place::of(url).map(|p| (p.host.to_string(), p.port, p.path.to_string()));
        let place = |h: &str, port, path: &str| Some((h.to_owned(), port, path.to_owned()));
        assert_eq!(of(URL), place("cert.example.net", 443, "/sp.pem"));
        assert_eq!(
            of("HTTPS://CERT.example:8443"),
            place("cert.example", 8443, "/")
        );
        assert_eq!(
            of("https://[2001:db8::1]:8443/a"),
            place("2001:db8::1", 8443, "/a")
        );
        assert_eq!(
            of("https://[2001:db8::1]/a"),
            place("2001:db8::1", 443, "/a")
        );
        for bad in [
            "https://[::1/a",
            "https://a:b/",
            "https://a:99999/",
            "https://[::1]x/",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn n9_a_failure_is_remembered_and_doubles() {
        let mut p = policy(|_| ());
        let (mut now, mut waits) = (at(0), Vec::new());
        for _ in 0..7 {
            assert_eq!(refused(&mut p, URL, now), None);
            assert_eq!(p.poll_start(now).as_deref(), Some(URL));
            let until = p.handle_end(URL, Outcome::Timeout, now).unwrap();
            let just_before = until.minus(Duration::from_millis(1));
            assert_eq!(refused(&mut p, URL, just_before), Some(Outcome::Timeout));
            waits.push(until.secs_since(now));
            now = until;
        }
        for (wait, minutes) in waits.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]) {
            assert!(
                (60.0 * minutes..=72.0 * minutes).contains(wait),
                "{waits:?}"
            );
        }
        // A success ends the row.
        assert_eq!(refused(&mut p, URL, now), None);
        p.poll_start(now).unwrap();
        assert_eq!(p.handle_end(URL, Outcome::Fetched, now), None);
        assert_eq!(refused(&mut p, URL, now), None);
        p.poll_start(now).unwrap();
        let until = p.handle_end(URL, Outcome::NoAddress, now).unwrap();
        assert!(until.secs_since(now) <= 72.0);
    }

    #[test]
    fn n9_what_failed_together_is_not_asked_again_together() {
        let wait = Duration::from_secs(600);
        let spread: std::collections::BTreeSet<_> = (0..50)
            .map(|i| jittered(wait, &format!("https://cert.example.net/{i}.pem"), 1))
            .collect();
        assert!(spread.len() > 30);
        assert!(spread.iter().all(|d| (600..=720).contains(&d.as_secs())));
    }

    #[test]
    fn n10_a_url_that_waits_or_is_under_way_is_not_taken_up_twice() {
        let mut p = policy(|_| ());
        for _ in 0..5 {
            assert_eq!(p.ask(URL, at(0)), Ok(()));
        }
        assert!(p.poll_start(at(0)).is_some());
        assert_eq!(p.ask(URL, at(1)), Ok(()));
        assert_eq!(
            (p.poll_start(at(0)), p.in_flight(), p.waiting()),
            (None, 1, 0)
        );
        p.handle_end(URL, Outcome::Fetched, at(2));
        assert_eq!((p.in_flight(), p.pending.len(), p.load.len()), (0, 0, 0));
    }

    #[test]
    fn n10_caps_in_flight_and_per_host_and_a_slow_host_holds_nobody_up() {
        let mut p = policy(|l| l.in_flight = 3);
        for i in 0..10 {
            p.ask(&format!("https://slow.example/{i}.pem"), at(0))
                .unwrap();
        }
        p.ask("https://quick.example/a.pem", at(0)).unwrap();
        p.ask("https://third.example/a.pem", at(0)).unwrap();
        let started: Vec<_> = std::iter::from_fn(|| p.poll_start(at(0))).collect();
        let hosts: Vec<_> = started.iter().map(|u| &u[8..12]).collect();
        assert_eq!(hosts, ["slow", "slow", "quic"]);
        p.handle_end(&started[0], Outcome::NotFound, at(1));
        assert_eq!(
            p.poll_start(at(1)).as_deref(),
            Some("https://slow.example/2.pem")
        );
        assert_eq!(p.poll_start(at(1)), None);
    }

    #[test]
    fn n10_the_queue_is_bounded_and_one_host_gets_its_share_only() {
        let mut p = policy(|l| (l.queue, l.queue_per_host) = (4, 3));
        let url = |host: &str, i: u32| format!("https://{host}.example/{i}.pem");
        for host in ["a", "b", "c"] {
            p.handle_proven(&format!("{host}.example"), at(0));
        }
        for i in 0..3 {
            assert_eq!(refused(&mut p, &url("a", i), at(0)), None);
        }
        assert_eq!(
            refused(&mut p, &url("a", 3), at(0)),
            Some(Outcome::QueueFull)
        );
        assert_eq!(refused(&mut p, &url("b", 0), at(0)), None);
        assert_eq!(
            refused(&mut p, &url("c", 0), at(0)),
            Some(Outcome::QueueFull)
        );
    }

    fn start(p: &mut Policy, now: Timestamp) -> Vec<String> {
        let started = std::iter::from_fn(|| p.poll_start(now));
        started.map(|u| u[8..].to_owned()).collect()
    }

    #[test]
    fn n11_new_hosts_come_at_a_rate_and_known_ones_pass_them() {
        let mut p = policy(|l| {
            l.new_hosts = Rate {
                burst: 2,
                per_minute: 60,
            }
        });
        p.handle_proven("known.example", at(0));
        for host in ["a", "b", "c", "d", "known"] {
            p.ask(&format!("https://{host}.example/"), at(0)).unwrap();
        }
        assert_eq!(
            start(&mut p, at(0)),
            ["a.example/", "b.example/", "known.example/"]
        );
        assert_eq!(start(&mut p, at(1)), ["c.example/"]);
        assert_eq!(start(&mut p, at(1)), [""; 0]);
        assert_eq!(start(&mut p, at(2)), ["d.example/"]);
    }

    #[test]
    fn n11_a_host_gets_few_requests_before_its_first_certificate_and_a_bounded_rate_after() {
        let mut p = policy(|l| {
            l.per_host = 10;
            l.unproven_urls = Rate {
                burst: 2,
                per_minute: 6,
            };
            l.host_urls = Rate {
                burst: 3,
                per_minute: 60,
            };
        });
        for i in 0..20 {
            p.ask(&format!("https://a.example/{i}"), at(0)).unwrap();
        }
        assert_eq!(start(&mut p, at(0)), ["a.example/0", "a.example/1"]);
        assert_eq!(start(&mut p, at(9)), [""; 0]);
        assert_eq!(start(&mut p, at(10)), ["a.example/2"]);
        p.handle_end("https://a.example/0", Outcome::Fetched, at(11));
        assert_eq!(start(&mut p, at(11)).len(), 3);
        assert_eq!(start(&mut p, at(12)).len(), 1);
    }

    #[test]
    fn n11_made_up_hosts_leave_half_of_the_queue_to_known_ones() {
        let mut p = policy(|l| l.queue = 4);
        p.handle_proven("known.example", at(0));
        let url = |host: u32| format!("https://h{host}.example/");
        assert_eq!(refused(&mut p, &url(0), at(0)), None);
        assert_eq!(refused(&mut p, &url(1), at(0)), None);
        assert_eq!(refused(&mut p, &url(2), at(0)), Some(Outcome::NewHosts));
        assert_eq!(refused(&mut p, "https://known.example/", at(0)), None);
        start(&mut p, at(0));
        assert_eq!(refused(&mut p, &url(2), at(0)), None);
    }

    #[test]
    fn n10_a_wish_is_let_go_after_half_a_minute_in_the_queue() {
        let mut p = policy(|l| {
            l.new_hosts = Rate {
                burst: 1,
                per_minute: 1,
            }
        });
        for (i, host) in ["a", "b", "c"].iter().enumerate() {
            p.ask(&format!("https://{host}.example/"), at(i as i64))
                .unwrap();
        }
        assert_eq!(start(&mut p, at(3)), ["a.example/"]);
        assert_eq!(p.poll_given_up(at(30)), None);
        assert_eq!(
            p.poll_given_up(at(31)).as_deref(),
            Some("https://b.example/")
        );
        assert_eq!(p.poll_given_up(at(31)), None);
        assert_eq!(
            (p.waiting(), p.unproven, p.pending.len(), p.load.len()),
            (1, 1, 2, 2)
        );
        assert_eq!(refused(&mut p, "https://b.example/", at(31)), None);
    }

    #[test]
    fn n11_only_hosts_on_the_list() {
        let list = HostList(vec!["cert.example.net".into(), ".example.org".into()]);
        let mut p = Policy::new(Limits::default(), list);
        for good in ["https://CERT.example.net/a", "https://a.b.example.org/a"] {
            assert_eq!(refused(&mut p, good, at(0)), None, "{good}");
        }
        for bad in [
            "https://example.org/a",
            "https://evilexample.org/a",
            "https://x.cert.example.net/a",
            "https://cert.example.net.evil.example/a",
        ] {
            assert_eq!(
                refused(&mut p, bad, at(0)),
                Some(Outcome::HostNotListed),
                "{bad}"
            );
        }
    }

    #[test]
    fn n11_a_flood_of_made_up_urls_costs_the_configured_requests_and_bounded_memory() {
        let mut p = policy(|_| ());
        let mut requests = 0;
        for i in 0..200_000i64 {
            let now = at(i / 1000);
            let _ = p.ask(&format!("https://h{i}.example/{i}.pem"), now);
            while let Some(url) = p.poll_start(now) {
                requests += 1;
                p.handle_end(&url, Outcome::NoAddress, now);
            }
        }
        // Two hundred seconds: the burst and one a second.
        assert!((490..=500).contains(&requests), "{requests}");
        assert!(p.remembered() <= 5_000, "{}", p.remembered());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever is asked and however requests end: the caps hold, nothing is lost, and in the end nothing is pending.
        #[test]
        fn n10_caps_hold_in_any_order(steps in proptest::collection::vec((0u8..3, 0u8..6, 0u8..8, 0u8..3), 1..200)) {
            let mut p = policy(|l| (l.in_flight, l.queue, l.queue_per_host) = (4, 6, 4));
            let mut running: Vec<Arc<str>> = Vec::new();
            let (mut taken, mut ended) = (0, 0);
            let mut now = at(0);
            for (what, host, path, end) in steps {
                now = now.plus(Duration::from_secs(7));
                match what {
                    0 | 1 => {
                        let before = p.pending.len();
                        let _ = p.ask(&format!("https://h{host}.example/{path}"), now);
                        taken += p.pending.len() - before;
                    }
                    _ => if let Some(url) = running.pop() {
                        p.handle_end(&url, [Outcome::Fetched, Outcome::Timeout, Outcome::NotFound][usize::from(end)], now);
                        ended += 1;
                    }
                }
                running.extend(std::iter::from_fn(|| p.poll_start(now)));
                prop_assert_eq!(p.in_flight(), running.len());
                prop_assert!(p.in_flight() <= 4 && p.waiting() <= 6);
                prop_assert!(p.load.values().all(|l| l.in_flight <= 2 && l.waiting <= 4));
            }
            for _ in 0..100 {
                now = now.plus(Duration::from_secs(60));
                running.extend(std::iter::from_fn(|| p.poll_start(now)));
                for url in running.drain(..) {
                    p.handle_end(&url, Outcome::Fetched, now);
                    ended += 1;
                }
            }
            prop_assert_eq!(taken, ended);
            prop_assert_eq!((p.pending.len(), p.load.len(), p.in_flight()), (0, 0, 0));
        }
    }
}
