//! Programs that mirror what they see: what sipp says it sent and received must come out of our listener, octet by octet, once for each hop.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use tracehop::base::Timestamp;
use tracehop::call::record::{Direction, State};
use tracehop::capture::hep::{HepHandle, HepListener, HepSettings, ListenLimits};
use tracehop::engine::mirror::{Agent, Mirror, MirrorLimits};
use tracehop::engine::sequence::Caught;
use tracehop::host::clock;
use tracehop::number::Tn;
use tracehop::store::Lookup as _;
use tracehop::store::embedded::EmbeddedStore;
use tracehop::wire::sip::{HeaderName, Message as Sip};
use tracehop::wire::{Message, Provenance, Transport};

use super::signer::openssl_pki;
use super::support::text;
use super::{Running, run};

const CALLS: usize = 20;

const CALLED: &str = "12025550123";

/// Where sipp calls from and is called; the proxy is at 127.0.0.1.
const CALLER: &str = "127.0.0.2";
const CALLEE: &str = "127.0.0.3";

/// How long programs may take for what takes them a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ports of loopback that nobody has now, neither over UDP nor over TCP.
fn ports<const N: usize>() -> [u16; N] {
    let mut held = Vec::new();
    let ports = [0; N].map(|_| {
        for _ in 0..100 {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = udp.local_addr().unwrap().port();
            if let Ok(tcp) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                held.push((udp, tcp));
                return port;
            }
        }
        panic!("no port is free");
    });
    drop(held);
    ports
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(20));
    }
}

/// A listener of ours on loopback.
struct Ours {
    handle: HepHandle,
    port: u16,
    caught: Receiver<Caught>,
}

impl Ours {
    fn start(id: Option<u32>) -> Self {
        let agent = Agent {
            name: "proxy-a".into(),
            sensor: 7,
            networks: vec!["127.0.0.1/32".parse().unwrap()],
            id,
            key: None,
            carrier: None,
            certificate: None,
        };
        let settings = HepSettings {
            udp: vec![local(0)],
            tcp: vec![],
            tls: vec![],
            tls_files: None,
            agents: vec![agent],
            limits: ListenLimits::default(),
            mirror: MirrorLimits::default(),
        };
        let listener = HepListener::bind(&settings).unwrap();
        let port = listener.addresses()[0][0].port();
        let (to, caught) = unbounded();
        let mirror = Mirror::new(settings.agents, settings.mirror);
        let handle = listener.start(mirror, to, 0, clock::now).unwrap();
        Self {
            handle,
            port,
            caught,
        }
    }

    /// Stops, and gives what was told with the times of arrival. Nothing may have been refused, cut or lost on the way.
    fn finish(self) -> Vec<(Timestamp, Message)> {
        // What a sender has yet to send.
        sleep(Duration::from_millis(700));
        let view = self.handle.view();
        self.handle.stop().unwrap();
        let (c, listened) = view.counters();
        assert_eq!((c.imbalance(), listened.imbalance()), (None, None));
        assert_eq!(c.packets_in, c.packets_sip + c.packets_keep_alive, "{c:?}");
        assert_eq!((c.dropped, listened.queue_full), (0, 0));
        assert_eq!(c.messages_cut + c.payloads_not_sip + c.threads_lost, 0);
        assert_eq!((c.times_off, c.transports_unknown), (0, 0));
        let caught: Vec<Caught> = self.caught.try_iter().collect();
        // The running minute is told again and again; what was told last counts.
        let rows = caught.iter().flat_map(|c| &c.coverage);
        let rows: BTreeMap<Timestamp, u64> = rows
            .filter(|r| &*r.sensor == "proxy-a")
            .map(|r| (r.from, r.messages))
            .collect();
        let seen: u64 = rows.values().sum();
        let out: Vec<_> = caught.into_iter().flat_map(|c| c.messages).collect();
        assert_eq!(seen, out.len() as u64, "the agent's rows count each");
        for (arrived, m) in &out {
            assert!(m.at.distance(*arrived) < Duration::from_secs(2));
            assert_eq!((m.sensor, m.cut), (7, None));
        }
        out
    }
}

