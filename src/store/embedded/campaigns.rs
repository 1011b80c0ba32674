//! Campaigns: JSON lines, a file for each day in which a campaign had a call, the last line of an id holds.
//!
//! ```text
//! campaigns/2026-11-24.jsonl                  campaigns whose last call, at the time of writing, was on that day (UTC)
//! ```
//!
//! A campaign that goes on past midnight stands in both files; the later one holds. So whoever asks for a window reads the files from its first day
//! on, and keeps the last state of what began before its end. What a power cut leaves of the last line is cut off before the file goes on, and passed over by
//! readers; so is a line that can't be read otherwise, which is counted. A file in which most lines are superseded is written anew. Retention deletes by the day.
//!
//! In an encrypted store a line is `aes1:` and base64 of a nonce of 12 octets, the JSON sealed by the day's key, and a tag of 16 octets; what is authenticated with
//! it: where in the file the line begins u64. Lines of before encryption was switched on stay as they are until the file is written anew.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::layout;
use super::vault::{Cipher, Secret, Vault};
use crate::base::Timestamp;
use crate::call::classify::campaign::{Campaign, CampaignId};
use crate::store::StoreError;

/// Lines that may be appended to a file before it is looked at whether they supersede each other.
const LINES: u64 = 4096;

/// A file is written anew when it has this many times as many lines as campaigns: each costs its share of that work once.
const SUPERSEDED: u64 = 4;

/// The longest line that is taken in: a campaign has a few examples and signers, each bounded where it is made.
const LINE: u64 = 1 << 16;

/// The longest line that is read: sealed and in base64 it is longer by a third, and a little.
const READ: u64 = LINE / 2 * 3;

/// What a sealed line begins with. JSON never does.
const SEALED: &[u8] = b"aes1:";

/// Octets that wait for a commit; past it they are written without one.
const WAITING: usize = 1 << 20;

/// The writing side.
pub(super) struct CampaignWriter {
    root: PathBuf,
    vault: Vault,
    days: BTreeMap<i64, Day>,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Day {
    /// Lines to be written.
    lines: Vec<u8>,
    /// Lines appended since the file was last written anew, or since we opened it.
    appended: u64,
    /// Campaigns in it, then.
    kept: u64,
}

/// Days whose counts are remembered. A file whose count is forgotten is only looked at later.
const DAYS: usize = 16;

impl CampaignWriter {
    /// Opens, and cuts off what a power cut left of a line.
    pub fn open(root: &Path, vault: Vault) -> Result<Self, StoreError> {
        for (path, name) in layout::list(&layout::campaigns(root))? {
            match name.as_deref() {
                Some(name) if day_of(name).is_some() => cut_torn_line(&path)?,
                Some(name) if name.ends_with(".new") => layout::remove(&path)?,
                _ => {}
            }
        }
        Ok(Self {
            root: root.to_owned(),
            vault,
            days: BTreeMap::new(),
            waiting: 0,
        })
    }

    /// Takes a campaign in as it stands. It is written by the next [`CampaignWriter::commit`].
    pub fn append(&mut self, campaign: &Campaign) -> Result<(), StoreError> {
        let day = layout::hour_of(campaign.last.nanos()).div_euclid(layout::DAY);
        let lines = &mut self.days.entry(day).or_default().lines;
        let before = lines.len();
        if let Err(e) = put_line(campaign, lines) {
            lines.truncate(before);
            let path = layout::campaign_file(&self.root, day);
            return Err(StoreError::io(&path, e));
        }
        let length = lines.len() - before;
        if length as u64 > LINE {
            lines.truncate(before);
            return Err(StoreError::TooLong {
                octets: length,
                limit: usize::try_from(LINE).unwrap_or(usize::MAX),
            });
        }
        self.waiting += length;
        if self.waiting >= WAITING {
            self.commit()?;
        }
        Ok(())
    }

    /// Makes everything taken in durable.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        if self.waiting == 0 {
            return Ok(());
        }
        layout::create_dirs(&layout::campaigns(&self.root))?;
        for (day, waiting) in &mut self.days {
            if waiting.lines.is_empty() {
                continue;
            }
            let path = layout::campaign_file(&self.root, *day);
            let key = self.vault.to_seal(*day)?;
            append(&path, &waiting.lines, key.as_ref())?;
            let lines = memchr::memchr_iter(b'\n', &waiting.lines).count();
            waiting.appended += lines as u64;
            waiting.lines.clear();
            if waiting.appended > LINES.max(waiting.kept.saturating_mul(SUPERSEDED)) {
                waiting.kept = compact(&path, key.as_ref())?;
                waiting.appended = 0;
            }
        }
        self.waiting = 0;
        while self.days.len() > DAYS {
            self.days.pop_first();
        }
        Ok(())
    }

    /// Deletes the files of days before the given one; gives how many.
    pub fn forget_before(&mut self, first_kept: i64) -> Result<u64, StoreError> {
        let mut gone = 0;
        for (path, name) in layout::list(&layout::campaigns(&self.root))? {
            if name
                .and_then(|n| day_of(&n))
                .is_some_and(|d| d < first_kept)
            {
                layout::remove(&path)?;
                gone += 1;
            }
        }
        Ok(gone)
    }
}

