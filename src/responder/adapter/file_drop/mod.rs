//! Requests as files that somebody puts into a folder, answers as files that somebody takes out of one.
//!
//! ```text
//! in/      NAME.json, NAME.csv     read when they no longer change; links and names that begin with a dot or end in .tmp, .part, .partial are not there
//! done/    what was taken in whole
//! failed/  what was not, with NAME.reason; rows that could be read were taken all the same
//! out/     ID.json and ID.csv      answers; report-ID.json reports
//! ```
//!
//! A file is taken in before it is moved, so a crash between the two has it read twice: the desk knows it again. Bounds: [`MAX_FILE`], [`MAX_ROWS`].

mod rows;
mod written;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep};

pub use rows::{CsvSettings, JsonSettings, read};
pub use written::{Written, write_answer};

use super::folder::{Folder, Print, file_name, keep};
use super::mapping::{Mapped, MappingSettings};
use super::submission::Words;
use super::{Arrival, Inlet, NO_DRAFTS, Outlet, Trouble};
use crate::responder::case::{Delivered, Incoming, Parcel, ParcelKind, Way};

/// Largest file: a thousand requests of a kilobyte.
pub const MAX_FILE: u64 = 1 << 20;

/// Most requests in one file.
pub const MAX_ROWS: usize = 1_000;

/// Files that are looked at in one round.
const FILES: usize = 64;

/// File drop.
#[derive(Clone, Debug, PartialEq)]
pub struct FileDropSettings {
    /// The folder that holds the four.
    pub folder: PathBuf,
    /// How often `in` is looked at.
    pub every: Duration,
    /// How long a file must not have changed.
    pub quiet: Duration,
    /// What the files mean.
    pub mapping: FileDropMapping,
}

/// What the files mean.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct FileDropMapping {
    /// JSON: where the fields are; `None`: the files hold hop requests of our own protocol.
    pub json: Option<JsonSettings>,
    /// CSV; `None`: such files are refused.
    pub csv: Option<CsvSettings>,
    /// How fields are understood.
    pub request: MappingSettings,
    /// The portal's words.
    pub words: Words,
    /// What is written.
    pub written: Written,
}

impl FileDropSettings {
    fn sub(&self, name: &str) -> Folder {
        Folder::new(self.folder.join(name))
    }
}

/// A file that was read, and what of it the desk has not got yet.
#[derive(Debug)]
struct Open {
    print: Print,
    left: BTreeMap<usize, Incoming>,
    wrong: Vec<String>,
}

/// The end that reads.
#[derive(Debug)]
pub struct FileInlet {
    settings: FileDropSettings,
    /// Files that may still change, and since when they have not.
    seen: BTreeMap<String, (Print, Instant)>,
    open: BTreeMap<String, Open>,
    first: bool,
}

impl FileInlet {
    /// Makes one; nothing is touched yet.
    pub fn new(settings: FileDropSettings) -> Self {
        Self {
            settings,
            seen: BTreeMap::new(),
            open: BTreeMap::new(),
            first: true,
        }
    }

    /// What has not changed for long enough, and is not being worked on.
    fn quiet(&mut self) -> Result<Vec<String>, Trouble> {
        let now = Instant::now();
        let files = self.settings.sub("in").files(FILES)?;
        let before = std::mem::take(&mut self.seen);
        let mut ready = Vec::new();
        for (name, print) in files {
            let same = before.get(&name).filter(|(p, _)| *p == print);
            let since = same.map_or(now, |(_, since)| *since);
            if !self.open.contains_key(&name) && now.duration_since(since) >= self.settings.quiet {
                ready.push(name.clone());
            }
            self.seen.insert(name, (print, since));
        }
        Ok(ready)
    }

    fn open(&mut self, name: &str) -> Result<(), Trouble> {
        let Some((octets, print)) = self.settings.sub("in").read(name, MAX_FILE)? else {
            return Ok(());
        };
        let mut open = Open {
            print,
            left: BTreeMap::new(),
            wrong: Vec::new(),
        };
        match read(name, &octets, &self.settings.mapping) {
            Err(why) => open.wrong.push(why),
            Ok(rows) => {
                for (i, row) in rows.into_iter().enumerate() {
                    match row {
                        Ok(Mapped::Request { octets, .. }) => {
                            open.left.insert(i, Incoming::Request(octets));
                        }
                        Ok(Mapped::Withdrawn { id }) => {
                            open.left.insert(i, Incoming::Withdrawn { request: id });
                        }
                        Err(why) => open.wrong.push(format!("request {}: {why}", i + 1)),
                    }
                }
            }
        }
        self.open.insert(name.to_owned(), open);
        self.finish(name)
    }

