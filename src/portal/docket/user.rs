//! People who use the console: made, changed and locked out.
//!
//! There is no page for it: an operator makes them at the portal's host (`tracehop portal user`), so that no role can raise itself.

use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::json;

use super::{Actor, Docket, DocketError, Done, Problem, Result, Work};
use crate::base::Timestamp;
use crate::portal::password::Secret;
use crate::portal::word::Role;
use crate::proof::Who;

/// Longest name of a user; it stands in the audit log on every line of his.
const MOST_NAME: usize = 64;
/// Longest full name, and name of an organisation.
const MOST_TEXT: usize = 200;
/// Wrong passwords in a row that cost nothing: people mistype.
const FREE: u32 = 5;
/// The first lock-out, in seconds; each further wrong password doubles it.
const FIRST_LOCK_S: i64 = 30;
/// The longest: who knows a name can keep its owner out for no more than that. OWASP's Authentication Cheat Sheet asks for growing delays.
const MOST_LOCK_S: i64 = 15 * 60;

/// Somebody who uses the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// By which he logs in, and the audit log knows him.
    pub name: Box<str>,
    /// As people know him.
    pub full_name: Box<str>,
    /// What he may do.
    pub role: Role,
    /// For whom he works: requesters see the cases of theirs.
    pub organisation: Box<str>,
    /// Of staff of a provider: which.
    pub provider: Option<Box<str>>,
    /// Whether he may not log in.
    pub disabled: bool,
}

impl User {
    /// As the audit log names him.
    pub fn who(&self) -> Who {
        Who::User(self.name.clone())
    }

    /// As acts know him.
    pub fn actor(&self) -> Actor {
        Actor {
            who: self.who(),
            role: self.role,
            organisation: (&*self.organisation).into(),
            provider: self.provider.as_deref().map(Into::into),
        }
    }
}

/// What is known about a name before a password is checked.
#[derive(Clone, Debug)]
pub struct Door {
    /// His password.
    pub secret: Secret,
    /// Whether it counts now: not disabled, not locked out.
    pub open: bool,
}

impl Docket {
    /// Makes a user.
    ///
    /// # Errors
    ///
    /// [`DocketError::Wrong`] with every field; [`DocketError::Absent`] for a provider that is not there; the database.
    pub fn add_user(&self, by: &Who, user: &User, secret: &Secret, now: Timestamp) -> Result<()> {
        self.write(now, |w| w.add_user(by, user, secret))
    }

    /// Gives a user another password, and ends his sessions but for `keep` (the hash of the one that asks).
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`]; the database.
    pub fn set_password(
        &self,
        by: &Who,
        name: &str,
        secret: &Secret,
        keep: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<()> {
        self.write(now, |w| {
            let sql = "UPDATE user SET secret = ?, failed = 0, locked_until = NULL WHERE name = ?";
            w.one_user(sql, params![secret.phc(), name])?;
            let sql = "DELETE FROM session WHERE user = ? AND hash IS NOT ?";
            w.tx.execute(sql, params![name, keep])?;
            w.note(by, "user-password", "-", None, json!({ "user": name }))?;
            Ok(())
        })
    }

    /// Lets a user in or not; ends his sessions where not.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`]; the database.
    pub fn set_user_disabled(
        &self,
        by: &Who,
        name: &str,
        disabled: bool,
        now: Timestamp,
    ) -> Result<()> {
        self.write(now, |w| {
            let sql =
                "UPDATE user SET disabled = ?, failed = 0, locked_until = NULL WHERE name = ?";
            w.one_user(sql, params![disabled, name])?;
            if disabled {
                w.tx.execute("DELETE FROM session WHERE user = ?", [name])?;
            }
            let act = if disabled {
                "user-disabled"
            } else {
                "user-enabled"
            };
            w.note(by, act, "-", None, json!({ "user": name }))?;
            Ok(())
        })
    }

    /// All users, by name.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn users(&self) -> Result<Vec<User>> {
        self.read(|tx| {
            let sql = format!("SELECT {COLUMNS} FROM user ORDER BY name LIMIT 10000");
            let mut statement = tx.prepare_cached(&sql)?;
            let rows = statement.query_map([], read)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// One user.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`]; the database.
    pub fn user(&self, name: &str) -> Result<User> {
        self.read(|tx| {
            let sql = format!("SELECT {COLUMNS} FROM user WHERE name = ?");
            let user = tx
                .prepare_cached(&sql)?
                .query_row([name], read)
                .optional()?;
            user.ok_or(DocketError::Absent("user").into())
        })
    }

    /// What a password for this name is held against; `None` where nobody has the name.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn door(&self, name: &str, now: Timestamp) -> Result<Option<Door>> {
        self.read(|tx| {
            let sql = "SELECT secret, disabled, locked_until FROM user WHERE name = ?";
            let door = |row: &Row<'_>| {
                let locked: Option<i64> = row.get(2)?;
                Ok(Door {
                    secret: Secret::from_phc(&row.get::<_, String>(0)?),
                    open: !row.get::<_, bool>(1)? && locked.is_none_or(|l| l <= now.nanos()),
                })
            };
            Ok(tx.prepare_cached(sql)?.query_row([name], door).optional()?)
        })
    }

    /// Counts a wrong password that was tried while the door was open, and locks it for a while after some.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn note_wrong_password(&self, name: &str, from: &str, now: Timestamp) -> Result<()> {
        self.write(now, |w| {
            let sql = "UPDATE user SET failed = failed + 1 WHERE name = ? RETURNING failed";
            let failed: Option<u32> = w.tx.query_row(sql, [name], |row| row.get(0)).optional()?;
            let Some(failed) = failed else { return Ok(()) };
            let lock = lock_s(failed);
            if lock > 0 {
                let until = now.plus(std::time::Duration::from_secs(lock.unsigned_abs()));
                w.tx.execute(
                    "UPDATE user SET locked_until = ? WHERE name = ?",
                    params![until.nanos(), name],
                )?;
            }
            let detail = json!({ "from": from, "locked_s": lock });
            w.note(&Who::User(name.into()), "login-failed", "-", None, detail)?;
            Ok(())
        })
    }
}

