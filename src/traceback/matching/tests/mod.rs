mod refined;

use super::*;
use crate::base::digest::{Digest128, IdDigest};
use crate::call::record::ClockSource;
use crate::call::record::StoredCall;
use crate::number::Tn;
use crate::stir::verify::Validation;
use crate::traceback::background::Counted;
use crate::traceback::candidate::{CallingAs, collect};
use crate::traceback::sample::{self, call, peers, request};

/// A decision that owns nothing: what the tests look at.
#[derive(Debug)]
struct Outcome {
    resolution: Resolution,
    automatic: bool,
    conditions: Vec<Condition>,
    class: Option<EvidenceClass>,
    named: Option<String>,
    null: f64,
    shares: Vec<(String, f64)>,
}

struct Case {
    request: HopRequest,
    records: Vec<StoredCall>,
    coverage: Vec<Coverage>,
    peers: PeerTable,
    settings: TracebackSettings,
    counted: Counted,
}

/// One call from north that east answered, and a request about it.
fn case() -> Case {
    with(call(1, "north", "east", 0).records())
}

fn with(records: Vec<StoredCall>) -> Case {
    Case {
        request: request(),
        records,
        coverage: sample::coverage(),
        peers: peers(),
        settings: TracebackSettings::default(),
        counted: Counted {
            calling_records: 2,
            messages: 288_000,
            ..Counted::default()
        },
    }
}

impl Case {
    fn decide(&self) -> Outcome {
        let r = &self.request;
        let attempts = collect(&self.records, &r.call);
        let downstream =
            Downstream::find(r.downstream.as_ref(), &self.peers, &self.settings.own_ids);
        let background = Background::measure(r, &downstream, &attempts, &self.counted);
        let d = decide(
            r,
            &attempts,
            &background,
            &self.coverage,
            &self.peers,
            &self.settings,
        );
        Outcome {
            resolution: d.resolution,
            automatic: d.automatic,
            class: d.class,
            named: d.named().map(|p| p.id.to_string()),
            null: d.null,
            shares: d
                .shares
                .iter()
                .map(|s| (s.upstream.label().to_owned(), s.posterior))
                .collect(),
            conditions: d.conditions,
        }
    }

    /// The case must be refused for this reason at least, and nobody named.
    fn refused(&self, why: Condition) -> Outcome {
        let o = self.decide();
        assert!(o.conditions.contains(&why), "{why} missing in {o:?}");
        assert!(!o.automatic && o.named.is_none(), "{o:?}");
        assert_eq!(o.resolution, Resolution::Ambiguous, "{o:?}");
        o
    }

    /// The case must be refused for this reason alone.
    fn refused_only(&self, why: Condition) -> Outcome {
        let o = self.refused(why);
        assert_eq!(o.conditions, [why], "{o:?}");
        o
    }

    fn certain(&self) -> Outcome {
        let o = self.decide();
        assert!(o.conditions.is_empty() && o.named.is_some(), "{o:?}");
        o
    }
}

fn tn(text: &str) -> Option<Tn> {
    Tn::from_canonical(text.as_bytes())
}

#[test]
fn a_clear_call_is_answered_automatically() {
    let o = case().certain();
    assert_eq!(o.resolution, Resolution::UpstreamDomestic);
    assert_eq!((o.class, o.automatic), (Some(EvidenceClass::E3), true));
    assert_eq!(o.named.as_deref(), Some("north"));
    assert!(
        o.null < 1e-4 && o.null > 0.0,
        "the null hypothesis is never ruled out: {}",
        o.null
    );
}

#[test]
fn foreign_and_customer_have_their_own_answers_and_a_person() {
    let o = with(call(1, "abroad", "east", 0).records()).certain();
    assert_eq!(
        (o.resolution, o.automatic),
        (Resolution::UpstreamForeign, false)
    );
    let mut shop = with(call(1, "shop", "east", 0).records());
    let o = shop.certain();
    assert_eq!(
        (o.resolution, o.automatic),
        (Resolution::OriginEndCustomer, false)
    );
    let own = shop.peers.peers.iter_mut().find(|p| &*p.id == "shop");
    own.unwrap().platform = true;
    let o = shop.certain();
    assert_eq!(
        (o.resolution, o.automatic),
        (Resolution::OriginNonVspPlatform, false)
    );
    let own = shop.peers.peers.iter_mut().find(|p| &*p.id == "shop");
    own.unwrap().platform = false;
    shop.settings.automatic.push(Resolution::OriginEndCustomer);
    assert!(
        shop.certain().automatic,
        "unless the operator says otherwise"
    );
}

