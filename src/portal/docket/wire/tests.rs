use std::sync::Arc;

use rusqlite::params;

use super::*;
use crate::portal::docket::directory::Card;
use crate::portal::docket::testing::{docket, now};
use crate::portal::word::PushState;

/// Questions and events as the walk would write them.
fn ask(docket: &Docket, provider: &str, n: u32, push: PushState) {
    let hop = format!("TB-2026-000001-{n:02}");
    docket
        .write(now(), |w| {
            w.tx.execute(
                "INSERT OR IGNORE INTO trace (id, state, priority, requester, organisation, called, called_at, call, first_provider, changed, created)
                 VALUES ('TB-2026-000001', 'open', 0, 'u', 'o', '12025550123', 0, '{}', ?, 0, 0)",
                [provider],
            )?;
            let octets = format!("{{\"id\":\"{hop}\", \"x\" : 1}}");
            w.tx.execute(
                "INSERT INTO hop (id, trace, n, depth, branch, provider, state, octets, sha256, issued, due, deadline)
                 VALUES (?, 'TB-2026-000001', ?, 1, 'main', ?, 'asked', ?, 'x', 0, ?, '{}')",
                params![hop, n, provider, octets.as_bytes(), now().nanos()],
            )?;
            event_row(w, provider, EventKind::Created, Some(&hop), &octets, push)
        })
        .unwrap();
}

fn event_row(
    w: &Work<'_>,
    provider: &str,
    kind: EventKind,
    hop: Option<&str>,
    data: &str,
    push: PushState,
) -> Done<()> {
    let due = (push == PushState::Due).then(|| w.now.nanos());
    w.tx.execute(
        "INSERT INTO event (provider, kind, trace, hop, data, at, push, next_try) VALUES (?, ?, 'TB-2026-000001', ?, ?, ?, ?, ?)",
        params![provider, kind.label(), hop, data, w.now.nanos(), push.label(), due],
    )?;
    Ok(())
}

fn tell(docket: &Docket, provider: &str, kind: EventKind, at: Timestamp) {
    docket
        .write(at, |w| {
            event_row(
                w,
                provider,
                kind,
                None,
                "{\"request_id\":\"R\"}",
                PushState::Due,
            )
        })
        .unwrap();
}

fn provider(docket: &Docket, id: &str, url: Option<&str>) {
    let card = Card {
        push_url: url.map(Into::into),
        ..Card::new(id, id)
    };
    docket.add_provider(&Who::Automatic, &card, now()).unwrap();
}

fn texts(page: &Page) -> Vec<String> {
    let text = |e: &Vec<u8>| String::from_utf8(e.clone()).unwrap();
    page.entries.iter().map(text).collect()
}

#[test]
fn a_question_comes_until_it_is_acknowledged_and_to_its_provider_alone() {
    let (_dir, docket) = docket();
    provider(&docket, "A", None);
    provider(&docket, "B", None);
    ask(&docket, "A", 1, PushState::None);
    ask(&docket, "B", 2, PushState::None);
    ask(&docket, "A", 3, PushState::None);
    let page = docket.open_questions("A", 0).unwrap();
    assert_eq!(
        texts(&page),
        [
            "{\"id\":\"TB-2026-000001-01\", \"x\" : 1}",
            "{\"id\":\"TB-2026-000001-03\", \"x\" : 1}"
        ]
    );
    assert_eq!(
        docket
            .open_questions("A", page.cursor)
            .unwrap()
            .entries
            .len(),
        0
    );
    let other = docket.acknowledge("A", "TB-2026-000001-02", now());
    let nothing = docket.acknowledge("A", "TB-2026-000009-01", now());
    assert_eq!(
        other.unwrap_err().to_string(),
        nothing.unwrap_err().to_string()
    );
    let mut changes = docket.changes();
    for _ in 0..2 {
        docket.acknowledge("A", "TB-2026-000001-01", now()).unwrap();
    }
    assert_eq!(&*changes.try_recv().unwrap().providers, [Arc::from("A")]);
    assert!(changes.try_recv().is_err(), "twice is once");
    assert_eq!(texts(&docket.open_questions("A", 0).unwrap()).len(), 1);
}

#[test]
fn a_page_is_bounded_and_the_next_goes_on() {
    let (_dir, docket) = docket();
    provider(&docket, "A", None);
    for n in 1..=(PAGE as u32 + 3) {
        ask(&docket, "A", n, PushState::None);
    }
    let first = docket.open_questions("A", 0).unwrap();
    assert_eq!(first.entries.len(), PAGE);
    let second = docket.open_questions("A", first.cursor).unwrap();
    assert_eq!(second.entries.len(), 3);
}

