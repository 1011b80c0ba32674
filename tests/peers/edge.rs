//! A provider's edge in two network namespaces: a neighbour's callers at `va`, and at `vb` our callee with the daemon beside it.
//!
//! Calls are sipp's, signed by the lab's signer at the moment they are placed; what tcpdump wrote on `vb` and tshark reads of it is the oracle.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use tempfile::TempDir;
use tracehop::base::Timestamp;
use tracehop::host::clock;
use tracehop::lab::passport::{Claims, Token};
use tracehop::lab::pki::{Pki, Signer};
use tracehop::stir::verify::Attestation;
use tracehop::wire::hep::{self, HepPacket, Payload};

use super::run;
use super::support::text;

/// Who calls in every test. Odd callers have attestation A, even ones B.
pub const CALLER: &str = "198.51.100.1";
/// Our callee, and where the daemon is.
pub const CALLEE: &str = "198.51.100.2";
/// An address at the callers' end that no rule names.
pub const STRANGER: &str = "198.51.100.5";
pub const CALLER_V6: &str = "2001:db8:100::1";
pub const CALLEE_V6: &str = "2001:db8:100::2";

/// Two namespaces with a veth pair, a PKI of today, and a configuration. All of it goes with the test.
pub struct Edge {
    pub dir: TempDir,
    pub a: String,
    pub b: String,
    signer: Signer,
}

impl Edge {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("td{}x{n}", std::process::id());
        let dir = tempfile::tempdir().unwrap();
        // The daemon goes on as somebody else than we are.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let pki = Pki::new(11, clock::now()).unwrap();
        for (name, content) in &pki.files {
            let path = dir.path().join("certs").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        fs::write(dir.path().join("peers.toml"), PEERS).unwrap();
        let edge = Self {
            dir,
            a: format!("{id}a"),
            b: format!("{id}b"),
            signer: pki.signers[1].clone(),
        };
        for name in [&edge.a, &edge.b] {
            run("ip", &["netns", "add", name]);
            run("ip", &["-n", name, "link", "set", "lo", "up"]);
        }
        edge.plug();
        edge
    }

    /// Makes the pair of interfaces, and waits until both have a carrier.
    pub fn plug(&self) {
        let (a, b) = (self.a.as_str(), self.b.as_str());
        let pair = [
            "link", "add", "va", "netns", a, "type", "veth", "peer", "name", "vb", "netns", b,
        ];
        run("ip", &pair);
        let ends = [
            (
                a,
                "va",
                [CALLER, "198.51.100.3", STRANGER].as_slice(),
                CALLER_V6,
            ),
            (b, "vb", &[CALLEE], CALLEE_V6),
        ];
        for (name, link, v4, v6) in ends {
            for address in v4 {
                let address = format!("{address}/24");
                run("ip", &["-n", name, "addr", "add", &address, "dev", link]);
            }
            let v6 = format!("{v6}/64");
            let add = ["-n", name, "-6", "addr", "add", &v6, "dev", link, "nodad"];
            run("ip", &add);
            run("ip", &["-n", name, "link", "set", link, "up"]);
        }
        self.settle();
    }

    pub fn unplug(&self) {
        run("ip", &["-n", &self.b, "link", "del", "vb"]);
    }

    /// Sets `vb` up or down. What goes with a link that is down, an IPv6 address, does not come back.
    pub fn set(&self, state: &str) {
        run("ip", &["-n", &self.b, "link", "set", "vb", state]);
    }

