//! Answers as files.

use serde_json::Value;

use super::FileDropMapping;
use crate::responder::adapter::submission::{Unmapped, answer_values};

/// What is written of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// The signed answer as it is.
    pub json: bool,
    /// A table of one line, for people.
    pub csv: bool,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            json: true,
            csv: true,
        }
    }
}

/// Columns of the table, and where their values are.
const COLUMNS: [(&str, &str); 22] = [
    ("request_id", "/request_id"),
    ("answer_id", "/answer_id"),
    ("revision", "/revision"),
    ("resolution", "/resolution"),
    ("portal_resolution", "/portal_resolution"),
    ("upstream_name", "/upstream/name"),
    ("upstream_provider_id", "/upstream/provider_id"),
    ("upstream_ocn", "/upstream/ocn"),
    ("upstream_rmd", "/upstream/rmd"),
    ("upstream_country", "/upstream/country"),
    ("upstream_contact", "/upstream/contact"),
    ("gateway", "/upstream/gateway"),
    ("originator_name", "/originator/name"),
    ("originator_provider_id", "/originator/provider_id"),
    ("leg_at", "/leg/at"),
    ("clock_error_ms", "/leg/clock_error_ms"),
    ("evidence_class", "/evidence/class"),
    ("posterior", "/evidence/posterior"),
    ("coverage", "/coverage"),
    ("produced_by", "/produced_by"),
    ("comment", "/comment"),
    ("jws", "/jws"),
];

/// The files of an answer: ending and octets.
///
/// # Errors
///
/// [`Unmapped`]: a person must look.
pub fn write_answer(
    portal: &str,
    body: &[u8],
    mapping: &FileDropMapping,
) -> Result<Vec<(&'static str, Vec<u8>)>, Unmapped> {
    let values = answer_values(portal, body, &mapping.words, &mapping.request.directory)?;
    let mut files = Vec::new();
    if mapping.written.json {
        files.push(("json", body.to_vec()));
    }
    if mapping.written.csv {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let wrong = |e: csv::Error| Unmapped(e.to_string());
        writer
            .write_record(COLUMNS.map(|(name, _)| name))
            .map_err(wrong)?;
        let row = COLUMNS.map(|(_, at)| cell(values.pointer(at)));
        writer.write_record(row).map_err(wrong)?;
        let octets = writer.into_inner().map_err(|e| Unmapped(e.to_string()))?;
        files.push(("csv", octets));
    }
    Ok(files)
}

/// A value for a spreadsheet. One that such a program would run as a formula gets an apostrophe before it: the JSON is for machines.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(s)) if s.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
            format!("'{s}")
        }
        Some(Value::String(s)) => s.clone(),
        Some(other) => other.to_string(),
    }
}
