//! A webhook by the Standard Webhooks specification: HTTPS POST, signed with a secret that the receiver has too.
//!
//! ```text
//! webhook-id         msg_… : the same for the same events, however often they are sent
//! webhook-timestamp  seconds since 1970, of this try
//! webhook-signature  v1,<base64 of HMAC-SHA256 over "id.timestamp.body"> , one for each secret, separated by blanks
//! body               {"type":"tracehop.findings","timestamp":…,"data":[event, …]}
//! ```
//!
//! 2xx is taken. 410 ends the sink until a reload or a restart; 413 refuses the batch; anything else, and no answer, is tried again. No redirect is followed. TLS trusts the web's roots,
//! or those of `roots` beside them, which are never those of SHAKEN. Without TLS only this host is spoken to. A connection is kept while it works.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::rt::{Read, Write};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::{Failure, Sink};
use crate::base::digest::Digest128;
use crate::fetch::connect::{Connector, System};
use crate::fetch::policy::Place;
use crate::findings::render::Rendered;
use crate::host::clock;

/// What a webhook needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Where.
    pub to: WebhookUrl,
    /// Keys to sign with; while one takes the place of another, both.
    pub secrets: Vec<WebhookSecret>,
    /// More roots for TLS, PEM.
    pub roots: Option<Vec<u8>>,
    /// Events in one request at most.
    pub batch: usize,
    /// How long a request may take.
    pub timeout: Duration,
    /// How often a request is tried.
    pub tries: u32,
}

/// Where a webhook is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrl {
    place: Place,
    tls: bool,
}

impl WebhookUrl {
    /// Takes an `https` URL apart, or an `http` one that leads to this host.
    pub fn parse(url: &str) -> Option<Self> {
        let (place, tls) = Place::of_operator(url)?;
        Some(Self { place, tls })
    }

    fn authority(&self) -> String {
        self.place.authority()
    }
}

/// A key to sign with. It is never shown.
#[derive(Clone)]
pub struct WebhookSecret {
    key: ring::hmac::Key,
    digest: Digest128,
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

impl PartialEq for WebhookSecret {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for WebhookSecret {}

/// Longest file of secrets: a few lines.
const MAX_SECRETS: u64 = 1024;

/// Most keys in use at once.
const SECRETS: usize = 4;

/// Octets of a key, by the specification.
const KEY: std::ops::RangeInclusive<usize> = 24..=64;

impl WebhookSecret {
    /// Reads the keys of a file that only its owner may read: a line `whsec_…` each.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, without a word of what is in it.
    pub fn read(path: &Path) -> Result<Vec<Self>, String> {
        use std::os::unix::fs::PermissionsExt;
        let file = std::fs::metadata(path).map_err(|e| e.to_string())?;
        if file.permissions().mode() & 0o077 != 0 {
            return Err("others than its owner may read it: chmod 600".to_owned());
        }
        if file.len() > MAX_SECRETS {
            return Err("it is too large for a few secrets".to_owned());
        }
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
        let keys: Option<Vec<Self>> = lines.map(Self::parse).collect();
        match keys {
            Some(keys) if (1..=SECRETS).contains(&keys.len()) => Ok(keys),
            _ => {
                Err("write one to four lines, each whsec_ and 24 to 64 octets in base64".to_owned())
            }
        }
    }

    /// A key as it is written: `whsec_` and base64.
    pub fn parse(text: &str) -> Option<Self> {
        let octets = STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
        KEY.contains(&octets.len()).then(|| Self {
            key: ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &octets),
            digest: Digest128::of(&octets),
        })
    }

    #[cfg(test)]
    pub(in crate::findings) fn sign_for_tests(
        &self,
        id: &str,
        timestamp: i64,
        body: &[u8],
    ) -> String {
        self.sign(id, timestamp, body)
    }

    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut context = ring::hmac::Context::with_key(&self.key);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

/// How long a batch waits to be full.
const LINGER: Duration = Duration::from_millis(500);

/// Octets of an answer that are read, so that the connection can be used again. Nothing in it matters.
const ANSWER: usize = 16 << 10;

pub(in crate::findings) struct WebhookSink {
    settings: WebhookSettings,
    /// Made when it is first needed, on the sink's own thread.
    client: Option<Client>,
}

struct Client {
    runtime: Runtime,
    connector: Option<Connector>,
    connection: Option<Connection>,
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl WebhookSink {
    pub fn new(settings: WebhookSettings) -> Self {
        Self {
            settings,
            client: None,
        }
    }
}

impl Sink for WebhookSink {
    fn put(&mut self, events: &[Rendered], patience: Duration) -> (usize, Result<(), Failure>) {
        let client = match self.client.take() {
            Some(client) => Ok(client),
            None => Client::new(&self.settings),
        };
        let mut client = match client {
            Ok(client) => client,
            Err(why) => return (0, Err(Failure::later(why))),
        };
        let message = Message::of(events);
        let limit = self.settings.timeout.min(patience);
        let Client {
            runtime,
            connector,
            connection,
        } = &mut client;
        let result = runtime.block_on(async {
            let exchange = post(&self.settings, connector.as_ref(), connection, &message);
            let answer = timeout(limit, exchange).await;
            answer.unwrap_or_else(|_| {
                Err(Failure::later(format!(
                    "no answer within {} ms",
                    limit.as_millis()
                )))
            })
        });
        if result.is_err() {
            client.connection = None;
        }
        self.client = Some(client);
        let done = if result.is_ok() { events.len() } else { 0 };
        (done, result)
    }

