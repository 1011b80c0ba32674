//! What several integration tests need: a laboratory in a folder of its own, and a store that keeps everything in the order written.
#![allow(dead_code)] // each test binary uses a part

use std::path::{Path, PathBuf};

use tracehop::base::Timestamp;
use tracehop::call::record::evidence::StoredEvidence;
use tracehop::call::record::{Begin, Coverage, End, StoredCall};
use tracehop::capture::Merge;
use tracehop::config::Config;
use tracehop::daemon::pipeline::{self, PipelineSettings, Report};
use tracehop::fetch::directory;
use tracehop::lab::{self, LabOptions};
use tracehop::number::Tn;
use tracehop::store::{Bounded, Lookup, Role, Store, StoreError};

/// A laboratory in a temporary folder.
pub struct Lab {
    pub dir: tempfile::TempDir,
    pub config: Config,
}

impl Lab {
    pub fn new(seed: u64, calls: usize) -> Self {
        Self::with(|options| LabOptions {
            seed,
            calls,
            ..options
        })
    }

    /// One with other options than a user's.
    pub fn with(options: impl FnOnce(LabOptions) -> LabOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("lab");
        lab::generate(&options(LabOptions::new(&out))).unwrap();
        let config = Config::load(&out.join("tracehop.toml")).unwrap_or_else(|p| panic!("{p:#?}"));
        Self { dir, config }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("lab").join(name)
    }

    /// Every capture of the laboratory.
    pub fn captures(&self) -> Vec<PathBuf> {
        let mut out: Vec<_> = std::fs::read_dir(self.path(""))
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "pcap" || e == "pcapng"))
            .collect();
        out.sort();
        assert!(!out.is_empty());
        out
    }

    pub fn replay(&self, store: &mut (dyn Store + Send), judges: usize) -> Report {
        replay(&self.config, &self.captures(), store, judges)
    }
}

/// What the stages of a laboratory need.
pub fn settings(config: &Config, judges: usize) -> PipelineSettings {
    let loaded = directory::load(&config.credentials, lab::DEFAULT_BASE).unwrap();
    PipelineSettings::new(config, loaded.credentials, judges)
}

/// Runs captures through the three stages.
pub fn replay(
    config: &Config,
    files: &[PathBuf],
    store: &mut (dyn Store + Send),
    judges: usize,
) -> Report {
    let settings = settings(config, judges);
    let mut source = Merge::open(files.iter().map(|f| (f.clone(), 0))).unwrap();
    let (report, troubles) = pipeline::run_files(&settings, store, &mut source, |_, _| ()).unwrap();
    assert!(troubles.is_empty(), "{troubles:?}");
    report
}

/// A store that keeps what it was given, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recorder {
    pub begins: Vec<Begin>,
    pub ends: Vec<End>,
    pub coverage: Vec<Coverage>,
    pub evidence: Vec<StoredEvidence>,
}

impl Recorder {
    pub fn calls(&self) -> Vec<StoredCall> {
        let mut ends = std::collections::HashMap::new();
        for e in &self.ends {
            ends.insert(e.uid, e.clone());
        }
        self.begins
            .iter()
            .map(|b| StoredCall {
                begin: b.clone(),
                end: ends.remove(&b.uid),
            })
            .collect()
    }

    /// Everything as JSON lines: what "byte-identical" is said of.
    pub fn lines(&self) -> String {
        let begins = self
            .begins
            .iter()
            .map(|b| serde_json::to_string(b).unwrap());
        let ends = self.ends.iter().map(|e| serde_json::to_string(e).unwrap());
        let coverage = self
            .coverage
            .iter()
            .map(|c| serde_json::to_string(c).unwrap());
        begins
            .chain(ends)
            .chain(coverage)
            .map(|l| l + "\n")
            .collect()
    }
}

impl Lookup for Recorder {
    fn last_uid(&self) -> u64 {
        self.begins.last().map_or(0, |b| b.uid)
    }

    fn look_up(
        &self,
        _: Role,
        _: Tn,
        _: Timestamp,
        _: Timestamp,
        _: u64,
    ) -> Result<Bounded, StoreError> {
        unimplemented!("only written to")
    }

    fn coverage(&self, _: Timestamp, _: Timestamp) -> Result<Vec<Coverage>, StoreError> {
        Ok(self.coverage.clone())
    }

    fn forgotten_before(&self) -> Option<Timestamp> {
        None
    }
}

impl Store for Recorder {
    fn append_begin(&mut self, begin: &Begin) -> Result<(), StoreError> {
        self.begins.push(begin.clone());
        Ok(())
    }

    fn append_end(&mut self, end: &End) -> Result<(), StoreError> {
        let begun = self.begins.iter().rev().any(|b| b.uid == end.uid);
        assert!(
            begun,
            "the second half of {} came before its first",
            end.uid
        );
        self.ends.push(end.clone());
        Ok(())
    }

    fn append_coverage(&mut self, coverage: &Coverage) -> Result<(), StoreError> {
        self.coverage.push(coverage.clone());
        Ok(())
    }

    fn append_evidence(&mut self, evidence: &StoredEvidence) -> Result<(), StoreError> {
        self.evidence.push(evidence.clone());
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The built binary.
pub fn tracehop(arguments: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_tracehop"))
        .args(arguments)
        .output()
        .unwrap()
}

pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
