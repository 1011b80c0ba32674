//! What only a daemon has: interfaces, queues, threads, clock, process.

use super::family as f;
use super::page::Page;
use super::snapshot::{Configured, Interface, Responder, Snapshot, Stored, Trust};
use super::stages::put_tally;
use crate::base::Timestamp;
use crate::call::classify::{Flag, Group};
use crate::engine::collect::{DirectionKey, Tally};
use crate::findings::counters::SinkCounts;
use crate::host::process::Process;
use crate::responder::case::RequestState;
use crate::responder::desk::{ALARMS, COUNTED};
use crate::store::engine::ForwardState;

pub(super) fn put(page: &mut Page, s: &Snapshot) {
    put_from_the_start(page, s);
    page.count(&f::BUILD, &[env!("CARGO_PKG_VERSION")], 1);
    for interface in &s.interfaces {
        put_interface(page, interface);
    }
    let (counts, keeping) = &s.mirror;
    page.list(&f::HEP, &[], counts.iter().copied());
    page.list(&f::HEP_KEEPING, &[], keeping.iter().copied());
    for (agent, counts) in &s.agents {
        let agent = agent.as_deref().unwrap_or("unknown");
        page.list(&f::HEP_AGENT, &[agent], counts.iter().copied());
    }
    let (late, waiting) = s.sequence;
    page.count(&f::SEQUENCE_LATE, &[], late);
    page.size(&f::SEQUENCE_WAITING, &[], waiting);
    page.list(&f::DUPLICATES, &[], s.duplicates.iter().copied());
    page.list(&f::SHED, &[], s.shed.iter().copied());
    for q in &s.queues {
        page.size(&f::QUEUE_DEPTH, &[q.name], q.depth);
        page.size(&f::QUEUE_CAPACITY, &[q.name], q.capacity);
    }
    for t in &s.threads {
        page.count(&f::STAGE_PANICS, &[t.name], t.panics);
        page.count(&f::STAGE_REBUILDS, &[t.name], t.rebuilds);
        if let Some(beat) = t.beat {
            page.value(&f::STAGE_BEAT, &[t.name], beat.as_secs_f64());
        }
    }
    if let Some(trust) = &s.trust {
        put_trust(page, trust);
    }
    if let Some(store) = &s.store {
        put_store(page, store);
    }
    if let Some(forwarding) = &s.forwarding {
        put_forwarding(page, forwarding);
    }
    s.findings.iter().for_each(|sink| put_sink(page, sink));
    if let Some(responder) = &s.responder {
        put_responder(page, responder);
    }
    if let Some(api) = &s.api {
        page.list(&f::API, &[], api.iter());
        let refused = api.refused.iter().map(|(why, n)| (why.label(), *n));
        page.list(&f::API_REFUSED, &[], refused);
        page.list(&f::API_CONNECTIONS, &[], api.web.iter());
    }
    page.count(&f::COVERAGE_LATE, &[], s.coverage_late);
    for (sensor, looked) in &s.sensors {
        page.value(&f::SENSOR_LOOKED, &[sensor], seconds(*looked));
    }
    let (clock, steps) = s.clock;
    if let Some(clock) = clock {
        page.truth(&f::CLOCK_SYNCHRONISED, &[], clock.synchronised);
        page.value(&f::CLOCK_OFFSET, &[], clock.offset_ns as f64 / 1e9);
        page.value(&f::CLOCK_ERROR, &[], clock.error_ns as f64 / 1e9);
    }
    page.count(&f::CLOCK_STEPS, &[], steps);
    if let Some(web) = &s.web {
        page.list(&f::HTTP, &[], web.iter());
    }
    if let Some(config) = &s.config {
        put_config(page, config);
    }
    if let Some(process) = &s.process {
        put_process(page, process);
    }
}

