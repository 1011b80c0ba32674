//! Deadlines, and what is over.

use super::*;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

#[test]
fn each_alarm_rings_once() {
    let o = office(Mode::Assisted);
    o.ask("HR-1", certain);
    assert_eq!(o.case("HR-1").line.due, after(DAY));
    let ring = |o: &Office, hours: u64| -> Vec<u8> {
        let alarms = o.desk.alarms(after(hours * HOUR)).unwrap();
        alarms.iter().map(|a| a.percent).collect()
    };
    assert_eq!(ring(&o, 11), [0u8; 0]);
    assert_eq!(ring(&o, 12), [50]);
    assert_eq!(ring(&o, 12), [0u8; 0]);
    // Another process, another day: what was passed meanwhile rings as one.
    let o = Office {
        desk: open(o.folder.path(), Mode::Assisted),
        ..o
    };
    assert_eq!(ring(&o, 22), [90]);
    assert_eq!(ring(&o, 30), [100]);
    assert_eq!(ring(&o, 300), [0u8; 0]);
    assert_eq!(o.tally("alarm:90"), 1);
    assert_eq!(o.tally("alarm:75"), 0);
}

#[test]
fn figures_say_what_presses_and_what_is_due_first() {
    let o = office(Mode::Assisted);
    assert_eq!(o.desk.figures().unwrap().pressing, []);
    o.ask("HR-2", certain);
    let early = String::from_utf8(request("HR-1", 0)).unwrap();
    let due = after(4 * HOUR);
    let early = early.replace(r#""case_id""#, &format!(r#""due_at":"{due}","case_id""#));
    o.desk
        .take("itg", Way::Push, early.as_bytes(), NOW)
        .unwrap();
    o.desk.alarms(after(4 * HOUR)).unwrap();
    let figures = o.desk.figures().unwrap();
    let [pressing] = &figures.pressing[..] else {
        panic!("{figures:?}")
    };
    assert_eq!((&*pressing.portal, pressing.due), ("itg", Some(due)));
    assert_eq!(pressing.near, [(50, 1), (75, 1), (90, 1), (100, 1)]);
    let open: Vec<_> = figures
        .open
        .iter()
        .map(|h| (&*h.key.id, h.percent))
        .collect();
    assert_eq!(open, [("HR-1", 100), ("HR-2", 0)]);
    o.desk.alarms(after(12 * HOUR)).unwrap();
    let near = &o.desk.figures().unwrap().pressing[0].near;
    assert_eq!(near[..], [(50, 2), (75, 1), (90, 1), (100, 1)]);
}

#[test]
fn what_waits_in_shadow_is_shown_and_presses_nobody() {
    let o = office(Mode::Shadow);
    assert_eq!(o.ask("HR-1", certain), RequestState::Ready);
    let figures = o.desk.figures().unwrap();
    assert_eq!((figures.pressing.len(), figures.open.len()), (0, 1));
    assert!(!figures.open[0].timed);
}

#[test]
fn what_was_sent_rings_no_more_and_what_came_back_does() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    let parcel = o.parcels(NOW).remove(0);
    o.desk
        .delivered(parcel.row, &Delivered::Taken, 0.0, NOW)
        .unwrap();
    assert!(o.desk.alarms(after(13 * HOUR)).unwrap().is_empty());
    o.desk
        .take("itg", Way::Push, &request("HR-1", 1), after(14 * HOUR))
        .unwrap();
    assert_eq!(o.case("HR-1").line.due, after(DAY), "clarified, not anew");
    assert_eq!(o.desk.alarms(after(14 * HOUR)).unwrap()[0].percent, 50);
    assert!(
        office(Mode::Shadow)
            .desk
            .alarms(after(30 * HOUR))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn the_portals_own_time_counts_where_it_is_earlier() {
    let o = office(Mode::Assisted);
    let text = String::from_utf8(request("HR-1", 0)).unwrap();
    let due = after(4 * HOUR);
    let text = text.replace(r#""case_id""#, &format!(r#""due_at":"{due}","case_id""#));
    o.desk.take("itg", Way::Push, text.as_bytes(), NOW).unwrap();
    let case = o.desk.show(&key("HR-1"), after(HOUR)).unwrap().unwrap();
    assert_eq!(case.line.due, due);
    assert!((case.share - 0.25).abs() < 1e-9);
    assert_eq!(o.desk.alarms(after(2 * HOUR)).unwrap()[0].percent, 50);
}

#[test]
fn an_answer_is_tried_for_two_weeks_after_its_time() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    assert_eq!(o.desk.sweep(after(14 * DAY)).unwrap(), Swept::default());
    assert_eq!(o.parcels(after(14 * DAY)).len(), 1);
    let swept = o.desk.sweep(after(15 * DAY)).unwrap();
    assert_eq!(
        (swept.expired, swept.undeliverable),
        (1, 0),
        "its parcel went with it"
    );
    assert_eq!(o.state("HR-1"), RequestState::Expired);
    assert!(o.parcels(after(16 * DAY)).is_empty());
    assert_eq!(o.desk.list(&Filter::default()).unwrap(), []);
}

#[test]
fn a_deadline_in_the_past_does_not_end_a_request_at_once() {
    let o = office(Mode::Automatic);
    let text = String::from_utf8(request("HR-1", 0)).unwrap();
    let text = text.replace(
        r#""case_id""#,
        r#""due_at":"1990-01-01T00:00:00Z","case_id""#,
    );
    o.desk.take("itg", Way::Push, text.as_bytes(), NOW).unwrap();
    assert_eq!(o.desk.sweep(after(DAY)).unwrap().expired, 0);
    assert_eq!(o.desk.alarms(NOW).unwrap()[0].percent, 100);
}

#[test]
fn what_is_over_is_deleted_after_five_years() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    o.deliver(&Delivered::Taken, NOW);
    let close = Incoming::CaseClosed { case: "C-7".into() };
    o.desk.event("itg", &close, NOW).unwrap();
    assert_eq!(o.desk.sweep(after(1825 * DAY)).unwrap().pruned, 0);
    assert_eq!(o.desk.sweep(after(1831 * DAY)).unwrap().pruned, 1);
    assert!(o.desk.show(&key("HR-1"), NOW).unwrap().is_none());
    assert!(o.desk.signed(&key("HR-1")).unwrap().is_none());
    assert_eq!(o.acts().last().unwrap(), "pruned");
    assert!(
        o.acts().contains(&"received".to_owned()),
        "the log keeps everything"
    );
}

#[test]
fn the_list_goes_by_due_time_and_by_pages() {
    let o = office(Mode::Assisted);
    for i in 0..7 {
        let octets = request(&format!("HR-{i}"), 0);
        o.desk
            .take("itg", Way::Push, &octets, after(10 - i))
            .unwrap();
    }
    let mut filter = Filter {
        most: 3,
        portal: Some("itg".into()),
        ..Filter::default()
    };
    let mut ids = Vec::new();
    loop {
        let page = o.desk.list(&filter).unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some(last.key.clone());
        ids.extend(page.into_iter().map(|l| l.key.id.to_string()));
    }
    assert_eq!(
        ids,
        ["HR-6", "HR-5", "HR-4", "HR-3", "HR-2", "HR-1", "HR-0"]
    );
    let none = Filter {
        states: vec![RequestState::Sent, RequestState::Closed],
        ..Filter::default()
    };
    assert!(o.desk.list(&none).unwrap().is_empty());
}
