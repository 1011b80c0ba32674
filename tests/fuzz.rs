//! Every fuzz target for a bounded time on the stable toolchain: its seeds, the kept corpus, and what comes of changing them.
//!
//! `FUZZ_SECONDS=600 cargo test --test fuzz` runs each for longer, `FUZZ_SEED=…` takes another way. What breaks a promise is
//! written beside the corpus as `fuzz/corpus/TARGET/found-…` and becomes a case for good. `fuzz/README.md` says how to run
//! the same bodies under libFuzzer.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracehop::lab::fuzz::{TARGETS, Target, target};
use tracehop::lab::random::Random;

/// The longest input: what one SIP message may hold.
const LONGEST: usize = 65_535;

/// Whole inputs kept to go on from, besides seeds and corpus.
const POOL: usize = 512;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name)
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

fn kept(name: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(corpus(name))
        .map(|d| d.map(|e| e.unwrap().path()).collect())
        .unwrap_or_default();
    files.sort();
    files.iter().map(|f| fs::read(f).unwrap()).collect()
}

/// Feeds one input; keeps it and fails where a promise is broken.
fn feed(target: &Target, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.check)(input))).is_ok() {
        return;
    }
    let folder = corpus(target.name);
    fs::create_dir_all(&folder).unwrap();
    let sum = input.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
        (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let file = folder.join(format!("found-{sum:016x}"));
    fs::write(&file, input).unwrap();
    panic!(
        "{} breaks on {} octets: see {}",
        target.name,
        input.len(),
        file.display()
    );
}

/// Pieces that mean something to one parser or another.
const WORDS: [&[u8]; 31] = [
    b";info=<",
    b">",
    b";ppt=shaken",
    b";ppt=\"div\"",
    b";alg=ES256",
    b"..",
    b"=",
    b",",
    b"\r\n ",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"{\"",
    b"\":",
    b"null",
    b"1e400",
    b"-1",
    b"[[[[[[[[",
    b"}}",
    b"\x30\x80",
    b"\x30\x84\xff\xff\xff\xff",
    b"\xa0\x06\x16\x04",
    b"\x02\x01\xff",
    b"\xff\xfe",
    b"\x08\x00\x45\x00",
    b"\x81\x00\x00\x07",
    b"\x88\x47\x00\x00\x11\x40",
    b"INVITE sip:a@example.net SIP/2.0\r\n",
    b"SIP/2.0 200 OK\r\nl: ",
    b"HEP3\x00\x06",
    b"\x00\x00\x00\x0f\x00\x07",
];

/// One to four changes of an input.
fn changed(rng: &mut Random, from: &[u8], other: &[u8]) -> Vec<u8> {
    let mut out = from.to_vec();
    for _ in 0..=rng.below(4) {
        let at = rng.index(out.len() + 1);
        match rng.below(8) {
            0 if at < out.len() => out[at] ^= 1 << rng.below(8),
            1 if at < out.len() => out[at] = rng.below(256) as u8,
            2 => out.truncate(at),
            3 => {
                let end = (at + rng.index(17)).min(out.len());
                out.drain(at..end);
            }
            4 => {
                let word = *rng.pick(&WORDS);
                out.splice(at..at, word.iter().copied());
            }
            5 => {
                let (a, b) = (rng.index(other.len() + 1), rng.index(other.len() + 1));
                out.splice(at..at, other[a.min(b)..a.max(b)].iter().copied());
            }
            6 => {
                let end = (at + rng.index(33)).min(out.len());
                let piece = out[at..end].to_vec();
                let times = rng.index(8);
                out.splice(at..at, piece.repeat(times));
            }
            _ => out.insert(at, rng.below(256) as u8),
        }
        out.truncate(LONGEST);
    }
    out
}

fn run(name: &str) {
    let target = target(name).unwrap();
    let mut pool = (target.seeds)();
    assert!(!pool.is_empty(), "{name} has no seeds");
    pool.extend(kept(name));
    for input in &pool {
        feed(target, input);
    }
    let first = pool.len();
    let mut rng = Random::new(number("FUZZ_SEED", 1), name);
    let until = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS", 3));
    let mut inputs = 0u64;
    while Instant::now() < until {
        for _ in 0..64 {
            // Mostly from what is nearly right: changes pile up to noise that is refused at the door.
            let reach = if rng.below(4) == 0 { pool.len() } else { first };
            let (from, other) = (rng.index(reach), rng.index(first));
            let (from, other) = (pool[from].clone(), pool[other].clone());
            let input = changed(&mut rng, &from, &other);
            feed(target, &input);
            inputs += 1;
            // Changes pile up: some of what was fed is changed further.
            if pool.len() < first + POOL {
                pool.push(input);
            } else if rng.below(16) == 0 {
                let place = first + rng.index(POOL);
                pool[place] = input;
            }
        }
    }
    println!("{name}: {first} seeds, {inputs} inputs");
}

macro_rules! targets {
    ($( $test:ident $name:literal; )*) => {
        $( #[test] fn $test() { run($name); } )*

        #[test]
        fn every_target_is_run_here_and_under_libfuzzer() {
            let here = [$($name),*];
            let all: Vec<_> = TARGETS.iter().map(|t| t.name).collect();
            assert_eq!(here[..], all[..]);
            for name in all {
                let file = format!("fuzz/fuzz_targets/{}.rs", name.replace('-', "_"));
                let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file));
                assert!(text.is_ok_and(|t| t.contains(&format!("\"{name}\""))), "{file}");
            }
        }
    };
}

targets! {
    identity "identity";
    message "message";
    jose "jose";
    claims "claims";
    certificate "certificate";
    tnauthlist "tnauthlist";
    crl "crl";
    ca_list "ca-list";
    frames "frames";
    tunnel "tunnel";
    reassembly "reassembly";
    tcp "tcp";
    websocket "websocket";
    sctp "sctp";
    framing "framing";
    hep "hep";
    mirror "mirror";
    mail "mail";
    page "page";
}
