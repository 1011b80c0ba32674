//! What an hour folder holds: a text file `manifest`, replaced as a whole, so that several files come and go as one.
//!
//! ```text
//! tracehop hour, format 1
//! s-0000000006-….parquet 500000 71233001 71733000       name, rows, lowest uid, highest uid
//! e-0000000006-….ends 8120 70990017 71232998            ("-" for what is not known: files of stores before format 3)
//! crc32c 5e0f71aa                                       of all octets before this line
//! ```
//!
//! What it lists counts; the index of a segment has the name of the segment and needs no line. What lies in the folder and is not listed is void, as a
//! seal or a compaction leaves it that did not come to its end. A folder without one is of a store before format 3: there the names say what counts.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use super::layout::{self, Ends, Entry, Facts, Segment};
use super::lookup::Hour;
use super::table::Reader;
use crate::store::StoreError;

/// Its first line.
const HEAD: &str = "tracehop hour, format 1";
/// What the first line of every version begins with.
const ANY_HEAD: &str = "tracehop hour, format ";
/// The longest that is read: a folder of 100,000 files, a hundred times what compaction leaves.
const MAX: u64 = 16 << 20;

pub(super) fn path(root: &Path, hour: i64) -> PathBuf {
    layout::hour_dir(root, hour).join("manifest")
}

/// Replaces the manifest of an hour, durably. An hour whose manifest is damaged keeps it: its files are as safe as they were, and `store check`
/// sorts them out.
pub(super) fn write(root: &Path, hour: i64, files: &Hour) -> Result<(), StoreError> {
    if files.damage.is_some() {
        return Ok(());
    }
    layout::write_whole(&path(root, hour), render(files).as_bytes())
}

pub(super) fn render(files: &Hour) -> String {
    let mut text = format!("{HEAD}\n");
    let mut line = |name: String, facts: Option<Facts>| {
        let _ = match facts {
            Some(f) => writeln!(text, "{name} {} {} {}", f.rows, f.first_uid, f.last_uid),
            None => writeln!(text, "{name} - - -"),
        };
    };
    for segment in &files.segments {
        line(segment.parquet_name(), segment.facts);
    }
    for ends in &files.ends {
        let facts = ends.rows.map(|rows| Facts {
            rows,
            first_uid: ends.first_uid,
            last_uid: ends.last_uid,
        });
        line(ends.name(), facts);
    }
    let sum = crc32c::crc32c(text.as_bytes());
    let _ = writeln!(text, "crc32c {sum:08x}");
    text
}

/// The files that the manifest of an hour lists; `None` where there is none.
///
/// # Errors
///
/// [`StoreError::Corrupt`] where it is damaged or of a later version.
pub(super) fn read(root: &Path, hour: i64) -> Result<Option<Hour>, StoreError> {
    let path = path(root, hour);
    match std::fs::metadata(&path) {
        Ok(found) if found.len() > MAX => {
            return Err(StoreError::corrupt(&path, "far too long for a manifest"));
        }
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::io(&path, e)),
    }
    let octets = match std::fs::read(&path) {
        Ok(octets) => octets,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::io(&path, e)),
    };
    match parse(hour, &octets) {
        Ok(files) => Ok(Some(files)),
        Err(what) => Err(StoreError::corrupt(&path, what)),
    }
}

