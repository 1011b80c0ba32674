//! How long it takes to open a store: closed well, and after its process was killed with a log as long as they get.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use tracehop::store::embedded::EmbeddedStore;
use tracehop::store::{Lookup, Store};

use super::look::sizes;
use super::machine::{drop_cache, resident};
use super::{made, write};

/// As an argument: this process is the one to be killed.
pub const CHILD: &str = "--append-and-wait";
/// Records in the log of the killed one: just not sealed.
const UNSEALED: u64 = 499_000;

pub fn measure(folder: &Path, records: u64) {
    println!("### Opening\n");
    println!(
        "Killed: {UNSEALED} records in the log, the file cache dropped before. A copy whose sealed files are links.\n"
    );
    println!("| records | closed, cold | killed, cold | records read back | memory after, MB |");
    println!("|---|---|---|---|---|");
    for size in sizes(records) {
        let store = folder.join(size.to_string());
        if !store.exists() {
            write::fill(&store, size);
        }
        let copy = folder.join("opened");
        let _ = fs::remove_dir_all(&copy);
        link(&store, &copy);
        drop_cache();
        let start = Instant::now();
        let opened = EmbeddedStore::open(&copy, write::settings()).unwrap();
        let closed = start.elapsed();
        let next = opened.last_uid() + 1;
        drop(opened);

        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                CHILD,
                &copy.to_string_lossy(),
                &next.to_string(),
                &UNSEALED.to_string(),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "committed");
        child.kill().unwrap();
        child.wait().unwrap();
        drop_cache();
        let start = Instant::now();
        let opened = EmbeddedStore::open(&copy, write::settings()).unwrap();
        let killed = start.elapsed();
        let back = opened.open_report().records;
        assert_eq!(opened.last_uid(), next + UNSEALED - 1);
        println!(
            "| {size} | {:.0} ms | {:.0} ms | {back} | {:.0} |",
            closed.as_secs_f64() * 1e3,
            killed.as_secs_f64() * 1e3,
            resident().0
        );
        drop(opened);
        fs::remove_dir_all(&copy).unwrap();
    }
    println!();
}

/// The process that is killed.
pub fn append_and_wait(folder: &Path, first: u64, count: u64) {
    let mut store = EmbeddedStore::open(folder, write::settings()).unwrap();
    // Hours on, so that no early seal takes them: all within one segment's span.
    for uid in first..first + count {
        store.append_begin(&made::begin(uid)).unwrap();
    }
    store.commit().unwrap();
    println!("committed");
    loop {
        std::thread::park();
    }
}

fn link(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, new) = (entry.path(), to.join(entry.file_name()));
        let name = path.to_string_lossy().into_owned();
        if path.is_dir() {
            link(&path, &new);
        } else if [".parquet", ".cix", ".ends"]
            .iter()
            .any(|e| name.ends_with(e))
        {
            fs::hard_link(&path, &new).unwrap();
        } else {
            fs::copy(&path, &new).unwrap();
        }
    }
}
