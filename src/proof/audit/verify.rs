//! Computes the whole log anew and says the first places where it is not as it was written.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Line, head, hex, line, size, whole};
use crate::proof::sign::{Flaw, Verifier};
use crate::traceback::audit::{Frontier, Hash};

use super::TreeHead;

/// Most faults that are listed.
const LISTED: usize = 20;

/// What is wrong with the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A line is not there.
    #[error("line {index} is missing")]
    Missing {
        /// Its place.
        index: u64,
    },
    /// A line's hash is not that of what it says.
    #[error("line {index} was changed: its hash is not that of what it says")]
    Changed {
        /// Its place.
        index: u64,
    },
    /// A line can't be read.
    #[error("line {index} can't be read: {why}")]
    Unreadable {
        /// Its place.
        index: u64,
        /// What the database says.
        why: String,
    },
    /// Lines agree with their own hashes and not with the tree above them.
    #[error(
        "one of the lines {first} to {last} was changed together with its hash: the tree above says so"
    )]
    Subtree {
        /// The first that it may be.
        first: u64,
        /// The last that it may be.
        last: u64,
    },
    /// The log agrees with itself and not with a head that was signed.
    #[error(
        "one of the lines {first} to {last} was changed, and the tree with it: the head signed at {size} lines says so ({of})"
    )]
    Head {
        /// The first that it may be: after the last head that holds.
        first: u64,
        /// The last that it may be.
        last: u64,
        /// Lines of the head.
        size: u64,
        /// Where the head is kept.
        of: &'static str,
    },
    /// A head speaks of more lines than there are.
    #[error("the log was cut off: it has {lines} lines, and a head was signed at {size} ({of})")]
    CutOff {
        /// How many there are.
        lines: u64,
        /// Lines of the head.
        size: u64,
        /// Where the head is kept.
        of: &'static str,
    },
    /// The signature of a head does not hold.
    #[error("the head kept at {size} lines: {flaw}")]
    Signature {
        /// Lines of the head.
        size: u64,
        /// What is wrong.
        flaw: Flaw,
    },
    /// A head says something else than the row beside it.
    #[error("the head kept at {size} lines was changed")]
    HeadChanged {
        /// Lines of the head.
        size: u64,
    },
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many lines there are.
    pub lines: u64,
    /// The root over them, as computed.
    pub root: Hash,
    /// How many heads were compared.
    pub heads: usize,
    /// Of these, whose signature was checked.
    pub signatures: usize,
    /// What is wrong, the first twenty.
    pub faults: Vec<Fault>,
}

/// Where heads are kept, for the message.
const IN_THE_LOG: &str = "kept in the log itself";
const ELSEWHERE: &str = "kept elsewhere";

/// Checks everything: each line against its hash, hashes against the tree, the tree against the heads in the log and against those that
/// somebody kept elsewhere. Without a verifier the signatures of the log's own heads are not checked.
///
/// # Errors
///
/// What the database says.
pub fn verify(
    connection: &Connection,
    verifier: Option<&Verifier>,
    kept: &[TreeHead],
) -> rusqlite::Result<Verified> {
    // One look at the database as it is now, whoever goes on writing.
    let connection = connection.unchecked_transaction()?;
    let lines = size(&connection)?;
    let mut check = Check {
        found: Verified {
            lines,
            root: [0; 32],
            heads: 0,
            signatures: 0,
            faults: Vec::new(),
        },
        tree: Frontier::default(),
        good: 0,
        heads: BTreeMap::new(),
    };
    check.own_heads(&connection, verifier)?;
    for head in kept {
        let heads = check.heads.entry(head.size).or_default();
        heads.push((head.root, ELSEWHERE));
    }
    check.at_head();
    let mut rows = connection.prepare(&format!("{} ORDER BY idx", line::SELECT))?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        check.row(&connection, row)?;
    }
    check.found.root = check.tree.root();
    check.beyond();
    check.found.faults.truncate(LISTED);
    Ok(check.found)
}

struct Check {
    found: Verified,
    tree: Frontier,
    /// Lines of the largest head that held.
    good: u64,
    heads: BTreeMap<u64, Vec<(Hash, &'static str)>>,
}

impl Check {
    fn fault(&mut self, fault: Fault) {
        if self.found.faults.len() < LISTED && !self.found.faults.contains(&fault) {
            self.found.faults.push(fault);
        }
    }

