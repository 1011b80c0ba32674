//! Texts, numbers and addresses as octets, and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Digits;
use crate::number::Tn;
use crate::stir::verify::RuleSet;
use crate::store::embedded::names::Numbering;

pub(in crate::store::embedded) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        // The low seven bits.
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(u8::try_from(n).unwrap_or(u8::MAX));
}

pub(in crate::store::embedded) fn put_str(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(in crate::store::embedded) fn put_opt_str(out: &mut Vec<u8>, text: Option<&str>) {
    if let Some(text) = text {
        put_str(out, text);
    }
}

pub(in crate::store::embedded) fn put_digits(out: &mut Vec<u8>, digits: Option<Digits>) {
    match digits {
        Some(Digits::Int(n)) => {
            out.push(0);
            out.extend_from_slice(&n.to_le_bytes());
        }
        Some(Digits::Text(tn)) => put_str(out, tn.as_str()),
        None => {}
    }
}

pub(in crate::store::embedded) fn put_socket(out: &mut Vec<u8>, socket: SocketAddr) {
    match socket.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&socket.port().to_le_bytes());
}

/// What is left to read.
pub(in crate::store::embedded) struct Cut<'a>(pub &'a [u8]);

impl<'a> Cut<'a> {
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    pub fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(head)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(|[b]| *b)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().copied().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().copied().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().copied().map(u64::from_le_bytes)
    }

    pub fn i64(&mut self) -> Option<i64> {
        self.array().copied().map(i64::from_le_bytes)
    }

    pub fn varint(&mut self) -> Option<u64> {
        let mut n = 0_u64;
        for shift in (0..70).step_by(7) {
            let b = self.u8()?;
            let part = u64::from(b & 0x7f);
            if shift == 63 && part > 1 {
                return None;
            }
            n |= part << shift;
            if b < 0x80 {
                return Some(n);
            }
        }
        None
    }

    pub fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        self.take(length)
    }

    pub fn str(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.text()?).ok()
    }

    pub fn digits(&mut self) -> Option<Digits> {
        match self.u8()? {
            0 => self.u64().map(Digits::Int),
            n => Tn::from_canonical(self.take(usize::from(n))?).map(Digits::Text),
        }
    }

    pub fn socket(&mut self, v6: bool) -> Option<SocketAddr> {
        let ip = if v6 {
            Ipv6Addr::from(*self.array::<16>()?).into()
        } else {
            IpAddr::from(Ipv4Addr::from(*self.array::<4>()?))
        };
        Some(SocketAddr::new(ip, self.u16()?))
    }

    pub fn rules(&mut self, present: bool, numbering: &Numbering) -> Option<RuleSet> {
        let bits = self.opt(present, |cut| cut.array().copied().map(u128::from_le_bytes))?;
        Some(numbering.rules(bits.unwrap_or(0)))
    }

    /// `Some(None)` where the value is absent, `None` where it should be there and can't be read.
    pub fn opt<T>(
        &mut self,
        present: bool,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        if present {
            read(self).map(Some)
        } else {
            Some(None)
        }
    }
}
