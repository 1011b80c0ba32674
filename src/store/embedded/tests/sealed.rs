//! Encrypted stores: what is in their files, and what becomes of them when a key is wrong, lost or destroyed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::evidence::evidence;
use super::*;
use crate::call::classify::campaign::{CampaignState, Key};

/// A folder with a key, and the store beside it.
pub(super) struct Encrypted {
    dir: tempfile::TempDir,
}

impl Encrypted {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        make_key_file(&dir.path().join("key")).unwrap();
        Self { dir }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn key(&self, name: &str) -> KeySource {
        let path = self.dir.path().join(name);
        if !path.exists() {
            make_key_file(&path).unwrap();
        }
        KeySource::File(path)
    }

    pub fn settings(&self) -> StoreSettings {
        self.with("key")
    }

    fn with(&self, key: &str) -> StoreSettings {
        StoreSettings {
            encryption: Some(self.key(key)),
            ..settings(1_000_000)
        }
    }

    pub fn open(&self) -> EmbeddedStore {
        EmbeddedStore::open(&self.path(), self.settings()).unwrap()
    }

    fn reader(&self) -> StoreReader {
        EmbeddedStore::open_reader(&self.path(), &self.settings())
            .unwrap()
            .0
    }

    fn key_file(&self, name: &str) -> PathBuf {
        layout::key_file(&self.path(), name)
    }
}

const DAYS: [&str; 2] = ["2026-11-24", "2026-11-25"];

/// Records, second halves (one of them late), evidence, campaigns and coverage on two days, with uids 1 and 2.
fn fill(store: &mut EmbeddedStore) {
    for (uid, date) in (1..).zip(DAYS) {
        let start = at(&format!("{date}T13:00:00Z"));
        let mut b = full_begin(uid);
        b.at = start;
        store.append_begin(&b).unwrap();
        let mut kept = evidence(uid);
        kept.at = start;
        store.append_evidence(&kept).unwrap();
        store.append_campaign(&campaign(date, start)).unwrap();
        store
            .append_coverage(&Coverage {
                sensor: "edge-1".into(),
                from: start,
                until: start.plus(Duration::from_secs(60)),
                messages: 4,
                ..Coverage::default()
            })
            .unwrap();
    }
    store.commit().unwrap();
}

fn campaign(id: &str, first: Timestamp) -> Campaign {
    Campaign {
        id: id.into(),
        peer: None,
        key: Key::CallingNumber("12025550199".into()),
        first,
        last: first.plus(Duration::from_secs(60)),
        volume: 3,
        flags: Vec::new(),
        signers: Vec::new(),
        examples: Vec::new(),
        state: CampaignState::Open,
    }
}

fn all_files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for (path, _) in layout::list(dir).unwrap() {
        match path.is_dir() {
            true => out.extend(all_files(&path)),
            false => out.push(path),
        }
    }
    out
}

/// Files in which something stands that belongs to a call.
fn telling(dir: &Path) -> Vec<PathBuf> {
    let mut needles: Vec<Vec<u8>> = ["5550100", "5550199", "INVITE", "Call-ID", "alice"]
        .map(|t| t.as_bytes().to_vec())
        .to_vec();
    for number in [12_025_550_100_u64, 12_025_550_199] {
        // Beside the text, as the log and pages have it.
        needles.push(number.to_le_bytes()[..6].to_vec());
    }
    let tells = |path: &PathBuf| {
        let octets = fs::read(path).unwrap();
        let mut needles = needles.iter();
        needles.any(|n| memchr::memmem::find(&octets, n).is_some())
    };
    all_files(dir).into_iter().filter(tells).collect()
}

#[test]
fn no_file_of_an_encrypted_store_tells_of_a_call() {
    let made = Encrypted::new();
    let plain = tempfile::tempdir().unwrap();
    let mut stores = [made.open(), open(plain.path())];
    for store in &mut stores {
        fill(store);
    }
    assert_eq!(telling(&made.path()), Vec::<PathBuf>::new(), "in the log");
    assert!(telling(plain.path()).len() >= 3, "log, evidence, campaigns");
    for store in &mut stores {
        store.seal().unwrap();
        let mut late = end(&full_begin(1));
        late.begun_at = at("2026-11-24T13:00:00Z");
        store.append_end(&late).unwrap();
        store.seal().unwrap();
    }
    assert_eq!(telling(&made.path()), Vec::<PathBuf>::new(), "once sealed");
    let kinds = ["parquet", "cix", "ends", "ev", "jsonl"];
    for kind in kinds {
        let mut files = all_files(&made.path()).into_iter();
        assert!(
            files.any(|f| f.extension().is_some_and(|e| e == kind)),
            "{kind}"
        );
    }
    let [store, _] = stores;
    for store in [&store.reader(), &made.reader()] {
        assert_eq!(uids(&called(store, "12025550100")), [1, 2]);
        assert_eq!(uids(&calling(store, "12025550198")), [1, 2]);
        assert!(called(store, "12025550100")[0].end.is_some());
        assert_eq!(store.campaigns(ALWAYS.0, ALWAYS.1).unwrap().len(), 2);
        let mut kept = evidence(2);
        kept.at = at("2026-11-25T13:00:00Z");
        assert_eq!(store.evidence(2).unwrap(), Some(kept));
    }
}

