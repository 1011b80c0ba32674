//! Every metric: name, type, labels, help. In the order of docs/METRICS.md.

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from the start of the process.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One metric with all its label values.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Name with the unit and, for counters, `_total`.
    pub name: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

impl Family {
    /// Its unit, as its name says it.
    pub fn unit(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        if name.ends_with("_timestamp_seconds") || name.ends_with("start_time_seconds") {
            "seconds since 1970"
        } else if name.ends_with("_seconds") {
            "seconds"
        } else if name.ends_with("_bytes") {
            "bytes"
        } else {
            "1"
        }
    }
}

macro_rules! families {
    ($( $id:ident $kind:ident $name:literal [$($label:literal),*] $help:literal; )*) => {
        $( #[doc = $help] pub const $id: Family = Family {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        }; )*

        /// All of them.
        pub const ALL: &[Family] = &[$($id),*];
    };
}

families! {
    BUILD Gauge "tracehop_build_info" ["version"] "Always 1; the label is the version that runs.";

    CAPTURE_PACKETS Counter "tracehop_capture_packets_total" ["sensor", "interface"] "Packets that passed the kernel's filter, the dropped ones among them.";
    CAPTURE_DROPS Counter "tracehop_capture_drops_total" ["sensor", "interface"] "Packets that the kernel dropped because we were slow.";
    CAPTURE_FREEZES Counter "tracehop_capture_freezes_total" ["sensor", "interface"] "Times that the kernel's ring was full and it stopped to wait for us.";
    CAPTURE Counter "tracehop_capture_total" ["sensor", "interface", "outcome"] "What else happened to the capture of an interface, by what it was.";
    CAPTURE_STATE Gauge "tracehop_capture_state" ["sensor", "interface", "what"] "In which state the capture of an interface is, summed over its reading threads.";
    CAPTURE_UP Gauge "tracehop_capture_up" ["sensor", "interface"] "1 while the interface is captured, 0 while it is gone or down.";
    HEP Counter "tracehop_hep_total" ["outcome"] "Packets of HEP agents, what they carried, and messages put together from them, by what became of them.";
    HEP_KEEPING Gauge "tracehop_hep_keeping" ["what"] "What is kept of HEP agents' streams while more is awaited.";
    HEP_AGENT Counter "tracehop_hep_agent_total" ["agent", "outcome"] "Packets of each configured agent, and SIP messages out of them: one that stands still is cut off.";
    ASSEMBLED Counter "tracehop_assembled_total" ["outcome"] "Frames, fragments, datagrams, TCP segments and SIP messages, by what became of them; docs/METRICS.md says which add up.";
    ASSEMBLING Gauge "tracehop_assembling" ["what"] "What reassembly keeps while it waits for more.";
    SEQUENCE_LATE Counter "tracehop_sequence_late_total" [] "Messages that came after messages of a later time had gone on: a source that lags.";
    SEQUENCE_WAITING Gauge "tracehop_sequence_waiting" [] "Messages that wait for slower sources.";
    DUPLICATES Counter "tracehop_duplicates_total" ["outcome"] "Messages that came by wire and by HEP, or twice, by what became of them.";

    SHED Counter "tracehop_shed_total" ["kind"] "What was let go under overload, by what it was; never an INVITE seen for the first time.";
    QUEUE_DEPTH Gauge "tracehop_queue_depth" ["queue"] "Batches that wait between two stages.";
    QUEUE_CAPACITY Gauge "tracehop_queue_capacity" ["queue"] "Batches that may wait there.";
    STAGE_PANICS Counter "tracehop_stage_panics_total" ["stage"] "Panics caught: each is a defect of tracehop and worth a report.";
    STAGE_REBUILDS Counter "tracehop_stage_rebuilds_total" ["stage"] "Times that a stage was built anew after a panic.";
    STAGE_BEAT Gauge "tracehop_stage_beat_age_seconds" ["stage"] "How long ago the stage last said that it turns.";

    MESSAGES Counter "tracehop_messages_total" ["outcome"] "SIP messages, by what became of them. The sum is the number of messages.";
    RECORDS Counter "tracehop_records_total" ["half"] "Record halves written.";
    ATTEMPTS_LOST Counter "tracehop_attempts_lost_total" ["reason"] "Attempts closed early because the table was full, calls of which only answers were seen, BYEs and CANCELs of calls we don't know, and calls that did not go on after a restart.";
    ATTEMPT_EVENTS Counter "tracehop_attempt_events_total" ["event"] "What happened to attempts beside their answers.";
    EGRESS_LEGS Counter "tracehop_egress_legs_total" ["pairing"] "Egress legs by what ties them to the ingress leg that they continue.";
    LEGS_FORGOTTEN Counter "tracehop_legs_forgotten_total" [] "Legs forgotten before their time because memory was full: they are paired with none, and loops of them go unseen.";
    PASSPORTS Counter "tracehop_passports_total" ["sighting"] "Call attempts with a PASSporT whose signature is not known to be wrong, by what the sight of it is; the last three are no normal routing.";
    PASSPORTS_FORGOTTEN Counter "tracehop_passports_forgotten_total" [] "PASSporTs forgotten before their time because memory was full: replays of them go unseen.";
    FLAG_MEMORY Gauge "tracehop_flag_memory" ["what"] "What flags remember now: callers of emergency numbers, and octets of the filters of signed numbers.";
    FLAG_MEMORY_LOST Counter "tracehop_flag_memory_lost_total" ["what"] "What flags forgot early, for want of room: such flags are missed.";
    EVIDENCE Counter "tracehop_evidence_total" [] "Calls of which it is kept what it takes to judge them again.";
    CALLS Counter "tracehop_calls_total" ["direction", "peer", "validation"] "Call attempts by neighbour and validation. The sum is the number of records.";
    VERDICTS Counter "tracehop_verdicts_total" ["direction", "peer", "attest", "reason"] "Call attempts by neighbour, claimed attestation and the rule that decided; none where there is no such. The sum is the number of records.";
    CALL_FLAGS Counter "tracehop_call_flags_total" ["direction", "peer", "flag"] "Call attempts by neighbour and flag; one attempt may have several flags.";
    SPOOFED Counter "tracehop_spoofed_calls_total" ["direction", "peer"] "Call attempts by neighbour with at least one flag that says: not who he shows himself to be, or another call's PASSporT. Each counts once.";
    FINDINGS_OPEN Gauge "tracehop_findings_open" ["peer", "kind"] "Behaviours above their threshold now, by neighbour and kind; `none` stands for a called number that several neighbours' calls go to, and `unknown` for neighbours that no rule names.";
    BEHAVIOUR Counter "tracehop_behaviour_total" ["what"] "Calls and ends that behaviours looked at; numbers let go for busier ones, findings without room, calls of too many neighbours, and steps of capture time.";
    CAMPAIGNS_OPEN Gauge "tracehop_campaigns_open" ["peer"] "Campaigns that go on, by upstream.";
    CAMPAIGN_CALLS Counter "tracehop_campaign_calls_total" ["peer"] "Calls that opened a campaign or found it open, by upstream; those before it was one are in its volume alone.";
    CAMPAIGNS Counter "tracehop_campaigns_total" ["what"] "Flagged calls that may belong to a campaign, campaigns opened, closed after their quiet time and closed to make room, and candidates let go to make room.";
    UNKNOWN_NEIGHBOURS Gauge "tracehop_unknown_neighbours" [] "Addresses that handed calls over and that no rule of peers.toml knows, as far as they are remembered: 1,000 at most. `tracehop peers unknown` lists them.";
    STIR_REFUSALS Counter "tracehop_stir_refusals_total" ["direction", "peer", "disagrees"] "Call attempts that the other side's verification spoke against, by neighbour and by whether our verdict is the opposite.";
    SKEW Counter "tracehop_passport_skew_total" ["direction", "peer", "skew"] "PASSporTs seen for the first time, by neighbour and by how far iat lies behind or ahead of capture.";

    FETCH Counter "tracehop_fetch_total" ["outcome"] "Wishes for a certificate, by what became of them.";
    FETCH_REFRESHES Counter "tracehop_fetch_refreshes_total" [] "Certificates refreshed before they ran out; their requests are among the outcomes of tracehop_fetch_total.";
    PARKED Counter "tracehop_parked_total" ["why"] "Calls that lacked a certificate, by how they went on.";
    PARKED_MOST Gauge "tracehop_parked_most" [] "The most calls that waited for a certificate at once.";
    FETCH_IN_FLIGHT Gauge "tracehop_fetch_in_flight" [] "Requests for certificates under way.";
    FETCH_WAITING Gauge "tracehop_fetch_waiting" [] "Certificates that wait to be asked for.";
    FETCH_CACHED Gauge "tracehop_fetch_cached" [] "Fetched certificates in memory.";
    FETCH_CACHED_BYTES Gauge "tracehop_fetch_cached_bytes" [] "Octets of fetched certificates in memory.";
    FETCH_NOT_KEPT Gauge "tracehop_fetch_not_kept" [] "Certificates that could not be written to disk.";
    TRUST_CERTIFICATES Gauge "tracehop_trust_certificates" [] "Certificates by URL in the directory.";
    TRUST_AUTHORITIES Gauge "tracehop_trust_authorities" [] "Authorities that are trusted.";
    TRUST_ENDS Gauge "tracehop_trust_list_end_timestamp_seconds" ["list"] "When a list ends: ca_list, or crl (its nextUpdate).";
    TRUST_LOADED Gauge "tracehop_trust_loaded_timestamp_seconds" [] "When trust was last swapped for what is on disk or was fetched.";
    TRUST_TROUBLE Gauge "tracehop_trust_kept_old" [] "1 while newer lists were refused and older ones are used instead.";

    STORE_APPENDED Counter "tracehop_store_appended_total" ["what"] "What the store took in: begin, end, coverage, evidence, campaign (a state of one).";
    STORE_REFUSED Counter "tracehop_store_refused_total" ["why"] "What it did not take, or took and can't be looked up: evidence_too_long, too_old, lost (no disk, no record), lost_end (how a call went on), lost_evidence, lost_campaign (a state of one; a later state makes up for it), evidence_no_room and campaign_no_room (little of the disk is free).";
    STORE_SEALS Counter "tracehop_store_seals_total" ["outcome"] "Segments written from the log: done, failed (and tried again).";
    STORE_SEALED_BYTES Counter "tracehop_store_sealed_bytes_total" [] "Octets of the segments written.";
    STORE_MERGES Counter "tracehop_store_merges_total" ["outcome"] "Merges of an hour's segments into larger ones: done, failed (nothing is lost; tried again after an hour), no_room (put off: little of the disk is free).";
    STORE_MERGED Counter "tracehop_store_merged_total" ["what"] "What merges did: files (replaced), records (in merged segments), ends (late second halves that went into the rows of their records), read_bytes, written_bytes.";
    STORE_FOUND Counter "tracehop_store_found_total" ["what"] "What opening the store came upon after a stop that was not clean: records (read back from the log), torn_bytes (of an unfinished frame), void_files (unfinished ones, deleted); and damage: bad_frames and unreadable (records of the log that are lost), damaged_files (of the youngest hours).";
    STORE_BYTES Gauge "tracehop_store_bytes" [] "Octets of the store on disk, as last measured.";
    STORE_FREE Gauge "tracehop_store_free_bytes" [] "Octets that are free on the store's disk, as of the last commit; absent where it is not guarded.";
    STORE_LEAST Gauge "tracehop_store_min_free_bytes" [] "Octets that must stay free: below it no record is taken, below twice it no evidence is kept and its oldest days go.";
    STORE_FREED Counter "tracehop_store_evidence_freed_total" [] "Days of evidence deleted before their time, because little of the disk was free.";
    STORE_COMMIT Gauge "tracehop_store_commit_timestamp_seconds" [] "When a commit last returned: everything before survives a crash.";
    STORE_LAG Gauge "tracehop_store_lag_seconds" [] "How long after its capture the last message was collected: how far we are behind.";
    STORE_WRITABLE Gauge "tracehop_store_writable" [] "1 while the store takes records, 0 while it can't.";
    FORWARD Counter "tracehop_forward_total" ["what"] "What went to the shared engine: file (sealed files acknowledged), row (records and late second halves in them), found (batches that were there already), failed (and tried again).";
    FORWARD_BYTES Counter "tracehop_forward_bytes_total" [] "Octets of the batches made for the shared engine.";
    FORWARD_WAITING Gauge "tracehop_forward_waiting" [] "Sealed files that the shared engine has not acknowledged.";
    FORWARD_OLDEST Gauge "tracehop_forward_oldest_timestamp_seconds" [] "The hour of the oldest of them; absent while none waits.";
    FORWARD_UP Gauge "tracehop_forward_up" [] "1 while forwarding goes on, 0 while the last attempt failed.";

    FINDINGS_TOLD Counter "tracehop_findings_told_total" ["sink"] "Findings that passed the sink's filter. Each comes to one outcome in the end.";
    FINDINGS Counter "tracehop_findings_total" ["sink", "type", "outcome"] "Findings by sink and what became of them: delivered, dropped (the queue was full), failed (tried as often as is allowed), refused (too long), disabled (the receiver wants no more), unsent (at the end).";
    FINDINGS_RETRIES Counter "tracehop_findings_retries_total" ["sink"] "Times that findings were tried again.";
    FINDINGS_PANICS Counter "tracehop_findings_panics_total" ["sink"] "Panics caught on the sink's thread: each is a defect of tracehop and worth a report.";
    FINDINGS_WORKS Gauge "tracehop_findings_sink_works" ["sink"] "1 while the last try to deliver succeeded, 0 while it failed.";
    FINDINGS_WAITING Gauge "tracehop_findings_queue_depth" ["sink"] "Findings that wait for the sink.";
    FINDINGS_ROOM Gauge "tracehop_findings_queue_capacity" ["sink"] "Findings that may wait for it.";
    RESPONDER_REQUESTS Gauge "tracehop_responder_requests" ["portal", "state"] "Traceback requests that the desk keeps, by portal and where they stand.";
    RESPONDER Counter "tracehop_responder_total" ["portal", "what"] "What happened at the desk, of all processes together and over restarts: answers by resolution and maker, deliveries by outcome, refusals by reason, deadline alarms.";
    RESPONDER_OUTBOX Gauge "tracehop_responder_outbox" ["portal"] "Answers and reports on their way to a portal.";
    RESPONDER_OLDEST Gauge "tracehop_responder_outbox_oldest_age_seconds" [] "How long the oldest of them has waited; 0 where there is none.";
    RESPONDER_NEAR Gauge "tracehop_responder_near_deadline" ["portal", "percent"] "Requests that wait for us or are on their way, of whose time so many percent or more have run; looked at every half minute.";
    RESPONDER_DUE Gauge "tracehop_responder_earliest_due_timestamp_seconds" ["portal"] "When the most pressing of these is due; not there while there is none.";
    RESPONDER_REACHED Gauge "tracehop_responder_portal_up" ["portal"] "1 while nothing goes wrong on the way from or to the portal, 0 while something is tried again.";
    RESPONDER_LOOKUPS Counter "tracehop_responder_lookups_total" ["within"] "Look-ups that took at most so many seconds; any is all of them.";
    RESPONDER_LOOKUP_TIME Counter "tracehop_responder_lookups_seconds_total" [] "How long look-ups took together.";
    RESPONDER_FAILED Counter "tracehop_responder_lookups_failed_total" [] "Look-ups that the store or the desk did not allow, and that come again.";
    RESPONDER_HALTED Gauge "tracehop_responder_halted" [] "1 while a person has stopped everything that leaves.";
    RESPONDER_HELD Gauge "tracehop_responder_held_peers" [] "Neighbours about whom nothing leaves by itself, since an answer about them was disputed.";
    RESPONDER_PANICS Counter "tracehop_responder_panics_total" [] "Panics caught: each is a defect of tracehop and worth a report.";
    API Counter "tracehop_api_total" ["outcome"] "Requests to the API from those who are known, by what became of them.";
    API_REFUSED Counter "tracehop_api_refused_total" ["reason"] "Requests to the API that were refused, by reason; who was refused is not told which.";
    API_CONNECTIONS Counter "tracehop_api_connections_total" ["outcome"] "Connections to the API, by what became of them; accepted is their sum and those under way.";
    COVERAGE_LATE Counter "tracehop_coverage_late_total" [] "Rows of the coverage ledger that came when the books of their minute were closed, and were not taken.";
    SENSOR_LOOKED Gauge "tracehop_sensor_looked_timestamp_seconds" ["sensor"] "Up to when the sensor is known to have looked; 0 where it never has. Only sensors that the configuration asks for.";
    CLOCK_SYNCHRONISED Gauge "tracehop_clock_synchronised" [] "1 while something keeps the host's clock in step, 0 while nothing does: then nothing is answered automatically.";
    CLOCK_OFFSET Gauge "tracehop_clock_offset_seconds" [] "How far the clock is known to be behind, as the kernel says.";
    CLOCK_ERROR Gauge "tracehop_clock_error_seconds" [] "Bound of the clock's error, as the kernel says.";
    CLOCK_STEPS Counter "tracehop_clock_steps_total" [] "Times that the clock was set, or the host slept.";

    HTTP Counter "tracehop_http_connections_total" ["outcome"] "Connections to /metrics and health, by what became of them; accepted is their sum and those under way.";
    CONFIG Gauge "tracehop_config_info" ["version"] "Always 1; the label is the checksum of the configuration in use, which records keep.";
    CONFIG_RELOADED Gauge "tracehop_config_reload_timestamp_seconds" [] "When a reload was last asked for, or the start.";
    CONFIG_GOOD Gauge "tracehop_config_last_reload_successful" [] "1 if the last reload was taken, 0 if the old configuration was kept.";
    NOTES Gauge "tracehop_notes" [] "What the operator should know now, by count; the log and `tracehop check` say what.";

    PROCESS_START Gauge "process_start_time_seconds" [] "When the process started.";
    PROCESS_CPU Counter "process_cpu_seconds_total" [] "CPU time of the process.";
    PROCESS_MEMORY Gauge "process_resident_memory_bytes" [] "Memory of the process that is in RAM.";
    PROCESS_FDS Gauge "process_open_fds" [] "Open file descriptors.";
    PROCESS_MAX_FDS Gauge "process_max_fds" [] "File descriptors that may be open.";
    PROCESS_THREADS Gauge "process_threads" [] "Threads.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        let mut names = BTreeSet::new();
        for f in ALL {
            assert!(names.insert(f.name), "{} twice", f.name);
            let counter = f.kind == Kind::Counter;
            assert_eq!(f.name.ends_with("_total"), counter, "{}", f.name);
            assert!(f.help.ends_with('.'), "{}: {}", f.name, f.help);
            let ours = f.name.starts_with("tracehop_") || f.name.starts_with("process_");
            assert!(ours, "{}", f.name);
        }
    }
}
