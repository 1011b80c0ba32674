use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use axum::http::HeaderMap;
use rusqlite::params;

use super::*;
use crate::host::clock;
use crate::portal::docket::directory::Card;
use crate::portal::docket::testing::{docket, docket_with};
use crate::portal::docket::wire::Page;
use crate::proof::Who;

/// How a provider behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Takes,
    Refuses(u16),
    FailsAtFirst,
    Hangs,
    Chatters,
}

/// What came to a provider: head and body of each request.
type Came = Arc<Mutex<Vec<(String, String)>>>;

fn provider(manner: Manner) -> (String, Came) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/hop-requests", socket.local_addr().unwrap());
    let came = Came::default();
    let kept = came.clone();
    thread::spawn(move || {
        for stream in socket.incoming() {
            let (mut stream, kept) = (stream.unwrap(), kept.clone());
            thread::spawn(move || serve(&mut stream, manner, &kept));
        }
    });
    (url, came)
}

fn serve(stream: &mut TcpStream, manner: Manner, kept: &Came) {
    let mut octets = Vec::new();
    let mut some = [0u8; 4096];
    let (head, length) = loop {
        match stream.read(&mut some) {
            Ok(0) | Err(_) => return,
            Ok(n) => octets.extend_from_slice(&some[..n]),
        }
        let text = String::from_utf8_lossy(&octets).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_lowercase()
                .lines()
                .find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok())
                .unwrap();
            if body.len() >= length {
                break (head.to_owned(), body.to_owned());
            }
        }
    };
    let n = {
        let mut all = kept.lock().unwrap();
        all.push((head, length));
        all.len()
    };
    let code = match manner {
        Manner::Takes => 202,
        Manner::Refuses(code) => code,
        Manner::FailsAtFirst if n == 1 => 404,
        Manner::FailsAtFirst => 202,
        Manner::Hangs => {
            thread::sleep(Duration::from_secs(60));
            return;
        }
        Manner::Chatters => {
            let _ = stream.write_all(b"HTTP/1.1 202 x\r\nconnection: close\r\n\r\n");
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
            return;
        }
    };
    let reply = format!("HTTP/1.1 {code} x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    let _ = stream.write_all(reply.as_bytes());
}

/// An event for a provider, without a question.
fn tell(docket: &Docket, id: &str) {
    docket
        .write_for_tests(clock::now(), |w| {
            w.tx.execute(
                "INSERT INTO event (provider, kind, trace, data, at, push, next_try) VALUES (?1, 'hop_request.reminder', '', '{\"request_id\":\"R\"}', ?2, 'due', ?2)",
                params![id, w.now.nanos()],
            )?;
            w.touch(None, &[id]);
            Ok(())
        })
        .unwrap();
}

fn listed(docket: &Docket, id: &str, url: &str) {
    let card = Card {
        push_url: Some(url.into()),
        ..Card::new(id, id)
    };
    docket
        .add_provider(&Who::Automatic, &card, clock::now())
        .unwrap();
}

/// Pushes on a thread of its own.
struct Pushing(watch::Sender<bool>, Option<JoinHandle<()>>, Arc<Counters>);

impl Pushing {
    fn start(docket: &Arc<Docket>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let counters = Arc::<Counters>::default();
        let (docket, counted) = (docket.clone(), counters.clone());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(run(docket, counted, clock::now, stopped));
            runtime.shutdown_background();
        });
        Self(stop, Some(thread), counters)
    }
}

