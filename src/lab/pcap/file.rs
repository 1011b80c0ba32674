//! The pcap file format: a header of 24 octets, then each frame behind 16 octets of its own.

use super::Frame;

/// Link type Ethernet.
const ETHERNET: u32 = 1;
/// The most octets that one frame may keep.
const SNAP_LENGTH: u32 = 262_144;

/// Resolution of the times in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// Nanoseconds.
    #[default]
    Nanoseconds,
    /// Microseconds, as most tools write.
    Microseconds,
}

impl Resolution {
    /// One unit in nanoseconds.
    pub const fn tick(self) -> i64 {
        match self {
            Self::Nanoseconds => 1,
            Self::Microseconds => 1_000,
        }
    }
}

/// A whole file, little-endian.
pub fn render(frames: &[Frame], resolution: Resolution) -> Vec<u8> {
    let magic: u32 = match resolution {
        Resolution::Nanoseconds => 0xa1b2_3c4d,
        Resolution::Microseconds => 0xa1b2_c3d4,
    };
    let size = 24 + frames.iter().map(|f| 16 + f.bytes.len()).sum::<usize>();
    let mut out = Vec::with_capacity(size);
    out.extend(magic.to_le_bytes());
    out.extend(2u16.to_le_bytes());
    out.extend(4u16.to_le_bytes());
    out.extend([0; 8]);
    out.extend(SNAP_LENGTH.to_le_bytes());
    out.extend(ETHERNET.to_le_bytes());
    for frame in frames {
        let seconds = frame.at.div_euclid(1_000_000_000);
        let rest = frame.at.rem_euclid(1_000_000_000) / resolution.tick();
        for field in [
            seconds as u32,
            rest as u32,
            frame.bytes.len() as u32,
            frame.length as u32,
        ] {
            out.extend(field.to_le_bytes());
        }
        out.extend_from_slice(&frame.bytes);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_parser::{PcapCapture, traits::PcapReaderIterator};

    #[test]
    fn another_reader_reads_it() {
        let frame = Frame {
            at: 1_795_532_400_123_456_789,
            bytes: vec![1, 2, 3],
            length: 60,
        };
        for (resolution, part) in [
            (Resolution::Nanoseconds, 123_456_789),
            (Resolution::Microseconds, 123_456),
        ] {
            let file = render(std::slice::from_ref(&frame), resolution);
            let capture = PcapCapture::from_file(&file).unwrap();
            assert_eq!(
                capture.header.is_nanosecond_precision(),
                resolution == Resolution::Nanoseconds
            );
            let block = &capture.blocks[0];
            assert_eq!(
                (block.ts_sec, block.ts_usec, block.origlen, block.data),
                (1_795_532_400, part, 60, &[1, 2, 3][..])
            );
        }
        let file = render(&[frame], Resolution::Nanoseconds);
        let mut reader = pcap_parser::LegacyPcapReader::new(65_536, &file[..]).unwrap();
        assert!(reader.next().is_ok());
    }
}
