//! What opening the store came upon: said in the log once, counted for the metrics.

use std::path::Path;
use std::time::Duration;

use crate::base::Timestamp;
use crate::store::embedded::{CheckOptions, OpenReport, StoreSettings, check};

/// After a stop that was not clean, hours that a crash may have touched are looked at.
const TOUCHED: Duration = Duration::from_secs(3 * 3_600);

/// What was found since the process started: a store that failed is opened again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreFound {
    /// Records read back from logs: what no segment held yet.
    pub records: u64,
    /// Octets at the end of logs that are no whole frame.
    pub torn_bytes: u64,
    /// Damaged stretches of logs: records in them are lost, and the ledger says so.
    pub bad_frames: u64,
    /// Events of logs that this version can't read.
    pub unreadable: u64,
    /// Files of seals and compactions that did not come to their end, deleted.
    pub void_files: u64,
    /// Files that are damaged or not there.
    pub damaged_files: u64,
}

impl StoreFound {
    /// Adds what an opening came upon, and says it. Where the stop before was not clean, the youngest files are looked at as well.
    pub fn add(
        &mut self,
        path: &Path,
        settings: &StoreSettings,
        report: &OpenReport,
        now: Timestamp,
    ) {
        if *report == OpenReport::default() {
            return;
        }
        let store = path.display();
        for foreign in &report.foreign {
            tracing::warn!(store = %store, "{}: is not ours, and left alone", foreign.display());
        }
        let mut damaged: Vec<String> = report
            .damaged
            .iter()
            .map(|p| p.display().to_string())
            .collect();
        let options = CheckOptions {
            quick: true,
            without_logs: true,
            since: Some(now.minus(TOUCHED)),
            encryption: settings.encryption.clone(),
        };
        match check(path, options, &mut |_| ()) {
            Ok(found) => {
                let files = found
                    .damage()
                    .map(|f| format!("{}: {}", f.file.display(), f.what));
                damaged.extend(files);
            }
            Err(e) => damaged.push(e.to_string()),
        }
        damaged.sort_unstable();
        damaged.dedup();
        for file in &damaged {
            tracing::error!(store = %store, "{file}; look-ups that need it fail: `tracehop store check` says more");
        }
        if report.bad_frames > 0 || report.unreadable > 0 {
            tracing::error!(
                store = %store,
                "the log has {} damaged stretches of {} octets and {} events that can't be read: their records are lost, and the coverage ledger says so",
                report.bad_frames, report.bad_bytes, report.unreadable
            );
        }
        if report.records > 0 || report.torn_bytes > 0 || report.void_files > 0 {
            tracing::info!(
                store = %store,
                "the last stop was not clean: {} records and {} second halves read back from the log, {} octets of an unfinished frame and {} unfinished files cleared away",
                report.records, report.ends, report.torn_bytes, report.void_files
            );
        }
        self.records += report.records;
        self.torn_bytes += report.torn_bytes;
        self.bad_frames += report.bad_frames;
        self.unreadable += report.unreadable;
        self.void_files += report.void_files;
        self.damaged_files += damaged.len() as u64;
    }
}
