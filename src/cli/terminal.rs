//! Who sits at this terminal, and where the responder keeps its database.

use std::path::PathBuf;

use nix::unistd::{Uid, User};

use super::Failure;
use crate::config::Config;
use crate::proof::audit::Entry;
use crate::proof::audit::open::note;
use crate::proof::database::{OpenError, RESPONDER};
use crate::responder::case::Who;

/// Who, for the audit log: the login name, and before it that of the person who came by sudo.
pub(super) fn who() -> Who {
    let uid = Uid::current();
    let name = User::from_uid(uid).ok().flatten().map(|u| u.name);
    let name = name.unwrap_or_else(|| format!("uid {uid}"));
    let name = match std::env::var("SUDO_USER") {
        Ok(person) if !person.is_empty() && person != name => {
            let person: String = person.chars().take(64).collect();
            format!("{person} as {name}")
        }
        _ => name,
    };
    Who::Terminal(name.into())
}

/// Folder of the responder's database: as configured, else beside the store.
pub(super) fn state(config: &Config) -> PathBuf {
    match &config.responder {
        Some(responder) => responder.state.clone(),
        None => config.store.path.with_file_name("responder"),
    }
}

/// Writes a line to the audit log. Without it, what it is about is not done.
pub(super) fn audited(config: &Config, entry: &Entry<'_>) -> Result<u64, Failure> {
    note(&state(config), entry).map_err(|e| {
        Failure::io(format!(
            "{e}\nNothing was looked up: each look-up is written to the audit log first. {}",
            remedy(&e)
        ))
    })
}

fn remedy(e: &OpenError) -> String {
    let path = match e {
        OpenError::File { path, .. } | OpenError::Database { path, .. } => path,
    };
    let file = if path.ends_with(RESPONDER) {
        path.clone()
    } else {
        path.join(RESPONDER)
    };
    format!(
        "Run this as the user that {} belongs to, such as: sudo -u tracehop tracehop …",
        file.display()
    )
}
