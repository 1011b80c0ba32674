//! The decision: which upstream, how sure, and whether that is sure enough. A pure function of its arguments.
//!
//! - `legs`: what the legs of one call say against it
//!
//! # Posterior
//!
//! The attempts stand against each other and against the null hypothesis h0, "the call is none of these". With S, the sum of
//! exp(total_h) over all attempts h, and c, the share of the main window that was seen ([`Sight::share`]):
//!
//! - π0 = 1 − max(c, ½)·(1 − ε) is the prior of h0: the call was not captured (1 − c), or was never here although the request
//!   says so, or carried another called number (ε, [`NOT_HERE`]). It is never below ε: full coverage proves that we saw what
//!   came by, not that the request is right. And no higher than about ½: c is that of the worst sensor, and a record that is
//!   there was seen.
//! - A call may be lost, and another attempt of the same caller to the same number stand in for it. Such a sibling fits nearly as well as
//!   the call itself, save that its time and its length are its own. S' is the sum of exp([`stand_in`](Scored::stand_in)): the same scores with a time that is
//!   even over the main window, and without what the answer and the identifiers of a single call add. Two such losses are reckoned with:
//!   what the ledger knows, s = (1 − c)·[`SIBLINGS`], of which how well the sibling fits must not argue against; and what it does not know, u = [`UNSEEN`]
//!   times the share of calls with such a sibling: [`TAKEN_ON_TWICE`] for an attempt that the downstream took on, [`SIBLINGS`] for any other. u goes with each attempt in S'.
//! - With Z = π0 + (1 − π0)·(S + u·S'): P(h) = (1 − π0)(1 − s)·exp(total_h) / Z and P(h0) = (π0 + (1 − π0)(u·S' + s·S)) / Z.
//!
//! Hence P(h0) ≥ s whatever the scores say: 2.5 % of the window unseen alone forbid an automatic answer. And a call far from the stated
//! time is not certain however alone it is: with times to the second the limit lies at about 36 s, and moves out where the length of the
//! call agrees, and in where it does not.
//!
//! # Not found
//!
//! "Not found" is a statement about the main window: no candidate through the whole ladder, and that window seen whole. The
//! other windows are searched as far as they were seen, and the answer lists how far that was: a call beyond a gap at a
//! wrongly told hour is why a person reads it first.
//!
//! # Gates
//!
//! P(u) adds up the attempts of one upstream; two records with the same upstream are not ambiguous. The answer is certain when no
//! [`Condition`] holds; only a certain one is automatic. One that lacks nothing but good evidence (E4: called number and time
//! alone) is named for a person to confirm. The strongest gate is (h): the upstream that is named must own an attempt that the
//! downstream took on, for a failed first attempt looks exactly like the call and has another upstream more often than not.

mod legs;

use std::cmp::Ordering;
use std::collections::HashMap;

use legs::{about_evidence, contradicts_answer, contradicts_passport, forwarded_here, passages};

use crate::base::Timestamp;
use crate::call::peer::{Peer, PeerKind, PeerTable};
use crate::call::record::Coverage;
use crate::traceback::answer::Resolution;
use crate::traceback::background::{Background, Unread};
use crate::traceback::candidate::{Attempt, CalledAs, Delivery, Downstream, Upstream};
use crate::traceback::condition::Condition;
use crate::traceback::coverage::Sight;
use crate::traceback::request::HopRequest;
use crate::traceback::score::{Calling, Identifier, Scored, score};
use crate::traceback::window::{CLOSE_S, NEAR_S, Rung, Window};
use crate::traceback::{Profile, TracebackSettings};

