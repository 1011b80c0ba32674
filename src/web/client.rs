//! One HTTP/1.1 client for whatever the operator has us speak to: portals, receivers of webhooks.
//!
//! Comes in: a method, a path behind the configured URL, headers, a body. Goes out: status, headers and body, or why there is none. Bounds: an exchange
//! takes so long and its body has so many octets at most; one connection is kept, and used again while it works. No redirect is followed: the configured
//! URL is the only place that gets what we send. TLS trusts the web's roots, or those of `roots` beside them, never those of SHAKEN. Without TLS
//! only this host is spoken to. Secrets are never shown, in no error and no debug text.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::fetch::connect::{Connector, ConnectorError, System};
use crate::fetch::policy::Place;

/// Octets of a response's head: hyper's own default would be 400 KiB.
const HEAD: usize = 64 * 1024;

/// Longest that a server may have us wait with `Retry-After`: a day, so that no server stops us for good.
const RETRY_MOST: u64 = 86_400;

/// Where a server is, with the path under which everything of it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    place: Place,
    tls: bool,
}

impl BaseUrl {
    /// Takes an `https` URL apart, or an `http` one that leads to this host.
    pub fn parse(url: &str) -> Option<Self> {
        // What would break a request line or hide what is meant.
        if url.contains(['#', '@']) || !url.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        let (place, tls) = Place::of_operator(url)?;
        Some(Self { place, tls })
    }

    /// Whether it is spoken to over TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Host and port, as a Host header names them.
    pub fn authority(&self) -> String {
        self.place.authority()
    }

    /// The path of the URL itself, or with more behind it, which begins with a slash.
    fn path(&self, more: &str) -> String {
        match more {
            "" => self.place.path.to_string(),
            more => format!("{}{more}", self.place.path.trim_end_matches('/')),
        }
    }
}

/// A header by which the server knows us. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHeader {
    name: HeaderName,
    value: HeaderValue,
}

impl SecretHeader {
    /// `Authorization: Bearer …`.
    pub fn bearer(token: &str) -> Option<Self> {
        Self::new(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// Any other header.
    pub fn new(name: &str, value: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some(Self {
            name: name.parse().ok()?,
            value,
        })
    }
}

impl fmt::Debug for SecretHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretHeader({})", self.name)
    }
}

/// Our certificate for a server that asks for one, PEM. The key is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The certificate, with those up to its authority.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity")
    }
}

/// What a client needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// The server.
    pub url: BaseUrl,
    /// How it knows us.
    pub secret: Option<SecretHeader>,
    /// More roots for TLS, PEM.
    pub roots: Option<Vec<u8>>,
    /// Our certificate.
    pub identity: Option<ClientIdentity>,
    /// How long an exchange may take, connecting included.
    pub timeout: Duration,
    /// Octets of an answer's body at most.
    pub most: usize,
    /// Whether it may be at an address inside: of this host, private, link-local. The operator's own server may well be; one whose name somebody else has, not.
    pub inside: bool,
}

impl ClientSettings {
    /// Whether TLS can be set up by them.
    ///
    /// # Errors
    ///
    /// [`ConnectorError`].
    pub fn check(&self) -> Result<(), ConnectorError> {
        self.connector().map(drop)
    }

    fn connector(&self) -> Result<Connector, ConnectorError> {
        let identity = self.identity.as_ref();
        // There is one name, so two threads to resolve are enough.
        Connector::new_as(
            identity.map(|i| (&*i.certificate, &*i.key)),
            Arc::new(System::new(2)),
            self.inside,
            None,
            self.roots.as_deref(),
        )
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// How.
    pub method: Method,
    /// Path and query behind the configured URL, from the slash on; empty for the URL itself. What comes from outside must be [`escaped`].
    pub path: String,
    /// Headers beside those of the client.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
    /// More time than [`ClientSettings::timeout`]: how long the server is asked to wait before it answers.
    pub wait: Duration,
}

impl Ask {
    /// GET.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Bytes::new())
    }

    /// Anything with a body of JSON, or with none.
    pub fn new(method: Method, path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let headers = if body.is_empty() { vec![] } else { vec![json] };
        Self {
            method,
            path: path.into(),
            headers,
            body,
            wait: Duration::ZERO,
        }
    }

    /// With one more header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With time for the server to wait.
    pub fn waiting(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// How long the server wants to be left alone (RFC 9110 §10.2.3), given in seconds; a day at most.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        let seconds: u64 = value.trim().parse().ok()?;
        Some(Duration::from_secs(seconds.min(RETRY_MOST)))
    }
}

/// Why there is no answer. It says nothing of what was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// TLS can't be set up.
    #[error("{0}")]
    Setup(String),
    /// No connection.
    #[error("no connection to {authority}: {why}")]
    Connect {
        /// With whom.
        authority: String,
        /// Why.
        why: String,
    },
    /// The exchange broke.
    #[error("the exchange with {authority} broke: {why}")]
    Broken {
        /// With whom.
        authority: String,
        /// How.
        why: String,
    },
    /// No answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Slow(Duration),
    /// The body is too large.
    #[error("an answer of more than {0} octets")]
    TooLarge(usize),
    /// No request can be made of it: a header or path that can't be.
    #[error("no request can be made: {0}")]
    Request(String),
}

