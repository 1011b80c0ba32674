//! Tunnels in frames, fragments in tunnels, tunnels in fragments.

use super::*;
use crate::wire::tunnel::{MAX_TUNNELS, TunnelKind};

const V4_TYPE: [u8; 2] = [8, 0];

/// The IP packet of a frame of [`v4`], without padding.
fn packet(frame: &[u8]) -> &[u8] {
    let length = usize::from(u16::from_be_bytes([frame[20], frame[21]]));
    &frame[18..18 + length]
}

fn to_port(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = udp(payload);
    out[2..4].copy_from_slice(&port.to_be_bytes());
    out
}

fn vxlan(vni: u8, inner: &[u8]) -> Vec<u8> {
    to_port(4789, &[&[8, 0, 0, 0, 0, 0, vni, 0][..], inner].concat())
}

/// The frame in each kind of tunnel, by the kind of the innermost.
fn tunnels(inner: &[u8]) -> Vec<(TunnelKind, Vec<u8>)> {
    let ip = packet(inner);
    let ethernet = |ethertype: [u8; 2], payload: &[u8]| {
        [
            &[2, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 4][..],
            &ethertype,
            payload,
        ]
        .concat()
    };
    let on = |header: &[u8], inside: &[u8]| [header, inside].concat();
    let gre = |header: &[u8], inside: &[u8]| v4(47, 9, 0, &on(header, inside));
    vec![
        (
            TunnelKind::Mpls,
            ethernet([0x88, 0x47], &on(&[0, 0x10, 0, 9, 0, 0x20, 1, 9], ip)),
        ),
        (
            TunnelKind::Mpls,
            ethernet([0x88, 0x47], &on(&[0, 0x20, 1, 9, 0, 0, 0, 0], inner)),
        ),
        (
            TunnelKind::Pppoe,
            ethernet(
                [0x88, 0x64],
                &on(
                    &[
                        &[0x11, 0, 0, 7][..],
                        &(ip.len() as u16 + 2).to_be_bytes(),
                        &[0, 0x21],
                    ]
                    .concat(),
                    ip,
                ),
            ),
        ),
        (TunnelKind::Gre, gre(&[0x20, 0, 8, 0, 0, 0, 0, 7], ip)),
        (TunnelKind::Gre, gre(&[0, 0, 0x65, 0x58], inner)),
        (
            TunnelKind::Mpls,
            gre(&[0, 0, 0x88, 0x47, 0, 0x20, 1, 9], ip),
        ),
        (TunnelKind::Erspan, gre(&[0, 0, 0x88, 0xbe], inner)),
        (
            TunnelKind::Erspan,
            gre(
                &[
                    0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0x18, 5, 0, 0, 0, 0,
                ],
                inner,
            ),
        ),
        (
            TunnelKind::Erspan,
            gre(
                &[
                    0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0,
                ],
                inner,
            ),
        ),
        (TunnelKind::Vxlan, v4(17, 9, 0, &vxlan(7, inner))),
        (
            TunnelKind::Geneve,
            v4(
                17,
                9,
                0,
                &to_port(
                    6081,
                    &on(&[1, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 0], inner),
                ),
            ),
        ),
        (TunnelKind::IpInIp, v4(4, 9, 0, ip)),
        (TunnelKind::IpInIp, v6(4, None, ip)),
        (TunnelKind::IpInIp, {
            let inner = v6(17, None, &udp(&invite(1)));
            v4(41, 9, 0, &inner[14..])
        }),
    ]
}

#[test]
fn every_tunnel_gives_the_message_inside() {
    let inner = v4(17, 1, 0, &udp(&invite(1)));
    for (i, (kind, outer)) in tunnels(&inner).into_iter().enumerate() {
        let (out, c) = run(&[outer]);
        assert_eq!(out.len(), 1, "{i} {kind:?}: {c:?}");
        assert_eq!((out[0].bytes == invite(1), out[0].cut), (true, None));
        let path = &out[0].flow.path;
        assert_eq!(path.innermost().unwrap().kind, kind, "{i}");
        assert_eq!(c.frames_tunnel + c.udp_tunnel, path.depth() as u64);
    }
}

