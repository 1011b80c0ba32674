use super::*;
use crate::base::digest::IdDigest;
use crate::call::classify::Flags;
use crate::call::record::{Begin, Clock, ClockSource, Direction, Ids, Numbers, Verdict};
use crate::number::Tn;
use crate::stir::verify::Validation;
use crate::wire::{Provenance, Transport};
use std::time::Duration;

/// 2026-11-24 09:00 UTC.
const START: i64 = 1_795_510_800;

/// A call handed to us by `north` at the given second.
pub(in crate::call::classify) fn begin(uid: u64, from: &str) -> Begin {
    Begin {
        uid,
        at: Timestamp::from_secs(START + i64::try_from(uid).unwrap()),
        clock: Clock {
            source: ClockSource::File,
            error_ns: 0,
        },
        sensor: "edge".into(),
        provenance: Provenance::File,
        config: 1,
        direction: Direction::Ingress,
        peer: Some("north".into()),
        peer_rule: Some("north".into()),
        attribution: Default::default(),
        pair: None,
        transport: Transport::Udp,
        source: "198.51.100.1:5060".parse().unwrap(),
        destination: "192.0.2.1:5060".parse().unwrap(),
        vlan: None,
        trunk: None,
        numbers: Numbers {
            from: Tn::from_canonical(from.as_bytes()),
            called: Tn::from_canonical(b"12025550199"),
            ..Numbers::default()
        },
        called_text: None,
        ids: Ids {
            call_id: IdDigest(uid),
            session_id: None,
            icid: None,
            sdp_origin: None,
        },
        verdict: Verdict::default(),
        verstat: None,
        flags: [Flag::Unsigned, Flag::HighVolume].into_iter().collect(),
        notes: Default::default(),
    }
}

fn signed(uid: u64, from: &str, spc: &str, validation: Validation) -> Begin {
    let call = begin(uid, from);
    Begin {
        verdict: Verdict {
            validation,
            spc: Some(spc.into()),
            origid: Some("11111111-2222-3333-4444-555555555555".into()),
            ..Verdict::default()
        },
        flags: [Flag::AttestC, Flag::Snowshoe].into_iter().collect(),
        ..call
    }
}

fn feed(table: &mut Campaigns, calls: impl IntoIterator<Item = Begin>) -> Vec<Campaign> {
    for call in calls {
        if let Some(member) = Member::of(&call, false) {
            table.handle_call(&member);
        }
    }
    std::iter::from_fn(|| table.poll_campaign()).collect()
}

fn finish(table: &mut Campaigns) -> Vec<Campaign> {
    table.finish();
    std::iter::from_fn(|| table.poll_campaign()).collect()
}

fn table() -> Campaigns {
    Campaigns::new(CampaignSettings::default())
}

#[test]
fn ten_calls_of_one_number_are_a_campaign() {
    let mut t = table();
    assert_eq!(feed(&mut t, (1..10).map(|n| begin(n, "12025550101"))), []);
    let opened = feed(&mut t, [begin(10, "12025550101")]);
    let [campaign] = &opened[..] else {
        panic!("{opened:?}")
    };
    assert_eq!(&*campaign.id, "1-calling-number");
    assert_eq!(campaign.key, Key::CallingNumber("12025550101".into()));
    assert_eq!((campaign.volume, campaign.state), (10, CampaignState::Open));
    assert_eq!(
        campaign.flags,
        [(Flag::Unsigned, 10), (Flag::HighVolume, 10)]
    );
    let closed = finish(&mut t);
    assert_eq!(closed.len(), 1, "{closed:?}");
    assert_eq!(closed[0].id, campaign.id);
    assert_eq!(closed[0].state, CampaignState::Closed);
    assert_eq!(t.remembered(), 0);
}

#[test]
fn numbers_of_one_block_that_call_little_are_one_campaign() {
    let mut t = table();
    let calls = (1..=40).map(|n| begin(n, &format!("120255501{:02}", n % 20)));
    let told = feed(&mut t, calls);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].key, Key::NumberPattern("1202555xxxx".into()));
    let closed = finish(&mut t);
    assert_eq!((closed.len(), closed[0].volume), (1, 40));
    assert_eq!(t.calls()[&Some("north".into())], 31);
}

#[test]
fn short_codes_share_no_pattern() {
    let mut t = table();
    let calls = (1..=40).map(|n| begin(n, &format!("5560{:02}", n % 20)));
    assert_eq!(feed(&mut t, calls), []);
    assert_eq!(finish(&mut t), []);
}

#[test]
fn a_number_that_becomes_a_campaign_leaves_the_pattern() {
    let mut t = table();
    // Eight numbers of the block twice each, one of them ten times more.
    let few = (1..=16).map(|n| begin(n, &format!("1202555010{}", n % 8)));
    feed(&mut t, few);
    let one = (17..=30).map(|n| begin(n, "12025550100"));
    let told = feed(&mut t, one);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].key, Key::CallingNumber("12025550100".into()));
    let closed = finish(&mut t);
    let volumes: Vec<_> = closed.iter().map(|c| (c.key.value(), c.volume)).collect();
    assert_eq!(volumes, [("1202555xxxx", 14), ("12025550100", 16)]);
    let all: u64 = closed.iter().flat_map(|c| &c.flags).map(|(_, n)| n).sum();
    assert_eq!(all, 2 * 30);
}

