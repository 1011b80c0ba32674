use std::time::Duration;

use proptest::prelude::*;
use rusqlite::TransactionBehavior;
use serde_json::json;

use super::verify::{Fault, verify};
use super::*;
use crate::proof::database;
use crate::proof::sign::{Signer, Verifier, new_key};
use crate::traceback::audit::{verify_consistency, verify_inclusion};

const T0: Timestamp = Timestamp::from_secs(1_795_512_607);

fn memory(lines: u64) -> Connection {
    let mut c = Connection::open_in_memory().unwrap();
    create(&c).unwrap();
    for i in 0..lines {
        add(&mut c, i);
    }
    c
}

fn add(c: &mut Connection, i: u64) -> u64 {
    let t = c
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    let who = Who::Portal("itg".into());
    let index = append(
        &t,
        &Entry {
            at: T0.plus(Duration::from_secs(i)),
            who: &who,
            act: "look-up",
            case_id: if i.is_multiple_of(3) { "C-0" } else { "C-1" },
            request: i.is_multiple_of(2).then_some("HR-1"),
            detail: json!({"resolution": "NOT_FOUND", "n": i}),
        },
    )
    .unwrap();
    t.commit().unwrap();
    index
}

fn signer() -> Signer {
    let folder = tempfile::tempdir().unwrap();
    new_key(&folder.path().join("k")).unwrap()
}

fn knows(s: &Signer) -> Verifier {
    let mut v = Verifier::default();
    v.add(s.jwks().to_string().as_bytes(), None).unwrap();
    v
}

fn keep(c: &mut Connection, s: &Signer) -> TreeHead {
    let t = c.transaction().unwrap();
    let signed = head::keep(&t, s, T0).unwrap();
    t.commit().unwrap();
    TreeHead::open(&signed.json, &knows(s)).unwrap().0
}

/// As somebody who holds the database does it: the triggers go first.
fn tamper(c: &Connection, sql: &str) {
    for table in ["audit", "audit_node", "audit_head"] {
        for act in ["update", "delete"] {
            c.execute_batch(&format!("DROP TRIGGER IF EXISTS {table}_no_{act}"))
                .unwrap();
        }
    }
    c.execute_batch(
        "DROP TRIGGER IF EXISTS audit_goes_on; DROP TRIGGER IF EXISTS audit_node_once;",
    )
    .unwrap();
    assert!(c.execute(sql, []).unwrap() > 0, "{sql}");
}

fn faults(c: &Connection, kept: &[TreeHead]) -> Vec<Fault> {
    verify(c, None, kept).unwrap().faults
}

