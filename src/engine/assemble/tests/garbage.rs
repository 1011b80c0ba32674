//! Memory stays flat under whatever comes.

use super::*;

/// Numbers without end, the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Two million frames, half a million of each kind: first and middle fragments, half-open streams, the middle of streams, and tunnels with
/// these in them. They come faster than any limit of age helps, from more addresses than any limit of count.
#[test]
fn two_million_hostile_frames_stay_within_every_limit() {
    const FRAMES: u64 = 2_000_000;
    let limits = AssembleLimits {
        reassembly: ReassemblyLimits {
            datagrams: 2_000,
            octets: 1_000_000,
            ..ReassemblyLimits::default()
        },
        streams: StreamLimits {
            sip: 500,
            unknown: 1_000,
            not_sip: 1_000,
            octets: 2_000_000,
            ..StreamLimits::default()
        },
    };
    let mut a = Assembler::new(limits);
    let mut noise = Noise(88_172_645_463_325_252);
    let invite = invite(1);
    let kinds = [
        v4(17, 1, 0x2000, &udp(&invite[..400])),
        v4(6, 1, 0, &tcp(1, 2, b"")),
        v4(6, 1, 0, &tcp(1, 0x18, &invite[..600])),
        v4(17, 1, 0, &{
            let inner = v4(17, 1, 0x2004, &invite[..128]);
            let mut d = udp(&[&[8, 0, 0, 0, 0, 0, 7, 0][..], &inner].concat());
            d[2..4].copy_from_slice(&4789u16.to_be_bytes());
            d
        }),
    ];
    // Where in each the address and the identification stand that make it another one.
    let places = [30, 30, 30, 46 + 30];
    let (mut most, mut messages) = ([0u64; 4], 0u64);
    for i in 0..FRAMES {
        let n = noise.next();
        let kind = (i % 4) as usize;
        let mut f = kinds[kind].clone();
        let at = places[kind];
        f[at..at + 4].copy_from_slice(&(n as u32).to_be_bytes());
        f[at - 8..at - 6].copy_from_slice(&((n >> 32) as u16).to_be_bytes());
        if kind == 2 && n >> 60 == 0 {
            // Out of order, and never filled.
            f[42..46].copy_from_slice(&900u32.to_be_bytes());
        }
        a.handle_frame(frame(ms((i / 100) as i64), &f));
        while a.poll_message().is_some() {
            messages += 1;
        }
        while a.poll_coverage().is_some() {}
        if i % 997 == 0 {
            let c = a.counters();
            assert_eq!(c.imbalance(), None);
            for ((_, n), most) in c.gauges().zip(&mut most) {
                *most = n.max(*most);
            }
        }
    }
    let [datagrams, datagram_octets, streams, stream_octets] = most;
    assert!(datagrams <= 2_000 && datagram_octets <= 1_000_000);
    assert!(streams <= 1_500 && stream_octets <= 2_000_000);
    let c = a.counters();
    assert!(c.datagrams_lost_evicted > 500_000 && c.streams_evicted > 500_000);
    assert!(messages > 100_000, "fronts come out as cut messages");
    a.finish();
    let c = a.counters();
    assert_eq!(c.imbalance(), None);
    assert!(c.gauges().all(|(_, n)| n == 0));
}