/// Zeros, so that what has not happened yet is 0 and not absent: a counter that begins with its first event hides that event from a rate, and who asks
/// for errors wants to read that there are none. Values of the same labels add up.
fn put_from_the_start(page: &mut Page, s: &Snapshot) {
    let ingress = DirectionKey::Ingress.label();
    let named = s.neighbours.iter().map(|id| &**id);
    for peer in named.chain(["unknown"]) {
        put_tally(page, [ingress, peer], &Tally::default());
        page.count(&f::CAMPAIGN_CALLS, &[peer], 0);
        page.count(&f::CAMPAIGNS_OPEN, &[peer], 0);
    }
    page.count(&f::VERDICTS, &[ingress, "unknown", "none", "none"], 0);
    for flag in Flag::ALL {
        page.count(&f::CALL_FLAGS, &[ingress, "unknown", flag.label()], 0);
        if flag.group() == Group::Behaviour {
            let peer = match flag {
                Flag::Flood | Flag::ProtectedFlood => "none",
                _ => "unknown",
            };
            page.count(&f::FINDINGS_OPEN, &[peer, flag.label()], 0);
        }
    }
    for (portal, _) in s.responder.iter().flat_map(|r| &r.portals) {
        for state in RequestState::ALL {
            page.count(&f::RESPONDER_REQUESTS, &[portal, state.label()], 0);
        }
        for (percent, _) in ALARMS {
            page.count(&f::RESPONDER_NEAR, &[portal, &percent.to_string()], 0);
        }
        for what in COUNTED {
            page.count(&f::RESPONDER, &[portal, what], 0);
        }
        page.count(&f::RESPONDER_OUTBOX, &[portal], 0);
    }
}

fn put_interface(page: &mut Page, i: &Interface) {
    let labels: [&str; 2] = [&i.sensor, &i.name];
    page.truth(&f::CAPTURE_UP, &labels, i.up);
    page.count(&f::CAPTURE_PACKETS, &labels, i.packets);
    page.count(&f::CAPTURE_DROPS, &labels, i.drops);
    page.count(&f::CAPTURE_FREEZES, &labels, i.freezes);
    page.list(&f::CAPTURE, &labels, i.others.iter().copied());
    for (what, n) in &i.states {
        page.count(&f::CAPTURE_STATE, &[&i.sensor, &i.name, what], *n);
    }
}

fn put_trust(page: &mut Page, t: &Trust) {
    page.size(&f::TRUST_CERTIFICATES, &[], t.certificates);
    page.size(&f::TRUST_AUTHORITIES, &[], t.authorities);
    for (list, ends) in [("ca_list", t.ca_list_ends), ("crl", t.crl_ends)] {
        if let Some(at) = ends {
            page.value(&f::TRUST_ENDS, &[list], seconds(at));
        }
    }
    if let Some(at) = t.loaded {
        page.value(&f::TRUST_LOADED, &[], seconds(at));
    }
    page.truth(&f::TRUST_TROUBLE, &[], t.kept_old);
    page.size(&f::NOTES, &[], t.notes);
}

fn put_store(page: &mut Page, s: &Stored) {
    let c = &s.counters;
    let appended = [
        ("begin", c.begins),
        ("end", c.ends),
        ("coverage", c.coverage),
        ("evidence", c.evidence),
        ("campaign", c.campaigns),
    ];
    page.list(&f::STORE_APPENDED, &[], appended);
    let refused = [
        ("evidence_too_long", c.evidence_too_long),
        ("too_old", c.too_old),
        ("lost", s.lost),
        ("lost_end", s.lost_ends),
        ("lost_evidence", s.lost_evidence),
        ("lost_campaign", s.lost_campaigns),
        ("evidence_no_room", c.evidence_no_room),
        ("campaign_no_room", c.campaigns_no_room),
    ];
    page.list(&f::STORE_REFUSED, &[], refused);
    let seals = [("done", c.seals), ("failed", c.seal_failures)];
    page.list(&f::STORE_SEALS, &[], seals);
    page.count(&f::STORE_SEALED_BYTES, &[], c.sealed_octets);
    let m = &c.compaction;
    let merges = [
        ("done", m.merges),
        ("failed", m.failures),
        ("no_room", m.no_room),
    ];
    page.list(&f::STORE_MERGES, &[], merges);
    let merged = [
        ("files", m.files),
        ("records", m.rows),
        ("ends", m.folded),
        ("read_bytes", m.read),
        ("written_bytes", m.written),
    ];
    page.list(&f::STORE_MERGED, &[], merged);
    let found = [
        ("records", s.found.records),
        ("torn_bytes", s.found.torn_bytes),
        ("void_files", s.found.void_files),
        ("bad_frames", s.found.bad_frames),
        ("unreadable", s.found.unreadable),
        ("damaged_files", s.found.damaged_files),
    ];
    page.list(&f::STORE_FOUND, &[], found);
    if let Some(bytes) = s.bytes {
        page.count(&f::STORE_BYTES, &[], bytes);
    }
    if let Some(space) = s.space {
        page.count(&f::STORE_FREE, &[], space.free);
        page.count(&f::STORE_LEAST, &[], space.least);
    }
    page.count(&f::STORE_FREED, &[], c.evidence_days_freed);
    if let Some(at) = s.committed {
        page.value(&f::STORE_COMMIT, &[], seconds(at));
    }
    if let Some(lag) = s.lag {
        page.value(&f::STORE_LAG, &[], lag.as_secs_f64());
    }
    page.truth(&f::STORE_WRITABLE, &[], s.writable);
}

