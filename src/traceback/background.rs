//! How usual a call like the one asked about is, measured on the calls around it, so that a match is worth what it is worth:
//! next to nothing on a toll-free number with ten calls a second, nearly everything on somebody's kitchen telephone.
//!
//! Everything is measured outside the main window, where the call itself can't be, or with the call itself taken off.

use std::collections::HashSet;

use crate::base::Timestamp;
use crate::traceback::candidate::{Attempt, Downstream};
use crate::traceback::request::HopRequest;
use crate::traceback::window::{BACKGROUND, WIDE_S, Window};

/// Least rate of calls to a number, in calls per second: about one a day. A number nobody called today is not a number
/// that nobody ever calls.
pub const LEAST_RATE: f64 = 1e-5;
/// Least share of a calling number.
pub const LEAST_SHARE: f64 = 1e-6;
/// Most SIP messages that one attempt is taken to cost, so that the number of all attempts is rather under- than
/// overestimated: both legs of an answered call with PRACK, UPDATE and one session refresh.
pub const MESSAGES_PER_ATTEMPT: f64 = 20.0;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Background {
    /// ρ: calls to the called number per second; the highest of what ±12 h, the wide and the main window show, so that a
    /// burst counts as a burst.
    pub rate_per_s: f64,
    /// How many other calls it was measured on.
    pub calls: usize,
    /// f_A: share of the calling number, the larger of that among calls to the called number and that among all calls.
    pub calling_share: f64,
    /// share_D: share of the named downstream among the calls to the called number that were passed on.
    pub downstream_share: f64,
    /// f_origid: share of the origid among the signed calls to the called number.
    pub origid_share: f64,
    /// What of the ladder could not be read.
    pub unread: Unread,
}

/// What of the ladder could not be read, because it held more records than are read at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unread {
    /// Everything was read.
    #[default]
    Nothing,
    /// Windows beyond the main one: enough for an upstream, not enough for "not found".
    Beyond,
    /// Part of the main window.
    Main,
}

/// What could only be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    /// Highest rate of records towards the called number in the windows that were counted and not read, per second.
    pub rate_per_s: Option<f64>,
    /// Records from the calling number within ±12 h.
    pub calling_records: u64,
    /// SIP messages that the sensors saw within ±12 h.
    pub messages: u64,
    /// What of the ladder could not be read.
    pub unread: Unread,
}

