//! Findings as a whole: events in, and what comes out at real files and a real HTTP server.

mod files;
mod schema;
mod webhooks;

use std::time::{Duration, Instant};

use super::counters::{Outcome, SinkCounts};
use super::render::{Rendered, Renderer};
use super::*;
use crate::base::Timestamp;
use crate::call::classify::Flag;
use crate::call::classify::campaign::{Campaign, CampaignState, Key};
use crate::call::classify::finding::{Change, Example, Finding, Subject, Term};
use crate::call::record::Begin;
use crate::store::embedded::tests::made::{begin, full_begin};

pub(super) fn renderer(masking: Masking) -> Renderer {
    Renderer {
        host: "edge-1.example.net".into(),
        masking,
    }
}

/// A flagged call from carrier-a, as text.
pub(super) fn rendered(uid: u64) -> Rendered {
    let event = Event::Call(Arc::new(full_begin(uid)));
    renderer(Masking::Full).render(&event).unwrap()
}

fn flagged(uid: u64) -> Box<Begin> {
    let mut b = begin(uid);
    b.flags.insert(Flag::Stale);
    Box::new(b)
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn finding() -> Finding {
    Finding {
        id: "42-high-volume-calling-number".into(),
        kind: Flag::HighVolume,
        change: Change::Opened,
        peer: Some("carrier-a".into()),
        subject: Subject::CallingNumber("12025550199".into()),
        since: at("2026-11-24T13:00:00Z"),
        at: at("2026-11-24T13:05:00Z"),
        calls: 311,
        score: 0.75,
        terms: vec![Term {
            name: "calls in ten minutes".into(),
            value: 311.0,
            threshold: 300.0,
            weight: 0.75,
            met: true,
        }],
        examples: vec![Example {
            uid: 42,
            at: at("2026-11-24T13:00:00Z"),
        }],
    }
}

fn campaign() -> Campaign {
    Campaign {
        id: "42-calling-number".into(),
        peer: Some("carrier-a".into()),
        key: Key::CallingNumber("12025550199".into()),
        first: at("2026-11-24T13:00:00Z"),
        last: at("2026-11-24T13:09:30Z"),
        volume: 812,
        flags: vec![(Flag::Unsigned, 800), (Flag::HighVolume, 512)],
        signers: vec!["1234".into()],
        examples: vec![Example {
            uid: 42,
            at: at("2026-11-24T13:00:00Z"),
        }],
        state: CampaignState::Open,
    }
}

fn sink(name: &str, way: Way) -> SinkSettings {
    SinkSettings {
        name: name.into(),
        filter: Filter::default(),
        masking: Masking::Full,
        queue: 1_000,
        way,
    }
}

fn settings(sinks: Vec<SinkSettings>) -> FindingsSettings {
    FindingsSettings {
        host: Some("edge-1.example.net".into()),
        sinks,
    }
}

fn file_way(path: &std::path::Path, octets: u64, keep: u32) -> Way {
    Way::File(FileSettings {
        path: path.to_owned(),
        octets,
        keep,
    })
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn counts(view: &FindingsView, name: &str) -> SinkCounts {
    let sinks = view.sinks();
    sinks.into_iter().find(|s| *s.name == *name).unwrap()
}

/// Waits until it holds, ten seconds at most.
fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let until = soon();
    while !holds() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn adds_up(c: &SinkCounts) {
    let sum: u64 = c.outcomes.iter().map(|(_, _, n)| n).sum();
    assert_eq!(c.told, sum, "each event has one outcome: {c:?}");
}