/// Speaks to one server.
#[derive(Debug)]
pub struct Client {
    settings: ClientSettings,
    connector: Option<Connector>,
    kept: Option<Connection>,
}

/// A connection, and the task that turns it.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Client {
    /// Makes one; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ClientError::Setup`].
    pub fn new(settings: ClientSettings) -> Result<Self, ClientError> {
        let connector = settings.url.tls.then(|| settings.connector()).transpose();
        Ok(Self {
            connector: connector.map_err(|e| ClientError::Setup(e.to_string()))?,
            settings,
            kept: None,
        })
    }

    /// One exchange. On a kept connection that the server has closed it is tried once more on a new one, so what is sent must be safe to send twice.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn send(&mut self, ask: &Ask) -> Result<Answer, ClientError> {
        let limit = self.settings.timeout.saturating_add(ask.wait);
        let answer = timeout(limit, self.exchange(ask)).await;
        answer.unwrap_or(Err(ClientError::Slow(limit)))
    }

    async fn exchange(&mut self, ask: &Ask) -> Result<Answer, ClientError> {
        if let Some(mut kept) = self.kept.take()
            && kept.sender.ready().await.is_ok()
            && let Ok(response) = kept.sender.send_request(self.request(ask)?).await
        {
            return self.finish(response, kept).await;
        }
        let mut fresh = self.connect().await?;
        let response = fresh.sender.send_request(self.request(ask)?).await;
        let response = response.map_err(|e| self.broken(&e))?;
        self.finish(response, fresh).await
    }

    async fn finish(
        &mut self,
        response: Response<Incoming>,
        connection: Connection,
    ) -> Result<Answer, ClientError> {
        let (head, body) = response.into_parts();
        let most = self.settings.most;
        let body = Limited::new(body, most)
            .collect()
            .await
            .map_err(|e| match e.downcast_ref::<LengthLimitError>() {
                Some(_) => ClientError::TooLarge(most),
                None => self.broken(&e),
            })?;
        self.kept = Some(connection);
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    fn request(&self, ask: &Ask) -> Result<Request<Full<Bytes>>, ClientError> {
        let url = &self.settings.url;
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(url.path(&ask.path))
            .header(HOST, url.authority())
            .header(USER_AGENT, concat!("tracehop/", env!("CARGO_PKG_VERSION")));
        if !ask.headers.iter().any(|(name, _)| *name == ACCEPT) {
            request = request.header(ACCEPT, "application/json");
        }
        if let Some(secret) = &self.settings.secret {
            request = request.header(secret.name.clone(), secret.value.clone());
        }
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        let body = Full::new(ask.body.clone());
        request
            .body(body)
            .map_err(|e| ClientError::Request(e.to_string()))
    }

    async fn connect(&self) -> Result<Connection, ClientError> {
        let Place { host, port, .. } = &self.settings.url.place;
        match &self.connector {
            Some(connector) => {
                let stream = connector.open(host, *port).await;
                let stream = stream.map_err(|o| self.unreached(&o.label()))?;
                self.handshake(TokioIo::new(stream)).await
            }
            None => {
                let stream = TcpStream::connect((&**host, *port)).await;
                let stream = stream.map_err(|e| self.unreached(&e))?;
                self.handshake(TokioIo::new(stream)).await
            }
        }
    }

    async fn handshake<T>(&self, stream: T) -> Result<Connection, ClientError>
    where
        T: Read + Write + Unpin + Send + 'static,
    {
        let begun = http1::Builder::new()
            .max_buf_size(HEAD)
            .handshake(stream)
            .await;
        let (sender, connection) = begun.map_err(|e| self.broken(&e))?;
        let driver = tokio::spawn(async move {
            // How it ended, the exchange on it says.
            let _ = connection.await;
        });
        Ok(Connection {
            sender,
            driver: driver.abort_handle(),
        })
    }

    fn broken(&self, why: &dyn fmt::Display) -> ClientError {
        ClientError::Broken {
            authority: self.settings.url.authority(),
            why: why.to_string(),
        }
    }

    fn unreached(&self, why: &dyn fmt::Display) -> ClientError {
        ClientError::Connect {
            authority: self.settings.url.authority(),
            why: why.to_string(),
        }
    }
}

/// A text as one segment of a path, or one value of a query: everything but unreserved characters (RFC 3986 §2.3) in percent signs.
pub fn escaped(text: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(b));
            }
            // Writing into a string can't fail.
            _ => drop(write!(out, "%{b:02X}")),
        }
    }
    // A segment of dots alone would be taken for a way up.
    match out.as_str() {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => out,
    }
}

#[cfg(test)]
mod tests;
