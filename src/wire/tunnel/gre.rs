//! GRE (RFC 2784) with key and sequence number (RFC 2890), and ERSPAN in it.
//!
//! The checksum is not looked at. Source routing (RFC 1701) is refused before anything in it is read: following its list is what makes
//! other decoders loop or panic.

use super::{Opened, TunnelError, TunnelKind, erspan, of_ethertype, take};

/// GRE's protocol number.
pub const PROTOCOL: u8 = 47;

const CHECKSUM: u16 = 0x8000;
/// Routing present, and strict source route.
const ROUTING: u16 = 0x4000 | 0x0800;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;

/// Opens a GRE packet.
///
/// # Errors
///
/// [`TunnelError`]
pub fn open(bytes: &[u8]) -> Result<Opened<'_>, TunnelError> {
    let ([f1, f2, p1, p2], mut rest) = take::<4>(bytes)?;
    let flags = u16::from_be_bytes([*f1, *f2]);
    // Version 1 is PPTP's (RFC 2637).
    if flags & 7 != 0 {
        return Err(TunnelError::Version);
    }
    if flags & ROUTING != 0 {
        return Err(TunnelError::Routed);
    }
    if flags & CHECKSUM != 0 {
        (_, rest) = take::<4>(rest)?;
    }
    let mut id = None;
    if flags & KEY != 0 {
        let (key, after) = take::<4>(rest)?;
        id = Some(u32::from_be_bytes(*key));
        rest = after;
    }
    if flags & SEQUENCE != 0 {
        (_, rest) = take::<4>(rest)?;
    }
    let carries = match u16::from_be_bytes([*p1, *p2]) {
        // Type I has no header of its own, and no sequence number to know it by.
        erspan::TYPE_I_OR_II if flags & SEQUENCE == 0 => return Ok(erspan::open_i(rest)),
        erspan::TYPE_I_OR_II => return erspan::open_ii(rest),
        erspan::TYPE_III => return erspan::open_iii(rest),
        protocol => of_ethertype(protocol).ok_or(TunnelError::NotIp)?,
    };
    Ok(Opened {
        kind: TunnelKind::Gre,
        id,
        carries,
        vlan: None,
        truncated: false,
        inside: rest,
    })
}
