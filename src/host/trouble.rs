//! What is wrong with the host, said once when it begins and once when it is over: a full disk must not fill the log that says so.

use std::fmt;

/// One thing that can go wrong again and again, such as writing the store.
#[derive(Debug)]
pub struct Trouble {
    what: &'static str,
    /// What was said of it last, while it lasts.
    now: Option<String>,
    /// How often it went wrong since it began.
    times: u64,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It goes wrong, and did not before.
    Began(String),
    /// It works again, after so many failures.
    Over(u64),
}

impl Trouble {
    /// Named for the log, in words that fit in front of a colon: "writing the store".
    pub const fn new(what: &'static str) -> Self {
        Self {
            what,
            now: None,
            times: 0,
        }
    }

    /// Takes in how it went, and logs a change.
    pub fn handle<T, E: fmt::Display>(&mut self, result: &Result<T, E>) {
        match self.note(result) {
            Some(Change::Began(why)) => tracing::error!("{}: {why}", self.what),
            Some(Change::Over(times)) => {
                tracing::info!("{}: works again, after {times} failures", self.what);
            }
            None => {}
        }
    }

    /// Takes in how it went. A failure of another kind while it lasts is no change: whether it works is the state.
    pub fn note<T, E: fmt::Display>(&mut self, result: &Result<T, E>) -> Option<Change> {
        match result {
            Err(e) => {
                self.times = self.times.saturating_add(1);
                let began = self.now.is_none();
                let why = e.to_string();
                self.now = Some(why.clone());
                began.then_some(Change::Began(why))
            }
            Ok(_) => {
                self.now.take()?;
                Some(Change::Over(std::mem::take(&mut self.times)))
            }
        }
    }

    /// What is wrong now, if anything is.
    pub fn is(&self) -> Option<&str> {
        self.now.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_said_once() {
        let mut t = Trouble::new("writing the store");
        let full: Result<(), &str> = Err("no space left");
        let ok: Result<(), &str> = Ok(());
        assert_eq!(t.note(&ok), None);
        assert_eq!(t.note(&full), Some(Change::Began("no space left".into())));
        assert_eq!(t.note(&full), None);
        assert_eq!(t.note::<(), _>(&Err("read-only")), None);
        assert_eq!(t.is(), Some("read-only"));
        assert_eq!(t.note(&ok), Some(Change::Over(3)));
        assert_eq!((t.note(&ok), t.is()), (None, None));
    }
}