/// Share of requests whose call is not in the records although nothing was missed: sent to the wrong provider, or with a
/// called number that was rewritten beyond us. The prior of the synthetic model.
pub const NOT_HERE: f64 = 0.02;
/// Share of calls with another attempt of the same caller to the same number nearby: 15 % retries and 5 % redials in the
/// synthetic model.
pub const SIBLINGS: f64 = 0.20;
/// Share of calls near which the same downstream took on another one of the same caller: 5 % redials, four in five of them through the same
/// downstream, in the synthetic model. Retries don't count: they follow an attempt that nobody took on.
pub const TAKEN_ON_TWICE: f64 = 0.05 * 0.8;
/// Share of calls whose record is missing although the ledger knows of no loss. Ours: the largest at which a call half a minute off
/// can still be certain; see docs/ACCURACY.md, "Gates".
pub const UNSEEN: f64 = 0.005;
/// Least share that the prior of the null hypothesis reckons with: see above.
const LEAST_SEEN: f64 = 0.5;
/// Most that the null hypothesis may keep for a certain answer.
pub const MOST_NULL: f64 = 0.005;
/// A call of another upstream that the downstream took on is a rival if it is at least this likely, measured by the best.
/// Below what a clock that somebody set by hand leaves to any call of the same caller in the main window: see docs/ACCURACY.md, "Gates".
const RIVAL: f64 = 0.0001;
/// Answers by which a provider refuses a call that it could have passed on: unwanted, without a signature or with a bad one (RFC 8224,
/// 8197, 8688), declined. A 503 or 404 is a route that was not there, and an upstream tries another.
const REFUSALS: [u16; 9] = [403, 428, 433, 436, 437, 438, 603, 607, 608];
/// From this posterior on, a second upstream makes the case ambiguous.
pub const SECOND_UPSTREAM: f64 = 0.01;
/// Largest bound of a clock's error that is healthy, in nanoseconds.
pub const HEALTHY_CLOCK_NS: u32 = 1_000_000_000;
/// A called number is called often when chance alone puts this many other calls into the main window: one in ten requests
/// would meet a stranger.
const OFTEN: f64 = 0.1;

/// How good the evidence is, from one that names the call to one that is only near.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum EvidenceClass {
    /// Verified PASSporT equal, taken on by the downstream.
    E1,
    /// Call-ID or Session-ID equal, taken on by the downstream.
    E2,
    /// Called and calling number equal, within 5 s or the request's imprecision, one upstream.
    E3,
    /// Called number and time; calling number rewritten or absent; one upstream in the main window.
    E4,
    /// Anything else.
    E5,
}

/// Posterior of one upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Share<'a> {
    /// Who.
    pub upstream: Upstream<'a>,
    /// Its posterior.
    pub posterior: f64,
}

/// What the matcher decided, with everything that led to it.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    /// The answer.
    pub resolution: Resolution,
    /// Whether it may leave without a person.
    pub automatic: bool,
    /// Why it is not certain; empty for a certain one.
    pub conditions: Vec<Condition>,
    /// How good the evidence for the best upstream is.
    pub class: Option<EvidenceClass>,
    /// Index of the attempt that speaks for the best upstream.
    pub best: Option<usize>,
    /// Upstreams by falling posterior.
    pub shares: Vec<Share<'a>>,
    /// Posterior of the null hypothesis.
    pub null: f64,
    /// Of that: that the call was lost and another one of the same caller stands in for it.
    pub stand_in: f64,
    /// Prior of the null hypothesis.
    pub null_prior: f64,
    /// All attempts of the ladder, by falling posterior.
    pub scored: Vec<Scored<'a>>,
    /// The downstream as the table knows it.
    pub downstream: Downstream,
    /// How usual such a call is.
    pub background: Background,
    /// What was seen of the main window.
    pub sight: Sight,
}

/// What can be answered without looking anything up; `None` when the records must be asked.
///
/// `horizon` is the point before which everything has been deleted.
pub fn decide_unseen(
    request: &HopRequest,
    peers: &PeerTable,
    settings: &TracebackSettings,
    horizon: Timestamp,
) -> Option<Resolution> {
    if Downstream::find(request.downstream.as_ref(), peers, &settings.own_ids)
        == Downstream::Stranger
    {
        return Some(Resolution::NotOurCustomerOfDownstream);
    }
    (request.call.at < horizon).then_some(Resolution::OutOfRetention)
}

/// Decides. `candidates` are all attempts towards the called number that the ladder found, `coverage` the rows of the main
/// window and hours to both sides of it.
pub fn decide<'a>(
    request: &HopRequest,
    candidates: &[Attempt<'a>],
    background: &Background,
    coverage: &[Coverage],
    peers: &'a PeerTable,
    settings: &TracebackSettings,
) -> Decision<'a> {
    let call = &request.call;
    let main = Window::main(call.at, call.precision_s);
    let sight = Sight::over(coverage, main.from, main.until, &settings.sensors);
    let downstream = Downstream::find(request.downstream.as_ref(), peers, &settings.own_ids);
    let mut scored: Vec<Scored<'a>> = candidates
        .iter()
        .filter_map(|a| score(a, request, &downstream, background, settings))
        .filter(|s| s.rung != Rung::Far || names_the_call(s))
        .collect();
    let Null {
        prior: null_prior,
        posterior: null,
        stand_in,
    } = posteriors(&mut scored, sight.share);
    scored.sort_by(|a, b| {
        let by_time = || (a.leg.begin.at, a.leg.begin.uid).cmp(&(b.leg.begin.at, b.leg.begin.uid));
        b.posterior.total_cmp(&a.posterior).then_with(by_time)
    });
    let mut decision = Decision {
        resolution: Resolution::Ambiguous,
        automatic: false,
        conditions: Vec::new(),
        class: None,
        best: None,
        shares: shares(&scored, peers),
        null,
        stand_in,
        null_prior,
        scored,
        downstream,
        background: *background,
        sight,
    };
    decision.judge(request, &main, peers, settings);
    decision
}

