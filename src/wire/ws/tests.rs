//! Handshakes and frames by hand, and octets at random.

use super::*;
use proptest::prelude::*;

fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let mut out = vec![first];
    match payload.len() {
        n @ 0..126 => out.push(bit | n as u8),
        n @ 126..65_536 => {
            out.push(bit | 126);
            out.extend((n as u16).to_be_bytes());
        }
        n => {
            out.push(bit | 127);
            out.extend((n as u64).to_be_bytes());
        }
    }
    let key = mask.unwrap_or_default();
    out.extend(mask.into_iter().flatten());
    out.extend(
        payload
            .iter()
            .zip(key.into_iter().cycle())
            .map(|(b, k)| b ^ k),
    );
    out
}

const KEY: Option<[u8; 4]> = Some([0x37, 0xfa, 0x21, 0x3d]);

/// All at once, and octet by octet: the same.
fn got(bytes: &[u8]) -> Result<Vec<Got>, Broken> {
    let mut out = Vec::new();
    let used = Frames::default().receive(bytes, &mut out)?;
    assert_eq!(used, bytes.len(), "a header that is not complete");
    let (mut slow, mut frames, mut kept) = (Vec::new(), Frames::default(), Vec::new());
    for b in bytes {
        kept.push(*b);
        let used = frames.receive(&kept, &mut slow)?;
        kept.drain(..used);
    }
    assert_eq!(out, slow);
    Ok(out)
}

#[test]
fn either_side_says_that_sip_follows() {
    let client = b"GET /ws HTTP/1.1\r\nHost: example.com\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Protocol: xmpp, sip\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let server = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nsec-websocket-protocol:sip\r\n\r\n\x81\x04\r\n\r\n";
    assert_eq!(handshake(client), Handshake::Sip(client.len()));
    assert_eq!(handshake(server), Handshake::Sip(server.len() - 6));
    for n in 1..client.len() {
        assert_eq!(handshake(&client[..n]), Handshake::More, "{n}");
    }
    let other = b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
    assert_eq!(handshake(other), Handshake::No);
    assert_eq!(handshake(b"GET / HTTP/1.1\r\n\r\n"), Handshake::No);
    assert_eq!(handshake(b"HTTP/1.1 200 OK\r\n\r\n"), Handshake::No);
    let endless = [b"GET /".as_slice(), &[b'a'; MAX_HANDSHAKE]].concat();
    assert_eq!(handshake(&endless), Handshake::No);
}

#[test]
fn messages_whole_and_in_pieces_with_control_between() {
    let bytes = [
        frame(0x81, KEY, b"text"),
        frame(0x82, None, &[7; 300]),
        frame(0x01, KEY, b"in "),
        frame(0x89, KEY, b"ping"),
        frame(0x00, KEY, b"three "),
        frame(0x80, None, b"pieces"),
        frame(0x88, None, &[3, 0xe8]),
        frame(0x81, None, b""),
    ]
    .concat();
    let message = |m: &[u8]| Got::Message(m.to_vec());
    assert_eq!(
        got(&bytes).unwrap(),
        [
            message(b"text"),
            message(&[7; 300]),
            Got::Control,
            message(b"in three pieces"),
            Got::Control,
            message(b"")
        ]
    );
}

#[test]
fn what_is_compressed_or_too_long_is_refused_and_the_next_is_read() {
    let long = vec![b'x'; MAX_MESSAGE + 10];
    let bytes = [
        frame(0xc1, KEY, b"deflated"),
        frame(0x41, None, b"deflated "),
        frame(0x80, None, b"in two"),
        frame(0x81, None, &long),
        frame(0x81, KEY, b"next"),
    ]
    .concat();
    let mut out = Vec::new();
    Frames::default().receive(&bytes, &mut out).unwrap();
    let too_long = Got::TooLong(vec![b'x'; MAX_MESSAGE]);
    let next = Got::Message(b"next".to_vec());
    assert_eq!(out, [Got::Compressed, Got::Compressed, too_long, next]);
}

#[test]
fn what_breaks_the_rules_is_broken() {
    for wrong in [
        frame(0x91, None, b"reserved bit"),
        frame(0x83, None, b"reserved opcode"),
        frame(0x09, None, b"ping in pieces"),
        frame(0x89, None, &[0; 126]),
        [frame(0x01, None, b"a"), frame(0x81, None, b"b")].concat(),
        vec![0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let used = Frames::default().receive(&wrong, &mut Vec::new());
        assert_eq!(used, Err(Broken), "{wrong:?}");
    }
}

#[test]
fn a_frame_is_known_by_the_sip_in_it() {
    let ok = b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n";
    assert!(likely_frame(&frame(0x81, KEY, ok)));
    assert!(likely_frame(&frame(0x82, None, ok)));
    assert!(!likely_frame(&frame(0x81, KEY, b"{\"json\":1}")));
    assert!(!likely_frame(ok) && !likely_frame(&frame(0x89, None, b"SIP/2.0 200 OK")));
    let before = [b"rest of something", &frame(0x81, None, ok)[..]].concat();
    assert_eq!(header_before(&before, 19), Some(17));
    assert_eq!(header_before(ok, 0), None);
}

proptest! {
    #[test]
    fn never_panics_and_keeps_within_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..400), size in 1usize..60, skip in 0u64..100) {
        let (mut frames, mut out, mut kept) = (Frames::default(), Vec::new(), Vec::new());
        for piece in bytes.chunks(size) {
            kept.extend_from_slice(piece);
            match frames.receive(&kept, &mut out) {
                Ok(used) => { prop_assert!(used <= kept.len()); kept.drain(..used); }
                Err(Broken) => break,
            }
            prop_assert!(kept.len() < 14 && frames.octets() <= 2 * bytes.len());
        }
        frames.skip(skip);
        let _ = (handshake(&bytes), likely_frame(&bytes), header_before(&bytes, bytes.len() / 2));
    }

    #[test]
    fn any_pieces_same_messages(messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..5), size in 1usize..200, masked: bool) {
        let mask = masked.then_some([1, 2, 3, 4]);
        let mut bytes = Vec::new();
        for m in &messages {
            let pieces: Vec<_> = if m.is_empty() { vec![&m[..]] } else { m.chunks(size).collect() };
            for (i, piece) in pieces.iter().enumerate() {
                let first = if i == 0 { 1 } else { 0 };
                let last = if i + 1 == pieces.len() { 0x80 } else { 0 };
                bytes.extend(frame(first | last, mask, piece));
            }
        }
        let want: Vec<_> = messages.into_iter().map(Got::Message).collect();
        prop_assert_eq!(got(&bytes), Ok(want));
    }
}
