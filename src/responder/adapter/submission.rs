//! An answer as another portal wants it: the word for its resolution, the portal's id of whom it names, and the values that templates get.
//!
//! What is not mapped is not sent. A resolution without a word, or a neighbour that the portal's directory does not name, goes to a person.

use serde_json::{Map, Value, json};

use super::directory::Directory;
use crate::traceback::answer::Resolution;

/// Names of the values that the template of an answer gets. docs/ADAPTERS.md says what they are.
pub const ANSWER_VALUES: &[&str] = &[
    "portal",
    "answer_id",
    "request_id",
    "case_id",
    "hop_no",
    "request_sha256",
    "revision",
    "supersedes",
    "resolution",
    "portal_resolution",
    "upstream",
    "originator",
    "evidence",
    "leg",
    "coverage",
    "comment",
    "produced_by",
    "matcher_version",
    "provider",
    "jws",
    "document",
];

/// Names of the values that the template of a report gets.
pub const REPORT_VALUES: &[&str] = &[
    "portal",
    "report_id",
    "campaign_id",
    "report",
    "jws",
    "document",
];

/// Largest signed answer or report that is read: with sixteen gaps and a long comment it has some 8 KiB.
const MAX_BODY: usize = 256 * 1024;

/// Words of the portal for our resolutions.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Words(pub Vec<(Resolution, Box<str>)>);

impl Words {
    /// The portal's word.
    pub fn of(&self, resolution: Resolution) -> Option<&str> {
        let found = self.0.iter().find(|(r, _)| *r == resolution);
        found.map(|(_, word)| &**word)
    }
}

/// Why an answer can't be put into the portal's words: a person must look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unmapped(pub String);

/// What templates get of a signed answer.
///
/// # Errors
///
/// [`Unmapped`].
pub fn answer_values(
    portal: &str,
    body: &[u8],
    words: &Words,
    directory: &Directory,
) -> Result<Value, Unmapped> {
    let answer = object(body)?;
    let text = |k: &str| answer.get(k).and_then(Value::as_str);
    let resolution = text("resolution")
        .and_then(|label| Resolution::ALL.into_iter().find(|r| r.label() == label))
        .ok_or_else(|| Unmapped("the answer has no resolution".to_owned()))?;
    let word = words.of(resolution).ok_or_else(|| {
        Unmapped(format!(
            "{} has no word of this portal in resolutions: hand it in yourself, or map it",
            resolution.label()
        ))
    })?;
    let plain = |k: &str| answer.get(k).cloned().unwrap_or(Value::Null);
    let evidence = answer.get("evidence");
    let of_evidence = |k: &str| evidence.and_then(|e| e.get(k)).cloned();
    let coverage = of_evidence("windows").and_then(|w| w.get(0)?.get("coverage").cloned());
    Ok(json!({
        "portal": portal,
        "answer_id": plain("id"),
        "request_id": plain("request_id"),
        "case_id": plain("case_id"),
        "hop_no": plain("hop_no"),
        "request_sha256": plain("request_sha256"),
        "revision": plain("revision"),
        "supersedes": plain("supersedes"),
        "resolution": resolution.label(),
        "portal_resolution": word,
        "upstream": party(answer.get("upstream"), directory),
        "originator": party(answer.get("originator"), directory),
        "evidence": plain("evidence"),
        "leg": of_evidence("leg").unwrap_or(Value::Null),
        "coverage": coverage.unwrap_or(Value::Null),
        "comment": plain("comment"),
        "produced_by": plain("produced_by"),
        "matcher_version": plain("matcher_version"),
        "provider": plain("provider"),
        "jws": plain("jws"),
        "document": String::from_utf8_lossy(body),
    }))
}

/// What templates get of a signed report.
///
/// # Errors
///
/// [`Unmapped`].
pub fn report_values(portal: &str, body: &[u8]) -> Result<Value, Unmapped> {
    let mut report = object(body)?;
    let jws = report.remove("jws").unwrap_or(Value::Null);
    Ok(json!({
        "portal": portal,
        "report_id": report.get("id").cloned().unwrap_or(Value::Null),
        "campaign_id": report.pointer_of("campaign", "id"),
        "report": report,
        "jws": jws,
        "document": String::from_utf8_lossy(body),
    }))
}

