//! Files in the store's folder that carry what a process knows over a restart. One is written at a clean stop and taken away when it is read: what a kill -9
//! would leave behind is no longer true.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// Reads what an earlier run left, and takes it away. `None` where there is nothing. More than `largest` octets are cut off: the reader refuses them.
pub(super) fn take(folder: &Path, name: &str, largest: u64) -> io::Result<Option<Vec<u8>>> {
    let path = folder.join(name);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    let read = file.take(largest).read_to_end(&mut bytes);
    fs::remove_file(&path).and_then(|()| sync(folder))?;
    read.map(|_| Some(bytes))
}

/// Leaves it for the next run: beside its place, synced, renamed.
pub(super) fn leave(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
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
        let take = |largest| take(dir.path(), "x", largest).unwrap();
        assert_eq!(take(9), None);
        leave(dir.path(), "x", b"1234").unwrap();
        assert_eq!(take(9).as_deref(), Some(b"1234".as_slice()));
        assert_eq!(take(9), None);
        leave(dir.path(), "x", b"1234").unwrap();
        assert_eq!(take(3).as_deref(), Some(b"123".as_slice()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
