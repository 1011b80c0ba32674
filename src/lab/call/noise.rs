//! What else passes the tap: keep-alives with every neighbour, and media.

use super::bridge::{Bridge, MS, port_of};
use super::dialog::{Loss, Sent};
use super::plan::SECOND;
use crate::lab::network::{NEIGHBOURS, Path};
use crate::wire::Transport;

impl Bridge<'_> {
    /// Keep-alives with every neighbour (OPTIONS), and media of nobody's interest.
    pub fn noise(&mut self, span: i64) {
        for (i, neighbour) in NEIGHBOURS.iter().enumerate() {
            let they_call = neighbour.up > 0;
            let path = neighbour.path(
                0,
                0,
                port_of(neighbour) + if they_call { 0 } else { 1_000 },
                they_call,
            );
            let mut at = self.start + SECOND + i as i64 * 311 * MS;
            let mut cseq = 1;
            while at < self.start + span - SECOND
                && (at < self.change || neighbour.id != "westgate")
            {
                self.options(path, cseq, at, i);
                cseq += 1;
                at += 45 * SECOND;
            }
            self.media(path, self.start + (60 + i as i64) * SECOND);
        }
    }

    fn options(&mut self, path: Path, cseq: u32, at: i64, i: usize) {
        let (theirs, ours) = (path.theirs, path.ours);
        let transport = path.transport.label().to_uppercase();
        let head = format!(
            "Via: SIP/2.0/{transport} {theirs};branch=z9hG4bKo{i}x{cseq}\r\nMax-Forwards: 70\r\nFrom: <sip:ping@{theirs}>;tag=o{i}\r\nTo: <sip:ping@{ours}>\r\nCall-ID: options-{i}@{}\r\nCSeq: {cseq} OPTIONS\r\nContent-Length: 0\r\n\r\n",
            theirs.ip()
        );
        for (delay, to_us, line) in [
            (0, true, format!("OPTIONS sip:{ours} SIP/2.0\r\n")),
            (2 * MS, false, "SIP/2.0 200 OK\r\n".to_owned()),
        ] {
            self.tape.sent.push(Sent {
                at: at + delay,
                path,
                to_us,
                bytes: (line + &head).into_bytes(),
                first_of: None,
                loss: Loss::None,
            });
        }
    }

    fn media(&mut self, mut path: Path, at: i64) {
        path.transport = Transport::Udp;
        path.theirs.set_port(20_010);
        path.ours.set_port(31_416);
        for i in 0..25u8 {
            let mut bytes = vec![0x80, 0x00, 0, i, 0, 0, i, 0, 0x5a, 0x5a, 0x5a, 0x5a];
            bytes.extend([0xd5; 160]);
            self.tape.sent.push(Sent {
                at: at + i64::from(i) * 20 * MS,
                path,
                to_us: i % 2 == 0,
                bytes,
                first_of: None,
                loss: Loss::None,
            });
        }
    }
}
