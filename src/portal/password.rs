//! Passwords of the console's users: Argon2id, never kept as typed.
//!
//! One hash takes some 20 ms and 19 MiB on purpose: callers run it where waiting is allowed, and few at once.

use std::fmt;
use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

/// Memory in KiB, rounds, lanes: the first choice of OWASP's Password Storage Cheat Sheet for Argon2id on servers that hash for many people at
/// once. RFC 9106 §4 asks for more memory than a small host can spare for each person who logs in.
const COST: (u32, u32, u32) = (19_456, 2, 1);
/// Fewest characters (NIST SP 800-63B asks for 8 beside a second factor and 15 without; ours is between, with a lock-out).
pub const LEAST: usize = 12;
/// Most octets: a page of text is no password, and each is hashed.
pub const MOST: usize = 256;

/// A password as it is kept: a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

/// Why a password can't be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short.
    #[error("{LEAST} characters at least: a few words in a row are good")]
    Short,
    /// Too long.
    #[error("{MOST} octets at most")]
    Long,
    /// It is what everybody tries first.
    #[error(
        "something else than the user name, the portal's name or one character again and again"
    )]
    Guessable,
    /// The machine has no randomness, or no memory.
    #[error("no hash could be made: {0}")]
    Failed(String),
}

impl Secret {
    /// Hashes a password. `known` are texts that everybody knows: the user's name, the portal's.
    ///
    /// # Errors
    ///
    /// [`PasswordError`].
    pub fn of(password: &str, known: &[&str]) -> Result<Self, PasswordError> {
        if password.chars().count() < LEAST {
            return Err(PasswordError::Short);
        }
        if password.len() > MOST {
            return Err(PasswordError::Long);
        }
        let lower = password.to_lowercase();
        let same = |k: &&str| !k.is_empty() && lower.replace(&k.to_lowercase(), "").len() < 6;
        let first = password.chars().next();
        if known.iter().any(same) || password.chars().all(|c| Some(c) == first) {
            return Err(PasswordError::Guessable);
        }
        Self::hashed(password)
    }

    fn hashed(password: &str) -> Result<Self, PasswordError> {
        let failed = |e: String| PasswordError::Failed(e);
        let argon = argon().map_err(|e| failed(e.to_string()))?;
        let hash: PasswordHash = argon
            .hash_password(password.as_bytes())
            .map_err(|e| failed(e.to_string()))?;
        Ok(Self(hash.to_string().into()))
    }

    /// As the database keeps it.
    pub fn phc(&self) -> &str {
        &self.0
    }

    /// Out of the database.
    pub fn from_phc(text: &str) -> Self {
        Self(text.into())
    }

    /// Whether this is the password.
    pub fn fits(&self, password: &str) -> bool {
        let Ok(hash) = PasswordHash::new(&self.0) else {
            return false;
        };
        // The costs are those of the hash, so that older ones still fit.
        password.len() <= MOST
            && argon().is_ok_and(|a| a.verify_password(password.as_bytes(), &hash).is_ok())
    }
}

/// Takes the time that a check takes, and fits nothing: for names that nobody has.
pub fn fits_nobody(password: &str) -> bool {
    static NOBODY: LazyLock<Option<Secret>> = LazyLock::new(|| Secret::hashed("nobody").ok());
    if let Some(nobody) = &*NOBODY {
        let _ = nobody.fits(password);
    }
    false
}

fn argon() -> Result<Argon2<'static>, argon2::Error> {
    let (memory, rounds, lanes) = COST;
    let params = Params::new(memory, rounds, lanes, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_fits() {
        let secret = Secret::of("a few words in a row", &["ann"]).unwrap();
        assert!(secret.phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let kept = Secret::from_phc(secret.phc());
        assert!(kept.fits("a few words in a row"));
        assert!(!kept.fits("a few words in a Row"));
        assert!(!kept.fits(""));
        assert!(!Secret::from_phc("a few words in a row").fits("a few words in a row"));
        assert!(!fits_nobody("nobody"));
        assert_eq!(format!("{kept:?}"), "Secret(…)");
    }

    #[test]
    fn what_everybody_tries_first_is_refused() {
        for (password, why) in [
            ("elevenchars", PasswordError::Short),
            ("äöüäöüäöüäö", PasswordError::Short),
            ("aaaaaaaaaaaaaaaa", PasswordError::Guessable),
            ("Ann.Analyst2026", PasswordError::Guessable),
        ] {
            assert_eq!(
                Secret::of(password, &["ann.analyst"]),
                Err(why),
                "{password}"
            );
        }
        let long = "ab".repeat(200);
        assert_eq!(Secret::of(&long, &[]), Err(PasswordError::Long));
    }
}
