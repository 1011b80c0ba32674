//! The questions: for every hop of a traced call what its downstream would have asked, with that downstream's clock, zone and sloppiness; and
//! in the adversarial profile what a liar or a fisher asks instead.

use rustc_hash::FxHashMap;
use serde_json::{Map, Value, json};

use super::carry::Carried;
use super::chance;
use super::demand::Demand;
use super::edge::{peer_id, portal_id};
use super::leg::{End, Leg};
use super::network::{Network, SECOND};
use super::profile::Figures;
use super::sip;
use crate::base::Timestamp;
use crate::base::digest::Digest128;
use crate::lab::random::Random;
use crate::traceback::answer::Resolution;

/// What is true of the call that is asked about, at the provider that is asked.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Truth {
    /// Id of the neighbour that handed the call over.
    pub peer: String,
    /// What the answer must be called.
    pub resolution: Resolution,
}

/// How a hostile request is meant to get something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ruse {
    /// A neighbour asks about a call that we handed to another one.
    WrongDownstream,
    /// A neighbour that refused our attempt and got the call from somebody else says that it was ours.
    RefusedOurs,
    /// A neighbour says that a call of its own, at some other time, came from us, with numbers of a call that we did hand to it.
    OtherTime,
    /// A call that never was, between numbers that are often called.
    Invented,
    /// A number that is called all the time, no caller, any time.
    Fishing,
    /// A provider that is no neighbour of ours.
    Stranger,
    /// An honest request again, under another provider's name.
    Replayed,
}

impl Ruse {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::WrongDownstream,
        Self::RefusedOurs,
        Self::OtherTime,
        Self::Invented,
        Self::Fishing,
        Self::Stranger,
        Self::Replayed,
    ];

    /// Its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::WrongDownstream => "wrong-downstream",
            Self::RefusedOurs => "refused-ours",
            Self::OtherTime => "other-time",
            Self::Invented => "invented",
            Self::Fishing => "fishing",
            Self::Stranger => "stranger",
            Self::Replayed => "replayed",
        }
    }
}

/// One question.
#[derive(Clone, Debug)]
pub struct Question {
    /// Number within the world.
    pub number: usize,
    /// Who is asked.
    pub provider: usize,
    /// The request as it comes in.
    pub octets: Vec<u8>,
    /// What is true; `None` for a request that deserves no answer.
    pub truth: Option<Truth>,
    /// What a hostile one tries.
    pub ruse: Option<Ruse>,
    /// Of which traced call, and which hop counted from the end.
    pub trace: (usize, usize),
}

/// One provider's passage of a traced call.
#[derive(Clone, Copy, Debug)]
pub struct Passage {
    /// The provider.
    pub provider: usize,
    /// The leg that it came in by.
    pub came: usize,
    /// The leg that it went out by; `None` at the last provider.
    pub went: Option<usize>,
    /// Whether a subscriber sent it on there.
    pub diverted: bool,
}

/// Passages of a call from the last provider to the first, out of its chain of legs.
pub fn passages(chain: &[usize], legs: &[Leg], net: &Network) -> Vec<Passage> {
    let mut out: Vec<Passage> = Vec::new();
    let mut skip = false;
    for (i, place) in chain.iter().enumerate() {
        let leg = &legs[*place];
        let Some(v) = leg.to.provider() else {
            // Out to an exchange and back: the passage that began before goes on after it.
            skip = true;
            continue;
        };
        let went = chain.get(i + 1).copied();
        if skip {
            skip = false;
            if let Some(last) = out.last_mut() {
                (last.went, last.diverted) = (went, true);
            }
            continue;
        }
        let diverted = went.is_some_and(|w| {
            legs[w].head.diverted.is_some() && leg.head.diverted != legs[w].head.diverted
        });
        if !net.providers[v].foreign {
            out.push(Passage {
                provider: v,
                came: *place,
                went,
                diverted,
            });
        }
    }
    out.reverse();
    out
}

/// What is true of a passage.
pub fn truth(p: &Passage, legs: &[Leg], net: &Network) -> Truth {
    let from = legs[p.came].from;
    let resolution = match from {
        _ if p.diverted => Resolution::DivertedByOurSubscriber,
        End::Customer(..) => Resolution::OriginEndCustomer,
        End::Provider(n) if net.providers[n].foreign => Resolution::UpstreamForeign,
        End::Provider(_) => Resolution::UpstreamDomestic,
    };
    Truth {
        peer: peer_id(from),
        resolution,
    }
}

/// Asks.
pub struct Asker<'a> {
    /// The network.
    pub net: &'a Network,
    /// The world's figures.
    pub f: &'a Figures,
    /// Legs and tokens.
    pub carried: &'a Carried,
    /// Who calls whom.
    pub demand: &'a Demand<'a>,
    /// The traffic's time.
    pub span: (i64, i64),
    /// When which provider sent calls to a number to whom, whatever became of them.
    pub handed: FxHashMap<(usize, u64), Vec<(i64, usize)>>,
}

