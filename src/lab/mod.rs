//! Floor 6: the lab. Deterministic keys, signed traffic and a whole provider network, with known truth.
//!
//! [`generate`] writes a folder: configuration, neighbours, certificates, captures, what is true of every call, and traceback requests with
//! their right answers. The same seed gives the same octets, whatever the machine; no clock is read. [`bench_capture`] gives a plain
//! capture of INVITEs for measurements.
//!
//! ```text
//! OUT/tracehop.toml, peers.toml     configuration
//! OUT/numbering.csv, do-not-originate.txt, protected.txt
//! OUT/certs/                        CA list, revocation list, certificates by x5u
//! OUT/calls.pcap                    both legs of every call at our edge
//! OUT/truth.jsonl                   one line for each leg, in order of capture
//! OUT/requests/, truth-requests.jsonl
//! ```
//!
//! - [`random`]: numbers from a seed
//! - [`pki`]: certificates, CA list, revocation list
//! - [`kind`]: kinds of calls, and what a verifier must say
//! - [`passport`]: Identity headers
//! - [`network`]: the neighbours; [`lists`]: of numbers
//! - [`call`]: the calls
//! - [`carriers`]: ten carriers, their captures and configurations, for `demo --network`
//! - [`message`]: SIP messages as octets
//! - [`pcap`]: frames and files
//! - [`truth`], [`request`]: what is true
//! - [`check`]: any number of calls through the engine, held against their truth
//! - [`world`]: hundreds of providers, and requests that trace calls across them
//! - [`fuzz`]: what every parser must keep to, whatever it is fed

pub(crate) mod call;
pub mod carriers;
pub mod check;
// A broken promise is a panic: that is how a target says so.
#[allow(clippy::panic, clippy::expect_used)]
pub mod fuzz;
pub mod kind;
pub(crate) mod lists;
pub(crate) mod message;
pub mod network;
pub mod passport;
pub(crate) mod pcap;
pub mod pki;
pub mod random;
pub(crate) mod request;
pub(crate) mod truth;
pub mod world;

mod bench;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use bench::{SignedInvites, bench_capture, bench_dialogs, bench_invites, bench_load};
pub use pcap::encapsulation::Encapsulation;
pub use pcap::file::Resolution;

use crate::base::Timestamp;
use call::bridge::Bridge;
use call::dialog::{Loss, Sent};
use call::plan::{SECOND, Scope};
use pki::Pki;
use truth::{Side, SignedNumbers, Truth};

/// 2026-11-24T15:00:00Z, a Tuesday: when the capture begins unless told otherwise.
pub const DEFAULT_BASE: Timestamp = Timestamp::from_secs(1_795_532_400);

/// The fewest calls that hold every kind of trouble twice.
pub const FEWEST_CALLS: usize = 400;

/// What to make.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// Where to write.
    pub out: PathBuf,
    /// What everything random comes from.
    pub seed: u64,
    /// About how many calls; at least [`FEWEST_CALLS`].
    pub calls: usize,
    /// When the capture begins.
    pub base: Timestamp,
    /// Resolution of capture times.
    pub resolution: Resolution,
    /// Whether the tap loses a few fragments and cuts a few frames.
    pub lossy: bool,
    /// Into how many files the capture is cut, by time.
    pub parts: usize,
    /// What every frame is put into.
    pub encapsulation: Encapsulation,
    /// The largest IP packet on the link that carries the tunnel.
    pub outer_mtu: usize,
}

impl LabOptions {
    /// As a user would want it.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            seed: 1,
            calls: 3_000,
            base: DEFAULT_BASE,
            resolution: Resolution::default(),
            lossy: true,
            parts: 1,
            encapsulation: Encapsulation::None,
            outer_mtu: pcap::frame::MTU,
        }
    }
}

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct LabSummary {
    /// Call attempts.
    pub calls: usize,
    /// Legs, that is lines of truth.
    pub legs: usize,
    /// Frames in the captures.
    pub frames: usize,
    /// Messages that went as IP fragments.
    pub fragmented: usize,
    /// Kinds of trouble, by rule.
    pub troubles: usize,
    /// Traceback requests.
    pub requests: usize,
}

