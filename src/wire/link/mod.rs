//! Layer 2: from a captured frame to its IP packet.
//!
//! [`peel`] takes the octets of one frame and the link type of its capture, and gives the IP packet with the VLAN ids
//! and the sender's hardware address that stood before it; or what leads to one, a label stack or a PPPoE session. Ethernet II, 802.3 with SNAP, 802.1Q and 802.1ad to a depth of
//! [`MAX_VLANS`], Linux cooked captures v1 and v2, raw IP, and BSD loopback. It refuses everything that carries no IP, with
//! a [`LinkError`] to count. Padding behind the packet stays: only the IP header knows where the packet ends.

use smallvec::SmallVec;

use super::tunnel::{Carries, of_ethertype};
use super::{Mac, Macs, Vlans};

/// The most VLAN tags in one frame. Two are standard (802.1ad), three occur; a stack of more is a fault or an attack.
pub const MAX_VLANS: usize = 8;

/// What stands at the front of every frame of a capture (tcpdump.org, "Link-layer header types").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// 1: Ethernet.
    Ethernet,
    /// 113: Linux cooked capture, as written for `any`.
    Sll,
    /// 276: Linux cooked capture version 2, with the interface's index.
    Sll2,
    /// 12, 14, 101, 228, 229: an IP packet and nothing before it.
    RawIp,
    /// 0: BSD loopback, address family in the byte order of the machine that captured.
    Null,
    /// 108: OpenBSD loopback, address family in network order.
    Loop,
    /// Any other: its frames are counted and not looked at.
    Other(u32),
}

impl LinkType {
    /// From the number in a pcap or pcapng header. Bits above 26 say how long the frame check sequence is and don't count.
    pub const fn from_dlt(dlt: u32) -> Self {
        match dlt & 0x03ff_ffff {
            0 => Self::Null,
            1 => Self::Ethernet,
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            108 => Self::Loop,
            113 => Self::Sll,
            276 => Self::Sll2,
            other => Self::Other(other),
        }
    }
}

/// An IP packet and what stood before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peeled<'a> {
    /// VLAN ids, outermost first. A priority tag (id 0) is no VLAN and is left out.
    pub vlans: Vlans,
    /// Hardware addresses, where the link has them.
    pub macs: Macs,
    /// What `packet` is: an IP packet, or a label stack or PPPoE session that may hold one.
    pub carries: Carries,
    /// From its header to the end of the frame, padding included.
    pub packet: &'a [u8],
}

/// Why a frame gave no IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkError {
    /// We don't know the capture's link type.
    Unsupported,
    /// The frame ends before its link header does.
    Truncated,
    /// It carries something else: ARP, LLDP, spanning tree, …
    NotIp,
    /// More VLAN tags than [`MAX_VLANS`].
    TooManyVlans,
}

/// Takes the link header off a frame.
///
/// # Errors
///
/// [`LinkError`], for frames that carry no IP packet.
pub fn peel(link: LinkType, frame: &[u8]) -> Result<Peeled<'_>, LinkError> {
    match link {
        LinkType::Ethernet => {
            let (header, rest) = take::<14>(frame)?;
            let [d1, d2, d3, d4, d5, d6, source @ .., t1, t2] = header;
            let macs = Macs {
                source: Some(*source),
                destination: Some([*d1, *d2, *d3, *d4, *d5, *d6]),
            };
            above(u16::from_be_bytes([*t1, *t2]), macs, rest)
        }
        LinkType::Sll => {
            let (header, rest) = take::<16>(frame)?;
            let [_, _, _, _, l1, l2, mac @ .., _, _, t1, t2] = header;
            let mac = (u16::from_be_bytes([*l1, *l2]) == 6).then_some(*mac);
            above(u16::from_be_bytes([*t1, *t2]), sender(mac), rest)
        }
        LinkType::Sll2 => {
            let (header, rest) = take::<20>(frame)?;
            let [t1, t2, _, _, _, _, _, _, _, _, _, len, mac @ .., _, _] = header;
            let mac = (*len == 6).then_some(*mac);
            above(u16::from_be_bytes([*t1, *t2]), sender(mac), rest)
        }
        LinkType::RawIp => bare(frame),
        LinkType::Null => {
            let (family, rest) = take::<4>(frame)?;
            // The file may come from a machine of the other byte order; no family is above 255.
            let family = u32::from_le_bytes(*family).min(u32::from_be_bytes(*family));
            if is_ip_family(family) {
                bare(rest)
            } else {
                Err(LinkError::NotIp)
            }
        }
        LinkType::Loop => {
            let (family, rest) = take::<4>(frame)?;
            if is_ip_family(u32::from_be_bytes(*family)) {
                bare(rest)
            } else {
                Err(LinkError::NotIp)
            }
        }
        LinkType::Other(_) => Err(LinkError::Unsupported),
    }
}

/// A cooked capture has the sender's address alone.
fn sender(source: Option<Mac>) -> Macs {
    Macs {
        source,
        destination: None,
    }
}

