//! A slot: every question that one provider got about one leg, the first and those that asked again, and what it says in the end.

use super::{Branch, HopState, WalkAnswer, WalkHop};
use crate::traceback::answer::Resolution;

/// What an answer claims, as far as a walk goes by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim<'a> {
    /// The call came from this provider.
    Upstream(&'a str),
    /// A subscriber forwarded it; the call before came from this provider.
    Diverted(&'a str),
    /// It came from abroad.
    Foreign,
    /// It began here.
    Origin,
    /// It was a test.
    Test,
    /// There was no such call, or it never went on.
    Denies,
    /// The records do not show it.
    NoRecord,
    /// No answer is given.
    Refused,
}

impl<'a> Claim<'a> {
    /// Whether the provider had the call.
    pub fn has_it(self) -> bool {
        !matches!(self, Self::Denies | Self::NoRecord | Self::Refused)
    }

    /// What an answer claims; nothing of a question back, or of a receipt.
    pub fn of(answer: &'a WalkAnswer) -> Option<Self> {
        let named = answer.named.as_ref().map(|p| &*p.id);
        Some(match answer.resolution {
            Resolution::UpstreamDomestic => Self::Upstream(named?),
            Resolution::DivertedByOurSubscriber => Self::Diverted(named?),
            Resolution::UpstreamForeign => Self::Foreign,
            Resolution::OriginEndCustomer | Resolution::OriginNonVspPlatform => Self::Origin,
            Resolution::TestOrInternal => Self::Test,
            Resolution::BlockedHere
            | Resolution::NotFound
            | Resolution::NotOurCustomerOfDownstream => Self::Denies,
            Resolution::CaptureGap | Resolution::OutOfRetention => Self::NoRecord,
            Resolution::LegalRestriction | Resolution::LegalHold | Resolution::Refused => {
                Self::Refused
            }
            Resolution::Ambiguous | Resolution::InsufficientRequest | Resolution::Pending => {
                return None;
            }
        })
    }
}

/// The questions of one provider about one leg.
#[derive(Clone, Debug)]
pub(super) struct Slot<'a> {
    hops: Vec<&'a WalkHop>,
}

/// What a provider says about a leg.
#[derive(Clone, Copy, Debug)]
pub(super) enum Says<'a> {
    /// Nothing yet, and it has time.
    Nothing(&'a WalkHop),
    /// Nothing, and its time is over.
    Silent(&'a WalkHop),
    /// It asks back.
    Question(&'a WalkHop),
    /// Something that is disputed.
    Disputed(&'a WalkHop),
    /// This.
    This(&'a WalkHop, &'a WalkAnswer, Claim<'a>),
}

/// What became of asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It was not asked again.
    Not,
    /// It was, and has time.
    Open(u32),
    /// It was, and its time is over.
    Silent(u32),
    /// It was, and asks back.
    Question(u32),
    /// It was, and has answered.
    Answered(u32),
}

impl<'a> Slot<'a> {
    /// The live questions to `provider` that this one's answer led to; of no answer: those that began the path.
    pub fn of(
        hops: &'a [WalkHop],
        before: Option<(&WalkHop, &WalkAnswer)>,
        provider: &str,
    ) -> Self {
        let here = |h: &&WalkHop| {
            let led = match before {
                None => h.parent.is_none() && h.downstream.is_none(),
                Some((parent, answer)) => {
                    h.parent == Some(parent.n)
                        && h.downstream.as_deref() == Some(&*parent.provider)
                        && answer.led_to(h.previous_digest.as_deref())
                }
            };
            h.is_live() && h.branch != Branch::Hint && *h.provider == *provider && led
        };
        let mut hops: Vec<_> = hops.iter().filter(here).collect();
        hops.sort_by_key(|h| h.n);
        Self { hops }
    }

    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.hops.is_empty()
    }

    /// The first question.
    pub fn first(&self) -> Option<&'a WalkHop> {
        self.hops.first().copied()
    }

    /// The last question, where it is open.
    pub fn open(&self) -> Option<&'a WalkHop> {
        self.hops.last().copied().filter(|h| h.is_open())
    }

    /// What the provider says in the end: what it said last, unless it only said again what it had said. A last word that is disputed
    /// takes nothing back to what was said before it.
    pub fn says(&self) -> Option<Says<'a>> {
        let last = self.hops.last().copied()?;
        if last.state == HopState::Disputed {
            return Some(Says::Disputed(last));
        }
        let mut found: Option<(&WalkHop, &WalkAnswer, Claim<'_>)> = None;
        for hop in &self.hops {
            let Some(answer) = hop.counted() else {
                continue;
            };
            let Some(claim) = Claim::of(answer) else {
                continue;
            };
            if found.is_none_or(|(_, _, said)| said != claim) {
                found = Some((hop, answer, claim));
            }
        }
        if let Some((hop, answer, claim)) = found {
            return Some(Says::This(hop, answer, claim));
        }
        Some(match last.state {
            HopState::NonResponsive => Says::Silent(last),
            // An answer that claims nothing is none.
            HopState::NeedsInfo | HopState::Answered => Says::Question(last),
            _ => Says::Nothing(last),
        })
    }

    /// What became of asking again. That it was is also seen where the first question is withdrawn.
    pub fn again(&self) -> Again {
        match self.hops.last().filter(|h| h.branch == Branch::Again) {
            None => Again::Not,
            Some(h) => match h.state {
                HopState::Asked | HopState::Acknowledged => Again::Open(h.n),
                HopState::NonResponsive => Again::Silent(h.n),
                HopState::NeedsInfo => Again::Question(h.n),
                _ => Again::Answered(h.n),
            },
        }
    }

    /// Another claim of the same provider about the same leg: what it said before it changed its mind.
    pub fn said_before(&self) -> Option<(&'a WalkHop, &'a WalkAnswer, Claim<'a>)> {
        let Some(Says::This(now, ..)) = self.says() else {
            return None;
        };
        let earlier = self.hops.iter().filter(|h| h.n < now.n).rev();
        let mut claims = earlier.filter_map(|h| {
            let answer = h.counted()?;
            Some((*h, answer, Claim::of(answer)?))
        });
        claims.next()
    }
}
