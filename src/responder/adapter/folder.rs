//! Folders that people and other programs share with us: what we write is there whole or not at all, what we read is a file and nothing that only looks like one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Trouble;
use crate::traceback::request::sha256_hex;

/// Files in one folder of ours at most; then somebody must take some away.
pub const MAX_FILES: usize = 10_000;

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(PathBuf);

/// What tells a file from a later one of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print {
    octets: u64,
    changed: (i64, i64),
    inode: u64,
}

impl Print {
    fn of(m: &fs::Metadata) -> Self {
        Self {
            octets: m.len(),
            changed: (m.mtime(), m.mtime_nsec()),
            inode: m.ino(),
        }
    }
}

impl Folder {
    /// The folder of that path; made when something is written.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Plain files in it by name: no links, no hidden ones, none that a program is still writing (`.tmp`, `.part`, `.partial`). At most `most`, the first by name.
    ///
    /// # Errors
    ///
    /// The folder can't be read. One that is not there is empty.
    pub fn files(&self, most: usize) -> Result<Vec<(String, Print)>, Trouble> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(self.trouble(&e)),
        };
        let mut found = std::collections::BTreeMap::new();
        for entry in entries {
            let entry = entry.map_err(|e| self.trouble(&e))?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let unfinished = [".tmp", ".part", ".partial"];
            if name.starts_with('.') || unfinished.iter().any(|u| name.ends_with(u)) {
                continue;
            }
            // Of the entry itself: a link is none.
            if let Ok(m) = entry.metadata()
                && m.is_file()
            {
                found.insert(name, Print::of(&m));
                if found.len() > most {
                    found.pop_last();
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Reads a file of it, `most` octets at most. `None` where it has gone, is no plain file, or is larger, which the second member says.
    ///
    /// # Errors
    ///
    /// It can't be read.
    pub fn read(&self, name: &str, most: u64) -> Result<Option<(Vec<u8>, Print)>, Trouble> {
        let path = self.at(name)?;
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&path);
        let file = match file {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Trouble(format!("{}: {e}", path.display()))),
        };
        let said = |e: io::Error| Trouble(format!("{}: {e}", path.display()));
        let m = file.metadata().map_err(said)?;
        if !m.is_file() {
            return Ok(None);
        }
        let mut octets = Vec::new();
        file.take(most.saturating_add(1))
            .read_to_end(&mut octets)
            .map_err(said)?;
        Ok(Some((octets, Print::of(&m))))
    }

    /// Writes a file whole: it has its name only when all of it is on disk. The same file again is no second one.
    ///
    /// # Errors
    ///
    /// It can't be written, another stands there, or the folder is full.
    pub fn write(&self, name: &str, octets: &[u8]) -> Result<(), Trouble> {
        let path = self.at(name)?;
        if let Ok(Some((there, _))) = self.read(name, octets.len() as u64)
            && there == octets
        {
            return Ok(());
        }
        self.make()?;
        let count = fs::read_dir(&self.0).map_err(|e| self.trouble(&e))?;
        if count.take(MAX_FILES).count() >= MAX_FILES {
            return Err(Trouble(format!(
                "{}: {MAX_FILES} files; take some away",
                self.0.display()
            )));
        }
        let new = self.0.join(format!(".{name}.tmp"));
        let said = |e: io::Error| Trouble(format!("{}: {e}", path.display()));
        let written = || {
            let flags = libc::O_NOFOLLOW;
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o640)
                .custom_flags(flags)
                .open(&new)?;
            file.write_all(octets)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            self.sync()
        };
        written().map_err(|e| {
            let _ = fs::remove_file(&new);
            said(e)
        })
    }

    /// Moves a file of it into another folder, if it is still the one that was read. Where one of its name is there, the name gets a mark of what is in it.
    /// Gives the name that it has now; `None` where it has gone or is another by now, which will be read in its turn.
    ///
    /// # Errors
    ///
    /// It can't be moved.
    pub fn hand_on(
        &self,
        name: &str,
        read: Print,
        to: &Folder,
        new_name: &str,
    ) -> Result<Option<String>, Trouble> {
        let path = self.at(name)?;
        match fs::symlink_metadata(&path) {
            Ok(m) if m.is_file() && Print::of(&m) == read => {}
            _ => return Ok(None),
        }
        to.make()?;
        let mut target = to.at(new_name)?;
        let mut named = new_name.to_owned();
        if fs::symlink_metadata(&target).is_ok() {
            let print = format!("{name}\n{read:?}");
            let mark: String = sha256_hex(print.as_bytes()).chars().take(12).collect();
            named = format!("{new_name}.{mark}");
            target = to.at(&named)?;
        }
        let said = |e: io::Error| Trouble(format!("{}: {e}", path.display()));
        fs::rename(&path, &target).map_err(said)?;
        to.sync().map_err(said)?;
        self.sync().map_err(said)?;
        Ok(Some(named))
    }

    /// Makes it where it is not there.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn make(&self) -> Result<(), Trouble> {
        fs::create_dir_all(&self.0).map_err(|e| self.trouble(&e))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    /// A name in it, and not a way out of it.
    fn at(&self, name: &str) -> Result<PathBuf, Trouble> {
        let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
        plain
            .then(|| self.0.join(name))
            .ok_or_else(|| Trouble(format!("{name:?} is no name of a file")))
    }

    fn trouble(&self, e: &io::Error) -> Trouble {
        Trouble(format!("{}: {e}", self.0.display()))
    }
}

