//! Ten carriers and the calls between them, for `tracehop demo --network`: what each carrier's probe saw as a capture, its configuration, and the truth.
//!
//! In go the time that the demonstration begins, and a folder. Out come, for each carrier, a folder that a daemon can be started on. It refuses nothing: it reads
//! nothing from outside. Names, numbers and addresses are fictitious (555-01xx, documentation networks).
//!
//! ```text
//! DIR/certs/                            the PKI of all
//! DIR/JUNIPER/tracehop.toml, peers.toml a carrier's configuration
//! DIR/JUNIPER/calls.pcap                what its probe saw of the last three hours
//! ```
//!
//! - [`plan`]: carriers, routes, calls, what a traceback must find
//! - [`sip`]: a call as messages

pub mod plan;
pub mod sip;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::LabError;
use super::network::Path as Lane;
use super::pcap::frame::{Frames, Way};
use super::pcap::{Frame, file};
use super::pki::{Pki, Signer};
use super::random::Random;
use crate::base::Timestamp;
use crate::wire::Transport;
use plan::{ABROAD, ALL, CARRIERS, Call, PREFIX, ROUTES, Source, Writing};
use sip::Passing;

/// How far back captures reach: enough that the hours around a call are known.
const BACK: Duration = Duration::from_secs(3 * 3600);
/// The youngest call: a daemon is sure of a call when it has looked for two minutes more ([`crate::traceback::window::MAIN_S`]).
const YOUNGEST: Duration = Duration::from_secs(5 * 60);
/// Captures end so long before the demonstration begins.
const ENDS: Duration = Duration::from_secs(20);
/// Calls on each route that nobody traces.
const OTHERS: usize = 6;
/// Between two messages that show that the wire is alive.
const ALIVE: Duration = Duration::from_secs(20);

/// What was made.
pub struct Made {
    /// Calls to trace, the oldest first.
    pub traced: Vec<Call>,
    /// Calls in all.
    pub calls: usize,
    /// SIP messages, each counted for every probe that saw it.
    pub messages: usize,
    /// Who signs.
    pub signers: Vec<Signer>,
}

/// Writes everything. `each` calls of every route are to be traced; `more` gives what else a carrier's configuration says.
///
/// # Errors
///
/// [`LabError`], when a certificate can't be made or a file not be written.
pub fn write(
    dir: &Path,
    now: Timestamp,
    each: usize,
    more: &dyn Fn(usize) -> String,
) -> Result<Made, LabError> {
    let pki = Pki::new(now.secs().unsigned_abs(), now)?;
    for (name, content) in &pki.files {
        put(&dir.join("certs").join(name), content)?;
    }
    let mut rng = Random::new(now.secs().unsigned_abs(), "ten carriers");
    let (traced, others) = calls(&mut rng, now, each);
    let mut seen: Vec<Vec<Passing>> = vec![Vec::new(); CARRIERS];
    for call in traced.iter().chain(&others) {
        for (carrier, passing) in sip::messages(call, &pki.signers) {
            if let Some(seen) = seen.get_mut(carrier) {
                seen.push(passing);
            }
        }
    }
    let mut messages = 0;
    for (n, mut seen) in seen.into_iter().enumerate() {
        seen.extend(alive(n, now));
        let end = now.minus(ENDS).nanos();
        seen.retain(|p| p.at < end);
        seen.sort_by_key(|p| p.at);
        messages += seen.len();
        let folder = dir.join(ALL[n].id);
        put(&folder.join("calls.pcap"), &capture(&seen))?;
        put(&folder.join("peers.toml"), peers(n).as_bytes())?;
        let config = config(n, &more(n));
        put(&folder.join("tracehop.toml"), config.as_bytes())?;
    }
    Ok(Made {
        calls: traced.len() + others.len(),
        traced,
        messages,
        signers: pki.signers,
    })
}

/// Calls that are traced and calls that are not, in order of time.
fn calls(rng: &mut Random, now: Timestamp, each: usize) -> (Vec<Call>, Vec<Call>) {
    let youngest = now.minus(YOUNGEST).nanos();
    let (mut traced, mut others) = (Vec::new(), Vec::new());
    for place in 0..ROUTES.len() {
        for n in 0..each {
            // Minutes apart, so that no call to the same number is near another.
            let before = 60 * (place + n * ROUTES.len()) as i64 * SECOND;
            let at = youngest - before - rng.between(0, 40_000) * SECOND / 1000;
            traced.extend(Call::new(place, n, at));
        }
        for n in 0..OTHERS {
            let at = youngest - rng.between(3_600, 9_000) * SECOND;
            others.extend(Call::new(place, n, at));
        }
    }
    traced.sort_by_key(|c| c.at);
    (traced, others)
}

const SECOND: i64 = 1_000_000_000;

