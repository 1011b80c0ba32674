//! Agents over real sockets on loopback: UDP, TCP and TLS, well-behaved and not.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tracehop::capture::hep::{HepHandle, HepListener, HepSettings, ListenLimits, TlsFiles};
use tracehop::engine::mirror::{Agent, CarrierKind, Mirror, MirrorLimits};
use tracehop::engine::sequence::Caught;
use tracehop::host::clock;
use tracehop::wire::hep::{HepPacket, Payload, SIP, write};

const PATIENCE: Duration = Duration::from_secs(10);

fn agent(network: &str) -> Agent {
    Agent {
        name: "proxy-a".into(),
        sensor: 0,
        networks: vec![network.parse().unwrap()],
        id: None,
        key: None,
        carrier: None,
        certificate: None,
    }
}

fn settings() -> HepSettings {
    let any = "127.0.0.1:0".parse().unwrap();
    HepSettings {
        udp: vec![any],
        tcp: vec![any],
        tls: vec![],
        tls_files: None,
        agents: vec![agent("127.0.0.0/8")],
        limits: ListenLimits::default(),
        mirror: MirrorLimits::default(),
    }
}

struct Bench {
    handle: HepHandle,
    at: [Vec<SocketAddr>; 3],
    caught: Receiver<Caught>,
}

impl Bench {
    fn start(settings: &HepSettings, room: usize) -> Self {
        let listener = HepListener::bind(settings).unwrap();
        let at = listener.addresses();
        let (output, caught) = bounded(room);
        let mirror = Mirror::new(settings.agents.clone(), settings.mirror);
        let handle = listener.start(mirror, output, 3, clock::now).unwrap();
        Self { handle, at, caught }
    }

    fn messages(&self, count: usize) -> Vec<Vec<u8>> {
        let until = Instant::now() + PATIENCE;
        let mut out = Vec::new();
        while out.len() < count {
            let caught = self.caught.recv_deadline(until).unwrap();
            assert_eq!(caught.source, 3);
            out.extend(caught.messages.into_iter().map(|(_, m)| m.bytes));
        }
        out
    }

    fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.at[1][0]).unwrap()
    }

    fn wait(&self, what: impl Fn(&HepHandle) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !what(&self.handle) {
            assert!(
                Instant::now() < until,
                "{:?}",
                self.handle.listen_counters()
            );
            while self.caught.try_recv().is_ok() {}
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.handle.listen_counters().imbalance(), None);
    }
}

fn sip(n: usize) -> Vec<u8> {
    format!("OPTIONS sip:a@example.net SIP/2.0\r\nCall-ID: {n}\r\nl: 0\r\n\r\n").into_bytes()
}

fn hep(payload: &[u8], protocol: u8) -> Vec<u8> {
    write::v3(&HepPacket {
        version: 3,
        between: Some((
            "192.0.2.1:5060".parse().unwrap(),
            "192.0.2.2:5060".parse().unwrap(),
        )),
        protocol: Some(protocol),
        kind: SIP,
        at: Some(clock::now()),
        agent: Some(2001),
        key: None,
        vlan: None,
        payload: Some(Payload::Plain(payload)),
    })
    .unwrap()
}

/// Whether the other side closed.
fn closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    matches!(stream.read(&mut [0; 8]), Ok(0) | Err(_))
}

fn limited(limits: ListenLimits) -> HepSettings {
    HepSettings {
        limits,
        ..settings()
    }
}

#[test]
fn datagrams_and_streams_become_messages_and_idleness_is_told() {
    let bench = Bench::start(&settings(), 64);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(&hep(&sip(1), 17), bench.at[0][0]).unwrap();
    assert_eq!(bench.messages(1), [sip(1)]);
    let mut tcp = bench.tcp();
    let stream: Vec<u8> = (0..50).flat_map(|n| hep(&sip(n), 6)).collect();
    for piece in stream.chunks(37) {
        tcp.write_all(piece).unwrap();
    }
    assert_eq!(bench.messages(50), (0..50).map(sip).collect::<Vec<_>>());
    // Nothing comes: it is told all the same up to when.
    let first = bench.caught.recv_timeout(PATIENCE).unwrap().upto;
    let again = Instant::now();
    let second = bench.caught.recv_timeout(PATIENCE).unwrap().upto;
    assert!(second > first && again.elapsed() < Duration::from_secs(1));
    // What was sent before the stop is told before it returns.
    udp.send_to(&hep(&sip(99), 17), bench.at[0][0]).unwrap();
    bench.handle.stop().unwrap();
    let rest: Vec<_> = bench.caught.try_iter().flat_map(|c| c.messages).collect();
    assert_eq!(rest[0].1.bytes, sip(99));
}