    fn batch(&self) -> (usize, Duration) {
        (self.settings.batch, LINGER)
    }

    fn unit(&self) -> usize {
        self.settings.batch
    }

    fn tries(&self) -> u32 {
        self.settings.tries
    }
}

impl Client {
    fn new(settings: &WebhookSettings) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let connector = settings.to.tls.then(|| {
            // The operator's own receiver may well be inside. One thread to resolve: there is one name.
            Connector::new(
                Arc::new(System::new(2)),
                true,
                None,
                settings.roots.as_deref(),
            )
        });
        Ok(Self {
            runtime: runtime.map_err(|e| e.to_string())?,
            connector: connector.transpose().map_err(|e| e.to_string())?,
            connection: None,
        })
    }
}

/// What is posted.
struct Message {
    id: String,
    body: Bytes,
}

impl Message {
    fn of(events: &[Rendered]) -> Self {
        let ids: Vec<&str> = events.iter().map(|e| e.id.as_str()).collect();
        let id = format!("msg_{}", Digest128::of(ids.join(" ").as_bytes()));
        // Of the events, not of the try: the same events are the same octets.
        let at = events.iter().map(|e| e.at).max().unwrap_or_default();
        let mut body =
            format!("{{\"type\":\"tracehop.findings\",\"timestamp\":\"{at}\",\"data\":[")
                .into_bytes();
        for (i, event) in events.iter().enumerate() {
            if i > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&event.json);
        }
        body.extend_from_slice(b"]}");
        Self {
            id,
            body: body.into(),
        }
    }
}

async fn post(
    settings: &WebhookSettings,
    connector: Option<&Connector>,
    kept: &mut Option<Connection>,
    message: &Message,
) -> Result<(), Failure> {
    // A kept connection may have been closed meanwhile; whether the receiver had taken what we sent then, its id tells it.
    if let Some(mut connection) = kept.take()
        && connection.sender.ready().await.is_ok()
        && let Ok(response) = connection
            .sender
            .send_request(request(settings, message)?)
            .await
    {
        return finish(response, connection, kept).await;
    }
    let mut connection = connect(settings, connector).await?;
    let sent = connection.sender.send_request(request(settings, message)?);
    let response = sent.await.map_err(Failure::later)?;
    finish(response, connection, kept).await
}

async fn finish(
    response: Response<Incoming>,
    connection: Connection,
    kept: &mut Option<Connection>,
) -> Result<(), Failure> {
    let (status, wait) = (response.status(), retry_after(&response));
    if Limited::new(response.into_body(), ANSWER)
        .collect()
        .await
        .is_ok()
    {
        *kept = Some(connection);
    }
    outcome(status, wait)
}

fn outcome(status: StatusCode, at_least: Option<Duration>) -> Result<(), Failure> {
    match status {
        s if s.is_success() => Ok(()),
        StatusCode::GONE => Err(Failure::Over(
            "410: the receiver wants no more; nothing is sent there until the next start or another configuration".to_owned(),
        )),
        StatusCode::PAYLOAD_TOO_LARGE => Err(Failure::Never("413: too large".to_owned())),
        other => Err(Failure::Later {
            why: format!("the receiver answers {other}"),
            at_least,
        }),
    }
}

fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(value.trim().parse().ok()?))
}

fn request(settings: &WebhookSettings, message: &Message) -> Result<Request<Full<Bytes>>, Failure> {
    let timestamp = clock::now().secs();
    let secrets = settings.secrets.iter();
    let signatures: Vec<String> = secrets
        .map(|s| s.sign(&message.id, timestamp, &message.body))
        .collect();
    Request::post(&*settings.to.place.path)
        .header(HOST, settings.to.authority())
        .header(USER_AGENT, concat!("tracehop/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signatures.join(" "))
        .body(Full::new(message.body.clone()))
        .map_err(Failure::later)
}

async fn connect(
    settings: &WebhookSettings,
    connector: Option<&Connector>,
) -> Result<Connection, Failure> {
    let Place { host, port, .. } = &settings.to.place;
    match connector {
        Some(connector) => {
            let stream = connector.open(host, *port).await;
            handshake(TokioIo::new(stream.map_err(|o| Failure::later(o.label()))?)).await
        }
        None => {
            let stream = TcpStream::connect((&**host, *port)).await;
            handshake(TokioIo::new(stream.map_err(Failure::later)?)).await
        }
    }
}

async fn handshake<T>(stream: T) -> Result<Connection, Failure>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(stream).await.map_err(Failure::later)?;
    let driver = tokio::spawn(async move {
        // How it ended, the exchange on it says.
        let _ = connection.await;
    });
    Ok(Connection {
        sender,
        driver: driver.abort_handle(),
    })
}
