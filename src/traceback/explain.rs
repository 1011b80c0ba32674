//! The decision for an engineer: one row for each attempt with each term of its score, so that a person can follow, and doubt, it.
//!
//! It stays in the house: unlike the answer it names every neighbour that was a candidate.

use std::fmt;
use std::sync::Arc;

use crate::base::Timestamp;
use crate::call::classify::flagging::evidence::{self, FlagEvidence};
use crate::call::peer::PeerTable;
use crate::call::record::StoredCall;
use crate::traceback::MATCHER_VERSION;
use crate::traceback::answer::{Resolution, round};
use crate::traceback::background::Background;
use crate::traceback::candidate::{Delivery, Pairing};
use crate::traceback::condition::Condition;
use crate::traceback::coverage::Sight;
use crate::traceback::matching::{Decision, EvidenceClass};
use crate::traceback::score::{Observation, Term};
use crate::traceback::window::Rung;
use crate::wire::Provenance;

/// Most rows that an explanation shows; the rest is counted. A person reads no more.
pub const ROWS: usize = 50;

/// Why the answer is what it is.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Explanation {
    /// The answer.
    pub resolution: Resolution,
    /// Whether it may leave without a person.
    pub automatic: bool,
    /// Version of the matcher.
    pub matcher_version: &'static str,
    /// Why it is not certain.
    pub conditions: Vec<Condition>,
    /// How good the evidence is.
    pub class: Option<EvidenceClass>,
    /// Attempts by falling posterior, at most [`ROWS`].
    pub rows: Vec<Row>,
    /// How many attempts there were.
    pub attempts: usize,
    /// Upstreams with their posteriors.
    pub upstreams: Vec<(String, f64)>,
    /// Prior and posterior of the null hypothesis.
    pub null: (f64, f64),
    /// Of the posterior: that the call was lost, and another one of the same caller is what was found.
    pub stand_in: f64,
    /// How usual such a call is; absent where nothing was looked up.
    pub background: Option<Background>,
    /// What was seen of the main window.
    pub sight: Option<Sight>,
    /// Remarks of the look-up.
    pub notes: Vec<String>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Row {
    /// uid of the ingress record, or of the egress record where there is no other.
    pub uid: u64,
    /// When.
    pub at: Timestamp,
    /// Where that record comes from. It changes no score; a person may weigh an agent's word otherwise.
    pub provenance: Provenance,
    /// Which sensors showed its records, each once: that of the ingress record first.
    pub seen_by: Vec<SeenBy>,
    /// Who handed it over; `?` where that can't be told.
    pub upstream: String,
    /// To whom it went.
    pub downstreams: Vec<String>,
    /// What tied the two together.
    pub pairing: Option<Pairing>,
    /// Number of the call that the attempt belongs to.
    pub call: usize,
    /// What became of it.
    pub delivery: Delivery,
    /// Seconds after the request's time.
    pub delta_s: f64,
    /// Where on the ladder.
    pub rung: Rung,
    /// Terms of its score.
    pub terms: Vec<Term>,
    /// Their sum.
    pub log_likelihood: f64,
    /// Its posterior.
    pub posterior: f64,
    /// Flags of the record, with what they rest on. They change no score.
    pub flags: Vec<FlagEvidence>,
}

/// A sensor that showed a record.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SeenBy {
    /// Its name: the agent's, where one mirrored it.
    pub sensor: Arc<str>,
    /// Where it has it from.
    pub provenance: Provenance,
}

impl fmt::Display for SeenBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.sensor, self.provenance.label())
    }
}

fn seen_by<'a>(legs: impl Iterator<Item = &'a StoredCall>) -> Vec<SeenBy> {
    let mut out = Vec::new();
    for leg in legs {
        let by = SeenBy {
            sensor: leg.begin.sensor.clone(),
            provenance: leg.begin.provenance,
        };
        if !out.contains(&by) {
            out.push(by);
        }
    }
    out
}

