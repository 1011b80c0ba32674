//! How well one attempt fits the request: natural log-likelihood ratios against a random other call to the same number
//! (Fellegi and Sunter 1969), one term per observation, every term kept.
//!
//! The constants are those of the matcher's specification; they were set by judgement and checked on synthetic calls, not
//! learnt from the field. Where one has another source, it says so.

use crate::call::record::{State, StoredCall};
use crate::stir::verify::Validation;
use crate::traceback::TracebackSettings;
use crate::traceback::background::Background;
use crate::traceback::candidate::{Attempt, CalledAs, CallingAs, Delivery, Downstream};
use crate::traceback::clock::{Clocks, uniform};
use crate::traceback::request::HopRequest;
use crate::traceback::window::{MAIN_S, Rung, WIDE_S};

/// Share of requests whose time is off by exactly one hour, either way: 1 % in the synthetic model, halved for each way.
const HOUR_SLIP: f64 = 0.005;
/// Share for each further zone slip. Ours: as many in all as one-hour slips, over twelve of them.
const ZONE_SLIP: f64 = 0.01 / 12.0;
/// Share of requests whose time is off by up to a quarter of an hour. Ours: a tenth of those within two minutes.
const WIDE_TIME: f64 = 0.001;
/// Share of requests whose time says nothing at all. Ours: as many; only an identifier finds such a call.
const LOST_TIME: f64 = 0.001;
/// Span over which a time that says nothing is spread, in seconds.
const LOST_SPAN_S: f64 = 2.0 * 24.0 * 3600.0;
/// Share of requests whose time is that of the answer: what many call records keep. Ours: one in a hundred.
const ANSWER_TIME: f64 = 0.01;
/// Chance that the true call shows the calling number that the request names.
const CALLING_KEPT: f64 = 0.96;
/// Weight of a calling number that differs.
const CALLING_DIFFERS: f64 = 0.012;
/// Weight of an equal PASSporT or Call-ID, as logarithm.
const SAME_TOKEN: f64 = 14.0;
/// Share of a caller's other calls that were taken on and bear the same PASSporT: a route that was tried again although it had been taken
/// on, or a fork. Ours: one in a hundred; whoever dials again gets a new one.
const COPIED_TOKEN: f64 = 0.01;
/// Weight of an equal Session-ID, as logarithm: some switches reuse them.
const SAME_SESSION: f64 = 11.0;
/// Most that an equal origid is worth, as logarithm.
const SAME_ORIGID_MOST: f64 = 12.0;
/// Weight of an identifier that contradicts, as logarithm.
const CONTRADICTS: f64 = -6.0;
/// Chance that a call went where the downstream says, and weight of one that went elsewhere.
const TO_DOWNSTREAM: (f64, f64) = (0.995, 0.005);
/// Weight of a call to a number that only ends like the one asked about. Ours: one such call in fifty is to the same subscriber, before its
/// calling number and time are looked at; it never reaches more than E4.
const SUFFIX: f64 = 0.02;
/// Weight of a call of which nobody saw what the downstream did with it. Ours: one in two hundred loses its way out ([`UNSEEN`]), a few
/// times as many meet a receiver that says nothing.
///
/// [`UNSEEN`]: crate::traceback::matching::UNSEEN
const UNSEEN_DELIVERY: f64 = 0.02;
/// Weights of a call that the downstream took on, refused, or never got.
const DELIVERED: (f64, f64, f64) = (0.98, 0.015, 0.005);
/// Share of calls that are answered, and their mean duration in seconds (synthetic model).
const ANSWERED: (f64, f64) = (0.35, 20.0);
/// Shares of durations that are told to the second, rounded up to a step of billing, or measured in some other way.
///
/// Ours; the specification has 0.95 within ±2 s. Bills are written to the second or in steps of six, and some count from
/// the INVITE.
const DURATION: (f64, f64, f64) = (0.70, 0.25, 0.05);
/// The step, in seconds, and how far two switches' measures of one call lie apart.
const BILLING: (f64, f64) = (6.0, 1.0);
/// Weight of a call said to be answered that was not, and of one said to be unanswered that was.
const ANSWER_CONTRADICTS: (f64, f64) = (0.01, 0.02);

/// What a term is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observation {
    /// Distance in time against the rate of calls.
    Time,
    /// Called number, where it differs.
    Called,
    /// Calling number.
    Calling,
    /// PASSporT digest.
    Passport,
    /// Call-ID.
    CallId,
    /// Session-ID.
    SessionId,
    /// origid.
    Origid,
    /// Neighbour to which it went.
    EgressPeer,
    /// What became of it.
    Delivery,
    /// Answered or not, and for how long.
    Answer,
}

