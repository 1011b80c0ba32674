//! Where each behaviour begins: one table of defaults, each with its reason. The configuration may set any of them, for all neighbours or for one.
//!
//! There is no standard for any of these numbers. They are ours, chosen so that the look-alikes in the tests (call centre, notification blast, hot
//! toll-free number, office exchange) stay below, and `tracehop classify` shows on an operator's own records what others would change.

use std::collections::BTreeMap;
use std::sync::Arc;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Its default.
    pub default: u32,
    /// The least that makes sense.
    pub least: u32,
    /// The most.
    pub most: u32,
    /// What it counts, and why the default is what it is.
    pub why: &'static str,
}

macro_rules! thresholds {
    ($( $id:ident $default:literal $least:literal ..= $most:literal $why:literal; )*) => {
        /// Where each behaviour begins for one neighbour.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Thresholds { $(
            #[doc = $why]
            pub $id: u32,
        )* }

        impl Default for Thresholds {
            fn default() -> Self {
                Self { $($id: $default),* }
            }
        }

        impl Thresholds {
            /// Every threshold, with its default and its reason.
            pub const ALL: &'static [Threshold] = &[$(Threshold {
                name: stringify!($id),
                default: $default,
                least: $least,
                most: $most,
                why: $why,
            }),*];

            /// The value with the given name.
            pub fn named(&mut self, name: &str) -> Option<&mut u32> {
                match name {
                    $(stringify!($id) => Some(&mut self.$id),)*
                    _ => None,
                }
            }
        }
    };
}

thresholds! {
    high_volume_minute 60 1..=10_000_000 "calls of one number in a minute: one a second, which no person dials";
    high_volume_hour 600 1..=10_000_000 "calls of one number in an hour: ten a minute for the whole hour";
    high_volume_day 5_000 1..=100_000_000 "calls of one number in a day: eight busy hours above that";
    good_answer_percent 50 1..=100 "answered calls in a hundred, from where on we take a busy number's calls for wanted";
    good_mean_seconds 20 1..=3_600 "mean length of answered calls, from where on we take them for listened to";
    short_seconds 6 1..=60 "an answered call up to this long is short: one billing step of six seconds";
    short_calls_least 30 5..=1_000_000 "answered calls of one number in an hour before their length is judged: thirty give a share to within a fifth";
    short_calls_percent 50 1..=100 "short ones in a hundred answered calls of one number, from where on we take them for unwanted";
    short_calls_mean_seconds 15 1..=3_600 "mean length in seconds at or below which length alone speaks against a number";
    neighbour_short_calls_least 150 20..=10_000_000 "answered calls of one neighbour in a quarter of an hour before their length is judged";
    neighbour_short_calls_percent 30 1..=100 "short ones in a hundred answered calls of a whole neighbour, its numbers with a finding of their own left out";
    neighbour_short_calls_mean_seconds 45 1..=3_600 "mean length in seconds of a whole neighbour's answered calls, at or below which it speaks against it";
    low_answer_least 50 10..=1_000_000 "finished calls of one number in an hour before its answers are judged";
    low_answer_percent 10 1..=100 "answered calls in a hundred at or below which we take a number's calls for unwanted";
    neighbour_low_answer_least 300 20..=10_000_000 "finished calls of one neighbour in a quarter of an hour before its answers are judged";
    neighbour_low_answer_percent 20 1..=100 "answered calls in a hundred of a whole neighbour, likewise; higher than for one number, because others' calls are among them";
    snowshoe_least 1_000 50..=10_000_000 "calls of one neighbour in an hour before its numbers are counted: the sketch errs by three in a hundred";
    snowshoe_rare_percent 90 1..=100 "numbers in a hundred that called once or twice in the hour";
    snowshoe_calls_per_ten_numbers 15 10..=1_000 "calls for every ten numbers at or below which numbers are used up rather than used";
    snowshoe_answer_percent 30 1..=100 "answered calls in a hundred at or below which we take such numbers for those of no subscribers";
    snowshoe_short_percent 40 1..=100 "short ones in a hundred answered calls, from where on likewise";
    sequential_run 20 5..=10_000 "calls of one number to called numbers that rise in steps of one to five: by chance the next call into a block of a hundred is such a step once in twenty";
    neighbour_sequential_run 40 5..=10_000 "the same by changing calling numbers of one neighbour";
    flood_number_minute 60 1..=10_000_000 "calls to one number in a minute: more than one person, or one small office, can take";
    flood_prefix_minute 600 1..=10_000_000 "calls to one block of a thousand numbers in a minute";
    flood_times_usual 10 2..=10_000 "times what the number or block usually gets (mean by minute, half-life one hour)";
    flood_toll_free_factor 10 1..=1_000 "times the thresholds for toll-free numbers, which are there to be called by many";
    flood_learning_minutes 10 0..=10_080 "minutes that we must have looked before anything counts as more than usual; protected numbers don't wait";
    protected_flood_minute 15 1..=1_000_000 "calls to one protected number in a minute: an answering point's ten-digit line has a few positions";
    protected_flood_times_usual 4 1..=1_000 "times what a protected number usually gets";
    mix_least 300 20..=10_000_000 "calls of one neighbour in ten minutes before its mix is judged: a share is known to within six in a hundred then";
    mix_points 25 5..=100 "points in a hundred by which a share (unsigned, attested A, answered) must leave the neighbour's own usual";
    mix_duration_times 2 2..=100 "times by which mean length must leave the usual, either way";
    mix_learning_tens 12 3..=1_008 "spans of ten minutes with enough calls before a neighbour has a usual: two hours";
}

/// What the machine has to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BehaviourSettings {
    /// For neighbours without thresholds of their own, and for strangers.
    pub all: Thresholds,
    /// For single neighbours.
    pub neighbours: BTreeMap<Arc<str>, Thresholds>,
}

impl BehaviourSettings {
    /// The thresholds for a neighbour.
    pub fn of(&self, peer: Option<&str>) -> &Thresholds {
        peer.and_then(|p| self.neighbours.get(p))
            .unwrap_or(&self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_lie_within_their_limits_and_can_be_set_by_name() {
        let mut t = Thresholds::default();
        for row in Thresholds::ALL {
            assert!(
                (row.least..=row.most).contains(&row.default),
                "{}",
                row.name
            );
            assert_eq!(t.named(row.name).copied(), Some(row.default));
            *t.named(row.name).unwrap() = row.most;
        }
        assert_eq!(t.sequential_run, 10_000);
        assert_eq!(t.named("nonsense"), None);
    }
}
