use super::*;
use crate::stir::credential::testpki as pki;

const URL: &str = "https://cert.example.net/sp.pem";

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(pki::NOW + secs)
}

fn body(spc: &str, keeping: Keeping) -> (Body, Arc<Credential>) {
    body_until(spc, keeping, pki::TO)
}

fn body_until(spc: &str, keeping: Keeping, to: i64) -> (Body, Arc<Credential>) {
    let leaf = pki::leaf(&pki::root(), spc).valid(pki::FROM, to);
    let bytes: Arc<[u8]> = pki::pem(&[&leaf.build()]).into();
    let credential = Arc::new(Credential::prepare(&bytes, &TrustStore::default()));
    (Body { bytes, keeping }, credential)
}

fn max_age(secs: u64) -> Keeping {
    Keeping {
        max_age: Some(Duration::from_secs(secs)),
        ..Keeping::default()
    }
}

fn cache() -> Cache {
    Cache::new(CacheLimits::default(), false)
}

fn put(c: &mut Cache, (body, credential): &(Body, Arc<Credential>), now: Timestamp) -> Put {
    c.handle_body(URL, body, credential.clone(), None, now)
}

#[test]
fn n8_what_servers_say_about_keeping() {
    let of = |lines: &[&str]| Keeping::parse(lines, None, None);
    assert_eq!(of(&["public, Max-Age=172800"]), max_age(172_800));
    assert_eq!(of(&["max-age=10", "max-age=\"5\""]), max_age(5));
    assert_eq!(of(&["no-cache"]), max_age(0));
    assert!(of(&["private, NO-STORE, max-age=9"]).no_store);
    assert_eq!(
        of(&["max-age=-1", "max-age=", "foo", ",,="]),
        Keeping::default()
    );
    let (date, end) = (
        "Mon, 01 Jun 2026 12:00:00 GMT",
        "Mon, 01 Jun 2026 13:00:00 GMT",
    );
    assert_eq!(Keeping::parse(&[], Some(end), Some(date)), max_age(3600));
    assert_eq!(Keeping::parse(&[], Some(date), Some(end)), max_age(0));
    assert_eq!(Keeping::parse(&[], Some("0"), Some(date)), max_age(0));
    assert_eq!(
        Keeping::parse(&["max-age=7"], Some(end), Some(date)),
        max_age(7)
    );
}

#[test]
fn n8_a_day_at_least_a_week_at_most_and_never_beyond_its_end() {
    let until = |keeping, to: i64| {
        let b = body_until("709J", keeping, to);
        put(&mut cache(), &b, at(0)).fresh_until.secs() - pki::NOW
    };
    assert_eq!(until(Keeping::default(), pki::TO), 86_400);
    assert_eq!(until(max_age(60), pki::TO), 86_400);
    assert_eq!(until(max_age(100_000), pki::TO), 100_000);
    assert_eq!(until(max_age(u64::MAX), pki::TO), 7 * 86_400);
    assert_eq!(until(max_age(100_000), pki::NOW + 500), 500);
}

#[test]
fn n8_no_store_and_one_that_has_ended_are_for_the_calls_in_hand() {
    let no_store = Keeping {
        no_store: true,
        ..max_age(100_000)
    };
    let ended = body_until("709J", Keeping::default(), pki::NOW - 1);
    for (b, keep) in [(body("709J", no_store), false), (ended, true)] {
        let mut c = cache();
        assert_eq!(put(&mut c, &b, at(0)).keep, keep);
        assert!(c.is_at_hand(URL, at(59)) && !c.is_at_hand(URL, at(60)));
        assert!(!c.handle_failure(URL, at(500), at(60)), "not used on");
        c.handle_timeout(at(61));
        assert!(c.is_empty() && c.octets() == 0);
    }
}

