//! What the template is given: words and numbers as they are shown.

use std::time::Duration;

use serde::Serialize;

use super::Shown;
use super::calls::Calls;
use super::day::Begins;
use super::hops::Hops;
use super::notices::{self, Notice};
use super::strip::{Ledger, Strip};
use crate::base::Timestamp;
use crate::daemon::metrics::Snapshot;

/// Gaps of a sensor that are said in words; the picture shows all.
const GAPS: usize = 4;

/// Agents and interfaces in one table.
const ROWS: usize = 50;

#[derive(Debug, Serialize)]
pub(super) struct Model {
    /// Seconds until the page asks for itself again; 0: never.
    again: u32,
    /// `good`, `note` or `bad`: the worst of the notices.
    worst: &'static str,
    sentence: String,
    notices: Vec<Notice>,
    /// Since when today's calls are counted, in words.
    since: String,
    calls: Calls,
    coverage: Coverage,
    hops: Option<Hops>,
    losses: Vec<Line>,
    queues: Vec<Queue>,
    versions: Vec<Line>,
    now: String,
}

/// A name, a value, and what it is.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    name: String,
    value: String,
    bad: bool,
}

#[derive(Debug, Serialize)]
struct Queue {
    name: String,
    waits: String,
    room: String,
    percent: u64,
}

#[derive(Debug, Serialize)]
struct Coverage {
    sensors: Vec<Sensor>,
    more: usize,
    from: String,
    until: String,
    trouble: Option<String>,
    /// Whether it has not been read yet.
    pending: bool,
}

