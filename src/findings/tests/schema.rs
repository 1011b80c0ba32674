//! What the document says is what we write.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn document() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FORMATS.md");
    std::fs::read_to_string(path).unwrap()
}

fn events() -> [Event; 3] {
    let mut call = full_begin(42);
    call.direction = crate::call::record::Direction::Ingress;
    call.pair = None;
    [
        Event::Call(Arc::new(call)),
        Event::Behaviour(Arc::new(finding())),
        Event::Campaign(Arc::new(campaign())),
    ]
}

fn json(event: &Event, masking: Masking) -> Value {
    let rendered = renderer(masking).render(event).unwrap();
    serde_json::from_slice(&rendered.json).unwrap()
}

#[test]
fn examples_in_the_document_are_events_as_we_write_them() {
    let ours: Vec<String> = events()
        .iter()
        .map(|e| serde_json::to_string_pretty(&json(e, Masking::Full)).unwrap())
        .collect();
    if std::env::var_os("PRINT").is_some() {
        std::fs::write("/tmp/events.json", ours.join("\n=====\n")).unwrap();
    }
    let document = document();
    let (_, section) = document.split_once("\n## Findings\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let written: Vec<&str> = section
        .split("```json\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().trim_end())
        .collect();
    assert_eq!(written, ours);
    // And every member stands in the tables.
    let listed: BTreeSet<&str> = section
        .lines()
        .filter(|l| l.starts_with("| `"))
        .flat_map(|l| l.split(" | ").next().unwrap().split('`').skip(1).step_by(2))
        .collect();
    for event in events() {
        let value = json(&event, Masking::Full);
        for name in value.as_object().unwrap().keys() {
            assert!(
                listed.contains(name.as_str()),
                "{name} is not in the tables"
            );
        }
    }
}

#[test]
fn ids_are_stable_and_differ_where_events_do() {
    let mut ids = BTreeSet::new();
    for event in events() {
        let one = renderer(Masking::Full).render(&event).unwrap();
        assert_eq!(one, renderer(Masking::Full).render(&event).unwrap());
        assert!(ids.insert(one.id));
    }
    let later = Finding {
        change: Change::Closed,
        ..finding()
    };
    let mut more = campaign();
    more.volume += 1;
    // A store that was made anew numbers from one again.
    let mut again = full_begin(42);
    again.at = again.at.plus(Duration::from_secs(1));
    for event in [
        Event::Behaviour(Arc::new(later)),
        Event::Campaign(Arc::new(more)),
        Event::Call(Arc::new(again)),
    ] {
        assert!(ids.insert(renderer(Masking::Full).render(&event).unwrap().id));
    }
    let elsewhere = Renderer {
        host: "edge-2.example.net".into(),
        masking: Masking::Full,
    };
    assert!(ids.insert(elsewhere.render(&events()[0]).unwrap().id));
}

#[test]
fn masked_events_have_no_whole_number_and_nothing_to_guess_it_from() {
    for event in events() {
        let rendered = renderer(Masking::Masked).render(&event).unwrap();
        let text = String::from_utf8(rendered.json).unwrap() + &rendered.summary;
        for number in [
            "12025550100",
            "12025550101",
            "12025550102",
            "12025550198",
            "12025550199",
        ] {
            assert!(!text.contains(number), "{text}");
        }
        assert!(text.contains("1202555xxxx"), "{text}");
    }
    let call = json(&events()[0], Masking::Masked);
    assert_eq!(call["evidence"]["passport"], Value::Null);
    let mut short = full_begin(1);
    short.numbers.called = Some(crate::store::embedded::tests::made::tn("911"));
    let short = json(&Event::Call(Arc::new(short)), Masking::Masked);
    assert_eq!(short["numbers"]["called"], "911", "names nobody");
}
