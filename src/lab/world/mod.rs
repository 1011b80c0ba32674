//! The world: hundreds of providers, each with its own probe, store and configuration; calls between them over four to ten hops; and the
//! requests that would trace them, whose right answers are known.
//!
//! In go [`WorldOptions`]; out comes a [`WorldReport`]. Every provider's legs go as SIP messages through the daemon's own judge and collector
//! ([`edge`]) into a store of its own, and every request as JSON through the daemon's own `responder::answer`. The shares and spreads that the
//! world is drawn from ([`profile`]) are not those that the matcher reckons with.
//!
//! ```text
//! network ─► demand ─► carry: legs ─► for each provider, two at a time: sightings ─► judge ─► collect ─► store ─► answer ◄─ ask
//! ```
//!
//! A run is several worlds, one after the other, so that memory is that of one (a kilobyte for each leg, and one store a thread); the same
//! seed gives the same figures. It refuses nothing: it reads nothing from outside.
//!
//! - [`chance`]: distributions · [`profile`]: shares and spreads
//! - [`network`]: who there is · [`demand`]: who calls whom · [`carry`]: how a call finds its way · [`leg`]: what one leg is
//! - [`sip`]: messages · [`edge`]: a provider's daemon, its records in `store::memory`
//! - [`ask`]: the questions · [`rules`]: simple rules beside the matcher
//! - [`tally`]: counts · [`report`]: tables
//! - [`export`]: stores and configurations on disk, to start daemons on

pub mod ask;
pub mod carry;
pub mod chance;
pub mod demand;
pub mod edge;
pub mod export;
pub mod leg;
pub mod network;
pub mod profile;
pub mod report;
pub mod rules;
pub mod sip;
pub mod tally;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::pki::{self, Signer};
use super::random::Random;
use super::{DEFAULT_BASE, LabError};
use crate::base::Timestamp;
use crate::number::NumberPlan;
use crate::responder::{self, Answered};
use crate::stir::credential::{Credential, Credentials, TrustStore, anchors_of_pem};
use crate::store::memory::Memory;
use crate::store::{Store, StoreError};
use crate::traceback::request::HopRequest;
use ask::{Asker, Passage, Question, Ruse};
use carry::{Carrier, Fate};
use demand::{Demand, Kind};
use edge::{Edge, Seen};
use network::{Network, SECOND};
use profile::{Figures, Profile};
use rules::Simple;
use tally::{Tally, Verdict};

pub use report::WorldReport;

/// Requests in one world at the most: with ten times as many calls around them a few hundred megabytes.
const WORLD: usize = 10_000;
/// Calls for each request: one call in nine is traced, over five to six hops.
const CALLS_PER_REQUEST: f64 = 2.0;
/// Hours of traffic.
const HOURS: i64 = 6;
/// Signers whose certificates there are; each signs for several providers.
const SIGNERS: usize = 40;
/// Wrong answers that are shown.
const SHOWN: usize = 20;

/// What to run.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// What everything random comes from.
    pub seed: u64,
    /// Providers in each world.
    pub providers: usize,
    /// Requests, in all worlds together, about.
    pub requests: usize,
    /// Which world.
    pub profile: Profile,
    /// Factor on the spread of clocks.
    pub skew: f64,
    /// Factor on redials.
    pub redials: f64,
    /// Threads.
    pub threads: usize,
    /// A request to be explained, by its number.
    pub explain: Option<usize>,
}

impl WorldOptions {
    /// As `tracehop lab network` has it.
    pub fn new(profile: Profile) -> Self {
        Self {
            seed: 1,
            providers: 400,
            requests: 60_000,
            profile,
            skew: 1.0,
            redials: 1.0,
            threads: 1,
            explain: None,
        }
    }
}

/// One case in words.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Case {
    /// Its number, for `--explain`.
    pub number: usize,
    /// The provider that was asked.
    pub provider: usize,
    /// The request.
    pub request: serde_json::Value,
    /// What was true; absent for a hostile one.
    pub truth: Option<ask::Truth>,
    /// What the hostile one tried.
    pub ruse: Option<Ruse>,
    /// What the matcher said.
    pub explanation: serde_json::Value,
}

