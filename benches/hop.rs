//! What one hop question costs on a large store: the look-ups and the match, from the request to the answer.
//!
//! `cargo bench --bench hop -- FOLDER RECORDS QUESTIONS [--warm]` (for instance `/var/tmp/hop 100000000 1000`)
//!
//! FOLDER is made and filled where it does not exist, and kept: 1,000 calls a second with two legs each, to and from eight million numbers, a tenth of the calls
//! tried again through another upstream after a failure. Then questions about calls chosen by chance, first with the system's file cache dropped before each
//! (as root; else they are said to be warm), then warm; with `--warm` the file cache is left alone. The very first question, for which no footer is at hand yet, is shown apart. Each answer is held against who really handed the call over.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use tracehop::base::Timestamp;
use tracehop::base::digest::IdDigest;
use tracehop::call::classify::Flags;
use tracehop::call::peer::{Peer, PeerKind, PeerTable};
use tracehop::call::record::{
    Begin, Clock, ClockSource, Coverage, Direction, End, Ids, Numbers, State, Verdict,
};
use tracehop::number::{NumberPlan, Tn};
use tracehop::responder;
use tracehop::store::Store;
use tracehop::store::embedded::{EmbeddedStore, Sealing, StoreSettings};
use tracehop::traceback::TracebackSettings;
use tracehop::traceback::request::HopRequest;
use tracehop::wire::{Provenance, Transport};

/// 2026-11-01T00:00:00Z.
const START: i64 = 1_793_491_200;
/// A mid-size provider (reference of the field: 1,000 calls a second).
const CALLS_PER_SECOND: u64 = 1_000;
const UPSTREAMS: u64 = 40;
const DOWNSTREAMS: u64 = 15;

fn main() {
    let left_warm = std::env::args().any(|a| a == "--warm");
    let mut args = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let folder = args.next().unwrap_or_else(|| {
        println!("no folder: a million records in a temporary one");
        let dir = std::env::temp_dir().join(format!("hop-{}", std::process::id()));
        dir.to_string_lossy().into_owned()
    });
    let mut number = |default: u64| args.next().and_then(|a| a.parse().ok()).unwrap_or(default);
    let (records, questions) = (number(1_000_000), number(300));
    let folder = Path::new(&folder);
    if !folder.exists() {
        fill(folder, records);
    }
    let calls = calls_in(records);
    let (store, _) = EmbeddedStore::open_read_only(folder).unwrap();
    let peers = neighbours();
    let settings = TracebackSettings::default();
    let now = Timestamp::from_secs(START + (calls / CALLS_PER_SECOND) as i64 + 86_400);
    let cold = !left_warm && drop_cache();
    let name = if cold { "cold" } else { "warm" };
    let mut first = true;
    // After cold questions only what the last one read is in the file cache: a round in between fills it.
    let rounds = if cold {
        vec![name, "warming", "warm"]
    } else {
        vec![name, "again, warm"]
    };
    for name in rounds {
        let mut rng = Rng(7);
        let mut times = Vec::new();
        let mut cpu = Duration::ZERO;
        let (mut automatic, mut wrong) = (0, 0);
        for _ in 0..questions {
            let asked = Call::of(rng.next() % calls);
            let request =
                HopRequest::parse(asked.request().as_bytes(), &NumberPlan::default()).unwrap();
            if cold && name == "cold" {
                drop_cache();
            }
            let (start, busy) = (Instant::now(), ProcessTime::now());
            let answered = responder::answer(&request, &store, &peers, &settings, now).unwrap();
            times.push(start.elapsed());
            cpu += busy.elapsed();
            if first {
                println!(
                    "{records} records, {name}, the first question after a start: {:.2?}",
                    start.elapsed()
                );
                first = false;
            }
            if answered.explanation.automatic {
                automatic += 1;
                let upstream = answered.peer.as_deref().unwrap_or_default();
                wrong += u32::from(upstream != format!("u{}", asked.upstream));
            }
        }
        times.sort_unstable();
        let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize];
        println!(
            "{records} records, {name}: median {:.2?}, p90 {:.2?}, p99 {:.2?}, longest {:.2?}, CPU {:.2?} each; {automatic} of {questions} automatic, {wrong} wrong",
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0),
            cpu / u32::try_from(questions).unwrap().max(1)
        );
    }
    println!("memory at the end: {}", resident());
}

fn resident() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.unwrap_or("?").trim().to_owned()
}

/// A tenth of the calls has a third record: the attempt that failed.
fn calls_in(records: u64) -> u64 {
    records * 10 / 21
}

