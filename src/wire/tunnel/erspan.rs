//! ERSPAN types I, II and III (draft-foschiano-erspan): a switch mirrors whole frames into GRE.
//!
//! The number of a tunnel is the session (10 bits) and above it the VLAN that the switch noted (12 bits). That VLAN stands for a tag only
//! where type II says that it took one off; elsewhere the frame still has its own.

use super::{Carries, Opened, TunnelError, TunnelKind, take};

/// GRE's protocol for types I and II.
pub const TYPE_I_OR_II: u16 = 0x88be;
/// GRE's protocol for type III.
pub const TYPE_III: u16 = 0x22eb;

/// Opens type I: the frame, and nothing before it.
pub fn open_i(inside: &[u8]) -> Opened<'_> {
    Opened {
        kind: TunnelKind::Erspan,
        id: None,
        carries: Carries::Ethernet,
        vlan: None,
        truncated: false,
        inside,
    }
}

/// Opens type II.
///
/// # Errors
///
/// [`TunnelError`]
pub fn open_ii(bytes: &[u8]) -> Result<Opened<'_>, TunnelError> {
    let ([a, b, c, d, ..], inside) = take::<8>(bytes)?;
    if a >> 4 != 1 {
        return Err(TunnelError::Version);
    }
    let opened = noted([*a, *b, *c, *d], inside);
    // "En": how the frame was tagged when it came. 1 (ISL) and 2 (802.1Q): the tag is off; 3: it is still there.
    let is_off = matches!((c >> 3) & 3, 1 | 2);
    let vlan = u16::from_be_bytes([*a, *b]) & 0x0fff;
    Ok(Opened {
        vlan: (is_off && vlan != 0).then_some(vlan),
        ..opened
    })
}

/// Opens type III, with or without the sub-header of its platform.
///
/// # Errors
///
/// [`TunnelError`]
pub fn open_iii(bytes: &[u8]) -> Result<Opened<'_>, TunnelError> {
    let ([a, b, c, d, _, _, _, _, _, _, e, f], rest) = take::<12>(bytes)?;
    if a >> 4 != 2 {
        return Err(TunnelError::Version);
    }
    let inside = match f & 1 {
        0 => rest,
        _ => take::<8>(rest)?.1,
    };
    // Frame type, five bits: 0 Ethernet, 2 IP.
    let carries = match (e >> 2) & 0x1f {
        0 => Carries::Ethernet,
        2 => Carries::Ip,
        _ => return Err(TunnelError::NotIp),
    };
    Ok(Opened {
        carries,
        ..noted([*a, *b, *c, *d], inside)
    })
}

/// The four octets that types II and III have alike.
fn noted([a, b, c, d]: [u8; 4], inside: &[u8]) -> Opened<'_> {
    let vlan = u32::from(u16::from_be_bytes([a, b]) & 0x0fff);
    let session = u32::from(u16::from_be_bytes([c, d]) & 0x03ff);
    Opened {
        id: Some(vlan << 10 | session),
        truncated: c & 0x04 != 0,
        ..open_i(inside)
    }
}
