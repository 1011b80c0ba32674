//! Files, and sinks that are slow or gone.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn uids(text: &str) -> Vec<u64> {
    let lines = text.lines().filter(|l| !l.is_empty());
    let values = lines.map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    values.map(|v| v["uid"].as_u64().unwrap()).collect()
}

/// All files of a rotation, the oldest line first.
fn rotated(path: &std::path::Path) -> Vec<u64> {
    let mut all = Vec::new();
    for n in (1..1_000).rev() {
        let old = format!("{}.{n}", path.display());
        if let Ok(text) = fs::read_to_string(old) {
            all.extend(uids(&text));
        }
    }
    all.extend(uids(&fs::read_to_string(path).unwrap()));
    all
}

#[test]
fn a_file_is_rotated_and_each_line_is_in_one_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("findings.jsonl");
    let mut one = sink("file", file_way(&path, 20_000, 500));
    one.queue = 10_000;
    let findings = Findings::start(&settings(vec![one])).unwrap();
    let (tap, view) = (findings.tap(), findings.view());
    for uid in 1..=3_000 {
        tap.tell_call(flagged(uid));
        if uid % 20 == 0 {
            wait_for("room", || counts(&view, "file").waiting < 100);
        }
    }
    assert_eq!(findings.stop(soon()), 0);
    assert_eq!(rotated(&path), (1..=3_000).collect::<Vec<_>>());
    let first = dir.path().join("findings.jsonl.1");
    for file in [&path, &first] {
        let about = fs::metadata(file).unwrap();
        assert_eq!(about.permissions().mode() & 0o777 & !0o640, 0);
    }
    adds_up(&counts(&view, "file"));
    assert_eq!(counts(&view, "file").of(Outcome::Delivered), 3_000);
}

#[test]
fn only_so_many_old_files_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("findings.jsonl");
    let findings = Findings::start(&settings(vec![sink("file", file_way(&path, 1, 3))])).unwrap();
    let (tap, view) = (findings.tap(), findings.view());
    for uid in 1..=9 {
        tap.tell_call(flagged(uid));
        wait_for("written", || {
            counts(&view, "file").of(Outcome::Delivered) == uid
        });
    }
    findings.stop(soon());
    assert_eq!(rotated(&path), [6, 7, 8, 9]);
}

#[test]
fn a_file_that_is_moved_away_or_torn_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("findings.jsonl");
    fs::write(&path, "{\"uid\":0}\n{\"uid\":").unwrap();
    let findings =
        Findings::start(&settings(vec![sink("file", file_way(&path, 1 << 20, 3))])).unwrap();
    let (tap, view) = (findings.tap(), findings.view());
    let tell = |uid| {
        let before = counts(&view, "file").of(Outcome::Delivered);
        tap.tell_call(flagged(uid));
        wait_for("written", || {
            counts(&view, "file").of(Outcome::Delivered) > before
        });
    };
    tell(1);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().nth(1), Some("{\"uid\":"));
    assert_eq!(uids(text.lines().nth(2).unwrap()), [1]);
    let moved = dir.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    tell(2);
    assert_eq!(uids(&fs::read_to_string(&path).unwrap()), [2]);
    fs::remove_file(&path).unwrap();
    tell(3);
    assert_eq!(uids(&fs::read_to_string(&path).unwrap()), [3]);
    // As logrotate does by default: another file has the name.
    fs::rename(&path, &moved).unwrap();
    fs::write(&path, "").unwrap();
    tell(4);
    assert_eq!(uids(&fs::read_to_string(&path).unwrap()), [4]);
    findings.stop(soon());
}

/// A folder that is not there: as a disk that takes nothing.
#[test]
fn a_sink_that_takes_nothing_drops_and_never_holds_up_who_tells() {
    let dir = tempfile::tempdir().unwrap();
    let mut bad = sink(
        "bad",
        file_way(&dir.path().join("no/such/file"), 1 << 20, 1),
    );
    bad.queue = 500;
    let good = sink("good", file_way(&dir.path().join("good"), 1 << 30, 1));
    let good = SinkSettings {
        queue: 100_000,
        ..good
    };
    let findings = Findings::start(&settings(vec![bad, good])).unwrap();
    let (tap, view) = (findings.tap(), findings.view());
    let calls: Vec<_> = (1..=100_000).map(flagged).collect();
    let began = Instant::now();
    calls.into_iter().for_each(|c| tap.tell_call(c));
    let took = began.elapsed();
    // Generous: the machine may be busy. One second of waiting for the bad sink would be 500 events late.
    assert!(took < Duration::from_secs(5), "{took:?} for 100,000 events");
    let c = counts(&view, "bad");
    assert!(c.waiting <= 500 && !c.works, "{c:?}");
    assert!(c.of(Outcome::Dropped) >= 100_000 - 500 - 256, "{c:?}");
    assert!(view.sinks().iter().any(|s| s.retries > 0));
    let unsent = findings.stop(Instant::now() + Duration::from_secs(5));
    let c = counts(&view, "bad");
    adds_up(&c);
    assert_eq!(c.of(Outcome::Delivered), 0);
    assert_eq!(
        unsent,
        c.of(Outcome::Unsent) + counts(&view, "good").of(Outcome::Unsent)
    );
    adds_up(&counts(&view, "good"));
    assert_eq!(counts(&view, "good").of(Outcome::Dropped), 0);
}

#[test]
fn a_reload_keeps_what_is_the_same_and_counts_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let before = settings(vec![
        sink("a", file_way(&a, 1 << 20, 1)),
        sink("b", file_way(&b, 1 << 20, 1)),
    ]);
    let mut findings = Findings::start(&before).unwrap();
    let (tap, view) = (findings.tap(), findings.view());
    tap.tell_call(flagged(1));
    let mut after = before.clone();
    after.sinks[1].filter = Filter::new(&[Flag::Loop], &[], Vec::new(), Vec::new());
    findings.reload(&after).unwrap();
    tap.tell_call(flagged(2));
    findings
        .reload(&settings(after.sinks[..1].to_vec()))
        .unwrap();
    tap.tell_call(flagged(3));
    wait_for("three in a", || {
        counts(&view, "a").of(Outcome::Delivered) == 3
    });
    wait_for("one in b", || {
        counts(&view, "b").of(Outcome::Delivered) == 1
    });
    assert_eq!(
        uids(&fs::read_to_string(&b).unwrap()),
        [1],
        "what waited was delivered"
    );
    findings.reload(&settings(Vec::new())).unwrap();
    tap.tell_call(flagged(4));
    findings.stop(soon());
    assert_eq!(uids(&fs::read_to_string(&a).unwrap()), [1, 2, 3]);
    adds_up(&counts(&view, "a"));
}

#[test]
fn only_flagged_calls_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let findings =
        Findings::start(&settings(vec![sink("a", file_way(&path, 1 << 20, 1))])).unwrap();
    let tap = findings.tap();
    tap.tell_call(Box::new(begin(1)));
    let mut attested = begin(2);
    attested.flags.insert(Flag::AttestA);
    tap.tell_call(Box::new(attested));
    tap.tell_call(flagged(3));
    tap.tell_behaviour(Box::new(finding()));
    tap.tell_campaign(Box::new(campaign()));
    findings.stop(soon());
    let text = fs::read_to_string(&path).unwrap();
    let types: Vec<String> = text
        .lines()
        .map(|l| {
            serde_json::from_str::<serde_json::Value>(l).unwrap()["type"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(types, ["call", "behaviour", "campaign"]);
}
