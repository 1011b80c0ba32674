//! The network around "Example Voice": its border controllers, its neighbours, and the files that describe them.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use crate::wire::{Flow, Mac, Macs, Transport};

/// How a neighbour writes numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// `+12025550123`
    Plus,
    /// `2025550123`
    Ten,
    /// `12025550123`
    Eleven,
    /// `01112025550123` in the Request-URI, `+1…` elsewhere.
    International,
    /// `7788#12025550123` in the Request-URI, `+1…` elsewhere.
    TechPrefix,
    /// `tel:+12025550123`
    Tel,
    /// `+12025550123;rn=+12125550100;npdi` in the Request-URI.
    Portability,
}

/// Tech prefix of the one trunk that has one.
pub const TECH_PREFIX: &str = "7788#";

/// Routing number that portability puts in.
pub const ROUTING_NUMBER: &str = "+12125550100";

/// A neighbour and how it is connected.
#[derive(Debug, PartialEq)]
pub struct Neighbour {
    /// Short name.
    pub id: &'static str,
    /// Legal name.
    pub name: &'static str,
    /// `provider`, `customer` or `foreign`.
    pub kind: &'static str,
    /// ISO 3166 country code.
    pub country: &'static str,
    /// Operating company number.
    pub ocn: Option<&'static str>,
    /// Its id at the traceback portal.
    pub portal_id: Option<&'static str>,
    /// VLAN ids, outermost first.
    pub vlans: &'static [u16],
    /// Its networks.
    pub networks: &'static [&'static str],
    /// Its signalling hosts.
    pub hosts: &'static [&'static str],
    /// What it sends over.
    pub transport: Transport,
    /// Its trunk group.
    pub trunk_group: Option<&'static str>,
    /// What tells it from others, besides network and outer VLAN id.
    pub told: Told,
    /// Hardware address of its router; `None` for one made from its IP address.
    pub mac: Option<Mac>,
    /// How it writes numbers.
    pub writing: Writing,
    /// Its part of the calls that we receive, 0 for none.
    pub up: u32,
    /// Its part of the calls that we hand on, 0 for none.
    pub down: u32,
}

