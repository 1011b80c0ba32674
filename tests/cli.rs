//! The commands as a user meets them: what they print, and their exit codes.

mod support;

use std::fs;
use std::process::Output;

use serde_json::Value;
use support::{Lab, text, tracehop};
use tracehop::stir::verify::Validation;
use tracehop::store::Lookup;
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

fn json(out: &Output) -> Value {
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{e}\n{}\n{}", stdout(out), stderr(out)))
}

#[test]
fn wrong_usage_is_64_and_help_is_0() {
    assert_eq!(code(&tracehop(&["nonsense"])), 64);
    assert_eq!(code(&tracehop(&["replay"])), 64);
    assert_eq!(code(&tracehop(&["--help"])), 0);
}

#[test]
fn a_broken_configuration_is_78_with_file_line_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.toml");
    fs::write(&path, "[provider]\nname = \"X\"\n[store]\nretention_day = 5\n[credentials]\nanchors = \"none.pem\"\n").unwrap();
    let out = tracehop(&["check", &text(&path)]);
    assert_eq!(code(&out), 78);
    let said = stderr(&out);
    assert!(
        said.contains("bad.toml:4: unknown key store.retention_day"),
        "{said}"
    );
    assert!(said.contains("did you mean retention_days?"), "{said}");
    assert!(said.contains("bad.toml:6: "), "{said}");
    let out = tracehop(&["check", &text(&path), "--json"]);
    assert_eq!(code(&out), 78);
    assert!(json(&out)["problems"].as_array().unwrap().len() >= 3);
}

#[test]
fn check_reads_the_labs_files_and_names_odd_entries() {
    let lab = Lab::new(2, 400);
    let out = tracehop(&["check", &text(&lab.path("tracehop.toml")), "--json"]);
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let said = json(&out);
    assert!(said["certificates"].as_u64().unwrap() > 10, "{said}");
    assert!(
        said["notes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|n| n.as_str().unwrap().contains("is not used")),
        "{said}"
    );
}

#[test]
fn a_missing_capture_is_66() {
    let lab = Lab::new(2, 400);
    let out = tracehop(&[
        "replay",
        "no-such.pcap",
        "--config",
        &text(&lab.path("tracehop.toml")),
    ]);
    assert_eq!(code(&out), 66);
    assert!(stderr(&out).contains("no-such.pcap"), "{}", stderr(&out));
}

#[test]
fn a_cut_capture_gives_what_was_before_the_cut_and_says_where() {
    let lab = Lab::new(2, 400);
    let config = text(&lab.path("tracehop.toml"));
    let whole = lab.captures().remove(0);
    let bytes = fs::read(&whole).unwrap();
    let cut = lab.path("cut.pcap");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let out = tracehop(&["replay", &text(&cut), "--config", &config, "--json"]);
    assert_eq!(code(&out), 65);
    let said = json(&out);
    assert!(said["records"].as_u64().unwrap() > 40, "{said}");
    assert_eq!(said["files"][0]["clean"], false);
    assert!(
        said["files"][0]["ending"]
            .as_str()
            .unwrap()
            .contains("octet"),
        "{said}"
    );
}

#[test]
fn the_same_capture_is_not_stored_twice_unless_asked_to() {
    let lab = Lab::new(2, 400);
    let (capture, config) = (text(&lab.captures()[0]), text(&lab.path("tracehop.toml")));
    let replay = |more: &[&str]| {
        let mut arguments = vec!["replay", &capture, "--config", &config, "--json"];
        arguments.extend(more);
        tracehop(&arguments)
    };
    assert_eq!(code(&replay(&[])), 0);
    let out = replay(&[]);
    assert_eq!(code(&out), 65);
    assert!(stderr(&out).contains("was replayed at"), "{}", stderr(&out));
    assert_eq!(code(&replay(&["--again"])), 0);
}

#[test]
fn garbage_is_no_capture() {
    let lab = Lab::new(2, 400);
    let file = lab.path("garbage.pcap");
    fs::write(
        &file,
        b"this is no capture at all, but long enough to be looked at",
    )
    .unwrap();
    let out = tracehop(&[
        "replay",
        &text(&file),
        "--config",
        &text(&lab.path("tracehop.toml")),
    ]);
    assert!(matches!(code(&out), 65 | 66), "{}", stderr(&out));
    assert!(stderr(&out).contains("garbage.pcap"), "{}", stderr(&out));
}

#[test]
fn the_demo_tells_calls_apart_and_answers_three_questions() {
    let dir = tempfile::tempdir().unwrap();
    let demo = text(&dir.path().join("demo"));
    let out = tracehop(&["demo", "--dir", &demo]);
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let said = stdout(&out);
    for part in [
        "Handed to us by",
        "UPSTREAM_DOMESTIC",
        "AMBIGUOUS",
        "NOT_FOUND",
        "tracehop trace",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    // Once more over its own folder, as people do.
    assert_eq!(code(&tracehop(&["demo", "--dir", &demo])), 0);
}

#[test]
fn the_demo_does_not_touch_a_folder_that_is_not_its_own() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("precious.txt"), "mine").unwrap();
    let out = tracehop(&["demo", "--dir", &text(dir.path())]);
    assert_ne!(code(&out), 0);
    assert_eq!(
        fs::read_to_string(dir.path().join("precious.txt")).unwrap(),
        "mine"
    );
}

