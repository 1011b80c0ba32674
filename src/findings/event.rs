//! What is told.

use std::sync::Arc;

use crate::call::classify::{Campaign, Finding, Flag, Flags};
use crate::call::record::Begin;

/// Something that somebody may want to know. It is shared between sinks, and becomes text on their threads.
#[derive(Clone, Debug)]
pub enum Event {
    /// A flagged call, when its INVITE has been judged.
    Call(Arc<Begin>),
    /// A behaviour that goes above its threshold, goes on, or ends.
    Behaviour(Arc<Finding>),
    /// A campaign as it stands.
    Campaign(Arc<Campaign>),
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A flagged call.
    Call,
    /// A behaviour.
    Behaviour,
    /// A campaign.
    Campaign,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Call, Self::Behaviour, Self::Campaign];

    /// Its name: `type` in the JSON, in configuration and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Behaviour => "behaviour",
            Self::Campaign => "campaign",
        }
    }
}

impl Event {
    /// Its kind.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Call(_) => EventKind::Call,
            Self::Behaviour(_) => EventKind::Behaviour,
            Self::Campaign(_) => EventKind::Campaign,
        }
    }
}

/// What a filter looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub kind: EventKind,
    pub flags: Flags,
    pub peer: Option<&'a str>,
}

impl<'a> Facts<'a> {
    pub fn of_call(begin: &'a Begin) -> Self {
        Self {
            kind: EventKind::Call,
            flags: begin.flags,
            peer: begin.peer.as_deref(),
        }
    }

    pub fn of_behaviour(finding: &'a Finding) -> Self {
        Self {
            kind: EventKind::Behaviour,
            flags: [finding.kind].into_iter().collect(),
            peer: finding.peer.as_deref(),
        }
    }

    pub fn of_campaign(campaign: &'a Campaign) -> Self {
        Self {
            kind: EventKind::Campaign,
            flags: campaign.flags.iter().map(|(f, _)| *f).collect(),
            peer: campaign.peer.as_deref(),
        }
    }
}

/// Flags that say how well a call is attested, which is a state and nothing to tell anybody.
pub(super) fn is_state(flag: Flag) -> bool {
    matches!(flag, Flag::AttestA | Flag::AttestB | Flag::AttestC)
}
