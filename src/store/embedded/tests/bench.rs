//! What a record costs: run with `cargo test --release --lib store::embedded -- --ignored --nocapture`.

use std::time::Instant;

use super::super::names::Named;

use super::*;
use crate::base::digest::{Digest128, IdDigest};
use crate::call::classify::Flag;
use crate::call::leg::{Pair, Pairing};
use crate::call::peer::PeerKey;
use crate::call::record::{Direction, State};
use crate::stir::verify::{Attestation, Rule, Validation};

/// A million calls, 30,000 a second, as an interconnect edge sees them: Zipf callers, random called numbers, 24 neighbours,
/// every other leg egress and nearly all of those paired, six of ten signed, every call with an SDP, half with an icid, a fifth with a Session-ID, a tenth of the origids unique to the call.
#[test]
#[ignore = "a measurement, for release builds"]
fn cost_of_a_million_records() {
    let count = 1_000_000;
    let mut random = Random(42);
    let records: Vec<Begin> = (1..=count).map(|uid| made(uid, &mut random)).collect();
    let finals: Vec<End> = records.iter().map(|b| finished(b, &mut random)).collect();

    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings {
        sealing: Sealing::Inline,
        ..StoreSettings::default()
    };
    let mut store = EmbeddedStore::open(dir.path(), settings).unwrap();
    let n = count as f64;
    let (mut append, mut seal) = ((0.0, 0.0), (0.0, 0.0));
    let spent = |start: (Instant, f64)| (start.0.elapsed().as_secs_f64(), cpu_seconds() - start.1);
    let add = |sum: &mut (f64, f64), more: (f64, f64)| *sum = (sum.0 + more.0, sum.1 + more.1);
    for half in records.chunks(records.len() / 2) {
        let start = (Instant::now(), cpu_seconds());
        for batch in half.chunks(30_000) {
            for b in batch {
                store.append_begin(b).unwrap();
            }
            store.commit().unwrap();
        }
        add(&mut append, spent(start));
        println!(
            "log: {:.1} octets a record",
            store.log.len() as f64 / half.len() as f64
        );
        let start = (Instant::now(), cpu_seconds());
        store.seal().unwrap();
        add(&mut seal, spent(start));
    }
    let octets = store.counters().sealed_octets as f64;
    println!("begins: {:.1} octets a record in files", octets / n);
    for (what, (wall, cpu)) in [("append", append), ("seal", seal)] {
        println!(
            "{what}: {:.0} records/s, {:.2} µs CPU a record",
            n / wall,
            cpu * 1e6 / n
        );
    }
    for (what, column) in columns(dir.path()) {
        println!("    {what:18} {:6.2}", column as f64 / n);
    }

    let (wall, cpu) = (Instant::now(), cpu_seconds());
    for (e, batch) in finals.iter().zip(0_u64..) {
        store.append_end(e).unwrap();
        if batch % 30_000 == 0 {
            store.commit().unwrap();
        }
    }
    store.seal().unwrap();
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let late = store.counters().sealed_octets as f64 - octets;
    println!(
        "ends, all late: {:.1} octets a record in files, {:.0}/s, {:.2} µs CPU",
        late / n,
        n / wall,
        cpu * 1e6 / n
    );

    for (what, role) in [("called", true), ("calling", false)] {
        let mut times: Vec<f64> = (0..200)
            .map(|i| {
                let b = &records[(i * 4999) % records.len()];
                let (from, until) = (
                    b.at.minus(Duration::from_secs(30)),
                    b.at.plus(Duration::from_secs(30)),
                );
                let start = Instant::now();
                let found = if role {
                    store.by_called(b.numbers.called.unwrap(), from, until)
                } else {
                    store.by_calling(b.numbers.from.unwrap(), from, until)
                };
                assert!(found.unwrap().iter().any(|c| c.begin == *b));
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!(
            "{what} + 60 s, warm: p50 {:.2} ms, p99 {:.2} ms",
            times[100], times[198]
        );
    }
}

/// Octets of each column, over all segments; `.cix` last.
fn columns(dir: &Path) -> BTreeMap<String, i64> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let mut octets = BTreeMap::new();
    for day in std::fs::read_dir(dir.join("seg")).unwrap() {
        for hour in std::fs::read_dir(day.unwrap().path()).unwrap() {
            for (path, name) in layout::list(&hour.unwrap().path()).unwrap() {
                let length = std::fs::metadata(&path).unwrap().len() as i64;
                let name = name.unwrap();
                if !name.ends_with(".parquet") {
                    *octets.entry("~index and ends".to_owned()).or_default() += length;
                    continue;
                }
                let file = SerializedFileReader::try_from(path.as_path()).unwrap();
                let mut columns = 0;
                for group in file.metadata().row_groups() {
                    for column in group.columns() {
                        columns += column.compressed_size();
                        *octets.entry(column.column_path().string()).or_default() +=
                            column.compressed_size();
                    }
                }
                *octets.entry("~footer".to_owned()).or_default() += length - columns;
            }
        }
    }
    octets
}

/// User and system time of all threads, from the kernel's clock ticks (100 a second).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let ticks = |i: usize| fields[i].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }

    /// Rank by a Zipf law with exponent near 1 over two million.
    fn zipf(&mut self) -> u64 {
        (2e6_f64.powf(self.unit())) as u64
    }
}

