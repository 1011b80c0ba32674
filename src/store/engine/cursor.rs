//! How far a probe has come with the engine: `cursor/engine` in the folder of its store, replaced as a whole, and `cursor/store-id`.
//!
//! ```text
//! tracehop cursor, format 1
//! acknowledged 12                       everything of logs up to this one is in the engine
//! version 34                            the last version given to rows of the ledger
//! day 20781 5f0c11a2                    days of the ledger that are there, with the checksum of the rows sent
//! sensor 1795478400… 1795478460… edge-1 since when and until when a sensor has been accounted for, nanoseconds since 1970; its name
//! crc32c 1c2d3e4f                       of all lines above
//! ```
//!
//! Without the file everything is sent again, and the engine, which is asked first, takes nothing twice. The id is random, made once: by it the engine
//! tells this store from another one that was given the same number.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};

use crate::base::Timestamp;
use crate::store::StoreError;
use crate::store::embedded::spool;

const HEAD: &str = "tracehop cursor, format 1";
/// Octets of a cursor at most: ten years of days and a thousand sensors are a quarter of it.
const MOST: u64 = 1 << 20;

/// How far a probe has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Everything of logs up to this one is in the engine.
    pub acknowledged: u64,
    /// The last version given to rows of the ledger.
    pub version: u64,
    /// Days of the ledger that are there, with a checksum of their rows.
    pub days: BTreeMap<i64, u32>,
    /// From when and until when each sensor has been accounted for.
    pub sensors: BTreeMap<Arc<str>, (Timestamp, Timestamp)>,
}

impl Cursor {
    /// The cursor of a store; one that begins where there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] where the file is something else.
    pub fn read(root: &Path) -> Result<Self, StoreError> {
        let path = file(root);
        match std::fs::metadata(&path) {
            Ok(about) if about.len() > MOST => {
                return Err(StoreError::corrupt(&path, "too long for a cursor"));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(StoreError::io(&path, e)),
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(&path).map_err(|e| StoreError::io(&path, e))?;
        Self::parse(&text).ok_or_else(|| {
            let what = "no whole cursor: take it away, and everything is compared with the engine and sent where it lacks";
            StoreError::corrupt(&path, what)
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (body, sum) = text.rsplit_once("crc32c ")?;
        if u32::from_str_radix(sum.trim_end(), 16).ok()? != crc32c::crc32c(body.as_bytes()) {
            return None;
        }
        let mut lines = body.lines();
        if lines.next()? != HEAD {
            return None;
        }
        let mut cursor = Self::default();
        for line in lines {
            match line.split_once(' ')? {
                ("acknowledged", n) => cursor.acknowledged = n.parse().ok()?,
                ("version", n) => cursor.version = n.parse().ok()?,
                ("day", rest) => {
                    let (day, sum) = rest.split_once(' ')?;
                    let sum = u32::from_str_radix(sum, 16).ok()?;
                    cursor.days.insert(day.parse().ok()?, sum);
                }
                ("sensor", rest) => {
                    let mut parts = rest.splitn(3, ' ');
                    let mut time = || Some(Timestamp::from_nanos(parts.next()?.parse().ok()?));
                    let span = (time()?, time()?);
                    cursor.sensors.insert(parts.next()?.into(), span);
                }
                // A line of a later version.
                _ => {}
            }
        }
        Some(cursor)
    }

    fn render(&self) -> String {
        let mut out = format!(
            "{HEAD}\nacknowledged {}\nversion {}\n",
            self.acknowledged, self.version
        );
        // Writing into a string can't fail.
        for (day, sum) in &self.days {
            let _ = writeln!(out, "day {day} {sum:08x}");
        }
        for (name, (since, until)) in &self.sensors {
            // A name of a sensor has no line break: it is an interface, an agent or a word of the configuration.
            let name = name.replace(['\n', '\r'], " ");
            let _ = writeln!(out, "sensor {} {} {name}", since.nanos(), until.nanos());
        }
        let sum = crc32c::crc32c(out.as_bytes());
        let _ = writeln!(out, "crc32c {sum:08x}");
        out
    }

    /// Makes it durable.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn write(&self, root: &Path) -> Result<(), StoreError> {
        spool::write_small(&file(root), self.render().as_bytes())
    }
}

fn file(root: &Path) -> PathBuf {
    root.join("cursor").join("engine")
}

/// The id of a store, made where there is none.
///
/// # Errors
///
/// [`StoreError::Corrupt`] where the file holds something else.
pub fn store_id(root: &Path) -> Result<String, StoreError> {
    let path = root.join("cursor").join("store-id");
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let id = text.trim();
            let sound = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
            match sound {
                true => Ok(id.to_owned()),
                false => Err(StoreError::corrupt(
                    &path,
                    "no id of a store: 32 hexadecimal digits",
                )),
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let mut octets = [0_u8; 16];
            if SystemRandom::new().fill(&mut octets).is_err() {
                return Err(StoreError::io(
                    &path,
                    std::io::Error::other("no random octets"),
                ));
            }
            let id: String = octets.iter().map(|b| format!("{b:02x}")).collect();
            spool::write_small(&path, format!("{id}\n").as_bytes())?;
            Ok(id)
        }
        Err(e) => Err(StoreError::io(&path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_there_whole_or_said_to_be_damaged() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Cursor::read(dir.path()).unwrap(), Cursor::default());
        let cursor = Cursor {
            acknowledged: 12,
            version: 34,
            days: [(-1, 7), (20_781, u32::MAX)].into(),
            sensors: [
                (
                    "edge 1, left".into(),
                    (Timestamp::from_secs(1), Timestamp::from_secs(2)),
                ),
                ("".into(), (Timestamp::MIN, Timestamp::MAX)),
            ]
            .into(),
        };
        cursor.write(dir.path()).unwrap();
        assert_eq!(Cursor::read(dir.path()).unwrap(), cursor);
        let whole = std::fs::read(file(dir.path())).unwrap();
        for at in 0..whole.len() - 1 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(file(dir.path()), &damaged).unwrap();
            assert!(Cursor::read(dir.path()).is_err(), "octet {at}");
        }
    }

    #[test]
    fn a_store_keeps_its_id() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id = store_id(one.path()).unwrap();
        assert_eq!(store_id(one.path()).unwrap(), id);
        assert_ne!(store_id(other.path()).unwrap(), id);
        std::fs::write(one.path().join("cursor/store-id"), "x").unwrap();
        assert!(store_id(one.path()).is_err());
    }
}
