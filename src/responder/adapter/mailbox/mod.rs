//! Requests as mails in a maildir; answers as drafts that a person sends, or as files. Nothing here speaks SMTP or IMAP, and no link is ever opened.
//!
//! ```text
//! new/NAME ─► sender on the list? ─► patterns ─► request ─► cur/NAME:2,S
//!                  └ no ─────────► failed/NAME, NAME.reason ◄─ └ no
//! ```
//!
//! Who may ask is a list of senders. That a mail is theirs says the operator's own mail server in `Authentication-Results` ([`sender`]); a mail of which it does
//! not say so is taken in as [`Way::Unproven`]: a person decides about it, in every mode.

pub mod draft;
pub mod sender;
pub mod text;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

pub use draft::DraftSettings;
pub use sender::{Proof, SenderSettings};
pub use text::{MailPattern, Place};

use super::file_drop::{FileDropMapping, deliver_into};
use super::folder::{Folder, Print};
use super::mapping::{Mapped, MappingSettings};
use super::submission::Words;
use super::{Arrival, Inlet, Outlet, Trouble};
use crate::responder::case::{Delivered, Incoming, Parcel, Way};

/// Largest mail: a request with a short recording attached. Larger ones are a person's.
pub const MAX_MAIL: u64 = 4 << 20;

/// Mails that are looked at in one round.
const MAILS: usize = 64;

/// A mailbox.
#[derive(Clone, Debug, PartialEq)]
pub struct MailboxSettings {
    /// The maildir: `new` and `cur` are in it.
    pub maildir: PathBuf,
    /// Where mails go that are no requests, with the reason.
    pub failed: PathBuf,
    /// Where answers go: drafts, or files.
    pub out: PathBuf,
    /// How often it is looked at.
    pub every: Duration,
    /// What the mails mean.
    pub mapping: MailMapping,
}

/// What the mails mean.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct MailMapping {
    /// Who may ask, and what proves it.
    pub sender: SenderSettings,
    /// Where the fields are; each pattern has groups named by fields.
    pub patterns: Vec<MailPattern>,
    /// How fields are understood.
    pub request: MappingSettings,
    /// The portal's words.
    pub words: Words,
    /// How drafts are written; `None`: answers are files of JSON and CSV.
    pub draft: Option<DraftSettings>,
}

/// What a mail is.
#[derive(Clone, Debug, PartialEq)]
pub struct Understood {
    /// What it asks.
    pub mapped: Mapped,
    /// What proves its sender; otherwise why nothing does.
    pub proof: Proof,
}

/// Reads a mail.
///
/// # Errors
///
/// Why it is no request.
pub fn understand(octets: &[u8], mapping: &MailMapping) -> Result<Understood, String> {
    if octets.len() as u64 > MAX_MAIL {
        return Err(format!("more than {MAX_MAIL} octets"));
    }
    let mail = mail_parser::MessageParser::default()
        .parse(octets)
        .ok_or_else(|| "it is no mail".to_owned())?;
    let proof = mapping.sender.judge(&mail)?;
    let found = text::find(&mail, &mapping.patterns)?;
    let mapped = mapping.request.map(found)?;
    if let (Mapped::Withdrawn { .. }, Proof::None(why)) = (&mapped, &proof) {
        return Err(format!(
            "it takes a request back, and {why}: a person must see whether it is true"
        ));
    }
    Ok(Understood { mapped, proof })
}

/// The end that reads.
#[derive(Debug)]
pub struct MailInlet {
    settings: MailboxSettings,
    open: Vec<(Box<str>, Print)>,
    first: bool,
}

impl MailInlet {
    /// Makes one; nothing is touched yet.
    pub fn new(settings: MailboxSettings) -> Self {
        Self {
            settings,
            open: Vec::new(),
            first: true,
        }
    }

    fn new_mails(&self) -> Folder {
        Folder::new(self.settings.maildir.join("new"))
    }

