//! Recorded examples, replayed: does the mapping make of each what the operator says it must?
//!
//! ```text
//! EXAMPLES/requests/NAME.received.json|csv|eml    as the portal sent it: a page of its list, a file, a mail
//! EXAMPLES/requests/NAME.expected.json            the hop request, or a list of them; {"refused": "…"} where it must be refused for a reason that holds these words;
//!                                                 {"withdrawn": "ID"}
//! EXAMPLES/answers/NAME.answer.json               an answer of ours, signed or not
//! EXAMPLES/answers/NAME.expected.json             http-json: {"method", "path", "content_type", "body"}, a JSON body as JSON; file-drop and mailbox: {"json": …} and
//!                                                 {"csv": "…"}, or {"mail": "…"}, text and subject of the draft
//! ```
//!
//! Every resolution that may leave by itself needs an example, and there must be one request at least.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::AdapterSettings;
use super::file_drop::{self, FileDropMapping, write_answer};
use super::folder::Folder;
use super::http_json;
use super::mailbox;
use super::mapping::Mapped;
use crate::responder::case::{Parcel, ParcelKind};
use crate::responder::settings::PortalSettings;
use crate::traceback::request::sha256_hex;

/// Examples of one kind at most.
const MOST: usize = 2_000;

/// Largest file.
const MAX_FILE: u64 = 4 << 20;

/// One example, replayed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Replayed {
    /// Its name.
    pub name: String,
    /// Whether it is a request or an answer.
    pub kind: &'static str,
    /// What is other than expected; `None`: nothing.
    pub wrong: Option<String>,
    /// What came out, where that is other than expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub got: Option<Value>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Each.
    pub all: Vec<Replayed>,
    /// What there is no example of.
    pub missing: Vec<String>,
    /// Digest of every file.
    pub examples_sha256: Box<str>,
}

impl Report {
    /// Whether it proves anything.
    pub fn is_good(&self) -> bool {
        self.missing.is_empty()
            && !self.all.is_empty()
            && self.all.iter().all(|r| r.wrong.is_none())
    }

    /// How many there are of a kind.
    pub fn count(&self, kind: &str) -> usize {
        self.all.iter().filter(|r| r.kind == kind).count()
    }
}

/// Replays a folder of examples.
///
/// # Errors
///
/// The folder can't be read, or the adapter needs no proof.
pub fn replay(portal: &PortalSettings, examples: &Path) -> Result<Report, String> {
    if portal.adapter.claim().is_none() {
        return Err(format!(
            "portal {:?} speaks our own protocol: there is nothing to test",
            portal.name
        ));
    }
    let mut report = Report::default();
    let mut digest = String::new();
    let mut seen = BTreeSet::new();
    for (sub, kind) in [("requests", "request"), ("answers", "answer")] {
        let folder = Folder::new(examples.join(sub));
        for (name, _) in folder.files(MOST * 2).map_err(|t| t.0)? {
            let octets = load(&folder, &name)?;
            digest.push_str(&format!("{sub}/{name} {}\n", sha256_hex(&octets)));
            let mark = if kind == "request" {
                ".received."
            } else {
                ".answer."
            };
            let Some((stem, ending)) = name.split_once(mark) else {
                continue;
            };
            let expected = load(&folder, &format!("{stem}.expected.json"));
            let expected = expected.and_then(|o| {
                serde_json::from_slice::<Value>(&o)
                    .map_err(|e| format!("{stem}.expected.json: {e}"))
            });
            let mut got = None;
            let wrong = expected.and_then(|expected| match kind {
                "request" => {
                    let name = format!("{stem}.{ending}");
                    request(portal, &name, &octets, &expected, &mut got)
                }
                _ => answer(portal, &octets, &expected, &mut got).map(|resolution| {
                    seen.insert(resolution);
                }),
            });
            report.all.push(Replayed {
                name: format!("{sub}/{stem}"),
                kind,
                got: got.filter(|_| wrong.is_err()),
                wrong: wrong.err(),
            });
        }
    }
    if report.count("request") == 0 {
        report
            .missing
            .push("there is no request in requests/".to_owned());
    }
    for resolution in &portal.automatic {
        if !seen.contains(resolution.label()) {
            report.missing.push(format!(
                "{} may leave by itself, and there is no answer of it that holds in answers/",
                resolution.label()
            ));
        }
    }
    report.examples_sha256 = sha256_hex(digest.as_bytes());
    Ok(report)
}

fn load(folder: &Folder, name: &str) -> Result<Vec<u8>, String> {
    match folder.read(name, MAX_FILE).map_err(|t| t.0)? {
        Some((octets, _)) if octets.len() as u64 <= MAX_FILE => Ok(octets),
        Some(_) => Err(format!("{name}: more than {MAX_FILE} octets")),
        None => Err(format!("{name} is missing")),
    }
}

