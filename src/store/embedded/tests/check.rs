//! What a check finds, what a repair keeps, and what is never said.

use std::fs;
use std::path::PathBuf;

use super::campaigns::campaign;
use super::evidence::evidence;
use super::*;
use crate::call::classify::Campaign;
use crate::call::record::evidence::StoredEvidence;
use crate::traceback::coverage::Sight;

/// Numbers of the records of [`rich`].
pub(super) const CALLED: [&str; 3] = ["12025550100", "12025550101", "*67"];
pub(super) const CALLING: [&str; 2] = ["12025550199", "12025550198"];

/// The record of a uid: an hour of 150, seven seconds apart, of all kinds.
pub(super) fn record(uid: u64) -> Begin {
    let mut b = match uid % 10 {
        0 => full_begin(uid),
        _ => begin(uid),
    };
    let hour = (uid - 1) / 150;
    let seconds = hour * 3_600 + (uid - 1) % 150 * 7;
    b.at = at("2026-11-24T13:00:00Z").plus(Duration::from_millis(seconds * 1_000 + uid));
    b.numbers.called = Some(match uid % 11 {
        0 => tn("*67"),
        1..4 => tn("12025550101"),
        _ => tn("12025550100"),
    });
    if uid.is_multiple_of(13) {
        b.numbers.from = Some(tn("12025550198"));
    }
    b
}

/// A row of the ledger for every minute of three hours.
fn minute(of: u64) -> Coverage {
    let from = at("2026-11-24T13:00:00Z").plus(Duration::from_secs(of * 60));
    Coverage {
        sensor: "edge-1".into(),
        from,
        until: from.plus(Duration::from_secs(60)),
        packets: 1_000 + of,
        messages: 100,
        down: (of == 70).then_some(Down::Interface),
        ..Coverage::default()
    }
}

/// A store with files of every kind: 300 records in two hours' segments, 40 in the log.
pub(super) fn rich(dir: &Path) {
    rich_with(dir, &settings(1_000_000));
}

pub(super) fn rich_with(dir: &Path, settings: &StoreSettings) {
    let mut store = EmbeddedStore::open(dir, settings.clone()).unwrap();
    let mut old = begin(400);
    old.at = at("2026-11-24T09:00:00Z");
    store.append_begin(&old).unwrap();
    store.seal().unwrap();
    store.retain(at("2026-11-24T13:00:00Z")).unwrap();
    for uid in 1..=340 {
        let b = record(uid);
        store.append_begin(&b).unwrap();
        store.append_evidence(&evidence(uid)).unwrap();
        if uid % 2 == 0 {
            store.append_end(&end(&b)).unwrap();
        }
        if uid % 2 == 0 {
            store.append_coverage(&minute(uid / 2)).unwrap();
        }
        if uid % 150 == 0 {
            for late in (uid - 149..=uid).step_by(4) {
                store.append_end(&end(&record(late))).unwrap();
            }
            store.append_campaign(&a_campaign(uid)).unwrap();
            store.seal().unwrap();
        }
        if uid % 150 == 1 && uid > 1 {
            for late in (uid - 147..uid).step_by(4) {
                store.append_end(&end(&record(late))).unwrap();
            }
        }
        if uid % 10 == 0 {
            store.commit().unwrap();
        }
    }
    store.append_campaign(&a_campaign(340)).unwrap();
    store.commit().unwrap();
}

fn a_campaign(uid: u64) -> Campaign {
    let last = record(uid).at.to_string();
    campaign("a", "2026-11-24T13:00:00Z", &last, uid)
}

/// All that a store is asked in these tests.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answers {
    pub calls: Vec<Result<Vec<StoredCall>, String>>,
    pub coverage: Result<Vec<Coverage>, String>,
    pub campaigns: Result<(Vec<Campaign>, u64), String>,
    pub evidence: Vec<Result<Option<StoredEvidence>, String>>,
    pub forgotten: Option<Timestamp>,
}

impl Answers {
    pub fn of(dir: &Path) -> Result<Self, String> {
        Self::with(dir, &StoreSettings::default())
    }

