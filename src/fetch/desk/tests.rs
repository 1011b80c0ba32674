use std::time::Duration;

use super::*;
use crate::base::digest::Digest128;
use crate::fetch::cache::{CacheLimits, Keeping};
use crate::fetch::policy::{HostList, Limits};
use crate::stir::credential::testpki as pki;

const URL: &str = "https://cert.example.net/sp.pem";

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(pki::NOW + secs)
}

fn desk_with(base: Credentials, offline: bool) -> Desk {
    let trust = TrustStore::new(vec![pki::root().certificate()], None);
    Desk::new(
        Policy::new(Limits::default(), HostList::default()),
        Cache::new(CacheLimits::default(), offline),
        Arc::new(trust),
        base,
        offline,
    )
}

fn desk() -> Desk {
    desk_with(Credentials::default(), false)
}

fn body(spc: &str) -> Body {
    Body {
        bytes: pki::pem(&[&pki::leaf(&pki::root(), spc).build()]).into(),
        keeping: Keeping::default(),
    }
}

fn missing() -> Want {
    Want::Missing(URL.into())
}

/// Of a call that was judged by this provider's certificate.
fn doubted(spc: &str) -> Want {
    Want::Doubted(URL.into(), Digest128::of(&body(spc).bytes))
}

/// What was answered, and under which code of a provider judges find the URL now.
fn state(d: &mut Desk, now: Timestamp) -> (Vec<Answer>, Option<String>) {
    // As the thread does: published before answered.
    d.changed = true;
    let shown = d.poll_credentials(now).unwrap();
    let spc = shown.get(URL).map(|c| c.spc().unwrap_or("?").to_owned());
    (
        std::iter::from_fn(|| d.poll_answer())
            .map(|(_, a)| a)
            .collect(),
        spc,
    )
}

fn started(d: &mut Desk, now: Timestamp) -> usize {
    std::iter::from_fn(|| d.poll_start(now)).count()
}

fn fetched(d: &mut Desk, spc: &str, now: Timestamp) {
    d.handle_want(&missing(), now);
    assert_eq!(started(d, now), 1);
    d.handle_end(URL, Ok(body(spc)), now);
}

const NOTHING: Answer = Answer::Nothing(Why::Unreachable);

#[test]
fn n10_one_request_however_many_ask_and_one_answer() {
    let mut d = desk();
    for _ in 0..1_000 {
        d.handle_want(&missing(), at(0));
    }
    assert_eq!(started(&mut d, at(0)), 1);
    assert_eq!(state(&mut d, at(0)), (vec![], None));
    d.handle_end(URL, Ok(body("709J")), at(1));
    assert_eq!(
        state(&mut d, at(1)),
        (vec![Answer::News], Some("709J".into()))
    );
    d.handle_want(&missing(), at(2));
    assert_eq!(
        (started(&mut d, at(2)), d.report().of(Outcome::AtHand)),
        (0, 1)
    );
    assert_eq!(state(&mut d, at(2)).0, [Answer::News]);
    assert!(d.poll_kept().is_some_and(|k| &*k.url == URL));
}

#[test]
fn n9_what_failed_is_answered_at_once_until_its_time_is_over() {
    let mut d = desk();
    d.handle_want(&missing(), at(0));
    started(&mut d, at(0));
    d.handle_end(URL, Err(Outcome::Timeout), at(5));
    assert_eq!(state(&mut d, at(5)), (vec![NOTHING], None));
    d.handle_want(&missing(), at(60));
    assert_eq!(
        (started(&mut d, at(60)), state(&mut d, at(60)).0),
        (0, vec![NOTHING])
    );
    d.handle_want(&missing(), at(80));
    assert_eq!(started(&mut d, at(80)), 1);
    assert_eq!(
        (
            d.report().of(Outcome::Timeout),
            d.report().of(Outcome::KnownFailure)
        ),
        (1, 1)
    );
}

