//! The whole pipeline, from the octets of a capture file to durable records, in CPU time over all threads per call, as a ratio to
//! bare ring verification in the same run. Signed and unsigned.
//!
//! `cargo bench --bench pipeline` (options: `-- CALLS ROUNDS JUDGES`)
//!
//! One call is one INVITE, every one with a token of its own, so no memo helps. A signed INVITE exceeds the MTU and comes as two
//! IPv4 fragments behind a VLAN tag. Evidence for later judgement is kept where the line says so. A dialog is a signed INVITE with 100, 180, 200, ACK, BYE and 200 behind it.
//!
//! One round to warm up, then rounds that measure ring, signed, ring, unsigned, dialogs: the ratio is taken within a round, to the mean of
//! ring before and after. Medians are quoted, with the lowest and the highest.

use std::fs;
use std::hint::black_box;
use std::path::Path;

use cpu_time::ProcessTime;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use tracehop::call::record::evidence::EvidenceKept;
use tracehop::capture::Merge;
use tracehop::config::Config;
use tracehop::daemon::pipeline::{self, PipelineSettings};
use tracehop::fetch::directory;
use tracehop::lab;
use tracehop::store::embedded::{EmbeddedStore, StoreSettings};

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|a| a.parse::<usize>().ok());
    let calls = numbers.next().unwrap_or(50_000);
    let rounds = numbers.next().unwrap_or(5);
    let judges = numbers.next().unwrap_or(2);
    let dir = tempfile::tempdir().unwrap();
    println!(
        "{calls} calls a capture, {rounds} rounds, {judges} judges; CPU time over all threads"
    );
    let captures = |signed, dialogs| {
        if dialogs {
            lab::bench_dialogs(calls, 1).unwrap()
        } else {
            lab::bench_capture(calls, signed, 1).unwrap()
        }
    };
    let bench = |name, signed, dialogs| {
        Bench::new(dir.path(), name, calls, signed, &captures(signed, dialogs))
    };
    let signed = bench("signed", true, false);
    let unsigned = bench("unsigned", false, false);
    let dialogs = bench("dialogs", true, true);

    let mut times: [Vec<f64>; 5] = Default::default();
    let mut ratios = vec![];
    for round in 0..=rounds {
        let before = ring_ns();
        let s = signed.run(judges, round, EvidenceKept::None);
        let ring = before.midpoint(ring_ns());
        let u = unsigned.run(judges, round, EvidenceKept::None);
        let d = dialogs.run(judges, round, EvidenceKept::None);
        let e = signed.run(judges, round, EvidenceKept::Signed);
        if round > 0 {
            for (times, time) in times.iter_mut().zip([ring, s, u, d, e]) {
                times.push(time / 1e3);
            }
            ratios.push(ring / s);
        }
    }
    let names = [
        "bare ring P-256 check",
        "signed call, file to record",
        "unsigned call, file to record",
        "signed call with its dialog",
        "signed call with its evidence",
    ];
    for (name, times) in names.into_iter().zip(times) {
        let (low, mid, high) = spread(times);
        let rate = 1e6 / mid;
        println!("{name:<30} {mid:>7.2} µs ({low:.2} to {high:.2}), {rate:>7.0} a second and core");
    }
    let (low, mid, high) = spread(ratios);
    println!("ratio of ring to signed call   {mid:>7.3}    ({low:.3} to {high:.3})");
    for (name, bench) in [
        ("with evidence", signed),
        ("unsigned", unsigned),
        ("dialogs", dialogs),
    ] {
        let octets = bench.octets_per_record();
        println!("record on disk, {name:<13} {octets:>8.1} octets");
    }
}

struct Bench {
    config: Config,
    capture: std::path::PathBuf,
    store: std::path::PathBuf,
    calls: usize,
    signed: bool,
}

impl Bench {
    fn new(dir: &Path, name: &str, calls: usize, signed: bool, capture: &[u8]) -> Self {
        let dir = dir.join(name);
        lab::write_credentials(&dir, 1).unwrap();
        fs::write(dir.join("calls.pcap"), capture).unwrap();
        fs::write(dir.join("tracehop.toml"), lab::network::tracehop_toml()).unwrap();
        fs::write(dir.join("peers.toml"), lab::network::peers_toml()).unwrap();
        let config = Config::load(&dir.join("tracehop.toml")).unwrap_or_else(|p| panic!("{p:?}"));
        Self {
            capture: dir.join("calls.pcap"),
            store: dir.join("store"),
            config,
            calls,
            signed,
        }
    }

    /// CPU nanoseconds a call.
    fn run(&self, judges: usize, round: usize, evidence: EvidenceKept) -> f64 {
        let loaded = directory::load(&self.config.credentials, lab::DEFAULT_BASE).unwrap();
        let mut settings = PipelineSettings::new(&self.config, loaded.credentials, judges);
        settings.evidence = evidence;
        let _ = fs::remove_dir_all(&self.store);
        let start = ProcessTime::now();
        let mut source = Merge::open([(self.capture.clone(), 0)]).unwrap();
        let mut store = EmbeddedStore::open(&self.store, StoreSettings::default()).unwrap();
        let (report, _) =
            pipeline::run_files(&settings, &mut store, &mut source, |_, _| ()).unwrap();
        store.close().unwrap();
        let spent = start.elapsed().as_nanos() as f64 / self.calls as f64;
        // The work was done: every call has its record, and every signature was checked.
        assert_eq!(report.begins, self.calls as u64, "round {round}");
        let passed: u64 = report.tallies.values().map(|t| t.validations[0]).sum();
        assert_eq!(passed, if self.signed { self.calls as u64 } else { 0 });
        spent
    }

    fn octets_per_record(&self) -> f64 {
        fn size(path: &Path) -> u64 {
            fs::read_dir(path).map_or(0, |entries| {
                entries
                    .flatten()
                    .map(|e| {
                        if e.path().is_dir() {
                            size(&e.path())
                        } else {
                            e.metadata().map_or(0, |m| m.len())
                        }
                    })
                    .sum()
            })
        }
        size(&self.store) as f64 / self.calls as f64
    }
}

/// Nanoseconds of one bare check of a 308-octet signing input, key octets kept.
fn ring_ns() -> f64 {
    const CHECKS: u32 = 20_000;
    let rng = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &rng).unwrap();
    let input = [0x61; 308];
    let signature = pair.sign(&rng, &input).unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
    let start = ProcessTime::now();
    for _ in 0..CHECKS {
        key.verify(black_box(&input), black_box(signature.as_ref()))
            .unwrap();
    }
    start.elapsed().as_nanos() as f64 / f64::from(CHECKS)
}

/// Lowest, median, highest.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
    (
        at(0),
        at(values.len() / 2),
        at(values.len().wrapping_sub(1)),
    )
}
