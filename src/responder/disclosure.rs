//! Least disclosure, held against random worlds: whatever was recorded, an answer's JSON has no number, no address, and no neighbour but
//! the one that it names.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::digest::{Digest128, IdDigest};
use crate::call::record::StoredCall;
use crate::number::Tn;
use crate::stir::verify::Validation;
use crate::store::memory::Memory;
use crate::traceback::answer::Provider;
use crate::traceback::request::ProviderIds;
use crate::traceback::sample::{Sample, T0, call, coverage, peers, request};

const NEIGHBOURS: [&str; 6] = ["north", "south", "abroad", "shop", "east", "west"];

/// A call in a few choices: who, to whom, when, from where, and what became of it.
fn calls() -> impl Strategy<Value = Vec<(usize, usize, i64, u8, u8)>> {
    let one = (0..7usize, 4..6usize, -200i64..200, 0..4u8, 0..5u8);
    proptest::collection::vec(one, 0..8)
}

fn recorded(world: &[(usize, usize, i64, u8, u8)]) -> Vec<StoredCall> {
    let mut out = Vec::new();
    for (i, &(from, to, at, number, fate)) in (0u64..).zip(world) {
        let upstream = NEIGHBOURS.get(from).copied().unwrap_or("north");
        let mut c: Sample = call(1 + 10 * i, upstream, NEIGHBOURS[to], at);
        if from == 6 {
            c.upstream = None;
        }
        if number > 0 {
            c = c.from(&format!("1404555{:04}", 100 + u64::from(number) + i));
        }
        if number == 3 {
            c.numbers.diverted_from = Tn::from_canonical(b"17035550166");
            c.numbers.to = Tn::from_canonical(b"18005550177");
        }
        c = match fate {
            0 => c.never_passed(),
            1 => c.refused(),
            _ => c,
        };
        let mut records = c.records();
        for r in &mut records {
            r.begin.trunk = (fate == 3).then(|| "trunk-a".into());
            r.begin.ids.sdp_origin = Some(IdDigest(i));
            if fate == 4 {
                r.begin.verdict.passport = Some(Digest128::of(&i.to_be_bytes()));
                r.begin.verdict.validation = Validation::Passed;
                r.begin.verdict.orig = r.begin.numbers.from;
                r.begin.verdict.spc = Some("709J".into());
            }
        }
        out.extend(records);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn an_answer_tells_nothing_but_whom_it_names(world in calls(), known: bool, calling: bool) {
        let mut r = request();
        if !known {
            r.downstream = Some(ProviderIds { provider_ids: vec!["XX-99".into()], ..ProviderIds::default() });
        }
        if !calling {
            r.call.calling = None;
        }
        let settings = TracebackSettings {
            provider: Some(Provider { name: "Evergreen Voice".into(), portal_id: Some("EV-01".into()) }),
            ..TracebackSettings::default()
        };
        let store = Memory::of(recorded(&world), coverage()).unwrap();
        let now = T0.plus(Duration::from_secs(86_400));
        let table = peers();
        let a = answer(&r, &store, &table, &settings, now).unwrap();
        let json = serde_json::to_string(&a.answer).unwrap();
        let named = a.answer.upstream.as_ref().or(a.answer.originator.as_ref());
        prop_assert_eq!(named.map(|p| p.name.clone()), a.peer.as_ref().map(|id| table.peer(id).unwrap().name.clone()));
        for peer in &table.peers {
            let it = named.is_some_and(|n| n.name == peer.name);
            for word in [Some(&peer.id), Some(&peer.name), peer.portal_id.as_ref()].into_iter().flatten() {
                let us = peer.id.as_ref() == "us";
                prop_assert!(it || us || !json.contains(&format!("\"{word}")), "{} in {}", word, json);
            }
        }
        // The one number that is ever told, and only where the trace would end without it.
        if let Some(forwarded) = &a.answer.forwarded {
            prop_assert_eq!(a.answer.resolution, crate::traceback::answer::Resolution::DivertedByOurSubscriber);
            prop_assert!(named.is_some());
            prop_assert!(!forwarded.called.is_empty());
        }
        // Every run of ten digits is a number, or a piece of an identifier in hexadecimal.
        for text in texts(&serde_json::from_str(&json).unwrap()) {
            for number in ["2025550123", "3035550147", "404555", "7035550166", "8005550177"] {
                prop_assert!(!text.contains(number), "{} in {}", number, json);
            }
            for address in ["192.0.2.", "198.51.100.", "203.0.113."] {
                prop_assert!(!text.contains(address), "{} in {}", address, json);
            }
            prop_assert!(!text.contains("trunk-a"), "{}", json);
        }
    }
}

/// Every text of a JSON value but digests, whose digits are anybody's.
fn texts(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::String(t) => vec![t.clone()],
        serde_json::Value::Array(a) => a.iter().flat_map(texts).collect(),
        serde_json::Value::Object(o) => o
            .iter()
            .filter(|(k, _)| {
                !["request_sha256", "digest", "trunk_alias", "id", "forwarded"]
                    .contains(&k.as_str())
            })
            .flat_map(|(_, v)| texts(v))
            .collect(),
        other => vec![other.to_string()],
    }
}
