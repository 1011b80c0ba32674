use super::*;
use proptest::prelude::*;

const URL: &str = "https://cert.example.net/sp.pem";

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + secs)
}

fn policy(edit: impl Fn(&mut Limits)) -> Policy {
    let mut limits = Limits::default();
    edit(&mut limits);
    Policy::new(limits, HostList::default())
}

fn refused(p: &mut Policy, url: &str, now: Timestamp) -> Option<Outcome> {
    match p.ask(url, now) {
        Ok(()) => None,
        Err(Refusal::Now(o) | Refusal::Failed { outcome: o, .. }) => Some(o),
    }
}

#[test]
fn n1_n2_what_x1_fails_is_never_asked() {
    let mut p = policy(|_| ());
    for bad in [
        "http://cert.example.net/sp.pem",
        "https://cert.example.net:8080/sp.pem",
        "https://me@cert.example.net/sp.pem",
        "https://cert.example.net/sp.pem?x",
        "https:///sp.pem",
        "",
    ] {
        assert_eq!(refused(&mut p, bad, at(0)), Some(Outcome::BadUrl), "{bad}");
    }
    let long = format!("https://{}.example/sp.pem", "a".repeat(260));
    assert_eq!(refused(&mut p, &long, at(0)), Some(Outcome::BadUrl));
    assert_eq!(p.poll_start(at(0)), None);
}

#[test]
fn places() {
    let of = |url| Place::of(url).map(|p| (p.host.to_string(), p.port, p.path.to_string()));
    let place = |h: &str, port, path: &str| Some((h.to_owned(), port, path.to_owned()));
    assert_eq!(of(URL), place("cert.example.net", 443, "/sp.pem"));
    assert_eq!(
        of("HTTPS://CERT.example:8443"),
        place("cert.example", 8443, "/")
    );
    assert_eq!(
        of("https://[2001:db8::1]:8443/a"),
        place("2001:db8::1", 8443, "/a")
    );
    assert_eq!(
        of("https://[2001:db8::1]/a"),
        place("2001:db8::1", 443, "/a")
    );
    for bad in [
        "https://[::1/a",
        "https://a:b/",
        "https://a:99999/",
        "https://[::1]x/",
    ] {
        assert_eq!(of(bad), None, "{bad}");
    }
}

#[test]
fn n9_a_failure_is_remembered_and_doubles() {
    let mut p = policy(|_| ());
    let (mut now, mut waits) = (at(0), Vec::new());
    for _ in 0..7 {
        assert_eq!(refused(&mut p, URL, now), None);
        assert_eq!(p.poll_start(now).as_deref(), Some(URL));
        let until = p.handle_end(URL, Outcome::Timeout, now).unwrap();
        let just_before = until.minus(Duration::from_millis(1));
        assert_eq!(refused(&mut p, URL, just_before), Some(Outcome::Timeout));
        waits.push(until.secs_since(now));
        now = until;
    }
    for (wait, minutes) in waits.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]) {
        assert!(
            (60.0 * minutes..=72.0 * minutes).contains(wait),
            "{waits:?}"
        );
    }
    // A success ends the row.
    assert_eq!(refused(&mut p, URL, now), None);
    p.poll_start(now).unwrap();
    assert_eq!(p.handle_end(URL, Outcome::Fetched, now), None);
    assert_eq!(refused(&mut p, URL, now), None);
    p.poll_start(now).unwrap();
    let until = p.handle_end(URL, Outcome::NoAddress, now).unwrap();
    assert!(until.secs_since(now) <= 72.0);
}

#[test]
fn n9_what_failed_together_is_not_asked_again_together() {
    let wait = Duration::from_secs(600);
    let spread: std::collections::BTreeSet<_> = (0..50)
        .map(|i| jittered(wait, &format!("https://cert.example.net/{i}.pem"), 1))
        .collect();
    assert!(spread.len() > 30);
    assert!(spread.iter().all(|d| (600..=720).contains(&d.as_secs())));
}

#[test]
fn n10_a_url_that_waits_or_is_under_way_is_not_taken_up_twice() {
    let mut p = policy(|_| ());
    for _ in 0..5 {
        assert_eq!(p.ask(URL, at(0)), Ok(()));
    }
    assert!(p.poll_start(at(0)).is_some());
    assert_eq!(p.ask(URL, at(1)), Ok(()));
    assert_eq!(
        (p.poll_start(at(0)), p.in_flight(), p.waiting()),
        (None, 1, 0)
    );
    p.handle_end(URL, Outcome::Fetched, at(2));
    assert_eq!((p.in_flight(), p.pending.len(), p.load.len()), (0, 0, 0));
}

