use std::collections::{BTreeMap, BTreeSet};

use super::check::compare::COUNTING;
use super::*;
use crate::call::attempt::Facts;
use crate::call::classify::Flag;
use crate::call::peer::Seen;
use crate::call::record::Direction;
use crate::config::Config;
use crate::engine::judge::Judge;
use crate::number::NumberPlan;
use crate::stir::verify::Rule;
use crate::wire::sip::{HeaderName, Message, NameAddr, StartLine, Uri};

/// Flags that no call of the lab earns yet.
const AWAITED: [Flag; 0] = [];

fn options(seed: u64) -> LabOptions {
    LabOptions {
        seed,
        calls: 600,
        ..LabOptions::new("unused")
    }
}

fn file<'a>(files: &'a [(String, Vec<u8>)], name: &str) -> &'a [u8] {
    &files.iter().find(|(n, _)| n == name).unwrap().1
}

fn json_lines(text: &[u8]) -> Vec<serde_json::Value> {
    std::str::from_utf8(text)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

#[test]
fn a_seed_gives_the_same_octets_and_another_gives_others() {
    let (a, b, c) = (
        build(&options(1)).unwrap(),
        build(&options(1)).unwrap(),
        build(&options(2)).unwrap(),
    );
    assert!(a == b);
    for name in [
        "calls.pcap",
        "truth.jsonl",
        "certs/crl.der",
        "certs/ca-list.jws",
    ] {
        assert!(file(&a.0, name) != file(&c.0, name), "{name}");
    }
}

#[test]
fn what_is_made_is_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let options = LabOptions {
        out: folder.path().join("new"),
        calls: 1,
        ..options(1)
    };
    let summary = generate(&options).unwrap();
    let (files, same) = build(&options).unwrap();
    assert_eq!(summary, same);
    for (name, content) in files {
        assert!(
            std::fs::read(options.out.join(&name)).unwrap() == content,
            "{name}"
        );
    }
    write_credentials(folder.path(), 1).unwrap();
    let crl = |folder: &Path| std::fs::read(folder.join("certs/crl.der")).unwrap();
    assert!(crl(folder.path()) == crl(&options.out));
    let blocked = LabOptions {
        out: options.out.join("peers.toml"),
        ..options
    };
    assert!(matches!(generate(&blocked), Err(LabError::Io { .. })));
}

