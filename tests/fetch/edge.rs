//! One certificate at a time.

use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Instant;

use tracehop::engine::park::Why;
use tracehop::fetch::policy::Rate;
use tracehop::fetch::{Outcome, StartError};

use super::*;

const HOST: &str = "cert.example.net";
const NOTHING: Answer = Answer::Nothing(Why::Unreachable);
const REFUSED: Answer = Answer::Nothing(Why::Refused);

fn url(path: &str) -> String {
    format!("https://{HOST}{path}")
}

fn some_lab() -> Lab {
    Lab::new(3, 1)
}

/// A good bundle.
fn bundle(lab: &Lab) -> Vec<u8> {
    std::fs::read(lab.path("certs/x5u/sp-1234.pem")).unwrap()
}

/// What became of one request to a server that acts so.
fn outcome(act: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> (Answer, Outcome, Duration) {
    let (lab, ca) = (some_lab(), WebCa::new());
    let server = Server::start(ca.tls(&[HOST], |_| ()), act);
    let fetcher = start(&settings(&ca, server.at, lab.dir.path()), &lab);
    one(&fetcher)
}

fn one(fetcher: &Fetcher) -> (Answer, Outcome, Duration) {
    let began = Instant::now();
    let client = fetcher.client();
    let answer = ask(&client, &url("/sp.pem"));
    let took = began.elapsed();
    let report = client.report();
    let outcomes: Vec<_> = report.iter().filter(|(_, n)| *n > 0).collect();
    let [(outcome, 1)] = outcomes[..] else {
        panic!("{outcomes:?}")
    };
    (answer, outcome, took)
}

#[test]
fn n6_n8_a_good_answer_is_there_for_judges_before_the_answer_says_so() {
    let (lab, ca) = (some_lab(), WebCa::new());
    let page = bundle(&lab);
    let server = Server::start(ca.tls(&[HOST], |_| ()), move |_| ok(&page));
    let fetcher = start(&settings(&ca, server.at, lab.dir.path()), &lab);
    let client = fetcher.client();
    for _ in 0..3 {
        assert_eq!(ask(&client, &url("/sp.pem")), Answer::News);
        let credentials = client.credentials();
        let credential = credentials.get(&url("/sp.pem")).unwrap();
        assert_eq!(
            (credential.spc(), credential.path_count() > 0),
            (Some("1234"), true)
        );
    }
    assert_eq!(server.total(), 1);
    let report = fetcher.stop();
    assert_eq!(
        (report.of(Outcome::Fetched), report.of(Outcome::AtHand)),
        (1, 2)
    );
}

#[test]
fn n10_many_wishes_for_one_url_are_one_request() {
    let (lab, ca) = (some_lab(), WebCa::new());
    let page = bundle(&lab);
    let server = Server::start(ca.tls(&[HOST], |_| ()), move |_| {
        std::thread::sleep(Duration::from_millis(300));
        ok(&page)
    });
    let fetcher = start(&settings(&ca, server.at, lab.dir.path()), &lab);
    let client = fetcher.client();
    for _ in 0..500 {
        assert!(client.ask(Want::Missing(url("/sp.pem").into())));
    }
    assert_eq!(answer(&client), Answer::News);
    assert_eq!(server.total(), 1);
}

#[test]
fn n4_n6_n7_servers_that_answer_badly() {
    let long = |n: usize| vec![b'x'; n];
    let redirect = "Location: https://other.example/sp.pem\r\n";
    let many: String = (0..150).map(|i| format!("X-{i}: y\r\n")).collect();
    let wide = format!("X-Wide: {}\r\n", "y".repeat(9_000));
    let lie = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nshort".to_vec();
    let chunked = {
        let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for _ in 0..200 {
            out.extend_from_slice(b"400\r\n");
            out.extend(long(0x400));
            out.extend_from_slice(b"\r\n");
        }
        out
    };
    type Case = (&'static str, Outcome, Box<dyn Fn() -> Act + Send + Sync>);
    let acts: Vec<Case> = vec![
        (
            "301",
            Outcome::Redirect,
            Box::new(move || respond("301 Moved Permanently", redirect, b"")),
        ),
        (
            "304",
            Outcome::Redirect,
            Box::new(|| Act::Send(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec())),
        ),
        (
            "404",
            Outcome::NotFound,
            Box::new(|| respond("404 Not Found", "", b"no")),
        ),
        (
            "500",
            Outcome::Status,
            Box::new(|| respond("500 Oh No", "", b"no")),
        ),
        (
            "204",
            Outcome::Status,
            Box::new(|| Act::Send(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())),
        ),
        (
            "10 MB",
            Outcome::BodyTooLarge,
            Box::new(move || respond("200 OK", "", &long(10 << 20))),
        ),
        (
            "chunks",
            Outcome::BodyTooLarge,
            Box::new(move || Act::Send(chunked.clone())),
        ),
        (
            "64 KB and one",
            Outcome::BodyTooLarge,
            Box::new(move || respond("200 OK", "", &long(65_537))),
        ),
        (
            "gzip",
            Outcome::Encoded,
            Box::new(|| respond("200 OK", "Content-Encoding: gzip\r\n", b"\x1f\x8b")),
        ),
        (
            "lie",
            Outcome::Interrupted,
            Box::new(move || Act::Send(lie.clone())),
        ),
        (
            "no HTTP",
            Outcome::Interrupted,
            Box::new(|| Act::Send(b"SSH-2.0-x\r\n\r\n".to_vec())),
        ),
        (
            "close",
            Outcome::Interrupted,
            Box::new(|| Act::Send(Vec::new())),
        ),
        (
            "many headers",
            Outcome::HeadersTooLarge,
            Box::new(move || respond("200 OK", &many, b"")),
        ),
        (
            "wide header",
            Outcome::HeadersTooLarge,
            Box::new(move || respond("200 OK", &wide, b"")),
        ),
        (
            "html",
            Outcome::NoCertificate,
            Box::new(|| ok(b"<html>welcome</html>")),
        ),
        ("empty", Outcome::NoCertificate, Box::new(|| ok(b""))),
    ];
    for (name, want, act) in acts {
        let (answer, outcome, _) = outcome(move |asked| {
            // A redirect that is followed, or anything asked twice, would show.
            assert_eq!(
                (asked.place.as_str(), asked.before),
                ("cert.example.net/sp.pem", 0)
            );
            act()
        });
        assert_eq!(outcome, want, "{name}");
        let expected = match want {
            Outcome::NoCertificate => Answer::News,
            Outcome::Interrupted => NOTHING,
            _ => REFUSED,
        };
        assert_eq!(answer, expected, "{name}");
    }
}

#[test]
fn n6_servers_that_hang_or_drip_hold_us_five_seconds() {
    type Case = (&'static str, fn() -> Act);
    let acts: [Case; 4] = [
        ("before headers", || Act::Hang(Vec::new())),
        ("in headers", || {
            Act::Drip(b"HTTP/1.1 200 OK\r\nX: ".to_vec())
        }),
        ("after headers", || {
            Act::Hang(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n".to_vec())
        }),
        ("in the body", || {
            Act::Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n".to_vec())
        }),
    ];
    std::thread::scope(|scope| {
        for (name, act) in acts {
            scope.spawn(move || {
                let (answer, outcome, took) = outcome(move |_| act());
                assert_eq!((answer, outcome), (NOTHING, Outcome::Timeout), "{name}");
                assert!((4.5..7.0).contains(&took.as_secs_f64()), "{name}: {took:?}");
            });
        }
    });
}

#[test]
fn n5_tls_by_web_authorities_only() {
    let (lab, ca, stranger) = (some_lab(), WebCa::new(), WebCa::new());
    let ended = |p: &mut rcgen::CertificateParams| p.not_after = rcgen::date_time_ymd(2020, 1, 1);
    for (name, tls) in [
        ("another name", ca.tls(&["other.example"], |_| ())),
        ("ended", ca.tls(&[HOST], ended)),
        ("self-signed", server::self_signed(&[HOST])),
        ("a stranger's", stranger.tls(&[HOST], |_| ())),
    ] {
        let server = Server::start(tls, |_| panic!("nothing is asked of it"));
        let fetcher = start(&settings(&ca, server.at, lab.dir.path()), &lab);
        let (answer, outcome, _) = one(&fetcher);
        assert_eq!((answer, outcome), (NOTHING, Outcome::Tls), "{name}");
    }
    // A server that speaks no TLS at all.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = mute.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::Write;
        let (mut tcp, _) = mute.accept().unwrap();
        let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let fetcher = start(&settings(&ca, at, lab.dir.path()), &lab);
    assert_eq!(one(&fetcher).1, Outcome::Tls);
}

#[test]
fn n9_nobody_there() {
    let (lab, ca) = (some_lab(), WebCa::new());
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let fetcher = start(&settings(&ca, gone, lab.dir.path()), &lab);
    let (answer, outcome, took) = one(&fetcher);
    assert_eq!((answer, outcome), (NOTHING, Outcome::NoConnection));
    assert!(took < Duration::from_secs(2));
    // At once from memory.
    assert_eq!(ask(&fetcher.client(), &url("/sp.pem")), NOTHING);
    assert_eq!(fetcher.stop().of(Outcome::KnownFailure), 1);
}

#[test]
fn n3_a_name_that_leads_inside_is_never_connected_to() {
    let (lab, ca) = (some_lab(), WebCa::new());
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let at = inside.local_addr().unwrap();
    let guarded = FetchSettings {
        allow_private: false,
        connect_to: None,
        ..settings(&ca, at, lab.dir.path())
    };
    let mapped = format!("[::ffff:127.0.0.1]:{}", at.port()).parse().unwrap();
    let public: SocketAddr = format!("[2600::1]:{}", at.port()).parse().unwrap();
    for addresses in [vec![at], vec![mapped], vec![public, at], vec![at, public]] {
        let calls = Arc::new(Mutex::new(0));
        let counted = calls.clone();
        // A name that would lead elsewhere when asked again is not asked again.
        let resolver = resolver(move |host| {
            assert_eq!(host, HOST);
            *counted.lock().unwrap() += 1;
            addresses.clone()
        });
        let loaded = directory::load(&files(&lab), lab::DEFAULT_BASE).unwrap();
        let fetcher = Fetcher::start_with(&guarded, loaded, resolver).unwrap();
        let (answer, outcome, _) = one(&fetcher);
        assert_eq!((answer, outcome), (REFUSED, Outcome::ForbiddenAddress));
        assert_eq!(*calls.lock().unwrap(), 1);
    }
    // An address in the URL itself needs no resolver.
    let loaded = directory::load(&files(&lab), lab::DEFAULT_BASE).unwrap();
    let never = resolver(|_| panic!("nothing to resolve"));
    let fetcher = Fetcher::start_with(&guarded, loaded, never).unwrap();
    for host in [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
    ] {
        let url = format!("https://{host}:8443/sp.pem");
        assert_eq!(ask(&fetcher.client(), &url), REFUSED, "{host}");
    }
    assert_eq!(fetcher.stop().of(Outcome::ForbiddenAddress), 4);
    assert!(inside.accept().is_err(), "nobody came");
}

#[test]
fn n12_a_doubt_about_a_young_certificate_is_answered_at_once() {
    let (lab, ca) = (some_lab(), WebCa::new());
    let page = bundle(&lab);
    let server = Server::start(ca.tls(&[HOST], |_| ()), move |_| ok(&page));
    let fetcher = start(&settings(&ca, server.at, lab.dir.path()), &lab);
    let client = fetcher.client();
    ask(&client, &url("/sp.pem"));
    let digest = client.credentials().get(&url("/sp.pem")).unwrap().digest();
    assert!(client.ask(Want::Doubted(url("/sp.pem").into(), digest)));
    assert_eq!(answer(&client), Answer::Same);
    assert_eq!(server.total(), 1);
}

#[test]
fn n8_n14_the_disk_cache_serves_after_a_restart_without_network() {
    let (lab, ca) = (some_lab(), WebCa::new());
    let page = bundle(&lab);
    let server = Server::start(ca.tls(&[HOST], |_| ()), move |asked| match &*asked.place {
        "cert.example.net/secret.pem" => respond("200 OK", "Cache-Control: no-store\r\n", &page),
        _ => ok(&page),
    });
    let mut settings = settings(&ca, server.at, lab.dir.path());
    settings.folder = Some(lab.path("cache"));
    let fetcher = start(&settings, &lab);
    for path in ["/sp.pem", "/secret.pem"] {
        assert_eq!(ask(&fetcher.client(), &url(path)), Answer::News);
    }
    assert_eq!(fetcher.stop().not_kept, 0);
    drop(server);
    for offline in [false, true] {
        settings.offline = offline;
        let fetcher = start(&settings, &lab);
        let client = fetcher.client();
        assert!(
            client
                .credentials()
                .get(&url("/sp.pem"))
                .is_some_and(|c| c.path_count() > 0)
        );
        assert_eq!(ask(&client, &url("/sp.pem")), Answer::News);
        let why = if offline {
            Why::Offline
        } else {
            Why::Unreachable
        };
        assert_eq!(
            ask(&client, &url("/secret.pem")),
            Answer::Nothing(why),
            "no-store"
        );
        drop(client);
        let report = fetcher.stop();
        assert_eq!(report.requests(), u64::from(!offline));
    }
}

#[test]
fn n11_thousands_of_made_up_urls_are_few_requests() {
    let (lab, ca) = (some_lab(), WebCa::new());
    let server = Server::start(ca.tls(&["*.example.net"], |_| ()), |_| {
        respond("404 Not Found", "", b"")
    });
    let mut settings = settings(&ca, server.at, lab.dir.path());
    settings.limits.new_hosts = Rate {
        burst: 10,
        per_minute: 60,
    };
    let fetcher = start(&settings, &lab);
    let client = fetcher.client();
    let began = Instant::now();
    let mut refused = 0;
    for i in 0..20_000 {
        let url = format!("https://h{i}.example.net/{i}.pem");
        while !client.ask(Want::Missing(url.as_str().into())) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Ok((_, answer)) = client.answers().try_recv() {
            refused += u64::from(answer == Answer::Nothing(Why::QueueFull));
        }
    }
    std::thread::sleep(Duration::from_millis(500));
    refused += client
        .answers()
        .try_iter()
        .filter(|(_, a)| *a == Answer::Nothing(Why::QueueFull))
        .count() as u64;
    let most = 10 + began.elapsed().as_secs() + 1;
    let report = client.report();
    assert!(server.total() as u64 <= most, "{} requests", server.total());
    assert!(report.waiting <= 1_024 && report.in_flight <= 32 && report.cached == 0);
    assert_eq!(report.of(Outcome::NewHosts), refused);
    assert!(refused > 18_000, "{refused}");
}

#[test]
fn n14_over_a_proxy() {
    let (lab, ca) = (some_lab(), WebCa::new());
    let page = bundle(&lab);
    let proxy = Server::start_as(ca.tls(&[HOST], |_| ()), true, move |_| ok(&page));
    let through = FetchSettings {
        allow_private: false,
        connect_to: None,
        proxy: Some(tracehop::fetch::connect::Proxy {
            host: "127.0.0.1".into(),
            port: proxy.at.port(),
        }),
        ..settings(&ca, proxy.at, lab.dir.path())
    };
    let fetcher = start(&through, &lab);
    let client = fetcher.client();
    assert_eq!(ask(&client, &url("/sp.pem")), Answer::News);
    assert_eq!(ask(&client, &url(":8443/sp.pem")), Answer::News);
    // An inside address in the URL is not even asked of the proxy.
    assert_eq!(ask(&client, "https://10.0.0.1/sp.pem"), REFUSED);
    let connects: Vec<_> = proxy
        .connects()
        .iter()
        .map(|h| h.lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(
        connects,
        [
            "CONNECT cert.example.net:443 HTTP/1.1",
            "CONNECT cert.example.net:8443 HTTP/1.1"
        ]
    );
}

/// A laboratory of today, so that its list of authorities has not ended, and a server with what the STI-PA publishes.
fn sti_pa(ca: &WebCa) -> (tempfile::TempDir, Server, FetchSettings, CredentialFiles) {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    lab::generate(&lab::LabOptions {
        base: tracehop::host::clock::now(),
        calls: 1,
        ..lab::LabOptions::new(dir.path().join("lab"))
    })
    .unwrap();
    let certs = dir.path().join("lab/certs");
    let read = |name: &str| std::fs::read(certs.join(name)).unwrap();
    let (list, signer, crl) = (
        read("ca-list.jws"),
        read("ca-list-signer.pem"),
        read("crl.der"),
    );
    let server = Server::start(ca.tls(&["sti-pa.example"], |_| ()), move |asked| {
        let body = asked.text.split("\r\n\r\n").nth(1).unwrap_or_default();
        let authorised = asked
            .text
            .to_ascii_lowercase()
            .contains("authorization: token-1");
        match &*asked.place {
            "sti-pa.example/login" if body == r#"{"userId":"edge","password":"hidden"}"# => {
                ok(br#"{"status":"success","accessToken":"token-1"}"#)
            }
            "sti-pa.example/ca-list" if authorised => {
                let list = String::from_utf8(list.clone()).unwrap();
                ok(serde_json::json!({"status": "success", "caList": list})
                    .to_string()
                    .as_bytes())
            }
            "sti-pa.example/ca-list-signer.pem" => ok(&signer),
            "sti-pa.example/crl" => ok(&crl),
            _ => respond("401 Unauthorized", "", b"hidden things"),
        }
    });
    let secret = dir.path().join("secret.toml");
    std::fs::write(&secret, "user = \"edge\"\npassword = \"hidden\"\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut settings = settings(ca, server.at, dir.path());
    settings.folder = Some(dir.path().join("cache"));
    settings.sti_pa = tracehop::fetch::sti_pa::StiPa {
        ca_list_url: Some("https://sti-pa.example/ca-list".into()),
        login_url: Some("https://sti-pa.example/login".into()),
        crl_url: Some("https://sti-pa.example/crl".into()),
        secret: Some(tracehop::fetch::sti_pa::Secret::read(&secret).unwrap()),
    };
    let files = CredentialFiles {
        sti_pa_root: Some(certs.join("sti-pa-root.pem")),
        crl_signer: Some(certs.join("crl-signer.pem")),
        directory: Some(certs.join("x5u")),
        ..CredentialFiles::default()
    };
    (dir, server, settings, files)
}

/// Authorities and revocation list that judges have, as one credential shows them.
fn trusted(fetcher: &Fetcher) -> bool {
    let credentials = fetcher.client().credentials();
    credentials.iter().any(|(_, c)| c.path_count() > 0)
}

#[test]
fn l1_n15_lists_come_over_https_and_stay_over_a_restart() {
    let ca = WebCa::new();
    let (_dir, server, mut settings, files) = sti_pa(&ca);
    let load = || directory::load(&files, tracehop::host::clock::now()).unwrap();
    let fetcher = Fetcher::start(&settings, load()).unwrap();
    assert!(trusted(&fetcher), "{:?}", fetcher.notes);
    assert_eq!(
        server.asked().values().copied().collect::<Vec<_>>(),
        [1, 1, 1, 1]
    );
    let report = fetcher.stop();
    assert_eq!((report.notes, report.not_kept), (Vec::<String>::new(), 0));
    drop(server);
    settings.offline = true;
    let fetcher = Fetcher::start(&settings, load()).unwrap();
    assert!(trusted(&fetcher));
}

#[test]
fn l1_without_a_list_nothing_starts_and_the_secret_is_not_told() {
    let ca = WebCa::new();
    let (dir, _server, mut settings, files) = sti_pa(&ca);
    let secret = dir.path().join("secret.toml");
    std::fs::write(&secret, "user = \"edge\"\npassword = \"wrong-one\"\n").unwrap();
    settings.sti_pa.secret = Some(tracehop::fetch::sti_pa::Secret::read(&secret).unwrap());
    let loaded = directory::load(&files, tracehop::host::clock::now()).unwrap();
    let why = Fetcher::start(&settings, loaded).unwrap_err();
    assert!(matches!(why, StartError::NoTrust(_)), "{why}");
    for text in [
        format!("{why}"),
        format!("{why:?}"),
        format!("{settings:?}"),
    ] {
        assert!(
            !text.contains("wrong-one") && !text.contains("hidden"),
            "{text}"
        );
    }
    assert!(why.to_string().contains("status"), "{why}");
}

#[test]
fn n15_lists_lead_to_no_other_host() {
    let ca = WebCa::new();
    let (_dir, server, mut settings, files) = sti_pa(&ca);
    // The list itself is elsewhere now, so that its signer's URL names a host that the operator does not.
    settings.sti_pa.ca_list_url = Some("https://mirror.example/ca-list".into());
    settings.sti_pa.login_url = None;
    settings.sti_pa.crl_url = None;
    let jws = std::fs::read(_dir.path().join("lab/certs/ca-list.jws")).unwrap();
    let mirror = Server::start(ca.tls(&["mirror.example"], |_| ()), move |_| ok(&jws));
    settings.connect_to = Some(mirror.at);
    let loaded = directory::load(&files, tracehop::host::clock::now()).unwrap();
    let why = Fetcher::start(&settings, loaded).unwrap_err();
    assert!(why.to_string().contains("host_not_listed"), "{why}");
    assert_eq!((server.total(), mirror.total()), (0, 1));
}
