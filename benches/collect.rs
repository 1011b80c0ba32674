//! What a call costs collect: tracking of both its legs, their neighbours out of 1,000 rules, flags, behaviour and campaigns, in CPU time of one
//! thread, beside one bare signature check in the same run.
//!
//! `cargo bench --bench collect` (options: `-- CALLS NUMBERS RULES`)
//!
//! A call is fourteen messages: INVITE, 100, 180, 200, ACK, BYE and 200 on the way in and, 4 ms later and under another Call-ID, on the way out. Calls come
//! at 10,000 a second of capture time and last for 30 s, so that 600,000 legs are open at once where they may. Nine of ten are signed, one of a hundred fails; the verdicts are
//! given, since they are the judges' work. What is measured is `handle` of each message and all that comes out. Making the messages and reading them
//! (the judges' work too) is not.

use std::collections::VecDeque;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use cpu_time::ThreadTime;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use tracehop::base::Timestamp;
use tracehop::base::digest::Digest128;
use tracehop::call::attempt::Facts;
use tracehop::config::Config;
use tracehop::daemon::pipeline::PipelineSettings;
use tracehop::engine::collect::{Collector, Output};
use tracehop::engine::judge::{Judge, Judged};
use tracehop::lab::DEFAULT_BASE;
use tracehop::stir::credential::Credentials;
use tracehop::stir::verify::{Attestation, Rule, Validation, VerifySettings};
use tracehop::wire::{Flow, Message, Transport, Vlans};

const CALLS_PER_SECOND: u64 = 10_000;
const TALK: Duration = Duration::from_secs(30);
const CHUNK: u64 = 5_000;
const US: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5060);

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|a| a.parse::<u64>().ok());
    let calls = numbers.next().unwrap_or(1_500_000);
    let pool = numbers.next().unwrap_or(1_000_000);
    let rules = numbers.next().unwrap_or(1_000);
    println!("{calls} calls from and to {pool} numbers, {rules} rules; CPU time of one thread");
    let ring = ring_ns();
    println!("one bare P-256 check           {ring:>9.0} ns");
    for (what, rules) in [("one rule a side", 2), ("all rules", rules)] {
        let run = run(calls, pool, rules);
        println!(
            "a call, {what:<22} {:>9.0} ns   {:.3} of a check; {} records, {} findings; {} MiB after, {} at most",
            run.ns,
            run.ns / ring,
            run.records,
            run.findings,
            run.resident,
            peak_mib()
        );
    }
}

struct Run {
    ns: f64,
    records: u64,
    findings: u64,
    resident: u64,
}

fn run(calls: u64, pool: u64, rules: u64) -> Run {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("peers.toml"), peers(rules)).unwrap();
    let config = dir.path().join("tracehop.toml");
    std::fs::write(
        &config,
        "[provider]\nname = \"Example Voice\"\nown_numbers = [\"1202555014\"]\n[peers]\nfile = \"peers.toml\"\n[store]\npath = \"store\"\n",
    )
    .unwrap();
    let config = Config::load(&config).unwrap_or_else(|p| panic!("{p:#?}"));
    let settings = PipelineSettings::new(&config, Credentials::default(), 1);
    let mut collector = Collector::new(settings.collect, 1);
    let mut judge = Judge::new(
        Arc::new(Credentials::default()),
        Arc::new(VerifySettings::default()),
    );
    let mut spent = Duration::ZERO;
    let (mut records, mut findings) = (0, 0);
    let mut talking = VecDeque::new();
    let mut timed = 0;
    for chunk in 0..calls.div_ceil(CHUNK) {
        let mut messages = Vec::new();
        for n in chunk * CHUNK..(chunk + 1) * CHUNK {
            let call = Call::new(n, pool, rules);
            messages.extend(call.begin(&mut judge));
            talking.push_back(n);
            let over = |begun: &mut u64| *begun + CALLS_PER_SECOND * TALK.as_secs() <= n;
            while let Some(begun) = talking.pop_front_if(over) {
                messages.extend(Call::new(begun, pool, rules).end(&mut judge));
            }
        }
        messages.sort_by_key(|m| m.at);
        let start = ThreadTime::now();
        for message in messages {
            collector.handle(message);
            while let Some(output) = collector.poll_output() {
                match black_box(output) {
                    Output::Begin(_) => records += 1,
                    Output::End(_) | Output::Evidence(_) => {}
                    #[allow(unreachable_patterns)]
                    _ => findings += 1,
                }
            }
        }
        // The first third fills the tables.
        if chunk * CHUNK >= calls / 3 {
            spent += start.elapsed();
            timed += CHUNK;
        }
    }
    Run {
        ns: spent.as_nanos() as f64 / timed as f64,
        records,
        findings,
        resident: status_mib("VmRSS:"),
    }
}

/// Half of the neighbours hand calls over, half take them.
fn peers(rules: u64) -> String {
    let mut out = "[[peer]]\nid = \"own\"\nname = \"Example Voice\"\nkind = \"own\"\n\
                   [[rule]]\nname = \"own\"\npeer = \"own\"\nnetworks = [\"192.0.2.0/28\"]\n"
        .to_owned();
    for n in 0..rules {
        let host = host(n);
        out += &format!(
            "[[peer]]\nid = \"p{n}\"\nname = \"Peer {n}\"\nkind = \"provider\"\n\
             [[rule]]\nname = \"r{n}\"\npeer = \"p{n}\"\nnetworks = [\"{host}/32\"]\n"
        );
    }
    out
}

