use proptest::prelude::*;

use super::calendar::holiday;
use super::*;

const NEW_YORK: &str = "America/New_York";

fn clock(rule: DeadlineRule) -> RuleClock {
    RuleClock::new(rule, NEW_YORK).unwrap()
}

fn t(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// Received, from when it counts, when it is due; local times of New York.
fn table(rule: DeadlineRule, rows: &[(&str, &str, &str)]) {
    for (received, starts, due) in rows {
        let d = clock(rule).deadline(t(received), None);
        assert_eq!(
            (d.starts, d.due),
            (t(starts), t(due)),
            "{received}: from {} to {}",
            d.starts,
            d.due
        );
        assert_eq!(d.set_by, SetBy::Rule);
    }
}

#[test]
fn twenty_four_hours_that_keep_business_hours() {
    table(
        DeadlineRule::Us,
        &[
            // Tuesday in hours, before and after them; both ends of the office.
            (
                "2026-03-03T10:00:00-05:00",
                "2026-03-03T10:00:00-05:00",
                "2026-03-04T10:00:00-05:00",
            ),
            (
                "2026-03-03T05:00:00-05:00",
                "2026-03-03T08:00:00-05:00",
                "2026-03-04T08:00:00-05:00",
            ),
            (
                "2026-03-03T08:00:00-05:00",
                "2026-03-03T08:00:00-05:00",
                "2026-03-04T08:00:00-05:00",
            ),
            (
                "2026-03-03T17:30:00-05:00",
                "2026-03-03T17:30:00-05:00",
                "2026-03-04T17:30:00-05:00",
            ),
            (
                "2026-03-03T17:30:01-05:00",
                "2026-03-04T08:00:00-05:00",
                "2026-03-05T08:00:00-05:00",
            ),
            // Friday 15:00 to Monday 15:00; Friday evening and the weekend count from Monday.
            (
                "2026-02-27T15:00:00-05:00",
                "2026-02-27T15:00:00-05:00",
                "2026-03-02T15:00:00-05:00",
            ),
            (
                "2026-02-27T20:00:00-05:00",
                "2026-03-02T08:00:00-05:00",
                "2026-03-03T08:00:00-05:00",
            ),
            (
                "2026-02-28T12:00:00-05:00",
                "2026-03-02T08:00:00-05:00",
                "2026-03-03T08:00:00-05:00",
            ),
            (
                "2026-03-01T23:59:59-05:00",
                "2026-03-02T08:00:00-05:00",
                "2026-03-03T08:00:00-05:00",
            ),
            // Summer time begins, and ends, in the night to Sunday: the clock stands then.
            (
                "2026-03-06T15:00:00-05:00",
                "2026-03-06T15:00:00-05:00",
                "2026-03-09T15:00:00-04:00",
            ),
            (
                "2026-10-30T15:00:00-04:00",
                "2026-10-30T15:00:00-04:00",
                "2026-11-02T15:00:00-05:00",
            ),
            // Thanksgiving is one day off, Friday is none; the clock stands on Thursday and at the weekend.
            (
                "2026-11-25T15:00:00-05:00",
                "2026-11-25T15:00:00-05:00",
                "2026-11-27T15:00:00-05:00",
            ),
            (
                "2026-11-26T10:00:00-05:00",
                "2026-11-27T08:00:00-05:00",
                "2026-11-30T08:00:00-05:00",
            ),
            // Christmas on a Friday: three days off. New Year's Day 2028 is a Saturday, kept on Friday, in the year before.
            (
                "2026-12-24T12:00:00-05:00",
                "2026-12-24T12:00:00-05:00",
                "2026-12-28T12:00:00-05:00",
            ),
            (
                "2027-12-30T12:00:00-05:00",
                "2027-12-30T12:00:00-05:00",
                "2028-01-03T12:00:00-05:00",
            ),
            (
                "2027-12-31T12:00:00-05:00",
                "2028-01-03T08:00:00-05:00",
                "2028-01-04T08:00:00-05:00",
            ),
            // The Fourth of July 2026 is a Saturday; Juneteenth 2027 too.
            (
                "2026-07-02T12:00:00-04:00",
                "2026-07-02T12:00:00-04:00",
                "2026-07-06T12:00:00-04:00",
            ),
            (
                "2027-06-17T12:00:00-04:00",
                "2027-06-17T12:00:00-04:00",
                "2027-06-21T12:00:00-04:00",
            ),
        ],
    );
}

#[test]
fn two_business_days_of_canada() {
    table(
        DeadlineRule::Canada,
        &[
            (
                "2026-03-03T10:00:00-05:00",
                "2026-03-03T10:00:00-05:00",
                "2026-03-05T10:00:00-05:00",
            ),
            (
                "2026-03-05T10:00:00-05:00",
                "2026-03-05T10:00:00-05:00",
                "2026-03-09T10:00:00-04:00",
            ),
            (
                "2026-02-28T12:00:00-05:00",
                "2026-03-02T00:00:00-05:00",
                "2026-03-04T00:00:00-05:00",
            ),
            // Good Friday 2026 is 3 April; Easter Monday is a business day. Victoria Day is 18 May.
            (
                "2026-04-02T12:00:00-04:00",
                "2026-04-02T12:00:00-04:00",
                "2026-04-07T12:00:00-04:00",
            ),
            (
                "2026-05-15T12:00:00-04:00",
                "2026-05-15T12:00:00-04:00",
                "2026-05-20T12:00:00-04:00",
            ),
            // Christmas and Boxing Day: Friday and Saturday.
            (
                "2026-12-24T12:00:00-05:00",
                "2026-12-24T12:00:00-05:00",
                "2026-12-29T12:00:00-05:00",
            ),
        ],
    );
}

#[test]
fn plain_hours_run_by_the_wall() {
    table(
        DeadlineRule::Plain,
        &[
            (
                "2026-02-28T12:00:00-05:00",
                "2026-02-28T12:00:00-05:00",
                "2026-03-01T12:00:00-05:00",
            ),
            // 24 hours, whatever the clock on the wall of the office shows then.
            (
                "2026-03-07T12:00:00-05:00",
                "2026-03-07T12:00:00-05:00",
                "2026-03-08T13:00:00-04:00",
            ),
        ],
    );
}

#[test]
fn federal_holidays_of_years_past_and_to_come() {
    let us = Rule::of(DeadlineRule::Us).holidays;
    let ca = Rule::of(DeadlineRule::Canada).holidays;
    let name = |list, y, m, d| holiday(list, Date::new(y, m, d).unwrap());
    // As the Office of Personnel Management lists them.
    for (y, m, d) in [
        (2026, 1, 1),
        (2026, 1, 19),
        (2026, 2, 16),
        (2026, 5, 25),
        (2026, 6, 19),
        (2026, 7, 3),
        (2026, 9, 7),
        (2026, 10, 12),
        (2026, 11, 11),
        (2026, 11, 26),
        (2026, 12, 25),
        (2021, 12, 31),
        (2023, 1, 2),
        (2023, 11, 10),
        (2022, 12, 26),
        (2021, 7, 5),
    ] {
        assert!(name(us, y, m, d).is_some(), "{y}-{m}-{d}");
    }
    let count = |y| {
        let first = Date::new(y, 1, 1).unwrap();
        let days = std::iter::successors(Some(first), |d| d.tomorrow().ok());
        days.take_while(|d| d.year() == y)
            .filter(|d| holiday(us, *d).is_some() && calendar::is_business_day(&[], *d))
            .count()
    };
    assert_eq!(count(2026), 11);
    assert_eq!(count(2027), 12, "New Year's Day of 2028 is kept in 2027");
    assert_eq!(count(2028), 10);
    assert_eq!(name(us, 2020, 6, 19), None, "no holiday yet");
    assert_eq!(name(us, 2026, 11, 27), None);
    // Easter as the churches' tables have it.
    for (y, m, d) in [(2024, 3, 29), (2025, 4, 18), (2026, 4, 3), (2038, 4, 23)] {
        assert_eq!(name(ca, y, m, d), Some("Good Friday"), "{y}-{m}-{d}");
    }
    assert_eq!(name(ca, 2026, 5, 18), Some("Victoria Day"));
    assert_eq!(name(ca, 2020, 5, 18), Some("Victoria Day"));
    assert_eq!(name(ca, 2026, 7, 3), None, "not moved");
}

#[test]
fn the_earlier_one_counts_and_is_said() {
    let us = clock(DeadlineRule::Us);
    let received = t("2026-02-28T12:00:00-05:00");
    let portal = t("2026-03-01T12:00:00-05:00");
    let d = us.deadline(received, Some(portal));
    assert_eq!((d.due, d.set_by), (portal, SetBy::Portal));
    // By the wall, although the office is closed all the time.
    assert!((us.share(&d, t("2026-03-01T00:00:00-05:00")) - 0.5).abs() < 1e-9);
    let later = us.deadline(received, Some(t("2026-04-01T12:00:00-05:00")));
    assert_eq!(later.set_by, SetBy::Rule);
    assert_eq!(
        later.surely_by, portal,
        "24 hours without what nobody verified"
    );
    let plain = clock(DeadlineRule::Plain).deadline(received, None);
    assert_eq!(plain.surely_by, plain.due);
}

#[test]
fn the_clock_stands_over_the_weekend() {
    let us = clock(DeadlineRule::Us);
    let d = us.deadline(t("2026-02-27T12:00:00-05:00"), None);
    let share = |at| (us.share(&d, t(at)) * 1e4).round() / 1e4;
    assert_eq!(share("2026-02-27T11:00:00-05:00"), 0.0);
    assert_eq!(share("2026-02-27T18:00:00-05:00"), 0.25);
    assert_eq!(share("2026-02-28T12:00:00-05:00"), 0.5007);
    assert_eq!(share("2026-03-01T12:00:00-05:00"), 0.5007);
    assert_eq!(share("2026-03-02T06:00:00-05:00"), 0.75);
    assert_eq!(share("2026-03-02T12:00:00-05:00"), 1.0);
    assert_eq!(share("2027-03-02T12:00:00-05:00"), 1.0);
    assert_eq!(us.at_share(&d, 0.5), t("2026-02-28T00:00:00-05:00"));
    assert_eq!(us.at_share(&d, 0.75), t("2026-03-02T06:00:00-05:00"));
    assert_eq!(us.at_share(&d, 1.0), d.due);
}

#[test]
fn a_request_that_was_late_when_it_came_is_due() {
    let us = clock(DeadlineRule::Us);
    let received = t("2026-03-03T10:00:00-05:00");
    let d = us.deadline(received, Some(Timestamp::MIN));
    assert_eq!(d.due, Timestamp::MIN);
    assert_eq!(us.share(&d, received), 1.0);
    assert_eq!(us.at_share(&d, 0.5), Timestamp::MIN);
}

#[test]
fn what_nobody_verified_is_marked() {
    assert!(Rule::of(DeadlineRule::Plain).is_verified());
    for rule in [DeadlineRule::Us, DeadlineRule::Canada] {
        let parts = Rule::of(rule).parts;
        assert!(parts.iter().any(|p| p.verified) && parts.iter().any(|p| !p.verified));
    }
    let zone = RuleClock::new(DeadlineRule::Us, "Mars/Olympus").unwrap_err();
    assert!(zone.to_string().contains("Mars/Olympus"));
    for rule in DeadlineRule::ALL {
        assert_eq!(DeadlineRule::from_label(rule.label()), Some(rule));
        let json = serde_json::to_string(&rule).unwrap();
        assert_eq!(json, format!("\"{}\"", rule.label()));
    }
}

proptest! {
    #[test]
    fn never_panics_and_keeps_the_order(
        received in any::<i64>(),
        near in 0i64..100_000_000_000_000_000,
        portal in proptest::option::of(any::<i64>()),
        zone in proptest::sample::select(vec![NEW_YORK, "America/St_Johns", "Africa/Cairo", "Pacific/Apia", "UTC"]),
        parts in 0.0f64..1.0,
    ) {
        for rule in DeadlineRule::ALL {
            let c = RuleClock::new(rule, zone).unwrap();
            for received in [received, t("2026-01-01T00:00:00Z").nanos() + near] {
                let received = Timestamp::from_nanos(received);
                let d = c.deadline(received, portal.map(Timestamp::from_nanos));
                let own = c.deadline(received, None);
                prop_assert!(d.starts >= received && d.due <= own.due && d.surely_by <= d.due);
                prop_assert!(own.due >= own.starts);
                let mut last = 0.0;
                for i in 0..8u64 {
                    let share = c.share(&own, received.plus(Duration::from_secs(i * 20_000)));
                    prop_assert!((0.0..=1.0).contains(&share) && share >= last);
                    last = share;
                }
                let at = c.at_share(&own, parts);
                prop_assert!(at <= own.due);
                if received.secs().abs() < 8_000_000_000 {
                    prop_assert!((c.share(&own, at) - parts).abs() < 1e-4, "{} at {}", c.share(&own, at), parts);
                }
                let _ = (c.share(&d, at), c.at_share(&d, parts));
            }
        }
    }
}
