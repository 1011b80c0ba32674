//! WebSocket in TCP, and one source that takes all streams.

use super::*;

const CLIENT: &[u8] = b"GET /ws HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn ws(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let mut out = vec![first, bit | 126];
    out.extend((payload.len() as u16).to_be_bytes());
    out.extend(mask.into_iter().flatten());
    let key = mask.unwrap_or_default();
    out.extend(
        payload
            .iter()
            .zip(key.into_iter().cycle())
            .map(|(b, k)| b ^ k),
    );
    out
}

const MASK: Option<[u8; 4]> = Some([9, 200, 31, 4]);

/// Octets of a stream from `seq` on, in segments.
fn segments(mut seq: u32, stream: &[u8], size: usize) -> Vec<Vec<u8>> {
    let one = |c: &[u8]| {
        let f = v4(6, 0, 0, &tcp(seq, 0x18, c));
        seq = seq.wrapping_add(c.len() as u32);
        f
    };
    stream.chunks(size).map(one).collect()
}

#[test]
fn a_websocket_is_followed_from_its_handshake_on() {
    let stream = [
        CLIENT.to_vec(),
        ws(0x81, MASK, &invite(1)),
        ws(0x89, MASK, b"ping"),
        ws(0x81, MASK, b"\r\n\r\n"),
        ws(0x02, MASK, &invite(2)[..500]),
        ws(0x80, MASK, &invite(2)[500..]),
        ws(0xc1, MASK, b"deflated"),
        ws(0x81, MASK, b"{}"),
        ws(0x81, None, &invite(3)),
    ]
    .concat();
    for size in [1, 7, 100, 1_460, 100_000] {
        let mut frames = segments(10, &stream, size.min(1_460));
        frames.insert(0, v4(6, 0, 0, &tcp(9, 2, b"")));
        let (out, c) = run(&frames);
        let bytes: Vec<_> = out.iter().map(|m| (m.bytes.clone(), m.cut)).collect();
        assert_eq!(bytes, [1, 2, 3].map(|n| (invite(n), None)), "{size}");
        assert!(out.iter().all(|m| m.flow.transport == Transport::Ws));
        assert_eq!((c.ws_messages, c.ws_control, c.ws_compressed), (3, 1, 1));
        assert_eq!((c.ws_not_sip, c.stream_keep_alives), (1, 1));
    }
}

#[test]
fn a_websocket_joined_in_the_middle_is_known_by_a_frame_at_the_front_of_a_segment() {
    let rest = b"\x80\x80 the masked rest of a frame".to_vec();
    let mut frames = vec![v4(6, 0, 0, &tcp(10, 0x18, &rest))];
    let at = 10 + rest.len() as u32;
    let masked = [ws(0x81, MASK, &invite(1)), ws(0x81, MASK, &invite(2))].concat();
    frames.extend(segments(at, &masked, 1_000));
    let (out, c) = run(&frames);
    assert_eq!((out.len(), c.ws_messages), (2, 2));
    assert_eq!(out[1].bytes, invite(2));
    // Unmasked, as servers send: within a segment as well.
    let plain = [rest, ws(0x81, None, &invite(3)), ws(0x82, None, &invite(4))].concat();
    let (out, c) = run(&segments(10, &plain, 1_460));
    assert_eq!((out.len(), c.ws_messages), (2, 2));
    assert_eq!((out[1].bytes.clone(), out[1].cut), (invite(4), None));
}

#[test]
fn a_hole_in_a_websocket_cuts_one_message() {
    let stream = [
        CLIENT.to_vec(),
        ws(0x81, MASK, &invite(1)),
        ws(0x81, MASK, &invite(2)),
    ]
    .concat();
    let mut frames = segments(10, &stream, 500);
    frames.remove(2);
    let mut a = new();
    for f in &frames {
        a.handle_frame(frame(ms(0), f));
    }
    a.handle_time(ms(10_000));
    a.finish();
    let out = drain(&mut a);
    let cuts: Vec<_> = out.iter().map(|m| m.cut).collect();
    assert_eq!(cuts, [Some(Cut::TcpGap), None]);
    assert!(invite(1).starts_with(&out[0].bytes));
    assert_eq!(out[1].bytes, invite(2));
    assert_eq!(a.counters().imbalance(), None);
    // A hole over the end of a frame: the thread is taken up with the next one that begins a segment.
    let head = [CLIENT.to_vec(), ws(0x81, MASK, &invite(1))].concat();
    let mut a = new();
    a.handle_frame(frame(ms(0), &v4(6, 0, 0, &tcp(10, 0x18, &head[..600]))));
    let later = ws(0x81, MASK, &invite(2));
    for f in segments(50_000, &later, 1_460) {
        a.handle_frame(frame(ms(0), &f));
    }
    a.handle_time(ms(10_000));
    let out: Vec<_> = drain(&mut a).into_iter().map(|m| m.cut).collect();
    assert_eq!(out, [Some(Cut::TcpGap), None]);
}

#[test]
fn one_source_can_t_take_the_place_of_a_trunk() {
    let mut limits = AssembleLimits::default();
    limits.streams.sip = 100;
    limits.streams.per_source = 50;
    limits.streams.unknown = 100;
    let mut a = Assembler::new(limits);
    let from = |source: [u8; 4], port: u16, seq: u32, octets: &[u8]| {
        let mut f = v4(6, 0, 0, &tcp(seq, 0x18, octets));
        f[30..34].copy_from_slice(&source);
        f[38..40].copy_from_slice(&port.to_be_bytes());
        f
    };
    let trunk = [192, 0, 2, 77];
    let (one, two) = (invite(1), invite(2));
    let half = [&one[..], &two[..300]].concat();
    let (first, second) = half.split_at(1_000);
    a.handle_frame(frame(ms(0), &from(trunk, 5060, 1, first)));
    a.handle_frame(frame(ms(0), &from(trunk, 5060, 1_001, second)));
    for port in 0..5_000u16 {
        let f = from([198, 51, 100, 1], port, 1, &invite(7)[..900]);
        a.handle_frame(frame(ms(1), &f));
    }
    let at = 1 + half.len() as u32;
    a.handle_frame(frame(ms(2), &from(trunk, 5060, at, &two[300..])));
    let whole: Vec<_> = drain(&mut a)
        .into_iter()
        .filter(|m| m.cut.is_none())
        .collect();
    assert_eq!(whole.len(), 2, "the trunk's second message was cut");
    let c = a.counters();
    assert!(c.streams_open <= 200 && c.imbalance().is_none());
    a.finish();
    assert_eq!(
        (a.counters().streams_open, a.counters().imbalance()),
        (0, None)
    );
}

#[test]
fn a_broken_frame_behind_a_message_ends_the_stretch_and_not_the_program() {
    let broken = [ws(0x81, None, &invite(1)[..900]), vec![0xff; 40]].concat();
    let next = ws(0x81, None, &invite(2)[..900]);
    let mut frames = segments(10, &broken, 1_460);
    frames.extend(segments(10 + broken.len() as u32, &next, 1_460));
    let (out, c) = run(&frames);
    assert_eq!((out.len(), c.ws_messages, c.stream_lost_threads), (2, 2, 1));
}
