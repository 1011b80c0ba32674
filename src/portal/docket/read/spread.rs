//! How times spread, in bounded memory: seconds up to 127 as they are, above that in 64 steps to each doubling, so that a share is told 1.6 % too high at most.

use std::collections::BTreeMap;

/// Steps to a doubling. Ours: the width of a step is nothing that a reader of hours would see.
const STEPS: u64 = 64;

/// Counted times. At most `64 × 58` places, whatever is counted.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    places: BTreeMap<u64, u64>,
    count: u64,
}

impl Spread {
    /// Counts one, in seconds.
    pub fn add(&mut self, seconds: u64) {
        *self.places.entry(place(seconds)).or_default() += 1;
        self.count += 1;
    }

    /// Counts what another one has counted as well.
    pub fn join(&mut self, other: &Self) {
        for (place, count) in &other.places {
            *self.places.entry(*place).or_default() += count;
        }
        self.count += other.count;
    }

    /// The time within which a share of them was: the nearest rank.
    pub fn within(&self, share: f64) -> Option<u64> {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let rank = ((share * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        self.places.iter().find_map(|(&place, &count)| {
            seen += count;
            (seen >= rank).then(|| longest(place))
        })
    }
}

/// The place of a time: itself below `2 × STEPS`; above, doublings and the bits after the first.
fn place(seconds: u64) -> u64 {
    let halvings = u64::from((seconds / STEPS).max(1).ilog2());
    halvings * STEPS + (seconds >> halvings)
}

/// The longest time of a place.
fn longest(place: u64) -> u64 {
    if place < 2 * STEPS {
        return place;
    }
    let halvings = place / STEPS - 1;
    let low = (place - halvings * STEPS) << halvings;
    low + ((1 << halvings) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_holds_its_time_and_no_more_than_a_64th_above() {
        for seconds in (0..100_000).chain([u64::MAX / 2, u64::MAX]) {
            let told = longest(place(seconds));
            assert!(told >= seconds, "{seconds}: {told}");
            assert!(told - seconds <= seconds / STEPS, "{seconds}: {told}");
        }
    }

    #[test]
    fn shares_are_by_nearest_rank() {
        let mut times = Spread::default();
        assert_eq!(times.within(0.5), None);
        (1..=10).for_each(|s| times.add(s));
        assert_eq!(times.within(0.5), Some(5));
        assert_eq!(times.within(0.9), Some(9));
        assert_eq!(times.within(1.0), Some(10));
        assert_eq!(times.within(0.0), Some(1));
        let mut more = Spread::default();
        (11..=20).for_each(|s| more.add(s));
        times.join(&more);
        assert_eq!((times.within(0.5), times.within(1.0)), (Some(10), Some(20)));
    }
}
