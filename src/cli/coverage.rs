//! `tracehop coverage`: when each sensor looked, what it missed, and when nobody did.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::output::{self, say};
use super::{Failure, Outcome, load, span, time};
use crate::base::Timestamp;
use crate::call::record::{Coverage, Down};
use crate::store::Lookup;
use crate::store::embedded::EmbeddedStore;
use crate::traceback::coverage::{LEAST_SHARE, Sight, clock_is_healthy};

/// What is shown when nobody says since when.
const SPAN: Duration = Duration::from_secs(24 * 3600);

/// Rows that follow each other within this leave no gap: rounding at the minute's end, and rows that begin a little late to stand beside others.
const SEAM: Duration = Duration::from_millis(1);

/// Shows when each sensor looked, what it missed and why, and when it was down
#[derive(Debug, Args)]
pub struct Show {
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
    /// Beginning, RFC 3339 [default: 24 hours before the end]
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// End, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Only this sensor
    #[arg(long, value_name = "NAME")]
    sensor: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> Outcome {
        let config = load(&self.config)?;
        let (since, until) = span(self.since, self.until, SPAN)?;
        let (store, report) =
            EmbeddedStore::open_reader(&config.store.path, &config.store.settings)
                .map_err(Failure::no_input)?;
        if report.bad_frames > 0 {
            output::complain(format_args!(
                "{}: {} damaged stretches in the log: rows in them are lost",
                config.store.path.display(),
                report.bad_frames
            ));
        }
        let mut rows = store.coverage(since, until).map_err(Failure::io)?;
        rows.retain(|r| self.sensor.as_ref().is_none_or(|s| **s == *r.sensor));
        let mut sensors: BTreeMap<Arc<str>, Vec<Coverage>> = BTreeMap::new();
        if let Some(asked) = &self.sensor {
            sensors.insert(asked.as_str().into(), Vec::new());
        }
        for row in rows {
            sensors.entry(row.sensor.clone()).or_default().push(row);
        }
        let shown: Vec<_> = sensors
            .into_iter()
            .map(|(sensor, rows)| {
                let share = Sight::over(&rows, since, until, &[]).share;
                (sensor, share, fold(&rows, since, until))
            })
            .collect();
        if self.json {
            let sensors: Vec<_> = shown
                .iter()
                .map(|(sensor, share, ranges)| {
                    let ranges: Vec<_> = ranges.iter().map(Range::as_json).collect();
                    json!({ "sensor": sensor, "share": share, "ranges": ranges })
                })
                .collect();
            output::json(&json!({ "since": since, "until": until, "sensors": sensors }))?;
        } else if shown.is_empty() {
            say!(
                "nothing is known of {since} to {until}: no sensor looked, or its records are gone; --since and --until choose another time"
            );
        } else {
            for (sensor, share, ranges) in &shown {
                let (since, until) = (seconds(since), seconds(until));
                say!("{sensor}: {} of {since} to {until} seen", percent(*share));
                let rows = ranges.iter().map(Range::cells).collect();
                let header = ["from", "until", "state", "seen", "packets", "messages"];
                let header: Vec<_> = header.into_iter().chain(["missed"]).collect();
                say!("{}\n", output::table(&header, rows, header.len()));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// In which state a sensor was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It looked, and lost next to nothing.
    Whole,
    /// It looked, and lost more than one in a thousand, or the record of a call.
    Lossy,
    /// It looked by a clock that can't be relied on.
    Clock,
    /// It is known not to have looked.
    Down(Down),
    /// Nothing is known.
    Dark,
}

impl State {
    fn of(row: &Coverage) -> Self {
        if let Some(why) = row.down {
            Self::Down(why)
        } else if row.completeness() < LEAST_SHARE || !row.keeps_all_records() {
            Self::Lossy
        } else if !clock_is_healthy(row) {
            Self::Clock
        } else {
            Self::Whole
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Lossy => "lossy",
            Self::Clock => "clock",
            Self::Down(_) => "down",
            Self::Dark => "unknown",
        }
    }

    fn why(self) -> Option<&'static str> {
        match self {
            Self::Whole | Self::Lossy => None,
            Self::Clock => Some("the clock could not be relied on"),
            Self::Down(why) => Some(why.what()),
            Self::Dark => Some("nobody was looking, or nothing was kept"),
        }
    }
}

/// Rows of equal state that follow each other.
#[derive(Clone, Debug, PartialEq)]
struct Range {
    state: State,
    /// Their sum.
    is: Coverage,
}

/// Rows of one sensor, by time, as ranges of equal state, with what lies between.
fn fold(rows: &[Coverage], since: Timestamp, until: Timestamp) -> Vec<Range> {
    let mut out: Vec<Range> = Vec::new();
    let mut known = since;
    for row in rows {
        let (from, end) = (row.from.max(since), row.until.min(until));
        // What covers nothing still counts, with its neighbour.
        if end <= from {
            match out
                .last_mut()
                .filter(|r| row.down.is_none() && r.state != State::Dark)
            {
                Some(last) => last.is.merge(row),
                None => continue,
            }
            continue;
        }
        let gap = from > known && from.distance(known) > SEAM;
        if gap {
            out.push(Range::dark(known, from));
        }
        let state = State::of(row);
        match out.last_mut() {
            Some(last) if last.state == state && !gap => {
                last.is.merge(row);
                last.is.until = last.is.until.max(end);
            }
            _ => out.push(Range {
                state,
                is: Coverage {
                    from,
                    until: end,
                    ..row.clone()
                },
            }),
        }
        known = known.max(end);
    }
    if until > known && until.distance(known) > SEAM {
        out.push(Range::dark(known, until));
    }
    out
}

impl Range {
    fn dark(from: Timestamp, until: Timestamp) -> Self {
        Self {
            state: State::Dark,
            is: Coverage {
                from,
                until,
                ..Coverage::default()
            },
        }
    }

    /// What was missed, by kind; nothing where it was nothing.
    fn missed(&self) -> Vec<(&'static str, u64)> {
        let c = &self.is;
        let others = c
            .incomplete
            .saturating_sub(c.lost_fragments)
            .saturating_sub(c.tcp_gaps);
        [
            ("dropped", c.dropped),
            ("ring full", c.freezes),
            ("fragments lost", c.lost_fragments),
            ("TCP gaps", c.tcp_gaps),
            ("cut otherwise", others),
            ("unreadable", c.unreadable),
            ("shed", c.shed),
            ("not verified", c.unverified),
            ("records lost", c.lost_records),
        ]
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .collect()
    }

    fn share(&self) -> f64 {
        match self.state {
            State::Down(_) | State::Dark => 0.0,
            State::Whole | State::Lossy | State::Clock => self.is.completeness(),
        }
    }

    fn cells(&self) -> Vec<String> {
        let missed = self
            .missed()
            .into_iter()
            .map(|(what, n)| format!("{n} {what}"));
        let why = self.state.why().map(str::to_owned);
        let missed: Vec<_> = why.into_iter().chain(missed).collect();
        let counts = match self.state {
            State::Down(_) | State::Dark => [String::new(), String::new()],
            _ => [self.is.packets, self.is.messages].map(|n| n.to_string()),
        };
        let [packets, messages] = counts;
        vec![
            seconds(self.is.from),
            seconds(self.is.until),
            self.state.label().to_owned(),
            percent(self.share()),
            packets,
            messages,
            missed.join(", "),
        ]
    }

    fn as_json(&self) -> Value {
        let mut value = json!({
            "from": self.is.from,
            "until": self.is.until,
            "state": self.state.label(),
            "share": self.share(),
        });
        let Some(map) = value.as_object_mut() else {
            return value;
        };
        match self.state {
            State::Dark => {}
            State::Down(why) => {
                map.insert("why".to_owned(), json!(why));
            }
            State::Whole | State::Lossy | State::Clock => {
                if let Ok(Value::Object(counts)) = serde_json::to_value(&self.is) {
                    let known = ["sensor", "from", "until", "down"];
                    let counts = counts.into_iter();
                    map.extend(counts.filter(|(k, _)| !known.contains(&k.as_str())));
                }
            }
        }
        value
    }
}

/// To the second: what is finer tells people nothing, and rows begin a few nanoseconds late where times came twice.
fn seconds(at: Timestamp) -> String {
    Timestamp::from_secs(at.secs()).to_string()
}

/// Two decimals, and never 100 % where something is missing.
fn percent(share: f64) -> String {
    let cut = (share * 10_000.0).floor() / 100.0;
    format!("{cut:.2} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_795_478_400 + secs)
    }

    fn row(from: i64, until: i64, dropped: u64) -> Coverage {
        Coverage {
            from: s(from),
            until: s(until),
            packets: 10,
            messages: 5,
            dropped,
            ..Coverage::default()
        }
    }

    fn folded(rows: &[Coverage]) -> Vec<(i64, i64, State, u64)> {
        let zero = s(0).secs();
        fold(rows, s(0), s(600))
            .into_iter()
            .map(|r| {
                let (from, until) = (r.is.from.secs() - zero, r.is.until.secs() - zero);
                (from, until, r.state, r.is.packets)
            })
            .collect()
    }

    #[test]
    fn minutes_of_equal_state_are_one_range_and_what_lies_between_is_named() {
        let mut down = row(200, 240, 0);
        down.down = Some(Down::Died);
        let mut clock = row(540, 600, 0);
        clock.clock = Some(Default::default());
        let rows = [
            row(-30, 60, 0),
            row(60, 120, 0),
            row(120, 150, 9),
            row(150, 150, 1),
            down,
            row(240, 300, 0),
            clock,
        ];
        assert_eq!(
            folded(&rows),
            [
                (0, 120, State::Whole, 20),
                (120, 150, State::Lossy, 20),
                (150, 200, State::Dark, 0),
                (200, 240, State::Down(Down::Died), 10),
                (240, 300, State::Whole, 10),
                (300, 540, State::Dark, 0),
                (540, 600, State::Clock, 10),
            ]
        );
        assert_eq!(folded(&[]), [(0, 600, State::Dark, 0)]);
    }

    #[test]
    fn what_was_missed_is_said_by_kind_and_adds_up() {
        let mut c = row(0, 60, 3);
        c.incomplete = 6;
        c.lost_fragments = 2;
        c.tcp_gaps = 1;
        let range = &fold(&[c], s(0), s(60))[0];
        assert_eq!(
            range.cells()[6],
            "3 dropped, 2 fragments lost, 1 TCP gaps, 3 cut otherwise"
        );
        let json = range.as_json();
        assert_eq!(
            (&json["state"], &json["tcp_gaps"]),
            (&json!("lossy"), &json!(1))
        );
    }

    #[test]
    fn nearly_all_is_not_all() {
        assert_eq!(percent(0.999_999), "99.99 %");
        assert_eq!(percent(1.0), "100.00 %");
    }
}