/// The party with `provider_id`, the portal's id of it. Where there is a directory it alone says so: an id in peers.toml may be another portal's.
fn party(party: Option<&Value>, directory: &Directory) -> Value {
    let Some(Value::Object(members)) = party else {
        return Value::Null;
    };
    let mut members = members.clone();
    let id = match directory.rows.is_empty() {
        true => members.get("portal_id").and_then(Value::as_str),
        false => party.and_then(|p| directory.portal_id(p)),
    };
    let id = id.map(str::to_owned);
    members.remove("provider_id");
    if let Some(id) = id {
        members.insert("provider_id".to_owned(), id.into());
    }
    members.into()
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Unmapped> {
    if body.len() > MAX_BODY {
        return Err(Unmapped(format!(
            "{} octets; at most {MAX_BODY}",
            body.len()
        )));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Unmapped("what is to be sent is no JSON object".to_owned())),
        Err(e) => Err(Unmapped(format!("what is to be sent is no JSON: {e}"))),
    }
}

/// A member of a member.
trait Inner {
    fn pointer_of(&self, outer: &str, inner: &str) -> Value;
}

impl Inner for Map<String, Value> {
    fn pointer_of(&self, outer: &str, inner: &str) -> Value {
        let found = self.get(outer).and_then(|o| o.get(inner));
        found.cloned().unwrap_or(Value::Null)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::mapping::tests::directory;
    use super::*;

    /// A signed answer that names Eastbridge.
    pub(in crate::responder::adapter) fn answer() -> Vec<u8> {
        json!({
            "id": "6f0f4f6a-0000-5000-8000-000000000001", "request_id": "H-9", "request_sha256": "00", "revision": 1,
            "resolution": "UPSTREAM_DOMESTIC",
            "upstream": {"name": "Eastbridge Telecom", "portal_id": "EB-07", "ocn": "7077", "country": "US", "gateway": false},
            "evidence": {"class": "E2", "posterior": 0.999_9, "null": 0.0, "leg": {"at": "2026-11-24T09:30:07Z"},
                "windows": [{"from": "2026-11-24T09:28:07Z", "until": "2026-11-24T09:32:07Z", "coverage": 1.0}]},
            "produced_by": "auto", "matcher_version": "1", "jws": "a.b.c",
        })
        .to_string()
        .into_bytes()
    }

    pub(in crate::responder::adapter) fn words() -> Words {
        Words(vec![(Resolution::UpstreamDomestic, "provider".into())])
    }

    #[test]
    fn every_value_is_documented_and_every_documented_value_is_there() {
        let values = answer_values("p", &answer(), &words(), &directory()).unwrap();
        let names: Vec<&str> = values.as_object().unwrap().keys().map(|k| &**k).collect();
        assert_eq!(names, ANSWER_VALUES);
        assert_eq!(values["upstream"]["provider_id"], "P-77");
        assert_eq!(values["portal_resolution"], "provider");
        assert_eq!(values["coverage"], 1.0);
        let report = br#"{"id":"r","campaign":{"id":"42"},"jws":"x"}"#;
        let values = report_values("p", report).unwrap();
        let names: Vec<&str> = values.as_object().unwrap().keys().map(|k| &**k).collect();
        assert_eq!(names, REPORT_VALUES);
        assert_eq!(values["campaign_id"], "42");
    }

    #[test]
    fn what_has_no_word_is_for_a_person() {
        let none = Words(vec![(Resolution::NotFound, "nf".into())]);
        let why = answer_values("p", &answer(), &none, &directory()).unwrap_err();
        assert!(
            why.to_string().contains("UPSTREAM_DOMESTIC has no word"),
            "{why}"
        );
        assert!(answer_values("p", b"[]", &words(), &directory()).is_err());
        assert!(answer_values("p", b"{}", &words(), &directory()).is_err());
    }

    /// Who is not in the directory has no id there, whatever peers.toml or the answer says.
    #[test]
    fn whom_the_directory_does_not_name_has_no_id() {
        let other = String::from_utf8(answer())
            .unwrap()
            .replace("Eastbridge Telecom", "Westbridge");
        let other = other.replace("\"country\"", "\"provider_id\":\"forged\",\"country\"");
        let values = answer_values("p", other.as_bytes(), &words(), &directory()).unwrap();
        assert_eq!(values["upstream"].get("provider_id"), None);
        let without = Directory::default();
        let values = answer_values("p", other.as_bytes(), &words(), &without).unwrap();
        assert_eq!(values["upstream"]["provider_id"], "EB-07");
    }
}
