//! The page, full, empty and hostile.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::call::classify::Flag;
use crate::call::record::Coverage;
use crate::daemon::metrics::snapshot::{Configured, Responder};
use crate::daemon::metrics::tests::full;
use crate::engine::collect::{DirectionKey, Tally};
use crate::responder::case::{RequestKey, RequestState};
use crate::responder::desk::{Figures, OpenHop, Pressing};
use crate::stir::verify::Attestation;

/// 2026-11-24, 09:30 UTC.
const NOW: Timestamp = Timestamp::from_secs(1_795_512_600);

fn page(snapshot: &Snapshot, day: &Day, ledger: &Ledger, checks: Vec<Check>) -> String {
    let html = render(&Shown {
        snapshot,
        day,
        ledger,
        checks,
        now: NOW,
        again: true,
    });
    assert!(html.ends_with("</html>"), "{html}");
    html
}

fn plain(snapshot: &Snapshot) -> String {
    page(snapshot, &Day::start(NOW), &Ledger::default(), Vec::new())
}

fn calls(attempts: u64, valid: u64, failed: u64, none: u64) -> Tally {
    let mut t = Tally::default();
    t.attempts = attempts;
    t.verdicts.insert((Some(Attestation::A), None), valid);
    t.validations = [valid, failed, 0, none];
    t
}