    pub fn settle(&self) {
        for (name, link) in [(&self.a, "va"), (&self.b, "vb")] {
            until(link, || {
                run("ip", &["-n", name, "link", "show", link]).contains("state UP")
            });
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the daemon's configuration: metrics and PKI, and `more`, which says what it watches.
    pub fn configure(&self, more: &str) {
        fs::write(self.path("tracehop.toml"), format!("{CONFIG}\n{more}")).unwrap();
    }

    /// A program in the callers' namespace, or in the callee's.
    pub fn command(&self, namespace: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", namespace])
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// Starts one that ends with the test.
    pub fn start(&self, namespace: &str, arguments: &[&str]) -> Ends {
        let mut command = self.command(namespace, arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ends::of(command)
    }

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
        fs::write(&scenario, UAC.replace("PADDING", &padding)).unwrap();
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
        ends.1 = log;
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
        let tcpdump = self.start(&self.b, &capture);
        until("tcpdump", || {
            fs::metadata(&file).is_ok_and(|m| m.len() >= 24)
        });
        sleep(Duration::from_millis(200));
        Oracle { tcpdump, file }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        for name in [&self.a, &self.b] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
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

/// A program that ends with the test, or before.
pub struct Ends(pub Child, PathBuf);

impl Ends {
    pub fn of(mut command: Command) -> Self {
        let child = command.spawn().expect("ip; tests/run installs it");
        Self(child, PathBuf::new())
    }

    /// Waits for its end, which must be a good one and soon.
    pub fn finish(mut self) {
        let begin = Instant::now();
        let status = loop {
            match self.0.try_wait().unwrap() {
                Some(status) => break status,
                None if begin.elapsed() > Duration::from_secs(60) => panic!("it does not end"),
                None => sleep(Duration::from_millis(50)),
            }
        };
        let said = fs::read_to_string(&self.1).unwrap_or_default();
        assert!(status.success(), "{status}: {said}");
    }

    pub fn signal(&self, name: &str) {
        run("kill", &[name, &self.0.id().to_string()]);
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
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
        sleep(Duration::from_millis(300));
        self.tcpdump.signal("-INT");
        self.tcpdump.0.wait().unwrap();
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

/// Does something with the network of a namespace. What sockets it makes stay there.
pub fn within<T: Send>(namespace: &str, what: impl FnOnce() -> T + Send) -> T {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap();
    scope(|s| {
        let thread = s.spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            what()
        });
        thread.join().unwrap()
    })
}

/// Waits for what must come soon.
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{what} did not come"
        );
        sleep(Duration::from_millis(50));
    }
}

/// One neighbour's trunk and us.
pub const PEERS: &str = r#"
[[peer]]
id = "own"
name = "Example Voice"
kind = "own"

[[peer]]
id = "northstar"
name = "Northstar Voice LLC"
kind = "provider"

[[peer]]
id = "westgate"
name = "Westgate Telecom Inc"
kind = "provider"

[[rule]]
name = "own"
peer = "own"
networks = ["198.51.100.2", "2001:db8:100::2"]

[[rule]]
name = "northstar-trunk"
peer = "northstar"
networks = ["198.51.100.1", "2001:db8:100::1"]

[[rule]]
name = "westgate-trunk"
peer = "westgate"
networks = ["198.51.100.3"]
"#;

const CONFIG: &str = r#"
[provider]
name = "Example Voice"

[run]
user = "nobody"

[peers]
file = "peers.toml"

[credentials]
directory = "certs/x5u"
ca_list = "certs/ca-list.jws"
sti_pa_root = "certs/sti-pa-root.pem"
ca_list_signer = "certs/ca-list-signer.pem"
crl = "certs/crl.der"
crl_signer = "certs/crl-signer.pem"

[store]
path = "state/store"

[http]
listen = "127.0.0.1:9464"
"#;

const UAC: &str = r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="caller">
<send retrans="500"><![CDATA[
INVITE sip:+[field1]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:+[field0]@[local_ip]:[local_port]>;tag=[pid]t[call_number]
To: <sip:+[field1]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:caller@[local_ip]:[local_port];transport=[transport]>
Identity: [field2];info=<[field3]>;alg=ES256;ppt=shaken
Subject: PADDING
Content-Length: 0

]]></send>
<recv response="100" optional="true"/>
<recv response="180" optional="true"/>
<recv response="200" rrs="true"/>
<send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
[routes]
From: <sip:+[field0]@[local_ip]:[local_port]>;tag=[pid]t[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Content-Length: 0

]]></send>
<pause/>
<send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
[routes]
From: <sip:+[field0]@[local_ip]:[local_port]>;tag=[pid]t[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 2 BYE
Content-Length: 0

]]></send>
<recv response="200"/>
</scenario>
"#;

const UAS: &str = r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="callee">
<recv request="INVITE" rrs="true"/>
<send><![CDATA[
SIP/2.0 180 Ringing
[last_Via:]
[last_Record-Route:]
[last_From:]
[last_To:];tag=[pid]u[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:callee@[local_ip]:[local_port];transport=[transport]>
Content-Length: 0

]]></send>
<send retrans="500"><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_Record-Route:]
[last_From:]
[last_To:];tag=[pid]u[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:callee@[local_ip]:[local_port];transport=[transport]>
Content-Length: 0

]]></send>
<recv request="ACK"/>
<recv request="BYE"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
"#;