fn request(
    portal: &PortalSettings,
    name: &str,
    octets: &[u8],
    expected: &Value,
    got: &mut Option<Value>,
) -> Result<(), String> {
    let rows: Vec<Result<Mapped, String>> = match &portal.adapter {
        AdapterSettings::HttpJson(c) => {
            let mapping = &c.settings.mapping;
            let (rows, _) = http_json::read(octets, &mapping.list, &mapping.request)?;
            rows.into_iter()
                .map(|r| r.map_err(|(_, why)| why))
                .collect()
        }
        AdapterSettings::FileDrop(c) => match file_drop::read(name, octets, &c.settings.mapping) {
            Ok(rows) => rows,
            Err(why) => vec![Err(why)],
        },
        AdapterSettings::Mailbox(c) => {
            vec![mailbox::understand(octets, &c.settings.mapping).map(|u| u.mapped)]
        }
        AdapterSettings::PushOnly | AdapterSettings::Reference(_) => Vec::new(),
    };
    *got = Some(rows.iter().map(seen_as).collect());
    let expected: Vec<&Value> = match expected {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    };
    if rows.len() != expected.len() {
        return Err(format!(
            "{} requests; {} are expected",
            rows.len(),
            expected.len()
        ));
    }
    for (i, (row, expected)) in rows.into_iter().zip(expected).enumerate() {
        same_request(row, expected).map_err(|why| format!("request {}: {why}", i + 1))?;
    }
    Ok(())
}

fn same_request(row: Result<Mapped, String>, expected: &Value) -> Result<(), String> {
    let refused = expected.get("refused").and_then(Value::as_str);
    match (&row, refused) {
        (Err(why), Some(words)) if why.contains(words) => Ok(()),
        (Err(why), _) => Err(format!("it is refused: {why}")),
        (Ok(_), Some(_)) => Err("it is taken, and should be refused".to_owned()),
        (Ok(_), None) => same(&seen_as(&row), expected, ""),
    }
}

/// What a row came out as, in the form of `expected.json`.
fn seen_as(row: &Result<Mapped, String>) -> Value {
    match row {
        Err(why) => json!({ "refused": why }),
        Ok(Mapped::Withdrawn { id }) => json!({ "withdrawn": id }),
        Ok(Mapped::Request { octets, .. }) => serde_json::from_slice(octets).unwrap_or_default(),
    }
}

/// Gives the resolution of the answer.
fn answer(
    portal: &PortalSettings,
    octets: &[u8],
    expected: &Value,
    came: &mut Option<Value>,
) -> Result<String, String> {
    let answer: Value = serde_json::from_slice(octets).map_err(|e| e.to_string())?;
    let text = |k: &str| {
        answer
            .get(k)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let parcel = Parcel {
        row: 0,
        portal: portal.name.clone(),
        kind: ParcelKind::Answer,
        subject: text("request_id").into(),
        key: text("id").into(),
        body: octets.to_vec(),
        tries: 0,
        due: None,
    };
    let files = |mapping: &FileDropMapping| {
        let files = write_answer(&portal.name, octets, mapping).map_err(|u| u.0)?;
        let mut got = serde_json::Map::new();
        for (ending, octets) in files {
            let value = match ending {
                "json" => serde_json::from_slice(&octets).map_err(|e| e.to_string())?,
                _ => String::from_utf8_lossy(&octets).into(),
            };
            got.insert(ending.to_owned(), value);
        }
        Ok::<Value, String>(got.into())
    };
    let got = match &portal.adapter {
        AdapterSettings::HttpJson(c) => {
            let s = c.settings.mapping.submission(&portal.name, &parcel)?;
            let (kind, body) = s.body.unwrap_or_default();
            let parsed = serde_json::from_str(&body)
                .ok()
                .filter(|_| kind.contains("json"));
            json!({ "method": s.method.as_str(), "path": s.path, "content_type": kind, "body": parsed.unwrap_or(Value::from(body)) })
        }
        AdapterSettings::FileDrop(c) => files(&c.settings.mapping)?,
        AdapterSettings::Mailbox(c) => {
            let mapping = &c.settings.mapping;
            match &mapping.draft {
                Some(draft) => {
                    let (subject, body) = draft.texts(
                        &portal.name,
                        &parcel,
                        &mapping.words,
                        &mapping.request.directory,
                    )?;
                    json!({ "mail": body, "subject": subject })
                }
                None => files(&FileDropMapping {
                    request: mapping.request.clone(),
                    words: mapping.words.clone(),
                    ..FileDropMapping::default()
                })?,
            }
        }
        AdapterSettings::PushOnly | AdapterSettings::Reference(_) => Value::Null,
    };
    let same = same(&got, expected, "");
    *came = Some(got);
    same.map(|()| text("resolution"))
}

/// The first difference, by its pointer.
fn same(got: &Value, expected: &Value, at: &str) -> Result<(), String> {
    match (got, expected) {
        (Value::Object(g), Value::Object(e)) => {
            for (k, e) in e {
                let got = g.get(k).unwrap_or(&Value::Null);
                same(got, e, &format!("{at}/{k}"))?;
            }
            match g.keys().find(|k| !e.contains_key(*k)) {
                Some(more) => Err(format!("{at}/{more} is there, and not expected")),
                None => Ok(()),
            }
        }
        (Value::Array(g), Value::Array(e)) if g.len() == e.len() => {
            let mut pairs = g.iter().zip(e).enumerate();
            pairs.try_for_each(|(i, (g, e))| same(g, e, &format!("{at}/{i}")))
        }
        // 60 and 60.0 are one number.
        (Value::Number(g), Value::Number(e)) if g.as_f64() == e.as_f64() => Ok(()),
        _ if got == expected => Ok(()),
        _ => Err(format!("{at}: {got}; expected {expected}")),
    }
}

#[cfg(test)]
mod tests;
