//! One HTTP exchange on a connection of its own, every octet of it capped (rules N4, N6, N7).
//!
//! No redirect is followed, no content is decoded, no connection is kept: the servers that calls name are not ours to hold on to.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING,
    CONTENT_TYPE, DATE, EXPIRES, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::cache::{Body, Keeping};
use super::connect::Connector;
use super::outcome::Outcome;
use super::policy::Place;
use crate::stir::credential::MAX_BUNDLE;

/// For everything from the name to the last octet: a sender that drips does not hold us longer (rule N6).
const DEADLINE: Duration = Duration::from_secs(5);

/// Most octets of an answer's headers (rule N6).
const MAX_HEADERS: usize = 8 * 1024;

/// Most lines of an answer's headers.
const MAX_HEADER_LINES: usize = 100;

/// What to ask.
#[derive(Clone, Debug)]
pub(super) struct Ask<'a> {
    pub url: &'a str,
    /// What to post; `None` gets.
    pub post: Option<&'a [u8]>,
    pub accept: &'static str,
    pub authorization: Option<&'a str>,
    /// Most octets of the answer.
    pub most: usize,
}

/// Gets a certificate.
pub(super) async fn certificate(connector: &Connector, url: &str) -> Result<Body, Outcome> {
    let ask = Ask {
        url,
        post: None,
        accept: "application/pem-certificate-chain, application/x-pem-file;q=0.9, */*;q=0.8",
        authorization: None,
        most: MAX_BUNDLE,
    };
    exchange(connector, &ask).await
}

/// One exchange, within [`DEADLINE`].
pub(super) async fn exchange(connector: &Connector, ask: &Ask<'_>) -> Result<Body, Outcome> {
    timeout(DEADLINE, answer(connector, ask))
        .await
        .unwrap_or(Err(Outcome::Timeout))
}

/// Ends the task that drives a connection, however the exchange ends.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn answer(connector: &Connector, ask: &Ask<'_>) -> Result<Body, Outcome> {
    let place = Place::of(ask.url).ok_or(Outcome::BadUrl)?;
    let stream = connector.open(&place.host, place.port).await?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEADERS)
        .max_headers(MAX_HEADER_LINES)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|_| Outcome::Interrupted)?;
    let _driver = Driver(tokio::spawn(connection).abort_handle());
    let request = request(ask, &place).ok_or(Outcome::BadUrl)?;
    let response =
        sender
            .send_request(request)
            .await
            .map_err(|e| match e.is_parse_too_large() {
                true => Outcome::HeadersTooLarge,
                false => Outcome::Interrupted,
            })?;
    check_status(response.status())?;
    read(response, ask.most).await
}

fn request(ask: &Ask<'_>, place: &Place) -> Option<Request<Full<Bytes>>> {
    let host = match (place.host.contains(':'), place.port) {
        (true, 443) => format!("[{}]", place.host),
        (true, port) => format!("[{}]:{port}", place.host),
        (false, 443) => place.host.to_string(),
        (false, port) => format!("{}:{port}", place.host),
    };
    let method = match ask.post {
        Some(_) => Method::POST,
        None => Method::GET,
    };
    let mut request = Request::builder()
        .method(method)
        .uri(&*place.path)
        .header(HOST, host)
        .header(USER_AGENT, concat!("tracehop/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, ask.accept)
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close");
    if let Some(token) = ask.authorization {
        let mut token = HeaderValue::from_str(token).ok()?;
        token.set_sensitive(true);
        request = request.header(AUTHORIZATION, token);
    }
    if ask.post.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = Bytes::copy_from_slice(ask.post.unwrap_or_default());
    request.body(Full::new(body)).ok()
}

fn check_status(status: StatusCode) -> Result<(), Outcome> {
    match status.as_u16() {
        200 => Ok(()),
        300..=399 => Err(Outcome::Redirect),
        404 | 410 => Err(Outcome::NotFound),
        _ => Err(Outcome::Status),
    }
}

async fn read(response: Response<Incoming>, most: usize) -> Result<Body, Outcome> {
    let headers = response.headers();
    let encoded = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded {
        return Err(Outcome::Encoded);
    }
    let keeping = keeping(headers);
    let mut body = response.into_body();
    // What it says of its length saves reading; what comes is counted all the same.
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    if body.size_hint().lower() > limit {
        return Err(Outcome::BodyTooLarge);
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Outcome::Interrupted)?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if data.len() > most.saturating_sub(bytes.len()) {
            return Err(Outcome::BodyTooLarge);
        }
        bytes.extend_from_slice(data);
    }
    Ok(Body {
        bytes: bytes.into(),
        keeping,
    })
}

fn keeping(headers: &HeaderMap) -> Keeping {
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let cache_control: Vec<&str> = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .collect();
    Keeping::parse(&cache_control, text(EXPIRES), text(DATE))
}