#[test]
fn n7_what_cannot_be_read_is_not_kept_and_fails_x3_for_ten_minutes() {
    let mut d = desk();
    d.handle_want(&missing(), at(0));
    started(&mut d, at(0));
    let html = Body {
        bytes: b"<html>".to_vec().into(),
        keeping: Keeping::default(),
    };
    d.handle_end(URL, Ok(html.clone()), at(0));
    assert_eq!(
        state(&mut d, at(599)),
        (vec![Answer::News], Some("?".into()))
    );
    assert!(d.poll_kept().is_none());
    d.handle_timeout(at(721));
    d.handle_want(&missing(), at(721));
    assert_eq!(started(&mut d, at(721)), 1);
    d.handle_end(URL, Ok(body("709J")), at(722));
    assert_eq!(state(&mut d, at(722)).1, Some("709J".into()));
    // And it never takes the place of one that can be read.
    d.handle_want(&doubted("709J"), at(800));
    assert_eq!(started(&mut d, at(800)), 1);
    d.handle_end(URL, Ok(html), at(801));
    assert_eq!(state(&mut d, at(801)).1, Some("709J".into()));
    assert_eq!(d.report().of(Outcome::NoCertificate), 2);
}

#[test]
fn x3_intermediates_stay_with_their_leaf() {
    let ca = pki::intermediate(&pki::root(), "Example Issuing CA", 3);
    let bundle = pki::pem(&[&pki::leaf(&ca, "709J").build(), &ca.der]);
    let mut d = desk();
    d.handle_want(&missing(), at(0));
    started(&mut d, at(0));
    let keeping = Keeping::default();
    d.handle_end(
        URL,
        Ok(Body {
            bytes: bundle.into(),
            keeping,
        }),
        at(0),
    );
    let has_path = |d: &mut Desk, now| {
        d.changed = true;
        let shown = d.poll_credentials(now).unwrap();
        shown.get(URL).is_some_and(|c| c.path_count() > 0)
    };
    assert!(has_path(&mut d, at(0)));
    // The second call, the disk, other trust.
    assert!(has_path(&mut d, at(1)));
    let kept = d.poll_kept().unwrap();
    let mut after = desk();
    after.handle_kept(kept, at(2));
    assert!(has_path(&mut after, at(2)));
    after.handle_trust(Arc::new(TrustStore::default()));
    assert!(!has_path(&mut after, at(2)));
    after.handle_trust(Arc::new(TrustStore::new(
        vec![pki::root().certificate()],
        None,
    )));
    assert!(has_path(&mut after, at(2)));
}

#[test]
fn n12_a_doubted_certificate_is_asked_for_once_a_minute() {
    let mut d = desk();
    fetched(&mut d, "709J", at(0));
    state(&mut d, at(0));
    d.handle_want(&doubted("709J"), at(59));
    assert_eq!(
        (started(&mut d, at(59)), state(&mut d, at(59)).0),
        (0, vec![Answer::Same])
    );
    d.handle_want(&doubted("709J"), at(61));
    assert_eq!(started(&mut d, at(61)), 1);
    d.handle_end(URL, Ok(body("709J")), at(62));
    assert_eq!(
        state(&mut d, at(62)).0,
        [Answer::Same],
        "the same certificate"
    );
    d.handle_want(&doubted("709J"), at(100));
    assert_eq!(started(&mut d, at(100)), 0);
    d.handle_want(&doubted("709J"), at(130));
    assert_eq!(started(&mut d, at(130)), 1);
    d.handle_end(URL, Ok(body("710J")), at(131));
    let last = state(&mut d, at(131));
    assert_eq!(last.0.last(), Some(&Answer::News));
    assert_eq!(last.1, Some("710J".into()));
    assert_eq!(
        (
            d.report().of(Outcome::Confirmed),
            d.report().of(Outcome::Renewed)
        ),
        (1, 1)
    );
}

#[test]
fn n12_a_call_judged_just_before_the_renewal_is_judged_again_without_a_request() {
    let mut d = desk();
    fetched(&mut d, "709J", at(0));
    d.handle_want(&doubted("709J"), at(100));
    started(&mut d, at(100));
    d.handle_end(URL, Ok(body("710J")), at(101));
    state(&mut d, at(101));
    d.handle_want(&doubted("709J"), at(101));
    assert_eq!(started(&mut d, at(101)), 0);
    assert_eq!(state(&mut d, at(101)).0, [Answer::News]);
    d.handle_want(&doubted("710J"), at(101));
    assert_eq!(state(&mut d, at(101)).0, [Answer::Same]);
}

#[test]
fn n12_in_vain_the_one_at_hand_decides() {
    let mut d = desk();
    fetched(&mut d, "709J", at(0));
    state(&mut d, at(0));
    d.handle_want(&doubted("709J"), at(100));
    started(&mut d, at(100));
    d.handle_end(URL, Err(Outcome::Status), at(101));
    assert_eq!(
        state(&mut d, at(101)),
        (vec![Answer::Same], Some("709J".into()))
    );
}

