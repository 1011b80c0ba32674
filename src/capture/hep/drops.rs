//! How many datagrams the kernel dropped because our buffer was full: `/proc/net/udp`, opened while that is allowed and read again and again.
//!
//! (`SO_RXQ_OVFL` would say it with each datagram, but only to `recvmsg`, which has no safe wrapper among our dependencies.)

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::{IpAddr, SocketAddr};

/// More sockets than a host has would be needed to fill it.
const MAX_TABLE: u64 = 4 << 20;

/// The kernel's count for one socket.
#[derive(Debug)]
pub(super) struct Drops {
    table: Option<File>,
    local: String,
    last: u64,
}

impl Drops {
    pub fn of(local: SocketAddr) -> Self {
        let path = match local {
            SocketAddr::V4(_) => "/proc/net/udp",
            SocketAddr::V6(_) => "/proc/net/udp6",
        };
        Self {
            table: File::open(path).ok(),
            local: in_table(local),
            last: 0,
        }
    }

    /// How many more than when last asked; `None` where that can't be known.
    pub fn more(&mut self) -> Option<u64> {
        let table = self.table.as_mut()?;
        table.seek(SeekFrom::Start(0)).ok()?;
        let mut text = String::new();
        table
            .by_ref()
            .take(MAX_TABLE)
            .read_to_string(&mut text)
            .ok()?;
        let now = find(&text, &self.local)?;
        let more = now.saturating_sub(self.last);
        self.last = now;
        Some(more)
    }
}

/// An address as the table writes it: words of the host's byte order in hexadecimal.
fn in_table(local: SocketAddr) -> String {
    let octets: Vec<u8> = match local.ip() {
        IpAddr::V4(ip) => ip.octets().into(),
        IpAddr::V6(ip) => ip.octets().into(),
    };
    let words = octets.as_chunks::<4>().0.iter();
    let address: String = words
        .map(|w| format!("{:08X}", u32::from_ne_bytes(*w)))
        .collect();
    format!("{address}:{:04X}", local.port())
}

/// The last column of the socket's line.
fn find(table: &str, local: &str) -> Option<u64> {
    let mut lines = table.lines().map(|l| l.split_ascii_whitespace());
    lines.find_map(|mut columns| {
        (columns.nth(1) == Some(local)).then(|| columns.next_back()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_our_own_socket_is_found() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             12: 0100007F:2364 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4242 2 0000000000000000 17\n";
        if cfg!(target_endian = "little") {
            assert_eq!(in_table("127.0.0.1:9060".parse().unwrap()), "0100007F:2364");
        }
        assert_eq!(find(table, "0100007F:2364"), Some(17));
        assert_eq!(find(table, "0100007F:2365"), None);
        // Both families, and a table of another kernel, cut or garbled: no count is better than a wrong one.
        if cfg!(target_endian = "little") {
            let v6 = "[2001:db8::1]:9060".parse().unwrap();
            assert_eq!(in_table(v6), "B80D0120000000000000000001000000:2364");
        }
        for odd in [
            "",
            "12:",
            "12: 0100007F:2364",
            "12: 0100007F:2364 00000000:0000 07 many",
            "12: 0100007F:2364 00000000:0000 07 -1",
            "12: 0100007F:23645 00000000:0000 07 17",
            "0100007F:2364 12: 00000000:0000 07 17",
        ] {
            assert_eq!(find(odd, "0100007F:2364"), None, "{odd:?}");
        }
        let socket = std::net::UdpSocket::bind("[::1]:0").unwrap();
        assert_eq!(Drops::of(socket.local_addr().unwrap()).more(), Some(0));
    }
}
