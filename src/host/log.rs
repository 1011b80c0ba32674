//! The log: to the journal with its priorities, as text for people, or as JSON, and how much of it.
//!
//! Nothing that a packet can reach logs above `debug`: a flood must not fill the disk. Trouble of the host is said once per change
//! ([`super::trouble`]). What other crates say is let through from `warn` on.

use std::env;
use std::fs;
use std::io::{self, IsTerminal, stderr};
use std::os::unix::fs::MetadataExt;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::{Layer, fmt, reload};

/// What the log is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// How much.
    pub level: LogLevel,
    /// In which form. A reload does not change it.
    pub format: LogFormat,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// What stops us or costs records.
    Error,
    /// And what needs somebody's eyes.
    Warn,
    /// And what the operator did, and its effects.
    #[default]
    Info,
    /// And what single calls and packets bring.
    Debug,
    /// Everything.
    Trace,
}

/// In which form it is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// To the journal where standard error is the journal, otherwise text.
    #[default]
    Auto,
    /// Lines for people, on standard error.
    Text,
    /// One JSON object a line, on standard error.
    Json,
    /// To the journal.
    Journald,
}

/// Changes how much is logged while the process runs.
#[derive(Clone, Debug)]
pub struct LogHandle {
    filter: reload::Handle<Targets, Registry>,
}

impl LogHandle {
    /// From now on so much is logged.
    pub fn set_level(&self, level: LogLevel) {
        // It fails only when the subscriber is gone, and nobody logs any more.
        let _ = self.filter.reload(targets(level));
    }
}

/// Begins to log for the whole process, and gives a note where it could not be as asked. Once only.
///
/// # Errors
///
/// When the process logs already.
pub fn start(settings: LogSettings) -> Result<(LogHandle, Option<String>), LogStarted> {
    let journal = env::var("JOURNAL_STREAM").ok();
    let wants_journal = match settings.format {
        LogFormat::Auto => journal.is_some_and(|j| is_journal(&j)),
        LogFormat::Journald => true,
        LogFormat::Text | LogFormat::Json => false,
    };
    let mut note = None;
    if wants_journal {
        match tracing_journald::layer() {
            Ok(layer) => {
                let layer = layer
                    .with_syslog_identifier("tracehop".to_owned())
                    .with_priority_mappings(priorities());
                let (subscriber, handle) = filtered(settings.level, layer.boxed());
                tracing::subscriber::set_global_default(subscriber).map_err(|_| LogStarted)?;
                return Ok((handle, None));
            }
            Err(e) => note = Some(format!("no journal ({e}): the log goes to standard error")),
        }
    }
    let colour = stderr().is_terminal();
    let (subscriber, handle) = written(settings, colour, stderr);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogStarted)?;
    Ok((handle, note))
}

/// As journalctl -p and its colours mean them: what we call info is no notice, and nobody wants traces apart from debugging.
fn priorities() -> PriorityMappings {
    PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    }
}

/// The process logs already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log has been started already")]
pub struct LogStarted;

fn written<W>(
    settings: LogSettings,
    colour: bool,
    writer: W,
) -> (impl Subscriber + Send + Sync, LogHandle)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // Standard error may be gone; complaining about it there would be a panic.
    let layer = fmt::layer()
        .with_writer(writer)
        .log_internal_errors(false)
        .with_ansi(colour);
    let layer = match settings.format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Auto | LogFormat::Text | LogFormat::Journald => layer.with_target(false).boxed(),
    };
    filtered(settings.level, layer)
}

type Boxed = Box<dyn Layer<reload_type::Filtered> + Send + Sync>;

/// The type of what is under the writing layer.
mod reload_type {
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::Layered;
    use tracing_subscriber::{Registry, reload};

    pub type Filtered = Layered<reload::Layer<Targets, Registry>, Registry>;
}

fn filtered(level: LogLevel, layer: Boxed) -> (impl Subscriber + Send + Sync, LogHandle) {
    let (filter, handle) = reload::Layer::new(targets(level));
    let subscriber = Registry::default().with(filter).with(layer);
    (subscriber, LogHandle { filter: handle })
}

fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target(env!("CARGO_PKG_NAME"), level)
}

/// Whether standard error is the stream that `JOURNAL_STREAM` names (systemd.exec(5)): a service may have redirected it.
fn is_journal(stream: &str) -> bool {
    is_file(stream, fs::metadata("/proc/self/fd/2"))
}

fn is_file(stream: &str, file: io::Result<fs::Metadata>) -> bool {
    let named = stream
        .split_once(':')
        .and_then(|(dev, ino)| Some((dev.parse::<u64>().ok()?, ino.parse::<u64>().ok()?)));
    match (named, file) {
        (Some(named), Ok(file)) => named == (file.dev(), file.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written_by(settings: LogSettings, act: impl FnOnce(&LogHandle)) -> String {
        let paper = Paper::default();
        let clone = paper.clone();
        let (subscriber, handle) = written(settings, false, move || clone.clone());
        tracing::subscriber::with_default(subscriber, || act(&handle));
        let octets = paper.0.lock().unwrap().clone();
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn levels_change_while_it_runs() {
        let out = written_by(LogSettings::default(), |handle| {
            tracing::debug!("first");
            tracing::info!("second");
            handle.set_level(LogLevel::Debug);
            tracing::debug!("third");
            handle.set_level(LogLevel::Error);
            tracing::warn!("fourth");
            tracing::error!("fifth");
        });
        let said = ["first", "second", "third", "fourth", "fifth"].map(|w| out.contains(w));
        assert_eq!(said, [false, true, true, false, true], "{out}");
    }

    #[test]
    fn others_are_let_through_from_warn_on() {
        let settings = LogSettings {
            level: LogLevel::Trace,
            ..LogSettings::default()
        };
        let out = written_by(settings, |_| {
            tracing::info!(target: "hyper", "chatter");
            tracing::warn!(target: "hyper", "alarm");
        });
        assert!(!out.contains("chatter") && out.contains("alarm"), "{out}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let settings = LogSettings {
            format: LogFormat::Json,
            ..LogSettings::default()
        };
        let out = written_by(settings, |_| {
            tracing::info!(sensor = "edge", "a line\nof two");
        });
        let line: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(line["sensor"], "edge");
        assert_eq!(line["level"], "INFO");
        assert_eq!(out.lines().count(), 1);
    }

    #[test]
    fn the_journal_is_where_the_stream_says() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let meta = || fs::metadata(file.path());
        let stream = format!("{}:{}", meta().unwrap().dev(), meta().unwrap().ino());
        assert!(is_file(&stream, meta()));
        assert!(!is_file("1:2", meta()));
        assert!(!is_file("nonsense", meta()));
        assert!(!is_file("", Err(io::ErrorKind::NotFound.into())));
    }
}
