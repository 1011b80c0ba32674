//! IP in IP: IPv4 (RFC 2003, RFC 2473) and IPv6 (RFC 4213) in either version. Nothing stands between the headers.

use super::{Carries, Opened, TunnelError, TunnelKind};

/// Protocol number of IPv4 in IP.
pub const IPV4: u8 = 4;
/// Protocol number of IPv6 in IP.
pub const IPV6: u8 = 41;

/// Opens an IP packet's payload.
///
/// # Errors
///
/// [`TunnelError::Truncated`] for an empty one: ISATAP routers and Teredo relays send such to keep the way open.
pub fn open(inside: &[u8]) -> Result<Opened<'_>, TunnelError> {
    if inside.is_empty() {
        return Err(TunnelError::Truncated);
    }
    Ok(Opened {
        kind: TunnelKind::IpInIp,
        id: None,
        carries: Carries::Ip,
        vlan: None,
        truncated: false,
        inside,
    })
}
