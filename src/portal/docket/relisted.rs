//! The directory changed: cases that were stuck at somebody whom it did not know, or who was suspended, go on.

use std::collections::BTreeSet;

use rusqlite::params;

use super::party::STUB;
use super::work::{Done, Work};

/// Most cases that go on within the act that changed the directory; the others go on with their next event, or at the next start. Ours: some tenths of a second.
const AT_ONCE: u32 = 500;

impl Work<'_> {
    /// Walks on what waited for `provider`: to be called at the end of every act that lists it, changes its ids, or takes it back.
    pub(super) fn relisted(&mut self, provider: &str) -> Done<()> {
        let stuck: Vec<(String, String, String)> = {
            let mut found = self.tx.prepare_cached(
                "SELECT h.id, h.trace, h.named FROM trace t JOIN hop h ON h.trace = t.id
                 WHERE t.state = 'stuck' AND (h.named = ?1 OR substr(h.named, 1, length(?2)) = ?2) LIMIT ?3",
            )?;
            let rows = found.query_map(params![provider, STUB, AT_ONCE], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?))
            })?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        let mut go_on = BTreeSet::new();
        for (hop, trace, named) in stuck {
            if named == provider || self.renamed(&hop, provider)? {
                go_on.insert(trace);
            }
        }
        go_on.iter().try_for_each(|trace| self.walk(trace))
    }

    /// Whether the party that an answer names is this provider by now; then it is written down.
    fn renamed(&mut self, hop: &str, provider: &str) -> Done<bool> {
        let hop = self.hop(hop)?;
        let Some(party) = self.named_party(&hop)? else {
            return Ok(false);
        };
        match self.named(&party)? {
            Ok(now) if *now.id == *provider => {}
            _ => return Ok(false),
        }
        self.tx.execute(
            "UPDATE answer SET named = ? WHERE hop = ? AND id = ?",
            params![provider, hop.id, hop.answer],
        )?;
        self.tx.execute(
            "UPDATE hop SET named = ? WHERE id = ?",
            params![provider, hop.id],
        )?;
        Ok(true)
    }
}
