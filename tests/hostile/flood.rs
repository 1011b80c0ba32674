//! Floods that would fill whatever has no limit.

use super::*;

/// A UDP or TCP packet between two addresses, as an Ethernet frame.
fn ethernet(
    protocol: u8,
    source: [u8; 4],
    id: u16,
    flags_and_offset: u16,
    payload: &[u8],
) -> Taken {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0];
    bytes.extend((20 + payload.len() as u16).to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(flags_and_offset.to_be_bytes());
    bytes.extend([64, protocol, 0, 0]);
    bytes.extend(source);
    bytes.extend([192, 0, 2, 1]);
    bytes.extend(payload);
    Taken {
        at: Timestamp::from_secs(1_795_512_600),
        link: LinkType::from_dlt(1),
        original_len: bytes.len(),
        bytes,
    }
}

fn segment(source_port: u16, seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(source_port.to_be_bytes());
    out.extend(5060u16.to_be_bytes());
    out.extend(seq.to_be_bytes());
    out.extend([0; 4]);
    out.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    out.extend(payload);
    out
}

fn handle(assembler: &mut Assembler, f: &Taken) -> usize {
    assembler.handle_frame(Frame {
        at: f.at,
        link: f.link,
        sensor: 0,
        bytes: &f.bytes,
        original_len: f.original_len,
    });
    std::iter::from_fn(|| assembler.poll_message()).count()
}

/// An address of the network set apart for benchmarks (RFC 2544).
fn address(n: u32) -> [u8; 4] {
    [198, 18 + (n >> 16 & 1) as u8, (n >> 8) as u8, n as u8]
}

#[test]
fn a_flood_of_first_fragments_from_everywhere_stays_within_the_default_limits() {
    let limits = AssembleLimits::default();
    let mut assembler = Assembler::new(limits);
    let mut datagram = vec![0x13, 0xc4, 0x13, 0xc4, 0x20, 0, 0, 0];
    datagram.extend(
        format!(
            "INVITE sip:+12025550123@192.0.2.1 SIP/2.0\r\nX: {}",
            "x".repeat(1_500)
        )
        .bytes(),
    );
    datagram.truncate(1_480);
    let rest = vec![b'x'; 1_480];
    let (mut messages, mut most) = (0, 0);
    for n in 0..60_000 {
        // The first three fragments of a datagram of which the rest never comes.
        for (offset, part) in [(0, &datagram), (185, &rest), (370, &rest)] {
            messages += handle(
                &mut assembler,
                &ethernet(17, address(n), n as u16, 0x2000 | offset, part),
            );
        }
        let c = assembler.counters();
        assert!(c.datagrams_open <= limits.reassembly.datagrams as u64);
        assert!(c.datagram_octets <= limits.reassembly.octets as u64);
        most = most.max(c.datagrams_open);
    }
    assembler.finish();
    messages += std::iter::from_fn(|| assembler.poll_message()).count();
    let c = assembler.counters();
    assert_eq!(c.imbalance(), None);
    assert_eq!(
        (messages, c.messages_cut_lost_fragment),
        (60_000, 60_000),
        "each comes out, cut"
    );
    assert!(most > 10_000, "the limit was reached: {most}");
}

#[test]
fn half_open_and_dribbling_streams_stay_within_the_default_limits() {
    let limits = AssembleLimits::default();
    let mut assembler = Assembler::new(limits);
    let begin = Instant::now();
    for n in 0..60_000 {
        let port = 1_024 + (n % 50_000) as u16;
        handle(
            &mut assembler,
            &ethernet(6, address(n), 0, 0, &segment(port, 1, 0x02, b"")),
        );
        // The half of a message that never goes on.
        if n % 2 == 0 {
            let half = format!(
                "INVITE sip:a@example.net SIP/2.0\r\nX: {}",
                "x".repeat(6_000)
            );
            for (part, seq) in half.as_bytes().chunks(1_400).zip((2..).step_by(1_400)) {
                handle(
                    &mut assembler,
                    &ethernet(6, address(n), 0, 0, &segment(port, seq, 0x18, part)),
                );
            }
        }
        let c = assembler.counters();
        assert!(c.streams_open <= (limits.streams.sip + limits.streams.unknown) as u64);
        assert!(c.stream_octets <= limits.streams.octets as u64);
    }
    // Every other octet only, from the last to the first; and a message octet by octet that never ends its start line.
    for n in (1..60_000u32).rev() {
        handle(
            &mut assembler,
            &ethernet(6, address(1), 0, 0, &segment(9, 2 * n, 0x18, b"x")),
        );
    }
    handle(
        &mut assembler,
        &ethernet(6, address(2), 0, 0, &segment(9, 0, 0x02, b"")),
    );
    for n in 1..60_000u32 {
        handle(
            &mut assembler,
            &ethernet(6, address(2), 0, 0, &segment(9, n, 0x18, b"A")),
        );
    }
    assert!(assembler.counters().stream_octets <= limits.streams.octets as u64);
    assembler.finish();
    let c = assembler.counters();
    assert_eq!(c.imbalance(), None);
    assert_eq!((c.streams_open, c.stream_octets), (0, 0));
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
}

