//! From messages to capture files: real frames with VLAN tags, IPv4 and IPv6 fragments at an MTU of 1,500, TCP streams.
//!
//! In come messages with the time at which they pass the tap; out come frames in order of time, and for each first INVITE the
//! time of the frame that made it complete, which is the capture time that a probe must say.
//!
//! - [`frame`]: layers 2 to 4
//! - [`stream`]: TCP connections: handshakes, segments, retransmissions
//! - [`encapsulation`]: frames put into tunnels
//! - [`mod@file`]: the pcap format

pub mod encapsulation;
pub mod file;
pub mod frame;
pub mod stream;

use std::collections::BTreeMap;

use super::call::dialog::{Loss, Sent};
use super::network::Path;
use super::random::Random;
use crate::wire::Transport;
use frame::{Frames, Way};

/// One frame as the tap keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Capture time, nanoseconds since 1970.
    pub at: i64,
    /// Its octets, as many as were kept.
    pub bytes: Vec<u8>,
    /// How many it had.
    pub length: usize,
}

/// What [`lay`] made.
#[derive(Debug, Default)]
pub struct Laid {
    /// Frames in order of time.
    pub frames: Vec<Frame>,
    /// For each leg, by number: the capture time of its first INVITE.
    pub complete: BTreeMap<usize, i64>,
    /// How many messages went as fragments.
    pub fragmented: usize,
}

/// Lays messages down as frames. `tick` is the resolution of capture times in nanoseconds; `until` the end of the capture.
pub fn lay(mut sent: Vec<Sent>, seed: u64, tick: i64, until: i64) -> Laid {
    // Stable: messages of the same instant stay in the order in which they were written.
    sent.sort_by_key(|s| s.at);
    let mut rng = Random::new(seed, "frames");
    let mut laid = Laid::default();
    let mut frames = Frames::default();
    let mut streams: BTreeMap<Path, Vec<Sent>> = BTreeMap::new();
    let (udp, tcp): (Vec<_>, Vec<_>) = sent
        .into_iter()
        .partition(|s| s.path.transport == Transport::Udp);
    for message in tcp {
        streams.entry(message.path).or_default().push(message);
    }
    let times: Vec<_> = udp.iter().map(|s| s.at).collect();
    for (i, message) in udp.into_iter().enumerate() {
        // Messages of one instant have their fragments mixed.
        let near = |at: Option<&i64>| at.is_some_and(|at| at.abs_diff(message.at) < 1_000_000);
        let burst = near(times.get(i + 1)) || i.checked_sub(1).is_some_and(|i| near(times.get(i)));
        datagram(&message, &mut frames, &mut rng, tick, burst, &mut laid);
    }
    for (i, (path, messages)) in streams.into_iter().enumerate() {
        stream::lay(path, messages, i, &mut frames, &mut rng, tick, &mut laid);
    }
    laid.frames.retain(|f| f.at < until);
    laid.frames.sort_by_key(|f| f.at);
    laid
}

/// One message over UDP: one frame, or several fragments in order, in reverse, or spread out.
fn datagram(
    message: &Sent,
    frames: &mut Frames,
    rng: &mut Random,
    tick: i64,
    burst: bool,
    laid: &mut Laid,
) {
    /// What a gigabit link needs for a full frame.
    const BACK_TO_BACK: i64 = 12_300;
    /// Long enough for another call's fragments to come between.
    const SPREAD: i64 = 400_000;
    let way = Way {
        path: message.path,
        to_us: message.to_us,
    };
    let mut packets = frames.datagram(&way, &message.bytes);
    let count = packets.len();
    laid.fragmented += usize::from(count > 1);
    let gap = if burst || rng.chance(0.1) {
        SPREAD
    } else {
        BACK_TO_BACK
    };
    if count > 1 && rng.chance(0.15) && message.loss == Loss::None {
        packets.reverse();
    }
    match message.loss {
        Loss::LastFragment => {
            packets.pop();
        }
        Loss::FirstFragment => {
            packets.remove(0);
        }
        Loss::None | Loss::Snap(_) => {}
    }
    let mut at = floor(message.at, tick);
    for bytes in packets {
        let length = bytes.len();
        let kept = match message.loss {
            Loss::Snap(n) => n.min(length),
            _ => length,
        };
        if let Some(leg) = message.first_of {
            laid.complete.insert(leg, at);
        }
        laid.frames.push(Frame {
            at,
            bytes: bytes.into_iter().take(kept).collect(),
            length,
        });
        at = floor(at + gap, tick).max(at + tick);
    }
}

