//! The whole of fetching but sockets, files and the clock: wishes in, requests out, answers and credentials out.
//!
//! Puts [`super::policy`] (what may be asked) and [`super::cache`] (what is there) together, with the trust that certificates are held
//! against. A certificate is read before it is kept (rule N7): one that can't be read is not kept, and calls that name it fail rule X3
//! for as long as its failure is remembered.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::cache::{Body, Cache};
use super::disk::Kept;
use super::outcome::{NO_SUCH, Outcome};
use super::policy::{Place, Policy, Refusal};
use crate::base::Timestamp;
use crate::base::digest::Digest128;
use crate::engine::park::{Answer, Why};
use crate::stir::credential::{Credential, Credentials, TrustStore};
use crate::stir::verify::Want;

/// How many wishes ended in which way, and what there is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchReport {
    /// By [`Outcome::ALL`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Certificates refreshed before they ran out; their requests are among the outcomes.
    pub refreshes: u64,
    /// Requests under way.
    pub in_flight: usize,
    /// Wishes that wait.
    pub waiting: usize,
    /// Certificates in memory.
    pub cached: usize,
    /// Octets of these.
    pub cached_octets: usize,
    /// Trouble with the disk: what could not be kept.
    pub not_kept: u64,
    /// What the operator should know, one line each: lists that came, or did not.
    pub notes: Vec<String>,
    /// The lists that trust rests on now: those of files, or newer ones that were fetched.
    pub lists: Option<ListsInUse>,
}

/// Lists in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListsInUse {
    /// Authorities that are trusted.
    pub authorities: usize,
    /// When the list of authorities ends, where there is one.
    pub ca_list_ends: Option<Timestamp>,
    /// When the revocation list ought to be replaced.
    pub crl_ends: Option<Timestamp>,
}

impl FetchReport {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL.into_iter().zip(self.outcomes)
    }

    /// How many ended in one way.
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(outcome as usize).copied().unwrap_or(0)
    }

    /// Requests to servers that have ended.
    pub fn requests(&self) -> u64 {
        self.iter()
            .filter(|(o, _)| o.was_asked())
            .map(|(_, n)| n)
            .sum()
    }

    fn count(&mut self, outcome: Outcome) {
        if let Some(n) = self.outcomes.get_mut(outcome as usize) {
            *n += 1;
        }
    }
}

/// The machine.
#[derive(Debug)]
pub struct Desk {
    policy: Policy,
    cache: Cache,
    trust: Arc<TrustStore>,
    /// What the directory holds, prepared: it comes before anything fetched.
    base: Credentials,
    offline: bool,
    answers: VecDeque<(Box<str>, Answer)>,
    /// URLs for which somebody waits for an answer: pending ones, none that is only refreshed.
    wanted: HashSet<Box<str>>,
    kept: VecDeque<Kept>,
    /// Judges' certificates have changed.
    changed: bool,
    /// When they change next by themselves.
    next_loss: Option<Timestamp>,
    report: FetchReport,
}

impl Desk {
    /// Starts with what the directory holds.
    pub fn new(
        policy: Policy,
        cache: Cache,
        trust: Arc<TrustStore>,
        base: Credentials,
        offline: bool,
    ) -> Self {
        Self {
            policy,
            cache,
            trust,
            base,
            offline,
            answers: VecDeque::new(),
            wanted: HashSet::new(),
            kept: VecDeque::new(),
            changed: true,
            next_loss: None,
            report: FetchReport::default(),
        }
    }

    /// What an earlier run kept.
    pub fn handle_kept(&mut self, kept: Kept, now: Timestamp) {
        let credential = Arc::new(Credential::prepare(&kept.bytes, &self.trust));
        if let Some(place) = Place::of(&kept.url) {
            self.policy.handle_proven(&place.host, now);
        }
        self.cache.handle_kept(
            &kept.url,
            kept.bytes.into(),
            credential,
            kept.since,
            kept.fresh_until,
        );
        self.changed = true;
    }

    /// A wish for a certificate. It gets one answer, at once or when there is one.
    pub fn handle_want(&mut self, want: &Want, now: Timestamp) {
        self.wanted.insert(want.url().into());
        match want {
            Want::Missing(url) => self.want_missing(url, now),
            Want::Doubted(url, judged_by) => self.want_doubted(url, *judged_by, now),
        }
    }

    fn want_missing(&mut self, url: &str, now: Timestamp) {
        if self.base.contains(url) || self.cache.is_at_hand(url, now) {
            self.report.count(Outcome::AtHand);
            self.answer(url, Answer::News);
            return;
        }
        if self.offline {
            self.report.count(Outcome::Offline);
            self.answer(url, Answer::Nothing(Why::Offline));
            return;
        }
        match self.policy.ask(url, now) {
            Ok(()) => {}
            Err(Refusal::Now(outcome)) => {
                self.report.count(outcome);
                self.answer(url, Answer::Nothing(outcome.why()));
            }
            Err(Refusal::Failed { outcome, until }) => {
                self.report.count(Outcome::KnownFailure);
                if self.cache.handle_failure(url, until, now) {
                    self.changed = true;
                    self.answer(url, Answer::News);
                } else {
                    self.answer(url, Answer::Nothing(outcome.why()));
                }
            }
        }
    }

    fn want_doubted(&mut self, url: &str, judged_by: Digest128, now: Timestamp) {
        if self.cache.digest(url).is_some_and(|d| d != judged_by) {
            // Another came since the call was judged.
            self.report.count(Outcome::AtHand);
            self.answer(url, Answer::News);
            return;
        }
        let worth_it = !self.offline && self.cache.is_doubtful(url, now);
        if !worth_it || self.policy.ask(url, now).is_err() {
            self.report.count(Outcome::AtHand);
            self.answer(url, Answer::Same);
        }
    }