#[test]
fn a_frame_in_a_tunnel_has_its_own_vlans_and_a_packet_those_of_its_frame() {
    let mut inner = v4(17, 1, 0, &udp(&invite(1)));
    inner[15] = 8;
    let (out, _) = run(&[v4(17, 9, 0, &vxlan(7, &inner)), v4(4, 9, 0, packet(&inner))]);
    assert_eq!(out[0].flow.vlans.as_slice(), [8]);
    let hop = out[0].flow.path.innermost().unwrap();
    assert_eq!((hop.vlans.as_slice(), hop.id), (&[7][..], Some(7)));
    assert_eq!(out[1].flow.vlans.as_slice(), [7]);
    assert!(out[1].flow.path.innermost().unwrap().vlans.is_empty());
}

#[test]
fn what_is_off_stays_closed_and_is_counted_as_what_it_is() {
    let inner = v4(17, 1, 0, &udp(&invite(1)));
    let mut a = new().with_tunnels(Tunnels::none());
    let all = tunnels(&inner);
    for (_, outer) in &all {
        a.handle_frame(frame(ms(0), outer));
    }
    a.finish();
    assert_eq!(drain(&mut a), []);
    let c = a.counters();
    assert_eq!(c.imbalance(), None);
    assert_eq!((c.frames_tunnel, c.udp_tunnel), (0, 0));
    assert_eq!(
        (c.frames_not_ip, c.udp_not_sip, c.frames_other_protocol),
        (3, 2, all.len() as u64 - 5)
    );
}

#[test]
fn refusals_are_counted_by_reason() {
    let inner = v4(17, 1, 0, &udp(&invite(1)));
    let mut deep = inner.clone();
    for _ in 0..=MAX_TUNNELS {
        deep = v4(17, 9, 0, &vxlan(7, &deep));
    }
    let mut arp = inner.clone();
    arp[16..18].copy_from_slice(&[8, 6]);
    let frames = [
        deep,
        v4(47, 1, 0, &[0x40, 0, 8, 0, 0, 0, 0, 0, 0, 2, 0, 255]),
        v4(47, 1, 0, &[0, 1, 0x88, 0x0b]),
        v4(47, 1, 0, &[0, 0, 8]),
        v4(47, 1, 0, &[0, 0, 0, 1]),
        v4(17, 1, 0, &to_port(4789, &[0; 8])),
        v4(17, 1, 0, &vxlan(7, &arp)),
        v4(17, 1, 0, &to_port(4789, &invite(2))),
    ];
    let (out, c) = run(&frames);
    assert_eq!(out.len(), 1, "SIP at a tunnel's port is SIP");
    assert_eq!((c.tunnels_too_deep, c.tunnels_routed), (1, 1));
    assert_eq!((c.tunnels_version, c.tunnels_truncated), (1, 1));
    assert_eq!((c.tunnels_not_ip, c.tunnels_malformed), (1, 1));
    assert_eq!(c.frames_not_ip, 1, "what the tunnel held");
    assert_eq!(c.tunnels_vxlan, MAX_TUNNELS as u64 + 1);
}

/// Fragments of `datagram` in tunnels of two tenants, with the same addresses and the same identification.
fn tenants(datagrams: [&[u8]; 2]) -> Vec<Vec<u8>> {
    let parts = [0, 1].map(|i| fragments(false, 77, datagrams[i], 576));
    let [a, b] = parts;
    let mut mixed = Vec::new();
    for (a, b) in a.iter().zip(&b) {
        mixed.push(v4(17, 9, 0, &vxlan(1, a)));
        mixed.push(v4(17, 9, 0, &vxlan(2, b)));
    }
    mixed
}

