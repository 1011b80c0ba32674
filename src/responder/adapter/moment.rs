//! Times as other portals write them: by formats and a zone that the operator gives, into RFC 3339 with what is not known about them.
//!
//! - A time with an offset of its own is taken as it is. One with a zone beside it is read in that zone; one with neither in the configured one.
//! - A time without seconds is told with a precision of 60 s.
//! - A local time that there was twice (the clock went back) is told as the middle of both with a precision that reaches them: the look-up sees both hours, and the
//!   answer says so. A local time that there never was (the clock went forward) is refused: it can only be a mistake, in the time or in the zone.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::base::Timestamp;
use crate::traceback::request::{MAX_PRECISION_S, RawTime};

/// Precision of a time without seconds.
const MINUTE_S: f64 = 60.0;

/// One way to write a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 3339, with an offset or without.
    Rfc3339,
    /// Seconds since 1970.
    Unix,
    /// Milliseconds since 1970.
    UnixMs,
    /// As strptime(3) has it.
    Pattern(Box<str>),
}

impl Format {
    /// Reads one of the configuration: a word, or a pattern that begins with, or holds, a percent sign.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "rfc3339" => Ok(Self::Rfc3339),
            "unix" => Ok(Self::Unix),
            "unix-ms" => Ok(Self::UnixMs),
            _ if text.contains("%Z") => {
                Err("%Z can't be read; write the group or field zone, and zones".to_owned())
            }
            _ => {
                // A format that can't be read by anybody shows when what it prints is read again.
                let probe = jiff::Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC);
                let written =
                    jiff::fmt::strtime::format(text, &probe).map_err(|e| e.to_string())?;
                let read = BrokenDownTime::parse(text, &written).map_err(|e| e.to_string())?;
                if read.year().is_none() || read.hour().is_none() || read.minute().is_none() {
                    let whole = read.timestamp().is_some();
                    if !whole {
                        return Err("it lacks the year, the day, the hour or the minute".to_owned());
                    }
                }
                Ok(Self::Pattern(text.into()))
            }
        }
    }

    /// As it is written in the configuration.
    pub fn text(&self) -> &str {
        match self {
            Self::Rfc3339 => "rfc3339",
            Self::Unix => "unix",
            Self::UnixMs => "unix-ms",
            Self::Pattern(text) => text,
        }
    }
}

impl serde::Serialize for Format {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.text())
    }
}

/// How times are read.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct TimeSettings {
    /// Formats, tried in this order.
    pub formats: Vec<Format>,
    /// Zone of times that say none, such as `UTC` or `America/New_York`.
    pub zone: Option<Zone>,
    /// What the portal's own words for zones mean, such as `ET`.
    pub zones: Vec<(Box<str>, Zone)>,
}

impl Default for TimeSettings {
    fn default() -> Self {
        Self {
            formats: vec![Format::Rfc3339],
            zone: None,
            zones: Vec::new(),
        }
    }
}

/// A zone by its name or as an offset.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    name: Box<str>,
    zone: TimeZone,
}

impl Zone {
    /// `UTC`, a name of the IANA's table, or an offset such as `-05:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let zone = match text {
            "UTC" | "Z" | "GMT" => TimeZone::UTC,
            _ if text.starts_with(['+', '-']) => {
                let spec = BrokenDownTime::parse("%:z", text)
                    .or_else(|_| BrokenDownTime::parse("%z", text));
                TimeZone::fixed(spec.ok()?.offset()?)
            }
            _ => TimeZone::get(text).ok()?,
        };
        Some(Self {
            name: text.into(),
            zone,
        })
    }
}

impl serde::Serialize for Zone {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.name)
    }
}

/// A time that was read.
struct Read {
    when: When,
    seconds: bool,
}

enum When {
    At(jiff::Timestamp),
    Local(DateTime),
}