/// sipp's callee, which answers along the route that the proxy recorded. It waits between two answers: a proxy with several processes hands on in any
/// order what comes at once.
fn uas(dir: &Path) -> PathBuf {
    let ok = "[last_Via:]\n[last_Record-Route:]\n[last_From:]\n[last_To:];tag=[pid]u[call_number]\n[last_Call-ID:]\n[last_CSeq:]\n\
              Contact: <sip:uas@[local_ip]:[local_port]>\nContent-Length: 0\n\n";
    let end = "[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n\n";
    let text = format!(
        "<?xml version=\"1.0\"?>\n<scenario name=\"callee\">\n<recv request=\"INVITE\" rrs=\"true\"/>\n\
         <send><![CDATA[\nSIP/2.0 180 Ringing\n{ok}]]></send>\n<pause milliseconds=\"100\"/>\n\
         <send retrans=\"500\"><![CDATA[\nSIP/2.0 200 OK\n{ok}]]></send>\n\
         <recv request=\"ACK\"/>\n<recv request=\"BYE\"/>\n\
         <send><![CDATA[\nSIP/2.0 200 OK\n{end}]]></send>\n</scenario>\n"
    );
    let path = dir.join("uas.xml");
    fs::write(&path, text).unwrap();
    path
}

/// sipp's caller: an Identity header of its own in each call, long enough to split datagrams.
fn uac(dir: &Path) -> PathBuf {
    let head = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\nMax-Forwards: 70\n\
                From: <sip:+12025550100@[local_ip]:[local_port]>;tag=[pid]t[call_number]\nCall-ID: [call_id]\n\
                Contact: <sip:uac@[local_ip]:[local_port];transport=[transport]>\n";
    let identity = format!(
        "Identity: eyJhbGciOiJFUzI1NiJ9.{}.[call_number];info=<https://cert.example.net/sp1.pem>;alg=ES256;ppt=shaken\n",
        "a".repeat(1_200)
    );
    let to = format!("To: <sip:+{CALLED}@[remote_ip]:[remote_port]>");
    let text = format!(
        "<?xml version=\"1.0\"?>\n<scenario name=\"caller\">\n<send retrans=\"500\"><![CDATA[\nINVITE sip:+{CALLED}@[remote_ip]:[remote_port] SIP/2.0\n\
         {head}{to}\nCSeq: 1 INVITE\n{identity}Content-Length: 0\n\n]]></send>\n\
         <recv response=\"100\" optional=\"true\"/>\n<recv response=\"180\" optional=\"true\"/>\n<recv response=\"200\" rrs=\"true\"/>\n\
         <send><![CDATA[\nACK [next_url] SIP/2.0\n{head}[routes]\n[last_To:]\nCSeq: 1 ACK\nContent-Length: 0\n\n]]></send>\n\
         <pause milliseconds=\"200\"/>\n\
         <send retrans=\"500\"><![CDATA[\nBYE [next_url] SIP/2.0\n{head}[routes]\n[last_To:]\nCSeq: 2 BYE\nContent-Length: 0\n\n]]></send>\n\
         <recv response=\"200\"/>\n</scenario>\n"
    );
    let path = dir.join("uac.xml");
    fs::write(&path, text).unwrap();
    path
}

/// The callee, for as long as it lives.
fn callee(dir: &Path, port: u16) -> Running {
    let log = text(&dir.join("uas.log"));
    let arguments = [
        "-i",
        CALLEE,
        "-nostdin",
        "-trace_msg",
        "-message_file",
        &log,
    ];
    let scenario = text(&uas(dir));
    let more = ["-sf", &scenario, "-p", &port.to_string()];
    let running = Running::start("sipp", &[&arguments[..], &more].concat());
    wait("sipp does not answer", || {
        UdpSocket::bind((CALLEE, port)).is_err()
    });
    running
}

