//! What comes out, and in which order: the second half of a record never before the first, and findings behind the call that told them.

use super::Collector;
use crate::call::attempt::Ended;
use crate::call::classify::{Campaign, Finding};
use crate::call::record::evidence::StoredEvidence;
use crate::call::record::{Begin, End};

/// What collect gives out.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A call attempt began.
    Begin(Box<Begin>),
    /// More is known of one.
    End(End),
    /// What it takes to judge the attempt again that began last.
    Evidence(Box<StoredEvidence>),
    /// A behaviour is above its threshold, still is, or no longer is.
    Finding(Box<Finding>),
    /// A campaign began, goes on, or is over.
    Campaign(Box<Campaign>),
}

impl Collector {
    /// Records, in the order in which they must be written.
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            if let Some(ready) = self.output.pop_front() {
                return Some(ready);
            }
            let ended = self.attempts.poll_ended()?;
            self.ended(ended);
        }
    }

    pub(super) fn take_ends(&mut self) {
        while let Some(ended) = self.attempts.poll_ended() {
            self.ended(ended);
        }
    }

    pub(super) fn ended(&mut self, ended: Ended) {
        self.legs.handle_end(ended.at, &ended.end);
        let key = usize::try_from(ended.place)
            .ok()
            .and_then(|p| self.places.get(p));
        let tally = key.and_then(|k| self.tallies.get_mut(k));
        if let (true, Some(tally)) = (ended.spoken_against, tally) {
            tally.refused_by_stir += 1;
            tally.refusal_disagrees += u64::from(ended.end.disagrees);
        }
        // The second half of a record never goes before the first.
        match self.held.get_mut(&ended.end.uid) {
            Some(held) => held.ends.push(ended),
            None => {
                self.behaviours.handle_end(ended.at, &ended.end);
                self.output.push_back(Output::End(ended.end));
            }
        }
    }

    /// What the behaviours and campaigns have to tell goes out behind the call that told them.
    pub(super) fn take_findings(&mut self) {
        while let Some(finding) = self.behaviours.poll_finding() {
            self.output.push_back(Output::Finding(Box::new(finding)));
        }
        while let Some(campaign) = self.campaigns.poll_campaign() {
            self.output.push_back(Output::Campaign(Box::new(campaign)));
        }
    }
}
