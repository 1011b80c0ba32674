//! From records to candidates. Records of legs come in; attempts go out: an ingress leg with the egress legs that it became,
//! and which attempts belong to one call.
//!
//! Nothing is guessed here. An egress leg whose ingress can't be told stays an attempt of its own without an upstream, so
//! that it competes with the others: a call that somebody else may have handed over must not be pinned on whoever is left.
//!
//! - [`pairing`]: which egress leg belongs to which ingress leg

pub mod pairing;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub use crate::call::leg::Pairing;
use crate::call::leg::SUFFIX;

use crate::base::Timestamp;
use crate::base::digest::Digest128;
use crate::call::peer::{Peer, PeerKind, PeerTable};
use crate::call::record::{Direction, End, State, StoredCall};
use crate::number::Tn;
use crate::traceback::request::{ProviderIds, RequestIds, TracedCall};
use crate::traceback::window::Window;

/// Sightings of one leg (same way, same ends, same Call-ID) within this span are one leg, and attempts that follow a
/// failure within it are one call: 64 × T1, the life of a transaction (RFC 3261 §17.1.1.2).
pub const TRANSACTION: Duration = Duration::from_secs(32);

/// By which of a leg's numbers it was a call to the number asked about, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CalledAs {
    /// Request-URI.
    RequestUri,
    /// To.
    To,
    /// First Diversion or History-Info entry: the call had been forwarded.
    DivertedFrom,
    /// Only the end of a number is the same: a prefix of a trunk in front of it, or another way of writing a number abroad.
    Suffix,
}

/// By which of a leg's numbers the calling number is the one asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallingAs {
    /// From.
    From,
    /// P-Asserted-Identity.
    Asserted,
    /// Remote-Party-ID.
    RemoteParty,
    /// `orig` of the PASSporT.
    Signed,
}

/// An egress leg and how it was paired with its ingress leg; `None` for one that has no partner.
#[derive(Clone, Copy, Debug)]
pub struct Egress<'a> {
    /// The leg.
    pub leg: &'a StoredCall,
    /// What tied it to its ingress leg.
    pub pairing: Option<Pairing>,
}

/// One attempt: an ingress leg with what became of it, or an egress leg alone.
#[derive(Clone, Debug)]
pub struct Attempt<'a> {
    /// How it came in; `None` when that was not seen or can't be told.
    pub ingress: Option<&'a StoredCall>,
    /// How it went out, in order of time.
    pub egress: Vec<Egress<'a>>,
    /// Number of the call that it belongs to: attempts that follow each other after a failure.
    pub call: usize,
}

/// What became of an attempt, seen from the downstream that the request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// The downstream took it on.
    Delivered,
    /// It was passed to the downstream, which refused it.
    Refused,
    /// What the downstream did was not seen, or whether it went there at all: no word of its came by, or the call was taken on
    /// and no way out is in the records. It satisfies no gate, and it may be the call.
    Unseen,
    /// It was passed to somebody else.
    Elsewhere,
    /// It was never passed on.
    Never,
}

/// The downstream of a request, as the table of neighbours knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Downstream {
    /// The request names none.
    Unnamed,
    /// The request names ourselves: the call ended here.
    Ourselves,
    /// These neighbours, by id: one provider may have several entries.
    Neighbour(Vec<Arc<str>>),
    /// Nobody to whom we hand calls.
    Stranger,
}

impl Downstream {
    /// Looks the named provider up. `own` are ids by which portals know ourselves.
    pub fn find(named: Option<&ProviderIds>, peers: &PeerTable, own: &[Arc<str>]) -> Self {
        let Some(named) = named else {
            return Self::Unnamed;
        };
        let found = |own_kind| {
            peers
                .peers
                .iter()
                .filter(move |p| (p.kind == PeerKind::Own) == own_kind && named.names(p))
        };
        if own.iter().any(|id| named.contains(id)) || found(true).next().is_some() {
            return Self::Ourselves;
        }
        let ids: Vec<_> = found(false).map(|p| p.id.clone()).collect();
        if ids.is_empty() {
            Self::Stranger
        } else {
            Self::Neighbour(ids)
        }
    }

    /// Whether an egress leg went there.
    pub fn got(&self, leg: &StoredCall) -> bool {
        match (self, &leg.begin.peer) {
            (Self::Neighbour(ids), Some(peer)) => ids.contains(peer),
            _ => false,
        }
    }
}

