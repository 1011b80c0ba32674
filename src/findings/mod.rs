//! Floor 5: findings out. Flagged calls, behaviours and campaigns come in, JSON goes out to files, the journal, syslog and webhooks.
//!
//! ```text
//!             ┌─ filter ─► queue ─► thread: render, put, try again ─► file
//! Tap::tell ──┼─ filter ─► queue ─► thread                          ─► webhook       a queue that is full drops, and counts
//!             └─ …
//! ```
//!
//! Who tells never waits: a queue takes an event at once or not at all, and everything slow (text, files, sockets, names, TLS) is on the sink's own
//! thread. Each event told to a sink is counted once by what became of it ([`counters::Outcome`]). Memory is bounded by the queues, about 1 KiB an event.
//!
//! - [`event`]: what is told · [`filter`]: to whom · [`render`]: its JSON (docs/FORMATS.md, "Findings")
//! - [`tap`]: the telling end, and reload · `writer`: a sink's thread · [`counters`]: what became of it
//! - [`sink`]: file, journal, syslog, webhook

pub mod counters;
pub mod event;
pub mod filter;
pub mod render;
pub mod sink;
pub mod tap;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

pub use event::{Event, EventKind};
pub use filter::Filter;
pub use render::Masking;
pub use sink::syslog::SyslogSettings;
pub use sink::webhook::WebhookSettings;
pub use tap::{Findings, FindingsView, Tap};

/// Where findings go. By default nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingsSettings {
    /// The name of this host in them; the system's where none is given.
    pub host: Option<Arc<str>>,
    /// Where they go.
    pub sinks: Vec<SinkSettings>,
}

/// One place to which findings go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkSettings {
    /// Its name in metrics and log.
    pub name: Arc<str>,
    /// What goes there.
    pub filter: Filter,
    /// How numbers are shown there.
    pub masking: Masking,
    /// How many events may wait.
    pub queue: usize,
    /// How they get there.
    pub way: Way,
}

/// How findings get to a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// JSON lines in a file that is rotated.
    File(FileSettings),
    /// The journal of systemd.
    Journald,
    /// Syslog.
    Syslog(SyslogSettings),
    /// HTTPS.
    Webhook(Box<WebhookSettings>),
}

/// A file that is rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSettings {
    /// Which.
    pub path: PathBuf,
    /// It is rotated before it grows past this.
    pub octets: u64,
    /// How many older ones are kept, as `.1` (the youngest), `.2` and so on.
    pub keep: u32,
}

impl FindingsSettings {
    /// Folders that are written into.
    pub fn folders(&self) -> Vec<PathBuf> {
        let files = self.sinks.iter().filter_map(|s| match &s.way {
            Way::File(file) => file.path.parent(),
            Way::Journald | Way::Syslog(_) | Way::Webhook(_) => None,
        });
        files.map(std::path::Path::to_owned).collect()
    }
}

#[cfg(test)]
mod tests;