impl Explanation {
    /// Explains a decision.
    pub fn of(decision: &Decision<'_>, peers: &PeerTable, notes: Vec<String>) -> Self {
        let rows = decision.scored.iter().take(ROWS).map(|s| Row {
            uid: s
                .attempt
                .legs()
                .map(|l| l.begin.uid)
                .next()
                .unwrap_or_default(),
            at: s.leg.begin.at,
            provenance: s.leg.begin.provenance,
            flags: evidence::of_call(&s.leg.begin),
            seen_by: seen_by(s.attempt.legs()),
            upstream: s.attempt.upstream(peers).label().to_owned(),
            downstreams: s
                .attempt
                .egress
                .iter()
                .map(|e| e.leg.begin.peer.as_deref().unwrap_or("?").to_owned())
                .collect(),
            pairing: s.attempt.egress.iter().find_map(|e| e.pairing),
            call: s.attempt.call,
            delivery: s.delivery,
            delta_s: round(s.delta_s),
            rung: s.rung,
            terms: s.terms.clone(),
            log_likelihood: s.total,
            posterior: round(s.posterior),
        });
        Self {
            resolution: decision.resolution,
            automatic: decision.automatic,
            matcher_version: MATCHER_VERSION,
            conditions: decision.conditions.clone(),
            class: decision.class,
            rows: rows.collect(),
            attempts: decision.scored.len(),
            upstreams: decision
                .shares
                .iter()
                .map(|s| (s.upstream.label().to_owned(), round(s.posterior)))
                .collect(),
            null: (round(decision.null_prior), round(decision.null)),
            stand_in: round(decision.stand_in),
            background: Some(decision.background),
            sight: Some(decision.sight.clone()),
            notes,
        }
    }

    /// For a request that needed no look-up.
    pub fn unseen(resolution: Resolution, note: String) -> Self {
        Self {
            resolution,
            automatic: false,
            matcher_version: MATCHER_VERSION,
            conditions: Vec::new(),
            class: None,
            rows: Vec::new(),
            attempts: 0,
            upstreams: Vec::new(),
            null: (1.0, 1.0),
            stand_in: 0.0,
            background: None,
            sight: None,
            notes: vec![note],
        }
    }

    /// Observations that some row has a term for: the columns of a table.
    pub fn observations(&self) -> Vec<Observation> {
        Observation::ALL
            .into_iter()
            .filter(|o| self.rows.iter().any(|r| r.term(*o).is_some()))
            .collect()
    }

    /// Heads of the table's columns.
    pub fn head(&self) -> Vec<String> {
        let fixed = ["at", "upstream", "to", "seen by", "delivery", "Δt"].map(str::to_owned);
        let terms = self
            .observations()
            .into_iter()
            .map(|o| o.label().to_owned());
        let sums = ["ln L", "P"].map(str::to_owned);
        fixed.into_iter().chain(terms).chain(sums).collect()
    }

    /// The table: one row for each attempt, then the null hypothesis in its two parts.
    pub fn table(&self) -> Vec<Vec<String>> {
        let columns = self.observations();
        let mut table: Vec<Vec<String>> = self.rows.iter().map(|r| r.cells(&columns)).collect();
        let lost = self.null.1 - self.stand_in;
        for (what, score, p) in [
            ("not captured", "0.00", lost),
            ("lost, another found", "", self.stand_in),
        ] {
            let mut null = vec![String::new(); 6 + columns.len()];
            if let Some(cell) = null.get_mut(1) {
                *cell = what.to_owned();
            }
            null.push(score.to_owned());
            null.push(format!("{p:.4}"));
            table.push(null);
        }
        table
    }
}

impl Row {
    /// The term for an observation.
    pub fn term(&self, about: Observation) -> Option<&Term> {
        self.terms.iter().find(|t| t.about == about)
    }

    fn cells(&self, columns: &[Observation]) -> Vec<String> {
        let delivery = match self.delivery {
            Delivery::Delivered => "taken on",
            Delivery::Refused => "refused",
            Delivery::Unseen => "not seen",
            Delivery::Elsewhere => "elsewhere",
            Delivery::Never => "never passed on",
        };
        let seen_by: Vec<String> = self.seen_by.iter().map(SeenBy::to_string).collect();
        let mut cells = vec![
            self.at.to_string(),
            self.upstream.clone(),
            self.downstreams.join(", "),
            seen_by.join(", "),
            delivery.to_owned(),
            format!("{:+.2} s", self.delta_s),
        ];
        cells.extend(columns.iter().map(|o| {
            self.term(*o)
                .map(|t| format!("{:+.2}", t.value))
                .unwrap_or_default()
        }));
        cells.push(format!("{:+.2}", self.log_likelihood));
        cells.push(format!("{:.4}", self.posterior));
        cells
    }
}