/// Messages by which a switch asks whether its neighbour is there: a capture says from its first packet to its last that somebody looked.
fn alive(n: usize, now: Timestamp) -> Vec<Passing> {
    let other = (n + 1) % CARRIERS;
    let (here, there) = (plan::address(n), plan::address(other));
    let (first, last) = (now.minus(BACK).nanos(), now.minus(ENDS).nanos());
    let step = i64::try_from(ALIVE.as_nanos()).unwrap_or(i64::MAX);
    let mut out = Vec::new();
    let mut at = first;
    while at < last {
        let bytes = format!(
            "OPTIONS sip:{there}:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {here}:5060;branch=z9hG4bKalive{at}\r\nMax-Forwards: 1\r\n\
             From: <sip:switch@{here}>;tag=alive\r\nTo: <sip:switch@{there}>\r\nCall-ID: alive-{at}@sip.example\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        out.push(Passing {
            at,
            source: (here, 5060).into(),
            destination: (there, 5060).into(),
            bytes: bytes.into_bytes(),
        });
        at += step;
    }
    out
}

fn capture(seen: &[Passing]) -> Vec<u8> {
    let mut frames = Frames::default();
    let mut out = Vec::new();
    for passing in seen {
        let way = Way {
            path: Lane {
                theirs: passing.source,
                ours: passing.destination,
                transport: Transport::Udp,
                vlans: &[],
                mac: None,
            },
            to_us: true,
        };
        for (n, bytes) in (0i64..).zip(frames.datagram(&way, &passing.bytes)) {
            // What a gigabit link needs for a full frame.
            let at = passing.at + n * 12_300;
            let length = bytes.len();
            out.push(Frame { at, bytes, length });
        }
    }
    out.sort_by_key(|f| f.at);
    file::render(&out, file::Resolution::Nanoseconds)
}

fn config(n: usize, more: &str) -> String {
    format!(
        "# {}, one of the ten carriers of `tracehop demo --network`.\n[provider]\nname = \"{}\"\nportal_id = \"{}\"\n{}\
         [run]\njudges = 1\n[sensor]\nname = \"edge\"\n[peers]\nfile = \"peers.toml\"\n\
         [credentials]\ndirectory = \"../certs/x5u\"\nca_list = \"../certs/ca-list.jws\"\nsti_pa_root = \"../certs/sti-pa-root.pem\"\n\
         ca_list_signer = \"../certs/ca-list-signer.pem\"\ncrl = \"../certs/crl.der\"\ncrl_signer = \"../certs/crl-signer.pem\"\n\
         [store]\npath = \"state/store\"\n{more}",
        ALL[n].name,
        ALL[n].name,
        ALL[n].id,
        // So that a number of its own that comes in from outside is flagged.
        if n == plan::ASHGROVE {
            "own_numbers = [\"1202555\"]\n"
        } else {
            ""
        },
    )
}

fn peers(n: usize) -> String {
    let mut out = String::new();
    let mut peer = |id: &str, name: &str, kind: &str, more: &str| {
        let _ = write!(
            out,
            "[[peer]]\nid = \"{id}\"\nname = \"{name}\"\nkind = \"{kind}\"\n{more}\n"
        );
    };
    let others = || (0..CARRIERS).filter(move |o| *o != n);
    let short = |o: usize| ALL[o].id.to_ascii_lowercase();
    peer("own", ALL[n].name, "own", "");
    for o in others() {
        let more = format!("country = \"US\"\nportal_id = \"{}\"\n", ALL[o].id);
        peer(&short(o), ALL[o].name, "provider", &more);
    }
    peer("caller", "Example Dialling Services", "customer", "");
    peer("subscribers", "Subscribers", "customer", "");
    let overseas = ROUTES
        .iter()
        .any(|r| r.source == Source::Abroad && r.path.first() == Some(&n));
    if overseas {
        peer(
            "overseas",
            "Overseas Carrier Ltd",
            "foreign",
            "country = \"GB\"\n",
        );
    }
    let mut rule = |name: &str, peer: &str, address: std::net::Ipv4Addr, more: &str| {
        let _ = write!(
            out,
            "[[rule]]\nname = \"{name}\"\npeer = \"{peer}\"\nnetworks = [\"{address}/32\"]\n{more}\n"
        );
    };
    rule("own", "own", plan::address(n), "");
    for o in others() {
        let (peer, address) = (short(o), plan::address(o));
        if [n, o].iter().any(|c| ALL[*c].writing == Writing::Prefixed) {
            let more = format!("tech_prefix = \"{PREFIX}\"\n");
            rule(&format!("{peer}-product"), &peer, address, &more);
        }
        rule(&peer, &peer, address, "");
    }
    rule("caller", "caller", plan::customer(n), "");
    rule("subscribers", "subscribers", plan::phone(n), "");
    if overseas {
        rule("overseas", "overseas", ABROAD, "");
    }
    out
}

fn put(path: &Path, content: &[u8]) -> Result<(), LabError> {
    let io = |source| LabError::Io {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io)?;
    }
    fs::write(path, content).map_err(io)
}
