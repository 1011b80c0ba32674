//! Power cuts, damage, full disks.

use super::*;

/// A copy of a folder, as a power cut would leave it.
pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_seal_cut_short_anywhere_neither_loses_nor_doubles() {
    let dir = tempfile::tempdir().unwrap();
    let (before, after) = (dir.path().join("before"), dir.path().join("after"));
    let mut store = open(&before);
    let mut first = begin(1);
    first.at = at("2026-11-24T09:00:00Z");
    store.append_begin(&first).unwrap();
    store.seal().unwrap();
    store.append_end(&end(&first)).unwrap();
    for uid in 2..=5 {
        let mut b = begin(uid);
        b.at = at("2026-11-24T10:00:00Z").plus(Duration::from_secs(uid * 1200));
        store.append_begin(&b).unwrap();
    }
    store.commit().unwrap();
    drop(store);
    copy(&before, &after);
    open(&after).seal().unwrap();

    // Every file that the seal made, in every combination, beside the log that it did not come to unlink.
    let (mut made, mut manifests) = (Vec::new(), Vec::new());
    for hour in ["09", "10", "11"] {
        let sub = Path::new("seg/2026-11-24").join(hour);
        for (path, _) in layout::list(&after.join(&sub)).unwrap() {
            let file = sub.join(path.file_name().unwrap());
            if file.ends_with("manifest") {
                manifests.push(file);
            } else if !before.join(&file).exists() {
                made.push(file);
            }
        }
    }
    assert_eq!(
        made.len(),
        5,
        "two segments with their indexes, and late ends: {made:?}"
    );
    assert_eq!(manifests.len(), 3);
    for subset in 0..2_u32 << made.len() {
        let crashed = dir.path().join(format!("crashed-{subset}"));
        copy(&before, &crashed);
        let mut placed = 0;
        for (i, file) in made.iter().enumerate() {
            if subset & (1 << i) != 0 {
                let target = crashed.join(file);
                std::fs::create_dir_all(target.parent().unwrap()).unwrap();
                std::fs::copy(after.join(file), &target).unwrap();
                std::fs::write(target.with_extension("parquet.new"), b"PAR1").unwrap();
                placed += 1;
            }
        }
        if subset & (1 << made.len()) != 0 {
            for file in &manifests {
                std::fs::create_dir_all(crashed.join(file).parent().unwrap()).unwrap();
                std::fs::copy(after.join(file), crashed.join(file)).unwrap();
            }
        }
        let (reader, _) = EmbeddedStore::open_read_only(&crashed).unwrap();
        assert_eq!(uids(&called(&reader, "12025550100")), [1, 2, 3, 4, 5]);
        let mut store = open(&crashed);
        assert!(store.open_report().void_files >= placed);
        for _ in 0..2 {
            let calls = called(&store, "12025550100");
            assert_eq!(uids(&calls), [1, 2, 3, 4, 5]);
            assert!(calls[0].end.is_some());
            store.seal().unwrap();
        }
        drop(store);
        std::fs::remove_dir_all(&crashed).unwrap();
    }
}

#[test]
fn a_log_torn_anywhere_gives_back_a_prefix_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original");
    let mut store = open(&original);
    for uid in 1..=6 {
        store.append_begin(&begin(uid)).unwrap();
        if uid % 2 == 0 {
            store.commit().unwrap();
        }
    }
    drop(store);
    let log = std::fs::read(layout::log(&original, 1)).unwrap();
    let mut most = 0;
    for cut in 0..=log.len() {
        let torn = dir.path().join("torn");
        copy(&original, &torn);
        std::fs::write(layout::log(&torn, 1), &log[..cut]).unwrap();
        let mut store = open(&torn);
        let found = uids(&called(&store, "12025550100"));
        assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>());
        assert!(found.len() >= most && found.len().is_multiple_of(2));
        most = found.len();
        assert_eq!(store.open_report().bad_frames, 0);
        // It goes on behind the cut, and what comes then is there after another opening.
        store.append_begin(&begin(100)).unwrap();
        store.commit().unwrap();
        drop(store);
        let store = open(&torn);
        assert_eq!(store.open_report().torn_bytes, 0);
        assert_eq!(called(&store, "12025550100").len(), found.len() + 1);
        drop(store);
        std::fs::remove_dir_all(&torn).unwrap();
    }
    assert_eq!(most, 6);
}

