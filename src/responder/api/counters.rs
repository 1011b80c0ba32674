//! What became of requests to the API.

use std::sync::atomic::{AtomicU64, Ordering};

use super::refusal::Refusal;
use crate::web::WebCounters;

macro_rules! counters {
    ($($name:ident $what:literal;)*) => {
        /// What the API did.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct ApiCounters {
            /// Connections.
            pub web: WebCounters,
            /// Refusals, by reason.
            pub refused: Vec<(Refusal, u64)>,
            $( #[doc = $what] pub $name: u64, )*
        }

        impl ApiCounters {
            /// Every counter of replies to those who are known, by its stable name.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$( (stringify!($name), self.$name) ),*].into_iter()
            }

            /// What each counts.
            pub const HELP: &'static [(&'static str, &'static str)] = &[$( (stringify!($name), $what) ),*];
        }

        /// Counted here.
        #[derive(Debug)]
        pub(crate) struct Counters {
            refused: [AtomicU64; Refusal::ALL.len()],
            $( pub $name: AtomicU64, )*
        }

        impl Default for Counters {
            fn default() -> Self {
                Self { refused: Refusal::ALL.map(|_| AtomicU64::new(0)), $( $name: AtomicU64::new(0), )* }
            }
        }

        impl Counters {
            pub fn read(&self, web: WebCounters) -> ApiCounters {
                ApiCounters { web, refused: self.refused(), $( $name: self.$name.load(Ordering::Relaxed), )* }
            }
        }
    };
}

counters! {
    taken "requests taken that were new";
    again "requests that were here already";
    clarified "requests taken again because they were changed";
    answered "requests answered at once, in the reply to their push";
    heard "other events of portals";
    unknown_event "events of a type that we don't know, which change nothing";
    stray_event "events about a request or case that is not here";
    limited "requests beyond what their sender may send in a minute";
    full "requests not taken because as many are under way as may be";
    turned_down "requests that the desk did not take, being over or changed too often";
    malformed "signed bodies that are no event, and operators' requests that can't be read";
    trouble "requests that failed for a fault of ours";
    looked_up "look-ups by operators";
    decided "decisions by operators";
    shown "answers, evidence and states shown";
}

impl Counters {
    /// Counts a refusal.
    pub fn refuse(&self, why: Refusal) {
        if let Some(n) = self.refused.get(why.place()) {
            n.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn refused(&self) -> Vec<(Refusal, u64)> {
        let read = |why: &Refusal| {
            let n = self.refused.get(why.place());
            (*why, n.map_or(0, |n| n.load(Ordering::Relaxed)))
        };
        Refusal::ALL.iter().map(read).collect()
    }
}

/// Counts one more.
pub(crate) fn more(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
