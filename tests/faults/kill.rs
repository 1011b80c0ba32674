//! kill -9 at random points between acknowledge and delivery: nothing is lost, nothing comes twice.
//!
//! A portal pushes half of its requests and offers the other half; whatever it knows to be acknowledged it never offers again. It sees a moment (an
//! acknowledgement, the beginning or the end of a delivery, the start of the daemon) and kills the daemon a random span after it, from nothing to 200 ms.
//! A kill counts when at that instant a request was acknowledged whose answer the portal had not taken. The page cache outlives a process, so this shows that every
//! step is whole or not at all; that it outlives a power cut rests on SQLite with synchronous=FULL.
//!
//! `TRACEHOP_KILLS` sets how many kills, `TRACEHOP_SEED` another seed.

use std::collections::BTreeMap;
use std::env;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::house::{Daemon, House, PortalLines};
use crate::web::{Asked, Say, Server};

/// As many as the requirement says.
const KILLS: usize = 200;

/// Houses at the same time; each start waits for the disk as much as for the processor.
const LANES: usize = 2;

/// Longest span between a moment and the kill, in nanoseconds.
const LONGEST: f64 = 200e6;

/// What the portal sees, and kills after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Started,
    Acknowledged,
    DeliveryBegins,
    DeliveryEnds,
}

use Moment::*;

struct Request {
    id: String,
    body: String,
    pushed: bool,
    acknowledged: bool,
    /// Answers by their id, with how often each came.
    answers: BTreeMap<String, (String, usize)>,
}

impl Request {
    fn is_between(&self) -> bool {
        self.acknowledged && self.answers.is_empty()
    }
}

#[derive(Default)]
struct Kept {
    requests: Vec<Request>,
    daemon: Option<Daemon>,
    armed: Option<(Moment, Duration)>,
    /// Requests that were between at the last kill.
    between: Option<usize>,
    wrong: Vec<String>,
}

#[derive(Default)]
struct Portal {
    kept: Mutex<Kept>,
    changed: Condvar,
}

impl Portal {
    fn answer(self: &Arc<Self>, asked: &Asked) -> Say {
        let parts: Vec<&str> = asked.path.split('/').skip(2).collect();
        match (&*asked.method, &*parts) {
            ("GET", ["providers", _, "hop-requests"]) => self.offer(),
            ("GET", ["providers", _, "events"]) => {
                thread::sleep(Duration::from_millis(900));
                Say::Reply(200, "{\"events\":[]}".to_owned())
            }
            ("POST", ["hop-requests", id, "ack"]) => {
                let known = self.acknowledged(id);
                Say::Reply(if known { 204 } else { 404 }, String::new())
            }
            ("PUT", ["hop-requests", id, "answers", answer]) => {
                self.see(DeliveryBegins);
                self.taken(id, answer, &asked.body);
                let portal = self.clone();
                Say::ReplyThen(
                    200,
                    String::new(),
                    Box::new(move || portal.see(DeliveryEnds)),
                )
            }
            _ => {
                self.wrong(format!("{} {}", asked.method, asked.path));
                Say::Reply(404, String::new())
            }
        }
    }

    /// What was not acknowledged yet; waits a little where there is nothing.
    fn offer(&self) -> Say {
        let kept = self.kept.lock().unwrap();
        let open = |r: &&Request| !r.pushed && !r.acknowledged;
        let nothing = |k: &mut Kept| !k.requests.iter().any(|r| open(&r));
        let patience = Duration::from_millis(900);
        let waited = self.changed.wait_timeout_while(kept, patience, nothing);
        let kept = waited.unwrap().0;
        let all = kept.requests.iter().filter(open).map(|r| &*r.body);
        let all = all.collect::<Vec<_>>().join(",");
        Say::Reply(200, format!("{{\"requests\":[{all}]}}"))
    }

    fn acknowledged(self: &Arc<Self>, id: &str) -> bool {
        let mut kept = self.kept.lock().unwrap();
        let Some(request) = kept.requests.iter_mut().find(|r| r.id == id) else {
            return false;
        };
        request.acknowledged = true;
        drop(kept);
        self.see(Acknowledged);
        true
    }

