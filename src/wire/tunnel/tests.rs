//! Every tunnel by hand, and octets at random.

use super::*;
use crate::wire::Vlans;
use proptest::prelude::*;

const V4: [u8; 20] = [
    0x45, 0, 0, 20, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
];

/// An Ethernet frame whose receiver's address begins with `first`.
fn ethernet(first: u8) -> Vec<u8> {
    [&[first, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &V4].concat()
}

fn seen<'a>(opened: Result<Opened<'a>, TunnelError>) -> (Option<u32>, Carries, &'a [u8]) {
    let o = opened.unwrap();
    (o.id, o.carries, o.inside)
}

fn behind(header: &[u8], inside: &[u8]) -> Vec<u8> {
    [header, inside].concat()
}

#[test]
fn a_label_stack_is_known_by_its_innermost_label() {
    let bytes = behind(&[0, 0x10, 0, 64, 0, 0x12, 0x31, 64], &V4);
    assert_eq!(
        seen(mpls::open(&bytes)),
        (Some(0x123), Carries::Ip, &V4[..])
    );
    // An entropy label behind its indicator tells flows apart, not networks.
    let bytes = behind(
        &[0, 0x12, 0x30, 64, 0, 0, 0x70, 64, 0x77, 0x77, 0x71, 0],
        &V4,
    );
    assert_eq!(seen(mpls::open(&bytes)).0, Some(0x123));
    let deep = |n: usize| {
        let stack = [0, 0x10, 0, 64].repeat(n - 1);
        mpls::open(&behind(&stack, &behind(&[0, 0x10, 1, 64], &V4))).map(|o| o.carries)
    };
    assert_eq!(deep(mpls::MAX_LABELS), Ok(Carries::Ip));
    assert_eq!(deep(mpls::MAX_LABELS + 1), Err(TunnelError::Malformed));
}

#[test]
fn a_pseudowire_is_told_from_ip_with_or_without_its_control_word() {
    for first in [0, 2, 0x1c, 0x40, 0x45, 0x60, 0xa0] {
        let frame = ethernet(first);
        for word in [&[][..], &[0, 0, 0, 9]] {
            let bytes = behind(&behind(&[0, 0x10, 1, 64], word), &frame);
            let (_, carries, inside) = seen(mpls::open(&bytes));
            assert_eq!(
                (carries, inside),
                (Carries::Ethernet, &frame[..]),
                "{first:#x} {word:?}"
            );
        }
    }
    // An associated channel (RFC 4385 §5), and a frame without IP.
    let channel = behind(&[0, 0x10, 1, 64], &[0x10, 0, 0, 0x21, 1, 2, 3, 4]);
    assert_eq!(mpls::open(&channel), Err(TunnelError::NotIp));
    let mut arp = ethernet(2);
    arp[12..14].copy_from_slice(&[8, 6]);
    let arp = behind(&[0, 0x10, 1, 64], &arp);
    assert_eq!(mpls::open(&arp), Err(TunnelError::NotIp));
}

#[test]
fn a_session_of_pppoe_carries_ip_and_its_control_is_none() {
    let with = |ppp: &[u8], pad: &[u8]| {
        let n = ppp.len() as u8;
        [&[0x11, 0, 0, 77, 0, n][..], ppp, pad].concat()
    };
    for protocol in [&[0, 0x21][..], &[0x21], &[0, 0x57]] {
        let bytes = with(&behind(protocol, &V4), b"padding");
        assert_eq!(seen(pppoe::open(&bytes)), (Some(77), Carries::Ip, &V4[..]));
    }
    assert_eq!(
        pppoe::open(&with(&[0xc0, 0x21, 9], &[])),
        Err(TunnelError::NotIp)
    );
    assert_eq!(pppoe::open(&with(&[], &[])), Err(TunnelError::Truncated));
    assert_eq!(
        pppoe::open(&[0x21, 0, 0, 1, 0, 0]),
        Err(TunnelError::Version)
    );
    assert_eq!(
        pppoe::open(&[0x11, 9, 0, 1, 0, 0]),
        Err(TunnelError::Malformed)
    );
}

#[test]
fn gre_skips_what_it_may_hold_and_refuses_source_routing() {
    let plain = behind(&[0, 0, 8, 0], &V4);
    assert_eq!(seen(gre::open(&plain)), (None, Carries::Ip, &V4[..]));
    let all = behind(
        &[0xb0, 0, 0x86, 0xdd, 1, 2, 0, 0, 0, 0, 0, 42, 0, 0, 0, 7],
        &V4,
    );
    assert_eq!(seen(gre::open(&all)), (Some(42), Carries::Ip, &V4[..]));
    let bridged = behind(&[0x20, 0, 0x65, 0x58, 0, 0, 0, 0], &ethernet(2));
    assert_eq!(
        seen(gre::open(&bridged)),
        (Some(0), Carries::Ethernet, &ethernet(2)[..])
    );
    for flags in [0x40, 0x08, 0xc8] {
        let routed = behind(&[flags, 0, 8, 0, 0, 0, 0, 0, 0, 2, 0, 0xff], &V4);
        assert_eq!(gre::open(&routed), Err(TunnelError::Routed));
    }
    let pptp = behind(&[0x20, 1, 0x88, 0x0b, 0, 0, 0, 0], &V4);
    assert_eq!(gre::open(&pptp), Err(TunnelError::Version));
    assert_eq!(gre::open(&[0, 0, 0, 0]), Err(TunnelError::NotIp));
    assert_eq!(
        gre::open(&[0x20, 0, 8, 0, 1, 2]),
        Err(TunnelError::Truncated)
    );
}