impl Drop for Pushing {
    fn drop(&mut self) {
        let _ = self.0.send(true);
        self.1.take().unwrap().join().unwrap();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// How an event of a provider stands.
fn standing(docket: &Docket) -> Vec<(String, String, Option<String>)> {
    docket.pushes_for_tests()
}

#[test]
fn an_event_is_signed_so_that_a_daemon_takes_it() {
    let (_dir, docket) = docket();
    let (url, came) = provider(Manner::Takes);
    listed(&docket, "A", &url);
    tell(&docket, "A");
    tell(&docket, "A");
    let _pushing = Pushing::start(&docket);
    until("both came", || came.lock().unwrap().len() == 2);
    let key = docket.signer().webhook_key().unwrap();
    let (key, _) = crate::responder::api::webhook::HookKey::parse(&key).unwrap();
    let all = came.lock().unwrap().clone();
    for (n, (head, body)) in all.iter().enumerate() {
        let mut headers = HeaderMap::new();
        for (name, value) in head.lines().filter_map(|l| l.split_once(": ")) {
            headers.insert(
                name.to_lowercase()
                    .parse::<axum::http::HeaderName>()
                    .unwrap(),
                value.parse().unwrap(),
            );
        }
        let envelope =
            crate::responder::api::webhook::Envelope::read(&headers, clock::now()).unwrap();
        let signed = envelope.signed(body.as_bytes());
        assert!(
            envelope.is_by(std::slice::from_ref(&key), &signed),
            "{head}"
        );
        assert_eq!(envelope.id, format!("portal-event-{}", n + 1));
        assert!(head.starts_with("POST /v1/hop-requests HTTP/1.1"), "{head}");
        assert!(body.contains("\"data\":{\"request_id\":\"R\"}"), "{body}");
    }
    until("both are noted", || {
        standing(&docket).iter().all(|(_, s, _)| s == "done")
    });
}

#[test]
fn slow_and_dead_providers_hold_up_nobody() {
    let (_dir, docket) = docket();
    for n in 0..8 {
        let (url, _) = provider(Manner::Hangs);
        listed(&docket, &format!("SLOW-{n}"), &url);
        listed(&docket, &format!("DEAD-{n}"), "http://127.0.0.1:9/");
    }
    let (chatters, _) = provider(Manner::Chatters);
    listed(&docket, "CHATTER", &chatters);
    let (url, came) = provider(Manner::Takes);
    listed(&docket, "GOOD", &url);
    let pushing = Pushing::start(&docket);
    for one in docket.providers().unwrap() {
        if &*one.card.id != "GOOD" {
            tell(&docket, &one.card.id);
        }
    }
    // They are lame now, once their first tries are over.
    thread::sleep(TRY + Duration::from_secs(2));
    let begun = Instant::now();
    for _ in 0..20 {
        tell(&docket, "GOOD");
    }
    until("all came", || came.lock().unwrap().len() == 20);
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    let counters = pushing.2.read();
    assert!(counters.again >= 16, "{counters:?}");
    let waits = standing(&docket);
    let of = |id: &str| waits.iter().find(|(p, ..)| p.starts_with(id)).unwrap();
    assert_eq!(of("SLOW").1, "due");
    assert!(
        of("CHATTER").2.as_ref().unwrap().contains("octets"),
        "{waits:?}"
    );
}

#[test]
fn what_is_refused_for_good_is_given_up_and_all_else_comes_again() {
    let (_dir, docket) = docket();
    let (url, came) = provider(Manner::Refuses(422));
    listed(&docket, "BAD", &url);
    let (url, again) = provider(Manner::FailsAtFirst);
    listed(&docket, "LATER", &url);
    tell(&docket, "BAD");
    tell(&docket, "BAD");
    tell(&docket, "LATER");
    let pushing = Pushing::start(&docket);
    until("all are settled", || {
        standing(&docket).iter().all(|(_, s, _)| s != "due")
    });
    assert_eq!(came.lock().unwrap().len(), 2);
    let heads: Vec<String> = again
        .lock()
        .unwrap()
        .iter()
        .map(|(h, _)| h.clone())
        .collect();
    assert_eq!(heads.len(), 2);
    let id = |h: &str| {
        h.lines()
            .find(|l| l.starts_with("webhook-id"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        id(&heads[0]),
        id(&heads[1]),
        "the same event is another one"
    );
    let states = standing(&docket);
    let of = |id: &str| {
        states
            .iter()
            .filter(|(p, ..)| p == id)
            .map(|(_, s, _)| &**s)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("BAD"), ["given-up", "given-up"]);
    assert_eq!(of("LATER"), ["done"]);
    let counted = pushing.2.read();
    assert_eq!((counted.taken, counted.again, counted.refused), (1, 1, 2));
    // By pull it is still there.
    let page: Page = docket.events("BAD", 0, clock::now()).unwrap();
    assert_eq!(page.entries.len(), 2);
}

#[test]
fn nothing_is_pushed_inside_unless_the_operator_allows_it() {
    let (_dir, docket) = docket_with(|_, settings| settings.push.inside = false);
    let (url, came) = provider(Manner::Takes);
    listed(&docket, "PLAIN", &url);
    listed(&docket, "INSIDE", "https://127.0.0.1:9/");
    listed(&docket, "NAMED", "https://localhost:9/");
    for id in ["PLAIN", "INSIDE", "NAMED"] {
        tell(&docket, id);
    }
    let _pushing = Pushing::start(&docket);
    until("all were tried", || {
        standing(&docket).iter().all(|(_, _, said)| said.is_some())
    });
    assert!(came.lock().unwrap().is_empty());
    for (id, state, said) in standing(&docket) {
        assert_eq!(state, "due");
        assert!(
            said.unwrap().contains(if id == "PLAIN" {
                "TLS"
            } else {
                "forbidden_address"
            }),
            "{id}"
        );
    }
}

#[test]
fn waits_grow_with_full_jitter_and_end_at_the_longest() {
    for _ in 0..100 {
        assert!(backoff(0) <= FIRST);
        assert!(backoff(3) <= FIRST * 8);
        assert!(backoff(60) <= LONGEST && backoff(u32::MAX) <= LONGEST);
        assert!(backoff(0) >= FIRST / 2);
    }
    assert!((0..50).any(|_| backoff(30) > LONGEST / 4));
}