#[test]
fn two_records_of_one_upstream_are_not_ambiguous() {
    let mut records = call(1, "north", "east", 0).records();
    records.extend(call(11, "north", "east", 1).records());
    let o = with(records).certain();
    assert_eq!(o.shares.len(), 1);
    assert!(o.automatic);
}

#[test]
fn two_entries_of_one_provider_are_one_upstream() {
    let mut records = call(1, "north", "east", 0).records();
    records.extend(call(11, "south", "east", 3).records());
    let mut c = with(records);
    c.peers.peers[1].portal_id = c.peers.peers[0].portal_id.clone();
    assert_eq!(c.certain().shares.len(), 1);
    c.peers.peers[1].kind = PeerKind::Foreign;
    c.refused(Condition::SeveralUpstreams);
}

#[test]
fn a_failed_first_attempt_of_another_upstream_is_not_the_call() {
    // The failed attempt is nearer in time, and its upstream another.
    let mut records = call(1, "south", "east", 0).never_passed().records();
    records.extend(call(11, "north", "east", 2).records());
    assert_eq!(with(records).certain().named.as_deref(), Some("north"));
}

#[test]
fn a_and_j_two_upstreams_whose_calls_were_both_taken_on() {
    let mut records = call(1, "north", "east", 0).records();
    records.extend(call(11, "south", "east", 2).records());
    let o = with(records).refused(Condition::SeveralUpstreams);
    assert!(o.conditions.contains(&Condition::TwoDelivered));
    assert!(o.conditions.contains(&Condition::BelowThreshold));
}

#[test]
fn j_alone_when_the_posterior_would_have_decided() {
    let mut records = call(1, "north", "east", 0).records();
    records.extend(call(11, "south", "east", 25).records());
    let o = with(records.clone()).refused(Condition::TwoDelivered);
    assert!(o.shares[0].1 > 0.99, "{o:?}");
    // Taken on by somebody else, it is no rival.
    records[3].begin.peer = Some("west".into());
    with(records).certain();
}

#[test]
fn b_nothing_beyond_two_minutes_is_automatic() {
    with(call(1, "north", "east", 121).records()).decide();
    for offset in [122, -122, 600, 900, -900] {
        let o = with(call(1, "north", "east", offset).records()).refused(Condition::OutsideWindow);
        assert_eq!(o.class, Some(EvidenceClass::E5), "{offset}");
    }
}

#[test]
fn b_a_zone_slip_is_never_automatic_even_with_an_identifier() {
    for hours in crate::traceback::window::SLIPS_H {
        let records = call(1, "north", "east", i64::from(hours) * 3600).records();
        let mut c = with(records);
        c.refused(Condition::ZoneSlip);
        c.request.call.ids.call_id = Some(IdDigest(2));
        c.refused(Condition::ZoneSlip);
    }
}

#[test]
fn an_identifier_finds_a_call_anywhere_within_a_day_but_never_answers_it() {
    let mut c = with(call(1, "north", "east", 9 * 3600 + 777).records());
    assert_eq!(c.decide().resolution, Resolution::NotFound);
    c.request.call.ids.call_id = Some(IdDigest(2));
    c.refused(Condition::OutsideWindow);
}

#[test]
fn the_main_window_is_closed_at_its_ends() {
    // Egress follows ingress by 20 ms, so 20 ms before the edge is on it.
    let at_edge = |ms: i64| {
        let mut records = call(1, "north", "east", 0).records();
        for r in &mut records {
            let at = r.begin.at.nanos() + 121_000_000_000 - 20_000_000 + ms * 1_000_000;
            r.begin.at = Timestamp::from_nanos(at);
        }
        with(records).decide().conditions
    };
    assert!(!at_edge(0).contains(&Condition::OutsideWindow));
    assert!(at_edge(1).contains(&Condition::OutsideWindow));
}