/// A collector with small limits, and what it is fed with.
struct Flood {
    collector: Collector,
    judge: Judge,
    settings: PipelineSettings,
    at: Timestamp,
    begins: u64,
    ends: u64,
    sent: u64,
}

impl Flood {
    fn new(lab: &Lab) -> Self {
        let mut settings = settings(&lab.config, 1);
        settings.collect.limits = AttemptLimits {
            open: 100,
            headless: 100,
            ..AttemptLimits::default()
        };
        Self {
            collector: Collector::new(settings.collect.clone(), 1),
            judge: Judge::new(settings.credentials.clone(), settings.verify.clone()),
            at: Timestamp::from_secs(1_795_512_600),
            settings,
            begins: 0,
            ends: 0,
            sent: 0,
        }
    }

    fn send(&mut self, text: &str) {
        self.send_from("198.51.100.7:5060", text);
    }

    fn send_from(&mut self, source: &str, text: &str) {
        let flow = Flow {
            source: source.parse().unwrap(),
            destination: "192.0.2.1:5060".parse().unwrap(),
            transport: Transport::Udp,
            vlans: Vlans::new(),
            path: Default::default(),
            macs: Default::default(),
        };
        let is_response = text.starts_with("SIP/2.0");
        let message = Message {
            seq: self.sent,
            at: self.at,
            flow: if is_response { flow.reversed() } else { flow },
            sensor: 0,
            bytes: text.as_bytes().to_vec(),
            cut: None,
        };
        self.sent += 1;
        self.collector.handle(self.judge.judge(message));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(out) = self.collector.poll_output() {
            match out {
                Output::Begin(_) => self.begins += 1,
                Output::End(_) => self.ends += 1,
                Output::Evidence(_) | Output::Finding(_) | Output::Campaign(_) => {}
            }
        }
    }

    fn message(start: &str, call: usize, branch: usize, cseq: &str) -> String {
        format!(
            "{start}\r\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK{branch}\r\nFrom: <sip:+12025550101@example.net>;tag=t\r\n\
             To: <sip:+12025550123@example.net>\r\nCall-ID: {call}@example.net\r\nCSeq: {cseq}\r\nContent-Length: 0\r\n\r\n"
        )
    }
}

#[test]
fn calls_without_end_stay_within_the_limits_and_each_has_its_record() {
    let lab = Lab::new(37, 400);
    let mut flood = Flood::new(&lab);
    // The clock stands still: nothing leaves by age.
    for n in 0..20_000 {
        flood.send(&Flood::message(
            "INVITE sip:+12025550123@192.0.2.1 SIP/2.0",
            n,
            n,
            "1 INVITE",
        ));
        assert!(
            flood.collector.remembered() <= 5 * 100 + 200,
            "{} after {n} INVITEs",
            flood.collector.remembered()
        );
    }
    assert_eq!(flood.begins, 20_000);
    let evicted = flood.collector.attempt_counters().evicted;
    assert_eq!(evicted, 20_000 - 100);
    for n in 0..20_000 {
        flood.send(&Flood::message(
            "SIP/2.0 486 Busy Here",
            100_000 + n,
            n,
            "1 INVITE",
        ));
        flood.send(&Flood::message(
            "BYE sip:+12025550123@192.0.2.1 SIP/2.0",
            200_000 + n,
            n,
            "2 BYE",
        ));
        assert!(
            flood.collector.remembered() <= 5 * 100 + 200,
            "{} after {n} answers",
            flood.collector.remembered()
        );
    }
    flood.collector.finish();
    flood.drain();
    let c = flood.collector.counters();
    assert_eq!(c.total(), flood.sent);
    assert_eq!(
        (c.attempts, c.responses, c.dialog_requests),
        (20_000, 20_000, 20_000)
    );
    assert_eq!(
        (flood.begins, flood.ends),
        (20_000, 20_000),
        "each has one second half"
    );
    let a = flood.collector.attempt_counters();
    assert_eq!((a.headless, a.orphans), (20_000, 20_000));
    assert_eq!(flood.settings.collect.limits.open, 100);
}

