use std::net::SocketAddr;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::call::record::Sensor;
use crate::number::{NumberPlan, Tn};
use crate::wire::{Macs, Provenance, Transport};

const US: &str = "192.0.2.1:5060";
const NORTH: &str = "198.51.100.1:5060";
const SOUTH: &str = "203.0.113.1:5060";

fn rule(name: &str, peer: usize, nets: &[&str]) -> PeerRule {
    PeerRule {
        networks: nets.iter().map(|n| n.parse().unwrap()).collect(),
        ..PeerRule::new(name, peer)
    }
}

fn peers() -> Vec<Peer> {
    vec![
        Peer::new("us", PeerKind::Own),
        Peer::new("north", PeerKind::Provider),
        Peer::new("reseller", PeerKind::Provider),
        Peer::new("south", PeerKind::Provider),
    ]
}

/// Our platform, the reseller's rule as given at Northstar's addresses, Northstar, and South.
fn table(reseller: PeerRule) -> PeerTable {
    let rules = vec![
        rule("us", 0, &["192.0.2.0/28"]),
        reseller,
        rule("north", 1, &["198.51.100.0/28"]),
        rule("south", 3, &["203.0.113.0/28"]),
    ];
    PeerTable::new(peers(), rules, 1)
}

fn flow(source: &str, destination: &str) -> Flow {
    Flow {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        transport: Transport::Udp,
        vlans: Default::default(),
        path: Default::default(),
        macs: Macs::default(),
    }
}

fn found(t: &PeerTable, flow: &Flow, words: Words<'_>) -> (Direction, Option<String>, Attribution) {
    let seen = Seen { flow, sensor: None };
    let r = t.resolve(seen, words);
    let id = r.peer.map(|(p, _)| p.id.to_string());
    (r.direction, id, t.attribution(r, seen, words))
}

fn grouped(group: &str) -> Words<'_> {
    Words {
        group: Some(group),
        ..Words::none()
    }
}

fn by_group() -> PeerTable {
    table(PeerRule {
        trunk_group: Some("RS-1".into()),
        ..rule("north-reseller", 2, &["198.51.100.0/28"])
    })
}

#[test]
fn the_first_rule_that_matches_wins() {
    let t = by_group();
    let find = |from, to, words| {
        let (direction, peer, _) = found(&t, &flow(from, to), words);
        (direction, peer)
    };
    let north = Some("north".to_owned());
    assert_eq!(
        find(NORTH, US, Words::none()),
        (Direction::Ingress, north.clone())
    );
    assert_eq!(
        find(NORTH, US, grouped("rs-1")),
        (Direction::Ingress, Some("reseller".into()))
    );
    assert_eq!(find(US, NORTH, Words::none()), (Direction::Egress, north));
}

#[test]
fn strangers_are_unknown_upstreams_only_towards_us() {
    let t = by_group();
    let stranger = "203.0.113.77:5060";
    let find = |from, to| {
        let (direction, peer, _) = found(&t, &flow(from, to), Words::none());
        assert_eq!(peer, None);
        direction
    };
    assert_eq!(find(stranger, US), Direction::Ingress);
    assert_eq!(find(stranger, "203.0.113.78:5060"), Direction::Unknown);
    assert_eq!(find(US, stranger), Direction::Egress);
}