#[test]
fn connections_that_break_stand_still_or_are_too_many_are_closed() {
    let limits = ListenLimits {
        connections: 3,
        per_address: 2,
        idle: Duration::from_millis(600),
        slow: Duration::from_millis(300),
        ..ListenLimits::default()
    };
    let bench = Bench::start(&limited(limits), 64);
    let mut broken = bench.tcp();
    broken.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(closed(&mut broken));
    let mut slow = bench.tcp();
    slow.write_all(&hep(&sip(1), 6)[..50]).unwrap();
    assert!(closed(&mut slow));
    let mut cut = bench.tcp();
    cut.write_all(&hep(&sip(1), 6)[..50]).unwrap();
    drop(cut);
    let mut idle = bench.tcp();
    assert!(closed(&mut idle));
    bench.wait(|h| h.listen_counters().open == 0);
    let (_a, _b, mut third) = (bench.tcp(), bench.tcp(), bench.tcp());
    assert!(closed(&mut third));
    bench.wait(|h| h.listen_counters().open == 0);
    let c = bench.handle.listen_counters();
    assert_eq!((c.closed_broken, c.closed_slow, c.closed_cut), (1, 1, 1));
    assert_eq!((c.refused_many_of_one, c.accepted), (1, 7));
    // Those two and the one before, on which nothing came.
    assert_eq!((c.closed_idle, c.closed_peer), (3, 0));
    bench.handle.stop().unwrap();
}

#[test]
fn connections_past_the_limit_for_all_are_refused_until_one_ends() {
    let limits = ListenLimits {
        connections: 2,
        ..ListenLimits::default()
    };
    let bench = Bench::start(&limited(limits), 64);
    let (first, _second) = (bench.tcp(), bench.tcp());
    bench.wait(|h| h.listen_counters().open == 2);
    assert!(closed(&mut bench.tcp()));
    drop(first);
    bench.wait(|h| h.listen_counters().open == 1);
    bench.tcp().write_all(&hep(&sip(1), 6)).unwrap();
    assert_eq!(bench.messages(1), [sip(1)]);
    let view = bench.handle.view();
    bench.handle.stop().unwrap();
    let c = view.counters().1;
    assert_eq!((c.accepted, c.refused_many, c.open), (4, 1, 0));
    // The last one may have gone before we stopped.
    assert_eq!(c.closed_peer + c.closed_stop, 3);
    assert_eq!(c.imbalance(), None);
}

/// Datagrams that the rows of an agent say were dropped.
fn dropped(caught: &Receiver<Caught>) -> u64 {
    let rows = caught.try_iter().flat_map(|c| c.coverage);
    // A row told anew takes the place of the one before.
    let rows: BTreeMap<_, _> = rows.map(|r| (r.from, r.dropped)).collect();
    rows.values().sum()
}

#[test]
fn what_the_kernel_drops_of_a_flood_is_counted_to_the_last() {
    let limits = ListenLimits {
        receive_buffer: 1,
        ..ListenLimits::default()
    };
    let bench = Bench::start(&limited(limits), 1 << 20);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let packet = hep(&sip(1), 17);
    // Whoever was never heard has no row to count in.
    udp.send_to(&packet, bench.at[0][0]).unwrap();
    assert_eq!(bench.messages(1).len(), 1);
    let sent = 20_000;
    for _ in 0..sent {
        udp.send_to(&packet, bench.at[0][0]).unwrap();
    }
    let view = bench.handle.view();
    bench.handle.stop().unwrap();
    let (c, listened) = view.counters();
    assert!(c.dropped > 0 && listened.receive_buffer < 65_536, "{c:?}");
    assert_eq!(
        (c.packets_in + c.dropped, listened.queue_full),
        (sent + 1, 0)
    );
    assert_eq!(listened.drops_unknown, 0);
    assert_eq!(dropped(&bench.caught), c.dropped);
}