#[test]
fn n13_stale_if_error_and_refresh_before_the_end() {
    let mut d = desk();
    fetched(&mut d, "709J", at(0));
    state(&mut d, at(70_000));
    d.handle_timeout(at(70_000));
    assert_eq!((started(&mut d, at(70_000)), d.report().refreshes), (1, 1));
    d.handle_end(URL, Err(Outcome::NoConnection), at(70_001));
    // It ran out, and its server is away: it is used on.
    d.handle_want(&missing(), at(86_400));
    assert_eq!(started(&mut d, at(86_400)), 1);
    d.handle_end(URL, Err(Outcome::NoConnection), at(86_401));
    assert_eq!(
        state(&mut d, at(86_402)),
        (vec![Answer::News], Some("709J".into()))
    );
}

#[test]
fn judges_lose_a_certificate_when_its_time_is_over() {
    let mut d = desk();
    fetched(&mut d, "709J", at(0));
    assert!(d.poll_credentials(at(0)).is_some_and(|c| c.contains(URL)));
    d.handle_timeout(at(86_399));
    assert!(
        d.poll_credentials(at(86_399)).is_none(),
        "nothing has changed"
    );
    d.handle_timeout(at(86_400));
    assert!(
        d.poll_credentials(at(86_400))
            .is_some_and(|c| !c.contains(URL))
    );
}

#[test]
fn n14_offline_asks_nobody_and_uses_what_is_there() {
    let mut d = desk_with(Credentials::default(), true);
    d.handle_want(&missing(), at(0));
    assert_eq!(
        (started(&mut d, at(0)), state(&mut d, at(0)).0),
        (0, vec![Answer::Nothing(Why::Offline)])
    );
    d.handle_kept(
        Kept {
            url: URL.into(),
            bytes: body("709J").bytes.to_vec(),
            since: at(-9_000_000),
            fresh_until: at(-8_000_000),
        },
        at(0),
    );
    d.handle_want(&missing(), at(0));
    assert_eq!(
        state(&mut d, at(0)),
        (vec![Answer::News], Some("709J".into()))
    );
}

#[test]
fn n14_the_directory_comes_first_and_is_never_asked_for() {
    let mut base = Credentials::default();
    let trust = TrustStore::default();
    base.insert(
        URL,
        Arc::new(Credential::prepare(&body("710J").bytes, &trust)),
    );
    let mut d = desk_with(base, false);
    d.handle_want(&missing(), at(0));
    d.handle_want(&doubted("709J"), at(1_000));
    assert_eq!(started(&mut d, at(1_000)), 0);
    assert_eq!(state(&mut d, at(0)).1, Some("710J".into()));
}

#[test]
fn n11_a_flood_of_made_up_urls_leaves_nothing_behind() {
    let mut d = desk();
    let mut started = 0;
    for i in 0..100_000i64 {
        let now = at(i / 1_000);
        d.handle_want(
            &Want::Missing(format!("https://h{i}.example/{i}.pem").into()),
            now,
        );
        while let Some(url) = d.poll_start(now) {
            started += 1;
            d.handle_end(&url, Err(Outcome::NoAddress), now);
        }
        if i % 1_000 == 0 {
            d.handle_timeout(now);
            while d.poll_answer().is_some() {}
        }
        assert!(d.remembered() < 8_000, "{}", d.remembered());
    }
    assert!((390..=400).contains(&started), "{started}");
    let later = at(100).plus(Duration::from_secs(31));
    d.handle_timeout(later);
    let answered: u64 = d.report().outcomes.iter().sum();
    assert_eq!(answered, 100_000, "every wish has one outcome");
}

#[test]
#[ignore = "a measurement"]
fn cost_of_a_million_made_up_urls() {
    let mut d = desk();
    let urls: Vec<Want> = (0..1_000_000)
        .map(|i| Want::Missing(format!("https://h{i}.example/{i}.pem").into()))
        .collect();
    let (began, mut requests, mut most) = (std::time::Instant::now(), 0, 0);
    for (i, want) in urls.iter().enumerate() {
        // A hundred thousand a second.
        let now = at(0).plus(Duration::from_micros(10 * i as u64));
        d.handle_want(want, now);
        while let Some(url) = d.poll_start(now) {
            requests += 1;
            d.handle_end(&url, Err(Outcome::NoAddress), now);
        }
        while d.poll_answer().is_some() {}
        most = most.max(d.remembered());
    }
    println!(
        "{} ns a wish, {requests} requests, {most} entries at most",
        began.elapsed().as_nanos() / 1_000_000
    );
}
