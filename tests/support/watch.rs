//! What config/prometheus and config/grafana ask for: rules, alerts, panels, and the series that their queries select.
#![allow(dead_code)] // each test binary uses a part

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn prometheus() -> PathBuf {
    root().join("config/prometheus")
}

pub fn yaml(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every rule of a file.
pub fn rules(file: &str) -> Vec<Value> {
    let file = yaml(&prometheus().join(file));
    let groups = file["groups"].as_array().unwrap().clone();
    let rules = groups
        .iter()
        .flat_map(|g| g["rules"].as_array().unwrap().clone());
    rules.collect()
}

/// Name and query of every recording rule.
pub fn recorded() -> Vec<(String, String)> {
    let rules = rules("tracehop.rules.yml");
    let both = |r: &Value| (word(&r["record"]), word(&r["expr"]));
    rules.iter().map(both).collect()
}

pub fn alerts() -> Vec<Value> {
    rules("tracehop.alerts.yml")
}

pub fn word(v: &Value) -> String {
    v.as_str()
        .unwrap_or_else(|| panic!("no text: {v}"))
        .to_owned()
}

/// Every dashboard.
pub fn dashboards() -> Vec<Value> {
    let folder = root().join("config/grafana/dashboards");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    let read = |f: &PathBuf| serde_json::from_str(&fs::read_to_string(f).unwrap()).unwrap();
    files.iter().map(read).collect()
}

/// Panels of a dashboard, headings of rows left out.
pub fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.filter(|p| p["type"] != "row").collect()
}

pub fn queries(panel: &Value) -> Vec<String> {
    let targets = panel["targets"].as_array().unwrap().iter();
    targets.map(|t| word(&t["expr"])).collect()
}

/// One selector: a metric, and its matchers as label, operator and value.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    pub metric: String,
    pub matchers: Vec<(String, String, String)>,
}

/// Every selector of a query. Not a parser: names that are metrics are those of ours, of the process, `up` and `ALERTS`; promtool judges the syntax.
pub fn selectors(query: &str) -> Vec<Selector> {
    let mut out = Vec::new();
    let chars: Vec<char> = query.chars().collect();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut i = 0;
    while i < chars.len() {
        if chars[i] == '"' {
            i = after_text(&chars, i);
            continue;
        }
        if !is_name(chars[i]) {
            i += 1;
            continue;
        }
        let from = i;
        while i < chars.len() && is_name(chars[i]) {
            i += 1;
        }
        let metric: String = chars[from..i].iter().collect();
        let ours = metric.contains("tracehop_") || metric.starts_with("process_");
        if !ours && metric != "up" && metric != "ALERTS" {
            continue;
        }
        let mut matchers = Vec::new();
        if chars.get(i) == Some(&'{') {
            let end = (i..chars.len()).scan(false, |quoted, k| {
                *quoted ^= chars[k] == '"';
                Some((k, *quoted))
            });
            let end = end
                .into_iter()
                .find(|(k, quoted)| chars[*k] == '}' && !quoted);
            let end = end
                .unwrap_or_else(|| panic!("no end of a selector: {query}"))
                .0;
            let inside: String = chars[i + 1..end].iter().collect();
            matchers = split(&inside);
            i = end + 1;
        }
        out.push(Selector { metric, matchers });
    }
    out
}

/// Place after a quoted text that begins here.
fn after_text(chars: &[char], from: usize) -> usize {
    let end = chars[from + 1..].iter().position(|c| *c == '"');
    from + 2 + end.expect("an end of the text")
}

fn split(inside: &str) -> Vec<(String, String, String)> {
    let mut out = Vec::new();
    let mut rest = inside;
    while let Some((label, more)) = rest.split_once(['=', '!']) {
        let at = label.len();
        let quote = more.find('"').unwrap();
        let operator = rest[at..at + 1 + quote].to_owned();
        let (value, after) = more[quote + 1..].split_once('"').unwrap();
        out.push((label.trim().to_owned(), operator, value.to_owned()));
        rest = after.trim_start_matches([',', ' ']);
    }
    out
}
