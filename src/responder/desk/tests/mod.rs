//! The desk over a real database: modes, decisions, the outbox, a portal's word, time; whole restarts in `model`, many at once in `many`.

mod acts;
mod draft;
mod many;
mod model;
mod portal;
mod time;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::proof::sign::Signer;
use crate::responder::adapter::AdapterSettings;
use crate::responder::case::Mode;
use crate::responder::settings::PortalSettings;
use crate::traceback::TracebackSettings;
use crate::traceback::answer::{Party, ProducedBy};
use crate::traceback::deadline::DeadlineRule;
use crate::traceback::request::Insufficient;

/// A Tuesday, 10:00 in New York.
pub(in crate::responder) const NOW: Timestamp = Timestamp::from_secs(1_772_550_000);

/// PKCS#8 of RFC 8410 §10.3, without its attributes: no secret.
pub(super) const KEY: &[u8] = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

pub(in crate::responder) fn portal(name: &str, mode: Mode) -> PortalSettings {
    PortalSettings {
        name: name.into(),
        mode,
        automatic: vec![Resolution::UpstreamDomestic],
        drafts: crate::responder::case::Drafts::Off,
        deadline: DeadlineRule::Us,
        time_zone: "America/New_York".into(),
        requests_per_minute: 60,
        webhook_secrets: None,
        token_file: None,
        client_certificate: None,
        adapter: AdapterSettings::PushOnly,
        reports: Vec::new(),
        reports_per_day: 2,
    }
}

pub(super) fn settings(mode: Mode) -> DeskSettings {
    DeskSettings {
        portals: vec![portal("itg", mode), portal("other", mode)],
        open_requests: 100,
    }
}

pub(in crate::responder) fn signer() -> Option<Arc<Signer>> {
    Some(Arc::new(Signer::load(KEY).unwrap()))
}

/// A desk in a folder of its own.
pub(super) struct Office {
    pub folder: TempDir,
    pub desk: Desk,
}

pub(super) fn open(folder: &Path, mode: Mode) -> Desk {
    Desk::open(folder, settings(mode), signer()).unwrap()
}

pub(super) fn office(mode: Mode) -> Office {
    let folder = tempfile::tempdir().unwrap();
    let desk = open(folder.path(), mode);
    Office { folder, desk }
}

pub(super) fn key(id: &str) -> RequestKey {
    RequestKey {
        portal: "itg".into(),
        id: id.into(),
    }
}

pub(super) fn person() -> Who {
    Who::Terminal("ada".into())
}

pub(super) fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

/// A request whose octets differ by version.
pub(super) fn request(id: &str, version: u32) -> Vec<u8> {
    format!(
        r#"{{"id":"{id}","case_id":"C-7","x-version":{version},"call":{{"called":"12025550123","time":{{"value":"2026-03-03T09:30:07-05:00"}}}}}}"#
    )
    .into_bytes()
}

pub(super) fn party(name: &str) -> Party {
    let mut peer = crate::traceback::sample::peers().peers[0].clone();
    peer.name = name.into();
    Party::of(&peer)
}

/// What the matcher might say about octets.
pub(super) fn answered(
    id: &str,
    octets: &[u8],
    resolution: Resolution,
    peer: Option<&str>,
    by: ProducedBy,
) -> Answered {
    let refused = Insufficient {
        id: Some(id.into()),
        sha256: crate::traceback::request::sha256_hex(octets),
        problems: Vec::new(),
    };
    let mut a = crate::responder::insufficient(&refused, &TracebackSettings::default(), 7);
    a.answer.resolution = resolution;
    a.answer.produced_by = by;
    a.answer.upstream = peer.map(party);
    a.peer = peer.map(Into::into);
    a
}

pub(super) fn certain(id: &str, octets: &[u8]) -> Answered {
    let r = Resolution::UpstreamDomestic;
    answered(id, octets, r, Some("north"), ProducedBy::Auto)
}

impl Office {
    /// Takes a request of version 0 and files an answer to it.
    pub fn ask(&self, id: &str, answered: impl Fn(&str, &[u8]) -> Answered) -> RequestState {
        let octets = request(id, 0);
        let taken = self.desk.take("itg", Way::Push, &octets, NOW).unwrap();
        assert_eq!(taken, Taken::New(key(id)));
        let waiting = self.desk.received(10, NOW).unwrap();
        assert!(waiting.iter().any(|w| w.octets == octets));
        match self
            .desk
            .matched(&key(id), &answered(id, &octets), NOW)
            .unwrap()
        {
            Filed::As(state) => state,
            Filed::Late => panic!("late"),
        }
    }

    pub fn state(&self, id: &str) -> RequestState {
        self.case(id).line.state
    }

    pub fn case(&self, id: &str) -> Case {
        self.desk.show(&key(id), NOW).unwrap().unwrap()
    }

    pub fn parcels(&self, now: Timestamp) -> Vec<Parcel> {
        self.desk.outbox("itg", 10, now).unwrap()
    }

    pub fn deliver(&self, what: &Delivered, now: Timestamp) -> Settled {
        let parcels = self.parcels(now);
        assert_eq!(parcels.len(), 1, "{parcels:?}");
        self.desk.delivered(parcels[0].row, what, 0.5, now).unwrap()
    }

    pub fn tally(&self, what: &str) -> u64 {
        let figures = self.desk.figures().unwrap();
        let of = figures.tallies.iter().filter(|(_, w, _)| **w == *what);
        of.map(|(_, _, n)| n).sum()
    }

    /// Acts in the audit log, in order.
    pub fn acts(&self) -> Vec<String> {
        self.desk
            .with(|tx| {
                let mut statement = tx.prepare("SELECT act FROM audit ORDER BY idx")?;
                let acts = statement.query_map([], |row| row.get(0))?;
                acts.collect()
            })
            .unwrap()
    }
}

/// A signed answer as JSON.
pub(super) fn body(parcel: &Parcel) -> serde_json::Value {
    serde_json::from_slice(&parcel.body).unwrap()
}