/// Why a run ended.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A certificate could not be made, or a file not be written.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lab itself is wrong.
    #[error("the world is not as it should be: {0}")]
    Defect(String),
}

/// Trust, the same for every provider.
pub struct Trust {
    signers: Vec<Signer>,
    credentials: Arc<Credentials>,
    certificates: Vec<(String, Vec<u8>)>,
}

impl Trust {
    /// Makes keys and certificates.
    ///
    /// # Errors
    ///
    /// [`LabError`], when a certificate can't be made.
    pub fn new(seed: u64) -> Result<Self, LabError> {
        let pki = pki::Pki::new(seed, DEFAULT_BASE)?;
        let anchors = pki.files.get("anchors.pem").cloned().unwrap_or_default();
        let trust = TrustStore::new(anchors_of_pem(&anchors).0, None);
        let mut credentials = Credentials::default();
        let mut certificates = Vec::new();
        let crowd = pki::crowd(seed, DEFAULT_BASE, SIGNERS)?;
        let mut signers = Vec::new();
        for (signer, pem) in crowd {
            let credential = Credential::prepare(&pem, &trust);
            credentials.insert(&signer.url, Arc::new(credential));
            certificates.push((signer.url.clone(), pem));
            signers.push(signer);
        }
        certificates.push(("anchors.pem".to_owned(), anchors));
        Ok(Self {
            signers,
            credentials: Arc::new(credentials),
            certificates,
        })
    }
}

/// Everything of one world before anybody is asked.
pub struct World {
    /// Its figures.
    pub figures: Figures,
    /// Who there is.
    pub network: Network,
    /// The traffic's time, nanoseconds since 1970.
    pub span: (i64, i64),
    /// What was carried.
    pub carried: carry::Carried,
    /// What each provider saw of it.
    pub seen: Vec<Vec<Seen>>,
    /// Questions, by provider.
    pub questions: Vec<Vec<Question>>,
    /// Passages of each traced call, from the end to the origin.
    pub traces: Vec<Vec<Passage>>,
    /// Calls, redials included.
    pub calls: usize,
}

impl World {
    /// Makes a world with about so many requests. `first` is the number of its first request.
    pub fn new(
        options: &WorldOptions,
        trust: &Trust,
        seed: u64,
        requests: usize,
        first: usize,
    ) -> Self {
        let figures = options.profile.figures(options.skew, options.redials);
        let start = DEFAULT_BASE.nanos();
        let span = (start, start + HOURS * 3600 * SECOND);
        let network = Network::grow(seed, options.providers, span.1 - span.0, &figures);
        let demand = Demand::new(&network, &figures, seed, span);
        let mut carrier = Carrier::new(&network, &figures, &trust.signers, span, seed);
        let wanted = (requests as f64 * CALLS_PER_REQUEST) as usize;
        let (mut calls, mut eligible, mut refusals) = (0, Vec::new(), Vec::new());
        let mut n = 0;
        while calls < wanted {
            let mut rng = Random::new(seed.wrapping_add(n << 20), "call");
            n += 1;
            let before = carrier.carried.legs.len();
            for (kind, _, outcome) in demand.dial(&mut rng, &mut carrier) {
                calls += 1;
                if outcome.reached() {
                    eligible.push((kind, outcome));
                }
            }
            refused_before_it_got_there(&carrier.carried.legs, before, &mut refusals);
        }
        let carried = carrier.carried;
        let seen = edge::sightings(&network, &carried.legs, &figures, seed, span);
        let mut handed: FxHashMap<(usize, u64), Vec<(i64, usize)>> = FxHashMap::default();
        for leg in &carried.legs {
            if let (Some(from), Some(to)) = (leg.from.provider(), leg.to.provider()) {
                let got = handed.entry((from, leg.head.called)).or_default();
                got.push((leg.at(), to));
            }
        }
        let asker = Asker {
            net: &network,
            f: &figures,
            carried: &carried,
            demand: &demand,
            span,
            handed,
        };
        let mut rng = Random::new(seed, "questions");
        let (questions, traces) = question(&asker, &mut rng, eligible, &refusals, requests, first);
        Self {
            figures,
            network,
            span,
            carried,
            seen,
            questions,
            traces,
            calls,
        }
    }
}