#[test]
fn n10_caps_in_flight_and_per_host_and_a_slow_host_holds_nobody_up() {
    let mut p = policy(|l| l.in_flight = 3);
    for i in 0..10 {
        p.ask(&format!("https://slow.example/{i}.pem"), at(0))
            .unwrap();
    }
    p.ask("https://quick.example/a.pem", at(0)).unwrap();
    p.ask("https://third.example/a.pem", at(0)).unwrap();
    let started: Vec<_> = std::iter::from_fn(|| p.poll_start(at(0))).collect();
    let hosts: Vec<_> = started.iter().map(|u| &u[8..12]).collect();
    assert_eq!(hosts, ["slow", "slow", "quic"]);
    p.handle_end(&started[0], Outcome::NotFound, at(1));
    assert_eq!(
        p.poll_start(at(1)).as_deref(),
        Some("https://slow.example/2.pem")
    );
    assert_eq!(p.poll_start(at(1)), None);
}

#[test]
fn n10_the_queue_is_bounded_and_one_host_gets_its_share_only() {
    let mut p = policy(|l| (l.queue, l.queue_per_host) = (4, 3));
    let url = |host: &str, i: u32| format!("https://{host}.example/{i}.pem");
    for host in ["a", "b", "c"] {
        p.handle_proven(&format!("{host}.example"), at(0));
    }
    for i in 0..3 {
        assert_eq!(refused(&mut p, &url("a", i), at(0)), None);
    }
    assert_eq!(
        refused(&mut p, &url("a", 3), at(0)),
        Some(Outcome::QueueFull)
    );
    assert_eq!(refused(&mut p, &url("b", 0), at(0)), None);
    assert_eq!(
        refused(&mut p, &url("c", 0), at(0)),
        Some(Outcome::QueueFull)
    );
}

fn start(p: &mut Policy, now: Timestamp) -> Vec<String> {
    let started = std::iter::from_fn(|| p.poll_start(now));
    started.map(|u| u[8..].to_owned()).collect()
}

#[test]
fn n11_new_hosts_come_at_a_rate_and_known_ones_pass_them() {
    let mut p = policy(|l| {
        l.new_hosts = Rate {
            burst: 2,
            per_minute: 60,
        }
    });
    p.handle_proven("known.example", at(0));
    for host in ["a", "b", "c", "d", "known"] {
        p.ask(&format!("https://{host}.example/"), at(0)).unwrap();
    }
    assert_eq!(
        start(&mut p, at(0)),
        ["a.example/", "b.example/", "known.example/"]
    );
    assert_eq!(start(&mut p, at(1)), ["c.example/"]);
    assert_eq!(start(&mut p, at(1)), [""; 0]);
    assert_eq!(start(&mut p, at(2)), ["d.example/"]);
}

#[test]
fn n11_a_host_gets_few_requests_before_its_first_certificate_and_a_bounded_rate_after() {
    let mut p = policy(|l| {
        l.per_host = 10;
        l.unproven_urls = Rate {
            burst: 2,
            per_minute: 6,
        };
        l.host_urls = Rate {
            burst: 3,
            per_minute: 60,
        };
    });
    for i in 0..20 {
        p.ask(&format!("https://a.example/{i}"), at(0)).unwrap();
    }
    assert_eq!(start(&mut p, at(0)), ["a.example/0", "a.example/1"]);
    assert_eq!(start(&mut p, at(9)), [""; 0]);
    assert_eq!(start(&mut p, at(10)), ["a.example/2"]);
    p.handle_end("https://a.example/0", Outcome::Fetched, at(11));
    assert_eq!(start(&mut p, at(11)).len(), 3);
    assert_eq!(start(&mut p, at(12)).len(), 1);
}

#[test]
fn n11_made_up_hosts_leave_half_of_the_queue_to_known_ones() {
    let mut p = policy(|l| l.queue = 4);
    p.handle_proven("known.example", at(0));
    let url = |host: u32| format!("https://h{host}.example/");
    assert_eq!(refused(&mut p, &url(0), at(0)), None);
    assert_eq!(refused(&mut p, &url(1), at(0)), None);
    assert_eq!(refused(&mut p, &url(2), at(0)), Some(Outcome::NewHosts));
    assert_eq!(refused(&mut p, "https://known.example/", at(0)), None);
    start(&mut p, at(0));
    assert_eq!(refused(&mut p, &url(2), at(0)), None);
}