    fn taken(&self, id: &str, answer: &str, body: &[u8]) {
        let body = String::from_utf8(body.to_vec()).unwrap();
        let mut kept = self.kept.lock().unwrap();
        let Kept {
            requests, wrong, ..
        } = &mut *kept;
        let Some(request) = requests.iter_mut().find(|r| r.id == id) else {
            return wrong.push(format!("an answer to {id}, which nobody asked"));
        };
        if !request.acknowledged && !request.pushed {
            wrong.push(format!("{id} is answered and was never acknowledged"));
        }
        let (first, times) = request
            .answers
            .entry(answer.to_owned())
            .or_insert_with(|| (body.clone(), 0));
        *times += 1;
        if *first != body {
            wrong.push(format!("{id}: two bodies under the answer id {answer}"));
        }
        self.changed.notify_all();
    }

    /// Kills where this is the moment that was chosen.
    fn see(self: &Arc<Self>, moment: Moment) {
        let mut kept = self.kept.lock().unwrap();
        let Some((_, after)) = kept.armed.take_if(|(when, _)| *when == moment) else {
            return;
        };
        drop(kept);
        let at = Instant::now() + after;
        let portal = self.clone();
        let kill = move || {
            if let Some(long) = at.checked_duration_since(Instant::now() + Duration::from_millis(2))
            {
                thread::sleep(long);
            }
            while Instant::now() < at {
                std::hint::spin_loop();
            }
            portal.kill();
        };
        // A delivery that is to be cut off at once is not answered first.
        match after < Duration::from_micros(50) {
            true => kill(),
            false => drop(thread::spawn(kill)),
        }
    }

    fn kill(&self) {
        let mut kept = self.kept.lock().unwrap();
        let between = kept.requests.iter().filter(|r| r.is_between()).count();
        if let Some(mut daemon) = kept.daemon.take() {
            if !daemon.is_alive() {
                kept.wrong.push("the daemon had ended by itself".to_owned());
            }
            daemon.kill();
            kept.between = Some(between);
        }
        self.changed.notify_all();
    }

    fn wrong(&self, what: String) {
        self.kept.lock().unwrap().wrong.push(what);
    }