#[test]
fn others_may_read_no_file_and_enter_no_folder() {
    let made = Encrypted::new();
    let mut store = made.open();
    fill(&mut store);
    store.close().unwrap();
    let mut places = all_files(&made.path());
    let mut folders = vec![made.path()];
    while let Some(folder) = folders.pop() {
        let inside = layout::list(&folder).unwrap().into_iter();
        folders.extend(inside.map(|(p, _)| p).filter(|p| p.is_dir()));
        places.push(folder);
    }
    for place in places {
        let mode = place.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o027, 0, "{} has {mode:o}", place.display());
    }
}

#[test]
fn only_its_own_key_opens_a_store() {
    let made = Encrypted::new();
    let mut store = made.open();
    fill(&mut store);
    drop(store);
    let refused = |settings: StoreSettings| {
        let writing = EmbeddedStore::open(&made.path(), settings.clone());
        let reading = EmbeddedStore::open_reader(&made.path(), &settings);
        let whys = [writing.err().unwrap(), reading.err().unwrap()];
        for why in &whys {
            assert!(matches!(why, StoreError::Key { .. }), "{why}");
        }
        whys[0].to_string()
    };
    let why = refused(settings(10));
    assert!(
        why.contains("set key_file or key_command in [store.encryption]"),
        "{why}"
    );
    let why = refused(made.with("another"));
    assert!(
        why.contains("not the right key_file or key_command"),
        "{why}"
    );
    made.open();
}

#[test]
fn a_lost_key_costs_its_day_and_is_named() {
    let made = Encrypted::new();
    let mut store = made.open();
    fill(&mut store);
    store.close().unwrap();
    let gone = made.key_file(DAYS[0]);
    fs::remove_file(&gone).unwrap();
    let store = made.open();
    let day = |date: &str| {
        (
            at(&format!("{date}T00:00:00Z")),
            at(&format!("{date}T23:59:59Z")),
        )
    };
    let (from, until) = day(DAYS[1]);
    let calls = store.by_called(tn("12025550100"), from, until).unwrap();
    assert_eq!(uids(&calls), [2]);
    let (from, until) = day(DAYS[0]);
    let lookups = [
        store.by_called(tn("12025550100"), from, until).err(),
        store.by_calling(tn("12025550199"), from, until).err(),
        store.campaigns(from, until).err(),
        store.reader().evidence(1).err(),
    ];
    for why in lookups {
        let why = why.expect("nothing is claimed of that day").to_string();
        assert!(
            why.contains("2026-11-24.key") && why.contains("the key of this day is gone"),
            "{why}"
        );
    }
    assert_eq!(
        store.coverage(from, until).unwrap().len(),
        1,
        "coverage is not sealed"
    );
}

#[test]
fn a_log_without_its_key_is_an_error_and_no_empty_store() {
    let made = Encrypted::new();
    let mut store = made.open();
    fill(&mut store);
    drop(store);
    let own = made.key_file("store");
    let kept = fs::read(&own).unwrap();
    fs::remove_file(&own).unwrap();
    let why = EmbeddedStore::open(&made.path(), made.settings())
        .err()
        .unwrap();
    assert!(why.to_string().contains("other keys are there"), "{why}");
    fs::write(&own, kept).unwrap();
    let key = made.key_file("wal-0000000001");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    for why in [
        EmbeddedStore::open(&made.path(), made.settings()).err(),
        EmbeddedStore::open_reader(&made.path(), &made.settings()).err(),
    ] {
        let why = why.unwrap().to_string();
        assert!(why.contains("the key of this log is gone"), "{why}");
    }
    fs::write(&key, kept).unwrap();
    let mut store = made.open();
    assert_eq!(uids(&called(&store, "12025550100")), [1, 2]);
    store.seal().unwrap();
    assert!(!key.exists(), "it went with its log");
    assert!(made.key_file("wal-0000000002").exists());
}

