//! Stores of earlier versions are read and gone on with.

use super::*;

/// A copy of a store under tests/fixtures; see the README there.
pub(super) fn fixture(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    copy(&fixtures.join(name), dir.path());
    dir
}

#[test]
fn a_store_written_before_the_youngest_columns_is_read_and_gone_on_with() {
    // Made by the version before `chain`, `verstat`, `stir_cause`, `disagrees` and `provenance`; see the README above it.
    let dir = fixture("store-before-chain");
    let mut store = open(dir.path());
    assert_eq!(store.last_uid(), 14);
    let window = (Timestamp::MIN, Timestamp::MAX);
    let caller = "16175550184";
    let before = store.by_calling(tn(caller), window.0, window.1).unwrap();
    assert!(!before.is_empty());
    for call in before.clone() {
        let (v, e) = (&call.begin.verdict, call.end.unwrap());
        assert!(v.passport.is_some() && v.chain.is_none() && call.begin.verstat.is_none());
        assert_eq!(call.begin.provenance, Provenance::File);
        assert!(e.stir_cause.is_none() && !e.disagrees);
    }
    assert_eq!(store.reader().evidence(1).unwrap(), None);
    let mut new = begin(15);
    new.verdict.chain = Some(Digest128::of(b"chain"));
    new.provenance = Provenance::Hep;
    store.append_begin(&new).unwrap();
    store.seal().unwrap();
    assert_eq!(called(&store, "12025550100")[0].begin, new);
    assert_eq!(
        store.by_calling(tn(caller), window.0, window.1).unwrap(),
        before
    );
}

/// Logs of version 1, of which twenty records are held by no segment.
#[test]
fn a_store_written_before_the_attribution_is_read_and_gone_on_with() {
    let dir = fixture("store-before-attribution");
    let known =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store-before-attribution.jsonl");
    let known = std::fs::read_to_string(known).unwrap();
    let known: Vec<serde_json::Value> = known
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(known.len(), 60);

    let (reader, report) = EmbeddedStore::open_read_only(dir.path()).unwrap();
    assert_eq!((report.records, report.ends, report.coverage), (20, 20, 1));
    holds(&reader, &known);
    let format = || std::fs::read_to_string(dir.path().join("format")).unwrap();
    assert_eq!(
        format(),
        "tracehop store, format 1\n",
        "readers change nothing"
    );

    let mut store = open(dir.path());
    assert_eq!(store.open_report(), &report);
    assert_eq!(format(), "tracehop store, format 3\n");
    holds(&store, &known);
    let mut new = full_begin(store.last_uid() + 1);
    new.numbers.called = Some(tn("12025550177"));
    let mut over = end(&new);
    over.one_way = true;
    store.append_begin(&new).unwrap();
    store.append_end(&over).unwrap();
    store.commit().unwrap();
    drop(store);

    let mut store = open(dir.path());
    let after = |store: &EmbeddedStore| {
        holds(store, &known);
        let found = called(store, "12025550177");
        assert_eq!(
            (&found[0].begin, &found[0].end),
            (&new, &Some(over.clone()))
        );
    };
    after(&store);
    store.seal().unwrap();
    after(&store);
    store.close().unwrap();
    let store = open(dir.path());
    assert_eq!(store.open_report(), &OpenReport::default());
    after(&store);
    assert_eq!(store.coverage(ALWAYS.0, ALWAYS.1).unwrap().len(), 2);
}

/// Every record by any of its numbers, member by member as the JSON of its day has it.
fn holds(store: &dyn Lookup, known: &[serde_json::Value]) {
    let mut seen = 0;
    for record in known {
        let number = |path: &str| record.pointer(path)?.as_str().map(str::to_owned);
        let callees = ["/numbers/called", "/numbers/to", "/numbers/diverted_from"];
        let callers = [
            "/numbers/from",
            "/numbers/asserted",
            "/numbers/remote_party",
            "/verdict/orig",
        ];
        let found = match callees.iter().find_map(|p| number(p)) {
            Some(n) => called(store, &n),
            None => match callers.iter().find_map(|p| number(p)) {
                Some(n) => calling(store, &n),
                None => continue,
            },
        };
        let uid = record["uid"].as_u64().unwrap();
        let found = found.iter().find(|c| c.begin.uid == uid).unwrap();
        let a = &found.begin.attribution;
        assert_eq!((a, found.begin.pair), (&Default::default(), None));
        assert!(found.end.as_ref().is_none_or(|e| !e.one_way));
        let now = serde_json::to_value(found).unwrap();
        within(record, &now, &format!("record {uid}"));
        seen += 1;
    }
    assert!(seen > 50, "{seen}");
}

/// What the older JSON says, the newer one says too.
fn within(old: &serde_json::Value, new: &serde_json::Value, at: &str) {
    match old.as_object() {
        Some(members) => {
            for (name, value) in members {
                let at = format!("{at}.{name}");
                within(value, new.get(name).unwrap_or_else(|| panic!("{at}")), &at);
            }
        }
        None => assert_eq!(old, new, "{at}"),
    }
}

/// Hours without a manifest, ends after their segments, and a log as kill -9 leaves it.
#[test]
fn a_store_written_before_there_were_manifests_is_read_and_gone_on_with() {
    let dir = fixture("store-before-manifest");
    let known = known("store-before-manifest.jsonl");
    assert_eq!(known.len(), 120);
    let (reader, report) = EmbeddedStore::open_read_only(dir.path()).unwrap();
    assert_eq!((report.records, report.damaged_hours), (20, 0));
    same(&reader, &known);
    let format = || std::fs::read_to_string(dir.path().join("format")).unwrap();
    assert_eq!(format(), "tracehop store, format 2\n");

    let mut store = open(dir.path());
    assert_eq!(format(), "tracehop store, format 3\n");
    assert!(!dir.path().join("seg/2026-11-24/13/manifest").exists());
    same(&store.reader(), &known);
    store.seal().unwrap();
    same(&store.reader(), &known);
    // Ends for the first hour and records of the second were in the log: both have a manifest now, which lists what was there as well.
    let manifest = std::fs::read_to_string(dir.path().join("seg/2026-11-24/14/manifest")).unwrap();
    let lines: Vec<&str> = manifest.lines().collect();
    assert_eq!(
        lines.iter().filter(|l| l.ends_with(" - - -")).count(),
        3,
        "{manifest}"
    );
    assert!(
        lines
            .iter()
            .any(|l| l.starts_with("s-0000000005-") && l.ends_with(" 20 101 120")),
        "{manifest}"
    );
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.open_report(), &OpenReport::default());
    same(&store.reader(), &known);
}

fn known(name: &str) -> Vec<serde_json::Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

/// Every record of the store, and no other, member by member as the JSON of its day has it.
fn same(store: &StoreReader, known: &[serde_json::Value]) {
    let mut found = BTreeMap::new();
    let seen = store.scan(ALWAYS.0, ALWAYS.1, |call| {
        assert!(found.insert(call.begin.uid, call).is_none());
        std::ops::ControlFlow::Continue(())
    });
    seen.unwrap();
    assert_eq!(found.len(), known.len());
    for record in known {
        let uid = record["uid"].as_u64().unwrap();
        let now = serde_json::to_value(&found[&uid]).unwrap();
        within(record, &now, &format!("record {uid}"));
    }
}
