//! Records to test with: one plain one, and any that can be.

use std::net::{IpAddr, SocketAddr};

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::names::Named;
use crate::base::Timestamp;
use crate::base::digest::{Digest128, IdDigest};
use crate::call::classify::{Flag, Flags, Notes, Verstat};
use crate::call::leg::{Pair, Pairing};
use crate::call::peer::{Attribution, PeerKey, PeerKeys};
use crate::call::record::*;
use crate::number::Tn;
use crate::stir::verify::{Attestation, Rule, RuleSet, Validation};
use crate::wire::{Provenance, Transport};

pub fn tn(digits: &str) -> Tn {
    Tn::from_canonical(digits.as_bytes()).unwrap()
}

/// A record of a call from 199 to 100 at 13:00.
pub fn begin(uid: u64) -> Begin {
    Begin {
        uid,
        at: Timestamp::parse_rfc3339("2026-11-24T13:00:00Z").unwrap(),
        clock: Clock {
            source: ClockSource::Synchronised,
            error_ns: 1000,
        },
        sensor: "edge-1".into(),
        provenance: Provenance::Wire,
        config: 7,
        direction: Direction::Ingress,
        peer: None,
        peer_rule: None,
        attribution: Default::default(),
        pair: None,
        transport: Transport::Udp,
        source: "198.51.100.1:5060".parse().unwrap(),
        destination: "192.0.2.1:5060".parse().unwrap(),
        vlan: None,
        trunk: None,
        numbers: Numbers {
            called: Some(tn("12025550100")),
            from: Some(tn("12025550199")),
            ..Numbers::default()
        },
        called_text: None,
        ids: Ids {
            call_id: IdDigest(uid.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            session_id: None,
            icid: None,
            sdp_origin: None,
        },
        verdict: Verdict::default(),
        verstat: None,
        flags: Flags::default(),
        notes: Default::default(),
    }
}

/// A second half of it: answered.
pub fn end(b: &Begin) -> End {
    End {
        uid: b.uid,
        begun_at: b.at,
        called: b.numbers.called,
        state: State::Answered,
        code: 200,
        cause: Some(16),
        stir_cause: None,
        disagrees: false,
        ringing_ms: Some(1500),
        final_ms: Some(6000),
        duration_ms: Some(42_000),
        released_by: Some(ReleasedBy::Caller),
        retransmissions: 0,
        forks: 0,
        one_way: false,
        auth_retries: 0,
    }
}

/// A record in which nothing is absent.
pub fn full_begin(uid: u64) -> Begin {
    let mut b = begin(uid);
    b.notes.insert(Flag::Stale, "61 s");
    b.direction = Direction::Egress;
    b.peer = Some("carrier-a".into());
    b.peer_rule = Some("carrier-a-tg7".into());
    b.attribution = Attribution {
        keys: [
            PeerKey::Mac,
            PeerKey::Vlan,
            PeerKey::Networks,
            PeerKey::TrunkGroup,
        ]
        .into_iter()
        .collect(),
        shared: true,
        mac: Some([0x00, 0x00, 0x5e, 0x00, 0x53, 0x01]),
        trunk_context: Some("example.net".into()),
        orig_ioi: Some("carrier-a.example.net".into()),
        tech_prefix: Some("1001#".into()),
        header: Some("X-Trunk: 7".into()),
    };
    b.pair = Some(Pair {
        uid: 41,
        at: b.at.minus(std::time::Duration::from_micros(1_850)),
        how: Pairing::SessionId,
    });
    b.vlan = Some(107);
    b.trunk = Some("TG-7".into());
    b.numbers.to = Some(tn("12025550101"));
    b.numbers.diverted_from = Some(tn("12025550102"));
    b.numbers.asserted = Some(tn("12025550199"));
    b.numbers.remote_party = Some(tn("12025550198"));
    b.called_text = Some("sip:alice@example.com".into());
    b.ids.session_id = Some(IdDigest(2));
    b.ids.icid = Some(IdDigest(3));
    b.ids.sdp_origin = Some(IdDigest(4));
    b.verdict = Verdict {
        validation: Validation::Failed,
        decided_by: Some(Rule::F1),
        attest: Some(Attestation::A),
        failed: [Rule::F1].into_iter().collect(),
        undetermined: [Rule::O1].into_iter().collect(),
        findings: [Rule::X3].into_iter().collect(),
        identities: 1,
        passport: Some(Digest128::of(b"passport")),
        orig: Some(tn("12025550199")),
        iat: Some(b.at.secs() - 90),
        origid: Some("0f0e0d0c-0102-4a3b-8c9d-00ff10ee20dd".into()),
        spc: Some("1234".into()),
        x5u_host: Some("cert.example.net".into()),
        chain: Some(Digest128::of(b"chain")),
    };
    b.verstat = Some(Verstat::PassedA);
    b.flags = [Flag::AttestA, Flag::Stale].into_iter().collect();
    b
}

fn number() -> impl Strategy<Value = Option<Tn>> {
    let few = select(vec![
        "12025550100",
        "12025550101",
        "12025550102",
        "12025550199",
        "911",
        "*67",
        "0123",
        "#31#",
        "999999999999999999",
        "1000000000000000000",
        "12345678901234567890123",
    ]);
    of(few.prop_map(tn))
}

fn named<T: Named + std::fmt::Debug>() -> impl Strategy<Value = T> {
    select(T::ALL)
}

fn text() -> impl Strategy<Value = Box<str>> {
    prop_oneof![
        "[a-z]{1,6}-[0-9]",
        ".{0,20}",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    ]
    .prop_map(String::into_boxed_str)
}

fn socket() -> impl Strategy<Value = SocketAddr> {
    let few = select(vec!["198.51.100.1", "2001:db8::5", "::ffff:192.0.2.1"]);
    let ip = prop_oneof![
        few.prop_map(|t| t.parse::<IpAddr>().unwrap()),
        any::<IpAddr>(),
    ];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn rules() -> impl Strategy<Value = RuleSet> {
    vec(select(Rule::ALL), 0..4).prop_map(RuleSet::from_iter)
}

fn id() -> impl Strategy<Value = IdDigest> {
    any::<u64>().prop_map(IdDigest)
}

/// Times of a few hours, hour edges among them, and now and then far away.
fn time() -> impl Strategy<Value = Timestamp> {
    let start = 1_795_525_200_000_000_000_i64;
    prop_oneof![
        8 => (0..10_800_000_000_000_i64).prop_map(move |n| start + n),
        2 => (-2..3_i64, -1..2_i64).prop_map(move |(h, n)| start + h * 3_600_000_000_000 + n),
        1 => any::<i64>(),
    ]
    .prop_map(Timestamp::from_nanos)
}

fn verdict() -> impl Strategy<Value = Verdict> {
    let sets = (rules(), rules(), rules());
    let first = (
        named::<Validation>(),
        of(select(Rule::ALL)),
        of(named::<Attestation>()),
        any::<u8>(),
    );
    let second = (
        of(any::<[u8; 16]>()),
        number(),
        of(any::<i64>()),
        of(any::<[u8; 16]>()),
    );
    let texts = (of(text()), of(text()), of(text()));
    (sets, first, second, texts).prop_map(|(sets, first, second, texts)| Verdict {
        validation: first.0,
        decided_by: first.1,
        attest: first.2,
        failed: sets.0,
        undetermined: sets.1,
        findings: sets.2,
        identities: first.3,
        passport: second.0.map(Digest128),
        orig: second.1,
        iat: second.2,
        origid: texts.0,
        spc: texts.1,
        x5u_host: texts.2,
        chain: second.3.map(Digest128),
    })
}

fn attribution() -> impl Strategy<Value = Attribution> {
    let texts = (of(text()), of(text()), of(text()), of(text()));
    let keys = vec(select(PeerKey::ALL), 0..5).prop_map(PeerKeys::from_iter);
    (keys, any::<bool>(), of(any::<[u8; 6]>()), texts).prop_map(|(keys, shared, mac, texts)| {
        Attribution {
            keys,
            shared,
            mac,
            trunk_context: texts.0,
            orig_ioi: texts.1,
            tech_prefix: texts.2,
            header: texts.3,
        }
    })
}

fn notes() -> impl Strategy<Value = Notes> {
    vec((select(Flag::ALL), "[ -~]{1,40}"), 0..3).prop_map(|all| {
        let mut notes = Notes::default();
        for (flag, note) in all {
            notes.insert(flag, &note);
        }
        notes
    })
}

fn pair() -> impl Strategy<Value = Pair> {
    (any::<u64>(), time(), named::<Pairing>()).prop_map(|(uid, at, how)| Pair { uid, at, how })
}

fn any_begin() -> impl Strategy<Value = Begin> {
    let numbers = (
        number(),
        number(),
        number(),
        number(),
        number(),
        number(),
        any::<bool>(),
    )
        .prop_map(|n| Numbers {
            called: n.0,
            to: n.1,
            diverted_from: n.2,
            from: n.3,
            asserted: n.4,
            remote_party: n.5,
            private: n.6,
        });
    let ids = (id(), of(id()), of(id()), of(id())).prop_map(|i| Ids {
        call_id: i.0,
        session_id: i.1,
        icid: i.2,
        sdp_origin: i.3,
    });
    let clock = (named::<ClockSource>(), any::<u32>());
    let place = (
        text(),
        of(text()),
        of(text()),
        of(text()),
        of(text()),
        of(any::<u16>()),
    );
    let way = (
        named::<Direction>(),
        (named::<Transport>(), named::<Provenance>()),
        socket(),
        socket(),
        any::<u32>(),
    );
    let flags = (
        vec(select(Flag::ALL), 0..4).prop_map(Flags::from_iter),
        of(named::<Verstat>()),
        attribution(),
        of(pair()),
        notes(),
    );
    (time(), clock, place, way, numbers, ids, verdict(), flags).prop_map(
        |(
            at,
            clock,
            place,
            way,
            numbers,
            ids,
            verdict,
            (flags, verstat, attribution, pair, notes),
        )| {
            Begin {
                uid: 0,
                at,
                clock: Clock {
                    source: clock.0,
                    error_ns: clock.1,
                },
                sensor: place.0.into(),
                provenance: way.1.1,
                config: way.4,
                direction: way.0,
                peer: place.1.map(Into::into),
                peer_rule: place.2.map(Into::into),
                attribution,
                pair,
                transport: way.1.0,
                source: way.2,
                destination: way.3,
                vlan: place.5,
                trunk: place.3,
                numbers,
                called_text: place.4,
                ids,
                verdict,
                verstat,
                flags,
                notes,
            }
        },
    )
}

/// Records with uids of their own, nearly in order.
pub fn begins(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Begin>> {
    (vec(any_begin(), count), any::<bool>(), 0..1_000_000_u64).prop_map(|(mut all, swap, first)| {
        for (b, uid) in all.iter_mut().zip(first + 1..) {
            b.uid = uid;
        }
        if swap && all.len() > 3 {
            all.swap(1, 3);
        }
        all
    })
}

fn any_end() -> impl Strategy<Value = End> {
    let times = (of(any::<u32>()), of(any::<u32>()), of(any::<u32>()));
    let how = (
        named::<State>(),
        any::<u16>(),
        of(any::<u8>()),
        of(named::<ReleasedBy>()),
        of(any::<u16>()),
        (any::<bool>(), any::<bool>()),
    );
    (times, how, any::<[u8; 3]>()).prop_map(|(times, how, counts)| End {
        uid: 0,
        begun_at: Timestamp::default(),
        called: None,
        state: how.0,
        code: how.1,
        cause: how.2,
        stir_cause: how.4,
        disagrees: how.5.0,
        ringing_ms: times.0,
        final_ms: times.1,
        duration_ms: times.2,
        released_by: how.3,
        retransmissions: counts[0],
        forks: counts[1],
        one_way: how.5.1,
        auth_retries: counts[2],
    })
}

/// Second halves, each with a way to choose whose.
pub fn ends(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(Index, End)>> {
    vec((any::<Index>(), any_end()), count)
}