fn names_the_call(s: &Scored<'_>) -> bool {
    [s.passport, s.call_id, s.session_id].contains(&Identifier::Equal)
}

/// The null hypothesis.
struct Null {
    prior: f64,
    posterior: f64,
    stand_in: f64,
}

/// Sets the posteriors and gives prior and posterior of the null hypothesis.
fn posteriors(scored: &mut [Scored<'_>], seen: f64) -> Null {
    let prior = 1.0 - seen.max(LEAST_SEEN) * (1.0 - NOT_HERE);
    let known = (1.0 - seen) * SIBLINGS;
    let unknown = |s: &Scored<'_>| match s.delivery {
        Delivery::Delivered | Delivery::Unseen => UNSEEN * TAKEN_ON_TWICE,
        _ => UNSEEN * SIBLINGS,
    };
    // Scaled by the largest score, so that nothing overflows: at most e^60 per identifier, but there may be thousands.
    let top = scored
        .iter()
        .flat_map(|s| [s.total, s.stand_in])
        .fold(0.0, f64::max);
    let scaled = |x: f64| (1.0 - prior) * (x - top).exp();
    let sum: f64 = scored.iter().map(|s| scaled(s.total)).sum();
    let stand_ins: f64 = scored.iter().map(|s| unknown(s) * scaled(s.stand_in)).sum();
    let null = prior * (-top).exp() + stand_ins;
    let all = null + sum;
    if all.partial_cmp(&0.0) != Some(Ordering::Greater) {
        return Null {
            prior,
            posterior: 1.0,
            stand_in: 0.0,
        };
    }
    for s in scored.iter_mut() {
        s.posterior = scaled(s.total) * (1.0 - known) / all;
    }
    Null {
        prior,
        posterior: (null + known * sum) / all,
        stand_in: (stand_ins + known * sum) / all,
    }
}

/// Adds up the posteriors by upstream; all that can't be told are one.
fn shares<'a>(scored: &[Scored<'a>], peers: &'a PeerTable) -> Vec<Share<'a>> {
    let mut shares: Vec<Share<'a>> = Vec::new();
    for s in scored {
        let upstream = s.attempt.upstream(peers);
        match shares
            .iter_mut()
            .find(|x| x.upstream.key() == upstream.key())
        {
            Some(share) => share.posterior += s.posterior,
            None => shares.push(Share {
                upstream,
                posterior: s.posterior,
            }),
        }
    }
    shares.sort_by(|a, b| b.posterior.total_cmp(&a.posterior));
    shares
}

