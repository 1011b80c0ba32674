//! What collect has to know, and what it finds by it.

use std::sync::Arc;
use std::time::Duration;

use crate::call::attempt::{AttemptLimits, InviteFacts};
use crate::call::classify::FlagSettings;
use crate::call::classify::behaviour::BehaviourSettings;
use crate::call::classify::campaign::CampaignSettings;
use crate::call::peer::{PeerTable, Resolved, Seen};
use crate::call::record::{Clock, Sensor};
use crate::number::NumberPlan;
use crate::wire::Flow;

/// What collect has to know.
#[derive(Clone, Debug)]
pub struct CollectSettings {
    /// Neighbours.
    pub peers: Arc<PeerTable>,
    /// How numbers are written here: what stands behind a technical prefix is read by it.
    pub plan: NumberPlan,
    /// What flags are set by.
    pub flags: FlagSettings,
    /// Half width of the freshness window.
    pub window: Duration,
    /// The sensors by index.
    pub sensors: Vec<Sensor>,
    /// How good capture times are.
    pub clock: Clock,
    /// Version of the configuration.
    pub config: u32,
    /// Where behaviours begin.
    pub behaviour: BehaviourSettings,
    /// What makes a campaign.
    pub campaign: CampaignSettings,
    /// Bounds.
    pub limits: AttemptLimits,
}

impl CollectSettings {
    /// What packets show of a message.
    pub(super) fn seen<'a>(&'a self, flow: &'a Flow, sensor: u16) -> Seen<'a> {
        let sensor = self.sensors.get(usize::from(sensor));
        Seen {
            flow,
            sensor: sensor.or(self.sensors.first()),
        }
    }

    /// The neighbour of an INVITE, by these neighbours.
    pub(super) fn resolve<'p>(
        &self,
        peers: &'p PeerTable,
        flow: &Flow,
        sensor: u16,
        invite: &InviteFacts,
    ) -> Resolved<'p> {
        peers.resolve(self.seen(flow, sensor), invite.words())
    }

    /// The same. The technical prefix that the neighbour's rule asks for comes off the called number.
    pub(super) fn resolve_and_take_off<'p>(
        &self,
        peers: &'p PeerTable,
        flow: &Flow,
        sensor: u16,
        invite: &mut InviteFacts,
    ) -> Resolved<'p> {
        let resolved = self.resolve(peers, flow, sensor, invite);
        let prefix = resolved.peer.and_then(|(_, r)| r.tech_prefix.as_ref());
        let Some(prefix) = prefix else {
            return resolved;
        };
        invite
            .said
            .take_off(prefix, &self.plan, &mut invite.numbers);
        if invite.numbers.called.is_some() {
            invite.called_text = None;
        }
        resolved
    }
}
