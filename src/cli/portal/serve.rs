//! `tracehop portal` itself: sockets, no privilege left, docket, threads, signals.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::super::{Failure, Outcome, listed};
use crate::config::PortalConfig;
use crate::host::privilege::{self, Confined, Identity, PrivilegeError};
use crate::host::{clock, log, process, supervisor};
use crate::portal::api::ApiError;
use crate::portal::service::{Opened, RunningPortal, ServiceError};

/// How often signals and threads are looked at.
const TICK: Duration = Duration::from_millis(100);

pub(super) fn run(path: &Path) -> Outcome {
    let config = PortalConfig::load(path).map_err(|p| Failure::config(listed(&p)))?;
    let logging = match log::start(config.log) {
        Ok((handle, note)) => {
            if let Some(note) = note {
                tracing::warn!("{note}");
            }
            Some(handle)
        }
        // Somebody else in this process has a log already: a test.
        Err(_) => None,
    };
    for note in config.notes() {
        tracing::warn!("{note}");
    }
    process::allow_files();
    process::no_core();
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])
        .map_err(|e| Failure::new(71, format!("no signals: {e}")))?;
    let opened = Opened::open(config.settings.clone()).map_err(|e| Failure::new(code(&e), &e))?;
    unprivileged(&config)?;
    let portal = opened
        .start(clock::now)
        .map_err(|e| Failure::new(code(&e), &e))?;
    let summary = format!(
        "portal {}: machines at {}, people at {}",
        config.settings.name,
        portal.api(),
        portal.console()
    );
    tracing::info!(config = %path.display(), "{summary}");
    supervisor::ready(&summary);
    let mut beat = Instant::now();
    let watchdog = supervisor::watchdog().map(|every| every / 2);
    let died = loop {
        let mut ended = false;
        for signal in signals.pending() {
            match signal {
                SIGHUP => {
                    supervisor::reloading();
                    reload(path, &portal, logging.as_ref());
                    supervisor::ready("reloaded");
                }
                _ => ended = true,
            }
        }
        if ended {
            tracing::info!("told to end: draining");
            break None;
        }
        if let Some(name) = portal.died() {
            break Some(name);
        }
        if let Some(every) = watchdog
            && beat.elapsed() >= every
        {
            beat = Instant::now();
            supervisor::alive();
        }
        thread::sleep(TICK);
    };
    supervisor::stopping();
    let well = portal.stop();
    match died {
        Some(name) => Err(Failure::software(format!(
            "the {name} thread ended; what is durable stays, please report this with the log"
        ))),
        None if !well => Err(Failure::software("a thread had panicked: see the log")),
        None => {
            tracing::info!("drained");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Takes all of the configuration as it is now, or nothing of it.
fn reload(path: &Path, portal: &RunningPortal, logging: Option<&log::LogHandle>) {
    let loaded = PortalConfig::load(path).map_err(|p| listed(&p));
    let taken = loaded.and_then(|new| {
        let old = portal.docket().settings();
        let s = &new.settings;
        let mut restart = Vec::new();
        for (what, differs) in [
            ("portal.state", s.state != old.state),
            ("portal.key_file", s.key_file != old.key_file),
            ("api.listen", s.api.address != old.api.address),
            ("console.listen", s.console.address != old.console.address),
        ] {
            if differs {
                restart.push(what);
            }
        }
        if !restart.is_empty() {
            tracing::warn!(
                "changed, and taken at the next start only: {}",
                restart.join(", ")
            );
        }
        if let Some(handle) = logging {
            handle.set_level(new.log.level);
        }
        portal.reload(new.settings).map_err(|e| e.to_string())
    });
    match taken {
        Ok(()) => tracing::info!("reloaded"),
        Err(why) => tracing::error!("not reloaded, everything stays as it was: {why}"),
    }
}

/// Gives up root and every capability, and all of the file system but what is needed.
fn unprivileged(config: &PortalConfig) -> Result<(), Failure> {
    let refused = |e: PrivilegeError| Failure::new(77, e);
    let identity = match (&config.user, privilege::is_root()) {
        (Some(user), true) => Some(Identity::of(user).map_err(refused)?),
        (None, true) => return Err(refused(PrivilegeError::Root)),
        (_, false) => None,
    };
    let state = &config.settings.state;
    let made = make(state).and_then(|()| identity.as_ref().map_or(Ok(()), |i| i.own(state)));
    made.map_err(|e| Failure::io(format!("{}: {e}", state.display())))?;
    privilege::drop_all(identity.as_ref()).map_err(refused)?;
    if config.sandbox {
        let read = readable(config);
        let confined = privilege::confine(&read, std::slice::from_ref(state)).map_err(refused)?;
        if confined != Confined::Fully {
            tracing::warn!("this kernel confines the file system in part only, or not at all");
        }
    }
    Ok(())
}

fn make(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    // Who asked whom about which call is the portal's alone.
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder)
}

/// What it reads, over reloads too: the configuration with all that it names, and what names and hosts need of the system.
fn readable(config: &PortalConfig) -> Vec<PathBuf> {
    let system = [
        "/etc",
        "/usr/lib",
        "/usr/lib64",
        "/lib",
        "/lib64",
        "/usr/share/zoneinfo",
        "/proc",
        "/run/systemd",
        "/dev",
    ];
    let files = config.files.iter();
    // Folders, since a file that is replaced is another one.
    let folders = files.map(|p| p.parent().unwrap_or(p).to_owned());
    let system = system.iter().map(PathBuf::from);
    system
        .chain([config.folder.clone()])
        .chain(folders)
        .collect()
}

/// sysexits(3).
fn code(e: &ServiceError) -> u8 {
    match e {
        ServiceError::Key { .. }
        | ServiceError::Api(ApiError::Tls { .. } | ApiError::Secret(_)) => 78,
        ServiceError::Api(ApiError::Bind { .. }) => 69,
        ServiceError::Docket(_) => 74,
        ServiceError::Api(ApiError::NoThread(..)) | ServiceError::System(_) => 71,
    }
}
