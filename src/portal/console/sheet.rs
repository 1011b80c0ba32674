//! Tables as CSV, for programs that reckon: RFC 4180, UTF-8, and no cell that a spreadsheet takes for a formula.

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::{Answer, Trouble};

/// A table that is written out.
pub(super) struct Sheet {
    name: &'static str,
    writer: csv::Writer<Vec<u8>>,
}

impl Sheet {
    /// With the names of its columns.
    pub fn new(name: &'static str, columns: &[&str]) -> Result<Self, Trouble> {
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        writer
            .write_record(columns)
            .map_err(|e| Trouble::home(&e))?;
        Ok(Self { name, writer })
    }

    /// One more line.
    pub fn line<const N: usize>(&mut self, cells: [String; N]) -> Result<(), Trouble> {
        let cells = cells.map(|c| plain(&c));
        let done = self.writer.write_record(&cells);
        done.map_err(|e| Trouble::home(&e))
    }

    /// The file, to be kept and not shown.
    pub fn answer(self) -> Answer {
        let octets = self.writer.into_inner();
        let octets = octets.map_err(|e| Trouble::home(&e))?;
        Ok(file(
            &format!("{}.csv", self.name),
            "text/csv; charset=utf-8",
            octets,
        ))
    }
}

/// A file to be kept. `name` is ours.
pub(super) fn file(name: &str, kind: &'static str, octets: Vec<u8>) -> Response {
    let mut response = ([(CONTENT_TYPE, kind)], octets).into_response();
    let disposition = format!("attachment; filename=\"{name}\"");
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    response
}

/// What a spreadsheet takes for text: a cell that begins like a formula gets an apostrophe before it (OWASP, CSV Injection).
fn plain(cell: &str) -> String {
    let begins = cell.trim_start_matches([' ', '"', '\'']).chars().next();
    match begins {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '|' | '%') => format!("'{cell}"),
        _ => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for cell in [
            "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\"=1", "'=1", "|calc",
        ] {
            assert!(plain(cell).starts_with('\''), "{cell:?}");
        }
        assert_eq!(plain("Alpha, Inc. = good"), "Alpha, Inc. = good");
        assert_eq!(plain(""), "");
    }

    #[test]
    fn commas_quotes_and_lines_stay_in_their_cell() {
        let mut sheet = Sheet::new("x", &["a", "b"]).unwrap();
        sheet
            .line(["x, \"y\"\r\nz".to_owned(), "2".to_owned()])
            .unwrap();
        let octets = sheet.writer.into_inner().unwrap();
        assert_eq!(
            String::from_utf8(octets).unwrap(),
            "a,b\r\n\"x, \"\"y\"\"\r\nz\",2\r\n"
        );
    }
}
