//! An encrypted store as a user meets it: the key, commands that read the store, erasing, and another key.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use support::{Lab, text, tracehop};

/// A laboratory whose store is encrypted, with a capture replayed into it.
struct Kept {
    lab: Lab,
    config: String,
}

fn said(out: &Output) -> String {
    let both = [&out.stdout[..], &out.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

fn well(arguments: &[&str]) -> String {
    let out = tracehop(arguments);
    assert!(out.status.success(), "{arguments:?}: {}", said(&out));
    said(&out)
}

fn refused(code: i32, arguments: &[&str]) -> String {
    let out = tracehop(arguments);
    assert_eq!(
        out.status.code(),
        Some(code),
        "{arguments:?}: {}",
        said(&out)
    );
    said(&out)
}

impl Kept {
    fn new(seed: u64) -> Self {
        let lab = Lab::new(seed, 200);
        let kept = Self {
            config: text(&lab.path("tracehop.toml")),
            lab,
        };
        well(&["store", "keys", "new", &kept.key("first")]);
        kept.use_key("first");
        let capture = text(&kept.lab.captures()[0]);
        well(&["replay", &capture, "--config", &kept.config]);
        kept
    }

    fn key(&self, name: &str) -> String {
        text(&self.lab.path(name))
    }

    fn use_key(&self, name: &str) {
        let old = fs::read_to_string(&self.config).unwrap();
        let (before, _) = old.split_once("\n[store.encryption]").unwrap_or((&old, ""));
        let section = format!(
            "{before}\n[store.encryption]\nkey_file = {:?}\n",
            self.key(name)
        );
        fs::write(&self.config, section).unwrap();
    }

    fn keys(&self) -> Value {
        let listed = well(&["store", "keys", "list", "--json", "--config", &self.config]);
        serde_json::from_str(&listed).unwrap()
    }

    /// The day that has most in it.
    fn day(&self) -> String {
        let keys = self.keys();
        let days = keys["keys"].as_array().unwrap().iter();
        let dated = days.filter(|k| k["name"].as_str().unwrap().starts_with("20"));
        let most = dated.max_by_key(|k| k["octets"].as_u64()).unwrap();
        most["name"].as_str().unwrap().to_owned()
    }

    fn coverage(&self, day: &str) -> String {
        let (since, until) = (format!("{day}T00:00:00Z"), format!("{day}T23:59:59Z"));
        well(&[
            "coverage",
            "--since",
            &since,
            "--until",
            &until,
            "--config",
            &self.config,
        ])
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => out.extend(files(&path)),
            false => out.push(path),
        }
    }
    out
}

#[test]
fn the_store_is_worth_nothing_without_its_key() {
    let kept = Kept::new(71);
    let store = &kept.lab.config.store.path;
    let sealed = files(&store.join("seg")).into_iter();
    let sealed: Vec<_> = sealed
        .filter(|f| fs::read(f).unwrap().starts_with(b"tracehop-aes1\n"))
        .collect();
    assert!(sealed.len() >= 2, "{sealed:?}");
    let day = kept.day();
    assert!(!kept.coverage(&day).contains("erased"));
    // Another key, and none.
    well(&["store", "keys", "new", &kept.key("another")]);
    refused(74, &["store", "keys", "new", &kept.key("another")]);
    kept.use_key("another");
    let why = refused(66, &["coverage", "--config", &kept.config]);
    assert!(
        why.contains("not the right key_file or key_command"),
        "{why}"
    );
    let text = fs::read_to_string(&kept.config).unwrap();
    let (before, _) = text.split_once("\n[store.encryption]").unwrap();
    fs::write(&kept.config, before).unwrap();
    let why = refused(66, &["coverage", "--config", &kept.config]);
    assert!(
        why.contains("set key_file or key_command in [store.encryption]"),
        "{why}"
    );
}

#[test]
fn a_day_is_erased_only_when_it_is_meant() {
    let kept = Kept::new(72);
    let day = kept.day();
    let erase = ["store", "keys", "erase", "--config", &kept.config];
    let with = |more: &[&str]| {
        [&erase[..], more]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let run = |more: &[&str]| {
        let arguments = with(more);
        tracehop(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_eq!(run(&[]).status.code(), Some(64));
    assert_eq!(run(&["--day", "yesterday"]).status.code(), Some(64));
    let future = said(&run(&["--day", "2200-01-01", "--yes"]));
    assert!(future.contains("the day is not over"), "{future}");
    let asked = run(&["--day", &day]);
    assert_eq!(asked.status.code(), Some(64));
    assert!(said(&asked).contains("say --yes"), "{}", said(&asked));
    assert!(kept.lab.config.store.path.join("seg").join(&day).exists());
    let done = run(&["--day", &day, "--yes"]);
    assert!(done.status.success(), "{}", said(&done));
    assert!(!kept.lab.config.store.path.join("seg").join(&day).exists());
    assert_eq!(kept.keys()["erased"], serde_json::json!([day]));
    assert!(
        kept.coverage(&day).contains("erased"),
        "{}",
        kept.coverage(&day)
    );
}

#[test]
fn another_key_takes_the_place_of_the_first() {
    let kept = Kept::new(73);
    let day = kept.day();
    let before = kept.coverage(&day);
    well(&["store", "keys", "new", &kept.key("second")]);
    let second = kept.key("second");
    let rotate = [
        "store",
        "keys",
        "rotate",
        "--new-key-file",
        &second,
        "--config",
        &kept.config,
    ];
    well(&rotate);
    refused(66, &["coverage", "--config", &kept.config]);
    kept.use_key("second");
    assert_eq!(kept.coverage(&day), before);
    let keys = kept.keys();
    let mut ids: Vec<&Value> = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|k| &k["wrapped_by"])
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    // To itself it can't be changed, and nothing happens.
    let why = refused(78, &rotate);
    assert!(why.contains("the new key is the old one"), "{why}");
}