fn with_calls(tallies: impl IntoIterator<Item = (Option<&'static str>, Tally)>) -> Snapshot {
    let mut s = Snapshot::default();
    let keyed = tallies.into_iter();
    s.stages.tallies = keyed
        .map(|(peer, t)| ((DirectionKey::Ingress, peer.map(Arc::from)), t))
        .collect();
    s
}

#[test]
fn what_there_is_and_what_there_is_not_are_both_a_whole_page() {
    let empty = plain(&Snapshot::default());
    assert!(empty.contains("No call yet.") && empty.contains("The ledger has not been read yet."));
    assert!(!empty.contains("Open hop requests"));
    let all = plain(&full());
    for part in [
        "Flags today",
        "Open hop requests",
        "Drops and queues",
        "Versions",
        "&quot;0",
        "UTC",
    ] {
        assert!(all.contains(part), "{part}\n{all}");
    }
    assert!(all.len() < 50_000, "{}", all.len());
}

#[test]
fn a_row_adds_up_and_the_shares_are_in_its_bar() {
    let mut north = calls(1_000, 700, 200, 100);
    north.spoofed = 3;
    north.flags = vec![0; Flag::ALL.len()];
    north.flags[Flag::Stale as usize] = 200;
    let html = plain(&with_calls([
        (Some("north"), north),
        (None, calls(2, 0, 0, 0)),
    ]));
    for part in [
        r#"<th scope="row">north</th><td>1,000</td><td>700</td><td>0</td><td>0</td><td>0</td><td class="bad">200</td><td>0</td><td>100</td><td class="bad">3</td>"#,
        // What fits nowhere has a column, and is not left out of the row.
        r#"<th scope="row">unknown</th><td>2</td><td>0</td><td>0</td><td>0</td><td>2</td>"#,
        r#"<rect class="failed" x="700" width="200""#,
        r#"<th scope="row">stale</th><td class="bad">200</td>"#,
        "1,002 handed to us",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
}

#[test]
fn since_when_is_always_said() {
    let s = with_calls([(Some("north"), calls(7, 7, 0, 0))]);
    let none = Ledger::default();
    let started = Day::start(NOW.minus(Duration::from_secs(1_080)));
    let html = page(&s, &started, &none, Vec::new());
    assert!(html.contains("7 handed to us, since 09:12 UTC, when the probe started; earlier calls are in its store"), "{html}");
    let midnight = Timestamp::from_secs(NOW.secs().div_euclid(86_400) * 86_400);
    let before = with_calls([(Some("north"), calls(5, 5, 0, 0))])
        .stages
        .tallies;
    let yesterday = Day::start(midnight.minus(Duration::from_secs(60)));
    let today = yesterday.next(midnight, 0, || before).unwrap();
    let html = page(&s, &today, &none, Vec::new());
    assert!(
        html.contains("2 handed to us, since midnight UTC"),
        "{html}"
    );
    let step = today.step(NOW, s.stages.tallies.clone());
    let html = page(&s, &step, &none, Vec::new());
    assert!(
        html.contains("0 handed to us, since 09:30 UTC, when the clock was set"),
        "{html}"
    );
}

#[test]
fn more_than_fifty_neighbours_share_a_row_that_says_so() {
    let mut s = Snapshot::default();
    for n in 0..60u64 {
        let key = (DirectionKey::Ingress, Some(format!("peer{n:02}").into()));
        s.stages.tallies.insert(key, calls(100 - n, 100 - n, 0, 0));
    }
    let html = plain(&s);
    assert!(html.contains("peer49") && !html.contains("peer50"));
    let rest: u64 = (50..60).map(|n| 100 - n).sum();
    let row =
        format!(r#"<tr class="folded"><th scope="row">10 more neighbours</th><td>{rest}</td>"#);
    assert!(html.contains(&row), "{html}");
}

#[test]
fn nobodys_words_become_markup() {
    let evil: Arc<str> = "<script>alert(1)</script>\"'".into();
    let mut s = full();
    let key = (DirectionKey::Ingress, Some(evil.clone()));
    s.stages.tallies.insert(key, calls(1, 1, 0, 0));
    s.interfaces[0].name = evil.clone();
    s.sensors = vec![(evil.clone(), Timestamp::default())];
    let hop = OpenHop {
        key: RequestKey {
            portal: evil.clone(),
            id: (&*evil).into(),
        },
        state: RequestState::Review,
        received: NOW,
        due: NOW,
        percent: 100,
        timed: true,
    };
    s.responder.as_mut().unwrap().figures.open = vec![hop];
    let row = Coverage {
        sensor: evil.clone(),
        ..Coverage::default()
    };
    let ledger = Ledger::of(vec![row], &[], NOW);
    let html = page(
        &s,
        &Day::start(NOW),
        &ledger,
        vec![Check::bad(&*evil, &*evil)],
    );
    assert!(!html.contains("<script"), "{html}");
    assert!(html.matches("&lt;script&gt;").count() >= 7, "{html}");
}

#[test]
fn what_is_wrong_comes_first_with_what_to_do() {
    let checks = vec![
        Check::good("store", "takes records"),
        Check::bad("capture eth1", "the interface is down"),
        Check::good("clock", "not synchronised"),
    ];
    let mut s = Snapshot {
        config: Some(Configured::default()),
        ..Snapshot::default()
    };
    s.sensors = vec![("proxy".into(), NOW.minus(Duration::from_secs(600)))];
    let html = page(&s, &Day::start(NOW), &Ledger::default(), checks);
    let at = |what: &str| html.find(what).unwrap_or_else(|| panic!("{what}\n{html}"));
    assert!(at("the interface is down") < at("the last reload was refused"));
    assert!(at("the last reload was refused") < at("takes records"));
    at("Bring the link up");
    at("has not looked since 09:20 UTC");
    at("RUNBOOK.md: TracehopCaptureDown");
    at(r#"class="verdict bad""#);
    at("4 things are wrong or want a look.");
    assert!(!html.contains("not synchronised"), "the clock is said once");
}

#[test]
fn open_requests_are_shown_by_deadline_without_numbers() {
    let hop = |id: &str, minutes: i64, percent, state| OpenHop {
        key: RequestKey {
            portal: "itg".into(),
            id: id.into(),
        },
        state,
        received: NOW,
        due: Timestamp::from_secs(NOW.secs() + 60 * minutes),
        percent,
        timed: state != RequestState::Ready,
    };
    let figures = Figures {
        requests: vec![
            ("itg".into(), RequestState::Review, 30),
            ("itg".into(), RequestState::Closed, 9),
        ],
        open: vec![
            hop("HR-1", -5, 100, RequestState::Review),
            hop("HR-12025550123", 200, 75, RequestState::Outbox),
            hop("HR-3", 3_000, 0, RequestState::Ready),
        ],
        pressing: vec![Pressing {
            portal: "itg".into(),
            near: vec![(75, 2), (90, 1)],
            due: None,
        }],
        halted: true,
        ..Figures::default()
    };
    let s = Snapshot {
        responder: Some(Responder {
            figures,
            at: Some(NOW),
            ..Responder::default()
        }),
        ..Snapshot::default()
    };
    let html = plain(&s);
    for part in [
        "30 open, 0 on their way",
        "27 more, due later",
        "09:25 UTC, 5 min ago",
        "12:50 UTC, in 3 h 20 min",
        "2026-11-26 11:30 UTC, in 2 d 2 h",
        "75 % or more",
        "a person must decide",
        "1 requests have used nine tenths",
        "A person has stopped everything that leaves.",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    assert!(!html.contains("2025550123"), "{html}");
}

#[test]
fn the_strip_says_in_words_what_it_shows() {
    let (from, until) = strip::span(NOW);
    let row = |from: Timestamp, until: Timestamp| Coverage {
        sensor: "edge".into(),
        from,
        until,
        packets: 1,
        messages: 1,
        ..Coverage::default()
    };
    let hours = |n: u64| from.plus(Duration::from_secs(3_600 * n));
    let rows = vec![row(from, hours(3)), row(hours(4), until)];
    let html = page(
        &full(),
        &Day::start(NOW),
        &Ledger::of(rows, &[], NOW),
        Vec::new(),
    );
    for part in [
        "95.83 % seen",
        r#"<rect class="dark" x="12" width="4" y="7" height="1"><title>2026-11-23 12:30 UTC to 2026-11-23 13:30 UTC: not seen</title></rect>"#,
        "2026-11-23 12:30 UTC to 2026-11-23 13:30 UTC not seen",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    let html = page(
        &full(),
        &Day::start(NOW),
        &Ledger::unread("disk <gone>".into()),
        Vec::new(),
    );
    assert!(html.contains("can't be read: disk &lt;gone&gt;"), "{html}");
}

#[test]
fn every_class_of_the_page_is_in_its_style_and_every_runbook_paragraph_is_there() {
    let runbook = include_str!("../../../docs/RUNBOOK.md");
    let source = include_str!("notices.rs");
    let mut named = 0;
    for name in source.split('"').filter(|w| w.starts_with("Tracehop")) {
        assert!(runbook.contains(&format!("\n## {name}\n")), "{name}");
        named += 1;
    }
    assert!(named > 15, "{named}");
    for cell in [
        strip::Cell::Whole,
        strip::Cell::Clock,
        strip::Cell::Lossy,
        strip::Cell::Dark,
    ] {
        assert!(
            STYLE.contains(&format!("rect.{}", cell.label())),
            "{cell:?}"
        );
    }
    assert!(!STYLE.contains("url(") && !include_str!("page.html").contains("http://"));
}