    fn own_heads(
        &mut self,
        connection: &Connection,
        verifier: Option<&Verifier>,
    ) -> rusqlite::Result<()> {
        for (size, root, signed) in head::all(connection)? {
            self.heads.entry(size).or_default().push((root, IN_THE_LOG));
            let Some(verifier) = verifier else { continue };
            match TreeHead::open(&signed.json, verifier) {
                Ok((head, _)) if head.size == size && head.root == root => {
                    self.found.signatures += 1;
                }
                Ok(_) => self.fault(Fault::HeadChanged { size }),
                Err(flaw) => self.fault(Fault::Signature { size, flaw }),
            }
        }
        Ok(())
    }

    fn row(&mut self, connection: &Connection, row: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
        let index = self.tree.size();
        let line = match Line::read(row) {
            Ok(line) => line,
            Err(e) => {
                let why = e.to_string();
                self.fault(Fault::Unreadable { index, why });
                self.push(connection, [0; 32])?;
                return Ok(());
            }
        };
        // Those before it are not there: only the first is said, since the tree can't go on without it.
        if line.index != index {
            self.fault(Fault::Missing { index });
        }
        if line.hash() != line.leaf {
            self.fault(Fault::Changed { index: line.index });
        }
        // Going on with the hash as kept finds each further line that was changed.
        self.push(connection, line.leaf)
    }

    fn push(&mut self, connection: &Connection, leaf: Hash) -> rusqlite::Result<()> {
        let mut made = Vec::new();
        self.tree
            .push(leaf, |level, index, hash| made.push((level, index, hash)));
        for (level, index, hash) in made {
            let kept: Option<Hash> = connection
                .prepare_cached("SELECT hash FROM audit_node WHERE level = ? AND idx = ?")?
                .query_row(params![level, whole(index)?], |row| row.get(0))
                .optional()?;
            if kept != Some(hash) {
                let first = index << level;
                let last = first + (1 << level) - 1;
                // The smallest subtree says it best; those above it say no more.
                let said = self.found.faults.iter().any(|f| within(f, first, last));
                if !said {
                    self.fault(Fault::Subtree { first, last });
                }
            }
        }
        self.at_head();
        Ok(())
    }

    /// Compares the tree with the heads of its size.
    fn at_head(&mut self) {
        let size = self.tree.size();
        let Some(heads) = self.heads.remove(&size) else {
            return;
        };
        let root = self.tree.root();
        for (head, of) in heads {
            self.found.heads += 1;
            let (first, last) = (self.good, size.saturating_sub(1));
            if head == root {
                continue;
            }
            let said = self.found.faults.iter().any(|f| within(f, 0, last));
            if !said {
                self.fault(Fault::Head {
                    first,
                    last,
                    size,
                    of,
                });
            }
        }
        if !self
            .found
            .faults
            .iter()
            .any(|f| matches!(f, Fault::Head { .. }))
        {
            self.good = size;
        }
    }

    /// Heads of trees that are larger than the log.
    fn beyond(&mut self) {
        let lines = self.tree.size();
        for (size, heads) in std::mem::take(&mut self.heads) {
            for (_, of) in heads {
                self.found.heads += 1;
                self.fault(Fault::CutOff { lines, size, of });
            }
        }
    }
}

/// Whether a fault names a line in a span.
fn within(fault: &Fault, first: u64, last: u64) -> bool {
    let span = first..=last;
    match fault {
        Fault::Missing { index } | Fault::Changed { index } | Fault::Unreadable { index, .. } => {
            span.contains(index)
        }
        Fault::Subtree { first, .. } | Fault::Head { first, .. } => span.contains(first),
        Fault::CutOff { .. } | Fault::Signature { .. } | Fault::HeadChanged { .. } => false,
    }
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn holds(&self) -> bool {
        self.faults.is_empty()
    }
}

impl serde::Serialize for Verified {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = s.serialize_struct("Verified", 5)?;
        out.serialize_field("lines", &self.lines)?;
        out.serialize_field("root", &hex(&self.root))?;
        out.serialize_field("heads", &self.heads)?;
        out.serialize_field("signatures", &self.signatures)?;
        let faults: Vec<String> = self.faults.iter().map(Fault::to_string).collect();
        out.serialize_field("faults", &faults)?;
        out.end()
    }
}