#[test]
fn every_request_of_the_lab_is_answered_as_its_truth_says() {
    let lab = Lab::new(1, 1_500);
    let config = text(&lab.path("tracehop.toml"));
    let mut replay = vec!["replay".to_owned()];
    replay.extend(lab.captures().iter().map(|c| text(c)));
    replay.extend(["--config".to_owned(), config.clone(), "--json".into()]);
    let out = tracehop(&replay.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let truth = fs::read_to_string(lab.path("truth-requests.jsonl")).unwrap();
    let mut seen = 0;
    for line in truth.lines() {
        let want: Value = serde_json::from_str(line).unwrap();
        let file = lab.path(want["file"].as_str().unwrap());
        let out = tracehop(&[
            "trace",
            "--request",
            &text(&file),
            "--config",
            &config,
            "--json",
        ]);
        let got = json(&out);
        let want = &want["expected"];
        assert_eq!(
            got["answer"]["resolution"],
            want["resolution"],
            "{}: {got:#}",
            file.display()
        );
        if !want["upstream"].is_null() {
            assert_eq!(
                got["upstream_peer"],
                want["upstream"],
                "{}: {got:#}",
                file.display()
            );
        }
        seen += 1;
    }
    assert!(seen >= 14, "{seen}");
}

#[test]
fn rules_md_is_what_the_code_says() {
    let said = tracehop(&["rules", "--markdown"]);
    assert_eq!(code(&said), 0);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/RULES.md");
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == stdout(&said),
        "write it anew: cargo run -- rules --markdown > docs/RULES.md"
    );
}

#[test]
fn flags_md_is_what_the_code_says() {
    let said = tracehop(&["flags", "--markdown"]);
    assert_eq!(code(&said), 0);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/FLAGS.md");
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == stdout(&said),
        "write it anew: cargo run -- flags --markdown > docs/FLAGS.md"
    );
}

#[test]
fn every_threshold_stands_in_the_architecture_as_in_the_code() {
    use tracehop::call::classify::behaviour::Thresholds;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ARCHITECTURE.md");
    let written = fs::read_to_string(path).unwrap();
    for row in Thresholds::ALL {
        let line = format!("| `{}` | {} | {} |\n", row.name, row.default, row.why);
        assert!(written.contains(&line), "{line}");
    }
}

#[test]
fn flags_are_shown_as_a_table_of_groups_and_severities() {
    let said = stdout(&tracehop(&["flags", "numbers"]));
    let mut lines = said.lines();
    let header = lines.next().unwrap_or_default();
    for part in ["flag", "group", "severity", "what it says"] {
        assert!(header.contains(part), "{said}");
    }
    let rows: Vec<&str> = lines.skip(1).collect();
    assert_eq!(rows.len(), 7, "{said}");
    assert!(rows.iter().all(|r| r.contains("numbers")), "{said}");
    assert!(said.contains("do-not-originate"), "{said}");
}

