//! JSON lines in a file that is rotated by size: `findings.jsonl`, then `.1` (the youngest of the old ones), `.2` and so on.
//!
//! The file is its group's to read and nobody else's (0640). A batch is written whole or, where the disk is full, not at all. When somebody moves the file away or deletes
//! it, as logrotate does, a new one is begun with the next batch. What a power cut left of a line is ended, so that it spoils no other.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Failure, Sink};
use crate::findings::FileSettings;
use crate::findings::render::Rendered;

/// Owner writes, group reads.
const MODE: u32 = 0o640;

pub(in crate::findings) struct FileSink {
    settings: FileSettings,
    open: Option<Open>,
}

struct Open {
    file: File,
    length: u64,
    /// Device and inode: whether the name still leads here.
    identity: (u64, u64),
}

impl FileSink {
    pub fn new(settings: FileSettings) -> Self {
        Self {
            settings,
            open: None,
        }
    }

    fn try_put(&mut self, lines: &[u8]) -> io::Result<()> {
        let path = self.settings.path.clone();
        let mut open = match self.open.take().filter(|o| o.is_at(&path)) {
            Some(open) => open,
            None => Open::at(&path)?,
        };
        let more = lines.len() as u64;
        if open.length > 0 && open.length.saturating_add(more) > self.settings.octets {
            open.file.sync_data()?;
            rotate(&path, self.settings.keep)?;
            open = Open::at(&path)?;
        }
        if let Err(e) = open.file.write_all(lines) {
            // Half a batch would be there twice after the next try.
            let _ = open.file.set_len(open.length);
            return Err(e);
        }
        open.length += more;
        self.open = Some(open);
        Ok(())
    }
}

impl Sink for FileSink {
    fn put(&mut self, events: &[Rendered], _: Duration) -> (usize, Result<(), Failure>) {
        let mut lines = Vec::with_capacity(events.iter().map(|e| e.json.len() + 1).sum());
        for event in events {
            lines.extend_from_slice(&event.json);
            lines.push(b'\n');
        }
        match self.try_put(&lines) {
            Ok(()) => (events.len(), Ok(())),
            Err(e) => {
                let why = format!("{}: {e}", self.settings.path.display());
                (0, Err(Failure::later(why)))
            }
        }
    }

    fn batch(&self) -> (usize, Duration) {
        (256, Duration::ZERO)
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            // What the kernel has is kept over our own end; this is for the host's.
            let _ = open.file.sync_data();
        }
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(MODE)
            .open(path)?;
        let about = file.metadata()?;
        let mut length = about.len();
        if length > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                length += 1;
            }
        }
        Ok(Self {
            file,
            length,
            identity: (about.dev(), about.ino()),
        })
    }

    fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|about| {
            // One that others have cut is not ours to go on with blindly.
            (about.dev(), about.ino()) == self.identity && about.len() == self.length
        })
    }
}

/// Moves each file one number up; the oldest is overwritten. At every moment each line is in a file.
fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    if keep == 0 {
        return fs::remove_file(path);
    }
    for n in (1..keep).rev() {
        match fs::rename(numbered(path, n), numbered(path, n + 1)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    fs::rename(path, numbered(path, 1))
}

fn numbered(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}
