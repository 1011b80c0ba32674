//! Flipped bits in any file of a store: the same answer or an error that names the file, never another answer; and a check that names it.

use std::fs;
use std::path::PathBuf;

use super::check::{Answers, files, rich_with};
use super::*;

/// As many as the requirement says, and a few; `TRACEHOP_FLIPS` sets another number, `TRACEHOP_SEED` another seed.
const FLIPS: u64 = 2_100;
/// Every so many a repair is tried too.
const REPAIRED: u64 = 15;

pub(super) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(default)
}

/// SplitMix64.
pub(super) struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn kind(path: &Path) -> String {
    match path.extension() {
        Some(e) if path.to_string_lossy().contains("/coverage/") => {
            format!("coverage {}", e.display())
        }
        Some(e) => e.to_string_lossy().into_owned(),
        None => path.file_name().unwrap().to_string_lossy().into_owned(),
    }
}

#[test]
fn no_flipped_bit_in_any_file_gives_another_answer() {
    let dir = tempfile::tempdir().unwrap();
    let plain = Place {
        root: dir.path().join("store"),
        settings: settings(1_000_000),
    };
    let kinds = "cix, coverage parquet, ends, ev, forgotten, format, jsonl, manifest, parquet, wal";
    plain.flip(number("TRACEHOP_FLIPS", FLIPS), kinds);
}

#[test]
fn no_flipped_bit_in_any_file_of_an_encrypted_store_gives_another_answer() {
    let made = Encrypted::new();
    let sealed = Place {
        root: made.path(),
        settings: made.settings(),
    };
    let kinds =
        "cix, coverage parquet, ends, ev, forgotten, format, jsonl, key, manifest, parquet, wal";
    sealed.flip(number("TRACEHOP_FLIPS", FLIPS) / 4, kinds);
}

/// A store, and how it is opened.
struct Place {
    root: PathBuf,
    settings: StoreSettings,
}

impl Place {
    fn answers(&self, root: &Path) -> Result<Answers, String> {
        Answers::with(root, &self.settings)
    }

    fn flip(&self, flips: u64, expected: &str) {
        let root = &self.root;
        rich_with(root, &self.settings);
        let sound = self.answers(root).unwrap();
        assert!(sound.calls.iter().all(|c| !c.as_ref().unwrap().is_empty()));
        let mut kinds: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for file in files(root) {
            kinds.entry(kind(&file)).or_default().push(file);
        }
        let names: Vec<&str> = kinds.keys().map(String::as_str).collect();
        assert_eq!(names.join(", "), expected);
        let mut rng = Rng(number("TRACEHOP_SEED", 8));
        let mut told: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        let other = tempfile::tempdir().unwrap();
        for i in 0..flips {
            let (kind, of) = kinds.iter().nth((i % kinds.len() as u64) as usize).unwrap();
            let file = &of[rng.below(of.len() as u64) as usize];
            let whole = fs::read(file).unwrap();
            let (place, bit) = (rng.below(whole.len() as u64) as usize, rng.below(8));
            let mut flipped = whole.clone();
            flipped[place] ^= 1 << bit;
            fs::write(file, &flipped).unwrap();
            let what = format!("bit {bit} of octet {place} of {}", file.display());
            let count = told.entry(kind).or_default();
            count.0 += 1;
            count.1 += u64::from(self.judge(file, &sound, &what));
            self.name_it(file, &whole, &flipped, &what);
            if i % REPAIRED == 0 {
                let copied = other.path().join("copy");
                copy(root, &copied);
                self.mend(&copied, &sound, &what);
                fs::remove_dir_all(&copied).unwrap();
            }
            fs::write(file, &whole).unwrap();
        }
        println!("flips by kind of file, and how many changed an answer into an error: {told:?}");
    }

