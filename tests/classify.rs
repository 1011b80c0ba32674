//! Commands that look at what is kept, over a store made by hand: what they print, and that they write nothing.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use support::{text, tracehop};
use tracehop::base::Timestamp;
use tracehop::base::digest::IdDigest;
use tracehop::call::classify::Flag;
use tracehop::call::classify::campaign::{Campaign, CampaignState, Key};
use tracehop::call::classify::finding::Example;
use tracehop::call::record::{
    Begin, Clock, ClockSource, Direction, End, Ids, Numbers, State, Verdict,
};
use tracehop::number::Tn;
use tracehop::store::Store;
use tracehop::store::embedded::{EmbeddedStore, StoreSettings};
use tracehop::wire::{Provenance, Transport};

const PEERS: &str = r#"
[[peer]]
id = "own"
name = "Example Voice"
kind = "own"
[[peer]]
id = "north"
name = "Northstar Voice LLC"
kind = "provider"
signers = ["1234"]
[[rule]]
name = "own-platform"
peer = "own"
networks = ["192.0.2.0/28"]
[[rule]]
name = "north-trunk"
peer = "north"
networks = ["198.51.100.0/28"]
vlan = 101
"#;

/// A number of old is off the list, another is on it; thresholds are low.
const CHANGED: &str = r#"
[provider]
name = "Example Voice"
[numbers]
do_not_originate = "dno.txt"
[flags]
disabled = ["neighbour-spoof"]
[behaviour]
high_volume_minute = 20
low_answer_least = 10
[peers]
file = "peers.toml"
[store]
path = "store"
"#;

const ROBOCALLER: &str = "12025550170";

/// Begins on a full minute: counts of a minute are aligned.
fn at(seconds: i64) -> Timestamp {
    let base = Timestamp::parse_rfc3339("2026-11-24T15:00:00Z").unwrap();
    Timestamp::from_secs(base.secs() + seconds)
}

fn tn(text: &str) -> Tn {
    Tn::from_canonical(text.as_bytes()).unwrap()
}

fn begin(uid: u64, second: i64, from: &str, called: &str, flags: &[Flag]) -> Begin {
    Begin {
        uid,
        at: at(second),
        clock: Clock {
            source: ClockSource::Synchronised,
            error_ns: 1_000,
        },
        sensor: "edge1".into(),
        provenance: Provenance::File,
        config: 7,
        direction: Direction::Ingress,
        peer: Some("north".into()),
        peer_rule: Some("north-trunk".into()),
        attribution: Default::default(),
        pair: None,
        transport: Transport::Udp,
        source: "198.51.100.1:5060".parse().unwrap(),
        destination: "192.0.2.1:5060".parse().unwrap(),
        vlan: Some(101),
        trunk: None,
        numbers: Numbers {
            called: Some(tn(called)),
            from: Some(tn(from)),
            ..Numbers::default()
        },
        called_text: None,
        ids: Ids {
            call_id: IdDigest(uid),
            session_id: None,
            icid: None,
            sdp_origin: None,
        },
        verdict: Verdict::default(),
        verstat: None,
        flags: flags.iter().copied().collect(),
        notes: Default::default(),
    }
}

/// Busy, half a second later.
fn busy(begin: &Begin) -> End {
    End {
        uid: begin.uid,
        begun_at: begin.at,
        called: begin.numbers.called,
        state: State::Failed,
        code: 486,
        cause: None,
        stir_cause: None,
        disagrees: false,
        ringing_ms: None,
        final_ms: Some(500),
        duration_ms: None,
        released_by: None,
        one_way: false,
        retransmissions: 0,
        forks: 0,
        auth_retries: 0,
    }
}

struct Kept {
    dir: tempfile::TempDir,
}