/// Campaigns with a call in the window, closed at both ends, by their first call, and how many lines could not be read.
pub(super) fn find(
    root: &Path,
    vault: &Vault,
    from: Timestamp,
    until: Timestamp,
) -> Result<(Vec<Campaign>, u64), StoreError> {
    let first_day = layout::hour_of(from.nanos()).div_euclid(layout::DAY);
    let mut found = BTreeMap::new();
    let mut unreadable = 0;
    // Sorted by name, and so by day.
    for (path, name) in layout::list(&layout::campaigns(root))? {
        let day = name.and_then(|n| day_of(&n));
        if let Some(day) = day.filter(|d| first_day <= *d && !vault.is_erased(*d)) {
            let key = || vault.to_open(day, &path);
            unreadable += read(&path, key, &mut found, |c| c.first <= until)?;
        }
    }
    let touching = found.into_values().filter(|c| from <= c.last);
    let mut campaigns: Vec<Campaign> = touching.collect();
    campaigns.sort_by(|a, b| (a.first, &a.id).cmp(&(b.first, &b.id)));
    Ok((campaigns, unreadable))
}

/// How many lines of a file can't be read.
pub(super) fn unreadable(path: &Path, vault: &Vault, day: i64) -> Result<u64, StoreError> {
    let key = || vault.to_open(day, path);
    read(path, key, &mut BTreeMap::new(), |_| false)
}

/// The day that a file is about; `None` for what is not ours.
fn day_of(name: &str) -> Option<i64> {
    layout::day_from(name.strip_suffix(".jsonl")?)
}

fn append(path: &Path, lines: &[u8], key: Option<&Secret>) -> Result<(), StoreError> {
    let io = |e| StoreError::io(path, e);
    let is_new = !path.exists();
    let mut options = layout::options();
    let mut file = options.create(true).append(true).open(path).map_err(io)?;
    let before = file.metadata().map_err(io)?.len();
    let lines = sealed(lines, key, before).map_err(io)?;
    let written = file.write_all(&lines).and_then(|()| file.sync_data());
    if let Err(e) = written {
        // A full disk may have taken half a line. What follows must not be glued to it.
        let _ = file.set_len(before);
        return Err(io(e));
    }
    match (is_new, path.parent()) {
        (true, Some(folder)) => layout::sync_dir(folder),
        _ => Ok(()),
    }
}

/// The cipher of a day's lines.
fn cipher(key: &Secret) -> io::Result<Cipher> {
    key.cipher(b"", b"tracehop campaigns")
}

/// Lines as they lie in a file whose key this is, from `at` on.
fn sealed<'l>(lines: &'l [u8], key: Option<&Secret>, at: u64) -> io::Result<Cow<'l, [u8]>> {
    let Some(key) = key else {
        return Ok(lines.into());
    };
    let cipher = cipher(key)?;
    let mut out = Vec::new();
    for line in lines.split_inclusive(|b| *b == b'\n') {
        let mut frame = Vec::new();
        let place = at + out.len() as u64;
        cipher.seal_frame(&place.to_le_bytes(), line, &mut frame)?;
        out.extend_from_slice(SEALED);
        out.extend_from_slice(STANDARD.encode(&frame).as_bytes());
        out.push(b'\n');
    }
    Ok(out.into())
}

/// Writes the file anew with the last line of each id, and gives how many there are. Readers have the old one or the new one.
pub(super) fn compact(path: &Path, key: Option<&Secret>) -> Result<u64, StoreError> {
    let mut last = BTreeMap::new();
    let at_hand = || {
        key.cloned()
            .ok_or_else(|| StoreError::key(path, "sealed lines and no key"))
    };
    read(path, at_hand, &mut last, |_| true)?;
    let mut lines = Vec::new();
    for campaign in last.values() {
        put_line(campaign, &mut lines).map_err(|e| StoreError::io(path, e))?;
    }
    let lines = sealed(&lines, key, 0).map_err(|e| StoreError::io(path, e))?;
    layout::write_whole(path, &lines)?;
    Ok(last.len() as u64)
}

