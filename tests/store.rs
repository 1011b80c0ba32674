//! `tracehop store check` and two processes on one store, as a user meets them.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use support::{Lab, text, tracehop};
use tracehop::store::embedded::{EmbeddedStore, StoreSettings};

fn code(out: &Output) -> i32 {
    out.status.code().unwrap()
}

fn said(out: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    )
}

/// A laboratory whose calls are in its store.
fn lab() -> (Lab, PathBuf, String) {
    let lab = Lab::new(5, 200);
    let config = text(&lab.path("tracehop.toml"));
    let mut arguments = vec!["replay".to_owned()];
    arguments.extend(lab.captures().iter().map(|c| text(c)));
    arguments.extend(["--config".to_owned(), config.clone()]);
    let out = tracehop(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code(&out), 0, "{}", said(&out));
    let store = lab.config.store.path.clone();
    (lab, store, config)
}

fn one(dir: &Path, extension: &str) -> PathBuf {
    let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut found: Vec<PathBuf> = entries
        .flat_map(|path| match path.is_dir() {
            true => vec![one(&path, extension)],
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    found.sort();
    found.into_iter().next().unwrap_or_default()
}

#[test]
fn damage_is_65_and_named_and_a_repair_says_what_it_did() {
    let (_lab, store, config) = lab();
    let out = tracehop(&["store", "check", "--config", &config]);
    assert_eq!(code(&out), 0, "{}", said(&out));
    assert!(said(&out).contains("sound"), "{}", said(&out));
    let segment = one(&store.join("seg"), "parquet");
    let mut octets = fs::read(&segment).unwrap();
    octets[100] ^= 1;
    fs::write(&segment, octets).unwrap();

    let out = tracehop(&["store", "check", &text(&store)]);
    let name = segment.file_name().unwrap().to_str().unwrap();
    assert_eq!(code(&out), 65, "{}", said(&out));
    assert!(said(&out).contains(name), "{}", said(&out));
    assert!(said(&out).contains("--repair"), "{}", said(&out));
    let out = tracehop(&["store", "check", &text(&store), "--json"]);
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(report["findings"][0]["grade"], "damage", "{report:#}");
    assert!(report["findings"][0]["records"].as_u64() > Some(0));

    let out = tracehop(&["store", "check", &text(&store), "--repair"]);
    assert_eq!(code(&out), 0, "{}", said(&out));
    assert!(said(&out).contains("repaired: "), "{}", said(&out));
    assert!(said(&out).contains("the ledger says"), "{}", said(&out));
    let day = tracehop(&[
        "coverage",
        "--config",
        &config,
        "--since",
        "2020-01-01T00:00:00Z",
        "--until",
        "2039-12-31T00:00:00Z",
    ]);
    assert!(said(&day).contains("damaged on the disk"), "{}", said(&day));
    let out = tracehop(&["store", "check", &text(&store), "--quick"]);
    assert_eq!(code(&out), 0, "{}", said(&out));
}

#[test]
fn what_is_no_store_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let out = tracehop(&["store", "check", &text(&dir.path().join("nowhere"))]);
    assert_eq!(code(&out), 66, "{}", said(&out));
    fs::write(dir.path().join("thesis.txt"), b"years of work").unwrap();
    let out = tracehop(&["store", "check", &text(dir.path())]);
    assert_eq!(code(&out), 65, "{}", said(&out));
    assert!(said(&out).contains("thesis.txt"));
}

#[test]
fn a_second_process_is_refused_with_the_pid_of_the_first() {
    let (lab, store, config) = lab();
    let held = EmbeddedStore::open(&store, StoreSettings::default()).unwrap();
    let holder = format!("in use by process {}", std::process::id());
    let capture = text(&lab.captures()[0]);
    let writers: [&[&str]; 3] = [
        &["store", "check", "--repair", &text(&store)],
        &["replay", &capture, "--config", &config],
        &["run", "--config", &config],
    ];
    for arguments in writers {
        let out = tracehop(arguments);
        assert!(!out.status.success(), "{arguments:?}");
        assert!(
            said(&out).contains(&holder),
            "{arguments:?}: {}",
            said(&out)
        );
    }
    // Whoever only reads is not.
    let out = tracehop(&["store", "check", &text(&store)]);
    assert_eq!(code(&out), 0, "{}", said(&out));
    drop(held);
    let out = tracehop(&["store", "check", "--repair", &text(&store)]);
    assert_eq!(code(&out), 0, "{}", said(&out));
}
