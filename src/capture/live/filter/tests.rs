//! Packets × settings: which pass. And whatever the assembler would give out from a SIP port gets to it.

use proptest::prelude::*;

use super::machine::{Beside, run};
use super::*;
use crate::base::Timestamp;
use crate::engine::{AssembleLimits, Assembler, Frame};
use crate::lab::Encapsulation;
use crate::lab::pcap::encapsulation::wrap;
use crate::wire::Message;
use crate::wire::link::LinkType;
use crate::wire::tunnel::TunnelPath;
use clap::ValueEnum;

const INVITE: &[u8] = b"INVITE sip:+12025550123@192.0.2.2 SIP/2.0\r\nCall-ID: a@example.net\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

fn settings() -> FilterSettings {
    FilterSettings {
        sip_ports: vec![5060, 5090],
        ..FilterSettings::default()
    }
}

fn no_tunnels() -> FilterSettings {
    FilterSettings {
        tunnels: Tunnels {
            mpls: false,
            pppoe: false,
            gre: false,
            ip_in_ip: false,
            vxlan_ports: Vec::new(),
            geneve_ports: Vec::new(),
        },
        ..settings()
    }
}

fn ports(from: u16, to: u16, rest: &[u8]) -> Vec<u8> {
    [&from.to_be_bytes()[..], &to.to_be_bytes(), rest].concat()
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 8).to_be_bytes();
    ports(from, to, &[&length[..], &[0, 0], payload].concat())
}

fn tcp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let rest = [
        &[0, 0, 0, 9, 0, 0, 0, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0][..],
        payload,
    ];
    ports(from, to, &rest.concat())
}

/// A packet with one message in one chunk.
fn sctp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 16).to_be_bytes();
    let chunk = [
        &[0, 3][..],
        &length,
        &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        payload,
    ];
    ports(
        from,
        to,
        &[&[0, 0, 0, 1, 0, 0, 0, 0][..], &chunk.concat()].concat(),
    )
}

/// A frame of WebSocket in a segment.
fn websocket(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    tcp(
        from,
        to,
        &[&[0x82, payload.len() as u8][..], payload].concat(),
    )
}

