//! A portal that is away for days: the service as it runs in the daemon, over real HTTP, by a clock that the test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tracehop::base::Timestamp;
use tracehop::config::Config;
use tracehop::host::clock;
use tracehop::responder::case::{RequestKey, RequestState, Way};
use tracehop::responder::service::Running;
use tracehop::store::embedded::{CurrentReader, EmbeddedStore, StoreSettings};

use crate::house::House;
use crate::portal::Portal;
use crate::web::Say;

const DAY: i64 = 86_400;

/// How far the clock is ahead of the host's, in seconds.
static AHEAD: AtomicI64 = AtomicI64::new(0);

fn now() -> Timestamp {
    let ahead = AHEAD.load(Ordering::SeqCst).unsigned_abs();
    clock::now().plus(Duration::from_secs(ahead))
}

struct Bench {
    house: House,
    running: Option<Running>,
    // It is only read.
    _store: EmbeddedStore,
    reader: CurrentReader,
}

impl Bench {
    fn new(portal: &Portal) -> Self {
        let house = House::new("", &[portal.lines()]);
        let config = Self::config(&house);
        let store = EmbeddedStore::open(&config.store.path, StoreSettings::default()).unwrap();
        let reader = Arc::new(ArcSwapOption::from_pointee(store.reader()));
        let mut bench = Self {
            house,
            running: None,
            _store: store,
            reader,
        };
        bench.start();
        bench
    }

    fn config(house: &House) -> Config {
        Config::load(&house.folder().join("tracehop.toml")).unwrap_or_else(|p| panic!("{p:#?}"))
    }

    fn start(&mut self) {
        let world = Self::config(&self.house).world().unwrap().unwrap();
        self.running = Some(Running::start(world, self.reader.clone(), None, now).unwrap());
    }

    fn stop(&mut self) {
        let running = self.running.take().unwrap();
        assert!(running.stop(Instant::now() + Duration::from_secs(20)));
    }

    fn take(&self, id: &str) {
        let shared = self.running.as_ref().unwrap().shared();
        let octets = self.house.request(id, "CASE-1");
        shared
            .desk
            .take("portal", Way::Push, octets.as_bytes(), now())
            .unwrap();
        shared.bell.ring();
        self.until(id, RequestState::Outbox);
    }

    fn state(&self, id: &str) -> RequestState {
        let shared = self.running.as_ref().unwrap().shared();
        let key = RequestKey {
            portal: "portal".into(),
            id: id.into(),
        };
        shared.desk.show(&key, now()).unwrap().unwrap().line.state
    }

    fn until(&self, id: &str, wanted: RequestState) {
        let begun = Instant::now();
        while self.state(id) != wanted {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{id} is {:?}",
                self.state(id)
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Goes on by so many days, a day at a time; something is tried each day, in vain.
    fn pass(&self, days: i64) {
        let shared = self.running.as_ref().unwrap().shared();
        for _ in 0..days {
            AHEAD.fetch_add(DAY, Ordering::SeqCst);
            let begun = Instant::now();
            while shared
                .desk
                .next_due("portal")
                .unwrap()
                .is_some_and(|at| at <= now())
            {
                assert!(
                    begun.elapsed() < Duration::from_secs(20),
                    "nothing is tried"
                );
                shared.bell.ring_out();
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

#[test]
fn an_answer_waits_for_a_portal_that_is_away_for_days_and_not_for_ever() {
    let portal = Portal::new("portal", |_, _| Say::Close);
    let mut bench = Bench::new(&portal);
    let hour = || AHEAD.fetch_add(3_600, Ordering::SeqCst);

    bench.take("HR-1");
    bench.pass(7);
    // The house has its own days.
    bench.stop();
    bench.start();
    bench.pass(6);
    assert_eq!(
        (bench.state("HR-1"), portal.answers("HR-1")),
        (RequestState::Outbox, 0)
    );
    portal.is_well(true);
    hour();
    assert!(
        portal
            .wait_for("HR-1", 1, Duration::from_secs(20))
            .is_some()
    );
    bench.until("HR-1", RequestState::Sent);

    // Two weeks after its time nobody waits for an answer any more.
    portal.is_well(false);
    bench.take("HR-2");
    bench.pass(16);
    bench.stop();
    // What is over is put away at the start, and every ten minutes of the host's clock.
    bench.start();
    bench.until("HR-2", RequestState::Expired);
    bench.until("HR-1", RequestState::Closed);
    portal.is_well(true);
    hour();
    bench.running.as_ref().unwrap().shared().bell.ring_out();
    thread::sleep(Duration::from_secs(2));
    assert_eq!((portal.answers("HR-1"), portal.answers("HR-2")), (1, 0));
    bench.stop();
    let acts = bench.house.rows("SELECT act FROM audit ORDER BY 1");
    let count = |act: &str| acts.iter().filter(|a| *a == act).count();
    assert_eq!((count("delivered"), count("lapsed")), (1, 2), "{acts:?}");
    assert!(count("alarm") >= 2, "{acts:?}");
    bench.house.audit_holds();
}