/// For each key that a message says: a rule for it at Northstar's addresses, and what matches it.
fn words_of_each_key() -> Vec<(PeerKey, PeerRule, Option<&'static str>, Said)> {
    let at_north = || rule("north-reseller", 2, &["198.51.100.0/28"]);
    let text = |t: &str| Some(Box::from(t));
    vec![
        (
            PeerKey::TrunkGroup,
            PeerRule {
                trunk_group: text("RS-1"),
                ..at_north()
            },
            Some("RS-1"),
            Said::default(),
        ),
        (
            PeerKey::TrunkContext,
            PeerRule {
                trunk_context: text("rs.example"),
                ..at_north()
            },
            None,
            Said {
                context: text("rs.example"),
                ..Said::default()
            },
        ),
        (
            PeerKey::Otg,
            PeerRule {
                otg: text("RS"),
                ..at_north()
            },
            None,
            Said {
                otg: text("RS"),
                ..Said::default()
            },
        ),
        (
            PeerKey::OrigIoi,
            PeerRule {
                orig_ioi: text("rs.example"),
                ..at_north()
            },
            None,
            Said {
                orig_ioi: text("rs.example"),
                ..Said::default()
            },
        ),
        (
            PeerKey::TechPrefix,
            PeerRule {
                tech_prefix: text("77#"),
                ..at_north()
            },
            None,
            Said {
                dialled: Some(b"77#12025550123"[..].into()),
                ..Said::default()
            },
        ),
        (
            PeerKey::Header,
            PeerRule {
                header: Some(HeaderKey {
                    name: "X-Trunk".into(),
                    test: HeaderTest::Pattern(Pattern::new("^rs-[0-9]+$").unwrap()),
                }),
                ..at_north()
            },
            None,
            Said {
                headers: vec![
                    ("x-trunk".into(), "other".into()),
                    ("x-trunk".into(), "rs-12".into()),
                ],
                ..Said::default()
            },
        ),
    ]
}

#[test]
fn words_that_imitate_another_trunk_move_no_blame() {
    let all = words_of_each_key();
    assert_eq!(all.len(), PeerKey::SAID.len());
    for (key, rule, group, said) in all {
        let t = table(rule);
        let words = Words { group, said: &said };
        // At the addresses that both share the words decide, and the record says so.
        let (_, peer, by) = found(&t, &flow(NORTH, US), words);
        assert_eq!(peer.as_deref(), Some("reseller"), "{key:?}");
        assert!(by.shared && by.keys.contains(key), "{key:?}");
        let (_, peer, by) = found(&t, &flow(NORTH, US), Words::none());
        assert_eq!(peer.as_deref(), Some("north"));
        assert!(by.shared && !by.keys.contains(key), "{key:?}");
        // From anywhere else they change nothing.
        let (_, peer, by) = found(&t, &flow(SOUTH, US), words);
        assert_eq!(peer.as_deref(), Some("south"), "{key:?}");
        assert!(!by.shared);
        let (_, peer, _) = found(&t, &flow("203.0.113.99:5060", US), words);
        assert_eq!(peer, None, "{key:?}");
    }
}

#[test]
fn a_record_keeps_the_values_that_its_rules_asked_for() {
    for (key, rule, group, said) in words_of_each_key() {
        let t = table(rule);
        let (_, _, by) = found(&t, &flow(NORTH, US), Words { group, said: &said });
        let expected = match key {
            PeerKey::TrunkContext => by.trunk_context.as_deref() == Some("rs.example"),
            PeerKey::OrigIoi => by.orig_ioi.as_deref() == Some("rs.example"),
            PeerKey::TechPrefix => by.tech_prefix.as_deref() == Some("77#"),
            PeerKey::Header => by.header.as_deref() == Some("X-Trunk: rs-12"),
            _ => true,
        };
        assert!(expected, "{key:?}: {by:?}");
        let (_, _, by) = found(&t, &flow(SOUTH, US), Words { group, said: &said });
        let values = (by.trunk_context, by.orig_ioi, by.tech_prefix, by.header);
        assert_eq!(values, (None, None, None, None), "{key:?}");
    }
}

#[test]
fn one_neighbour_with_two_trunk_groups_shares_nothing() {
    let t = table(PeerRule {
        trunk_group: Some("NS-2".into()),
        ..rule("north-two", 1, &["198.51.100.0/28"])
    });
    assert!(!found(&t, &flow(NORTH, US), grouped("NS-2")).2.shared);
    assert!(!found(&t, &flow(NORTH, US), Words::none()).2.shared);
}

