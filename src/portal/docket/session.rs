//! Sessions of the console: a random cookie, of which only the hash is kept.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::user::{self, User};
use super::{Docket, DocketError, Result};
use crate::base::Timestamp;
use crate::proof::Who;

/// A session ends when nobody used it for so long (OWASP's Session Management Cheat Sheet: 15 to 30 minutes where little is at risk).
pub const IDLE: Duration = Duration::from_secs(30 * 60);
/// And after a working day in any case.
pub const LIFE: Duration = Duration::from_secs(12 * 3600);
/// How exactly it is kept when a session was last used: a page is read many times, and need not wait for the disk.
const SEEN: Duration = Duration::from_secs(60);
/// Sessions of one user at once: his devices. The oldest ends.
const MOST: i64 = 10;
/// Octets of randomness in a cookie, and in what forms carry.
const RANDOM: usize = 32;

/// A session that has begun.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie(Box<str>);

impl Cookie {
    /// What the browser keeps.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cookie(…)")
    }
}

/// A session under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of its cookie: names it.
    pub hash: Box<[u8]>,
    /// Whose it is.
    pub user: User,
    /// What each of its forms carries.
    pub csrf: Box<str>,
}

impl Docket {
    /// Begins a session for somebody whose password was right.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`] where the user may not log in; [`DocketError::Refused`] without randomness; the database.
    pub fn begin_session(&self, name: &str, from: &str, now: Timestamp) -> Result<Cookie> {
        let (cookie, csrf) = (random()?, random()?);
        self.write(now, |w| {
            let sql = "UPDATE user SET failed = 0, locked_until = NULL WHERE name = ? AND NOT disabled";
            if w.tx.execute(sql, [name])? == 0 {
                return Err(DocketError::Absent("user").into());
            }
            let (now, idle) = (w.now.nanos(), w.now.minus(IDLE).nanos());
            w.tx.execute(
                "DELETE FROM session WHERE expires <= ? OR (user = ? AND seen <= ?)",
                params![now, name, idle],
            )?;
            w.tx.execute(
                "DELETE FROM session WHERE user = ?1 AND hash NOT IN
                     (SELECT hash FROM session WHERE user = ?1 ORDER BY created DESC, rowid DESC LIMIT ?2)",
                params![name, MOST - 1],
            )?;
            w.tx.execute(
                "INSERT INTO session (hash, user, csrf, created, seen, expires) VALUES (?, ?, ?, ?, ?, ?)",
                params![hash(&cookie), name, csrf, now, now, w.now.plus(LIFE).nanos()],
            )?;
            let who = Who::User(name.into());
            w.note(&who, "login", "-", None, json!({ "from": from }))?;
            Ok(())
        })?;
        Ok(Cookie(cookie.into()))
    }

    /// The session of a cookie, as long as it lasts. `used` says whether a person asks: a page that waits for news keeps no session alive.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn session(&self, cookie: &str, used: bool, now: Timestamp) -> Result<Option<Session>> {
        let hash = hash(cookie);
        let found = self.read(|tx| {
            let sql = format!(
                "SELECT {}, session.csrf, session.seen FROM session JOIN user ON user.name = session.user
                 WHERE session.hash = ? AND session.expires > ? AND session.seen > ? AND NOT user.disabled",
                user::COLUMNS
            );
            let params = params![hash, now.nanos(), now.minus(IDLE).nanos()];
            let found = tx.prepare_cached(&sql)?.query_row(params, |row| {
                let session = Session {
                    hash: hash.clone().into(),
                    user: user::read(row)?,
                    csrf: row.get(6)?,
                };
                Ok((session, Timestamp::from_nanos(row.get(7)?)))
            });
            Ok(found.optional()?)
        })?;
        let Some((session, seen)) = found else {
            return Ok(None);
        };
        if used && now > seen.plus(SEEN) {
            self.write(now, |w| {
                let sql = "UPDATE session SET seen = ? WHERE hash = ?";
                w.tx.execute(sql, params![now.nanos(), hash])?;
                Ok(())
            })?;
        }
        Ok(Some(session))
    }

    /// Ends a session.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn end_session(&self, session: &Session, now: Timestamp) -> Result<()> {
        self.write(now, |w| {
            w.tx.execute("DELETE FROM session WHERE hash = ?", [&session.hash])?;
            w.note(&session.user.who(), "logout", "-", None, json!({}))?;
            Ok(())
        })
    }
}

