//! The look-ups of one request. Every window is counted before it is read, and all that is read stays within one budget.
//!
//! When everything within ±12 hours (±24 with an identifier) fits the budget, one look-up serves the ladder, the slips and the
//! background. For a number that is called all day long the windows are read one by one, the main window first; what does not
//! fit is counted and named.

use std::collections::HashSet;

use crate::base::Timestamp;
use crate::call::record::{Coverage, Direction, StoredCall};
use crate::number::Tn;
use crate::store::{Bounded, Lookup, Role, StoreError};
use crate::traceback::background::{Counted, Unread};
use crate::traceback::candidate;
use crate::traceback::request::{HopRequest, TracedCall};
use crate::traceback::window::{
    BACKGROUND, CLOSE_S, IDENTIFIER, NEAR_S, PAIRING_REACH, Purpose, Window, ladder,
};

/// Most records that one request reads: both legs of 10^4 attempts, for which the digests of identifiers are long enough;
/// below 20 MB.
pub const MAX_RECORDS: u64 = 20_000;
/// Most egress legs without a partner for which their own calling number is looked up.
const MAX_ORPHANS: usize = 16;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Records, each once.
    pub records: Vec<StoredCall>,
    /// What was only counted.
    pub counted: Counted,
    /// Coverage rows from twelve hours before to twelve hours after.
    pub coverage: Vec<Coverage>,
    /// Remarks for the explanation.
    pub notes: Vec<String>,
}

/// Looks up what the request asks for.
///
/// # Errors
///
/// What the store could not do.
pub fn up(request: &HopRequest, store: &dyn Lookup) -> Result<Seen, StoreError> {
    let call = &request.call;
    let mut look = Look {
        store,
        seen: Seen::default(),
        uids: HashSet::new(),
    };
    look.called(call)?;
    let main = Window::main(call.at, call.precision_s);
    let (from, until) = (
        main.from.minus(PAIRING_REACH),
        main.until.plus(PAIRING_REACH),
    );
    let day = (call.at.minus(BACKGROUND), call.at.plus(BACKGROUND));
    if let Some(calling) = call.calling {
        look.calling(calling, from, until, "main window")?;
        if call.ids.any() {
            let (from, until) = (call.at.minus(IDENTIFIER), call.at.plus(IDENTIFIER));
            look.calling(calling, from, until, "24 hours around")?;
        }
        look.seen.counted.calling_records = store.count(Role::Calling, calling, day.0, day.1)?;
    }
    look.orphans(call, &main)?;
    look.seen.coverage = store.coverage(day.0, day.1)?;
    look.seen.counted.messages = look
        .seen
        .coverage
        .iter()
        .fold(0, |n, c| n.saturating_add(c.messages));
    Ok(look.seen)
}

struct Look<'a> {
    store: &'a dyn Lookup,
    seen: Seen,
    uids: HashSet<u64>,
}

impl Look<'_> {
    fn called(&mut self, call: &TracedCall) -> Result<(), StoreError> {
        let reach = if call.ids.any() {
            IDENTIFIER
        } else {
            BACKGROUND
        };
        let (from, until) = (
            call.at.minus(reach).minus(PAIRING_REACH),
            call.at.plus(reach).plus(PAIRING_REACH),
        );
        if self.read_called(call.called, from, until)? {
            return Ok(());
        }
        let (from, until) = (call.at.minus(BACKGROUND), call.at.plus(BACKGROUND));
        let mut rate = self.rate(call.called, from, until)?;
        for window in ladder(call.at, call.precision_s) {
            let (from, until) = (
                window.from.minus(PAIRING_REACH),
                window.until.plus(PAIRING_REACH),
            );
            if self.read_called(call.called, from, until)? {
                continue;
            }
            let counted = self.rate(call.called, window.from, window.until)?;
            rate = rate.max(counted);
            let unread = if window.purpose == Purpose::Main {
                self.inner_rungs(call)?;
                Unread::Main
            } else {
                Unread::Beyond
            };
            self.seen.counted.unread = self.seen.counted.unread.max(unread);
            self.seen.notes.push(format!(
                "{} to {}: {counted:.1} records a second, more than are read at once",
                window.from, window.until
            ));
        }
        self.seen.counted.rate_per_s = Some(rate);
        Ok(())
    }

    /// The widest inner rung that can be read, so that a person sees what is near. It never makes an answer certain.
    fn inner_rungs(&mut self, call: &TracedCall) -> Result<(), StoreError> {
        for half in [CLOSE_S, NEAR_S] {
            let half = std::time::Duration::from_secs_f64(half);
            if self.read_called(call.called, call.at.minus(half), call.at.plus(half))? {
                break;
            }
        }
        Ok(())
    }

    fn rate(&self, called: Tn, from: Timestamp, until: Timestamp) -> Result<f64, StoreError> {
        let records = self.store.count(Role::Called, called, from, until)?;
        Ok(records as f64 / until.secs_since(from).max(1.0))
    }

    /// Reads a window of calls to a number, if it fits. Gives whether it did.
    fn read_called(
        &mut self,
        called: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let room = self.room();
        match self
            .store
            .look_up(Role::Called, called, from, until, room)?
        {
            Bounded::All(records) => {
                self.add(records);
                Ok(true)
            }
            Bounded::TooMany(_) => Ok(false),
        }
    }

    /// Reads calls from a number: the other halves of calls whose called number was changed by us or before us.
    fn calling(
        &mut self,
        calling: Tn,
        from: Timestamp,
        until: Timestamp,
        what: &str,
    ) -> Result<(), StoreError> {
        let room = self.room();
        match self
            .store
            .look_up(Role::Calling, calling, from, until, room)?
        {
            Bounded::All(records) => self.add(records),
            // No loss of certainty: an egress leg whose ingress leg is not read stays alone, and is never answered from.
            Bounded::TooMany(count) => self.seen.notes.push(format!(
                "{what}: {count} records of the calling number, more than are read at once"
            )),
        }
        Ok(())
    }

    /// Looks for the ingress legs of egress legs that have none, by the calling number that they show.
    fn orphans(&mut self, call: &TracedCall, main: &Window) -> Result<(), StoreError> {
        let attempts = candidate::collect(&self.seen.records, call);
        let mut wanted: Vec<(Tn, Timestamp)> = attempts
            .iter()
            .filter(|a| a.ingress.is_none() && main.contains(a.at()))
            .flat_map(|a| a.egress.iter().map(|e| &e.leg.begin))
            .filter(|b| b.direction == Direction::Egress)
            .filter_map(|b| Some((b.numbers.from.or(b.numbers.asserted)?, b.at)))
            .collect();
        drop(attempts);
        if wanted.len() > MAX_ORPHANS {
            self.seen.notes.push(format!(
                "{} egress legs without an ingress leg; the first {MAX_ORPHANS} were looked after",
                wanted.len()
            ));
            wanted.truncate(MAX_ORPHANS);
        }
        for (calling, at) in wanted {
            let (from, until) = (at.minus(PAIRING_REACH), at.plus(PAIRING_REACH));
            self.calling(calling, from, until, "egress leg without an ingress leg")?;
        }
        Ok(())
    }

    /// How many records may still be read.
    fn room(&self) -> u64 {
        let read = u64::try_from(self.seen.records.len()).unwrap_or(u64::MAX);
        MAX_RECORDS.saturating_sub(read)
    }

    fn add(&mut self, records: Vec<StoredCall>) {
        for record in records {
            if self.uids.insert(record.begin.uid) {
                self.seen.records.push(record);
            }
        }
    }
}
