//! Campaigns are kept by the day, and the last word holds.

use super::*;
use crate::call::classify::Flag;
use crate::call::classify::campaign::{Campaign, CampaignState, Key};
use crate::call::classify::finding::Example;

pub(super) fn campaign(id: &str, first: &str, last: &str, volume: u64) -> Campaign {
    Campaign {
        id: id.into(),
        peer: Some("carrier-a".into()),
        key: Key::CallingNumber("12025550199".into()),
        first: at(first),
        last: at(last),
        volume,
        flags: vec![(Flag::Stale, volume)],
        signers: vec!["1234".into()],
        examples: vec![Example {
            uid: 7,
            at: at(first),
        }],
        state: CampaignState::Open,
    }
}

fn all(store: &dyn Lookup, from: &str, until: &str) -> Vec<(String, u64)> {
    let found = store.campaigns(at(from), at(until)).unwrap();
    found.iter().map(|c| (c.id.to_string(), c.volume)).collect()
}

fn file(dir: &Path, day: &str) -> std::path::PathBuf {
    dir.join("campaigns").join(format!("{day}.jsonl"))
}

#[test]
fn the_last_state_of_a_campaign_holds_also_past_midnight() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let a = |last, volume| campaign("a", "2026-11-24T22:00:00Z", last, volume);
    let b = campaign("b", "2026-11-24T23:00:00Z", "2026-11-24T23:10:00Z", 3);
    for c in [
        &a("2026-11-24T22:30:00Z", 5),
        &b,
        &a("2026-11-25T01:00:00Z", 9),
    ] {
        store.append_campaign(c).unwrap();
    }
    store.commit().unwrap();
    let known = [("a".to_owned(), 9), ("b".to_owned(), 3)];
    let day = ("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z");
    assert_eq!(all(&store, day.0, day.1), known);
    assert_eq!(
        all(&store, "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"),
        known[..1]
    );
    // Windows are closed at both ends.
    assert_eq!(
        all(&store, "2026-11-25T01:00:00Z", "2026-11-25T01:00:00Z"),
        known[..1]
    );
    assert!(all(&store, "2026-11-25T01:00:01Z", "2026-11-26T00:00:00Z").is_empty());
    assert!(all(&store, "2026-11-24T00:00:00Z", "2026-11-24T21:59:59Z").is_empty());
    drop(store);
    let (reader, _) = EmbeddedStore::open_read_only(dir.path()).unwrap();
    assert_eq!(all(&reader, day.0, day.1), known);
    let found = reader.campaigns(at(day.0), at(day.1)).unwrap();
    assert_eq!(
        found[0],
        a("2026-11-25T01:00:00Z", 9),
        "every member comes back"
    );
}

#[test]
fn a_torn_line_is_passed_over_and_cut_off_before_the_file_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let day = ("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z");
    let one = campaign("a", "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z", 5);
    store.append_campaign(&one).unwrap();
    store.commit().unwrap();
    drop(store);
    let path = file(dir.path(), "2026-11-24");
    let mut text = std::fs::read(&path).unwrap();
    let whole = text.clone();
    text.extend(b"no json\n");
    text.extend(&whole[..whole.len() / 2]);
    std::fs::write(&path, &text).unwrap();
    let (reader, _) = EmbeddedStore::open_read_only(dir.path()).unwrap();
    assert_eq!(all(&reader, day.0, day.1), [("a".to_owned(), 5)]);
    assert_eq!(
        std::fs::read(&path).unwrap(),
        text,
        "readers change nothing"
    );
    assert_eq!(
        reader.unreadable_campaigns(at(day.0), at(day.1)).unwrap(),
        1
    );

    let mut store = open(dir.path());
    let two = campaign("b", "2026-11-24T12:00:00Z", "2026-11-24T13:00:00Z", 6);
    store.append_campaign(&two).unwrap();
    store.commit().unwrap();
    let known = [("a".to_owned(), 5), ("b".to_owned(), 6)];
    assert_eq!(all(&store, day.0, day.1), known);
}

#[test]
fn superseded_lines_go_away_and_so_do_days_that_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for volume in 1..=10_000 {
        let id = format!("c{}", volume % 10);
        let c = campaign(&id, "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z", volume);
        store.append_campaign(&c).unwrap();
        if volume % 100 == 0 {
            store.commit().unwrap();
        }
    }
    let path = file(dir.path(), "2026-11-24");
    let lines = std::fs::read_to_string(&path).unwrap().lines().count();
    assert!((10..4200).contains(&lines), "{lines}");
    let found = all(&store, "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z");
    assert_eq!(found.len(), 10);
    assert!(found.iter().all(|(_, volume)| *volume > 9_990));

    let mut old = begin(1);
    old.at = at("2026-11-24T10:00:00Z");
    store.append_begin(&old).unwrap();
    let next = campaign("d", "2026-11-25T10:00:00Z", "2026-11-25T11:00:00Z", 1);
    store.append_campaign(&next).unwrap();
    store.commit().unwrap();
    let report = store.retain(at("2026-11-25T12:00:00Z")).unwrap();
    assert_eq!(report.campaign_days, 1);
    assert!(!path.exists());
    assert_eq!(
        all(&store, "2026-11-24T00:00:00Z", "2026-11-26T00:00:00Z"),
        [("d".to_owned(), 1)]
    );
}
