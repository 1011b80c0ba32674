//! What the NOC is given holds together: alerts and their runbook, queries and the metrics that there are, dashboards and their links.
//!
//! Whether queries find data is another matter: tests/peers/watching.rs asks a real Prometheus.

#[path = "support/watch.rs"]
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;
use tracehop::daemon::metrics::family::ALL;
use watch::{Selector, alerts, dashboards, panels, queries, recorded, selectors, word};

/// Labels that Prometheus puts on every series.
const SCRAPED: [&str; 2] = ["job", "instance"];

/// Anchors of the runbook's headings, as forges make them of one word.
fn anchors() -> BTreeSet<String> {
    let text = fs::read_to_string(watch::root().join("docs/RUNBOOK.md")).unwrap();
    let headings = text.lines().filter_map(|l| l.strip_prefix("## "));
    headings.map(str::to_ascii_lowercase).collect()
}

/// Every query there is, with where it stands.
fn every_query() -> Vec<(String, String)> {
    let mut out = recorded();
    for a in alerts() {
        out.push((word(&a["alert"]), word(&a["expr"])));
    }
    for d in dashboards() {
        for p in panels(&d) {
            let place = format!("{} / {}", d["uid"], p["title"]);
            out.extend(queries(p).into_iter().map(|q| (place.clone(), q)));
        }
    }
    out
}

/// What is wrong with what a query asks for.
fn unknown(query: &str, known: &BTreeMap<String, Option<Vec<&str>>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for Selector { metric, matchers } in selectors(query) {
        let Some(labels) = known.get(&metric) else {
            wrong.push(format!("{metric} is no metric and no recording rule"));
            continue;
        };
        let Some(labels) = labels else { continue };
        for (label, ..) in matchers {
            if !labels.contains(&&*label) && !SCRAPED.contains(&&*label) {
                wrong.push(format!("{metric} has no label {label}"));
            }
        }
    }
    wrong
}

/// Metrics and recording rules, with their labels; `None` where they are not ours to say.
fn known() -> BTreeMap<String, Option<Vec<&'static str>>> {
    let mut known: BTreeMap<_, _> = ALL
        .iter()
        .map(|f| (f.name.to_owned(), Some(f.labels.to_vec())))
        .collect();
    known.insert("up".to_owned(), Some(Vec::new()));
    known.insert("ALERTS".to_owned(), None);
    known.extend(recorded().into_iter().map(|(name, _)| (name, None)));
    known
}

#[test]
fn every_alert_has_its_paragraph_and_every_paragraph_its_alert() {
    let anchors = anchors();
    let mut named = BTreeSet::new();
    for a in alerts() {
        let name = word(&a["alert"]);
        let text = |of: &str| word(&a["annotations"][of]);
        let anchor = name.to_ascii_lowercase();
        let url = text("runbook_url");
        assert_eq!(url.split_once('#').unwrap().1, anchor, "{name}");
        assert!(anchors.contains(&anchor), "docs/RUNBOOK.md has no {name}");
        assert!(named.insert(anchor), "{name} twice");
        let severity = word(&a["labels"]["severity"]);
        assert!(["critical", "warning"].contains(&&*severity), "{name}");
        assert!(
            !text("summary").is_empty() && text("description").ends_with('.'),
            "{name}"
        );
    }
    assert_eq!(named, anchors, "paragraphs without an alert");
}

#[test]
fn every_paragraph_says_what_it_means_what_to_look_at_and_what_to_do() {
    let text = fs::read_to_string(watch::root().join("docs/RUNBOOK.md")).unwrap();
    for paragraph in text.split("\n## ").skip(1) {
        for part in ["\n**Means**: ", "\n**Look**: ", "\n**Do**: "] {
            assert!(paragraph.contains(part), "{paragraph}");
        }
    }
}

