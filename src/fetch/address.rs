//! Rule N3: which addresses a URL from a call may lead us to.
//!
//! Whoever sends a call chooses the URL, and with it the name that we resolve. So every address that a name has is looked at after it
//! was resolved, and the connection goes to one of those very addresses: a name that changes its mind in between wins nothing.
//! Refused is whatever is not plainly somebody else's host on the public internet: the special-purpose registries of IANA (RFC 6890),
//! and addresses of IPv6 that carry one of IPv4 which would be refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are refused: address, prefix length, what it is.
const V4: &[([u8; 4], u32, &str)] = &[
    ([0, 0, 0, 0], 8, "this host (RFC 1122)"),
    ([10, 0, 0, 0], 8, "private (RFC 1918)"),
    ([100, 64, 0, 0], 10, "shared by carriers (RFC 6598)"),
    ([127, 0, 0, 0], 8, "loopback (RFC 1122)"),
    (
        [169, 254, 0, 0],
        16,
        "link-local, metadata of clouds (RFC 3927)",
    ),
    ([172, 16, 0, 0], 12, "private (RFC 1918)"),
    ([192, 0, 0, 0], 24, "protocol assignments (RFC 6890)"),
    ([192, 0, 2, 0], 24, "documentation (RFC 5737)"),
    ([192, 31, 196, 0], 24, "AS112 (RFC 7535)"),
    ([192, 52, 193, 0], 24, "AMT (RFC 7450)"),
    ([192, 88, 99, 0], 24, "relays of 6to4 (RFC 7526)"),
    ([192, 168, 0, 0], 16, "private (RFC 1918)"),
    ([192, 175, 48, 0], 24, "AS112 (RFC 7534)"),
    ([198, 18, 0, 0], 15, "benchmarks (RFC 2544)"),
    ([198, 51, 100, 0], 24, "documentation (RFC 5737)"),
    ([203, 0, 113, 0], 24, "documentation (RFC 5737)"),
    ([224, 0, 0, 0], 4, "multicast (RFC 5771)"),
    ([240, 0, 0, 0], 4, "reserved, broadcast (RFC 1112)"),
];

/// Networks of IPv6 that are refused inside of global unicast; outside of it all are.
const V6: &[([u16; 8], u32, &str)] = &[
    (
        [0x2001, 0, 0, 0, 0, 0, 0, 0],
        23,
        "protocol assignments, Teredo, ORCHID (RFC 2928)",
    ),
    (
        [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0],
        32,
        "documentation (RFC 3849)",
    ),
    (
        [0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0],
        48,
        "AS112 (RFC 7534)",
    ),
    (
        [0x3fff, 0, 0, 0, 0, 0, 0, 0],
        20,
        "documentation (RFC 9637)",
    ),
];

/// NAT64 with an address of IPv4 in its last 32 bits (RFC 6052). The prefix for local use (RFC 8215) lies outside of global unicast.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// Why an address is refused; `None` for one that may be connected to.
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(a) => refusal_v4(a),
        IpAddr::V6(a) => refusal_v6(a),
    }
}

fn refusal_v4(address: Ipv4Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    V4.iter()
        .find(|(network, len, _)| {
            let shift = 32 - len;
            bits >> shift == Ipv4Addr::from(*network).to_bits() >> shift
        })
        .map(|(_, _, what)| *what)
}

fn refusal_v6(address: Ipv6Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    let s = address.segments();
    if s.starts_with(&NAT64) {
        // On a network without IPv4 all of the public internet looks like this.
        return refusal_v4(low_v4(bits));
    }
    if s.starts_with(&[0x2002]) {
        return Some("6to4: carries an address of IPv4 (RFC 3056)");
    }
    if bits >> 125 != 0b001 {
        return Some(match s {
            [0, 0, 0, 0, 0, 0xffff, _, _] => "IPv4 in IPv6 (RFC 4291)",
            [0, 0, 0, 0, 0, 0, 0, 1] => "loopback (RFC 4291)",
            [0xfc00..=0xfdff, ..] => "unique local (RFC 4193)",
            [0xfe80..=0xfebf, ..] => "link-local (RFC 4291)",
            [0xff00..=0xffff, ..] => "multicast (RFC 4291)",
            _ => "no global unicast (RFC 4291)",
        });
    }
    V6.iter()
        .find(|(network, len, _)| {
            let shift = 128 - len;
            bits >> shift == Ipv6Addr::from(*network).to_bits() >> shift
        })
        .map(|(_, _, what)| *what)
}

fn low_v4(bits: u128) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::try_from(bits & u128::from(u32::MAX)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn n3_inside_addresses_in_every_form_are_refused() {
        for inside in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:0:10.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::",
            "2620:4f:8000::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let address: IpAddr = inside.parse().unwrap();
            assert!(refusal(address).is_some(), "{inside}");
        }
    }

    #[test]
    fn n3_public_addresses_are_let_through() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "64:ff9b::808:808",
            "2001:200::1",
            "2001:db7:ffff::1",
            "2001:db9::1",
            "2600::1",
            "2a00:1450::1",
        ] {
            let address: IpAddr = public.parse().unwrap();
            assert_eq!(refusal(address), None, "{public}");
        }
    }

    proptest! {
        /// What the standard library knows of is never let through.
        #[test]
        fn n3_agrees_with_the_standard_library(bits: u32) {
            let a = Ipv4Addr::from_bits(bits);
            let known = a.is_loopback() || a.is_private() || a.is_link_local() || a.is_multicast()
                || a.is_broadcast() || a.is_documentation() || a.is_unspecified();
            prop_assert!(!known || refusal(a.into()).is_some());
            // However it is wrapped.
            if refusal(a.into()).is_some() {
                prop_assert!(refusal(a.to_ipv6_mapped().into()).is_some());
                prop_assert!(refusal(a.to_ipv6_compatible().into()).is_some());
                let nat64 = Ipv6Addr::from_bits((0x0064_ff9b << 96) | u128::from(bits));
                prop_assert!(refusal(nat64.into()).is_some());
            }
        }
    }
}
