//! Rows as acts would write them, for tests of what is read: no walk is needed for it.

use std::time::Duration;

use rusqlite::params;
use serde_json::json;

use super::Span;
use crate::base::Timestamp;
use crate::portal::docket::Docket;
use crate::portal::word::{HopState, Outcome};
use crate::traceback::answer::Resolution;

/// 2026-11-24T12:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_795_521_600);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Writes them.
pub(crate) struct Filler<'a>(pub &'a Docket);

impl Filler<'_> {
    pub fn run(&self, sql: &str, values: impl rusqlite::Params) {
        self.0
            .write(NOW, |w| Ok(w.tx.execute(sql, values)?))
            .unwrap();
    }

    pub fn provider(&self, id: &str, country: &str) {
        self.run(
            "INSERT INTO provider (id, name, country, created, changed) VALUES (?, ?, ?, 0, 0)",
            [id, &format!("{} Telecom", id.to_uppercase()), country],
        );
    }

    pub fn case(&self, id: &str, created: Timestamp, outcome: Option<(Outcome, &str)>, hops: u32) {
        self.run(
            "INSERT INTO trace (id, state, outcome, priority, requester, organisation, called, called_at, call, first_provider, ended_at, hops,
                 changed, created, closed) VALUES (?1, ?2, ?3, 0, 'req', 'org', '12025550101', ?4, '{}', 'a', ?5, ?6, ?4, ?4, ?7)",
            params![
                id,
                outcome.map_or("open", |_| "closed"),
                outcome.map(|(o, _)| o.label()),
                created.nanos(),
                outcome.map(|(_, at)| at),
                hops,
                outcome.map(|_| created.plus(HOUR).nanos())
            ],
        );
    }

    #[allow(clippy::too_many_arguments)]
    pub fn hop(
        &self,
        case: &str,
        n: u32,
        provider: &str,
        downstream: Option<&str>,
        issued: Timestamp,
        answered: Option<Duration>,
        state: HopState,
        named: Option<&str>,
    ) {
        let octets = json!({ "call": { "called": "+12025550101" } }).to_string();
        let parent = (n > 1).then(|| format!("{case}-{:02}", n - 1));
        self.run(
            "INSERT INTO hop (id, trace, n, depth, parent, branch, provider, downstream, state, octets, sha256, issued, due, deadline, answered,
                 resolution, named, answer, in_time) VALUES (?, ?, ?, ?, ?, 'main', ?, ?, ?, ?, '', ?, ?, '{}', ?, ?, ?, ?, ?)",
            params![
                format!("{case}-{n:02}"),
                case,
                n,
                n,
                parent,
                provider,
                downstream,
                state.label(),
                octets.as_bytes(),
                issued.nanos(),
                issued.plus(HOUR * 24).nanos(),
                answered.map(|d| issued.plus(d).nanos()),
                answered.map(|_| Resolution::UpstreamDomestic.label()),
                named,
                answered.map(|_| format!("answer-{n}")),
                answered.map(|d| d <= HOUR * 24),
            ],
        );
        if answered.is_some() {
            self.run(
                "INSERT INTO answer (hop, id, revision, state, way, received, by, octets, digest, resolution, named)
                 VALUES (?, ?, 1, 'current', 'machine', 0, 'provider:x', x'7b7d', 'd', 'UPSTREAM_DOMESTIC', ?)",
                params![format!("{case}-{n:02}"), format!("answer-{n}"), named],
            );
        }
    }
}

/// Two closed cases, and one that hangs at a silent provider; a month before, one of provider `a`.
pub(crate) fn small(docket: &Docket) -> Span {
    let f = Filler(docket);
    for (id, country) in [("a", "US"), ("b", "US"), ("c", "CA"), ("d", "US")] {
        f.provider(id, country);
    }
    let (long_ago, t) = (NOW.minus(HOUR * 24 * 60), NOW.minus(HOUR * 24 * 10));
    f.case("TB-1", long_ago, Some((Outcome::NotFound, "a")), 1);
    f.hop(
        "TB-1",
        1,
        "a",
        None,
        long_ago,
        Some(HOUR),
        HopState::Answered,
        None,
    );
    f.case("TB-2", t, Some((Outcome::Originator, "b")), 2);
    f.hop(
        "TB-2",
        1,
        "a",
        None,
        t,
        Some(HOUR),
        HopState::Answered,
        Some("b"),
    );
    f.hop(
        "TB-2",
        2,
        "b",
        Some("a"),
        t,
        Some(HOUR * 2),
        HopState::Answered,
        None,
    );
    f.case("TB-3", t, Some((Outcome::PointOfEntry, "b")), 2);
    f.run(
        "UPDATE trace SET originator = '{\"name\":\"X\",\"country\":\"xx\"}' WHERE id = 'TB-3'",
        [],
    );
    f.hop(
        "TB-3",
        1,
        "a",
        None,
        t,
        Some(HOUR * 30),
        HopState::Answered,
        Some("b"),
    );
    f.hop(
        "TB-3",
        2,
        "b",
        Some("a"),
        t,
        Some(HOUR * 3),
        HopState::Answered,
        None,
    );
    f.case("TB-4", t, None, 1);
    f.hop(
        "TB-4",
        1,
        "a",
        None,
        t,
        Some(HOUR),
        HopState::Answered,
        Some("c"),
    );
    f.hop(
        "TB-4",
        2,
        "c",
        Some("a"),
        t,
        None,
        HopState::NonResponsive,
        None,
    );
    f.hop("TB-4", 3, "d", None, t, None, HopState::Withdrawn, None);
    Span {
        from: NOW.minus(HOUR * 24 * 30),
        to: NOW,
    }
}