#[test]
fn truth_is_in_order_and_names_every_trouble() {
    let (files, summary) = build(&options(1)).unwrap();
    let truth = json_lines(file(&files, "truth.jsonl"));
    assert_eq!(truth.len(), summary.legs);
    let kinds: BTreeSet<_> = truth
        .iter()
        .filter(|t| !t["rule"].is_null() || t["findings"].as_array().is_some_and(|f| !f.is_empty()))
        .map(|t| t["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds.len(), summary.troubles);
    assert!(kinds.len() >= 25, "{kinds:?}");
    let times: Vec<_> = truth
        .iter()
        .map(|t| Timestamp::parse_rfc3339(t["at"].as_str().unwrap()).unwrap())
        .collect();
    assert!(times.is_sorted());
    assert!(
        times[0] > DEFAULT_BASE
            && *times.last().unwrap() < DEFAULT_BASE.plus(Duration::from_secs(900))
    );
    let labels: BTreeSet<_> = truth
        .iter()
        .flat_map(|t| t["flags"].as_array().unwrap())
        .map(|f| f.as_str().unwrap())
        .collect();
    // A lab can't overload a probe, and who calls how often is another matter.
    let all: BTreeSet<_> = Flag::ALL
        .iter()
        .filter(|f| **f != Flag::NotVerified && !AWAITED.contains(f) && !COUNTING.contains(f))
        .map(|f| f.label())
        .collect();
    assert_eq!(labels, all);
}

#[test]
fn the_fewest_calls_hold_every_defect_whatever_the_seed() {
    for seed in 1..=4 {
        let options = LabOptions {
            calls: 1,
            ..options(seed)
        };
        let (files, _) = build(&options).unwrap();
        let truth = json_lines(file(&files, "truth.jsonl"));
        let mut count: BTreeMap<_, usize> = BTreeMap::new();
        for t in truth.iter().filter(|t| t["leg"] == "ingress") {
            if let Some(defect) = t["defect"].as_str() {
                *count.entry(defect.to_owned()).or_default() += 1;
            }
        }
        assert_eq!(count.len(), kind::TROUBLES.len(), "seed {seed}");
        assert!(count.values().all(|n| *n >= 2), "seed {seed}: {count:?}");
    }
}

#[test]
fn legs_of_a_call_belong_together() {
    let (files, _) = build(&options(1)).unwrap();
    let mut calls: BTreeMap<u64, Vec<serde_json::Value>> = BTreeMap::new();
    for line in json_lines(file(&files, "truth.jsonl")) {
        calls
            .entry(line["call"].as_u64().unwrap())
            .or_default()
            .push(line);
    }
    let at = |v: &serde_json::Value| Timestamp::parse_rfc3339(v["at"].as_str().unwrap()).unwrap();
    let mut ids = BTreeSet::new();
    // Of two calls the tap sees only what goes out.
    let headless = |legs: &[serde_json::Value]| legs[0]["leg"] == "egress";
    assert_eq!(calls.values().filter(|l| headless(l)).count(), 2);
    calls.retain(|_, legs| !headless(legs));
    for legs in calls.values() {
        assert_eq!(legs[0]["leg"], "ingress");
        assert!(ids.insert(legs[0]["call_id"].as_str().unwrap().to_owned()));
        for (i, out) in legs.iter().enumerate().skip(1) {
            assert_eq!(out["leg"], "egress");
            assert_eq!(out["upstream"], legs[0]["peer"]);
            if legs[0]["defect"] != "LostFragment" {
                assert_eq!(out["pair"], legs[0]["call_id"]);
            }
            let delay = at(out).secs_since(at(&legs[0]));
            assert!((0.005..0.14 * i as f64).contains(&delay), "{delay}");
            let proxied = out["call_id"] == legs[0]["call_id"];
            assert_eq!(proxied, out["pair_by"] == "call-id");
            // All but the last were in vain; a redirection goes on with the same Call-ID.
            assert_eq!(
                i + 1 < legs.len(),
                matches!(out["code"].as_u64(), Some(302 | 503)) && legs.len() > 2 && i == 1
            );
        }
    }
    let retries = calls.values().filter(|l| !l[0]["attempt_of"].is_null());
    for legs in retries {
        let first = &calls[&legs[0]["attempt_of"].as_u64().unwrap()][0];
        assert_ne!(first["peer"], legs[0]["peer"]);
        assert_eq!(first["state"], "failed");
    }
}

#[test]
fn requests_are_about_calls_that_have_the_answer() {
    let (files, summary) = build(&options(1)).unwrap();
    let truth = json_lines(file(&files, "truth.jsonl"));
    let expected = json_lines(file(&files, "truth-requests.jsonl"));
    assert_eq!(expected.len(), summary.requests);
    let resolutions: BTreeSet<_> = expected
        .iter()
        .map(|e| e["expected"]["resolution"].as_str().unwrap())
        .collect();
    assert_eq!(
        resolutions.into_iter().collect::<Vec<_>>(),
        [
            "AMBIGUOUS",
            "CAPTURE_GAP",
            "DIVERTED_BY_OUR_SUBSCRIBER",
            "INSUFFICIENT_REQUEST",
            "NOT_FOUND",
            "NOT_OUR_CUSTOMER_OF_DOWNSTREAM",
            "ORIGIN_END_CUSTOMER",
            "UPSTREAM_DOMESTIC",
            "UPSTREAM_FOREIGN"
        ]
    );
    for e in &expected {
        let request: serde_json::Value =
            serde_json::from_slice(file(&files, e["file"].as_str().unwrap())).unwrap();
        assert_eq!(request["id"], e["id"]);
        let called = request["call"]["called"]
            .as_str()
            .map(|c| c.trim_start_matches('+'));
        let legs: Vec<_> = truth
            .iter()
            .filter(|t| t["leg"] == "egress" && t["called"].as_str() == called)
            .collect();
        match e["expected"]["upstream"].as_str() {
            // The last leg to that number is the one delivered, and nobody else calls there.
            Some(upstream) => assert_eq!(legs.last().unwrap()["upstream"], upstream, "{e}"),
            None if e["expected"]["resolution"] == "AMBIGUOUS" => assert_eq!(legs.len(), 2),
            None if e["expected"]["resolution"] == "NOT_FOUND" => assert!(legs.is_empty()),
            None => {}
        }
    }
}

#[test]
fn what_a_lost_fragment_leaves_shows_no_identity() {
    let (files, _) = build(&options(1)).unwrap();
    let lost: Vec<_> = json_lines(file(&files, "truth.jsonl"))
        .into_iter()
        .filter(|t| t["rule"] == "H4")
        .collect();
    assert!(lost.len() >= 4);
    let pcap = file(&files, "calls.pcap");
    for t in lost {
        let id = format!("Call-ID: {}\r\n", t["call_id"].as_str().unwrap());
        let at = memchr::memmem::find(pcap, id.as_bytes()).unwrap();
        // The rest of that frame: the INVITE is the first message of its dialog.
        let kept = if t["defect"] == "SnapLength" {
            400
        } else {
            1_350
        };
        let rest = &pcap[at..at + kept];
        assert!(
            memchr::memmem::find(rest, b"\r\nIdentity:").is_none(),
            "{t}"
        );
    }
}

#[test]
fn without_losses_nothing_is_undetermined_by_the_tap() {
    let (files, _) = build(&LabOptions {
        lossy: false,
        ..options(1)
    })
    .unwrap();
    assert!(
        json_lines(file(&files, "truth.jsonl"))
            .iter()
            .all(|t| t["rule"] != "H4")
    );
}

#[test]
fn parts_hold_the_same_frames() {
    let (whole, _) = build(&options(1)).unwrap();
    let (parts, _) = build(&LabOptions {
        parts: 3,
        ..options(1)
    })
    .unwrap();
    let joined: Vec<u8> = ["calls.pcap", "calls-2.pcap", "calls-3.pcap"]
        .iter()
        .flat_map(|n| &file(&parts, n)[24..])
        .copied()
        .collect();
    assert!(joined == file(&whole, "calls.pcap")[24..]);
}

#[test]
fn bench_captures_hold_one_invite_a_call() {
    let signed = bench_capture(50, true, 1).unwrap();
    assert_eq!(
        memchr::memmem::find_iter(&signed, b"INVITE sip:").count(),
        50
    );
    assert_eq!(signed, bench_capture(50, true, 1).unwrap());
    let frames = pcap_parser::PcapCapture::from_file(&signed)
        .unwrap()
        .blocks
        .len();
    assert_eq!(frames, 100);
    let per_call = signed.len() / 50;
    assert!((1_750..2_000).contains(&per_call), "{per_call}");
}

/// What truth says beside the verdict must be what the first INVITE of the leg says to the house's own readers.
#[test]
fn truth_agrees_with_what_is_written() {
    let scope = Scope {
        start: DEFAULT_BASE.nanos(),
        span: 900 * SECOND,
        run: DEFAULT_BASE.nanos(),
        calls: 1_500,
        lossy: true,
    };
    let pki = Pki::new(1, DEFAULT_BASE).unwrap();
    let mut bridge = Bridge::new(&pki, 1, scope.start, scope.span);
    for (i, plan) in call::traffic::plan(scope, 1).iter().enumerate() {
        bridge.play(i, plan);
    }
    let (config, numbers) = (config(), NumberPlan::default());
    let table = &config.peers;
    let mut judge = Judge::new(Default::default(), config.verify_settings().into());
    let tn = |user: &[u8]| numbers.canonical(user).tn().map(|t| t.to_string());
    let mut seen = BTreeSet::new();
    for sent in bridge.tape.sent {
        let Some(leg) = sent.first_of else { continue };
        assert!(seen.insert(leg));
        let truth = &bridge.truth[leg];
        let m = Message::scan(&sent.bytes).unwrap();
        let value = |name| m.headers.first(name).unwrap();
        let StartLine::Request { uri, .. } = m.start else {
            panic!("no request")
        };
        assert!(m.is_initial_invite() && !m.anomalies.no_blank_line && !m.anomalies.body_too_short);
        assert_eq!(value(HeaderName::CallId), truth.call_id.as_bytes());
        let called = Some(&truth.called).filter(|c| !c.is_empty());
        let dialled = tn(Uri::parse(uri).user);
        // One neighbour's rule takes the prefix off.
        let dialled = dialled.as_ref().map(|d| match truth.peer {
            Some("redwood") => d.trim_start_matches(network::TECH_PREFIX),
            _ => d,
        });
        assert_eq!(dialled, called.map(String::as_str));
        let from = NameAddr::parse(value(HeaderName::From)).uri.user;
        assert_eq!(tn(from), truth.calling);
        let flow = sent.path.flow(sent.to_us);
        let Ok(Facts::Invite(invite)) = judge.pass(check::message(&sent, 0)).facts else {
            panic!("no INVITE")
        };
        let seen = Seen {
            flow: &flow,
            sensor: None,
        };
        let resolved = table.resolve(seen, invite.words());
        let direction = match truth.side {
            truth::Side::Ingress => Direction::Ingress,
            truth::Side::Egress => Direction::Egress,
        };
        assert_eq!(resolved.direction, direction);
        assert_eq!(resolved.peer.map(|(p, _)| &*p.id), truth.peer);
        let identities = m.headers.all(HeaderName::Identity).count();
        let tap = truth.verdict.rule == Some(Rule::H4);
        let joined = truth.verdict.findings == [Rule::H3];
        assert!(
            tap || joined || identities == truth.verdict.headers.len(),
            "{truth:?}"
        );
    }
    assert_eq!(seen.len(), bridge.truth.len());
}

/// The configuration as the house reads it.
fn config() -> Config {
    let folder = tempfile::tempdir().unwrap();
    write_settings(folder.path(), 1).unwrap();
    Config::load(&folder.path().join("tracehop.toml")).unwrap_or_else(|p| panic!("{p:#?}"))
}
