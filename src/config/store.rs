//! Section `[store]`: where records are, how long they stay, and what of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::engine;
use super::reader::Section;
use crate::call::record::evidence::EvidenceKept;
use crate::store::embedded::{
    CompactionSettings, Forwarded, GroupCommit, KeySource, MinFree, StoreSettings,
};
use crate::store::engine::EngineSettings;

/// 18 months: 47 CFR 42.6 asks as much of toll records.
const RETENTION_DAYS: u64 = 548;

/// The store as the operator wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreConfig {
    /// Its folder.
    pub path: PathBuf,
    /// Of which calls it is kept what it takes to judge them again.
    pub evidence: EvidenceKept,
    /// How it behaves.
    pub settings: StoreSettings,
    /// The engine that it is forwarded to.
    pub engine: Option<EngineSettings>,
}

/// Reads the section; `folder` is the configuration's own.
pub(super) fn read(s: Section<'_, '_>, folder: &Path) -> StoreConfig {
    let days = |key, default| Duration::from_secs(s.integer(key, default, 1..3_661) * 86_400);
    // Up to a pebibyte.
    let min_free = s
        .has("min_free_mb")
        .then(|| s.integer("min_free_mb", 0, 0..1 << 30));
    let min_free = min_free.map_or(MinFree::Usual, |mb| MinFree::Octets(mb << 20));
    let path = s.place("path").unwrap_or_else(|| folder.join("store"));
    let engine = engine::read(s.section("engine"));
    // What is forwarded stays as it is until the forwarder says that it has arrived.
    let forwarded = match engine {
        Some(_) => Forwarded::nothing(),
        None => Forwarded::everything(),
    };
    let config = StoreConfig {
        path,
        evidence: evidence(&s),
        settings: StoreSettings {
            retention: days("retention_days", RETENTION_DAYS),
            evidence_retention: days("evidence_days", 30),
            group_commit: GroupCommit {
                // No longer than a second: so much is promised.
                every: Duration::from_millis(s.integer("sync_ms", 1_000, 10..1_001)),
                records: s.integer("sync_records", 65_536, 1..1_000_001),
            },
            forwarded,
            min_free,
            encryption: encryption(&s),
            compaction: CompactionSettings {
                // Up to a gibibyte a second.
                octets_per_second: s.integer("compact_mb_per_second", 32, 0..1_025) << 20,
                ..CompactionSettings::default()
            },
            ..StoreSettings::default()
        },
        engine,
    };
    s.finish();
    config
}

fn evidence(s: &Section<'_, '_>) -> EvidenceKept {
    match s.text("evidence") {
        None | Some(("signed", _)) => EvidenceKept::Signed,
        Some(("failed", _)) => EvidenceKept::Failed,
        Some(("none", _)) => EvidenceKept::None,
        Some((text, span)) => {
            s.problem_at(
                &span,
                format!("{text:?} is none of the choices"),
                "write \"signed\" (every call with an Identity header), \"failed\" or \"none\"",
            );
            EvidenceKept::default()
        }
    }
}

/// `[store.encryption]`: where it stands, exactly one of its keys must.
fn encryption(s: &Section<'_, '_>) -> Option<KeySource> {
    if !s.has("encryption") {
        return None;
    }
    let s = s.section("encryption");
    let (file, command) = (s.place("key_file"), s.texts("key_command"));
    let command: Vec<String> = command
        .into_iter()
        .map(|(word, _)| word.to_owned())
        .collect();
    let source = match (file, command.is_empty()) {
        (Some(file), true) => {
            // What the store refuses is better known now than when it is opened.
            if fs::metadata(&file).is_ok_and(|f| f.permissions().mode() & 0o077 != 0) {
                s.problem_at(
                    &s.span(),
                    format!("others than its owner may use {}", file.display()),
                    "chmod 600, and think about whether they have",
                );
            }
            Some(KeySource::File(file))
        }
        (None, false) => Some(KeySource::Command(command)),
        (file, _) => {
            let what = match file {
                Some(_) => "store.encryption has two keys",
                None => "store.encryption has no key",
            };
            s.problem_at(
                &s.span(),
                what.to_owned(),
                "write key_file = \"…\" or key_command = [\"…\"], one of them",
            );
            None
        }
    };
    s.finish();
    source
}