/// The key of a neighbour's rule that matters: one for each that rules may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Network and VLAN alone.
    Address,
    /// Its trunk group.
    TrunkGroup,
    /// `trunk-context`.
    TrunkContext,
    /// `otg` of From.
    Otg(&'static str),
    /// `orig-ioi`.
    OrigIoi,
    /// [`TECH_PREFIX`], which is taken off.
    TechPrefix,
    /// Value of [`TRUNK_HEADER`].
    Header(&'static str),
    /// The router's hardware address.
    Mac,
    /// The second VLAN id.
    InnerVlan,
    /// Our second address.
    OwnAddress,
    /// Our port.
    OwnPort(u16),
    /// Its port.
    Port(u16),
    /// What carries it.
    Transport,
}

/// A header by which one neighbour is told.
pub const TRUNK_HEADER: &str = "X-Trunk";

const NOBODY: Neighbour = Neighbour {
    id: "",
    name: "",
    kind: "provider",
    country: "US",
    ocn: None,
    portal_id: None,
    vlans: &[],
    networks: &[],
    hosts: &[],
    transport: Transport::Udp,
    trunk_group: None,
    told: Told::Address,
    mac: None,
    writing: Writing::Plus,
    up: 0,
    down: 0,
};

/// Six providers share its address.
const EXCHANGE: Neighbour = Neighbour {
    vlans: &[108],
    networks: &["198.51.100.112/28"],
    hosts: &["198.51.100.114"],
    up: 1,
    ..NOBODY
};

/// Four more share this one.
const HOTEL: Neighbour = Neighbour {
    vlans: &[109],
    networks: &["198.51.100.160/28"],
    hosts: &["198.51.100.162"],
    up: 1,
    ..NOBODY
};

/// Everybody. The reseller stands before the neighbour whose address it shares, because the first rule that matches wins.
pub const NEIGHBOURS: &[Neighbour] = &[
    Neighbour {
        id: "bargain",
        name: "Bargain Minutes LLC",
        ocn: Some("6789"),
        portal_id: Some("BM-12"),
        vlans: &[101],
        networks: &["198.51.100.0/28"],
        hosts: &["198.51.100.2", "198.51.100.3"],
        trunk_group: Some("BG-07"),
        told: Told::TrunkGroup,
        up: 8,
        ..NOBODY
    },
    Neighbour {
        id: "northstar",
        name: "Northstar Voice LLC",
        ocn: Some("1234"),
        portal_id: Some("NS-07"),
        vlans: &[101],
        networks: &["198.51.100.0/28", "2001:db8:1::/64"],
        hosts: &["198.51.100.2", "198.51.100.3"],
        trunk_group: Some("NS-01"),
        up: 25,
        ..NOBODY
    },
    Neighbour {
        id: "westgate",
        name: "Westgate Telecom Inc",
        ocn: Some("2345"),
        portal_id: Some("WG-03"),
        vlans: &[102],
        networks: &["198.51.100.16/28", "2001:db8:2::/64"],
        hosts: &["198.51.100.18"],
        transport: Transport::Tcp,
        writing: Writing::Ten,
        up: 17,
        ..NOBODY
    },
    Neighbour {
        id: "keystone",
        name: "Keystone Networks",
        ocn: Some("3456"),
        portal_id: Some("KN-44"),
        vlans: &[103],
        networks: &["198.51.100.80/28", "2001:db8:3::/64"],
        hosts: &["2001:db8:3::10", "2001:db8:3::11"],
        writing: Writing::Eleven,
        up: 15,
        ..NOBODY
    },
    Neighbour {
        id: "prairie",
        name: "Prairie Rural Telephone",
        ocn: Some("4567"),
        portal_id: Some("PR-09"),
        vlans: &[200, 31],
        networks: &["198.51.100.32/28", "2001:db8:4::/64"],
        hosts: &["198.51.100.34"],
        writing: Writing::TechPrefix,
        up: 9,
        ..NOBODY
    },
    Neighbour {
        id: "meridian",
        name: "Meridian Gateway Ltd",
        kind: "foreign",
        country: "GB",
        portal_id: Some("MG-88"),
        vlans: &[105],
        networks: &["198.51.100.48/28", "2001:db8:5::/64"],
        hosts: &["198.51.100.50"],
        writing: Writing::International,
        up: 8,
        ..NOBODY
    },
    Neighbour {
        id: "acme",
        name: "Acme Dental Supplies",
        kind: "customer",
        vlans: &[106],
        networks: &["198.51.100.64/29", "2001:db8:6::/64"],
        hosts: &["198.51.100.66"],
        trunk_group: Some("ACME-1"),
        up: 11,
        ..NOBODY
    },
    Neighbour {
        id: "tidewater",
        name: "Tidewater Cooperative",
        ocn: Some("5670"),
        portal_id: Some("TW-15"),
        vlans: &[107],
        networks: &["198.51.100.96/28", "2001:db8:7::/64"],
        hosts: &["2001:db8:7::5"],
        transport: Transport::Tcp,
        writing: Writing::Tel,
        up: 7,
        ..NOBODY
    },
    Neighbour {
        id: "lakeside",
        name: "Lakeside Wireless",
        ocn: Some("7001"),
        portal_id: Some("LW-21"),
        vlans: &[301],
        networks: &["203.0.113.0/28", "2001:db8:d1::/64"],
        hosts: &["203.0.113.2", "203.0.113.3"],
        down: 40,
        ..NOBODY
    },
    Neighbour {
        id: "summit",
        name: "Summit Local Exchange",
        ocn: Some("7002"),
        portal_id: Some("SL-02"),
        vlans: &[302],
        networks: &["203.0.113.16/28", "2001:db8:d2::/64"],
        hosts: &["203.0.113.18"],
        transport: Transport::Tcp,
        down: 25,
        ..NOBODY
    },
    Neighbour {
        id: "harbor",
        name: "Harbor Communications",
        ocn: Some("7003"),
        portal_id: Some("HC-30"),
        vlans: &[303],
        networks: &["203.0.113.48/28", "2001:db8:d3::/64"],
        hosts: &["2001:db8:d3::20", "2001:db8:d3::21"],
        down: 20,
        ..NOBODY
    },
    Neighbour {
        id: "cedar",
        name: "Cedar Valley Broadband",
        ocn: Some("7004"),
        portal_id: Some("CV-61"),
        networks: &["203.0.113.32/28", "2001:db8:d4::/64"],
        hosts: &["203.0.113.34"],
        writing: Writing::Portability,
        up: 6,
        down: 15,
        ..NOBODY
    },
    // Six behind one exchange's address, which only what their messages say tells apart.
    Neighbour {
        id: "orion",
        name: "Orion Wholesale Inc",
        trunk_group: Some("OR-1"),
        told: Told::TrunkContext,
        ..EXCHANGE
    },
    Neighbour {
        id: "pioneer",
        name: "Pioneer Voice Corp",
        told: Told::Otg("PIO-9"),
        ..EXCHANGE
    },
    Neighbour {
        id: "quarry",
        name: "Quarry Networks LLC",
        told: Told::OrigIoi,
        ..EXCHANGE
    },
    Neighbour {
        id: "redwood",
        name: "Redwood Termination LLC",
        told: Told::TechPrefix,
        writing: Writing::TechPrefix,
        ..EXCHANGE
    },
    Neighbour {
        id: "sierra",
        name: "Sierra Long Distance",
        told: Told::Header("SIERRA-1"),
        ..EXCHANGE
    },
    Neighbour {
        id: "tango",
        name: "Tango Exchange Point",
        ..EXCHANGE
    },
    // Those that packets tell apart at one address.
    Neighbour {
        id: "ursa",
        name: "Ursa Telecom",
        networks: &["198.51.100.128/28"],
        hosts: &["198.51.100.130"],
        told: Told::Mac,
        mac: Some([0x00, 0x00, 0x5e, 0x00, 0x53, 0x10]),
        ..EXCHANGE
    },
    Neighbour {
        id: "vista",
        name: "Vista Telecom",
        networks: &["198.51.100.128/28"],
        hosts: &["198.51.100.130"],
        told: Told::Mac,
        mac: Some([0x00, 0x00, 0x5e, 0x00, 0x53, 0x11]),
        ..EXCHANGE
    },
    Neighbour {
        id: "xenia",
        name: "Xenia Carrier Services",
        networks: &["198.51.100.144/28"],
        hosts: &["198.51.100.146"],
        vlans: &[210, 41],
        told: Told::InnerVlan,
        ..EXCHANGE
    },
    Neighbour {
        id: "yarrow",
        name: "Yarrow Carrier Services",
        networks: &["198.51.100.144/28"],
        hosts: &["198.51.100.146"],
        vlans: &[210, 42],
        told: Told::InnerVlan,
        ..EXCHANGE
    },
    Neighbour {
        id: "birch",
        name: "Birch Communications",
        told: Told::Transport,
        transport: Transport::Tcp,
        ..HOTEL
    },
    Neighbour {
        id: "yukon",
        name: "Yukon Voice",
        told: Told::OwnPort(5080),
        ..HOTEL
    },
    Neighbour {
        id: "zephyr",
        name: "Zephyr Voice",
        told: Told::Port(5066),
        ..HOTEL
    },
    Neighbour {
        id: "walnut",
        name: "Walnut Voice",
        told: Told::OwnAddress,
        ..HOTEL
    },
];

/// Somebody whom no rule knows.
pub const STRANGER: Neighbour = Neighbour {
    id: "",
    name: "nobody knows",
    hosts: &["203.0.113.200", "203.0.113.201"],
    ..NOBODY
};

/// Addresses of our border controllers.
pub const OWN_V4: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
/// The same for IPv6.
pub const OWN_V6: [&str; 2] = ["2001:db8:ee::1", "2001:db8:ee::2"];
/// Our domain.
pub const OWN_DOMAIN: &str = "sbc.example-voice.example";
/// Prefixes of our own numbers.
pub const OWN_NUMBERS: [&str; 3] = ["1202555014", "12025550150", "170355501"];

/// Where a message runs: one of the neighbour's sockets and one of ours. `Copy`, because every message has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// The neighbour's socket.
    pub theirs: SocketAddr,
    /// Ours.
    pub ours: SocketAddr,
    /// What carries it.
    pub transport: Transport,
    /// VLAN ids, outermost first.
    pub vlans: &'static [u16],
    /// Hardware address of the neighbour's router, where it is no common one.
    pub mac: Option<Mac>,
}