impl TimeSettings {
    /// Reads a time. `zone` is what stands beside it.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn read(&self, text: &str, zone: Option<&str>) -> Result<RawTime, String> {
        let text = text.trim();
        let read = self.formats.iter().find_map(|f| read(f, text));
        let Some(read) = read else {
            let known: Vec<&str> = self.formats.iter().map(Format::text).collect();
            return Err(format!("{text:?} is no time as {}", known.join(" or ")));
        };
        let p = if read.seconds { 0.0 } else { MINUTE_S };
        let (local, zone) = match read.when {
            When::At(at) => return Ok(told(at, p, zone.map(str::to_owned))),
            When::Local(local) => (local, self.zone_of(text, zone)?),
        };
        let at = |offset: Offset| offset.to_timestamp(local).map_err(|e| e.to_string());
        match zone.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => {
                Ok(told(at(offset)?, p, Some(zone.name.to_string())))
            }
            AmbiguousOffset::Gap { .. } => Err(format!(
                "{text:?} never was in {}: the clock went forward over it",
                zone.name
            )),
            AmbiguousOffset::Fold { before, after } => {
                let (first, second) = (at(before)?, at(after)?);
                let apart = Duration::try_from(second.duration_since(first)).unwrap_or_default();
                let half = apart / 2;
                let middle = first.checked_add(half).map_err(|e| e.to_string())?;
                let p = half.as_secs_f64() + p;
                if p > MAX_PRECISION_S {
                    return Err(format!(
                        "{text:?} was twice in {}: {first} and {second}",
                        zone.name
                    ));
                }
                let tz = format!("{} (was twice: {first} and {second})", zone.name);
                Ok(told(middle, p, Some(tz)))
            }
        }
    }

    fn zone_of(&self, text: &str, beside: Option<&str>) -> Result<Zone, String> {
        match beside.map(str::trim).filter(|z| !z.is_empty()) {
            Some(word) => {
                let named = self
                    .zones
                    .iter()
                    .find(|(w, _)| w.eq_ignore_ascii_case(word));
                let named = named.map(|(_, zone)| zone.clone());
                named.or_else(|| Zone::parse(word)).ok_or_else(|| {
                    format!("{word:?} is no zone that zones or the IANA's table knows")
                })
            }
            None => self
                .zone
                .clone()
                .ok_or_else(|| format!("{text:?} says no zone, and time.zone is not configured")),
        }
    }
}

fn told(at: jiff::Timestamp, precision: f64, tz: Option<String>) -> RawTime {
    let nanos = i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX);
    RawTime {
        value: Some(Timestamp::from_nanos(nanos).to_string()),
        tz,
        precision_s: (precision > 0.0).then_some(precision),
    }
}

fn read(format: &Format, text: &str) -> Option<Read> {
    match format {
        Format::Rfc3339 => rfc3339(text),
        Format::Unix => {
            let (whole, part) = text.split_once('.').unwrap_or((text, ""));
            let seconds: i64 = number(whole)?;
            let digits = part.len().min(9);
            let nanos: i32 = match part.get(..digits) {
                None | Some("") => 0,
                Some(p) => format!("{p:0<9}").parse().ok()?,
            };
            let at = jiff::Timestamp::new(seconds, nanos).ok()?;
            Some(exact(at))
        }
        Format::UnixMs => {
            let at = jiff::Timestamp::from_millisecond(number(text)?).ok()?;
            Some(exact(at))
        }
        Format::Pattern(pattern) => {
            let parts = BrokenDownTime::parse(&**pattern, text).ok()?;
            let seconds = parts.second().is_some() || parts.timestamp().is_some();
            let when = match (parts.timestamp(), parts.offset(), parts.iana_time_zone()) {
                (Some(at), ..) => When::At(at),
                (None, Some(_), _) => When::At(parts.to_timestamp().ok()?),
                (None, None, Some(_)) => When::At(parts.to_zoned_datetime().ok()?.timestamp()),
                (None, None, None) => When::Local(parts.to_datetime().ok()?),
            };
            Some(Read { when, seconds })
        }
    }
}

fn exact(at: jiff::Timestamp) -> Read {
    Read {
        when: When::At(at),
        seconds: true,
    }
}

/// A whole number of digits alone: what 1970 was not, nobody traces.
fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn rfc3339(text: &str) -> Option<Read> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Read {
            when: When::At(at),
            seconds: has_seconds(text),
        });
    }
    let local: DateTime = text.parse().ok()?;
    // A date alone is no time.
    let seconds = has_seconds(text);
    (text.contains(':')).then_some(Read {
        when: When::Local(local),
        seconds,
    })
}