/// Goes through VLAN tags and SNAP to the IP header.
fn above(mut ethertype: u16, macs: Macs, mut rest: &[u8]) -> Result<Peeled<'_>, LinkError> {
    let mut vlans: Vlans = SmallVec::new();
    let mut tags = 0;
    loop {
        match ethertype {
            // 802.1Q, 802.1ad, and what came before 802.1ad.
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                tags += 1;
                if tags > MAX_VLANS {
                    return Err(LinkError::TooManyVlans);
                }
                let ([c1, c2, t1, t2], inner) = take::<4>(rest)?;
                let id = u16::from_be_bytes([*c1, *c2]) & 0x0fff;
                if id != 0 {
                    vlans.push(id);
                }
                ethertype = u16::from_be_bytes([*t1, *t2]);
                rest = inner;
            }
            // Below 1536 it is a length (IEEE 802.3 §3.2.6), and LLC follows.
            0..1536 => match rest {
                [0xaa, 0xaa, 0x03, 0, 0, 0, t1, t2, inner @ ..] => {
                    ethertype = u16::from_be_bytes([*t1, *t2]);
                    if ethertype < 1536 {
                        return Err(LinkError::NotIp);
                    }
                    rest = inner;
                }
                _ => return Err(LinkError::NotIp),
            },
            // A frame is no frame's payload, but in a tunnel.
            other => match of_ethertype(other) {
                Some(carries @ (Carries::Ip | Carries::Mpls | Carries::Pppoe)) => {
                    return Ok(Peeled {
                        vlans,
                        macs,
                        carries,
                        packet: rest,
                    });
                }
                Some(Carries::Ethernet) | None => return Err(LinkError::NotIp),
            },
        }
    }
}

fn bare(packet: &[u8]) -> Result<Peeled<'_>, LinkError> {
    if packet.is_empty() {
        return Err(LinkError::Truncated);
    }
    Ok(Peeled {
        vlans: SmallVec::new(),
        macs: Macs::default(),
        carries: Carries::Ip,
        packet,
    })
}

/// `AF_INET`, and `AF_INET6` on Linux, NetBSD, FreeBSD and Darwin.
const fn is_ip_family(family: u32) -> bool {
    matches!(family, 2 | 10 | 24 | 28 | 30)
}

fn take<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), LinkError> {
    bytes.split_first_chunk().ok_or(LinkError::Truncated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

    fn ethernet(types: &[u8]) -> Vec<u8> {
        [&MACS[..], types, b"packet"].concat()
    }

    #[test]
    fn ethernet_shows_the_sender() {
        let frame = ethernet(&[0x08, 0]);
        let p = peel(LinkType::Ethernet, &frame).unwrap();
        assert_eq!(p.packet, b"packet");
        assert_eq!(p.macs.source, Some([2, 0, 0, 0, 0, 2]));
        assert_eq!(p.macs.destination, Some([2, 0, 0, 0, 0, 1]));
        assert!(p.vlans.is_empty());
    }

    #[test]
    fn vlan_ids_stand_outermost_first_and_a_priority_tag_is_none() {
        let frame = ethernet(&[
            0x88, 0xa8, 0x20, 100, 0x81, 0, 0xe0, 0, 0x81, 0, 0, 7, 0x86, 0xdd,
        ]);
        let p = peel(LinkType::Ethernet, &frame).unwrap();
        assert_eq!(p.vlans.as_slice(), [100, 7]);
        assert_eq!(p.packet, b"packet");
    }

    #[test]
    fn vlans_end_at_the_limit() {
        let deep = |n: usize| {
            let tags = [0x81, 0, 0, 9].repeat(n);
            let frame = ethernet(&[&tags[..], &[0x08, 0]].concat());
            peel(LinkType::Ethernet, &frame).map(|p| p.vlans.len())
        };
        assert_eq!(deep(MAX_VLANS), Ok(MAX_VLANS));
        assert_eq!(deep(MAX_VLANS + 1), Err(LinkError::TooManyVlans));
    }

    #[test]
    fn cooked_raw_and_loopback() {
        let sll = [
            &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0, 0x08, 0][..],
            b"packet",
        ]
        .concat();
        let p = peel(LinkType::Sll, &sll).unwrap();
        assert_eq!(
            (p.packet, p.macs.source),
            (&b"packet"[..], Some([2, 0, 0, 0, 0, 2]))
        );
        let sll2 = [
            &[
                0x81, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0,
            ][..],
            &[0, 5, 0x08, 0],
            b"packet",
        ]
        .concat();
        let p = peel(LinkType::Sll2, &sll2).unwrap();
        assert_eq!((p.packet, p.vlans.as_slice()), (&b"packet"[..], &[5][..]));
        assert_eq!(p.macs.source, Some([2, 0, 0, 0, 0, 2]));
        assert_eq!(peel(LinkType::RawIp, b"packet").unwrap().packet, b"packet");
        for family in [[2, 0, 0, 0], [0, 0, 0, 2], [0, 0, 0, 30]] {
            let frame = [&family[..], b"packet"].concat();
            assert_eq!(peel(LinkType::Null, &frame).unwrap().packet, b"packet");
        }
        assert_eq!(peel(LinkType::Loop, b"\0\0\0\x07x"), Err(LinkError::NotIp));
        assert_eq!(
            peel(LinkType::Other(147), b"x"),
            Err(LinkError::Unsupported)
        );
    }

    #[test]
    fn snap_carries_ip_and_spanning_tree_does_not() {
        let snap = ethernet(&[0, 14, 0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0]);
        assert_eq!(peel(LinkType::Ethernet, &snap).unwrap().packet, b"packet");
        let stp = ethernet(&[0, 38, 0x42, 0x42, 3]);
        assert_eq!(peel(LinkType::Ethernet, &stp), Err(LinkError::NotIp));
        assert_eq!(peel(LinkType::Ethernet, &MACS), Err(LinkError::Truncated));
    }

    #[test]
    fn frame_check_bits_don_t_hide_ethernet() {
        assert_eq!(LinkType::from_dlt(0x4400_0001), LinkType::Ethernet);
        assert_eq!(LinkType::from_dlt(276), LinkType::Sll2);
        assert_eq!(LinkType::from_dlt(147), LinkType::Other(147));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), dlt in 0u32..300) {
            let _ = peel(LinkType::from_dlt(dlt), &bytes);
        }
    }
}