#[test]
fn n10_a_wish_is_let_go_after_half_a_minute_in_the_queue() {
    let mut p = policy(|l| {
        l.new_hosts = Rate {
            burst: 1,
            per_minute: 1,
        }
    });
    for (i, host) in ["a", "b", "c"].iter().enumerate() {
        p.ask(&format!("https://{host}.example/"), at(i as i64))
            .unwrap();
    }
    assert_eq!(start(&mut p, at(3)), ["a.example/"]);
    assert_eq!(p.poll_given_up(at(30)), None);
    assert_eq!(
        p.poll_given_up(at(31)).as_deref(),
        Some("https://b.example/")
    );
    assert_eq!(p.poll_given_up(at(31)), None);
    assert_eq!(
        (p.waiting(), p.unproven, p.pending.len(), p.load.len()),
        (1, 1, 2, 2)
    );
    assert_eq!(refused(&mut p, "https://b.example/", at(31)), None);
}

#[test]
fn n11_only_hosts_on_the_list() {
    let list = HostList(vec!["cert.example.net".into(), ".example.org".into()]);
    let mut p = Policy::new(Limits::default(), list);
    for good in ["https://CERT.example.net/a", "https://a.b.example.org/a"] {
        assert_eq!(refused(&mut p, good, at(0)), None, "{good}");
    }
    for bad in [
        "https://example.org/a",
        "https://evilexample.org/a",
        "https://x.cert.example.net/a",
        "https://cert.example.net.evil.example/a",
    ] {
        assert_eq!(
            refused(&mut p, bad, at(0)),
            Some(Outcome::HostNotListed),
            "{bad}"
        );
    }
}

#[test]
fn n11_a_flood_of_made_up_urls_costs_the_configured_requests_and_bounded_memory() {
    let mut p = policy(|_| ());
    let mut requests = 0;
    for i in 0..200_000i64 {
        let now = at(i / 1000);
        let _ = p.ask(&format!("https://h{i}.example/{i}.pem"), now);
        while let Some(url) = p.poll_start(now) {
            requests += 1;
            p.handle_end(&url, Outcome::NoAddress, now);
        }
    }
    // Two hundred seconds: the burst and one a second.
    assert!((490..=500).contains(&requests), "{requests}");
    assert!(p.remembered() <= 5_000, "{}", p.remembered());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is asked and however requests end: the caps hold, nothing is lost, and in the end nothing is pending.
    #[test]
    fn n10_caps_hold_in_any_order(steps in proptest::collection::vec((0u8..3, 0u8..6, 0u8..8, 0u8..3), 1..200)) {
        let mut p = policy(|l| (l.in_flight, l.queue, l.queue_per_host) = (4, 6, 4));
        let mut running: Vec<Arc<str>> = Vec::new();
        let (mut taken, mut ended) = (0, 0);
        let mut now = at(0);
        for (what, host, path, end) in steps {
            now = now.plus(Duration::from_secs(7));
            match what {
                0 | 1 => {
                    let before = p.pending.len();
                    let _ = p.ask(&format!("https://h{host}.example/{path}"), now);
                    taken += p.pending.len() - before;
                }
                _ => if let Some(url) = running.pop() {
                    p.handle_end(&url, [Outcome::Fetched, Outcome::Timeout, Outcome::NotFound][usize::from(end)], now);
                    ended += 1;
                }
            }
            running.extend(std::iter::from_fn(|| p.poll_start(now)));
            prop_assert_eq!(p.in_flight(), running.len());
            prop_assert!(p.in_flight() <= 4 && p.waiting() <= 6);
            prop_assert!(p.load.values().all(|l| l.in_flight <= 2 && l.waiting <= 4));
        }
        for _ in 0..100 {
            now = now.plus(Duration::from_secs(60));
            running.extend(std::iter::from_fn(|| p.poll_start(now)));
            for url in running.drain(..) {
                p.handle_end(&url, Outcome::Fetched, now);
                ended += 1;
            }
        }
        prop_assert_eq!(taken, ended);
        prop_assert_eq!((p.pending.len(), p.load.len(), p.in_flight()), (0, 0, 0));
    }
}
