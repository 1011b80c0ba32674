//! Where records go: a table, JSON lines, CSV, Parquet, or nowhere but into a count.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Format;
use super::columns::{self, COLUMNS};
use super::show;
use crate::call::record::StoredCall;
use crate::cli::Failure;
use crate::config::Config;
use crate::findings::Masking;
use crate::store::embedded::export::ParquetExport;

/// Takes records one by one.
pub(super) enum Sink<'a> {
    Count,
    Table {
        config: &'a Config,
        masking: Masking,
        most: usize,
        rows: Vec<Vec<String>>,
    },
    Lines(Out),
    Csv(Box<csv::Writer<Out>>),
    Parquet(Box<ParquetExport>, PathBuf),
}

/// Whether more is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    Yes,
    /// The table is full, or its reader has gone.
    No,
}

/// Standard output or a file of ours.
pub(super) enum Out {
    Standard(io::Stdout),
    File(BufWriter<File>, PathBuf),
}

impl<'a> Sink<'a> {
    /// A file, which must not be there yet, or standard output.
    pub fn open(format: Format, output: Option<&Path>) -> Result<Self, Failure> {
        let out = match output {
            Some(path) => Out::File(BufWriter::new(create(path)?), path.to_owned()),
            None => Out::Standard(io::stdout()),
        };
        match (format, out) {
            (Format::Jsonl, out) => Ok(Self::Lines(out)),
            (Format::Csv, out) => {
                let mut writer = csv::Writer::from_writer(out);
                let header = writer.write_record(COLUMNS.iter().map(|(name, _)| name));
                header.map_err(|e| Failure::io(e.to_string()))?;
                Ok(Self::Csv(Box::new(writer)))
            }
            (Format::Parquet, Out::File(file, path)) => {
                let file = file.into_inner().map_err(Failure::io)?;
                let export = ParquetExport::over(&path, file).map_err(Failure::io)?;
                Ok(Self::Parquet(Box::new(export), path))
            }
            (Format::Parquet, Out::Standard(_)) => {
                Err(Failure::usage("--format parquet needs --output FILE"))
            }
        }
    }

    pub fn push(&mut self, call: &StoredCall) -> Result<More, Failure> {
        let written = match self {
            Self::Count => Ok(()),
            Self::Table {
                config,
                masking,
                most,
                rows,
            } => {
                if rows.len() >= *most {
                    return Ok(More::No);
                }
                rows.push(show::row(config, *masking, call));
                Ok(())
            }
            Self::Lines(out) => serde_json::to_writer(&mut *out, call)
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n")),
            Self::Csv(writer) => serde_json::to_value(call)
                .map_err(io::Error::from)
                .and_then(|v| {
                    writer
                        .write_record(columns::cells(&v))
                        .map_err(io::Error::from)
                }),
            Self::Parquet(export, _) => {
                export.push(call).map_err(Failure::io)?;
                Ok(())
            }
        };
        self.told(written)
    }

    /// Ends it: what was written is durable.
    pub fn finish(self) -> Result<Vec<Vec<String>>, Failure> {
        let out = match self {
            Self::Count => return Ok(Vec::new()),
            Self::Table { rows, .. } => return Ok(rows),
            Self::Parquet(export, _) => {
                export.finish().map_err(Failure::io)?;
                return Ok(Vec::new());
            }
            Self::Lines(out) => out,
            Self::Csv(writer) => match writer.into_inner() {
                Ok(out) => out,
                Err(e) if e.error().kind() == io::ErrorKind::BrokenPipe => return Ok(Vec::new()),
                Err(e) => return Err(Failure::io(e.error().to_string())),
            },
        };
        let (ended, path) = match out {
            Out::Standard(mut out) => (out.flush(), "standard output".to_owned()),
            Out::File(mut file, path) => {
                let synced = file.flush().and_then(|()| file.get_ref().sync_all());
                (synced, path.display().to_string())
            }
        };
        match ended {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::io(format!("{path}: {e}")))
            }
            _ => Ok(Vec::new()),
        }
    }

    fn told(&self, written: io::Result<()>) -> Result<More, Failure> {
        match written {
            Ok(()) => Ok(More::Yes),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(More::No),
            Err(e) => Err(Failure::io(format!("{}: {e}", self.place()))),
        }
    }

    fn place(&self) -> String {
        match self {
            Self::Lines(Out::File(_, path)) | Self::Parquet(_, path) => path.display().to_string(),
            Self::Csv(writer) => match writer.get_ref() {
                Out::File(_, path) => path.display().to_string(),
                Out::Standard(_) => "standard output".to_owned(),
            },
            _ => "standard output".to_owned(),
        }
    }
}

/// A new file for its owner alone.
fn create(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => Failure::usage(format!(
            "{} is there already; nothing is overwritten",
            path.display()
        )),
        _ => Failure::io(format!("{}: {e}", path.display())),
    })
}

/// Takes away what was not finished.
pub(super) fn discard(output: Option<&Path>) {
    if let Some(path) = output {
        let _ = fs::remove_file(path);
    }
}

impl Write for Out {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Standard(out) => out.write(octets),
            Self::File(file, _) => file.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Standard(out) => out.flush(),
            Self::File(file, _) => file.flush(),
        }
    }
}
