//! Hardware addresses go along with a message and part nothing that belongs together.

use super::*;

const ROUTERS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 0x0a], [2, 0, 0, 0, 0, 0x0b]];

/// The frame as it comes from another router.
fn by(router: usize, mut frame: Vec<u8>) -> Vec<u8> {
    frame[6..12].copy_from_slice(&ROUTERS[router]);
    frame
}

#[test]
fn a_message_has_the_addresses_of_its_frame_and_in_a_tunnel_of_the_frame_inside() {
    let plain = v4(17, 1, 0, &udp(&invite(1)));
    let tunnel = |inner: &[u8]| {
        let mut outer = udp(&[&[8, 0, 0, 0, 0, 0, 7, 0][..], inner].concat());
        outer[2..4].copy_from_slice(&4789u16.to_be_bytes());
        by(1, v4(17, 9, 0, &outer))
    };
    let (out, _) = run(&[by(0, plain.clone()), tunnel(&by(0, plain))]);
    for m in &out {
        assert_eq!(m.flow.macs.source, Some(ROUTERS[0]));
        assert_eq!(m.flow.macs.destination, Some([2, 0, 0, 0, 0, 1]));
        let back = m.flow.reversed().macs;
        assert_eq!(back.destination, Some(ROUTERS[0]));
    }
    assert_eq!(out.len(), 2);
}

#[test]
fn a_stream_over_two_routers_is_one() {
    let stream = [invite(1), invite(2)].concat();
    let mut frames = vec![v4(6, 0, 0, &tcp(9, 2, b""))];
    for (i, chunk) in stream.chunks(300).enumerate() {
        let seq = 10 + 300 * i as u32;
        frames.push(by(i % 2, v4(6, 0, 0, &tcp(seq, 0x18, chunk))));
    }
    let (out, _) = run(&frames);
    let bytes: Vec<_> = out.iter().map(|m| (m.bytes.clone(), m.cut)).collect();
    assert_eq!(bytes, [(invite(1), None), (invite(2), None)]);
    assert!(out.iter().all(|m| m.flow.macs.source.is_some()));
}

#[test]
fn fragments_over_two_routers_are_one_datagram_and_a_lost_one_keeps_its_router() {
    let pieces = fragments(false, 5, &udp(&invite(1)), 600);
    let two = pieces.iter().enumerate().map(|(i, f)| by(i % 2, f.clone()));
    let (out, _) = run(&two.collect::<Vec<_>>());
    assert_eq!(out.len(), 1);
    assert_eq!((out[0].bytes == invite(1), out[0].cut), (true, None));
    let (out, _) = run(&[by(1, pieces[0].clone())]);
    assert_eq!(out[0].cut, Some(Cut::LostFragment));
    assert_eq!(out[0].flow.macs.source, Some(ROUTERS[1]));
}
