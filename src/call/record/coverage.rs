//! The coverage ledger: what a sensor saw, and what it knows that it did not see. "Not found" is only ever said with it.

use std::sync::Arc;

use crate::base::Timestamp;

/// One sensor's account of one whole minute, or of the part of it in which the sensor was looking.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Coverage {
    /// Which sensor.
    pub sensor: Arc<str>,
    /// When it began to look within this minute.
    pub from: Timestamp,
    /// When it stopped looking, at the latest the end of the minute.
    pub until: Timestamp,
    /// Packets seen.
    pub packets: u64,
    /// SIP messages seen whole.
    pub messages: u64,
    /// Messages that began and were never complete: fragment or segment lost, cut by snap length.
    pub incomplete: u64,
    /// Packets that the capture itself reports as dropped.
    pub dropped: u64,
    /// SIP messages that could not be read.
    pub unreadable: u64,
}

impl Coverage {
    /// Share of what passed that was seen whole, from 0 to 1. A minute without traffic was seen whole.
    pub fn completeness(&self) -> f64 {
        let lost = self.incomplete + self.unreadable;
        let whole = self.messages as f64;
        let messages = if lost == 0 {
            1.0
        } else {
            whole / (whole + lost as f64)
        };
        let packets = if self.dropped == 0 {
            1.0
        } else {
            self.packets as f64 / (self.packets + self.dropped) as f64
        };
        messages * packets
    }
}
