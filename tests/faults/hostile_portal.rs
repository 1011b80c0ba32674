//! Portals that mean ill, or are broken: what they do costs them and nobody else, and what we owe them they get when they are well again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::house::House;
use crate::portal::Portal;
use crate::web::{Asked, Say, Server};

fn deep(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

/// Every vice that a server of HTTP can have.
fn vices() -> Vec<Portal> {
    vec![
        Portal::new("hangs", |_, _| Say::Hang),
        Portal::new("drips", |_, _| {
            let octets = [FINE, b"content-length: 9000\r\n\r\n", &[b' '; 9000]].concat();
            Say::Drip(octets, Duration::from_millis(50))
        }),
        Portal::new("fails", |_, n| {
            Say::Reply(500 + (n % 5) as u16, "{}".to_owned())
        }),
        Portal::new("closes", |_, _| Say::Close),
        Portal::new("babbles", |a, n| match (&*a.method, n % 3) {
            ("GET", 0) => Say::Reply(200, "{\"requests\":[{".to_owned()),
            ("GET", 1) => Say::Reply(200, "\u{0}\u{1}\u{7f}".to_owned()),
            _ => Say::Raw(b"\x00\xff\x80 no http\r\n\r\n".to_vec()),
        }),
        Portal::new("mistypes", |a, n| match (&*a.method, n % 4) {
            ("GET", 0) => Say::Reply(200, "{\"requests\":\"many\",\"cursor\":{}}".to_owned()),
            ("GET", 1) => Say::Reply(
                200,
                "{\"requests\":[7,null,\"x\",[],{\"id\":7}],\"events\":[7]}".to_owned(),
            ),
            ("GET", 2) => Say::Reply(200, "[]".to_owned()),
            _ => Say::Reply(999, "null".to_owned()),
        }),
        Portal::new("nests", |a, _| match &*a.method {
            "GET" => Say::Reply(
                200,
                format!(
                    "{{\"requests\":[{}],\"events\":[{}]}}",
                    deep(20_000),
                    deep(20_000)
                ),
            ),
            _ => Say::Reply(503, deep(20_000)),
        }),
        Portal::new("bloats", |a, _| match &*a.method {
            "GET" => Say::Reply(
                200,
                format!("{{\"requests\":[{{\"id\":\"{}\"}}]}}", "x".repeat(10 << 20)),
            ),
            _ => Say::Reply(503, "x".repeat(10 << 20)),
        }),
        Portal::new("goes-on", |_, _| {
            let begin = [FINE, b"transfer-encoding: chunked\r\n\r\n"].concat();
            Say::Endless(
                begin,
                [b"1000\r\n".as_slice(), &[b' '; 4096], b"\r\n"].concat(),
            )
        }),
        Portal::new("has-heads", |_, _| {
            Say::Endless(
                FINE.to_vec(),
                [b"x-more: ".as_slice(), &[b'a'; 4096], b"\r\n"].concat(),
            )
        }),
        Portal::new("has-nothing", |a, _| match &*a.method {
            "GET" => Say::Reply(200, "{\"requests\":[],\"events\":[]}".to_owned()),
            _ => Say::Reply(429, String::new()),
        }),
        Portal::new("floods", |a, n| match &*a.method {
            "GET" if a.path.ends_with("events") => Say::Reply(200, "{\"events\":[]}".to_owned()),
            "GET" => {
                let all = (0..2000).map(|i| format!("{{\"id\":\"F-{n}-{i}\",\"case_id\":\"C\"}}"));
                Say::Reply(
                    200,
                    format!("{{\"requests\":[{}]}}", all.collect::<Vec<_>>().join(",")),
                )
            }
            "POST" => Say::Reply(204, String::new()),
            _ => Say::Reply(503, String::new()),
        }),
    ]
}

#[test]
fn hostile_portals_cost_an_honest_one_nothing() {
    let trap = Arc::<AtomicUsize>::default();
    let sprung = trap.clone();
    let behind = Server::start(Arc::new(move |_: &Asked| {
        sprung.fetch_add(1, Ordering::Relaxed);
        Say::Reply(200, "{}".to_owned())
    }));
    static BEHIND: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    BEHIND.set(behind.url()).unwrap();
    let mut portals = vices();
    portals.push(Portal::new("moves", |a, n| {
        let (status, to) = ([301, 302, 307, 308][n % 4], BEHIND.get().unwrap());
        let head = format!(
            "HTTP/1.1 {status} x\r\nlocation: {to}{}\r\ncontent-length: 0\r\n\r\n",
            a.path
        );
        Say::Raw(head.into_bytes())
    }));
    let honest = Portal::new("honest", |_, _| Say::Close);
    honest.is_well(true);
    let mut lines: Vec<_> = portals.iter().map(Portal::lines).collect();
    // So that it could fill everything within a second.
    let floods = lines.iter_mut().find(|l| l.name == "floods").unwrap();
    floods.lines = format!("requests_per_minute = 120\n{}", floods.lines);
    lines.push(honest.lines());
    let house = House::new("", &lines);
    let mut daemon = house.start();
    house.is_up();
    let (before, files) = (daemon.rss(), daemon.threads_and_files());
    for portal in &portals {
        assert_eq!(house.created(portal.name, "OWED").code, 202);
    }
    let begun = Instant::now();
    let (mut times, mut most, mut n) = (Vec::new(), before, 0);
    while begun.elapsed() < Duration::from_secs(8) {
        n += 1;
        let id = format!("HR-{n}");
        assert_eq!(house.created("honest", &id).code, 202);
        let took = honest.wait_for(&id, 1, Duration::from_secs(10));
        times.push(took.unwrap_or_else(|| panic!("{id} is not answered\n{}", house.log())));
        most = most.max(daemon.rss());
        thread::sleep(Duration::from_millis(100));
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    println!(
        "{n} answers for the honest one: median {median:?}, longest {:?}",
        times.last().unwrap()
    );
    println!(
        "memory {before} KiB, {most} KiB at most; threads, files {files:?}, then {:?}",
        daemon.threads_and_files()
    );
    assert!(median < Duration::from_secs(1), "{times:?}");
    assert!(most - before < 64 << 10, "{before} to {most} KiB");
    let now = daemon.threads_and_files();
    assert!(
        now.0 < files.0 + 64 && now.1 < files.1 + 64,
        "{files:?}, then {now:?}"
    );
    for portal in &portals {
        let (polls, sent) = (
            portal.polls.load(Ordering::Relaxed),
            portal.server.sent.load(Ordering::Relaxed),
        );
        println!(
            "{}: asked {polls} times, {} KiB endlessly",
            portal.name,
            sent >> 10
        );
        assert!(
            polls > 0 && polls < 60,
            "{} was asked {polls} times",
            portal.name
        );
        assert_eq!(portal.answers("OWED"), 0);
    }
    assert_eq!(
        trap.load(Ordering::Relaxed),
        0,
        "a redirection was followed"
    );
    let flooded = house.metric("tracehop_responder_total{portal=\"floods\",what=\"received\"");
    assert!((1.0..160.0).contains(&flooded), "{flooded}");
    // What was owed all the while is brought once they are well.
    for portal in &portals {
        portal.is_well(true);
    }
    for portal in &portals {
        let patience = Duration::from_secs(60)
            .saturating_sub(begun.elapsed().saturating_sub(Duration::from_secs(8)));
        let took = portal.wait_for("OWED", 1, patience);
        assert!(
            took.is_some(),
            "{} never got its answer\n{}",
            portal.name,
            house.log()
        );
    }
    println!(
        "all are served {:?} after they began to be hostile",
        begun.elapsed()
    );
    for portal in portals.iter().chain([&honest]) {
        for (id, answers) in &*portal.brought.lock().unwrap() {
            let bodies = answers.values().map(BTreeSet::len).sum::<usize>();
            assert_eq!((answers.len(), bodies), (1, 1), "{} {id}", portal.name);
        }
    }
    // The end is not held up by those who hang.
    for portal in &portals {
        portal.is_well(false);
        house.created(portal.name, "LAST");
    }
    thread::sleep(Duration::from_millis(300));
    assert!(daemon.is_alive());
    let (took, in_order) = daemon.stop();
    println!("it ended within {took:?}");
    assert!(
        in_order && took < Duration::from_secs(10),
        "{took:?}\n{}",
        house.log()
    );
    assert!(!house.log().contains("panic"), "{}", house.log());
    house.audit_holds();
}