    pub fn with(dir: &Path, settings: &StoreSettings) -> Result<Self, String> {
        let (reader, _) = EmbeddedStore::open_reader(dir, settings).map_err(|e| e.to_string())?;
        let (from, until) = ALWAYS;
        let mut calls = Vec::new();
        for number in CALLED {
            calls.push(reader.by_called(tn(number), from, until));
        }
        for number in CALLING {
            calls.push(reader.by_calling(tn(number), from, until));
        }
        let narrow = at("2026-11-24T13:10:00Z");
        let window = (narrow, narrow.plus(Duration::from_secs(240)));
        calls.push(reader.by_called(tn(CALLED[0]), window.0, window.1));
        calls.push(reader.by_calling(tn(CALLING[0]), window.0, window.1));
        let campaigns = reader.campaigns(from, until).and_then(|found| {
            let unreadable = reader.unreadable_campaigns(from, until)?;
            Ok((found, unreadable))
        });
        let text = |e: StoreError| e.to_string();
        Ok(Self {
            calls: calls.into_iter().map(|c| c.map_err(text)).collect(),
            coverage: reader.coverage(from, until).map_err(text),
            campaigns: campaigns.map_err(text),
            evidence: [1, 150, 151, 299, 340, 341]
                .map(|uid| reader.evidence(uid).map_err(text))
                .into(),
            forgotten: reader.forgotten_before(),
        })
    }
}

/// Every file of a store but the lock.
pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() != "lock" {
                out.push(path);
            }
        }
    }
    out.sort();
    out
}

pub(super) fn checked(dir: &Path) -> CheckReport {
    check(dir, CheckOptions::default(), &mut |_| ()).unwrap()
}

fn one(dir: &Path, extension: &str) -> PathBuf {
    let mut found = files(dir).into_iter();
    let hour = dir.join("seg/2026-11-24/13");
    found
        .find(|f| f.extension().is_some_and(|e| e == extension) && f.starts_with(&hour))
        .unwrap()
}

fn flip(path: &Path, place: usize) {
    let mut octets = fs::read(path).unwrap();
    octets[place] ^= 0x10;
    fs::write(path, octets).unwrap();
}

#[test]
fn a_sound_store_is_sound_and_everything_in_it_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    rich(dir.path());
    let before: Vec<_> = files(dir.path())
        .iter()
        .map(|f| fs::read(f).unwrap())
        .collect();
    let report = checked(dir.path());
    assert!(
        report.is_sound() && report.findings.is_empty(),
        "{report:#?}"
    );
    assert_eq!((report.records, report.in_logs), (300, 40));
    assert_eq!(report.hours, 2);
    assert_eq!(report.evidence, 340);
    assert!(report.ends > 30 && report.coverage > 100, "{report:#?}");
    let quick = CheckOptions {
        quick: true,
        ..CheckOptions::default()
    };
    let quick = check(dir.path(), quick, &mut |_| ()).unwrap();
    assert!(quick.is_sound());
    assert_eq!(quick.records, 300);
    let after: Vec<_> = files(dir.path())
        .iter()
        .map(|f| fs::read(f).unwrap())
        .collect();
    assert!(before == after, "a check changes nothing");
    // Beside the process that writes it, too.
    let _store = open(dir.path());
    assert!(checked(dir.path()).is_sound());
    assert!(matches!(
        repair(dir.path(), None, &mut |_| ()),
        Err(StoreError::Locked { .. })
    ));
}

#[test]
fn stores_of_earlier_versions_are_sound() {
    for name in ["store-before-chain", "store-before-attribution"] {
        let dir = older::fixture(name);
        let report = checked(dir.path());
        assert!(report.is_sound(), "{name}: {report:#?}");
        assert!(report.records > 0);
    }
}

#[test]
fn an_index_that_is_gone_or_damaged_is_made_anew_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    rich(dir.path());
    let sound = Answers::of(dir.path()).unwrap();
    for damage in [
        (|path: &Path| fs::remove_file(path).unwrap()) as fn(&Path),
        |path| flip(path, 10),
        |path| fs::write(path, b"PAR1").unwrap(),
    ] {
        let index = one(dir.path(), "cix");
        damage(&index);
        let report = checked(dir.path());
        assert_eq!(report.damaged, 1, "{report:#?}");
        assert_eq!(report.findings[0].file, index);
        assert_eq!(report.findings[0].remedy, Remedy::Index);
        let done = repair(dir.path(), None, &mut |_| ()).unwrap();
        assert!(done.after.is_sound(), "{done:#?}");
        assert_eq!(done.repaired[0].lost, Some(0));
        assert_eq!(Answers::of(dir.path()).unwrap(), sound);
    }
}