#[test]
fn an_erased_day_is_one_in_which_nobody_looked() {
    let made = Encrypted::new();
    let mut store = made.open();
    fill(&mut store);
    // One still in the log, one open in the cache.
    store.seal().unwrap();
    assert_eq!(uids(&called(&store, "12025550100")), [1, 2]);
    let mut b = begin(3);
    b.at = at("2026-11-24T20:00:00Z");
    store.append_begin(&b).unwrap();
    assert_eq!(store.erase(&[at("2026-11-24T07:00:00Z")]).unwrap(), 1);

    let checked = |store: &StoreReader| {
        assert_eq!(uids(&called(store, "12025550100")), [2]);
        assert_eq!(store.evidence(1).unwrap(), None);
        assert!(store.evidence(2).unwrap().is_some());
        let campaigns = store.campaigns(ALWAYS.0, ALWAYS.1).unwrap();
        assert_eq!(campaigns.len(), 1);
        let rows = store.coverage(ALWAYS.0, ALWAYS.1).unwrap();
        let rows: Vec<_> = rows.iter().map(|r| (r.from, r.until, r.down)).collect();
        let midnight = at("2026-11-25T00:00:00Z");
        let noon = at("2026-11-25T13:00:00Z");
        assert_eq!(
            rows,
            [
                (at("2026-11-24T00:00:00Z"), midnight, Some(Down::Erased)),
                (noon, noon.plus(Duration::from_secs(60)), None),
            ]
        );
    };
    checked(&store.reader());
    checked(&made.reader());
    assert!(!made.key_file(DAYS[0]).exists());
    for place in ["seg", "evidence", "campaigns"] {
        let names = layout::list(&made.path().join(place)).unwrap();
        assert_eq!(names.len(), 1, "{names:?}");
    }
    assert_eq!(EmbeddedStore::erased_days(&made.path()).unwrap(), [DAYS[0]]);

    // What comes of it later is let go.
    b.uid = 4;
    store.append_begin(&b).unwrap();
    store.append_end(&end(&b)).unwrap();
    store.append_evidence(&evidence(4)).unwrap();
    store.append_campaign(&campaign("late", b.at)).unwrap();
    assert_eq!(store.counters().too_old, 1);
    store.close().unwrap();
    let mut store = made.open();
    checked(&store.reader());
    assert!(!made.key_file(DAYS[0]).exists());

    // Until its time has come anyway.
    let report = store.retain(at("2026-11-26T00:00:00Z")).unwrap();
    assert_eq!(report.forgotten_before, Some(at("2026-11-25T22:00:00Z")));
    assert_eq!(EmbeddedStore::erased_days(&made.path()).unwrap(), [""; 0]);
}

#[test]
fn erasing_that_was_cut_off_is_finished() {
    let made = Encrypted::new();
    let mut store = made.open();
    fill(&mut store);
    store.close().unwrap();
    fs::write(layout::keys(&made.path()).join("erased"), "2026-11-24\n").unwrap();
    // A reader changes nothing and knows it all the same.
    assert_eq!(uids(&called(&made.reader(), "12025550100")), [2]);
    assert!(made.key_file(DAYS[0]).exists());
    let store = made.open();
    assert_eq!(uids(&called(&store, "12025550100")), [2]);
    assert!(!made.key_file(DAYS[0]).exists());
    assert!(!made.path().join("seg/2026-11-24").exists());
}

#[test]
fn a_plain_store_has_no_days_to_erase() {
    let dir = tempfile::tempdir().unwrap();
    let why = open(dir.path()).erase(&[at("2026-11-24T00:00:00Z")]);
    assert!(matches!(why, Err(StoreError::Key { .. })));
}

#[test]
fn keys_go_with_their_days() {
    let made = Encrypted::new();
    let mut store = made.open();
    fill(&mut store);
    store.seal().unwrap();
    let names = |made: &Encrypted| -> Vec<String> {
        let keys = EmbeddedStore::keys(&made.path()).unwrap();
        keys.into_iter().map(|k| k.name).collect()
    };
    assert_eq!(names(&made), [DAYS[0], DAYS[1], "store", "wal-0000000002"]);
    // Two hours are kept: the second day has an hour left.
    store.retain(at("2026-11-25T15:30:00Z")).unwrap();
    assert_eq!(names(&made), [DAYS[1], "store", "wal-0000000002"]);
}

