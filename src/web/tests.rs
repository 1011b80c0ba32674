//! Over real sockets.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;

#[derive(Default)]
struct Shown {
    store_is_full: AtomicBool,
    big: bool,
}

impl Status for Shown {
    fn metrics(&self) -> String {
        match self.big {
            // More than any socket buffer takes at once.
            true => "# a line of some length\n".repeat(1_000_000),
            false => "tracehop_x_total 1\n".to_owned(),
        }
    }

    fn page(&self, again: bool) -> String {
        format!("<!doctype html><p>{again}")
    }

    fn style(&self) -> &'static str {
        "p { }"
    }

    fn health(&self) -> Vec<Check> {
        vec![Check::good("judge", "turns")]
    }

    fn readiness(&self) -> Vec<Check> {
        let store = match self.store_is_full.load(Ordering::Relaxed) {
            true => Check::bad("store", "no space left on device"),
            false => Check::good("store", "written 1 s ago"),
        };
        vec![Check::good("trust", "3 authorities"), store]
    }
}

fn start(shown: Shown, connections: usize) -> (RunningWeb, Arc<Shown>) {
    let settings = WebSettings {
        listen: None,
        connections,
    };
    let shown = Arc::new(shown);
    let server = WebServer::bind((Ipv4Addr::LOCALHOST, 0).into(), &settings).unwrap();
    (server.start(shown.clone()).unwrap(), shown)
}

fn exchange(to: SocketAddr, request: &str) -> String {
    let mut s = TcpStream::connect(to).unwrap();
    s.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    s.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    s.read_to_string(&mut answer).unwrap();
    answer
}

fn ask(to: SocketAddr, path: &str, accept: &str) -> (u16, String, String) {
    let accept = match accept {
        "" => String::new(),
        kind => format!("Accept: {kind}\r\n"),
    };
    let answer = exchange(
        to,
        &format!("GET {path} HTTP/1.1\r\nHost: x\r\n{accept}\r\n"),
    );
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, head.to_ascii_lowercase(), body.to_owned())
}

#[test]
fn metrics_bear_the_type_that_prometheus_knows() {
    let (web, _) = start(Shown::default(), 4);
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";
    let (code, head, body) = ask(web.address(), "/metrics", prometheus);
    assert_eq!((code, body.as_str()), (200, "tracehop_x_total 1\n"));
    assert!(
        head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{head}"
    );
    let (code, ..) = ask(web.address(), "/calls", "");
    assert_eq!(code, 404);
    let posted = exchange(
        web.address(),
        "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
    );
    assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
    let head = exchange(web.address(), "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    let counters = web.stop().unwrap();
    assert_eq!((counters.accepted, counters.ended), (4, 4));
}

#[test]
fn what_is_missing_is_a_list_that_people_and_machines_read() {
    let (web, shown) = start(Shown::default(), 4);
    let (code, _, body) = ask(web.address(), "/readyz", "");
    assert_eq!(
        (code, body.as_str()),
        (
            200,
            "ok\ntrust: ok: 3 authorities\nstore: ok: written 1 s ago\n"
        )
    );
    shown.store_is_full.store(true, Ordering::Relaxed);
    let (code, _, body) = ask(web.address(), "/readyz", "text/html, */*");
    assert_eq!(code, 503);
    assert!(
        body.starts_with("not ok\n") && body.contains("store: NOT OK: no space left on device"),
        "{body}"
    );
    for (path, accept) in [
        ("/readyz?format=json", ""),
        ("/readyz", "application/json, text/plain"),
    ] {
        let (code, _, body) = ask(web.address(), path, accept);
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((code, &json["ok"]), (503, &false.into()));
        assert_eq!(json["checks"][1]["state"], "no space left on device");
    }
    let (code, _, body) = ask(web.address(), "/healthz?format=text", "application/json");
    assert_eq!((code, body.as_str()), (200, "ok\njudge: ok: turns\n"));
    web.stop().unwrap();
}

#[test]
fn the_page_is_html_that_may_run_and_load_nothing() {
    let (web, _) = start(Shown::default(), 4);
    for (path, body, kind) in [
        ("/", "<!doctype html><p>true", "text/html; charset=utf-8"),
        (
            "/?refresh=0",
            "<!doctype html><p>false",
            "text/html; charset=utf-8",
        ),
        ("/style.css", "p { }", "text/css; charset=utf-8"),
    ] {
        let (code, head, answer) = ask(web.address(), path, "text/html");
        assert_eq!((code, answer.as_str()), (200, body));
        for line in [
            format!("content-type: {kind}"),
            "content-security-policy: default-src 'none'; style-src 'self';".to_owned(),
            "x-content-type-options: nosniff".to_owned(),
            "cache-control: no-store".to_owned(),
        ] {
            assert!(head.contains(&line), "{head}");
        }
    }
    web.stop().unwrap();
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let (web, _) = start(Shown::default(), 4);
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(20_000));
    let many = format!(
        "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "A: b\r\n".repeat(200)
    );
    for request in [long, many, "not http at all\r\n\r\n".into()] {
        let mut s = TcpStream::connect(web.address()).unwrap();
        s.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // It may hang up in the middle.
        let _ = s.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = s.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    }
    let (code, ..) = ask(web.address(), "/healthz", "");
    assert_eq!(code, 200);
    assert_eq!(web.stop().unwrap().broken, 3);
}

#[test]
fn who_writes_or_reads_slowly_holds_up_nobody_and_not_the_stop() {
    let big = Shown {
        big: true,
        ..Shown::default()
    };
    let (web, _) = start(big, 8);
    let mut slow: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut s = TcpStream::connect(web.address()).unwrap();
            s.write_all(b"GET /metr").unwrap();
            s
        })
        .collect();
    for _ in 0..3 {
        let mut s = TcpStream::connect(web.address()).unwrap();
        s.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        slow.push(s);
    }
    let begin = Instant::now();
    let (code, ..) = ask(web.address(), "/healthz", "");
    assert_eq!(code, 200);
    assert!(begin.elapsed() < Duration::from_secs(5));
    // The others fill the room; the next one gets in as soon as one is thrown out for its slow head.
    for _ in 0..2 {
        slow.push(TcpStream::connect(web.address()).unwrap());
    }
    let (code, ..) = ask(web.address(), "/healthz", "");
    assert_eq!(code, 200);
    let waited = begin.elapsed();
    assert!(
        (Duration::from_secs(9)..Duration::from_secs(19)).contains(&waited),
        "{waited:?}"
    );
    let begin = Instant::now();
    let counters = web.stop().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(8));
    assert!(counters.cut >= 3, "{counters:?}");
    drop(slow);
}

#[test]
fn an_address_that_is_taken_is_said_with_a_remedy() {
    let settings = WebSettings {
        listen: None,
        connections: 1,
    };
    let first = WebServer::bind((Ipv4Addr::LOCALHOST, 0).into(), &settings).unwrap();
    let e = WebServer::bind(first.address(), &settings).unwrap_err();
    assert!(e.to_string().contains("take another port"), "{e}");
}
