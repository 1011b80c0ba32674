//! What is kept of neighbours in the store's folder, beside the records:
//!
//! - `peers/<version>.toml`: each peers file that records were made by, written once, so that an old record's rule can be read
//! - `unknown-neighbours.json`: addresses that no rule knows, as of the running daemon or the last replay

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::pipeline::Report;
use crate::base::Timestamp;
use crate::call::peer::unknown::UnknownNeighbour;
use crate::config::Config;

/// The list of addresses that no rule knows, as it stands on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnknownList {
    /// When it was written.
    pub written: Timestamp,
    /// How many addresses had to leave it for want of room.
    pub evicted: u64,
    /// The list, busiest first.
    pub neighbours: Vec<UnknownNeighbour>,
}

/// Keeps the peers file of a configuration under its version.
///
/// # Errors
///
/// What the file system says; and that another text is kept under the same version already: versions are checksums of 32 bits.
pub fn keep_table(config: &Config) -> io::Result<()> {
    let path = table_path(&config.store.path, config.version);
    match fs::read_to_string(&path) {
        Ok(kept) if kept == *config.peers_text => return Ok(()),
        Ok(_) => {
            let what = format!(
                "{} holds another text: change a comment in the configuration, which gives it another version",
                path.display()
            );
            return Err(io::Error::other(what));
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    write_whole(&path, config.peers_text.as_bytes())
}

/// Where the peers file of a version is kept.
pub fn table_path(store: &Path, version: u32) -> PathBuf {
    store.join("peers").join(format!("{version:08x}.toml"))
}

/// Writes the list of addresses that no rule knows.
///
/// # Errors
///
/// What the file system says.
pub fn write_unknown(store: &Path, report: &Report, now: Timestamp) -> io::Result<()> {
    let list = UnknownList {
        written: now,
        evicted: report.unknown_evicted,
        neighbours: report.unknown.clone(),
    };
    write_whole(&unknown_path(store), &serde_json::to_vec(&list)?)
}

/// Reads that list; none where nothing was written yet.
///
/// # Errors
///
/// What the file system says, or that it is no such list.
pub fn read_unknown(store: &Path) -> io::Result<Option<UnknownList>> {
    match fs::read(unknown_path(store)) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn unknown_path(store: &Path) -> PathBuf {
    store.join("unknown-neighbours.json")
}

/// Either the old text or the new one is there, whenever the power goes.
fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::peer::unknown::UnknownNeighbours;

    #[test]
    fn the_list_comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read_unknown(dir.path()).unwrap().is_none());
        let mut seen = UnknownNeighbours::default();
        let at = Timestamp::from_secs(7);
        seen.handle(UnknownNeighbour {
            address: "203.0.113.9".parse().unwrap(),
            calls: 1,
            uncertain: 0,
            first: at,
            last: at,
            socket: "203.0.113.9:5060".parse().unwrap(),
            own: "192.0.2.1:5060".parse().unwrap(),
            vlan: Some(7),
            trunk: Some("TG".into()),
            sensor: "edge".into(),
        });
        let report = Report {
            unknown: seen.busiest(),
            ..Report::default()
        };
        write_unknown(dir.path(), &report, at).unwrap();
        let list = read_unknown(dir.path()).unwrap().unwrap();
        assert_eq!((list.neighbours, list.written), (report.unknown, at));
        fs::write(unknown_path(dir.path()), "{").unwrap();
        assert!(read_unknown(dir.path()).is_err());
    }
}