/// Whether the time of day has its second colon.
fn has_seconds(text: &str) -> bool {
    let time = text.split(['T', 't', ' ']).nth(1).unwrap_or_default();
    let time = time
        .split(['+', '-', 'Z', 'z', '['])
        .next()
        .unwrap_or_default();
    time.matches(':').count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings(formats: &[&str], zone: &str) -> TimeSettings {
        TimeSettings {
            formats: formats.iter().map(|f| Format::parse(f).unwrap()).collect(),
            zone: Zone::parse(zone),
            zones: vec![
                ("ET".into(), Zone::parse("America/New_York").unwrap()),
                ("EST".into(), Zone::parse("-05:00").unwrap()),
            ],
        }
    }

    fn read(s: &TimeSettings, text: &str, zone: Option<&str>) -> (String, Option<f64>) {
        let time = s.read(text, zone).unwrap();
        (time.value.unwrap(), time.precision_s)
    }

    #[test]
    fn a_zone_comes_from_the_time_or_beside_it_or_the_configuration() {
        let s = settings(
            &["rfc3339", "%m/%d/%Y %I:%M:%S %p %z", "%m/%d/%Y %I:%M:%S %p"],
            "America/Chicago",
        );
        let at = |h: u8| (format!("2026-11-24T{h:02}:30:07Z"), None);
        assert_eq!(read(&s, "2026-11-24T09:30:07Z", None), at(9));
        assert_eq!(read(&s, "2026-11-24T09:30:07+02:00", None), at(7));
        assert_eq!(read(&s, "11/24/2026 09:30:07 AM -0700", None), at(16));
        assert_eq!(read(&s, "11/24/2026 09:30:07 AM", None), at(15));
        assert_eq!(read(&s, "11/24/2026 09:30:07 AM", Some("et")), at(14));
        assert_eq!(read(&s, "11/24/2026 09:30:07 AM", Some("EST")), at(14));
        assert_eq!(
            read(&s, "11/24/2026 09:30:07 AM", Some("America/Denver")),
            at(16)
        );
        let why = s.read("11/24/2026 09:30:07 AM", Some("XYZ")).unwrap_err();
        assert!(why.contains("\"XYZ\" is no zone"), "{why}");
        let none = TimeSettings { zone: None, ..s };
        let why = none.read("2026-11-24T09:30:07", None).unwrap_err();
        assert!(why.contains("says no zone"), "{why}");
    }

    #[test]
    fn a_time_without_seconds_says_so() {
        let s = settings(&["rfc3339", "%Y-%m-%d %H:%M"], "UTC");
        let minute = ("2026-11-24T09:30:00Z".to_owned(), Some(60.0));
        assert_eq!(read(&s, "2026-11-24 09:30", None), minute);
        let second = ("2026-11-24T09:30:00Z".to_owned(), None);
        assert_eq!(read(&s, "2026-11-24T09:30:00", None), second);
        assert_eq!(read(&s, "2026-11-24T09:30Z", None), minute);
    }

    #[test]
    fn a_time_that_was_twice_reaches_both_hours() {
        let s = settings(&["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"], "America/New_York");
        let time = s.read("2026-11-01 01:30:00", None).unwrap();
        // 05:30Z by summer time, 06:30Z by winter time.
        assert_eq!(time.value.as_deref(), Some("2026-11-01T06:00:00Z"));
        assert_eq!(time.precision_s, Some(1800.0));
        let tz = time.tz.unwrap();
        assert!(tz.contains("2026-11-01T05:30:00Z") && tz.contains("2026-11-01T06:30:00Z"));
        let time = s.read("2026-11-01 01:30", None).unwrap();
        assert_eq!(time.precision_s, Some(1860.0));
        // With the offset beside it, it was once.
        let time = s.read("2026-11-01 01:30:00", Some("EST")).unwrap();
        assert_eq!(time.value.as_deref(), Some("2026-11-01T06:30:00Z"));
        assert_eq!(time.precision_s, None);
    }

    #[test]
    fn a_time_that_never_was_is_refused() {
        let s = settings(&["%Y-%m-%d %H:%M:%S"], "America/New_York");
        let why = s.read("2026-03-08 02:30:00", None).unwrap_err();
        assert!(why.contains("never was"), "{why}");
    }

    #[test]
    fn seconds_since_1970() {
        let s = settings(&["unix"], "UTC");
        let at = "2026-11-24T09:30:07".to_owned();
        assert_eq!(read(&s, "1795512607", None).0, at.clone() + "Z");
        assert_eq!(read(&s, "1795512607.25", None).0, at.clone() + ".25Z");
        assert!(s.read("-1", None).is_err());
        let ms = settings(&["unix-ms"], "UTC");
        assert_eq!(read(&ms, "1795512607250", None).0, at + ".25Z");
    }

    #[test]
    fn formats_that_can_not_be_are_refused() {
        for wrong in ["%Y-%m-%d", "%H:%M", "%Z", "%Y-%m-%d %H:%M %Z", "%!", "soon"] {
            assert!(Format::parse(wrong).is_err(), "{wrong}");
        }
        for good in ["%Y-%m-%d %H:%M", "%a, %d %b %Y %T %z", "%s", "%d.%m.%Y %R"] {
            assert!(Format::parse(good).is_ok(), "{good}");
        }
    }

    proptest! {
        /// Every second of two years, in a zone with daylight saving: what is told reaches the true time.
        #[test]
        fn the_true_time_is_always_within_what_is_told(secs in 1_767_225_600i64..1_830_297_600, cut in any::<bool>()) {
            let s = settings(&["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"], "America/New_York");
            let at = jiff::Timestamp::from_second(secs).unwrap();
            let local = at.to_zoned_datetime(TimeZone::get("America/New_York").unwrap());
            let format = if cut { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %H:%M:%S" };
            let text = local.strftime(format).to_string();
            let time = s.read(&text, None).unwrap();
            let told = Timestamp::parse_rfc3339(&time.value.unwrap()).unwrap();
            let off = told.distance(Timestamp::from_secs(secs)).as_secs_f64();
            prop_assert!(off <= time.precision_s.unwrap_or(0.0), "{text}: {off}");
        }

        #[test]
        fn never_panics(text in ".{0,40}", zone in proptest::option::of(".{0,12}")) {
            let s = settings(&["rfc3339", "unix", "unix-ms", "%a, %d %b %Y %T %z", "%m/%d/%y %I:%M %p"], "America/New_York");
            let _ = s.read(&text, zone.as_deref());
            let _ = Format::parse(&text);
        }
    }
}
