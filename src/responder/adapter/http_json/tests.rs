//! Against a server on loopback that speaks as the configuration says.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming as Body};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

use super::super::field::Field;
use super::super::mapping::Pointers;
use super::super::mapping::tests::settings as request;
use super::super::submission::ANSWER_VALUES;
use super::super::submission::tests::{answer, words};
use super::super::template::{Escape, Template};
use super::*;
use crate::web::client::BaseUrl;

pub(in crate::responder::adapter) fn mapping() -> HttpJsonMapping {
    let pointers = [
        (Field::Id, "/hop"),
        (Field::CaseId, "/case"),
        (Field::Called, "/call/to"),
        (Field::Time, "/call/at"),
        (Field::Downstream, "/from"),
        (Field::State, "/status"),
    ];
    let path = |p, known: &[&str]| Template::parse(p, Escape::Url, known).unwrap();
    HttpJsonMapping {
        list: ListSettings {
            path: "/hops?status=open".into(),
            items: "/data".into(),
            fields: Pointers(pointers.map(|(f, p)| (f, p.into())).to_vec()),
            pages: Pages::Cursor {
                pointer: "/next".into(),
                parameter: "after".into(),
            },
            most_pages: 5,
        },
        acknowledge: Some(CallSettings {
            method: Method::POST,
            path: path("/hops/{{ request_id }}/seen", &["request_id"]),
            body: None,
            taken: vec![],
        }),
        submit: Some(CallSettings {
            method: Method::POST,
            path: path("/hops/{{ request_id }}/answer", ANSWER_VALUES),
            body: Some((
                "application/json".into(),
                Template::parse(
                    r#"{"what": {{ portal_resolution }}, "who": {{ upstream.provider_id }}, "ref": {{ answer_id }}}"#,
                    Escape::Json,
                    ANSWER_VALUES,
                )
                .unwrap(),
            )),
            taken: vec![409],
        }),
        report: None,
        request: request(),
        words: words(),
    }
}

type Log = Arc<Mutex<Vec<String>>>;

/// A portal; `answers` gives status and body by what is asked.
async fn portal(answers: fn(&str, usize) -> (u16, String)) -> (u16, Log) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let log = Log::default();
    let kept = log.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let log = kept.clone();
            let service = service_fn(move |request: Request<Body>| {
                let log = log.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let auth = head.headers.get("authorization");
                    let auth = auth.map_or("", |a| a.to_str().unwrap()).to_owned();
                    let body = String::from_utf8_lossy(&body).into_owned();
                    let asked = format!("{} {} {auth} {body}", head.method, head.uri);
                    let asked = asked.trim().to_owned();
                    let n = log.lock().unwrap().len();
                    let (status, text) = answers(&asked, n);
                    log.lock().unwrap().push(asked);
                    let response = Response::builder().status(status);
                    Ok::<_, Infallible>(response.body(Full::new(Bytes::from(text))).unwrap())
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (port, log)
}

fn client(port: u16, path: &str) -> ClientSettings {
    ClientSettings {
        url: BaseUrl::parse(&format!("http://127.0.0.1:{port}{path}")).unwrap(),
        secret: None,
        roots: None,
        identity: None,
        timeout: Duration::from_secs(5),
        most: 1 << 20,
        inside: true,
    }
}

fn settings(port: u16, failed: &std::path::Path) -> HttpJsonSettings {
    HttpJsonSettings {
        client: client(port, "/api"),
        token: None,
        every: Duration::from_millis(1),
        failed: failed.to_owned(),
        mapping: mapping(),
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

fn parcel() -> Parcel {
    Parcel {
        row: 1,
        portal: "p".into(),
        kind: ParcelKind::Answer,
        subject: "H-9".into(),
        key: "k".into(),
        body: answer(),
        tries: 0,
        due: None,
    }
}

fn pages(asked: &str, _: usize) -> (u16, String) {
    let item = |n: u8, at: &str| json!({"hop": format!("H-{n}"), "case": "C-1", "from": "P-77", "call": {"to": "2025550123", "at": at}, "status": "OPEN"});
    if asked.contains("/seen") {
        return (204, String::new());
    }
    let good = "2026-11-24T09:30:07Z";
    let page = match asked.contains("after=b%26c") {
        false => json!({"data": [item(1, good), item(2, "yesterday")], "next": "b&c"}),
        true => {
            json!({"data": [item(3, good), {"hop": "H-4", "status": "CANCELLED"}], "next": null})
        }
    };
    (200, page.to_string())
}

#[test]
fn pages_become_requests_and_each_is_acknowledged_once() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let (port, log) = portal(pages).await;
        let mut inlet = HttpInlet::new(settings(port, dir.path())).unwrap();
        let arrivals = inlet.poll().await.unwrap();
        let ids: Vec<&str> = arrivals.iter().map(|a| &*a.receipt).collect();
        assert_eq!(ids, ["H-1", "H-3", "H-4"]);
        assert_eq!(
            arrivals[2].what,
            Incoming::Withdrawn {
                request: "H-4".into()
            }
        );
        for arrival in &arrivals {
            inlet.settle(arrival).await.unwrap();
        }
        assert_eq!(inlet.poll().await.unwrap(), []);
        let log = log.lock().unwrap().clone();
        let first: Vec<&str> = log.iter().take(4).map(|l| &**l).collect();
        assert_eq!(
            first,
            [
                "GET /api/hops?status=open",
                "GET /api/hops?status=open&after=b%26c",
                "POST /api/hops/H-1/seen",
                "POST /api/hops/H-3/seen"
            ]
        );
    });
    // The one that can't be read is kept with its reason, once.
    let kept = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(kept, 2);
}

