//! The whole page, full and empty.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::family::{ALL, Kind};
use super::snapshot::{Configured, Interface, Queue, Responder, Stage, Stored, Trust};
use super::*;
use crate::base::Timestamp;
use crate::call::classify::Flag;
use crate::call::record::ClockState;
use crate::capture::live::LiveCounters;
use crate::engine::collect::{DirectionKey, Tally};
use crate::engine::shed::ShedCounters;
use crate::fetch::FetchReport;
use crate::findings::EventKind;
use crate::findings::counters::{Outcome, SinkCounts};
use crate::host::process::Process;
use crate::responder::api::ApiCounters;
use crate::responder::api::refusal::Refusal;
use crate::responder::case::RequestState;
use crate::responder::desk::{Figures, Pressing};
use crate::responder::service::view::Lookups;
use crate::stir::verify::{Attestation, Rule};
use crate::store::embedded::SpaceReport;
use crate::web::WebCounters;

/// A snapshot in which every part is there.
pub(crate) fn full() -> Snapshot {
    let mut tally = Tally::default();
    tally.attempts = 3;
    tally.spoofed = 2;
    tally.validations = [1, 2, 0, 0];
    tally.flags = vec![1];
    tally.verdicts.insert((None, None), 1);
    let failed = (Some(Attestation::A), Some(Rule::ALL[0]));
    tally.verdicts.insert(failed, 2);
    let at = Some(Timestamp::from_secs(1_795_512_600));
    Snapshot {
        findings: vec![SinkCounts {
            name: "file-1".into(),
            told: 1,
            outcomes: vec![(EventKind::Call, Outcome::Delivered, 1)],
            retries: 0,
            panics: 0,
            works: true,
            waiting: 0,
            capacity: 10,
        }],
        stages: Report {
            tallies: [((DirectionKey::Ingress, None), tally)].into(),
            fetch: Some(FetchReport::default()),
            findings_open: [((Flag::Flood, None), 1)].into(),
            campaigns_open: [(None, 2)].into(),
            campaign_calls: [(None, 3)].into(),
            ..Report::default()
        },
        interfaces: vec![Interface {
            sensor: "edge".into(),
            name: "eth\"0\n".into(),
            up: true,
            packets: u64::MAX,
            drops: 2,
            freezes: 3,
            others: vec![("reopened", 4)],
            states: vec![("fallback", 1)],
        }],
        mirror: (vec![("packets_in", 1)], vec![("splits_open", 1)]),
        agents: vec![
            (Some("sbc1".into()), vec![("taken", 5)]),
            (None, vec![("taken", 6)]),
        ],
        sequence: (7, 8),
        duplicates: vec![("wire_and_hep", 9)],
        shed: ShedCounters::default().iter().collect(),
        queues: vec![Queue {
            name: "judge",
            depth: 1,
            capacity: 64,
        }],
        threads: vec![Stage {
            name: "collect",
            panics: 1,
            rebuilds: 1,
            beat: Some(Duration::from_millis(1500)),
        }],
        trust: Some(Trust {
            ca_list_ends: at,
            crl_ends: at,
            loaded: at,
            ..Trust::default()
        }),
        store: Some(Stored {
            bytes: Some(1),
            space: Some(SpaceReport::default()),
            committed: at,
            lag: Some(Duration::ZERO),
            ..Stored::default()
        }),
        responder: Some(Responder {
            figures: Figures {
                requests: vec![("portal".into(), RequestState::Review, 2)],
                outbox: vec![("portal".into(), 1)],
                pressing: vec![Pressing {
                    portal: "portal".into(),
                    near: vec![(75, 1)],
                    due: at,
                }],
                oldest: at,
                tallies: vec![("portal".into(), "delivered:taken".into(), 3)],
                ..Figures::default()
            },
            at: at.map(|t| t.plus(Duration::from_secs(90))),
            portals: vec![("portal".into(), true)],
            lookups: Lookups {
                buckets: vec![(5, 1), (1_000, 2)],
                count: 3,
                ..Lookups::default()
            },
            panics: 0,
        }),
        api: Some(ApiCounters {
            refused: vec![(Refusal::ALL[0], 1)],
            ..ApiCounters::default()
        }),
        clock: (
            Some(ClockState {
                synchronised: true,
                offset_ns: -1_500_000,
                error_ns: 2_000_000,
            }),
            1,
        ),
        sensors: vec![("edge".into(), Timestamp::from_secs(1))],
        coverage_late: 1,
        web: Some(WebCounters::default()),
        config: Some(Configured {
            version: 0xabc,
            ..Configured::default()
        }),
        neighbours: vec!["north".into()],
        process: Some(Process {
            started: at,
            cpu: Some(Duration::from_millis(10)),
            resident_bytes: Some(1),
            open_fds: Some(2),
            max_fds: Some(3),
            threads: Some(4),
        }),
    }
}