#[test]
fn flags_can_be_asked_for_by_name_and_by_group() {
    let said = json(&tracehop(&["flags", "emergency", "--json"]));
    let names = said["flags"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|f| f["flag"].as_str().unwrap()).collect();
    assert_eq!(names, ["emergency", "emergency-callback"]);
    let said = json(&tracehop(&["flags", "Do-Not", "--json"]));
    assert_eq!(said["flags"][0]["severity"], "bad");
    assert_eq!(code(&tracehop(&["flags", "no-such-flag"])), 64);
}

#[test]
fn rules_can_be_asked_for_by_id_and_by_kind() {
    let said = json(&tracehop(&["rules", "stale", "--json"]));
    assert_eq!(said["rules"][0]["id"], "F1");
    assert_eq!(said["rules"][0]["sip_code"], 403);
    let said = json(&tracehop(&["rules", "e4", "--json"]));
    assert_eq!(said["practices"][0]["applied"], false);
    assert_eq!(code(&tracehop(&["rules", "no-such-rule"])), 64);
}

#[test]
fn what_the_demo_says_to_type_next_works() {
    let dir = tempfile::tempdir().unwrap();
    let demo = tracehop(&[
        "demo",
        "--calls",
        "400",
        "--dir",
        &text(&dir.path().join("d")),
    ]);
    assert_eq!(code(&demo), 0, "{}", stderr(&demo));
    let said = stdout(&demo);
    let next: Vec<&str> = said
        .lines()
        .filter_map(|l| l.trim().strip_prefix("tracehop "))
        .map(|l| l.split(" #").next().unwrap())
        .collect();
    assert!(next.len() >= 4, "{said}");
    for line in next {
        let out = tracehop(&line.split_whitespace().collect::<Vec<_>>());
        let expected = i32::from(line.starts_with("verify"));
        assert_eq!(code(&out), expected, "{line}: {}", stderr(&out));
        if line.starts_with("verify") {
            assert!(stdout(&out).contains("call: failed by O1"), "{line}");
        }
    }
    for line in said.lines().filter_map(|l| l.trim().strip_prefix("less ")) {
        assert!(
            fs::metadata(line.split(" #").next().unwrap().trim())
                .unwrap()
                .len()
                > 0
        );
    }
}

