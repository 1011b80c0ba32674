//! From a host to a TLS stream: names resolved, addresses looked at (rule N3), a proxy asked if there is one (rule N14).

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::address;
use super::outcome::Outcome;

/// For a connection: resolving a name and TCP (rule N6).
const CONNECT: Duration = Duration::from_secs(2);

/// Addresses of one name that are tried, each for its share of [`CONNECT`].
const TRIED: usize = 4;

/// Addresses of one name that are looked at; a name with more is no server's.
const MOST_ADDRESSES: usize = 64;

/// Longest answer of a proxy to CONNECT.
const MAX_PROXY_HEAD: usize = 8 * 1024;

/// Who turns names into addresses.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of a host.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolved<'a>;

    /// Where a host is that is named by its address.
    fn literal(&self, address: IpAddr, port: u16) -> SocketAddr {
        SocketAddr::new(address, port)
    }
}

/// What [`Resolve::resolve`] gives.
pub type Resolved<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// The system's resolver, which blocks a thread for as long as it likes.
#[derive(Clone, Debug)]
pub struct System {
    /// Threads that are left. Where none is, nobody waits: a resolver that hangs must not gather work without end.
    threads: Arc<Semaphore>,
}

impl System {
    /// On so many threads at most.
    pub fn new(threads: usize) -> Self {
        Self {
            threads: Arc::new(Semaphore::new(threads)),
        }
    }
}

impl Resolve for System {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolved<'a> {
        let (host, thread) = (host.to_owned(), self.threads.clone().try_acquire_owned());
        Box::pin(async move {
            let thread = thread.map_err(io::Error::other)?;
            let look_up = spawn_blocking(move || {
                let found = (host.as_str(), port).to_socket_addrs();
                drop(thread);
                found.map(Iterator::collect)
            });
            look_up.await.map_err(io::Error::other)?
        })
    }
}

/// Every host is at one address: for laboratories.
#[derive(Clone, Copy, Debug)]
pub struct Everywhere(pub SocketAddr);

impl Resolve for Everywhere {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolved<'a> {
        let at = self.0;
        Box::pin(async move { Ok(vec![at]) })
    }

    fn literal(&self, _: IpAddr, _: u16) -> SocketAddr {
        self.0
    }
}

fn add_roots(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), ConnectorError> {
    let wrong = |e: &dyn std::fmt::Display| ConnectorError::Roots(e.to_string());
    let mut found = 0;
    for root in CertificateDer::pem_slice_iter(pem) {
        roots
            .add(root.map_err(|e| wrong(&e))?)
            .map_err(|e| wrong(&e))?;
        found += 1;
    }
    match found {
        0 => Err(wrong(&"no certificate in it")),
        _ => Ok(()),
    }
}

/// Whether a file of further roots can be used.
///
/// # Errors
///
/// [`ConnectorError::Roots`].
pub fn check_roots(pem: &[u8]) -> Result<(), ConnectorError> {
    add_roots(&mut RootCertStore::empty(), pem)
}

/// An HTTP proxy that is asked to CONNECT. Who may be asked for is then for the proxy to say: names are resolved there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Its name or address.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
}

/// Opens connections.
#[derive(Clone)]
pub struct Connector {
    resolver: Arc<dyn Resolve>,
    allow_private: bool,
    proxy: Option<Proxy>,
    tls: TlsConnector,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("allow_private", &self.allow_private)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

/// Why there can be no connector.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The extra roots are no certificates.
    #[error("extra_roots: {0}")]
    Roots(String),
    /// Our certificate or its key are none.
    #[error("client certificate and key: {0}")]
    Identity(String),
    /// TLS can't be set up.
    #[error("TLS: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
}

impl Connector {
    /// With the web's roots, and more of them in PEM (rule N5). The authorities of SHAKEN are none of these.
    ///
    /// # Errors
    ///
    /// [`ConnectorError`].
    pub fn new(
        resolver: Arc<dyn Resolve>,
        allow_private: bool,
        proxy: Option<Proxy>,
        extra_roots: Option<&[u8]>,
    ) -> Result<Self, ConnectorError> {
        Self::new_as(None, resolver, allow_private, proxy, extra_roots)
    }

