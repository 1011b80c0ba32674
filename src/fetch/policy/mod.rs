//! Which certificate may be asked for, and when: rules N1, N2, N9, N10 and N11 as a machine without clock or socket.
//!
//! A wish comes in by [`Policy::ask`] and is taken up or refused at once; [`Policy::poll_start`] gives the next URL to request as soon as
//! one may be; [`Policy::handle_end`] says what became of it. A URL that waits or is under way is not taken up twice.
//!
//! Everything that a caller can choose is bounded: wishes that wait, requests under way, those to one host, hosts that we never had a
//! certificate of, URLs of one host, failures remembered. Hosts that gave a certificate before keep half of the queue to themselves, and
//! need not stand in line behind names that somebody made up.

mod place;
mod rate;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use place::{HostList, Place};
use rate::Bucket;
pub use rate::Rate;

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
        let Some(next) = self.queue.iter().position(|w| self.may_start(w, now)) else {
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

    fn may_start(&self, wish: &Wish, now: Timestamp) -> bool {
        let busy = self
            .load
            .get(&wish.host)
            .is_some_and(|l| l.in_flight >= self.limits.per_host);
        !busy
            && match self.hosts.get(&wish.host) {
                Some(state) => state.urls.has(self.limits.urls(state.proven), now),
                None => self.new_hosts.has(self.limits.new_hosts, now),
            }
    }

    /// What became of a request. Gives back until when the URL won't be asked again, where it failed.
    pub fn handle_end(&mut self, url: &str, outcome: Outcome, now: Timestamp) -> Option<Timestamp> {
        let Place { host, .. } = Place::of(url)?;
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
