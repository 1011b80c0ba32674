//! The house stands: no lower floor imports a higher one, and floors 0 to 4 touch nothing outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tracehop::stir::verify::Rule;
use tracehop::stir::verify::practice::{How, PRACTICES};

/// Floor of each room (docs/ARCHITECTURE.md).
const FLOORS: [(&str, u8); 21] = [
    ("base", 0),
    ("number", 1),
    ("wire", 1),
    ("stir", 2),
    ("call", 3),
    ("traceback", 3),
    ("engine", 4),
    ("capture", 5),
    ("fetch", 5),
    ("findings", 5),
    ("store", 5),
    ("proof", 5),
    ("responder", 5),
    ("portal", 5),
    ("web", 5),
    ("host", 5),
    ("sys", 5),
    ("lab", 6),
    ("config", 6),
    ("daemon", 6),
    ("cli", 6),
];

/// What the pure floors must not name, and why.
const OUTSIDE: [(&str, &str); 16] = [
    ("std::fs", "files"),
    ("std::env", "environment"),
    ("std::process", "processes"),
    ("std::thread", "threads"),
    ("std::io", "files and sockets"),
    ("TcpStream", "sockets"),
    ("TcpListener", "sockets"),
    ("UdpSocket", "sockets"),
    ("Instant", "clocks"),
    ("SystemTime", "clocks"),
    ("now_utc", "clocks"),
    ("println!", "the log"),
    ("tracing::", "the log"),
    ("tokio", "threads and sockets"),
    ("hyper", "sockets"),
    ("arc_swap", "threads"),
];

#[test]
fn no_lower_floor_imports_a_higher_one() {
    let wrong: Vec<String> = sources()
        .iter()
        .flat_map(|(path, text)| imports_above(path, text))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn floors_0_to_4_touch_nothing_outside() {
    let wrong: Vec<String> = sources()
        .iter()
        .flat_map(|(path, text)| names_outside(path, text))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_room_has_a_floor_and_stands_on_the_map() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            let room = entry.file_name().into_string().unwrap();
            assert!(floor_of(&room).is_some(), "room {room} has no floor");
            assert!(
                lib.contains(&format!("pub mod {room};")),
                "{room} is not in lib.rs"
            );
            assert!(
                lib.contains(&format!("[`{room}`]")),
                "{room} is not on the map of lib.rs"
            );
        }
    }
}