impl Observation {
    /// Every observation, in the order of explanation.
    pub const ALL: [Self; 10] = [
        Self::Time,
        Self::Called,
        Self::Calling,
        Self::Passport,
        Self::CallId,
        Self::SessionId,
        Self::Origid,
        Self::EgressPeer,
        Self::Delivery,
        Self::Answer,
    ];

    /// Short name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Called => "called",
            Self::Calling => "calling",
            Self::Passport => "passport",
            Self::CallId => "call-id",
            Self::SessionId => "session-id",
            Self::Origid => "origid",
            Self::EgressPeer => "egress",
            Self::Delivery => "delivery",
            Self::Answer => "answer",
        }
    }
}

/// One term of the score.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Term {
    /// What it is about.
    pub about: Observation,
    /// Log-likelihood ratio.
    pub value: f64,
    /// What was observed.
    pub saw: &'static str,
}

/// How the calling number compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Calling {
    /// Equal to one of the call's.
    Equal(CallingAs),
    /// Different, but it is the number that forwarded the call.
    Forwarder,
    /// Different.
    Differs,
    /// The request or the call has none.
    Unknown,
}

/// How an identifier compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identifier {
    /// Equal.
    Equal,
    /// Different where it ought to be equal.
    Differs,
    /// The request or the call has none, or it may differ by right.
    Unknown,
}

/// An attempt with all that was observed about it.
#[derive(Clone, Debug)]
pub struct Scored<'a> {
    /// The attempt.
    pub attempt: Attempt<'a>,
    /// The leg whose time was compared.
    pub leg: &'a StoredCall,
    /// Seconds from the stated time to that leg.
    pub delta_s: f64,
    /// Where on the ladder it lies.
    pub rung: Rung,
    /// By which number it was a call to the number asked about.
    ///
    /// `None` for one that only an identifier names: a PASSporT can be replayed towards any number.
    pub called: Option<CalledAs>,
    /// How the calling number compares.
    pub calling: Calling,
    /// How the PASSporT compares.
    pub passport: Identifier,
    /// Whether the equal PASSporT was verified by us.
    pub passport_verified: bool,
    /// How the Call-ID compares. It may differ by right: every switch on the path may change it.
    pub call_id: Identifier,
    /// How the Session-ID compares.
    pub session_id: Identifier,
    /// How the origid compares.
    pub origid: Identifier,
    /// What became of it.
    pub delivery: Delivery,
    /// Terms, in the order of [`Observation::ALL`]; those that say nothing are left out.
    pub terms: Vec<Term>,
    /// Their sum.
    pub total: f64,
    /// The same sum if it is another attempt of the same caller, and the call itself was lost: its time and what became of it then say
    /// nothing, for a caller dials again whenever he likes.
    pub stand_in: f64,
    /// Posterior, once all attempts are known.
    pub posterior: f64,
}

/// Scores one attempt. `None` for one without a leg.
pub fn score<'a>(
    attempt: &Attempt<'a>,
    request: &HopRequest,
    downstream: &Downstream,
    background: &Background,
    settings: &TracebackSettings,
) -> Option<Scored<'a>> {
    let call = &request.call;
    let leg = attempt.reference(downstream)?;
    let delta_s = leg.begin.at.secs_since(call.at);
    let called = attempt.called_as(call.called);
    let calling = compare_calling(attempt, request);
    let delivery = attempt.delivery(downstream);
    let (passport, passport_verified) = compare_passport(attempt, request);
    let ids = &call.ids;
    let call_id = match compare(
        ids.call_id,
        attempt.legs().map(|l| Some(l.begin.ids.call_id)),
    ) {
        Identifier::Equal => Identifier::Equal,
        Identifier::Differs | Identifier::Unknown => Identifier::Unknown,
    };
    let session_id = compare(
        ids.session_id,
        attempt.legs().map(|l| l.begin.ids.session_id),
    );
    // Where there are several PASSporTs, the one that was kept need not be the one that the requester looked at.
    let origid = compare(
        ids.origid.as_ref(),
        attempt
            .legs()
            .filter(|l| l.begin.verdict.identities <= 1)
            .map(|l| l.begin.verdict.origid.as_ref()),
    );
    let mut terms = Terms(Vec::with_capacity(6));
    terms.time(
        delta_s - settings.clock_offset_s,
        call.precision_s,
        leg,
        settings.clock_peer_s,
        background,
    );
    if called.is_none() {
        terms.add(Observation::Called, CONTRADICTS, "another number");
    } else if called == Some(CalledAs::Suffix) {
        terms.add(Observation::Called, SUFFIX.ln(), "only its end");
    }
    terms.calling(calling, background);
    terms.identifier(Observation::Passport, passport, SAME_TOKEN);
    terms.identifier(Observation::CallId, call_id, SAME_TOKEN);
    terms.identifier(Observation::SessionId, session_id, SAME_SESSION);
    let rarity = (1.0 / background.origid_share).ln().min(SAME_ORIGID_MOST);
    terms.identifier(Observation::Origid, origid, rarity);
    terms.delivery(delivery, downstream, background);
    terms.answer(request, leg);
    let Terms(terms) = terms;
    let total: f64 = terms.iter().map(|t| t.value).sum();
    let rung = Rung::of(delta_s, call.precision_s);
    let stand_in = stand_in(&terms, total, rung, call.precision_s, background);
    Some(Scored {
        attempt: attempt.clone(),
        leg,
        delta_s,
        rung,
        called,
        calling,
        passport,
        passport_verified,
        call_id,
        session_id,
        origid,
        delivery,
        total,
        stand_in,
        terms,
        posterior: 0.0,
    })
}

