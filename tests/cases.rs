//! One folder a fact: `tests/cases/<fact>/` holds a README, an input (`message.sip`, text, or `capture.pcap`) and `expected.json`.
//!
//! The input goes through the built binary: a message through `tracehop verify`, a capture through `tracehop replay`. What
//! `expected.json` says must be so; what it does not say may be anything. Certificates are in `tests/cases-trust`.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{text, tracehop};

#[test]
fn every_case_is_as_expected() {
    let folders = folders();
    let mut wrong = Vec::new();
    for folder in &folders {
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(folder.join("README.md").exists(), "{name} has no README.md");
        let expected: Value =
            serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
        let got = outcome(folder, &expected);
        let mut differences = Vec::new();
        compare("", &expected, &got, &mut differences);
        wrong.extend(differences.into_iter().map(|d| format!("{name}{d}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(folders.len() >= 40, "{} cases", folders.len());
}

fn folders() -> Vec<PathBuf> {
    let mut out: Vec<_> = fs::read_dir(root().join("cases"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
        .collect();
    out.sort();
    out
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn outcome(folder: &Path, expected: &Value) -> Value {
    let message = folder.join("message.sip");
    let out = if message.exists() {
        let at = expected["at"].as_str().expect("expected.json says at");
        let folder = expected["config"].as_str().unwrap_or("cases-trust");
        let config = text(&root().join(folder).join("tracehop.toml"));
        let message = text(&message);
        let mut arguments = vec![
            "verify", &message, "--at", at, "--config", &config, "--json",
        ];
        if let Some(peer) = expected["peer"].as_str() {
            arguments.extend(["--peer", peer]);
        }
        tracehop(&arguments)
    } else {
        // A store of its own for each run: the configuration's paths are relative to its folder.
        let dir = tempfile::tempdir().unwrap();
        let trust = root().join("cases-trust");
        let config = fs::read_to_string(trust.join("tracehop.toml"))
            .unwrap()
            .replace("\"certs/", &format!("\"{}/certs/", text(&trust)));
        fs::write(dir.path().join("tracehop.toml"), config).unwrap();
        fs::copy(trust.join("peers.toml"), dir.path().join("peers.toml")).unwrap();
        tracehop(&[
            "replay",
            &text(&capture(folder)),
            "--config",
            &text(&dir.path().join("tracehop.toml")),
            "--json",
        ])
    };
    serde_json::from_slice(&out.stdout).unwrap_or_else(|e| {
        panic!(
            "{}: {e}\n{}",
            folder.display(),
            String::from_utf8_lossy(&out.stderr)
        )
    })
}

fn capture(folder: &Path) -> PathBuf {
    ["capture.pcap", "capture.pcapng"]
        .iter()
        .map(|n| folder.join(n))
        .find(|p| p.exists())
        .unwrap_or_else(|| panic!("{} has neither message.sip nor a capture", folder.display()))
}

/// Whether everything that `want` says is so in `got`. Of a list, each wanted element must be there.
fn compare(path: &str, want: &Value, got: &Value, out: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(members), _) => {
            for (key, want) in members {
                match key.as_str() {
                    "at" | "config" | "peer" if path.is_empty() => continue,
                    "flags_are" if path.is_empty() => {
                        compare_flags(want, &got["flags"], out);
                        continue;
                    }
                    _ => {}
                }
                compare(&format!("{path}.{key}"), want, &got[key], out);
            }
        }
        (Value::Array(wanted), Value::Array(there)) => {
            for want in wanted {
                let found = there.iter().any(|got| {
                    let mut differences = Vec::new();
                    compare(path, want, got, &mut differences);
                    differences.is_empty()
                });
                if !found {
                    out.push(format!("{path}: {want} is not in {got}"));
                }
            }
        }
        _ if want == got => {}
        _ => out.push(format!("{path}: expected {want}, got {got}")),
    }
}

/// Whether a message has the wanted flags and no other.
fn compare_flags(want: &Value, got: &Value, out: &mut Vec<String>) {
    let got: Vec<_> = got.as_array().into_iter().flatten().collect();
    let got = Value::from_iter(got.iter().map(|f| f["flag"].clone()));
    if *want != got {
        out.push(format!(".flags: expected {want}, got {got}"));
    }
}

#[test]
fn a_difference_is_seen() {
    let differences = |want: &str, got: &str| {
        let mut out = Vec::new();
        let parse = |t: &str| serde_json::from_str::<Value>(t).unwrap();
        compare("", &parse(want), &parse(got), &mut out);
        out.len()
    };
    assert_eq!(
        differences(r#"{"a":{"b":1},"at":2}"#, r#"{"a":{"b":1,"c":3}}"#),
        0
    );
    assert_eq!(differences(r#"{"a":{"b":1}}"#, r#"{"a":{"b":2}}"#), 1);
    assert_eq!(differences(r#"{"a":null}"#, r#"{"a":2}"#), 1);
    assert_eq!(differences(r#"{"a":["O1"]}"#, r#"{"a":["D1","O1"]}"#), 0);
    assert_eq!(
        differences(r#"{"a":[{"k":1,"v":2}]}"#, r#"{"a":[{"k":1,"v":3}]}"#),
        1
    );
}
