//! systemd reads what we ship for it: nothing to say about the unit, little exposure, a user and folders. And a real one runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::run;
use super::support::text;

/// The exposure of at most 2.0 that we promise, in tenths.
const EXPOSURE: &str = "--threshold=20";

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("systemd")
        .join(name)
}

/// What `verify` says of a unit; it succeeds also on keys that it does not know.
fn verify(unit: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tracehop.service");
    // The program is not installed where the unit expects it.
    let unit = unit.replace("/usr/bin/tracehop", env!("CARGO_BIN_EXE_tracehop"));
    fs::write(&path, unit).unwrap();
    let out = Command::new("systemd-analyze")
        // The manual comes with the package, whose test looks for it.
        .args(["verify", "--man=no", &text(&path)])
        .output()
        .expect("systemd-analyze; tests/run installs it");
    let said = [out.stdout, out.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
#[ignore = "needs systemd-analyze"]
fn peer_systemd_has_nothing_to_say_of_the_units() {
    let portal = fs::read_to_string(shipped("tracehop-portal.service")).unwrap();
    assert_eq!(verify(&portal), "");
    let unit = fs::read_to_string(shipped("tracehop.service")).unwrap();
    assert_eq!(verify(&unit), "");
    let broken = unit.replace("ProtectHome=", "ProtectHouse=");
    assert!(
        verify(&broken).contains("ProtectHouse"),
        "the test can fail"
    );
}

#[test]
#[ignore = "needs systemd-analyze"]
fn peer_systemd_finds_the_unit_little_exposed() {
    let unit = text(&shipped("tracehop.service"));
    run(
        "systemd-analyze",
        &["security", "--offline=true", EXPOSURE, &unit],
    );
    let settings = fs::read_to_string(&unit).unwrap();
    let value = |key: &str| {
        let mut lines = settings.lines().filter_map(|l| l.split_once('='));
        lines.find(|(k, _)| *k == key).map(|(_, v)| v.to_owned())
    };
    for key in ["AmbientCapabilities", "CapabilityBoundingSet"] {
        assert_eq!(value(key).as_deref(), Some("CAP_NET_RAW"), "{key}");
    }
    assert_eq!(value("User").as_deref(), Some("tracehop"));
    // Both would take adjtimex away, and with it every automatic answer.
    assert_eq!(value("ProtectClock").as_deref(), Some("no"));
    assert!(settings.contains("\nSystemCallFilter=adjtimex clock_adjtime"));
}

#[test]
#[ignore = "needs systemd-analyze"]
fn peer_systemd_finds_the_portals_unit_little_exposed() {
    let unit = text(&shipped("tracehop-portal.service"));
    run(
        "systemd-analyze",
        &["security", "--offline=true", EXPOSURE, &unit],
    );
    let settings = fs::read_to_string(&unit).unwrap();
    for line in ["User=tracehop-portal", "CapabilityBoundingSet="] {
        assert!(settings.lines().any(|l| l == line), "{line}");
    }
}

#[test]
#[ignore = "needs systemd-sysusers and systemd-tmpfiles"]
fn peer_systemd_makes_the_user_and_the_folders() {
    let root = tempfile::tempdir().unwrap();
    let inside = |path: &str| root.path().join(path);
    fs::create_dir_all(inside("etc")).unwrap();
    let at = format!("--root={}", text(root.path()));
    run(
        "systemd-sysusers",
        &[&at, &text(&shipped("tracehop.sysusers"))],
    );
    let users = fs::read_to_string(inside("etc/passwd")).unwrap();
    let user = users.lines().find(|l| l.starts_with("tracehop:")).unwrap();
    assert!(
        user.ends_with(":/var/lib/tracehop:/usr/sbin/nologin"),
        "{user}"
    );
    run(
        "systemd-tmpfiles",
        &["--create", &at, &text(&shipped("tracehop.tmpfiles"))],
    );
    for folder in ["etc/tracehop", "var/lib/tracehop/store"] {
        assert!(inside(folder).is_dir(), "{folder}");
    }
}

#[test]
#[ignore = "needs debootstrap, a Debian mirror, systemd-nspawn and root"]
fn peer_systemd_runs_the_unit_through_its_life() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/unit.sh");
    let said = run(&text(&script), &[env!("CARGO_BIN_EXE_tracehop")]);
    assert!(said.ends_with("done 0\n"), "{said}");
}
