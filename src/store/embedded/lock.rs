//! One process writes: whoever has the file `lock` locked, with its process id in it.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::layout;
use crate::store::StoreError;

/// How long the lock is waited for while it is our own.
const OWN_LOCK: Duration = Duration::from_secs(1);

/// Takes the lock, and writes our process id into it for whoever comes second.
pub(super) fn take(root: &Path) -> Result<File, StoreError> {
    let path = root.join("lock");
    let io = |e| StoreError::io(&path, e);
    let mut options = layout::options();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).map_err(io)?;
    let own = format!("process {}", std::process::id());
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.rewind().map_err(io)?;
                // A process id is short; a foreign file may be anything.
                let read = (&file).take(64).read_to_string(&mut holder);
                let holder = match (read, holder.trim()) {
                    (Ok(_), holder) if !holder.is_empty() => holder.escape_default().to_string(),
                    _ => "another process".to_owned(),
                };
                // A child that another thread is just starting shares our lock until it has become another program.
                if holder == own && begin.elapsed() < OWN_LOCK {
                    thread::sleep(Duration::from_millis(5));
                    continue;
                }
                return Err(StoreError::Locked { path, holder });
            }
            Err(TryLockError::Error(e)) => return Err(io(e)),
        }
    }
    file.set_len(0).map_err(io)?;
    file.rewind().map_err(io)?;
    writeln!(file, "{own}").map_err(io)?;
    Ok(file)
}
