use super::*;
use crate::base::digest::IdDigest;
use crate::call::record::StoredCall;
use crate::number::{NumberPlan, Tn};
use crate::store::memory::Memory;
use crate::traceback::Profile;
use crate::traceback::answer::ProducedBy;
use crate::traceback::condition::Condition;
use crate::traceback::sample::{T0, call, coverage, peers, request};

fn ask(request: &HopRequest, records: Vec<StoredCall>) -> Answered {
    let store = Memory::of(records, coverage()).unwrap();
    ask_store(request, &store)
}

fn ask_store(request: &HopRequest, store: &dyn Lookup) -> Answered {
    let now = T0.plus(Duration::from_secs(86_400));
    answer(request, store, &peers(), &TracebackSettings::default(), now).unwrap()
}

#[test]
fn a_certain_answer_names_the_upstream_and_discloses_nothing_else() {
    let mut records = call(1, "north", "east", 0).records();
    records.extend(call(11, "south", "west", 90).from("13035550199").records());
    let a = ask(&request(), records);
    assert_eq!(a.answer.resolution, Resolution::UpstreamDomestic);
    assert_eq!(a.answer.produced_by, ProducedBy::Auto);
    let json = serde_json::to_string(&a.answer).unwrap();
    assert!(
        json.contains("north Voice LLC") && json.contains("NO-01"),
        "{json}"
    );
    for secret in [
        "2025550123",
        "3035550147",
        "3035550199",
        "198.51.100",
        "203.0.113",
        "south",
        "west",
        "SO-01",
    ] {
        assert!(!json.contains(secret), "{secret} in {json}");
    }
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["evidence"]["class"], "E3");
    assert_eq!(value["evidence"]["leg"]["clock_error_ms"], 50.0);
    assert_eq!(value["evidence"]["windows"][0]["coverage"], 1.0);
    assert_eq!(value["produced_by"], "auto");
}

#[test]
fn an_ambiguous_answer_names_nobody_and_says_what_would_decide() {
    let mut records = call(1, "north", "east", 0).records();
    records.extend(call(11, "south", "east", 2).records());
    let a = ask(&request(), records);
    assert_eq!(a.answer.resolution, Resolution::Ambiguous);
    assert_eq!(a.answer.produced_by, ProducedBy::NeedsPerson);
    assert!(a.answer.undecided.iter().all(|u| !u.needs.is_empty()));
    assert!(!a.answer.undecided.is_empty());
    let json = serde_json::to_string(&a.answer).unwrap();
    assert!(!json.contains("north") && !json.contains("south"), "{json}");
    // The engineer sees both.
    let names: Vec<_> = a
        .explanation
        .rows
        .iter()
        .map(|r| r.upstream.as_str())
        .collect();
    assert_eq!(names.len(), 2);
}

#[test]
fn a_forwarded_call_names_the_number_that_its_upstream_is_to_be_asked_about() {
    let mut records = call(1, "north", "east", 0).records();
    records[0].begin.numbers.called = Tn::from_canonical(b"12025550188");
    records[1].begin.numbers.diverted_from = Tn::from_canonical(b"12025550188");
    for r in &mut records {
        r.begin.ids.sdp_origin = Some(IdDigest(77));
    }
    let a = ask(&request(), records).answer;
    assert_eq!(a.resolution, Resolution::DivertedByOurSubscriber);
    assert_eq!(&*a.forwarded.unwrap().called, "12025550188");
    let plain = ask(&request(), call(1, "north", "east", 0).records()).answer;
    assert_eq!(plain.forwarded, None);
}

#[test]
fn the_table_has_a_cell_for_every_head() {
    let mut records = call(1, "north", "east", 0).records();
    records.extend(call(11, "south", "east", 30).never_passed().records());
    let e = ask(&request(), records).explanation;
    let head = e.head();
    for row in e.table() {
        assert_eq!(row.len(), head.len(), "{row:?}");
    }
    // Both attempts, and the two ways in which the call may be none of them.
    assert_eq!(e.table().len(), 4);
    for row in &e.rows {
        let sum: f64 = row.terms.iter().map(|t| t.value).sum();
        assert!(
            (sum - row.log_likelihood).abs() < 1e-9,
            "every term is there"
        );
    }
}

