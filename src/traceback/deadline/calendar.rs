//! Business days of any year, from a table of holidays.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};

/// A holiday.
#[derive(Clone, Copy, Debug)]
pub struct Holiday {
    /// Its name.
    pub name: &'static str,
    /// Its day.
    pub day: Day,
    /// Whether one on a Saturday is kept on the Friday before, one on a Sunday on the Monday after.
    pub moved: bool,
    /// First year of it.
    pub since: i16,
}

/// On which day of a year.
#[derive(Clone, Copy, Debug)]
pub enum Day {
    /// The same each year.
    Fixed {
        /// Month.
        month: i8,
        /// Day of the month.
        day: i8,
    },
    /// The n-th such weekday of a month; -1 is the last.
    Nth {
        /// Which.
        nth: i8,
        /// Weekday.
        weekday: Weekday,
        /// Month.
        month: i8,
    },
    /// The last such weekday before a day.
    Before {
        /// Weekday.
        weekday: Weekday,
        /// Month.
        month: i8,
        /// Day of the month.
        day: i8,
    },
    /// So many days from Easter Sunday.
    Easter {
        /// Days after it; negative before.
        days: i16,
    },
}

impl Day {
    /// The day in a year; `None` at the ends of the calendar.
    fn of(self, year: i16) -> Option<Date> {
        let date = |month, day| Date::new(year, month, day).ok();
        match self {
            Self::Fixed { month, day } => date(month, day),
            Self::Nth {
                nth,
                weekday,
                month,
            } => date(month, 1)?.nth_weekday_of_month(nth, weekday).ok(),
            Self::Before {
                weekday,
                month,
                day,
            } => date(month, day)?.nth_weekday(-1, weekday).ok(),
            Self::Easter { days } => easter(year)?.checked_add(i64::from(days).days()).ok(),
        }
    }
}

/// Easter Sunday of the Gregorian calendar (Meeus, Jones and Butcher: Astronomical Algorithms, chapter 8).
fn easter(year: i16) -> Option<Date> {
    let y = i32::from(year);
    let (a, b, c) = (y % 19, y / 100, y % 100);
    let h = (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30;
    let l = (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let n = h + l - 7 * m + 114;
    let (month, day) = (i8::try_from(n / 31).ok()?, i8::try_from(n % 31 + 1).ok()?);
    Date::new(year, month, day).ok()
}

/// Name of the holiday that is kept on a day.
pub fn holiday(holidays: &'static [Holiday], date: Date) -> Option<&'static str> {
    let falls = |on: Date, moved_only: bool| {
        holidays
            .iter()
            .find(|h| {
                (h.moved || !moved_only) && on.year() >= h.since && h.day.of(on.year()) == Some(on)
            })
            .map(|h| h.name)
    };
    falls(date, false).or_else(|| match date.weekday() {
        Weekday::Friday => falls(date.tomorrow().ok()?, true),
        Weekday::Monday => falls(date.yesterday().ok()?, true),
        _ => None,
    })
}

/// Whether people are at work.
pub fn is_business_day(holidays: &'static [Holiday], date: Date) -> bool {
    !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
        && holiday(holidays, date).is_none()
}