impl Path {
    /// As the engine sees it, in one direction.
    pub fn flow(&self, to_us: bool) -> Flow {
        let (source, destination) = if to_us {
            (self.theirs, self.ours)
        } else {
            (self.ours, self.theirs)
        };
        let macs = Macs {
            source: self.mac,
            destination: None,
        };
        Flow {
            source,
            destination,
            transport: self.transport,
            vlans: self.vlans.iter().copied().collect(),
            path: Default::default(),
            macs: if to_us { macs } else { macs.reversed() },
        }
    }
}

impl Neighbour {
    /// The neighbour with an id.
    pub fn named(id: &str) -> Option<&'static Self> {
        NEIGHBOURS.iter().find(|n| n.id == id)
    }

    /// The path between its host `i` and our border controller `j`; `port` is the port of whoever opened the connection, for TCP.
    pub fn path(&self, i: usize, j: usize, port: u16, they_call: bool) -> Path {
        let host = self.hosts.get(i % self.hosts.len().max(1)).copied();
        let theirs = host
            .and_then(|h| h.parse().ok())
            .unwrap_or(IpAddr::from([203, 0, 113, 255]));
        let own = if theirs.is_ipv6() { OWN_V6 } else { OWN_V4 };
        // Who is told by our second address always comes there.
        let j = if self.told == Told::OwnAddress { 1 } else { j };
        let ours = own[j % 2].parse().unwrap_or(IpAddr::from([192, 0, 2, 1]));
        let (mut at_theirs, mut at_ours) = (5060, 5060);
        if self.transport == Transport::Tcp {
            *(if they_call {
                &mut at_theirs
            } else {
                &mut at_ours
            }) = port;
        }
        match self.told {
            Told::OwnPort(port) => at_ours = port,
            Told::Port(port) => at_theirs = port,
            _ => {}
        }
        Path {
            mac: self.mac,
            theirs: SocketAddr::new(theirs, at_theirs),
            ours: SocketAddr::new(ours, at_ours),
            transport: self.transport,
            vlans: self.vlans,
        }
    }

    /// Its domain.
    pub fn domain(&self) -> String {
        let id = if self.id.is_empty() {
            "somewhere"
        } else {
            self.id
        };
        format!("sip.{id}.example")
    }
}

