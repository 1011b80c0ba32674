//! The write-ahead log: what was acknowledged is in here until a segment holds it.
//!
//! ```text
//! file     wal/<seq, ten digits>.wal: frames, one after the other
//! frame    length of the payload u32, crc32c of the payload u32, payload        (little endian)
//! payload  format version u8 (2), seq of the log u64, events
//!          in an encrypted store the version has its highest bit set (130), and behind the number are a nonce of 12 octets, the
//!          events sealed, and their tag of 16 octets; what is authenticated with them: the number, and where in the file the frame begins u64
//! event    kind u8, length varint, body
//! kind 0   last uid u64, rule IDs (count varint, strings), flag labels, keys of neighbours (the same; no keys in version 1): the
//!          first event of every log
//! kind 1   Begin        kind 2  End        kind 3  Coverage                     (bodies: see `codec`)
//! ```
//!
//! Version 1 is read as well. All frames of a log are of one version: a log of an earlier one is not gone on with.
//!
//! The version and the number of the log at the start of every payload are what a reader looks for when it has lost the thread.
//! A frame that can't be read and is followed by one that can is reported as bad and skipped; what can't be read at the
//! end is a torn tail, as a power cut leaves it, and is cut off before the log goes on.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::codec::{Cut, put_str, put_varint};
use super::layout;
use super::names::{Numbering, VERSION};
use super::vault::{Cipher, FRAME, Vault};
use crate::call::classify::Flag;
use crate::call::peer::PeerKey;
use crate::stir::verify::Rule;
use crate::store::StoreError;

/// The first version, still read.
const FIRST_VERSION: u8 = 1;
/// Octets before the payload.
const HEADER: usize = 8;
/// Octets of the payload before its events.
const PREAMBLE: usize = 9;
/// The bit of the version that says that the events are sealed.
const IS_SEALED: u8 = 0x80;
/// A frame is written out when it has grown to this size, committed or not: one MiB, as measured for group commit.
const FRAME_TARGET: usize = 1 << 20;
/// The longest event that is taken. Everything in a record is bounded where it is made; this is for what slips through.
pub(super) const MAX_EVENT: usize = 1 << 16;
/// The longest payload that can be: target, one more event with kind and length, preamble.
const MAX_PAYLOAD: usize = FRAME_TARGET + MAX_EVENT + 16 + PREAMBLE + FRAME;
/// The longest log that is read back: 500,000 records and their ends at twice their usual 250 octets, and room.
pub(super) const MAX_LOG: u64 = 1 << 30;

/// Kinds of events.
pub(super) const HEAD: u8 = 0;
pub(super) const BEGIN: u8 = 1;
pub(super) const END: u8 = 2;
pub(super) const COVERAGE: u8 = 3;
/// No event: stands, when a log is read back, where something can't be.
pub(super) const GAP: u8 = u8::MAX;
/// In place of the version of a [`GAP`]: it is the last frame, which may never have been acknowledged.
pub(super) const TAIL: u8 = 0;

/// What a log is written to. A trait, so that tests can make it fail.
pub(super) trait Sink: Send + Sync {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Write::write_all(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()?;
        // ext4 that has turned read-only, as it does after an error of the disk, says that all went well and writes nothing (found by a test).
        let flags = fstatvfs(&*self)?.flags();
        match flags.contains(FsFlags::ST_RDONLY) {
            true => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            false => Ok(()),
        }
    }
}

/// The open log. After the first failure it refuses everything: what the kernel does with pages whose write-back failed
/// is not ours to guess (a second fdatasync may well say that all is fine).
pub(super) struct Log {
    pub path: PathBuf,
    sink: Box<dyn Sink>,
    cipher: Option<Cipher>,
    /// The frame being filled, header and preamble included.
    frame: Vec<u8>,
    /// The body being encoded.
    pub body: Vec<u8>,
    seq: u64,
    /// Octets written, without the frame being filled.
    written: u64,
    unsynced: bool,
    failed: Option<String>,
}

