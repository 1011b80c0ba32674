//! Where calls wait for certificates: judged as far as could be, and judged again at their capture time when the certificate comes.
//!
//! A call comes in by [`Park::handle_call`]; which certificates to ask for is polled, each URL once however many calls wait for it; what
//! became of a wish goes in by [`Park::handle_answer`]. A call goes on when all its wishes are answered, or when it has waited for as long
//! as it may. Here `now` is the time at which things happen, not that of the capture: servers answer in that.
//!
//! How many calls there may be is for [`super::collect`] to say, which holds their records meanwhile.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::base::Timestamp;
use crate::call::attempt::{Facts, InviteFacts};
use crate::call::record::evidence::Evidence;
use crate::engine::judge::{Judge, Wanting};
use crate::stir::verify::Want;

/// Bounds of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkLimits {
    /// Calls that wait at once.
    pub calls: usize,
    /// Octets of their messages, with what is kept beside each.
    pub octets: usize,
    /// How long a call waits (rule N10).
    pub wait: Duration,
}

impl Default for ParkLimits {
    /// 65,536 calls are 2,000 a second for all of 30 s; with messages of 1 KB to 2 KB they fit into 128 MB.
    fn default() -> Self {
        Self {
            calls: 65_536,
            octets: 128 << 20,
            wait: Duration::from_secs(30),
        }
    }
}

/// Why a call that lacked a certificate goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// All that could be had is there: it was judged again.
    Certificate,
    /// The server could not be reached.
    Unreachable,
    /// The server gave no certificate, or may not be asked.
    Refused,
    /// Too many certificates were asked for at once.
    QueueFull,
    /// It waited for as long as it may.
    TimedOut,
    /// We ask nobody.
    Offline,
    /// Too many calls waited already: it did not wait at all.
    RoomFull,
}

impl Why {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 7] = [
        Self::Certificate,
        Self::Unreachable,
        Self::Refused,
        Self::QueueFull,
        Self::TimedOut,
        Self::Offline,
        Self::RoomFull,
    ];

    /// Lower-case name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::QueueFull => "queue_full",
            Self::TimedOut => "timed_out",
            Self::Offline => "offline",
            Self::RoomFull => "room_full",
        }
    }
}

/// Calls that lacked a certificate, and how each went on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParkCounters {
    /// Calls that lacked one.
    pub wanting: u64,
    /// Of these, by [`Why::ALL`].
    pub ended: [u64; Why::ALL.len()],
    /// The most that waited at once.
    pub most: usize,
}

impl ParkCounters {
    pub(super) fn count(&mut self, why: Why) {
        if let Some(n) = self.ended.get_mut(why as usize) {
            *n += 1;
        }
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Why::ALL.iter().map(|w| w.label()).zip(self.ended)
    }

    /// Calls that went on, for whatever reason.
    pub fn total(&self) -> u64 {
        self.ended.iter().sum()
    }
}

/// A call on its way into the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Its record.
    pub uid: u64,
    /// What it waits for.
    pub wanting: Box<Wanting>,
}

/// A call on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// Its record.
    pub uid: u64,
    /// What it says now; `None` where nothing new is known.
    pub facts: Option<Box<InviteFacts>>,
    /// What it takes to judge it once more, where that is kept.
    pub evidence: Option<Box<Evidence>>,
    /// Why it goes on.
    pub why: Why,
}

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is a certificate that was not there.
    News,
    /// There is the one that was there.
    Same,
    /// There is none.
    Nothing(Why),
}

/// The machine.
#[derive(Debug)]
pub struct Park {
    wait: Duration,
    waiting: HashMap<u64, Waiting>,
    /// Who waits for a URL. Those that went on meanwhile are not taken out one by one.
    by_url: HashMap<Box<str>, Vec<u64>>,
    due: VecDeque<(Timestamp, u64)>,
    asks: VecDeque<Want>,
    done: VecDeque<(u64, Waiting)>,
}