#[test]
fn two_tenants_with_the_same_addresses_are_never_mixed() {
    let (one, two) = (udp(&invite(101)), udp(&invite(102)));
    let (out, c) = run(&tenants([&one, &two]));
    let ids: Vec<_> = out
        .iter()
        .map(|m| (m.flow.path.innermost().unwrap().id, m.bytes.clone()))
        .collect();
    assert_eq!(ids, [(Some(1), invite(101)), (Some(2), invite(102))]);
    assert_eq!((c.datagrams_completed, c.fragments_overlap), (2, 0));
    // The same with streams: same ports, same sequence numbers.
    let (one, two) = (invite(101), invite(102));
    let mut frames = Vec::new();
    for (from, to) in [(0, 700), (700, one.len())] {
        for (vni, octets) in [(1, &one), (2, &two)] {
            let segment = v4(6, 1, 0, &tcp(10 + from as u32, 0x18, &octets[from..to]));
            frames.push(v4(17, 9, 0, &vxlan(vni, &segment)));
        }
    }
    let (out, c) = run(&frames);
    let bytes: Vec<_> = out.into_iter().map(|m| m.bytes).collect();
    assert_eq!((bytes, c.streams_begun), (vec![one, two], 2));
}

#[test]
fn a_frame_that_the_mirror_cut_gives_a_cut_message() {
    let inner = v4(17, 1, 0, &udp(&invite(1)));
    let header = [
        0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0x1c, 5, 0, 0, 0, 0,
    ];
    let outer = v4(47, 9, 0, &[&header[..], &inner[..300]].concat());
    let (out, _) = run(&[outer]);
    assert_eq!(out[0].cut, Some(Cut::SnapLength));
    assert!(invite(1).starts_with(&out[0].bytes));
}

#[test]
fn a_lost_fragment_around_a_tunnel_gives_the_front_of_the_message_in_it() {
    let inner = v4(17, 1, 0, &udp(&invite(1)));
    let mut outer = fragments(false, 5, &vxlan(7, &inner), 900);
    outer.pop();
    let (out, c) = run(&outer);
    assert_eq!((out.len(), out[0].cut), (1, Some(Cut::LostFragment)));
    assert!(invite(1).starts_with(&out[0].bytes) && out[0].bytes.len() > 700);
    assert_eq!((c.fronts_tunnel, c.messages_cut_lost_fragment), (1, 1));
}

#[test]
fn what_pushes_out_what_pushes_out_takes_no_stack() {
    let mut limits = AssembleLimits::default();
    limits.reassembly.datagrams = 20_000;
    limits.reassembly.per_source = u32::MAX;
    let mut a = Assembler::new(limits);
    // Outer first fragments that hold inner first fragments: each one given up begins another.
    for id in 0..60_000u32 {
        let mut inner = v4(17, id as u16, 0x2000, &[0; 64]);
        inner[30..34].copy_from_slice(&id.to_be_bytes());
        let mut outer = v4(17, 7, 0x2000, &vxlan(1, &inner)[..96]);
        outer[30..34].copy_from_slice(&id.to_be_bytes());
        a.handle_frame(frame(ms(0), &outer));
    }
    a.finish();
    let c = a.counters();
    assert_eq!((c.imbalance(), c.datagrams_open), (None, 0));
    assert!(c.fronts_tunnel == 60_000 && c.datagrams_begun == 120_000);
}

