//! Evidence: what was put in comes out by uid, whatever happens to the files.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use smallvec::smallvec;

use super::*;
use crate::base::digest::Digest128;
use crate::call::record::evidence::{
    Evidence, HeaderJudgement, Judgement, StoredChain, StoredEvidence,
};
use crate::stir::verify::{Attestation, Rule, Validation};

/// Evidence of a call at 13:00, signed by one of eight signers.
pub fn evidence(uid: u64) -> StoredEvidence {
    let signer = uid % 8;
    let octets: Arc<[u8]> = format!("-----BEGIN CERTIFICATE-----\n{signer}\n")
        .into_bytes()
        .into();
    let failed = [Rule::F1]
        .into_iter()
        .filter(|_| uid.is_multiple_of(3))
        .collect();
    StoredEvidence {
        uid,
        at: at("2026-11-24T13:00:00Z"),
        evidence: Evidence {
            head: format!("INVITE sip:+12025550100@example.net SIP/2.0\r\nCall-ID: {uid}\r\n\r\n")
                .into_bytes()
                .into(),
            chains: smallvec![StoredChain {
                url: format!("https://cert.example.net/{signer}.pem").into(),
                digest: Digest128::of(&octets),
                octets,
            }],
            judgement: Judgement {
                validation: Validation::Failed,
                decided_by: Some(Rule::F1),
                attest: Some(Attestation::B),
                headers: smallvec![HeaderJudgement {
                    passed: [Rule::G1, Rule::S2].into_iter().collect(),
                    failed,
                    ..HeaderJudgement::default()
                }],
            },
        },
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for day in fs::read_dir(dir.join("evidence")).into_iter().flatten() {
        for file in fs::read_dir(day.unwrap().path()).unwrap() {
            out.push(file.unwrap().path());
        }
    }
    out.sort();
    out
}

#[test]
fn what_was_put_in_comes_out_by_uid_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    // Every other call is signed; heads of all sizes, so that there are many frames.
    let made = |uid: u64| {
        let mut e = evidence(uid);
        let mut head = e.evidence.head.to_vec();
        head.extend((0..(uid * 37) % 9_000).map(|i| (i * uid) as u8));
        e.evidence.head = head.into();
        e
    };
    for uid in (2..600).step_by(2) {
        store.append_evidence(&made(uid)).unwrap();
    }
    store.commit().unwrap();
    let reader = store.reader();
    for uid in (2..600).step_by(2) {
        assert_eq!(reader.evidence(uid).unwrap(), Some(made(uid)), "{uid}");
        assert_eq!(reader.evidence(uid + 1).unwrap(), None);
    }
    assert_eq!(reader.evidence(1).unwrap(), None);
    assert_eq!(files(dir.path()).len(), 1);
}

#[test]
fn a_head_longer_than_a_message_can_be_is_not_kept_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let mut long = evidence(1);
    long.evidence.head = vec![b'x'; (64 << 10) + 1].into();
    store.append_evidence(&long).unwrap();
    store.append_evidence(&evidence(2)).unwrap();
    store.commit().unwrap();
    assert_eq!(store.reader().evidence(1).unwrap(), None);
    assert_eq!(store.reader().evidence(2).unwrap(), Some(evidence(2)));
    assert_eq!(store.counters().evidence_too_long, 1);
}

#[test]
fn the_next_process_writes_on_in_files_of_its_own_and_the_younger_file_wins() {
    let dir = tempfile::tempdir().unwrap();
    for first in [1, 11] {
        let mut store = open(dir.path());
        for uid in first..first + 10 {
            store.append_evidence(&evidence(uid)).unwrap();
        }
        store.commit().unwrap();
    }
    // A crash took the log's last records but not their evidence: uids from 15 on are given anew.
    let mut store = open(dir.path());
    let mut anew = evidence(15);
    anew.evidence.head = (*b"INVITE anew").into();
    store.append_evidence(&anew).unwrap();
    store.append_evidence(&evidence(16)).unwrap();
    store.commit().unwrap();
    let reader = store.reader();
    for uid in 1..=16 {
        let want = if uid == 15 {
            anew.clone()
        } else {
            evidence(uid)
        };
        assert_eq!(reader.evidence(uid).unwrap(), Some(want), "{uid}");
    }
    assert_eq!(reader.evidence(17).unwrap(), None, "of the process before");
    assert_eq!(files(dir.path()).len(), 3);
}

#[test]
fn a_tail_torn_anywhere_gives_a_prefix_and_says_what_it_can_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for uid in 1..=30 {
        store.append_evidence(&evidence(uid)).unwrap();
        if uid % 10 == 0 {
            store.commit().unwrap();
        }
    }
    let reader = store.reader();
    let file = files(dir.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    let mut kept_before = 0;
    for length in 0..=whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        let mut kept = 0;
        for uid in [10, 20, 30] {
            match reader.evidence(uid) {
                Ok(Some(found)) => {
                    assert_eq!(found, evidence(uid));
                    kept += 1;
                }
                Ok(None) => {}
                Err(e) => assert!(e.to_string().contains("damaged at octet"), "{e}"),
            }
        }
        assert!(kept >= kept_before, "{length}");
        kept_before = kept;
    }
    assert_eq!(kept_before, 3);
}