#[test]
fn not_found_comes_with_coverage_and_a_gap_without() {
    let a = ask(&request(), Vec::new());
    assert_eq!(a.answer.resolution, Resolution::NotFound);
    assert_eq!(a.answer.evidence.unwrap().windows[0].coverage, 1.0);
    let mut rows = coverage();
    rows.retain(|r| r.from != T0.minute());
    let a = ask_store(&request(), &Memory::of(Vec::new(), rows).unwrap());
    assert_eq!(a.answer.resolution, Resolution::CaptureGap);
    let evidence = a.answer.evidence.unwrap();
    assert_eq!((evidence.gap_count, evidence.gaps.len()), (1, 1));
}

#[test]
fn what_is_out_of_retention_is_not_looked_up() {
    let mut store = Memory::of(call(1, "north", "east", 0).records(), coverage()).unwrap();
    store.forgotten = Some(T0.plus(Duration::from_secs(1)));
    assert_eq!(
        ask_store(&request(), &store).answer.resolution,
        Resolution::OutOfRetention
    );
    let later = T0.plus(Duration::from_secs(549 * 86_400));
    let ask_later = |store: &Memory| {
        let settings = TracebackSettings::default();
        let a = answer(&request(), store, &peers(), &settings, later).unwrap();
        a.answer.resolution
    };
    store.forgotten = None;
    assert_eq!(
        ask_later(&store),
        Resolution::UpstreamDomestic,
        "a capture of long ago that was replayed is there"
    );
    let unseen = Memory::of(Vec::new(), Vec::new()).unwrap();
    assert_eq!(ask_later(&unseen), Resolution::OutOfRetention);
}

#[test]
fn a_downstream_to_whom_we_hand_nothing() {
    let mut r = request();
    r.downstream.as_mut().unwrap().provider_ids = vec!["XX-99".into()];
    let a = ask(&r, call(1, "north", "east", 0).records());
    assert_eq!(a.answer.resolution, Resolution::NotOurCustomerOfDownstream);
    assert_eq!(a.answer.produced_by, ProducedBy::NeedsPerson);
}

#[test]
fn a_call_of_tomorrow_is_a_question_back() {
    let store = Memory::of(Vec::new(), coverage()).unwrap();
    let early = T0.minus(Duration::from_secs(122));
    let a = answer(
        &request(),
        &store,
        &peers(),
        &TracebackSettings::default(),
        early,
    )
    .unwrap();
    assert_eq!(a.answer.resolution, Resolution::InsufficientRequest);
    assert_eq!(
        a.answer.problems.first().map(|p| p.field),
        Some("call.time.value")
    );
    let refused = HopRequest::parse(b"{}", &NumberPlan::default()).unwrap_err();
    assert_eq!(
        insufficient(&refused, &TracebackSettings::default(), 1)
            .answer
            .problems
            .len(),
        3
    );
}

#[test]
fn a_call_that_ended_here_needs_no_egress_leg() {
    let mut r = request();
    r.downstream.as_mut().unwrap().provider_ids = vec!["ev-01".into()];
    let mut records = call(1, "north", "east", 0).records();
    records.truncate(1);
    let a = ask(&r, records);
    assert_eq!(
        a.answer.produced_by,
        ProducedBy::Auto,
        "{:?}",
        a.explanation.conditions
    );
}

