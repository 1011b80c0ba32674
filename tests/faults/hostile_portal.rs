//! Portals that mean ill, or are broken: what they do costs them and nobody else, and what we owe them they get when they are well again.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::house::{House, PortalLines, token};
use crate::web::{self, Asked, Reply, Say, Server};

/// What a portal was brought: bodies by request and answer id.
type Brought = Mutex<BTreeMap<String, BTreeMap<String, BTreeSet<String>>>>;

/// A portal with a vice, which may be well for a while.
struct Portal {
    name: &'static str,
    server: Server,
    well: Arc<AtomicBool>,
    polls: Arc<AtomicUsize>,
    brought: Arc<Brought>,
}

impl Portal {
    /// `vice` sees how many times it was asked before.
    fn new(name: &'static str, vice: fn(&Asked, usize) -> Say) -> Self {
        let (well, polls) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let brought = Arc::<Brought>::default();
        let (w, p, b) = (well.clone(), polls.clone(), brought.clone());
        let server = Server::start(Arc::new(move |asked: &Asked| {
            let n = match &*asked.method {
                "GET" => p.fetch_add(1, Ordering::Relaxed),
                _ => 0,
            };
            if asked.authorization != Some(format!("Bearer {}", token(name))) {
                return Say::Reply(401, String::new());
            }
            match w.load(Ordering::Relaxed) {
                true => good(asked, &b),
                false => vice(asked, n),
            }
        }));
        Self {
            name,
            server,
            well,
            polls,
            brought,
        }
    }

    fn lines(&self) -> PortalLines {
        PortalLines::asked(self.name, &self.server.url())
    }

    /// Answers to a request so far.
    fn answers(&self, id: &str) -> usize {
        self.brought
            .lock()
            .unwrap()
            .get(id)
            .map_or(0, BTreeMap::len)
    }