#[test]
fn the_same_answer_again_and_again_writes_nothing_new() {
    let lab = Lab::new(38, 400);
    let mut flood = Flood::new(&lab);
    flood.send(&Flood::message(
        "INVITE sip:+12025550123@192.0.2.1 SIP/2.0",
        1,
        1,
        "1 INVITE",
    ));
    for _ in 0..5_000 {
        flood.send(&Flood::message("SIP/2.0 486 Busy Here", 1, 1, "1 INVITE"));
        assert!(
            flood.collector.remembered() <= 4,
            "{}",
            flood.collector.remembered()
        );
    }
    assert_eq!((flood.begins, flood.ends), (1, 1));
}

#[test]
fn forks_without_end_of_a_finished_call_stay_within_the_limits() {
    let lab = Lab::new(39, 400);
    let mut flood = Flood::new(&lab);
    for n in 0..5_000 {
        flood.send(&Flood::message(
            "INVITE sip:+12025550123@192.0.2.1 SIP/2.0",
            1,
            n,
            "1 INVITE",
        ));
        flood.send(&Flood::message("SIP/2.0 486 Busy Here", 1, n, "1 INVITE"));
        assert!(
            flood.collector.remembered() <= 5 * 100 + 200,
            "{}",
            flood.collector.remembered()
        );
    }
    assert_eq!(flood.begins, 1);
}

/// Resident memory of this process, in MiB.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().split(' ').next().unwrap();
    kib.parse::<u64>().unwrap() >> 10
}

/// Without optimisation a million takes minutes: there it is a tenth, with a tenth of the room.
/// `cargo test --release --test hostile a_million -- --nocapture` shows the memory of all of it.
#[test]
fn a_million_half_open_calls_from_everywhere_stay_within_the_default_limits() {
    let part = if cfg!(debug_assertions) { 10 } else { 1 };
    let count = 1_000_000 / part;
    let lab = Lab::new(40, 400);
    let mut flood = Flood::new(&lab);
    let limits = AttemptLimits::default();
    let open = limits.open / part;
    flood.settings.collect.limits = AttemptLimits { open, ..limits };
    flood.collector = Collector::new(flood.settings.collect.clone(), 1);
    let before = resident();
    let mut random = Random(40);
    for n in 0..count {
        // Ten thousand a second: none is old enough to end by itself.
        flood.at = flood.at.plus(Duration::from_micros(100));
        let address = random.below(1 << 17);
        let [_, b, c, d] = (address as u32 | 18 << 16).to_be_bytes();
        let caller = 2_000_000 + random.below(8_000_000);
        let called = 2_000_000 + random.below(8_000_000);
        let invite = format!(
            "INVITE sip:+1202{called}@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.{b}.{c}.{d};branch=z9hG4bK{n}\r\n\
             From: <sip:+1303{caller}@example.net>;tag={n}\r\nTo: <sip:+1202{called}@example.net>\r\nCall-ID: {n}@example.net\r\n\
             CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        let source = format!("198.{b}.{c}.{d}:5060");
        flood.send_from(&source, &invite);
    }
    let most = resident();
    let evicted = flood.collector.attempt_counters().evicted;
    let unknown = flood.collector.unknown().len();
    flood.collector.finish();
    flood.drain();
    println!(
        "{count} half-open calls, room for {open}: {} MiB more, {evicted} evicted, {unknown} unknown neighbours",
        most - before.min(most)
    );
    let count = count as u64;
    assert_eq!(flood.begins, count, "each has its record");
    assert_eq!(flood.ends, count, "and its end");
    assert_eq!(evicted, count - open as u64, "the oldest went, counted");
    assert_eq!(unknown, 1_000);
    assert_eq!(flood.collector.counters().total(), flood.sent);
    // 1 KB an attempt and a leg each, and what flags and behaviours remember.
    assert!(
        most - before.min(most) < 2_048,
        "{most} MiB, {before} before"
    );
}