/// Makes the calls, from a port towards an address by way of another.
fn call(dir: &Path, from: u16, to: SocketAddr, by: SocketAddr, transport: &str) {
    let (log, scenario) = (text(&dir.join("uac.log")), text(&uac(dir)));
    let (to, by) = (to.to_string(), by.to_string());
    let (from, calls) = (from.to_string(), CALLS.to_string());
    run(
        "sipp",
        &[
            &to,
            "-rsa",
            &by,
            "-sf",
            &scenario,
            "-i",
            CALLER,
            "-p",
            &from,
            "-t",
            transport,
            "-r",
            "20",
            "-m",
            &calls,
            "-timeout",
            "30",
            "-nostdin",
            "-trace_msg",
            "-message_file",
            &log,
        ],
    );
}

/// All that a sipp sent and received, by its own account: `UDP message sent (511 bytes):`, `UDP message received [309] bytes :`, an empty line, octets.
fn said(log: &Path) -> Vec<Vec<u8>> {
    let log = fs::read(log).unwrap();
    let mut out = Vec::new();
    let mut rest = &log[..];
    while let Some(end) = rest.windows(2).position(|w| w == b"\n\n") {
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let (_, length) = head
            .rsplit_once(['(', '['])
            .unwrap_or_else(|| panic!("{head}"));
        let length: String = length.chars().take_while(char::is_ascii_digit).collect();
        let (message, more) = rest[end + 2..].split_at(length.parse().unwrap());
        out.push(message.to_vec());
        rest = more;
    }
    out
}

/// What came out is what was said on each hop, each once.
fn compare(out: &[(Timestamp, Message)], hops: &[(Transport, &Path)]) {
    let mut ours: Vec<(String, String)> = Vec::new();
    let mut theirs = ours.clone();
    let as_text =
        |t: Transport, b: &[u8]| (format!("{t:?}"), String::from_utf8_lossy(b).into_owned());
    ours.extend(out.iter().map(|(_, m)| as_text(m.flow.transport, &m.bytes)));
    for (transport, log) in hops {
        let said = said(log);
        let invites = said.iter().filter(|m| m.starts_with(b"INVITE ")).count();
        assert!(
            invites >= CALLS && said.len() >= 6 * CALLS,
            "{}",
            said.len()
        );
        theirs.extend(said.iter().map(|m| as_text(*transport, m)));
    }
    ours.sort();
    theirs.sort();
    let (n, m) = (ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(&theirs) {
        assert_eq!(a, b, "{n} came out, {m} were said");
    }
    assert_eq!(n, m);
}

/// INVITEs by their Identity value: each call's own.
fn identities(out: &[(Timestamp, Message)]) -> usize {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for (_, m) in out.iter().filter(|(_, m)| m.bytes.starts_with(b"INVITE ")) {
        let sip = Sip::scan(&m.bytes).unwrap();
        let id = sip.headers.first(HeaderName::Identity).unwrap();
        assert!(id.len() > 1_200 && id.ends_with(b"ppt=shaken"));
        all.push(id.to_vec());
    }
    all.sort();
    all.dedup();
    all.len()
}

/// A Kamailio that hands calls on and mirrors all of them.
struct Proxy {
    child: Child,
    /// For calls in clear, and over TLS.
    clear: u16,
    tls: u16,
}

impl Proxy {
    fn start(dir: &Path, callee: u16, hep: u16, version: u8) -> Self {
        let [clear, tls] = ports();
        if !dir.join("tls.pem").exists() {
            let (key, certificate) = (text(&dir.join("tls.key")), text(&dir.join("tls.pem")));
            run(
                "openssl",
                &[
                    "req",
                    "-x509",
                    "-newkey",
                    "rsa:2048",
                    "-nodes",
                    "-subj",
                    "/CN=proxy.example.net",
                    "-keyout",
                    &key,
                    "-out",
                    &certificate,
                ],
            );
        }
        let config = format!(
            "#!KAMAILIO\nlog_stderror=yes\nchildren=2\ntcp_children=2\nauto_aliases=no\nenable_tls=yes\n\
             listen=udp:127.0.0.1:{clear}\nlisten=tcp:127.0.0.1:{clear}\nlisten=tls:127.0.0.1:{tls}\n\
             loadmodule \"tm.so\"\nloadmodule \"sl.so\"\nloadmodule \"rr.so\"\nloadmodule \"pv.so\"\nloadmodule \"textops.so\"\n\
             loadmodule \"siputils.so\"\nloadmodule \"siptrace.so\"\nloadmodule \"tls.so\"\n\
             modparam(\"siptrace\", \"duplicate_uri\", \"sip:127.0.0.1:{hep}\")\nmodparam(\"siptrace\", \"trace_to_database\", 0)\n\
             modparam(\"siptrace\", \"hep_mode_on\", 1)\nmodparam(\"siptrace\", \"hep_version\", {version})\n\
             modparam(\"siptrace\", \"hep_capture_id\", 2001)\nmodparam(\"siptrace\", \"trace_on\", 1)\nmodparam(\"siptrace\", \"trace_mode\", 1)\n\
             modparam(\"tls\", \"config\", \"tls.cfg\")\n\
             request_route {{\n  if (has_totag()) {{ if (loose_route()) t_relay(); else if (is_method(\"ACK\")) t_check_trans(); exit; }}\n\
             t_check_trans(); record_route();\n  $du = \"sip:{CALLEE}:{callee}\"; t_relay();\n}}\n"
        );
        fs::write(dir.join("proxy.cfg"), config).unwrap();
        let tls_config = "[server:default]\nmethod = TLSv1.2+\nprivate_key = tls.key\ncertificate = tls.pem\nverify_certificate = no\n\
                          require_certificate = no\n[client:default]\nmethod = TLSv1.2+\nverify_certificate = no\n";
        fs::write(dir.join("tls.cfg"), tls_config).unwrap();
        let log = fs::File::create(dir.join("kamailio.log")).unwrap();
        let folder = text(dir);
        let child = Command::new("kamailio")
            .args([
                "-f",
                "proxy.cfg",
                "-DD",
                "-E",
                "-w",
                &folder,
                "-Y",
                &folder,
                "-P",
                "kam.pid",
            ])
            .args(["-m", "32", "-M", "8"])
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("kamailio: {e}; tests/run installs it"));
        let mut proxy = Self { child, clear, tls };
        let begin = Instant::now();
        while TcpStream::connect(local(tls)).is_err() {
            let ended = proxy.child.try_wait().unwrap();
            let log = fs::read_to_string(dir.join("kamailio.log")).unwrap();
            assert!(ended.is_none() && begin.elapsed() < PATIENCE, "{log}");
            sleep(Duration::from_millis(50));
        }
        proxy
    }
}