/// In words.
impl fmt::Display for LabSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} call attempts, seen on {} legs; {} frames, {} messages in IP fragments;\n\
             {} kinds of Identity trouble; {} traceback questions with their answers",
            self.calls, self.legs, self.frames, self.fragmented, self.troubles, self.requests
        )
    }
}

/// Makes everything and writes it to [`LabOptions::out`], over what was there.
///
/// # Errors
///
/// [`LabError`], when a file can't be written or a certificate can't be made.
pub fn generate(options: &LabOptions) -> Result<LabSummary, LabError> {
    let (files, summary) = build(options)?;
    for (name, content) in files {
        write(&options.out.join(name), &content)?;
    }
    Ok(summary)
}

/// Writes the credentials that belong to a seed under `out/certs`: for captures of [`bench_capture`].
///
/// # Errors
///
/// [`LabError`], as for [`generate`].
pub fn write_credentials(out: &Path, seed: u64) -> Result<(), LabError> {
    write_credentials_at(out, seed, DEFAULT_BASE)
}

/// The same for captures that begin at another time: of [`bench_load`].
///
/// # Errors
///
/// [`LabError`], as for [`generate`].
pub fn write_credentials_at(out: &Path, seed: u64, base: Timestamp) -> Result<(), LabError> {
    for (name, content) in Pki::new(seed, base)?.files {
        write(&out.join("certs").join(name), &content)?;
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> Result<(), LabError> {
    let io = |source| LabError::Io {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    std::fs::write(path, content).map_err(io)
}

/// Writes configuration and credentials alone: for [`check::check`].
///
/// # Errors
///
/// [`LabError`], as for [`generate`].
pub fn write_settings(out: &Path, seed: u64) -> Result<(), LabError> {
    for (name, content) in settings() {
        write(&out.join(name), &content)?;
    }
    write_credentials(out, seed)
}

/// The configuration.
fn settings() -> Files {
    vec![
        (
            "tracehop.toml".to_owned(),
            network::tracehop_toml().into_bytes(),
        ),
        ("peers.toml".to_owned(), network::peers_toml().into_bytes()),
        ("numbering.csv".to_owned(), lists::NUMBERING.into()),
        (
            "do-not-originate.txt".to_owned(),
            lists::DO_NOT_ORIGINATE.into(),
        ),
        ("protected.txt".to_owned(), lists::PROTECTED.into()),
    ]
}

/// Files by name.
type Files = Vec<(String, Vec<u8>)>;

/// Everything, without touching the disk.
fn build(options: &LabOptions) -> Result<(Files, LabSummary), LabError> {
    let calls = options.calls.max(FEWEST_CALLS);
    let start = options.base.nanos();
    // A quarter of an hour, so that windows around the traced calls in the middle lie within the capture; longer when there are many.
    let span = 900.max(i64::try_from(calls / 20).unwrap_or(i64::MAX)) * SECOND;
    let scope = Scope {
        start,
        span,
        run: start,
        calls,
        lossy: options.lossy,
    };
    let pki = Pki::new(options.seed, options.base)?;
    let plans = call::traffic::plan(scope, options.seed);
    let mut bridge = Bridge::new(&pki, options.seed, start, span);
    let before = plans.iter().filter(|p| p.at < start).count();
    for (i, plan) in plans.iter().enumerate() {
        bridge.play((i + 1).saturating_sub(before), plan);
    }
    bridge.noise(span);
    let (mut sent, mut truth) = (bridge.tape.sent, bridge.truth);
    sent.retain(|s| s.at >= start + 5_000_000 && s.at < start + span);
    let examples = examples(&sent, &truth);
    let mut laid = pcap::lay(sent, options.seed, options.resolution.tick(), start + span);
    for (leg, at) in &laid.complete {
        if let Some(t) = truth.get_mut(*leg) {
            t.at = *at;
        }
    }
    if options.encapsulation != Encapsulation::None {
        let frames = laid.frames.iter().zip(1u32..);
        let wrap =
            |(f, id)| pcap::encapsulation::wrap(f, options.encapsulation, id, options.outer_mtu);
        laid.frames = frames.flat_map(wrap).collect();
    }
    truth.iter_mut().for_each(|t| t.cut(start + span));
    truth.sort_by_key(|t| t.at);
    SignedNumbers::default().flag(truth.iter_mut());
    let cases = request::requests(
        &truth,
        options.base,
        Duration::from_nanos(span.unsigned_abs()),
    );

    let mut files = settings();
    files.extend(
        pki.files
            .iter()
            .map(|(name, content)| (format!("certs/{name}"), content.clone())),
    );
    let part = laid.frames.len().div_ceil(options.parts.max(1)).max(1);
    for (i, frames) in laid.frames.chunks(part).enumerate() {
        let name = if i == 0 {
            "calls.pcap".to_owned()
        } else {
            format!("calls-{}.pcap", i + 1)
        };
        files.push((name, pcap::file::render(frames, options.resolution)));
    }
    files.push((
        "truth.jsonl".to_owned(),
        lines(truth.iter().map(|t| t.line())),
    ));
    files.push((
        "truth-requests.jsonl".to_owned(),
        lines(cases.iter().map(|c| c.expected.clone())),
    ));
    files.extend(examples);
    for case in &cases {
        let text = serde_json::to_vec_pretty(&case.request).unwrap_or_default();
        files.push((format!("requests/{}.json", case.name), text));
    }
    let mut rules: Vec<_> = truth
        .iter()
        .flat_map(|t| t.verdict.rule.iter().chain(&t.verdict.findings))
        .collect();
    rules.sort_unstable();
    rules.dedup();
    let summary = LabSummary {
        calls: plans.len() - before,
        legs: truth.len(),
        frames: laid.frames.len(),
        fragmented: laid.fragmented,
        troubles: rules.len(),
        requests: cases.len(),
    };
    Ok((files, summary))
}

/// One whole INVITE of each kind, to look at and to give to `tracehop verify`, with its line of truth beside it.
fn examples(sent: &[Sent], truth: &[Truth]) -> Files {
    let mut out = BTreeMap::new();
    for s in sent.iter().filter(|s| s.loss == Loss::None) {
        let Some(t) = s.first_of.and_then(|leg| truth.get(leg)) else {
            continue;
        };
        if t.side == Side::Ingress {
            let what = t.defect.as_deref().unwrap_or(t.kind);
            let what = kebab(what);
            let of_second = || t.verdict.headers.get(1)?.1.filter(|_| t.defect.is_some());
            let decided = t.verdict.rule.or(t.verdict.findings.first().copied());
            let name = match decided.or_else(of_second) {
                Some(rule) => format!("{rule}-{what}"),
                None => what,
            };
            let line = t.line().to_string() + "\n";
            out.entry(name)
                .or_insert((s.bytes.clone(), line.into_bytes()));
        }
    }
    out.into_iter()
        .flat_map(|(name, (message, line))| {
            [
                (format!("messages/{name}.sip"), message),
                (format!("messages/{name}.json"), line),
            ]
        })
        .collect()
}

/// `Certificate(IssuerRevoked)` becomes `issuer-revoked`.
fn kebab(name: &str) -> String {
    let inner = name
        .strip_suffix(')')
        .and_then(|n| n.split_once('('))
        .map_or(name, |(_, inner)| inner);
    let mut out = String::new();
    for (i, c) in inner.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn lines(values: impl Iterator<Item = serde_json::Value>) -> Vec<u8> {
    values
        .flat_map(|v| (v.to_string() + "\n").into_bytes())
        .collect()
}

/// Why the lab could not be built.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A file could not be written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A certificate or list could not be made.
    #[error("certificate: {0}")]
    Certificate(String),
}

impl From<x509_cert::der::Error> for LabError {
    fn from(e: x509_cert::der::Error) -> Self {
        Self::Certificate(e.to_string())
    }
}

impl From<x509_cert::spki::Error> for LabError {
    fn from(e: x509_cert::spki::Error) -> Self {
        Self::Certificate(e.to_string())
    }
}

impl From<x509_cert::builder::Error> for LabError {
    fn from(e: x509_cert::builder::Error) -> Self {
        Self::Certificate(e.to_string())
    }
}

#[cfg(test)]
mod tests;
