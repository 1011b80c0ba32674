//! Steps of the wall clock, told by a clock that nobody sets.

use std::time::{Duration, Instant};

use crate::base::Timestamp;

/// What the wall clock may gain or lose on the other one between two looks: slewing is below a thousandth (adjtimex(2)), and looks are seconds apart.
const SLEW: Duration = Duration::from_millis(500);

/// Compares two clocks.
#[derive(Debug)]
pub struct StepWatch {
    wall: Timestamp,
    steady: Instant,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where the wall clock would stand had it gone on.
    pub from: Timestamp,
    /// Where it stands.
    pub to: Timestamp,
}

impl StepWatch {
    /// Begins to watch.
    pub fn new(wall: Timestamp, steady: Instant) -> Self {
        Self { wall, steady }
    }

    /// Looks at both clocks, a few seconds after the last look at most.
    pub fn look(&mut self, wall: Timestamp, steady: Instant) -> Option<Step> {
        let expected = self
            .wall
            .plus(steady.saturating_duration_since(self.steady));
        (self.wall, self.steady) = (wall, steady);
        let step = Step {
            from: expected,
            to: wall,
        };
        (expected.distance(wall) > SLEW).then_some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_either_way_is_seen_once_and_slewing_is_none() {
        let (t, i) = (Timestamp::from_secs(10_000), Instant::now());
        let s = Duration::from_secs;
        let mut watch = StepWatch::new(t, i);
        assert_eq!(watch.look(t.plus(s(1)), i + s(1)), None);
        let slewed = t.plus(s(2)).plus(Duration::from_millis(1));
        assert_eq!(watch.look(slewed, i + s(2)), None);
        let step = watch.look(t.plus(s(3_603)), i + s(3)).unwrap();
        assert_eq!(step.from.secs(), 10_003);
        assert_eq!(step.to.secs(), 13_603);
        assert_eq!(watch.look(t.plus(s(3_604)), i + s(4)), None);
        assert_eq!(
            watch.look(t.plus(s(5)), i + s(5)).unwrap().to.secs(),
            10_005
        );
    }
}