impl Drop for Proxy {
    /// By SIGTERM, so that its children end as well.
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let begin = Instant::now();
        while self.child.try_wait().is_ok_and(|e| e.is_none()) && begin.elapsed() < PATIENCE {
            sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// TLS for sipp, which has none.
fn wrap(tls: u16) -> (Running, u16) {
    let [port] = ports();
    let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr");
    let to = format!("OPENSSL:127.0.0.1:{tls},verify=0,bind={CALLER}");
    let running = Running::start("socat", &[&listen, &to]);
    wait("socat does not listen", || {
        TcpListener::bind(local(port)).is_err()
    });
    (running, port)
}

/// Calls through a Kamailio that mirrors to this port, in clear or over TLS.
fn mirrored_calls(dir: &Path, hep: u16, version: u8, over_tls: bool) -> Proxy {
    let [to, from] = ports();
    let callee = callee(dir, to);
    let proxy = Proxy::start(dir, to, hep, version);
    if over_tls {
        let (_wrap, by) = wrap(proxy.tls);
        call(dir, from, local(proxy.tls), local(by), "t1");
    } else {
        let at = local(proxy.clear);
        call(dir, from, at, at, "u1");
    }
    sleep(Duration::from_millis(300));
    drop(callee);
    proxy
}

#[test]
#[ignore = "needs kamailio, sipp and socat"]
fn peer_kamailio_mirrors_calls_in_every_version_of_hep() {
    for version in [3, 2, 1] {
        let dir = tempfile::tempdir().unwrap();
        let ours = Ours::start((version > 1).then_some(2001));
        let view = ours.handle.view();
        let proxy = mirrored_calls(dir.path(), ours.port, version, false);
        let out = ours.finish();
        let (uac, uas) = (dir.path().join("uac.log"), dir.path().join("uas.log"));
        compare(&out, &[(Transport::Udp, &uac), (Transport::Udp, &uas)]);
        assert_eq!(identities(&out), CALLS, "HEP {version}");
        let at =
            |m: &Message, port| m.flow.source.port() == port || m.flow.destination.port() == port;
        assert!(out.iter().all(|(_, m)| at(m, proxy.clear)));
        let c = view.counters().0;
        let without = if version == 1 { c.packets_sip } else { 0 };
        assert_eq!(c.times_missing, without, "HEP {version}");
    }
}

#[test]
#[ignore = "needs kamailio, sipp and socat"]
fn peer_kamailio_mirrors_a_tls_trunk_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let ours = Ours::start(Some(2001));
    let proxy = mirrored_calls(dir.path(), ours.port, 3, true);
    let out = ours.finish();
    let (uac, uas) = (dir.path().join("uac.log"), dir.path().join("uas.log"));
    compare(&out, &[(Transport::Tls, &uac), (Transport::Udp, &uas)]);
    assert_eq!(identities(&out), CALLS);
    for (_, m) in out
        .iter()
        .filter(|(_, m)| m.flow.transport == Transport::Tls)
    {
        let ours = if m.bytes.starts_with(b"SIP/2.0 ") {
            m.flow.source
        } else {
            m.flow.destination
        };
        assert_eq!(ours, local(proxy.tls));
    }
}

#[test]
#[ignore = "needs sngrep, sipgrep, sipp and root"]
fn peer_sngrep_and_sipgrep_mirror_what_they_sniff() {
    for program in ["sngrep", "sipgrep"] {
        let dir = tempfile::tempdir().unwrap();
        // Both write the number in the wrong order of octets.
        let id = if program == "sngrep" { 2002 } else { 101 };
        let ours = Ours::start(Some(id));
        let [to, from] = ports();
        let hep = format!("udp:127.0.0.1:{}", ours.port);
        let (port, range) = (to.to_string(), format!("{to}-{to}"));
        let filter = ["udp", "port", &port];
        let _sniffer = match program {
            "sngrep" => Running::start(
                program,
                &[&["-F", "-N", "-q", "-d", "lo", "-H", &hep][..], &filter].concat(),
            ),
            _ => Running::start(program, &["-d", "lo", "-H", &hep, "-P", &range]),
        };
        sleep(Duration::from_secs(2));
        let callee = callee(dir.path(), to);
        let at = SocketAddr::new(CALLEE.parse().unwrap(), to);
        call(dir.path(), from, at, at, "u1");
        drop(callee);
        // They read what they sniffed in their own time.
        let view = ours.handle.view();
        wait("messages are missing", || {
            view.counters().0.messages_out >= 6 * CALLS as u64
        });
        let out = ours.finish();
        let uac = dir.path().join("uac.log");
        compare(&out, &[(Transport::Udp, &uac)]);
        assert_eq!(identities(&out), CALLS, "{program}");
    }
}

/// A daemon that listens for agents and watches no interface.
struct Daemon(Child);

impl Daemon {
    fn start(dir: &Path, hep: u16) -> Self {
        openssl_pki(dir);
        let config = dir.join("tracehop.toml");
        let text = fs::read_to_string(&config).unwrap();
        let more = format!(
            "[store]\npath = \"state/store\"\n[run]\nuser = \"nobody\"\n[http]\nenabled = false\n[hep]\nudp = [\"127.0.0.1:{hep}\"]\n\
             [[hep.agent]]\nname = \"proxy-a\"\nnetworks = [\"127.0.0.1/32\"]\nid = 2001\n"
        );
        fs::write(&config, text + &more).unwrap();
        let peer = |id: &str, kind: &str, at: &str| {
            format!(
                "[[peer]]\nid = \"{id}\"\nname = \"Example {id}\"\nkind = \"{kind}\"\n\
                 [[rule]]\nname = \"{id}\"\npeer = \"{id}\"\nnetworks = [\"{at}\"]\n"
            )
        };
        let peers = [
            peer("own", "own", "127.0.0.1"),
            peer("up", "provider", CALLER),
            peer("down", "provider", CALLEE),
        ];
        fs::write(dir.join("peers.toml"), peers.concat()).unwrap();
        // The user that it goes on as must come here.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tracehop"))
            .args(["run", "--config", config.to_str().unwrap()])
            .stdin(Stdio::null())
            .stderr(fs::File::create(dir.join("daemon.log")).unwrap())
            .spawn()
            .unwrap();
        let mut daemon = Self(child);
        wait("the daemon does not listen", || {
            let log = fs::read_to_string(dir.join("daemon.log")).unwrap();
            assert!(daemon.0.try_wait().unwrap().is_none(), "{log}");
            log.contains("watching")
        });
        daemon
    }

