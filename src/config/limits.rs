//! Section `[limits]`: what putting fragments and streams together may cost.

use std::time::Duration;

use super::reader::Section;
use crate::engine::AssembleLimits;
use crate::wire::ip::ReassemblyLimits;
use crate::wire::tcp::StreamLimits;

/// Most datagrams and most streams at once: a million of either take a gigabyte and more.
const MOST: u64 = 1_000_001;
/// Most megabytes for either: 64 GB, more than a probe has.
const MOST_MEGABYTES: u64 = 65_537;

/// Reads the bounds of reassembly and of streams.
pub(super) fn read(s: Section<'_, '_>) -> AssembleLimits {
    let default = AssembleLimits::default();
    let limits = AssembleLimits {
        reassembly: fragments(s.section("fragments"), default.reassembly),
        streams: streams(s.section("streams"), default.streams),
    };
    s.finish();
    limits
}

fn fragments(s: Section<'_, '_>, default: ReassemblyLimits) -> ReassemblyLimits {
    let octets = megabytes(&s, default.octets);
    let datagrams = count(&s, "datagrams", default.datagrams);
    let limits = ReassemblyLimits {
        datagrams,
        octets,
        // A receiver waits 60 s at most (RFC 8200 §4.5).
        age: seconds(&s, "seconds", default.age, 1..121),
        // One address keeps to a quarter of what there is, as by default.
        per_source: u32::try_from(datagrams / 4).unwrap_or(u32::MAX).max(1),
        per_source_octets: octets / 4,
        ..default
    };
    s.finish();
    limits
}

fn streams(s: Section<'_, '_>, default: StreamLimits) -> StreamLimits {
    let sip = count(&s, "count", default.sip);
    let limits = StreamLimits {
        sip,
        per_source: u32::try_from(sip / 4).unwrap_or(u32::MAX).max(1),
        unknown: sip,
        octets: megabytes(&s, default.octets),
        idle: seconds(&s, "idle_seconds", default.idle, 5..3_601),
        ..default
    };
    s.finish();
    limits
}

fn count(s: &Section<'_, '_>, key: &'static str, default: usize) -> usize {
    let default = u64::try_from(default).unwrap_or(u64::MAX);
    usize::try_from(s.integer(key, default, 16..MOST)).unwrap_or(usize::MAX)
}

fn megabytes(s: &Section<'_, '_>, default: usize) -> usize {
    let default = u64::try_from(default >> 20).unwrap_or(u64::MAX);
    usize::try_from(s.integer("megabytes", default, 1..MOST_MEGABYTES) << 20).unwrap_or(usize::MAX)
}

fn seconds(
    s: &Section<'_, '_>,
    key: &'static str,
    default: Duration,
    range: std::ops::Range<u64>,
) -> Duration {
    Duration::from_secs(s.integer(key, default.as_secs(), range))
}