/// An IPv4 packet with so many words of options.
fn v4(protocol: u8, options: u8, field: u16, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u16 + 20 + u16::from(options) * 4;
    let mut p = vec![0x45 + options, 0];
    p.extend(length.to_be_bytes());
    p.extend([0, 7]);
    p.extend(field.to_be_bytes());
    p.extend([64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    p.extend(vec![1; usize::from(options) * 4]);
    p.extend(payload);
    p
}

fn v6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x60, 0, 0, 0];
    p.extend((payload.len() as u16).to_be_bytes());
    p.extend([protocol, 64]);
    for last in [1, 2] {
        p.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    p.extend(payload);
    p
}

/// A frame with these TPIDs before its type.
fn frame(tags: &[u16], kind: u16, packet: &[u8]) -> Vec<u8> {
    let mut f = MACS.to_vec();
    for tpid in tags {
        f.extend(tpid.to_be_bytes());
        f.extend([0, 7]);
    }
    f.extend(kind.to_be_bytes());
    f.extend(packet);
    f
}

fn passes_with(settings: &FilterSettings, frame: &[u8]) -> bool {
    let program = generate(settings, Front::Ethernet, false);
    run(&program, frame, Beside::default()) == settings.snap
}

fn passes(frame: &[u8]) -> bool {
    passes_with(&settings(), frame)
}

#[test]
fn sip_ports_pass_in_both_directions_and_rtp_does_not() {
    for protocol in [17, 6, 132] {
        for (from, to, want) in [
            (5060, 40_000, true),
            (40_000, 5060, true),
            (5090, 1, true),
            (1, 5090, true),
            (5061, 5059, false),
            (16_384, 16_386, false),
        ] {
            let l4 = ports(from, to, &[0; 16]);
            let what = format!("{protocol}: {from} to {to}");
            for options in [0, 1, 10] {
                let packet = v4(protocol, options, 0x4000, &l4);
                assert_eq!(
                    passes(&frame(&[], 0x0800, &packet)),
                    want,
                    "{what}, {options}"
                );
            }
            assert_eq!(
                passes(&frame(&[], 0x86dd, &v6(protocol, &l4))),
                want,
                "{what}"
            );
        }
    }
    // ICMP with what would be ports, ESP, ARP, LLDP, spanning tree.
    let like_ports = ports(5060, 5060, &[0; 16]);
    assert!(!passes(&frame(&[], 0x0800, &v4(1, 0, 0, &like_ports))));
    assert!(!passes(&frame(&[], 0x0800, &v4(50, 0, 0, &like_ports))));
    assert!(!passes(&frame(&[], 0x86dd, &v6(58, &like_ports))));
    assert!(!passes(&frame(&[], 0x0806, &[0; 46])));
    assert!(!passes(&frame(&[], 0x88cc, &[0; 46])));
    assert!(!passes(&frame(&[], 38, &[0x42; 46])));
}

#[test]
fn every_fragment_passes_whatever_its_port() {
    let rtp = udp(16_384, 16_386, &[0; 200]);
    for field in [0x2000, 0x2001, 0x00b9, 0x1fff, 0x20b9] {
        assert!(passes(&frame(&[], 0x0800, &v4(17, 0, field, &rtp))));
    }
    // Don't fragment, and the reserved bit, make no fragment.
    for field in [0, 0x4000, 0x8000, 0xc000] {
        assert!(!passes(&frame(&[], 0x0800, &v4(17, 0, field, &rtp))));
    }
    let fragment = [&[17, 0, 0, 1, 0, 0, 0, 9][..], &rtp].concat();
    assert!(passes(&frame(&[], 0x86dd, &v6(44, &fragment))));
    let behind = [&[44, 0, 1, 4, 0, 0, 0, 0][..], &fragment].concat();
    for header in [0, 43, 60, 135, 139, 140, 51] {
        assert!(passes(&frame(&[], 0x86dd, &v6(header, &behind))));
    }
}

#[test]
fn tags_in_the_octets_hide_nothing_and_the_one_beside_them_neither() {
    let sip = v4(17, 0, 0, &udp(5060, 5060, INVITE));
    let rtp = v4(17, 0, 0, &udp(16_384, 16_386, &[0; 200]));
    for tpid in [0x8100, 0x88a8, 0x9100, 0x9200] {
        for depth in 0..=MAX_VLANS {
            let tags = vec![tpid; depth];
            assert!(
                passes(&frame(&tags, 0x0800, &sip)),
                "{depth} of {tpid:#06x}"
            );
            assert!(!passes(&frame(&tags, 0x0800, &rtp)));
        }
    }
    // More than anyone looks at.
    assert!(!passes(&frame(&[0x8100; MAX_VLANS + 1], 0x0800, &sip)));
}

#[test]
fn tunnels_pass_where_they_are_configured() {
    let inner = v4(17, 0, 0, &udp(5060, 5060, INVITE));
    let gre = [&[0, 0, 0x08, 0][..], &inner].concat();
    let vxlan = udp(51_000, 4789, &[0; 60]);
    let geneve = udp(51_000, 6081, &[0; 60]);
    let frames = [
        frame(&[], 0x8847, &[&[0, 0, 0x11, 64][..], &inner].concat()),
        frame(&[0x8100], 0x8848, &[&[0, 0, 0x11, 64][..], &inner].concat()),
        frame(
            &[],
            0x8864,
            &[&[0x11, 0, 0, 1, 0, 60, 0, 0x21][..], &inner].concat(),
        ),
        frame(&[], 0x0800, &v4(47, 0, 0, &gre)),
        frame(&[], 0x86dd, &v6(47, &gre)),
        frame(&[], 0x0800, &v4(4, 0, 0, &inner)),
        frame(&[], 0x0800, &v4(41, 0, 0, &v6(17, &[0; 40]))),
        frame(&[], 0x86dd, &v6(4, &inner)),
        frame(&[], 0x86dd, &v6(41, &v6(17, &[0; 40]))),
        frame(&[], 0x0800, &v4(17, 0, 0, &vxlan)),
        frame(&[0x88a8, 0x8100], 0x86dd, &v6(17, &vxlan)),
        frame(&[], 0x0800, &v4(17, 0, 0, &geneve)),
    ];
    for (n, frame) in frames.iter().enumerate() {
        assert!(passes(frame), "{n}");
        assert!(!passes_with(&no_tunnels(), frame), "{n}");
    }
    // A tunnel's port is no port of TCP, and PPPoE discovery carries nothing.
    let tcp = v4(6, 0, 0, &tcp(51_000, 4789, &[0; 60]));
    assert!(!passes(&frame(&[], 0x0800, &tcp)));
    assert!(!passes(&frame(&[], 0x8863, &[0; 60])));
}

#[test]
fn snap_passes_and_other_lengths_do_not() {
    let sip = v4(17, 0, 0, &udp(5060, 5060, INVITE));
    let snap = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &sip].concat();
    assert!(passes(&frame(&[], 120, &snap)));
    assert!(passes(&frame(&[0x8100], 120, &snap)));
    // Cisco's discovery, with an organisation of its own.
    let cdp = [&[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0][..], &sip].concat();
    assert!(!passes(&frame(&[], 120, &cdp)));
}