#[test]
fn strictly_evidence_is_weak_beyond_five_seconds_and_a_person_confirms_it() {
    let at = |offset| {
        let mut c = with(call(1, "north", "east", offset).records());
        c.settings.profile = Profile::Strict;
        c
    };
    let o = at(4).certain();
    assert_eq!(o.class, Some(EvidenceClass::E3));
    let o = at(6).decide();
    assert_eq!(o.class, Some(EvidenceClass::E4));
    assert_eq!(o.conditions, [Condition::WeakEvidence]);
    assert_eq!(
        (o.resolution, o.automatic),
        (Resolution::UpstreamDomestic, false)
    );
    // A request to the minute has its own measure of near.
    let mut c = at(50);
    c.request.call.precision_s = 60.0;
    assert_eq!(c.certain().class, Some(EvidenceClass::E3));
}

#[test]
fn a_call_too_far_off_is_more_likely_another_one_whose_own_record_is_lost() {
    let at = |offset| with(call(1, "north", "east", offset).records());
    assert_eq!(at(12).certain().class, Some(EvidenceClass::E3));
    assert_eq!(at(30).certain().class, Some(EvidenceClass::E3));
    at(50).refused(Condition::NullTooLikely);
    // What the request tells of the answer decides it, either way.
    let mut c = at(42);
    c.refused(Condition::NullTooLikely);
    c.request.call.answered = Some(true);
    c.request.call.duration_s = Some(12.3);
    c.certain();
    let mut c = at(26);
    c.request.call.answered = Some(true);
    c.request.call.duration_s = Some(70.0);
    c.refused(Condition::NullTooLikely);
}

#[test]
fn a_requester_whose_clock_is_known_is_understood() {
    let mut c = with(call(1, "north", "east", 40).records());
    c.refused(Condition::NullTooLikely);
    c.settings.clock_offset_s = 39.0;
    c.certain();
    c.settings.clock_offset_s = -39.0;
    c.refused(Condition::NullTooLikely);
}

#[test]
fn c_a_calling_number_that_differs_on_a_busy_number() {
    let mut records = call(1, "north", "east", 0).from("13035550199").records();
    let quiet = with(records.clone()).decide();
    assert!(!quiet.conditions.contains(&Condition::CallingUnexplained));
    assert_eq!(quiet.class, Some(EvidenceClass::E4));
    assert!(!quiet.automatic);
    for (i, offset) in (0..40).map(|i| (i, 1000 + 1000 * i)) {
        records.extend(call(100 + 10 * i as u64, "south", "west", offset).records());
    }
    with(records.clone()).refused(Condition::CallingUnexplained);
    // The number that forwarded the call explains it, and still proves nothing.
    for r in &mut records[..2] {
        r.begin.numbers.diverted_from = Some(sample::A());
    }
    let o = with(records).decide();
    assert!(!o.conditions.contains(&Condition::CallingUnexplained) && !o.automatic);
}

#[test]
fn any_of_the_calling_numbers_will_do() {
    let mut c = with(call(1, "north", "east", 0).from("13035550199").records());
    c.records[0].begin.numbers.asserted = Some(sample::A());
    let attempts = collect(&c.records, &c.request.call);
    assert_eq!(
        attempts[0].calling_as(sample::A()),
        Some(CallingAs::Asserted)
    );
    c.certain();
}

#[test]
fn d_no_hole_in_the_window_is_ever_automatic() {
    let mut c = case();
    let at = c.request.call.at.minute();
    let row = c.coverage.iter().position(|r| r.from == at).unwrap();
    c.coverage[row].dropped = 1;
    c.refused(Condition::CaptureGap);
    c.coverage[row].dropped = 0;
    c.coverage[row + 1].until = Timestamp::from_secs(at.secs() + 119);
    c.refused(Condition::CaptureGap);
    c.coverage.remove(row + 1);
    c.refused(Condition::CaptureGap);
    c.coverage.clear();
    c.refused(Condition::CaptureGap);
    // A hole outside the main window is none of its business.
    let mut c = case();
    c.coverage.retain(|r| r.from.distance(at).as_secs() < 240);
    c.certain();
}

#[test]
fn d_a_sensor_that_was_down_is_a_hole_although_another_was_looking() {
    let mut c = case();
    c.settings.sensors = vec!["edge2".into()];
    c.refused(Condition::CaptureGap);
}

