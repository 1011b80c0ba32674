//! What the daemon gives up once its sockets are open: root, every capability, and all of the file system but what it needs.
//!
//! Call these on the first thread before there is another one: capabilities and confinement belong to threads and are inherited by those made later.

use std::path::PathBuf;

use caps::CapSet;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, path_beneath_rules,
};
use nix::unistd::{self, User};

/// Why privileges could not be given up. The daemon does not go on then.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// No such user.
    #[error(
        "[run] user = {0:?}: there is no such user\n    make it (systemd/tracehop.sysusers does), or write another"
    )]
    NoUser(String),
    /// Root without a user to become.
    #[error(
        "started as root, and no user to go on as\n    write [run] user = \"tracehop\" (systemd/tracehop.sysusers makes it), or start as another user: `run` and `capture` on an interface need the capability CAP_NET_RAW then"
    )]
    Root,
    /// The system refused.
    #[error("can't give up {what}: {why}")]
    Refused {
        /// What.
        what: &'static str,
        /// What the system said.
        why: String,
    },
}

/// A user to go on as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: String,
    user: unistd::Uid,
    group: unistd::Gid,
}

impl Identity {
    /// Looks a user up.
    ///
    /// # Errors
    ///
    /// [`PrivilegeError::NoUser`].
    pub fn of(name: &str) -> Result<Self, PrivilegeError> {
        match User::from_name(name) {
            Ok(Some(user)) => Ok(Self {
                name: name.to_owned(),
                user: user.uid,
                group: user.gid,
            }),
            _ => Err(PrivilegeError::NoUser(name.to_owned())),
        }
    }

    /// Gives a folder that the daemon writes to this user.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub fn own(&self, path: &std::path::Path) -> std::io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.user.as_raw()), Some(self.group.as_raw()))
    }
}

/// Whether this process is root.
pub fn is_root() -> bool {
    unistd::geteuid().is_root()
}

/// Becomes another user, where one is given, and drops every capability of every set.
///
/// # Errors
///
/// [`PrivilegeError`].
pub fn drop_all(identity: Option<&Identity>) -> Result<(), PrivilegeError> {
    let refused = |what| {
        move |e: nix::Error| PrivilegeError::Refused {
            what,
            why: e.to_string(),
        }
    };
    let clear = |set, what| {
        caps::clear(None, set).map_err(|e| PrivilegeError::Refused {
            what,
            why: e.to_string(),
        })
    };
    // The bounding set first: dropping from it takes a capability itself. Without that one nothing can be in force beyond what we have.
    if caps::has_cap(None, CapSet::Effective, caps::Capability::CAP_SETPCAP).unwrap_or(false) {
        clear(CapSet::Bounding, "the bounding set")?;
    }
    if let Some(identity) = identity {
        unistd::setgroups(&[]).map_err(refused("groups"))?;
        let group = identity.group;
        unistd::setresgid(group, group, group).map_err(refused("the group root"))?;
        let user = identity.user;
        unistd::setresuid(user, user, user).map_err(refused("the user root"))?;
    }
    clear(CapSet::Ambient, "ambient capabilities")?;
    clear(CapSet::Inheritable, "inheritable capabilities")?;
    clear(CapSet::Effective, "capabilities in force")?;
    clear(CapSet::Permitted, "permitted capabilities")
}

/// What of the confinement the kernel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confined {
    /// All of it.
    Fully,
    /// Some of it: an older kernel.
    Partly,
    /// Nothing: the kernel has no landlock, or it is switched off.
    Not,
}

/// Confines this thread, and all that it makes, to reading and writing below these paths, and forbids new TCP listeners. Paths that don't exist are left out.
///
/// # Errors
///
/// [`PrivilegeError::Refused`].
pub fn confine(read: &[PathBuf], write: &[PathBuf]) -> Result<Confined, PrivilegeError> {
    // What a newer kernel could do besides is asked for by a newer version of us.
    let abi = ABI::V5;
    let status = (|| {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(abi))?
            .handle_access(AccessNet::BindTcp)?
            .create()?
            .add_rules(path_beneath_rules(read, AccessFs::from_read(abi)))?
            .add_rules(path_beneath_rules(write, AccessFs::from_all(abi)))?
            .restrict_self()
    })()
    .map_err(|e: landlock::RulesetError| PrivilegeError::Refused {
        what: "the file system",
        why: e.to_string(),
    })?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Confined::Fully,
        RulesetStatus::PartiallyEnforced => Confined::Partly,
        RulesetStatus::NotEnforced => Confined::Not,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::ErrorKind;
    use std::net::TcpListener;

    /// On a thread of its own: capabilities and confinement don't leave it.
    fn alone(what: impl FnOnce() + Send + 'static) {
        std::thread::spawn(what).join().unwrap();
    }

    #[test]
    fn a_confined_thread_reads_and_writes_where_it_may_and_listens_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name| {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("file"), name).unwrap();
            path
        };
        let (read, write, other) = (folder("read"), folder("write"), folder("other"));
        alone(move || {
            let missing = PathBuf::from("/does/not/exist");
            let confined = confine(&[read.clone(), missing], std::slice::from_ref(&write)).unwrap();
            if confined == Confined::Not {
                assert!(
                    std::env::var_os("CI").is_none(),
                    "this kernel has no landlock: nothing is shown"
                );
                return;
            }
            let denied =
                |e: std::io::Result<()>| e.unwrap_err().kind() == ErrorKind::PermissionDenied;
            assert_eq!(fs::read(read.join("file")).unwrap(), b"read");
            assert!(denied(fs::write(read.join("file"), "x")));
            fs::write(write.join("new"), "x").unwrap();
            fs::rename(write.join("new"), write.join("newer")).unwrap();
            assert!(denied(fs::read(other.join("file")).map(drop)));
            if confined == Confined::Fully {
                assert!(denied(TcpListener::bind("127.0.0.1:0").map(drop)));
            }
        });
    }

    #[test]
    fn no_capability_is_left() {
        alone(|| {
            drop_all(None).unwrap();
            for set in [
                CapSet::Effective,
                CapSet::Permitted,
                CapSet::Inheritable,
                CapSet::Ambient,
            ] {
                assert!(caps::read(None, set).unwrap().is_empty(), "{set:?}");
            }
        });
    }

    #[test]
    fn a_user_that_is_not_there_is_named() {
        let e = Identity::of("no-such-user-here").unwrap_err().to_string();
        assert!(
            e.contains("no-such-user-here") && e.contains("sysusers"),
            "{e}"
        );
    }
}