#[test]
fn damaged_and_foreign_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for uid in 1..=3 {
        store.append_begin(&begin(uid)).unwrap();
    }
    store.seal().unwrap();
    store.append_end(&end(&begin(2))).unwrap();
    store.close().unwrap();
    for foreign in [
        "wal/notes.txt",
        "seg/readme",
        "seg/2026-11-24/13/x.parquet",
        "seg/2026-11-24/99",
    ] {
        std::fs::write(dir.path().join(foreign), b"?").unwrap();
    }
    let store = open(dir.path());
    assert_eq!(store.open_report().foreign_files, 4);
    let sound = (
        called(&store, "12025550100"),
        calling(&store, "12025550199"),
    );
    assert_eq!(sound.0.len(), 3);
    drop(store);

    // Flipped in turn: the answer is right (the octet was not needed for it) or an error, never another answer.
    let files = layout::list(&dir.path().join("seg/2026-11-24/13")).unwrap();
    for (path, name) in files {
        if name.unwrap().starts_with('x') {
            continue;
        }
        let whole = std::fs::read(&path).unwrap();
        let mut found = 0;
        for place in (0..whole.len()).step_by(5) {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 << (place % 8);
            std::fs::write(&path, &damaged).unwrap();
            let (reader, _) = EmbeddedStore::open_read_only(dir.path()).unwrap();
            let one = reader.by_called(tn("12025550100"), ALWAYS.0, ALWAYS.1);
            let other = reader.by_calling(tn("12025550199"), ALWAYS.0, ALWAYS.1);
            for (result, right) in [(one, &sound.0), (other, &sound.1)] {
                match result {
                    Ok(calls) => assert_eq!(&calls, right, "octet {place} of {path:?}"),
                    Err(e) => {
                        let named = ["-000000000", "13/manifest"].iter();
                        assert!(named.clone().any(|n| e.to_string().contains(n)), "{e}");
                        found += 1;
                    }
                }
            }
        }
        assert!(found > whole.len() / 10, "{found} found in {path:?}");
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let (reader, _) = EmbeddedStore::open_read_only(dir.path()).unwrap();
        let cut = reader.by_calling(tn("12025550199"), ALWAYS.0, ALWAYS.1);
        assert!(matches!(cut, Err(StoreError::Corrupt { .. })));
        std::fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn a_folder_that_is_no_store_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.txt"), b"years of work").unwrap();
    let refused = EmbeddedStore::open(dir.path(), settings(10)).err().unwrap();
    assert!(refused.to_string().contains("thesis.txt"), "{refused}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

    let later = tempfile::tempdir().unwrap();
    std::fs::write(later.path().join("format"), b"tracehop store, format 4\n").unwrap();
    assert!(matches!(
        EmbeddedStore::open(later.path(), settings(10)),
        Err(StoreError::Corrupt { .. })
    ));
}

#[test]
fn a_store_whose_logs_are_gone_goes_on_behind_the_last_uid() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for uid in 1..=30 {
        store.append_begin(&begin(uid)).unwrap();
    }
    store.close().unwrap();
    std::fs::remove_dir_all(dir.path().join("wal")).unwrap();
    let mut store = open(dir.path());
    assert_eq!(store.last_uid(), 30);
    store.append_begin(&begin(31)).unwrap();
    store.seal().unwrap();
    assert_eq!(called(&store, "12025550100").len(), 31);
}

#[test]
fn a_failed_log_refuses_but_still_answers() {
    struct Broken;
    impl log::Sink for Broken {
        fn write_all(&mut self, _: &[u8]) -> std::io::Result<()> {
            Ok(())
        }

        fn sync(&mut self) -> std::io::Result<()> {
            Err(std::io::Error::other("input/output error"))
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.append_begin(&begin(1)).unwrap();
    store.commit().unwrap();
    store.log.replace_sink(Box::new(Broken));
    store.append_begin(&begin(2)).unwrap();
    assert!(matches!(store.commit(), Err(StoreError::LogFailed { .. })));
    assert!(matches!(store.commit(), Err(StoreError::LogFailed { .. })));
    assert!(store.append_begin(&begin(3)).is_err());
    assert!(store.append_end(&end(&begin(1))).is_err());
    assert!(
        store.seal().is_err(),
        "what is not in the log is not sealed"
    );
    assert_eq!(called(&store, "12025550100").len(), 2);
    drop(store);
    assert_eq!(uids(&called(&open(dir.path()), "12025550100")), [1]);
}

#[test]
fn a_seal_that_fails_is_tried_again_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = EmbeddedStore::open(dir.path(), settings(4)).unwrap();
    // A file where the day's folder should be: no segment can be written.
    let day = dir.path().join("seg/2026-11-24");
    std::fs::write(&day, b"").unwrap();
    for uid in 1..=4 {
        store.append_begin(&begin(uid)).unwrap();
    }
    assert!(store.append_begin(&begin(5)).is_err(), "there is no room");
    assert!(store.seal_trouble().is_some());
    store.commit().unwrap();
    assert_eq!(called(&store, "12025550100").len(), 4);
    std::fs::remove_file(&day).unwrap();
    for uid in 5..=20 {
        store.append_begin(&begin(uid)).unwrap();
    }
    assert_eq!(store.seal_trouble(), None);
    assert_eq!(called(&store, "12025550100").len(), 20);
    drop(store);
    assert_eq!(called(&open(dir.path()), "12025550100").len(), 20);
}
