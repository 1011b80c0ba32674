//! Why an answer is not given. Each condition has a name, and says what would decide the case.
//!
//! The letters are those of the matcher's specification. Of these, three are decided as far as records allow:
//!
//! - (e) an address shared by several upstreams is found by the rules of peers.toml and the trunk group; a technical prefix in
//!   front of the called number is no key of those rules, so that neighbours told apart by it alone count as one address.
//! - (f) a change of the trunk mapping inside the window is found when two legs of the window were recorded under different
//!   configurations; a change between which no call to this number fell stays unseen, and can't have touched this call's
//!   candidates.
//! - (l) a loop is found by an identifier that the legs share; a loop through switches that change every identifier looks
//!   like several calls, which (j) and the posterior refuse.

use std::fmt;

macro_rules! conditions {
    ($( $id:ident $letter:literal $label:literal $decides:literal $what:literal; )*) => {
        /// Something that forbids a certain answer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Condition { $(
            #[doc = $what]
            $id,
        )* }

        impl Condition {
            /// Every condition.
            pub const ALL: &'static [Condition] = &[$(Condition::$id),*];

            /// Letter in the specification; empty for those that come from the thresholds.
            pub const fn letter(self) -> &'static str {
                match self { $(Condition::$id => $letter),* }
            }

            /// Stable name, as in answers and metrics.
            pub const fn label(self) -> &'static str {
                match self { $(Condition::$id => $label),* }
            }

            /// What it means, in one line.
            pub const fn what(self) -> &'static str {
                match self { $(Condition::$id => $what),* }
            }

            /// What would decide the case.
            pub const fn what_decides(self) -> &'static str {
                match self { $(Condition::$id => $decides),* }
            }
        }
    };
}

conditions! {
    SeveralUpstreams "a" "several-upstreams" "time to the second, calling number or Identity header as the downstream saw them" "two or more upstreams have a posterior of 1 % or more";
    OutsideWindow "b" "outside-window" "a confirmed time: the only match lies beyond two minutes" "the best match lies outside ±(120 s + p)";
    ZoneSlip "b" "zone-slip" "a confirmed time zone: the only match is off by whole hours" "the best match needs a mistake in the time zone";
    CallingUnexplained "c" "calling-unexplained" "the calling number as the downstream saw it, or its Identity header" "the calling number differs without explanation, and the called number is called often";
    CaptureGap "d" "capture-gap" "records of another kind for the gap: switch call records" "the window was not seen whole";
    SharedAddress "e" "shared-address" "a trunk group or VLAN in peers.toml that tells the neighbours apart" "several neighbours share the sender's address and nothing tells them apart";
    MappingChanged "f" "mapping-changed" "a look at both configurations" "peers.toml changed inside the window";
    ClockUnhealthy "g" "clock-unhealthy" "records of another kind: switch call records" "the capture clock may be off by more than a second";
    NotDelivered "h" "not-delivered" "a check of which downstream got the call" "the upstream owns no attempt that the downstream took on";
    PostForwarding "i" "post-forwarding" "the leg before the forwarding: the call to our subscriber" "the only match is what our own subscriber forwarded";
    TwoDelivered "j" "two-delivered" "time to the second, or an identifier of the call" "attempts of different upstreams were taken on in the same window";
    ContradictsPassport "k" "contradicts-passport" "the Identity header as the downstream saw it" "the request contradicts a PASSporT that we verified";
    ContradictsAnswer "" "contradicts-answer" "whether the call was answered, and for how long, in the downstream's record" "the request says answered, not answered, or a length, and our leg to the downstream ended otherwise";
    Loop "l" "loop" "a look at the path: which passage is meant" "the call came back into our network more than once, or from the neighbour to whom it went";
    UnresolvedPeer "" "unresolved-peer" "a rule in peers.toml that names the sender, or the leg that is missing" "who handed the call over can't be told";
    WeakEvidence "" "weak-evidence" "the calling number as the downstream saw it, its Identity header, Call-ID or Session-ID" "the evidence is of class E4 or E5";
    BelowThreshold "" "below-threshold" "any further detail of the call" "the posterior of the best upstream is below the threshold";
    NullTooLikely "" "null-too-likely" "any further detail of the call" "that the call was not captured at all is too likely";
    TooBusy "" "too-busy" "time to the second and the calling number" "the called number is called so often that the windows could not be read whole";
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl serde::Serialize for Condition {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_letter_is_there() {
        let mut labels: Vec<_> = Condition::ALL.iter().map(|c| c.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Condition::ALL.len());
        for letter in 'a'..='l' {
            let letter = letter.to_string();
            assert!(
                Condition::ALL.iter().any(|c| c.letter() == letter),
                "{letter}"
            );
        }
    }
}