#[test]
fn e_an_address_that_several_upstreams_share() {
    let mut c = case();
    // South sends from the same address and shows it by its trunk group.
    c.peers.rules[1].networks = c.peers.rules[0].networks.clone();
    c.peers.rules[1].trunk_group = Some("SO-1".into());
    c.refused_only(Condition::SharedAddress);
    c.records[0].begin.trunk = Some("NO-1".into());
    c.certain();
    c.records[0].begin.trunk = None;
    c.peers.rules[1].trunk_group = None;
    c.refused_only(Condition::SharedAddress);
    c.peers.rules[1].vlan = Some(7);
    c.certain();
}

#[test]
fn f_a_mapping_that_changed_inside_the_window() {
    let mut c = case();
    c.records.extend(call(11, "north", "west", 90).records());
    c.certain();
    c.records[2].begin.config = 2;
    c.refused_only(Condition::MappingChanged);
    c.records[2].begin.sensor = "edge2".into();
    c.records[3].begin.sensor = "edge2".into();
    assert!(
        !c.decide().conditions.contains(&Condition::MappingChanged),
        "two sensors, two configurations"
    );
}

#[test]
fn g_a_clock_that_may_be_off_by_more_than_a_second() {
    let mut c = case();
    for leg in 0..2 {
        c.records[leg].begin.clock.error_ns = HEALTHY_CLOCK_NS;
        c.certain();
        c.records[leg].begin.clock.error_ns = HEALTHY_CLOCK_NS + 1;
        c.refused_only(Condition::ClockUnhealthy);
        c.records[leg].begin.clock.error_ns = 0;
    }
    c.records[0].begin.clock.source = ClockSource::File;
    c.certain();
}

#[test]
fn h_the_downstream_never_took_it_on() {
    with(call(1, "north", "east", 0).refused().records()).refused(Condition::NotDelivered);
    with(call(1, "north", "east", 0).never_passed().records()).refused(Condition::NotDelivered);
    with(call(1, "north", "west", 0).records()).refused(Condition::NotDelivered);
    let mut c = with(call(1, "north", "east", 0).never_passed().records());
    c.request.downstream = None;
    c.refused(Condition::NotDelivered);
}

#[test]
fn h_a_lost_call_is_not_replaced_by_its_failed_first_attempt() {
    // South delivered the call and its records are lost; north had failed before. Coverage knows nothing of it.
    let o = with(call(1, "north", "east", -3).never_passed().records())
        .refused(Condition::NotDelivered);
    assert_eq!(o.shares[0].0, "north");
}

#[test]
fn i_what_our_own_subscriber_forwarded() {
    let mut c = with(call(1, "shop", "east", 0).records());
    for r in &mut c.records {
        r.begin.numbers.diverted_from = tn("12025550188");
    }
    c.refused_only(Condition::PostForwarding);
}

#[test]
fn a_call_that_was_forwarded_here_has_the_upstream_of_the_first_leg() {
    let mut c = case();
    c.records[0].begin.numbers.called = tn("12025550188");
    c.records[1].begin.numbers.diverted_from = tn("12025550188");
    for r in &mut c.records {
        r.begin.ids.sdp_origin = Some(IdDigest(77));
    }
    let o = c.certain();
    assert_eq!(
        (o.resolution, o.automatic),
        (Resolution::DivertedByOurSubscriber, false)
    );
    assert_eq!(o.named.as_deref(), Some("north"));
}

#[test]
fn k_a_request_against_a_signature_that_we_verified() {
    let mut c = case();
    for r in &mut c.records {
        let v = &mut r.begin.verdict;
        v.validation = Validation::Passed;
        v.identities = 1;
        v.passport = Some(Digest128::of(b"signed"));
        v.orig = Some(sample::A());
        v.origid = Some("o-1".into());
    }
    c.certain();
    c.request.call.ids.passport = Some(Digest128::of(b"other"));
    c.refused(Condition::ContradictsPassport);
    c.request.call.ids.passport = None;
    c.request.call.ids.origid = Some("o-2".into());
    c.refused(Condition::ContradictsPassport);
    c.request.call.ids.origid = None;
    c.request.call.calling = tn("13035550166");
    c.refused(Condition::ContradictsPassport);
    // With two signatures the one that we kept need not be the one that the requester means.
    let mut c2 = case();
    for r in &mut c2.records {
        r.begin.verdict.identities = 2;
        r.begin.verdict.passport = Some(Digest128::of(b"signed"));
    }
    c2.request.call.ids.passport = Some(Digest128::of(b"other"));
    c2.certain();
}