impl Kept {
    /// Forty calls of one number in a minute, all busy; then seven that lists and settings tell apart.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("peers.toml", PEERS);
        write("dno.txt", "12025550150\n12025550151\n");
        write("tracehop.toml", CHANGED);
        let mut store =
            EmbeddedStore::open(&dir.path().join("store"), StoreSettings::default()).unwrap();
        let mut uid = 0;
        let mut keep = |second, from: &str, called: &str, flags: &[Flag], ended: bool| {
            uid += 1;
            let begin = begin(uid, second, from, called, flags);
            store.append_begin(&begin).unwrap();
            if ended {
                store.append_end(&busy(&begin)).unwrap();
            }
        };
        for n in 0..40 {
            // Not one after the other, and no number twice.
            let called = format!("130755501{:02}", n * 7 % 100);
            keep(n, ROBOCALLER, &called, &[Flag::Unsigned], true);
        }
        for n in 0..3 {
            keep(100 + n, "12025550150", "13075550101", &[], false);
        }
        let listed = [Flag::DoNotOriginate];
        keep(110, "12025550151", "13075550102", &listed, false);
        for n in 0..2 {
            keep(120 + n, "12025550160", "13075550103", &listed, false);
        }
        let local = [Flag::NeighbourSpoof];
        keep(130, "13075550105", "13075550104", &local, false);
        store.append_campaign(&campaign()).unwrap();
        store.close().unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let config = text(&self.path("tracehop.toml"));
        tracehop(&[arguments, &["--config", &config]].concat())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let out = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(out.status.code(), Some(0), "{}", said(&out));
        serde_json::from_slice(&out.stdout).unwrap()
    }
}

fn campaign() -> Campaign {
    Campaign {
        id: "calling-number-12025550170-1".into(),
        peer: Some("north".into()),
        key: Key::CallingNumber(ROBOCALLER.into()),
        first: at(0),
        last: at(39),
        volume: 31,
        flags: vec![(Flag::Unsigned, 31), (Flag::HighVolume, 29)],
        signers: Vec::new(),
        examples: vec![Example { uid: 1, at: at(0) }],
        state: CampaignState::Closed,
    }
}