fn put_forwarding(page: &mut Page, s: &ForwardState) {
    let what = [
        ("file", s.files),
        ("row", s.rows),
        ("found", s.found),
        ("failed", s.failures),
    ];
    page.list(&f::FORWARD, &[], what);
    page.count(&f::FORWARD_BYTES, &[], s.octets);
    page.count(&f::FORWARD_WAITING, &[], s.waiting);
    if let Some(oldest) = s.oldest {
        page.value(&f::FORWARD_OLDEST, &[], seconds(oldest));
    }
    page.truth(&f::FORWARD_UP, &[], s.trouble.is_none());
}

fn put_sink(page: &mut Page, s: &SinkCounts) {
    for (kind, outcome, n) in &s.outcomes {
        let labels = [&*s.name, kind.label(), outcome.label()];
        page.count(&f::FINDINGS, &labels, *n);
    }
    page.count(&f::FINDINGS_TOLD, &[&s.name], s.told);
    page.count(&f::FINDINGS_RETRIES, &[&s.name], s.retries);
    page.count(&f::FINDINGS_PANICS, &[&s.name], s.panics);
    page.truth(&f::FINDINGS_WORKS, &[&s.name], s.works);
    page.size(&f::FINDINGS_WAITING, &[&s.name], s.waiting);
    page.size(&f::FINDINGS_ROOM, &[&s.name], s.capacity);
}

fn put_responder(page: &mut Page, r: &Responder) {
    for (portal, state, n) in &r.figures.requests {
        page.count(&f::RESPONDER_REQUESTS, &[portal, state.label()], *n);
    }
    for (portal, what, n) in &r.figures.tallies {
        page.count(&f::RESPONDER, &[portal, what], *n);
    }
    for p in &r.figures.pressing {
        for (percent, n) in &p.near {
            page.count(&f::RESPONDER_NEAR, &[&p.portal, &percent.to_string()], *n);
        }
        if let Some(due) = p.due {
            page.value(&f::RESPONDER_DUE, &[&p.portal], seconds(due));
        }
    }
    for (portal, n) in &r.figures.outbox {
        page.count(&f::RESPONDER_OUTBOX, &[portal], *n);
    }
    let age =
        r.at.zip(r.figures.oldest)
            .map(|(now, oldest)| now.distance(oldest));
    let age = age.unwrap_or_default().as_secs_f64();
    page.value(&f::RESPONDER_OLDEST, &[], age);
    for (portal, up) in &r.portals {
        page.truth(&f::RESPONDER_REACHED, &[portal], *up);
    }
    for (ms, n) in &r.lookups.buckets {
        let within = format!("{}", *ms as f64 / 1e3);
        page.count(&f::RESPONDER_LOOKUPS, &[&within], *n);
    }
    page.count(&f::RESPONDER_LOOKUPS, &["any"], r.lookups.count);
    let sum = r.lookups.sum.as_secs_f64();
    page.value(&f::RESPONDER_LOOKUP_TIME, &[], sum);
    page.count(&f::RESPONDER_FAILED, &[], r.lookups.failed);
    page.truth(&f::RESPONDER_HALTED, &[], r.figures.halted);
    page.count(&f::RESPONDER_HELD, &[], r.figures.held);
    page.count(&f::RESPONDER_PANICS, &[], r.panics);
}

fn put_config(page: &mut Page, c: &Configured) {
    page.count(&f::CONFIG, &[&format!("{:08x}", c.version)], 1);
    page.value(&f::CONFIG_RELOADED, &[], seconds(c.reloaded));
    page.truth(&f::CONFIG_GOOD, &[], c.good);
}

fn put_process(page: &mut Page, p: &Process) {
    if let Some(at) = p.started {
        page.value(&f::PROCESS_START, &[], seconds(at));
    }
    if let Some(cpu) = p.cpu {
        page.value(&f::PROCESS_CPU, &[], cpu.as_secs_f64());
    }
    for (family, n) in [
        (&f::PROCESS_MEMORY, p.resident_bytes),
        (&f::PROCESS_FDS, p.open_fds),
        (&f::PROCESS_MAX_FDS, p.max_fds),
        (&f::PROCESS_THREADS, p.threads),
    ] {
        if let Some(n) = n {
            page.count(family, &[], n);
        }
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.nanos() as f64 / 1e9
}
