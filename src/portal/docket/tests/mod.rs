//! Acts on cases, with real keys and real signatures, on a database of their own.

mod acts;
mod model;
mod requests;
mod trace;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;
use serde_json::{Value, json};

use super::directory::Card;
use super::*;
use crate::portal::settings::{IntakeSettings, PortalSettings, WalkSettings};
use crate::portal::word::{CaseState, Outcome, Role};
use crate::proof::Who;
use crate::proof::sign::{Kind, Signed, new_key};
use crate::traceback::answer::{Resolution, answer_id};

/// Tuesday, 24 November 2026, 15:00:00 UTC: business hours in New York.
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_795_532_400);
/// The call: ten minutes before.
pub(super) const CALL: &str = "2026-11-24T14:50:07Z";

pub(super) fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

/// A portal with providers P1 to P9, each with its key.
pub(super) struct Portal {
    pub docket: Docket,
    pub signers: Vec<Signer>,
    _folder: tempfile::TempDir,
}

pub(super) fn settings(folder: &Path) -> PortalSettings {
    PortalSettings {
        name: "portal.example".into(),
        state: folder.join("state"),
        intake: IntakeSettings {
            per_day: 5,
            oldest_days: 365,
            ..IntakeSettings::default()
        },
        walk: WalkSettings {
            grace: Duration::from_secs(600),
            most_hops: 12,
            deadline: Some(Duration::from_secs(3600)),
            ..WalkSettings::default()
        },
        ..PortalSettings::sample(folder)
    }
}

pub(super) fn portal() -> Portal {
    portal_with(|_| {})
}

pub(super) fn portal_with(change: impl FnOnce(&mut PortalSettings)) -> Portal {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    change(&mut settings);
    let own = Arc::new(new_key(&settings.key_file).unwrap());
    let docket = Docket::open(settings, own).unwrap();
    let signers: Vec<Signer> = (1..=9)
        .map(|i| new_key(&folder.path().join(format!("p{i}.pem"))).unwrap())
        .collect();
    for (i, signer) in (1..).zip(&signers) {
        list(&docket, &format!("P{i}"), &format!("70{i}J"));
        docket
            .write(NOW, |w| {
                w.tx.execute(
                    "INSERT INTO provider_key (provider, kid, jwk, added) VALUES (?, ?, ?, 0)",
                    params![format!("P{i}"), signer.kid(), signer.jwk().to_string()],
                )?;
                Ok(())
            })
            .unwrap();
    }
    Portal {
        docket,
        signers,
        _folder: folder,
    }
}

/// Puts a provider into the directory.
pub(super) fn list(docket: &Docket, id: &str, ocn: &str) {
    let card = Card {
        ocns: vec![ocn.into()],
        ..Card::new(id, &format!("Provider {id}"))
    };
    docket.add_provider(&Who::Automatic, &card, NOW).unwrap();
}

pub(super) fn analyst() -> Actor {
    Actor {
        who: Who::User("ada".into()),
        role: Role::Analyst,
        organisation: "portal".into(),
        provider: None,
    }
}

pub(super) fn requester(organisation: &str) -> Actor {
    Actor {
        who: Who::User("rob".into()),
        role: Role::Requester,
        organisation: organisation.into(),
        provider: None,
    }
}

pub(super) fn staff(provider: &str) -> Actor {
    Actor {
        who: Who::User("sam".into()),
        role: Role::Provider,
        organisation: provider.into(),
        provider: Some(provider.into()),
    }
}

pub(super) fn handed() -> Handed {
    Handed {
        called: "(202) 555-0123".into(),
        calling: "+1 303 555 0147".into(),
        time: CALL.into(),
        precision_s: Some(30.0),
        provider: "P1".into(),
        campaign: "Warranty".into(),
        evidence: "A recorded voice sells car warranties.".into(),
        ..Handed::default()
    }
}

/// A question, as a test looks at it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub id: String,
    pub provider: String,
    pub downstream: Option<String>,
    pub branch: String,
    pub state: String,
    pub depth: u32,
    pub request: Value,
    pub sha256: String,
}

/// A case, as a test looks at it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Case {
    pub state: String,
    pub outcome: Option<String>,
    pub ended_at: Option<String>,
    pub originator: Option<String>,
    pub summary: String,
    pub hops: i64,
    pub verified: bool,
    pub vouched: i64,
}

impl Portal {
    pub fn open(&self) -> String {
        let done = self.docket.submit(&analyst(), &handed(), NOW).unwrap();
        assert_eq!(done.state, CaseState::Open);
        done.case.to_string()
    }

    pub fn case(&self, id: &str) -> Case {
        self.docket
            .read(|tx| {
                Ok(tx.query_row(
                    "SELECT state, outcome, ended_at, originator, summary, hops, verified, vouched FROM trace WHERE id = ?",
                    [id],
                    |r| {
                        Ok(Case {
                            state: r.get(0)?,
                            outcome: r.get(1)?,
                            ended_at: r.get(2)?,
                            originator: r.get(3)?,
                            summary: r.get(4)?,
                            hops: r.get(5)?,
                            verified: r.get(6)?,
                            vouched: r.get(7)?,
                        })
                    },
                )?)
            })
            .unwrap()
    }

