-- The tables of the shared engine, for ClickHouse 18.16 and later.
--
-- Every node has the macros {shard} and {replica}, and a cluster called tracehop in remote_servers: see README.md here.
-- Columns of records_local, ends_local and coverage_local are those of the Parquet files (docs/FORMATS.md says what they hold).
-- Points in time are nanoseconds since 1970, uids are probe << 44 | uid of the probe's own store, called is 0 where no number was called.
-- A statement may be run twice without harm.

CREATE DATABASE IF NOT EXISTS tracehop;

-- What this node has had.
CREATE TABLE IF NOT EXISTS tracehop.migrations
(
    version UInt16,
    name String,
    applied DateTime
)
ENGINE = MergeTree
ORDER BY version;

-- Records, both halves as far as they were known when the segment was sealed. A batch sent twice is known by its octets; should it get in twice all the
-- same, the merge leaves one row of each.
CREATE TABLE IF NOT EXISTS tracehop.records_local
(
    called Int64,
    begun_at Int64,
    uid Int64,
    to_number Nullable(Int64),
    diverted_from Nullable(Int64),
    from_number Nullable(Int64),
    asserted Nullable(Int64),
    remote_party Nullable(Int64),
    orig Nullable(Int64),
    other_numbers Nullable(String),
    called_text Nullable(String),
    private UInt8,
    clock String,
    clock_error_ns Int64,
    sensor String,
    config Int64,
    direction String,
    peer Nullable(String),
    peer_rule Nullable(String),
    transport String,
    source String,
    source_port Int64,
    destination String,
    destination_port Int64,
    vlan Nullable(Int64),
    trunk Nullable(String),
    call_id UInt64,
    session_id Nullable(UInt64),
    icid Nullable(UInt64),
    sdp_origin Nullable(UInt64),
    validation String,
    decided_by Nullable(String),
    attest Nullable(String),
    failed Nullable(String),
    undetermined Nullable(String),
    findings Nullable(String),
    identities Int64,
    passport Nullable(FixedString(16)),
    iat Nullable(Int64),
    origid Nullable(FixedString(16)),
    origid_text Nullable(String),
    spc Nullable(String),
    x5u_host Nullable(String),
    flags Nullable(String),
    chain Nullable(FixedString(16)),
    verstat Nullable(String),
    provenance Nullable(String),
    attribution Nullable(String),
    shared Nullable(UInt8),
    mac Nullable(String),
    trunk_context Nullable(String),
    orig_ioi Nullable(String),
    tech_prefix Nullable(String),
    rule_header Nullable(String),
    pair_uid Nullable(Int64),
    pair_at Nullable(Int64),
    pair_how Nullable(String),
    notes Nullable(String),
    state Nullable(String),
    code Nullable(Int64),
    cause Nullable(Int64),
    ringing_ms Nullable(Int64),
    final_ms Nullable(Int64),
    duration_ms Nullable(Int64),
    released_by Nullable(String),
    retransmissions Nullable(Int64),
    forks Nullable(Int64),
    auth_retries Nullable(Int64),
    stir_cause Nullable(Int64),
    disagrees Nullable(UInt8),
    one_way Nullable(UInt8),
    probe UInt16,
    seq UInt64,
    chunk UInt32
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/tracehop/records', '{replica}', seq)
PARTITION BY intDiv(begun_at, 86400000000000)
ORDER BY (called, begun_at, uid)
SETTINGS index_granularity = 1024, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000;

-- By which other numbers a record is found: role 0 for calling numbers, 1 for To, diverted-from and called numbers that are no integer. A number that is
-- no integer is a hash below zero.
CREATE TABLE IF NOT EXISTS tracehop.numbers_local
(
    role UInt8,
    number Int64,
    begun_at Int64,
    uid Int64,
    called Int64,
    probe UInt16,
    seq UInt64,
    chunk UInt32
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/tracehop/numbers', '{replica}', seq)
PARTITION BY intDiv(begun_at, 86400000000000)
ORDER BY (role, number, begun_at, uid)
SETTINGS index_granularity = 1024, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000;

-- Second halves that came after their record was sealed; hour is that of the record, since 1970. The highest seq is the latest.
CREATE TABLE IF NOT EXISTS tracehop.ends_local
(
    uid Int64,
    hour Int64,
    state Nullable(String),
    code Nullable(Int64),
    cause Nullable(Int64),
    ringing_ms Nullable(Int64),
    final_ms Nullable(Int64),
    duration_ms Nullable(Int64),
    released_by Nullable(String),
    retransmissions Nullable(Int64),
    forks Nullable(Int64),
    auth_retries Nullable(Int64),
    stir_cause Nullable(Int64),
    disagrees Nullable(UInt8),
    one_way Nullable(UInt8),
    probe UInt16,
    seq UInt64,
    chunk UInt32
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/tracehop/ends', '{replica}', seq)
PARTITION BY intDiv(hour, 24)
ORDER BY (uid, seq)
SETTINGS index_granularity = 8192, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000;

-- The coverage ledger, on every node. A later version of a row replaces an earlier one.
CREATE TABLE IF NOT EXISTS tracehop.coverage_local
(
    probe UInt16,
    version UInt64,
    sensor String,
    from_time Int64,
    until_time Int64,
    packets UInt64,
    messages UInt64,
    incomplete UInt64,
    dropped UInt64,
    unreadable UInt64,
    lost_fragments Nullable(UInt64),
    tcp_gaps Nullable(UInt64),
    freezes Nullable(UInt64),
    shed Nullable(UInt64),
    unverified Nullable(UInt64),
    lost_records Nullable(UInt64),
    duplicates Nullable(UInt64),
    clock_synchronised Nullable(UInt8),
    clock_offset_ns Nullable(Int64),
    clock_error_ns Nullable(UInt64),
    down Nullable(String)
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/all/tracehop/coverage', '{shard}-{replica}', version)
PARTITION BY intDiv(from_time, 86400000000000)
ORDER BY (probe, sensor, from_time)
SETTINGS index_granularity = 8192, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000;

-- Which probes there are, on every node: a row with an empty sensor says whose number it is, one of a sensor from when until when all
-- its records are here. One that is retired ended there.
CREATE TABLE IF NOT EXISTS tracehop.probes_local
(
    probe UInt16,
    store String,
    sensor String,
    name String,
    since Int64,
    until Int64,
    retired UInt8,
    version UInt64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/all/tracehop/probes', '{shard}-{replica}', version)
ORDER BY (probe, store, sensor, retired)
SETTINGS index_granularity = 8192, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000;

-- Before which points in time records were deleted, on every node.
CREATE TABLE IF NOT EXISTS tracehop.forgotten_local
(
    before Int64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/all/tracehop/forgotten', '{shard}-{replica}')
ORDER BY before
SETTINGS index_granularity = 8192, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000;

-- All shards as one table, for tools. tracehop itself asks the shards one by one, since only so it knows that a replica has caught up.
CREATE TABLE IF NOT EXISTS tracehop.records AS tracehop.records_local
ENGINE = Distributed(tracehop, tracehop, records_local);
CREATE TABLE IF NOT EXISTS tracehop.numbers AS tracehop.numbers_local
ENGINE = Distributed(tracehop, tracehop, numbers_local);
CREATE TABLE IF NOT EXISTS tracehop.ends AS tracehop.ends_local
ENGINE = Distributed(tracehop, tracehop, ends_local);
