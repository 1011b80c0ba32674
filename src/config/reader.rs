//! Reading TOML so that every problem is found in one go, each with its line and what to write instead.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What examples have where only the operator can know what to write.
const REPLACE_ME: &str = "REPLACE_ME";

/// Something wrong in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Which file.
    pub file: PathBuf,
    /// Line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to write or do instead.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(
                f,
                "{}: {}\n    {}",
                self.file.display(),
                self.what,
                self.remedy
            ),
            n => write!(
                f,
                "{}:{n}: {}\n    {}",
                self.file.display(),
                self.what,
                self.remedy
            ),
        }
    }
}

/// One file's text and what was found wrong with it.
pub(super) struct Reader<'t> {
    file: PathBuf,
    /// Paths in the file are relative to this.
    folder: PathBuf,
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
    /// Files that it names, to be read.
    files: RefCell<Vec<PathBuf>>,
}

/// One table of the file. Keys that were never asked for are reported when it is finished.
pub(super) struct Section<'r, 't> {
    reader: &'r Reader<'t>,
    name: String,
    table: Option<&'r DeTable<'t>>,
    span: Range<usize>,
    asked: RefCell<Vec<&'static str>>,
    /// What it needs is not there, so the rest was perhaps never asked for.
    cut: Cell<bool>,
}

impl<'t> Reader<'t> {
    /// Parses the text; syntax errors become problems, and what could be read is there all the same.
    pub fn parse(file: &Path, text: &'t str) -> (Self, Spanned<DeTable<'t>>) {
        // The folder of a bare file name is empty, and nobody can make or open that.
        let folder = match file.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let reader = Self {
            file: file.to_owned(),
            folder: folder.to_owned(),
            text,
            problems: RefCell::default(),
            files: RefCell::default(),
        };
        let (table, errors) = DeTable::parse_recoverable(text);
        for e in errors {
            let span = e.span().unwrap_or(0..0);
            reader.problem(&span, e.message().to_owned(), "mend the TOML syntax here");
        }
        (reader, table)
    }

    pub fn problem(&self, span: &Range<usize>, what: String, remedy: impl Into<String>) {
        let line = self
            .text
            .as_bytes()
            .iter()
            .take(span.start)
            .filter(|b| **b == b'\n')
            .count()
            + 1;
        let problem = Problem {
            file: self.file.clone(),
            line,
            what,
            remedy: remedy.into(),
        };
        let mut problems = self.problems.borrow_mut();
        // A key may be asked for twice: whether it is there, and what it is.
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    pub fn root<'r>(&'r self, table: &'r Spanned<DeTable<'t>>) -> Section<'r, 't> {
        Section {
            reader: self,
            name: String::new(),
            table: Some(table.get_ref()),
            span: 0..0,
            asked: RefCell::default(),
            cut: Cell::default(),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every file that was asked for, there or not.
    pub fn files(&self) -> Vec<PathBuf> {
        self.files.borrow().clone()
    }

    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|p| p.line);
        problems
    }
}

impl<'r, 't> Section<'r, 't> {
    /// A table inside this one; empty where it is missing, so that defaults apply.
    pub fn section(&self, key: &'static str) -> Section<'r, 't> {
        let found = self.value(key);
        let table = found.and_then(|v| v.get_ref().as_table());
        if let Some(v) = found
            && table.is_none()
        {
            self.wrong_type(v, key, "a table", &format!("[{key}]"));
        }
        Section {
            reader: self.reader,
            name: self.path(key),
            table,
            span: found.map_or(self.span.clone(), Spanned::span),
            asked: RefCell::default(),
            cut: Cell::default(),
        }
    }

