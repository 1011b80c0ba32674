//! Files of keys: a data key, wrapped. A few lines of text, replaced as a whole.
//!
//! ```text
//! tracehop key, format 1
//! store 5b0c…                        32 hexadecimal digits that this store was given when it was first encrypted
//! name 2026-11-24                    what the key is of: a day, "wal-0000000007" or "store"
//! wrapped 8f03… 1b2c… 77aa…          by which key (its id), nonce, the sealed key: hexadecimal digits
//! crc32c 1a2b3c4d                    of everything before
//! ```
//!
//! The key is sealed with AES-256-GCM; the first three lines are authenticated with it, so a file can't stand for another day or another store. There is a
//! line `wrapped` for each key that opens it: two while the wrapping key is changed. The checksum tells damage from a wrong key.

use std::fmt::Write as _;
use std::path::Path;

use super::cipher::{Cipher, FRAME, KEY, Secret};
use crate::store::StoreError;
use crate::store::embedded::layout;

/// The longest file that is read: room for eight wrappings.
const LONGEST: u64 = 2_048;
/// The first line.
const FORMAT: &str = "tracehop key, format 1";

/// A wrapped key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyFile {
    /// Of which store.
    pub store: [u8; 16],
    /// Of what.
    pub name: String,
    /// By which keys, and how.
    pub wrapped: Vec<(u64, Vec<u8>)>,
}

impl KeyFile {
    /// Wraps a key by each of `by`.
    pub fn wrap(store: [u8; 16], name: &str, key: &Secret, by: &[Secret]) -> std::io::Result<Self> {
        let mut file = Self {
            store,
            name: name.to_owned(),
            wrapped: Vec::new(),
        };
        for by in by {
            let mut sealed = Vec::new();
            let cipher = Cipher::of(by.octets())?;
            cipher.seal_frame(file.about().as_bytes(), key.octets(), &mut sealed)?;
            file.wrapped.push((by.id(), sealed));
        }
        Ok(file)
    }

    /// The key, by the first of `by` that it is wrapped with; `None` where it is wrapped with none of them.
    pub fn unwrap(&self, by: &[Secret], path: &Path) -> Result<Option<Secret>, StoreError> {
        for by in by {
            let Some((_, sealed)) = self.wrapped.iter().find(|(id, _)| *id == by.id()) else {
                continue;
            };
            let cipher = Cipher::of(by.octets()).map_err(|e| StoreError::io(path, e))?;
            let octets = cipher.open_frame(self.about().as_bytes(), sealed);
            let octets = octets.map(zeroize::Zeroizing::new);
            let key = octets.and_then(|o| <[u8; KEY]>::try_from(o.as_slice()).ok());
            let key = key.ok_or_else(|| {
                StoreError::corrupt(path, "damaged, or the key of another day or store")
            })?;
            return Ok(Some(Secret::from_octets(key)));
        }
        Ok(None)
    }

    /// Ids of the keys that open it, for people.
    pub fn openers(&self) -> String {
        let ids: Vec<String> = self
            .wrapped
            .iter()
            .map(|(id, _)| format!("{id:016x}"))
            .collect();
        ids.join(" and ")
    }

    fn about(&self) -> String {
        format!("{FORMAT}\nstore {}\nname {}\n", hex(&self.store), self.name)
    }

    fn text(&self) -> String {
        let mut text = self.about();
        for (id, sealed) in &self.wrapped {
            let (nonce, rest) = sealed
                .split_at_checked(FRAME - super::cipher::TAG)
                .unwrap_or_default();
            let _ = writeln!(text, "wrapped {id:016x} {} {}", hex(nonce), hex(rest));
        }
        let sum = crc32c::crc32c(text.as_bytes());
        let _ = writeln!(text, "crc32c {sum:08x}");
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let (before, sum) = text.strip_suffix('\n')?.rsplit_once('\n')?;
        let before = text.get(..before.len() + 1)?;
        let sum = u32::from_str_radix(sum.strip_prefix("crc32c ")?, 16).ok()?;
        if crc32c::crc32c(before.as_bytes()) != sum {
            return None;
        }
        let mut lines = before.lines();
        if lines.next()? != FORMAT {
            return None;
        }
        let store = octets(lines.next()?.strip_prefix("store ")?)?;
        let name = lines.next()?.strip_prefix("name ")?.to_owned();
        let mut wrapped = Vec::new();
        for line in lines {
            let mut words = line.strip_prefix("wrapped ")?.split(' ');
            let id = u64::from_str_radix(words.next()?, 16).ok()?;
            let mut sealed = octets(words.next()?)?;
            sealed.extend(octets(words.next()?)?);
            (words.next().is_none() && sealed.len() == KEY + FRAME).then_some(())?;
            wrapped.push((id, sealed));
        }
        let store = store.try_into().ok()?;
        Some(Self {
            store,
            name,
            wrapped,
        })
    }

    /// Reads a file that is to be of `name`.
    pub fn read(path: &Path, name: &str) -> Result<Self, StoreError> {
        let octets = layout::read_small(path, LONGEST)?;
        let text = std::str::from_utf8(&octets).ok();
        let file = text.and_then(Self::parse).filter(|f| f.name == name);
        file.ok_or_else(|| StoreError::corrupt(path, "damaged: no key of ours, or of another name"))
    }

    /// Writes it so that it is there whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), StoreError> {
        layout::write_whole(path, self.text().as_bytes())
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

fn octets(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().all(|b| b.is_ascii_hexdigit()) && text.len().is_multiple_of(2);
    let pairs = digits.then(|| text.as_bytes().chunks(2))?;
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn sample() -> (Secret, Secret, KeyFile) {
        let (key, by) = (Secret::random().unwrap(), Secret::random().unwrap());
        let file = KeyFile::wrap([7; 16], "2026-11-24", &key, from_ref(&by)).unwrap();
        (key, by, file)
    }

    #[test]
    fn a_key_comes_back_by_the_key_that_wraps_it() {
        let (key, by, file) = sample();
        let read = KeyFile::parse(&file.text()).unwrap();
        assert_eq!(read, file);
        let path = Path::new("x");
        let unwrapped = read.unwrap(from_ref(&by), path).unwrap().unwrap();
        assert_eq!(unwrapped.octets(), key.octets());
        let stranger = Secret::random().unwrap();
        assert!(read.unwrap(from_ref(&stranger), path).unwrap().is_none());
        assert!(read.unwrap(&[stranger, by], path).unwrap().is_some());
    }

    #[test]
    fn a_key_of_one_day_is_none_of_another() {
        let (_, by, file) = sample();
        for other in [
            KeyFile {
                name: "2026-11-25".into(),
                ..file.clone()
            },
            KeyFile {
                store: [8; 16],
                ..file.clone()
            },
        ] {
            let other = KeyFile::parse(&other.text()).unwrap();
            let why = other.unwrap(from_ref(&by), Path::new("x")).err().unwrap();
            assert!(why.to_string().contains("another day or store"), "{why}");
        }
    }

    #[test]
    fn no_flipped_bit_goes_unseen() {
        let (_, _, file) = sample();
        let text = file.text();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut octets = text.clone().into_bytes();
                octets[at] ^= 1 << bit;
                let read = std::str::from_utf8(&octets).ok().and_then(KeyFile::parse);
                // The digits of the checksum may be written large.
                assert!(read.is_none_or(|r| r == file), "bit {bit} of {at}");
            }
            assert_eq!(KeyFile::parse(&text[..at]), None);
        }
    }
}