/// How long after its INVITE a leg was answered, in seconds.
fn answered_after(leg: &StoredCall) -> Option<f64> {
    let end = leg.end.as_ref().filter(|e| e.state == State::Answered)?;
    Some(f64::from(end.final_ms?) / 1000.0)
}

fn stand_in(
    terms: &[Term],
    total: f64,
    rung: Rung,
    precision_s: f64,
    background: &Background,
) -> f64 {
    if !rung.is_main() {
        return f64::NEG_INFINITY;
    }
    let own = |t: &&Term| {
        matches!(
            t.about,
            Observation::Time | Observation::Answer | Observation::CallId | Observation::SessionId
        )
    };
    let told: f64 = terms.iter().filter(own).map(|t| t.value).sum();
    let anywhere = 1.0 / (2.0 * (MAIN_S + precision_s));
    let signed = terms
        .iter()
        .any(|t| t.about == Observation::Passport && t.value > 0.0);
    let copied = if signed { COPIED_TOKEN.ln() } else { 0.0 };
    total - told + copied + (anywhere / background.rate_per_s).ln()
}

fn compare_calling(attempt: &Attempt<'_>, request: &HopRequest) -> Calling {
    let Some(calling) = request.call.calling else {
        return Calling::Unknown;
    };
    let forwarded_by = |l: &StoredCall| l.begin.numbers.diverted_from == Some(calling);
    match attempt.calling_as(calling) {
        Some(how) => Calling::Equal(how),
        None if attempt.legs().any(forwarded_by) => Calling::Forwarder,
        None if attempt.shows_calling() => Calling::Differs,
        None => Calling::Unknown,
    }
}

fn compare_passport(attempt: &Attempt<'_>, request: &HopRequest) -> (Identifier, bool) {
    let Some(wanted) = request.call.ids.passport else {
        return (Identifier::Unknown, false);
    };
    let mut single = false;
    for leg in attempt.legs() {
        let v = &leg.begin.verdict;
        match v.passport {
            Some(p) if p == wanted => {
                return (Identifier::Equal, v.validation == Validation::Passed);
            }
            Some(_) if v.identities <= 1 => single = true,
            _ => {}
        }
    }
    let verdict = if single {
        Identifier::Differs
    } else {
        Identifier::Unknown
    };
    (verdict, false)
}

fn compare<T: PartialEq>(wanted: Option<T>, found: impl Iterator<Item = Option<T>>) -> Identifier {
    let Some(wanted) = wanted else {
        return Identifier::Unknown;
    };
    let mut verdict = Identifier::Unknown;
    for id in found.flatten() {
        if id == wanted {
            return Identifier::Equal;
        }
        verdict = Identifier::Differs;
    }
    verdict
}

struct Terms(Vec<Term>);

impl Terms {
    fn add(&mut self, about: Observation, value: f64, saw: &'static str) {
        self.0.push(Term { about, value, saw });
    }

