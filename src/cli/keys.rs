//! Keys by which signatures of others are checked, from files: nothing is fetched.

use std::fs;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::proof::sign::Verifier;

/// Largest file of keys: 20,000 of them, 300 octets each, and room.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Reads sets of keys. A folder has a file for each provider, named by its id at the portal (`EV-01.json`); a file alone names the
/// provider in each key.
pub(super) fn read(paths: &[PathBuf]) -> Result<Verifier, Failure> {
    let mut verifier = Verifier::default();
    for path in paths {
        if !path.is_dir() {
            add(&mut verifier, path, None)?;
            continue;
        }
        let entries = path.read_dir().map_err(|e| unreadable(path, &e))?;
        let mut files: Vec<_> = entries.flatten().map(|e| e.path()).collect();
        files.retain(|f| f.extension().is_some_and(|e| e == "json"));
        files.sort();
        for file in files {
            let provider = file.file_stem().and_then(|s| s.to_str()).map(str::to_owned);
            add(&mut verifier, &file, provider.as_deref())?;
        }
    }
    Ok(verifier)
}

fn add(verifier: &mut Verifier, file: &Path, provider: Option<&str>) -> Result<(), Failure> {
    let octets = bounded(file, MAX_FILE)?;
    let taken = verifier.add(&octets, provider);
    taken
        .map(|_| ())
        .map_err(|e| Failure::data(format!("{}: {e}", file.display())))
}

/// Reads a file that is not larger than it should be.
pub(super) fn bounded(file: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let about = fs::metadata(file).map_err(|e| unreadable(file, &e))?;
    if about.len() > most {
        return Err(Failure::data(format!(
            "{}: {} octets; at most {most} are read",
            file.display(),
            about.len()
        )));
    }
    fs::read(file).map_err(|e| unreadable(file, &e))
}

fn unreadable(path: &Path, e: &std::io::Error) -> Failure {
    Failure::no_input(format!("{}: {e}", path.display()))
}