#[test]
fn l_a_call_that_came_back_twice() {
    let mut records = Vec::new();
    for (i, (from, to)) in [("north", "west"), ("west", "south"), ("south", "east")]
        .into_iter()
        .enumerate()
    {
        let mut passage = call(1 + 10 * i as u64, from, to, 0).records();
        for r in &mut passage {
            r.begin.at = r
                .begin
                .at
                .plus(std::time::Duration::from_millis(300 * i as u64));
            r.begin.verdict.passport = Some(Digest128::of(b"one call"));
        }
        records.extend(passage);
    }
    let o = with(records.clone()).decide();
    assert!(o.conditions.contains(&Condition::Loop), "{o:?}");
    assert!(!o.automatic);
    // Coming back once is decided by the downstream, where the legs can be told apart.
    let mut once = records[2..].to_vec();
    for (r, call) in once.iter_mut().zip([1, 1, 2, 2]) {
        r.begin.ids.call_id = IdDigest(call);
    }
    let o = with(once).decide();
    assert!(!o.conditions.contains(&Condition::Loop), "{o:?}");
    assert_eq!(o.shares[0].0, "south", "{o:?}");
}

#[test]
fn a_sender_that_no_rule_names_is_never_automatic() {
    let mut c = case();
    c.records[0].begin.peer = None;
    c.refused(Condition::UnresolvedPeer);
    // One that has left the table neither, nor our own platform, nor an egress leg alone.
    c.records[0].begin.peer = Some("gone".into());
    c.refused(Condition::UnresolvedPeer);
    c.records[0].begin.peer = Some("us".into());
    c.refused(Condition::UnresolvedPeer);
    c.records.remove(0);
    c.refused(Condition::UnresolvedPeer);
}

#[test]
fn an_egress_leg_whose_ingress_was_lost_keeps_others_from_being_named() {
    let mut records = call(1, "north", "east", 2).records();
    records.push(call(11, "south", "east", 0).records().remove(1));
    with(records).refused(Condition::SeveralUpstreams);
}

#[test]
fn a_verified_passport_is_the_best_evidence_and_one_unverified_is_not() {
    let mut c = with(call(1, "north", "east", 40).from("13035550199").records());
    for r in &mut c.records {
        r.begin.verdict.passport = Some(Digest128::of(b"p"));
        r.begin.verdict.validation = Validation::Passed;
    }
    c.request.call.calling = None;
    c.request.call.ids.passport = Some(Digest128::of(b"p"));
    let o = c.certain();
    assert_eq!((o.class, o.automatic), (Some(EvidenceClass::E1), true));
    for r in &mut c.records {
        r.begin.verdict.validation = Validation::Failed;
    }
    assert_eq!(c.decide().class, Some(EvidenceClass::E4));
}

#[test]
fn a_passport_copied_on_two_delivered_attempts_decides_nothing() {
    let mut records = call(1, "north", "east", 0).records();
    records.extend(call(11, "south", "east", 4).records());
    for r in &mut records {
        r.begin.verdict.passport = Some(Digest128::of(b"p"));
        r.begin.verdict.validation = Validation::Passed;
    }
    let mut c = with(records);
    c.request.call.ids.passport = Some(Digest128::of(b"p"));
    c.refused(Condition::TwoDelivered);
}

#[test]
fn a_call_id_or_session_id_is_the_second_best() {
    let mut c = with(call(1, "north", "east", 40).records());
    c.request.call.ids.call_id = Some(IdDigest(2));
    assert_eq!(c.certain().class, Some(EvidenceClass::E2));
    c.request.call.ids.call_id = Some(IdDigest(999));
    assert_eq!(
        c.decide().class,
        Some(EvidenceClass::E3),
        "another Call-ID contradicts nothing"
    );
    c.request.call.ids.call_id = None;
    for r in &mut c.records {
        r.begin.ids.session_id = Some(IdDigest(5));
    }
    c.request.call.ids.session_id = Some(IdDigest(5));
    assert_eq!(c.certain().class, Some(EvidenceClass::E2));
}