#[test]
fn events_begin_with_what_is_still_of_use_and_go_on_with_everything() {
    let (_dir, docket) = docket();
    provider(&docket, "A", None);
    provider(&docket, "B", None);
    let day = |n: u64| now().plus(Duration::from_secs(n * 86_400));
    tell(&docket, "A", EventKind::Reminder, day(0));
    tell(&docket, "A", EventKind::Withdrawn, day(20));
    tell(&docket, "B", EventKind::Accepted, day(20));
    ask(&docket, "A", 1, PushState::None);
    let page = docket.events("A", 0, day(30)).unwrap();
    let at = day(20);
    assert_eq!(
        texts(&page),
        [format!(
            "{{\"type\":\"hop_request.withdrawn\",\"timestamp\":\"{at}\",\"data\":{{\"request_id\":\"R\"}}}}"
        )]
    );
    // Whoever goes on from the first event gets all behind it, and no question twice.
    assert_eq!(texts(&docket.events("A", 1, day(300)).unwrap()).len(), 1);
    assert_eq!(
        docket
            .events("A", page.cursor, day(30))
            .unwrap()
            .entries
            .len(),
        0
    );
}

#[test]
fn events_of_a_provider_are_pushed_one_after_the_other() {
    let (_dir, docket) = docket();
    provider(&docket, "A", Some("http://127.0.0.1:1/"));
    provider(&docket, "B", Some("http://127.0.0.1:2/"));
    ask(&docket, "A", 1, PushState::Due);
    ask(&docket, "A", 2, PushState::Due);
    ask(&docket, "B", 3, PushState::Due);
    let due = docket.due_pushes(&[], 16, now()).unwrap();
    let seqs = |all: &[Due]| all.iter().map(|d| d.seq).collect::<Vec<_>>();
    assert_eq!(seqs(&due), [1, 3]);
    let body = String::from_utf8(due[0].body.clone()).unwrap();
    assert!(
        body.ends_with("\"data\":{\"id\":\"TB-2026-000001-01\", \"x\" : 1}}"),
        "{body}"
    );
    // Leased; when nobody says what became of it, it comes again.
    assert_eq!(docket.due_pushes(&[], 16, now()).unwrap(), []);
    let later = now().plus(Duration::from_secs(61));
    let again = docket.due_pushes(&["B".into()], 16, later).unwrap();
    assert_eq!((seqs(&again), again[0].tries), (vec![1], 1));
    docket
        .pushed(&[(1, Pushed::Taken), (1, Pushed::Taken)], later)
        .unwrap();
    // Taken is received.
    let open = docket.open_questions("A", 0).unwrap();
    assert_eq!(texts(&open), ["{\"id\":\"TB-2026-000001-02\", \"x\" : 1}"]);
    let next = docket.due_pushes(&["B".into()], 16, later).unwrap();
    assert_eq!(seqs(&next), [2]);
    // A failure holds up what is behind it, until its time comes.
    let at = later.plus(Duration::from_secs(10));
    let why = "no answer within 10000 ms".to_owned();
    docket
        .pushed(&[(2, Pushed::Again { why, at })], later)
        .unwrap();
    tell(&docket, "A", EventKind::Reminder, later);
    assert_eq!(docket.due_pushes(&["B".into()], 16, later).unwrap(), []);
    assert_eq!(
        seqs(&docket.due_pushes(&["B".into()], 16, at).unwrap()),
        [2]
    );
    let why = "400\u{1b}[31m".to_owned();
    docket.pushed(&[(2, Pushed::Refused { why })], at).unwrap();
    // Refused: it is still there for pull, and the next has its turn.
    assert_eq!(docket.open_questions("A", 0).unwrap().entries.len(), 1);
    assert_eq!(docket.due_pushes(&["B".into()], 16, at).unwrap().len(), 1);
    let said: String = docket
        .read(|tx| Ok(tx.query_row("SELECT said FROM event WHERE seq = 2", [], |r| r.get(0))?))
        .unwrap();
    assert_eq!(said, "400[31m");
}

#[test]
fn who_is_pushed_to_no_longer_finds_everything_by_pull() {
    let (_dir, docket) = docket();
    provider(&docket, "A", Some("http://127.0.0.1:1/"));
    provider(&docket, "B", Some("http://127.0.0.1:2/"));
    ask(&docket, "A", 1, PushState::Due);
    docket
        .change_provider(&Who::Automatic, &Card::new("A", "A"), now())
        .unwrap();
    assert_eq!(docket.due_pushes(&[], 16, now()).unwrap(), []);
    // And nobody is tried for ever.
    tell(&docket, "B", EventKind::Reminder, now());
    let month = now().plus(Duration::from_secs(30 * 86_400));
    assert_eq!(docket.due_pushes(&[], 16, month).unwrap(), []);
    let states: Vec<String> = docket
        .read(|tx| {
            let mut all = tx.prepare("SELECT push FROM event ORDER BY seq")?;
            let rows = all.query_map([], |r| r.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .unwrap();
    assert_eq!(states, ["given-up", "given-up"]);
    assert_eq!(docket.open_questions("A", 0).unwrap().entries.len(), 1);
}
