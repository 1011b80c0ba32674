//! What is wrong with a file of numbers, by line.

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: &'static str,
}

/// How many faults of one file are told: more are the same mistake in every line.
const TOLD: usize = 20;

/// All that is wrong with a file, as far as it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    told: Vec<Fault>,
    /// How many more there are.
    pub more: usize,
}

impl Faults {
    /// Adds one.
    pub(super) fn add(&mut self, fault: Fault) {
        if self.told.len() < TOLD {
            self.told.push(fault);
        } else {
            self.more += 1;
        }
    }

    /// The value, if nothing is wrong.
    pub(super) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.told.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }

    /// Those that are told, in the order of lines.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.told.iter()
    }
}