    fn time(
        &mut self,
        delta_s: f64,
        precision_s: f64,
        leg: &StoredCall,
        clock_peer_s: f64,
        background: &Background,
    ) {
        let clocks = Clocks {
            own_s: f64::from(leg.begin.clock.error_ns) / 1e9,
            peer_s: clock_peer_s,
            precision_s,
        };
        let (density, saw) = match Rung::of(delta_s, precision_s) {
            Rung::Near | Rung::Close | Rung::Main => {
                let invite = clocks.density(delta_s, true);
                let density = match answered_after(leg) {
                    Some(s) => {
                        let answer = clocks.density(delta_s + s, true);
                        (1.0 - ANSWER_TIME) * invite + ANSWER_TIME * answer
                    }
                    None => invite,
                };
                (density, "within the main window")
            }
            Rung::Wide => (
                WIDE_TIME / (2.0 * (WIDE_S + precision_s)),
                "within a quarter of an hour",
            ),
            Rung::Slip(hours) => {
                let share = if hours.abs() == 1 {
                    HOUR_SLIP
                } else {
                    ZONE_SLIP
                };
                let d = delta_s - 3600.0 * f64::from(hours);
                (share * clocks.density(d, false), "off by whole hours")
            }
            Rung::Far => (LOST_TIME / LOST_SPAN_S, "elsewhere in time"),
        };
        self.add(
            Observation::Time,
            (density / background.rate_per_s).ln(),
            saw,
        );
    }

    fn calling(&mut self, calling: Calling, background: &Background) {
        let (value, saw) = match calling {
            Calling::Equal(_) => ((CALLING_KEPT / background.calling_share).ln(), "equal"),
            Calling::Forwarder => (CALLING_DIFFERS.ln(), "forwarder"),
            Calling::Differs => (CALLING_DIFFERS.ln(), "differs"),
            Calling::Unknown => return,
        };
        self.add(Observation::Calling, value, saw);
    }

    fn identifier(&mut self, about: Observation, id: Identifier, equal: f64) {
        match id {
            Identifier::Equal => self.add(about, equal, "equal"),
            Identifier::Differs => self.add(about, CONTRADICTS, "differs"),
            Identifier::Unknown => {}
        }
    }

    fn delivery(&mut self, delivery: Delivery, downstream: &Downstream, background: &Background) {
        if matches!(downstream, Downstream::Neighbour(_)) {
            match delivery {
                Delivery::Delivered | Delivery::Refused => {
                    let value = (TO_DOWNSTREAM.0 / background.downstream_share).ln();
                    self.add(Observation::EgressPeer, value, "went to the downstream");
                }
                Delivery::Elsewhere => {
                    self.add(
                        Observation::EgressPeer,
                        TO_DOWNSTREAM.1.ln(),
                        "went elsewhere",
                    );
                }
                Delivery::Unseen | Delivery::Never => {}
            }
        }
        match delivery {
            Delivery::Delivered => self.add(Observation::Delivery, DELIVERED.0.ln(), "taken on"),
            Delivery::Refused => self.add(Observation::Delivery, DELIVERED.1.ln(), "refused"),
            Delivery::Never => self.add(Observation::Delivery, DELIVERED.2.ln(), "never passed on"),
            Delivery::Unseen => {
                self.add(Observation::Delivery, UNSEEN_DELIVERY.ln(), "not seen");
            }
            // The other neighbour's answer says nothing about the one that was named; the term above has said it.
            Delivery::Elsewhere => {}
        }
    }

    fn answer(&mut self, request: &HopRequest, leg: &StoredCall) {
        let (Some(said), Some(end)) = (request.call.answered, &leg.end) else {
            return;
        };
        let was = match end.state {
            State::Answered => true,
            State::Failed | State::Cancelled | State::Redirected => false,
            State::Unfinished => return,
        };
        let lasted = end.duration_ms.map(|ms| f64::from(ms) / 1000.0);
        let (value, saw) = match (said, was) {
            (true, true) => match (request.call.duration_s, lasted) {
                (Some(said), Some(lasted)) => {
                    let usual = 1.0 / ANSWERED.1;
                    let d = said - lasted;
                    let (step, spread) = BILLING;
                    let density = DURATION.0 * uniform(d, 0.0, 1.0, spread)
                        + DURATION.1 * uniform(d, 0.0, step, spread)
                        + DURATION.2 * usual;
                    (
                        (density / (ANSWERED.0 * usual)).ln(),
                        "answered, duration compared",
                    )
                }
                _ => ((1.0 / ANSWERED.0).ln(), "answered"),
            },
            (true, false) => (ANSWER_CONTRADICTS.0.ln(), "was not answered"),
            (false, false) => ((1.0 / (1.0 - ANSWERED.0)).ln(), "not answered"),
            (false, true) => (ANSWER_CONTRADICTS.1.ln(), "was answered"),
        };
        self.add(Observation::Answer, value, saw);
    }
}