    /// Moves a file of which nothing is left to do.
    fn finish(&mut self, name: &str) -> Result<(), Trouble> {
        let Some(open) = self.open.get(name).filter(|o| o.left.is_empty()) else {
            return Ok(());
        };
        let from = self.settings.sub("in");
        if open.wrong.is_empty() {
            from.hand_on(name, open.print, &self.settings.sub("done"), name)?;
        } else {
            let failed = self.settings.sub("failed");
            if let Some(named) = from.hand_on(name, open.print, &failed, name)? {
                let why = open.wrong.join("\n") + "\n";
                failed.write(&format!("{named}.reason"), why.as_bytes())?;
            }
        }
        self.open.remove(name);
        Ok(())
    }

    fn done(&mut self, arrival: &Arrival, why: Option<&str>) -> Result<(), Trouble> {
        let Some((name, row)) = arrival.receipt.rsplit_once('#') else {
            return Ok(());
        };
        let Ok(row) = row.parse::<usize>() else {
            return Ok(());
        };
        if let Some(open) = self.open.get_mut(name) {
            open.left.remove(&row);
            open.wrong
                .extend(why.map(|why| format!("request {}: {why}", row + 1)));
        }
        self.finish(name)
    }

    /// What of the files that are open the desk has not got.
    fn waiting(&self) -> Vec<Arrival> {
        let of = |(name, open): (&String, &Open)| {
            let rows = open.left.iter().map(|(row, what)| Arrival {
                what: what.clone(),
                way: Way::File,
                receipt: format!("{name}#{row}").into(),
            });
            rows.collect::<Vec<_>>()
        };
        self.open.iter().flat_map(of).take(MAX_ROWS).collect()
    }
}

impl Inlet for FileInlet {
    async fn poll(&mut self) -> Result<Vec<Arrival>, Trouble> {
        if self.first {
            // Whoever puts files there must find it.
            self.settings.sub("in").make()?;
            self.first = false;
        } else {
            sleep(self.settings.every).await;
        }
        // One file at a time is open, unless some could not be moved.
        for name in self.quiet()? {
            self.open(&name)?;
            let waiting = self.waiting();
            if !waiting.is_empty() {
                return Ok(waiting);
            }
        }
        let names: Vec<String> = self.open.keys().cloned().collect();
        for name in names {
            self.finish(&name)?;
        }
        Ok(self.waiting())
    }

    async fn settle(&mut self, arrival: &Arrival) -> Result<(), Trouble> {
        self.done(arrival, None)
    }

    async fn reject(&mut self, arrival: &Arrival, why: &str) -> Result<(), Trouble> {
        self.done(arrival, Some(why))
    }
}

/// The end that writes.
#[derive(Debug)]
pub struct FileOutlet {
    settings: FileDropSettings,
}

impl FileOutlet {
    /// Makes one.
    pub fn new(settings: FileDropSettings) -> Self {
        Self { settings }
    }
}

impl Outlet for FileOutlet {
    async fn deliver(&mut self, parcel: &Parcel) -> Delivered {
        let out = self.settings.sub("out");
        let mapping = &self.settings.mapping;
        deliver_into(&out, &parcel.portal, parcel, mapping)
    }
}

/// Writes a parcel into a folder as files.
pub(super) fn deliver_into(
    out: &Folder,
    portal: &str,
    parcel: &Parcel,
    mapping: &FileDropMapping,
) -> Delivered {
    let files = match parcel.kind {
        ParcelKind::Draft => {
            return Delivered::Refused {
                why: NO_DRAFTS.to_owned(),
            };
        }
        ParcelKind::Report => {
            let name = format!("report-{}.json", file_name(&parcel.key));
            vec![(name, parcel.body.clone())]
        }
        ParcelKind::Answer => match write_answer(portal, &parcel.body, mapping) {
            Ok(files) => {
                let name = file_name(&parcel.key);
                let named = files
                    .into_iter()
                    .map(|(ext, octets)| (format!("{name}.{ext}"), octets));
                named.collect()
            }
            Err(unmapped) => return Delivered::Refused { why: unmapped.0 },
        },
    };
    for (name, octets) in files {
        if let Err(Trouble(why)) = out.write(&name, &octets) {
            return Delivered::Again { why, after: None };
        }
    }
    Delivered::Taken
}

/// Puts octets that can't be a request away. For adapters whose arrivals are no files.
pub(super) fn put_away(folder: &Folder, id: &str, octets: &[u8], why: &str) -> Result<(), Trouble> {
    keep(folder, &format!("{}.json", file_name(id)), octets, why)
}

#[cfg(test)]
mod tests;
