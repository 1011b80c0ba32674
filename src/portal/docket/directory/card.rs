//! What the directory says of a provider, as it is handed in, imported and exported; every field checked.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::{DocketError, Problem, Result};
use crate::traceback::deadline::{DeadlineRule, RuleClock};
use crate::web::client::BaseUrl;

/// Longest id: a path segment, a file name, a column of every table.
const ID: usize = 64;
/// Longest name and the like.
const TEXT: usize = 256;
/// Other ids of one provider: a holding has some dozens of OCNs.
const IDS: usize = 64;

/// A provider as the directory has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Its id at this portal.
    pub id: Arc<str>,
    /// Legal name.
    pub name: Arc<str>,
    /// ISO 3166 code.
    #[serde(default = "us")]
    pub country: Arc<str>,
    /// Number in the Robocall Mitigation Database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rmd: Option<Arc<str>>,
    /// FCC registration number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frn: Option<Arc<str>>,
    /// Operating company numbers or service provider codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ocns: Vec<Arc<str>>,
    /// Whom to reach.
    #[serde(default)]
    pub contact: Contact,
    /// Where events are pushed to; without it the provider asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_url: Option<Arc<str>>,
    /// By which rule its deadlines run.
    #[serde(default)]
    pub deadline: DeadlineRule,
    /// Where its business hours are.
    #[serde(default = "new_york")]
    pub time_zone: Arc<str>,
    /// Name in its client certificate, or `sha256:` and the fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Arc<str>>,
}

/// Whom to reach at a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Contact {
    /// Person or desk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// Mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<Arc<str>>,
    /// Telephone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<Arc<str>>,
    /// A page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Arc<str>>,
}

fn us() -> Arc<str> {
    "US".into()
}

fn new_york() -> Arc<str> {
    "America/New_York".into()
}

impl Card {
    /// A provider of which no more is known than id and name.
    pub fn new(id: &str, name: &str) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            country: us(),
            rmd: None,
            frn: None,
            ocns: Vec::new(),
            contact: Contact::default(),
            push_url: None,
            deadline: DeadlineRule::default(),
            time_zone: new_york(),
            certificate: None,
        }
    }

    /// Looks at every field.
    ///
    /// # Errors
    ///
    /// [`DocketError::Wrong`] with all that is wrong.
    pub fn check(&self) -> Result<()> {
        let mut wrong = Vec::new();
        let mut say = |field, wanted: &str| {
            wrong.push(Problem {
                field,
                wanted: wanted.to_owned(),
            });
        };
        if !is_id(&self.id) {
            say(
                "id",
                "1 to 64 letters, digits, \"-\", \"_\" or \".\", and a letter or digit first",
            );
        }
        if !is_text(&self.name) {
            say("name", "1 to 256 characters on one line");
        }
        if self.country.len() != 2 || !self.country.bytes().all(|b| b.is_ascii_uppercase()) {
            say("country", "two capital letters of ISO 3166, such as \"US\"");
        }
        if self.rmd.as_ref().is_some_and(|t| !is_id(t)) {
            say("rmd", "the number, such as \"RMD0001234\"");
        }
        if self.frn.as_ref().is_some_and(|t| !is_id(t)) {
            say("frn", "the number, of ten digits");
        }
        if self.ocns.len() > IDS || !self.ocns.iter().all(|o| is_id(o)) {
            say("ocns", "64 codes at most, such as \"7077\"");
        }
        let c = &self.contact;
        let lines = [&c.name, &c.mail, &c.phone, &c.url];
        if lines.into_iter().flatten().any(|t| !is_text(t)) {
            say("contact", "1 to 256 characters on one line each");
        }
        let url = self.push_url.as_ref();
        if url.is_some_and(|u| u.len() > 2 * TEXT || BaseUrl::parse(u).is_none()) {
            say(
                "push_url",
                "a URL with https, such as \"https://provider.example.net/v1/hop-requests\"",
            );
        }
        if RuleClock::new(self.deadline, &self.time_zone).is_err() {
            say("time_zone", "one such as \"America/New_York\"");
        }
        if self.certificate.as_ref().is_some_and(|t| !is_text(t)) {
            say(
                "certificate",
                "a name in the certificate, or \"sha256:\" and its fingerprint",
            );
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(DocketError::Wrong(wrong)),
        }
    }

    /// Every id under which others may name it, in upper case.
    pub fn others(&self) -> impl Iterator<Item = String> {
        let all = [Some(&self.id), self.rmd.as_ref(), self.frn.as_ref()];
        let all = all.into_iter().flatten().chain(&self.ocns);
        let mut all: Vec<String> = all.map(|id| id.to_uppercase()).collect();
        all.sort();
        all.dedup();
        all.into_iter()
    }
}

/// What may stand in a path, in a file's name and in a log as it is.
pub(super) fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    text.len() <= ID
        && text.bytes().all(plain)
        && text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
}

fn is_text(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= TEXT && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_looked_at() {
        let good = Card::new("EV-01", "Example Voice");
        good.check().unwrap();
        let bad = Card {
            id: "../x".into(),
            name: "\u{7}".into(),
            country: "usa".into(),
            rmd: Some("a b".into()),
            frn: Some("".into()),
            ocns: vec!["".into()],
            contact: Contact {
                mail: Some("a\nb".into()),
                ..Contact::default()
            },
            push_url: Some("http://provider.example.net/".into()),
            deadline: DeadlineRule::Us,
            time_zone: "Mars/Olympus".into(),
            certificate: Some(" ".into()),
        };
        let Err(DocketError::Wrong(all)) = bad.check() else {
            panic!("it was taken");
        };
        let fields: Vec<_> = all.iter().map(|p| p.field).collect();
        assert_eq!(
            fields,
            [
                "id",
                "name",
                "country",
                "rmd",
                "frn",
                "ocns",
                "contact",
                "push_url",
                "time_zone",
                "certificate"
            ]
        );
    }

    #[test]
    fn ids_are_compared_in_upper_case_and_once() {
        let card = Card {
            ocns: vec!["707a".into(), "707A".into()],
            ..Card::new("ev-01", "Example Voice")
        };
        assert_eq!(card.others().collect::<Vec<_>>(), ["707A", "EV-01"]);
    }
}