pub(super) fn parse(hour: i64, octets: &[u8]) -> Result<Hour, String> {
    let text = std::str::from_utf8(octets).map_err(|_| "damaged: no text".to_owned())?;
    let body = text.strip_suffix('\n').and_then(|t| t.rsplit_once('\n'));
    let (lines, last) = body.ok_or("damaged: cut short")?;
    let whole = text.get(..=lines.len()).unwrap_or_default();
    let sum = last.strip_prefix("crc32c ").filter(|hex| hex.len() == 8);
    let sum = sum.and_then(|hex| u32::from_str_radix(hex, 16).ok());
    if sum != Some(crc32c::crc32c(whole.as_bytes())) {
        return Err("damaged: the checksum is another".to_owned());
    }
    let mut lines = lines.lines();
    match lines.next() {
        Some(HEAD) => {}
        Some(later) if later.starts_with(ANY_HEAD) => {
            return Err(format!("says {later:?}: written by a later version"));
        }
        _ => return Err(format!("does not say {HEAD:?}")),
    }
    let mut files = Hour {
        listed: true,
        ..Hour::default()
    };
    for line in lines {
        let odd = || format!("the line {line:?} is none of ours");
        let mut parts = line.split(' ');
        let entry = parts.next().and_then(|name| Entry::parse(hour, name));
        let facts = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("-"), Some("-"), Some("-"), None) => None,
            (Some(rows), Some(first), Some(last), None) => {
                let number = |text: &str| text.parse::<u64>().map_err(|_| odd());
                Some(Facts {
                    rows: number(rows)?,
                    first_uid: number(first)?,
                    last_uid: number(last)?,
                })
            }
            _ => return Err(odd()),
        };
        match entry {
            Some(Entry::Segment(s)) => files.segments.push(Segment { facts, ..s }),
            Some(Entry::Ends(e)) => files.ends.push(Ends {
                rows: facts.map(|f| f.rows),
                ..e
            }),
            _ => return Err(odd()),
        }
    }
    files.segments.sort_unstable();
    files.ends.sort_unstable();
    Ok(files)
}

/// Logs whose records are in a merged segment, as its footer has them.
pub(super) fn merged(file: &Reader) -> BTreeSet<u64> {
    let text = file.about("merged").unwrap_or_default();
    text.split([',', ' '])
        .filter_map(|seq| seq.parse().ok())
        .collect()
}

/// Names of all files that count, indexes as well.
pub(super) fn names(files: &Hour) -> BTreeSet<String> {
    let segments = files.segments.iter();
    let segments = segments.flat_map(|s| [s.parquet_name(), s.index_name()]);
    segments.chain(files.ends.iter().map(Ends::name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Hour {
        let mut merged = Segment::spanning(7, 3_600_000_000_000, 3_601_000_000_000);
        merged.merged = true;
        merged.facts = Some(Facts {
            rows: 3,
            first_uid: 1,
            last_uid: 9,
        });
        let mut unknown = Segment::spanning(8, 3_600_000_000_000, 3_601_000_000_000);
        unknown.sum = 0xdead_beef;
        Hour {
            segments: vec![unknown, merged],
            ends: vec![Ends {
                seq: 8,
                hour: 1,
                first_uid: 4,
                last_uid: 5,
                sum: 1,
                rows: Some(2),
            }],
            listed: true,
            ..Hour::default()
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = render(&sample());
        let read = parse(1, text.as_bytes()).unwrap();
        let mut expected = sample();
        expected.segments.sort_unstable();
        assert_eq!(read, expected);
        assert!(text.contains("h-0000000007-0000000-0001001-00000000-00000000.parquet 3 1 9\n"));
        assert!(text.contains("deadbeef.parquet - - -\n"));
        assert_eq!(names(&read).len(), 5);
    }

    #[test]
    fn no_flipped_bit_and_no_cut_goes_unnoticed() {
        let text = render(&sample()).into_bytes();
        for at in 0..text.len() {
            assert!(parse(1, &text[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut damaged = text.clone();
                damaged[at] ^= 1 << bit;
                let read = parse(1, &damaged);
                // A hexadecimal digit in capitals is the same digit.
                let same = damaged.eq_ignore_ascii_case(&text) && at + 9 >= text.len();
                assert_eq!(read.is_err(), !same, "bit {bit} of octet {at}");
            }
        }
    }

    #[test]
    fn a_later_version_is_said_to_be_one() {
        let mut text = "tracehop hour, format 2\nz-1 2 3 4 5\n".to_owned();
        let sum = crc32c::crc32c(text.as_bytes());
        let _ = writeln!(text, "crc32c {sum:08x}");
        assert!(
            parse(1, text.as_bytes())
                .unwrap_err()
                .contains("later version")
        );
    }
}
