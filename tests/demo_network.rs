//! `tracehop demo --network` as people start it: a portal and ten daemons as processes, and every trace ends where the call began.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tracehop::base::Timestamp;
use tracehop::host::clock;
use tracehop::number::Tn;
use tracehop::store::Lookup as _;
use tracehop::store::embedded::EmbeddedStore;

/// A folder that `nobody` may work in, where the test is root.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).unwrap();
    dir
}

fn demo(dir: &Path, further: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracehop"));
    command
        .args(["demo", "--network", "--dir"])
        .arg(dir)
        .args(further)
        .stdin(Stdio::null());
    command
}

/// Processes of this binary whose command line names the folder.
fn processes(dir: &Path) -> usize {
    let dir = dir.to_str().unwrap();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter(|p| {
        let line = std::fs::read(p.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(dir)
    })
    .count()
}

/// Calls towards a number that a carrier's store has of the last minute.
fn live_calls(dir: &Path, carrier: &str, since: Timestamp) -> usize {
    let (store, _) = EmbeddedStore::open_read_only(&dir.join(carrier).join("state/store")).unwrap();
    (0..100)
        .map(|line| {
            let number = format!("120255501{line:02}");
            let number = Tn::from_canonical(number.as_bytes()).unwrap();
            store
                .by_called(number, since, Timestamp::MAX)
                .unwrap()
                .len()
        })
        .sum()
}

#[test]
fn every_trace_of_the_demonstration_ends_where_the_call_began() {
    let folder = folder();
    let dir = folder.path().join("demo");
    std::fs::create_dir(&dir).unwrap();
    let begin = clock::now();
    let out = demo(&dir, &["--seconds", "40"]).output().unwrap();
    let said = String::from_utf8_lossy(&[&*out.stdout, &*out.stderr].concat()).into_owned();
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(
        said.contains("10 of 10 traces found what is true."),
        "{said}"
    );
    for found in [
        "originator, Juniper",
        "originator, Driftwood",
        "point-of-entry, Granite",
        "non-responsive, Harbor",
    ] {
        assert!(said.contains(found), "{said}");
    }
    assert_eq!(processes(&dir), 0, "all of them end with it");
    assert!(
        live_calls(&dir, "ASHGROVE", begin) > 0,
        "calls that were made meanwhile are recorded: {said}"
    );
}

#[test]
fn portal_and_daemons_end_with_a_demonstration_that_is_killed() {
    let folder = folder();
    let dir = folder.path().join("demo");
    std::fs::create_dir(&dir).unwrap();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut child = demo(&dir, &["--pace", "0"]).stdout(log).spawn().unwrap();
    let begin = Instant::now();
    while processes(&dir) < 12 {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "it does not start"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let begin = Instant::now();
    while processes(&dir) > 0 {
        assert!(begin.elapsed() < Duration::from_secs(20), "they go on");
        std::thread::sleep(Duration::from_millis(50));
    }
}
