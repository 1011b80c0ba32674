//! A small world of providers: nothing wrong is answered without a person, most of it is answered, and what is written to disk answers
//! the same.

use std::path::Path;

use tracehop::base::Timestamp;
use tracehop::config::Config;
use tracehop::lab::world::export::export;
use tracehop::lab::world::profile::Profile;
use tracehop::lab::world::{WorldOptions, WorldReport, run};
use tracehop::responder;
use tracehop::store::embedded::EmbeddedStore;
use tracehop::traceback::TracebackSettings;
use tracehop::traceback::request::HopRequest;

fn small(profile: Profile, requests: usize) -> WorldOptions {
    WorldOptions {
        seed: 7,
        providers: 24,
        requests,
        threads: 2,
        ..WorldOptions::new(profile)
    }
}

fn ran(options: &WorldOptions) -> WorldReport {
    run(options, &|_| {}).unwrap()
}

#[test]
fn nothing_wrong_is_answered_without_a_person() {
    let r = ran(&small(Profile::Normal, 300));
    let t = &r.tally;
    assert_eq!(r.wrong(), 0, "{r}");
    assert!(
        t.requests >= 300 && t.traces.hops >= 4 * t.traces.traces,
        "{r}"
    );
    assert!(t.automatic * 100 >= t.requests * 85, "{r}");
    assert!(t.traces.to_origin * 2 >= t.traces.traces, "{r}");
    assert_eq!(t.not_found, 0, "{r}");
    // The simple rules are wrong where the matcher is not, or the world would be too easy.
    let nearest = t.simple.values().map(|s| s.wrong).max().unwrap();
    assert!(nearest > 0, "{r}");
}

#[test]
fn liars_and_fishers_get_nothing() {
    let r = ran(&small(Profile::Adversarial, 200));
    let (hostile, given) = r.tally.hostile_sum();
    assert!(hostile >= 40, "{r}");
    assert_eq!((given, r.wrong()), (0, 0), "{r}");
}

#[test]
fn the_same_seed_gives_the_same_figures_on_any_number_of_threads() {
    let figures = |threads| {
        let options = WorldOptions {
            threads,
            ..small(Profile::Gaps, 60)
        };
        let mut r = ran(&options);
        (r.seconds, r.tally.asking_s) = (0.0, 0.0);
        serde_json::to_string(&r).unwrap()
    };
    assert_eq!(figures(1), figures(2));
}

#[test]
fn what_is_written_to_disk_is_a_daemons_and_answers_as_the_world_says() {
    let out = tempfile::tempdir().unwrap();
    let options = WorldOptions {
        providers: 12,
        ..small(Profile::Normal, 20)
    };
    let done = export(&options, out.path()).unwrap();
    assert!(done.requests >= 20 && done.providers >= 10);
    let truth = std::fs::read_to_string(out.path().join("truth.jsonl")).unwrap();
    let (mut right, mut wrong) = (0, Vec::new());
    for line in truth.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let (named, expected) = answer(out.path(), &line);
        match named {
            Some(named) if named == expected => right += 1,
            Some(named) => wrong.push((named, expected)),
            None => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(
        right * 10 >= done.requests * 7,
        "{right} of {}",
        done.requests
    );
}

/// Who is named, as a daemon on that folder would say it, and who should be.
fn answer(out: &Path, line: &serde_json::Value) -> (Option<String>, String) {
    let folder = out.join(line["folder"].as_str().unwrap());
    let config = Config::load(&folder.join("tracehop.toml")).unwrap();
    let (store, _) = EmbeddedStore::open_read_only(&config.store.path).unwrap();
    let octets = line["request"].to_string().into_bytes();
    let request = HopRequest::parse(&octets, &config.plan).unwrap();
    let settings = TracebackSettings {
        own_ids: config.provider.portal_id.iter().cloned().collect(),
        sensors: config.sensors(),
        ..TracebackSettings::default()
    };
    let now = Timestamp::parse_rfc3339("2026-11-26T12:00:00Z").unwrap();
    let said = responder::answer(&request, &store, &config.peers, &settings, now).unwrap();
    let expected = line["truth"]["peer"].as_str().unwrap().to_owned();
    (said.peer.map(|p| p.to_string()), expected)
}
