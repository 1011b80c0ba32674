//! The requests in a file.

use csv::ReaderBuilder;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{FileDropMapping, MAX_FILE, MAX_ROWS};
use crate::responder::adapter::field::Field;
use crate::responder::adapter::mapping::{Found, Mapped, Pointers};
use crate::traceback::request::MAX_OCTETS;

/// JSON that is not of our protocol.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct JsonSettings {
    /// Pointer to the list of requests; empty: the whole, a list or one request.
    pub items: Box<str>,
    /// Where the fields are in each.
    pub fields: Pointers,
}

/// CSV with a line of names.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct CsvSettings {
    /// Between values.
    pub delimiter: char,
    /// Names of the columns, in any order; others are passed over.
    pub columns: Vec<(Field, Box<str>)>,
}

/// Reads a file: its requests, each a request or why it is none.
///
/// # Errors
///
/// Why the file as a whole is none.
pub fn read(
    name: &str,
    octets: &[u8],
    mapping: &FileDropMapping,
) -> Result<Vec<Result<Mapped, String>>, String> {
    if octets.len() as u64 > MAX_FILE {
        return Err(format!("more than {MAX_FILE} octets"));
    }
    let ending = name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
    let rows = match ending.as_deref() {
        Some("json") => match &mapping.json {
            Some(settings) => foreign(octets, settings, mapping),
            None => our_own(octets),
        },
        Some("csv") => match &mapping.csv {
            Some(settings) => csv(octets, settings, mapping),
            None => Err("csv is not configured".to_owned()),
        },
        _ => Err("neither .json nor .csv".to_owned()),
    }?;
    match rows.len() {
        0 => Err("there is no request in it".to_owned()),
        n if n > MAX_ROWS => Err(format!("more than {MAX_ROWS} requests")),
        _ => Ok(rows),
    }
}

/// Hop requests of our own protocol, one or a list; the octets stay as they are.
fn our_own(octets: &[u8]) -> Result<Vec<Result<Mapped, String>>, String> {
    let one = |raw: &RawValue| {
        let text = raw.get();
        if text.len() > MAX_OCTETS {
            return Err(format!(
                "{} octets; at most {MAX_OCTETS} are taken",
                text.len()
            ));
        }
        let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let id = value.get("id").and_then(Value::as_str).unwrap_or_default();
        if id.trim().is_empty() {
            return Err("id: there is none, so nobody could answer it".to_owned());
        }
        Ok(Mapped::Request {
            id: id.into(),
            octets: text.as_bytes().to_vec(),
        })
    };
    let octets = without_mark(octets);
    if octets.trim_ascii_start().first() == Some(&b'[') {
        let list: Vec<&RawValue> = serde_json::from_slice(octets).map_err(|e| e.to_string())?;
        return Ok(list.into_iter().take(MAX_ROWS + 1).map(one).collect());
    }
    let raw: &RawValue = serde_json::from_slice(octets).map_err(|e| e.to_string())?;
    Ok(vec![one(raw)])
}

fn foreign(
    octets: &[u8],
    settings: &JsonSettings,
    mapping: &FileDropMapping,
) -> Result<Vec<Result<Mapped, String>>, String> {
    let whole: Value = serde_json::from_slice(without_mark(octets)).map_err(|e| e.to_string())?;
    let items = whole
        .pointer(&settings.items)
        .ok_or_else(|| format!("nothing at {:?}", settings.items))?;
    let one = |item: &Value| {
        let found = settings.fields.find(item)?;
        mapping.request.map(found)
    };
    Ok(match items {
        Value::Array(items) => items.iter().take(MAX_ROWS + 1).map(one).collect(),
        item => vec![one(item)],
    })
}

fn csv(
    octets: &[u8],
    settings: &CsvSettings,
    mapping: &FileDropMapping,
) -> Result<Vec<Result<Mapped, String>>, String> {
    let delimiter = u8::try_from(settings.delimiter).unwrap_or(b',');
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(false)
        .from_reader(without_mark(octets));
    let names = reader.headers().map_err(|e| e.to_string())?.clone();
    let mut places = Vec::new();
    for (field, column) in &settings.columns {
        let mut at = names.iter().enumerate();
        let mut at = at.by_ref().filter(|(_, n)| n.trim() == &**column);
        match (at.next(), at.next()) {
            (Some((i, _)), None) => places.push((*field, i)),
            (None, _) => return Err(format!("no column {column:?}")),
            (Some(_), Some(_)) => return Err(format!("two columns {column:?}")),
        }
    }
    let one = |row: Result<csv::StringRecord, csv::Error>| {
        let row = row.map_err(|e| e.to_string())?;
        let mut found = Found::default();
        for (field, i) in &places {
            found.put(*field, row.get(*i).unwrap_or_default())?;
        }
        mapping.request.map(found)
    };
    Ok(reader.records().take(MAX_ROWS + 1).map(one).collect())
}

/// Some programs put a byte order mark before UTF-8.
fn without_mark(octets: &[u8]) -> &[u8] {
    octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets)
}