/// Legs that a provider refused although the same call came to it by another one: pairs of both legs.
fn refused_before_it_got_there(legs: &[leg::Leg], from: usize, out: &mut Vec<(usize, usize)>) {
    let new = || legs.iter().enumerate().skip(from);
    // A branch that the caller's side gave up (487) was handed over all the same, and the receiver may ask about it.
    let is_refused = |l: &leg::Leg| {
        let code = |s: &(i64, leg::Step)| matches!(s.1, leg::Step::Final(400..=486 | 488..));
        l.from.provider().is_some() && !l.rang() && l.steps.iter().any(code)
    };
    for (refused, leg) in new().filter(|(_, l)| is_refused(l)) {
        let other = new().find(|(_, o)| {
            o.to == leg.to && o.from != leg.from && o.rang() && o.head.called == leg.head.called
        });
        let again = new().any(|(_, o)| o.to == leg.to && o.from == leg.from && o.rang());
        if let (Some((got, _)), false) = (other, again) {
            out.push((refused, got));
        }
    }
}

/// Picks calls and asks about each of their hops.
fn question(
    asker: &Asker<'_>,
    rng: &mut Random,
    eligible: Vec<(Kind, carry::Outcome)>,
    refusals: &[(usize, usize)],
    requests: usize,
    first: usize,
) -> (Vec<Vec<Question>>, Vec<Vec<Passage>>) {
    let mut questions = vec![Vec::new(); asker.net.providers.len()];
    let mut traces = Vec::new();
    let mut kinds: [Vec<carry::Outcome>; 2] = [Vec::new(), Vec::new()];
    for (kind, outcome) in eligible {
        // A missed call is traced less often than one that was answered.
        let answered = matches!(outcome.end, Fate::Answered(..));
        if answered || rng.chance(0.3) {
            kinds[usize::from(kind == Kind::TollFree)].push(outcome);
        }
    }
    for kind in &mut kinds {
        rng.shuffle(kind);
    }
    let mut number = first;
    while number < first + requests {
        let toll_free = usize::from(rng.chance(asker.f.toll_free_traced));
        let Some(outcome) = kinds[toll_free]
            .pop()
            .or_else(|| kinds[1 - toll_free].pop())
        else {
            break;
        };
        let passages = ask::passages(&outcome.chain, &asker.carried.legs, asker.net);
        let trace = traces.len();
        for (hop, p) in passages.iter().enumerate() {
            let mut own = Random::new(number as u64 ^ rng.bits(), "request");
            if own.chance(asker.f.hostile) {
                let ruse = *own.pick(&Ruse::ALL);
                if let Some(q) = asker.hostile(&mut own, ruse, p, refusals, number) {
                    number += 1;
                    questions[q.provider].push(q);
                }
            }
            questions[p.provider].push(asker.honest(&mut own, p, number, (trace, hop)));
            number += 1;
        }
        traces.push(passages);
    }
    (questions, traces)
}

/// What one provider's part came to.
#[derive(Default)]
struct Part {
    tally: Tally,
    cases: Vec<Case>,
    explained: Option<Case>,
    /// Trace and hop of those that were automatic and right.
    right: Vec<(usize, usize)>,
}

/// Runs everything. `tell` hears how far it is: requests answered.
///
/// # Errors
///
/// [`WorldError`]: none of them is expected.
pub fn run(
    options: &WorldOptions,
    tell: &(dyn Fn(usize) + Sync),
) -> Result<WorldReport, WorldError> {
    let begun = Instant::now();
    let trust = Trust::new(options.seed)?;
    let worlds = options.requests.div_ceil(WORLD).max(1);
    let mut report = WorldReport::new(options);
    let mut first = 0;
    for w in 0..worlds {
        let requests = options.requests.div_ceil(worlds);
        let seed = options.seed.wrapping_mul(1_000).wrapping_add(w as u64);
        let world = World::new(options, &trust, seed, requests, first);
        let asked: usize = world.questions.iter().map(Vec::len).sum();
        first += asked;
        report.take(ask_all(options, &trust, &world, tell)?);
    }
    report.seconds = begun.elapsed().as_secs_f64();
    Ok(report)
}