    /// Ends it in good order.
    fn end(mut self, dir: &Path) {
        let pid = self.0.id().to_string();
        run("kill", &["-TERM", &pid]);
        let mut ended = None;
        wait("the daemon does not end", || {
            ended = self.0.try_wait().unwrap();
            ended.is_some()
        });
        let log = fs::read_to_string(dir.join("daemon.log")).unwrap();
        assert!(ended.unwrap().success() && !log.contains("ERROR"), "{log}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs kamailio, sipp, socat, openssl and root"]
fn peer_kamailio_s_tls_calls_come_into_the_daemon_s_store() {
    let (dir, calls) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let [hep] = ports();
    let daemon = Daemon::start(dir.path(), hep);
    let proxy = mirrored_calls(calls.path(), hep, 3, true);
    sleep(Duration::from_millis(700));
    daemon.end(dir.path());
    let (store, report) = EmbeddedStore::open_read_only(&dir.path().join("state/store")).unwrap();
    assert_eq!(report.bad_frames, 0);
    let called = Tn::from_canonical(CALLED.as_bytes()).unwrap();
    let all = (Timestamp::MIN, Timestamp::MAX);
    let records = store.by_called(called, all.0, all.1).unwrap();
    let over = |t| records.iter().filter(|r| r.begin.transport == t).count();
    assert_eq!(records.len(), 2 * CALLS);
    assert_eq!((over(Transport::Tls), over(Transport::Udp)), (CALLS, CALLS));
    for r in &records {
        let b = &r.begin;
        assert_eq!((&*b.sensor, b.provenance), ("proxy-a", Provenance::Hep));
        assert!(b.at.distance(clock::now()) < Duration::from_secs(60));
        assert_eq!(b.verdict.identities, 1);
        let end = r.end.as_ref().expect("the call has ended");
        assert_eq!(end.state, State::Answered);
        if b.transport == Transport::Tls {
            assert_eq!(
                (b.direction, b.peer.as_deref()),
                (Direction::Ingress, Some("up"))
            );
            assert_eq!(b.destination, local(proxy.tls));
        } else {
            assert_eq!(
                (b.direction, b.peer.as_deref()),
                (Direction::Egress, Some("down"))
            );
        }
    }
    let time = records[0].begin.at.to_string();
    let config = text(&dir.path().join("tracehop.toml"));
    let traced = run(
        env!("CARGO_BIN_EXE_tracehop"),
        &[
            "trace", "--case", "C-1", "--called", CALLED, "--time", &time, "--config", &config,
        ],
    );
    assert!(traced.contains("proxy-a (hep)"), "{traced}");
    let rows = store.coverage(all.0, all.1).unwrap();
    let seen: u64 = rows.iter().map(|r| r.messages).sum();
    let log = |name| said(&calls.path().join(name)).len() as u64;
    assert!(rows.iter().all(|r| &*r.sensor == "proxy-a"), "{rows:?}");
    assert_eq!(seen, log("uac.log") + log("uas.log"));
}