#[test]
fn rows_of_a_damaged_page_are_lost_and_the_ledger_says_so_for_good() {
    let dir = tempfile::tempdir().unwrap();
    // Three pages in one hour.
    let mut store = open(dir.path());
    let made = |uid: u64| {
        let mut b = begin(uid);
        b.at = b.at.plus(Duration::from_millis(uid * 500));
        b.numbers.called = Tn::from_u64(12_025_550_000 + uid);
        b
    };
    for uid in 1..=5_000 {
        store.append_begin(&made(uid)).unwrap();
    }
    for of in 0..60 {
        store.append_coverage(&minute(of)).unwrap();
    }
    store.close().unwrap();
    let segment = one(dir.path(), "parquet");
    let octets = fs::read(&segment).unwrap();
    // Digests of Call-IDs are as they are: the second page of theirs.
    let digest = made(3_000).ids.call_id.0.to_le_bytes();
    let place = memchr::memmem::find(&octets, &digest).unwrap();
    flip(&segment, place);

    let report = checked(dir.path());
    assert_eq!(report.damaged, 1, "{report:#?}");
    let finding = &report.findings[0];
    assert_eq!((&finding.file, finding.remedy), (&segment, Remedy::Salvage));
    let lost = finding.records.unwrap();
    assert!(
        (1..=4_000).contains(&lost) && lost.is_multiple_of(1_000),
        "{lost}"
    );

    let done = repair(dir.path(), None, &mut |_| ()).unwrap();
    assert!(done.after.is_sound(), "{done:#?}");
    let one = &done.repaired[0];
    assert_eq!((one.kept, one.lost), (5_000 - lost, Some(lost)));
    assert!(one.moved.as_ref().unwrap().exists() && !segment.exists());
    let (reader, _) = EmbeddedStore::open_read_only(dir.path()).unwrap();
    let mut missing = 0;
    for uid in 1..=5_000 {
        let b = made(uid);
        let window = (
            b.at.minus(Duration::from_secs(60)),
            b.at.plus(Duration::from_secs(60)),
        );
        let found = reader
            .by_called(b.numbers.called.unwrap(), window.0, window.1)
            .unwrap();
        match found.as_slice() {
            [call] => assert_eq!(call.begin, b),
            [] => missing += 1,
            more => panic!("{more:?}"),
        }
        if found.is_empty() && missing % 100 == 1 {
            let rows = reader.coverage(window.0, window.1).unwrap();
            let sight = Sight::over(&rows, window.0, window.1, &[]);
            assert!(
                !sight.is_whole(),
                "{uid} is lost, and nobody may say that it was not there"
            );
            assert!(rows.iter().any(|r| r.down == Some(Down::Damaged)));
        }
    }
    assert_eq!(missing, lost);
    // And what was set aside goes with its hour.
    let aside = dir.path().join("damaged/seg/2026-11-24/13");
    assert!(aside.exists());
    let mut store = open(dir.path());
    store.retain(at("2026-11-26T13:00:00Z")).unwrap();
    assert!(!aside.exists());
}

#[test]
fn a_damaged_footer_costs_nothing_where_all_the_rest_proves_what_it_said() {
    let dir = tempfile::tempdir().unwrap();
    rich(dir.path());
    let sound = Answers::of(dir.path()).unwrap();
    let segment = one(dir.path(), "parquet");
    let octets = fs::read(&segment).unwrap();
    // In the name of the program that wrote it: read, it changes nothing, but the checksum is another.
    let place = memchr::memmem::rfind(&octets, b"tracehop 0").unwrap();
    flip(&segment, place);
    assert!(Answers::of(dir.path()).unwrap().calls[0].is_err());
    let done = repair(dir.path(), None, &mut |_| ()).unwrap();
    assert!(done.after.is_sound(), "{done:#?}");
    assert_eq!(done.repaired[0].lost, Some(0));
    let after = Answers::of(dir.path()).unwrap();
    assert_eq!(after.calls, sound.calls);

    // Cut short there is nothing left of it, and the whole hour is not to be relied on.
    let segment = one(dir.path(), "parquet");
    fs::write(&segment, &octets[..octets.len() / 2]).unwrap();
    let done = repair(dir.path(), None, &mut |_| ()).unwrap();
    assert!(done.after.is_sound(), "{done:#?}");
    assert_eq!(
        (done.repaired[0].kept, done.repaired[0].lost),
        (0, Some(150))
    );
    let (reader, _) = EmbeddedStore::open_read_only(dir.path()).unwrap();
    let b = record(5);
    let window = (
        b.at.minus(Duration::from_secs(30)),
        b.at.plus(Duration::from_secs(30)),
    );
    assert!(
        reader
            .by_called(tn(CALLED[0]), window.0, window.1)
            .unwrap()
            .is_empty()
    );
    let rows = reader.coverage(window.0, window.1).unwrap();
    assert!(!Sight::over(&rows, window.0, window.1, &[]).is_whole());
}