#[test]
fn the_ingress_leg_of_a_translated_number_is_found_by_the_calling_number() {
    let mut records = call(1, "north", "east", 0).records();
    records[0].begin.numbers.called = Tn::from_canonical(b"18885550107");
    for r in &mut records {
        r.begin.ids.sdp_origin = Some(crate::base::digest::IdDigest(9));
    }
    let a = ask(&request(), records.clone());
    assert_eq!(
        a.answer.produced_by,
        ProducedBy::Auto,
        "{:?}",
        a.explanation
    );
    // Without a calling number in the request, that of the egress leg serves. On a quiet number the call is alone and certain; where the profile is
    // strict, a person confirms.
    let mut r = request();
    r.call.calling = None;
    assert_eq!(
        ask(&r, records.clone()).answer.produced_by,
        ProducedBy::Auto
    );
    let strict = TracebackSettings {
        profile: Profile::Strict,
        threshold: Profile::Strict.threshold(),
        ..TracebackSettings::default()
    };
    let store = Memory::of(records, coverage()).unwrap();
    let now = T0.plus(Duration::from_secs(86_400));
    let a = answer(&r, &store, &peers(), &strict, now).unwrap();
    assert_eq!(
        a.answer.resolution,
        Resolution::UpstreamDomestic,
        "{:?}",
        a.explanation
    );
    assert_eq!(a.answer.produced_by, ProducedBy::NeedsPerson);
}

#[test]
fn a_number_that_is_called_all_day_is_read_window_by_window() {
    // Two calls a second for three hours: 21,600 attempts, both legs.
    let mut records = Vec::new();
    for i in 0..21_600i64 {
        let uid = 100 + 2 * i.unsigned_abs();
        let mut c = call(uid, "south", "west", 0).from(&format!("1404555{:04}", i % 9000));
        c.at = T0
            .plus(Duration::from_millis(500 * i.unsigned_abs()))
            .minus(Duration::from_secs(5400));
        records.extend(c.records());
    }
    records.extend(call(1, "north", "east", 0).records());
    let store = Memory::of(records, coverage()).unwrap();
    let a = ask_store(&request(), &store);
    assert_eq!(
        a.answer.produced_by,
        ProducedBy::Auto,
        "{:?}",
        a.explanation.conditions
    );
    let rate = a.explanation.background.unwrap().rate_per_s;
    assert!(rate > 2.0, "counted by records, so rather too high: {rate}");
}

#[test]
fn a_window_that_is_too_full_is_named_and_never_cut_silently() {
    let mut records = Vec::new();
    for i in 0..12_000u64 {
        let mut c = call(100 + 2 * i, "south", "west", 0).from(&format!("1404555{:04}", i % 9000));
        c.at = T0
            .plus(Duration::from_millis(10 * i))
            .minus(Duration::from_secs(60));
        records.extend(c.records());
    }
    records.extend(call(1, "north", "east", 0).records());
    let a = ask(&request(), records);
    assert_eq!(a.answer.resolution, Resolution::Ambiguous);
    assert!(a.explanation.conditions.contains(&Condition::TooBusy));
    assert!(!a.explanation.notes.is_empty());
    assert!(a.explanation.attempts > 0, "a person sees what is near");
}

#[test]
fn the_work_grows_no_faster_than_the_square_of_attempts_without_an_end() {
    let work = |attempts: u64| {
        let mut records = Vec::new();
        for i in 1..attempts {
            let mut c = call(100 + 2 * i, "south", "west", 0).from(&format!("1404555{i:04}"));
            c.at = T0
                .plus(Duration::from_millis(200_000 * i / attempts))
                .minus(Duration::from_secs(100));
            let mut legs = c.records();
            legs.iter_mut().for_each(|r| r.end = None);
            records.extend(legs);
        }
        records.extend(call(1, "north", "east", 0).records());
        // The processor's time and not the wall's, so that others on this machine matter little.
        let begun = cpu_time::ThreadTime::now();
        let a = ask(&request(), records);
        assert_eq!(a.explanation.attempts as u64, attempts);
        begun.elapsed().as_secs_f64()
    };
    let (few, many) = (work(600), work(9_600));
    // Sixteen times as many: the square is 256; the cube, hours for the largest request, 4,096.
    assert!(many < 512.0 * few, "{few} s, {many} s");
}
