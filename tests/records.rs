//! `tracehop records` as a user meets it: what it asks for, what it shows, what it writes and what stands in the audit log.

mod support;

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;
use support::{Lab, text, tracehop};
use tracehop::base::Timestamp;
use tracehop::call::record::StoredCall;
use tracehop::store::embedded::EmbeddedStore;

fn code(out: &Output) -> i32 {
    out.status.code().unwrap()
}

fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

fn stdout(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// A laboratory whose captures have been replayed into its store, and all its records by time.
struct Kept {
    lab: Lab,
    config: String,
    calls: Vec<StoredCall>,
}

impl Kept {
    fn new(seed: u64) -> Self {
        let lab = Lab::new(seed, 400);
        let config = text(&lab.path("tracehop.toml"));
        let capture = text(&lab.captures()[0]);
        let out = tracehop(&["replay", &capture, "--config", &config]);
        assert_eq!(code(&out), 0, "{}", stderr(&out));
        let (reader, _) = EmbeddedStore::open_read_only(&lab.config.store.path).unwrap();
        let mut calls = Vec::new();
        let (from, until) = (
            Timestamp::from_nanos(i64::MIN),
            Timestamp::from_nanos(i64::MAX),
        );
        reader
            .scan(from, until, |call| {
                calls.push(call);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert!(calls.len() > 400);
        Self { lab, config, calls }
    }

    /// Asks for records of all of the capture's time.
    fn records(&self, more: &[&str]) -> Output {
        let from = self.calls.first().unwrap().begin.at.to_string();
        let until = self.calls.last().unwrap().begin.at.to_string();
        let mut arguments = vec!["records", "--config", &self.config, "--case", "C-7"];
        arguments.extend(["--from", &from, "--until", &until]);
        arguments.extend(more);
        tracehop(&arguments)
    }

    /// Uids of the records that `wanted` says, by time.
    fn uids(&self, wanted: impl Fn(&StoredCall) -> bool) -> Vec<u64> {
        let wanted = self.calls.iter().filter(|c| wanted(c));
        wanted.map(|c| c.begin.uid).collect()
    }
}

fn lines(out: &Output) -> Vec<Value> {
    assert_eq!(code(out), 0, "{}", stderr(out));
    let lines = stdout(out);
    let lines = lines.lines().map(|l| serde_json::from_str(l).unwrap());
    lines.collect()
}

fn uids(out: &Output) -> Vec<u64> {
    let lines = lines(out);
    lines.iter().map(|l| l["uid"].as_u64().unwrap()).collect()
}

#[test]
fn records_are_found_by_what_they_are_and_are_the_json_of_the_record() {
    let kept = Kept::new(41);
    let peer = kept.calls.iter().find_map(|c| c.begin.peer.clone());
    let peer = peer.unwrap();
    let wanted = kept.uids(|c| c.begin.peer.as_ref() == Some(&peer));
    let out = kept.records(&["--peer", &peer, "--json"]);
    assert_eq!(uids(&out), wanted);
    let json: Vec<Value> = kept
        .calls
        .iter()
        .filter(|c| c.begin.peer.as_ref() == Some(&peer))
        .map(|c| serde_json::to_value(c).unwrap())
        .collect();
    assert_eq!(lines(&out), json);
    let out = kept.records(&["--peer", &peer, "--count"]);
    assert_eq!(stdout(&out).trim(), wanted.len().to_string());

    let called = kept.calls.iter().find_map(|c| c.begin.numbers.called);
    let called = called.unwrap();
    let to = |c: &StoredCall| {
        let n = &c.begin.numbers;
        [n.called, n.to, n.diverted_from].contains(&Some(called))
    };
    let written = format!("+{called}");
    let out = kept.records(&["--called", &written, "--json"]);
    assert_eq!(uids(&out), kept.uids(to));
    let egress = |c: &StoredCall| c.begin.direction == tracehop::call::record::Direction::Egress;
    let out = kept.records(&["--called", &written, "--direction", "egress", "--json"]);
    assert_eq!(uids(&out), kept.uids(|c| to(c) && egress(c)));

    let calling = kept
        .calls
        .iter()
        .find_map(|c| c.begin.numbers.from)
        .unwrap();
    let from = |c: &StoredCall| {
        let n = &c.begin.numbers;
        let all = [n.from, n.asserted, n.remote_party, c.begin.verdict.orig];
        all.contains(&Some(calling))
    };
    let out = kept.records(&["--calling", calling.as_str(), "--format", "jsonl"]);
    assert_eq!(uids(&out), kept.uids(from));

    let unsigned = |c: &StoredCall| c.begin.flags.iter().any(|f| f.label() == "unsigned");
    let out = kept.records(&["--flag", "unsigned", "--json"]);
    assert_eq!(uids(&out), kept.uids(unsigned));
    assert!(!kept.uids(unsigned).is_empty());
}

#[test]
fn nobody_gets_records_without_a_case_a_window_and_something_to_look_for() {
    let kept = Kept::new(42);
    let out = kept.records(&[]);
    assert_eq!(code(&out), 64);
    assert!(stderr(&out).contains("at least one of"), "{}", stderr(&out));
    let out = kept.records(&["--direction", "egress"]);
    assert_eq!(code(&out), 64, "a direction is half of all calls");
    let base = [
        "records",
        "--config",
        &kept.config,
        "--called",
        "2025550123",
    ];
    let day = ["--from", "2026-11-24T00:00:00Z", "--until"];
    let with = |more: &[&str]| tracehop(&[&base[..], &day[..], more].concat());
    assert_eq!(code(&with(&["2026-11-24T01:00:00Z"])), 64, "no case");
    let long = with(&["2026-11-25T00:00:01Z", "--case", "C-7"]);
    assert_eq!(code(&long), 64);
    assert!(stderr(&long).contains("24 hours"), "{}", stderr(&long));
    let blank = with(&["2026-11-24T01:00:00Z", "--case", " "]);
    assert_eq!(code(&blank), 64);
    let fits = with(&["2026-11-25T00:00:00Z", "--case", "C-7"]);
    assert_eq!(code(&fits), 0, "{}", stderr(&fits));
    let state = kept.lab.config.store.path.with_file_name("responder");
    let lines = audit(&kept, &state);
    assert_eq!(lines.len(), 2, "what was refused has looked for nothing");
}

/// Act and detail of every line of the audit log.
fn audit(kept: &Kept, state: &std::path::Path) -> Vec<(String, Value)> {
    assert!(state.join("responder.db").exists());
    let file = text(&state.join("exported.jsonl"));
    let ask = ["audit", "export", "--case", "C-7", "--out", &file];
    let out = tracehop(&[&ask[..], &["--config", &kept.config]].concat());
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let said = fs::read_to_string(file).unwrap();
    let lines = said
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap());
    let lines = lines.filter(|l| l["act"].as_str().is_some_and(|a| a.starts_with("records")));
    lines
        .map(|l| {
            assert_eq!(l["case_id"], "C-7");
            assert!(l["who"].as_str().unwrap().starts_with("terminal:"));
            let detail = match &l["detail"] {
                Value::String(text) => serde_json::from_str(text).unwrap(),
                other => other.clone(),
            };
            (l["act"].as_str().unwrap().to_owned(), detail)
        })
        .collect()
}

#[test]
fn each_look_is_in_the_audit_log_without_its_number() {
    let kept = Kept::new(43);
    let called = kept.calls.iter().find_map(|c| c.begin.numbers.called);
    let called = called.unwrap();
    let out = kept.records(&["--called", called.as_str(), "--json"]);
    let found = uids(&out).len();
    let state = kept.lab.config.store.path.with_file_name("responder");
    let lines = audit(&kept, &state);
    let acts: Vec<_> = lines.iter().map(|(act, _)| act.as_str()).collect();
    assert_eq!(acts, ["records", "records-shown"]);
    let masked = format!("{}xxxx", &called.as_str()[..called.as_str().len() - 4]);
    assert_eq!(lines[0].1["called"], masked.as_str());
    assert_eq!(lines[0].1["as"], "jsonl");
    assert_eq!(lines[1].1["count"], found);
    assert_eq!(lines[1].1["all"], true);
}

#[test]
fn files_are_new_and_their_owners_alone_and_hold_the_same() {
    let kept = Kept::new(44);
    let peer = kept.calls.iter().find_map(|c| c.begin.peer.clone());
    let peer = peer.unwrap();
    let wanted = kept.uids(|c| c.begin.peer.as_ref() == Some(&peer));
    let dir = tempfile::tempdir().unwrap();
    for format in ["jsonl", "csv", "parquet"] {
        let path = dir.path().join(format);
        let file = text(&path);
        let ask = ["--peer", &*peer, "--format", format, "--output", &file];
        let out = kept.records(&ask);
        assert_eq!(code(&out), 0, "{}", stderr(&out));
        assert!(stdout(&out).is_empty());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let before = fs::read(&path).unwrap();
        let again = kept.records(&ask);
        assert_eq!(code(&again), 64);
        assert!(stderr(&again).contains("nothing is overwritten"));
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    let csv = dir.path().join("csv");
    let mut csv = csv::Reader::from_path(csv).unwrap();
    let uid = csv.headers().unwrap().iter().position(|h| h == "uid");
    let rows = csv
        .records()
        .map(|r| r.unwrap()[uid.unwrap()].parse().unwrap());
    assert_eq!(rows.collect::<Vec<u64>>(), wanted);
    let file = fs::File::open(dir.path().join("parquet")).unwrap();
    let file = SerializedFileReader::new(file).unwrap();
    let rows = file.metadata().file_metadata().num_rows();
    assert_eq!(rows, i64::try_from(wanted.len()).unwrap());
    let out = kept.records(&["--peer", &peer, "--format", "parquet"]);
    assert_eq!(code(&out), 64, "not to a terminal");
}

#[test]
fn a_table_shows_numbers_unless_others_watch_and_says_what_was_seen() {
    let kept = Kept::new(45);
    let called = kept.calls.iter().find_map(|c| c.begin.numbers.called);
    let called = called.unwrap();
    let out = kept.records(&["--called", called.as_str()]);
    let said = stdout(&out);
    assert!(said.contains(called.as_str()), "{said}");
    assert!(said.contains(" of the window"), "{said}");
    let out = kept.records(&["--called", called.as_str(), "--numbers", "masked"]);
    let said = stdout(&out);
    assert!(!said.contains(called.as_str()), "{said}");
    assert!(said.contains("xxxx"), "{said}");
    let out = kept.records(&["--flag", "unsigned", "--limit", "1"]);
    assert!(stdout(&out).contains("the first 1 records; there are more"));
}
