//! One leg of a call between two networks, and who saw what of it when.

use std::net::SocketAddr;

use super::network::Writing;

/// One end of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// A provider, by number.
    Provider(usize),
    /// A customer of a provider's, by number.
    Customer(usize, usize),
}

impl End {
    /// Its number, for a provider.
    pub fn provider(self) -> Option<usize> {
        match self {
            Self::Provider(n) => Some(n),
            Self::Customer(..) => None,
        }
    }
}

/// What an INVITE says, as far as hops change it.
#[derive(Clone, Debug)]
pub struct Head {
    /// Called number.
    pub called: u64,
    /// Number in To.
    pub to: u64,
    /// Whom it was to before a subscriber sent it on.
    pub diverted: Option<u64>,
    /// Number in From; `None` for an anonymous one.
    pub from: Option<u64>,
    /// P-Asserted-Identity.
    pub asserted: Option<u64>,
    /// Names Call-ID and tag.
    pub call_id: u64,
    /// Session-ID.
    pub session: Option<u64>,
    /// `icid-value`.
    pub icid: Option<u64>,
    /// Origin line of the SDP.
    pub sdp: u64,
    /// Identity header, by place in [`super::carry::Carried::identities`].
    pub identity: Option<usize>,
}

/// What is sent on a leg after, and with, the INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The INVITE; sent again where nobody answers.
    Invite,
    /// 180, or 183 for early media.
    Ringing(u16),
    /// A final answer.
    Final(u16),
    /// ACK of a 200.
    Ack,
    /// The sender gives up.
    Cancel,
    /// The call is over; whether the caller's side says so.
    Bye(bool),
}

impl Step {
    /// Whether it runs as the INVITE does.
    pub fn forward(self) -> bool {
        match self {
            Self::Invite | Self::Ack | Self::Cancel => true,
            Self::Bye(by_caller) => by_caller,
            Self::Ringing(_) | Self::Final(_) => false,
        }
    }
}

/// A leg.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Who sends the INVITE.
    pub from: End,
    /// Who gets it.
    pub to: End,
    /// Sender's socket.
    pub source: SocketAddr,
    /// Receiver's socket.
    pub destination: SocketAddr,
    /// How numbers are written: called, calling.
    pub writing: (Writing, Writing),
    /// Trunk group in Contact.
    pub group: Option<Box<str>>,
    /// What it says.
    pub head: Head,
    /// What is sent, with the true time of sending in nanoseconds since 1970.
    pub steps: Vec<(i64, Step)>,
    /// Nanoseconds on the way.
    pub way: i64,
    /// The INVITE never got to the receiver.
    pub lost_on_the_way: bool,
}

impl Leg {
    /// When its INVITE was sent.
    pub fn at(&self) -> i64 {
        self.steps.first().map_or(0, |s| s.0)
    }

    /// When it was answered.
    pub fn answered_at(&self) -> Option<i64> {
        let answer = |s: &&(i64, Step)| s.1 == Step::Final(200);
        self.steps.iter().find(answer).map(|s| s.0)
    }

    /// From answer to release in nanoseconds.
    pub fn lasted(&self) -> Option<i64> {
        let end = self
            .steps
            .iter()
            .find(|s| matches!(s.1, Step::Bye(_)))
            .map(|s| s.0)?;
        Some(end - self.answered_at()?)
    }

    /// Whether the receiver answered anything above 100 before a failure.
    pub fn rang(&self) -> bool {
        self.steps
            .iter()
            .any(|s| matches!(s.1, Step::Ringing(_) | Step::Final(200 | 480 | 486 | 603)))
    }
}