#[test]
fn only_the_room_of_system_calls_is_unsafe() {
    let mut all = sources();
    for folder in ["tests", "benches", "fuzz"] {
        all.append(&mut rust_files(folder));
    }
    let wrong: Vec<String> = all
        .iter()
        .flat_map(|(path, text)| unsafe_in(path, text))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The tests above can fail.
#[test]
fn what_others_call_a_request_or_case_is_masked_in_the_log() {
    let breaches: Vec<String> = sources()
        .iter()
        .flat_map(|(path, text)| unmasked_in(path, text))
        .collect();
    assert_eq!(breaches, Vec::<String>::new());
}

#[test]
fn a_breach_is_seen() {
    let path = root().join("src/wire/x.rs");
    assert_eq!(
        imports_above(&path, "use crate::call::record::Begin;").len(),
        1
    );
    assert_eq!(imports_above(&path, "use crate::base::Timestamp;").len(), 0);
    assert_eq!(
        imports_above(&path, "use crate::{base::Timestamp, store::Store};").len(),
        1
    );
    assert_eq!(
        names_outside(&path, "let t = std::time::Instant::now();").len(),
        1
    );
    assert_eq!(names_outside(&path, "// an Instant in a comment").len(), 0);
    assert_eq!(
        names_outside(&root().join("src/store/x.rs"), "use std::fs;").len(),
        0
    );
    let block = format!("let fd = {UNSAFE} {{ open() }};");
    assert_eq!(unsafe_in(&path, &block).len(), 1);
    assert_eq!(unsafe_in(&path, &format!("{UNSAFE}fn f() {{}}")).len(), 0);
    assert_eq!(unsafe_in(&path, &format!("// {block}")).len(), 0);
    assert_eq!(unsafe_in(&root().join("src/sys/x.rs"), &block).len(), 0);
    let masked = "warn!(request = %Masked(&key), case = %Masked(&case), \"late\");";
    assert_eq!(unmasked_in(&path, masked).len(), 0);
    let bare = masked.replacen("Masked(&case)", "case", 1);
    assert_eq!(unmasked_in(&path, &bare).len(), 1);
}

fn imports_above(path: &Path, text: &str) -> Vec<String> {
    let Some(floor) = room_of(path).and_then(|r| floor_of(&r)) else {
        return Vec::new();
    };
    let mut wrong = Vec::new();
    for (n, line) in code(text) {
        for (room, other) in FLOORS {
            let direct = line.contains(&format!("crate::{room}::"))
                || line.contains(&format!("crate::{room};"));
            let grouped = line.contains("crate::{")
                && line
                    .split(['{', ',', ' '])
                    .any(|w| w == room || w.starts_with(&format!("{room}::")));
            if other > floor && (direct || grouped) {
                wrong.push(format!(
                    "{}:{n}: floor {floor} imports {room} on floor {other}",
                    path.display()
                ));
            }
        }
    }
    wrong
}

/// Written so that this file doesn't find itself.
const UNSAFE: &str = concat!("un", "safe");

fn unsafe_in(path: &Path, text: &str) -> Vec<String> {
    if room_of(path).is_some_and(|r| r == "sys") {
        return Vec::new();
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let lines = text.lines().enumerate();
    let code = lines.filter(|(_, l)| !l.trim_start().starts_with("//"));
    code.filter(|(_, l)| l.split(|c| !is_word(c)).any(|w| w == UNSAFE))
        .map(|(n, _)| format!("{}:{}: {UNSAFE} outside of src/sys", path.display(), n + 1))
        .collect()
}

/// Fields of the log with a portal's words, which may be a telephone number.
fn unmasked_in(path: &Path, text: &str) -> Vec<String> {
    let logged = code(text).filter(|(_, l)| l.contains("request = %") || l.contains("case = %"));
    let bare = logged.filter(|(_, l)| {
        let fields = l.matches("request = %").count() + l.matches("case = %").count();
        l.matches("= %Masked(").count() < fields
    });
    bare.map(|(n, l)| format!("{}:{n}: {}", path.display(), l.trim()))
        .collect()
}

fn names_outside(path: &Path, text: &str) -> Vec<String> {
    let Some(floor) = room_of(path).and_then(|r| floor_of(&r)) else {
        return Vec::new();
    };
    if floor > 4 {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    for (n, line) in code(text) {
        for (name, what) in OUTSIDE {
            if line.contains(name) {
                wrong.push(format!(
                    "{}:{n}: floor {floor} names {name}: {what}",
                    path.display()
                ));
            }
        }
    }
    wrong
}

/// Lines of code with their numbers: no comments, nothing from the tests at a file's foot.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, l)| !l.starts_with("#[cfg(test)]"))
        .filter(|(_, l)| !l.trim_start().starts_with("//"))
        .map(|(n, l)| (n + 1, l))
}

fn room_of(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(root().join("src")).ok()?;
    let mut parts = inside.components();
    let first = parts.next()?;
    parts.next()?;
    Some(first.as_os_str().to_str()?.to_owned())
}

fn floor_of(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(r, _)| *r == room).map(|(_, f)| *f)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> BTreeMap<PathBuf, String> {
    let mut out = rust_files("src");
    out.retain(|path, _| !is_test(path));
    assert!(out.len() > 20, "the sources were found");
    out
}

/// Every Rust file of a folder and below it, with its text.
fn rust_files(folder: &str) -> BTreeMap<PathBuf, String> {
    let mut out = BTreeMap::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.insert(path.clone(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    out
}

fn is_test(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|n| n == "tests.rs" || n == "test_support.rs")
        || path.components().any(|c| c.as_os_str() == "tests")
}

/// A rule of verification without a test or a case that bears its ID is a claim.
#[test]
fn every_rule_is_shown_by_a_test_or_a_case_that_bears_its_id() {
    let of_code = Rule::ALL.iter().map(|r| r.id());
    let kept = PRACTICES.iter().filter(|p| matches!(p.how, How::Kept(_)));
    let ids: BTreeSet<&str> = of_code.chain(kept.map(|p| p.id)).collect();
    let mut shown: BTreeSet<String> = fs::read_dir(root().join("tests/cases"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.split_once('-')?.0.to_owned()))
        .collect();
    for text in rust_files("src")
        .into_values()
        .chain(rust_files("tests").into_values())
    {
        for line in text.lines() {
            let Some(name) = line
                .trim()
                .strip_prefix("fn ")
                .and_then(|l| l.split('(').next())
            else {
                continue;
            };
            shown.extend(name.split('_').map(str::to_uppercase));
        }
    }
    let missing: Vec<_> = ids.iter().filter(|id| !shown.contains(**id)).collect();
    assert!(missing.is_empty(), "no test or case bears {missing:?}");
}