/// `peers.toml`.
pub fn peers_toml() -> String {
    let mut text = String::from(
        "# Neighbours of Example Voice, and the rules that tell them apart. The first rule that matches wins.\n",
    );
    text += "\n[[peer]]\nid = \"own\"\nname = \"Example Voice\"\nkind = \"own\"\ncountry = \"US\"\nocn = \"1001\"\nportal_id = \"EV-01\"\n";
    for n in NEIGHBOURS {
        let _ = write!(
            text,
            "\n[[peer]]\nid = \"{}\"\nname = \"{}\"\nkind = \"{}\"\ncountry = \"{}\"\n",
            n.id, n.name, n.kind, n.country
        );
        if let Some(ocn) = n.ocn {
            let _ = write!(text, "ocn = \"{ocn}\"\nrmd = \"RMD000{ocn}\"\n");
        }
        if let Some(portal) = n.portal_id {
            let _ = write!(
                text,
                "portal_id = \"{portal}\"\ncontact = \"traceback@{}.example\"\n",
                n.id
            );
        }
    }
    text += "\n[[rule]]\nname = \"own-platform\"\npeer = \"own\"\nnetworks = [\"192.0.2.0/28\", \"2001:db8:ee::/64\"]\n";
    for n in NEIGHBOURS {
        let networks: Vec<_> = n.networks.iter().map(|n| format!("\"{n}\"")).collect();
        let _ = write!(
            text,
            "\n[[rule]]\nname = \"{}-trunk\"\npeer = \"{}\"\nnetworks = [{}]\n",
            n.id,
            n.id,
            networks.join(", ")
        );
        if let Some(vlan) = n.vlans.first() {
            let _ = writeln!(text, "vlan = {vlan}");
        }
        let group = n.trunk_group.unwrap_or_default();
        let _ = match n.told {
            Told::Address => Ok(()),
            Told::TrunkGroup => writeln!(text, "trunk_group = \"{group}\""),
            Told::TrunkContext => writeln!(text, "trunk_context = \"{}\"", n.domain()),
            Told::Otg(otg) => writeln!(text, "otg = \"{otg}\""),
            Told::OrigIoi => writeln!(text, "orig_ioi = \"{}\"", n.domain()),
            Told::TechPrefix => writeln!(text, "tech_prefix = \"{TECH_PREFIX}\""),
            Told::Header(value) => writeln!(
                text,
                "header = {{ name = \"{TRUNK_HEADER}\", value = \"{value}\" }}"
            ),
            Told::Mac => writeln!(text, "mac = [\"{}\"]", mac_text(n.mac.unwrap_or_default())),
            Told::InnerVlan => writeln!(
                text,
                "inner_vlan = {}",
                n.vlans.get(1).copied().unwrap_or_default()
            ),
            Told::OwnAddress => writeln!(text, "own_networks = [\"{}/32\"]", OWN_V4[1]),
            Told::OwnPort(port) => writeln!(text, "own_port = {port}"),
            Told::Port(port) => writeln!(text, "port = {port}"),
            Told::Transport => writeln!(text, "transport = \"{}\"", n.transport.label()),
        };
        if n.id == KEEPS_TO_ITS_OWN {
            let _ = writeln!(text, "signers = [\"{}\"]", n.ocn.unwrap_or_default());
        }
    }
    text
}

