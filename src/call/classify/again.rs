//! Old records looked at with other settings: which flags would come and go, and which findings and campaigns there would be.
//!
//! In: records with both halves, in the order of time. Out: counts by neighbour and flag, findings, campaigns. Looked at again are the flags that follow from the
//! configuration ([`Flag::is_configured`]) and behaviours; verification, replays and what else one record does not show stay as they were. So does the neighbour: who
//! handed a call over is what was true then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::behaviour::{BehaviourSettings, Behaviours, Call, KINDS};
use super::campaign::{Campaign, CampaignId, CampaignSettings, Campaigns, Member};
use super::finding::{Finding, FindingId};
use super::flagging::{Flagged, Subject, flag_configured};
use super::{Flag, FlagSettings, Flags};
use crate::base::Timestamp;
use crate::call::peer::{PeerTable, Resolved};
use crate::call::record::{Begin, End, StoredCall};

/// Ends that wait for their time: as many as attempts are remembered. Beyond it the earliest are taken at once.
const ENDS: usize = 500_000;

/// Findings, and campaigns, that are kept to be shown.
const SHOWN: usize = 10_000;

/// What became of one flag at one neighbour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Changed {
    /// Calls that had it.
    pub old: u64,
    /// Calls that would have it.
    pub new: u64,
    /// Calls that would have it and had it not.
    pub added: u64,
    /// Calls that had it and would not.
    pub removed: u64,
}

/// The machine.
#[derive(Debug)]
pub struct Again {
    peers: Arc<PeerTable>,
    flags: FlagSettings,
    behaviours: Behaviours,
    campaigns: Campaigns,
    /// Nothing that began before is counted.
    since: Timestamp,
    ends: BTreeMap<(Timestamp, u64, bool), End>,
    /// By neighbour and flag.
    pub changes: BTreeMap<(Option<Arc<str>>, Flag), Changed>,
    /// As they stood last.
    pub findings: BTreeMap<FindingId, Finding>,
    /// As they stood last.
    pub found: BTreeMap<CampaignId, Campaign>,
    /// Findings and campaigns that are not shown, because there are too many.
    pub left_out: u64,
    /// Records looked at, those before `since` left out.
    pub records: u64,
    /// Of these with any change.
    pub changed: u64,
}

impl Again {
    /// Begins. Records before `since` only teach what is usual.
    pub fn new(
        peers: Arc<PeerTable>,
        flags: FlagSettings,
        behaviour: BehaviourSettings,
        campaign: CampaignSettings,
        since: Timestamp,
    ) -> Self {
        let mut behaviours = Behaviours::new(behaviour);
        behaviours.handle_protected(flags.protected.clone());
        Self {
            peers,
            flags,
            behaviours,
            campaigns: Campaigns::new(campaign),
            since,
            ends: BTreeMap::new(),
            changes: BTreeMap::new(),
            findings: BTreeMap::new(),
            found: BTreeMap::new(),
            left_out: 0,
            records: 0,
            changed: 0,
        }
    }

    /// Takes the next record.
    pub fn handle(&mut self, call: StoredCall) {
        let StoredCall { mut begin, end } = call;
        self.end_until(begin.at);
        let exempt = is_exempt(&begin);
        let old = begin.flags;
        begin.flags = self.configured(&begin, exempt);
        if let Some(call) = Call::of(&begin, begin.flags, exempt) {
            let earned = self.behaviours.handle_call(&call);
            begin.flags.0 |= self.flags.keep(earned).0;
        }
        if let Some(member) = Member::of(&begin, exempt) {
            self.campaigns.handle_call(&member);
        }
        if let Some(end) = end {
            self.wait_for(end);
        }
        self.take_found();
        if begin.at >= self.since {
            self.count(&begin, old);
        }
    }

    /// All records have been taken.
    pub fn finish(&mut self) {
        self.behaviours.finish();
        self.campaigns.finish();
        self.take_found();
    }

    fn configured(&self, begin: &Begin, exempt: bool) -> Flags {
        let peers = &self.peers;
        let peer = begin.peer.as_ref().and_then(|id| peers.peer(id));
        // The rule of the record, or another of the same neighbour.
        let rules = peers.rules.iter();
        let mut rules = rules.filter(|r| {
            let of = peers.peers.get(r.peer).map(|p| &p.id);
            of.is_some() && of == begin.peer.as_ref()
        });
        let first = rules.clone().next();
        let rule = rules.find(|r| Some(&r.name) == begin.peer_rule.as_ref());
        let resolved = Resolved {
            direction: begin.direction,
            peer: peer.zip(rule.or(first)),
        };
        let mut flagged = Flagged {
            exempt,
            ..Flagged::default()
        };
        let subject = Subject::of_record(begin, &resolved);
        flag_configured(&subject, &self.flags, &mut flagged);
        let stay = begin.flags.iter().filter(|f| !is_looked_at(*f));
        let all: Flags = stay.chain(flagged.flags.iter()).collect();
        self.flags.keep(all)
    }

