//! Health in words, and what to do: the checks of /healthz and /readyz, and what metrics show besides.

use serde::Serialize;

use super::Shown;
use super::model::{grouped, moment, span};
use crate::base::Timestamp;
use crate::daemon::metrics::Snapshot;
use crate::store::embedded::Room;
use crate::traceback::matching::HEALTHY_CLOCK_NS;
use crate::web::Check;

/// A list is worth a word so long before its end, in seconds: as the alert has it.
const ENDS_SOON: i64 = 6 * 3_600;

/// The check of the clock, as [`crate::daemon::status`] names it.
const CLOCK: &str = "clock";

/// A sensor is silent after so many seconds: as the alert has it.
const SILENT: i64 = 180;

/// So far behind is worth a word, in seconds: as the alert has it.
const BEHIND: u64 = 30;

/// One thing that is in order or not.
#[derive(Debug, Serialize)]
pub struct Notice {
    /// `good`, `note` or `bad`: also its class in the style.
    pub kind: &'static str,
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub state: String,
    /// What to do; empty where all is well.
    pub remedy: &'static str,
    /// Paragraph of docs/RUNBOOK.md.
    pub runbook: &'static str,
}

/// All of them, what is wrong first.
pub fn of(shown: &Shown<'_>) -> Vec<Notice> {
    let mut out: Vec<Notice> = shown.checks.iter().map(check).collect();
    more(shown.snapshot, shown.now, &mut out);
    // Readiness takes a clock that can't be relied on for good enough; people want to know.
    if out.iter().any(|n| n.name == CLOCK && n.kind != "good") {
        out.retain(|n| n.name != CLOCK || n.kind != "good");
    }
    let order = |n: &Notice| match n.kind {
        "bad" => 0,
        "note" => 1,
        _ => 2,
    };
    out.sort_by_key(order);
    out
}

fn check(c: &Check) -> Notice {
    let (remedy, runbook) = match c.name.split(' ').next().unwrap_or_default() {
        "capture" => (
            "Bring the link up (ip link show). An interface that comes back is taken over by itself.",
            "TracehopCaptureDown",
        ),
        "store" => (
            "Make room (df -h, df -i). The probe tries again by itself and needs no restart.",
            "TracehopStoreNotWritable",
        ),
        "trust" => (
            "tracehop check names what is missing of [credentials].",
            "TracehopTrustListEnded",
        ),
        "portal" => (
            "Look at the portal's address, certificate and secrets; what goes wrong is tried again.",
            "TracehopPortalUnreachable",
        ),
        "outbox" => (
            "The answer is signed and the portal does not take it: mend the way to it.",
            "TracehopOutboxStuck",
        ),
        _ => (
            "A thread stands still, a defect of tracehop: keep the log and restart.",
            "TracehopDefect",
        ),
    };
    match c.ok {
        true => Notice::good(&c.name, &c.state),
        false => Notice {
            kind: "bad",
            name: c.name.clone(),
            state: c.state.clone(),
            remedy,
            runbook,
        },
    }
}

impl Notice {
    fn good(name: &str, state: &str) -> Self {
        Self {
            kind: "good",
            name: name.to_owned(),
            state: state.to_owned(),
            remedy: "",
            runbook: "",
        }
    }
}