/// Reads the lines of a file in their order: of those that are wanted, the last of each id is left. Gives how many can't be read.
fn read(
    path: &Path,
    key: impl Fn() -> Result<Secret, StoreError>,
    found: &mut BTreeMap<CampaignId, Campaign>,
    wanted: impl Fn(&Campaign) -> bool,
) -> Result<u64, StoreError> {
    let io = |e| StoreError::io(path, e);
    let file = match File::open(path) {
        // Retention was faster.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        file => file.map_err(io)?,
    };
    let mut file = BufReader::new(file);
    let mut line = Vec::new();
    let mut unreadable = 0;
    let (mut next, mut opener) = (0, None);
    loop {
        line.clear();
        let at: u64 = next;
        let read = (&mut file).take(READ).read_until(b'\n', &mut line);
        next += match read.map_err(io)? {
            0 => return Ok(unreadable),
            length => length as u64,
        };
        if line.last() != Some(&b'\n') {
            if (line.len() as u64) < READ {
                // Torn, or just being written; but one that is whole was damaged in its very last octet.
                let whole = line.split_last().is_some_and(|(_, line)| is_summed(line));
                return Ok(unreadable + u64::from(whole || is_summed(&line)));
            }
            // No line of ours: on to its end.
            next += file.skip_until(b'\n').map_err(io)? as u64;
            unreadable += 1;
            continue;
        }
        if let Some(text) = line.strip_prefix(SEALED) {
            let cipher = match &opener {
                Some(cipher) => cipher,
                None => opener.insert(cipher(&key()?).map_err(io)?),
            };
            let frame = STANDARD.decode(text.trim_ascii_end()).ok();
            let opened = frame.and_then(|f| cipher.open_frame(&at.to_le_bytes(), &f));
            // What does not open is no campaign.
            line = opened.unwrap_or_default();
        }
        match read_line(&line) {
            Some(campaign) => {
                if wanted(&campaign) {
                    found.insert(campaign.id.clone(), campaign);
                }
            }
            None => unreadable += 1,
        }
    }
}

/// What stands before the checksum of a line, which is its last member: of all octets before it.
const SUM: &[u8] = b",\"crc32c\":\"";
/// Octets of the checksum and all around it: eight digits, a quotation mark and a brace.
const SUM_LENGTH: usize = SUM.len() + 10;

/// Writes a campaign as a line.
fn put_line(campaign: &Campaign, lines: &mut Vec<u8>) -> io::Result<()> {
    let start = lines.len();
    serde_json::to_writer(&mut *lines, campaign)?;
    // The brace at the end comes behind the checksum.
    lines.pop();
    let sum = crc32c::crc32c(lines.get(start..).unwrap_or_default());
    lines.extend_from_slice(SUM);
    lines.extend_from_slice(format!("{sum:08x}\"}}\n").as_bytes());
    Ok(())
}

/// What a line says before its checksum, and whether that is right; `None` where it has none, as those of before format 3.
fn summed(line: &[u8]) -> Option<(&[u8], bool)> {
    let (text, sum) = line.split_at_checked(line.len().checked_sub(SUM_LENGTH)?)?;
    let digits = sum.strip_prefix(SUM)?;
    let right = format!("{:08x}\"}}", crc32c::crc32c(text));
    Some((text, digits == right.as_bytes()))
}

fn is_summed(line: &[u8]) -> bool {
    summed(line).is_some_and(|(_, right)| right)
}

fn read_line(line: &[u8]) -> Option<Campaign> {
    let line = line.trim_ascii_end();
    match summed(line) {
        Some((_, false)) => None,
        _ => serde_json::from_slice(line).ok(),
    }
}

fn cut_torn_line(path: &Path) -> Result<(), StoreError> {
    let io = |e| StoreError::io(path, e);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let start = length.saturating_sub(READ);
    file.seek(SeekFrom::Start(start)).map_err(io)?;
    let mut tail = Vec::new();
    (&file).take(READ).read_to_end(&mut tail).map_err(io)?;
    if tail.last().is_none_or(|b| *b == b'\n') {
        return Ok(());
    }
    // A tail without any end of line is longer than a line of ours: from there on it is none.
    let kept = memchr::memrchr(b'\n', &tail).map_or(0, |at| at as u64 + 1);
    file.set_len(start + kept).map_err(io)?;
    file.sync_all().map_err(io)
}