impl<'a> Decision<'a> {
    /// The upstream with the highest posterior.
    pub fn upstream(&self) -> Option<Upstream<'a>> {
        self.shares.first().map(|s| s.upstream)
    }

    /// The neighbour that the answer names: in a certain answer, or in one that lacks nothing but a class of evidence better than
    /// E4 and that a person must confirm. `None` otherwise: no name leaves the house on a guess.
    pub fn named(&self) -> Option<&'a Peer> {
        match self.upstream() {
            Some(Upstream::Known(peer)) if self.stands() => Some(peer),
            _ => None,
        }
    }

    fn stands(&self) -> bool {
        self.conditions.is_empty()
            || (self.conditions == [Condition::WeakEvidence]
                && self.class == Some(EvidenceClass::E4))
    }

    /// The attempt that speaks for the best upstream.
    pub fn best(&self) -> Option<&Scored<'a>> {
        self.scored.get(self.best?)
    }

    fn judge(
        &mut self,
        request: &HopRequest,
        main: &Window,
        peers: &'a PeerTable,
        settings: &TracebackSettings,
    ) {
        let Some(upstream) = self.upstream() else {
            return self.judge_nothing();
        };
        let own = |s: &Scored<'_>| s.attempt.upstream(peers).key() == upstream.key();
        // The attempts are sorted: the first that the downstream took on in the main window, else the first of all.
        let delivered = self
            .scored
            .iter()
            .position(|s| own(s) && s.delivery == Delivery::Delivered && s.rung.is_main());
        self.best = delivered.or_else(|| self.scored.iter().position(own));
        let mut found = Vec::new();
        if let Some(best) = self.best() {
            let mut rivals = self.rivals(request, upstream, peers);
            let strict = settings.profile == Profile::Strict;
            rivals.likely |= strict && rivals.within_reach;
            let near = best.delta_s.abs() <= NEAR_S.max(request.call.precision_s);
            let class = self.class_of(best, &rivals, near || !strict);
            self.about_shares(&mut found, settings);
            about_evidence(&mut found, best, upstream, peers);
            self.about_request(&mut found, best, request, main);
            // "You handed it to us yourself": it went round, and of some passage a leg is missing.
            if let (Upstream::Known(peer), Downstream::Neighbour(ids)) =
                (upstream, &self.downstream)
                && ids.contains(&peer.id)
            {
                found.push(Condition::Loop);
            }
            self.about_others(&mut found, best, rivals.likely);
            if class > EvidenceClass::E3 && (strict || !self.is_alone(best, class, request, main)) {
                found.push(Condition::WeakEvidence);
            }
            self.class = Some(class);
        }
        found.sort_unstable();
        found.dedup();
        self.conditions = found;
        self.resolution = match upstream {
            Upstream::Known(_) if self.stands() && self.best().is_some_and(forwarded_here) => {
                Resolution::DivertedByOurSubscriber
            }
            Upstream::Known(peer) if self.stands() => resolution_of(peer),
            Upstream::Known(_) if self.blocked_here(&self.conditions) => Resolution::BlockedHere,
            // What little there is fits so badly, and so much was not seen, that the gap is the answer.
            _ if self.null >= 0.5 && !self.sight.is_whole() => Resolution::CaptureGap,
            _ => Resolution::Ambiguous,
        };
        self.automatic =
            self.conditions.is_empty() && settings.automatic.contains(&self.resolution);
    }

    /// Whether all that keeps the answer from being certain is that we refused the call ourselves and never passed it on. The downstream then
    /// says something that our records deny: a person's business, and nobody is named.
    fn blocked_here(&self, conditions: &[Condition]) -> bool {
        let only = |c: &Condition| matches!(c, Condition::NotDelivered | Condition::WeakEvidence);
        let refused = |s: &Scored<'_>| {
            let end = s.attempt.ingress.and_then(|l| l.end.as_ref());
            s.delivery == Delivery::Never && end.is_some_and(|e| REFUSALS.contains(&e.code))
        };
        conditions.iter().all(only) && self.best().is_some_and(refused)
    }

    /// Nothing came or went, and our own platform talked to itself about such a call: see [`is_internal`](crate::traceback::candidate::is_internal).
    pub fn stayed_inside(&mut self) {
        if self.resolution == Resolution::NotFound {
            self.resolution = Resolution::TestOrInternal;
        }
    }

    /// Whether the request names no caller and nothing but this call can be meant: a number that is seldom called, and no other upstream's call
    /// to it in the whole main window. Then called number and time say what a caller's number would.
    fn is_alone(
        &self,
        best: &Scored<'_>,
        class: EvidenceClass,
        request: &HopRequest,
        main: &Window,
    ) -> bool {
        class == EvidenceClass::E4
            && request.call.calling.is_none()
            && matches!(best.called, Some(CalledAs::RequestUri | CalledAs::To))
            && self.background.expected_in(main) < OFTEN
    }

    /// Nothing fits through the whole ladder.
    fn judge_nothing(&mut self) {
        if self.background.unread != Unread::Nothing {
            self.conditions.push(Condition::TooBusy);
        } else if self.sight.is_whole() {
            self.resolution = Resolution::NotFound;
        } else {
            self.conditions.push(Condition::CaptureGap);
            self.resolution = Resolution::CaptureGap;
        }
    }

    fn about_shares(&self, found: &mut Vec<Condition>, settings: &TracebackSettings) {
        let posterior = |i: usize| self.shares.get(i).map_or(0.0, |s| s.posterior);
        // A posterior or threshold that is no number is refused: comparisons with it don't hold.
        let likely = posterior(0) >= settings.threshold;
        if !likely {
            found.push(Condition::BelowThreshold);
        }
        if posterior(1) >= SECOND_UPSTREAM {
            found.push(Condition::SeveralUpstreams);
        }
        let captured = self.null <= MOST_NULL;
        if !captured {
            found.push(Condition::NullTooLikely);
        }
        if !self.sight.is_whole() {
            found.push(Condition::CaptureGap);
        }
        if self.background.unread == Unread::Main {
            found.push(Condition::TooBusy);
        }
    }

    fn about_request(
        &self,
        found: &mut Vec<Condition>,
        best: &Scored<'_>,
        request: &HopRequest,
        main: &Window,
    ) {
        match best.rung {
            Rung::Near | Rung::Close | Rung::Main => {}
            Rung::Wide | Rung::Far => found.push(Condition::OutsideWindow),
            Rung::Slip(_) => found.push(Condition::ZoneSlip),
        }
        if best.delivery != Delivery::Delivered {
            found.push(Condition::NotDelivered);
        }
        if best.calling == Calling::Differs && self.background.expected_in(main) >= OFTEN {
            found.push(Condition::CallingUnexplained);
        }
        if contradicts_passport(best, request) {
            found.push(Condition::ContradictsPassport);
        }
        if contradicts_answer(best, request, &self.downstream) {
            found.push(Condition::ContradictsAnswer);
        }
    }

    fn about_others(&self, found: &mut Vec<Condition>, best: &Scored<'_>, rivals: bool) {
        if best.delivery == Delivery::Delivered && rivals {
            found.push(Condition::TwoDelivered);
        }
        let in_main = || self.scored.iter().filter(|s| s.rung.is_main());
        let mut configs: HashMap<&str, u32> = HashMap::new();
        let changed = in_main().filter_map(|s| s.attempt.ingress).any(|l| {
            let first = configs.entry(&l.begin.sensor).or_insert(l.begin.config);
            *first != l.begin.config
        });
        if changed {
            found.push(Condition::MappingChanged);
        }
        if passages(best, in_main()) > 2 {
            found.push(Condition::Loop);
        }
    }

    /// Whether other upstreams own attempts that the downstream took on and that may be the call.
    fn rivals(&self, request: &HopRequest, upstream: Upstream<'_>, peers: &PeerTable) -> Rivals {
        let best = self.shares.first().map_or(0.0, |s| s.posterior);
        let taken_on =
            |s: &Scored<'_>| matches!(s.delivery, Delivery::Delivered | Delivery::Unseen);
        let others = || {
            self.scored
                .iter()
                .filter(|s| taken_on(s) && s.attempt.upstream(peers).key() != upstream.key())
        };
        let rivals = || others().filter(|s| s.rung.is_main());
        let reach = CLOSE_S + request.call.precision_s;
        Rivals {
            // A clock that somebody set by hand may be off by more than the main window.
            likely: others()
                .any(|s| (s.rung.is_main() || s.rung == Rung::Wide) && s.posterior >= RIVAL * best),
            within_reach: rivals()
                .any(|s| s.delta_s.abs() <= reach && s.calling != Calling::Differs),
            any: rivals()
                .any(|s| s.passport != Identifier::Differs && s.session_id != Identifier::Differs),
        }
    }

    fn class_of(&self, best: &Scored<'_>, rivals: &Rivals, near: bool) -> EvidenceClass {
        let delivered = best.delivery == Delivery::Delivered && best.rung.is_main();
        // The same PASSporT towards another number may be a replay.
        if !delivered || best.called.is_none() {
            EvidenceClass::E5
        } else if best.passport == Identifier::Equal && best.passport_verified {
            EvidenceClass::E1
        } else if [best.call_id, best.session_id].contains(&Identifier::Equal) {
            EvidenceClass::E2
        } else if matches!(best.calling, Calling::Equal(_))
            // A call that had been forwarded from the number is another call than one to the number.
            && matches!(best.called, Some(CalledAs::RequestUri | CalledAs::To))
            && near
            && !rivals.likely
        {
            EvidenceClass::E3
        } else if !rivals.any {
            EvidenceClass::E4
        } else {
            EvidenceClass::E5
        }
    }
}

struct Rivals {
    /// One that is likely enough to be reckoned with.
    likely: bool,
    /// One of the same caller within half a minute.
    within_reach: bool,
    /// Any in the main window that no identifier excludes.
    any: bool,
}

/// What a certain answer is called, by what the upstream is to us.
fn resolution_of(peer: &Peer) -> Resolution {
    match peer.kind {
        PeerKind::Provider => Resolution::UpstreamDomestic,
        PeerKind::Foreign => Resolution::UpstreamForeign,
        PeerKind::Customer if peer.platform => Resolution::OriginNonVspPlatform,
        PeerKind::Customer => Resolution::OriginEndCustomer,
        // Our own platform is never an upstream: `Attempt::upstream` resolves it to nobody.
        PeerKind::Own => Resolution::Ambiguous,
    }
}

#[cfg(test)]
mod tests;