#[test]
fn lines_are_numbered_and_read_back() {
    let c = memory(7);
    assert_eq!(size(&c).unwrap(), 7);
    let of_case = lines(&c, Some("C-0"), 0, 10).unwrap();
    assert_eq!(
        of_case.iter().map(|l| l.index).collect::<Vec<_>>(),
        [0, 3, 6]
    );
    let line = &of_case[1];
    assert_eq!(
        (
            line.who.as_str(),
            line.act.as_str(),
            line.request.as_deref()
        ),
        ("portal:itg", "look-up", None)
    );
    assert_eq!(line.facts()["n"], 3);
    assert_eq!(lines(&c, None, 5, 10).unwrap().len(), 2);
    assert_eq!(lines(&c, None, 0, 3).unwrap().len(), 3);
    let text = serde_json::to_string(line).unwrap();
    assert!(
        text.ends_with(r#""detail":{"resolution":"NOT_FOUND","n":3}}"#),
        "{text}"
    );
}

#[test]
fn the_octets_of_a_line_are_as_documented() {
    let c = memory(2);
    let lines = lines(&c, None, 0, 2).unwrap();
    assert_eq!(
        String::from_utf8(lines[1].octets()).unwrap(),
        "1:1,1:1,20:2026-11-24T09:30:08Z,10:portal:itg,7:look-up,3:C-1,-,32:{\"resolution\":\"NOT_FOUND\",\"n\":1},"
    );
    assert!(
        String::from_utf8(lines[0].octets())
            .unwrap()
            .contains(",3:C-0,4:HR-1,")
    );
}

#[test]
fn nothing_is_changed_or_taken_out_by_mistake() {
    let mut c = memory(5);
    keep(&mut c, &signer());
    for sql in [
        "UPDATE audit SET who = 'nobody' WHERE idx = 2",
        "DELETE FROM audit WHERE idx = 4",
        "DELETE FROM audit",
        "UPDATE audit_node SET hash = x'00'",
        "DELETE FROM audit_node",
        "DELETE FROM audit_head",
        "UPDATE audit_head SET size = 3",
        "INSERT OR REPLACE INTO audit SELECT 2, at, 'nobody', act, case_id, request, detail, leaf FROM audit WHERE idx = 2",
        "INSERT INTO audit SELECT 9, at, who, act, case_id, request, detail, leaf FROM audit WHERE idx = 2",
        "INSERT OR REPLACE INTO audit_node SELECT level, idx, x'00' FROM audit_node",
        "INSERT OR REPLACE INTO audit_head SELECT size, at, x'00', signed FROM audit_head",
    ] {
        let e = c.execute(sql, []).unwrap_err().to_string();
        assert!(e.contains("only ever appended"), "{sql}: {e}");
    }
    assert!(verify(&c, None, &[]).unwrap().holds());
}

#[test]
fn an_act_that_fails_leaves_no_line() {
    let mut c = memory(3);
    let before = TreeHead::of(&c, T0).unwrap();
    {
        let t = c.transaction().unwrap();
        let who = Who::Automatic;
        let entry = Entry {
            at: T0,
            who: &who,
            act: "answer",
            case_id: "C",
            request: None,
            detail: json!({}),
        };
        assert_eq!(append(&t, &entry).unwrap(), 3);
        assert_eq!(append(&t, &entry).unwrap(), 4);
    }
    assert_eq!(TreeHead::of(&c, T0).unwrap(), before);
    assert_eq!(add(&mut c, 3), 3);
}

#[test]
fn a_line_that_was_changed_is_named() {
    for (sql, fault) in [
        (
            "UPDATE audit SET who = 'terminal:nobody' WHERE idx = 11",
            Fault::Changed { index: 11 },
        ),
        (
            "UPDATE audit SET detail = '{}' WHERE idx = 0",
            Fault::Changed { index: 0 },
        ),
        (
            "UPDATE audit SET request = '' WHERE idx = 13",
            Fault::Changed { index: 13 },
        ),
        (
            "UPDATE audit SET leaf = zeroblob(32) WHERE idx = 5",
            Fault::Changed { index: 5 },
        ),
        (
            "UPDATE audit SET leaf = x'00' WHERE idx = 7",
            Fault::Unreadable {
                index: 7,
                why: String::new(),
            },
        ),
        (
            "DELETE FROM audit WHERE idx = 9",
            Fault::Missing { index: 9 },
        ),
        (
            "UPDATE audit_node SET hash = zeroblob(32) WHERE level = 2 AND idx = 1",
            Fault::Subtree { first: 4, last: 7 },
        ),
        (
            "DELETE FROM audit_node WHERE level = 1 AND idx = 6",
            Fault::Subtree {
                first: 12,
                last: 13,
            },
        ),
    ] {
        let c = memory(21);
        tamper(&c, sql);
        let found = faults(&c, &[]);
        let first = match found.first().unwrap() {
            Fault::Unreadable { index, .. } => Fault::Unreadable {
                index: *index,
                why: String::new(),
            },
            other => other.clone(),
        };
        assert_eq!(first, fault, "{sql}: {found:?}");
    }
}

#[test]
fn two_lines_that_were_changed_are_both_named() {
    let c = memory(30);
    tamper(&c, "UPDATE audit SET act = 'answer' WHERE idx IN (3, 17)");
    assert_eq!(
        faults(&c, &[]),
        [Fault::Changed { index: 3 }, Fault::Changed { index: 17 }]
    );
}

/// The database of somebody who knows the format: line, hash and the tree above are all made anew.
fn rewritten(lines: u64, index: u64) -> Connection {
    let mut c = memory(index);
    let t = c.transaction().unwrap();
    let who = Who::Automatic;
    append(
        &t,
        &Entry {
            at: T0,
            who: &who,
            act: "nothing",
            case_id: "C-9",
            request: None,
            detail: json!({}),
        },
    )
    .unwrap();
    t.commit().unwrap();
    for i in index + 1..lines {
        add(&mut c, i);
    }
    c
}

#[test]
fn who_writes_the_whole_log_anew_is_found_by_heads() {
    let s = signer();
    let mut honest = memory(10);
    let at_10 = keep(&mut honest, &s);
    (10..20).for_each(|i| {
        add(&mut honest, i);
    });
    let at_20 = keep(&mut honest, &s);
    (20..25).for_each(|i| {
        add(&mut honest, i);
    });
    assert_eq!(faults(&honest, &[at_10.clone(), at_20.clone()]), []);

    let forged = rewritten(25, 14);
    assert_eq!(faults(&forged, &[]), [], "it agrees with itself");
    let found = faults(&forged, &[at_10.clone(), at_20.clone()]);
    assert!(
        matches!(
            found[..],
            [Fault::Head {
                first: 10,
                last: 19,
                size: 20,
                ..
            }]
        ),
        "{found:?}"
    );

    // Cut off at the end: nothing but a head that is elsewhere shows it.
    let cut = memory(15);
    assert_eq!(faults(&cut, &[]), []);
    assert_eq!(
        faults(&cut, &[at_20]),
        [Fault::CutOff {
            lines: 15,
            size: 20,
            of: "kept elsewhere"
        }]
    );
    assert_eq!(
        faults(&memory(0), &[at_10]),
        [Fault::CutOff {
            lines: 0,
            size: 10,
            of: "kept elsewhere"
        }]
    );
}

#[test]
fn heads_in_the_log_are_checked_with_the_key() {
    let (s, other) = (signer(), signer());
    let mut c = memory(10);
    keep(&mut c, &s);
    add(&mut c, 10);
    let v = verify(&c, Some(&knows(&s)), &[]).unwrap();
    assert!(v.holds());
    assert_eq!((v.heads, v.signatures, v.lines), (1, 1, 11));
    let v = verify(&c, Some(&knows(&other)), &[]).unwrap();
    assert!(
        matches!(v.faults[..], [Fault::Signature { size: 10, .. }]),
        "{:?}",
        v.faults
    );
    // Root and row changed together, the signature stays what it was.
    tamper(&c, "UPDATE audit_head SET root = zeroblob(32)");
    let v = verify(&c, Some(&knows(&s)), &[]).unwrap();
    assert_eq!(v.faults[0], Fault::HeadChanged { size: 10 });
}

#[test]
fn a_head_is_signed_when_it_is_due() {
    let s = signer();
    let mut c = memory(0);
    let due = |c: &mut Connection, seconds: u64| {
        let t = c.transaction().unwrap();
        let kept = head::keep_if_due(&t, &s, T0.plus(Duration::from_secs(seconds))).unwrap();
        t.commit().unwrap();
        kept.is_some()
    };
    assert!(!due(&mut c, 0), "nothing was written yet");
    add(&mut c, 0);
    assert!(due(&mut c, 0));
    assert!(!due(&mut c, 7200), "nothing was written since");
    add(&mut c, 1);
    assert!(!due(&mut c, 3599));
    assert!(due(&mut c, 3600));
    let t = c.transaction().unwrap();
    let who = Who::Automatic;
    for _ in 0..1000 {
        append(
            &t,
            &Entry {
                at: T0,
                who: &who,
                act: "x",
                case_id: "",
                request: None,
                detail: json!({}),
            },
        )
        .unwrap();
    }
    t.commit().unwrap();
    assert!(due(&mut c, 3601));
    // The same head twice is one.
    assert_eq!(keep(&mut c, &s), keep(&mut c, &s));
    assert_eq!(head::last(&c).unwrap().unwrap().size, 1002);
    assert!(head::last_signed(&c).unwrap().unwrap().jws.contains('.'));
}

#[test]
fn the_file_is_its_owners_alone_and_two_may_write() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("responder");
    let who = Who::Terminal("ops".into());
    let entry = Entry {
        at: T0,
        who: &who,
        act: "look-up",
        case_id: "C-1",
        request: None,
        detail: json!({}),
    };
    assert_eq!(open::note(&state, &entry).unwrap(), 0);
    let mode = |p: &std::path::Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&state), mode(&state.join(database::RESPONDER))),
        (0o700, 0o600)
    );
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                (0..10).for_each(|_| {
                    open::note(&state, &entry).unwrap();
                })
            });
        }
    });
    let c = database::open_to_read(&state, database::RESPONDER).unwrap();
    let v = verify(&c, None, &[]).unwrap();
    assert_eq!((v.lines, v.faults), (41, vec![]));
    assert!(database::open_to_read(folder.path(), database::RESPONDER).is_err());
}

