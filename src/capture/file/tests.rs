//! Files of all kinds, whole, cut and corrupt.

use super::*;
use proptest::prelude::*;

/// Writes numbers in one byte order.
#[derive(Clone, Copy)]
struct Order(bool);

impl Order {
    fn u16(self, n: u16) -> [u8; 2] {
        if self.0 {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    }

    fn u32(self, n: u32) -> [u8; 4] {
        if self.0 {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    }

    fn u64(self, n: u64) -> [u8; 8] {
        if self.0 {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    }

    fn block(self, kind: u32, content: &[u8]) -> Vec<u8> {
        let padded = content.len().next_multiple_of(4);
        let length = self.u32(padded as u32 + 12);
        let mut block = [&self.u32(kind)[..], &length, content].concat();
        block.resize(8 + padded, 0);
        block.extend(length);
        block
    }

    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [&self.u16(code)[..], &self.u16(value.len() as u16), value].concat();
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    fn section(self) -> Vec<u8> {
        let content = [
            &self.u32(0x1a2b_3c4d)[..],
            &self.u16(1),
            &self.u16(0),
            &[0xff; 8],
        ]
        .concat();
        self.block(0x0a0d_0d0a, &content)
    }

    fn interface(self, dlt: u16, snap_length: u32, options: &[u8]) -> Vec<u8> {
        let content = [&self.u16(dlt)[..], &[0, 0], &self.u32(snap_length), options].concat();
        self.block(1, &content)
    }

    fn packet(self, interface: u32, units: u64, original: u32, bytes: &[u8]) -> Vec<u8> {
        let mut content = [
            self.u32(interface),
            self.u32((units >> 32) as u32),
            self.u32(units as u32),
            self.u32(bytes.len() as u32),
            self.u32(original),
        ]
        .concat();
        content.extend(bytes);
        content.resize(content.len().next_multiple_of(4), 0);
        content.extend(self.option(1, b"a comment"));
        self.block(6, &content)
    }

    fn pcap(self, nanos: bool, packets: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let magic = if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
        let mut file = [
            &self.u32(magic)[..],
            &self.u16(2),
            &self.u16(4),
            &[0; 8],
            &self.u32(65_535),
            &self.u32(1),
        ]
        .concat();
        for (secs, fraction, bytes) in packets {
            let n = bytes.len() as u32;
            file.extend(
                [
                    self.u32(*secs),
                    self.u32(*fraction),
                    self.u32(n),
                    self.u32(n + 1),
                ]
                .concat(),
            );
            file.extend(*bytes);
        }
        file
    }
}

fn open(bytes: &[u8]) -> CaptureFile<&[u8]> {
    CaptureFile::from_reader(bytes, "test", bytes.len() as u64).unwrap()
}

/// Time in nanoseconds, link type, octets, length on the wire.
type Seen = (i64, LinkType, Vec<u8>, usize);

fn read<R: Read>(file: &mut CaptureFile<R>) -> (Vec<Seen>, Ending) {
    let mut seen = Vec::new();
    while let Some(f) = file.next_frame().unwrap() {
        seen.push((f.at.nanos(), f.link, f.bytes.to_vec(), f.original_len));
    }
    (seen, file.ending().unwrap())
}

/// Two sections of different byte order, interfaces of different resolution and link type, unknown blocks.
fn pcapng() -> Vec<u8> {
    let (le, be) = (Order(false), Order(true));
    [
        le.section(),
        le.interface(1, 0, &[]),
        le.block(0x0000_0bad, &[7; 2_000]),
        le.packet(0, 5_000_001, 9, b"micro"),
        le.interface(113, 0, &le.option(9, &[9])),
        le.packet(1, 5_000_000_001, 4, b"nano"),
        be.section(),
        be.interface(
            101,
            3,
            &[be.option(9, &[0x80 | 10]), be.option(14, &be.u64(100))].concat(),
        ),
        be.packet(0, 1_536, 6, b"binary"),
        be.block(3, &[&be.u32(6)[..], b"sim\0"].concat()),
        be.block(
            5,
            &[
                &be.u32(0)[..],
                &[0; 8],
                &be.option(5, &be.u64(3)),
                &be.option(7, &be.u64(4)),
            ]
            .concat(),
        ),
    ]
    .concat()
}

#[test]
fn pcap_in_both_orders_and_resolutions() {
    for (order, nanos) in [(false, false), (false, true), (true, false), (true, true)] {
        let bytes = Order(order).pcap(nanos, &[(10, 5, b"one"), (11, 6, b"")]);
        let each = if nanos { 1 } else { 1_000 };
        let (seen, ending) = read(&mut open(&bytes));
        assert_eq!(
            seen,
            [
                (
                    10_000_000_000 + 5 * each,
                    LinkType::Ethernet,
                    b"one".to_vec(),
                    4
                ),
                (11_000_000_000 + 6 * each, LinkType::Ethernet, vec![], 1),
            ]
        );
        assert_eq!(ending, Ending::Clean);
    }
}

#[test]
fn pcapng_with_all_its_freedoms() {
    let bytes = pcapng();
    let mut file = open(&bytes);
    let (seen, ending) = read(&mut file);
    assert_eq!(
        seen,
        [
            (5_000_001_000, LinkType::Ethernet, b"micro".to_vec(), 9),
            (5_000_000_001, LinkType::Sll, b"nano".to_vec(), 4),
            (101_500_000_000, LinkType::RawIp, b"binary".to_vec(), 6),
            (101_500_000_000, LinkType::RawIp, b"sim".to_vec(), 6),
        ]
    );
    assert_eq!(ending, Ending::Clean);
    assert_eq!((file.take_dropped(), file.take_dropped()), (7, 0));
    let all = bytes.len() as u64;
    assert_eq!(file.progress(), (all, all));
}

#[test]
fn a_cut_file_gives_all_before_the_cut_and_says_where() {
    let bytes = Order(false).pcap(false, &[(1, 0, b"one"), (2, 0, b"two"), (3, 0, b"three")]);
    let third = 24 + 2 * 19;
    for cut in third + 1..bytes.len() {
        let (seen, ending) = read(&mut open(&bytes[..cut]));
        assert_eq!(seen.len(), 2);
        let offset = third as u64;
        assert_eq!(ending, Ending::Cut { offset, packets: 2 });
    }
    let (_, ending) = read(&mut open(&bytes[..third]));
    assert_eq!(ending, Ending::Clean);
}

#[test]
fn damage_is_named_with_its_place() {
    let mut bytes = Order(false).pcap(false, &[(1, 0, b"one"), (2, 0, b"two")]);
    bytes[24 + 19 + 11] = 0x7f;
    let (seen, ending) = read(&mut open(&bytes));
    assert_eq!(seen.len(), 1);
    let what = "packet longer than 256 KiB";
    let corrupt = |offset, packets, what| Ending::Corrupt {
        offset,
        packets,
        what,
    };
    assert_eq!(ending, corrupt(43, 1, what));
    assert_eq!(
        ending.to_string(),
        "corrupt at octet 43, after 1 packets: packet longer than 256 KiB"
    );

    let le = Order(false);
    let start = [
        le.section(),
        le.interface(1, 0, &[]),
        le.packet(0, 1, 3, b"one"),
    ]
    .concat();
    let at = start.len() as u64;
    let mut lying = le.packet(0, 1, 3, b"two");
    lying[20..24].copy_from_slice(&le.u32(5_000));
    let mut unequal = le.packet(0, 1, 3, b"two");
    let last = unequal.len() - 4;
    unequal[last] += 4;
    for (next, what) in [
        (le.packet(7, 1, 3, b"two"), "packet of an unknown interface"),
        (lying, "block"),
        (unequal, "block lengths that differ"),
        ([le.u32(6), le.u32(0), [0; 4]].concat(), "block length"),
        (
            [le.u32(6), le.u32(1 << 30), [0; 4]].concat(),
            "block longer than 1 MiB",
        ),
        (
            vec![0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 1, 2, 3, 4],
            "byte order of a section",
        ),
    ] {
        let (seen, ending) = read(&mut open(&[start.clone(), next].concat()));
        assert_eq!((seen.len(), ending), (1, corrupt(at, 1, what)));
    }
}

#[test]
fn a_huge_block_is_gone_past_without_being_kept() {
    let le = Order(false);
    let front = [le.section(), le.interface(1, 0, &[])].concat();
    let huge = 512 * 1024 * 1024usize;
    let head = [le.u32(10), le.u32(huge as u32 + 12)].concat();
    let back = [
        le.u32(huge as u32 + 12).to_vec(),
        le.packet(0, 1, 3, b"end"),
    ]
    .concat();
    let reader = [&front[..], &head].concat();
    let zeros = std::io::repeat(0).take(huge as u64);
    let reader = std::io::Cursor::new(reader)
        .chain(zeros)
        .chain(std::io::Cursor::new(back));
    let mut file = CaptureFile::from_reader(reader, "test", 0).unwrap();
    let (seen, ending) = read(&mut file);
    assert_eq!((seen.len(), ending), (1, Ending::Clean));
    assert!(file.buf.capacity() <= 2 * CHUNK);
}

#[test]
fn what_is_no_capture_is_refused_with_a_remedy() {
    let refused = |bytes: &'static [u8]| {
        let e = CaptureFile::from_reader(bytes, "x.pcap", 0).unwrap_err();
        e.to_string()
    };
    assert_eq!(refused(b""), "x.pcap: neither pcap nor pcapng");
    assert_eq!(refused(b"From: someone"), "x.pcap: neither pcap nor pcapng");
    assert!(refused(b"\x1f\x8b\x08").contains("gzip -dc x.pcap"));
}

/// Gives a few octets at a time, and now and then is interrupted.
struct Slow<'a>(&'a [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.1 += 1;
        if self.1.is_multiple_of(5) {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let n = into.len().min(self.1 % 7 + 1);
        self.0.read(&mut into[..n])
    }
}

#[test]
fn slow_reads_give_the_same() {
    for bytes in [
        pcapng(),
        Order(true).pcap(true, &[(1, 0, b"one"), (2, 0, &[9; 3_000])]),
    ] {
        let slow = CaptureFile::from_reader(Slow(&bytes, 0), "test", 0);
        assert_eq!(read(&mut slow.unwrap()), read(&mut open(&bytes)));
    }
}

proptest! {
    /// Whatever is changed or cut, reading ends, and gives the packets before the change.
    #[test]
    fn damage_never_panics_or_hangs(ng: bool, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut in any::<prop::sample::Index>()) {
        let whole = if ng { pcapng() } else { Order(false).pcap(false, &[(1, 0, b"one"), (2, 0, b"two"), (3, 0, &[1; 90])]) };
        let mut bytes = whole.clone();
        for (i, b) in changes { let i = i.index(bytes.len()); bytes[i] = b; }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let good = whole.iter().zip(&bytes).take_while(|(a, b)| a == b).count() as u64;
        if let Ok(mut file) = CaptureFile::from_reader(&bytes[..], "test", 0) {
            let (damaged, _) = read(&mut file);
            let mut original = open(&whole);
            let mut before = Vec::new();
            while let Some(f) = original.next_frame().unwrap() {
                let seen = (f.at.nanos(), f.link, f.bytes.to_vec(), f.original_len);
                let length = original.head.as_ref().unwrap().length as u64;
                if original.offset + length > good { break; }
                before.push(seen);
            }
            prop_assert!(damaged.starts_with(&before));
        }
    }
}