#[test]
fn sctp_gives_messages_of_one_chunk_and_counts_the_rest() {
    let data = |flags: u8, payload: &[u8]| {
        let mut out = vec![0, flags];
        out.extend((16 + payload.len() as u16).to_be_bytes());
        out.extend([0; 12]);
        out.extend(payload);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    };
    let common = [0x13, 0xc4, 0x13, 0xc5, 0, 0, 0, 1, 0, 0, 0, 0];
    let packet = |chunks: &[Vec<u8>]| [&common[..], &chunks.concat()].concat();
    let large = packet(&[data(3, &invite(3))]);
    let mut frames = vec![
        v4(
            132,
            1,
            0,
            &packet(&[data(3, &invite(1)), data(3, &invite(2))]),
        ),
        v4(132, 2, 0, &packet(&[data(2, &invite(4)[..500])])),
        v4(132, 3, 0, &packet(&[data(1, &invite(4)[500..])])),
        v4(
            132,
            4,
            0,
            &packet(&[vec![4, 0, 0, 4], data(3, b"diameter")]),
        ),
        v4(132, 4, 0, &[1, 2, 3]),
        v4(132, 6, 0x2000, &large[..800]),
        v4(132, 6, 100, &large[800..]),
    ];
    let mut cut = v4(132, 7, 0x2000, &large[..800]);
    cut[30] = 198;
    frames.push(cut);
    let mut a = new();
    for f in &frames {
        a.handle_frame(frame(ms(0), f));
    }
    a.finish();
    let out = drain(&mut a);
    let c = a.counters();
    let whole: Vec<_> = out.iter().take(3).map(|m| m.bytes.clone()).collect();
    assert_eq!(whole, [1, 2, 3].map(invite));
    assert!(out.iter().all(|m| m.flow.transport == Transport::Sctp));
    assert_eq!(out[3].cut, Some(Cut::LostFragment));
    assert_eq!((c.sctp_parts_sip, c.sctp_parts, c.sctp_control), (1, 1, 1));
    assert_eq!((c.sctp_not_sip, c.sctp_malformed), (1, 1));
    assert_eq!((c.fronts_sctp, c.datagrams_sctp), (1, 1));
    assert_eq!(c.imbalance(), None);
    assert_eq!(a.poll_coverage().unwrap().incomplete, 2);
}

proptest! {
    /// Fragments in tunnels in fragments, in any order: the same message.
    #[test]
    fn fragments_within_and_around(which in 0usize..13, inner_mtu in 68usize..1_600, outer_mtu in 100usize..1_600, seed: u64) {
        let parts = fragments(false, 77, &udp(&invite(1)), inner_mtu);
        let mut frames = Vec::new();
        for (id, part) in parts.iter().enumerate() {
            let (_, outer) = tunnels(part).swap_remove(which);
            // Only what is on IPv4 is cut again.
            if outer.get(16..18) == Some(&V4_TYPE) && outer[12..14] == [0x81, 0] {
                let room = (outer_mtu - 20) / 8 * 8;
                let payload = &packet(&outer)[20..];
                let count = payload.len().div_ceil(room);
                for (i, piece) in payload.chunks(room).enumerate() {
                    let more = u16::from(i + 1 < count) << 13;
                    frames.push(v4(outer[27], 1_000 + id as u16, (i * room / 8) as u16 | more, piece));
                }
            } else {
                frames.push(outer);
            }
        }
        shuffle(&mut frames, seed);
        let (out, c) = run(&frames);
        prop_assert_eq!(out.len(), 1);
        prop_assert_eq!((&out[0].bytes, out[0].cut), (&invite(1), None));
        prop_assert_eq!((c.datagrams_open, c.datagram_octets), (0, 0));
    }

    /// Octets of tunnels changed at random: every frame is accounted for.
    #[test]
    fn changed_tunnels_keep_the_books(which in 0usize..14, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>(), fragment: bool) {
        let (_, mut outer) = tunnels(&v4(17, 1, if fragment { 0x2000 } else { 0 }, &udp(&invite(1))[..1000])).swap_remove(which);
        for (at, to) in changes { let n = outer.len().min(120); outer[at.index(n)] = to; }
        let kept = cut.index(outer.len()) + 1;
        let (_, c) = run(&[outer.clone(), outer[..kept].to_vec()]);
        prop_assert_eq!(c.imbalance(), None);
    }
}