#[test]
fn encryption_may_be_switched_on_later() {
    let made = Encrypted::new();
    let mut store = EmbeddedStore::open(&made.path(), settings(10)).unwrap();
    fill(&mut store);
    store.seal().unwrap();
    let mut b = begin(3);
    b.at = at("2026-11-25T20:00:00Z");
    store.append_begin(&b).unwrap();
    store.commit().unwrap();
    let before = all_files(&made.path().join("seg"));
    drop(store);

    let mut store = made.open();
    assert_eq!(uids(&called(&store, "12025550100")), [1, 2, 3]);
    assert!(
        !layout::log(&made.path(), 2).exists(),
        "the plain log is not gone on with"
    );
    for uid in 4..6 {
        b.uid = uid;
        store.append_begin(&b).unwrap();
        let mut kept = evidence(uid);
        kept.at = b.at;
        store.append_evidence(&kept).unwrap();
        store
            .append_campaign(&campaign(&format!("c{uid}"), b.at))
            .unwrap();
    }
    store.seal().unwrap();
    store.commit().unwrap();
    for store in [&store.reader(), &made.reader()] {
        assert_eq!(uids(&called(store, "12025550100")), [1, 2, 3, 4, 5]);
        assert_eq!(store.campaigns(ALWAYS.0, ALWAYS.1).unwrap().len(), 4);
        for uid in [1, 2, 4, 5] {
            assert!(store.evidence(uid).unwrap().is_some(), "{uid}");
        }
    }
    let sealed = all_files(&made.path().join("seg")).into_iter();
    let sealed = sealed.filter(|f| !before.contains(f) && !f.ends_with("manifest"));
    for file in sealed {
        assert!(
            fs::read(&file).unwrap().starts_with(b"tracehop-aes1\n"),
            "{}",
            file.display()
        );
    }
    let lines = fs::read_to_string(layout::campaign_file(&made.path(), 20_782)).unwrap();
    let kinds: Vec<bool> = lines.lines().map(|l| l.starts_with("aes1:")).collect();
    assert_eq!(kinds, [false, true, true]);
}

#[test]
fn sealed_lines_of_campaigns_can_not_change_places() {
    let made = Encrypted::new();
    let mut store = made.open();
    for id in ["a", "b"] {
        store
            .append_campaign(&campaign(id, at("2026-11-24T13:00:00Z")))
            .unwrap();
    }
    store.commit().unwrap();
    let path = layout::campaign_file(&made.path(), 20_781);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0].len(), lines[1].len());
    fs::write(&path, format!("{}\n{}\n", lines[1], lines[0])).unwrap();
    let reader = made.reader();
    assert_eq!(reader.campaigns(ALWAYS.0, ALWAYS.1).unwrap(), []);
    assert_eq!(reader.unreadable_campaigns(ALWAYS.0, ALWAYS.1).unwrap(), 2);
}

#[test]
fn damage_to_sealed_files_never_changes_an_answer() {
    let made = Encrypted::new();
    let mut store = made.open();
    fill(&mut store);
    store.seal().unwrap();
    store
        .append_end(&end(&{
            let mut b = full_begin(1);
            b.at = at("2026-11-24T13:00:00Z");
            b
        }))
        .unwrap();
    store.close().unwrap();
    let answer = |reader: &StoreReader| {
        let number = tn("12025550199");
        let calls = reader.by_calling(number, ALWAYS.0, ALWAYS.1)?;
        Ok::<_, StoreError>((calls, reader.evidence(1)?, reader.evidence(2)?))
    };
    let whole = answer(&made.reader()).unwrap();
    let mut files = all_files(&made.path().join("seg"));
    files.extend(all_files(&made.path().join("evidence")));
    let mut seen = 0;
    for file in files {
        let octets = fs::read(&file).unwrap();
        // Its header, its end, and some places between.
        let places = (0..44).chain((44..octets.len()).step_by(211));
        for at in places.chain([octets.len() - 1]) {
            let mut damaged = octets.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&file, damaged).unwrap();
            match answer(&made.reader()) {
                Ok(answer) => assert_eq!(answer, whole, "octet {at} of {}", file.display()),
                Err(why) => {
                    assert!(
                        why.to_string().contains(".key")
                            || why.to_string().contains("/seg/")
                            || why.to_string().contains("/evidence/"),
                        "{why}"
                    );
                    seen += 1;
                }
            }
        }
        fs::write(&file, octets).unwrap();
    }
    assert!(seen > 200, "{seen}");
}