impl Work<'_> {
    fn add_user(&mut self, by: &Who, user: &User, secret: &Secret) -> Done<()> {
        let mut wrong = Vec::new();
        let mut want = |field, ok: bool, wanted: &str| {
            if !ok {
                let wanted = wanted.to_owned();
                wrong.push(Problem { field, wanted });
            }
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
        let named = !user.name.is_empty() && user.name.len() <= MOST_NAME;
        want(
            "name",
            named && user.name.chars().all(plain),
            "letters, digits, '.', '-', '_' and '@'; at most 64",
        );
        let short = |text: &str| text.len() <= MOST_TEXT && !text.chars().any(char::is_control);
        let full = !user.full_name.trim().is_empty() && short(&user.full_name);
        want("full_name", full, "a name of at most 200 octets");
        let staff = user.role == Role::Provider;
        want(
            "provider",
            user.provider.is_some() == staff,
            "a provider for staff of one, and none for others",
        );
        let organised = !user.organisation.trim().is_empty() || user.role != Role::Requester;
        want(
            "organisation",
            organised && short(&user.organisation),
            "the organisation whose cases a requester sees; at most 200 octets",
        );
        let sql = "SELECT EXISTS (SELECT 1 FROM user WHERE name = ?)";
        let taken: bool = self.tx.query_row(sql, [&user.name], |row| row.get(0))?;
        want("name", !taken, "a name that nobody has");
        if !wrong.is_empty() {
            return Err(DocketError::Wrong(wrong).into());
        }
        if let Some(provider) = &user.provider {
            let sql = "SELECT EXISTS (SELECT 1 FROM provider WHERE id = ?)";
            if !self.tx.query_row(sql, [provider], |row| row.get(0))? {
                return Err(DocketError::Absent("provider").into());
            }
        }
        self.tx.execute(
            "INSERT INTO user (name, full_name, role, organisation, provider, secret, disabled, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                user.name,
                user.full_name,
                user.role.label(),
                user.organisation,
                user.provider,
                secret.phc(),
                user.disabled,
                self.now.nanos()
            ],
        )?;
        let detail = json!({ "user": user.name, "role": user.role, "provider": user.provider });
        self.note(by, "user-added", "-", None, detail)?;
        Ok(())
    }

    fn one_user(&self, sql: &str, params: impl rusqlite::Params) -> Done<()> {
        match self.tx.execute(sql, params)? {
            0 => Err(DocketError::Absent("user").into()),
            _ => Ok(()),
        }
    }
}

