//! Calls at an [`Edge`]: sipp's, an agent's, and what tcpdump and tshark say of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use tracehop::base::Timestamp;
use tracehop::host::clock;
use tracehop::lab::passport::{Claims, Token};
use tracehop::lab::pki::Signer;
use tracehop::stir::verify::Attestation;
use tracehop::wire::hep::{self, HepPacket, Payload};

use super::edge::{CALLEE, CALLER, Edge, Ends, until, within};
use super::run;
use super::support::text;

const UAC: &str = include_str!("edge/caller.xml");
const UAS: &str = include_str!("edge/callee.xml");

impl Edge {
    /// A sipp that answers every call, at an address of that namespace.
    pub fn callee(&self, namespace: &str, at: &str, transport: &str) -> Ends {
        let scenario = text(&self.path("uas.xml"));
        fs::write(&scenario, UAS).unwrap();
        let ends = self.start(
            namespace,
            &[
                "sipp", "-sf", &scenario, "-i", at, "-p", "5060", "-t", transport, "-nostdin",
            ],
        );
        let (kind, wanted) = if transport.starts_with('t') {
            ("tcp", " 0A ")
        } else {
            ("udp", "")
        };
        let v6 = if at.contains(':') { "6" } else { "" };
        until("a callee", || {
            let sockets = within(namespace, || {
                fs::read_to_string(format!("/proc/thread-self/net/{kind}{v6}"))
            });
            sockets
                .unwrap()
                .lines()
                .any(|l| l.contains(":13C4 ") && l.contains(wanted))
        });
        ends
    }

    /// Places calls, each signed now; gives the sipp that does so.
    pub fn place(&self, calls: &Calls) -> Ends {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let (file, scenario) = (
            self.path(&format!("{n}.csv")),
            self.path(&format!("{n}.xml")),
        );
        fs::write(&file, calls.signed(&self.signer)).unwrap();
        let padding = "x".repeat(calls.padding);
        fs::write(
            &scenario,
            UAC.replace("PADDING", &padding)
                .replace("[next_url]", calls.remote),
        )
        .unwrap();
        let to = match calls.to.contains(':') {
            true => format!("[{}]:{}", calls.to, calls.port),
            false => format!("{}:{}", calls.to, calls.port),
        };
        let [rate, count, hold] = [calls.rate, calls.count, calls.hold_ms].map(|n| n.to_string());
        let log = self.path(&format!("{n}.err"));
        let mut command = self.command(
            &self.a,
            &[
                "sipp",
                &to,
                "-sf",
                &text(&scenario),
                "-inf",
                &text(&file),
                "-i",
                calls.from,
                "-p",
                calls.local_port,
                "-t",
                calls.transport,
                "-r",
                &rate,
                "-m",
                &count,
                "-d",
                &hold,
                "-l",
                "2000",
                "-timeout",
                "40",
                "-nostdin",
                "-max_socket",
                "1000",
                "-trace_err",
                "-error_file",
                &text(&log),
            ],
        );
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut ends = Ends::of(command);
        ends.said_in(log);
        ends
    }

    /// An agent's packet of HEP v3 with an INVITE that the neighbour signed at that time.
    pub fn mirrored(&self, called: &str, n: usize, at: Timestamp) -> Vec<u8> {
        let claims = Claims {
            attest: attestation(n),
            orig: format!("121255501{n:02}"),
            dest: called.to_owned(),
            iat: at.secs(),
            origid: format!("123e4567-e89b-12d3-a456-{n:012}"),
        };
        let identity = Token::shaken(&claims, &self.signer.url).sign(&self.signer.key);
        let invite = format!(
            "INVITE sip:+{called}@{CALLEE} SIP/2.0\r\nVia: SIP/2.0/TLS {CALLER};branch=z9hG4bK{called}{n}\r\n\
             From: <sip:+{}@{CALLER}>;tag={n}\r\nTo: <sip:+{called}@{CALLEE}>\r\nCall-ID: {called}-{n}@{CALLER}\r\n\
             CSeq: 1 INVITE\r\nIdentity: {identity}\r\nContent-Length: 0\r\n\r\n",
            claims.orig
        );
        let packet = HepPacket {
            version: 3,
            between: Some((
                format!("{CALLER}:40000").parse().unwrap(),
                format!("{CALLEE}:5061").parse().unwrap(),
            )),
            protocol: Some(22),
            kind: hep::SIP,
            at: Some(at),
            agent: Some(2001),
            key: None,
            vlan: None,
            payload: Some(Payload::Plain(invite.as_bytes())),
        };
        hep::write::v3(&packet).unwrap()
    }

