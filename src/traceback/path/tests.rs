use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::traceback::answer::answer_id;

/// A path of n hops: P1 ends the call, each names the next, the last one says that a customer of its own made it.
fn path(n: usize) -> Vec<SignedAnswer> {
    let mut out: Vec<SignedAnswer> = Vec::new();
    for i in 1..=n {
        let before = out.last().map(|a| a.digest.clone());
        out.push(hop(i, n, before));
    }
    out
}

fn hop(i: usize, n: usize, before: Option<Box<str>>) -> SignedAnswer {
    let request = format!("HR-{i}");
    let mut answer = json!({
        "id": answer_id(&request, 1), "request_id": request, "case_id": "C-1", "hop_no": i,
        "request_sha256": "0".repeat(64), "revision": 1,
        "provider": {"name": format!("Provider {i}"), "portal_id": format!("P{i}")},
        "produced_by": "auto", "matcher_version": "1.0",
        "evidence": {"leg": {"at": format!("2026-11-24T09:30:{:02}Z", 30 - i), "clock_error_ms": 50.0}},
    });
    if let Some(before) = before {
        answer["previous_hop_digest"] = json!(before);
    }
    if i < n {
        answer["resolution"] = json!("UPSTREAM_DOMESTIC");
        answer["upstream"] = json!({"name": "x", "portal_id": format!("P{}", i + 1)});
    } else {
        answer["resolution"] = json!("ORIGIN_END_CUSTOMER");
        answer["originator"] = json!({"name": "A customer"});
    }
    sealed(serde_json::from_value(answer).unwrap(), i)
}

/// Gives an answer a digest of what it says, as a signature does.
fn sealed(answer: RawAnswer, owner: usize) -> SignedAnswer {
    let text = serde_json::to_string(&answer).unwrap();
    SignedAnswer {
        digest: crate::traceback::request::sha256_hex(text.as_bytes()),
        signature: Ok(Some(format!("P{owner}").into())),
        answer,
    }
}

fn wrong(answers: &[SignedAnswer]) -> Vec<(String, Vec<Wrong>)> {
    let path = check(answers);
    let bad = path.hops.into_iter().filter(|h| !h.wrong.is_empty());
    bad.map(|h| (h.signed.answer.request_id.to_string(), h.wrong))
        .collect()
}

#[test]
fn a_whole_path_holds_and_is_put_in_order() {
    for n in 1..=10 {
        let mut answers = path(n);
        answers.reverse();
        let p = check(&answers);
        assert!(p.holds(), "{:?}", wrong(&answers));
        assert_eq!(p.end, End::Origin);
        let order: Vec<_> = p
            .hops
            .iter()
            .map(|h| h.signed.answer.hop_no.unwrap())
            .collect();
        assert_eq!(order, (1..=u32::try_from(n).unwrap()).collect::<Vec<_>>());
    }
    assert!(!check(&[]).holds());
}

#[test]
fn a_path_that_is_not_at_its_end_is_open() {
    let mut answers = path(4);
    answers.pop();
    let p = check(&answers);
    assert!(p.holds());
    assert_eq!(p.end, End::Open);
}

#[test]
fn a_member_that_was_changed_breaks_the_signature_and_the_step() {
    let mut answers = path(3);
    // Whoever signs anew what he said before changes the digest.
    let mut changed = answers[1].answer.clone();
    changed.comment = Some("other".to_owned());
    answers[1] = sealed(changed, 2);
    assert_eq!(
        wrong(&answers),
        [("HR-3".to_owned(), vec![Wrong::MissingBefore])]
    );
    answers[1].signature = Err("the signature is not good".to_owned());
    assert_eq!(wrong(&answers).len(), 2);
}

#[test]
fn a_missing_hop_is_seen() {
    let mut answers = path(5);
    answers.remove(2);
    assert_eq!(
        wrong(&answers),
        [("HR-4".to_owned(), vec![Wrong::MissingBefore])]
    );
    // Without the first, the second is what hangs in the air.
    let mut answers = path(3);
    answers.remove(0);
    assert_eq!(
        wrong(&answers),
        [("HR-2".to_owned(), vec![Wrong::MissingBefore])]
    );
}