    /// The same, showing a certificate of ours to servers that ask for one: its chain, and its key, both PEM.
    ///
    /// # Errors
    ///
    /// [`ConnectorError`].
    pub fn new_as(
        identity: Option<(&[u8], &[u8])>,
        resolver: Arc<dyn Resolve>,
        allow_private: bool,
        proxy: Option<Proxy>,
        extra_roots: Option<&[u8]>,
    ) -> Result<Self, ConnectorError> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        if let Some(pem) = extra_roots {
            add_roots(&mut roots, pem)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let wrong = |e: &dyn std::fmt::Display| ConnectorError::Identity(e.to_string());
                let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
                let chain = chain.map_err(|e| wrong(&e))?;
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| wrong(&e))?;
                config.with_client_auth_cert(chain, key)?
            }
        };
        Ok(Self {
            resolver,
            allow_private,
            proxy,
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// A TLS stream to a host, through the proxy if there is one.
    pub async fn open(&self, host: &str, port: u16) -> Result<TlsStream<TcpStream>, Outcome> {
        let tcp = timeout(CONNECT, self.tcp(host, port))
            .await
            .map_err(|_| Outcome::NoConnection)??;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Outcome::Tls)?;
        self.tls.connect(name, tcp).await.map_err(|_| Outcome::Tls)
    }

    async fn tcp(&self, host: &str, port: u16) -> Result<TcpStream, Outcome> {
        let literal: Option<IpAddr> = host.parse().ok();
        if let Some(proxy) = &self.proxy {
            // An address that stands in the URL is ours to refuse; a name is for the proxy to resolve.
            if let Some(address) = literal {
                self.check(address)?;
            }
            // The proxy's own address is the operator's word.
            let at = self.resolve(&proxy.host, proxy.port).await?;
            let tcp = first_open(&at).await?;
            return tunnel(tcp, host, port).await;
        }
        let at = match literal {
            Some(address) => vec![self.resolver.literal(address, port)],
            None => self.resolve(host, port).await?,
        };
        for address in &at {
            self.check(address.ip())?;
        }
        first_open(&at).await
    }

    /// One inside address among many is enough to refuse them all: no honest server has such a name.
    fn check(&self, address: IpAddr) -> Result<(), Outcome> {
        if self.allow_private || address::refusal(address).is_none() {
            Ok(())
        } else {
            Err(Outcome::ForbiddenAddress)
        }
    }

    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Outcome> {
        let found = self.resolver.resolve(host, port).await;
        let at = found.map_err(|_| Outcome::NoAddress)?;
        if at.is_empty() || at.len() > MOST_ADDRESSES {
            return Err(Outcome::NoAddress);
        }
        Ok(at)
    }
}

/// The first of some addresses that answers. They were looked at; nothing is resolved again.
async fn first_open(at: &[SocketAddr]) -> Result<TcpStream, Outcome> {
    let tried = at.len().clamp(1, TRIED);
    let share = CONNECT / u32::try_from(tried).unwrap_or(1);
    for address in at.iter().take(tried) {
        if let Ok(Ok(tcp)) = timeout(share, TcpStream::connect(address)).await {
            return Ok(tcp);
        }
    }
    Err(Outcome::NoConnection)
}

/// Has a proxy connect us (RFC 9110 §9.3.6).
async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    host: &str,
    port: u16,
) -> Result<S, Outcome> {
    let authority = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|_| Outcome::Proxy)?;
    // Octet by octet: what follows the blank line belongs to TLS.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_PROXY_HEAD {
            return Err(Outcome::Proxy);
        }
        head.push(stream.read_u8().await.map_err(|_| Outcome::Proxy)?);
    }
    let connected = head.starts_with(b"HTTP/1.") && head.get(8..12) == Some(b" 200");
    connected.then_some(stream).ok_or(Outcome::Proxy)
}
