//! Section `[run]`: how the daemon runs.

use super::reader::Section;

/// How the daemon runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSettings {
    /// Threads that check signatures; 0 for one on each core.
    pub judges: usize,
    /// The user to go on as, when started as root.
    pub user: Option<String>,
    /// Whether the file system is confined to what the daemon needs.
    pub sandbox: bool,
    /// Whether it starts with nothing to watch and nobody to answer, as right after an installation.
    pub idle: bool,
}

/// What a process without stages needs: user and sandbox.
pub(super) fn read_identity(s: Section<'_, '_>) -> (Option<String>, bool) {
    let user = s.text("user").map(|(t, _)| t.to_owned());
    let sandbox = s.flag("sandbox", true);
    s.finish();
    (user, sandbox)
}

pub(super) fn read(s: Section<'_, '_>) -> RunSettings {
    let judges = s.integer("judges", 0, 0..257);
    let user = s.text("user").map(|(t, _)| t.to_owned());
    let sandbox = s.flag("sandbox", true);
    let idle = s.flag("idle", false);
    s.finish();
    RunSettings {
        judges: usize::try_from(judges).unwrap_or(0),
        user,
        sandbox,
        idle,
    }
}