    fn wait_for(&self, id: &str, answers: usize, patience: Duration) -> Option<Duration> {
        let begun = Instant::now();
        while self.answers(id) < answers {
            if begun.elapsed() > patience {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Some(begun.elapsed())
    }

    /// Id of the only answer, or the last one of several.
    fn answer_ids(&self, id: &str) -> Vec<String> {
        let brought = self.brought.lock().unwrap();
        brought
            .get(id)
            .into_iter()
            .flat_map(|a| a.keys().cloned())
            .collect()
    }
}

/// What a portal that is well does; it has nothing to ask.
fn good(asked: &Asked, brought: &Brought) -> Say {
    let parts: Vec<&str> = asked.path.split('/').skip(2).collect();
    match (&*asked.method, &*parts) {
        ("GET", ["providers", _, list]) => {
            thread::sleep(Duration::from_millis(500));
            let list = if *list == "events" {
                "events"
            } else {
                "requests"
            };
            Say::Reply(200, format!("{{\"{list}\":[]}}"))
        }
        ("PUT", ["hop-requests", id, "answers", answer]) => {
            let mut brought = brought.lock().unwrap();
            let of = brought.entry((*id).to_owned()).or_default();
            let body = String::from_utf8(asked.body.clone()).unwrap();
            of.entry((*answer).to_owned()).or_default().insert(body);
            Say::Reply(200, String::new())
        }
        _ => Say::Reply(204, String::new()),
    }
}

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

fn created(house: &House, portal: &str, id: &str) -> Reply {
    let body = house.request(id, &format!("CASE-{id}"));
    house
        .push(portal, "hop_request.created", &body)
        .unwrap_or_else(|| panic!("{}", house.log()))
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
    honest.well.store(true, Ordering::Relaxed);
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
        assert_eq!(created(&house, portal.name, "OWED").code, 202);
    }
    let begun = Instant::now();
    let (mut times, mut most, mut n) = (Vec::new(), before, 0);
    while begun.elapsed() < Duration::from_secs(8) {
        n += 1;
        let id = format!("HR-{n}");
        assert_eq!(created(&house, "honest", &id).code, 202);
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
        portal.well.store(true, Ordering::Relaxed);
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
        portal.well.store(false, Ordering::Relaxed);
        created(&house, portal.name, "LAST");
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

/// Where a request stands, as one of this house sees it.
fn state(house: &House, id: &str) -> String {
    let headers = format!("Authorization: Bearer {}\r\n", token("alice"));
    let ask = web::request("GET", &format!("/v1/hop-requests/{id}"), &headers, "");
    let reply = web::exchange(house.api, ask.as_bytes()).unwrap();
    let line: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    line["state"].as_str().unwrap_or("unknown").to_owned()
}

fn until(house: &House, id: &str, wanted: &str) {
    let begun = Instant::now();
    while state(house, id) != wanted {
        let found = state(house, id);
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{id} is {found}, not {wanted}\n{}",
            house.log()
        );
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_portal_that_changes_its_mind_is_followed_so_far_and_no_further() {
    let portal = Portal::new("portal", |_, _| Say::Close);
    portal.well.store(true, Ordering::Relaxed);
    let house = House::new("", &[portal.lines()]);
    let mut daemon = house.start();
    house.is_up();
    let word =
        |kind: &str, data: Value| house.push("portal", kind, &data.to_string()).unwrap().code;
    let clarify = |id: &str, n| {
        house
            .push(
                "portal",
                "hop_request.clarified",
                &house.clarified(id, "CASE-1", n),
            )
            .unwrap()
    };
    let soon = Duration::from_secs(20);

    // Answered, accepted, asked otherwise, answered anew.
    assert_eq!(created(&house, "portal", "HR-1").code, 202);
    assert!(
        portal.wait_for("HR-1", 1, soon).is_some(),
        "{}",
        house.log()
    );
    let first = portal.answer_ids("HR-1").remove(0);
    assert_eq!(
        word(
            "answer.accepted",
            json!({ "request_id": "HR-1", "answer_id": first })
        ),
        204
    );
    until(&house, "HR-1", "accepted");
    assert_eq!(clarify("HR-1", 0).code, 202);
    assert!(
        portal.wait_for("HR-1", 2, soon).is_some(),
        "{}",
        house.log()
    );
    // A word about the first answer, which was replaced, moves nothing.
    until(&house, "HR-1", "sent");
    assert_eq!(
        word(
            "answer.accepted",
            json!({ "request_id": "HR-1", "answer_id": first })
        ),
        204
    );
    assert_eq!(state(&house, "HR-1"), "sent");
    // Taken back before it is answered, and asked again.
    assert_eq!(
        word("hop_request.withdrawn", json!({ "request_id": "HR-1" })),
        204
    );
    until(&house, "HR-1", "withdrawn");
    assert_eq!(clarify("HR-1", 0).code, 202);
    assert!(
        portal.wait_for("HR-1", 3, soon).is_some(),
        "{}",
        house.log()
    );
    // Disputed: nothing about that neighbour leaves by itself any more.
    until(&house, "HR-1", "sent");
    let all = portal.answer_ids("HR-1");
    let last = all.iter().find(|a| {
        house
            .open(only_body(&portal, "HR-1", a).as_bytes())
            .revision
            == 3
    });
    let disputed = json!({ "request_id": "HR-1", "answer_id": last.unwrap(), "reason": "not us" });
    assert_eq!(word("answer.disputed", disputed), 204);
    until(&house, "HR-1", "disputed");
    assert_eq!(created(&house, "portal", "HR-2").code, 202);
    until(&house, "HR-2", "review");
    // Words about what never was.
    for kind in [
        "hop_request.withdrawn",
        "hop_request.reminder",
        "answer.accepted",
        "answer.disputed",
    ] {
        assert_eq!(
            word(kind, json!({ "request_id": "HR-99", "answer_id": "A-1" })),
            204,
            "{kind}"
        );
    }
    assert_eq!(word("case.closed", json!({ "case_id": "CASE-99" })), 204);
    assert_eq!(word("portal.exploded", json!([])), 204);
    assert_eq!(word("answer.accepted", json!({})), 400);

    // Round and round.
    let (mut taken, mut turned_down) = (0, 0);
    for n in 0..700 {
        let reply = match n % 3 {
            0 => house
                .push(
                    "portal",
                    "hop_request.withdrawn",
                    "{\"request_id\":\"HR-3\"}",
                )
                .unwrap(),
            1 => house
                .push(
                    "portal",
                    "hop_request.reminder",
                    "{\"request_id\":\"HR-3\"}",
                )
                .unwrap(),
            _ => clarify("HR-3", n),
        };
        match reply.code {
            202 => taken += 1,
            204 => {}
            409 => {
                turned_down += 1;
                assert!(reply.body.contains("changed more often"), "{reply:?}");
            }
            _ => panic!("{reply:?}"),
        }
    }
    println!("{taken} changes taken, {turned_down} turned down");
    assert!(taken >= 64 && turned_down >= 50, "{taken}, {turned_down}");
    // The case is over, and it stays so.
    assert_eq!(word("case.closed", json!({ "case_id": "CASE-1" })), 204);
    until(&house, "HR-1", "closed");
    assert_eq!(clarify("HR-1", 9).code, 409);
    assert!(daemon.is_alive());
    assert_eq!(portal.answers("HR-1"), 3);
    let (_, in_order) = daemon.stop();
    assert!(in_order, "{}", house.log());
    let lines = house.audit_holds();
    println!("the audit log has {lines} lines");
    assert!(lines < 1_200, "{lines}");
}

fn only_body(portal: &Portal, id: &str, answer: &str) -> String {
    let brought = portal.brought.lock().unwrap();
    brought[id][answer].first().unwrap().clone()
}

/// As many as the requirement says; `TRACEHOP_REQUESTS` sets another number.
const REQUESTS: usize = 100_000;

#[test]
fn a_hundred_thousand_requests_are_each_taken_or_refused_with_a_reason() {
    const THREADS: usize = 8;
    let all = env::var("TRACEHOP_REQUESTS")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(REQUESTS);
    let honest = Portal::new("honest", |_, _| Say::Close);
    honest.well.store(true, Ordering::Relaxed);
    let mut flood = PortalLines::pushes("flood");
    // More than its room, so that both bounds are met.
    flood.lines = "requests_per_minute = 2000\n".to_owned();
    let house = House::new("open_requests = 1000\n", &[flood, honest.lines()]);
    let mut daemon = house.start();
    house.is_up();
    let before = daemon.rss();
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let (codes, honest_times, most) = thread::scope(|scope| {
        let (house, next) = (&house, &next);
        let senders: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(move || {
                    let mut codes = BTreeMap::<u16, usize>::new();
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= all {
                            return codes;
                        }
                        let reply = created(house, "flood", &format!("F-{n}"));
                        if reply.code != 202 {
                            assert!(
                                reply.head.contains("retry-after: ")
                                    && reply.body.contains("\"detail\""),
                                "{reply:?}"
                            );
                        }
                        *codes.entry(reply.code).or_default() += 1;
                    }
                })
            })
            .collect();
        let (mut times, mut most, mut n) = (Vec::new(), before, 0);
        while !senders.iter().all(thread::ScopedJoinHandle::is_finished) {
            n += 1;
            let id = format!("HR-{n}");
            let asked = Instant::now();
            assert_eq!(created(house, "honest", &id).code, 202);
            let took = honest.wait_for(&id, 1, Duration::from_secs(60));
            assert!(took.is_some(), "{id} is not answered\n{}", house.log());
            times.push(asked.elapsed());
            most = most.max(daemon.rss());
            thread::sleep(Duration::from_millis(500));
        }
        let mut codes = BTreeMap::<u16, usize>::new();
        for (code, n) in senders.into_iter().flat_map(|s| s.join().unwrap()) {
            *codes.entry(code).or_default() += n;
        }
        times.sort_unstable();
        (codes, times, most)
    });
    let took = begun.elapsed();
    println!("{all} requests in {took:?}: {codes:?}; memory {before} KiB, {most} KiB at most");
    println!(
        "{} honest ones meanwhile: median {:?}, longest {:?}",
        honest_times.len(),
        honest_times[honest_times.len() / 2],
        honest_times.last().unwrap()
    );
    assert_eq!(codes.values().sum::<usize>(), all);
    assert!(
        codes.keys().all(|c| [202, 429, 503].contains(c)),
        "{codes:?}"
    );
    assert_eq!(codes[&202], 500.min(all), "its half of the room");
    assert!(most - before < 64 << 10, "{before} to {most} KiB");
    let (_, in_order) = daemon.stop();
    assert!(in_order, "{}", house.log());
    let lines = house.audit_holds() as usize;
    let taken = codes[&202] + honest_times.len();
    assert!(lines < 12 * taken, "{lines} lines for {taken} requests");
    let state = house.folder().join("state");
    let disk = disk(&state);
    println!("{lines} lines of audit, {} KiB on disk", disk >> 10);
    assert!(disk < 64 << 20, "{disk} octets");
}

fn disk(folder: &std::path::Path) -> u64 {
    let all = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    all.map(|e| match e.metadata().unwrap() {
        m if m.is_dir() => disk(&e.path()),
        m => m.len(),
    })
    .sum()
}