#[derive(Debug)]
struct Waiting {
    wanting: Box<Wanting>,
    /// Wishes without an answer.
    open: usize,
    news: bool,
    why: Why,
}

/// Below this, those that went on are not worth looking for.
const FEW: usize = 64;

impl Park {
    /// Nobody waits.
    pub fn new(wait: Duration) -> Self {
        Self {
            wait,
            waiting: HashMap::new(),
            by_url: HashMap::new(),
            due: VecDeque::new(),
            asks: VecDeque::new(),
            done: VecDeque::new(),
        }
    }

    /// A call begins to wait.
    pub fn handle_call(&mut self, call: Parked, now: Timestamp) {
        let Parked { uid, wanting } = call;
        for want in &wanting.wants {
            match self.by_url.get_mut(want.url()) {
                Some(uids) => {
                    if uids.len() > FEW && uids.len() > 2 * self.waiting.len() {
                        uids.retain(|uid| self.waiting.contains_key(uid));
                    }
                    uids.push(uid);
                }
                None => {
                    self.by_url.insert(want.url().into(), vec![uid]);
                    self.asks.push_back(want.clone());
                }
            }
        }
        let waiting = Waiting {
            open: wanting.wants.len(),
            wanting,
            news: false,
            why: Why::Certificate,
        };
        self.due.push_back((now.plus(self.wait), uid));
        self.waiting.insert(uid, waiting);
    }

