//! Every call of the laboratory is judged as its truth says, whatever the number of judges.

mod support;

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use support::{Lab, Recorder};
use tracehop::base::digest::IdDigest;
use tracehop::call::record::{Direction, StoredCall};
use tracehop::lab::check::compare::differences;

fn truth(lab: &Lab) -> Vec<Value> {
    std::fs::read_to_string(lab.path("truth.jsonl"))
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

#[test]
fn every_call_is_judged_as_its_truth_says() {
    let lab = Lab::new(7, 1_500);
    let mut store = Recorder::default();
    let report = lab.replay(&mut store, 2);
    let truth = truth(&lab);
    let mut by_leg: HashMap<(IdDigest, &str), Vec<StoredCall>> = HashMap::new();
    for call in store.calls() {
        let direction = match call.begin.direction {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
            Direction::Unknown => "unknown",
        };
        by_leg
            .entry((call.begin.ids.call_id, direction))
            .or_default()
            .push(call);
    }
    let call_ids: HashMap<_, _> = store
        .begins
        .iter()
        .map(|b| (b.uid, b.ids.call_id))
        .collect();
    let paired = |call: &StoredCall| Some(call_ids[&call.begin.pair?.uid]);
    let mut wrong = Vec::new();
    let mut kinds = BTreeMap::new();
    for row in &truth {
        let kind = row["kind"].as_str().unwrap();
        *kinds.entry(kind.to_owned()).or_insert(0) += 1;
        let key = (
            IdDigest::of(row["call_id"].as_str().unwrap().as_bytes()),
            row["direction"].as_str().unwrap(),
        );
        let found = by_leg
            .get_mut(&key)
            .and_then(|calls| (!calls.is_empty()).then(|| calls.remove(0)));
        match found {
            Some(call) => wrong.extend(
                differences(row, &call, paired(&call))
                    .into_iter()
                    .map(|d| format!("{kind} {}: {d}", row["call_id"])),
            ),
            None => wrong.push(format!("{kind} {}: no record", row["call_id"])),
        }
    }
    wrong.extend(by_leg.values().flatten().map(|c| {
        format!(
            "a record that no truth knows: {} at {}, {:?}",
            c.begin.uid, c.begin.at, c
        )
    }));
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        truth.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
    assert_eq!(report.begins, truth.len() as u64);
    assert!(kinds.len() >= 30, "{kinds:?}");
}

/// The million of calls is `tracehop lab DIR --check --calls 1000000`, whose figures are in docs/BENCHMARKS.md.
#[test]
fn calls_straight_through_the_engine_are_as_their_truth_says() {
    use tracehop::lab::check::{CheckOptions, check};
    let dir = tempfile::tempdir().unwrap();
    tracehop::lab::write_settings(dir.path(), 3).unwrap();
    let config = tracehop::config::Config::load(&dir.path().join("tracehop.toml")).unwrap();
    let settings = support::settings(&config, 2);
    let options = CheckOptions {
        calls: 20_000,
        seed: 3,
    };
    let report = check(&settings, options).unwrap();
    assert_eq!(report.wrong, 0, "{report}");
    assert!(report.legs > 30_000 && report.kinds >= 30, "{report}");
}

#[test]
fn records_are_the_same_for_any_number_of_judges() {
    let lab = Lab::new(11, 500);
    let mut one = Recorder::default();
    lab.replay(&mut one, 1);
    for judges in [2, 5] {
        let mut many = Recorder::default();
        lab.replay(&mut many, judges);
        assert!(one.lines() == many.lines(), "{judges} judges");
        assert!(one.evidence == many.evidence, "{judges} judges");
    }
    assert!(one.begins.len() > 400);
}

#[test]
fn sums_of_outcomes_are_the_inputs_at_every_stage() {
    let lab = Lab::new(13, 400);
    let mut store = Recorder::default();
    let r = lab.replay(&mut store, 2);
    assert_eq!(r.imbalances(), Vec::<String>::new());
    assert_eq!(r.collect.attempts, store.begins.len() as u64);
    assert_eq!(
        r.tallies.values().map(|t| t.attempts).sum::<u64>(),
        r.begins
    );
}

#[test]
fn y2_replays_are_flagged_and_what_is_normal_is_counted() {
    let lab = Lab::new(17, 600);
    let mut store = Recorder::default();
    let report = lab.replay(&mut store, 2);
    let truth = truth(&lab);
    let flagged = |flag: &str| {
        let has = |row: &&Value| row["flags"].as_array().unwrap().iter().any(|f| f == flag);
        truth.iter().filter(has).count() as u64
    };
    let records = |flag| {
        store
            .begins
            .iter()
            .filter(|b| b.flags.contains(flag))
            .count()
    };
    use tracehop::call::classify::Flag;
    assert_eq!(records(Flag::Replayed), 8);
    assert_eq!(records(Flag::ReplaySuspect), 8);
    let of = |s| report.replays.of(s);
    use tracehop::call::classify::replay::Sighting;
    // Both legs of each.
    assert_eq!(flagged("replayed"), 8);
    assert_eq!(of(Sighting::OtherDestination) + of(Sighting::Late), 8);
    assert_eq!(flagged("replay-suspect"), 8);
    assert_eq!(of(Sighting::Suspect), 8);
    assert!(of(Sighting::OtherLeg) > 100 && of(Sighting::Rerouted) > 10);
    assert_eq!(report.replays.evicted, 0);
}

#[test]
fn f5_the_signer_whose_clock_is_slow_is_found_and_no_other() {
    use tracehop::call::classify::skew::SkewFinding;
    let lab = Lab::new(19, 600);
    let mut store = Recorder::default();
    let report = lab.replay(&mut store, 2);
    let offsets: Vec<_> = report
        .skews
        .worst_first()
        .into_iter()
        .filter(|(_, s)| s.finding() == Some(SkewFinding::Offset))
        .map(|(_, s)| (s.count, s.percentile(0.5)))
        .collect();
    let [(8, median)] = offsets[..] else {
        panic!("{offsets:?}")
    };
    assert!((-29.0..-25.0).contains(&median), "{median}");
}

#[test]
fn m2_refusals_are_counted_by_neighbour_once_a_call() {
    let lab = Lab::new(23, 600);
    let mut store = Recorder::default();
    let report = lab.replay(&mut store, 2);
    let sum = |n: fn(&tracehop::engine::collect::Tally) -> u64| -> u64 {
        report.tallies.values().map(n).sum()
    };
    // Four calls with two legs each; two of the calls are in order.
    assert_eq!(sum(|t| t.refused_by_stir), 8);
    assert_eq!(sum(|t| t.refusal_disagrees), 4);
}

#[test]
fn every_signed_call_is_judged_again_from_its_evidence_as_it_was() {
    use tracehop::call::record::evidence::Judgement;
    use tracehop::fetch::directory;
    use tracehop::stir::credential::{Credential, Credentials};
    use tracehop::stir::verify::{VerifySettings, verify_call_at};
    use tracehop::wire::sip::Message;

    let lab = Lab::new(31, 600);
    let mut store = Recorder::default();
    let report = lab.replay(&mut store, 2);
    let trust = directory::load(&lab.config.credentials, tracehop::lab::DEFAULT_BASE)
        .unwrap()
        .trust;
    let signed = store.begins.iter().filter(|b| b.verdict.identities > 0);
    assert_eq!(
        signed.map(|b| b.uid).collect::<Vec<_>>(),
        store.evidence.iter().map(|e| e.uid).collect::<Vec<_>>()
    );
    assert_eq!(report.evidence, store.evidence.len() as u64);
    let settings = VerifySettings::default();
    for stored in &store.evidence {
        let mut credentials = Credentials::default();
        for chain in &stored.evidence.chains {
            let credential = Credential::prepare(&chain.octets, &trust);
            assert_eq!(credential.digest(), chain.digest);
            credentials.insert(&chain.url, credential.into());
        }
        let message = Message::scan(&stored.evidence.head).unwrap();
        let again = verify_call_at(&message, stored.at, &credentials, &settings);
        assert_eq!(
            Judgement::of(&again),
            stored.evidence.judgement,
            "{}",
            stored.uid
        );
    }
}
