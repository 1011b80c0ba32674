//! Dockets with something in them, for tests and benches.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Transaction, params};
use serde_json::json;

use super::{Docket, Result};
use crate::base::Timestamp;
use crate::portal::settings::PortalSettings;
use crate::proof::sign::Signer;

/// Settings of a portal on loopback that takes as much as comes.
pub fn settings(folder: &Path) -> PortalSettings {
    let mut settings = PortalSettings::sample(folder);
    settings.name = "portal.example.net".into();
    settings.intake.per_day = 1_000_000;
    settings.walk.most_hops = 15;
    settings
}

/// A docket in a folder.
///
/// # Errors
///
/// As [`Docket::open`].
pub fn open(folder: &Path, signer: Signer) -> Result<Docket> {
    Docket::open(settings(folder), Arc::new(signer))
}

/// Organisations that hand requests in.
const ORGANISATIONS: [&str; 3] = ["Example Bureau", "Example Bank", "Example Utility"];
/// Carriers of the sample.
pub const CARRIERS: i64 = 12;

/// Puts so many cases into a docket, each with some hops, as rows: no walk is made and nothing is signed. What a page shows of them is of the size of real ones.
///
/// # Errors
///
/// The database.
pub fn fill(docket: &Docket, cases: u32) -> Result<()> {
    let now = Timestamp::from_secs(1_795_711_461);
    docket.write(now, |w| {
        for n in 0..CARRIERS {
            w.tx.execute(
                "INSERT INTO provider (id, name, created, changed) VALUES (?, ?, 0, 0)",
                params![carrier(n), format!("Carrier {n} of Example")],
            )?;
        }
        w.tx.execute_batch(
            "INSERT INTO campaign (id, name, category, created, created_by) VALUES (1, 'Tax refund', 'government-impersonation', 0, 'ann'), (2, 'Meter swap', 'business-impersonation', 0, 'ann')",
        )?;
        for n in 0..cases {
            case(w.tx, n.into(), cases.into(), now)?;
        }
        Ok(())
    })
}

fn carrier(n: i64) -> String {
    format!("EX-{n:02}")
}

fn case(tx: &Transaction<'_>, n: i64, all: i64, now: Timestamp) -> super::Done<()> {
    let id = format!("TB-2026-{:06}", n + 1);
    let minutes = |m: i64| Duration::from_secs(60 * m.unsigned_abs());
    let created = now.minus(minutes(all - n));
    let at = |m: i64| created.plus(minutes(m)).nanos();
    let (state, outcome) = match n % 10 {
        0 => ("closed", Some("originator")),
        1 => ("closed", Some("point-of-entry")),
        2 => ("closed", Some("non-responsive")),
        3 => ("stuck", None),
        4 => ("submitted", None),
        _ => ("open", None),
    };
    let hops = if state == "submitted" { 0 } else { 2 + n % 4 };
    let organisation = ORGANISATIONS
        .iter()
        .cycle()
        .nth(usize::try_from(n % 3).unwrap_or(0));
    let closed = state == "closed";
    let called = format!("1202555{:04}", 100 + n % 100);
    let call = json!({ "called": called, "calling": "12025550199", "time": { "value": created.to_string() } });
    tx.execute(
        "INSERT INTO trace (id, state, outcome, priority, campaign, requester, organisation, legal_basis, evidence, called, calling, called_at, call, first_provider,
             ended_at, summary, hops, verified, opened, changed, closed, created)
         VALUES (?, ?, ?, ?, ?, 'rita', ?, 'Example Act', 'A voice says that a tax refund waits.', ?, '12025550199', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            id,
            state,
            outcome,
            i64::from(n % 37 == 0) + i64::from(n % 74 == 0),
            (n % 3 > 0).then_some(n % 3),
            organisation,
            called,
            created.nanos(),
            call.to_string(),
            carrier(n % CARRIERS),
            closed.then(|| carrier((n + hops) % CARRIERS)),
            if closed { "The path ends here." } else { "" },
            hops,
            closed,
            at(1),
            at(hops + 1),
            closed.then(|| at(hops + 1)),
            created.nanos()
        ],
    )?;
    for h in 0..hops {
        let answered = closed || h + 1 < hops;
        let hop = |h: i64| format!("{id}-{:02}", h + 1);
        let request = json!({ "id": hop(h), "case_id": id, "hop_no": h + 1, "call": call, "due_at": now.to_string() });
        let text = request.to_string();
        tx.execute(
            "INSERT INTO hop (id, trace, n, depth, parent, branch, provider, downstream, state, octets, sha256, issued, due, deadline, acked, answered, resolution, named, in_time)
             VALUES (?, ?, ?, ?, ?, 'main', ?, ?, ?, ?, ?, ?, ?, '{}', ?, ?, ?, ?, ?)",
            params![
                hop(h),
                id,
                h + 1,
                h + 1,
                (h > 0).then(|| hop(h - 1)),
                carrier((n + h) % CARRIERS),
                (h > 0).then(|| carrier((n + h - 1) % CARRIERS)),
                if answered { "answered" } else { "acknowledged" },
                text.as_bytes(),
                "00",
                at(h + 1),
                at(h + 1 + 1440),
                at(h + 1),
                answered.then(|| at(h + 2)),
                answered.then_some("UPSTREAM_DOMESTIC"),
                answered.then(|| carrier((n + h + 1) % CARRIERS)),
                answered.then_some(true)
            ],
        )?;
    }
    Ok(())
}

/// One with nothing in it, and the folder that it is gone with.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub fn empty() -> (Docket, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let signer = crate::proof::sign::new_key(&folder.path().join("portal.key")).unwrap();
    (open(folder.path(), signer).unwrap(), folder)
}
