//! The desk: every request under way, what was decided about it, and the outbox; one SQLite database, so that nothing is there by halves.
//!
//! Whatever is told to a portal or a person is durable first. A `Desk` may be opened by several processes: the daemon and a person at the terminal.
//! Every method is one transaction and takes the time as an argument; none waits for anything but the disk, so asynchronous callers
//! use `spawn_blocking`.
//!
//! - [`word`]: what goes in and comes out
//! - `schema`: its tables
//! - `machine`: where a request goes, by state and event
//! - `take`, `matched`, `decide`, `event`: what happens to it
//! - `seal`: an answer is signed; [`outbox`]: and delivered
//! - `hold`: what stands still; `sweep`: what time does; `begin`: what a process that was killed left
//! - `report`: what leaves unasked; `read`: what people see
//!
//! Bounds: [`DeskSettings::open_requests`] requests under way, of 64 KiB each; a million altogether; two parcels a request, in the outbox for two weeks
//! after the deadline at most.

mod begin;
mod decide;
mod error;
mod event;
mod hold;
mod machine;
mod matched;
pub mod outbox;
mod pressing;
mod read;
mod report;
mod schema;
mod seal;
mod sweep;
mod take;
#[cfg(test)]
pub(super) mod tests;
pub mod word;
mod work;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use error::DeskError;
pub use word::{
    Agreement, Alarm, Case, Decision, DeskSettings, Edit, Figures, Filed, Filter, Halted, Heard,
    Held, Line, OpenHop, Posted, Pressing, Refusal, Resumed, Said, Settled, Signed, Swept, Taken,
    Waiting,
};

use super::Answered;
use super::case::{Delivered, Incoming, Parcel, RequestKey, RequestState, Way, Who};
use crate::base::Timestamp;
use crate::proof::audit::{self, Entry};
use crate::proof::database::RESPONDER;
use crate::proof::sign::Signer;
use crate::traceback::answer::Resolution;
pub use work::ALARMS;
use work::{Done, Fault, Rules, Work};

/// Most requests that one list shows.
pub const MOST_LISTED: usize = 1000;

/// Most open requests that figures bring along: a page full, and those that are due first.
pub const MOST_SHOWN: usize = 20;

/// What is counted of every portal from the start, so that who watches reads 0 where nothing happened yet; more names come with what happens.
pub const COUNTED: [&str; 12] = [
    "received",
    "matched:UPSTREAM_DOMESTIC",
    "matched:AMBIGUOUS",
    "matched:NOT_FOUND",
    "delivered:answer",
    "tried-again:answer",
    "refused-by-portal:answer",
    "disputed",
    "alarm:50",
    "alarm:75",
    "alarm:90",
    "alarm:100",
];

/// Result of the desk.
pub type Result<T> = std::result::Result<T, DeskError>;

/// The desk. Share it as `Arc<Desk>`.
#[derive(Debug)]
pub struct Desk {
    path: PathBuf,
    connection: Mutex<Connection>,
    rules: RwLock<Arc<Rules>>,
}