#[test]
fn a_hop_in_the_place_of_another_is_seen() {
    let mut answers = path(3);
    // P9 answers the question that P2 was asked.
    let mut other = answers[1].answer.clone();
    other.provider.as_mut().unwrap().portal_id = Some("P9".into());
    answers[1] = sealed(other, 9);
    let mut last = answers[2].answer.clone();
    last.previous_hop_digest = Some(answers[1].digest.clone());
    answers[2] = sealed(last, 3);
    assert_eq!(
        wrong(&answers),
        [(
            "HR-2".to_owned(),
            vec![Wrong::NamedOther {
                named: Some("P2".into())
            }]
        )]
    );
}

#[test]
fn a_key_of_somebody_else_or_nobody_is_no_signature() {
    let mut answers = path(2);
    answers[0].signature = Ok(Some("P7".into()));
    answers[1].signature = Ok(None);
    assert_eq!(
        wrong(&answers),
        [
            ("HR-1".to_owned(), vec![Wrong::KeyOf("P7".into())]),
            ("HR-2".to_owned(), vec![Wrong::KeyOfNobody])
        ]
    );
    let mut nameless = path(1);
    nameless[0].answer.provider = None;
    assert_eq!(
        wrong(&nameless),
        [("HR-1".to_owned(), vec![Wrong::NoProvider])]
    );
}

#[test]
fn a_later_revision_takes_the_place_of_the_earlier() {
    let mut answers = path(2);
    let first = answers[1].answer.clone();
    let mut second = first.replacing(&first);
    second.comment = Some("warned".to_owned());
    answers.push(sealed(second.clone(), 2));
    let p = check(&answers);
    assert!(p.holds(), "{:?}", wrong(&answers));
    assert_eq!((p.hops.len(), p.replaced.len()), (2, 1));
    assert_eq!(p.hops[1].signed.answer.revision, 2);
    // What it replaces must be here, of the same request, and by the same signer.
    let mut alone = path(1);
    alone.push(answers[2].clone());
    assert!(
        wrong(&alone)
            .iter()
            .any(|(_, w)| w.contains(&Wrong::MissingReplaced))
    );
    let last = answers.len() - 1;
    answers[last] = sealed(second.clone(), 7);
    assert!(
        wrong(&answers)
            .iter()
            .any(|(_, w)| w.contains(&Wrong::WrongReplacement))
    );
    second.revision = 1;
    answers[last] = sealed(second, 2);
    assert!(
        wrong(&answers)
            .iter()
            .any(|(_, w)| w.contains(&Wrong::WrongReplacement))
    );
}

#[test]
fn when_the_earlier_revision_was_gone_on_from_it_shows() {
    // Hop 1 changes its answer after hop 2 has answered: hop 2 goes on from what no longer stands.
    let mut answers = path(2);
    let first = answers[0].answer.clone();
    answers.push(sealed(first.replacing(&first), 1));
    assert_eq!(
        wrong(&answers),
        [("HR-2".to_owned(), vec![Wrong::MissingBefore])]
    );
}

