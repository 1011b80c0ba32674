//! The two ends of whatever adapter a portal has.

use std::path::PathBuf;

use super::file_drop::{FileInlet, FileOutlet};
use super::http_json::{HttpInlet, HttpOutlet};
use super::mailbox::{MailInlet, MailOutlet};
use super::reference::{ReferenceInlet, ReferenceOutlet};
use super::{AdapterSettings, Arrival, Inlet, Outlet, Trouble};
use crate::responder::case::{Delivered, Parcel};

macro_rules! ends {
    ($($kind:ident $inlet:ty, $outlet:ty;)*) => {
        /// Where requests of a portal come from.
        #[derive(Debug)]
        // One lives for each portal, on its task.
        #[allow(clippy::large_enum_variant)]
        pub enum AnyInlet { $( #[doc = stringify!($kind)] $kind($inlet), )* }

        /// Where answers for a portal go.
        #[derive(Debug)]
        // One lives for each portal, on its task.
        #[allow(clippy::large_enum_variant)]
        pub enum AnyOutlet { $( #[doc = stringify!($kind)] $kind($outlet), )* }

        impl Inlet for AnyInlet {
            async fn poll(&mut self) -> Result<Vec<Arrival>, Trouble> {
                match self { $( Self::$kind(end) => end.poll().await, )* }
            }

            async fn settle(&mut self, arrival: &Arrival) -> Result<(), Trouble> {
                match self { $( Self::$kind(end) => end.settle(arrival).await, )* }
            }

            async fn reject(&mut self, arrival: &Arrival, why: &str) -> Result<(), Trouble> {
                match self { $( Self::$kind(end) => end.reject(arrival, why).await, )* }
            }
        }

        impl Outlet for AnyOutlet {
            async fn deliver(&mut self, parcel: &Parcel) -> Delivered {
                match self { $( Self::$kind(end) => end.deliver(parcel).await, )* }
            }
        }
    };
}

ends! {
    Reference Box<ReferenceInlet>, Box<ReferenceOutlet>;
    HttpJson Box<HttpInlet>, Box<HttpOutlet>;
    FileDrop Box<FileInlet>, Box<FileOutlet>;
    Mailbox Box<MailInlet>, Box<MailOutlet>;
}

impl AdapterSettings {
    /// Both ends, where the adapter has them.
    ///
    /// # Errors
    ///
    /// What can't be set up.
    pub fn open(&self) -> Result<(Option<AnyInlet>, Option<AnyOutlet>), Trouble> {
        Ok(match self {
            Self::PushOnly => (None, None),
            Self::Reference(settings) => {
                let ends = settings.open().map_err(|e| Trouble(e.to_string()))?;
                (
                    Some(AnyInlet::Reference(Box::new(ends.0))),
                    Some(AnyOutlet::Reference(Box::new(ends.1))),
                )
            }
            Self::HttpJson(c) => (
                Some(AnyInlet::HttpJson(Box::new(HttpInlet::new(
                    c.settings.clone(),
                )?))),
                Some(AnyOutlet::HttpJson(Box::new(HttpOutlet::new(
                    c.settings.clone(),
                )?))),
            ),
            Self::FileDrop(c) => (
                Some(AnyInlet::FileDrop(Box::new(FileInlet::new(
                    c.settings.clone(),
                )))),
                Some(AnyOutlet::FileDrop(Box::new(FileOutlet::new(
                    c.settings.clone(),
                )))),
            ),
            Self::Mailbox(c) => (
                Some(AnyInlet::Mailbox(Box::new(MailInlet::new(
                    c.settings.clone(),
                )))),
                Some(AnyOutlet::Mailbox(Box::new(MailOutlet::new(
                    c.settings.clone(),
                )))),
            ),
        })
    }

    /// Folders that it writes into: the sandbox must leave them open.
    pub fn folders(&self) -> Vec<PathBuf> {
        match self {
            Self::PushOnly | Self::Reference(_) => Vec::new(),
            Self::HttpJson(c) => vec![c.settings.failed.clone()],
            Self::FileDrop(c) => vec![c.settings.folder.clone()],
            Self::Mailbox(c) => {
                let s = &c.settings;
                vec![s.maildir.clone(), s.failed.clone(), s.out.clone()]
            }
        }
    }
}