fn hash(cookie: &str) -> Vec<u8> {
    digest(&SHA256, cookie.as_bytes()).as_ref().to_vec()
}

fn random() -> Result<String> {
    let mut octets = [0; RANDOM];
    SystemRandom::new()
        .fill(&mut octets)
        .map_err(|_| DocketError::Refused("the machine gives no randomness".to_owned()))?;
    Ok(URL_SAFE_NO_PAD.encode(octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::docket::sample;
    use crate::portal::password::Secret;
    use crate::portal::word::Role;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn after(s: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(s))
    }

    fn with_ann() -> (Docket, tempfile::TempDir) {
        let (docket, folder) = sample::empty();
        let ann = User {
            name: "ann".into(),
            full_name: "Ann".into(),
            role: Role::Analyst,
            organisation: "".into(),
            provider: None,
            disabled: false,
        };
        let by = Who::Terminal("root".into());
        docket
            .add_user(&by, &ann, &Secret::from_phc("x"), NOW)
            .unwrap();
        (docket, folder)
    }

    #[test]
    fn a_session_ends_when_idle_and_after_a_day_and_when_told() {
        let (docket, _folder) = with_ann();
        let cookie = docket.begin_session("ann", "192.0.2.1", NOW).unwrap();
        let at = |s| docket.session(cookie.text(), true, after(s)).unwrap();
        assert_eq!(&*at(1).unwrap().user.name, "ann");
        assert!(at(1799).is_some());
        assert!(at(1799 + 1799).is_some(), "it was used");
        assert!(at(1799 + 1799 + 1801).is_none(), "it was idle");

        let cookie = docket.begin_session("ann", "192.0.2.1", NOW).unwrap();
        let day = (1..24).map(|n| n * 1799).take_while(|s| *s < 12 * 3600);
        for s in day {
            assert!(
                docket
                    .session(cookie.text(), true, after(s))
                    .unwrap()
                    .is_some(),
                "{s}"
            );
        }
        assert!(
            docket
                .session(cookie.text(), true, after(12 * 3600))
                .unwrap()
                .is_none()
        );

        let cookie = docket.begin_session("ann", "192.0.2.1", NOW).unwrap();
        let session = docket.session(cookie.text(), true, NOW).unwrap().unwrap();
        docket.end_session(&session, NOW).unwrap();
        assert!(docket.session(cookie.text(), true, NOW).unwrap().is_none());
    }

    #[test]
    fn waiting_for_news_keeps_no_session_alive() {
        let (docket, _folder) = with_ann();
        let cookie = docket.begin_session("ann", "192.0.2.1", NOW).unwrap();
        assert!(
            docket
                .session(cookie.text(), false, after(1799))
                .unwrap()
                .is_some()
        );
        assert!(
            docket
                .session(cookie.text(), true, after(1801))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn the_oldest_of_too_many_ends_and_a_new_password_ends_all_others() {
        let (docket, _folder) = with_ann();
        let all: Vec<Cookie> = (0..11)
            .map(|n| docket.begin_session("ann", "192.0.2.1", after(n)).unwrap())
            .collect();
        let there = |c: &Cookie| docket.session(c.text(), true, after(20)).unwrap();
        assert!(there(&all[0]).is_none());
        assert!(all[1..].iter().all(|c| there(c).is_some()));
        let mine = there(&all[3]).unwrap();
        let who = Who::User("ann".into());
        docket
            .set_password(
                &who,
                "ann",
                &Secret::from_phc("y"),
                Some(&mine.hash),
                after(20),
            )
            .unwrap();
        assert_eq!(all.iter().filter(|c| there(c).is_some()).count(), 1);
        docket
            .set_user_disabled(&who, "ann", true, after(20))
            .unwrap();
        assert!(there(&all[3]).is_none());
        assert!(docket.begin_session("ann", "192.0.2.1", after(20)).is_err());
    }

    #[test]
    fn neither_cookie_nor_password_is_in_the_file() {
        let (docket, folder) = with_ann();
        let cookie = docket.begin_session("ann", "192.0.2.1", NOW).unwrap();
        assert_eq!(cookie.text().len(), 43);
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let octets = std::fs::read(file.unwrap().path()).unwrap();
            let text = String::from_utf8_lossy(&octets);
            assert!(!text.contains(cookie.text()));
        }
    }
}