#[test]
fn circles_forks_other_cases_numbers_and_times_are_seen() {
    let change = |at: usize, with: &dyn Fn(&mut RawAnswer)| {
        let mut answers = path(3);
        with(&mut answers[at].answer);
        let owner = |a: &SignedAnswer| -> usize {
            a.answer
                .provider
                .as_ref()
                .unwrap()
                .portal_id
                .as_deref()
                .unwrap()[1..]
                .parse()
                .unwrap()
        };
        for i in 0..3 {
            if i > 0 {
                answers[i].answer.previous_hop_digest = Some(answers[i - 1].digest.clone());
            }
            answers[i] = sealed(answers[i].answer.clone(), owner(&answers[i]));
        }
        wrong(&answers)
    };
    assert_eq!(change(2, &|_| {}), []);
    let circle = change(1, &|a| {
        a.upstream.as_mut().unwrap().portal_id = Some("P1".into())
    });
    assert_eq!(
        circle,
        [(
            "HR-3".to_owned(),
            vec![Wrong::NamedOther {
                named: Some("P1".into())
            }]
        )]
    );
    let again = change(2, &|a| {
        a.provider.as_mut().unwrap().portal_id = Some("P1".into())
    });
    assert!(again[0].1.contains(&Wrong::Loop), "{again:?}");
    assert_eq!(
        change(1, &|a| a.case_id = Some("C-2".into())),
        [("HR-2".to_owned(), vec![Wrong::OtherCase])]
    );
    assert_eq!(
        change(2, &|a| a.hop_no = Some(7)),
        [("HR-3".to_owned(), vec![Wrong::HopNumber { wanted: 3 }])]
    );
    let late = json!({"leg": {"at": "2026-11-24T09:33:00Z", "clock_error_ms": 50.0}});
    assert_eq!(
        change(2, &|a| a.evidence = Some(late.clone())),
        [("HR-3".to_owned(), vec![Wrong::Apart { seconds: 152 }])]
    );
    // A clock that says that it may be far off is believed.
    let vague = json!({"leg": {"at": "2026-11-24T09:33:00Z", "clock_error_ms": 60000.0}});
    assert_eq!(change(2, &|a| a.evidence = Some(vague.clone())), []);

    let mut forked = path(3);
    let mut other = forked[2].answer.clone();
    other.id = "other".to_owned();
    other.request_id = "HR-3b".into();
    forked.push(sealed(other, 3));
    let found = wrong(&forked);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|(_, w)| w.contains(&Wrong::Fork)));
    let mut twice = path(2);
    twice.push(twice[1].clone());
    assert!(
        wrong(&twice)
            .iter()
            .any(|(_, w)| w.contains(&Wrong::SameId))
    );
}

#[test]
fn two_paths_are_not_one() {
    let mut answers = path(2);
    let mut stranger = hop(5, 5, None).answer;
    stranger.hop_no = None;
    answers.push(sealed(stranger, 5));
    assert_eq!(
        wrong(&answers),
        [("HR-5".to_owned(), vec![Wrong::NotLinked])]
    );
}

proptest! {
    /// Whatever one does to one answer of a path short of signing all of it anew, it does not hold afterwards.
    #[test]
    fn no_change_of_a_single_hop_stays_unseen(n in 2usize..8, at in 0usize..8, what in 0u8..6) {
        let mut answers = path(n);
        let at = at % n;
        let a = &mut answers[at];
        let owner = at + 1;
        match what {
            0 => a.answer.case_id = Some("C-9".into()),
            1 => a.answer.provider.as_mut().unwrap().portal_id = Some("P99".into()),
            2 => a.answer.previous_hop_digest = Some("f".repeat(64).into()),
            3 => a.signature = Err("bad".to_owned()),
            4 if at + 1 < n => a.answer.upstream.as_mut().unwrap().portal_id = Some("P98".into()),
            // Of the last hop nobody else knows anything, so only its signature protects it.
            _ if at + 1 < n => a.answer.comment = Some("x".to_owned()),
            _ => a.signature = Ok(Some("P77".into())),
        }
        if a.signature == Ok(Some(format!("P{owner}").into())) {
            answers[at] = sealed(answers[at].answer.clone(), owner);
        }
        prop_assert!(!check(&answers).holds());
    }

    #[test]
    fn any_heap_of_answers_is_looked_at(picks in proptest::collection::vec((0usize..6, 0usize..6), 0..12)) {
        let whole = path(6);
        let mut heap = Vec::new();
        for (i, j) in picks {
            let mut a = whole[i].clone();
            a.answer.previous_hop_digest = Some(whole[j].digest.clone());
            a.answer.supersedes = (i == j).then(|| whole[(i + 1) % 6].answer.id.clone());
            heap.push(a);
        }
        let p = check(&heap);
        prop_assert_eq!(p.hops.len() + p.replaced.len(), heap.len());
    }
}