    /// Captures on `vb` into a file, as the oracle's source.
    pub fn tcpdump(&self, name: &str) -> Oracle {
        let file = self.path(name);
        let path = text(&file);
        let capture = [
            "tcpdump", "-i", "vb", "-U", "-s", "0", "-B", "65536", "-Z", "root", "-w", &path,
        ];
        let log = self.path(&format!("{name}.log"));
        let mut command = self.command(&self.b, &capture);
        command.stdout(Stdio::null());
        command.stderr(File::create(&log).unwrap());
        let mut tcpdump = Ends::of(command);
        tcpdump.said_in(log);
        until("tcpdump", || {
            fs::metadata(&file).is_ok_and(|m| m.len() >= 24)
        });
        sleep(Duration::from_millis(200));
        Oracle { tcpdump, file }
    }
}

/// Calls to place.
#[derive(Clone, Debug)]
pub struct Calls {
    pub from: &'static str,
    pub to: &'static str,
    pub port: u16,
    pub local_port: &'static str,
    pub transport: &'static str,
    /// Called number.
    pub called: &'static str,
    pub count: usize,
    /// A second.
    pub rate: usize,
    /// From answer to BYE.
    pub hold_ms: usize,
    /// Octets that make the INVITE larger.
    pub padding: usize,
    /// Where ACK and BYE go: what sipp reads of Contact, or an address where it can't read it.
    pub remote: &'static str,
}

impl Calls {
    /// Over UDP to our callee, in fragments.
    pub fn to(called: &'static str, count: usize) -> Self {
        Self {
            from: CALLER,
            to: CALLEE,
            port: 5060,
            local_port: "5060",
            transport: "u1",
            called,
            count,
            rate: 40,
            hold_ms: 200,
            padding: 900,
            remote: "[next_url]",
        }
    }

    fn signed(&self, signer: &Signer) -> String {
        let now = clock::now().secs();
        let mut out = "SEQUENTIAL\n".to_owned();
        for n in 0..self.count {
            let orig = format!("121255501{:02}", n % 100);
            let claims = Claims {
                attest: attestation(n),
                orig: orig.clone(),
                dest: self.called.to_owned(),
                iat: now,
                origid: format!("123e4567-e89b-12d3-a456-{n:012}"),
            };
            let value = Token::shaken(&claims, &signer.url).sign(&signer.key);
            // A semicolon ends sipp's field.
            let token = value.split(';').next().unwrap();
            out += &format!("{orig};{};{token};{}\n", self.called, signer.url);
        }
        out
    }
}

/// Of the call with that number.
pub fn attestation(n: usize) -> Attestation {
    match n % 2 {
        0 => Attestation::B,
        _ => Attestation::A,
    }
}
/// What tcpdump writes and tshark reads.
pub struct Oracle {
    tcpdump: Ends,
    file: PathBuf,
}

/// Identity values of every initial INVITE by its Call-ID, and when it was first seen, in seconds since 1970.
pub type Invites = BTreeMap<String, (String, f64)>;

impl Oracle {
    pub fn end(mut self) -> Invites {
        // The kernel gives tcpdump what it has every second, and what it has not given is lost by the interrupt.
        sleep(Duration::from_millis(1_300));
        self.tcpdump.signal("-INT");
        self.tcpdump.0.wait().unwrap();
        let said = self.tcpdump.said();
        assert!(said.contains("\n0 packets dropped by kernel"), "{said}");
        invites(&self.file)
    }
}

fn invites(file: &Path) -> Invites {
    let path = text(file);
    let select = ["-r", &path, "-Y", "sip.Method == \"INVITE\""];
    let fields = ["-T", "fields", "-E", "separator=;", "-E", "occurrence=f"];
    let of = [
        "-e",
        "frame.time_epoch",
        "-e",
        "sip.Call-ID",
        "-e",
        "sip.Identity",
    ];
    let mut out = Invites::new();
    for line in run("tshark", &[&select[..], &fields, &of].concat()).lines() {
        let mut parts = line.splitn(3, ';');
        let at: f64 = parts.next().unwrap().parse().unwrap();
        let call_id = parts.next().unwrap_or_default().to_owned();
        let identity = parts.next().unwrap_or_default().to_owned();
        out.entry(call_id).or_insert((identity, at));
    }
    out
}