    fn put_away(&self, name: &str, print: Print, why: &str) -> Result<(), Trouble> {
        let failed = Folder::new(&self.settings.failed);
        match self.new_mails().hand_on(name, print, &failed, name)? {
            Some(named) => failed.write(&format!("{named}.reason"), format!("{why}\n").as_bytes()),
            None => Ok(()),
        }
    }

    fn print_of(&mut self, arrival: &Arrival) -> Option<Print> {
        let at = self
            .open
            .iter()
            .position(|(name, _)| *name == arrival.receipt)?;
        Some(self.open.swap_remove(at).1)
    }
}

impl Inlet for MailInlet {
    async fn poll(&mut self) -> Result<Vec<Arrival>, Trouble> {
        if self.first {
            // A maildir has all three (maildir(5)): who delivers mail makes none of them.
            for sub in ["tmp", "new", "cur"] {
                Folder::new(self.settings.maildir.join(sub)).make()?;
            }
            self.first = false;
        } else {
            sleep(self.settings.every).await;
        }
        self.open.clear();
        let folder = self.new_mails();
        let mut arrivals = Vec::new();
        for (name, _) in folder.files(MAILS)? {
            // Whoever delivers into a maildir writes in tmp/ and renames: what is here is whole.
            let Some((octets, print)) = folder.read(&name, MAX_MAIL)? else {
                continue;
            };
            match understand(&octets, &self.settings.mapping) {
                Err(why) => self.put_away(&name, print, &why)?,
                Ok(understood) => {
                    let way = match understood.proof {
                        Proof::None(_) => Way::Unproven,
                        Proof::Dkim | Proof::Dmarc => Way::Mail,
                    };
                    let what = match understood.mapped {
                        Mapped::Request { octets, .. } => Incoming::Request(octets),
                        Mapped::Withdrawn { id } => Incoming::Withdrawn { request: id },
                    };
                    let receipt: Box<str> = name.into();
                    self.open.push((receipt.clone(), print));
                    arrivals.push(Arrival { what, way, receipt });
                }
            }
        }
        Ok(arrivals)
    }

    async fn settle(&mut self, arrival: &Arrival) -> Result<(), Trouble> {
        let Some(print) = self.print_of(arrival) else {
            return Ok(());
        };
        let cur = Folder::new(self.settings.maildir.join("cur"));
        let name = &arrival.receipt;
        // Seen, as mail programs mark it.
        let seen = match name.contains(":2,") {
            true => name.to_string(),
            false => format!("{name}:2,S"),
        };
        self.new_mails().hand_on(name, print, &cur, &seen)?;
        Ok(())
    }

    async fn reject(&mut self, arrival: &Arrival, why: &str) -> Result<(), Trouble> {
        match self.print_of(arrival) {
            Some(print) => self.put_away(&arrival.receipt, print, why),
            None => Ok(()),
        }
    }
}

/// The end that writes.
#[derive(Debug)]
pub struct MailOutlet {
    settings: MailboxSettings,
}

impl MailOutlet {
    /// Makes one.
    pub fn new(settings: MailboxSettings) -> Self {
        Self { settings }
    }
}

impl Outlet for MailOutlet {
    async fn deliver(&mut self, parcel: &Parcel) -> Delivered {
        let mapping = &self.settings.mapping;
        let out = Folder::new(&self.settings.out);
        let Some(draft) = &mapping.draft else {
            let files = FileDropMapping {
                request: mapping.request.clone(),
                words: mapping.words.clone(),
                ..FileDropMapping::default()
            };
            return deliver_into(&out, &parcel.portal, parcel, &files);
        };
        let written = draft.write(
            &parcel.portal,
            parcel,
            &mapping.words,
            &mapping.request.directory,
        );
        let octets = match written {
            Ok(octets) => octets,
            Err(why) => return Delivered::Refused { why },
        };
        let name = format!("{}.eml", super::folder::file_name(&parcel.key));
        match out.write(&name, &octets) {
            Ok(()) => Delivered::Taken,
            Err(Trouble(why)) => Delivered::Again { why, after: None },
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
