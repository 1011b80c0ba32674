//! The journal of systemd, by its native protocol: a datagram of fields, so that `journalctl TRACEHOP_FLAGS=…` finds them.
//!
//! The log goes there by another library, which writes what `tracing` gives it and has no say in the fields. This is the protocol itself, of which we need
//! one datagram: `NAME=value` lines, and for values that may hold an end of line the name, a line end, the length (u64, little endian) and the value.
//! Events are a few KiB at most; what is longer than the socket takes is refused and counted, not passed by a file descriptor.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use super::{Failure, Sink};
use crate::findings::EventKind;
use crate::findings::render::Rendered;

/// Where the journal listens (systemd's documentation "Native Journal Protocol").
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// How long the journal may take for one event.
const PATIENCE: Duration = Duration::from_secs(2);

/// EMSGSIZE of Linux: longer than the socket's buffer.
pub(super) const TOO_LONG: i32 = 90;

pub(in crate::findings) struct JournaldSink {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl JournaldSink {
    pub fn new(path: PathBuf) -> Self {
        Self { path, socket: None }
    }

    fn send(&mut self, datagram: &[u8], patience: Duration) -> std::io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(&self.path)?;
                socket
            }
        };
        socket.set_write_timeout(Some(patience.min(PATIENCE)))?;
        socket.send(datagram)?;
        // After a failure it is connected anew: the journal may have been restarted.
        self.socket = Some(socket);
        Ok(())
    }
}

impl Sink for JournaldSink {
    fn put(&mut self, events: &[Rendered], patience: Duration) -> (usize, Result<(), Failure>) {
        for (done, event) in events.iter().enumerate() {
            match self.send(&datagram(event), patience) {
                Ok(()) => {}
                Err(e) if e.raw_os_error() == Some(TOO_LONG) => {
                    return (
                        done,
                        Err(Failure::Never("too long for the journal".to_owned())),
                    );
                }
                Err(e) => {
                    let why = format!("{}: {e}", self.path.display());
                    return (done, Err(Failure::later(why)));
                }
            }
        }
        (events.len(), Ok(()))
    }

    fn batch(&self) -> (usize, Duration) {
        (64, Duration::ZERO)
    }
}

/// Severity of syslog (RFC 5424 §6.2.1): one call is a notice, what adds up is a warning.
pub(super) fn severity(kind: EventKind) -> u8 {
    match kind {
        EventKind::Call => 5,
        EventKind::Behaviour | EventKind::Campaign => 4,
    }
}

fn datagram(event: &Rendered) -> Vec<u8> {
    let mut out = Vec::with_capacity(event.json.len() + 512);
    field(&mut out, "MESSAGE", event.summary.as_bytes());
    let priority = severity(event.kind).to_string();
    field(&mut out, "PRIORITY", priority.as_bytes());
    field(&mut out, "SYSLOG_IDENTIFIER", b"tracehop");
    field(&mut out, "TRACEHOP_TYPE", event.kind.label().as_bytes());
    field(&mut out, "TRACEHOP_ID", event.id.as_bytes());
    if let Some(peer) = &event.peer {
        field(&mut out, "TRACEHOP_PEER", peer.as_bytes());
    }
    if let Some(uid) = event.uid {
        field(&mut out, "TRACEHOP_UID", uid.to_string().as_bytes());
    }
    // A field may stand more than once, and each value is found.
    for flag in &event.flags {
        field(&mut out, "TRACEHOP_FLAGS", flag.label().as_bytes());
    }
    field(&mut out, "TRACEHOP_JSON", &event.json);
    out
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if memchr::memchr(b'\n', value).is_some() {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::tests::rendered;

    #[test]
    fn fields_are_lines_and_one_with_an_end_of_line_has_its_length() {
        let mut out = Vec::new();
        field(&mut out, "A", b"plain=1");
        field(&mut out, "B", b"two\nlines");
        assert_eq!(out, b"A=plain=1\nB\n\x09\0\0\0\0\0\0\0two\nlines\n");
    }

    #[test]
    fn an_event_becomes_one_datagram_with_its_fields() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut sink = JournaldSink::new(path);
        let events = [rendered(7)];
        assert_eq!(sink.put(&events, Duration::MAX), (1, Ok(())));
        let mut buffer = [0; 65_536];
        let n = socket.recv(&mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..n]).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for line in [
            "PRIORITY=5",
            "SYSLOG_IDENTIFIER=tracehop",
            "TRACEHOP_TYPE=call",
            "TRACEHOP_UID=7",
            "TRACEHOP_FLAGS=stale",
            "TRACEHOP_FLAGS=attest-a",
            "TRACEHOP_PEER=carrier-a",
        ] {
            assert!(lines.contains(&line), "{line} in {text}");
        }
        assert!(
            lines
                .iter()
                .any(|l| l.starts_with("TRACEHOP_JSON={\"v\":1,"))
        );
    }

    #[test]
    fn without_a_journal_it_is_tried_again() {
        let mut sink = JournaldSink::new("/nowhere/journal".into());
        let (done, result) = sink.put(&[rendered(1)], Duration::MAX);
        assert_eq!(done, 0);
        assert!(matches!(result, Err(Failure::Later { .. })));
    }
}
