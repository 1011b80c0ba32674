//! Floor 5: frames in, from wherever they are captured.
//!
//! - [`mod@file`]: one pcap or pcapng file, read in a stream
//! - [`hep`]: agents that mirror what they see
//! - [`merge`]: several files, by capture time
//! - [`live`]: interfaces of this host

pub mod file;
pub mod hep;
pub mod live;
pub mod merge;

pub use file::{CaptureFile, Ending};
pub use merge::{Event, Merge};

use std::path::PathBuf;

/// Why frames can't be read. Damage within a file is no error but an [`Ending`]: what stands before it is good.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file could not be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no capture at all.
    #[error("{path}: neither pcap nor pcapng")]
    NotACapture {
        /// Which file.
        path: PathBuf,
    },
    /// It is packed.
    #[error(
        "{path}: packed with {packer}; unpack it first, for instance: {packer} -dc {path} > capture.pcap"
    )]
    Packed {
        /// Which file.
        path: PathBuf,
        /// With which program.
        packer: &'static str,
    },
}
