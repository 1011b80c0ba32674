//! The torture messages of RFC 4475 and RFC 5118, octet by octet as their archives have them: what we do with each over UDP, and over TCP in
//! segments of one octet, held against what the RFC says of it (`tests/torture/messages.tsv`).
//!
//! Where we do otherwise, `tests/torture/README.md` says so and why. A difference that is not written there is an error, and so is one that
//! is written there and is none any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tracehop::base::Timestamp;
use tracehop::engine::assemble::{AssembleLimits, Assembler, Frame};
use tracehop::number::NumberPlan;
use tracehop::stir::verify::facts::CallFacts;
use tracehop::wire::link::LinkType;
use tracehop::wire::sip::uri::split_values;
use tracehop::wire::sip::{HeaderName, Message, NotSip, StartLine};
use tracehop::wire::{Cut, Transport};

/// What follows each message on its stream: it must be found again whatever came before.
const NEXT: &[u8] =
    b"OPTIONS sip:next@example.net SIP/2.0\r\nCall-ID: next\r\nContent-Length: 0\r\n\r\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture")
}

/// What the RFC says of a message.
struct Row {
    name: String,
    valid: bool,
    /// In the order of the columns.
    says: Vec<(&'static str, String)>,
    tcp: String,
}

const FACTS: [&str; 8] = [
    "start",
    "call-id",
    "vias",
    "identities",
    "calling",
    "called",
    "body",
    "initial",
];

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(folder().join("messages.tsv")).unwrap();
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    let row = |line: &str| {
        let columns: Vec<_> = line.split('\t').map(str::to_owned).collect();
        let [name, valid, says @ .., tcp] = &columns[..] else {
            panic!("{line}");
        };
        assert_eq!(says.len(), FACTS.len(), "{line}");
        Row {
            name: name.clone(),
            valid: valid == "valid",
            says: FACTS.into_iter().zip(says.iter().cloned()).collect(),
            tcp: tcp.clone(),
        }
    };
    lines.map(row).collect()
}

/// The differences that `README.md` owns up to: message, what differs.
fn known() -> BTreeSet<(String, String)> {
    let text = fs::read_to_string(folder().join("README.md")).unwrap();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let names = cells.next()?.to_owned();
        let what = cells.next()?.trim_matches('`').to_owned();
        let reason = cells.next()?;
        assert!(reason.len() > 7, "a reason that says nothing: {line}");
        let names = names.replace('`', "");
        let each = names.split(", ").map(|n| (n.to_owned(), what.clone()));
        Some(each.collect::<Vec<_>>())
    };
    text.lines().filter_map(row).flatten().collect()
}

/// What we read, in the order of [`FACTS`].
fn facts(message: &Message<'_>) -> Vec<String> {
    let start = match message.start {
        StartLine::Request { method, .. } => String::from_utf8_lossy(method).into_owned(),
        StartLine::Response { code, .. } => code.to_string(),
    };
    let call_id = message.headers.first(HeaderName::CallId);
    let vias = message.headers.all(HeaderName::Via);
    let numbers = CallFacts::of(message, &NumberPlan::default());
    let number = |party: Option<tracehop::stir::verify::facts::Party<'_>>| {
        let tn = party.and_then(|p| p.tn);
        tn.map_or("-".to_owned(), |tn| tn.to_string())
    };
    let initial = message.is_initial_invite();
    vec![
        start,
        call_id.map_or("-".into(), |c| String::from_utf8_lossy(c).into_owned()),
        vias.flat_map(split_values).count().to_string(),
        message
            .headers
            .all(HeaderName::Identity)
            .count()
            .to_string(),
        number(numbers.from),
        number(numbers.to),
        message.body.len().to_string(),
        if initial { "initial" } else { "-" }.to_owned(),
    ]
}

