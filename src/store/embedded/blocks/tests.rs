use proptest::prelude::*;

use super::*;
use crate::store::embedded::vault::{KeySource, make_key_file};

/// 2026-11-24.
const DAY: i64 = 20_781;

struct Made {
    dir: tempfile::TempDir,
    vault: Vault,
}

fn made() -> Made {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    make_key_file(&key).unwrap();
    let vault = Vault::open(dir.path(), Some(&KeySource::File(key)), true).unwrap();
    Made { dir, vault }
}

impl Made {
    fn file(&self, name: &str, octets: &[u8], day: Option<i64>) -> std::path::PathBuf {
        let path = self.dir.path().join(name);
        let mut file = Output::create(&path, &self.vault, day).unwrap();
        // Written in odd portions.
        for part in octets.chunks(1_000) {
            file.write_all(part).unwrap();
        }
        file.flush().unwrap();
        let length = file.finish().unwrap();
        assert_eq!(length, path.metadata().unwrap().len());
        path
    }

    /// The file as a whole, or why not.
    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let content = Content::open(path, &self.vault).map_err(|e| e.to_string())?;
        let length = usize::try_from(content.len()).unwrap();
        content.read(0, length).map_err(|e| e.to_string())
    }
}

fn octets(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn what_was_written_is_read_whatever_its_length() {
    let made = made();
    for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 7] {
        let octets = octets(length);
        for day in [None, Some(DAY)] {
            let path = made.file("f", &octets, day);
            assert_eq!(made.read(&path).unwrap(), octets);
            let on_disk = std::fs::read(&path).unwrap();
            let blocks = length.div_ceil(BLOCK).max(1);
            let more = day.map_or(0, |_| HEADER + blocks * TAG);
            assert_eq!(on_disk.len(), length + more);
            assert_eq!(on_disk.starts_with(MAGIC), day.is_some());
        }
    }
}

#[test]
fn no_octet_can_be_changed_unseen() {
    let made = made();
    let octets = octets(BLOCK + 100);
    let path = made.file("f", &octets, Some(DAY));
    let whole = std::fs::read(&path).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    for (at, octet) in whole.iter().enumerate() {
        let at_disk = at as u64;
        file.write_all_at(&[octet ^ 1 << (at % 8)], at_disk)
            .unwrap();
        // Without its magic it is a plain file, of which the layer above says that it is none of ours.
        let read = made.read(&path);
        assert!(read.is_err() || at < MAGIC.len(), "octet {at}");
        assert_ne!(read.ok().as_ref(), Some(&octets));
        file.write_all_at(&[*octet], at_disk).unwrap();
    }
    assert_eq!(made.read(&path).unwrap(), octets);
}

#[test]
fn a_file_that_was_cut_anywhere_does_not_open_to_its_end() {
    let made = made();
    let path = made.file("f", &octets(3 * BLOCK), Some(DAY));
    let whole = std::fs::read(&path).unwrap();
    let ends = (0..3).map(|n| HEADER + n * SEALED);
    let near = ends.flat_map(|e| [e, e + 1, e + TAG, e + TAG + 1, e + 5_000]);
    for cut in near.chain([whole.len() - 1]) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let why = made.read(&path).unwrap_err();
        assert!(why.contains("damaged"), "cut at {cut}: {why}");
    }
    std::fs::write(&path, [&whole[..], b"more"].concat()).unwrap();
    assert!(made.read(&path).is_err());
}

#[test]
fn blocks_and_files_can_not_change_places() {
    let made = made();
    let text = octets(3 * BLOCK);
    let path = made.file("f", &text, Some(DAY));
    let whole = std::fs::read(&path).unwrap();
    let (head, blocks) = whole.split_at(HEADER);
    let blocks: Vec<&[u8]> = blocks.chunks(SEALED).collect();
    let swapped = [head, blocks[1], blocks[0], blocks[2]].concat();
    let dropped = [head, blocks[0], blocks[2]].concat();
    // The same octets in another file, of the same day and of another.
    let other = made.file("g", &text, Some(DAY));
    let other = std::fs::read(other).unwrap();
    let foreign_block = [head, blocks[0], &other[HEADER + SEALED..]].concat();
    let later = made.file("h", &text, Some(DAY + 1));
    let later = std::fs::read(later).unwrap();
    let foreign_head = [&later[..HEADER], &whole[HEADER..]].concat();
    for (what, octets) in [
        ("swapped", swapped),
        ("dropped", dropped),
        ("a block of another file", foreign_block),
        ("the header of another day", foreign_head),
    ] {
        std::fs::write(&path, octets).unwrap();
        assert!(made.read(&path).is_err(), "{what}");
    }
}

#[test]
fn a_file_of_the_other_kind_is_refused() {
    let made = made();
    let path = made.file("f", b"x", Some(DAY));
    let file = File::open(&path).unwrap();
    let opened = opened(&made.vault, Kind::Frames, &file, &path);
    assert!(opened.err().unwrap().to_string().contains("header"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_span_reads_as_from_a_plain_file(
        length in 0..3 * BLOCK,
        spans in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..8),
    ) {
        let made = made();
        let octets = octets(length);
        let path = made.file("f", &octets, Some(DAY));
        let content = Content::open(&path, &made.vault).unwrap();
        content.will_need(0..length as u64);
        for (a, b) in spans {
            let (a, b) = (a.index(length + 1), b.index(length + 1));
            let (from, until) = (a.min(b), a.max(b));
            let read = content.read(from as u64, until - from).unwrap();
            prop_assert_eq!(&read[..], &octets[from..until]);
        }
        prop_assert!(content.read(1, length).is_err());
    }
}