    /// How a request ended.
    pub fn handle_end(&mut self, url: &str, end: Result<Body, Outcome>, now: Timestamp) {
        let outcome = match end {
            Ok(body) => self.body(url, &body, now),
            Err(outcome) => {
                self.end(url, outcome, now);
                outcome
            }
        };
        self.report.count(outcome);
    }

    fn body(&mut self, url: &str, body: &Body, now: Timestamp) -> Outcome {
        let credential = Arc::new(Credential::prepare(&body.bytes, &self.trust));
        if credential.fault().is_some() {
            let outcome = Outcome::NoCertificate;
            let until = self.policy.handle_end(url, outcome, now);
            let better = until.is_some_and(|until| self.cache.handle_failure(url, until, now));
            if !better {
                let hold = until.map_or(NO_SUCH, |until| until.distance(now));
                self.cache
                    .handle_body(url, body, credential, Some(hold), now);
            }
            self.changed = true;
            self.answer(url, Answer::News);
            return outcome;
        }
        let had = self.cache.is_at_hand(url, now);
        let put = self.cache.handle_body(url, body, credential, None, now);
        if put.keep {
            self.kept.push_back(Kept {
                url: url.into(),
                bytes: body.bytes.to_vec(),
                since: now,
                fresh_until: put.fresh_until,
            });
        }
        let outcome = match (put.confirmed, put.renewed) {
            (true, _) => Outcome::Confirmed,
            (_, true) => Outcome::Renewed,
            _ => Outcome::Fetched,
        };
        self.policy.handle_end(url, outcome, now);
        self.changed = true;
        let answer = if had && put.confirmed {
            Answer::Same
        } else {
            Answer::News
        };
        self.answer(url, answer);
        outcome
    }

    fn end(&mut self, url: &str, outcome: Outcome, now: Timestamp) {
        let had = self.cache.is_at_hand(url, now);
        let until = self.policy.handle_end(url, outcome, now);
        let used_on = until.is_some_and(|until| self.cache.handle_failure(url, until, now));
        let answer = match (had, used_on) {
            (true, true) => Answer::Same,
            (false, true) => Answer::News,
            (_, false) => Answer::Nothing(outcome.why()),
        };
        self.changed |= used_on;
        self.answer(url, answer);
    }

    /// Lets time pass: certificates run out, are refreshed before that, and wishes that nobody waits for any more are let go.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let due = self.cache.handle_timeout(now);
        if !self.offline {
            for url in due {
                if !self.base.contains(&url) && self.policy.ask(&url, now).is_ok() {
                    self.report.refreshes += 1;
                }
            }
        }
        while let Some(url) = self.policy.poll_given_up(now) {
            self.report.count(Outcome::QueueFull);
            self.answer(&url, Answer::Nothing(Why::QueueFull));
        }
        self.changed |= self.next_loss.is_some_and(|next| next <= now);
    }

    /// Other authorities or another revocation list: everything is prepared anew.
    pub fn handle_trust(&mut self, trust: Arc<TrustStore>) {
        self.cache.handle_trust(&trust);
        self.base = self.base.prepare_again(&trust);
        self.trust = trust;
        self.changed = true;
    }

    /// Other credentials from files, prepared with the trust in use or to be prepared again by [`Desk::handle_trust`].
    pub fn handle_base(&mut self, base: Credentials) {
        self.base = base;
        self.changed = true;
    }

    /// Something that could not be kept on disk.
    pub fn handle_not_kept(&mut self) {
        self.report.not_kept += 1;
    }

    /// Something that the operator should know. Only the last of these are kept.
    pub fn handle_note(&mut self, note: String) {
        if self.report.notes.len() >= NOTES {
            self.report.notes.remove(0);
        }
        self.report.notes.push(note);
    }

    /// The next URL to request.
    pub fn poll_start(&mut self, now: Timestamp) -> Option<Arc<str>> {
        self.policy.poll_start(now)
    }

    /// What judges are to have from now on, where that has changed. Comes before the answers that speak of it.
    pub fn poll_credentials(&mut self, now: Timestamp) -> Option<Arc<Credentials>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mut out = self.base.clone();
        self.cache.show(&mut out, now);
        self.next_loss = self.cache.next_loss(now);
        Some(Arc::new(out))
    }

    /// An answer to a wish. Call after [`Desk::poll_credentials`].
    pub fn poll_answer(&mut self) -> Option<(Box<str>, Answer)> {
        self.answers.pop_front()
    }

    /// A certificate to write to disk.
    pub fn poll_kept(&mut self) -> Option<Kept> {
        self.kept.pop_front()
    }

    /// Counts so far, and what there is now.
    pub fn report(&self) -> FetchReport {
        FetchReport {
            in_flight: self.policy.in_flight(),
            waiting: self.policy.waiting(),
            cached: self.cache.len(),
            cached_octets: self.cache.octets(),
            ..self.report.clone()
        }
    }

    /// Everything kept; bounded whatever is asked.
    pub fn remembered(&self) -> usize {
        self.policy.remembered()
            + self.cache.len()
            + self.wanted.len()
            + self.answers.len()
            + self.kept.len()
    }

    fn answer(&mut self, url: &str, answer: Answer) {
        if let Some(url) = self.wanted.take(url) {
            self.answers.push_back((url, answer));
        }
    }
}

/// Notes that are kept: a screenful.
const NOTES: usize = 32;

#[cfg(test)]
mod tests;