#[test]
fn a_bit_that_flipped_is_told_and_never_gives_another_call() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for uid in 1..=5 {
        store.append_evidence(&evidence(uid)).unwrap();
    }
    store.commit().unwrap();
    let reader = store.reader();
    let file = files(dir.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    let mut told = 0;
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1 << (place % 8);
        fs::write(&file, &damaged).unwrap();
        match reader.evidence(3) {
            Ok(found) => assert_eq!(found, Some(evidence(3)), "{place}"),
            Err(StoreError::Corrupt { path, .. }) => {
                assert_eq!(path, file);
                told += 1;
            }
            Err(e) => panic!("{e}"),
        }
    }
    // All but the chains of the others.
    assert!(told * 2 > whole.len(), "{told} of {}", whole.len());
}

#[test]
fn retention_deletes_days_of_evidence_and_leaves_the_records() {
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings {
        retention: Duration::from_secs(90 * 86_400),
        ..settings(1_000)
    };
    let mut store = EmbeddedStore::open(dir.path(), settings).unwrap();
    let days = [
        "2026-11-20T23:59:59Z",
        "2026-11-21T00:00:00Z",
        "2026-11-24T13:00:00Z",
    ];
    for (uid, day) in (1..).zip(days) {
        let mut b = begin(uid);
        b.at = at(day);
        store.append_begin(&b).unwrap();
        let mut e = evidence(uid);
        e.at = b.at;
        store.append_evidence(&e).unwrap();
    }
    store.commit().unwrap();
    assert_eq!(files(dir.path()).len(), 3);
    // 30 days and a moment after the first day ended.
    let report = store.retain(at("2026-12-21T00:00:00Z")).unwrap();
    assert_eq!((report.evidence_days, report.hours), (1, 0));
    let reader = store.reader();
    assert_eq!(reader.evidence(1).unwrap(), None);
    assert!(reader.evidence(2).unwrap().is_some() && reader.evidence(3).unwrap().is_some());
    assert_eq!(called(&store, "12025550100").len(), 3);
    // What comes late for a day that is gone begins its folder anew.
    let mut late = evidence(4);
    late.at = at(days[0]);
    store.append_evidence(&late).unwrap();
    store.commit().unwrap();
    assert_eq!(reader.evidence(4).unwrap(), Some(late));
}

#[test]
fn days_in_turns_are_written_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for uid in 1..=90 {
        let mut e = evidence(uid);
        e.at = at(&format!("2026-11-2{}T13:00:00Z", uid % 3));
        store.append_evidence(&e).unwrap();
    }
    store.commit().unwrap();
    assert_eq!(files(dir.path()).len(), 3);
    for uid in 1..=90 {
        assert!(store.reader().evidence(uid).unwrap().is_some());
    }
}

/// What evidence costs: `cargo test --release --lib evidence_costs -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn evidence_costs() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = 1_u64;
    let mut word = |letters: usize| {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let text: String = (0..letters)
            .map(|_| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                char::from(alphabet[(random >> 58) as usize])
            })
            .collect();
        text
    };
    // As the laboratory writes them: 1.3 KB, of which half is a token that no packer can shorten much.
    let made: Vec<_> = (1..=20_000_u64)
        .map(|uid| {
            let mut e = evidence(uid);
            e.evidence.head = format!(
                "INVITE sip:+1202555{:04}@192.0.2.10:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK{}\r\n\
                 Max-Forwards: 68\r\nFrom: <sip:+12025550100@sip.example.net;user=phone>;tag={}\r\n\
                 To: <sip:+12025550101@sip.example.net;user=phone>\r\nCall-ID: {}@198.51.100.1\r\nCSeq: 1 INVITE\r\n\
                 Contact: <sip:gw@198.51.100.1:5060>\r\nP-Asserted-Identity: <sip:+12025550100@sip.example.net;user=phone>\r\n\
                 P-Charging-Vector: icid-value=\"{}\";orig-ioi=sip.example.net\r\nSession-ID: {};remote=00000000000000000000000000000000\r\n\
                 Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO\r\nSupported: timer, 100rel, replaces\r\n\
                 Session-Expires: 1800;refresher=uac\r\nAccept: application/sdp, multipart/mixed\r\nUser-Agent: ExampleSwitch/7.4.2\r\n\
                 Identity: eyJhbGciOiJFUzI1NiIsInBwdCI6InNoYWtlbiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9jZXJ0LmV4YW1wbGUubmV0LzAucGVtIn0.\
                 {}.{};info=<https://cert.example.net/{}.pem>;alg=ES256;ppt=shaken\r\nContent-Type: application/sdp\r\n\r\n",
                uid % 10_000, word(14), word(10), word(36), word(19), word(32), word(260), word(86), uid % 8,
            ).into_bytes().into();
            e
        })
        .collect();
    let mut store = open(dir.path());
    let begun = cpu_time::ThreadTime::now();
    for e in &made {
        store.append_evidence(e).unwrap();
    }
    store.commit().unwrap();
    let spent = begun.elapsed();
    let octets: u64 = files(dir.path())
        .iter()
        .map(|f| f.metadata().unwrap().len())
        .sum();
    let n = made.len() as f64;
    let head: usize = made.iter().map(|e| e.evidence.head.len()).sum();
    println!(
        "{:.2} µs and {:.0} octets a call, of heads of {:.0} octets",
        spent.as_secs_f64() * 1e6 / n,
        octets as f64 / n,
        head as f64 / n
    );
    let begun = std::time::Instant::now();
    for uid in (1..=20_000).step_by(97) {
        assert!(store.reader().evidence(uid).unwrap().is_some());
    }
    println!(
        "{:.2} ms a look-up",
        begun.elapsed().as_secs_f64() * 1e3 / 207.0
    );
}