/// Columns of [`read`].
pub(super) const COLUMNS: &str =
    "user.name, user.full_name, user.role, user.organisation, user.provider, user.disabled";

/// A user out of the columns of [`COLUMNS`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<User> {
    let role: String = row.get(2)?;
    let unknown =
        || rusqlite::Error::InvalidColumnType(2, "role".into(), rusqlite::types::Type::Text);
    Ok(User {
        name: row.get(0)?,
        full_name: row.get(1)?,
        role: Role::from_label(&role).ok_or_else(unknown)?,
        organisation: row.get(3)?,
        provider: row.get(4)?,
        disabled: row.get(5)?,
    })
}

/// How long the door stays locked after so many wrong passwords in a row.
fn lock_s(failed: u32) -> i64 {
    let Some(beyond) = failed.checked_sub(FREE) else {
        return 0;
    };
    FIRST_LOCK_S
        .saturating_mul(1_i64 << beyond.min(10))
        .min(MOST_LOCK_S)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::docket::sample;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn user(name: &str, role: Role) -> User {
        User {
            name: name.into(),
            full_name: "Ann Analyst".into(),
            role,
            organisation: "Example Bureau".into(),
            provider: None,
            disabled: false,
        }
    }

    #[test]
    fn users_are_made_once_and_checked() {
        let (docket, _folder) = sample::empty();
        let by = Who::Terminal("root".into());
        let secret = Secret::from_phc("x");
        let ann = user("ann", Role::Analyst);
        docket.add_user(&by, &ann, &secret, NOW).unwrap();
        assert_eq!(docket.user("ann").unwrap(), ann);
        for (field, wrong) in [
            ("name", user("ann", Role::Analyst)),
            ("name", user("a b", Role::Analyst)),
            ("name", user("", Role::Analyst)),
            ("provider", user("bob", Role::Provider)),
            (
                "full_name",
                User {
                    full_name: " ".into(),
                    ..user("bob", Role::Analyst)
                },
            ),
            (
                "organisation",
                User {
                    organisation: "".into(),
                    ..user("bob", Role::Requester)
                },
            ),
        ] {
            match docket.add_user(&by, &wrong, &secret, NOW) {
                Err(DocketError::Wrong(p)) => assert_eq!(p[0].field, field, "{wrong:?}"),
                other => panic!("{wrong:?}: {other:?}"),
            }
        }
        let strange = User {
            provider: Some("nobody".into()),
            ..user("bob", Role::Provider)
        };
        let gone = docket.add_user(&by, &strange, &secret, NOW);
        assert!(matches!(gone, Err(DocketError::Absent("provider"))));
        assert_eq!(docket.users().unwrap(), [ann]);
    }

    #[test]
    fn wrong_passwords_lock_the_door_for_longer_and_longer() {
        let (docket, _folder) = sample::empty();
        let by = Who::Terminal("root".into());
        let ann = user("ann", Role::Analyst);
        docket
            .add_user(&by, &ann, &Secret::from_phc("x"), NOW)
            .unwrap();
        let open = |at| docket.door("ann", at).unwrap().unwrap().open;
        for _ in 0..4 {
            docket.note_wrong_password("ann", "192.0.2.1", NOW).unwrap();
            assert!(open(NOW));
        }
        let after = |s: u64| NOW.plus(std::time::Duration::from_secs(s));
        docket.note_wrong_password("ann", "192.0.2.1", NOW).unwrap();
        assert!(!open(after(29)) && open(after(30)));
        docket.note_wrong_password("ann", "192.0.2.1", NOW).unwrap();
        assert!(!open(after(59)) && open(after(60)));
        for _ in 0..40 {
            docket.note_wrong_password("ann", "192.0.2.1", NOW).unwrap();
        }
        assert!(
            !open(after(899)) && open(after(900)),
            "no owner is kept out for ever"
        );
        docket
            .note_wrong_password("nobody", "192.0.2.1", NOW)
            .unwrap();
        docket
            .set_password(&by, "ann", &Secret::from_phc("y"), None, NOW)
            .unwrap();
        assert!(open(NOW));
        docket.set_user_disabled(&by, "ann", true, NOW).unwrap();
        assert!(!open(NOW));
        assert!(docket.door("nobody", NOW).unwrap().is_none());
    }
}
