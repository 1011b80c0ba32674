//! An HTTPS server on loopback that does as a test says, well or badly, and counts what it is asked.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Nothing here holds a connection for longer, whatever it is told.
const PATIENCE: Duration = Duration::from_secs(40);

/// What to do with a request.
pub enum Act {
    /// Send these octets and close.
    Send(Vec<u8>),
    /// Send these, then an octet every 50 ms.
    Drip(Vec<u8>),
    /// Send these, then nothing.
    Hang(Vec<u8>),
}

/// What was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Host and path.
    pub place: String,
    /// The whole request.
    pub text: String,
    /// How often this place was asked before.
    pub before: usize,
}

/// A web authority.
pub struct WebCa {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl WebCa {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// TLS for some names.
    pub fn tls(&self, names: &[&str], edit: impl Fn(&mut CertificateParams)) -> Arc<ServerConfig> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        config(certificate.der().clone(), &key)
    }
}

/// TLS with a certificate that nobody vouches for.
pub fn self_signed(names: &[&str]) -> Arc<ServerConfig> {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(names).unwrap();
    config(params.self_signed(&key).unwrap().der().clone(), &key)
}

fn config(certificate: CertificateDer<'static>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}

pub struct Server {
    pub at: SocketAddr,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
    connects: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
}

impl Server {
    pub fn start(
        tls: Arc<ServerConfig>,
        act: impl Fn(&Asked) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self::start_as(tls, false, act)
    }

    /// `proxy`: a CONNECT comes before TLS.
    pub fn start_as(
        tls: Arc<ServerConfig>,
        proxy: bool,
        act: impl Fn(&Asked) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            at: listener.local_addr().unwrap(),
            asked: Arc::default(),
            connects: Arc::default(),
            ended: Arc::default(),
        };
        let (asked, connects, ended) = (
            server.asked.clone(),
            server.connects.clone(),
            server.ended.clone(),
        );
        let act = Arc::new(act);
        thread::spawn(move || {
            for tcp in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(mut tcp) = tcp else { continue };
                let (tls, act) = (tls.clone(), act.clone());
                let (asked, connects, ended) = (asked.clone(), connects.clone(), ended.clone());
                thread::spawn(move || {
                    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
                    if proxy {
                        let Some(head) = head(&mut tcp) else { return };
                        connects.lock().unwrap().push(head);
                        let _ = tcp.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n");
                    }
                    serve(tcp, tls, &*act, &asked, &ended);
                });
            }
        });
        server
    }

    /// How often each host and path was asked.
    pub fn asked(&self) -> BTreeMap<String, usize> {
        self.asked.lock().unwrap().clone()
    }

    pub fn total(&self) -> usize {
        self.asked().values().sum()
    }

    /// Heads of the CONNECTs.
    pub fn connects(&self) -> Vec<String> {
        self.connects.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.at);
    }
}

fn serve(
    tcp: TcpStream,
    tls: Arc<ServerConfig>,
    act: &(dyn Fn(&Asked) -> Act + Send + Sync),
    asked: &Mutex<BTreeMap<String, usize>>,
    ended: &AtomicBool,
) -> Option<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(tls).ok()?, tcp);
    let mut text = head(&mut stream)?;
    let field = |name: &str| {
        text.lines().find_map(|l| {
            l.to_ascii_lowercase()
                .strip_prefix(name)
                .map(str::trim)
                .map(str::to_owned)
        })
    };
    let host = field("host:")?;
    let place = format!("{host}{}", text.split(' ').nth(1)?);
    if let Some(length) = field("content-length:") {
        let mut body = vec![0; length.parse().ok()?];
        stream.read_exact(&mut body).ok()?;
        text.push_str(&String::from_utf8_lossy(&body));
    }
    let before = {
        let mut asked = asked.lock().unwrap();
        let n = asked.entry(place.clone()).or_default();
        *n += 1;
        *n - 1
    };
    let began = Instant::now();
    let goes_on = || !ended.load(Ordering::Relaxed) && began.elapsed() < PATIENCE;
    match act(&Asked {
        place,
        text,
        before,
    }) {
        Act::Send(octets) => stream.write_all(&octets).ok()?,
        Act::Drip(octets) => {
            stream.write_all(&octets).ok()?;
            while goes_on() {
                stream.write_all(b"x").ok()?;
                stream.flush().ok()?;
                thread::sleep(Duration::from_millis(50));
            }
        }
        Act::Hang(octets) => {
            stream.write_all(&octets).ok()?;
            stream.flush().ok()?;
            while goes_on() {
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
    stream.conn.send_close_notify();
    stream.flush().ok()
}

fn head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 64 * 1024 {
            return None;
        }
        stream.read_exact(&mut octet).ok()?;
        head.push(octet[0]);
    }
    String::from_utf8(head).ok()
}

/// A whole answer.
pub fn ok(body: &[u8]) -> Act {
    respond("200 OK", "", body)
}

/// A whole answer with a status line and headers of one's own, each ended by CRLF.
pub fn respond(status: &str, headers: &str, body: &[u8]) -> Act {
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    Act::Send([head.as_bytes(), body].concat())
}