/// Who handed an attempt over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream<'t> {
    /// A neighbour of the table.
    Known(&'t Peer),
    /// Not to be told: no rule named the sender, the neighbour has left the table, or the ingress leg is missing.
    Unresolved,
}

impl Upstream<'_> {
    /// What makes two upstreams the same answer: the provider, however many entries it has, and what it is to us.
    pub fn key(&self) -> Option<(&str, PeerKind)> {
        match self {
            Self::Known(p) => Some((p.portal_id.as_deref().unwrap_or(&p.id), p.kind)),
            Self::Unresolved => None,
        }
    }

    /// Short name to show.
    pub fn label(&self) -> &str {
        match self {
            Self::Known(p) => &p.id,
            Self::Unresolved => "?",
        }
    }
}

impl<'a> Attempt<'a> {
    /// All its legs, ingress first.
    pub fn legs(&self) -> impl Iterator<Item = &'a StoredCall> + '_ {
        self.ingress
            .into_iter()
            .chain(self.egress.iter().map(|e| e.leg))
    }

    /// The upstream, by what was resolved at capture time; the table of today only gives its name and address.
    pub fn upstream<'t>(&self, peers: &'t PeerTable) -> Upstream<'t> {
        self.ingress
            .and_then(|l| l.begin.peer.as_deref())
            .and_then(|id| peers.peer(id))
            .filter(|p| p.kind != PeerKind::Own)
            .map_or(Upstream::Unresolved, Upstream::Known)
    }

    /// The leg whose time the downstream would have written down: the one it took on, else one that went to it, else the
    /// way in. Route advance may put seconds between the way in and the way out.
    pub fn reference(&self, downstream: &Downstream) -> Option<&'a StoredCall> {
        let out = |want: fn(&StoredCall) -> bool| {
            self.egress
                .iter()
                .map(|e| e.leg)
                .find(|l| (*downstream == Downstream::Unnamed || downstream.got(l)) && want(l))
        };
        out(StoredCall::was_delivered)
            .or_else(|| match downstream {
                Downstream::Neighbour(_) => out(|_| true),
                _ => None,
            })
            .or(self.ingress)
            .or_else(|| self.egress.first().map(|e| e.leg))
    }

    /// The legs that the downstream took on: those that went to it, all where none is named, or the way in where the call ended here.
    pub fn taken_on<'s>(
        &'s self,
        downstream: &'s Downstream,
    ) -> impl Iterator<Item = &'a StoredCall> + 's {
        let here = self.egress.is_empty();
        let went = self.egress.iter().map(|e| e.leg);
        went.filter(|l| *downstream == Downstream::Unnamed || downstream.got(l))
            .chain(self.ingress.filter(|_| here))
            .filter(|l| l.was_delivered())
    }

    /// What became of it.
    pub fn delivery(&self, downstream: &Downstream) -> Delivery {
        let here = || match self.ingress {
            Some(l) if l.was_delivered() => Delivery::Delivered,
            _ => Delivery::Never,
        };
        // To an address that no rule names: that may be anybody.
        let may_be = |l: &StoredCall| l.begin.peer.is_none() && l.was_delivered();
        match downstream {
            Downstream::Ourselves if self.egress.is_empty() => here(),
            Downstream::Unnamed if self.egress.is_empty() => here(),
            Downstream::Unnamed => {
                if self.egress.iter().any(|e| e.leg.was_delivered()) {
                    Delivery::Delivered
                } else if self.egress.iter().any(|e| is_silent(e.leg)) {
                    Delivery::Unseen
                } else {
                    Delivery::Refused
                }
            }
            Downstream::Neighbour(_) => {
                let mut went = self.egress.iter().filter(|e| downstream.got(e.leg));
                if went.clone().any(|e| e.leg.was_delivered()) {
                    Delivery::Delivered
                } else if went.clone().any(|e| is_silent(e.leg)) {
                    Delivery::Unseen
                } else if went.next().is_some() {
                    Delivery::Refused
                } else if self.egress.is_empty() {
                    match here() {
                        Delivery::Delivered if !self.was_declined_here() => Delivery::Unseen,
                        _ => Delivery::Never,
                    }
                } else if self.egress.iter().any(|e| may_be(e.leg)) {
                    Delivery::Unseen
                } else {
                    Delivery::Elsewhere
                }
            }
            Downstream::Ourselves | Downstream::Stranger => Delivery::Elsewhere,
        }
    }

    /// Whether it was declined without ever having rung: where nothing went out, that was ourselves.
    fn was_declined_here(&self) -> bool {
        let end = self.ingress.and_then(|l| l.end.as_ref());
        end.is_some_and(|e| e.code == 603 && e.ringing_ms.is_none())
    }

    /// By which number it was a call to `tn`, on any leg.
    pub fn called_as(&self, tn: Tn) -> Option<CalledAs> {
        self.legs().filter_map(|l| called_as(l, tn)).min()
    }

    /// By which number it was a call from `tn`, on any leg.
    pub fn calling_as(&self, tn: Tn) -> Option<CallingAs> {
        self.legs()
            .flat_map(calling_numbers)
            .filter(|(_, n)| *n == tn)
            .map(|(how, _)| how)
            .min()
    }

    /// Whether any leg shows a calling number.
    pub fn shows_calling(&self) -> bool {
        self.legs().any(|l| calling_numbers(l).next().is_some())
    }

    /// When it was over without having been answered; `None` while that isn't known, and for an answered one.
    fn failed_at(&self) -> Option<Timestamp> {
        let leg = self
            .ingress
            .or_else(|| self.egress.first().map(|e| e.leg))?;
        ended_at(leg).filter(|_| !self.legs().any(|l| l.was_delivered()))
    }

    /// When it came in, or went out where the way in is unknown.
    pub fn at(&self) -> Timestamp {
        self.legs().map(|l| l.begin.at).next().unwrap_or_default()
    }
}

