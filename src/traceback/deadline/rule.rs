//! The rules as data. A part with `verified: false` is general knowledge that nobody has held against the text of the rule: it moves
//! deadlines, and [`Deadline::surely_by`](super::Deadline::surely_by) says when the answer would be due without it.

use jiff::civil::{Time, Weekday};

use super::DeadlineRule;
use super::calendar::{Day, Holiday};

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: DeadlineRule,
    /// How long the clock runs, in hours.
    pub hours: u32,
    /// When the office is open, both ends included; a request that comes at another time counts from the next opening.
    /// `None`: from when it comes.
    pub office: Option<(Time, Time)>,
    /// At this time of the first day that is no business day the clock stops, and at this time of the next business day it
    /// goes on. `None`: it never stops.
    pub pause: Option<Time>,
    /// Days that are no business days, besides Saturday and Sunday.
    pub holidays: &'static [Holiday],
    /// What it is made of, and how sure that is.
    pub parts: &'static [Part],
}

/// A part of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Part {
    /// What it says.
    pub says: &'static str,
    /// Where that is from.
    pub source: &'static str,
    /// Whether somebody has held it against that source.
    pub verified: bool,
}

impl Rule {
    /// The rule of a name.
    pub const fn of(name: DeadlineRule) -> &'static Self {
        match name {
            DeadlineRule::Us => &US,
            DeadlineRule::Canada => &CANADA,
            DeadlineRule::Plain => &PLAIN,
        }
    }

    /// Whether every part is verified.
    pub fn is_verified(&self) -> bool {
        self.parts.iter().all(|p| p.verified)
    }
}

const fn part(says: &'static str, source: &'static str) -> Part {
    Part {
        says,
        source,
        verified: true,
    }
}

const fn unverified(says: &'static str) -> Part {
    Part {
        says,
        source: "general knowledge; read the text of the rule before relying on it",
        verified: false,
    }
}

/// 47 CFR 64.1200(n)(1).
const US: Rule = Rule {
    name: DeadlineRule::Us,
    hours: 24,
    office: Some((Time::constant(8, 0, 0, 0), Time::constant(17, 30, 0, 0))),
    pause: Some(Time::constant(0, 1, 0, 0)),
    holidays: US_FEDERAL,
    parts: &[
        part(
            "the answer is due within 24 hours",
            "47 CFR 64.1200(n)(1); 88 FR 43446",
        ),
        part(
            "a request outside of business hours counts as received at 8:00 of the next business day",
            "JSI, 24-hour traceback response interval",
        ),
        unverified(
            "a request before 8:00 of a business day counts from 8:00 of that same day, the earlier of two readings",
        ),
        unverified("business days are Monday to Friday without federal holidays"),
        unverified("business hours end at 17:30, local time of the office that answers"),
        unverified(
            "the clock stops at 0:01 of a day that is no business day, and goes on at 0:01 of the next business day",
        ),
    ],
};

/// Canada: two business days.
const CANADA: Rule = Rule {
    name: DeadlineRule::Canada,
    hours: 48,
    office: None,
    pause: Some(Time::midnight()),
    holidays: CANADA_FEDERAL,
    parts: &[
        part(
            "the answer is due within two business days",
            "cartt.ca on the CRTC's decision, whose number is not established",
        ),
        unverified(
            "two business days are 48 hours of business days, from when the request comes: the earlier of two readings",
        ),
        unverified(
            "business days are Monday to Friday without the holidays of the Canada Labour Code, none of them moved",
        ),
    ],
};

/// 24 hours by the wall: ours, for portals whose rule is none of the others.
const PLAIN: Rule = Rule {
    name: DeadlineRule::Plain,
    hours: 24,
    office: None,
    pause: None,
    holidays: &[],
    parts: &[part("the answer is due within 24 hours", "the operator")],
};

const fn moved(name: &'static str, month: i8, day: i8) -> Holiday {
    Holiday {
        name,
        day: Day::Fixed { month, day },
        moved: true,
        since: 0,
    }
}

const fn fixed(name: &'static str, month: i8, day: i8) -> Holiday {
    Holiday {
        name,
        day: Day::Fixed { month, day },
        moved: false,
        since: 0,
    }
}

const fn nth(name: &'static str, nth: i8, weekday: Weekday, month: i8) -> Holiday {
    Holiday {
        name,
        day: Day::Nth {
            nth,
            weekday,
            month,
        },
        moved: false,
        since: 0,
    }
}

/// Legal holidays by 5 U.S.C. 6103(a), moved from a weekend by (b) and Executive Order 11582. Inauguration Day is one only around
/// Washington, and is none here: the earlier deadline.
const US_FEDERAL: &[Holiday] = &[
    moved("New Year's Day", 1, 1),
    nth("Birthday of Martin Luther King, Jr.", 3, Weekday::Monday, 1),
    nth("Washington's Birthday", 3, Weekday::Monday, 2),
    nth("Memorial Day", -1, Weekday::Monday, 5),
    // Public Law 117-17 of 17 June 2021; kept the next day.
    Holiday {
        since: 2021,
        ..moved("Juneteenth National Independence Day", 6, 19)
    },
    moved("Independence Day", 7, 4),
    nth("Labor Day", 1, Weekday::Monday, 9),
    nth("Columbus Day", 2, Weekday::Monday, 10),
    moved("Veterans Day", 11, 11),
    nth("Thanksgiving Day", 4, Weekday::Thursday, 11),
    moved("Christmas Day", 12, 25),
];

/// General holidays of the Canada Labour Code, from general knowledge: unverified.
const CANADA_FEDERAL: &[Holiday] = &[
    fixed("New Year's Day", 1, 1),
    Holiday {
        name: "Good Friday",
        day: Day::Easter { days: -2 },
        moved: false,
        since: 0,
    },
    Holiday {
        name: "Victoria Day",
        day: Day::Before {
            weekday: Weekday::Monday,
            month: 5,
            day: 25,
        },
        moved: false,
        since: 0,
    },
    fixed("Canada Day", 7, 1),
    nth("Labour Day", 1, Weekday::Monday, 9),
    Holiday {
        since: 2021,
        ..fixed("National Day for Truth and Reconciliation", 9, 30)
    },
    nth("Thanksgiving Day", 2, Weekday::Monday, 10),
    fixed("Remembrance Day", 11, 11),
    fixed("Christmas Day", 12, 25),
    fixed("Boxing Day", 12, 26),
];
