//! Over the real store and the real desk.

use std::path::Path;

use super::*;
use crate::call::classify::campaign::CampaignState;
use crate::call::peer::PeerKind;
use crate::responder::case::{Mode, ParcelKind};
use crate::responder::desk::DeskSettings;
use crate::responder::desk::tests::{NOW, portal as any_portal, signer};
use crate::store::Store;
use crate::store::embedded::tests::made::full_begin;
use crate::store::embedded::{EmbeddedStore, StoreSettings};

const CALLING: &str = "12025550199";

fn portal() -> PortalSettings {
    PortalSettings {
        reports: vec!["protected-flood".into()],
        reports_per_day: 3,
        ..any_portal("itg", Mode::Assisted)
    }
}

fn desk(folder: &Path, portal: &PortalSettings) -> Desk {
    let settings = DeskSettings {
        portals: vec![portal.clone()],
        open_requests: 10,
    };
    Desk::open(folder, settings, signer()).unwrap()
}

fn peers() -> PeerTable {
    let peer = |id: &str| Peer {
        name: format!("{id} Telecom").into(),
        portal_id: Some(id.to_uppercase().into()),
        ..Peer::new(id, PeerKind::Provider)
    };
    PeerTable::new(vec![peer("east"), peer("west")], Vec::new(), 1)
}

fn campaign(id: &str, peer: &str, volume: u64) -> Campaign {
    Campaign {
        id: id.into(),
        peer: Some(peer.into()),
        key: Key::CallingNumber(CALLING.into()),
        first: NOW.minus(Duration::from_secs(3_600)),
        last: NOW,
        volume,
        flags: vec![(Flag::Unsigned, volume), (Flag::ProtectedFlood, volume / 2)],
        signers: Vec::new(),
        examples: vec![Example { uid: 42, at: NOW }],
        state: CampaignState::Open,
    }
}

struct Office {
    folder: tempfile::TempDir,
    store: EmbeddedStore,
    portal: PortalSettings,
}

impl Office {
    fn new(campaigns: &[Campaign]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let mut store = EmbeddedStore::open(&path, StoreSettings::default()).unwrap();
        let mut begin = full_begin(42);
        begin.at = NOW;
        begin.numbers.from = Tn::from_canonical(CALLING.as_bytes());
        begin.numbers.called = Tn::from_canonical(b"12025550123");
        store.append_begin(&begin).unwrap();
        let mut office = Self {
            folder,
            store,
            portal: portal(),
        };
        office.keep(campaigns);
        office
    }

    fn keep(&mut self, campaigns: &[Campaign]) {
        for campaign in campaigns {
            self.store.append_campaign(campaign).unwrap();
        }
        self.store.commit().unwrap();
    }

    /// Opens the desk anew each time: as after a restart.
    fn post(&self, now: Timestamp) -> Round {
        let desk = desk(self.folder.path(), &self.portal);
        post(&desk, &self.store, &peers(), &self.portal, None, now).unwrap()
    }

    fn bodies(&self, now: Timestamp) -> Vec<Value> {
        let desk = desk(self.folder.path(), &self.portal);
        let parcels = desk.outbox("itg", 100, now).unwrap();
        assert!(parcels.iter().all(|p| p.kind == ParcelKind::Report));
        parcels
            .iter()
            .map(|p| serde_json::from_slice(&p.body).unwrap())
            .collect()
    }
}

fn later(hours: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(hours * 3_600))
}

#[test]
fn a_campaign_is_reported_once_with_its_upstream_and_its_calls() {
    let office = Office::new(&[campaign("42-calling-number", "east", 50)]);
    assert_eq!(office.post(NOW).posted, 1);
    for hours in 0..3 {
        assert_eq!(office.post(later(hours)).posted, 0);
    }
    let bodies = office.bodies(NOW);
    assert_eq!(bodies.len(), 1);
    let body = &bodies[0];
    assert_eq!(body["upstream"]["portal_id"], "EAST");
    assert_eq!(body["campaign"]["flag"], "protected-flood");
    assert_eq!(body["campaign"]["calls"], 50);
    assert_eq!(body["examples"][0]["called"], "+12025550123");
    assert_eq!(body["examples"][0]["calling"], "+12025550199");
    assert!(
        body["jws"]
            .as_str()
            .is_some_and(|j| j.matches('.').count() == 2)
    );
    assert_eq!(body["id"], report_key("itg", "42-calling-number", 1));
}

#[test]
fn kinds_that_are_not_switched_on_and_upstreams_that_nobody_knows_are_not_reported() {
    let mut other = campaign("1", "east", 50);
    other.flags = vec![
        (Flag::Unsigned, 50),
        (Flag::Loop, 30),
        (Flag::ProtectedFlood, 20),
    ];
    let stranger = Campaign {
        peer: None,
        ..campaign("2", "east", 50)
    };
    let office = Office::new(&[
        other,
        stranger,
        campaign("3", "nobody", 50),
        campaign("4", "east", 9),
    ]);
    assert_eq!(office.post(NOW), Round::default());
    let mut off = Office::new(&[campaign("5", "east", 50)]);
    off.portal.reports.clear();
    assert_eq!(off.post(NOW), Round::default());
    off.portal = PortalSettings {
        mode: Mode::Shadow,
        ..portal()
    };
    assert_eq!(off.post(NOW).posted, 0, "nothing leaves in shadow");
}

#[test]
fn upstreams_take_turns_and_the_day_has_its_limit() {
    let mut campaigns: Vec<Campaign> = (0..5)
        .map(|i| campaign(&format!("e{i}"), "east", 900 - i))
        .collect();
    campaigns.push(campaign("w", "west", 20));
    let office = Office::new(&campaigns);
    let round = office.post(NOW);
    assert_eq!((round.posted, round.waiting), (3, 3));
    let bodies = office.bodies(NOW);
    let ids: Vec<&str> = bodies
        .iter()
        .map(|b| b["campaign"]["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["e0", "w", "e1"]);
    assert_eq!(bodies[0]["group"]["id"], bodies[2]["group"]["id"]);
    assert_ne!(bodies[0]["group"]["id"], bodies[1]["group"]["id"]);
    assert_eq!(bodies[0]["group"]["campaigns"], 5);
    // An hour later the day is still used up; after a day the others follow.
    assert_eq!(office.post(later(1)).posted, 0);
}

#[test]
fn an_update_needs_ten_times_as_many_calls_and_a_day() {
    let mut office = Office::new(&[campaign("c", "east", 50)]);
    assert_eq!(office.post(NOW).posted, 1);
    let mut grown = |volume: u64, hours: u64| {
        let last = later(hours);
        office.keep(&[Campaign {
            last,
            ..campaign("c", "east", volume)
        }]);
        office.post(last).posted
    };
    assert_eq!(grown(400, 25), 0, "eight times");
    assert_eq!(grown(5_000, 2), 0, "within the day");
    assert_eq!(grown(5_000, 26), 1);
    assert_eq!(grown(6_000, 60), 0);
    assert_eq!(grown(600_000, 61), 1);
}