/// What a request will say, before it is written down.
struct Draft {
    called: u64,
    calling: Option<u64>,
    at: i64,
    /// Offset of the zone that the time is written in, in hours.
    zone: i64,
    minute: Option<Cut>,
    downstream: Option<usize>,
    answered: Option<(bool, Option<f64>)>,
    ids: Map<String, Value>,
}

#[derive(Clone, Copy)]
enum Cut {
    Down,
    Nearest,
}

impl Asker<'_> {
    /// The question of an honest downstream.
    pub fn honest(
        &self,
        rng: &mut Random,
        p: &Passage,
        number: usize,
        trace: (usize, usize),
    ) -> Question {
        let draft = self.draft(rng, p);
        Question {
            number,
            provider: p.provider,
            octets: self.write(rng, number, &draft),
            truth: Some(truth(p, &self.carried.legs, self.net)),
            ruse: None,
            trace,
        }
    }

    fn draft(&self, rng: &mut Random, p: &Passage) -> Draft {
        let f = self.f;
        // The last provider is asked about the leg that came in, by somebody whose time is its own.
        let leg = &self.carried.legs[p.went.unwrap_or(p.came)];
        let asker = leg.to.provider().unwrap_or(p.provider);
        let h = &leg.head;
        let mut at = leg.at() + leg.way;
        if let (true, Some(answer)) = (rng.chance(f.answer_time), leg.answered_at()) {
            at = answer;
        }
        // What a call record adds: queues and rounding.
        at += (chance::exponential(rng, 0.15) * SECOND as f64) as i64;
        at += (self.net.providers[asker].cdr_clock_s * SECOND as f64) as i64;
        if rng.chance(f.wrong_zone) {
            let hours = match rng.chance(0.5) {
                true => *rng.pick(&[-1, 1]),
                false => *rng.pick(&[-8, -7, -6, -5, -4, 4, 5, 6, 7, 8]),
            };
            at += hours * 3600 * SECOND;
        }
        let shown = h.from.or(h.asserted);
        let calling = match rng.chance(f.calling_missing) {
            true => None,
            // Who complains has seen no number of an anonymous caller; half of the providers look it up.
            false if h.from.is_none() && rng.chance(0.5) => None,
            false if rng.chance(f.calling_wrong) => Some(self.demand.any_number(rng)),
            // Some take the asserted number, where there is another.
            false if rng.chance(0.1) => h.asserted.or(shown),
            false => shown,
        };
        let mut downstream = Some(asker);
        if rng.chance(f.downstream_missing) {
            downstream = None;
        } else if rng.chance(f.downstream_wrong) {
            let all = &self.net.providers[p.provider].neighbours;
            downstream = Some(*rng.pick(all));
        }
        let answered = rng.chance(f.duration_known).then(|| {
            let lasted = leg.lasted().map(|ns| {
                let s = ns as f64 / SECOND as f64;
                // Billing rounds up to the second, or to six.
                if rng.chance(0.8) {
                    s.ceil()
                } else {
                    (s / 6.0).ceil() * 6.0
                }
            });
            (lasted.is_some(), lasted)
        });
        let mut ids = Map::new();
        if rng.chance(f.identifiers) {
            ids.insert("sip_call_id".to_owned(), json!(sip::call_id(leg)));
        }
        if let (true, Some(session)) = (rng.chance(f.identifiers), h.session) {
            ids.insert("session_id".to_owned(), json!(sip::session_id(session)));
        }
        let token = h.identity.and_then(|i| self.carried.identities.get(i));
        if let (true, Some(token)) = (rng.chance(f.identifiers), token) {
            match rng.chance(0.5) {
                true => ids.insert("identity".to_owned(), json!(token)),
                false => {
                    // Parameters behind the signature have dots as well.
                    let second = token.match_indices('.').nth(1);
                    let input = second.map_or("", |(i, _)| &token[..i]);
                    let digest = Digest128::of(input.as_bytes()).to_string();
                    ids.insert("identity_sha256".to_owned(), json!(digest))
                }
            };
        }
        let minute = rng.chance(f.minute).then(|| match rng.chance(0.7) {
            true => Cut::Down,
            false => Cut::Nearest,
        });
        Draft {
            called: h.called,
            calling,
            at,
            // Right, but not in UTC.
            zone: if rng.chance(0.1) {
                *rng.pick(&[-8, -6, -5])
            } else {
                0
            },
            minute,
            downstream,
            answered,
            ids,
        }
    }

    fn write(&self, rng: &mut Random, number: usize, d: &Draft) -> Vec<u8> {
        let minute = 60 * SECOND;
        let at = match d.minute {
            Some(Cut::Down) => d.at.div_euclid(minute) * minute,
            Some(Cut::Nearest) => (d.at + minute / 2).div_euclid(minute) * minute,
            None => d.at.div_euclid(SECOND) * SECOND,
        };
        let text = Timestamp::from_nanos(at + d.zone * 3600 * SECOND).to_string();
        let value = match d.zone {
            0 => text,
            z => text.replace('Z', &format!("-{:02}:00", -z)),
        };
        let mut time = Map::new();
        time.insert("value".to_owned(), json!(value));
        // Half of those who cut say so; else the seconds are nought.
        if d.minute.is_some() && rng.chance(0.5) {
            time.insert("precision_s".to_owned(), json!(60));
        }
        let style = |rng: &mut Random, n: u64| {
            let text = n.to_string();
            match rng.below(4) {
                0 => text,
                1 if text.starts_with('1') => text[1..].to_owned(),
                _ => format!("+{text}"),
            }
        };
        let mut call = d.ids.clone();
        call.insert("called".to_owned(), json!(style(rng, d.called)));
        match d.calling {
            // A foreign number is never written like one at home.
            Some(n) if n / 10_000_000_000 != 1 => {
                call.insert("calling".to_owned(), json!(format!("+{n}")));
            }
            Some(n) => {
                call.insert("calling".to_owned(), json!(style(rng, n)));
            }
            None => {}
        }
        call.insert("time".to_owned(), time.into());
        if let Some((answered, lasted)) = d.answered {
            call.insert("answered".to_owned(), json!(answered));
            if let Some(s) = lasted {
                call.insert("duration_s".to_owned(), json!(s));
            }
        }
        let mut request = json!({
            "id": format!("HR-{number}"),
            "case_id": format!("C-{number}"),
            "call": call,
        });
        if let Some(d) = d.downstream {
            request["downstream"] = json!({ "provider_ids": [portal_id(d)] });
        }
        request.to_string().into_bytes()
    }

    /// A request that wants what it should not get, made out of a passage of a real call. `None` where this ruse has no occasion there.
    pub fn hostile(
        &self,
        rng: &mut Random,
        ruse: Ruse,
        p: &Passage,
        refusals: &[(usize, usize)],
        number: usize,
    ) -> Option<Question> {
        let legs = &self.carried.legs;
        let mut provider = p.provider;
        let all = &self.net.providers[p.provider].neighbours;
        let mut d = self.draft(rng, p);
        d.minute = d.minute.filter(|_| rng.chance(0.3));
        d.ids.retain(|_, _| rng.chance(0.3));
        let right = legs[p.went?].to.provider();
        // Whoever got a call to the same number about then may ask for it.
        let got = |at: i64, within: i64, to: usize| {
            let handed = self
                .handed
                .get(&(p.provider, d.called))
                .into_iter()
                .flatten();
            handed
                .into_iter()
                .any(|(t, n)| *n == to && (t - at).abs() < within * SECOND)
        };
        let at = legs[p.came].at();
        let others: Vec<usize> = all
            .iter()
            .copied()
            .filter(|n| Some(*n) != right && !got(at, 900, *n))
            .collect();
        let other = |rng: &mut Random| (!others.is_empty()).then(|| *rng.pick(&others));
        match ruse {
            Ruse::WrongDownstream | Ruse::Replayed => {
                d.downstream = Some(other(rng)?);
                if ruse == Ruse::Replayed {
                    d.answered = None;
                }
            }
            Ruse::RefusedOurs => {
                // A leg that the receiver refused although the call reached it by another way.
                let (refused, by_other) = *refusals.get(rng.index(refusals.len().max(1)))?;
                let (refused, by_other) = (&legs[refused], &legs[by_other]);
                provider = refused.from.provider()?;
                let at = refused.to.provider()?;
                d.called = refused.head.called;
                d.calling = refused.head.from;
                d.at = by_other.at()
                    + by_other.way
                    + (self.net.providers[at].cdr_clock_s * SECOND as f64) as i64;
                d.downstream = Some(at);
                d.answered = Some((by_other.answered_at().is_some(), None));
                d.ids.clear();
            }
            Ruse::OtherTime => {
                let off = rng.between(400, 5_000) * SECOND;
                d.at += if rng.chance(0.5) { off } else { -off };
                d.ids.clear();
                if got(d.at, 300, right?) {
                    return None;
                }
                d.downstream = right;
            }
            Ruse::Invented => {
                d.called = self.demand.any_service(rng);
                d.calling = Some(self.demand.any_number(rng));
                d.at = rng.between(self.span.0, self.span.1);
                d.ids.clear();
                d.downstream = right;
            }
            Ruse::Fishing => {
                d.called = self.demand.any_service(rng);
                d.calling = None;
                d.at = rng.between(self.span.0, self.span.1);
                d.answered = None;
                d.ids.clear();
                d.downstream = Some(*rng.pick(all));
            }
            Ruse::Stranger => {
                let stranger = rng.index(self.net.providers.len());
                if all.contains(&stranger) || stranger == p.provider {
                    return None;
                }
                d.downstream = Some(stranger);
            }
        }
        if self.net.providers[provider].foreign {
            return None;
        }
        Some(Question {
            number,
            provider,
            octets: self.write(rng, number, &d),
            truth: None,
            ruse: Some(ruse),
            trace: (usize::MAX, 0),
        })
    }
}