impl Desk {
    /// Opens the database in a folder, and makes both where they are not there.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn open(
        folder: &Path,
        settings: DeskSettings,
        signer: Option<Arc<Signer>>,
    ) -> Result<Self> {
        let rules = Rules::new(settings, signer)?;
        Ok(Self {
            connection: Mutex::new(schema::open(folder)?),
            path: folder.join(RESPONDER),
            rules: RwLock::new(Arc::new(rules)),
        })
    }

    /// Takes new settings and a new key: a reload.
    ///
    /// # Errors
    ///
    /// A setting that can't be worked with; the old ones stay.
    pub fn reload(&self, settings: DeskSettings, signer: Option<Arc<Signer>>) -> Result<()> {
        let rules = Arc::new(Rules::new(settings, signer)?);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        Ok(())
    }

    /// A process that looks up and carries begins: what the one before it was killed at is given out again, and need not wait for its lease. Gives
    /// how much that was. Where that one lives after all nothing is lost: its look-ups come too late, and a portal takes an answer once.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn begin(&self, now: Timestamp) -> Result<Resumed> {
        self.write(now, |w| w.begin())
    }

    /// Takes a request in. When this returns, it is durable.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn take(&self, portal: &str, way: Way, octets: &[u8], now: Timestamp) -> Result<Taken> {
        self.write(now, |w| w.take(portal, way, octets))
    }

    /// Requests to match, the most urgent first. Each is in the audit log as looked up, and is not given out again for a minute, later
    /// for a quarter of an hour.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn received(&self, most: usize, now: Timestamp) -> Result<Vec<Waiting>> {
        self.write(now, |w| w.received(most))
    }

    /// Files what the matcher says. By mode, resolution and kill switch it leaves or waits for a person.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn matched(&self, key: &RequestKey, answered: &Answered, now: Timestamp) -> Result<Filed> {
        self.write(now, |w| w.matched(key, answered))
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
        self.write(now, |w| w.decide(key, who, decision, None))
    }

    /// The same, where the answer that stands there still is the one that was seen, by its id.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn decide_seen(
        &self,
        key: &RequestKey,
        who: &Who,
        decision: &Decision,
        seen: &str,
        now: Timestamp,
    ) -> Result<RequestState> {
        self.write(now, |w| w.decide(key, who, decision, Some(seen)))
    }

    /// Parcels that are due for a portal. Each is leased: nobody else gets it within two minutes, and it comes again if nothing is heard
    /// of it. Nothing while halted or in shadow.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn outbox(&self, portal: &str, most: usize, now: Timestamp) -> Result<Vec<Parcel>> {
        self.write(now, |w| w.outbox(portal, most))
    }

    /// When the next parcel for a portal is due.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn next_due(&self, portal: &str) -> Result<Option<Timestamp>> {
        self.read(Timestamp::MIN, |w| w.next_due(portal))
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
        self.write(now, |w| w.delivered(row, delivered, random))
    }

    /// The portal fetches the answer itself: what is in the outbox counts as delivered. `None` where there is nothing that may leave now.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn collect(&self, key: &RequestKey, now: Timestamp) -> Result<Option<Signed>> {
        self.write(now, |w| w.collect(key))
    }

    /// What the portal may read now, and where the request stands; nothing counts as delivered by it.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn peek(&self, key: &RequestKey) -> Result<Option<(RequestState, Signed)>> {
        self.read(Timestamp::MIN, |w| w.peek(key))
    }

    /// The last signed answer, for a person of this house.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn signed(&self, key: &RequestKey) -> Result<Option<Signed>> {
        self.read(Timestamp::MIN, |w| w.signed(key))
    }

    /// A portal's word about a request. A request in it is taken as by [`Self::take`], with the way `Push`.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn event(&self, portal: &str, incoming: &Incoming, now: Timestamp) -> Result<Heard> {
        self.write(now, |w| w.event(portal, incoming))
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
        self.write(now, |w| w.post_report(portal, campaign, key, body))
    }

    /// Reports of a campaign that were posted: key and time.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn reported(&self, portal: &str, campaign: &str) -> Result<Vec<(Box<str>, Timestamp)>> {
        self.read(Timestamp::MIN, |w| w.reported(portal, campaign))
    }

    /// Deadlines of which 50, 75, 90 or 100 % have run; each once.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn alarms(&self, now: Timestamp) -> Result<Vec<Alarm>> {
        self.write(now, |w| w.alarms())
    }

    /// Puts away what is over: to be called now and then.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn sweep(&self, now: Timestamp) -> Result<Swept> {
        self.write(now, |w| w.sweep())
    }

    /// Stops everything that leaves, in all processes, until [`Self::resume`].
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn halt(&self, who: &Who, why: &str, now: Timestamp) -> Result<()> {
        self.write(now, |w| w.halt(who, why))
    }

    /// Lets things leave again. Gives whether they were stopped.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn resume(&self, who: &Who, now: Timestamp) -> Result<bool> {
        self.write(now, |w| w.resume(who))
    }

    /// Whether everything stands still.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn halted(&self) -> Result<Option<Halted>> {
        self.read(Timestamp::MIN, |w| w.halted())
    }

    /// Neighbours about whom nothing leaves by itself.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn held(&self) -> Result<Vec<Held>> {
        self.read(Timestamp::MIN, |w| w.held())
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
        self.write(now, |w| w.release(peer, portal, who))
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
        self.write(now, |w| w.compare(key, who, said, peer))
    }

    /// How often a person and the matcher agree, by portal.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn agreement(&self) -> Result<Vec<(Box<str>, Agreement)>> {
        self.read(Timestamp::MIN, |w| w.agreement())
    }

    /// Requests, those due first.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn list(&self, filter: &Filter) -> Result<Vec<Line>> {
        self.read(Timestamp::MIN, |w| w.list(filter))
    }

    /// All about a request.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn show(&self, key: &RequestKey, now: Timestamp) -> Result<Option<Case>> {
        self.read(now, |w| w.show(key))
    }

    /// Figures for metrics.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn figures(&self) -> Result<Figures> {
        self.read(Timestamp::MIN, |w| w.figures())
    }

    /// Notes an act in the audit log that changes nothing else here: a look-up by an operator, an export. Gives its place.
    ///
    /// # Errors
    ///
    /// [`DeskError`]; then what was to be noted must not be done.
    pub fn note(&self, entry: &Entry<'_>) -> Result<u64> {
        self.with(|tx| audit::append(tx, entry))
    }

    /// Does something within one transaction of this database: proofs and heads of the audit log.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn with<T>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        self.write(Timestamp::MIN, |w| Ok(work(w.tx)?))
    }

    /// One transaction that writes. Where it fails nothing of it was done.
    fn write<T>(&self, now: Timestamp, act: impl FnOnce(&Work<'_>) -> Done<T>) -> Result<T> {
        self.transact(TransactionBehavior::Immediate, now, act)
    }

    /// One that only reads: it waits for nobody.
    fn read<T>(&self, now: Timestamp, act: impl FnOnce(&Work<'_>) -> Done<T>) -> Result<T> {
        self.transact(TransactionBehavior::Deferred, now, act)
    }

    fn transact<T>(
        &self,
        behavior: TransactionBehavior,
        now: Timestamp,
        act: impl FnOnce(&Work<'_>) -> Done<T>,
    ) -> Result<T> {
        let rules = self.rules();
        // After a panic the transaction was rolled back: the connection is sound.
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let outcome = connection
            .transaction_with_behavior(behavior)
            .map_err(Fault::from)
            .and_then(|tx| {
                let done = act(&Work {
                    tx: &tx,
                    rules: &rules,
                    now,
                })?;
                tx.commit()?;
                Ok(done)
            });
        outcome.map_err(|fault| match fault {
            Fault::Desk(e) => e,
            Fault::Sql(source) => DeskError::Database {
                path: self.path.clone(),
                source,
            },
        })
    }

    fn rules(&self) -> Arc<Rules> {
        self.rules
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