#[test]
fn every_alert_is_tested_to_fire() {
    let mut tests = String::new();
    for entry in fs::read_dir(watch::prometheus()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with("_test.yml") {
            tests += &fs::read_to_string(&path).unwrap();
        }
    }
    for a in alerts() {
        let name = word(&a["alert"]);
        let fires = |l: &str| {
            l.contains(&format!("alertname=\"{name}\""))
                && l.contains("\"firing\"")
                && !l.contains("value: 0")
        };
        assert!(tests.lines().any(fires), "no test shows that {name} fires");
    }
}

#[test]
fn every_query_asks_for_what_there_is() {
    let known = known();
    let mut wrong = Vec::new();
    for (place, query) in every_query() {
        let of_query = unknown(&query, &known);
        wrong.extend(of_query.into_iter().map(|w| format!("{place}: {w}")));
    }
    assert_eq!(wrong, [] as [String; 0]);
}

/// The test above can fail.
#[test]
fn what_there_is_not_is_seen() {
    let wrong = |query: &str| unknown(query, &known()).len();
    assert_eq!(
        wrong("rate(tracehop_calls_total{peer=\"a, b}\",direction!=\"x\"}[5m])"),
        0
    );
    assert_eq!(
        wrong("sum by (peer) (tracehop_calls_total) / tracehop_call_total"),
        1
    );
    assert_eq!(wrong("tracehop_calls_total{neighbour=~\"up\"}"), 1);
    assert_eq!(wrong("instance_peer:tracehop_cals:rate5m"), 1);
}

#[test]
fn dashboards_are_complete_and_their_links_lead_somewhere() {
    let all = dashboards();
    let uids: BTreeSet<String> = all.iter().map(|d| word(&d["uid"])).collect();
    let wanted = ["capture", "neighbour", "noc", "traceback", "verification"];
    let wanted: BTreeSet<_> = wanted.iter().map(|w| format!("tracehop-{w}")).collect();
    assert_eq!(uids, wanted);
    let anchors = anchors();
    for d in &all {
        let uid = &d["uid"];
        assert!(!word(&d["description"]).is_empty(), "{uid}");
        let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
        for p in panels(d) {
            let place = format!("{uid} / {}", p["title"]);
            assert!(ids.insert(p["id"].to_string()), "{place}: an id twice");
            assert!(titles.insert(word(&p["title"])), "{place}: a title twice");
            assert!(
                word(&p["description"]).len() > 10,
                "{place}: no description"
            );
            assert!(
                !word(&p["fieldConfig"]["defaults"]["unit"]).is_empty(),
                "{place}: no unit"
            );
            assert!(
                !p["targets"].as_array().unwrap().is_empty(),
                "{place}: no query"
            );
            let core = ["timeseries", "stat", "table"];
            assert!(
                core.contains(&p["type"].as_str().unwrap()),
                "{place}: needs a plugin"
            );
            assert_eq!(p["datasource"]["uid"], "${datasource}", "{place}");
            let steps = p["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array();
            assert!(!steps.unwrap().is_empty(), "{place}: no thresholds");
        }
        for link in links(d) {
            if let Some(anchor) = link.strip_prefix("${runbook}#") {
                assert!(anchors.contains(anchor), "{uid}: {link}");
            } else if let Some(to) = link.strip_prefix("/d/") {
                let to = to.split('?').next().unwrap();
                assert!(uids.contains(to), "{uid}: {link}");
            } else {
                assert!(link == "${runbook}" || link.is_empty(), "{uid}: {link}");
            }
        }
    }
}

/// URLs of every link, wherever it stands.
fn links(v: &Value) -> Vec<String> {
    let mut out = Vec::new();
    match v {
        Value::Object(map) => {
            out.extend(map.get("url").and_then(Value::as_str).map(str::to_owned));
            out.extend(map.values().flat_map(links));
        }
        Value::Array(list) => out.extend(list.iter().flat_map(links)),
        _ => {}
    }
    out
}

#[test]
fn panels_stand_on_the_grid_and_on_nobody_else() {
    for d in dashboards() {
        let mut taken = BTreeSet::new();
        for p in d["panels"].as_array().unwrap() {
            let at = |of: &str| p["gridPos"][of].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{} / {}", d["uid"], p["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{} / {}", d["uid"], p["title"]);
                }
            }
        }
    }
}