    fn count(&mut self, begin: &Begin, old: Flags) {
        self.records += 1;
        self.changed += u64::from(old != begin.flags);
        for flag in Flags(old.0 | begin.flags.0).iter() {
            let (had, has) = (old.contains(flag), begin.flags.contains(flag));
            let key = (begin.peer.clone(), flag);
            let changed = self.changes.entry(key).or_default();
            changed.old += u64::from(had);
            changed.new += u64::from(has);
            changed.added += u64::from(has && !had);
            changed.removed += u64::from(had && !has);
        }
    }

    /// An end counts when it came, not when its record is read.
    fn wait_for(&mut self, end: End) {
        let after = |ms: Option<u32>| Duration::from_millis(ms.unwrap_or(0).into());
        let answer = end.begun_at.plus(after(end.final_ms));
        if end.duration_ms.is_some() {
            let over = answer.plus(after(end.duration_ms));
            self.ends.insert((over, end.uid, true), end.clone());
        }
        let first = End {
            duration_ms: None,
            ..end
        };
        self.ends.insert((answer, first.uid, false), first);
        while self.ends.len() > ENDS {
            self.take_end();
        }
    }

    fn end_until(&mut self, now: Timestamp) {
        while self.ends.first_key_value().is_some_and(|(k, _)| k.0 <= now) {
            self.take_end();
        }
    }

    fn take_end(&mut self) {
        if let Some(((at, _, _), end)) = self.ends.pop_first() {
            self.behaviours.handle_end(at, &end);
        }
    }

    fn take_found(&mut self) {
        while let Some(finding) = self.behaviours.poll_finding() {
            if finding.at < self.since {
                continue;
            }
            let known = self.findings.contains_key(&finding.id);
            if known || self.findings.len() < SHOWN {
                self.findings.insert(finding.id.clone(), finding);
            } else {
                self.left_out += 1;
            }
        }
        while let Some(campaign) = self.campaigns.poll_campaign() {
            if campaign.last < self.since {
                continue;
            }
            if campaign.volume == 0 {
                self.found.remove(&campaign.id);
                continue;
            }
            let known = self.found.contains_key(&campaign.id);
            if known || self.found.len() < SHOWN {
                self.found.insert(campaign.id.clone(), campaign);
            } else {
                self.left_out += 1;
            }
        }
    }
}

/// Whether a flag is looked at again.
pub fn is_looked_at(flag: Flag) -> bool {
    flag.is_configured() || KINDS.contains(&flag)
}

/// Whether a record is of an emergency call, or of one back to somebody whom we saw make one; what a header claims spares nobody.
fn is_exempt(begin: &Begin) -> bool {
    let seen = |note: &str| note.starts_with("seen");
    begin.flags.contains(Flag::Emergency)
        || begin.flags.contains(Flag::EmergencyCallback)
            && begin.notes.of(Flag::EmergencyCallback).is_some_and(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::classify::behaviour::Thresholds;
    use crate::call::classify::campaign::tests::begin;
    use crate::call::classify::finding::Change;

    fn again(minute: u32, since: u64) -> Again {
        let behaviour = BehaviourSettings {
            all: Thresholds {
                high_volume_minute: minute,
                ..Thresholds::default()
            },
            ..BehaviourSettings::default()
        };
        Again::new(
            Arc::default(),
            FlagSettings::default(),
            behaviour,
            CampaignSettings::default(),
            begin(since, "").at,
        )
    }

    /// A call a second, all of them flagged `high-volume` once.
    fn feed(again: &mut Again) {
        for uid in 0..200 {
            let begin = begin(uid, "12025550101");
            again.handle(StoredCall { begin, end: None });
        }
        again.finish();
    }

    #[test]
    fn a_higher_threshold_takes_flags_away_and_a_lower_one_adds_findings() {
        let key = |flag| (Some(Arc::from("north")), flag);
        let mut high = again(1_000, 0);
        feed(&mut high);
        let gone = Changed {
            old: 200,
            removed: 200,
            ..Changed::default()
        };
        assert_eq!(high.changes[&key(Flag::HighVolume)], gone);
        assert_eq!(high.changes[&key(Flag::Unsigned)].added, 0);
        assert!(high.findings.is_empty() && high.found.is_empty());
        let mut low = again(20, 0);
        feed(&mut low);
        let fewer = low.changes[&key(Flag::HighVolume)];
        assert!(fewer.new > 150 && fewer.added == 0, "{fewer:?}");
        assert_eq!(
            (low.records, low.findings.len(), low.found.len()),
            (200, 1, 1)
        );
        let finding = low.findings.values().next().unwrap();
        assert_eq!(finding.change, Change::Closed);
    }

    #[test]
    fn what_was_before_only_teaches() {
        let mut late = again(20, 150);
        feed(&mut late);
        assert_eq!(late.records, 50);
        let changed = late.changes[&(Some(Arc::from("north")), Flag::HighVolume)];
        assert_eq!((changed.old, changed.new), (50, 50));
    }

    #[test]
    fn emergency_calls_are_known_by_what_was_seen() {
        let mut call = begin(1, "12025550101");
        assert!(!is_exempt(&call));
        call.flags.insert(Flag::EmergencyCallback);
        call.notes
            .insert(Flag::EmergencyCallback, "claimed: Priority: psap-callback");
        assert!(!is_exempt(&call));
        call.notes.insert(
            Flag::EmergencyCallback,
            "seen: it called an emergency number before",
        );
        assert!(is_exempt(&call));
    }
}
