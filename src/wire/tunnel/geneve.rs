//! GENEVE (RFC 8926). Options are skipped by their length, critical ones too: we don't act on the frame, we look at it.

use super::{Opened, TunnelError, TunnelKind, of_ethertype, take};

/// A control packet: it carries no frame of a tenant's.
const CONTROL: u8 = 0x80;

/// Opens a UDP payload.
///
/// # Errors
///
/// [`TunnelError`]
pub fn open(bytes: &[u8]) -> Result<Opened<'_>, TunnelError> {
    let ([first, flags, p1, p2, v1, v2, v3, _], rest) = take::<8>(bytes)?;
    if first >> 6 != 0 {
        return Err(TunnelError::Version);
    }
    let options = usize::from(first & 0x3f) * 4;
    let inside = rest.get(options..).ok_or(TunnelError::Truncated)?;
    if flags & CONTROL != 0 {
        return Err(TunnelError::NotIp);
    }
    let carries = of_ethertype(u16::from_be_bytes([*p1, *p2])).ok_or(TunnelError::NotIp)?;
    Ok(Opened {
        kind: TunnelKind::Geneve,
        id: Some(u32::from_be_bytes([0, *v1, *v2, *v3])),
        carries,
        vlan: None,
        truncated: false,
        inside,
    })
}
