//! Files in the store's folder that carry what a process knows over a restart. One is written at a clean stop and taken away when it is read: what a kill -9
//! would leave behind is no longer true. In an encrypted store they are sealed: they hold telephone numbers.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::store::embedded::StateSeal;

/// Octets that sealing adds at most.
const SEALED: u64 = 128;

/// They hold telephone numbers, whatever the umask.
const MODE: u32 = 0o640;

/// Reads what an earlier run left, and takes it away. `None` where there is nothing. More than `largest` octets are cut off: the reader refuses them.
pub(super) fn take(
    folder: &Path,
    seal: &StateSeal,
    name: &str,
    largest: u64,
) -> io::Result<Option<Vec<u8>>> {
    let path = folder.join(name);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    let read = file
        .take(largest.saturating_add(SEALED))
        .read_to_end(&mut bytes);
    fs::remove_file(&path).and_then(|()| sync(folder))?;
    read?;
    let mut bytes = seal.open(name, bytes)?;
    bytes.truncate(usize::try_from(largest).unwrap_or(usize::MAX));
    Ok(Some(bytes))
}

/// Leaves it for the next run: beside its place, synced, renamed.
pub(super) fn leave(folder: &Path, seal: &StateSeal, name: &str, bytes: Vec<u8>) -> io::Result<()> {
    let bytes = seal.seal(name, bytes)?;
    let new = folder.join(format!("{name}.new"));
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(MODE);
    let mut file = options.open(&new)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&new, folder.join(name))?;
    sync(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_taken_once_and_no_more_than_the_largest() {
        let dir = tempfile::tempdir().unwrap();
        let seal = StateSeal::default();
        let take = |largest| take(dir.path(), &seal, "x", largest).unwrap();
        let leave = |bytes: &[u8]| leave(dir.path(), &seal, "x", bytes.to_vec()).unwrap();
        assert_eq!(take(9), None);
        leave(b"1234");
        assert_eq!(take(9).as_deref(), Some(b"1234".as_slice()));
        assert_eq!(take(9), None);
        leave(b"1234");
        assert_eq!(take(3).as_deref(), Some(b"123".as_slice()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
