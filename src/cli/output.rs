//! Tables for people, JSON for machines, and what happens when nobody reads them.
//!
//! `println!` panics when its reader has gone, as `head` does after its lines. Everything printed goes through here instead:
//! a reader that has gone ends the process quietly, any other failure to write ends it with EX_IOERR.

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdout};
use std::process::exit;

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::Failure;

/// Prints one JSON document on standard output.
pub(super) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut out = stdout().lock();
    let pretty = out.is_terminal();
    let written = if pretty {
        serde_json::to_writer_pretty(&mut out, value)
    } else {
        serde_json::to_writer(&mut out, value)
    };
    let written = written
        .map_err(io::Error::from)
        .and_then(|()| out.write_all(b"\n"));
    written.or_else(|e| match e.kind() {
        ErrorKind::BrokenPipe => exit(0),
        _ => Err(Failure::io(format!("standard output: {e}"))),
    })
}

/// Prints a line on standard output, as `println!` does.
macro_rules! say {
    ($($part:tt)*) => { $crate::cli::output::line(format_args!($($part)*)) };
}
pub(super) use say;

/// What [`say!`] calls. Commands print when their work is done and their files are closed, so ending here costs nothing.
pub(super) fn line(text: fmt::Arguments<'_>) {
    let mut out = stdout().lock();
    let written = out.write_fmt(text).and_then(|()| out.write_all(b"\n"));
    match written {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::BrokenPipe => exit(0),
        Err(e) => {
            complain(format_args!("standard output: {e}"));
            exit(74)
        }
    }
}

/// Prints a line on standard error. Where that fails too, there is nobody left to tell; the exit code still says it.
pub(super) fn complain(text: fmt::Arguments<'_>) {
    let _ = writeln!(stderr().lock(), "tracehop: {text}");
}

/// A plain table: a header row, columns from index `numbers` on aligned to the right.
pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>, numbers: usize) -> Table {
    let mut table = Table::new();
    *table.style_mut() = TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─'));
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
