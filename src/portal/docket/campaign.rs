//! Campaigns, as analysts keep them, and what becomes of reports that providers sent unasked.

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::{Actor, Docket, DocketError, Done, Problem, Result, Work};
use crate::base::Timestamp;
use crate::portal::word::Category;
use crate::traceback::answer::raw::MAX_COMMENT;
use crate::traceback::request::MAX_TEXT;

/// Most campaigns. Ours: a new one each working hour for some years; what is full is merged.
const MOST: i64 = 20_000;

/// A campaign as a form has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignForm {
    /// Its name: no other has it.
    pub name: String,
    /// A word of [`Category`].
    pub category: String,
    /// In words.
    pub summary: String,
}

impl CampaignForm {
    fn check(&self) -> Result<Category> {
        let mut wrong = Vec::new();
        let mut say = |field, wanted: &str| {
            wrong.push(Problem {
                field,
                wanted: wanted.to_owned(),
            });
        };
        let name = self.name.trim();
        if name.is_empty() || name.len() > MAX_TEXT || name.chars().any(char::is_control) {
            say("name", "a name of one line, of 256 octets at most");
        }
        if self.summary.len() > MAX_COMMENT {
            say("summary", "4096 octets at most");
        }
        let category = Category::from_label(&self.category);
        if category.is_none() {
            say("category", "one of the list");
        }
        match category {
            Some(category) if wrong.is_empty() => Ok(category),
            _ => Err(DocketError::Wrong(wrong)),
        }
    }
}

impl Docket {
    /// Makes a campaign; gives its number. Analysts.
    ///
    /// # Errors
    ///
    /// [`DocketError::Wrong`] with every field.
    pub fn make_campaign(&self, actor: &Actor, form: &CampaignForm, now: Timestamp) -> Result<i64> {
        self.write(now, |w| {
            actor.must_be_analyst()?;
            let category = form.check()?;
            w.name_is_free(form, None)?;
            let all: i64 = w
                .tx
                .query_row("SELECT count(*) FROM campaign", [], |row| row.get(0))?;
            if all >= MOST {
                let why = format!("there are {MOST} campaigns: merge some");
                return Err(DocketError::Refused(why).into());
            }
            w.tx.prepare_cached(
                "INSERT INTO campaign (name, category, summary, created, created_by) VALUES (?, ?, ?, ?, ?)",
            )?
            .execute(params![
                form.name.trim(),
                category.label(),
                form.summary.trim(),
                w.now.nanos(),
                actor.who.to_string()
            ])?;
            let id = w.tx.last_insert_rowid();
            w.note(&actor.who, "campaign made", "-", None, json!({ "campaign": id, "name": form.name.trim() }))?;
            w.touch(None, &[]);
            Ok(id)
        })
    }

    /// Says everything of a campaign anew. Analysts.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`]; [`DocketError::Wrong`] with every field.
    pub fn edit_campaign(
        &self,
        actor: &Actor,
        id: i64,
        form: &CampaignForm,
        now: Timestamp,
    ) -> Result<()> {
        self.write(now, |w| {
            actor.must_be_analyst()?;
            w.campaign_is_there(id)?;
            let category = form.check()?;
            w.name_is_free(form, Some(id))?;
            w.tx.prepare_cached(
                "UPDATE campaign SET name = ?, category = ?, summary = ? WHERE id = ?",
            )?
            .execute(params![
                form.name.trim(),
                category.label(),
                form.summary.trim(),
                id
            ])?;
            w.note(
                &actor.who,
                "campaign changed",
                "-",
                None,
                json!({ "campaign": id, "name": form.name.trim() }),
            )?;
            w.touch(None, &[]);
            Ok(())
        })
    }

    /// Puts all cases and reports of a campaign into another one, and takes the first away. Analysts.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`]; [`DocketError::Refused`] where both are the same.
    pub fn merge_campaigns(
        &self,
        actor: &Actor,
        from: i64,
        into: i64,
        now: Timestamp,
    ) -> Result<()> {
        self.write(now, |w| {
            actor.must_be_analyst()?;
            let name = w.campaign_is_there(from)?;
            w.campaign_is_there(into)?;
            if from == into {
                let why = "a campaign can't be merged into itself".to_owned();
                return Err(DocketError::Refused(why).into());
            }
            let cases = w
                .tx
                .prepare_cached("UPDATE trace SET campaign = ? WHERE campaign = ?")?
                .execute([into, from])?;
            let reports = w
                .tx
                .prepare_cached("UPDATE report SET campaign = ? WHERE campaign = ?")?
                .execute([into, from])?;
            w.tx.prepare_cached("DELETE FROM campaign WHERE id = ?")?
                .execute([from])?;
            let detail = json!({ "campaign": from, "name": name, "into": into, "cases": cases, "reports": reports });
            w.note(&actor.who, "campaigns merged", "-", None, detail)?;
            w.touch(None, &[]);
            Ok(())
        })
    }

    /// Puts a report into a campaign, or aside. Analysts.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`].
    pub fn file_report(
        &self,
        actor: &Actor,
        provider: &str,
        key: &str,
        campaign: Option<i64>,
        now: Timestamp,
    ) -> Result<()> {
        self.write(now, |w| {
            actor.must_be_analyst()?;
            if let Some(id) = campaign {
                w.campaign_is_there(id)?;
            }
            let done = w
                .tx
                .prepare_cached(
                    "UPDATE report SET campaign = ?, seen_by = ? WHERE provider = ? AND key = ?",
                )?
                .execute(params![campaign, actor.who.to_string(), provider, key])?;
            if done == 0 {
                return Err(DocketError::Absent("report").into());
            }
            let detail = json!({ "provider": provider, "key": key, "campaign": campaign });
            w.note(&actor.who, "report filed", "-", None, detail)?;
            w.touch(None, &[]);
            Ok(())
        })
    }
}

impl Work<'_> {
    /// Gives its name.
    fn campaign_is_there(&self, id: i64) -> Done<String> {
        let found = self
            .tx
            .prepare_cached("SELECT name FROM campaign WHERE id = ?")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        Ok(found.ok_or(DocketError::Absent("campaign"))?)
    }

    fn name_is_free(&self, form: &CampaignForm, mine: Option<i64>) -> Done<()> {
        let other: Option<i64> = self
            .tx
            .prepare_cached("SELECT id FROM campaign WHERE name = ? AND id IS NOT ?")?
            .query_row(params![form.name.trim(), mine], |row| row.get(0))
            .optional()?;
        match other {
            None => Ok(()),
            Some(_) => Err(DocketError::Wrong(vec![Problem {
                field: "name",
                wanted: "another name: there is a campaign of this one".to_owned(),
            }])
            .into()),
        }
    }
}