#[test]
fn changing_the_key_may_be_cut_off_anywhere() {
    let made = Encrypted::new();
    let mut store = made.open();
    fill(&mut store);
    store.seal().unwrap();
    drop(store);
    let (old, new) = (made.key("key"), made.key("new"));
    let opens = |key: &str| {
        let opened = EmbeddedStore::open_reader(&made.path(), &made.with(key));
        opened.is_ok_and(|(reader, _)| {
            let calls = reader.by_called(tn("12025550100"), ALWAYS.0, ALWAYS.1);
            calls.is_ok_and(|c| uids(&c) == [1, 2])
        })
    };
    // Four keys are written twice each.
    let pristine = made.dir.path().join("pristine");
    copy(&made.path(), &pristine);
    for writes in 0..9 {
        fs::remove_dir_all(made.path()).unwrap();
        copy(&pristine, &made.path());
        let done = vault::rotate(&made.path(), &old, &new, writes);
        assert_eq!(done.is_ok(), writes == 8, "{writes}");
        assert_eq!(opens("key"), writes <= 4, "the old one after {writes}");
        assert_eq!(opens("new"), writes >= 4, "the new one after {writes}");
        // And once more, by whichever opens it.
        assert_eq!(rotate_keys(&made.path(), &old, &new).unwrap(), 4);
        assert!(opens("new") && !opens("key"));
    }
    let why = rotate_keys(&made.path(), &new, &new).unwrap_err();
    assert!(
        why.to_string().contains("the new key is the old one"),
        "{why}"
    );
    let why = rotate_keys(&made.path(), &old, &made.key("third")).unwrap_err();
    assert!(why.to_string().contains("not the right key"), "{why}");
    let _open = EmbeddedStore::open(&made.path(), made.with("new")).unwrap();
    let why = rotate_keys(&made.path(), &new, &old).unwrap_err();
    assert!(matches!(why, StoreError::Locked { .. }), "{why}");
}

#[test]
fn a_key_is_in_no_message() {
    let made = Encrypted::new();
    let settings = made.settings();
    let key = fs::read_to_string(made.dir.path().join("key")).unwrap();
    let shown = format!(
        "{settings:?} {:?}",
        EmbeddedStore::open(&made.path(), settings.clone()).map(|_| ())
    );
    assert!(!shown.contains(key.trim()));
    for file in all_files(&made.path()) {
        let octets = fs::read(&file).unwrap();
        assert!(memchr::memmem::find(&octets, key.trim().as_bytes()).is_none());
    }
}

#[test]
fn what_a_process_leaves_is_sealed_under_its_name() {
    let made = Encrypted::new();
    let seal = made.open().reader().state_seal();
    let text = b"open: 12025550100".to_vec();
    let file = seal.seal("open-calls", text.clone()).unwrap();
    assert!(memchr::memmem::find(&file, b"5550100").is_none());
    assert_eq!(seal.open("open-calls", file.clone()).unwrap(), text);
    seal.open("flags.state", file.clone()).unwrap_err();
    for at in [14, 30, 43, 50, file.len() - 1] {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        seal.open("open-calls", damaged).unwrap_err();
        seal.open("open-calls", file[..at].to_vec()).unwrap_err();
    }
    // Of before the store was encrypted, and of a store that is not.
    assert_eq!(seal.open("open-calls", text.clone()).unwrap(), text);
    let plain = StateSeal::default();
    assert_eq!(plain.seal("open-calls", text.clone()).unwrap(), text);
    assert_eq!(plain.open("open-calls", text.clone()).unwrap(), text);
}

#[test]
fn changing_the_key_goes_through_the_stores_of_legal_holds() {
    let made = Encrypted::new();
    drop(made.open());
    let held = made.path().join("holds/C-7/1");
    let mut store = EmbeddedStore::open(&held, made.settings()).unwrap();
    fill(&mut store);
    store.close().unwrap();
    let wrapped = rotate_keys(&made.path(), &made.key("key"), &made.key("new")).unwrap();
    assert_eq!(
        wrapped,
        2 + 4,
        "two of the store, and of the hold days, log and its own"
    );
    let (reader, _) = EmbeddedStore::open_reader(&held, &made.with("new")).unwrap();
    assert_eq!(uids(&called(&reader, "12025550100")), [1, 2]);
}

#[test]
fn a_key_that_is_held_needs_its_source_no_more() {
    let made = Encrypted::new();
    let held = made.key("key").hold().unwrap();
    fs::remove_file(made.dir.path().join("key")).unwrap();
    let settings = StoreSettings {
        encryption: Some(held.clone()),
        ..settings(10)
    };
    EmbeddedStore::open(&made.path(), settings).unwrap();
    assert_eq!(held, held.hold().unwrap());
    assert!(format!("{held:?}").len() < 30, "{held:?}");
}