#[test]
fn frames_that_end_early_are_dropped_and_end_no_program() {
    let whole = frame(&[0x8100], 0x0800, &v4(17, 0, 0, &udp(5060, 5060, INVITE)));
    let ports_end = 12 + 4 + 2 + 20 + 4;
    for length in 0..whole.len() {
        assert_eq!(passes(&whole[..length]), length >= ports_end, "{length}");
    }
    for protocol in [0x0800, 0x86dd] {
        assert!(!passes(&frame(&[], protocol, &[])));
        assert!(!passes(&frame(&[], protocol, &[0x50; 60])));
    }
}

#[test]
fn what_this_host_sends_is_dropped_where_that_is_asked_for() {
    let sip = frame(&[], 0x0800, &v4(17, 0, 0, &udp(5060, 5060, INVITE)));
    let program = generate(&settings(), Front::Ethernet, true);
    for (packet_type, want) in [(0, true), (1, true), (3, true), (4, false)] {
        let kept = run(&program, &sip, Beside { packet_type });
        assert_eq!(kept > 0, want, "{packet_type}");
    }
}

#[test]
fn an_interface_without_link_header_begins_with_ip() {
    let program = generate(&settings(), Front::Ip, false);
    let pass = |packet: &[u8]| run(&program, packet, Beside::default()) > 0;
    assert!(pass(&v4(17, 0, 0, &udp(5060, 5060, INVITE))));
    assert!(pass(&v6(6, &tcp(5060, 5060, INVITE))));
    assert!(!pass(&v4(17, 0, 0, &udp(16_384, 16_386, &[0; 200]))));
}

#[test]
fn what_passes_is_kept_to_65535_octets_and_more() {
    assert!(FilterSettings::default().snap >= 65_535);
}

/// What the kernel checks when a program is attached (`bpf_check_classic`), and that the most ports fit.
#[test]
fn the_kernel_would_take_the_largest_program() {
    let many = |from: u16| (from..from + MAX_PORTS as u16).collect::<Vec<u16>>();
    let settings = FilterSettings {
        sip_ports: many(5000),
        tunnels: Tunnels {
            vxlan_ports: many(4700),
            geneve_ports: many(6000),
            ..Tunnels::default()
        },
        ..FilterSettings::default()
    };
    for front in [Front::Ethernet, Front::Ip] {
        let program = generate(&settings, front, true);
        assert!(program.len() <= 4096, "{}", program.len());
        for (at, i) in program.iter().enumerate() {
            let furthest = match i.code {
                0x05 => i.k as usize,
                0x15 | 0x35 | 0x45 => usize::from(i.jt.max(i.jf)),
                0x06 => continue,
                _ => 0,
            };
            assert!(at + 1 + furthest < program.len(), "{at}: {i:?}");
        }
        assert_eq!(program.last().unwrap().code, 0x06);
        let last = frame(&[], 0x0800, &v4(17, 0, 0, &udp(1, 5063, &[0; 9])));
        assert_eq!(
            run(&program, &last, Beside::default()) > 0,
            front == Front::Ethernet
        );
    }
    assert_eq!(run(&nothing(), &[0; 60], Beside::default()), 0);
}

/// One message on the wire: its frames, in whatever way it may travel.
fn travel() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let tags = proptest::collection::vec(
        prop_oneof![Just(0x8100u16), Just(0x88a8), Just(0x9100), Just(0x9200)],
        0..=MAX_VLANS,
    );
    let port = prop_oneof![Just(5060u16), Just(5090), Just(16_384)];
    let extensions = proptest::collection::vec(prop_oneof![Just(0u8), Just(43), Just(60)], 0..3);
    let shape = (any::<bool>(), 0..4, any::<bool>(), 0u8..11, 1usize..9);
    (tags, port.clone(), port, extensions, shape).prop_map(
        |(tags, from, to, extensions, (is_v6, transport, snap, options, pieces))| {
            let (protocol, l4) = match transport {
                0 => (6, tcp(from, to, INVITE)),
                1 => (6, websocket(from, to, INVITE)),
                2 => (132, sctp(from, to, INVITE)),
                _ => (17, udp(from, to, INVITE)),
            };
            let step = l4.len().div_ceil(pieces).next_multiple_of(8);
            let count = l4.len().div_ceil(step);
            let packets = l4.chunks(step).enumerate().map(|(n, piece)| {
                let more = n + 1 < count;
                let offset = (n * step / 8) as u16;
                if !is_v6 {
                    let field = offset | if more { 0x2000 } else { 0 };
                    return v4(protocol, options, field, piece);
                }
                let mut front = Vec::new();
                let mut next = protocol;
                if count > 1 {
                    let field = (offset * 8) | u16::from(more);
                    front = [
                        &[next, 0][..],
                        &field.to_be_bytes(),
                        &[0, 0, 0, 9],
                        &front[..],
                    ]
                    .concat();
                    next = 44;
                }
                for header in &extensions {
                    front = [&[next, 0, 1, 4, 0, 0, 0, 0][..], &front].concat();
                    next = *header;
                }
                v6(next, &[&front[..], piece].concat())
            });
            let kind = if is_v6 { 0x86dd } else { 0x0800 };
            packets
                .map(|p| match snap {
                    true => frame(
                        &tags,
                        200,
                        &[&[0xaa, 0xaa, 3, 0, 0, 0][..], &u16::to_be_bytes(kind), &p].concat(),
                    ),
                    false => frame(&tags, kind, &p),
                })
                .collect()
        },
    )
}

