//! Open hop requests with their deadlines. Ids are the portal's words: what in them reads like a telephone number is masked.

use serde::Serialize;

use super::model::{grouped, moment, span};
use crate::base::Timestamp;
use crate::daemon::metrics::snapshot::Responder;
use crate::responder::case::RequestState;

/// From so many digits on, hyphens and the like between them, it may be a number that somebody can be called at: national numbers of ten digits.
const DIGITS: usize = 10;

/// Longest id that is shown.
const LONGEST: usize = 40;

/// What the desk has.
#[derive(Debug, Serialize)]
pub struct Hops {
    /// How many are open.
    open: String,
    /// How many of them are not shown.
    more: Option<String>,
    rows: Vec<Row>,
    /// When the desk was last read.
    read: String,
    /// Whether a person has stopped everything that leaves.
    halted: bool,
    outbox: String,
}

#[derive(Debug, Serialize)]
struct Row {
    portal: String,
    id: String,
    state: &'static str,
    what: &'static str,
    due: String,
    /// In words: in so long, or so long ago.
    rest: String,
    late: bool,
    /// By the alarms that have rung.
    percent: u8,
    timed: bool,
}

impl Hops {
    pub fn of(r: &Responder, now: Timestamp) -> Self {
        let figures = &r.figures;
        let open = figures
            .requests
            .iter()
            .filter(|(_, state, _)| is_open(*state));
        let open: u64 = open.map(|(.., n)| n).sum();
        let shown = u64::try_from(figures.open.len()).unwrap_or(u64::MAX);
        let more = open.saturating_sub(shown);
        let rows = figures.open.iter().map(|h| {
            let late = h.due <= now;
            let rest = span(now.distance(h.due));
            Row {
                portal: h.key.portal.to_string(),
                id: masked(&h.key.id),
                state: h.state.label(),
                what: what(h.state),
                due: moment(h.due, now),
                rest: match late {
                    true => format!("{rest} ago"),
                    false => format!("in {rest}"),
                },
                late: late && h.timed,
                percent: h.percent,
                timed: h.timed,
            }
        });
        let outbox = figures.outbox.iter().map(|(_, n)| n).sum();
        Self {
            open: grouped(open),
            more: (more > 0).then(|| grouped(more)),
            rows: rows.collect(),
            read: r.at.map_or("not yet".to_owned(), |at| moment(at, now)),
            halted: figures.halted,
            outbox: grouped(outbox),
        }
    }
}

/// As the desk counts them: over is what is sent and what came after.
const fn is_open(state: RequestState) -> bool {
    use RequestState::*;
    match state {
        Received | Ready | Review | NeedsInfo | Outbox | Disputed => true,
        Sent | Accepted | Closed | Expired | Withdrawn => false,
    }
}

const fn what(state: RequestState) -> &'static str {
    use RequestState::*;
    match state {
        Received => "is being looked up",
        Ready => "in shadow: compare it with your own answer",
        Review => "a person must decide",
        NeedsInfo => "waits for the portal's word",
        Outbox => "waits for the portal to take it",
        Disputed => "disputed: a person must look",
        Sent | Accepted | Closed | Expired | Withdrawn => "over",
    }
}

/// An id without what may be a telephone number, cut to a length that a table bears.
fn masked(id: &str) -> String {
    let mut out = String::new();
    let mut run = String::new();
    let mut digits = 0;
    let flush = |out: &mut String, run: &mut String, digits: &mut usize| {
        match *digits >= DIGITS {
            true => out.push('…'),
            false => out.push_str(run),
        }
        run.clear();
        *digits = 0;
    };
    for c in id.chars().take(LONGEST) {
        if c.is_ascii_digit() || (digits > 0 && matches!(c, '-' | '.' | ' ' | '(' | ')' | '/')) {
            digits += usize::from(c.is_ascii_digit());
            run.push(c);
        } else {
            flush(&mut out, &mut run, &mut digits);
            out.push(c);
        }
    }
    flush(&mut out, &mut run, &mut digits);
    if id.chars().count() > LONGEST {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_like_a_telephone_number_is_not_shown() {
        for (id, shown) in [
            ("HR-0001", "HR-0001"),
            ("itg-48213377", "itg-48213377"),
            ("12025550123", "…"),
            ("call+1 (202) 555-0123/a", "call+…a"),
            ("c-202-555-0123", "c-…"),
            (
                "123e4567-e89b-12d3-a456-426614174000",
                "123e4567-e89b-12d3-a…",
            ),
        ] {
            assert_eq!(masked(id), shown);
        }
        assert_eq!(masked(&"a".repeat(500)).chars().count(), LONGEST + 1);
    }
}