impl Background {
    /// Measures it on `attempts`: all calls to the number within ±12 h, or within the windows that could be read.
    pub fn measure(
        request: &HopRequest,
        downstream: &Downstream,
        attempts: &[Attempt<'_>],
        counted: &Counted,
    ) -> Self {
        let call = &request.call;
        let main = Window::main(call.at, call.precision_s);
        let wide = Window::wide(call.at, call.precision_s);
        let (from, until) = (call.at.minus(BACKGROUND), call.at.plus(BACKGROUND));
        let calls_in = |inside: &dyn Fn(Timestamp) -> bool| {
            let numbers: HashSet<usize> = attempts
                .iter()
                .filter(|a| inside(a.at()))
                .map(|a| a.call)
                .collect();
            numbers.len()
        };
        let others: Vec<&Attempt<'_>> = attempts
            .iter()
            .filter(|a| !main.contains(a.at()) && (from..=until).contains(&a.at()))
            .collect();
        let outside = |at: Timestamp| !main.contains(at);
        let day_s = BACKGROUND.as_secs_f64() * 2.0;
        let main_s = main.until.secs_since(main.from);
        // Counted are records of both legs and of every attempt: more than there were calls, which errs on the safe side.
        let day = counted.rate_per_s.unwrap_or_else(|| {
            let n = calls_in(&|at| outside(at) && (from..=until).contains(&at));
            n as f64 / (day_s - main_s)
        });
        let burst = calls_in(&|at| outside(at) && wide.contains(at)) as f64 / (2.0 * WIDE_S);
        let crowd = calls_in(&|at| main.contains(at)).saturating_sub(1) as f64 / main_s;
        Self {
            rate_per_s: day.max(burst).max(crowd).max(LEAST_RATE),
            calls: calls_in(&outside),
            calling_share: calling_share(request, &others, counted),
            downstream_share: succession(&others, |a| {
                (!a.egress.is_empty()).then(|| a.egress.iter().any(|e| downstream.got(e.leg)))
            }),
            origid_share: succession(&others, |a| {
                let origid = a.legs().find_map(|l| l.begin.verdict.origid.as_ref())?;
                Some(Some(origid) == call.ids.origid.as_ref())
            }),
            unread: counted.unread,
        }
    }

    /// How many calls to the number chance alone would put into the main window.
    pub fn expected_in(&self, window: &Window) -> f64 {
        self.rate_per_s * window.until.secs_since(window.from)
    }
}

fn calling_share(request: &HopRequest, others: &[&Attempt<'_>], counted: &Counted) -> f64 {
    let Some(calling) = request.call.calling else {
        return 1.0;
    };
    let same = others
        .iter()
        .filter(|a| a.calling_as(calling).is_some())
        .count();
    let to_number = same as f64 / (others.len() as f64 + 1.0);
    let attempts = counted.messages as f64 / MESSAGES_PER_ATTEMPT;
    // Without a single message counted nothing is known about all calls, and a match is worth nothing.
    let of_all = if attempts >= 1.0 {
        (counted.calling_records as f64).max(1.0) / attempts
    } else {
        1.0
    };
    to_number.max(of_all).clamp(LEAST_SHARE, 1.0)
}

/// Laplace's rule of succession: the share of `yes` among those that say anything, never 0 and never 1.
fn succession(others: &[&Attempt<'_>], says: impl Fn(&Attempt<'_>) -> Option<bool>) -> f64 {
    let (mut yes, mut all) = (0.0, 0.0);
    for answer in others.iter().filter_map(|a| says(a)) {
        all += 1.0;
        yes += f64::from(u8::from(answer));
    }
    (yes + 1.0) / (all + 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::NumberPlan;
    use crate::traceback::candidate::collect;
    use crate::traceback::sample::call;

    fn request() -> HopRequest {
        let text = br#"{"id":"1","case_id":"1","call":{"called":"+12025550123","calling":"+13035550147","time":{"value":"2026-11-24T09:30:07Z"}}}"#;
        HopRequest::parse(text, &NumberPlan::default()).unwrap()
    }

    fn measure(offsets: &[i64], counted: Counted) -> Background {
        let records: Vec<_> = offsets
            .iter()
            .zip(0..)
            .flat_map(|(o, i)| call(10 * i + 1, "north", "east", *o).records())
            .collect();
        let east = Downstream::Neighbour(vec!["east".into()]);
        Background::measure(
            &request(),
            &east,
            &collect(&records, &request().call),
            &counted,
        )
    }

    #[test]
    fn the_call_itself_is_no_background() {
        let b = measure(&[0], Counted::default());
        assert_eq!((b.rate_per_s, b.calls), (LEAST_RATE, 0));
        assert_eq!(b.calling_share, 1.0, "nothing is known about all calls");
        assert_eq!(b.downstream_share, 0.5);
    }

    #[test]
    fn a_burst_counts_as_a_burst() {
        let day = measure(&[0, 7200, -7200], Counted::default());
        assert!((day.rate_per_s - 2.0 / 86_158.0).abs() < 1e-9);
        let wide = measure(&[0, 300, 400, -300], Counted::default());
        assert!((wide.rate_per_s - 3.0 / 1800.0).abs() < 1e-9);
        let main = measure(&[0, 30, 60], Counted::default());
        assert!((main.rate_per_s - 2.0 / 242.0).abs() < 1e-9);
    }

    #[test]
    fn a_number_that_calls_everybody_proves_little() {
        let counted = |calling_records| Counted {
            calling_records,
            messages: 2_000_000,
            ..Counted::default()
        };
        assert_eq!(measure(&[0], counted(2)).calling_share, 2e-5);
        assert_eq!(measure(&[0], counted(50_000)).calling_share, 0.5);
        let often = measure(&[0, 3000, 6000, 9000], counted(2));
        assert_eq!(often.calling_share, 0.75);
    }
}
