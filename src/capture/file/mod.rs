//! One capture file: pcap (draft-ietf-opsawg-pcap) or pcapng (draft-ietf-opsawg-pcapng), read in a stream.
//!
//! Memory stays constant whatever the size of the file. Both byte orders, microseconds and nanoseconds, several sections and interfaces with
//! link types and time resolutions of their own; blocks that we don't know are gone past. pcap-parser reads the headers and blocks, over a buffer of
//! our own that always holds a whole one: a file that is cut or corrupt gives every frame before the damage, and then its [`Ending`] says where.

mod interface;

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pcap_parser::{
    Block, OptionCode, PcapHeader, parse_block_be, parse_block_le, parse_pcap_frame,
    parse_pcap_frame_be, parse_pcap_frame_modified, parse_pcap_header,
};

use interface::{Interface, option_u64};

use super::CaptureError;
use crate::base::Timestamp;
use crate::engine::Frame;
use crate::wire::link::LinkType;

/// The most octets of one packet: libpcap's MAXIMUM_SNAPLEN. A length above it is damage.
const MAX_PACKET: usize = 262_144;

/// The most octets of a pcapng block that we read: a packet with comments, an interface with its filter. Longer ones are gone past
/// if they are neither.
const MAX_BLOCK: usize = 4 * MAX_PACKET;

/// The most interfaces in one section. Real files have a few; each block of 20 octets could name one.
const MAX_INTERFACES: usize = 4_096;

/// What is read at once.
const CHUNK: usize = 256 * 1024;

/// How a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// At the end of a packet or block.
    Clean,
    /// In the middle of one: the file was cut, or is still being written.
    Cut {
        /// Where the part that is not whole begins, in octets.
        offset: u64,
        /// Packets before it.
        packets: u64,
    },
    /// Something stands there that can't be.
    Corrupt {
        /// Where it begins, in octets.
        offset: u64,
        /// Packets before it.
        packets: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Clean => write!(f, "clean"),
            Self::Cut { offset, packets } => {
                write!(f, "cut at octet {offset}, after {packets} packets")
            }
            Self::Corrupt {
                offset,
                packets,
                what,
            } => write!(
                f,
                "corrupt at octet {offset}, after {packets} packets: {what}"
            ),
        }
    }
}

/// A capture file being read.
#[derive(Debug)]
pub struct CaptureFile<R = File> {
    path: PathBuf,
    reader: R,
    total: u64,
    sensor: u16,
    /// Octets read and not yet gone past are `buf[start..]`; the first of them is octet `offset` of the file.
    buf: Vec<u8>,
    start: usize,
    offset: u64,
    at_end: bool,
    format: Format,
    packets: u64,
    dropped: u64,
    last: Timestamp,
    head: Option<Head>,
    ending: Option<Ending>,
}

#[derive(Debug)]
enum Format {
    Pcap(PcapHeader),
    PcapNg {
        big_endian: bool,
        interfaces: Vec<Interface>,
    },
}

/// The packet we stand at. Its octets are `buf[start..][octets]`, and `length` octets of the file are its.
#[derive(Clone, Debug)]
struct Head {
    at: Timestamp,
    link: LinkType,
    original_len: usize,
    octets: Range<usize>,
    length: usize,
}

/// What a step through the file found.
enum Step {
    Packet(Head),
    /// So many octets of something else.
    Other(usize),
    End(Ending),
}

impl CaptureFile {
    /// Opens a file. What it is shows by its first octets, not by its name.
    ///
    /// # Errors
    ///
    /// [`CaptureError`], when it can't be opened or is no capture.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        let path = path.as_ref();
        let io = |source| CaptureError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let total = file.metadata().map_err(io)?.len();
        Self::from_reader(file, path, total)
    }
}