#[test]
fn hexadecimal_and_back() {
    let root = TreeHead::of(&memory(3), T0).unwrap().root;
    assert_eq!(unhex(&hex(&root)), Some(root));
    assert_eq!(unhex("zz"), None);
    assert_eq!(unhex(&"é".repeat(32)), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn proofs_out_of_the_log_hold(n in 1u64..40, m: u64, old: u64) {
        let c = memory(n);
        let (m, old) = (m % n, old % (n + 1));
        let head = TreeHead::of(&c, T0).unwrap();
        let p = proof::inclusion(&c, m, None).unwrap().unwrap();
        prop_assert_eq!((p.size, p.root), (n, head.root));
        prop_assert!(verify_inclusion(p.leaf, m, n, &head.root, &p.path));
        let p = proof::consistency(&c, old, None).unwrap().unwrap();
        prop_assert!(verify_consistency((old, &p.first_root), (n, &head.root), &p.path));
        prop_assert_eq!(TreeHead::of(&memory(old), T0).unwrap().root, p.first_root);
        prop_assert_eq!(proof::inclusion(&c, n, None).unwrap(), None);
        prop_assert_eq!(proof::inclusion(&c, 0, Some(n + 1)).unwrap(), None);
        prop_assert_eq!(verify(&c, None, &[head]).unwrap().faults, vec![]);
    }
}
