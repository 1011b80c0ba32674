//! Coverage rows as octets, and back.

use super::octets::{Cut, put_opt_str, put_str, put_varint};
use crate::base::Timestamp;
use crate::call::record::{ClockState, Coverage, Down};

pub(in crate::store::embedded) fn encode_coverage(c: &Coverage, out: &mut Vec<u8>) {
    put_str(out, &c.sensor);
    out.extend_from_slice(&c.from.nanos().to_le_bytes());
    out.extend_from_slice(&c.until.nanos().to_le_bytes());
    for n in [
        c.packets,
        c.messages,
        c.incomplete,
        c.dropped,
        c.unreadable,
        c.lost_fragments,
        c.tcp_gaps,
        c.freezes,
        c.shed,
        c.unverified,
        c.lost_records,
        c.duplicates,
    ] {
        put_varint(out, n);
    }
    out.push(u8::from(c.clock.is_some()) | u8::from(c.down.is_some()) << 1);
    if let Some(clock) = c.clock {
        out.push(u8::from(clock.synchronised));
        out.extend_from_slice(&clock.offset_ns.to_le_bytes());
        out.extend_from_slice(&clock.error_ns.to_le_bytes());
    }
    put_opt_str(out, c.down.map(Down::label));
}

pub(in crate::store::embedded) fn decode_coverage(bytes: &[u8]) -> Option<Coverage> {
    let mut cut = Cut(bytes);
    let mut coverage = Coverage {
        sensor: cut.str()?.into(),
        from: Timestamp::from_nanos(cut.i64()?),
        until: Timestamp::from_nanos(cut.i64()?),
        packets: cut.varint()?,
        messages: cut.varint()?,
        incomplete: cut.varint()?,
        dropped: cut.varint()?,
        unreadable: cut.varint()?,
        ..Coverage::default()
    };
    // A log of version 0.1.
    if cut.0.is_empty() {
        return Some(coverage);
    }
    for n in [
        &mut coverage.lost_fragments,
        &mut coverage.tcp_gaps,
        &mut coverage.freezes,
        &mut coverage.shed,
        &mut coverage.unverified,
        &mut coverage.lost_records,
        &mut coverage.duplicates,
    ] {
        *n = cut.varint()?;
    }
    let present = cut.u8()?;
    if present >> 2 != 0 {
        return None;
    }
    coverage.clock = cut.opt(present & 1 != 0, |cut| {
        Some(ClockState {
            synchronised: match cut.u8()? {
                0 => false,
                1 => true,
                _ => return None,
            },
            offset_ns: cut.i64()?,
            error_ns: cut.u64()?,
        })
    })?;
    coverage.down = cut.opt(present & 2 != 0, |cut| {
        // A reason of a later version is still a time in which nobody looked.
        Some(Down::from_label(cut.str()?).unwrap_or(Down::Unknown))
    })?;
    cut.0.is_empty().then_some(coverage)
}