fn more(s: &Snapshot, now: Timestamp, out: &mut Vec<Notice>) {
    let mut say = |kind, name: &str, state: String, remedy, runbook| {
        out.push(Notice {
            kind,
            name: name.to_owned(),
            state,
            remedy,
            runbook,
        });
    };
    for (sensor, looked) in &s.sensors {
        let age = now.secs().saturating_sub(looked.secs());
        if age > SILENT {
            let state = match looked.secs() {
                0 => "never looked, as far as the store knows".to_owned(),
                _ => format!("has not looked since {}", moment(*looked, now)),
            };
            say(
                "bad",
                &format!("sensor {sensor}"),
                state,
                "Start the agent, or mend its entry in [[hep.agent]].",
                "TracehopSensorBlind",
            );
        }
    }
    if s.clock
        .0
        .is_none_or(|c| c.bound_ns() > u64::from(HEALTHY_CLOCK_NS))
    {
        say(
            "note",
            CLOCK,
            "can't be relied on: calls are judged, and nothing is answered automatically"
                .to_owned(),
            "Start the host's time service, and see that it reaches its servers.",
            "TracehopClockUnhealthy",
        );
    }
    if let Some(trust) = &s.trust {
        for (list, ends) in [
            ("list of authorities", trust.ca_list_ends),
            ("revocation list", trust.crl_ends),
        ] {
            let Some(ends) = ends else { continue };
            let left = ends.secs().saturating_sub(now.secs());
            let remedy = "Put a newer list in place and reload, or mend the way to the STI-PA.";
            match left {
                ..=0 => say(
                    "bad",
                    list,
                    format!("has ended: {}", moment(ends, now)),
                    remedy,
                    "TracehopTrustListEnded",
                ),
                1..=ENDS_SOON => say(
                    "note",
                    list,
                    format!("ends in {}", span(now.distance(ends))),
                    remedy,
                    "TracehopTrustListEnds",
                ),
                _ => {}
            }
        }
        if trust.kept_old {
            say(
                "note",
                "lists",
                "newer ones were refused, and older ones are used instead".to_owned(),
                "tracehop check says why.",
                "TracehopTrustKeptOld",
            );
        }
    }
    if s.config.is_some_and(|c| !c.good) {
        say(
            "note",
            "configuration",
            "the last reload was refused: all of the old one stays".to_owned(),
            "tracehop check names every problem.",
            "TracehopConfigRejected",
        );
    }
    if let Some(lag) = s.store.and_then(|s| s.lag).filter(|l| l.as_secs() > BEHIND) {
        say(
            "note",
            "lag",
            format!(
                "the last message was recorded {} after it passed",
                span(lag)
            ),
            "Look at the disk and the processor.",
            "TracehopLag",
        );
    }
    let lost = s
        .store
        .map_or(0, |s| s.lost + s.lost_ends + s.lost_evidence);
    if lost > 0 {
        say(
            "note",
            "records",
            format!("{} could not be stored since the start", grouped(lost)),
            "The ledger says of which minutes; mend the disk.",
            "TracehopRecordsLost",
        );
    }
    let space = s.store.and_then(|s| s.space);
    if let Some(space) = space.filter(|s| s.room != Room::Plenty) {
        say(
            "warning",
            "room",
            space.to_string(),
            "No evidence is kept, and its oldest days go. Make room on that disk.",
            "TracehopStoreSpace",
        );
    }
    let dropped: u64 = s.interfaces.iter().map(|i| i.drops).sum();
    if dropped > 0 {
        say(
            "note",
            "drops",
            format!(
                "the kernel dropped {} packets since the start",
                grouped(dropped)
            ),
            "More ring_megabytes for bursts, more threads for a busy interface.",
            "TracehopDrops",
        );
    }
    let unchecked = s
        .shed
        .iter()
        .filter(|(kind, _)| *kind == "check")
        .map(|(_, n)| n)
        .sum();
    if unchecked > 0 {
        say(
            "note",
            "overload",
            format!(
                "{} signatures were left unchecked since the start",
                grouped(unchecked)
            ),
            "More cores, or fewer interfaces on this probe.",
            "TracehopOverload",
        );
    }
    let panics = s.threads.iter().map(|t| t.panics).sum::<u64>()
        + s.responder.as_ref().map_or(0, |r| r.panics);
    if panics > 0 {
        say(
            "note",
            "defects",
            format!("{} panics were caught since the start", grouped(panics)),
            "Report them with the log.",
            "TracehopDefect",
        );
    }
    for sink in s.findings.iter().filter(|f| !f.works) {
        say(
            "note",
            &format!("sink {}", sink.name),
            "findings do not reach it".to_owned(),
            "Mend the receiver: they are tried again, as often as is allowed.",
            "TracehopFindingsStuck",
        );
    }
    let Some(r) = &s.responder else { return };
    if r.figures.halted {
        say(
            "note",
            "answers",
            "a person has stopped everything that leaves".to_owned(),
            "tracehop inbox resume, when the reason is gone.",
            "TracehopAnswersHalted",
        );
    }
    for p in &r.figures.pressing {
        let near = |percent| {
            p.near
                .iter()
                .find(|(at, _)| *at == percent)
                .map_or(0, |(_, n)| *n)
        };
        let remedy = "tracehop inbox list shows them; decide, or mend the way to the portal.";
        let name = format!("deadlines of {}", p.portal);
        match (near(90), near(75)) {
            (0, 0) => {}
            (0, n) => say(
                "note",
                &name,
                format!(
                    "{} requests have used three quarters of their time",
                    grouped(n)
                ),
                remedy,
                "TracehopHopDeadlineNear",
            ),
            (n, _) => say(
                "bad",
                &name,
                format!(
                    "{} requests have used nine tenths of their time, or all of it",
                    grouped(n)
                ),
                remedy,
                "TracehopHopDeadlineClose",
            ),
        }
    }
}