fn shown(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter_map(|l| l.strip_prefix("# TYPE "));
    lines.filter_map(|l| l.split(' ').next()).collect()
}

#[test]
fn every_family_is_shown_with_its_type_and_nothing_was_put_wrongly() {
    let snapshot = full();
    let mut page = Page::new();
    stages::put(&mut page, &snapshot.stages);
    live::put(&mut page, &snapshot);
    assert_eq!(page.wrong(), [] as [String; 0]);
    let text = page.text();
    assert_eq!(text, render_snapshot(&snapshot));
    let missing: Vec<_> = ALL
        .iter()
        .map(|f| f.name)
        .filter(|name| !shown(&text).contains(name))
        .collect();
    assert_eq!(missing, [] as [&str; 0]);
    for f in ALL {
        let kind = match f.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let kind = format!("# TYPE {} {kind}\n", f.name);
        assert!(text.contains(&kind), "{kind}");
    }
    for line in [
        r#"tracehop_capture_drops_total{interface="eth\"0\n",sensor="edge"} 2"#,
        r#"tracehop_hep_agent_total{agent="unknown",outcome="taken"} 6"#,
        r#"tracehop_verdicts_total{attest="none",direction="ingress",peer="unknown",reason="none"} 1"#,
        r#"tracehop_stage_beat_age_seconds{stage="collect"} 1.5"#,
        r#"tracehop_responder_requests{portal="portal",state="review"} 2"#,
        r#"tracehop_responder_near_deadline{percent="75",portal="portal"} 1"#,
        r#"tracehop_responder_near_deadline{percent="90",portal="portal"} 0"#,
        r#"tracehop_calls_total{direction="ingress",peer="north",validation="failed"} 0"#,
        r#"tracehop_spoofed_calls_total{direction="ingress",peer="unknown"} 2"#,
        r#"tracehop_findings_open{kind="protected-flood",peer="none"} 0"#,
        r#"tracehop_responder_outbox_oldest_age_seconds 90"#,
        r#"tracehop_responder_lookups_total{within="0.005"} 1"#,
        r#"tracehop_responder_lookups_total{within="any"} 3"#,
        r#"tracehop_clock_offset_seconds -0.0015"#,
        r#"tracehop_config_info{version="00000abc"} 1"#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
}

#[test]
fn a_replay_shows_nothing_that_only_a_daemon_has() {
    let text = render(&Report::default());
    let names = shown(&text);
    assert!(names.contains("tracehop_messages_total"));
    for name in [
        "tracehop_queue_depth",
        "process_open_fds",
        "tracehop_shed_total",
    ] {
        assert!(!names.contains(name), "{name}");
    }
    render_snapshot(&Snapshot::default());
}

#[test]
fn an_interface_shows_every_counter_of_its_threads_once() {
    let counters = LiveCounters {
        packets_passed: 9,
        packets_dropped: 2,
        frames: 7,
        link_up: 1,
        ..LiveCounters::default()
    };
    let i = Interface::of("edge".into(), "eth0".into(), &counters);
    assert_eq!((i.packets, i.drops, i.freezes, i.up), (9, 2, 0, true));
    assert!(i.others.contains(&("frames", 7)));
    let all = i.others.len() + i.states.len() + 3;
    assert_eq!(all, LiveCounters::HELP.len());
}

#[test]
fn other_labels_than_the_family_has_are_noticed() {
    let mut page = Page::new();
    page.count(&family::SHED, &[], 1);
    assert_eq!(page.wrong().len(), 1);
}

#[test]
fn docs_metrics_md_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/METRICS.md");
    let kept = fs::read_to_string(path).unwrap();
    assert!(
        kept == markdown::render(),
        "docs/METRICS.md is old: cargo run -- metrics --markdown > docs/METRICS.md"
    );
}
