//! A portal with an HTTP interface of its own, in JSON: URLs, fields, words and bodies are the operator's configuration. We know no such portal and made none up.
//!
//! ```text
//! list ─► items ─► pointers ─► hop request ─► desk ─► acknowledge
//! outbox ─► values ─► template ─► submit ─► taken, again, refused
//! ```
//!
//! What was settled is not offered again while it lists the same; after a restart the desk knows it again. Items that can't be read are kept in a folder with the reason.
//! Bounds: pages and items of one round, octets and time of each exchange (the client's), [`SETTLED`].

mod exchange;
mod page;
mod token;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Method;
use tokio::time::sleep;

pub use exchange::{CallSettings, Submission};
pub use page::{ListSettings, Pages, Read, read};
pub use token::TokenSettings;

use super::file_drop::put_away;
use super::folder::Folder;
use super::mapping::{Mapped, MappingSettings};
use super::submission::{Words, answer_values, report_values};
use super::{Arrival, Inlet, NO_DRAFTS, Outlet, Trouble};
use crate::responder::case::{Delivered, Incoming, Parcel, ParcelKind, Way};
use crate::traceback::request::sha256_hex;
use crate::web::client::ClientSettings;
use exchange::{Speaker, judge};

/// Requests remembered as settled; a portal that lists more has the others taken in twice, which the desk knows.
const SETTLED: usize = 10_000;

/// Requests of one round at most.
const ROUND: usize = 1_000;

/// A portal of that kind.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpJsonSettings {
    /// Where it is, and how it knows us.
    pub client: ClientSettings,
    /// Where a token is got (OAuth 2, client credentials); `None`: the client's own header or certificate is enough.
    pub token: Option<TokenSettings>,
    /// How often it is asked.
    pub every: Duration,
    /// Where items are kept that are no requests.
    pub failed: PathBuf,
    /// What it speaks.
    pub mapping: HttpJsonMapping,
}

/// What it speaks.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct HttpJsonMapping {
    /// How open requests are listed.
    pub list: ListSettings,
    /// How one is acknowledged; `None`: it is not.
    pub acknowledge: Option<CallSettings>,
    /// How an answer is handed in; `None`: a person does.
    pub submit: Option<CallSettings>,
    /// How a campaign is reported; `None`: it is not.
    pub report: Option<CallSettings>,
    /// How fields are understood.
    pub request: MappingSettings,
    /// The portal's words.
    pub words: Words,
}

impl HttpJsonMapping {
    /// What would be sent for a parcel.
    ///
    /// # Errors
    ///
    /// Why a person must look.
    pub fn submission(&self, portal: &str, parcel: &Parcel) -> Result<Submission, String> {
        let (call, values) = match parcel.kind {
            ParcelKind::Answer => {
                let values =
                    answer_values(portal, &parcel.body, &self.words, &self.request.directory);
                (&self.submit, values)
            }
            ParcelKind::Report => (&self.report, report_values(portal, &parcel.body)),
            ParcelKind::Draft => return Err(NO_DRAFTS.to_owned()),
        };
        let call = call
            .as_ref()
            .ok_or("the configuration does not say how it is handed in")?;
        call.fill(&values.map_err(|e| e.to_string())?)
    }
}

/// The end that asks.
#[derive(Debug)]
pub struct HttpInlet {
    speaker: Speaker,
    settings: HttpJsonSettings,
    settled: HashMap<Box<str>, Box<str>>,
    first: bool,
    trouble: Option<Trouble>,
}

impl HttpInlet {
    /// Makes one; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// TLS can't be set up.
    pub fn new(settings: HttpJsonSettings) -> Result<Self, Trouble> {
        Ok(Self {
            speaker: Speaker::new(settings.client.clone(), settings.token.clone())?,
            settings,
            settled: HashMap::new(),
            first: true,
            trouble: None,
        })
    }

    fn is_settled(&self, id: &str, octets: &[u8]) -> bool {
        self.settled
            .get(id)
            .is_some_and(|s| **s == *sha256_hex(octets))
    }

    fn remember(&mut self, arrival: &Arrival) {
        let octets: &[u8] = match &arrival.what {
            Incoming::Request(octets) => octets,
            _ => b"withdrawn",
        };
        if self.settled.len() >= SETTLED {
            self.settled.clear();
        }
        self.settled
            .insert(arrival.receipt.clone(), sha256_hex(octets));
    }

