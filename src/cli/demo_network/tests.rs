//! What the carriers' probes saw is enough to trace every call, and the routes are as told.

use serde_json::json;

use super::super::{load, replay, trace};
use super::*;
use crate::base::Timestamp;
use crate::host::clock;
use crate::lab::carriers;
use crate::lab::carriers::plan::{CARRIERS, Call, Finding, ROUTES, SILENT};
use crate::traceback::answer::{HopAnswer, ProducedBy, Resolution};

/// What a carrier answers about a call; `down` has said that it came from there.
fn ask(dir: &Path, n: usize, called: u64, call: &Call, down: Option<usize>) -> HopAnswer {
    let config = load(&dir.join(ALL[n].id).join("tracehop.toml")).unwrap();
    let at = Timestamp::from_secs(call.at.div_euclid(1_000_000_000));
    let mut request = json!({
        "id": "HR-1",
        "case_id": "C-1",
        "call": {
            "called": format!("+{called}"),
            "calling": format!("+{}", call.calling),
            "time": { "value": at.to_string(), "precision_s": 1.0 },
        },
    });
    if let Some(down) = down {
        request["downstream"] = json!({ "provider_ids": [ALL[down].id] });
    }
    let answered = trace::ask(&config, request.to_string().as_bytes()).unwrap();
    answered.answer
}

#[test]
fn every_hop_names_the_carrier_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let made = carriers::write(dir.path(), clock::now(), 2, &|_| String::new()).unwrap();
    assert_eq!(made.traced.len(), 2 * ROUTES.len());
    for carrier in &ALL {
        let folder = dir.path().join(carrier.id);
        let config = load(&folder.join("tracehop.toml")).unwrap();
        replay::replay(&config, &[folder.join("calls.pcap")], Some(1), false, false).unwrap();
    }
    for call in &made.traced {
        let path = call.route.path;
        let mut called = call.called;
        for (place, n) in path.iter().copied().enumerate().rev() {
            let answer = ask(dir.path(), n, called, call, path.get(place + 1).copied());
            let said = format!("{} of {path:?} at {n}: {answer:#?}", call.called);
            let expected = match (place, call.route.finding()) {
                (0, Finding::PointOfEntry(_)) => Resolution::UpstreamForeign,
                (0, _) => Resolution::OriginEndCustomer,
                _ if call.route.forwarded_at == Some(place) => {
                    called = call.dialled;
                    Resolution::DivertedByOurSubscriber
                }
                _ => Resolution::UpstreamDomestic,
            };
            assert_eq!(answer.resolution, expected, "{said}");
            if place > 0 {
                let upstream = answer.upstream.as_ref().unwrap();
                let id = upstream.portal_id.as_deref();
                assert_eq!(id, Some(ALL[path[place - 1]].id), "{said}");
            }
            let certain = [ProducedBy::Auto, ProducedBy::NeedsPerson].contains(&answer.produced_by);
            assert!(certain && answer.undecided.is_empty(), "{said}");
        }
    }
}

#[test]
fn routes_lead_through_everybody_and_no_call_is_another() {
    let mut seen = [false; CARRIERS];
    let mut numbers = std::collections::BTreeSet::new();
    for (place, route) in ROUTES.iter().enumerate() {
        for n in route.path {
            seen[*n] = true;
        }
        let again: std::collections::BTreeSet<_> = route.path.iter().collect();
        assert_eq!(again.len(), route.path.len(), "no loops: {:?}", route.path);
        for n in 0..EACH {
            let call = Call::new(place, n, 0).unwrap();
            assert!(numbers.insert(call.called), "{call:?}");
        }
    }
    assert_eq!(seen, [true; CARRIERS]);
    let silent = ROUTES.iter().filter(|r| r.path.contains(&SILENT)).count();
    assert_eq!(silent, 1);
}
