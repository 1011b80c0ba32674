//! promtool reads what the daemon shows, with every part there.

use std::time::Duration;

use tracehop::base::Timestamp;
use tracehop::call::classify::Flag;
use tracehop::call::record::ClockState;
use tracehop::capture::live::LiveCounters;
use tracehop::daemon::metrics::snapshot::{
    Configured, Interface, Queue, Responder, Snapshot, Stage, Stored, Trust,
};
use tracehop::daemon::metrics::{family, render_snapshot};
use tracehop::engine::collect::{DirectionKey, Tally};
use tracehop::engine::mirror::counters::MirrorCounters;
use tracehop::engine::shed::ShedCounters;
use tracehop::fetch::FetchReport;
use tracehop::findings::EventKind;
use tracehop::findings::counters::{Outcome, SinkCounts};
use tracehop::host::process::Process;
use tracehop::responder::api::ApiCounters;
use tracehop::responder::api::refusal::Refusal;
use tracehop::responder::case::RequestState;
use tracehop::responder::desk::{Figures, Pressing};
use tracehop::responder::service::view::Lookups;
use tracehop::store::embedded::SpaceReport;
use tracehop::store::engine::ForwardState;
use tracehop::web::WebCounters;

#[test]
#[ignore = "needs promtool"]
fn peer_promtool_accepts_the_metrics_of_the_daemon() {
    let then = Timestamp::from_secs(1_795_512_600);
    let at = Some(then);
    let mut snapshot = Snapshot {
        interfaces: vec![Interface::of(
            "edge".into(),
            "eth0".into(),
            &LiveCounters::default(),
        )],
        shed: ShedCounters::default().iter().collect(),
        mirror: (
            MirrorCounters::default().iter().collect(),
            MirrorCounters::default().gauges().collect(),
        ),
        agents: vec![(None, vec![("taken", 1)])],
        duplicates: vec![("kept", 1)],
        queues: vec![Queue {
            name: "judge",
            depth: 0,
            capacity: 64,
        }],
        threads: vec![Stage {
            name: "judge",
            panics: 0,
            rebuilds: 0,
            beat: Some(Duration::ZERO),
        }],
        trust: Some(Trust {
            ca_list_ends: at,
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
        clock: (Some(ClockState::default()), 0),
        sensors: vec![("edge".into(), then)],
        web: Some(WebCounters::default()),
        config: Some(Configured::default()),
        process: Some(Process::read()),
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
        ..Snapshot::default()
    };
    let mut tally = Tally::default();
    tally.flags = vec![1];
    tally.verdicts.insert((None, None), 1);
    let key = (DirectionKey::Ingress, None);
    snapshot.stages.tallies.insert(key, tally);
    snapshot.stages.findings_open = [((Flag::Flood, None), 1)].into();
    snapshot.stages.campaigns_open = [(None, 2)].into();
    snapshot.stages.campaign_calls = [(None, 3)].into();
    snapshot.findings = vec![SinkCounts {
        name: "file-1".into(),
        told: 1,
        outcomes: vec![(EventKind::Call, Outcome::Delivered, 1)],
        retries: 0,
        panics: 0,
        works: true,
        waiting: 0,
        capacity: 10,
    }];
    snapshot.stages.fetch = Some(FetchReport::default());
    snapshot.forwarding = Some(ForwardState {
        oldest: Some(Timestamp::from_secs(1)),
        last_good: Some(Timestamp::from_secs(1)),
        ..ForwardState::default()
    });
    let page = render_snapshot(&snapshot);
    for f in family::ALL {
        let help = format!("# HELP {} ", f.name);
        assert!(page.contains(&help), "{} is not on the page", f.name);
    }
    crate::check_metrics(page.as_bytes());
}