fn floor(at: i64, tick: i64) -> i64 {
    at - at.rem_euclid(tick.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::network::Neighbour;
    use etherparse::SlicedPacket;

    fn sent(neighbour: &str, size: usize, at: i64, loss: Loss) -> Sent {
        Sent {
            at,
            path: Neighbour::named(neighbour)
                .unwrap()
                .path(0, 0, 40_211, true),
            to_us: true,
            bytes: (0..size).map(|i| b'a' + (i % 26) as u8).collect(),
            first_of: Some(1),
            loss,
        }
    }

    fn reassembled(frames: &[Frame]) -> Vec<u8> {
        let mut parts: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        for f in frames {
            let p = SlicedPacket::from_ethernet(&f.bytes).unwrap();
            let (offset, payload) = match p.net.unwrap() {
                etherparse::NetSlice::Ipv4(ip) => (
                    ip.header().fragments_offset().byte_offset(),
                    ip.payload().payload.to_vec(),
                ),
                etherparse::NetSlice::Ipv6(ip) => {
                    let offset = ip.extensions().clone().into_iter().find_map(|e| match e {
                        etherparse::Ipv6ExtensionSlice::Fragment(f) => {
                            Some(f.fragment_offset().byte_offset())
                        }
                        _ => None,
                    });
                    (offset.unwrap_or(0), ip.payload().payload.to_vec())
                }
                _ => panic!("no IP"),
            };
            parts.insert(usize::from(offset), payload);
        }
        parts.into_values().flatten().skip(8).collect()
    }

    #[test]
    fn large_messages_go_as_fragments_that_fit_the_mtu_and_give_the_message_back() {
        for (neighbour, tags) in [
            ("northstar", 1),
            ("prairie", 2),
            ("keystone", 1),
            ("cedar", 0),
        ] {
            for (size, count) in [(300, 1), (1_800, 2), (17_000, 12)] {
                let message = sent(neighbour, size, 1_000_000, Loss::None);
                let laid = lay(vec![message.clone()], 1, 1, i64::MAX);
                assert_eq!(laid.frames.len(), count, "{neighbour} {size}");
                assert!(
                    laid.frames
                        .iter()
                        .all(|f| f.bytes.len() <= 14 + 4 * tags + 1_500)
                );
                assert_eq!(laid.fragmented, usize::from(count > 1));
                assert_eq!(reassembled(&laid.frames), message.bytes);
                assert_eq!(laid.complete[&1], laid.frames.last().unwrap().at);
            }
        }
    }

    #[test]
    fn what_the_tap_loses_is_lost() {
        let frames = |loss| lay(vec![sent("northstar", 1_800, 0, loss)], 1, 1, i64::MAX).frames;
        assert_eq!(frames(Loss::LastFragment).len(), 1);
        assert!(
            SlicedPacket::from_ethernet(&frames(Loss::FirstFragment)[0].bytes)
                .unwrap()
                .transport
                .is_none()
        );
        let cut = frames(Loss::Snap(600));
        assert!(cut[0].bytes.len() == 600 && cut[0].length == 14 + 4 + 1_500);
    }

    #[test]
    fn fragments_of_calls_of_one_instant_are_mixed() {
        let sent = vec![
            sent("northstar", 1_800, 0, Loss::None),
            sent("northstar", 1_800, 100_000, Loss::None),
            sent("northstar", 1_800, 200_000, Loss::None),
        ];
        let ids: Vec<_> = lay(sent, 1, 1, i64::MAX)
            .frames
            .iter()
            .map(|f| f.bytes[14 + 4 + 4..][..2].to_vec())
            .collect();
        assert_eq!(ids.len(), 6);
        assert!(ids.chunks(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn times_have_the_resolution_of_the_file() {
        let laid = lay(
            vec![sent("northstar", 1_800, 1_234_567, Loss::None)],
            1,
            1_000,
            i64::MAX,
        );
        assert!(laid.frames.iter().all(|f| f.at % 1_000 == 0));
    }
}