/// Calls with valid attestation A of a neighbour before a number can be new.
pub const LEARNING_CALLS: u64 = 20;

/// The neighbour that is to carry no calls but those that it signs itself.
pub const KEEPS_TO_ITS_OWN: &str = "keystone";

fn mac_text(mac: Mac) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

/// `tracehop.toml`.
pub fn tracehop_toml() -> String {
    let own: Vec<_> = OWN_NUMBERS.iter().map(|n| format!("\"{n}\"")).collect();
    format!(
        r#"# Written by tracehop lab. Paths are relative to this file.
[provider]
name = "Example Voice"
country = "US"
portal_id = "EV-01"
own_numbers = [{own}]

[numbers]
country_code = "1"
national_length = 10
international_prefixes = ["011"]
allocations = "numbering.csv"
do_not_originate = "do-not-originate.txt"
protected = "protected.txt"

[flags]
# A week is more than a capture of the lab.
learning_days = 0
learning_calls = {LEARNING_CALLS}

[sensor]
name = "edge1"
clock_error_ms = 50

[peers]
file = "peers.toml"

[verify]
freshness_seconds = 60

[credentials]
directory = "certs/x5u"
ca_list = "certs/ca-list.jws"
sti_pa_root = "certs/sti-pa-root.pem"
ca_list_signer = "certs/ca-list-signer.pem"
crl = "certs/crl.der"
crl_signer = "certs/crl-signer.pem"

[store]
path = "store"
retention_days = 548

[traceback]
threshold = 0.99
"#,
        own = own.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::IpNet;
    use std::collections::BTreeSet;

    #[test]
    fn hosts_lie_in_their_networks_and_nobody_knows_the_stranger() {
        let inside = |host: &str, n: &Neighbour| {
            n.networks.iter().any(|net| {
                net.parse::<IpNet>()
                    .unwrap()
                    .contains(&host.parse::<IpAddr>().unwrap())
            })
        };
        for n in NEIGHBOURS {
            assert!(n.hosts.iter().all(|h| inside(h, n)), "{}", n.id);
            assert!(STRANGER.hosts.iter().all(|h| !inside(h, n)), "{}", n.id);
        }
        let ids: BTreeSet<_> = NEIGHBOURS.iter().map(|n| n.id).collect();
        assert_eq!(ids.len(), NEIGHBOURS.len());
    }

    #[test]
    fn there_are_enough_neighbours_of_every_sort() {
        assert!(NEIGHBOURS.iter().filter(|n| n.up > 0).count() >= 6);
        assert!(NEIGHBOURS.iter().filter(|n| n.down > 0).count() >= 3);
        assert!(
            NEIGHBOURS.iter().any(|n| n.kind == "foreign")
                && NEIGHBOURS.iter().any(|n| n.kind == "customer")
        );
        assert!(NEIGHBOURS.iter().any(|n| n.vlans.len() == 2));
    }

    #[test]
    fn files_are_toml() {
        let peers: toml::Table = peers_toml().parse().unwrap();
        assert_eq!(
            peers["peer"].as_array().unwrap().len(),
            NEIGHBOURS.len() + 1
        );
        assert_eq!(
            peers["rule"].as_array().unwrap().len(),
            NEIGHBOURS.len() + 1
        );
        let _: toml::Table = tracehop_toml().parse().unwrap();
    }
}
