//! What the store has been measured to take and to do: the figures by which `tracehop store size` computes. Nothing else uses them.
//!
//! Each names the command that prints it and the section of docs/BENCHMARKS.md in which it stands. One machine: 2 cores of an AMD EPYC.

/// A measured figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// In the unit that its name says.
    pub value: f64,
    /// What prints it.
    pub by: &'static str,
}

const fn store(value: f64) -> Figure {
    Figure {
        value,
        by: "cargo bench --bench store",
    }
}

const fn pipeline(value: f64) -> Figure {
    Figure {
        value,
        by: "cargo bench --bench pipeline",
    }
}

const fn reference(value: f64) -> Figure {
    Figure {
        value,
        by: "a prototype on the same machine, ClickHouse of Debian 12, 10 million records",
    }
}

/// Octets of a record of an unsigned call in a segment, both halves, its index not counted.
pub const RECORD_OCTETS: Figure = store(54.6);
/// Octets that a signed call has more: `passport`, `orig`, `iat`, `origid`, `spc`, `x5u_host`, `attest`.
pub const SIGNED_OCTETS: Figure = store(19.9);
/// Octets of a record in the index beside its segment.
pub const INDEX_OCTETS: Figure = store(6.1);
/// Octets of a record, both halves, in the log.
pub const LOG_OCTETS: Figure = store(267.0);
/// Octets written to the disk for a record: its log and its segment.
pub const WRITTEN_OCTETS: Figure = store(339.0);
/// Octets of what it takes to judge a signed call again.
pub const EVIDENCE_OCTETS: Figure = pipeline(298.0);
/// Octets of a day of one sensor's coverage, a row a minute.
/// From 2,613 octets for 139 rows of sensors that miss nothing.
pub const COVERAGE_OCTETS: Figure = store(27_000.0);

/// Records a second, both halves, taken in and made durable in a burst, on two cores.
pub const BURST_PER_SECOND: Figure = store(617_000.0);
/// Records a second for long, while the judges take what is left of two cores.
pub const SUSTAINED_PER_SECOND: Figure = store(100_000.0);
/// Microseconds of a core for a record, from taking it in to its durable segment.
pub const RECORD_CPU_US: Figure = store(2.28);
/// Microseconds of a core for a record that is merged into the segment of its hour.
pub const COMPACTION_CPU_US: Figure = store(2.70);
/// Octets of memory for a record that no segment holds yet.
pub const MEMORY_OCTETS: Figure = store(352.0);
/// Octets of memory for what look-ups keep of a segment of 500,000 records and its index: 105,000, and 30,000 more since a checksum covers 4 KiB.
pub const FOOTER_OCTETS: Figure = Figure {
    value: 135_000.0,
    by: "cargo bench --bench hop, and computed for the checksums",
};
/// Octets of memory for a row of segments that are being merged: its key and its place.
pub const COMPACTION_MEMORY_OCTETS: Figure = Figure {
    value: 28.0,
    by: "computed from the sizes of what is held, not measured",
};

/// Octets of a record in the shared engine: by called number, and again by calling number.
pub const ENGINE_OCTETS: Figure = reference(182.0);
/// Records a second that a node of the shared engine takes in.
pub const ENGINE_PER_SECOND: Figure = reference(455_000.0);
