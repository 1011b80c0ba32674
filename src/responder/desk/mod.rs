//! The desk: every request under way, what was decided about it, and the outbox; one SQLite database, so that nothing is there by halves.
//!
//! Whatever is told to a portal or a person is durable first. A `Desk` may be opened by several processes: the daemon and a person at the terminal.
//! Every method is one transaction and takes the time as an argument; none waits for anything but the disk, so asynchronous callers
//! use `spawn_blocking`.

mod error;
mod word;

use std::path::Path;
use std::sync::Arc;

pub use error::DeskError;
pub use word::{
    Agreement, Alarm, Case, Decision, DeskSettings, Edit, Figures, Filed, Filter, Halted, Heard,
    Held, Line, Posted, Refusal, Said, Settled, Sign, Signed, Swept, Taken, Waiting,
};

use super::Answered;
use super::audit::Entry;
use super::case::{Delivered, Incoming, Parcel, RequestKey, RequestState, Way, Who};
use crate::base::Timestamp;
use crate::traceback::answer::Resolution;

/// Name of the database in its folder.
pub const DATABASE: &str = "responder.db";
/// Most requests that one list shows.
pub const MOST_LISTED: usize = 1000;

/// Result of the desk.
pub type Result<T> = std::result::Result<T, DeskError>;

/// The desk. Share it as `Arc<Desk>`.
#[derive(Debug)]
pub struct Desk {}

#[allow(unused_variables, clippy::unused_self)]
impl Desk {
    /// Opens the database in a folder, and makes both where they are not there.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn open(
        folder: &Path,
        settings: DeskSettings,
        signer: Option<Arc<dyn Sign>>,
    ) -> Result<Self> {
        Ok(Self {})
    }

    /// Takes new settings and a new key: a reload.
    ///
    /// # Errors
    ///
    /// A setting that can't be worked with; the old ones stay.
    pub fn reload(&self, settings: DeskSettings, signer: Option<Arc<dyn Sign>>) -> Result<()> {
        todo!()
    }

    /// Takes a request in. When this returns, it is durable.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn take(&self, portal: &str, way: Way, octets: &[u8], now: Timestamp) -> Result<Taken> {
        todo!()
    }

    /// Requests to match, the most urgent first. Each is in the audit log as looked up, and is not given out again within ten minutes.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn received(&self, most: usize, now: Timestamp) -> Result<Vec<Waiting>> {
        todo!()
    }

    /// Files what the matcher says. By mode, resolution and kill switch it leaves or waits for a person.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn matched(&self, key: &RequestKey, answered: &Answered, now: Timestamp) -> Result<Filed> {
        todo!()
    }

    /// A person's decision. Gives where the request stands then.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn decide(
        &self,
        key: &RequestKey,
        who: &Who,
        decision: &Decision,
        now: Timestamp,
    ) -> Result<RequestState> {
        todo!()
    }

    /// Parcels that are due for a portal. Each is leased: nobody else gets it within two minutes, and it comes again if nothing is heard
    /// of it. Nothing while halted or in shadow.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn outbox(&self, portal: &str, most: usize, now: Timestamp) -> Result<Vec<Parcel>> {
        todo!()
    }

    /// When the next parcel for a portal is due.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn next_due(&self, portal: &str) -> Result<Option<Timestamp>> {
        todo!()
    }

    /// What became of a try to deliver a parcel. `random`, at least 0 and below 1, spreads the next try.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn delivered(
        &self,
        row: i64,
        delivered: &Delivered,
        random: f64,
        now: Timestamp,
    ) -> Result<Settled> {
        todo!()
    }

    /// The portal fetches the answer itself: what is in the outbox counts as delivered. `None` where there is nothing that may leave now.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn collect(&self, key: &RequestKey, now: Timestamp) -> Result<Option<Signed>> {
        todo!()
    }

    /// The last signed answer, for a person of this house.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn signed(&self, key: &RequestKey) -> Result<Option<Signed>> {
        todo!()
    }

    /// A portal's word about a request. A request in it is taken as by [`Self::take`], with the way `Push`.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn event(&self, portal: &str, incoming: &Incoming, now: Timestamp) -> Result<Heard> {
        todo!()
    }

    /// Posts a report. `key` is the same for the same content: posted twice it leaves once.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn post_report(
        &self,
        portal: &str,
        campaign: &str,
        key: &str,
        body: &serde_json::Value,
        now: Timestamp,
    ) -> Result<Posted> {
        todo!()
    }

    /// Deadlines of which 50, 75, 90 or 100 % have run; each once.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn alarms(&self, now: Timestamp) -> Result<Vec<Alarm>> {
        todo!()
    }

    /// Puts away what is over: to be called now and then.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn sweep(&self, now: Timestamp) -> Result<Swept> {
        todo!()
    }

    /// Stops everything that leaves, in all processes, until [`Self::resume`].
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn halt(&self, who: &Who, why: &str, now: Timestamp) -> Result<()> {
        todo!()
    }

    /// Lets things leave again. Gives whether they were stopped.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn resume(&self, who: &Who, now: Timestamp) -> Result<bool> {
        todo!()
    }

    /// Whether everything stands still.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn halted(&self) -> Result<Option<Halted>> {
        todo!()
    }

    /// Neighbours about whom nothing leaves by itself.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn held(&self) -> Result<Vec<Held>> {
        todo!()
    }

    /// Trusts answers about a neighbour again, at one portal or at all. Gives at how many it was held.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn release(
        &self,
        peer: &str,
        portal: Option<&str>,
        who: &Who,
        now: Timestamp,
    ) -> Result<usize> {
        todo!()
    }

    /// Notes what a person answered by hand. Gives whether the matcher says the same.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn compare(
        &self,
        key: &RequestKey,
        who: &Who,
        said: Resolution,
        peer: Option<&str>,
        now: Timestamp,
    ) -> Result<bool> {
        todo!()
    }

    /// How often a person and the matcher agree, by portal.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn agreement(&self) -> Result<Vec<(Box<str>, Agreement)>> {
        todo!()
    }

    /// Requests, those due first.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn list(&self, filter: &Filter) -> Result<Vec<Line>> {
        todo!()
    }

    /// All about a request.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn show(&self, key: &RequestKey, now: Timestamp) -> Result<Option<Case>> {
        todo!()
    }

    /// Figures for metrics.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn figures(&self) -> Result<Figures> {
        todo!()
    }

    /// Notes an act in the audit log that changes nothing else here: a look-up by an operator, an export. Gives its place.
    ///
    /// # Errors
    ///
    /// [`DeskError`]; then what was to be noted must not be done.
    pub fn note(&self, entry: &Entry<'_>) -> Result<u64> {
        todo!()
    }

    /// Does something within one transaction of this database: proofs and heads of the audit log.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn with<T>(
        &self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        todo!()
    }
}