#[test]
fn a_stored_call_is_judged_again_and_what_differs_is_said() {
    let lab = Lab::new(29, 400);
    let config = text(&lab.path("tracehop.toml"));
    let out = tracehop(&["replay", &text(&lab.captures()[0]), "--config", &config]);
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let (reader, _) = EmbeddedStore::open_read_only(&lab.config.store.path).unwrap();
    let evidence = |uid| reader.evidence(uid).unwrap();
    let passed = (1..=reader.last_uid())
        .find(|uid| {
            evidence(*uid).is_some_and(|e| e.evidence.judgement.validation == Validation::Passed)
        })
        .unwrap()
        .to_string();
    let unsigned = (1..=reader.last_uid()).find(|uid| evidence(*uid).is_none());
    let record = |uid: &str, more: &[&str]| {
        let mut arguments = vec!["verify", "--record", uid, "--config", &config];
        arguments.extend(more);
        tracehop(&arguments)
    };

    let out = record(&passed, &[]);
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    assert!(
        stdout(&out).contains("nothing differs from what was said then"),
        "{}",
        stdout(&out)
    );
    assert!(stdout(&out).contains("certificates as stored with the call"));
    assert!(stdout(&out).contains(", seen by edge1 (file)\n"));

    // Without a revocation list: two rules less, one finding more, and the call passes still.
    let text_of = fs::read_to_string(&config).unwrap();
    let without: String = text_of
        .lines()
        .filter(|l| !l.starts_with("crl"))
        .map(|l| format!("{l}\n"))
        .collect();
    fs::write(&config, without).unwrap();
    // And its certificate is gone from the folder, which only today's trust notices.
    fs::write(lab.path("certs/x5u/index.toml"), "").unwrap();
    let out = record(&passed, &["--json"]);
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let said = json(&out);
    let what: Vec<_> = said["record"]["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["what"].as_str().unwrap())
        .collect();
    assert_eq!(what, ["header 1, R3", "header 1, R4", "header 1, R5"]);
    assert_eq!(said["record"]["trust"]["certificates"], "stored");
    let by = serde_json::json!({ "sensor": "edge1", "provenance": "file" });
    assert_eq!(said["record"]["seen_by"], by);
    assert_eq!(said["at"], said["record"]["at"]);
    let out = record(&passed, &["--json", "--with-current-trust"]);
    assert_eq!(code(&out), 1, "{}", stderr(&out));
    let said = json(&out);
    assert_eq!(said["call"]["decided_by"], "X2");
    let first = &said["record"]["differences"][0];
    assert_eq!(
        (&first["what"], &first["then"], &first["now"]),
        (
            &"validation".into(),
            &"passed".into(),
            &"undetermined".into()
        )
    );
    assert!(
        said["record"]["trust"]["said"][0]
            .as_str()
            .unwrap()
            .contains("is not at hand today")
    );

    let out = record("999999", &[]);
    assert_eq!(code(&out), 66);
    assert!(
        stderr(&out).contains("no record 999999"),
        "{}",
        stderr(&out)
    );
    let out = record(&unsigned.unwrap().to_string(), &[]);
    assert_eq!(code(&out), 66);
    assert!(
        stderr(&out).contains("no evidence of record"),
        "{}",
        stderr(&out)
    );
    assert_eq!(
        code(&tracehop(&["verify", "message.txt", "--record", "1"])),
        64
    );
    assert_eq!(code(&tracehop(&["verify", "--with-current-trust"])), 64);
}

#[test]
fn evidence_is_kept_as_the_configuration_asks() {
    let lab = Lab::new(29, 400);
    let config = text(&lab.path("tracehop.toml"));
    let base = fs::read_to_string(&config).unwrap();
    let capture = text(&lab.captures()[0]);
    let kept = |choice: &str| {
        let store = format!("[store]\nevidence = \"{choice}\"\npath = \"store-{choice}\"");
        fs::write(&config, base.replace("[store]\npath = \"store\"", &store)).unwrap();
        let out = tracehop(&["replay", &capture, "--config", &config, "--json"]);
        assert_eq!(code(&out), 0, "{}", stderr(&out));
        json(&out)["evidence"].as_u64().unwrap()
    };
    let (signed, failed, none) = (kept("signed"), kept("failed"), kept("none"));
    assert!(signed > 2 * failed && failed > 50, "{signed} {failed}");
    assert_eq!(none, 0);
    assert!(!lab.path("store-none/evidence").exists());
    fs::write(
        &config,
        base.replace("[store]", "[store]\nevidence = \"all\""),
    )
    .unwrap();
    let out = tracehop(&["check", &config]);
    assert_eq!(code(&out), 78);
    assert!(
        stderr(&out).contains("write \"signed\""),
        "{}",
        stderr(&out)
    );
}

#[test]
fn rules_lists_the_lints_with_the_rule_that_they_belong_to() {
    let lints = |id: &str| {
        let said = json(&tracehop(&["rules", id, "--json"]));
        said["lints"].as_array().unwrap().len()
    };
    assert!(lints("X15") >= 20);
    assert_eq!(lints("X14"), 0);
}

#[test]
fn verify_shows_the_chain_its_revocation_and_its_oddities() {
    let shown = |case: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
        let case = format!("{folder}/cases/{case}");
        let expected = fs::read(format!("{case}/expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let out = tracehop(&[
            "verify",
            &format!("{case}/message.sip"),
            "--at",
            expected["at"].as_str().unwrap(),
            "--config",
            &format!("{folder}/cases-trust/tracehop.toml"),
        ]);
        stdout(&out)
    };
    let odd = shown("X15-p521-authority");
    for part in [
        "Third STI-CA Root",
        "P-521",
        "code 8901",
        "revocation: not revoked",
        "odd: unusual-authority-key: an authority above it",
    ] {
        assert!(odd.contains(part), "{part}: {odd}");
    }
    assert!(shown("R3-revoked").contains("revocation: revoked"));
    assert!(shown("X4-untrusted").contains("without a path to an authority"));
    assert!(shown("X3-garbage").contains("garbage.pem: not X.509 DER"));
}

