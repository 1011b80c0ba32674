//! Section `[log]`: how much is logged, and in which form.

use super::reader::Section;
use crate::host::log::{LogFormat, LogLevel, LogSettings};

pub(super) fn read(s: Section<'_, '_>) -> LogSettings {
    let level = s.choice(
        "level",
        &[
            ("error", LogLevel::Error),
            ("warn", LogLevel::Warn),
            ("info", LogLevel::Info),
            ("debug", LogLevel::Debug),
            ("trace", LogLevel::Trace),
        ],
    );
    let format = s.choice(
        "format",
        &[
            ("auto", LogFormat::Auto),
            ("text", LogFormat::Text),
            ("json", LogFormat::Json),
            ("journald", LogFormat::Journald),
        ],
    );
    s.finish();
    LogSettings {
        level: level.unwrap_or_default(),
        format: format.unwrap_or_default(),
    }
}
