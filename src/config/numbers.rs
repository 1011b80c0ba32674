//! `[numbers]` and `[flags]`: how numbers are written here, the lists that an operator brings, and what flags are set by.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::reader::{Problem, Section};
use crate::call::classify::{Flag, FlagSettings, Flags, OwnNumbers};
use crate::number::{Allocations, Faults, NumberPlan, NumberSet, Tn};

/// The largest file that is read. A national list of thousands blocks has 30 MB.
const LARGEST: u64 = 256 << 20;

/// What stands in both sections, and in the files that they name.
pub(super) struct Read {
    pub plan: NumberPlan,
    pub flags: FlagSettings,
    pub problems: Vec<Problem>,
    /// Checksum of the files.
    pub version: u32,
}

/// Reads both sections and the files.
pub(super) fn read(numbers: Section<'_, '_>, flags: Section<'_, '_>, own: OwnNumbers) -> Read {
    let plan = plan(&numbers);
    let mut files = Files {
        problems: Vec::new(),
        version: 0,
    };
    let allocations = files.read(&numbers, "allocations", Allocations::parse);
    let mut list = |key| {
        let set = files.read(&numbers, key, |text| NumberSet::parse(text, &plan));
        Arc::new(set.unwrap_or_default())
    };
    let (do_not_originate, protected) = (list("do_not_originate"), list("protected"));
    let default = FlagSettings::default();
    let emergency = match flags.texts("emergency") {
        texts if texts.is_empty() => vec![("911", 0..0), ("112", 0..0)],
        texts => texts,
    };
    let codes = emergency.into_iter().flat_map(|(text, span)| {
        let code = Tn::from_canonical(text.as_bytes()).filter(|t| t.as_str().len() <= 6);
        if code.is_none() {
            flags.problem_at(
                &span,
                format!("{text:?} is no emergency number"),
                "write it as it is dialled, up to six digits, such as \"911\"",
            );
        }
        // Some switches put the country code in front of it.
        let long = format!("{}{text}", plan.country_code);
        [code, code.and_then(|_| Tn::from_canonical(long.as_bytes()))]
    });
    let emergency = NumberSet::of(codes.flatten());
    let hours = flags.integer("callback_hours", 2, 0..25);
    let days = flags.integer("learning_days", 7, 0..91);
    let settings = FlagSettings {
        disabled: disabled(&flags),
        own,
        allocations: allocations.map(Arc::new),
        do_not_originate,
        protected,
        emergency: Arc::new(emergency),
        callback: Duration::from_secs(hours * 3_600),
        learning: Duration::from_secs(days * 86_400),
        learning_calls: flags.integer("learning_calls", default.learning_calls, 1..1_000_000_001),
    };
    for section in [numbers, flags] {
        section.finish();
    }
    Read {
        plan,
        flags: settings,
        problems: files.problems,
        version: files.version,
    }
}

fn plan(s: &Section<'_, '_>) -> NumberPlan {
    let default = NumberPlan::default();
    let digits = |key, default: String| match s.text(key) {
        Some((t, _)) if t.bytes().all(|b| b.is_ascii_digit()) => t.to_owned(),
        Some((t, span)) => {
            s.problem_at(
                &span,
                format!("{t:?} is not digits"),
                "write digits, such as \"1\"",
            );
            default
        }
        None => default,
    };
    let country_code = digits("country_code", default.country_code);
    let length = s.integer("national_length", 10, 4..16);
    let prefixes = s.texts("international_prefixes").into_iter();
    let prefixes: Vec<String> = prefixes.map(|(t, _)| t.to_owned()).collect();
    NumberPlan {
        country_code,
        national_length: usize::try_from(length).unwrap_or(10),
        international_prefixes: if prefixes.is_empty() {
            default.international_prefixes
        } else {
            prefixes
        },
    }
}

fn disabled(s: &Section<'_, '_>) -> Flags {
    let mut out = Flags::default();
    for (text, span) in s.texts("disabled") {
        match Flag::from_label(text) {
            Some(flag) => out.insert(flag),
            None => s.problem_at(
                &span,
                format!("no flag has the name {text:?}"),
                "take it out; `tracehop flags` lists all names",
            ),
        }
    }
    out
}

/// Reads the files that a section names.
struct Files {
    problems: Vec<Problem>,
    version: u32,
}

impl Files {
    fn read<T>(
        &mut self,
        s: &Section<'_, '_>,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Faults>,
    ) -> Option<T> {
        let path = s.file(s.text(key)?.0);
        let text = match text_of(&path) {
            Ok(text) => text,
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        self.version = crc32c::crc32c_append(self.version, text.as_bytes());
        match parse(&text) {
            Ok(value) => Some(value),
            Err(faults) => {
                self.problems.extend(problems(&path, &faults));
                None
            }
        }
    }
}

fn text_of(path: &Path) -> Result<String, Problem> {
    let size = std::fs::metadata(path).map_or(0, |m| m.len());
    if size > LARGEST {
        return Err(Problem {
            file: path.to_owned(),
            line: 0,
            what: format!("has {size} octets: more than {LARGEST}"),
            remedy: "take out what is not needed, or write prefixes".to_owned(),
        });
    }
    super::read(path)
}

fn problems<'a>(path: &'a Path, faults: &'a Faults) -> impl Iterator<Item = Problem> + 'a {
    let problem = |line, what: String, remedy: &str| Problem {
        file: path.to_owned(),
        line,
        what,
        remedy: remedy.to_owned(),
    };
    let more = (faults.more > 0).then(|| {
        let what = format!("{} more lines are wrong", faults.more);
        problem(0, what, "mend those named first")
    });
    let told = faults.iter();
    told.map(move |f| problem(f.line, f.what.clone(), f.remedy))
        .chain(more)
}

#[cfg(test)]
mod tests;