/// Of shared address space (RFC 6598).
fn host(rule: u64) -> Ipv4Addr {
    Ipv4Addr::from(0x6440_0000 + u32::try_from(rule).unwrap() * 16 + 1)
}

struct Call {
    n: u64,
    at: Timestamp,
    from: SocketAddr,
    to: SocketAddr,
    calling: String,
    called: String,
}

impl Call {
    fn new(n: u64, pool: u64, rules: u64) -> Self {
        // Steps that share no factor with the pool visit it all.
        let number = |k: u64| format!("1{}555{:04}", 200 + k / 10_000 % 800, k % 10_000);
        let neighbour = |k: u64| SocketAddr::new(host(k).into(), 5060);
        let half = rules.div_ceil(2);
        Self {
            n,
            at: DEFAULT_BASE.plus(Duration::from_nanos(n * 1_000_000_000 / CALLS_PER_SECOND)),
            from: neighbour(n % half),
            to: neighbour(half + n / 7 % (rules - half)),
            calling: number(n * 7_919 % pool),
            called: number((n * 104_729 + 17) % pool),
        }
    }

    /// Both legs up to ACK.
    fn begin(&self, judge: &mut Judge) -> Vec<Judged> {
        let mut out = Vec::new();
        for (leg, after) in [(0, 0), (1, 4)] {
            out.push(self.message(judge, leg, after, true, "INVITE", 1, "INVITE"));
            for (later, code) in [(1, "100 Trying"), (300, "180 Ringing"), (2_000, "200 OK")] {
                out.push(self.message(judge, leg, after + later, false, code, 1, "INVITE"));
            }
            out.push(self.message(judge, leg, after + 2_010, true, "ACK", 1, "ACK"));
        }
        out
    }

    /// BYE and its answer.
    fn end(&self, judge: &mut Judge) -> Vec<Judged> {
        let mut out = Vec::new();
        let over = u64::try_from(TALK.as_millis()).unwrap();
        for (leg, after) in [(0, over), (1, over + 4)] {
            out.push(self.message(judge, leg, after, true, "BYE", 2, "BYE"));
            out.push(self.message(judge, leg, after + 10, false, "200 OK", 2, "BYE"));
        }
        out
    }

    #[allow(clippy::too_many_arguments)]
    fn message(
        &self,
        judge: &mut Judge,
        leg: u64,
        after_ms: u64,
        forward: bool,
        what: &str,
        cseq: u32,
        method: &str,
    ) -> Judged {
        let Self {
            n, calling, called, ..
        } = self;
        let (sender, receiver) = if leg == 0 {
            (self.from, US)
        } else {
            (US, self.to)
        };
        let start = match what.contains(' ') {
            true => format!("SIP/2.0 {what}"),
            false => format!("{what} sip:+{called}@{receiver} SIP/2.0"),
        };
        let tag = if what == "INVITE" {
            String::new()
        } else {
            format!(";tag=t{n}")
        };
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP {sender};branch=z9hG4bK{n}x{leg}x{cseq}\r\nMax-Forwards: 70\r\nFrom: <sip:+{calling}@{sender}>;tag=f{n}x{leg}\r\n\
             To: <sip:+{called}@{receiver}>{tag}\r\nCall-ID: {n}-{leg}@{sender}\r\nCSeq: {cseq} {method}\r\n\
             P-Asserted-Identity: <sip:+{calling}@{sender}>\r\nContact: <sip:{sender}>\r\nContent-Length: 0\r\n\r\n"
        );
        let (source, destination) = if forward {
            (sender, receiver)
        } else {
            (receiver, sender)
        };
        let mut judged = judge.pass(Message {
            seq: 0,
            at: self.at.plus(Duration::from_millis(after_ms)),
            flow: Flow {
                source,
                destination,
                transport: Transport::Udp,
                vlans: Vlans::new(),
                path: Default::default(),
                macs: Default::default(),
            },
            sensor: 0,
            cut: None,
            bytes: text.into_bytes(),
        });
        if let Ok(Facts::Invite(invite)) = &mut judged.facts {
            self.verdict(&mut invite.verdict);
        }
        judged
    }

    /// What the judges would have said.
    fn verdict(&self, verdict: &mut tracehop::call::record::Verdict) {
        if self.n.is_multiple_of(10) {
            return;
        }
        verdict.identities = 1;
        verdict.attest =
            Some([Attestation::A, Attestation::B, Attestation::C][self.n as usize % 3]);
        verdict.passport = Some(Digest128::of(&self.n.to_le_bytes()));
        verdict.iat = Some(self.at.secs());
        verdict.spc = Some(format!("{:04}", self.n % 500).into());
        verdict.origid = Some(format!("123e4567-e89b-12d3-a456-{:012}", self.n % 1_000).into());
        if self.n % 100 == 1 {
            (verdict.validation, verdict.decided_by) = (Validation::Failed, Some(Rule::S2));
        } else {
            verdict.validation = Validation::Passed;
        }
    }
}

/// The bound: one bare check with the key at hand.
fn ring_ns() -> f64 {
    let rng = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &rng).unwrap();
    let input = [b'x'; 308];
    let signature = pair.sign(&rng, &input).unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
    let rounds = 20_000;
    let start = ThreadTime::now();
    for _ in 0..rounds {
        black_box(key.verify(black_box(&input), signature.as_ref())).unwrap();
    }
    start.elapsed().as_nanos() as f64 / f64::from(rounds)
}

fn peak_mib() -> u64 {
    status_mib("VmHWM:")
}

fn status_mib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with(name)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024
}
