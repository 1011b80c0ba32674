//! Whether a file of evidence is what was written, and what of it can be kept where it is not.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::call::decode;
use super::find::FileReader;
use super::frame::{CALLS, CHAIN, Frame, HEADER, MAX_PACKED, NAMES, Packer};
use crate::base::digest::Digest128;
use crate::store::StoreError;
use crate::store::embedded::blocks::{self, Kind};
use crate::store::embedded::codec::Cut;
use crate::store::embedded::layout;
use crate::store::embedded::names::Numbering;
use crate::store::embedded::vault::Vault;

/// Octets that are looked through at once for the next frame: a frame and its header fit twice.
const WINDOW: usize = 4 << 20;

/// What a file of evidence is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store::embedded) struct Examined {
    /// Calls that read.
    pub calls: u64,
    /// Stretches that are not what was written.
    pub damaged: u64,
    /// Octets at the end that are no frame.
    pub torn: u64,
}

/// Reads every frame.
pub(in crate::store::embedded) fn examine(
    path: &Path,
    vault: &Vault,
) -> Result<Examined, StoreError> {
    walk(path, vault, |_, _| Ok(()))
}

/// Writes the frames that read into another file, and makes that durable.
pub(in crate::store::embedded) fn salvage(
    path: &Path,
    to: &Path,
    vault: &Vault,
) -> Result<Examined, StoreError> {
    let io = |e| StoreError::io(to, e);
    let mut out = layout::create(to).map_err(io)?;
    let day = path
        .parent()
        .and_then(|p| layout::day_from(p.file_name()?.to_str()?));
    let key = day.map(|day| vault.to_seal(day).map(|key| key.map(|key| (day, key))));
    let (mut written, mut cipher) = (0, None);
    if let Some((day, key)) = key.transpose()?.flatten() {
        let (header, sealing) = blocks::header(Kind::Frames, day, &key).map_err(io)?;
        out.write_all(&header).map_err(io)?;
        (written, cipher) = (header.len() as u64, Some(sealing));
    }
    let mut packer = Packer::new().map_err(io)?;
    let examined = walk(path, vault, |frame, payload| {
        let frame = packer.frame(frame.kind, frame.key, payload, written, cipher.as_ref());
        let frame = frame.map_err(io)?;
        written += frame.len() as u64;
        out.write_all(frame).map_err(io)
    })?;
    out.sync_all().map_err(io)?;
    Ok(examined)
}

/// Shows every frame that reads, with its payload unpacked.
fn walk(
    path: &Path,
    vault: &Vault,
    mut show: impl FnMut(&Frame, &[u8]) -> Result<(), StoreError>,
) -> Result<Examined, StoreError> {
    let mut found = Examined::default();
    let mut file = FileReader::open(path, vault)?;
    let mut names: Option<Numbering> = None;
    loop {
        let Some(frame) = file.next_frame()? else {
            if file.at >= file.length {
                return Ok(found);
            }
            match next_after(&mut file)? {
                Some(at) => {
                    found.damaged += 1;
                    file.at = at;
                    continue;
                }
                None => {
                    found.torn = file.length - file.at;
                    return Ok(found);
                }
            }
        };
        match file.payload(&frame) {
            Ok(payload) if reads(&mut file, &frame, &payload, &mut names, &mut found) => {
                show(&frame, &payload)?;
            }
            Ok(_) | Err(StoreError::Corrupt { .. }) => found.damaged += 1,
            Err(e) => return Err(e),
        }
    }
}

/// Whether a payload says what one of its kind must.
fn reads(
    file: &mut FileReader<'_>,
    frame: &Frame,
    payload: &[u8],
    names: &mut Option<Numbering>,
    found: &mut Examined,
) -> bool {
    match frame.kind {
        NAMES => {
            *names = file.names(frame).ok();
            names.is_some()
        }
        CHAIN => Digest128::of(payload).0 == frame.key,
        CALLS => {
            // Without names nobody knows which rule a bit means.
            let Some(names) = names else { return false };
            let (low, high) = frame.uids();
            let mut cut = Cut(payload);
            let mut calls = 0;
            while !cut.0.is_empty() {
                match decode(&mut cut, names) {
                    Some(call) if (low..=high).contains(&call.stored.uid) => calls += 1,
                    _ => return false,
                }
            }
            found.calls += calls;
            true
        }
        _ => false,
    }
}

/// Where the next frame begins after one that can't be read.
fn next_after(file: &mut FileReader<'_>) -> Result<Option<u64>, StoreError> {
    let mut from = file.at + 1;
    loop {
        let mut window = Vec::new();
        let io = |e| StoreError::io(file.path, e);
        file.file.seek(SeekFrom::Start(from)).map_err(io)?;
        (&mut file.file)
            .take(WINDOW as u64)
            .read_to_end(&mut window)
            .map_err(io)?;
        if window.len() < HEADER {
            return Ok(None);
        }
        for (header, at) in window.windows(HEADER).zip(from..) {
            let frame = header.first_chunk().and_then(|h| Frame::parse(h, at));
            if frame.is_some_and(|f| {
                f.packed <= MAX_PACKED && at + HEADER as u64 + u64::from(f.packed) <= file.length
            }) {
                return Ok(Some(at));
            }
        }
        from += (window.len() - HEADER + 1) as u64;
    }
}