    /// What became of the wish for a URL.
    pub fn handle_answer(&mut self, url: &str, answer: Answer) {
        for uid in self.by_url.remove(url).unwrap_or_default() {
            let Some(call) = self.waiting.get_mut(&uid) else {
                continue;
            };
            call.open = call.open.saturating_sub(1);
            match answer {
                Answer::News => call.news = true,
                Answer::Same => {}
                Answer::Nothing(why) => call.why = why,
            }
            if call.open == 0
                && let Some(call) = self.waiting.remove(&uid)
            {
                self.done.push_back((uid, call));
            }
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some((_, uid)) = self.due.pop_front_if(|(due, _)| *due <= now) {
            if let Some(mut call) = self.waiting.remove(&uid) {
                call.why = Why::TimedOut;
                self.done.push_back((uid, call));
            }
        }
    }

    /// A certificate to ask for.
    pub fn poll_ask(&mut self) -> Option<Want> {
        self.asks.pop_front()
    }

    /// A call that goes on, judged again by `judge` where there is something new to judge by.
    pub fn poll_released(&mut self, judge: &mut Judge) -> Option<Released> {
        let (uid, call) = self.done.pop_front()?;
        // It may have been judged by what was there before the last certificate but one came: what counts is what is there now.
        let again = call.news || call.wanting.wants.iter().any(|w| judge.is_met(w));
        let judged = again.then(|| judge.judge(call.wanting.message));
        let (facts, evidence) = match judged.map(|j| (j.facts, j.evidence)) {
            Some((Ok(Facts::Invite(invite)), evidence)) => (Some(invite), evidence),
            Some((Ok(Facts::Response(_) | Facts::Request(_)) | Err(_), _)) | None => (None, None),
        };
        Some(Released {
            uid,
            facts,
            evidence,
            why: call.why,
        })
    }

    /// How many calls wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stir::credential::Credentials;
    use crate::stir::verify::VerifySettings;
    use crate::wire::{Flow, Message, Transport};

    const A: &str = "https://a.example/sp.pem";
    const B: &str = "https://b.example/sp.pem";
    const NOTHING: Answer = Answer::Nothing(Why::Refused);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn call(uid: u64, urls: &[&str]) -> Parked {
        let source = "192.0.2.1:5060".parse().unwrap();
        let message = Message {
            seq: uid,
            at: at(0),
            flow: Flow {
                source,
                destination: source,
                transport: Transport::Udp,
                vlans: Default::default(),
                path: Default::default(),
                macs: Default::default(),
            },
            sensor: 0,
            bytes: b"INVITE sip:a SIP/2.0\r\n\r\n".to_vec(),
            cut: None,
        };
        let wants = urls.iter().map(|u| Want::Missing((*u).into())).collect();
        Parked {
            uid,
            wanting: Box::new(Wanting { wants, message }),
        }
    }

    fn park() -> Park {
        Park::new(Duration::from_secs(30))
    }

    fn asks(p: &mut Park) -> Vec<String> {
        let asks = std::iter::from_fn(|| p.poll_ask());
        asks.map(|w| w.url().to_owned()).collect()
    }

    /// Who goes on, whether judged again, and why.
    fn released(p: &mut Park) -> Vec<(u64, bool, Why)> {
        let mut judge = Judge::new(
            Arc::new(Credentials::default()),
            Arc::new(VerifySettings::default()),
        );
        let out = std::iter::from_fn(|| p.poll_released(&mut judge));
        out.map(|r| (r.uid, r.facts.is_some(), r.why)).collect()
    }

    #[test]
    fn n10_one_wish_for_a_url_however_many_calls_wait_for_it() {
        let mut p = park();
        for uid in 1..=1_000 {
            p.handle_call(call(uid, &[A]), at(0));
        }
        assert_eq!(asks(&mut p), [A]);
        p.handle_answer(A, Answer::News);
        let out = released(&mut p);
        assert_eq!(out.len(), 1_000);
        assert!(out.iter().all(|o| (o.1, o.2) == (true, Why::Certificate)));
        // The next one asks anew.
        p.handle_call(call(1_001, &[A]), at(1));
        assert_eq!(asks(&mut p), [A]);
    }

    #[test]
    fn a_call_goes_on_when_all_of_its_wishes_are_answered() {
        let mut p = park();
        p.handle_call(call(1, &[A, B]), at(0));
        p.handle_call(call(2, &[B]), at(0));
        assert_eq!(asks(&mut p), [A, B]);
        p.handle_answer(B, NOTHING);
        assert_eq!(released(&mut p), [(2, false, Why::Refused)]);
        p.handle_answer(A, Answer::News);
        assert_eq!(
            released(&mut p),
            [(1, true, Why::Refused)],
            "one of two came"
        );
        p.handle_call(call(3, &[A]), at(0));
        p.handle_answer(A, Answer::Same);
        assert_eq!(
            released(&mut p),
            [(3, false, Why::Certificate)],
            "nothing new to judge by"
        );
    }

    #[test]
    fn n10_nobody_waits_for_longer_than_half_a_minute() {
        let mut p = park();
        p.handle_call(call(1, &[A]), at(0));
        p.handle_call(call(2, &[A]), at(10));
        p.handle_timeout(at(29));
        assert_eq!(released(&mut p), []);
        p.handle_timeout(at(30));
        assert_eq!(released(&mut p), [(1, false, Why::TimedOut)]);
        // The wish is still open: it is not made twice, and who still waits gets its answer.
        p.handle_call(call(3, &[A]), at(31));
        assert_eq!(asks(&mut p), [A]);
        p.handle_answer(A, Answer::News);
        assert_eq!(
            released(&mut p).iter().map(|r| r.0).collect::<Vec<_>>(),
            [2, 3]
        );
        p.handle_timeout(at(100));
        assert_eq!(released(&mut p), []);
        assert!(p.is_empty() && p.by_url.is_empty() && p.due.is_empty());
    }

    #[test]
    fn a_wish_without_an_answer_gathers_no_dead_calls() {
        let mut p = park();
        for i in 0..100_000 {
            p.handle_call(call(i, &[A]), at(i as i64 / 10));
            p.handle_timeout(at(i as i64 / 10));
            released(&mut p);
        }
        assert!(p.len() <= 310);
        assert!(p.by_url[A].len() <= 700, "{}", p.by_url[A].len());
    }

    #[test]
    fn an_answer_that_nobody_waits_for_changes_nothing() {
        let mut p = park();
        p.handle_answer(A, Answer::News);
        assert_eq!(released(&mut p), []);
    }
}