#[derive(Debug, Serialize)]
struct Sensor {
    name: String,
    share: String,
    whole: bool,
    /// Place and length in the picture, kind, and what it says.
    stretches: Vec<(u32, u32, &'static str, String)>,
    /// What was not seen.
    words: String,
}

impl Model {
    pub(super) fn of(shown: &Shown<'_>) -> Self {
        let (s, now) = (shown.snapshot, shown.now);
        let notices = notices::of(shown);
        let worst = notices.first().map_or("good", |n| n.kind);
        let wrong = notices.iter().filter(|n| n.kind != "good").count();
        Self {
            again: if shown.again { 30 } else { 0 },
            worst,
            sentence: match (worst, wrong) {
                ("good", _) => "The probe looks, records and answers.".to_owned(),
                ("note", 1) => "The probe works; one thing wants a look.".to_owned(),
                ("note", n) => format!("The probe works; {n} things want a look."),
                (_, 1) => "One thing is wrong.".to_owned(),
                (_, n) => format!("{n} things are wrong or want a look."),
            },
            notices,
            since: since(shown),
            calls: Calls::of(&shown.day.of(&s.stages.tallies)),
            coverage: coverage(shown.ledger, now),
            hops: s.responder.as_ref().map(|r| Hops::of(r, now)),
            losses: losses(s),
            queues: queues(s),
            versions: versions(s, now),
            now: moment(now, now),
        }
    }
}

fn since(shown: &Shown<'_>) -> String {
    let day = shown.day;
    let at = moment(day.since, shown.now);
    match day.begins {
        Begins::Midnight => "since midnight UTC".to_owned(),
        Begins::Start => {
            format!("since {at}, when the probe started; earlier calls are in its store")
        }
        Begins::Clock => {
            format!("since {at}, when the clock was set; earlier calls are in its store")
        }
        Begins::Defect => format!(
            "since {at}, when the stages began anew after a defect; earlier calls are in its store"
        ),
    }
}

fn coverage(ledger: &Ledger, now: Timestamp) -> Coverage {
    Coverage {
        sensors: ledger.strips.iter().map(|s| sensor(s, now)).collect(),
        more: ledger.more,
        from: moment(ledger.from, now),
        until: moment(ledger.until, now),
        trouble: ledger.trouble.clone(),
        pending: ledger.until == Timestamp::default(),
    }
}

fn sensor(strip: &Strip, now: Timestamp) -> Sensor {
    use super::strip::Cell;
    let said = |from: Timestamp, until: Timestamp| {
        format!("{} to {}", moment(from, now), moment(until, now))
    };
    let stretches = strip.stretches.iter().map(|s| {
        let what = format!("{}: {}", said(s.from, s.until), s.cell.what());
        (s.first, s.cells, s.cell.label(), what)
    });
    let missed: Vec<_> = strip
        .stretches
        .iter()
        .filter(|s| s.cell != Cell::Whole)
        .collect();
    let first = missed.iter().rev().take(GAPS);
    let mut words: Vec<String> = first
        .map(|s| format!("{} {}", said(s.from, s.until), s.cell.what()))
        .collect();
    if missed.len() > GAPS {
        words.push(format!("and {} times before", missed.len() - GAPS));
    }
    Sensor {
        name: strip.sensor.to_string(),
        share: percent(strip.share),
        whole: missed.is_empty(),
        stretches: stretches.collect(),
        words: words.join("; "),
    }
}

fn losses(s: &Snapshot) -> Vec<Line> {
    let mut out = Vec::new();
    let mut line = |name: String, n: u64| {
        out.push(Line {
            name,
            value: grouped(n),
            bad: n > 0,
        });
    };
    for i in s.interfaces.iter().take(ROWS) {
        line(
            format!(
                "{}: packets dropped by the kernel, of {}",
                i.name,
                grouped(i.packets)
            ),
            i.drops,
        );
    }
    let hep = |name: &str| {
        let of = s.mirror.0.iter().filter(|(n, _)| *n == name);
        of.map(|(_, n)| n).sum::<u64>()
    };
    if !s.mirror.0.is_empty() {
        line(
            format!("HEP: datagrams dropped, of {}", grouped(hep("packets_in"))),
            hep("dropped") + hep("queue_full"),
        );
    }
    for (kind, n) in &s.shed {
        let what = match *kind {
            "retransmission" => "repeated INVITEs let go under overload",
            "answer" => "answers, ACK, CANCEL and BYE let go under overload",
            "check" => "signatures left unchecked under overload",
            _ => "other messages let go under overload",
        };
        line(what.to_owned(), *n);
    }
    if let Some(store) = &s.store {
        line(
            "records that could not be stored".to_owned(),
            store.lost + store.lost_ends,
        );
        line(
            "evidence that could not be stored".to_owned(),
            store.lost_evidence,
        );
    }
    line("messages behind their time".to_owned(), s.sequence.0);
    out
}

fn queues(s: &Snapshot) -> Vec<Queue> {
    let mut out = Vec::new();
    let mut queue = |name: String, waits: usize, room: usize| {
        let percent = waits
            .saturating_mul(100)
            .checked_div(room)
            .unwrap_or(0)
            .min(100);
        out.push(Queue {
            name,
            waits: grouped(u64::try_from(waits).unwrap_or(u64::MAX)),
            room: match room {
                0 => "–".to_owned(),
                n => grouped(u64::try_from(n).unwrap_or(u64::MAX)),
            },
            percent: u64::try_from(percent).unwrap_or(100),
        });
    };
    for q in &s.queues {
        queue(format!("batches for {}", q.name), q.depth, q.capacity);
    }
    queue(
        "messages that wait for slower sources".to_owned(),
        s.sequence.1,
        0,
    );
    if let Some(fetch) = &s.stages.fetch {
        queue("certificates to be asked for".to_owned(), fetch.waiting, 0);
    }
    for sink in &s.findings {
        queue(
            format!("findings for {}", sink.name),
            sink.waiting,
            sink.capacity,
        );
    }
    out
}

fn versions(s: &Snapshot, now: Timestamp) -> Vec<Line> {
    let mut out = Vec::new();
    let mut line = |name: &str, value: String| {
        out.push(Line {
            name: name.to_owned(),
            value,
            bad: false,
        });
    };
    line("tracehop", env!("CARGO_PKG_VERSION").to_owned());
    if let Some(at) = s.process.and_then(|p| p.started) {
        line(
            "running since",
            format!("{} ({})", moment(at, now), span(now.distance(at))),
        );
    }
    if let Some(c) = &s.config {
        line(
            "configuration",
            format!("{:08x}, read {}", c.version, moment(c.reloaded, now)),
        );
    }
    if let Some(t) = &s.trust {
        let ends = |at: Option<Timestamp>, without: &str| {
            at.map_or(without.to_owned(), |at| format!("ends {}", moment(at, now)))
        };
        line(
            "authorities",
            format!(
                "{}, {}",
                t.authorities,
                ends(t.ca_list_ends, "from a file that does not end")
            ),
        );
        line("revocation list", ends(t.crl_ends, "none in use"));
    }
    if let Some(bytes) = s.store.and_then(|s| s.bytes) {
        line("store", format!("{} MB", grouped(bytes / 1_000_000)));
    }
    if let Some(bytes) = s.process.and_then(|p| p.resident_bytes) {
        line("memory", format!("{} MB", grouped(bytes / 1_000_000)));
    }
    out
}

/// Digits in groups of three.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Hour and minute of UTC, with the date where it is another day than now.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> String {
    let text = at.to_string();
    let (Some(date), Some(time)) = (text.get(..10), text.get(11..16)) else {
        return text;
    };
    match now.to_string().get(..10) == Some(date) {
        true => format!("{time} UTC"),
        false => format!("{date} {time} UTC"),
    }
}

/// A span in the two units that matter.
pub(super) fn span(d: Duration) -> String {
    let s = d.as_secs();
    let (days, hours, minutes) = (s / 86_400, s / 3_600 % 24, s / 60 % 60);
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{minutes} min"),
        3_600..86_400 => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Two decimals, and never 100 % where something is missing.
fn percent(share: f64) -> String {
    let cut = (share * 10_000.0).floor() / 100.0;
    format!("{cut:.2} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_times_and_spans_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        let now = Timestamp::from_secs(1_795_512_600);
        assert_eq!(moment(now, now), "09:30 UTC");
        assert_eq!(
            moment(now.minus(Duration::from_secs(86_400)), now),
            "2026-11-23 09:30 UTC"
        );
        assert_eq!(span(Duration::from_secs(59)), "59 s");
        assert_eq!(span(Duration::from_secs(3_725)), "1 h 2 min");
        assert_eq!(span(Duration::from_secs(90_000)), "1 d 1 h");
        assert_eq!(percent(0.999_999), "99.99 %");
    }
}
