//! IP headers as they come, and as attackers write them.

use super::*;
use proptest::prelude::*;

/// An IPv4 header for UDP with the given total length, identification and fragment field.
fn v4(total: u16, id: u16, field: u16) -> Vec<u8> {
    let mut h = vec![0x45, 0];
    h.extend(total.to_be_bytes());
    h.extend(id.to_be_bytes());
    h.extend(field.to_be_bytes());
    h.extend([64, UDP, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    h
}

/// An IPv6 header with the given payload length and next header.
fn v6(length: u16, next: u8) -> Vec<u8> {
    let mut h = vec![0x60, 0, 0, 0];
    h.extend(length.to_be_bytes());
    h.extend([next, 64]);
    for last in [1, 2] {
        h.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    h
}

#[test]
fn padding_is_cut_off_and_a_short_capture_says_so() {
    let bytes = [v4(23, 0, 0), b"abc\0\0\0\0".to_vec()].concat();
    let p = parse(&bytes).unwrap();
    assert_eq!((p.payload, p.said, p.protocol), (&b"abc"[..], 3, UDP));
    assert_eq!(p.source.to_string(), "192.0.2.1");
    let bytes = [v4(123, 0, 0), b"abc".to_vec()].concat();
    let p = parse(&bytes).unwrap();
    assert_eq!((p.payload, p.said), (&b"abc"[..], 103));
    let bytes = [v6(3, UDP), b"abc\0".to_vec()].concat();
    let p = parse(&bytes).unwrap();
    assert_eq!((p.payload, p.said, p.protocol), (&b"abc"[..], 3, UDP));
}

#[test]
fn length_zero_is_a_large_segment_before_the_card_cut_it() {
    let bytes = [v4(0, 0, 0), b"abc".to_vec()].concat();
    assert_eq!(parse(&bytes).unwrap().payload, b"abc");
    let bytes = [v6(0, TCP), b"abc".to_vec()].concat();
    assert_eq!(parse(&bytes).unwrap().payload, b"abc");
}

#[test]
fn fragments_of_v4() {
    let bytes = [v4(28, 7, 0x2001), b"abcdefgh".to_vec()].concat();
    let fragment = Fragment {
        id: 7,
        offset: 8,
        more: true,
    };
    assert_eq!(parse(&bytes).unwrap().fragment, Some(fragment));
    let bytes = [v4(28, 7, 0x4000), b"abcdefgh".to_vec()].concat();
    assert_eq!(
        parse(&bytes).unwrap().fragment,
        None,
        "don't fragment is none"
    );
}

#[test]
fn a_fragment_header_behind_others_is_found() {
    let hop_by_hop = [44, 0, 1, 4, 0, 0, 0, 0];
    let fragment = [UDP, 0, 0, 9, 0, 0, 1, 0];
    let bytes = [&v6(24, 0)[..], &hop_by_hop, &fragment, b"abcdefgh"].concat();
    let p = parse(&bytes).unwrap();
    let expected = Fragment {
        id: 256,
        offset: 8,
        more: true,
    };
    assert_eq!(p.fragment, Some(expected));
    assert_eq!((p.payload, p.said, p.protocol), (&b"abcdefgh"[..], 8, UDP));
}

#[test]
fn a_lone_fragment_is_whole() {
    let fragment = [UDP, 0, 0, 0, 0, 0, 1, 0];
    let bytes = [&v6(11, 44)[..], &fragment, b"abc"].concat();
    let p = parse(&bytes).unwrap();
    assert_eq!((p.fragment, p.payload, p.said), (None, &b"abc"[..], 3));
}

#[test]
fn authentication_and_destination_options_are_gone_through() {
    let auth = [60, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let options = [UDP, 0, 1, 4, 0, 0, 0, 0];
    let bytes = [&v6(23, 51)[..], &auth, &options, b"abc"].concat();
    let p = parse(&bytes).unwrap();
    assert_eq!((p.protocol, p.payload), (UDP, &b"abc"[..]));
}

#[test]
fn endless_headers_end() {
    let chain = |n: usize| {
        let mut chain = [60, 0, 1, 4, 0, 0, 0, 0].repeat(n);
        let last = chain.len() - 8;
        chain[last] = UDP;
        let bytes = [&v6((n * 8 + 3) as u16, 60)[..], &chain, b"abc"].concat();
        parse(&bytes).map(|p| p.protocol)
    };
    assert_eq!(chain(MAX_EXTENSIONS), Ok(UDP));
    assert_eq!(chain(MAX_EXTENSIONS + 1), Err(IpError::TooManyExtensions));
}

#[test]
fn what_can_t_be_read_says_why() {
    assert_eq!(parse(b""), Err(IpError::Truncated));
    assert_eq!(parse(b"\x55"), Err(IpError::Version));
    assert_eq!(parse(&v4(20, 0, 0)[..19]), Err(IpError::Truncated));
    assert_eq!(parse(&v4(19, 0, 0)), Err(IpError::Malformed));
    assert_eq!(parse(&v6(0, UDP)[..39]), Err(IpError::Truncated));
    let bytes = [v6(4, 44), b"abcd".to_vec()].concat();
    assert_eq!(parse(&bytes), Err(IpError::Truncated));
}

proptest! {
    #[test]
    fn never_panics(version in prop_oneof![Just(0x45u8), Just(0x4fu8), Just(0x60u8), any::<u8>()],
                    rest in proptest::collection::vec(any::<u8>(), 0..120)) {
        let mut bytes = vec![version];
        bytes.extend(rest);
        if let Ok(p) = parse(&bytes) { prop_assert!(p.payload.len() <= p.said); }
    }

    #[test]
    fn extension_headers_never_panic(first in prop_oneof![Just(0u8), Just(43), Just(44), Just(51), Just(60)],
                                     bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(44), Just(60), any::<u8>()], 0..120)) {
        let _ = walk_extensions(first, &bytes);
    }
}