/// The flags that say that something is wrong; folding, blanks before colons and bare LF are only unusual.
fn flagged(message: &Message<'_>) -> Vec<&'static str> {
    let a = message.anomalies;
    let all = [
        ("line-without-colon", a.line_without_colon),
        ("no-blank-line", a.no_blank_line),
        ("too-many-headers", a.too_many_headers),
        ("bad-content-length", a.bad_content_length),
        ("body-too-short", a.body_too_short),
    ];
    all.into_iter()
        .filter(|(_, set)| *set)
        .map(|(name, _)| name)
        .collect()
}

/// A frame of Ethernet and IPv4, checksums left out: nobody on the way asks for them.
fn frame(protocol: u8, transport: &[u8]) -> Vec<u8> {
    let mut out = [0u8; 12].to_vec();
    out.extend([8, 0, 0x45, 0]);
    out.extend((20 + transport.len() as u16).to_be_bytes());
    out.extend([0, 1, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    out.extend_from_slice(transport);
    out
}

type Seen = Vec<(Vec<u8>, Option<Cut>)>;

/// What the assembler gives out of such frames.
fn assembled(frames: impl Iterator<Item = Vec<u8>>, transport: Transport) -> Seen {
    let mut assembler = Assembler::new(AssembleLimits::default());
    for bytes in frames {
        assembler.handle_frame(Frame {
            at: Timestamp::from_secs(1_795_532_400),
            link: LinkType::Ethernet,
            sensor: 0,
            bytes: &bytes,
            original_len: bytes.len(),
        });
    }
    assembler.finish();
    assert_eq!(assembler.counters().imbalance(), None);
    std::iter::from_fn(|| assembler.poll_message())
        .inspect(|m| assert_eq!(m.flow.transport, transport))
        .map(|m| (m.bytes, m.cut))
        .collect()
}

fn over_udp(bytes: &[u8]) -> Seen {
    let mut datagram = vec![0x13, 0xc4, 0x13, 0xc4];
    datagram.extend((8 + bytes.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend_from_slice(bytes);
    assembled([frame(17, &datagram)].into_iter(), Transport::Udp)
}

/// In segments of the given size, from SYN on.
fn over_tcp(bytes: &[u8], size: usize) -> Seen {
    let segment = |seq: u32, flags: u8, payload: &[u8]| {
        let mut out = vec![0x13, 0xc4, 0x13, 0xc4];
        out.extend(seq.to_be_bytes());
        out.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        out.extend_from_slice(payload);
        frame(6, &out)
    };
    let data = (0u32..)
        .zip(bytes.chunks(size))
        .map(|(i, piece)| segment(8 + i * size as u32, 0x18, piece));
    let end = 8 + bytes.len() as u32;
    let all = std::iter::once(segment(7, 2, b""))
        .chain(data)
        .chain(std::iter::once(segment(end, 0x11, b"")));
    assembled(all, Transport::Tcp)
}

/// How a message and the next one came out of a stream: a word of the table, or what else there was.
fn tcp_word(bytes: &[u8], body: usize) -> String {
    let stream = [bytes, NEXT].concat();
    let seen = over_tcp(&stream, 1);
    for size in [7, 500, 1_400] {
        assert_eq!(
            over_tcp(&stream, size),
            seen,
            "cut otherwise it is another stream"
        );
    }
    let found_next = seen
        .last()
        .is_some_and(|(b, cut)| b == NEXT && cut.is_none());
    let pieces: Vec<_> = seen
        .iter()
        .map(|(b, cut)| (&b[..], cut.is_some()))
        .collect();
    match &pieces[..] {
        [(one, false), _] if *one == bytes && found_next => "whole".to_owned(),
        [(one, true)] if *one == stream => "waits".to_owned(),
        [(one, false)] if *one == stream => "one with the next".to_owned(),
        [(one, false), (two, false), _]
            if found_next
                && bytes.starts_with(one)
                && bytes.windows(two.len()).any(|w| w == *two) =>
        {
            "two".to_owned()
        }
        [_] if found_next => "dropped".to_owned(),
        [(one, false), _] if found_next && bytes.starts_with(one) => {
            match bytes.len() - one.len() {
                rest if rest == body => "headers, then the next".to_owned(),
                rest => format!("all but {rest}, then the next"),
            }
        }
        [(one, false), ..] if stream.starts_with(one) && one.len() > bytes.len() => {
            format!("whole with {} octets of the next", one.len() - bytes.len())
        }
        other => {
            let lengths: Vec<_> = other.iter().map(|(b, cut)| (b.len(), *cut)).collect();
            panic!("{lengths:?} of {} octets, next {found_next}", bytes.len())
        }
    }
}

/// Where we do otherwise than the RFC says.
fn differences(row: &Row, bytes: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    let mut differ = |what: String| out.push(what);
    let datagram = over_udp(bytes);
    let body = bytes.windows(4).position(|w| w == b"\r\n\r\n");
    let body = body.map_or(0, |at| bytes.len() - at - 4);
    let tcp = tcp_word(bytes, body);
    match Message::scan(bytes) {
        Err(e) => {
            assert_eq!(e, NotSip::NoStartLine);
            assert!(datagram.is_empty());
            if row.valid {
                differ("refused".to_owned());
            }
        }
        Ok(message) => {
            assert_eq!(datagram, [(bytes.to_vec(), None)], "{}", row.name);
            let flags = flagged(&message);
            match (row.valid, flags.is_empty()) {
                (true, false) => differ(format!("flagged {}", flags.join(" "))),
                (false, true) => differ("accepted".to_owned()),
                _ => {}
            }
            for ((fact, says), got) in row.says.iter().zip(facts(&message)) {
                if *says != got && says != "?" {
                    differ(format!("{fact} {got}"));
                }
            }
        }
    }
    if tcp != row.tcp {
        differ(format!("tcp {tcp}"));
    }
    out
}

#[test]
fn every_torture_message_is_read_as_its_rfc_says_or_as_we_say() {
    let mut files = BTreeMap::new();
    for rfc in ["rfc4475", "rfc5118"] {
        for entry in fs::read_dir(folder().join(rfc)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            files.insert(format!("{rfc}/{name}"), fs::read(&path).unwrap());
        }
    }
    let (rows, mut found) = (rows(), BTreeSet::new());
    for row in &rows {
        let bytes = files
            .remove(&row.name)
            .unwrap_or_else(|| panic!("no file {}", row.name));
        for what in differences(row, &bytes) {
            found.insert((row.name.clone(), what));
        }
    }
    assert!(files.is_empty(), "not in the table: {:?}", files.keys());
    assert_eq!(rows.len(), 49 + 12);
    let known = known();
    let mut wrong = String::new();
    for (name, what) in found.difference(&known) {
        writeln!(wrong, "not written down: {name}: {what}").unwrap();
    }
    for (name, what) in known.difference(&found) {
        writeln!(wrong, "written down and not so: {name}: {what}").unwrap();
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