#[test]
fn what_packets_show_tells_neighbours_apart_without_sharing() {
    let mac = [0, 0, 0x5e, 0, 0x53, 1];
    let sensor = |name: &str, provenance| Sensor {
        name: name.into(),
        provenance,
    };
    let at_north = || rule("north-reseller", 2, &["198.51.100.0/28"]);
    let (wire, agent) = (
        sensor("eth1", Provenance::Wire),
        sensor("eth1", Provenance::Hep),
    );
    let mut shown = flow(NORTH, US);
    shown.vlans = [7, 9].into_iter().collect();
    shown.macs.source = Some(mac);
    let other = flow(NORTH, "192.0.2.2:5080");
    let rules = [
        PeerRule {
            interface: Some("eth1".into()),
            ..at_north()
        },
        PeerRule {
            macs: vec![mac],
            ..at_north()
        },
        PeerRule {
            vlan: Some(7),
            ..at_north()
        },
        PeerRule {
            inner_vlan: Some(9),
            ..at_north()
        },
        PeerRule {
            own_networks: vec!["192.0.2.1/32".parse().unwrap()],
            ..at_north()
        },
        PeerRule {
            own_port: Some(5060),
            ..at_north()
        },
    ];
    for r in rules {
        let keys = r.keys();
        let t = table(r);
        let find = |flow, sensor| {
            let seen = Seen {
                flow,
                sensor: Some(sensor),
            };
            let r = t.resolve(seen, Words::none());
            let by = t.attribution(r, seen, Words::none());
            assert!(!by.shared);
            (r.peer.unwrap().0.id.to_string(), by)
        };
        let (peer, by) = find(&shown, &wire);
        assert_eq!(peer, "reseller", "{keys:?}");
        assert_eq!(by.keys, keys);
        assert_eq!(by.mac, keys.contains(PeerKey::Mac).then_some(mac));
        assert_eq!(find(&other, &agent).0, "north", "{keys:?}");
    }
}

#[test]
fn a_mac_is_the_neighbours_on_both_ways() {
    let mac = [0, 0, 0x5e, 0, 0x53, 1];
    let t = table(PeerRule {
        macs: vec![mac],
        ..rule("north-reseller", 2, &["198.51.100.0/28"])
    });
    let mut ours = flow(US, NORTH);
    ours.macs.destination = Some(mac);
    assert_eq!(found(&t, &ours, Words::none()).1.unwrap(), "reseller");
    assert_eq!(
        found(&t, &ours.reversed(), Words::none()).1.unwrap(),
        "reseller"
    );
    ours.macs = Macs {
        source: Some(mac),
        destination: None,
    };
    assert_eq!(found(&t, &ours, Words::none()).1.unwrap(), "north");
}

#[test]
fn a_rule_for_one_way_is_silent_on_the_other() {
    let t = table(PeerRule {
        way: Way::Egress,
        ..rule("to-reseller", 2, &["198.51.100.0/28"])
    });
    assert_eq!(
        found(&t, &flow(US, NORTH), Words::none()).1.unwrap(),
        "reseller"
    );
    assert_eq!(
        found(&t, &flow(NORTH, US), Words::none()).1.unwrap(),
        "north"
    );
}

#[test]
fn a_rule_without_networks_takes_no_address_of_ours() {
    let vlan = PeerRule {
        vlan: Some(105),
        ..PeerRule::new("by-vlan", 1)
    };
    let t = PeerTable::new(peers(), vec![vlan, rule("us", 0, &["192.0.2.0/28"])], 1);
    let on = |source, destination| {
        let mut f = flow(source, destination);
        f.vlans.push(105);
        let (direction, peer, _) = found(&t, &f, Words::none());
        (direction, peer.unwrap())
    };
    assert_eq!(on(SOUTH, US), (Direction::Ingress, "north".into()));
    assert_eq!(on(US, SOUTH), (Direction::Egress, "north".into()));
}

