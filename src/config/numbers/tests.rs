use std::fs;
use std::path::Path;

use super::*;
use crate::config::reader::Reader;
use crate::number::Allocation;

fn read_in(folder: &Path, text: &str) -> (Read, Vec<Problem>, Vec<std::path::PathBuf>) {
    let (reader, table) = Reader::parse(&folder.join("tracehop.toml"), text);
    let root = reader.root(&table);
    let read = read(
        root.section("numbers"),
        root.section("flags"),
        OwnNumbers::default(),
    );
    let files = reader.files();
    (read, reader.into_problems(), files)
}

#[test]
fn nothing_written_is_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let (read, problems, files) = read_in(folder.path(), "");
    assert!(problems.is_empty() && read.problems.is_empty() && files.is_empty());
    assert_eq!(read.plan, NumberPlan::default());
    let f = &read.flags;
    let tn = |t: &str| Tn::from_canonical(t.as_bytes()).unwrap();
    for code in ["911", "112", "1911"] {
        assert!(f.emergency.contains(&tn(code)), "{code}");
    }
    assert!(!f.emergency.contains(&tn("933")));
    assert_eq!((f.callback.as_secs(), f.learning_calls), (7_200, 1_000));
}

#[test]
fn files_are_read_and_change_the_version() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("dno.txt", "12025550190\n");
    write("protected.txt", "1202555018*\n");
    write("blocks.csv", "npa,nxx,x,status\n202,555,0,assigned\n");
    let text = "[numbers]\ndo_not_originate = \"dno.txt\"\nprotected = \"protected.txt\"\nallocations = \"blocks.csv\"\n\
                [flags]\ndisabled = [\"neighbour-spoof\"]\nemergency = [\"999\"]\ncallback_hours = 1\nlearning_days = 30\n";
    let (one, problems, files) = read_in(folder.path(), text);
    assert!(problems.is_empty() && one.problems.is_empty());
    assert_eq!(files.len(), 3);
    let tn = |t: &str| Tn::from_canonical(t.as_bytes()).unwrap();
    let f = &one.flags;
    assert!(f.do_not_originate.contains(&tn("12025550190")));
    assert!(f.protected.contains(&tn("12025550181")));
    let blocks = f.allocations.as_ref().unwrap();
    assert_eq!(blocks.of(&tn("12025550123")), Allocation::Assigned);
    assert!(f.disabled.contains(Flag::NeighbourSpoof));
    assert!(f.emergency.contains(&tn("999")) && !f.emergency.contains(&tn("911")));
    assert_eq!(f.learning.as_secs(), 30 * 86_400);
    write("dno.txt", "12025550191\n");
    assert_ne!(one.version, read_in(folder.path(), text).0.version);
}

#[test]
fn every_problem_has_its_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("dno.txt"), "12025550190\nalice\n").unwrap();
    fs::write(
        folder.path().join("blocks.csv"),
        "202,155,,assigned\n".repeat(30),
    )
    .unwrap();
    let text = "[numbers]\ndo_not_originate = \"dno.txt\"\nprotected = \"not-there.txt\"\nallocations = \"blocks.csv\"\n\
                [flags]\ndisabled = [\"spoof\"]\nemergency = [\"alice\"]\nlearning_calls = 0\nlerning_days = 2\n";
    let (read, problems, _) = read_in(folder.path(), text);
    let lines: Vec<_> = problems.iter().map(|p| p.line).collect();
    assert_eq!(lines, [6, 7, 8, 9]);
    let of = |name: &str| -> Vec<usize> {
        let of_file = read.problems.iter().filter(|p| p.file.ends_with(name));
        of_file.map(|p| p.line).collect()
    };
    assert_eq!(of("dno.txt"), [2]);
    assert_eq!(of("not-there.txt"), [0]);
    let blocks = of("blocks.csv");
    assert_eq!((blocks.len(), blocks[19], blocks[20]), (21, 20, 0));
    assert!(read.problems.iter().all(|p| !p.remedy.is_empty()));
}
