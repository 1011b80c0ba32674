//! What is kept by the day: the coverage ledger, campaigns, evidence.

use super::Check;
use super::report::{Finding, Remedy, Target};
use super::segment::{is_gone, why};
use crate::base::Timestamp;
use crate::store::StoreError;
use crate::store::embedded::{campaigns, evidence, layout, ledger};

/// A day from its beginning to its end.
pub(super) fn span(day: i64) -> (Timestamp, Timestamp) {
    let start = |day: i64| layout::hour_start(day.saturating_mul(layout::DAY));
    (start(day), start(day.saturating_add(1)))
}

impl Check<'_> {
    pub(super) fn days(&mut self) -> Result<(), StoreError> {
        self.coverage()?;
        if self.options.quick {
            return Ok(());
        }
        self.campaigns()?;
        self.evidence()
    }

    fn coverage(&mut self) -> Result<(), StoreError> {
        for (path, name) in layout::list(&layout::coverage(self.root))? {
            let day = name.and_then(|n| layout::day_from(n.strip_suffix(".parquet")?));
            let Some(day) = day else {
                // A replacement that never got its name.
                if path.extension().is_none_or(|e| e != "new") {
                    self.report
                        .add(Finding::note(path, "is not ours, and left alone"));
                }
                continue;
            };
            let (from, until) = span(day);
            let damage = |what: String| {
                Finding::damage(path.clone(), what)
                    .touching(from, until)
                    .mend(Remedy::SetAside, Target::Coverage(day))
            };
            match ledger::read(&path) {
                Ok(rows) => {
                    self.count(std::slice::from_ref(&path));
                    self.report.coverage += rows.len() as u64;
                    let elsewhere = rows
                        .values()
                        .filter(|r| ledger::day_of(r.from) != day)
                        .count();
                    if elsewhere > 0 {
                        self.report
                            .add(damage(format!("{elsewhere} rows of another day")));
                    }
                }
                Err(e) if is_gone(&e) => self.report.vanished += 1,
                Err(e) => {
                    let what = format!("{}: this day counts as not looked at", why(&e));
                    self.report.add(damage(what));
                }
            }
        }
        Ok(())
    }

    fn campaigns(&mut self) -> Result<(), StoreError> {
        for (path, name) in layout::list(&layout::campaigns(self.root))? {
            let day = name.and_then(|n| layout::day_from(n.strip_suffix(".jsonl")?));
            let Some(day) = day else {
                if path.extension().is_none_or(|e| e != "new") {
                    self.report
                        .add(Finding::note(path, "is not ours, and left alone"));
                }
                continue;
            };
            let (from, until) = span(day);
            let damage = |what: String| {
                Finding::damage(path.clone(), what)
                    .touching(from, until)
                    .records(0)
                    .mend(Remedy::SetAside, Target::Campaigns(day))
            };
            match campaigns::unreadable(&path, &self.files.vault, day) {
                Ok(0) => self.count(std::slice::from_ref(&path)),
                Ok(lines) => {
                    let what = format!("{lines} states of campaigns can't be read");
                    self.report.add(damage(what));
                }
                Err(StoreError::Key { path, what }) => self.key(path, &what),
                Err(e) => self.report.add(damage(why(&e))),
            }
        }
        Ok(())
    }

    fn evidence(&mut self) -> Result<(), StoreError> {
        for (_, _, day, path) in evidence::files(self.root)? {
            if self.files.vault.is_erased(day) {
                continue;
            }
            let (from, until) = span(day);
            let found = match evidence::examine(&path, &self.files.vault) {
                Ok(found) => found,
                Err(e) if is_gone(&e) => {
                    self.report.vanished += 1;
                    continue;
                }
                Err(StoreError::Key { path, what }) => {
                    self.key(path, &what);
                    continue;
                }
                Err(e) => {
                    let finding = Finding::damage(path, why(&e)).touching(from, until);
                    self.report.add(finding);
                    continue;
                }
            };
            self.count(std::slice::from_ref(&path));
            self.report.evidence += found.calls;
            if found.damaged > 0 {
                let what = format!(
                    "{} damaged stretches: what it takes to judge some calls again is lost, their records are not",
                    found.damaged
                );
                let finding = Finding::damage(path.clone(), what)
                    .touching(from, until)
                    .records(0);
                self.report
                    .add(finding.mend(Remedy::SetAside, Target::Evidence));
            }
            if found.torn > 0 {
                let what = format!(
                    "{} octets at its end are no whole frame: just being written, or what a crash left",
                    found.torn
                );
                self.report.add(Finding::note(path, what));
            }
        }
        Ok(())
    }
}