/// Whether nothing was seen that says what the receiver did: no end, or none of its answers. ACK or BYE prove an answer even then.
fn is_silent(leg: &StoredCall) -> bool {
    let silent = |e: &End| e.one_way || matches!(e.state, State::Unfinished);
    !leg.was_delivered() && leg.end.as_ref().is_none_or(silent)
}

/// When a leg failed or was given up.
pub(crate) fn ended_at(leg: &StoredCall) -> Option<Timestamp> {
    match leg.end.as_ref()?.state {
        State::Failed | State::Cancelled | State::Redirected => settled_at(leg),
        State::Answered | State::Unfinished => None,
    }
}

/// When a leg got its final answer, whatever it was: from then on no further leg comes out of it.
fn settled_at(leg: &StoredCall) -> Option<Timestamp> {
    let after = Duration::from_millis(u64::from(leg.end.as_ref()?.final_ms?));
    Some(leg.begin.at.plus(after))
}

fn called_as(leg: &StoredCall, tn: Tn) -> Option<CalledAs> {
    let n = &leg.begin.numbers;
    [
        (CalledAs::RequestUri, n.called),
        (CalledAs::To, n.to),
        (CalledAs::DivertedFrom, n.diverted_from),
    ]
    .into_iter()
    .find(|(_, number)| *number == Some(tn))
    .map(|(how, _)| how)
    .or_else(|| ends_alike(n.called?, tn).then_some(CalledAs::Suffix))
}

/// Whether one of two numbers is the other with something in front, or both are numbers abroad with the same last digits. Two numbers of
/// the North American plan that differ are two subscribers, however alike their ends.
fn ends_alike(a: Tn, b: Tn) -> bool {
    let (long, short) = if a.as_bytes().len() >= b.as_bytes().len() {
        (a, b)
    } else {
        (b, a)
    };
    let at_home = |n: Tn| n.as_bytes().len() == 11 && n.as_bytes().starts_with(b"1");
    let end = |n: Tn| n.as_bytes().last_chunk::<SUFFIX>().copied();
    let within = short.as_bytes().len() > SUFFIX && long.as_bytes().ends_with(short.as_bytes());
    a != b && (within || (!at_home(a) && !at_home(b) && end(a).is_some() && end(a) == end(b)))
}