fn said(out: &Output) -> String {
    let all = [&out.stdout[..], &out.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// Every file below a folder, with its octets.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(snapshot(&path)),
            false => drop(all.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    all
}

const DAY: [&str; 5] = [
    "classify",
    "--since",
    "2026-11-24T00:00:00Z",
    "--until",
    "2026-11-25T00:00:00Z",
];

#[test]
fn a_dry_run_says_exactly_which_flags_would_come_and_go_and_writes_nothing() {
    let kept = Kept::new();
    let before = snapshot(kept.dir.path());
    assert!(before.len() > 4, "{:?}", before.keys());
    let got = kept.json(&DAY);
    let row = |old: u32, new: u32, added: u32, removed: u32| json!({ "old": old, "new": new, "added": added, "removed": removed });
    // Ten calls of a number are never counted: the 30th is the twentieth that is. Its end comes before the next call: the 21st sees ten busy ones.
    let want = json!({ "north": {
        "do-not-originate": row(3, 4, 3, 2),
        "neighbour-spoof": row(1, 0, 0, 1),
        "high-volume": row(0, 11, 11, 0),
        "low-answer": row(0, 20, 20, 0),
    }});
    assert_eq!(got["neighbours"], want, "{got:#}");
    assert_eq!(
        (&got["records"], &got["changed"]),
        (&json!(47), &json!(3 + 2 + 1 + 20))
    );
    let kinds = got["findings"].as_array().unwrap().iter();
    let mut kinds: Vec<_> = kinds.map(|f| f["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["high-volume", "low-answer"], "{got:#}");
    let campaigns = got["campaigns"].as_array().unwrap();
    assert_eq!(campaigns.len(), 1, "{got:#}");
    assert_eq!(campaigns[0]["volume"], 20);
    kept.run(&DAY);
    assert!(snapshot(kept.dir.path()) == before, "something was written");
}

#[test]
fn a_dry_run_without_a_change_finds_none() {
    let kept = Kept::new();
    let as_then = CHANGED
        .replace("high_volume_minute = 20\nlow_answer_least = 10\n", "")
        .replace("disabled = [\"neighbour-spoof\"]", "");
    fs::write(kept.path("tracehop.toml"), as_then).unwrap();
    fs::write(kept.path("dno.txt"), "12025550151\n12025550160\n").unwrap();
    let got = kept.json(&DAY);
    assert_eq!((&got["records"], &got["changed"]), (&json!(47), &json!(0)));
    assert_eq!(got["findings"], json!([]));
    let table = said(&kept.run(&DAY));
    assert!(
        table.starts_with("47 records from 2026-11-24T00:00:00Z to 2026-11-25T00:00:00Z, 0 of them with other flags\n"),
        "{table}"
    );
}

#[test]
fn a_dry_run_shows_single_numbers_only_when_asked_to() {
    let kept = Kept::new();
    for more in [&[][..], &["--json"]] {
        let veiled = said(&kept.run(&[&DAY[..], more].concat()));
        assert!(!veiled.contains(ROBOCALLER), "{veiled}");
        assert!(veiled.contains("1202555xxxx"), "{veiled}");
        let shown = said(&kept.run(&[&DAY[..], more, &["--numbers"]].concat()));
        assert!(shown.contains(ROBOCALLER), "{shown}");
    }
    let help = said(&tracehop(&["classify", "--help"]));
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("without their last four digits"), "{help}");
    assert!(
        help.contains("neighbour of a call stays as its record has it"),
        "{help}"
    );
}

#[test]
fn a_dry_run_of_nothing_is_said_and_of_nonsense_refused() {
    let kept = Kept::new();
    let none = kept.run(&[
        "classify",
        "--since",
        "2026-11-25T12:00:00Z",
        "--until",
        "2026-11-25T13:00:00Z",
        "--warm-up",
        "0",
    ]);
    assert_eq!(none.status.code(), Some(0));
    assert!(said(&none).starts_with("0 records"), "{}", said(&none));
    assert!(said(&none).contains("no flag that follows"));
    let turned = kept.run(&[
        "classify",
        "--since",
        "2026-11-25T12:00:00Z",
        "--until",
        "2026-11-24T00:00:00Z",
    ]);
    assert_eq!(turned.status.code(), Some(64));
    let no_store = kept.run(&[&DAY[..], &["--store", "no-such-folder"]].concat());
    assert_eq!(no_store.status.code(), Some(66), "{}", said(&no_store));
}

#[test]
fn campaigns_are_listed_by_upstream_and_state() {
    let kept = Kept::new();
    let week = [
        "campaigns",
        "--since",
        "2026-11-20T00:00:00Z",
        "--until",
        "2026-11-25T00:00:00Z",
    ];
    fn with<'a>(week: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
        [week, more].concat()
    }
    let table = said(&kept.run(&week));
    for part in [
        "upstream",
        "Northstar Voice LLC",
        "calling-number",
        ROBOCALLER,
        "2026-11-24T15:00:00Z",
        "2026-11-24T15:00:39Z",
        "closed",
        "unsigned 31, high-volume 29",
        "31",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let got = kept.json(&week);
    let all = got["campaigns"].as_array().unwrap();
    assert_eq!((all.len(), &all[0]["volume"]), (1, &json!(31)), "{got:#}");
    assert_eq!(
        kept.json(&with(&week, &["--peer", "north"]))["campaigns"],
        got["campaigns"]
    );
    for none in [&["--peer", "unknown"][..], &["--open"]] {
        assert_eq!(
            kept.json(&with(&week, none))["campaigns"],
            json!([]),
            "{none:?}"
        );
        let line = said(&kept.run(&with(&week, none)));
        assert!(line.starts_with("no campaign"), "{line}");
    }
}

#[test]
fn neighbours_their_rules_and_strangers_are_listed() {
    let kept = Kept::new();
    let table = said(&kept.run(&["peers", "list"]));
    for part in [
        "Northstar Voice LLC",
        "1234",
        "north-trunk",
        "vlan 101; networks 198.51.100.0/28",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let got = kept.json(&["peers", "list"]);
    assert_eq!(got["rules"][1]["rule"], "north-trunk");
    assert_eq!(got["rules"][1]["peer"], "north");
    assert_eq!(got["peers"].as_array().unwrap().len(), 2);

    let won = said(&kept.run(&["peers", "explain", "198.51.100.4", "--vlan", "101"]));
    assert!(
        won.contains("neighbour north, by rule north-trunk"),
        "{won}"
    );
    let lost = said(&kept.run(&["peers", "explain", "198.51.100.4", "--vlan", "102"]));
    assert!(lost.contains("no rule knows 198.51.100.4"), "{lost}");
    assert!(lost.contains("vlan ✗ wants 101, is 102"), "{lost}");
    let got = kept.json(&["peers", "explain", "198.51.100.4", "--vlan", "101"]);
    assert_eq!(got["messages"][0]["explanation"]["peer"], "north");
    let wrong = kept.run(&["peers", "explain", "north"]);
    assert_eq!(wrong.status.code(), Some(64));
    assert!(said(&wrong).contains("is no address"), "{}", said(&wrong));

    let none = said(&kept.run(&["peers", "unknown"]));
    assert!(none.starts_with("nothing was written yet"), "{none}");
    assert_eq!(kept.json(&["peers", "unknown"]), Value::Null);
}
