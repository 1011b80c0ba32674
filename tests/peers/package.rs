//! The Debian package, looked at by Debian's own tools, and through its life in a clean Debian.
//!
//! The package that CI made of its release build is named by `TRACEHOP_PACKAGE`; without it one is made of the program that cargo built for these tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::run;
use super::support::text;

fn source(name: &str) -> String {
    text(&Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
}

/// Makes the package of the tests' program, quickly, in some time zone.
fn build(into: &Path, zone: &str) -> PathBuf {
    let arguments = ["--quick", "--binary", env!("CARGO_BIN_EXE_tracehop")];
    let out = Command::new(source("packaging/deb"))
        .args(arguments)
        .args(["--out", &text(into)])
        .env("TZ", zone)
        .output()
        .expect("packaging/deb");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{}\n{said}", out.status);
    let path = String::from_utf8_lossy(&out.stdout);
    PathBuf::from(path.trim_end().lines().last().expect("a path"))
}

/// The package that is to be tested.
fn package(folder: &Path) -> String {
    let made = std::env::var_os("TRACEHOP_PACKAGE");
    text(&made.map_or_else(|| build(folder, "UTC"), PathBuf::from))
}

#[test]
#[ignore = "needs debhelper"]
fn peer_package_is_the_same_octets_whenever_and_wherever_it_is_made() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = fs::read(build(one.path(), "UTC")).unwrap();
    let second = fs::read(build(two.path(), "Asia/Tokyo")).unwrap();
    assert!(first == second, "they differ");
}

#[test]
#[ignore = "needs debhelper and lintian"]
fn peer_package_has_nothing_that_lintian_warns_of() {
    let folder = tempfile::tempdir().unwrap();
    let package = package(folder.path());
    let how = ["--allow-root", "--fail-on", "error,warning"];
    let said = run("lintian", &[&how[..], &[&package]].concat());
    assert_eq!(said, "", "lintian");
}

#[test]
#[ignore = "needs debhelper"]
fn peer_package_depends_on_what_the_program_needs() {
    let folder = tempfile::tempdir().unwrap();
    let package = package(folder.path());
    let field = |name| run("dpkg-deb", &["--field", &package, name]);
    let version = field("Version");
    assert_eq!(
        version.trim(),
        concat!(env!("CARGO_PKG_VERSION"), "-1"),
        "the program's"
    );
    let depends = field("Depends");
    assert!(depends.contains("libc6 (>= 2."), "{depends}");
    // Who makes the user.
    assert!(depends.contains("systemd-sysusers"), "{depends}");
    run("dpkg-deb", &["--control", &package, &text(folder.path())]);
    let conffiles = fs::read_to_string(folder.path().join("conffiles")).unwrap();
    let all: Vec<_> = conffiles.lines().collect();
    assert!(all.contains(&"/etc/tracehop/tracehop.toml"), "{all:?}");
    assert!(all.contains(&"/etc/tracehop/peers.toml"), "{all:?}");
}

#[test]
#[ignore = "needs debhelper"]
fn peer_package_completions_are_what_shells_read() {
    let folder = tempfile::tempdir().unwrap();
    let package = package(folder.path());
    run("dpkg-deb", &["--extract", &package, &text(folder.path())]);
    let share = folder.path().join("usr/share");
    for (shell, script) in [
        ("bash", "bash-completion/completions/tracehop"),
        ("zsh", "zsh/vendor-completions/_tracehop"),
        ("fish", "fish/vendor_completions.d/tracehop.fish"),
    ] {
        let script = share.join(script);
        assert!(script.is_file(), "{shell}");
        // The others are asked where they are.
        let is_here = Command::new(shell).args(["-c", "exit"]).status().is_ok();
        if is_here || shell == "bash" {
            run(shell, &["-n", &text(&script)]);
        }
    }
}

#[test]
#[ignore = "needs debhelper, debootstrap, a Debian mirror, systemd-nspawn and root"]
fn peer_package_is_installed_upgraded_removed_and_purged() {
    let folder = tempfile::tempdir().unwrap();
    let package = package(folder.path());
    let said = run(&source("tests/peers/package.sh"), &[&package]);
    assert!(said.ends_with("done 0\n"), "{said}");
}
