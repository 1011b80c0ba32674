//! Findings of a real daemon: to a file that is rotated, a webhook that judges signatures for itself, and a syslog socket; and what a reload changes.

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::Value;

use super::edge::{CALLEE, CALLER, Edge, until, within};
use super::run;
use super::running::{Daemon, calls, wait_for_calls};
use super::support::text;

const RECEIVER: &str = include_str!("findings/receiver.py");
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const INTERFACE: &str = "[[capture.interface]]\nname = \"vb\"\n";

/// Sends unsigned INVITEs from the neighbour's address, a thousand a second, and waits for no answer. `from` is what stands before the `@` of From.
pub fn invites(edge: &Edge, at: &str, called: &str, from: &str, count: usize) {
    within(&edge.a, || {
        let socket = UdpSocket::bind((at, 5060)).unwrap();
        for n in 0..count {
            let invite = format!(
                "INVITE sip:+{called}@{CALLEE} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{called}{from}{n}\r\n\
                 From: <sip:{from}@{at}>;tag={n}\r\nTo: <sip:+{called}@{CALLEE}>\r\nCall-ID: {called}-{from}-{n}@{at}\r\n\
                 CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
            );
            // Nobody listens there: what ICMP says of it is nothing to us.
            let _ = socket.send_to(invite.as_bytes(), (CALLEE, 5060));
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// Ids of the calls in a file of findings, each of which must be JSON and there once.
fn ids(edge: &Edge, name: &str) -> BTreeSet<String> {
    let path = edge.path("state/findings").join(name);
    let text = fs::read_to_string(&path).unwrap_or_default();
    let mut ids = BTreeSet::new();
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let id = event["id"].as_str().unwrap().to_owned();
        assert!(ids.insert(id), "twice: {line}");
    }
    ids
}

/// Writes the secret so that the daemon, which is nobody by then, can read it anew at a reload.
fn secret(edge: &Edge) {
    let path = edge.path("webhook-secret");
    fs::write(&path, SECRET).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    run("chown", &["nobody", &text(&path)]);
}

#[test]
#[ignore = "needs python3, ip and root"]
fn peer_daemon_tells_findings_to_a_rotated_file_a_webhook_and_syslog() {
    const COUNT: usize = 2_500;
    const FEW: usize = 20;
    let edge = Edge::new();
    secret(&edge);
    let syslog = edge.path("log");
    let socket = UnixDatagram::bind(&syslog).unwrap();
    fs::set_permissions(&syslog, fs::Permissions::from_mode(0o777)).unwrap();
    let sinks = |first: &str, more: &str| {
        format!(
            "{INTERFACE}[[findings.sink]]\nname = \"file\"\nkind = \"file\"\npath = \"state/findings/all.jsonl\"\nmegabytes = 1\nkinds = [\"call\"]\n{first}\n\
             [[findings.sink]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:8099/hook\"\nsecret_file = \"webhook-secret\"\nkinds = [\"call\"]\n\
             [[findings.sink]]\nname = \"syslog\"\nkind = \"syslog\"\nto = \"{}\"\nkinds = [\"call\"]\nnumbers = \"masked\"\n{more}",
            text(&syslog)
        )
    };
    edge.configure(&sinks("", ""));
    let (script, got) = (edge.path("receiver.py"), edge.path("got.jsonl"));
    fs::write(&script, RECEIVER).unwrap();
    let receiver = [
        "/usr/bin/python3",
        &text(&script),
        "8099",
        SECRET,
        &text(&got),
    ];
    let _receiver = edge.start(&edge.b, &receiver);
    until("the receiver", || {
        within(&edge.b, || std::net::TcpStream::connect("127.0.0.1:8099")).is_ok()
    });
    // Syslog is read all the time, as a syslog daemon does.
    socket
        .set_read_timeout(Some(Duration::from_secs(3)))
        .unwrap();
    let reading = std::thread::spawn(move || {
        let (mut buffer, mut messages) = (vec![0; 65_536], Vec::new());
        while let Ok(n) = socket.recv(&mut buffer) {
            messages.push(String::from_utf8(buffer[..n].to_vec()).unwrap());
        }
        messages
    });

    let daemon = Daemon::start(&edge);
    invites(&edge, CALLER, "12025550123", "+12025550100", COUNT);
    let delivered = |sink: &str| {
        daemon.metric(
            "tracehop_findings_total",
            &format!("outcome=\"delivered\",sink=\"{sink}\",type=\"call\""),
        ) as usize
    };
    for sink in ["file", "hook", "syslog"] {
        until(sink, || delivered(sink) >= COUNT);
    }
    wait_for_calls(&edge, "12025550123", COUNT);

    // The file: rotated below its size, by a process that Landlock confines; nothing lost, nothing twice.
    let folder = fs::read_dir(edge.path("state/findings")).unwrap();
    let files: Vec<_> = folder.map(|f| f.unwrap()).collect();
    assert!(files.len() >= 2, "{files:?}");
    let mut all = BTreeSet::new();
    for file in &files {
        assert!(file.metadata().unwrap().len() <= 1 << 20, "{file:?}");
        let ids = ids(&edge, &file.file_name().into_string().unwrap());
        let before = all.len();
        let here = ids.len();
        all.extend(ids);
        assert_eq!(all.len(), before + here, "in two files");
    }
    assert_eq!(all.len(), COUNT);

    // The webhook: the same events, signed, and what was refused came again under the same id.
    let got = fs::read_to_string(&got).unwrap();
    let requests: Vec<Value> = got
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert!(requests.iter().all(|r| r["good"] == true), "a signature");
    assert_eq!(requests[0]["code"], 500);
    let again = requests[1..]
        .iter()
        .filter(|r| r["id"] == requests[0]["id"]);
    assert_eq!(again.count(), 1);
    let taken = requests.iter().filter(|r| r["code"] == 204);
    let events = taken.flat_map(|r| r["body"]["data"].as_array().unwrap());
    let hooked: Vec<_> = events
        .map(|e| e["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(hooked.len(), COUNT);
    assert_eq!(hooked.into_iter().collect::<BTreeSet<_>>(), all);
    assert!(daemon.metric("tracehop_findings_retries_total", "hook") >= 1.0);

    // A reload adds a sink and narrows another one.
    let bad = "[[findings.sink]]\nname = \"bad\"\nkind = \"file\"\npath = \"state/findings/bad.jsonl\"\nflags = [\"malformed-number\"]\nkinds = [\"call\"]\n";
    edge.configure(&sinks("flags = [\"loop\"]", bad));
    daemon.signal("-HUP");
    daemon.says("reloaded");
    invites(&edge, CALLER, "12025550167", "+12025550100", FEW);
    let long = format!("+{}", "1".repeat(40));
    invites(&edge, CALLER, "12025550145", &long, FEW);
    until("the new sink", || ids(&edge, "bad.jsonl").len() == FEW);
    until("the webhook", || delivered("hook") >= COUNT + 2 * FEW);
    let ended = daemon.stop();
    assert_eq!(ids(&edge, "bad.jsonl").len(), FEW, "{}", ended.said);
    let files = fs::read_dir(edge.path("state/findings")).unwrap();
    let after: usize = files
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .filter(|f| f.starts_with("all"))
        .map(|f| ids(&edge, &f).len())
        .sum();
    assert_eq!(after, COUNT, "the first one wants loops alone now");

    let messages = reading.join().unwrap();
    assert_eq!(messages.len(), COUNT + 2 * FEW);
    for message in &messages {
        assert!(message.starts_with("<133>1 "), "{message}");
        let json: Value = serde_json::from_str(message.splitn(8, ' ').nth(7).unwrap()).unwrap();
        assert!(
            json["flags"]
                .as_array()
                .unwrap()
                .contains(&"unsigned".into()),
            "{json}"
        );
        assert!(!message.contains("12025550123"), "in full: {message}");
    }
}

#[test]
#[ignore = "needs ip and root"]
fn peer_daemon_is_held_up_by_no_dead_receiver() {
    const COUNT: usize = 2_000;
    const CALLED: &str = "12025550123";
    let edge = Edge::new();
    secret(&edge);
    let sink = |name: &str, port: u16| {
        format!(
            "[[findings.sink]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{port}/\"\nsecret_file = \"webhook-secret\"\n\
             kinds = [\"call\"]\nqueue = 50\nbatch = 10\ntimeout_seconds = 1\ntries = 2\n"
        )
    };
    edge.configure(&format!(
        "{INTERFACE}{}{}",
        sink("mute", 8097),
        sink("gone", 8098)
    ));
    // One takes connections and never says a word; at the other port nobody listens.
    let _mute = within(&edge.b, || TcpListener::bind("127.0.0.1:8097").unwrap());
    let daemon = Daemon::start(&edge);
    invites(&edge, CALLER, CALLED, "+12025550100", COUNT);
    until("records", || calls(&edge, CALLED).len() >= COUNT);
    assert_eq!(calls(&edge, CALLED).len(), COUNT);
    for sink in ["mute", "gone"] {
        let told = daemon.metric("tracehop_findings_told_total", sink);
        assert_eq!(told as usize, COUNT, "{sink}");
        let of = |outcome: &str| {
            let label = format!("outcome=\"{outcome}\",sink=\"{sink}\",type=\"call\"");
            daemon.metric("tracehop_findings_total", &label)
        };
        assert!(of("dropped") > 1_000.0, "{sink}: {}", of("dropped"));
        assert!(of("dropped") < COUNT as f64, "{sink}");
        assert_eq!(of("delivered"), 0.0, "{sink}");
        assert_eq!(daemon.metric("tracehop_findings_sink_works", sink), 0.0);
    }
    assert_eq!(daemon.metric("tracehop_capture_drops_total", ""), 0.0);
    // Within ten seconds all the same.
    daemon.stop();
}