impl Log {
    /// Makes a new log, with its first frame in place before the name is.
    pub fn create(root: &Path, vault: &Vault, seq: u64, last_uid: u64) -> Result<Self, StoreError> {
        let dir = layout::wal(root);
        let path = layout::log(root, seq);
        let fresh = path.with_extension("new");
        let io = |source| StoreError::io(&fresh, source);
        // The log before the key: where the log never gets its name, what is left of its key is swept when the store is opened.
        let cipher = vault.make_log_key(seq)?;
        let file = layout::create(&fresh).map_err(io)?;
        let mut log = Self::over(Box::new(file), path.clone(), seq, 0);
        log.cipher = cipher;
        log.push(HEAD, &head(last_uid))?;
        log.commit()?;
        layout::rename(&fresh, &path)?;
        layout::sync_dir(&dir)?;
        Ok(log)
    }

    /// Goes on with a log that was read back: cuts off its torn tail first.
    pub fn resume(
        root: &Path,
        seq: u64,
        valid: u64,
        cipher: Option<Cipher>,
    ) -> Result<Self, StoreError> {
        let path = layout::log(root, seq);
        let io = |source| StoreError::io(&path, source);
        let file = OpenOptions::new().append(true).open(&path).map_err(io)?;
        if file.metadata().map_err(io)?.len() != valid {
            file.set_len(valid).map_err(io)?;
            file.sync_all().map_err(io)?;
        }
        let mut log = Self::over(Box::new(file), path, seq, valid);
        log.cipher = cipher;
        log.start_frame();
        Ok(log)
    }

    fn over(sink: Box<dyn Sink>, path: PathBuf, seq: u64, written: u64) -> Self {
        let mut log = Self {
            path,
            sink,
            cipher: None,
            frame: Vec::with_capacity(FRAME_TARGET / 4),
            body: Vec::new(),
            seq,
            written,
            unsynced: false,
            failed: None,
        };
        log.start_frame();
        log
    }

    #[cfg(test)]
    pub fn replace_sink(&mut self, sink: Box<dyn Sink>) {
        self.sink = sink;
    }

    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// How long the log is, with what is not yet written.
    pub fn len(&self) -> u64 {
        self.written + self.frame.len() as u64
    }