fn ask_all(
    options: &WorldOptions,
    trust: &Trust,
    world: &World,
    tell: &(dyn Fn(usize) + Sync),
) -> Result<(Tally, Vec<Case>, Option<Case>), WorldError> {
    let parts: Mutex<Vec<(usize, Part)>> = Mutex::new(Vec::new());
    let trouble: Mutex<Option<WorldError>> = Mutex::new(None);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let v = next.fetch_add(1, Ordering::Relaxed);
                    if v >= world.network.providers.len() {
                        return;
                    }
                    if world.questions[v].is_empty() {
                        continue;
                    }
                    match provider(options, trust, world, v) {
                        Ok(part) => {
                            tell(world.questions[v].len());
                            let mut parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
                            parts.push((v, part));
                        }
                        Err(e) => {
                            *trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
                            return;
                        }
                    }
                }
            });
        }
    });
    if let Some(e) = trouble.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(e);
    }
    let mut parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
    parts.sort_by_key(|(v, _)| *v);
    let mut tally = Tally {
        calls: world.calls as u64,
        ..Tally::default()
    };
    let (mut cases, mut explained) = (Vec::new(), None);
    let mut right: Vec<Vec<bool>> = world.traces.iter().map(|t| vec![false; t.len()]).collect();
    for (_, part) in parts {
        tally.add(&part.tally);
        cases.extend(part.cases);
        explained = explained.or(part.explained);
        for (trace, hop) in part.right {
            right[trace][hop] = true;
        }
    }
    for hops in right {
        let t = &mut tally.traces;
        t.traces += 1;
        t.hops += hops.len() as u64;
        t.hops_reached += hops.iter().take_while(|r| **r).count() as u64;
        t.to_origin += u64::from(hops.iter().all(|r| *r));
    }
    cases.truncate(SHOWN);
    Ok((tally, cases, explained))
}

/// One provider: its store is made, it is asked, and all of it is forgotten.
fn provider(
    options: &WorldOptions,
    trust: &Trust,
    world: &World,
    v: usize,
) -> Result<Part, WorldError> {
    let edge = Edge::new(&world.network, v, world.span).map_err(WorldError::Defect)?;
    let mut store = Memory::default();
    let seen = &world.seen[v];
    let (legs, identities) = (&world.carried.legs, &world.carried.identities);
    edge.run(seen, legs, identities, &trust.credentials, &mut store)?;
    for row in edge.ledger(&world.network, seen, world.span) {
        store.append_coverage(&row)?;
    }
    let mut part = Part::default();
    part.tally.records = store.len() as u64;
    part.tally.messages = seen.len() as u64;
    let settings = edge.traceback_settings();
    // Two days later, as most questions come.
    let now = Timestamp::from_nanos(world.span.1).plus(Duration::from_secs(2 * 86_400));
    let begun = Instant::now();
    for q in &world.questions[v] {
        let request = match HopRequest::parse(&q.octets, &NumberPlan::default()) {
            Ok(request) => request,
            Err(refused) => return Err(WorldError::Defect(refused.to_string())),
        };
        let answered = responder::answer(&request, &store, &edge.peers, &settings, now)?;
        let verdict = part.tally.count(q, &answered);
        if verdict == Verdict::Right {
            part.right.push(q.trace);
        }
        if verdict == Verdict::Wrong && part.cases.len() < SHOWN {
            part.cases.push(case(q, &answered));
        }
        if options.explain == Some(q.number) {
            part.explained = Some(case(q, &answered));
        }
        for rule in Simple::ALL {
            part.tally
                .count_simple(rule, q, &rule.ask(&request, &store)?);
        }
    }
    part.tally.asking_s = begun.elapsed().as_secs_f64();
    Ok(part)
}

fn case(q: &Question, a: &Answered) -> Case {
    Case {
        number: q.number,
        provider: q.provider,
        request: serde_json::from_slice(&q.octets).unwrap_or_default(),
        truth: q.truth.clone(),
        ruse: q.ruse,
        explanation: serde_json::to_value(&a.explanation).unwrap_or_default(),
    }
}