/// A file name of a text that came from outside: itself where it is plain and short, else what its digest says.
pub fn file_name(text: &str) -> String {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    match !text.is_empty() && text.len() <= 100 && text.bytes().all(letter) {
        true => text.to_owned(),
        false => sha256_hex(text.as_bytes()).into(),
    }
}

/// Puts away what can't be a request, with the reason beside it, for a person.
///
/// # Errors
///
/// It can't be written.
pub fn keep(folder: &Folder, name: &str, octets: &[u8], why: &str) -> Result<(), Trouble> {
    folder.write(name, octets)?;
    folder.write(&format!("{name}.reason"), format!("{why}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("in"));
        folder.make().unwrap();
        (dir, folder)
    }

    #[test]
    fn links_and_unfinished_files_are_not_there() {
        let (dir, folder) = folder();
        let outside = dir.path().join("secret");
        fs::write(&outside, "x").unwrap();
        symlink(&outside, folder.path().join("a.json")).unwrap();
        for name in ["b.json", ".c.json", "d.json.tmp", "e.part"] {
            fs::write(folder.path().join(name), "{}").unwrap();
        }
        fs::create_dir(folder.path().join("f.json")).unwrap();
        let names: Vec<_> = folder.files(9).unwrap().into_iter().map(|f| f.0).collect();
        assert_eq!(names, ["b.json"]);
        assert!(folder.read("a.json", 9).is_err(), "a link is not followed");
        assert!(folder.read("../secret", 9).is_err());
        assert_eq!(folder.read("f.json", 9).unwrap(), None);
    }

    #[test]
    fn a_file_that_changed_is_not_moved() {
        let (dir, folder) = folder();
        let done = Folder::new(dir.path().join("done"));
        fs::write(folder.path().join("a"), "1").unwrap();
        let (_, print) = folder.read("a", 9).unwrap().unwrap();
        fs::write(folder.path().join("a"), "22").unwrap();
        assert_eq!(folder.hand_on("a", print, &done, "a").unwrap(), None);
        let (_, print) = folder.read("a", 9).unwrap().unwrap();
        let moved = folder.hand_on("a", print, &done, "a").unwrap();
        assert_eq!(moved.as_deref(), Some("a"));
        fs::write(folder.path().join("a"), "3").unwrap();
        let (_, print) = folder.read("a", 9).unwrap().unwrap();
        let moved = folder.hand_on("a", print, &done, "a").unwrap().unwrap();
        assert!(moved.starts_with("a.") && moved.len() == 14, "{moved}");
    }

    #[test]
    fn what_is_written_is_whole_and_written_once() {
        let (_dir, folder) = folder();
        folder.write("a", b"one").unwrap();
        let inode = fs::metadata(folder.path().join("a")).unwrap().ino();
        folder.write("a", b"one").unwrap();
        assert_eq!(fs::metadata(folder.path().join("a")).unwrap().ino(), inode);
        folder.write("a", b"two").unwrap();
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn names_from_outside_stay_in_the_folder() {
        assert_eq!(file_name("6f0f-A_1"), "6f0f-A_1");
        assert_eq!(file_name("../x").len(), 64);
        assert_eq!(file_name("").len(), 64);
    }
}