#[test]
fn signers_of_the_rule_come_before_those_of_the_neighbour() {
    let mut all = peers();
    all[1].signers = vec!["1234".into()];
    let mut r = rule("north", 1, &["198.51.100.0/28"]);
    let signers = |r: &PeerRule| {
        let peer = Some((&all[1], r));
        let direction = Direction::Ingress;
        Resolved { direction, peer }.signers().to_vec()
    };
    assert_eq!(signers(&r), ["1234".into()]);
    r.signers = vec!["5678".into()];
    assert_eq!(signers(&r), ["5678".into()]);
}

#[test]
fn a_pattern_has_a_bounded_size() {
    assert!(Pattern::new("a{1000}{1000}").is_err());
    assert!(Pattern::new("(").is_err());
}

/// What [`PeerTable::resolve`] does, rule by rule.
fn naive<'a>(t: &'a PeerTable, end: &End<'_>, words: Words<'_>) -> Option<&'a PeerRule> {
    let ours = t
        .rules
        .iter()
        .any(|r| t.peers[r.peer].kind == PeerKind::Own && r.has_address(end.theirs.ip()));
    t.rules.iter().find(|r| {
        r.way.takes(end.direction)
            && !(r.networks.is_empty() && ours)
            && PeerKey::ALL.iter().all(|k| r.fits(*k, end, words))
    })
}

fn naive_side(t: &PeerTable, flow: &Flow) -> Remote {
    let at = |s: SocketAddr| {
        t.rules.iter().position(|r| {
            r.has_address(s.ip())
                && r.port.is_none_or(|p| p == s.port())
                && r.vlan.is_none_or(|v| flow.vlans.first() == Some(&v))
        })
    };
    let own = |r: Option<usize>| r.is_some_and(|r| t.peers[t.rules[r].peer].kind == PeerKind::Own);
    let (from, to) = (at(flow.source), at(flow.destination));
    let named = |r: usize| Remote::Rule(IdDigest::of(t.rules[r].name.as_bytes()).0);
    match (own(from), own(to)) {
        (false, true) => from.map_or(Remote::Address(flow.source.ip()), named),
        (true, false) => to.map_or(Remote::Address(flow.destination.ip()), named),
        _ => Remote::Address(flow.source.ip()),
    }
}

fn a_socket() -> impl Strategy<Value = SocketAddr> {
    let v4 = (select(vec!["192.0.2", "198.51.100", "203.0.113"]), 0u8..9)
        .prop_map(|(n, h)| format!("{n}.{h}"));
    let v6 = (0u8..9).prop_map(|h| format!("[2001:db8::{h}]"));
    (prop_oneof![4 => v4, 1 => v6], select(vec![5060u16, 5080]))
        .prop_map(|(ip, port)| format!("{ip}:{port}").parse().unwrap())
}

fn a_network() -> impl Strategy<Value = ipnet::IpNet> {
    (a_socket(), select(vec![0u8, 8, 24, 29, 31, 32])).prop_map(|(s, length)| {
        let length = match s.is_ipv6() && length > 0 {
            true => 96 + length,
            false => length,
        };
        ipnet::IpNet::new(s.ip(), length).unwrap().trunc()
    })
}

fn some<T: Clone + std::fmt::Debug + 'static>(
    of: &[T],
    often: f64,
) -> impl Strategy<Value = Option<T>> + use<T> {
    proptest::option::weighted(often, select(of.to_vec()))
}

fn a_word(often: f64) -> impl Strategy<Value = Option<Box<str>>> + use<> {
    some(&["a".into(), "B".into()], often)
}