#[test]
fn erspan_of_each_type() {
    let frame = ethernet(2);
    let i = behind(&[0, 0, 0x88, 0xbe], &frame);
    assert_eq!(seen(gre::open(&i)), (None, Carries::Ethernet, &frame[..]));
    // Sequence number; version 1, VLAN 100, tag taken off, not cut, session 5.
    let header = [
        0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 100, 0x10, 5, 0, 0, 0, 1,
    ];
    let ii = behind(&header, &frame);
    let o = gre::open(&ii).unwrap();
    assert_eq!(
        (o.kind, o.id, o.vlan, o.truncated),
        (TunnelKind::Erspan, Some(100 << 10 | 5), Some(100), false)
    );
    assert_eq!(o.inside, frame);
    // Tag still in the frame; the frame was cut.
    let mut kept = ii.clone();
    kept[10] = 0x18 | 0x04;
    let o = gre::open(&kept).unwrap();
    assert_eq!((o.vlan, o.truncated), (None, true));
    // Version 2, VLAN 100, session 5; without and with a sub-header; as IP.
    let header = |frame_type: u8, sub: &[u8]| {
        let mut h = vec![
            0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 100, 0, 5, 0, 0, 0, 0, 0, 0,
        ];
        h.extend([0x80 | frame_type << 2, u8::from(!sub.is_empty())]);
        h.extend(sub);
        h
    };
    for sub in [&[][..], &[1; 8]] {
        let iii = behind(&header(0, sub), &frame);
        let (id, carries, inside) = seen(gre::open(&iii));
        assert_eq!(
            (id, carries, inside),
            (Some(100 << 10 | 5), Carries::Ethernet, &frame[..])
        );
    }
    assert_eq!(
        seen(gre::open(&behind(&header(2, &[]), &V4))).1,
        Carries::Ip
    );
    assert_eq!(
        gre::open(&behind(&header(1, &[]), &V4)),
        Err(TunnelError::NotIp)
    );
    assert_eq!(gre::open(&header(0, &[1; 7])), Err(TunnelError::Truncated));
    let mut wrong = ii;
    wrong[8] = 0x30;
    assert_eq!(gre::open(&wrong), Err(TunnelError::Version));
}

#[test]
fn overlays_on_udp() {
    let frame = ethernet(2);
    let vxlan = behind(&[0x88, 0, 0, 9, 0, 0x12, 0x34, 0], &frame);
    assert_eq!(
        seen(vxlan::open(&vxlan)),
        (Some(0x1234), Carries::Ethernet, &frame[..])
    );
    let generic = behind(&[0x0c, 0, 0, 1, 0, 0, 7, 0], &V4);
    assert_eq!(seen(vxlan::open(&generic)), (Some(7), Carries::Ip, &V4[..]));
    assert_eq!(vxlan::open(&[0; 8]), Err(TunnelError::Malformed));
    let geneve = behind(
        &[
            2, 0x40, 0x65, 0x58, 0, 0x12, 0x34, 0, 1, 2, 0x80, 1, 9, 9, 9, 9,
        ],
        &frame,
    );
    assert_eq!(
        seen(geneve::open(&geneve)),
        (Some(0x1234), Carries::Ethernet, &frame[..])
    );
    assert_eq!(
        geneve::open(&[0x3f, 0, 0x65, 0x58, 0, 0, 0, 0, 0]),
        Err(TunnelError::Truncated)
    );
    assert_eq!(
        geneve::open(&[0, 0x80, 0x65, 0x58, 0, 0, 0, 0]),
        Err(TunnelError::NotIp)
    );
    assert_eq!(
        geneve::open(&[0x40, 0, 0x65, 0x58, 0, 0, 0, 0]),
        Err(TunnelError::Version)
    );
}

#[test]
fn a_path_is_the_same_both_ways_and_another_for_another_number() {
    let bytes = behind(&[8, 0, 0, 0, 0, 0, 7, 0], &ethernet(2));
    let opened = vxlan::open(&bytes).unwrap();
    let (a, b) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
    let path = |o: &Opened<'_>, ends| TunnelPath::none().into_tunnel(o, Some(ends), Vlans::new());
    assert_eq!(path(&opened, (a, b)), path(&opened, (b, a)));
    let other = Opened {
        id: Some(8),
        ..opened
    };
    assert_ne!(path(&opened, (a, b)), path(&other, (a, b)));
    let twice = path(&opened, (a, b)).into_tunnel(&other, None, Vlans::new());
    assert_eq!((twice.depth(), TunnelPath::none().depth()), (2, 0));
    assert_eq!(std::mem::size_of::<TunnelPath>(), 8);
}

proptest! {
    #[test]
    fn never_panics_and_never_gives_more_than_it_got(bytes in proptest::collection::vec(any::<u8>(), 0..120), flags: u8) {
        let mut likely = bytes.clone();
        if let Some(first) = likely.first_mut() { *first = flags; }
        for bytes in [&bytes, &likely] {
            for a in [Announced::Mpls, Announced::Pppoe, Announced::Gre, Announced::IpInIp, Announced::Vxlan, Announced::Geneve] {
                if let Ok(o) = a.open(bytes) { prop_assert!(bytes.ends_with(o.inside) || a == Announced::Pppoe); }
            }
            let _ = (erspan::open_ii(bytes), erspan::open_iii(bytes));
        }
    }
}
