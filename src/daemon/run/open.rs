//! What needs a privilege is opened; then no privilege is left.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::RunError;
use crate::capture::hep::{HepListener, why_unreadable};
use crate::capture::live::{self, LiveSource};
use crate::config::Config;
use crate::host::privilege::{self, Confined, Identity, PrivilegeError};
use crate::host::process;
use crate::responder::api::ApiServer;
use crate::store::embedded::{EmbeddedStore, KeySource};
use crate::web::WebServer;

/// What needed privileges.
pub(super) struct Opened {
    pub live: Vec<LiveSource>,
    pub hep: Option<HepListener>,
    pub web: Option<WebServer>,
    pub api: Option<ApiServer>,
    /// The store's key: what gives it may be out of reach from now on.
    pub key: Option<KeySource>,
}

impl Opened {
    pub fn open(config: &Config) -> Result<Self, RunError> {
        if let Some(remedy) = config.nothing_to_do() {
            if !config.run.idle {
                return Err(RunError::Nothing { remedy });
            }
            tracing::warn!("nothing to watch yet and nobody to answer: {remedy}, then restart");
        }
        // Before any socket: a second start must say that the first one runs, not that an address is taken.
        EmbeddedStore::look_for_holder(&config.store.path)?;
        let live = live::open(&config.capture, 0)?;
        for source in &live {
            if let Some(note) = source.note() {
                tracing::warn!(interface = %source.interface(), "{note}");
            }
        }
        let hep = config.hep.as_ref().map(HepListener::bind).transpose()?;
        let web = config.http.listen;
        let web = web
            .map(|at| WebServer::bind(at, &config.http))
            .transpose()?;
        if let Some(note) = web.as_ref().and_then(WebServer::note) {
            tracing::warn!("{note}");
        }
        let api = config.responder.as_ref().map(ApiServer::bind).transpose()?;
        let api = api.flatten();
        let identity = match (&config.run.user, privilege::is_root()) {
            (Some(user), true) => Some(Identity::of(user)?),
            (None, true) => return Err(PrivilegeError::Root.into()),
            (_, false) => None,
        };
        let state = config.responder.as_ref().map(|r| &r.state);
        for folder in folders(config) {
            let is_new = !folder.exists();
            prepare(&folder, identity.as_ref())?;
            // Who asked whom about which call is the daemon's alone.
            if is_new && Some(&folder) == state {
                close(&folder)?;
            }
        }
        // One that is there may be somebody else's, such as /var/log or a maildir: it is left as it is.
        let shared = shared_folders(config);
        for folder in shared.iter().filter(|f| !f.exists()) {
            prepare(folder, identity.as_ref())?;
        }
        privilege::drop_all(identity.as_ref())?;
        // A core dump would hold telephone numbers, and the store's key.
        if !process::no_core() {
            tracing::warn!(
                "the system may write this process's memory to disk when it dies: set LimitCORE=0"
            );
        }
        // As the user that the daemon is from now on, never as root; and before it can start no program any more.
        let key = config.store.settings.encryption.as_ref();
        let key = key.map(KeySource::hold).transpose()?;
        if config.run.sandbox {
            let written = [folders(config), shared].concat();
            let confined = privilege::confine(&readable(config), &written)?;
            if confined != Confined::Fully {
                tracing::warn!(
                    "this kernel confines the file system {}",
                    match confined {
                        Confined::Partly => "in part only",
                        _ => "not at all: the unit's ProtectSystem=strict does",
                    }
                );
            }
        }
        for path in &config.files {
            // What is not there at all is a proof that is still to be written.
            let opened = std::fs::File::open(path);
            if let Some(e) = opened
                .err()
                .filter(|e| e.kind() != std::io::ErrorKind::NotFound)
            {
                let why = why_unreadable(&e);
                tracing::warn!("{}: a reload will fail: {why}", path.display());
            }
        }
        Ok(Self {
            live,
            hep,
            web,
            api,
            key,
        })
    }
}

/// What is the daemon's own to write into.
fn folders(config: &Config) -> Vec<PathBuf> {
    let cache = config.fetch.folder.clone().filter(|_| config.fetch_enabled);
    std::iter::once(config.store.path.clone())
        .chain(cache)
        .chain(config.responder.as_ref().map(|r| r.state.clone()))
        .collect()
}

/// Where it leaves things for others, or takes them from.
fn shared_folders(config: &Config) -> Vec<PathBuf> {
    let portals = config.responder.iter().flat_map(|r| &r.portals);
    let adapters = portals.flat_map(|p| p.adapter.folders());
    config
        .findings
        .folders()
        .into_iter()
        .chain(adapters)
        .collect()
}

/// What it reads, over reloads too: the configuration with all beside it, certificates, and what names and hosts need of the system.
fn readable(config: &Config) -> Vec<PathBuf> {
    let system = [
        "/etc",
        "/usr/lib",
        "/usr/lib64",
        "/lib",
        "/lib64",
        "/usr/share/zoneinfo",
        "/proc",
        "/sys/class/net",
        "/run/systemd",
        "/dev",
    ];
    // Folders, since a file that is replaced is another one.
    let files = config.files.iter();
    let folders = files.map(|p| p.parent().unwrap_or(p).to_owned());
    system
        .iter()
        .map(PathBuf::from)
        .chain([config.folder.clone()])
        .chain(folders)
        .collect()
}

fn close(folder: &Path) -> Result<(), RunError> {
    let closed = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700));
    closed.map_err(|source| RunError::Folder {
        path: folder.to_owned(),
        source,
    })
}

fn prepare(folder: &Path, identity: Option<&Identity>) -> Result<(), RunError> {
    let made = std::fs::create_dir_all(folder);
    let owned = made.and_then(|()| identity.map_or(Ok(()), |i| i.own(folder)));
    owned.map_err(|source| RunError::Folder {
        path: folder.to_owned(),
        source,
    })
}
