//! Readers beside the process that writes: every record that was acknowledged before a look-up began is found exactly once, whatever is sealed, merged
//! or deleted meanwhile; and a check that runs beside it finds nothing wrong.

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use super::writer::{CHILD, Writer, made, write_forever};
use super::*;

const NAME: &str = "store::embedded::tests::beside::a_reader_beside_the_writer_finds_every_acknowledged_record_once";

#[test]
fn a_reader_beside_the_writer_finds_every_acknowledged_record_once() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return write_forever(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::start(NAME, dir.path());
    while writer.acknowledged < 200 {
        assert!(writer.listen());
    }
    let (acknowledged, stop) = (AtomicU64::new(writer.acknowledged), AtomicBool::new(false));
    let looked = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) && writer.listen() {
                acknowledged.store(writer.acknowledged, Ordering::SeqCst);
            }
            stop.store(true, Ordering::Relaxed);
            writer.kill();
        });
        let _stop = Raise(&stop);
        let (mut looked, mut checked) = (0, 0);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(8) {
            assert!(
                !stop.load(Ordering::Relaxed),
                "the writer has died by itself"
            );
            // A long look back costs more with every second that the writer has had.
            let known = acknowledged.load(Ordering::SeqCst);
            let from = made(known.saturating_sub(400).max(1)).at;
            let reader = match EmbeddedStore::open_read_only(dir.path()) {
                Ok((reader, _)) => reader,
                Err(StoreError::Restless) => continue,
                Err(e) => panic!("{e}"),
            };
            let found = match reader.by_called(tn("12025550100"), from, Timestamp::MAX) {
                Err(StoreError::Restless) => continue,
                found => uids(&found.unwrap()),
            };
            let first = known.saturating_sub(400).max(1);
            let forgotten = reader.forgotten_before();
            let first = (first..)
                .find(|u| forgotten.is_none_or(|f| made(*u).at >= f))
                .unwrap();
            let expected: Vec<u64> = (first..=*found.last().unwrap()).collect();
            assert!(
                found == expected,
                "gaps or doubles: {found:?} for {expected:?}"
            );
            assert!(found.last() >= Some(&known), "{known} was acknowledged");
            looked += 1;
            if looked % 10 == 0 {
                let report = check::checked(dir.path());
                assert!(report.is_sound(), "{report:#?}");
                checked += 1;
            }
        }
        (looked, checked)
    });
    println!(
        "{} look-ups and {} checks beside {} records",
        looked.0,
        looked.1,
        acknowledged.into_inner()
    );
    assert!(looked.0 > 5);
}
