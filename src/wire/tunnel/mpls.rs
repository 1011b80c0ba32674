//! MPLS label stacks (RFC 3032): IP by the first nibble, and Ethernet pseudowires (RFC 4448) with or without control word (RFC 4385).
//!
//! A label stack does not say what stands behind it. IP begins with 4 or 6 and its lengths fit; a control word begins with the nibble 0 and
//! an Ethernet frame that carries IP stands behind it; a frame without control word is taken for one where it carries IP and can't be an IP
//! packet itself (RFC 4928 §3 tells of the confusion). Everything else is [`TunnelError::NotIp`].

use super::{Carries, Opened, TunnelError, TunnelKind, of_ethertype, take};

/// The most labels of a stack. Networks that steer by segment routing impose ten to twelve (RFC 8491 lets a router say how many).
pub const MAX_LABELS: usize = 16;

/// Entropy label indicator (RFC 6790): the label after it tells flows apart, not networks.
const ENTROPY: u32 = 7;

/// Opens a label stack.
///
/// # Errors
///
/// [`TunnelError`]
pub fn open(bytes: &[u8]) -> Result<Opened<'_>, TunnelError> {
    let mut rest = bytes;
    let (mut id, mut is_entropy) = (None, false);
    for _ in 0..MAX_LABELS {
        let (entry, inner) = take::<4>(rest)?;
        let entry = u32::from_be_bytes(*entry);
        let label = entry >> 12;
        if is_entropy {
            is_entropy = false;
        } else if label == ENTROPY {
            is_entropy = true;
        } else {
            // The innermost label is that of the customer's network; those above it lead there and change on the way.
            id = Some(label);
        }
        rest = inner;
        if entry & 0x100 != 0 {
            let (carries, inside) = inside(rest).ok_or(TunnelError::NotIp)?;
            return Ok(Opened {
                kind: TunnelKind::Mpls,
                id,
                carries,
                vlan: None,
                truncated: false,
                inside,
            });
        }
    }
    Err(TunnelError::Malformed)
}

fn inside(rest: &[u8]) -> Option<(Carries, &[u8])> {
    match rest.first()? >> 4 {
        4 | 6 if !is_frame(rest) || is_likely_ip(rest) => Some((Carries::Ip, rest)),
        0 => {
            let behind = rest.get(4..).filter(|frame| is_frame(frame));
            let frame = behind.or_else(|| is_frame(rest).then_some(rest))?;
            Some((Carries::Ethernet, frame))
        }
        _ => is_frame(rest).then_some((Carries::Ethernet, rest)),
    }
}

/// Whether the lengths are those of an IP packet. Padding may follow; a packet that the capture cut fails here, which matters only where it
/// reads like a frame as well.
fn is_likely_ip(bytes: &[u8]) -> bool {
    match bytes {
        [version, _, a, b, ..] if version >> 4 == 4 => {
            let header = usize::from(version & 0x0f) * 4;
            let total = usize::from(u16::from_be_bytes([*a, *b]));
            header >= 20 && total >= header && total <= bytes.len()
        }
        [version, _, _, _, a, b, ..] if version >> 4 == 6 => {
            usize::from(u16::from_be_bytes([*a, *b])) + 40 <= bytes.len()
        }
        _ => false,
    }
}

/// Whether it reads like an Ethernet frame that leads to IP.
fn is_frame(bytes: &[u8]) -> bool {
    let Some([t1, t2, after, ..]) = bytes.get(12..) else {
        return false;
    };
    match u16::from_be_bytes([*t1, *t2]) {
        0x0800 => after >> 4 == 4,
        0x86dd => after >> 4 == 6,
        0x8100 | 0x88a8 => true,
        other => matches!(of_ethertype(other), Some(Carries::Mpls | Carries::Pppoe)),
    }
}
