//! Live capture between network namespaces, with tcpdump and tshark on the same wire as the judge.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::run;
use super::support::text;
use super::wire::{self, Sent};

/// Two namespaces that see each other over a veth pair, `va` here and `vb` there. They go with the test.
struct Net {
    a: String,
    b: String,
}

impl Net {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = format!(
            "th{}x{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let net = Self {
            a: format!("{id}a"),
            b: format!("{id}b"),
        };
        for name in [&net.a, &net.b] {
            run("ip", &["netns", "add", name]);
            // The kernel's own neighbour discovery would be counted with what the test sends.
            let quiet = "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6";
            run("ip", &["netns", "exec", name, "sh", "-c", quiet]);
            run("ip", &["-n", name, "link", "set", "lo", "up"]);
        }
        net.plug();
        net
    }

    /// Makes the pair of interfaces, up and with a large MTU.
    fn plug(&self) {
        let (a, b) = (self.a.as_str(), self.b.as_str());
        let pair = [
            "link", "add", "va", "netns", a, "type", "veth", "peer", "name", "vb", "netns", b,
        ];
        run("ip", &pair);
        for (name, link, address) in [(a, "va", "192.0.2.1/24"), (b, "vb", "192.0.2.2/24")] {
            run("ip", &["-n", name, "addr", "add", address, "dev", link]);
            run(
                "ip",
                &["-n", name, "link", "set", link, "mtu", "65535", "up"],
            );
        }
        self.settle();
    }

    /// Waits until the kernel says that both ends have a carrier, which may take a second, and we have looked.
    fn settle(&self) {
        let begin = Instant::now();
        for (name, link) in [(&self.a, "va"), (&self.b, "vb")] {
            while !run("ip", &["-n", name, "link", "show", link]).contains("state UP") {
                assert!(
                    begin.elapsed() < Duration::from_secs(10),
                    "{link} stays down"
                );
                sleep(Duration::from_millis(20));
            }
        }
        sleep(Duration::from_millis(400));
    }

    fn unplug(&self) {
        run("ip", &["-n", &self.b, "link", "del", "vb"]);
    }

    fn set(&self, state: &str) {
        run("ip", &["-n", &self.b, "link", "set", "vb", state]);
    }

    fn send(&self, frames: &[Vec<u8>], rate: &str) {
        self.send_on("va", frames, rate);
    }

    fn send_on(&self, link: &str, frames: &[Vec<u8>], rate: &str) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("send.pcap");
        fs::write(&file, wire::pcap(frames)).unwrap();
        let path = text(&file);
        let send = ["tcpreplay", "-q", "-i", link, rate, "--preload-pcap", &path];
        run(
            "ip",
            &[&["netns", "exec", self.a.as_str()][..], &send].concat(),
        );
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in [&self.a, &self.b] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// A program in a namespace that ends when it is interrupted.
struct Watching {
    child: Child,
    said: Option<std::thread::JoinHandle<String>>,
}

impl Watching {
    /// Starts our capture and waits until it reads.
    fn ours(namespace: &str, arguments: &[&str]) -> Self {
        let bin = env!("CARGO_BIN_EXE_tracehop");
        let front = [
            "netns", "exec", namespace, bin, "capture", "--list", "--json",
        ];
        let mut child = Command::new("ip")
            .args(front)
            .args(["--seconds", "120"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        while !said.contains("capturing on") {
            said = lines
                .next()
                .unwrap_or_else(|| panic!("it ended: {said}"))
                .unwrap();
        }
        let mut out = child.stdout.take().unwrap();
        let said = spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            // Kept open so that nothing it says is an error.
            drop(lines);
            text
        });
        // The first look at the link.
        sleep(Duration::from_millis(300));
        Self {
            child,
            said: Some(said),
        }
    }