    /// Pushes what is to be pushed, again and again, until it is taken; for ever.
    fn push(self: Arc<Self>, house: &House) {
        loop {
            let next = {
                let kept = self.kept.lock().unwrap();
                let mut all = kept.requests.iter().filter(|r| r.pushed && !r.acknowledged);
                all.next().map(|r| (r.id.clone(), r.body.clone()))
            };
            match next {
                Some((id, body)) => match house.push("portal", "hop_request.created", &body) {
                    Some(reply) if reply.code == 202 => drop(self.acknowledged(&id)),
                    Some(reply) if reply.code == 404 => thread::sleep(Duration::from_millis(100)),
                    Some(reply) => self.wrong(format!("{id}: pushed, and got {reply:?}")),
                    None => thread::sleep(Duration::from_millis(5)),
                },
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn has_all(&self) -> bool {
        let kept = self.kept.lock().unwrap();
        kept.requests
            .iter()
            .all(|r| r.acknowledged && !r.answers.is_empty())
    }
}

/// Numbers that a seed gives (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// As many between 1 and 10 µs as between 10 and 100 ms.
    fn span(&mut self) -> Duration {
        let random = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        Duration::from_nanos((1e3 * (LONGEST / 1e3).powf(random)) as u64)
    }
}

/// Kills one house's daemon so often. Gives how many kills counted, by moment.
fn lane(seed: u64, kills: usize) -> BTreeMap<Moment, usize> {
    let portal = Arc::<Portal>::default();
    let server = Server::start({
        let portal = portal.clone();
        Arc::new(move |asked: &Asked| portal.answer(asked))
    });
    let house = Arc::new(House::new(
        "",
        &[PortalLines::asked("portal", &server.url())],
    ));
    thread::spawn({
        let (portal, house) = (portal.clone(), house.clone());
        move || portal.push(&house)
    });
    let mut dice = Dice(seed);
    let mut counted = BTreeMap::new();
    let (mut rounds, mut asked) = (0, 0);
    while counted.values().sum::<usize>() < kills {
        rounds += 1;
        assert!(
            rounds < 3 * kills + 10,
            "too few kills count: {counted:?} of {rounds}"
        );
        let moment = match dice.below(10) {
            0 => Started,
            1..=4 => Acknowledged,
            5..=7 => DeliveryBegins,
            _ => DeliveryEnds,
        };
        let mut kept = portal.kept.lock().unwrap();
        for _ in 0..1 + dice.below(4) {
            asked += 1;
            let id = format!("HR-{asked}");
            kept.requests.push(Request {
                body: house.request(&id, &format!("CASE-{asked}")),
                id,
                pushed: dice.below(2) == 0,
                acknowledged: false,
                answers: BTreeMap::new(),
            });
        }
        kept.armed = Some((moment, dice.span()));
        kept.between = None;
        kept.daemon = Some(house.start());
        drop(kept);
        portal.changed.notify_all();
        portal.see(Started);
        let kept = portal.kept.lock().unwrap();
        // Where the moment does not come by itself, it has been long enough.
        let alive = |k: &mut Kept| k.between.is_none();
        let waited = portal
            .changed
            .wait_timeout_while(kept, Duration::from_secs(5), alive);
        let between = waited.unwrap().0.between;
        match between {
            Some(between) if between > 0 => *counted.entry(moment).or_default() += 1,
            Some(_) => {}
            None => portal.kill(),
        }
        assert_eq!(
            portal.kept.lock().unwrap().wrong,
            [] as [String; 0],
            "{}",
            house.log()
        );
    }
    let backlog = portal
        .kept
        .lock()
        .unwrap()
        .requests
        .iter()
        .filter(|r| r.answers.is_empty())
        .count();
    let mut daemon = house.start();
    let begun = Instant::now();
    while !portal.has_all() {
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "something is lost:\n{}",
            house.log()
        );
        thread::sleep(Duration::from_millis(20));
    }
    println!(
        "{asked} requests, {rounds} kills; the last {backlog} answered within {:?}",
        begun.elapsed()
    );
    // What comes twice would come now.
    thread::sleep(Duration::from_millis(500));
    let (_, in_order) = daemon.stop();
    assert!(in_order, "{}", house.log());
    check(&house, &portal);
    counted
}

/// What the portal has, and what the desk says that it has.
fn check(house: &House, portal: &Portal) {
    let kept = portal.kept.lock().unwrap();
    assert_eq!(kept.wrong, [] as [String; 0]);
    let mut repeats = 0;
    for request in &kept.requests {
        let [(answer, (body, times))] = &*request.answers.iter().collect::<Vec<_>>() else {
            panic!("{} has {} answers", request.id, request.answers.len());
        };
        repeats += times - 1;
        let opened = house.open(body.as_bytes());
        assert_eq!(
            (&*opened.id, &*opened.request_id),
            (&***answer, &*request.id)
        );
        assert_eq!(opened.resolution.label(), "UPSTREAM_DOMESTIC");
    }
    println!("{repeats} answers came again with the same octets");
    let n = kept.requests.len();
    let count = |sql: &str| house.rows(sql)[0].parse::<usize>().unwrap();
    assert_eq!(
        count("SELECT CAST(count(*) AS TEXT) FROM request WHERE state = 'sent'"),
        n
    );
    assert_eq!(count("SELECT CAST(count(*) AS TEXT) FROM request"), n);
    assert_eq!(count("SELECT CAST(count(*) AS TEXT) FROM answer"), n);
    assert_eq!(count("SELECT CAST(count(*) AS TEXT) FROM parcel"), 0);
    for act in ["received", "matched", "delivered"] {
        let sql = format!(
            "SELECT CAST(count(DISTINCT request) || ' ' || count(*) AS TEXT) FROM audit WHERE act = '{act}'"
        );
        assert_eq!(house.rows(&sql), [format!("{n} {n}")], "{act}");
    }
    let lines = house.audit_holds();
    println!("the audit log holds with {lines} lines");
}

#[test]
fn a_killed_daemon_loses_nothing_and_says_nothing_twice() {
    let number = |name: &str, default: usize| {
        env::var(name)
            .ok()
            .and_then(|v| v.parse().ok())
            .unwrap_or(default)
    };
    let (kills, seed) = (number("TRACEHOP_KILLS", KILLS), number("TRACEHOP_SEED", 6));
    let begun = Instant::now();
    let lanes: Vec<_> = (0..LANES)
        .map(|n| thread::spawn(move || lane((seed * LANES + n) as u64, kills.div_ceil(LANES))))
        .collect();
    let mut all = BTreeMap::<Moment, usize>::new();
    for lane in lanes {
        for (moment, n) in lane.join().unwrap() {
            *all.entry(moment).or_default() += n;
        }
    }
    println!(
        "{all:?} kills between acknowledge and delivery in {:?}",
        begun.elapsed()
    );
    assert!(all.values().sum::<usize>() >= kills);
}