#[test]
fn what_the_portal_says_to_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let said = |answers: fn(&str, usize) -> (u16, String)| {
        run(async {
            let (port, log) = portal(answers).await;
            let mut outlet = HttpOutlet::new(settings(port, dir.path())).unwrap();
            let delivered = outlet.deliver(&parcel()).await;
            let log = log.lock().unwrap().clone();
            (delivered, log)
        })
    };
    let (delivered, log) = said(|_, _| (201, String::new()));
    assert_eq!(delivered, Delivered::Taken);
    let body =
        r#"{"what": "provider", "who": "P-77", "ref": "6f0f4f6a-0000-5000-8000-000000000001"}"#;
    assert_eq!(log, [format!("POST /api/hops/H-9/answer  {body}")]);
    assert_eq!(said(|_, _| (409, String::new())).0, Delivered::Taken);
    assert_eq!(said(|_, _| (410, String::new())).0, Delivered::Gone);
    assert!(matches!(
        said(|_, _| (404, String::new())).0,
        Delivered::Refused { .. }
    ));
    assert!(matches!(
        said(|_, _| (503, String::new())).0,
        Delivered::Again { .. }
    ));
    assert!(matches!(
        said(|_, _| (401, String::new())).0,
        Delivered::Again { .. }
    ));
    let (refused, _) = said(|_, _| (422, "no\r\nsuch".into()));
    assert_eq!(
        refused,
        Delivered::Refused {
            why: "status 422: no  such".into()
        }
    );
    let (again, _) = said(|_, _| (302, String::new()));
    assert!(
        matches!(again, Delivered::Refused { .. }),
        "no redirect is followed"
    );
}

/// A token is got once, and anew when the portal no longer takes it.
#[test]
fn tokens_are_kept_and_renewed() {
    fn answers(asked: &str, n: usize) -> (u16, String) {
        if asked.contains("/token") {
            assert!(
                asked.ends_with("grant_type=client_credentials&scope=hops%20x"),
                "{asked}"
            );
            assert!(asked.contains("Basic YSUzQTpzJTNBMQ=="), "{asked}");
            return (
                200,
                format!(r#"{{"access_token":"t{n}","expires_in":3600}}"#),
            );
        }
        match asked.contains("Bearer t0") && n == 2 {
            true => (401, String::new()),
            false => (201, String::new()),
        }
    }
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let (port, log) = portal(answers).await;
        let mut settings = settings(port, dir.path());
        settings.token = Some(TokenSettings {
            client: client(port, "/token"),
            id: "a:".into(),
            secret: "s:1".into(),
            scope: Some("hops x".into()),
        });
        assert!(!format!("{settings:?}").contains("s:1"));
        let mut outlet = HttpOutlet::new(settings).unwrap();
        for _ in 0..3 {
            assert_eq!(outlet.deliver(&parcel()).await, Delivered::Taken);
        }
        let log = log.lock().unwrap().clone();
        let kinds: Vec<bool> = log.iter().map(|l| l.contains("/token")).collect();
        assert_eq!(kinds, [true, false, false, true, false, false]);
    });
}

#[test]
fn a_list_that_never_ends_is_left() {
    fn endless(_: &str, n: usize) -> (u16, String) {
        let page =
            json!({"data": [{"hop": format!("H-{n}"), "case": "C"}], "next": format!("{n}")});
        (200, page.to_string())
    }
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let (port, log) = portal(endless).await;
        let mut inlet = HttpInlet::new(settings(port, dir.path())).unwrap();
        assert_eq!(inlet.poll().await.unwrap().len(), 5);
        assert_eq!(log.lock().unwrap().len(), 5);
    });
    let list = mapping().list;
    assert!(read(b"{\"data\": 7}", &list, &request()).is_err());
    assert!(read(b"garbage", &list, &request()).is_err());
}