fn made(uid: u64, r: &mut Random) -> Begin {
    let number = |n: u64| Tn::from_u64(12_000_000_000 + n % 9_999_999_999);
    let caller = r.zipf().wrapping_mul(7_368_787_661) % 9_000_000_000;
    let signed = r.percent(60);
    let peer = (r.unit() * r.unit() * 24.0) as u64;
    let mut b = begin(uid);
    b.at =
        b.at.plus(Duration::from_micros(uid * 100 / 3 + r.below(30)));
    b.peer = Some(format!("carrier-{peer:02}").into());
    b.peer_rule = Some(format!("carrier-{peer:02}-sbc-{}", r.below(2)).into());
    b.source = format!("198.51.100.{}:5060", peer * 4 + r.below(4))
        .parse()
        .unwrap();
    b.destination = format!("192.0.2.{}:5060", r.below(4)).parse().unwrap();
    b.trunk = r.percent(30).then(|| format!("TG-{}", peer * 7).into());
    b.vlan = Some(100 + peer as u16);
    b.numbers.called = number(r.below(9_999_999_999));
    b.numbers.from = number(caller);
    b.numbers.asserted = if r.percent(60) { number(caller) } else { None };
    b.numbers.diverted_from = if r.percent(2) {
        number(r.below(9_999_999_999))
    } else {
        None
    };
    b.attribution.keys = [PeerKey::Vlan, PeerKey::Networks].into_iter().collect();
    if b.trunk.is_some() {
        b.attribution.keys.insert(PeerKey::TrunkGroup);
        b.attribution.shared = true;
    }
    if uid.is_multiple_of(2) {
        b.direction = Direction::Egress;
        b.pair = r.percent(97).then(|| Pair {
            uid: (uid - 1).saturating_sub(r.below(60)),
            at: b.at.minus(Duration::from_micros(500 + r.below(20_000))),
            how: if r.percent(60) {
                Pairing::CallId
            } else {
                Pairing::Icid
            },
        });
    }
    b.ids.call_id = IdDigest(r.next());
    b.ids.session_id = r.percent(20).then(|| IdDigest(r.next()));
    b.ids.icid = r.percent(50).then(|| IdDigest(r.next()));
    b.ids.sdp_origin = Some(IdDigest(r.next()));
    if signed {
        let v = &mut b.verdict;
        v.identities = 1;
        v.passport = Some(Digest128::of(&uid.to_le_bytes()));
        v.orig = b.numbers.from;
        v.iat = Some(b.at.secs() - i64::from(r.percent(30)));
        v.attest = Some(Attestation::ALL[r.below(3) as usize]);
        let signer = (r.unit() * r.unit() * 300.0) as u64;
        v.spc = Some(format!("{:04}", 1000 + signer).into());
        v.x5u_host = Some(format!("cr{}.example.net", signer / 4).into());
        let origid = if r.percent(10) {
            r.next()
        } else {
            signer * 5 + r.below(5)
        };
        let (low, high) = (origid & 0xffff_ffff, origid >> 32);
        v.origid = Some(format!("{low:08x}-0000-4000-8000-{high:012x}").into());
        if r.percent(4) {
            v.validation = Validation::Failed;
            v.decided_by = Some(Rule::F1);
            v.failed.insert(Rule::F1);
            b.flags.insert(Flag::Stale);
        } else {
            v.validation = Validation::Passed;
            b.flags.insert(Flag::AttestA);
        }
    } else {
        b.flags.insert(Flag::Unsigned);
    }
    b
}

fn finished(b: &Begin, r: &mut Random) -> End {
    let mut e = end(b);
    let ringing = 800 + r.below(4000) as u32;
    e.ringing_ms = Some(ringing);
    e.final_ms = Some(ringing + r.below(25_000) as u32);
    if r.percent(55) {
        e.duration_ms = Some((-r.unit().max(1e-9).ln() * 170_000.0) as u32);
    } else {
        (e.state, e.code, e.duration_ms) =
            (State::Failed, [486, 404, 480][r.below(3) as usize], None);
        e.released_by = None;
    }
    e.retransmissions = u8::from(r.percent(2));
    e
}
