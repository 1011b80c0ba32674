//! What is read live, and why it can't be.

use std::io;
use std::sync::Arc;

use super::filter::FilterSettings;

/// What is read live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSettings {
    /// What the kernel lets through.
    pub filter: FilterSettings,
    /// Memory of each reading thread's ring. What the kernel fills it with while nobody reads is not lost.
    pub ring_octets: usize,
    /// Hear also what is sent to others, as a mirror port does.
    pub promiscuous: bool,
    /// From where. None: nothing is read.
    pub interfaces: Vec<InterfaceSettings>,
}

/// One interface to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceSettings {
    /// Its name at the system.
    pub name: Arc<str>,
    /// Name of the sensor that it is.
    pub sensor: Arc<str>,
    /// How many threads read it.
    pub threads: u16,
    /// By what.
    pub backend: Backend,
    /// What this host sends is not looked at.
    pub ignore_outgoing: bool,
}

/// By what an interface is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// A ring, and pnet where there is none.
    #[default]
    Auto,
    /// A ring or nothing.
    Ring,
    /// pnet.
    Pnet,
}

impl Default for LiveSettings {
    /// No interface. 64 MiB a thread hold a third of a second of signed INVITEs at 100,000 a second.
    fn default() -> Self {
        Self {
            filter: FilterSettings::default(),
            ring_octets: 64 << 20,
            promiscuous: true,
            interfaces: Vec::new(),
        }
    }
}

impl InterfaceSettings {
    /// One thread, and a sensor of the interface's name.
    pub fn new(name: &str) -> Self {
        let name: Arc<str> = Arc::from(name);
        Self {
            sensor: Arc::clone(&name),
            name,
            threads: 1,
            backend: Backend::Auto,
            ignore_outgoing: false,
        }
    }
}

impl LiveSettings {
    /// The sensors, each once, in the order in which [`open`](super::open) numbers them.
    pub fn sensors(&self) -> Vec<Arc<str>> {
        let mut out: Vec<Arc<str>> = Vec::new();
        for interface in &self.interfaces {
            if !out.contains(&interface.sensor) {
                out.push(Arc::clone(&interface.sensor));
            }
        }
        out
    }
}

/// Why an interface can't be read.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// Packet sockets are not for everybody.
    #[error(
        "{name}: capturing needs CAP_NET_RAW; start as root, or with AmbientCapabilities=CAP_NET_RAW"
    )]
    NotAllowed {
        /// Which interface.
        name: Arc<str>,
    },
    /// There is no such interface.
    #[error("{name}: no such interface; `ip link` lists them")]
    NoInterface {
        /// Its name.
        name: Arc<str>,
    },
    /// Its frames begin with something that we can't read.
    #[error(
        "{name}: hardware type {hardware} is not read; Ethernet, loopback, tun and raw IP are. Capture on the interface below it"
    )]
    LinkType {
        /// Which interface.
        name: Arc<str>,
        /// `ARPHRD_…`.
        hardware: u16,
    },
    /// The system refused a step.
    #[error("{name}: {what}: {source}")]
    System {
        /// Which interface.
        name: Arc<str>,
        /// What was refused.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl LiveError {
    pub(super) fn of(name: &Arc<str>, what: &'static str, source: io::Error) -> Self {
        let name = Arc::clone(name);
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NotAllowed { name },
            _ => Self::System { name, what, source },
        }
    }
}
