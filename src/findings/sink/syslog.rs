//! Syslog (RFC 5424): to a local socket, by UDP (RFC 5426) or by TCP with octet counting (RFC 6587 §3.4.1).
//!
//! The message is the JSON; the message id is the type. There is no structured data: its names would need a registered enterprise number.
//! UDP and TCP are neither encrypted nor authenticated: for loopback and networks of your own, where a relay does the rest.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use super::journald::{TOO_LONG, severity};
use super::{Failure, Sink};
use crate::findings::render::Rendered;

/// Where syslog listens, and as what we speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogSettings {
    /// Where.
    pub to: SyslogTo,
    /// Facility (RFC 5424 §6.2.1).
    pub facility: u8,
    /// This host, where the settings name it.
    pub host: Option<std::sync::Arc<str>>,
}

/// Where syslog listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogTo {
    /// A socket of this host, such as /dev/log.
    Local(PathBuf),
    /// A datagram each.
    Udp(SocketAddr),
    /// A stream.
    Tcp(SocketAddr),
}

/// How long a connection, or room in it, is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest datagram by UDP: what every receiver must be able to take, RFC 5426 §3.2, is 2,048; this is what fits one at all.
const MAX_UDP: usize = 65_000;

pub(in crate::findings) struct SyslogSink {
    settings: SyslogSettings,
    open: Option<Open>,
}

enum Open {
    Local(UnixDatagram),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl SyslogSink {
    pub fn new(settings: SyslogSettings) -> Self {
        Self {
            settings,
            open: None,
        }
    }

    fn send(&mut self, message: &[u8], patience: Duration) -> std::io::Result<()> {
        let patience = patience.min(PATIENCE);
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open::to(&self.settings.to, patience)?,
        };
        match &mut open {
            Open::Local(socket) => {
                socket.set_write_timeout(Some(patience))?;
                socket.send(message).map(drop)?;
            }
            Open::Udp(socket) => match message.len() > MAX_UDP {
                true => return Err(std::io::Error::from_raw_os_error(TOO_LONG)),
                false => socket.send(message).map(drop)?,
            },
            Open::Tcp(stream) => {
                stream.set_write_timeout(Some(patience))?;
                let mut frame = format!("{} ", message.len()).into_bytes();
                frame.extend_from_slice(message);
                stream.write_all(&frame)?;
            }
        }
        // After a failure it is opened anew: half a frame must not be followed by another one.
        self.open = Some(open);
        Ok(())
    }
}

impl Open {
    fn to(to: &SyslogTo, patience: Duration) -> std::io::Result<Self> {
        match to {
            SyslogTo::Local(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Ok(Self::Local(socket))
            }
            SyslogTo::Udp(at) => {
                let here: SocketAddr = match at {
                    SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(here)?;
                socket.connect(at)?;
                Ok(Self::Udp(socket))
            }
            SyslogTo::Tcp(at) => TcpStream::connect_timeout(at, patience).map(Self::Tcp),
        }
    }
}

impl Sink for SyslogSink {
    fn put(&mut self, events: &[Rendered], patience: Duration) -> (usize, Result<(), Failure>) {
        for (done, event) in events.iter().enumerate() {
            match self.send(&self.message(event), patience) {
                Ok(()) => {}
                Err(e) if e.raw_os_error() == Some(TOO_LONG) => {
                    return (
                        done,
                        Err(Failure::Never("too long for a datagram".to_owned())),
                    );
                }
                Err(e) => {
                    return (
                        done,
                        Err(Failure::later(format!("{:?}: {e}", self.settings.to))),
                    );
                }
            }
        }
        (events.len(), Ok(()))
    }

    fn batch(&self) -> (usize, Duration) {
        (64, Duration::ZERO)
    }
}

impl SyslogSink {
    fn message(&self, event: &Rendered) -> Vec<u8> {
        let priority = self.settings.facility * 8 + severity(event.kind);
        // A nil value, which relays fill in.
        let host = self.settings.host.as_deref().unwrap_or("-");
        let head = format!(
            "<{priority}>1 {} {host} tracehop {} {} - ",
            micros(event.at.nanos()),
            std::process::id(),
            event.kind.label()
        );
        let mut message = head.into_bytes();
        message.extend_from_slice(&event.json);
        message
    }
}

/// RFC 5424 §6.2.3 allows six decimals at most.
fn micros(nanos: i64) -> crate::base::Timestamp {
    crate::base::Timestamp::from_nanos(nanos.div_euclid(1_000).saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;
    use crate::findings::tests::rendered;

    fn sink(to: SyslogTo) -> SyslogSink {
        SyslogSink::new(SyslogSettings {
            to,
            facility: 16,
            host: Some("edge-1.example.net".into()),
        })
    }

    fn check(message: &str, event: &Rendered) {
        let pid = std::process::id();
        let head = format!("<133>1 2026-11-24T13:00:00Z edge-1.example.net tracehop {pid} call - ");
        let json = message
            .strip_prefix(&head)
            .unwrap_or_else(|| panic!("{message}"));
        assert_eq!(json.as_bytes(), event.json);
    }

    #[test]
    fn a_local_socket_gets_a_datagram_each() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut sink = sink(SyslogTo::Local(path.clone()));
        let events = [rendered(1), rendered(2)];
        assert_eq!(sink.put(&events, Duration::MAX), (2, Ok(())));
        let mut buffer = [0; 65_536];
        for event in &events {
            let n = socket.recv(&mut buffer).unwrap();
            check(std::str::from_utf8(&buffer[..n]).unwrap(), event);
        }
        // Syslog is restarted: its socket is another one.
        drop(socket);
        std::fs::remove_file(&path).unwrap();
        let (done, result) = sink.put(&events, Duration::MAX);
        assert_eq!(done, 0);
        assert!(matches!(result, Err(Failure::Later { .. })));
        let socket = UnixDatagram::bind(&path).unwrap();
        assert_eq!(sink.put(&events[..1], Duration::MAX), (1, Ok(())));
        let n = socket.recv(&mut buffer).unwrap();
        check(std::str::from_utf8(&buffer[..n]).unwrap(), &events[0]);
    }

    #[test]
    fn udp_gets_a_datagram_each_and_one_that_fits_none_is_refused() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut sink = sink(SyslogTo::Udp(socket.local_addr().unwrap()));
        let mut long = rendered(2);
        long.json = vec![b'x'; 66_000];
        let events = [rendered(1), long];
        let (done, result) = sink.put(&events, Duration::MAX);
        assert_eq!(done, 1);
        assert!(matches!(result, Err(Failure::Never(_))));
        let mut buffer = [0; 65_536];
        let n = socket.recv(&mut buffer).unwrap();
        check(std::str::from_utf8(&buffer[..n]).unwrap(), &events[0]);
    }

    #[test]
    fn tcp_counts_octets() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sink = sink(SyslogTo::Tcp(listener.local_addr().unwrap()));
        let events = [rendered(1), rendered(2)];
        assert_eq!(sink.put(&events, Duration::MAX), (2, Ok(())));
        let (mut stream, _) = listener.accept().unwrap();
        drop(sink);
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let mut rest = text.as_str();
        for event in &events {
            let (length, tail) = rest.split_once(' ').unwrap();
            let (message, tail) = tail.split_at(length.parse().unwrap());
            check(message, event);
            rest = tail;
        }
        assert_eq!(rest, "");
    }
}