    /// Compares what is answered with what is right. Gives whether anything is an error.
    fn judge(&self, file: &Path, sound: &Answers, what: &str) -> bool {
        let name = file.file_name().unwrap().to_string_lossy();
        let is_log = name.ends_with(".wal");
        let mut errors = 0;
        let mut named = |e: &String| {
            assert!(e.contains(&*name), "{what}: {e} names another file");
            errors += 1;
        };
        let now = match self.answers(&self.root) {
            Ok(now) => now,
            Err(e) => {
                named(&e);
                return true;
            }
        };
        let blind = now
            .coverage
            .as_ref()
            .is_ok_and(|rows| rows.iter().any(|r| r.down == Some(Down::Damaged)));
        for (now, right) in now.calls.iter().zip(&sound.calls) {
            match (now, right) {
                (Ok(now), Ok(right)) if is_log && blind => {
                    assert!(
                        now.iter().all(|c| right.iter().any(|r| r.begin == c.begin)),
                        "{what}"
                    );
                }
                (Ok(now), Ok(right)) => assert_eq!(now, right, "{what}"),
                (Err(e), _) => named(e),
                _ => unreachable!(),
            }
        }
        match (&now.coverage, &sound.coverage) {
            (Ok(now), Ok(right)) if is_log => {
                let own = now.iter().filter(|r| r.down != Some(Down::Damaged));
                assert!(own.clone().all(|r| right.contains(r)), "{what}");
            }
            (Ok(now), Ok(right)) => assert_eq!(now, right, "{what}"),
            (Err(e), _) => named(e),
            _ => unreachable!(),
        }
        match (&now.campaigns, &sound.campaigns) {
            // It says that lines can't be read.
            (Ok((_, unreadable)), _) if *unreadable > 0 => {}
            (Ok(now), Ok(right)) => assert_eq!(now, right, "{what}"),
            (Err(e), _) => named(e),
            _ => unreachable!(),
        }
        for (now, right) in now.evidence.iter().zip(&sound.evidence) {
            match (now, right) {
                (Ok(now), Ok(right)) => assert_eq!(now, right, "{what}"),
                (Err(e), _) => named(e),
                _ => unreachable!(),
            }
        }
        assert_eq!(now.forgotten, sound.forgotten, "{what}");
        errors > 0
    }

    /// A check names the file, unless what it says is the same.
    fn name_it(&self, file: &Path, whole: &[u8], flipped: &[u8], what: &str) {
        let name = file.file_name().unwrap().to_string_lossy();
        let options = CheckOptions {
            encryption: self.settings.encryption.clone(),
            ..CheckOptions::default()
        };
        let report = match super::super::check(&self.root, options, &mut |_| ()) {
            Ok(report) => report,
            Err(e) => {
                assert!(e.to_string().contains(&*name), "{what}: {e}");
                return;
            }
        };
        // An earlier version's format is read as well, and hexadecimal digits may be capitals.
        let same = name == "format" || whole.eq_ignore_ascii_case(flipped);
        let named = report.findings.iter().any(|f| f.file == file);
        assert!(
            named || same || is_idle(file, whole, flipped),
            "{what}: {report:#?}"
        );
    }

    /// After a repair the store is sound, or the check still says what is wrong; no answer is wrong, and what is lost is known to be.
    fn mend(&self, root: &Path, sound: &Answers, what: &str) {
        let Ok(done) = repair(root, self.settings.encryption.as_ref(), &mut |_| ()) else {
            return;
        };
        if !done.after.is_sound() {
            let left: Vec<_> = done.after.damage().map(|f| &f.file).collect();
            assert!(
                left.iter()
                    .all(|f| f.ends_with("forgotten") || f.extension().is_some_and(|e| e == "key")),
                "{what}: {done:#?}"
            );
            return;
        }
        let now = self.answers(root).unwrap_or_else(|e| panic!("{what}: {e}"));
        let rows = now.coverage.unwrap();
        for (now, right) in now.calls.iter().zip(&sound.calls) {
            let (now, right) = (now.as_ref().unwrap(), right.as_ref().unwrap());
            for call in now {
                let known = right.iter().find(|r| r.begin == call.begin);
                let known = known.unwrap_or_else(|| panic!("{what}: {call:?} was never taken in"));
                let blind = |r: &&Coverage| r.from <= call.begin.at && call.begin.at <= r.until;
                let is_blind = rows
                    .iter()
                    .filter(blind)
                    .any(|r| r.down == Some(Down::Damaged));
                assert!(known.end == call.end || is_blind, "{what}: {call:?}");
            }
            for lost in right
                .iter()
                .filter(|r| now.iter().all(|n| n.begin.uid != r.begin.uid))
            {
                let at = lost.begin.at;
                let touching = rows.iter().filter(|r| r.from <= at && at <= r.until);
                let is_blind = touching.clone().any(|r| r.down.is_some()) || touching.count() == 0;
                assert!(
                    is_blind,
                    "{what}: {} is lost and nothing says so: {done:#?}",
                    lost.begin.uid
                );
            }
        }
    }
}

/// Whether a line of campaigns lost nothing but the name of its checksum.
fn is_idle(file: &Path, whole: &[u8], flipped: &[u8]) -> bool {
    let place = whole.iter().zip(flipped).position(|(a, b)| a != b).unwrap();
    let near = &whole[place.saturating_sub(8)..(place + 8).min(whole.len())];
    file.extension().is_some_and(|e| e == "jsonl")
        && memchr::memmem::find(near, b"crc32c").is_some()
}
