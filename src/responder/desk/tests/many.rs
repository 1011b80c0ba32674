//! Many requests, several desks.

use std::collections::HashSet;

use super::*;

#[test]
fn a_hundred_thousand_requests_are_bounded_and_each_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(Mode::Automatic);
    settings.open_requests = 400;
    let desk = Desk::open(folder.path(), settings, signer()).unwrap();
    let (mut new, mut full, mut again) = (0, 0, 0);
    for i in 0..100_000u32 {
        let octets = request(&format!("HR-{}", i % 50_000), 0);
        match desk.take("itg", Way::Push, &octets, NOW).unwrap() {
            Taken::New(_) => new += 1,
            Taken::Again(..) => again += 1,
            Taken::Refused(Refusal::Full) => full += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((new, again, full), (200, 200, 99_600));
    // The other portal's half of the room is its own.
    let taken = desk.take("other", Way::Push, &request("HR-1", 0), NOW);
    assert!(matches!(taken.unwrap(), Taken::New(_)));
    let size = std::fs::metadata(folder.path().join(RESPONDER))
        .unwrap()
        .len();
    assert!(size < 4 << 20, "{size} octets");
    // Room again once they are answered; the rest is as it was.
    let mut waiting = desk.received(1000, NOW).unwrap();
    assert_eq!(waiting.len(), 201);
    waiting.retain(|w| &*w.key.portal == "itg");
    for w in &waiting {
        let filed = desk.matched(&w.key, &certain(&w.key.id, &w.octets), NOW);
        assert_eq!(filed.unwrap(), Filed::As(RequestState::Outbox));
    }
    let parcels = desk.outbox("itg", 1000, NOW).unwrap();
    assert_eq!(parcels.len(), 200);
    for p in &parcels {
        desk.delivered(p.row, &Delivered::Taken, 0.0, NOW).unwrap();
    }
    let octets = request("HR-49999", 0);
    assert!(matches!(
        desk.take("itg", Way::Push, &octets, NOW).unwrap(),
        Taken::New(_)
    ));
    let long = vec![b' '; crate::traceback::request::MAX_OCTETS + 1];
    let refused = desk.take("itg", Way::Push, &long, NOW).unwrap();
    assert_eq!(refused, Taken::Refused(Refusal::TooLong));
}

#[test]
fn two_desks_at_once_take_each_once_and_give_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let desks: Vec<Desk> = (0..3)
        .map(|_| open(folder.path(), Mode::Automatic))
        .collect();
    let count = |f: &(dyn Fn(&Desk) -> Vec<String> + Sync)| -> Vec<String> {
        std::thread::scope(|s| {
            let all: Vec<_> = desks.iter().map(|d| s.spawn(move || f(d))).collect();
            all.into_iter().flat_map(|t| t.join().unwrap()).collect()
        })
    };
    let once = |all: Vec<String>| {
        let different: HashSet<&String> = all.iter().collect();
        assert_eq!((all.len(), different.len()), (40, 40));
    };
    once(count(&|d| {
        let ids = (0..40).map(|i| format!("HR-{i}"));
        ids.filter(|id| {
            let taken = d.take("itg", Way::Push, &request(id, 0), NOW).unwrap();
            matches!(taken, Taken::New(_))
        })
        .collect()
    }));
    once(count(&|d| {
        let mut got = Vec::new();
        while let Some(w) = d.received(1, NOW).unwrap().pop() {
            let a = certain(&w.key.id, &w.octets);
            let filed = d.matched(&w.key, &a, NOW).unwrap();
            assert_eq!(filed, Filed::As(RequestState::Outbox));
            got.push(w.key.id.to_string());
        }
        got
    }));
    once(count(&|d| {
        let mut got = Vec::new();
        while let Some(p) = d.outbox("itg", 1, NOW).unwrap().pop() {
            let settled = d.delivered(p.row, &Delivered::Taken, 0.0, NOW).unwrap();
            assert_eq!(settled, Settled::Done);
            got.push(p.subject.to_string());
        }
        got
    }));
}