#[test]
fn a_passport_towards_another_number_may_be_a_replay() {
    let mut c = case();
    for r in &mut c.records {
        r.begin.numbers.called = tn("12025550111");
        r.begin.verdict.passport = Some(Digest128::of(b"p"));
        r.begin.verdict.validation = Validation::Passed;
    }
    c.request.call.ids.passport = Some(Digest128::of(b"p"));
    let o = c.refused(Condition::WeakEvidence);
    assert_eq!(o.class, Some(EvidenceClass::E5));
}

#[test]
fn a_call_that_was_forwarded_from_the_number_is_weak_evidence() {
    let mut c = case();
    for r in &mut c.records {
        r.begin.numbers.diverted_from = r.begin.numbers.called;
        r.begin.numbers.called = tn("12025550111");
    }
    assert_eq!(c.decide().class, Some(EvidenceClass::E4));
}

#[test]
fn without_a_calling_number_only_a_lone_call_to_a_quiet_number_is_certain() {
    let mut c = case();
    c.request.call.calling = None;
    let o = c.certain();
    assert_eq!((o.class, o.automatic), (Some(EvidenceClass::E4), true));
    let mut busy = with(c.records.clone());
    busy.request.call.calling = None;
    busy.counted.rate_per_s = Some(0.1 / 240.0);
    assert_eq!(busy.decide().conditions, [Condition::WeakEvidence]);
    let mut two = with(c.records.clone());
    two.request.call.calling = None;
    let other = call(11, "south", "east", 100).from("13035550199");
    two.records.extend(other.records());
    assert!(!two.decide().automatic, "another's call in the window");
    c.settings.profile = Profile::Strict;
    let o = c.decide();
    assert_eq!(o.conditions, [Condition::WeakEvidence]);
    assert_eq!((o.automatic, o.named.as_deref()), (false, Some("north")));
}

#[test]
fn the_strict_threshold_is_obeyed() {
    // North failed on the way to the same downstream one second before: 1.5 % by the table.
    let mut records = call(1, "south", "east", -1).refused().records();
    records.extend(call(11, "north", "east", 0).records());
    let mut c = with(records);
    let p = c.decide().shares[0].1;
    c.settings.threshold = p - 1e-9;
    assert!(!c.decide().conditions.contains(&Condition::BelowThreshold));
    c.settings.threshold = p + 1e-9;
    c.refused(Condition::BelowThreshold);
}

#[test]
fn nothing_found_is_said_with_coverage_or_not_at_all() {
    let mut c = with(Vec::new());
    let o = c.decide();
    assert_eq!((o.resolution, o.automatic), (Resolution::NotFound, false));
    c.coverage.retain(|r| r.from != c.request.call.at.minute());
    assert_eq!(c.decide().resolution, Resolution::CaptureGap);
    c.counted.unread = Unread::Beyond;
    c.refused_only(Condition::TooBusy);
}

#[test]
fn what_could_not_be_read_whole_is_never_automatic() {
    let mut c = case();
    c.counted.unread = Unread::Main;
    c.refused_only(Condition::TooBusy);
    c.counted.unread = Unread::Beyond;
    c.certain();
}

#[test]
fn a_busy_number_needs_more_than_a_call_nearby() {
    let mut c = case();
    c.request.call.calling = None;
    c.counted.rate_per_s = Some(5.0);
    c.refused(Condition::NullTooLikely);
}

#[test]
fn less_coverage_means_more_doubt() {
    let mut c = case();
    let before = c.decide().null;
    c.coverage.retain(|r| r.from != c.request.call.at.minute());
    let after = c.decide().null;
    // A quarter of the window is gone; a fifth of all calls have a sibling.
    assert!(after > 0.04 && after > before, "{after}");
}

#[test]
fn scores_without_bound_do_not_break_the_arithmetic() {
    let mut c = case();
    c.settings.clock_peer_s = 0.0;
    c.request.call.precision_s = 0.0;
    for r in &mut c.records {
        r.begin.clock.error_ns = 0;
        r.begin.at = sample::T0;
    }
    assert!(c.certain().shares[0].1 <= 1.0);
    c.settings.threshold = f64::NAN;
    c.refused(Condition::BelowThreshold);
}