#[test]
fn datagrams_that_find_no_room_are_counted_and_stand_in_the_ledger() {
    let bench = Bench::start(&settings(), 1);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let body = vec![b'a'; 60_000];
    let head = format!(
        "OPTIONS sip:a@example.net SIP/2.0\r\nl: {}\r\n\r\n",
        body.len()
    );
    let packet = hep(&[head.as_bytes(), &body].concat(), 17);
    let view = bench.handle.view();
    let seen = || {
        let (c, l) = view.counters();
        c.packets_in + l.queue_full
    };
    let until = Instant::now() + PATIENCE;
    for sent in 1..=400 {
        udp.send_to(&packet, bench.at[0][0]).unwrap();
        while seen() < sent {
            assert!(Instant::now() < until, "{:?}", view.counters());
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    assert!(view.counters().1.queue_full > 50, "16 MB wait at most");
    let caught = bench.caught.clone();
    let stopping = std::thread::spawn(move || bench.handle.stop().unwrap());
    let (mut messages, mut rows) = (0, BTreeMap::new());
    while let Ok(c) = caught.recv_timeout(PATIENCE) {
        messages += c.messages.len() as u64;
        rows.extend(c.coverage.into_iter().map(|r| (r.from, r.dropped)));
    }
    stopping.join().unwrap();
    let (c, l) = view.counters();
    assert_eq!((c.packets_in, c.packets_in + l.queue_full), (messages, 400));
    assert_eq!(
        (c.dropped, rows.values().sum::<u64>()),
        (l.queue_full, l.queue_full)
    );
}

#[test]
fn another_allow_list_takes_the_place_of_the_first() {
    let mut now = settings();
    now.agents = vec![agent("192.0.2.0/24")];
    let bench = Bench::start(&now, 64);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(&hep(&sip(1), 17), bench.at[0][0]).unwrap();
    assert!(closed(&mut bench.tcp()));
    bench.wait(|h| {
        h.mirror_counters().refused_address == 1 && h.listen_counters().refused_address == 1
    });
    bench.handle.reload(&settings()).unwrap();
    let mut tcp = bench.tcp();
    tcp.write_all(&hep(&sip(2), 6)).unwrap();
    assert_eq!(bench.messages(1), [sip(2)]);
    bench.handle.stop().unwrap();
}

#[test]
fn a_full_queue_makes_connections_wait_and_loses_nothing_of_them() {
    let bench = Bench::start(&settings(), 1);
    let mut tcp = bench.tcp();
    let body = vec![b'a'; 60_000];
    let message = [
        format!(
            "OPTIONS sip:a@example.net SIP/2.0\r\nl: {}\r\n\r\n",
            body.len()
        )
        .as_bytes(),
        &body,
    ]
    .concat();
    let packet = hep(&message, 6);
    let count = 900; // 54 MB: more than waits anywhere
    let sender =
        std::thread::spawn(move || (0..count).for_each(|_| tcp.write_all(&packet).unwrap()));
    std::thread::sleep(Duration::from_millis(700));
    assert!(!sender.is_finished(), "the agent waits");
    assert_eq!(bench.messages(count).len(), count);
    sender.join().unwrap();
    bench.handle.stop().unwrap();
}

#[test]
fn an_agent_over_tls_is_known_by_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let leaf = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (server, key) = leaf("localhost");
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let files = TlsFiles {
        certificate: file("hep.pem", server.pem()),
        key: file("hep.key", key.serialize_pem()),
        client_ca: Some(file("ca.pem", ca_certificate.pem())),
    };
    let known = Agent {
        carrier: Some(CarrierKind::Tls),
        certificate: Some("proxy-a.example.net".into()),
        ..agent("127.0.0.0/8")
    };
    let bench = Bench::start(
        &HepSettings {
            tls: vec!["127.0.0.1:0".parse().unwrap()],
            tls_files: Some(files),
            agents: vec![known],
            ..settings()
        },
        64,
    );
    let connect = |name: Option<&str>| {
        let mut roots = RootCertStore::empty();
        roots.add(ca_certificate.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match name.map(leaf) {
            Some((certificate, key)) => {
                let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        StreamOwned::new(session, TcpStream::connect(bench.at[2][0]).unwrap())
    };
    let mut right = connect(Some("proxy-a.example.net"));
    right.write_all(&hep(&sip(1), 22)).unwrap();
    right.flush().unwrap();
    assert_eq!(bench.messages(1), [sip(1)]);
    let mut wrong = connect(Some("other.example.net"));
    wrong.write_all(&hep(&sip(2), 22)).unwrap();
    wrong.flush().unwrap();
    let _ = connect(None).write_all(&hep(&sip(3), 22));
    bench.wait(|h| {
        h.mirror_counters().refused_certificate == 1 && h.listen_counters().closed_handshake == 1
    });
    // Not over TCP: its address has no agent there.
    assert!(closed(&mut bench.tcp()));
    assert_eq!(bench.handle.mirror_counters().imbalance(), None);
    bench.handle.stop().unwrap();
}
