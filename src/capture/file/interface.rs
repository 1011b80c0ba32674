//! What pcapng says about an interface, and how its times read. Byte order and powers of two are where pcap-parser falls short, so options are
//! read here.

use pcap_parser::{OptionCode, PcapNGOption};

use crate::base::Timestamp;
use crate::wire::link::LinkType;

/// An interface of the present section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interface {
    pub(super) link: LinkType,
    pub(super) snap_length: u32,
    resolution: u8,
    /// Seconds to add to every time.
    offset: i64,
    /// Packets it reported as dropped so far.
    pub(super) dropped: u64,
}

impl Interface {
    pub(super) fn new(
        dlt: u32,
        snap_length: u32,
        options: &[PcapNGOption<'_>],
        big_endian: bool,
    ) -> Self {
        let offset = option_u64(options, OptionCode::IfTsoffset, big_endian);
        Self {
            link: LinkType::from_dlt(dlt),
            snap_length,
            resolution: option(options, OptionCode::IfTsresol)
                .and_then(|o| o.first().copied())
                .unwrap_or(6),
            offset: offset.unwrap_or_default().cast_signed(),
            dropped: 0,
        }
    }

    /// Units of the interface's resolution since 1970 as a point in time; what does not fit ends at the limits.
    ///
    /// pcap-parser's `build_ts` takes no resolution in powers of two.
    pub(super) fn time(&self, units: u64) -> Timestamp {
        let units = u128::from(units);
        let exponent = u32::from(self.resolution & 0x7f);
        let nanos = match (self.resolution & 0x80 != 0, exponent) {
            (true, e) => (units * 1_000_000_000) >> e,
            (false, e @ 0..=9) => units * 10u128.pow(9 - e),
            (false, e) => 10u128.checked_pow(e - 9).map_or(0, |d| units / d),
        };
        let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
        Timestamp::from_nanos(nanos.saturating_add(self.offset.saturating_mul(1_000_000_000)))
    }
}

fn option<'a>(options: &'a [PcapNGOption<'_>], code: OptionCode) -> Option<&'a [u8]> {
    options.iter().find(|o| o.code == code)?.as_bytes().ok()
}

/// An option of eight octets, in the byte order of its section. pcap-parser takes it for little-endian always.
pub(super) fn option_u64(
    options: &[PcapNGOption<'_>],
    code: OptionCode,
    big_endian: bool,
) -> Option<u64> {
    let octets = option(options, code)?.try_into().ok()?;
    Some(if big_endian {
        u64::from_be_bytes(octets)
    } else {
        u64::from_le_bytes(octets)
    })
}
