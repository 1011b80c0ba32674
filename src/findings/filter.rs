//! Which events go to a sink.

use std::sync::Arc;

use super::event::{EventKind, Facts, is_state};
use crate::call::classify::{Flag, Flags};

/// In place of a neighbour's id: calls of a neighbour that no rule names.
pub const UNKNOWN: &str = "unknown";

/// Which events go to a sink. An event has to pass all three.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// It has one of these.
    flags: Flags,
    /// It is of one of these neighbours; empty: of any.
    peers: Vec<Arc<str>>,
    /// It is of one of these kinds.
    kinds: Vec<EventKind>,
}

impl Default for Filter {
    /// Every kind, every neighbour, every flag but those that say how well a call is attested.
    fn default() -> Self {
        Self::new(&[], &[], Vec::new(), Vec::new())
    }
}

impl Filter {
    /// Of the flags listed, or where none is all but `attest-a`, `-b` and `-c`; without those excepted. No neighbours and no kinds are all of them.
    pub fn new(
        flags: &[Flag],
        except: &[Flag],
        peers: Vec<Arc<str>>,
        kinds: Vec<EventKind>,
    ) -> Self {
        let all = Flag::ALL.iter().copied().filter(|f| !is_state(*f));
        let wanted: Flags = match flags.is_empty() {
            true => all.collect(),
            false => flags.iter().copied().collect(),
        };
        Self {
            flags: wanted.iter().filter(|f| !except.contains(f)).collect(),
            peers,
            kinds: match kinds.is_empty() {
                true => EventKind::ALL.to_vec(),
                false => kinds,
            },
        }
    }

    /// Whether no event can pass.
    pub fn is_shut(&self) -> bool {
        self.flags == Flags::default()
    }

    pub(super) fn wants(&self, event: Facts<'_>) -> bool {
        // Most calls end here: they have no flag that matters.
        event.flags.0 & self.flags.0 != 0
            && self.kinds.contains(&event.kind)
            && (self.peers.is_empty()
                || self
                    .peers
                    .iter()
                    .any(|p| **p == *event.peer.unwrap_or(UNKNOWN)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(flags: &[Flag], peer: Option<&'static str>) -> Facts<'static> {
        Facts {
            kind: EventKind::Call,
            flags: flags.iter().copied().collect(),
            peer,
        }
    }

    #[test]
    fn by_default_every_flag_passes_but_the_three_of_attestation() {
        let all = Filter::default();
        for flag in Flag::ALL {
            let is_state = flag.label().starts_with("attest-");
            assert_eq!(all.wants(call(&[*flag], None)), !is_state, "{flag}");
        }
        assert!(!all.wants(call(&[], Some("carrier-a"))));
        assert!(all.wants(call(&[Flag::AttestA, Flag::Loop], None)));
        let states = Filter::new(&[Flag::AttestC], &[], Vec::new(), Vec::new());
        assert!(
            states.wants(call(&[Flag::AttestC], None)),
            "where asked for"
        );
    }

    #[test]
    fn an_excepted_flag_lets_an_event_pass_by_another_one() {
        let filter = Filter::new(&[], &[Flag::Unsigned], Vec::new(), Vec::new());
        assert!(!filter.wants(call(&[Flag::Unsigned], None)));
        assert!(filter.wants(call(&[Flag::Unsigned, Flag::Flood], None)));
        assert!(Filter::new(&[Flag::Flood], &[Flag::Flood], Vec::new(), Vec::new()).is_shut());
    }

    #[test]
    fn neighbours_and_kinds_narrow_it() {
        let filter = Filter::new(
            &[],
            &[],
            vec!["carrier-a".into(), UNKNOWN.into()],
            vec![EventKind::Call],
        );
        let stale = [Flag::Stale];
        assert!(filter.wants(call(&stale, Some("carrier-a"))));
        assert!(filter.wants(call(&stale, None)), "unknown");
        assert!(!filter.wants(call(&stale, Some("carrier-b"))));
        let campaign = Facts {
            kind: EventKind::Campaign,
            ..call(&stale, None)
        };
        assert!(!filter.wants(campaign));
    }
}