/// The same in up to two tunnels, whose packets may be fragments themselves.
fn tunnelled() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let one = (
        proptest::sample::select(Encapsulation::value_variants()),
        120usize..1_600,
    );
    (travel(), proptest::collection::vec(one, 0..=2)).prop_map(|(mut frames, tunnels)| {
        for (n, (into, mtu)) in (0u32..).zip(tunnels) {
            let wrapped = (n * 1_000..).zip(frames).flat_map(|(id, bytes)| {
                let length = bytes.len();
                let frame = crate::lab::pcap::Frame {
                    at: 0,
                    bytes,
                    length,
                };
                wrap(&frame, into, id, mtu)
            });
            frames = wrapped.map(|f| f.bytes).collect();
        }
        frames
    })
}

/// Which tunnels are looked into.
fn some_tunnels() -> impl Strategy<Value = Tunnels> {
    any::<[bool; 6]>().prop_map(|[mpls, pppoe, gre, ip_in_ip, vxlan, geneve]| Tunnels {
        mpls,
        pppoe,
        gre,
        ip_in_ip,
        vxlan_ports: vxlan.then_some(4789).into_iter().collect(),
        geneve_ports: geneve.then_some(6081).into_iter().collect(),
    })
}

/// What the assembler gives out of a tunnel, or of a SIP port outside any.
fn messages(frames: &[Vec<u8>], tunnels: &Tunnels) -> Vec<Message> {
    let mut assembler = Assembler::new(AssembleLimits::default()).with_tunnels(tunnels.clone());
    for bytes in frames {
        assembler.handle_frame(Frame {
            at: Timestamp::from_secs(1_795_512_600),
            link: LinkType::Ethernet,
            sensor: 0,
            bytes,
            original_len: bytes.len(),
        });
    }
    assembler.finish();
    let is_due = |m: &Message| {
        let ports = [m.flow.source.port(), m.flow.destination.port()];
        m.flow.path != TunnelPath::none() || ports.iter().any(|p| settings().sip_ports.contains(p))
    };
    std::iter::from_fn(|| assembler.poll_message())
        .filter(is_due)
        .map(|m| Message { seq: 0, ..m })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_the_assembler_would_give_out_gets_to_it(
        mut frames in tunnelled(),
        tunnels in prop_oneof![Just(Tunnels::default()), some_tunnels()],
        spoil in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        for (which, place, octet) in spoil {
            let frame = which.get_mut(&mut frames);
            *place.get_mut(&mut frame[..]) = octet;
        }
        let settings = FilterSettings { tunnels: tunnels.clone(), ..settings() };
        let program = generate(&settings, Front::Ethernet, false);
        let passed: Vec<_> = frames.iter().filter(|f| run(&program, f, Beside::default()) > 0).cloned().collect();
        prop_assert_eq!(messages(&frames, &tunnels), messages(&passed, &tunnels));
    }
}

/// The test above holds messages against each other, not nothing against nothing.
#[test]
fn the_messages_of_that_test_are_found() {
    assert!(INVITE.len() < 126, "WebSocket's short length");
    let all = Tunnels::default();
    let bare = [
        (17, udp(5060, 5060, INVITE)),
        (132, sctp(5060, 5060, INVITE)),
        (6, tcp(5060, 5060, INVITE)),
        (6, websocket(5060, 5060, INVITE)),
    ];
    for (n, (protocol, l4)) in bare.iter().enumerate() {
        let bytes = frame(&[0x8100], 0x0800, &v4(*protocol, 0, 0, l4));
        for into in Encapsulation::value_variants() {
            let length = bytes.len();
            let bytes = bytes.clone();
            let frame = crate::lab::pcap::Frame {
                at: 0,
                bytes,
                length,
            };
            let frames: Vec<_> = wrap(&frame, *into, 1, 120)
                .into_iter()
                .map(|f| f.bytes)
                .collect();
            assert_eq!(messages(&frames, &all).len(), 1, "{n} {into:?}");
        }
    }
}
