use super::*;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

/// Gives these answers, one a request, on as few connections as are opened; then what was asked, and on how many connections.
fn server(answers: Vec<String>) -> (String, thread::JoinHandle<(Vec<String>, usize)>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/base/", socket.local_addr().unwrap());
    let turn = thread::spawn(move || {
        let (mut asked, mut connections) = (Vec::new(), 0);
        let mut answers = answers.into_iter().peekable();
        while answers.peek().is_some() {
            let (mut stream, _) = socket.accept().unwrap();
            connections += 1;
            while answers.peek().is_some() {
                let Some(request) = read_request(&mut stream) else {
                    break;
                };
                asked.push(request);
                let answer = answers.next().unwrap();
                let _ = stream.write_all(answer.as_bytes());
                if answer.contains("close") || answer.is_empty() {
                    break;
                }
            }
        }
        (asked, connections)
    });
    (url, turn)
}

fn read_request(stream: &mut std::net::TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut octet = [0];
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet).ok()?;
        text.push(octet[0]);
    }
    let head = String::from_utf8(text).unwrap();
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: "))
        .map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    Some(head + &String::from_utf8(body).unwrap())
}

fn said(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

fn client(url: &str) -> Client {
    Client::new(ClientSettings {
        url: BaseUrl::parse(url).unwrap(),
        secret: SecretHeader::bearer("a-secret-token"),
        roots: None,
        identity: None,
        timeout: Duration::from_millis(300),
        most: 100,
        inside: true,
    })
    .unwrap()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

#[test]
fn a_connection_is_kept_and_every_request_says_who_we_are() {
    let (url, turn) = server(vec![
        said("200 OK", "", "{}"),
        said("204 No Content", "", ""),
    ]);
    run(async {
        let mut client = client(&url);
        let answer = client.send(&Ask::get("/v1/x?a=1")).await.unwrap();
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, &b"{}"[..]));
        let put = Ask::new(Method::PUT, "/v1/y", "{\"n\":1}");
        assert_eq!(client.send(&put).await.unwrap().status, 204);
    });
    let (asked, connections) = turn.join().unwrap();
    assert_eq!(connections, 1);
    assert!(asked[0].starts_with("GET /base/v1/x?a=1 HTTP/1.1\r\n"));
    assert!(asked[1].starts_with("PUT /base/v1/y HTTP/1.1\r\n"));
    assert!(asked[1].ends_with("{\"n\":1}"));
    for request in asked {
        assert!(request.contains("authorization: Bearer a-secret-token\r\n"));
    }
}

#[test]
fn a_kept_connection_that_the_server_closed_is_opened_anew() {
    let close = said("200 OK", "connection: close\r\n", "1");
    let (url, turn) = server(vec![close, said("200 OK", "", "2")]);
    run(async {
        let mut client = client(&url);
        client.send(&Ask::get("")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let second = client.send(&Ask::get("")).await.unwrap();
        assert_eq!(&*second.body, b"2");
    });
    let (asked, connections) = turn.join().unwrap();
    assert_eq!(connections, 2);
    assert!(asked[0].starts_with("GET /base/ HTTP/1.1"));
}

#[test]
fn no_redirect_is_followed_and_no_secret_goes_elsewhere() {
    let elsewhere = "location: http://127.0.0.1:1/\r\n";
    let (url, turn) = server(vec![said("302 Found", elsewhere, "")]);
    let answer = run(async { client(&url).send(&Ask::get("/")).await.unwrap() });
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(turn.join().unwrap().0.len(), 1);
}

#[test]
fn what_is_too_large_or_too_slow_is_given_up() {
    let (url, _turn) = server(vec![said("200 OK", "", &"x".repeat(101))]);
    let large = run(async { client(&url).send(&Ask::get("/")).await });
    assert_eq!(large.unwrap_err(), ClientError::TooLarge(100));

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let slow = run(async { client(&url).send(&Ask::get("/")).await });
    assert_eq!(
        slow.unwrap_err(),
        ClientError::Slow(Duration::from_millis(300))
    );

    drop(silent);
    let none = run(async { client(&url).send(&Ask::get("/")).await }).unwrap_err();
    assert!(matches!(none, ClientError::Connect { .. }), "{none}");
}

#[test]
fn only_tls_leaves_this_host() {
    for good in [
        "https://portal.example.net",
        "https://portal.example.net:8443/api/",
        "http://127.0.0.1:8080",
        "http://localhost/x",
        "http://[::1]:80/",
    ] {
        assert!(BaseUrl::parse(good).is_some(), "{good}");
    }
    for bad in [
        "http://portal.example.net",
        "http://192.0.2.1",
        "ftp://portal.example.net",
        "https://",
        "https://a b",
        "https://user@portal.example.net",
        "https://portal.example.net/#x",
        "https://portal.example.net/\r\nX: y",
    ] {
        assert!(BaseUrl::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let header = SecretHeader::new("X-Api-Key", "hidden-key").unwrap();
    let identity = ClientIdentity {
        certificate: b"chain".to_vec(),
        key: b"hidden-key".to_vec(),
    };
    let shown = format!("{header:?} {identity:?}");
    assert_eq!(shown, "SecretHeader(x-api-key) ClientIdentity");
    assert!(SecretHeader::new("X-Api-Key", "two\nlines").is_none());
}

#[test]
fn what_comes_from_outside_stays_one_segment() {
    assert_eq!(escaped("HR-1_2.3~"), "HR-1_2.3~");
    assert_eq!(
        escaped("../a?b=c#d/\r\né"),
        "..%2Fa%3Fb%3Dc%23d%2F%0D%0A%C3%A9"
    );
    assert_eq!(escaped(".."), "%2E%2E");
}

#[test]
fn retry_after_is_bounded() {
    let mut headers = HeaderMap::new();
    let mut after = |text: &'static str| {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
        Answer {
            status: StatusCode::TOO_MANY_REQUESTS,
            headers: headers.clone(),
            body: Bytes::new(),
        }
        .retry_after()
    };
    assert_eq!(after("120"), Some(Duration::from_secs(120)));
    assert_eq!(after("99999999999"), Some(Duration::from_secs(86_400)));
    assert_eq!(after("soon"), None);
}