/// The calling numbers of a leg. The PASSporT's counts only where the signature stands.
fn calling_numbers(leg: &StoredCall) -> impl Iterator<Item = (CallingAs, Tn)> + use<> {
    let (n, v) = (&leg.begin.numbers, &leg.begin.verdict);
    let signed = v
        .orig
        .filter(|_| v.validation == crate::stir::verify::Validation::Passed);
    [
        (CallingAs::From, n.from),
        (CallingAs::Asserted, n.asserted),
        (CallingAs::RemoteParty, n.remote_party),
        (CallingAs::Signed, signed),
    ]
    .into_iter()
    .filter_map(|(how, tn)| tn.map(|tn| (how, tn)))
}

/// Turns records into the attempts that were calls to the number asked about or carry an identifier of the request, in order of
/// time. A record that is neither serves only as the other half of one that is.
pub fn collect<'a>(records: &'a [StoredCall], call: &TracedCall) -> Vec<Attempt<'a>> {
    let legs = collapse(records);
    let mut attempts = pairing::pair(&legs);
    attempts
        .retain(|a| a.called_as(call.called).is_some() || a.legs().any(|l| named_by(&call.ids, l)));
    attempts.sort_by_key(|a| (a.at(), a.legs().map(|l| l.begin.uid).next()));
    number_calls(&mut attempts);
    attempts
}

/// Whether our own platform talked to itself about such a call within the main window: a test call, or one that never left the house.
pub fn is_internal(records: &[StoredCall], call: &TracedCall, peers: &PeerTable) -> bool {
    let main = Window::main(call.at, call.precision_s);
    records.iter().any(|r| {
        let own = r.begin.peer.as_deref().and_then(|id| peers.peer(id));
        r.begin.direction == Direction::Unknown
            && own.is_some_and(|p| p.kind == PeerKind::Own)
            && main.contains(r.begin.at)
            && called_as(r, call.called).is_some()
            && call
                .calling
                .is_none_or(|a| calling_numbers(r).any(|(_, n)| n == a))
    })
}

fn named_by(ids: &RequestIds, leg: &StoredCall) -> bool {
    let b = &leg.begin;
    ids.call_id == Some(b.ids.call_id)
        || (ids.session_id.is_some() && ids.session_id == b.ids.session_id)
        || (ids.passport.is_some() && ids.passport == b.verdict.passport)
}

/// One leg per sighting: the same leg seen by two sensors, or again with the same Call-ID, counts once. The one that was
/// taken on stands for the others. Legs inside our own platform are left out.
fn collapse(records: &[StoredCall]) -> Vec<&StoredCall> {
    let mut sorted: Vec<&StoredCall> = records
        .iter()
        .filter(|r| r.begin.direction != Direction::Unknown || r.begin.peer.is_none())
        .collect();
    sorted.sort_by_key(|r| (r.begin.at, r.begin.uid));
    let mut legs: Vec<&StoredCall> = Vec::with_capacity(sorted.len());
    let mut last = HashMap::new();
    for record in sorted {
        let b = &record.begin;
        let key = (b.ids.call_id, b.direction, b.source, b.destination);
        let seen = last.get(&key).and_then(|i: &usize| legs.get_mut(*i));
        match seen {
            Some(leg) if b.at.distance(leg.begin.at) <= TRANSACTION => {
                if record.was_delivered() && !leg.was_delivered() {
                    *leg = record;
                }
            }
            _ => {
                last.insert(key, legs.len());
                legs.push(record);
            }
        }
    }
    // A leg that stands for an earlier one may have moved.
    legs.sort_by_key(|r| (r.begin.at, r.begin.uid));
    legs
}

/// Gives attempts that follow each other after a failure, with the same calling number or PASSporT, one number.
fn number_calls(attempts: &mut [Attempt<'_>]) {
    // The latest attempt of each caller: when it failed, and its number.
    let mut latest: HashMap<Caller, (Option<Timestamp>, usize)> = HashMap::new();
    for (i, attempt) in attempts.iter_mut().enumerate() {
        let at = attempt.at();
        let callers: Vec<Caller> = attempt.legs().flat_map(callers).collect();
        let follows = callers
            .iter()
            .filter_map(|c| latest.get(c))
            .find(|(failed, _)| failed.is_some_and(|f| f <= at && at.distance(f) <= TRANSACTION));
        attempt.call = follows.map_or(i, |(_, call)| *call);
        let failed = attempt.failed_at();
        for caller in callers {
            latest.insert(caller, (failed, attempt.call));
        }
    }
}

/// What makes two attempts those of one caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Caller {
    Number(Tn),
    Passport(Digest128),
}