prop_compose! {
    /// A rule as the reader lets it through: words only beside networks.
    fn a_rule()(
        networks in proptest::collection::vec(a_network(), 0..3),
        (peer, way) in (0usize..4, select(vec![Way::Both, Way::Both, Way::Ingress, Way::Egress])),
        (vlan, inner_vlan) in (some(&[1u16, 2], 0.2), some(&[1u16, 2], 0.1)),
        (port, own_port) in (some(&[5060u16, 5080], 0.2), some(&[5060u16, 5080], 0.1)),
        own_networks in proptest::collection::vec(a_network(), 0..2),
        mac in some(&[[1u8; 6], [2; 6]], 0.1),
        (interface, agent) in (some(&[Arc::from("one")], 0.1), some(&[Arc::from("two")], 0.1)),
        transport in some(&[Transport::Udp, Transport::Tcp], 0.1),
        (trunk_group, trunk_context, otg, orig_ioi) in (a_word(0.3), a_word(0.1), a_word(0.1), a_word(0.1)),
        tech_prefix in some(&["9".into(), "9#".into()], 0.1),
        header in some(&["a", "b"], 0.1),
    ) -> PeerRule {
        let header = header.map(|v| HeaderKey {
            name: "X-Trunk".into(),
            test: HeaderTest::Prefix(v.into()),
        });
        let mut rule = PeerRule {
            way, vlan, inner_vlan, port, own_port, own_networks, interface, agent, transport,
            macs: mac.into_iter().collect(),
            ..PeerRule::new("r", peer)
        };
        if !networks.is_empty() {
            rule = PeerRule { networks, trunk_group, trunk_context, otg, orig_ioi, tech_prefix, header, ..rule };
        }
        rule
    }
}

