//! What a check says: what it went over, and what is wrong where.

use std::path::PathBuf;

use crate::base::Timestamp;
use crate::store::embedded::layout::{Ends, Segment};

/// Findings that are listed. The rest is counted.
const LISTED: usize = 1_000;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CheckReport {
    /// Whether it looked at footers, names and lists alone.
    pub quick: bool,
    /// Files gone over.
    pub files: u64,
    /// Octets in them.
    pub octets: u64,
    /// Hours that hold records.
    pub hours: u64,
    /// Records in segments: read one by one, or as manifests and footers say where the check was quick.
    pub records: u64,
    /// Records in logs, which no segment holds yet.
    pub in_logs: u64,
    /// Second halves in files of their own.
    pub ends: u64,
    /// Rows of the coverage ledger.
    pub coverage: u64,
    /// Calls whose evidence can be read.
    pub evidence: u64,
    /// Files that went away while they were checked: a seal, compaction or retention of the process that writes the store.
    pub vanished: u64,
    /// Pieces of damage found.
    pub damaged: u64,
    /// Notes: nothing is wrong, but worth a word.
    pub noted: u64,
    /// Both, the first thousand.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Whether there is no damage.
    pub fn is_sound(&self) -> bool {
        self.damaged == 0
    }

    /// Findings that are damage, as far as they are listed.
    pub fn damage(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.grade == Grade::Damage)
    }

    pub(super) fn add(&mut self, finding: Finding) {
        match finding.grade {
            Grade::Damage => self.damaged += 1,
            Grade::Note => self.noted += 1,
        }
        if self.findings.len() < LISTED {
            self.findings.push(finding);
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// What was written is not there, or not as it was written.
    Damage,
    /// All is well, but somebody may wonder.
    Note,
}

/// Something that a check found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// Capture time of the records that are affected: the first.
    pub from: Option<Timestamp>,
    /// The last.
    pub until: Option<Timestamp>,
    /// Records that are affected; `None` where nobody can say how many.
    pub records: Option<u64>,
    /// What can be done.
    pub remedy: Remedy,
    #[serde(skip)]
    pub(super) target: Target,
}

impl Finding {
    pub(super) fn damage(file: PathBuf, what: impl Into<String>) -> Self {
        Self {
            grade: Grade::Damage,
            file,
            what: what.into(),
            from: None,
            until: None,
            records: None,
            remedy: Remedy::None,
            target: Target::None,
        }
    }

    pub(super) fn note(file: PathBuf, what: impl Into<String>) -> Self {
        Self {
            grade: Grade::Note,
            ..Self::damage(file, what)
        }
    }

    pub(super) fn touching(mut self, from: Timestamp, until: Timestamp) -> Self {
        (self.from, self.until) = (Some(from), Some(until));
        self
    }

    pub(super) fn records(mut self, records: impl Into<Option<u64>>) -> Self {
        self.records = records.into();
        self
    }

    pub(super) fn mend(mut self, remedy: Remedy, target: Target) -> Self {
        (self.remedy, self.target) = (remedy, target);
        self
    }
}

macro_rules! remedies {
    ($($name:ident $label:literal $what:literal;)*) => {
        /// What `tracehop store check --repair` does about a finding.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Remedy { $( #[doc = $what] $name, )* }

        impl Remedy {
            /// Name, as in output.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label),* }
            }

            /// In words.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$name => $what),* }
            }
        }
    };
}

remedies! {
    None "none" "nothing to repair, or nothing that could be";
    Index "index" "the index is made anew from its segment: nothing is lost";
    Manifest "manifest" "the list of the hour is made anew from names and footers: nothing is lost";
    Salvage "salvage" "rows that read are kept, the damaged file is set aside, and the ledger says that the rest is lost";
    Log "log" "frames that read are kept, and the ledger says that the rest is lost";
    SetAside "set-aside" "the file is set aside; what read of it is kept";
}

/// What a remedy is applied to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Target {
    #[default]
    None,
    Segment(Segment),
    Index(Segment),
    Ends(Ends),
    Hour(i64),
    Log(u64),
    Coverage(i64),
    Campaigns(i64),
    Evidence,
}