    /// The tables of `[[key]]`.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'r, 't>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(value, key, "a list of tables", &format!("[[{key}]]"));
            return Vec::new();
        };
        let tables = array.iter().filter_map(|v| {
            let table = v.get_ref().as_table();
            if table.is_none() {
                self.wrong_type(v, key, "a list of tables", &format!("[[{key}]]"));
            }
            Some(Section {
                reader: self.reader,
                name: self.path(key),
                table: Some(table?),
                span: v.span(),
                asked: RefCell::default(),
                cut: Cell::default(),
            })
        });
        tables.collect()
    }

    pub fn text(&self, key: &'static str) -> Option<(&'r str, Range<usize>)> {
        let v = self.value(key)?;
        match v.get_ref().as_str() {
            Some(s) if s.contains(REPLACE_ME) => {
                self.to_be_replaced(key, v);
                None
            }
            Some(s) if !s.trim().is_empty() => Some((s, v.span())),
            Some(_) => {
                self.reader.problem(
                    &v.span(),
                    format!("{} is empty", self.path(key)),
                    "write a value, or take the line out",
                );
                None
            }
            None => {
                self.wrong_type(v, key, "text", &format!("{key} = \"…\""));
                None
            }
        }
    }

    /// A path that nobody reads now.
    pub fn place(&self, key: &'static str) -> Option<PathBuf> {
        self.text(key).map(|(t, _)| self.reader.folder.join(t))
    }

    /// A file that a text names, and that is read now and at every reload.
    pub fn file(&self, text: &str) -> PathBuf {
        let path = self.reader.folder.join(text);
        self.reader.files.borrow_mut().push(path.clone());
        path
    }

    /// A file, or a folder of them, that must be there.
    pub fn existing(&self, key: &'static str, remedy: &str) -> Option<PathBuf> {
        self.existing_at(self.text(key)?, remedy)
    }

    /// The same of a text at hand.
    pub fn existing_at(&self, (text, span): (&str, Range<usize>), remedy: &str) -> Option<PathBuf> {
        let path = self.file(text);
        if !path.exists() {
            self.problem_at(&span, format!("{} does not exist", path.display()), remedy);
        }
        Some(path)
    }

    /// A text that must be there.
    pub fn required(&self, key: &'static str, example: &str) -> Option<(&'r str, Range<usize>)> {
        if self.value(key).is_none() {
            self.reader.problem(
                &self.span,
                format!("{} is missing", self.path(key)),
                format!("write, for instance: {key} = {example}"),
            );
        }
        let text = self.text(key);
        self.cut.set(self.cut.get() || text.is_none());
        text
    }

    pub fn texts(&self, key: &'static str) -> Vec<(&'r str, Range<usize>)> {
        let Some(v) = self.value(key) else {
            return Vec::new();
        };
        let Some(array) = v.get_ref().as_array() else {
            self.wrong_type(v, key, "a list of texts", &format!("{key} = [\"…\"]"));
            return Vec::new();
        };
        let one = |v: &'r Spanned<DeValue<'t>>| {
            let text = v.get_ref().as_str();
            if text.is_none() {
                self.wrong_type(v, key, "a list of texts", &format!("{key} = [\"…\"]"));
            }
            if text.is_some_and(|t| t.contains(REPLACE_ME)) {
                self.to_be_replaced(key, v);
                return None;
            }
            Some((text?, v.span()))
        };
        array.iter().filter_map(one).collect()
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let (text, span) = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let all: Vec<_> = words.iter().map(|(w, _)| format!("\"{w}\"")).collect();
            self.problem_at(
                &span,
                format!("{} has no choice {text:?}", self.path(key)),
                format!("write one of {}", all.join(", ")),
            );
        }
        found.map(|(_, value)| *value)
    }

    /// `true` or `false`.
    pub fn truth(&self, key: &'static str) -> Option<bool> {
        let v = self.value(key)?;
        let truth = v.get_ref().as_bool();
        if truth.is_none() {
            self.wrong_type(v, key, "true or false", &format!("{key} = false"));
        }
        truth
    }

    /// A whole number within limits, or the default.
    pub fn integer(&self, key: &'static str, default: u64, range: Range<u64>) -> u64 {
        self.integer_if(key, range).unwrap_or(default)
    }

    pub fn integer_if(&self, key: &'static str, range: Range<u64>) -> Option<u64> {
        let v = self.value(key)?;
        let n = v
            .get_ref()
            .as_integer()
            .and_then(|i| u64::from_str_radix(&i.as_str().replace('_', ""), i.radix()).ok());
        if let Some(n) = n.filter(|n| range.contains(n)) {
            return Some(n);
        }
        self.reader.problem(
            &v.span(),
            format!(
                "{} is not a whole number from {} to {}",
                self.path(key),
                range.start,
                range.end - 1
            ),
            format!("write, for instance: {key} = {}", range.start),
        );
        None
    }

    /// Whole numbers within limits, in their order; `None` where the key is missing.
    pub fn integers(&self, key: &'static str, range: Range<u64>) -> Option<Vec<u64>> {
        let v = self.value(key)?;
        let example = format!("{key} = [{}]", range.start);
        let Some(array) = v.get_ref().as_array() else {
            self.wrong_type(v, key, "a list of whole numbers", &example);
            return None;
        };
        let one = |v: &'r Spanned<DeValue<'t>>| {
            let n = v.get_ref().as_integer();
            let n =
                n.and_then(|i| u64::from_str_radix(&i.as_str().replace('_', ""), i.radix()).ok());
            let n = n.filter(|n| range.contains(n));
            if n.is_none() {
                let what = format!("whole numbers from {} to {}", range.start, range.end - 1);
                self.wrong_type(v, key, &what, &example);
            }
            n
        };
        Some(array.iter().filter_map(one).collect())
    }

    /// `true` or `false`, or the default.
    pub fn flag(&self, key: &'static str, default: bool) -> bool {
        let Some(v) = self.value(key) else {
            return default;
        };
        match v.get_ref().as_bool() {
            Some(flag) => flag,
            None => {
                self.wrong_type(v, key, "true or false", &format!("{key} = {default}"));
                default
            }
        }
    }

    /// A number from `low` to `high`, or the default.
    pub fn number(&self, key: &'static str, default: f64, low: f64, high: f64) -> f64 {
        let Some(v) = self.value(key) else {
            return default;
        };
        let n = v
            .get_ref()
            .as_float()
            .and_then(|f| f.as_str().parse::<f64>().ok());
        match n.filter(|n| (low..=high).contains(n)) {
            Some(n) => n,
            None => {
                self.reader.problem(
                    &v.span(),
                    format!("{} is not a number from {low} to {high}", self.path(key)),
                    format!("write, for instance: {key} = {default}"),
                );
                default
            }
        }
    }

    pub fn problem_at(&self, span: &Range<usize>, what: String, remedy: impl Into<String>) {
        self.reader.problem(span, what, remedy);
    }

    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Whether a key stands there.
    pub fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// Reports the keys that nobody asked for; where a required one is missing, only those that look like a misspelt one.
    pub fn finish(self) {
        self.finish_ref();
    }

    /// The same of a section that is looked at afterwards.
    pub fn finish_ref(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if asked.contains(&name) {
                continue;
            }
            let near = asked
                .iter()
                .min_by_key(|a| distance(a, name))
                .filter(|a| distance(a, name) <= 3);
            let remedy = match near {
                // The key itself may be right, and was only not asked for.
                Some(near) if self.cut.get() && distance(near, name) * 2 >= name.len() => continue,
                Some(near) => format!("did you mean {near}?"),
                None if self.cut.get() => continue,
                None => format!("take it out; known here: {}", asked.join(", ")),
            };
            self.reader.problem(
                &key.span(),
                format!("unknown key {}", self.path(name)),
                remedy,
            );
        }
    }

    fn value(&self, key: &'static str) -> Option<&'r Spanned<DeValue<'t>>> {
        self.asked.borrow_mut().push(key);
        self.table?.get(key)
    }

    fn to_be_replaced(&self, key: &str, v: &Spanned<DeValue<'_>>) {
        self.reader.problem(
            &v.span(),
            format!("{} is still {REPLACE_ME}", self.path(key)),
            "write what your own portal's documents say, or take the line out",
        );
    }

    fn wrong_type(&self, v: &Spanned<DeValue<'_>>, key: &str, want: &str, example: &str) {
        self.reader.problem(
            &v.span(),
            format!("{} is not {want}", self.path(key)),
            format!("write: {example}"),
        );
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }
}

/// Levenshtein distance: how many letters a misspelt key is away from a known one.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (cell, cb) in row.iter_mut().skip(1).zip(&b) {
            let new = (corner + usize::from(ca != *cb))
                .min(left + 1)
                .min(*cell + 1);
            corner = std::mem::replace(cell, new);
            left = new;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("retention_days", "retention_day"), 1);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