    /// Fails when the log has failed before.
    pub fn check(&self) -> Result<(), StoreError> {
        match &self.failed {
            Some(why) => Err(StoreError::LogFailed {
                path: self.path.clone(),
                why: why.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Takes an event in.
    pub fn push(&mut self, kind: u8, body: &[u8]) -> Result<(), StoreError> {
        self.check()?;
        if body.len() > MAX_EVENT {
            return Err(StoreError::TooLong {
                octets: body.len(),
                limit: MAX_EVENT,
            });
        }
        self.frame.push(kind);
        put_varint(&mut self.frame, body.len() as u64);
        self.frame.extend_from_slice(body);
        if self.frame.len() >= FRAME_TARGET {
            self.write()?;
        }
        Ok(())
    }

    /// Makes everything taken in durable.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.check()?;
        if self.frame.len() > HEADER + PREAMBLE {
            self.write()?;
        }
        if self.unsynced {
            let synced = self.sink.sync();
            self.note(synced)?;
            self.unsynced = false;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        if let Some(cipher) = &self.cipher {
            let (clear, events) = self.frame.split_at(HEADER + PREAMBLE);
            let mut sealed = Vec::with_capacity(self.frame.len() + FRAME);
            sealed.extend_from_slice(clear);
            let about = about(self.seq, self.written);
            let done = cipher.seal_frame(&about, events, &mut sealed);
            self.note(done)?;
            self.frame = sealed;
            if let Some(version) = self.frame.get_mut(HEADER) {
                *version |= IS_SEALED;
            }
        }
        if let Some((header, payload)) = self.frame.split_first_chunk_mut::<HEADER>() {
            let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            let (l, c) = header.split_at_mut(4);
            l.copy_from_slice(&length.to_le_bytes());
            c.copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
        }
        let written = self.sink.write_all(&self.frame);
        self.note(written)?;
        self.written += self.frame.len() as u64;
        self.unsynced = true;
        self.start_frame();
        Ok(())
    }

    fn start_frame(&mut self) {
        self.frame.clear();
        self.frame.extend_from_slice(&[0; HEADER]);
        self.frame.push(VERSION);
        self.frame.extend_from_slice(&self.seq.to_le_bytes());
    }

    fn note(&mut self, result: io::Result<()>) -> Result<(), StoreError> {
        if let Err(e) = result {
            self.failed = Some(e.to_string());
        }
        self.check()
    }
}

/// What is authenticated with a sealed frame: a frame of another log, or of another place, does not open.
fn about(seq: u64, at: u64) -> [u8; 16] {
    let mut about = [0; 16];
    let (s, a) = about.split_at_mut(8);
    s.copy_from_slice(&seq.to_le_bytes());
    a.copy_from_slice(&at.to_le_bytes());
    about
}

fn head(last_uid: u64) -> Vec<u8> {
    let mut out = last_uid.to_le_bytes().to_vec();
    put_varint(&mut out, Rule::ALL.len() as u64);
    Rule::ALL.iter().for_each(|r| put_str(&mut out, r.id()));
    put_varint(&mut out, Flag::ALL.len() as u64);
    Flag::ALL.iter().for_each(|f| put_str(&mut out, f.label()));
    put_varint(&mut out, PeerKey::ALL.len() as u64);
    PeerKey::ALL
        .iter()
        .for_each(|k| put_str(&mut out, k.label()));
    out
}

/// The first event of a log.
pub(super) struct Head {
    pub last_uid: u64,
    pub numbering: Numbering,
}

impl Head {
    pub fn decode(body: &[u8], version: u8) -> Option<Self> {
        let mut cut = Cut(body);
        let last_uid = cut.u64()?;
        let mut names = || {
            let count = cut.varint()?;
            (0..count).map(|_| cut.str()).collect::<Option<Vec<&str>>>()
        };
        let (rules, flags) = (names()?, names()?);
        let keys = match version {
            FIRST_VERSION => Vec::new(),
            _ => names()?,
        };
        // More can't be bits of a set.
        let fits = rules.len() <= 128 && flags.len() <= 64 && keys.len() <= 32;
        (fits && cut.0.is_empty()).then(|| Self {
            last_uid,
            numbering: Numbering::from_names(version, &rules, &flags, &keys),
        })
    }
}

/// What reading a log back came upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Replayed {
    /// Octets up to the end of the last frame that can be read.
    pub valid: u64,
    /// Octets after it.
    pub torn: u64,
    /// Stretches in the middle that can't be read.
    pub bad_frames: u64,
    /// Octets in them.
    pub bad_bytes: u64,
    /// Events that can't be read, in frames whose checksum is right.
    pub unreadable: u64,
    /// Whether frames were sealed.
    pub sealed: bool,
}

/// Reads a log file whole.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    let io = |source| StoreError::io(path, source);
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length > MAX_LOG {
        return Err(StoreError::corrupt(
            path,
            format!("{length} octets: no log of ours grows past {MAX_LOG}"),
        ));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(MAX_LOG).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// Gives every event of a log to `take`, with its kind and the version of its frame, and a [`GAP`] for every stretch that can't be read. It says whether
/// it could read the event.
pub(super) fn replay(
    bytes: &[u8],
    seq: u64,
    cipher: Option<&Cipher>,
    mut take: impl FnMut(u8, u8, &[u8]) -> bool,
) -> Replayed {
    let mut done = Replayed::default();
    let mut at = 0;
    while at < bytes.len() {
        if let Some(frame) = frame(bytes, at, seq, cipher) {
            done.sealed |= matches!(frame.events, Cow::Owned(_));
            events(&frame, &mut take, &mut done);
            at = frame.end;
            continue;
        }
        match next_frame(bytes, at, seq, cipher) {
            Some(next) => {
                done.bad_frames += 1;
                done.bad_bytes += (next - at) as u64;
                take(GAP, VERSION, &[]);
                at = next;
            }
            None => {
                if is_whole(bytes, at) {
                    take(GAP, TAIL, &[]);
                }
                break;
            }
        }
    }
    done.valid = at as u64;
    done.torn = (bytes.len() - at) as u64;
    done
}

/// Whether what can't be read at the end of a log is a frame to its last octet: then nobody can say whether a power cut tore it or it was damaged after it
/// had been acknowledged. What a killed process leaves is shorter than its header says.
fn is_whole(bytes: &[u8], at: usize) -> bool {
    let read = || {
        let mut cut = Cut(bytes.get(at..)?);
        let length = usize::try_from(cut.u32()?).ok()?;
        let sum = cut.u32()?;
        let possible = (PREAMBLE..=MAX_PAYLOAD).contains(&length);
        // By its length, or, where that is damaged, by its checksum.
        Some((possible && length <= cut.0.len()) || crc32c::crc32c(cut.0) == sum)
    };
    read().unwrap_or(false)
}

/// A whole frame.
struct Frame<'a> {
    version: u8,
    events: Cow<'a, [u8]>,
    /// Where the next one starts.
    end: usize,
}

/// The frame at `at`, if there is one and it is whole. A sealed one must open as well: that it does not is damage like any other.
fn frame<'a>(bytes: &'a [u8], at: usize, seq: u64, cipher: Option<&Cipher>) -> Option<Frame<'a>> {
    let mut cut = Cut(bytes.get(at..)?);
    let length = usize::try_from(cut.u32()?).ok()?;
    let sum = cut.u32()?;
    if !(PREAMBLE..=MAX_PAYLOAD).contains(&length) {
        return None;
    }
    let payload = cut.take(length)?;
    let mut inner = Cut(payload);
    let marked = inner.u8()?;
    let version = marked & !IS_SEALED;
    let ours = (FIRST_VERSION..=VERSION).contains(&version) && inner.u64()? == seq;
    if !ours || crc32c::crc32c(payload) != sum {
        return None;
    }
    let events = match marked & IS_SEALED {
        0 => Cow::Borrowed(inner.0),
        _ => Cow::Owned(cipher?.open_frame(&about(seq, at as u64), inner.0)?),
    };
    Some(Frame {
        version,
        events,
        end: at + HEADER + length,
    })
}

/// Where the next whole frame after `at` starts: found by the number of the log behind the version, proven by its checksum.
fn next_frame(bytes: &[u8], at: usize, seq: u64, cipher: Option<&Cipher>) -> Option<usize> {
    let before = HEADER + 1;
    let from = at + 1 + before;
    memchr::memmem::find_iter(bytes.get(from..)?, &seq.to_le_bytes())
        .map(|found| from + found - before)
        .find(|start| frame(bytes, *start, seq, cipher).is_some())
}

/// Whether a log begins with a frame that is sealed, as far as its first octets tell.
pub(super) fn looks_sealed(bytes: &[u8]) -> bool {
    bytes.get(HEADER).is_some_and(|v| v & IS_SEALED != 0)
}

fn events(frame: &Frame<'_>, take: &mut impl FnMut(u8, u8, &[u8]) -> bool, done: &mut Replayed) {
    let mut cut = Cut(&frame.events);
    while !cut.0.is_empty() {
        let event = (|| {
            let kind = cut.u8()?;
            let length = usize::try_from(cut.varint()?).ok()?;
            Some((kind, cut.take(length)?))
        })();
        match event {
            Some((kind, body)) => done.unreadable += u64::from(!take(kind, frame.version, body)),
            None => {
                done.unreadable += 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of five frames of two events each, and where its frames end.
    fn sample(dir: &Path) -> (Vec<u8>, Vec<usize>) {
        std::fs::create_dir_all(layout::wal(dir)).unwrap();
        let mut log = Log::create(dir, &Vault::default(), 7, 41).unwrap();
        let mut ends = vec![usize::try_from(log.written).unwrap()];
        for i in 0..10_u8 {
            log.push(BEGIN, &[i; 20]).unwrap();
            if i % 2 == 1 {
                log.commit().unwrap();
                ends.push(usize::try_from(log.written).unwrap());
            }
        }
        (read(&log.path).unwrap(), ends)
    }

    fn replayed(bytes: &[u8]) -> (Vec<u8>, Replayed) {
        let mut seen = Vec::new();
        let done = replay(bytes, 7, None, |kind, version, body| {
            match kind {
                HEAD => assert_eq!(Head::decode(body, version).unwrap().last_uid, 41),
                GAP => assert!(body.is_empty()),
                _ => {
                    assert_eq!(body, [body[0]; 20], "never garbage");
                    seen.push(body[0]);
                }
            }
            true
        });
        (seen, done)
    }

    #[test]
    fn a_torn_tail_leaves_the_frames_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let (bytes, ends) = sample(dir.path());
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|e| **e <= cut).count();
            let (seen, done) = replayed(&bytes[..cut]);
            let events = (whole.max(1) - 1) * 2;
            assert_eq!(seen, (0..events as u8).collect::<Vec<_>>(), "cut at {cut}");
            let valid = ends[..whole].last().copied().unwrap_or(0);
            assert_eq!(done.valid as usize, valid);
            assert_eq!(done.torn as usize, cut - valid);
            assert_eq!((done.bad_frames, done.unreadable), (0, 0));
        }
    }

    #[test]
    fn a_flipped_bit_costs_its_frame_and_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let (bytes, ends) = sample(dir.path());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                let hit = ends.iter().filter(|e| **e <= at).count();
                let lost: Vec<u8> = match hit {
                    0 => vec![],
                    n => vec![(n as u8 - 1) * 2, (n as u8 - 1) * 2 + 1],
                };
                let (seen, done) = replayed(&bytes);
                let expected: Vec<u8> = (0..10).filter(|i| !lost.contains(i)).collect();
                assert_eq!(seen, expected, "bit {bit} of octet {at}");
                let last = hit == ends.len() - 1;
                assert_eq!(done.bad_frames, u64::from(!last));
                assert_eq!(done.torn > 0, last);
                assert_eq!(done.valid + done.torn, bytes.len() as u64);
            }
        }
    }

    #[test]
    fn frames_of_another_log_are_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (bytes, _) = sample(dir.path());
        let done = replay(&bytes, 8, None, |kind, _, _| {
            assert_eq!(kind, GAP, "a frame of log 7");
            true
        });
        assert_eq!((done.valid, done.torn), (0, bytes.len() as u64));
    }

    struct Full {
        after: usize,
        calls: usize,
    }

    impl Sink for Full {
        fn write_all(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            self.calls += 1;
            // As kernels do: the error is told once, then all seems well again.
            if self.calls == self.after {
                Err(io::Error::other("input/output error"))
            } else {
                Ok(())
            }
        }
    }

    #[test]
    fn after_a_failed_sync_nothing_is_acknowledged() {
        let full = Full { after: 2, calls: 0 };
        let mut log = Log::over(Box::new(full), "x.wal".into(), 1, 0);
        log.push(BEGIN, b"a").unwrap();
        log.commit().unwrap();
        log.push(BEGIN, b"b").unwrap();
        assert!(log.commit().is_err());
        for _ in 0..3 {
            assert!(matches!(log.commit(), Err(StoreError::LogFailed { .. })));
            assert!(log.push(BEGIN, b"c").is_err());
        }
    }
}
