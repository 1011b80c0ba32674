//! VXLAN (RFC 7348), with the group policy bits that are to be ignored, and the next protocol of its generic extension.

use super::{Carries, Opened, TunnelError, TunnelKind, take};

/// The VNI is valid.
const VNI: u8 = 0x08;
/// A next protocol stands in the header (draft-ietf-nvo3-vxlan-gpe).
const NEXT: u8 = 0x04;
/// It is a message of operation and maintenance.
const OAM: u8 = 0x01;

/// Opens a UDP payload.
///
/// # Errors
///
/// [`TunnelError`]
pub fn open(bytes: &[u8]) -> Result<Opened<'_>, TunnelError> {
    let ([flags, _, _, next, v1, v2, v3, _], inside) = take::<8>(bytes)?;
    if flags & VNI == 0 {
        return Err(TunnelError::Malformed);
    }
    let carries = match (flags & NEXT, next) {
        (0, _) | (_, 3) => Carries::Ethernet,
        (_, 1 | 2) => Carries::Ip,
        (_, 5) => Carries::Mpls,
        _ => return Err(TunnelError::NotIp),
    };
    if flags & NEXT != 0 && flags & OAM != 0 {
        return Err(TunnelError::NotIp);
    }
    Ok(Opened {
        kind: TunnelKind::Vxlan,
        id: Some(u32::from_be_bytes([0, *v1, *v2, *v3])),
        carries,
        vlan: None,
        truncated: false,
        inside,
    })
}
