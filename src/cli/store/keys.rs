//! `tracehop store keys`: lists the keys of an encrypted store, erases days by destroying theirs, and changes the key that wraps them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::base::Timestamp;
use crate::cli::output::{self, say};
use crate::cli::{Failure, Outcome, load};
use crate::config::StoreConfig;
use crate::host::clock;
use crate::store::StoreError;
use crate::store::embedded::{EmbeddedStore, KeySource, make_key_file, rotate_keys};

/// Keys of an encrypted store: lists them, erases days, changes the key that wraps them
#[derive(Debug, Subcommand)]
pub enum Keys {
    List(List),
    Erase(Erase),
    Rotate(Rotate),
    New(New),
}

impl Keys {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::List(c) => c.run(),
            Self::Erase(c) => c.run(),
            Self::Rotate(c) => c.run(),
            Self::New(c) => c.run(),
        }
    }
}

/// Days that have a key, by which key of yours each is wrapped, and how much it opens
#[derive(Debug, Args)]
pub struct List {
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl List {
    fn run(self) -> Outcome {
        let store = load(&self.config)?.store;
        let keys = EmbeddedStore::keys(&store.path).map_err(failure)?;
        let erased = EmbeddedStore::erased_days(&store.path).map_err(failure)?;
        if self.json {
            let keys: Vec<_> = keys
                .iter()
                .map(|k| json!({ "name": k.name, "wrapped_by": k.wrapped_by, "octets": k.octets }))
                .collect();
            output::json(&json!({ "keys": keys, "erased": erased }))?;
            return Ok(ExitCode::SUCCESS);
        }
        if keys.is_empty() {
            say!("{}: not encrypted", store.path.display());
            return Ok(ExitCode::SUCCESS);
        }
        let rows = keys.iter().map(|k| {
            vec![
                k.name.clone(),
                k.wrapped_by.join(" and "),
                k.octets.to_string(),
            ]
        });
        let header = ["key of", "wrapped by", "octets of files"];
        say!("{}", output::table(&header, rows.collect(), 2));
        if !erased.is_empty() {
            say!("erased: {}", erased.join(", "));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Erases days for good: records, evidence and campaigns. The daemon must not be running
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["day", "before"])))]
pub struct Erase {
    /// A day (UTC), such as 2026-11-24; may be given more than once
    #[arg(long, value_name = "DATE", value_parser = day)]
    day: Vec<Timestamp>,
    /// Every day before this one that has a key
    #[arg(long, value_name = "DATE", value_parser = day)]
    before: Option<Timestamp>,
    /// Do it: without this, it is only said what would be done
    #[arg(long)]
    yes: bool,
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
}

impl Erase {
    fn run(self) -> Outcome {
        let store = load(&self.config)?.store;
        let mut days = self.day.clone();
        if let Some(before) = self.before {
            let keys = EmbeddedStore::keys(&store.path).map_err(failure)?;
            let dated = keys.iter().filter_map(|k| day(&k.name).ok());
            days.extend(dated.filter(|d| *d < before));
        }
        days.sort_unstable();
        days.dedup();
        let today = day(&date(clock::now())).map_err(Failure::software)?;
        if let Some(late) = days.iter().find(|d| **d >= today) {
            let what = format!(
                "{}: the day is not over, and what is still to come of it would be lost with it",
                date(*late)
            );
            return Err(Failure::usage(what));
        }
        let names: Vec<String> = days.iter().map(|d| date(*d)).collect();
        if !self.yes {
            let what = match names.len() {
                0 => "nothing to erase".to_owned(),
                n => format!(
                    "would erase {n} days of {}: {}. It can't be undone; say --yes to do it",
                    store.path.display(),
                    names.join(", ")
                ),
            };
            return Err(Failure::usage(what));
        }
        if names.is_empty() {
            say!("nothing to erase");
            return Ok(ExitCode::SUCCESS);
        }
        let opened = EmbeddedStore::open(&store.path, store.settings.clone());
        let mut open = opened.map_err(failure)?;
        open.erase(&days).map_err(failure)?;
        open.close().map_err(failure)?;
        say!("erased: {}", names.join(", "));
        Ok(ExitCode::SUCCESS)
    }
}

/// Wraps the keys of all days by another key of yours. The daemon must not be running
#[derive(Debug, Args)]
pub struct Rotate {
    /// The new key: a file with 32 octets as hexadecimal digits or base64 (see `new`)
    #[arg(long, value_name = "FILE")]
    new_key_file: PathBuf,
    /// Configuration; its key_file or key_command gives the old key
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
}

impl Rotate {
    fn run(self) -> Outcome {
        let StoreConfig { path, settings, .. } = load(&self.config)?.store;
        let Some(old) = settings.encryption else {
            return Err(Failure::config(
                "[store.encryption] gives no key, so there is none to be changed",
            ));
        };
        let new = KeySource::File(self.new_key_file.clone());
        let count = rotate_keys(&path, &old, &new).map_err(failure)?;
        say!(
            "{count} keys are wrapped by the new one alone: let [store.encryption] name {} before the daemon starts, and destroy the old key",
            self.new_key_file.display()
        );
        Ok(ExitCode::SUCCESS)
    }
}

/// Makes a key of yours: 32 random octets in a new file that only you may read
#[derive(Debug, Args)]
pub struct New {
    /// The file to make. Keep a copy elsewhere: without the key nobody reads the store
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl New {
    fn run(self) -> Outcome {
        make_key_file(&self.file).map_err(Failure::io)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The beginning of a day.
fn day(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"))
        .ok_or_else(|| "not a date such as 2026-11-24".to_owned())
}

/// The date of a point in time, UTC.
fn date(at: Timestamp) -> String {
    let text = at.to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

fn failure(e: StoreError) -> Failure {
    match e {
        StoreError::Corrupt { .. } => Failure::data(e),
        StoreError::Key { .. } => Failure::config(e),
        e => Failure::io(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_date_and_nothing_else() {
        let d = day("2026-11-24").unwrap();
        assert_eq!(
            date(d.plus(std::time::Duration::from_secs(86_399))),
            "2026-11-24"
        );
        for bad in [
            "2026-11-31",
            "2026-11-24T00:00:00Z",
            "store",
            "wal-0000000001",
        ] {
            assert!(day(bad).is_err(), "{bad}");
        }
    }
}