fn drop_cache() -> bool {
    fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

/// One call, out of its number alone.
struct Call {
    n: u64,
    at: Timestamp,
    called: Tn,
    from: Tn,
    upstream: u64,
    failed_by: Option<u64>,
    downstream: u64,
}

impl Call {
    fn of(n: u64) -> Self {
        let mut rng = Rng(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let nanos = START * 1_000_000_000 + (n * 1_000_000_000 / CALLS_PER_SECOND) as i64;
        // A fifth of all calls goes to a thousandth of the numbers.
        let called = match rng.below(5) {
            0 => tn(rng.below(8_000)),
            _ => tn(rng.below(8_000_000)),
        };
        let upstream = rng.below(UPSTREAMS);
        Self {
            n,
            at: Timestamp::from_nanos(nanos),
            called,
            from: tn(rng.below(8_000_000)),
            upstream,
            failed_by: n.is_multiple_of(10).then(|| rng.below(UPSTREAMS)),
            downstream: rng.below(DOWNSTREAMS),
        }
    }

    fn request(&self) -> String {
        let second = Timestamp::from_secs(self.at.secs());
        format!(
            r#"{{"id":"HR-{}","case_id":"bench","downstream":{{"provider_ids":["D-{}"]}},"call":{{"called":"+{}","calling":"+{}","time":{{"value":"{second}","precision_s":1}}}}}}"#,
            self.n,
            self.downstream,
            self.called.as_str(),
            self.from.as_str()
        )
    }
}

fn fill(folder: &Path, records: u64) {
    let settings = StoreSettings {
        sealing: Sealing::Background,
        retention: Duration::from_secs(3_650 * 86_400),
        ..StoreSettings::default()
    };
    let mut store = EmbeddedStore::open(folder, settings).unwrap();
    let start = Instant::now();
    let calls = calls_in(records);
    let (mut uid, mut minute) = (0, START);
    for n in 0..calls {
        let call = Call::of(n);
        if let Some(upstream) = call.failed_by {
            let failed = Call {
                upstream,
                at: call.at.minus(Duration::from_secs(3)),
                ..Call::of(n)
            };
            put(
                &mut store,
                &mut uid,
                &failed,
                Direction::Ingress,
                State::Failed,
            );
        }
        put(
            &mut store,
            &mut uid,
            &call,
            Direction::Ingress,
            State::Answered,
        );
        put(
            &mut store,
            &mut uid,
            &call,
            Direction::Egress,
            State::Answered,
        );
        while call.at.secs() >= minute + 60 {
            store.append_coverage(&covered(minute)).unwrap();
            minute += 60;
        }
        if n % 100_000 == 0 {
            store.commit().unwrap();
        }
        if n % 5_000_000 == 0 {
            eprintln!("{uid} of {records} records, {:.0?}", start.elapsed());
        }
    }
    // Whoever asks about the first and the last calls looks hours beyond them.
    for m in (1..=24 * 60).flat_map(|m| [START - m * 60, minute + (m - 1) * 60]) {
        store.append_coverage(&covered(m)).unwrap();
    }
    store.close().unwrap();
    let took = start.elapsed();
    let octets = EmbeddedStore::size_on_disk(folder).unwrap();
    println!(
        "{uid} records in {took:.0?}: {:.0} a second, {:.1} octets each",
        uid as f64 / took.as_secs_f64(),
        octets as f64 / uid as f64
    );
}

fn put(store: &mut EmbeddedStore, uid: &mut u64, call: &Call, direction: Direction, state: State) {
    *uid += 1;
    let (peer, host): (Arc<str>, _) = match direction {
        Direction::Egress => (
            format!("d{}", call.downstream).into(),
            100 + call.downstream,
        ),
        _ => (format!("u{}", call.upstream).into(), call.upstream),
    };
    let other = format!("198.51.100.{host}:5060").parse().unwrap();
    let own = "192.0.2.1:5060".parse().unwrap();
    let egress = direction == Direction::Egress;
    let after = Duration::from_millis(if egress { 20 } else { 0 });
    let at = call.at.plus(after);
    let begin = Begin {
        uid: *uid,
        at,
        clock: Clock {
            source: ClockSource::Synchronised,
            error_ns: 1_000_000,
        },
        sensor: "edge1".into(),
        provenance: Provenance::Wire,
        config: 1,
        direction,
        peer_rule: Some(peer.clone()),
        peer: Some(peer),
        attribution: Default::default(),
        pair: None,
        transport: Transport::Udp,
        source: if egress { own } else { other },
        destination: if egress { other } else { own },
        vlan: None,
        trunk: None,
        numbers: Numbers {
            called: Some(call.called),
            from: Some(call.from),
            ..Numbers::default()
        },
        called_text: None,
        ids: Ids {
            call_id: IdDigest::of(&uid.to_be_bytes()),
            session_id: None,
            icid: None,
            sdp_origin: None,
        },
        verdict: Verdict::default(),
        verstat: None,
        flags: Flags::default(),
        notes: Default::default(),
    };
    store.append_begin(&begin).unwrap();
    let answered = state == State::Answered;
    let end = End {
        uid: *uid,
        begun_at: at,
        called: begin.numbers.called,
        state,
        code: if answered { 200 } else { 503 },
        cause: None,
        stir_cause: None,
        disagrees: false,
        ringing_ms: answered.then_some(900),
        final_ms: Some(if answered { 4_000 } else { 300 }),
        duration_ms: answered.then_some((call.n % 90_000) as u32),
        released_by: None,
        one_way: false,
        retransmissions: 0,
        forks: 0,
        auth_retries: 0,
    };
    store.append_end(&end).unwrap();
}

fn covered(from: i64) -> Coverage {
    Coverage {
        sensor: "edge1".into(),
        from: Timestamp::from_secs(from),
        until: Timestamp::from_secs(from + 60),
        packets: CALLS_PER_SECOND * 60 * 14,
        messages: CALLS_PER_SECOND * 60 * 14,
        ..Coverage::default()
    }
}

fn neighbours() -> PeerTable {
    let peer = |letter: &str, i| Peer {
        portal_id: Some(format!("{}-{i}", letter.to_uppercase()).into()),
        ..Peer::new(&format!("{letter}{i}"), PeerKind::Provider)
    };
    let up = (0..UPSTREAMS).map(|i| peer("u", i));
    let down = (0..DOWNSTREAMS).map(|i| peer("d", i));
    PeerTable::new(up.chain(down).collect(), Vec::new(), 1)
}

/// Eight million numbers: the exchange 555 of eight hundred areas.
fn tn(n: u64) -> Tn {
    let text = format!("1{}555{:04}", 200 + n % 800, n / 800);
    Tn::from_canonical(text.as_bytes()).unwrap()
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
