//! Merging the segments of each hour, as fast as it goes, in a copy of the store that shares its sealed files.

use std::fs;
use std::path::{Path, PathBuf};

use tracehop::base::Timestamp;
use tracehop::store::embedded::EmbeddedStore;

use super::machine::{Since, forget_peak, octets, resident};
use super::write;

/// The copy beside a store.
pub fn copy_of(folder: &Path) -> PathBuf {
    folder.with_extension("merged")
}

/// Makes the copy and merges it, unless that was done before.
pub fn measure(folder: &Path, records: u64) {
    let merged = copy_of(folder);
    if merged.exists() {
        return;
    }
    let partial = folder.with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    share(folder, &partial);
    let files = count(&partial);
    let before = octets(&partial.join("seg"), "");
    let mut store = EmbeddedStore::open(&partial, write::settings()).unwrap();
    forget_peak();
    let (rss, _) = resident();
    let since = Since::now();
    // Long after the last record: every hour is closed, and its calls are over.
    store.compact(Timestamp::from_secs(4_000_000_000)).unwrap();
    let spent = since.spent();
    let done = store.counters().compaction;
    let (_, peak) = resident();
    store.close().unwrap();
    let after = octets(&partial.join("seg"), "");
    println!("### Merging the hours of {records} records\n");
    println!(
        "{:.1} s: {:.0} records a second, {:.2} µs CPU a record; {files} files of records became {}, {:.1} octets a record {:.1}; \
         {} late second halves of {records} records went into their rows; {:.0} octets a record read, {:.0} written; \
         memory {rss:.0} MB before, {peak:.0} MB at most\n",
        spent.wall.as_secs_f64(),
        spent.per_second(done.rows.max(1)),
        spent.cpu_us(done.rows.max(1)),
        count(&partial),
        before as f64 / records as f64,
        after as f64 / records as f64,
        done.folded,
        done.read as f64 / done.rows.max(1) as f64,
        done.written as f64 / done.rows.max(1) as f64,
    );
    fs::rename(&partial, &merged).unwrap();
}

/// Sealed files never change, so the copy has them by hard links; the log and what is written anew by name are copied.
fn share(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        let sealed = ["parquet", "cix", "ends", "ev"];
        let extension = path.extension().and_then(|e| e.to_str());
        if path.is_dir() {
            share(&path, &to);
        } else if extension.is_some_and(|e| sealed.contains(&e)) {
            fs::hard_link(&path, &to).unwrap();
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|e| match e.path() {
            path if path.is_dir() => count(&path),
            path => usize::from(path.extension().is_some_and(|e| e == "parquet")),
        })
        .sum()
}