    fn arrival(&mut self, row: Read) -> Option<Arrival> {
        let (what, id) = match row {
            Ok(Mapped::Request { id, octets }) => (Incoming::Request(octets), id),
            Ok(Mapped::Withdrawn { id }) => (
                Incoming::Withdrawn {
                    request: id.clone(),
                },
                id,
            ),
            Err((item, why)) => {
                let failed = Folder::new(&self.settings.failed);
                let item = item.to_string();
                let name = sha256_hex(item.as_bytes());
                if let Err(trouble) = put_away(&failed, &name, item.as_bytes(), &why) {
                    self.trouble = Some(trouble);
                }
                return None;
            }
        };
        let octets: &[u8] = match &what {
            Incoming::Request(octets) => octets,
            _ => b"withdrawn",
        };
        (!self.is_settled(&id, octets)).then_some(Arrival {
            what,
            way: Way::Pull,
            receipt: id,
        })
    }
}

impl Inlet for HttpInlet {
    async fn poll(&mut self) -> Result<Vec<Arrival>, Trouble> {
        if !std::mem::take(&mut self.first) {
            sleep(self.settings.every).await;
        }
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        let mut arrivals = Vec::new();
        let mut next = None;
        for page in 0..self.settings.mapping.list.most_pages {
            let ask = self.settings.mapping.list.ask(page, next.as_deref());
            let answer = self.speaker.send(&ask).await?;
            if !answer.status.is_success() {
                return Err(Trouble(format!("the list: status {}", answer.status)));
            }
            let mapping = &self.settings.mapping;
            let (rows, cursor) = read(&answer.body, &mapping.list, &mapping.request)
                .map_err(|why| Trouble(format!("the list: {why}")))?;
            let none = rows.is_empty();
            for row in rows {
                arrivals.extend(self.arrival(row));
                if arrivals.len() >= ROUND {
                    return Ok(arrivals);
                }
            }
            if none
                || !self
                    .settings
                    .mapping
                    .list
                    .goes_on(cursor.as_deref(), next.as_deref())
            {
                break;
            }
            next = cursor;
        }
        Ok(arrivals)
    }

    async fn settle(&mut self, arrival: &Arrival) -> Result<(), Trouble> {
        if let (Some(call), Incoming::Request(_)) =
            (&self.settings.mapping.acknowledge, &arrival.what)
        {
            let values = serde_json::json!({ "request_id": arrival.receipt });
            let filled = call.fill(&values).map_err(Trouble)?;
            let answer = self.speaker.send(&filled.ask()).await?;
            // The portal may have been told before, or no longer want it.
            let had = matches!(answer.status.as_u16(), 404 | 409 | 410);
            if !answer.status.is_success() && !had && !call.taken.contains(&answer.status.as_u16())
            {
                return Err(Trouble(format!("acknowledging: status {}", answer.status)));
            }
        }
        self.remember(arrival);
        Ok(())
    }

    async fn reject(&mut self, arrival: &Arrival, why: &str) -> Result<(), Trouble> {
        if let Incoming::Request(octets) = &arrival.what {
            put_away(
                &Folder::new(&self.settings.failed),
                &arrival.receipt,
                octets,
                why,
            )?;
        }
        self.remember(arrival);
        Ok(())
    }
}

/// The end that hands in.
#[derive(Debug)]
pub struct HttpOutlet {
    speaker: Speaker,
    settings: HttpJsonSettings,
}

impl HttpOutlet {
    /// Makes one; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// TLS can't be set up.
    pub fn new(settings: HttpJsonSettings) -> Result<Self, Trouble> {
        Ok(Self {
            speaker: Speaker::new(settings.client.clone(), settings.token.clone())?,
            settings,
        })
    }
}

impl Outlet for HttpOutlet {
    async fn deliver(&mut self, parcel: &Parcel) -> Delivered {
        let mapping = &self.settings.mapping;
        let filled = match mapping.submission(&parcel.portal, parcel) {
            Ok(filled) => filled,
            Err(why) => return Delivered::Refused { why },
        };
        let taken = match parcel.kind {
            ParcelKind::Answer | ParcelKind::Draft => &mapping.submit,
            ParcelKind::Report => &mapping.report,
        };
        let taken = taken.as_ref().map_or(&[][..], |c| &c.taken);
        match self.speaker.send(&filled.ask()).await {
            Ok(answer) => judge(&answer, taken),
            Err(Trouble(why)) => Delivered::Again { why, after: None },
        }
    }
}

/// The methods that may be configured.
pub const METHODS: [(&str, Method); 4] = [
    ("GET", Method::GET),
    ("POST", Method::POST),
    ("PUT", Method::PUT),
    ("PATCH", Method::PATCH),
];

#[cfg(test)]
pub(super) mod tests;
