//! PPPoE sessions (RFC 2516) with IPv4 or IPv6 in PPP (RFC 1332, RFC 5072). Link control and the like are [`TunnelError::NotIp`].

use super::{Carries, Opened, TunnelError, TunnelKind, take};

/// Opens what stands behind EtherType 0x8864.
///
/// # Errors
///
/// [`TunnelError`]
pub fn open(bytes: &[u8]) -> Result<Opened<'_>, TunnelError> {
    let ([version, code, s1, s2, l1, l2], rest) = take::<6>(bytes)?;
    if *version != 0x11 {
        return Err(TunnelError::Version);
    }
    // Other codes belong to discovery, which has an EtherType of its own.
    if *code != 0 {
        return Err(TunnelError::Malformed);
    }
    // What follows its length is padding; where there is less, the capture cut it.
    let length = usize::from(u16::from_be_bytes([*l1, *l2]));
    let ppp = rest.get(..length).unwrap_or(rest);
    // The protocol's first octet may be left out where it is zero (RFC 1661 §6.5): an odd octet ends it.
    let (protocol, inside) = match ppp {
        [p, inside @ ..] if p & 1 == 1 => (u16::from(*p), inside),
        [p1, p2, inside @ ..] => (u16::from_be_bytes([*p1, *p2]), inside),
        _ => return Err(TunnelError::Truncated),
    };
    if !matches!(protocol, 0x0021 | 0x0057) {
        return Err(TunnelError::NotIp);
    }
    Ok(Opened {
        kind: TunnelKind::Pppoe,
        id: Some(u32::from(u16::from_be_bytes([*s1, *s2]))),
        carries: Carries::Ip,
        vlan: None,
        truncated: false,
        inside,
    })
}