/// What `verify` prints about a case.
fn verify_case(name: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let case = root.join("cases").join(name);
    let expected: Value =
        serde_json::from_slice(&fs::read(case.join("expected.json")).unwrap()).unwrap();
    let out = tracehop(&[
        "verify",
        &text(&case.join("message.sip")),
        "--at",
        expected["at"].as_str().unwrap(),
        "--config",
        &text(&root.join("cases-trust/tracehop.toml")),
    ]);
    stdout(&out)
}

#[test]
fn v3_m2_verify_draws_each_header_the_chain_and_the_reasons() {
    let good = verify_case("V5-diverted");
    assert!(good.contains("\"ppt\": \"div\""), "{good}");
    assert!(good.contains("signature: 64 octets, r and s"));
    assert!(good.contains("diversions: unbroken; signed first > header 1"));
    assert!(!good.contains("Reason:"));
    let bad = verify_case("V3-div-broken");
    assert!(bad.contains("diversions: broken at link 1; signed first\n"));
    let reason = "Reason: STIR ;cause=438 ;text=\"Invalid Identity Header\" ;ppi=\"..";
    assert_eq!(bad.matches(reason).count(), 2, "{bad}");
}

#[test]
fn coverage_shows_when_the_capture_looked_and_when_nobody_did() {
    let lab = Lab::new(5, 60);
    let (capture, config) = (text(&lab.captures()[0]), text(&lab.path("tracehop.toml")));
    let out = tracehop(&["replay", &capture, "--config", &config, "--json"]);
    assert_eq!(code(&out), 0, "{}", stderr(&out));
    let all = [
        "coverage",
        "--config",
        &config,
        "--since",
        "2020-01-01T00:00:00Z",
        "--until",
        "2039-12-31T00:00:00Z",
    ];
    let machine = json(&tracehop(&[&all[..], &["--json"]].concat()));
    let sensor = &machine["sensors"][0];
    let ranges = sensor["ranges"].as_array().unwrap();
    assert_eq!(ranges[0]["state"], "unknown");
    assert_eq!(ranges.last().unwrap()["state"], "unknown");
    let looked: Vec<_> = ranges.iter().filter(|r| r["state"] != "unknown").collect();
    assert!(!looked.is_empty(), "{machine:#}");
    assert!(looked.iter().any(|r| r["packets"].as_u64() > Some(0)));
    let people = stdout(&tracehop(&all));
    let name = sensor["sensor"].as_str().unwrap();
    assert!(people.starts_with(&format!("{name}: ")), "{people}");
    assert!(people.contains("nobody was looking"), "{people}");

    let none = tracehop(&[&all[..5], &["--until", "2020-01-02T00:00:00Z"]].concat());
    assert_eq!(code(&none), 0);
    assert!(stdout(&none).starts_with("nothing is known"));
    let asked = tracehop(&[&all[..], &["--sensor", "other"]].concat());
    assert!(
        stdout(&asked).starts_with("other: 0.00 %"),
        "{}",
        stdout(&asked)
    );
    for (since, want) in [
        ("2040-01-01T00:00:00Z", "is not before"),
        ("now", "RFC 3339"),
    ] {
        let wrong = tracehop(&["coverage", "--config", &config, "--since", since]);
        assert_eq!(code(&wrong), 64, "{since}");
        assert!(stderr(&wrong).contains(want), "{}", stderr(&wrong));
    }
}