#[test]
fn n13_used_on_when_its_server_fails_until_it_ends() {
    let mut c = cache();
    put(
        &mut c,
        &body_until("709J", Keeping::default(), pki::NOW + 100_000),
        at(0),
    );
    assert!(!c.is_at_hand(URL, at(86_400)));
    c.handle_timeout(at(86_400));
    assert!(c.handle_failure(URL, at(86_500), at(86_400)));
    assert!(c.is_at_hand(URL, at(86_499)) && !c.is_at_hand(URL, at(86_500)));
    assert!(c.handle_failure(URL, at(200_000), at(99_999)));
    assert!(!c.is_at_hand(URL, at(100_000)));
    assert!(!c.handle_failure(URL, at(200_000), at(100_000)));
    c.handle_timeout(at(100_001));
    assert!(c.is_empty());
}

#[test]
fn n13_one_in_use_is_refreshed_at_eight_tenths_of_its_time() {
    let mut c = cache();
    put(&mut c, &body("709J", Keeping::default()), at(0));
    let mut seen = Credentials::default();
    c.show(&mut seen, at(0));
    assert_eq!(
        c.handle_timeout(at(70_000)),
        Vec::<Box<str>>::new(),
        "not in use"
    );
    assert!(seen.get(URL).is_some());
    assert_eq!(
        c.handle_timeout(at(69_119)),
        Vec::<Box<str>>::new(),
        "not yet"
    );
    assert_eq!(c.handle_timeout(at(69_120)), [URL.into()]);
    assert_eq!(
        c.handle_timeout(at(69_119 + 3_600)),
        Vec::<Box<str>>::new(),
        "used an hour ago"
    );
}

#[test]
fn n12_a_certificate_is_doubted_after_a_minute_and_once_a_minute() {
    let mut c = cache();
    put(&mut c, &body("709J", Keeping::default()), at(0));
    assert!(!c.is_doubtful(URL, at(60)) && c.is_doubtful(URL, at(61)));
    c.handle_failure(URL, at(200), at(61));
    assert!(!c.is_doubtful(URL, at(121)) && c.is_doubtful(URL, at(122)));
    let again = put(&mut c, &body("709J", Keeping::default()), at(130));
    assert!(again.confirmed && !again.renewed);
    let other = put(&mut c, &body("710J", Keeping::default()), at(140));
    assert!(other.renewed && !other.confirmed);
    assert!(!c.is_doubtful("https://other.example/", at(1_000)));
}

#[test]
fn n14_offline_shows_what_ran_out() {
    let mut c = Cache::new(CacheLimits::default(), true);
    let (b, credential) = body("709J", Keeping::default());
    c.handle_kept(URL, b.bytes, credential, at(-9_000_000), at(-8_000_000));
    c.handle_timeout(at(0));
    assert!(c.is_at_hand(URL, at(0)));
    let mut seen = Credentials::default();
    c.show(&mut seen, at(0));
    assert!(seen.is_fetched(URL));
}

#[test]
fn it_is_bounded_and_the_one_used_least_lately_leaves() {
    let limits = CacheLimits {
        entries: 2,
        octets: 1 << 20,
        ..CacheLimits::default()
    };
    let mut c = Cache::new(limits, false);
    let (b, credential) = body("709J", Keeping::default());
    for (i, url) in [
        "https://a.example/",
        "https://b.example/",
        "https://c.example/",
    ]
    .iter()
    .enumerate()
    {
        c.handle_body(url, &b, credential.clone(), None, at(i as i64));
    }
    assert!(
        !c.is_at_hand("https://a.example/", at(3)) && c.is_at_hand("https://c.example/", at(3))
    );
    assert_eq!((c.len(), c.octets()), (2, 2 * b.bytes.len()));
    let mut c = Cache::new(
        CacheLimits {
            entries: 9,
            octets: b.bytes.len(),
            ..CacheLimits::default()
        },
        false,
    );
    for url in ["https://a.example/", "https://b.example/"] {
        c.handle_body(url, &b, credential.clone(), None, at(0));
    }
    assert_eq!(c.len(), 1);
}