prop_compose! {
    fn a_message()(
        (source, destination) in (a_socket(), a_socket()),
        transport in select(vec![Transport::Udp, Transport::Tcp]),
        vlans in proptest::collection::vec(1u16..3, 0..3),
        (source_mac, destination_mac) in (some(&[[1u8; 6], [2; 6]], 0.5), some(&[[1u8; 6], [2; 6]], 0.5)),
        sensor in select(vec![("one", Provenance::Wire), ("two", Provenance::Hep), ("three", Provenance::File)]),
        (group, context, otg, orig_ioi) in (a_word(0.6), a_word(0.6), a_word(0.6), a_word(0.6)),
        dialled in some(&["912025550123", "9#12025550123", "12025550123"], 0.7),
        header in some(&["abc", "bcd", "c"], 0.7),
    ) -> (Flow, Sensor, Option<Box<str>>, Said) {
        let flow = Flow {
            source, destination, transport,
            vlans: vlans.into_iter().collect(),
            path: Default::default(),
            macs: Macs { source: source_mac, destination: destination_mac },
        };
        let said = Said {
            context, otg, orig_ioi,
            dialled: dialled.map(|d| d.as_bytes().into()),
            dialled_to: None,
            headers: header.map(|h| ("X-Trunk".into(), h.into())).into_iter().collect(),
        };
        let sensor = Sensor { name: sensor.0.into(), provenance: sensor.1 };
        (flow, sensor, group, said)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_index_changes_no_answer(
        rules in proptest::collection::vec(a_rule(), 0..12),
        (flow, sensor, group, said) in a_message(),
    ) {
        let t = PeerTable::new(peers(), rules, 1);
        let seen = Seen { flow: &flow, sensor: Some(&sensor) };
        let words = Words { group: group.as_deref(), said: &said };
        for end in [seen.sender(), seen.receiver()] {
            let fast = t.find(&end, words).map(|(_, r)| std::ptr::from_ref(r));
            prop_assert_eq!(fast, naive(&t, &end, words).map(std::ptr::from_ref));
        }
        prop_assert_eq!(t.side(&flow).remote, naive_side(&t, &flow));
        // Both ways of a dialog are one side.
        prop_assert_eq!(t.side(&flow), t.side(&flow.reversed().reversed()));
    }

    #[test]
    fn no_message_moves_blame_to_whom_it_did_not_come_from(
        rules in proptest::collection::vec(a_rule(), 1..12),
        (mut flow, sensor, group, said) in a_message(),
    ) {
        let mut all = vec![rule("us", 0, &["192.0.2.0/24"])];
        // Our platform is elsewhere, and who is told by no address could be anywhere.
        all.extend(rules.into_iter().filter(|r| r.peer != 0 && !r.networks.is_empty()));
        let t = PeerTable::new(peers(), all, 1);
        flow.destination = US.parse().unwrap();
        let mut there: Vec<_> = t.rules.iter().filter(|r| r.has_address(flow.source.ip())).map(|r| r.peer).collect();
        there.dedup();
        there.sort_unstable();
        there.dedup();
        let seen = Seen { flow: &flow, sensor: Some(&sensor) };
        let words = Words { group: group.as_deref(), said: &said };
        let r = t.resolve(seen, words);
        if let Some((_, rule)) = r.peer {
            prop_assert!(there.contains(&rule.peer));
        }
        // With others at the same address, words may decide: then the record says so.
        let silent = t.resolve(seen, Words::none());
        if silent.peer.map(|(p, _)| &p.id) != r.peer.map(|(p, _)| &p.id) && silent.peer.is_some() {
            prop_assert!(t.attribution(r, seen, words).shared);
            prop_assert!(there.len() > 1);
        }
    }

    #[test]
    fn a_shadowed_rule_never_wins(
        wide in a_rule(),
        more in a_rule(),
        (flow, sensor, group, said) in a_message(),
    ) {
        let narrow = PeerRule {
            networks: if wide.networks.is_empty() { more.networks.clone() } else { wide.networks.clone() },
            own_networks: wide.own_networks.clone(),
            macs: wide.macs.clone(),
            way: wide.way,
            vlan: wide.vlan.or(more.vlan),
            port: wide.port.or(more.port),
            interface: wide.interface.clone().or(more.interface.clone()),
            transport: wide.transport.or(more.transport),
            trunk_group: wide.trunk_group.clone().or(more.trunk_group.clone()),
            tech_prefix: more.tech_prefix.clone().or(wide.tech_prefix.clone()),
            header: wide.header.clone().or(more.header.clone()),
            ..wide.clone()
        };
        prop_assume!(wide.peer != 0 && review::shadows(&wide, &narrow));
        let t = PeerTable::new(peers(), vec![wide, narrow], 1);
        let seen = Seen { flow: &flow, sensor: Some(&sensor) };
        let words = Words { group: group.as_deref(), said: &said };
        for end in [seen.sender(), seen.receiver()] {
            let won = t.find(&end, words).map(|(_, r)| std::ptr::from_ref(r));
            prop_assert_ne!(won, Some(std::ptr::from_ref(&t.rules[1])));
        }
    }

    #[test]
    fn a_prefix_is_taken_off_once(prefix in "[0-9]{1,4}#?", number in "1[2-9][0-9]{9}") {
        let said = Said { dialled: Some(format!("{prefix}{number}").as_bytes().into()), ..Said::default() };
        let mut numbers = crate::call::record::Numbers::default();
        said.take_off(&prefix, &NumberPlan::default(), &mut numbers);
        prop_assert_eq!(numbers.called, Tn::from_canonical(number.as_bytes()));
    }
}

#[test]
fn an_explanation_names_the_winner_and_what_the_others_lack() {
    let t = by_group();
    let flow = flow(NORTH, US);
    let seen = Seen {
        flow: &flow,
        sensor: None,
    };
    let e = t.explain(seen, Words::none());
    let outcomes: Vec<_> = e.rules.iter().map(|l| l.outcome.label()).collect();
    assert_eq!(outcomes, ["no match", "no match", "wins", "no match"]);
    assert_eq!(e.rule.as_deref(), Some("north"));
    let missing: Vec<_> = e.rules[1].keys.iter().filter(|k| !k.matches).collect();
    assert_eq!(missing.len(), 1);
    assert_eq!(
        (missing[0].key, missing[0].seen.as_deref()),
        ("trunk_group", None)
    );
    let e = t.explain(seen, grouped("RS-1"));
    assert_eq!(e.rules[1].outcome.label(), "wins");
    assert_eq!(e.rules[2].outcome.label(), "late");
}
