//! Trust that is held while its files change: a reload reads and checks everything, and then swaps, or keeps what there was and says why.
//!
//! What is kept is the smallest part that went wrong: a broken certificate costs that one its renewal, a broken revocation list the news
//! since the last good one; a list of authorities that is broken, ended or older than one accepted before costs the whole reload, because then
//! nothing new can be believed. Certificates are judged again by what was swapped in, so that an authority that was removed carries no new call
//! (rule L5); calls judged before keep their verdict, and whoever judges keeps the [`Loaded`] that it began with.
//!
//! Which lists were accepted is written to a file beside them ([`ListHistory`]), so that a restart forgets nothing.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directory::{self, CredentialFiles, Found, LoadError, Loaded};
use super::lists::Lists;
use crate::base::Timestamp;
use crate::base::digest::Digest128;
use crate::stir::credential::{Credentials, Crl, ListHistory, readable};

/// Largest history file. A full one has some 20 KB.
const MAX_HISTORY: u64 = 1 << 20;

/// What to do about a list that is older than one accepted before.
const OLDER: &str =
    "put the newer list back; if the older one is right after all, delete the history file";

/// Trust, and how it came about.
#[derive(Debug)]
pub struct HeldTrust {
    files: CredentialFiles,
    /// Where the history is kept; `None` keeps it in memory alone.
    history_file: Option<PathBuf>,
    history: ListHistory,
    lists: KeptLists,
    current: Arc<Loaded>,
    trouble: Option<String>,
}

/// The revocation lists in use.
#[derive(Debug, Default)]
struct KeptLists {
    crl: Option<Crl>,
    /// With the files that they came from.
    other_crls: Vec<(PathBuf, Crl)>,
    ca_list: Option<Digest128>,
}

/// What became of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The new trust is in use; [`Loaded::notes`] says what of it could not be used.
    Swapped,
    /// The old trust stays, for this reason.
    Kept(String),
}

impl HeldTrust {
    /// Reads everything for the first time.
    ///
    /// # Errors
    ///
    /// [`LoadError`]: there is nothing yet to keep. A list of authorities that has ended is used with a note, for the daemon must be able to
    /// start while the STI-PA can't be reached.
    pub fn open(
        files: CredentialFiles,
        history_file: Option<PathBuf>,
        now: Timestamp,
    ) -> Result<Self, LoadError> {
        let history = match &history_file {
            Some(path) => read_history(path)?,
            None => ListHistory::default(),
        };
        let mut out = Self {
            files,
            history_file,
            history,
            lists: KeptLists::default(),
            current: Arc::new(Loaded::empty()),
            trouble: None,
        };
        let fresh = Fresh::read(&out, now)?;
        out.swap(fresh);
        Ok(out)
    }

    /// Trust in use. Whoever judges takes a copy of the pointer, and sees no reload until it takes another.
    pub fn current(&self) -> &Arc<Loaded> {
        &self.current
    }

    /// Why the last reload kept what there was; `None` after one that swapped.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether the list of authorities in use has ended: the alarm `ca_list_expired` (rule L3).
    pub fn ca_list_has_expired(&self, now: Timestamp) -> bool {
        self.current.ca_list_ends.is_some_and(|end| end < now)
    }

    /// Reads everything anew.
    pub fn reload_at(&mut self, now: Timestamp) -> Reload {
        let fresh = match Fresh::read(self, now) {
            Ok(fresh) => fresh,
            Err(e) => return self.keep(e.to_string()),
        };
        if let Some(list) = &fresh.lists.ca_list
            && list.expired
            && self.lists.ca_list != Some(list.digest)
        {
            let end = list.expires;
            return self.keep(format!("the new CA list ended at {end}: it is not taken"));
        }
        self.swap(fresh);
        Reload::Swapped
    }

    /// Reads everything anew from other files: the configuration has changed. Where the old trust stays, so do its files.
    pub fn reload_files_at(&mut self, files: CredentialFiles, now: Timestamp) -> Reload {
        let old = std::mem::replace(&mut self.files, files);
        let out = self.reload_at(now);
        if let Reload::Kept(_) = out {
            self.files = old;
        }
        out
    }

    fn keep(&mut self, why: String) -> Reload {
        self.trouble = Some(why.clone());
        Reload::Kept(why)
    }

