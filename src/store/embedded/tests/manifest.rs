//! Manifests: what they list counts, whatever else lies there.

use super::*;

const HOUR: &str = "seg/2026-11-24/13";

/// Two segments and a file of ends in one hour.
fn sample() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for uid in 1..=3 {
        store.append_begin(&begin(uid)).unwrap();
    }
    store.seal().unwrap();
    store.append_end(&end(&begin(2))).unwrap();
    store.append_begin(&begin(4)).unwrap();
    store.close().unwrap();
    dir
}

fn files(dir: &Path) -> Vec<String> {
    let listed = layout::list(&dir.join(HOUR)).unwrap();
    listed.into_iter().filter_map(|(_, name)| name).collect()
}

#[test]
fn a_manifest_says_how_much_there_is() {
    let dir = sample();
    let store = open(dir.path());
    let held = store.reader().held();
    assert_eq!((held.sealed, held.in_memory, held.files), (4, 0, 3));
    assert_eq!(held.unknown, 0);
    assert_eq!(held.last_uid, 4);
    assert_eq!(store.open_report(), &OpenReport::default());
}

#[test]
fn what_is_not_listed_is_void_and_goes_when_a_writer_opens() {
    let dir = sample();
    let before = files(dir.path());
    let segment = before.iter().find(|n| n.ends_with(".parquet")).unwrap();
    for stray in [
        "s-0000000009-0000000-0000001-00000001-00000002.parquet",
        "h-0000000009-0000000-0000001-00000001.cix",
        "e-0000000009-00000000000000000001-00000000000000000001-00000001.ends",
        "manifest.new",
    ] {
        std::fs::copy(
            dir.path().join(HOUR).join(segment),
            dir.path().join(HOUR).join(stray),
        )
        .unwrap();
    }
    std::fs::write(dir.path().join(HOUR).join("notes.txt"), "mine").unwrap();
    let (reader, report) = EmbeddedStore::open_read_only(dir.path()).unwrap();
    assert_eq!(uids(&called(&reader, "12025550100")), [1, 2, 3, 4]);
    assert_eq!((report.void_files, report.foreign_files), (0, 1));
    let store = open(dir.path());
    assert_eq!(uids(&called(&store, "12025550100")), [1, 2, 3, 4]);
    assert_eq!(
        (
            store.open_report().void_files,
            store.open_report().foreign_files
        ),
        (4, 1)
    );
    assert_eq!(files(dir.path()).len(), before.len() + 1);
}

#[test]
fn a_listed_file_that_is_gone_is_named_by_who_needs_it() {
    let dir = sample();
    let gone = files(dir.path())
        .into_iter()
        .find(|n| n.ends_with(".parquet"))
        .unwrap();
    std::fs::remove_file(dir.path().join(HOUR).join(&gone)).unwrap();
    let store = open(dir.path());
    let report = store.open_report();
    assert_eq!((report.missing_files, report.damaged.len()), (1, 1));
    let (beside, _) = EmbeddedStore::open_read_only(dir.path()).unwrap();
    for reader in [store.reader(), beside] {
        let e = reader
            .by_called(tn("12025550100"), ALWAYS.0, ALWAYS.1)
            .unwrap_err();
        assert!(
            e.to_string().contains(&gone) && e.to_string().contains("gone"),
            "{e}"
        );
        let elsewhere = (at("2026-11-24T15:00:00Z"), at("2026-11-24T16:00:00Z"));
        assert_eq!(
            reader
                .by_called(tn("12025550100"), elsewhere.0, elsewhere.1)
                .unwrap(),
            []
        );
    }
}

#[test]
fn a_damaged_manifest_stops_its_hour_and_nothing_else() {
    let dir = sample();
    let path = dir.path().join(HOUR).join("manifest");
    let mut text = std::fs::read(&path).unwrap();
    text[30] ^= 1;
    std::fs::write(&path, &text).unwrap();
    let before = files(dir.path());
    let mut store = open(dir.path());
    assert_eq!(store.open_report().damaged_hours, 1);
    let e = store
        .by_called(tn("12025550100"), ALWAYS.0, ALWAYS.1)
        .unwrap_err();
    assert!(e.to_string().contains("13/manifest"), "{e}");
    assert!(
        store
            .reader()
            .scan(ALWAYS.0, ALWAYS.1, |_| std::ops::ControlFlow::Continue(()))
            .is_err()
    );
    // Records still come in, in this hour and in others, and nothing is deleted.
    store.append_begin(&begin(5)).unwrap();
    let mut later = begin(6);
    later.at = at("2026-11-24T15:00:00Z");
    store.append_begin(&later).unwrap();
    store.seal().unwrap();
    assert_eq!(
        store
            .by_called(tn("12025550100"), later.at, later.at)
            .unwrap()
            .len(),
        1
    );
    assert_eq!(files(dir.path()).len(), before.len() + 2);
    assert_eq!(std::fs::read(&path).unwrap(), text);
    drop(store);
    // Without it the names count, as they did before there were manifests.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        uids(&called(&open(dir.path()), "12025550100")),
        [1, 2, 3, 4, 5, 6]
    );
}

#[test]
fn a_store_beside_a_writer_finds_what_was_put_elsewhere() {
    let dir = sample();
    let (beside, _) = EmbeddedStore::open_read_only(dir.path()).unwrap();
    let mut store = EmbeddedStore::open(
        dir.path(),
        StoreSettings {
            retention: Duration::from_secs(3600),
            ..settings(10)
        },
    )
    .unwrap();
    let mut later = begin(9);
    later.at = at("2026-11-24T15:00:00Z");
    store.append_begin(&later).unwrap();
    store.retain(at("2026-11-24T15:30:00Z")).unwrap();
    store.commit().unwrap();
    assert_eq!(uids(&called(&beside, "12025550100")), [9]);
    assert_eq!(beside.forgotten_before(), Some(at("2026-11-24T14:00:00Z")));
}