impl<R: Read> CaptureFile<R> {
    /// Reads from anything; `path` names it in errors, and `total` is its length for progress, 0 where unknown.
    ///
    /// # Errors
    ///
    /// [`CaptureError`], when it can't be read or is no capture.
    pub fn from_reader(
        reader: R,
        path: impl Into<PathBuf>,
        total: u64,
    ) -> Result<Self, CaptureError> {
        let mut file = Self {
            path: path.into(),
            reader,
            total,
            sensor: 0,
            buf: Vec::new(),
            start: 0,
            offset: 0,
            at_end: false,
            format: Format::PcapNg {
                big_endian: false,
                interfaces: Vec::new(),
            },
            packets: 0,
            dropped: 0,
            last: Timestamp::from_secs(0),
            head: None,
            ending: None,
        };
        file.fill(24)?;
        match *file.front() {
            // A section header, in either byte order.
            [0x0a, 0x0d, 0x0d, 0x0a, ..] => {}
            [0x1f, 0x8b, ..] => return Err(file.packed("gzip")),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(file.packed("zstd")),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => return Err(file.packed("xz")),
            _ => {
                let header = parse_pcap_header(file.front()).map(|(_, header)| header);
                let Ok(header) = header else {
                    return Err(CaptureError::NotACapture { path: file.path });
                };
                file.skip(header.size());
                file.format = Format::Pcap(header);
            }
        }
        Ok(file)
    }

    /// Says which sensor of the configuration captured this file. Without it, the first.
    #[must_use]
    pub fn for_sensor(mut self, sensor: u16) -> Self {
        self.sensor = sensor;
        self
    }

