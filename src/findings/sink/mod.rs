//! Where findings go.
//!
//! - [`mod@file`]: JSON lines, rotated · [`journald`]: structured fields · [`syslog`]: RFC 5424 · [`webhook`]: HTTPS, signed

pub mod file;
pub mod journald;
pub mod syslog;
pub mod webhook;

use std::fmt;
use std::time::Duration;

use super::render::Rendered;
use super::{SinkSettings, Way};

/// One place. It is called from its own thread alone and may take its time, but within `patience`.
pub(super) trait Sink: Send {
    /// Puts events there, in their order. Gives how many are there, and why not all; without an error all are.
    fn put(&mut self, events: &[Rendered], patience: Duration) -> (usize, Result<(), Failure>);

    /// How many events it likes at once, and how long to wait for that many.
    fn batch(&self) -> (usize, Duration);

    /// How many events go together: what is refused, is refused of all of them.
    fn unit(&self) -> usize {
        1
    }

    /// How often the same events are tried.
    fn tries(&self) -> u32 {
        // 0.5 + 1 + 2 + 4 s: longer than a syslog daemon takes to restart. Then the queue would only fill.
        5
    }

    /// The end: what is held open is closed in order.
    fn close(&mut self) {}
}

/// Why an event is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It may work later, and not before so long.
    Later {
        /// In words for the log.
        why: String,
        /// What the receiver asks for.
        at_least: Option<Duration>,
    },
    /// This one will never be taken.
    Never(String),
    /// None will ever be taken any more.
    Over(String),
}

impl Failure {
    pub fn later(why: impl fmt::Display) -> Self {
        Self::Later {
            why: why.to_string(),
            at_least: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later { why, .. } | Self::Never(why) | Self::Over(why) => f.write_str(why),
        }
    }
}

/// The sink of some settings. Nothing is opened yet: what can't be, is tried again with each event.
pub(super) fn open(settings: &SinkSettings) -> Box<dyn Sink> {
    match &settings.way {
        Way::File(file) => Box::new(file::FileSink::new(file.clone())),
        Way::Journald => Box::new(journald::JournaldSink::new(journald::SOCKET.into())),
        Way::Syslog(syslog) => Box::new(syslog::SyslogSink::new(syslog.clone())),
        Way::Webhook(webhook) => Box::new(webhook::WebhookSink::new(webhook.as_ref().clone())),
    }
}