    fn swap(&mut self, fresh: Fresh) {
        let Fresh {
            mut lists,
            found,
            history,
        } = fresh;
        if history != self.history
            && let Some(path) = &self.history_file
            && let Err(e) = write_history(path, &history)
        {
            lists.note(
                path,
                &format!("can't be written: {e}; a restart forgets which lists were accepted"),
            );
        }
        self.history = history;
        self.lists = KeptLists {
            crl: lists.crl.clone(),
            other_crls: self
                .files
                .other_crls
                .iter()
                .zip(&lists.other_crls)
                .filter_map(|(files, crl)| Some((files.crl.clone(), crl.clone()?)))
                .collect(),
            ca_list: lists.ca_list.as_ref().map(|l| l.digest),
        };
        self.current = Arc::new(directory::prepare(lists, found));
        self.trouble = None;
    }
}

/// Everything read anew, with last good parts in the place of what went wrong.
struct Fresh {
    lists: Lists,
    found: Vec<Found>,
    history: ListHistory,
}

impl Fresh {
    fn read(held: &HeldTrust, now: Timestamp) -> Result<Self, LoadError> {
        let files = &held.files;
        let mut lists = Lists::read(files, now)?;
        let mut history = held.history.clone();
        if let (Some(list), Some(path)) = (&lists.ca_list, &files.ca_list) {
            history.admit_ca_list(list).map_err(|e| LoadError::Wrong {
                path: path.clone(),
                what: e.to_string(),
                remedy: OLDER,
            })?;
        }
        let before = &held.lists;
        if let Some(path) = &files.crl {
            let new = lists.crl.take();
            lists.crl = admit(
                new,
                before.crl.as_ref(),
                path,
                &mut history,
                &mut lists.notes,
            );
        }
        let others = std::mem::take(&mut lists.other_crls);
        for (new, files) in others.into_iter().zip(&files.other_crls) {
            let old = before
                .other_crls
                .iter()
                .find(|(path, _)| *path == files.crl);
            let old = old.map(|(_, crl)| crl);
            let crl = admit(new, old, &files.crl, &mut history, &mut lists.notes);
            lists.other_crls.push(crl);
        }
        let mut found = directory::certificates(files)?;
        for one in &mut found {
            one.keep_good(&held.current.credentials, &mut lists.notes);
        }
        Ok(Self {
            lists,
            found,
            history,
        })
    }
}

/// The new revocation list, or the last good one where there is none or it is older.
fn admit(
    new: Option<Crl>,
    old: Option<&Crl>,
    path: &Path,
    history: &mut ListHistory,
    notes: &mut Vec<String>,
) -> Option<Crl> {
    let why = match new {
        Some(crl) => match history.admit_crl(&crl) {
            Ok(()) => return Some(crl),
            Err(e) => e.to_string(),
        },
        None => "it is not used".to_owned(),
    };
    let kept = if old.is_some() {
        "the last good one stays in use"
    } else {
        "there is none to use in its place"
    };
    notes.push(format!("{}: {why}; {kept}", path.display()));
    old.cloned()
}

impl Found {
    /// Takes the last good certificate of the same URL in the place of one that can't be read: files are written while we read them.
    fn keep_good(&mut self, before: &Credentials, notes: &mut Vec<String>) {
        let why = match &self.content {
            Ok(bytes) => match readable(bytes) {
                Ok(()) => return,
                Err(why) => why.to_owned(),
            },
            Err(e) => e.clone(),
        };
        if let Some(good) = before.get(&self.url).filter(|c| c.fault().is_none()) {
            notes.push(format!(
                "{}: {why}; the last good certificate of {} stays in use",
                self.path.display(),
                self.url
            ));
            self.content = Ok(Arc::clone(good.source()));
        }
    }
}

fn read_history(path: &Path) -> Result<ListHistory, LoadError> {
    let wrong = |what: String| LoadError::Wrong {
        path: path.to_owned(),
        what,
        remedy: "delete it: the lists at hand will be the first ones accepted",
    };
    match fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(ListHistory::default()),
        Ok(m) if m.len() > MAX_HISTORY => {
            return Err(wrong(format!("it is larger than {MAX_HISTORY} octets")));
        }
        _ => {}
    }
    serde_json::from_slice(&directory::read(path)?).map_err(|e| wrong(e.to_string()))
}

/// Writes a new file and moves it over the old one, so that there is always a whole one.
fn write_history(path: &Path, history: &ListHistory) -> std::io::Result<()> {
    let text = serde_json::to_vec_pretty(history)?;
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests;