#[test]
fn changing_numbers_of_one_signer_are_one_campaign_if_the_signature_is_his() {
    let number = |n: u64| format!("1{}", 2_120_000_000 + n * 7_919_123);
    let passed = |n| signed(n, &number(n), "709J", Validation::Passed);
    let mut t = table();
    let told = feed(&mut t, (1..=20).map(passed));
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0].key.value(),
        "709J/11111111-2222-3333-4444-555555555555"
    );
    assert_eq!(told[0].signers, ["709J".into()]);
    // In a token that does not verify anybody may be named.
    let failed = |n| signed(n, &number(n), "709J", Validation::Failed);
    let told = feed(&mut table(), (1..=20).map(failed));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].key, Key::NumberPattern("many-numbers".into()));
    assert_eq!(told[0].signers, [] as [Box<str>; 0]);
}

#[test]
fn upstreams_are_never_mixed() {
    let mut t = table();
    let calls = (1..=18).map(|n| Begin {
        peer: Some(["north", "south"][usize::try_from(n % 2).unwrap()].into()),
        ..begin(n, "12025550101")
    });
    assert_eq!(feed(&mut t, calls), []);
}

#[test]
fn a_day_without_a_call_closes_it() {
    let mut t = table();
    feed(&mut t, (1..=10).map(|n| begin(n, "12025550101")));
    let later = Timestamp::from_secs(START + 86_400 + 9);
    t.handle_time(later);
    assert_eq!(t.poll_campaign(), None);
    t.handle_time(later.plus(Duration::from_secs(2)));
    let closed = t.poll_campaign().unwrap();
    assert_eq!(closed.state, CampaignState::Closed);
    assert_eq!(t.counters().quiet, 1);
}

#[test]
fn it_is_told_at_most_every_ten_minutes_and_examples_are_spread() {
    let mut t = table();
    let told = feed(&mut t, (1..=3_600).map(|n| begin(n, "12025550101")));
    assert_eq!(told.len(), 6);
    let last = told.last().unwrap();
    assert!((3..=5).contains(&last.examples.len()), "{last:?}");
    assert!(last.examples.last().unwrap().uid > 1_500);
}

#[test]
fn the_table_is_bounded_and_the_least_recent_leaves() {
    let mut t = Campaigns::new(CampaignSettings {
        least: 2,
        open: 50,
        ..CampaignSettings::default()
    });
    let mut closed = 0;
    for n in 0..2_000u64 {
        let number = format!("1{}", 2_120_000_000 + n / 2 * 7_919_123);
        let told = feed(&mut t, [begin(n + 1, &number)]);
        closed += told
            .iter()
            .filter(|c| c.state == CampaignState::Closed)
            .count();
        assert!(t.remembered() <= 50 * 5 + 2, "{}", t.remembered());
    }
    assert_eq!(u64::try_from(closed).unwrap(), t.counters().crowded);
    assert_eq!(t.counters().opened - t.counters().crowded, 50);
}

#[test]
fn short_codes_and_absent_numbers_have_patterns_of_their_own() {
    let anonymous = |n| {
        let mut call = begin(n, "");
        call.numbers.private = true;
        call
    };
    let told = feed(&mut table(), (1..=10).map(anonymous));
    assert_eq!(told[0].key, Key::NumberPattern("anonymous".into()));
    let told = feed(&mut table(), (1..=10).map(|n| begin(n, "")));
    assert_eq!(told[0].key, Key::NumberPattern("no-number".into()));
    let told = feed(&mut table(), (1..=10).map(|n| begin(n, "61100")));
    assert_eq!(told[0].key, Key::CallingNumber("61100".into()));
}

#[test]
fn flags_are_what_its_calls_have() {
    let spoofed = |n| Begin {
        flags: [Flag::Unsigned, Flag::NeighbourSpoof, Flag::LowAnswer]
            .into_iter()
            .collect::<Flags>(),
        ..begin(n, &format!("1202555{:04}", n * 31))
    };
    let told = feed(&mut table(), (1..=10).map(spoofed));
    assert_eq!(told[0].key, Key::NumberPattern("local-to-called".into()));
}

#[test]
fn emergency_calls_and_their_call_backs_are_never_members() {
    let mut call = begin(1, "12025550101");
    assert!(Member::of(&call, false).is_some());
    assert!(Member::of(&call, true).is_none());
    // What a header claims spares nobody.
    call.flags.insert(Flag::EmergencyCallback);
    assert!(Member::of(&call, false).is_some());
    call.direction = Direction::Egress;
    assert!(Member::of(&call, false).is_none());
}