#[test]
fn a_damaged_stretch_of_a_log_is_told_in_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    rich(dir.path());
    let logs = layout::list(&layout::wal(dir.path())).unwrap();
    let log = &logs.last().unwrap().0;
    let length = fs::read(log).unwrap().len();
    flip(log, length / 2);
    let report = checked(dir.path());
    assert!(!report.is_sound());
    assert_eq!(report.findings[0].file, *log);
    let lost = 40 - report.in_logs;
    assert_eq!(lost, 10, "one frame");
    let blind = |reader: &dyn Lookup| {
        let window = (record(315).at, record(325).at);
        let rows = reader.coverage(window.0, window.1).unwrap();
        rows.iter()
            .filter(|r| r.down == Some(Down::Damaged))
            .count()
    };
    let (reader, _) = EmbeddedStore::open_read_only(dir.path()).unwrap();
    assert_eq!(blind(&reader), 1);
    // By opening to write, and by a repair.
    let other = tempfile::tempdir().unwrap();
    copy(dir.path(), other.path());
    for _ in 0..2 {
        let store = open(other.path());
        assert_eq!(blind(&store), 1);
    }
    open(other.path()).seal().unwrap();
    assert!(checked(other.path()).is_sound());
    let done = repair(dir.path(), None, &mut |_| ()).unwrap();
    assert!(done.after.is_sound(), "{done:#?}");
    for dir in [dir.path(), other.path()] {
        let store = open(dir);
        assert_eq!(blind(&store), 1);
        assert_eq!(store.last_uid(), 400);
        assert_eq!(checked(dir).records, 330);
    }
}

#[test]
fn a_manifest_is_made_anew_from_what_lies_there() {
    let dir = tempfile::tempdir().unwrap();
    rich(dir.path());
    let sound = Answers::of(dir.path()).unwrap();
    let manifest = dir.path().join("seg/2026-11-24/13/manifest");
    let text = fs::read(&manifest).unwrap();
    flip(&manifest, 40);
    let report = checked(dir.path());
    assert_eq!(report.findings[0].file, manifest, "{report:#?}");
    assert!(Answers::of(dir.path()).unwrap().calls[0].is_err());
    let done = repair(dir.path(), None, &mut |_| ()).unwrap();
    assert!(done.after.is_sound(), "{done:#?}");
    assert_eq!(fs::read(&manifest).unwrap(), text);
    assert_eq!(Answers::of(dir.path()).unwrap(), sound);
    // One that tells another number of rows.
    let other = String::from_utf8(text)
        .unwrap()
        .replacen(" 150 ", " 149 ", 1);
    let body = &other[..other.rfind("crc32c").unwrap()];
    fs::write(
        &manifest,
        format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes())),
    )
    .unwrap();
    assert_eq!(checked(dir.path()).findings[0].file, manifest);
    assert!(
        repair(dir.path(), None, &mut |_| ())
            .unwrap()
            .after
            .is_sound()
    );
}

#[test]
fn damage_to_what_is_kept_by_the_day_is_told_and_the_rest_kept() {
    let dir = tempfile::tempdir().unwrap();
    rich(dir.path());
    let sound = Answers::of(dir.path()).unwrap();
    let coverage = dir.path().join("coverage/2026-11-24.parquet");
    flip(&coverage, 100);
    let campaigns = dir.path().join("campaigns/2026-11-24.jsonl");
    flip(&campaigns, 30);
    let evidence = one_of(dir.path(), "ev");
    let length = fs::read(&evidence).unwrap().len();
    flip(&evidence, length / 2);
    let ends = one(dir.path(), "ends");
    flip(&ends, 10);
    let report = checked(dir.path());
    for file in [&coverage, &campaigns, &evidence, &ends] {
        assert!(
            report.damage().any(|f| f.file == *file),
            "{file:?}: {report:#?}"
        );
    }
    let done = repair(dir.path(), None, &mut |_| ()).unwrap();
    assert!(done.after.is_sound(), "{done:#?}");
    let after = Answers::of(dir.path()).unwrap();
    let uids_of = |a: &Answers| uids(a.calls[0].as_ref().unwrap());
    assert_eq!(uids_of(&after), uids_of(&sound));
    let read = after.evidence.iter().zip(&sound.evidence);
    assert!(read.clone().all(|(a, s)| a == s || matches!(a, Ok(None))));
    assert!(read.filter(|(a, s)| a == s).count() > 1);
    // Of the sealed rows none is left; nobody was looking then.
    let looked = after.coverage.unwrap();
    assert!(looked.len() < sound.coverage.unwrap().len());
}

fn one_of(dir: &Path, extension: &str) -> PathBuf {
    let mut found = files(dir).into_iter();
    found
        .find(|f| f.extension().is_some_and(|e| e == extension))
        .unwrap()
}