fn callers(leg: &StoredCall) -> impl Iterator<Item = Caller> + use<> {
    let numbers = calling_numbers(leg).map(|(_, n)| Caller::Number(n));
    numbers.chain(leg.begin.verdict.passport.map(Caller::Passport))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traceback::sample::{self, call, peers, traced};

    #[test]
    fn a_leg_seen_by_two_sensors_is_one_leg() {
        let mut records = call(1, "north", "east", 0).records();
        let mut again: Vec<_> = records.clone();
        for r in &mut again {
            r.begin.uid += 100;
            r.begin.sensor = "edge2".into();
            r.begin.at = Timestamp::from_nanos(r.begin.at.nanos() + 2_000_000);
        }
        records.extend(again);
        let attempts = collect(&records, &traced());
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts.first().map(|a| a.egress.len()), Some(1));
    }

    #[test]
    fn a_retry_after_a_failure_is_the_same_call_and_a_redial_is_not() {
        let mut records = call(1, "north", "east", 0).never_passed().records();
        records.extend(call(10, "south", "east", 3).records());
        records.extend(call(20, "north", "east", 60).records());
        let attempts = collect(&records, &traced());
        let calls: Vec<_> = attempts.iter().map(|a| a.call).collect();
        assert_eq!(calls, [0, 0, 2]);
    }

    #[test]
    fn delivery_is_seen_from_the_downstream_that_was_named() {
        let peers = peers();
        let named = |portal: &str| {
            let ids = ProviderIds {
                provider_ids: vec![portal.into()],
                ..ProviderIds::default()
            };
            Downstream::find(Some(&ids), &peers, &["EV-01".into()])
        };
        let records = call(1, "north", "east", 0).records();
        let attempts = collect(&records, &traced());
        let a = attempts.first().unwrap();
        assert_eq!(a.delivery(&named("EA-01")), Delivery::Delivered);
        assert_eq!(a.delivery(&named("WE-01")), Delivery::Elsewhere);
        assert_eq!(a.delivery(&Downstream::Unnamed), Delivery::Delivered);
        assert_eq!(named("EV-01"), Downstream::Ourselves);
        assert_eq!(named("XX-99"), Downstream::Stranger);
        let refused = call(1, "north", "east", 0).refused().records();
        let refused = collect(&refused, &traced());
        assert_eq!(
            refused.first().unwrap().delivery(&named("EA-01")),
            Delivery::Refused
        );
        let never = call(1, "north", "east", 0).never_passed().records();
        let never = collect(&never, &traced());
        assert_eq!(
            never.first().unwrap().delivery(&named("EA-01")),
            Delivery::Never
        );
        assert_eq!(
            never.first().unwrap().delivery(&Downstream::Unnamed),
            Delivery::Never
        );
    }

    #[test]
    fn a_call_that_ended_here_was_delivered_when_it_rang() {
        let mut records = call(1, "north", "east", 0).records();
        records.truncate(1);
        let a = collect(&records, &traced());
        assert_eq!(
            a.first().unwrap().delivery(&Downstream::Ourselves),
            Delivery::Delivered
        );
    }

    #[test]
    fn the_leg_to_the_downstream_sets_the_time() {
        let mut records = call(1, "north", "west", 0).refused().records();
        // Route advance: the same call goes to east ten seconds later.
        sample::advance(&mut records, 3, "east", 10);
        let attempts = collect(&records, &traced());
        let [a] = attempts.as_slice() else {
            panic!("{attempts:?}")
        };
        let east = Downstream::Neighbour(vec!["east".into()]);
        assert_eq!(a.reference(&east).map(|l| l.begin.uid), Some(3));
        assert_eq!(a.delivery(&east), Delivery::Delivered);
    }

    #[test]
    fn an_unverified_signature_gives_no_calling_number() {
        let mut records = call(1, "north", "east", 0).records();
        let other = Tn::from_canonical(b"12025550177").unwrap();
        records[0].begin.verdict.orig = Some(other);
        assert_eq!(collect(&records, &traced())[0].calling_as(other), None);
        records[0].begin.verdict.validation = crate::stir::verify::Validation::Passed;
        assert_eq!(
            collect(&records, &traced())[0].calling_as(other),
            Some(CallingAs::Signed)
        );
    }
}