    fn tcpdump(namespace: &str, file: &Path) -> Self {
        let path = text(file);
        let child = Command::new("ip")
            .args(["netns", "exec", namespace, "tcpdump", "-i", "vb", "-U"])
            .args(["-s", "0", "-B", "65536", "-Z", "root", "-w", &path])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ip; tests/run installs it");
        let begin = Instant::now();
        while fs::metadata(file).map_or(0, |m| m.len()) < 24 {
            assert!(begin.elapsed() < Duration::from_secs(20), "tcpdump");
            sleep(Duration::from_millis(50));
        }
        sleep(Duration::from_millis(200));
        Self { child, said: None }
    }

    fn signal(&self, name: &str) {
        run("kill", &[name, &self.child.id().to_string()]);
    }

    /// Interrupts it and waits for its end; what it printed.
    fn end(mut self) -> String {
        // The kernel gives tcpdump what it has every second, and what it has not given is lost by the interrupt.
        sleep(Duration::from_millis(if self.said.is_some() {
            500
        } else {
            1_300
        }));
        self.signal("-INT");
        assert!(self.child.wait().unwrap().success());
        self.said
            .take()
            .map_or(String::new(), |s| s.join().unwrap())
    }

    fn report(self) -> Value {
        let out = self.end();
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Call-ID, Identity values, VLANs; how often each was seen.
type Seen = BTreeMap<(String, String, Vec<u64>), usize>;

fn ours(report: &Value) -> Seen {
    let mut out = Seen::new();
    for m in report["list"].as_array().into_iter().flatten() {
        let vlans = m["vlans"].as_array().unwrap().iter();
        let vlans = vlans.map(|v| v.as_u64().unwrap()).collect();
        let identity = m["identity"].as_array().unwrap();
        let identity = identity.iter().map(|v| v.as_str().unwrap().to_owned());
        let identity = identity.collect::<Vec<_>>().join("|");
        let call_id = m["call_id"].as_str().unwrap_or_default().to_owned();
        assert_eq!(m["cut"], Value::Null, "{m}");
        *out.entry((call_id, identity, vlans)).or_default() += 1;
    }
    out
}

fn tsharks(file: &Path) -> Seen {
    let path = text(file);
    let front = ["-r", &path, "-d", "udp.port==5080,sip", "-Y", "sip"];
    let fields = ["-T", "fields", "-E", "occurrence=a", "-E", "aggregator=|"];
    let fields = [&front[..], &fields, &["-E", "separator=;"]].concat();
    // An outer tag of 802.1ad has a name of its own.
    let tags = ["-e", "ieee8021ad.id", "-e", "vlan.id"];
    let fields = [
        &fields[..],
        &["-e", "sip.Call-ID"],
        &tags,
        &["-e", "sip.Identity"],
    ];
    let mut out = Seen::new();
    for line in run("tshark", &fields.concat()).lines() {
        let mut parts = line.splitn(4, ';');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        let (call_id, outer, inner, identity) = (part(), part(), part(), part());
        let vlans = outer
            .split('|')
            .chain(inner.split('|'))
            .filter(|v| !v.is_empty());
        let vlans = vlans.map(|v| v.parse().unwrap()).collect();
        *out.entry((call_id, identity, vlans)).or_default() += 1;
    }
    out
}

/// Fails with what only one of the two saw.
fn assert_same(ours: &Seen, theirs: &Seen, what: &str) {
    let only = |one: &Seen, other: &Seen| {
        let odd = one.iter().filter(|(k, n)| other.get(*k) != Some(n));
        odd.map(|((call_id, identity, vlans), n)| {
            (call_id.clone(), identity.len(), vlans.clone(), *n)
        })
        .collect::<Vec<_>>()
    };
    let (here, there) = (only(ours, theirs), only(theirs, ours));
    assert!(
        here.is_empty() && there.is_empty(),
        "{what}: we alone {here:?}, tshark alone {there:?}"
    );
}

fn sum(report: &Value, of: &str, name: &str) -> u64 {
    let sources = report["sources"].as_array().unwrap().iter();
    sources.map(|s| s[of][name].as_u64().unwrap()).sum()
}

fn balanced(report: &Value) {
    for s in report["sources"].as_array().unwrap() {
        assert_eq!(s["imbalance"], Value::Null, "{s:#}");
    }
    let (passed, dropped) = (
        sum(report, "live", "packets_passed"),
        sum(report, "live", "packets_dropped"),
    );
    let frames = sum(report, "live", "frames") + sum(report, "live", "frames_outgoing");
    assert_eq!(passed, dropped + frames, "{:#}", report["sources"]);
}

#[test]
#[ignore = "needs tcpdump, tshark, tcpreplay, ip and root"]
fn peer_live_capture_sees_what_tshark_sees_and_no_rtp() {
    for threads in ["1", "4"] {
        let net = Net::new();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("oracle.pcap");
        let tcpdump = Watching::tcpdump(&net.b, &file);
        let us = Watching::ours(&net.b, &["-i", "vb", "--threads", threads]);
        let Sent {
            frames,
            sip_frames,
            messages,
        } = wire::calls(240);
        net.send(&frames, "--pps=5000");
        let report = us.report();
        tcpdump.end();
        let (ours, theirs) = (ours(&report), tsharks(&file));
        assert_eq!(theirs.len(), messages, "the oracle sees every message");
        assert_same(&ours, &theirs, &format!("{threads} threads"));
        assert!(ours.values().all(|n| *n == 1));
        // RTP, five times as many frames, stayed in the kernel.
        assert_eq!(sum(&report, "live", "packets_passed"), sip_frames);
        assert_eq!(sum(&report, "live", "frames_truncated"), 0);
        assert!(sum(&report, "live", "frames_retagged") > 0);
        balanced(&report);
        let busy = report["sources"].as_array().unwrap().iter();
        let busy = busy.filter(|s| s["live"]["frames"] != 0).count();
        assert!(
            threads == "1" || busy > 1,
            "flows are spread: {:#}",
            report["sources"]
        );
    }
}

#[test]
#[ignore = "needs tcpreplay, ip and root"]
fn peer_live_capture_by_pnet_loses_only_what_it_says() {
    let net = Net::new();
    let us = Watching::ours(&net.b, &["-i", "vb", "--backend", "pnet", "--threads", "2"]);
    let sent = wire::calls(120);
    net.send(&sent.frames, "--pps=2000");
    let report = us.report();
    let ours = ours(&report);
    assert_eq!(ours.len(), sent.messages);
    assert_eq!(sum(&report, "live", "packets_passed"), sent.sip_frames);
    assert_eq!(report["sources"].as_array().unwrap().len(), 1);
    let note = report["sources"][0]["note"].as_str().unwrap();
    assert!(
        note.contains("VLAN") && note.contains("one thread"),
        "{note}"
    );
    assert_eq!(sum(&report, "live", "fallback"), 1);
    // Of three tags the outer one is gone.
    assert_eq!(ours.keys().map(|(_, _, vlans)| vlans.len()).max(), Some(2));
    balanced(&report);
}

#[test]
#[ignore = "needs sipp, tcpdump, tshark, ip and root"]
fn peer_live_capture_of_sipp_calls_sees_every_message_once() {
    for (transport, threads) in [("u1", "1"), ("u1", "3"), ("t1", "3")] {
        let net = Net::new();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("oracle.pcap");
        let tcpdump = Watching::tcpdump(&net.b, &file);
        let us = Watching::ours(&net.b, &["-i", "vb", "--threads", threads]);
        let uas = [
            "netns",
            "exec",
            &net.b,
            "sipp",
            "-sn",
            "uas",
            "-i",
            "192.0.2.2",
        ];
        let mut uas = Command::new("ip")
            .args(uas)
            .args(["-p", "5060", "-t", transport, "-nostdin"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(500));
        let uac = [
            "netns",
            "exec",
            &net.a,
            "sipp",
            "192.0.2.2:5060",
            "-sn",
            "uac",
        ];
        let call = [
            "-i",
            "192.0.2.1",
            "-p",
            "5060",
            "-t",
            transport,
            "-r",
            "100",
        ];
        let limits = ["-m", "100", "-d", "100", "-timeout", "30", "-nostdin"];
        run("ip", &[&uac[..], &call, &limits].concat());
        let report = us.report();
        tcpdump.end();
        let _ = uas.kill();
        let _ = uas.wait();
        let (ours, theirs) = (ours(&report), tsharks(&file));
        assert_eq!(theirs.len(), 100, "{transport}");
        assert_same(&ours, &theirs, &format!("{transport}, {threads} threads"));
        // INVITE, 180, 200, ACK, BYE, 200.
        assert!(ours.values().all(|n| *n >= 6));
        balanced(&report);
    }
}

/// `up` and `down` of each source, in their order.
fn links(report: &Value) -> Vec<Vec<String>> {
    let sources = report["sources"].as_array().unwrap().iter();
    let of = |s: &Value| {
        let links = s["links"].as_array().unwrap().iter();
        links
            .map(|l| l.as_object().unwrap().keys().next().unwrap().clone())
            .collect()
    };
    sources.map(of).collect()
}

#[test]
#[ignore = "needs tcpreplay, ip and root"]
fn peer_live_capture_goes_on_without_capabilities_when_the_link_comes_back() {
    for arguments in [
        &["--threads", "1"][..],
        &["--threads", "3"],
        &["--backend", "pnet"],
    ] {
        let net = Net::new();
        let us = Watching::ours(&net.b, &[&["-i", "vb"], arguments].concat());
        let pid = us.child.id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
        assert!(status.contains("CapPrm:\t0000000000000000"), "{status}");
        let send = |from: usize| net.send(&wire::signed(from, 20), "--pps=1000");
        let look = || sleep(Duration::from_millis(400));
        send(0);
        net.set("down");
        look();
        net.set("up");
        net.settle();
        send(20);
        net.unplug();
        look();
        net.plug();
        send(40);
        // Deleted and made again before anyone looks.
        net.unplug();
        net.plug();
        send(60);
        let report = us.report();
        let ours = ours(&report);
        assert_eq!(ours.len(), 80, "{arguments:?}: {:#}", report["sources"]);
        assert!(ours.values().all(|n| *n == 1), "{arguments:?}");
        let want = ["up", "down", "up", "down", "up", "down", "up"];
        for links in links(&report) {
            assert_eq!(links, want, "{arguments:?}: {:#}", report["sources"]);
        }
        balanced_but_for_lost(&report);
    }
}

/// What lay in a ring that was taken down with its interface has been read before.
fn balanced_but_for_lost(report: &Value) {
    assert_eq!(sum(report, "live", "packets_dropped"), 0);
    assert_eq!(
        sum(report, "live", "rebind_failures"),
        0,
        "{:#}",
        report["sources"]
    );
    assert_eq!(
        sum(report, "live", "socket_errors"),
        0,
        "{:#}",
        report["sources"]
    );
}

#[test]
#[ignore = "needs tcpreplay, ip and root"]
fn peer_live_capture_reads_alone_when_spare_sockets_have_run_out() {
    let net = Net::new();
    let us = Watching::ours(
        &net.b,
        &["-i", "vb", "--threads", "2", "--ring-megabytes", "1"],
    );
    for n in 0..18 {
        net.unplug();
        net.plug();
        net.send(&wire::signed(n * 4, 4), "--pps=1000");
        sleep(Duration::from_millis(100));
    }
    let report = us.report();
    let ours = ours(&report);
    assert_eq!(ours.len(), 72, "{:#}", report["sources"]);
    assert!(ours.values().all(|n| *n == 1));
    let retired = report["sources"].as_array().unwrap().iter();
    let retired: Vec<_> = retired
        .map(|s| s["live"]["retired"].as_u64().unwrap())
        .collect();
    assert_eq!(retired, [0, 1]);
    balanced_but_for_lost(&report);
}

#[test]
#[ignore = "needs tcpreplay, ip and root"]
fn peer_live_capture_counts_what_the_kernel_drops() {
    let net = Net::new();
    let us = Watching::ours(&net.b, &["-i", "vb", "--ring-megabytes", "1"]);
    us.signal("-STOP");
    let frames = wire::short(20_000);
    net.send(&frames, "--topspeed");
    us.signal("-CONT");
    sleep(Duration::from_millis(500));
    net.send(&wire::signed(0, 3), "--pps=100");
    let report = us.report();
    let dropped = sum(&report, "live", "packets_dropped");
    let more: u64 = wire::signed(0, 3).len().try_into().unwrap();
    assert_eq!(sum(&report, "live", "packets_passed"), 20_000 + more);
    assert!(dropped > 1_000, "{:#}", report["sources"]);
    assert_eq!(sum(&report, "assembled", "capture_dropped"), dropped);
    assert!(sum(&report, "live", "ring_freezes") > 0);
    let read = 20_000 - dropped + 3;
    assert_eq!(report["messages"]["total"], read, "{:#}", report["sources"]);
    balanced(&report);
}

#[test]
#[ignore = "needs tcpreplay, ip and root"]
fn peer_live_capture_sees_loopback_once_and_own_frames_unless_told() {
    let net = Net::new();
    // What a sends on va, and what it sends itself on lo.
    for (ignore, want) in [
        (&["-i", "va", "-i", "lo"][..], 6),
        (&["-i", "va", "--ignore-outgoing"], 0),
    ] {
        let us = Watching::ours(&net.a, ignore);
        net.send(&wire::short(3), "--pps=100");
        net.send_on("lo", &wire::short(3), "--pps=100");
        let report = us.report();
        assert_eq!(report["messages"]["total"], want, "{:#}", report["sources"]);
        assert_eq!(report["messages"]["cut"], 0);
    }
}

#[test]
#[ignore = "needs setpriv and ip"]
fn peer_live_capture_says_what_is_missing() {
    let bin = env!("CARGO_BIN_EXE_tracehop");
    let said = |program: &str, arguments: &[&str]| {
        let mut out = Command::new(program).args(arguments).output().unwrap();
        out.stderr.append(&mut out.stdout);
        (
            out.status.code(),
            String::from_utf8_lossy(&out.stderr).into_owned(),
        )
    };
    let (code, text) = said(
        "setpriv",
        &[
            "--bounding-set=-all",
            "--inh-caps=-all",
            bin,
            "capture",
            "-i",
            "lo",
        ],
    );
    assert_eq!(code, Some(77), "{text}");
    assert!(text.contains("CAP_NET_RAW"), "{text}");
    let (code, text) = said(bin, &["capture", "-i", "none0"]);
    assert_eq!(code, Some(66), "{text}");
    assert!(text.contains("none0: no such interface"), "{text}");
    let (code, text) = said(bin, &["capture"]);
    assert_eq!(code, Some(64), "{text}");
}

/// The largest program that can be configured, and the smallest.
#[test]
#[ignore = "needs root"]
fn peer_kernel_takes_the_filter() {
    use tracehop::capture::live::filter::{self, FilterSettings, Front, MAX_PORTS};
    use tracehop::sys::packet::PacketSocket;
    use tracehop::wire::tunnel::Tunnels;
    let many = |from: u16| (from..).take(MAX_PORTS).collect::<Vec<u16>>();
    let large = FilterSettings {
        sip_ports: many(5000),
        tunnels: Tunnels {
            vxlan_ports: many(4700),
            geneve_ports: many(6000),
            ..Tunnels::default()
        },
        ..FilterSettings::default()
    };
    for front in [Front::Ethernet, Front::Ip] {
        for settings in [&large, &FilterSettings::default()] {
            let socket = PacketSocket::open().unwrap();
            socket.attach_filter(&filter::nothing()).unwrap();
            let program = filter::generate(settings, front, true);
            socket.attach_filter(&program).unwrap();
            socket.lock_filter().unwrap();
            assert!(socket.attach_filter(&program).is_err(), "it is locked");
        }
    }
    // And it refuses one that leads nowhere.
    let mut wrong = filter::generate(&large, Front::Ip, false);
    wrong.pop();
    let socket = PacketSocket::open().unwrap();
    assert!(socket.attach_filter(&wrong).is_err());
}
