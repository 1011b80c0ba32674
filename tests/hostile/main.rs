//! Hostile and damaged input costs at most what it touches: no panic, no hang, no growth past the limits, every message accounted for,
//! and no call judged worse or better than it is because a part of it was not seen.

#[path = "../support/mod.rs"]
mod support;

mod capture;
mod command;
mod credential;
mod flood;
mod message;
mod neighbour;

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use support::{Lab, Recorder, settings, text, tracehop};
use tracehop::base::Timestamp;
use tracehop::base::digest::IdDigest;
use tracehop::call::attempt::{AttemptLimits, Facts};
use tracehop::call::record::{Begin, Direction};
use tracehop::capture::{CaptureFile, Ending, Merge};
use tracehop::daemon::pipeline::{self, PipelineSettings, Report};
use tracehop::engine::assemble::{AssembleLimits, Assembler, Frame};
use tracehop::engine::collect::{Collector, Output};
use tracehop::engine::judge::Judge;
use tracehop::fetch::directory;
use tracehop::lab;
use tracehop::stir::verify::{Rule, Validation};
use tracehop::store::Lookup;
use tracehop::store::embedded::{EmbeddedStore, StoreSettings};
use tracehop::wire::link::LinkType;
use tracehop::wire::sip::{self, HeaderName};
use tracehop::wire::{Flow, Message, Transport, Vlans};

/// A frame that owns its octets.
#[derive(Clone)]
struct Taken {
    at: Timestamp,
    link: LinkType,
    bytes: Vec<u8>,
    original_len: usize,
}

/// Every frame of the laboratory's captures.
fn frames(lab: &Lab) -> Vec<Taken> {
    let mut out = Vec::new();
    for path in lab.captures() {
        let mut file = CaptureFile::open(path).unwrap();
        while let Some(f) = file.next_frame().unwrap() {
            out.push(Taken {
                at: f.at,
                link: f.link,
                bytes: f.bytes.to_vec(),
                original_len: f.original_len,
            });
        }
    }
    out
}

/// Runs frames through the three stages, and holds the report against what must be true of every run.
fn run<'a>(
    settings: &PipelineSettings,
    frames: impl IntoIterator<Item = &'a Taken>,
) -> (Recorder, Report) {
    let mut store = Recorder::default();
    let mut frames = frames.into_iter();
    let report = pipeline::run(settings, &mut store, |assembler| {
        let Some(f) = frames.next() else { return false };
        assembler.handle_frame(Frame {
            at: f.at,
            link: f.link,
            sensor: 0,
            bytes: &f.bytes,
            original_len: f.original_len,
        });
        true
    })
    .unwrap();
    holds(&report, &store);
    (store, report)
}

fn holds(report: &Report, store: &Recorder) {
    assert_eq!(report.imbalances(), Vec::<String>::new());
    assert_eq!(report.collect.panicked, 0);
    assert_eq!(report.attempts.evicted, 0);
    assert_eq!(
        report.assemble.gauges().map(|(_, n)| n).sum::<u64>(),
        0,
        "all is given up at the end"
    );
    assert_eq!(report.begins, store.begins.len() as u64);
    assert!(store.begins.iter().zip(1..).all(|(b, uid)| b.uid == uid));
    let last = store.begins.len() as u64;
    assert!(store.ends.iter().all(|e| (1..=last).contains(&e.uid)));
}

/// SplitMix64: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// An INVITE as the laboratory sends it, with an Identity header that passes, and where and when it passed the tap.
fn signed_invite(lab: &Lab) -> Message {
    let mut assembler = Assembler::new(AssembleLimits::default());
    let begins = run(&settings(&lab.config, 1), &frames(lab)).0.begins;
    let good: Vec<_> = begins
        .iter()
        .filter(|b| b.verdict.validation == Validation::Passed && b.verdict.identities == 1)
        .map(|b| b.ids.call_id)
        .collect();
    for f in frames(lab) {
        assembler.handle_frame(Frame {
            at: f.at,
            link: f.link,
            sensor: 0,
            bytes: &f.bytes,
            original_len: f.original_len,
        });
        while let Some(m) = assembler.poll_message() {
            let is_wanted = sip::Message::scan(&m.bytes).is_ok_and(|sip| {
                let id = sip.headers.first(HeaderName::CallId).unwrap_or_default();
                sip.is_initial_invite() && good.contains(&IdDigest::of(id))
            });
            if m.cut.is_none() && is_wanted {
                return m;
            }
        }
    }
    panic!("the laboratory signs calls");
}

/// Head of an INVITE without its Identity header and blank line, the Identity value, and what stands behind the blank line.
fn taken_apart(bytes: &[u8]) -> (String, String, String) {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let is_identity = |l: &&str| l.starts_with("Identity:") || l.starts_with("y:");
    let identity = head
        .lines()
        .find(is_identity)
        .unwrap()
        .split_once(':')
        .unwrap()
        .1
        .trim();
    let rest: String = head
        .lines()
        .filter(|l| !is_identity(l))
        .map(|l| format!("{l}\r\n"))
        .collect();
    (rest, identity.to_owned(), body.to_owned())
}

/// Both outputs of a command.
fn said(out: &process::Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    )
}
