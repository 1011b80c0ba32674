//! Several capture files as one source, by capture time.
//!
//! Within a file the order of the file stands, also where its times step back; between files the earlier frame comes first, and of two at the same
//! time the one of the file named first. So the same files give the same order, and with it the same message numbers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::path::{Path, PathBuf};

use super::{CaptureError, CaptureFile, Ending};
use crate::base::Timestamp;
use crate::engine::{Assembler, Frame};

/// What happens next in the merged files.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A file begins.
    Opened {
        /// Whose file.
        sensor: u16,
        /// Time of its first frame.
        at: Timestamp,
    },
    /// A frame.
    Frame(Frame<'a>),
    /// A file says that packets were lost while it was written.
    Dropped {
        /// Whose file.
        sensor: u16,
        /// Time of the last frame before it says so.
        at: Timestamp,
        /// How many.
        packets: u64,
    },
    /// A file has ended.
    Closed {
        /// Whose file.
        sensor: u16,
        /// Time of its last frame.
        at: Timestamp,
    },
}

impl Event<'_> {
    /// Tells an assembler.
    pub fn feed(self, assembler: &mut Assembler) {
        match self {
            Self::Opened { sensor, at } => assembler.handle_open(sensor, at),
            Self::Frame(frame) => assembler.handle_frame(frame),
            Self::Dropped {
                sensor,
                at,
                packets,
            } => assembler.handle_dropped(sensor, at, packets),
            Self::Closed { sensor, at } => assembler.handle_close(sensor, at),
        }
    }
}

/// Capture files, merged.
#[derive(Debug)]
pub struct Merge {
    files: Vec<CaptureFile>,
    /// Time of the frame at which each file stands, and its index.
    heads: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// Files to go on with before the next frame is chosen.
    used: Vec<usize>,
    events: VecDeque<Event<'static>>,
    current: Option<usize>,
}

impl Merge {
    /// Opens all files; each comes with the index of the sensor that wrote it.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] of the first file that can't be opened or is no capture.
    pub fn open(files: impl IntoIterator<Item = (PathBuf, u16)>) -> Result<Self, CaptureError> {
        let files: Vec<_> = files
            .into_iter()
            .map(|(path, sensor)| Ok(CaptureFile::open(path)?.for_sensor(sensor)))
            .collect::<Result<_, CaptureError>>()?;
        Ok(Self {
            used: (0..files.len()).rev().collect(),
            heads: BinaryHeap::new(),
            events: VecDeque::new(),
            current: None,
            files,
        })
    }

    /// What happens next; `None` when all files have ended.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`], when a file can't be read any further. That file ends there, and the next call goes on with the others.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, CaptureError> {
        while let Some(index) = self.used.pop() {
            self.advance(index)?;
        }
        if let Some(event) = self.events.pop_front() {
            return Ok(Some(event));
        }
        if let Some(index) = self.current.take() {
            self.used.push(index);
            return Ok(self.frame_of(index).map(Event::Frame));
        }
        let Some(Reverse((at, index))) = self.heads.pop() else {
            return Ok(None);
        };
        if let Some(file) = self.files.get(index).filter(|f| f.packets() == 1) {
            self.current = Some(index);
            let sensor = file.sensor();
            return Ok(Some(Event::Opened { sensor, at }));
        }
        self.used.push(index);
        Ok(self.frame_of(index).map(Event::Frame))
    }

    /// The files in the order given, each with its frames so far and how it ended, once it has.
    pub fn endings(&self) -> impl Iterator<Item = (&Path, u64, Option<Ending>)> {
        self.files
            .iter()
            .map(|f| (f.path(), f.packets(), f.ending()))
    }

    /// Octets gone past in all files, and all they have.
    pub fn progress(&self) -> (u64, u64) {
        self.files
            .iter()
            .map(CaptureFile::progress)
            .fold((0, 0), |(a, b), (read, total)| (a + read, b + total))
    }

    fn frame_of(&self, index: usize) -> Option<Frame<'_>> {
        self.files.get(index)?.frame()
    }

    fn advance(&mut self, index: usize) -> Result<(), CaptureError> {
        let Some(file) = self.files.get_mut(index) else {
            return Ok(());
        };
        let at = file.last_at();
        let more = file.advance();
        let sensor = file.sensor();
        let packets = file.take_dropped();
        if packets > 0 {
            self.events.push_back(Event::Dropped {
                sensor,
                at,
                packets,
            });
        }
        if matches!(more, Ok(true)) {
            self.heads.push(Reverse((file.last_at(), index)));
        } else if file.packets() > 0 {
            self.events.push_back(Event::Closed { sensor, at });
        }
        more.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pcap file with a frame of one octet at each of the given seconds; the octet says which file.
    fn write(dir: &Path, name: u8, seconds: &[u32]) -> PathBuf {
        let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
        bytes.extend([0; 8]);
        bytes.extend([0, 0, 4, 0, 1, 0, 0, 0]);
        for s in seconds {
            bytes.extend(s.to_le_bytes());
            bytes.extend([0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, name]);
        }
        let path = dir.join(format!("{name}.pcap"));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn events(merge: &mut Merge) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(event) = merge.next_event().unwrap() {
            out.push(match event {
                Event::Opened { sensor, at } => format!("open {sensor} {}", at.secs()),
                Event::Frame(f) => format!("{} {}", f.bytes[0], f.at.secs()),
                Event::Dropped { .. } => "dropped".into(),
                Event::Closed { sensor, at } => format!("close {sensor} {}", at.secs()),
            });
        }
        out
    }

    #[test]
    fn frames_come_by_time_and_files_open_and_close_around_them() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            (write(dir.path(), 1, &[10, 30]), 0),
            (write(dir.path(), 2, &[10, 20, 15, 40]), 1),
            (write(dir.path(), 3, &[]), 2),
        ];
        let mut merge = Merge::open(files).unwrap();
        let expected = [
            "open 0 10",
            "1 10",
            "open 1 10",
            "2 10",
            "2 20",
            "2 15",
            "1 30",
            "close 0 30",
            "2 40",
            "close 1 40",
        ];
        assert_eq!(events(&mut merge), expected);
        assert_eq!(merge.progress().0, merge.progress().1);
        assert!(merge.endings().all(|(_, _, e)| e == Some(Ending::Clean)));
    }

    #[test]
    fn a_file_that_is_missing_says_so() {
        let e = Merge::open([("/nonexistent/a.pcap".into(), 0)]).unwrap_err();
        assert!(matches!(e, CaptureError::Io { .. }));
    }
}