    /// The next frame. `None` at the end; then [`CaptureFile::ending`] says how the file ended.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`], when reading fails. The file ends there.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        self.advance()?;
        Ok(self.frame())
    }

    /// Goes on to the next frame and says whether there is one.
    ///
    /// # Errors
    ///
    /// As [`CaptureFile::next_frame`].
    pub fn advance(&mut self) -> Result<bool, CaptureError> {
        if let Some(head) = self.head.take() {
            self.skip(head.length);
        }
        while self.ending.is_none() {
            let step = match self.format {
                Format::Pcap(_) => self.step_pcap(),
                Format::PcapNg { .. } => self.step_pcapng(),
            };
            match step {
                Ok(Step::Packet(head)) => {
                    self.packets += 1;
                    self.last = head.at;
                    self.head = Some(head);
                    return Ok(true);
                }
                Ok(Step::Other(length)) => self.skip_far(length)?,
                Ok(Step::End(ending)) => self.ending = Some(ending),
                Err(e) => {
                    self.ending = Some(self.cut());
                    return Err(e);
                }
            }
        }
        Ok(false)
    }

    /// The frame we stand at.
    pub fn frame(&self) -> Option<Frame<'_>> {
        let head = self.head.as_ref()?;
        Some(Frame {
            at: head.at,
            link: head.link,
            sensor: self.sensor,
            bytes: self.front().get(head.octets.clone())?,
            original_len: head.original_len,
        })
    }

    /// How the file ended, once it has.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which sensor captured it.
    pub fn sensor(&self) -> u16 {
        self.sensor
    }

    /// Frames so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Time of the last frame so far.
    pub fn last_at(&self) -> Timestamp {
        self.last
    }

    /// Octets of the file gone past, and all it had when it was opened.
    pub fn progress(&self) -> (u64, u64) {
        (self.offset, self.total)
    }

    /// Packets that the capture program says it lost, in the blocks gone past since the last call. Only pcapng says so, and usually at its end.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn step_pcap(&mut self) -> Result<Step, CaptureError> {
        let Format::Pcap(header) = &self.format else {
            return Ok(Step::End(self.corrupt("no pcap")));
        };
        let modified = header.is_modified_format();
        let head = if modified { 24 } else { 16 };
        let big_endian = header.is_bigendian();
        let nanos_each = if header.is_nanosecond_precision() {
            1
        } else {
            1_000
        };
        let link = LinkType::from_dlt(header.network.0.cast_unsigned());
        if !self.fill(head)? {
            return Ok(Step::End(self.end()));
        }
        let captured = u32_at(self.front(), 8, big_endian).map_or(usize::MAX, |n| n as usize);
        if captured > MAX_PACKET {
            return Ok(Step::End(self.corrupt("packet longer than 256 KiB")));
        }
        if !self.fill(head + captured)? {
            return Ok(Step::End(self.cut()));
        }
        let record = match (modified, big_endian) {
            (true, _) => parse_pcap_frame_modified(self.front()),
            (false, true) => parse_pcap_frame_be(self.front()),
            (false, false) => parse_pcap_frame(self.front()),
        };
        let Ok((_, record)) = record else {
            return Ok(Step::End(self.corrupt("packet header")));
        };
        let nanos =
            i64::from(record.ts_sec) * 1_000_000_000 + i64::from(record.ts_usec) * nanos_each;
        Ok(Step::Packet(Head {
            at: Timestamp::from_nanos(nanos),
            link,
            original_len: record.origlen as usize,
            octets: head..head + captured,
            length: head + captured,
        }))
    }

    fn step_pcapng(&mut self) -> Result<Step, CaptureError> {
        if !self.fill(12)? {
            return Ok(Step::End(self.end()));
        }
        let front = self.front();
        let is_section = front.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]);
        let section_order = match front.get(8..12) {
            Some([0x1a, 0x2b, 0x3c, 0x4d]) => Some(true),
            Some([0x4d, 0x3c, 0x2b, 0x1a]) => Some(false),
            _ => None,
        };
        let Format::PcapNg { big_endian, .. } = self.format else {
            return Ok(Step::End(self.corrupt("no pcapng")));
        };
        let big_endian = match (is_section, section_order) {
            (true, Some(order)) => order,
            (true, None) => return Ok(Step::End(self.corrupt("byte order of a section"))),
            (false, _) => big_endian,
        };
        let kind = u32_at(front, 0, big_endian).unwrap_or_default();
        let length = u32_at(front, 4, big_endian).map_or(0, |n| n as usize);
        if length < 12 || !length.is_multiple_of(4) {
            return Ok(Step::End(self.corrupt("block length")));
        }
        // Section, interface, packet, statistics, simple packet: the only ones we read.
        if !is_section && !matches!(kind, 1 | 3 | 5 | 6) {
            return Ok(Step::Other(length));
        }
        if length > MAX_BLOCK {
            return Ok(Step::End(self.corrupt("block longer than 1 MiB")));
        }
        if !self.fill(length)? {
            return Ok(Step::End(self.cut()));
        }
        if u32_at(self.front(), length - 4, big_endian) != u32_at(self.front(), 4, big_endian) {
            return Ok(Step::End(self.corrupt("block lengths that differ")));
        }
        let (offset, packets) = (self.offset, self.packets);
        let corrupt = |what| {
            Ok(Step::End(Ending::Corrupt {
                offset,
                packets,
                what,
            }))
        };
        let Format::PcapNg {
            big_endian: order,
            interfaces,
        } = &mut self.format
        else {
            return corrupt("block");
        };
        *order = big_endian;
        let bytes = self.buf.get(self.start..).unwrap_or_default();
        let bytes = bytes.get(..length).unwrap_or_default();
        let parse = if big_endian {
            parse_block_be
        } else {
            parse_block_le
        };
        // The block is all there: whatever goes wrong now, more octets won't help.
        let Ok((_, block)) = parse(bytes) else {
            return corrupt("block");
        };
        let packet = match block {
            Block::SectionHeader(_) => {
                interfaces.clear();
                None
            }
            Block::InterfaceDescription(b) => {
                if interfaces.len() >= MAX_INTERFACES {
                    return corrupt("too many interfaces");
                }
                let dlt = b.linktype.0.cast_unsigned();
                interfaces.push(Interface::new(dlt, b.snaplen, &b.options, big_endian));
                None
            }
            Block::InterfaceStatistics(b) => {
                if let Some(interface) = interfaces.get_mut(b.if_id as usize) {
                    // isb_ifdrop and isb_osdrop: dropped by the interface, by the system.
                    let of = |code| option_u64(&b.options, code, big_endian).unwrap_or_default();
                    let dropped =
                        of(OptionCode::IsbIfDrop).saturating_add(of(OptionCode::IsbOsDrop));
                    let new = dropped.saturating_sub(interface.dropped);
                    interface.dropped = dropped.max(interface.dropped);
                    self.dropped = self.dropped.saturating_add(new);
                }
                None
            }
            Block::EnhancedPacket(b) => {
                let Some(interface) = interfaces.get(b.if_id as usize) else {
                    return corrupt("packet of an unknown interface");
                };
                let units = u64::from(b.ts_high) << 32 | u64::from(b.ts_low);
                let captured = (b.caplen as usize).min(b.data.len());
                Some((
                    interface.time(units),
                    interface.link,
                    b.origlen,
                    28,
                    captured,
                ))
            }
            Block::SimplePacket(b) => {
                // It is of the first interface and has no time of its own.
                let Some(interface) = interfaces.first() else {
                    return corrupt("packet without an interface");
                };
                let limit = match interface.snap_length {
                    0 => usize::MAX,
                    n => n as usize,
                };
                let captured = (b.origlen as usize).min(limit).min(b.data.len());
                Some((self.last, interface.link, b.origlen, 12, captured))
            }
            _ => None,
        };
        Ok(match packet {
            Some((_, _, _, _, captured)) if captured > MAX_PACKET => {
                return corrupt("packet longer than 256 KiB");
            }
            Some((at, link, original_len, begin, captured)) => Step::Packet(Head {
                at,
                link,
                original_len: original_len as usize,
                octets: begin..begin + captured,
                length,
            }),
            None => Step::Other(length),
        })
    }

    fn front(&self) -> &[u8] {
        self.buf.get(self.start..).unwrap_or_default()
    }

    /// Sees to it that so many octets are at the front. Says whether there were that many.
    fn fill(&mut self, wanted: usize) -> Result<bool, CaptureError> {
        if self.front().len() >= wanted {
            return Ok(true);
        }
        self.buf.drain(..self.start);
        self.start = 0;
        while self.buf.len() < wanted && !self.at_end {
            let have = self.buf.len();
            self.buf.resize(have.max(wanted).max(CHUNK), 0);
            let room = self.buf.get_mut(have..).unwrap_or_default();
            let read = self.reader.read(room);
            let read = match read {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {
                    self.buf.truncate(have);
                    continue;
                }
                other => other,
            };
            self.buf
                .truncate(have + read.as_ref().copied().unwrap_or_default());
            let read = read.map_err(|source| CaptureError::Io {
                path: self.path.clone(),
                source,
            })?;
            self.at_end = read == 0;
        }
        Ok(self.buf.len() >= wanted)
    }

    /// Goes past octets that are at the front.
    fn skip(&mut self, length: usize) {
        let length = length.min(self.front().len());
        self.start += length;
        self.offset += length as u64;
    }

    /// Goes past octets that may not have been read yet, without keeping them.
    fn skip_far(&mut self, mut length: usize) -> Result<(), CaptureError> {
        let begin = self.offset;
        while length > 0 {
            if let Err(e) = self.fill(1) {
                self.ending = Some(self.cut());
                return Err(e);
            }
            let here = length.min(self.front().len());
            if here == 0 {
                self.ending = Some(Ending::Cut {
                    offset: begin,
                    packets: self.packets,
                });
                return Ok(());
            }
            self.skip(here);
            length -= here;
        }
        Ok(())
    }

    /// The ending where no whole header follows any more.
    fn end(&self) -> Ending {
        if self.front().is_empty() {
            Ending::Clean
        } else {
            self.cut()
        }
    }

    fn cut(&self) -> Ending {
        Ending::Cut {
            offset: self.offset,
            packets: self.packets,
        }
    }

    fn corrupt(&self, what: &'static str) -> Ending {
        Ending::Corrupt {
            offset: self.offset,
            packets: self.packets,
            what,
        }
    }

    fn packed(self, packer: &'static str) -> CaptureError {
        CaptureError::Packed {
            path: self.path,
            packer,
        }
    }
}

fn u32_at(bytes: &[u8], at: usize, big_endian: bool) -> Option<u32> {
    let octets = *bytes.get(at..)?.first_chunk()?;
    Some(if big_endian {
        u32::from_be_bytes(octets)
    } else {
        u32::from_le_bytes(octets)
    })
}

#[cfg(test)]
mod tests;