    pub fn asked(&self, case: &str) -> Vec<Asked> {
        self.docket
            .read(|tx| {
                let mut found = tx.prepare(
                    "SELECT id, provider, downstream, branch, state, depth, octets, sha256 FROM hop WHERE trace = ? ORDER BY n",
                )?;
                let rows = found.query_map([case], |r| {
                    let octets: Vec<u8> = r.get(6)?;
                    Ok(Asked {
                        id: r.get(0)?,
                        provider: r.get(1)?,
                        downstream: r.get(2)?,
                        branch: r.get(3)?,
                        state: r.get(4)?,
                        depth: r.get(5)?,
                        request: serde_json::from_slice(&octets).unwrap(),
                        sha256: r.get(7)?,
                    })
                })?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .unwrap()
    }

    pub fn last(&self, case: &str) -> Asked {
        self.asked(case).pop().unwrap()
    }

    /// Texts of one column.
    pub fn column(&self, sql: &str, about: &str) -> Vec<String> {
        self.docket
            .read(|tx| {
                let mut found = tx.prepare(sql)?;
                let rows = found.query_map([about], |r| r.get(0))?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .unwrap()
    }

    /// What a provider was told, by kind, in order.
    pub fn told(&self, provider: &str) -> Vec<String> {
        self.column(
            "SELECT kind FROM event WHERE provider = ? ORDER BY seq",
            provider,
        )
    }

    pub fn findings(&self, case: &str) -> Vec<String> {
        self.column(
            "SELECT kind || ': ' || text FROM finding WHERE trace = ? ORDER BY id",
            case,
        )
    }

    /// The answer to a question, before it is signed.
    pub fn body(&self, asked: &Asked, resolution: &str, party: &str) -> Value {
        let mut answer = json!({
            "id": answer_id(&asked.id, 1), "request_id": asked.id, "case_id": asked.request["case_id"], "hop_no": asked.depth,
            "request_sha256": asked.sha256, "revision": 1,
            "provider": {"name": format!("Provider {}", asked.provider), "portal_id": asked.provider},
            "resolution": resolution, "produced_by": "auto", "matcher_version": "2.1",
        });
        if let Some(digest) = asked.request.get("previous_hop_digest") {
            answer["previous_hop_digest"] = digest.clone();
        }
        let member = match resolution.starts_with("ORIGIN") {
            true => "originator",
            false => "upstream",
        };
        if !party.is_empty() {
            answer[member] = json!({"name": format!("Provider {party}"), "portal_id": party, "country": "US", "gateway": false});
        }
        answer
    }

    /// One that takes the place of the one before.
    pub fn revised(&self, asked: &Asked, resolution: &str, party: &str, revision: u32) -> Value {
        let mut answer = self.body(asked, resolution, party);
        answer["id"] = json!(answer_id(&asked.id, revision));
        answer["revision"] = json!(revision);
        answer["supersedes"] = json!(answer_id(&asked.id, revision - 1));
        answer
    }

    pub fn sign(&self, provider: &str, answer: &Value) -> Signed {
        let n: usize = provider.trim_start_matches('P').parse().unwrap();
        self.signers[n - 1]
            .sign_value(Kind::Answer, answer)
            .unwrap()
    }

    /// Sends a body as the provider's machine.
    pub fn send(&self, asked: &Asked, body: &Value, at: Timestamp) -> Received {
        let signed = self.sign(&asked.provider, body);
        let id = body["id"].as_str().unwrap();
        self.docket
            .answer(&asked.provider, &asked.id, id, &signed.json, at)
            .unwrap()
    }

    /// Answers a question and expects that it is taken.
    pub fn answers(&self, asked: &Asked, resolution: &str, party: &str) {
        let body = self.body(asked, resolution, party);
        assert_eq!(self.send(asked, &body, after(60)), Received::New);
    }

    /// Answers the last question of a case.
    pub fn goes(&self, case: &str, resolution: &str, party: &str) {
        self.answers(&self.last(case), resolution, party);
    }

    /// The open questions, by provider.
    pub fn open_questions(&self, case: &str) -> Vec<Asked> {
        let open = |a: &Asked| matches!(&*a.state, "asked" | "acknowledged" | "needs-info");
        self.asked(case).into_iter().filter(open).collect()
    }

    /// Everything that must hold after whatever happened.
    pub fn sound(&self) {
        let db = rusqlite::Connection::open(self.docket.path()).unwrap();
        let audit = crate::proof::audit::verify::verify(&db, None, &[]).unwrap();
        assert!(audit.holds());
        let bad: i64 = db
            .query_row(
                "SELECT count(*) FROM hop WHERE overdue_at IS NOT NULL AND state NOT IN ('asked', 'acknowledged')",
                [],
                |r| r.get(0),
            )
            .unwrap();
        assert_eq!(bad, 0, "who owes nothing has no deadline");
    }
}

fn wrong(error: &DocketError) -> Vec<&'static str> {
    match error {
        DocketError::Wrong(all) => all.iter().map(|p| p.field).collect(),
        other => panic!("{other}"),
    }
}

fn absent<T: std::fmt::Debug>(done: Result<T>) {
    assert!(matches!(done, Err(DocketError::Absent(_))), "{done:?}");
}

fn refused<T: std::fmt::Debug>(done: Result<T>) -> String {
    match done {
        Err(DocketError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn rejected(received: Received) -> String {
    match received {
        Received::Rejected(all) => all.join("; "),
        other => panic!("{other:?}"),
    }
}
