//! What the store costs: writing, looking up, opening, and beside other stores.
//!
//! `cargo bench --bench store -- FOLDER RECORDS [PART …]` (for instance `/var/tmp/store 100000000`), as root, so that the file cache can be dropped.
//!
//! Prints Markdown for docs/BENCHMARKS.md. Parts: `write`, `look-ups`, `compaction`, `reopen`, `encryption`, `beside`; all when none is named. FOLDER gets a store of 10^6, 10^7, … up to RECORDS
//! records each, which is kept and used again; everything else in it is made anew and deleted. 10^8 records take 8 GB.

mod beside;
mod look;
mod machine;
mod made;
mod merge;
mod open;
mod sealed;
mod write;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    if let [child, folder, first, count] = args.as_slice()
        && child == open::CHILD
    {
        open::append_and_wait(Path::new(folder), number(first), number(count));
        return ExitCode::SUCCESS;
    }
    let (folder, records) = match args.as_slice() {
        [folder, records, ..] => (PathBuf::from(folder), number(records)),
        _ => {
            println!("store: a folder and a number of records are needed; nothing measured");
            return ExitCode::SUCCESS;
        }
    };
    std::fs::create_dir_all(&folder).unwrap();
    let parts: Vec<&str> = args.iter().skip(2).map(String::as_str).collect();
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("Load at the beginning: {}\n", load.trim());
    if wanted("write") {
        write::measure(&folder);
    }
    if wanted("look-ups") || wanted("compaction") {
        look::measure(&folder, records, wanted("look-ups"), wanted("compaction"));
    }
    if wanted("reopen") {
        open::measure(&folder, records);
    }
    if wanted("encryption") {
        sealed::measure(&folder);
    }
    if wanted("beside") {
        beside::measure(&folder, records);
    }
    ExitCode::SUCCESS
}

fn number(text: &str) -> u64 {
    text.replace('_', "")
        .parse()
        .unwrap_or_else(|_| panic!("{text} is no number"))
}
