//! The fields of a mail, by patterns over its subject and its text.
//!
//! The text is every part of plain text, and every part of HTML made text with the targets of its links below it. A pattern may match as often as it likes, in either,
//! as long as it always says the same: a mail that quotes another request is refused, because nobody can say which of the two is asked.

use std::borrow::Cow;

use mail_parser::decoders::html::html_to_text;
use mail_parser::{Message, PartType};
use regex_lite::Regex;

use crate::responder::adapter::field::Field;
use crate::responder::adapter::mapping::Found;

/// Most octets of text that are looked at.
const MAX_TEXT: usize = 256 * 1024;

/// Links of one part that are looked at.
const MAX_LINKS: usize = 256;

/// Matches of one pattern that are looked at.
const MAX_MATCHES: usize = 64;

/// Where a pattern is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In the subject.
    Subject,
    /// In the text.
    Text,
}

/// A pattern whose named groups are fields.
#[derive(Clone, Debug)]
pub struct MailPattern {
    place: Place,
    pattern: Regex,
    fields: Vec<Field>,
}

impl PartialEq for MailPattern {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place && self.pattern.as_str() == other.pattern.as_str()
    }
}

impl serde::Serialize for MailPattern {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        (self.place, self.pattern.as_str()).serialize(s)
    }
}

impl MailPattern {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// It is no pattern, or a group of it is no field.
    pub fn parse(place: Place, pattern: &str) -> Result<Self, String> {
        let pattern = Regex::new(pattern).map_err(|e| e.to_string())?;
        let mut fields = Vec::new();
        for name in pattern.capture_names().flatten() {
            let field = Field::from_label(name)
                .ok_or_else(|| format!("a group is called {name:?}, which is no field"))?;
            fields.push(field);
        }
        match fields.is_empty() {
            true => Err("it has no group such as (?<called>…)".to_owned()),
            false => Ok(Self {
                place,
                pattern,
                fields,
            }),
        }
    }

    /// The fields that it finds.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn find(&self, text: &str, found: &mut Found) -> Result<(), String> {
        for captures in self.pattern.captures_iter(text).take(MAX_MATCHES) {
            for field in &self.fields {
                let Some(group) = captures.name(field.label()) else {
                    continue;
                };
                // Lines are folded differently in text and in HTML.
                let words: Vec<&str> = group.as_str().split_whitespace().collect();
                let text = words.join(" ");
                if *field == Field::Link && !text.starts_with("https://") {
                    return Err(format!("link: {text:?} is none with https"));
                }
                found.put(*field, &text)?;
            }
        }
        Ok(())
    }
}

/// Finds the fields of a mail.
///
/// # Errors
///
/// They contradict each other, or are too long.
pub fn find(mail: &Message<'_>, patterns: &[MailPattern]) -> Result<Found, String> {
    let subject = mail.subject().unwrap_or_default();
    let texts = texts(mail)?;
    let mut found = Found::default();
    for pattern in patterns {
        match pattern.place {
            Place::Subject => pattern.find(subject, &mut found)?,
            Place::Text => {
                for text in &texts {
                    pattern.find(text, &mut found)?;
                }
            }
        }
    }
    Ok(found)
}

/// Its parts as text.
fn texts<'m>(mail: &'m Message<'_>) -> Result<Vec<Cow<'m, str>>, String> {
    let mut out: Vec<Cow<'m, str>> = Vec::new();
    let mut octets = 0;
    for part in &mail.parts {
        let text = match &part.body {
            PartType::Text(text) => Cow::Borrowed(&**text),
            PartType::Html(html) if html.len() <= MAX_TEXT => Cow::Owned(of_html(html)),
            PartType::Html(_) => return Err(format!("more than {MAX_TEXT} octets of text")),
            _ => continue,
        };
        octets += text.len();
        if octets > MAX_TEXT {
            return Err(format!("more than {MAX_TEXT} octets of text"));
        }
        out.push(text);
    }
    Ok(out)
}

/// HTML as text, with a line for the target of each link.
fn of_html(html: &str) -> String {
    let mut text = html_to_text(html);
    let mut rest = html;
    for _ in 0..MAX_LINKS {
        let Some(at) = find_ignoring_case(rest, "href") else {
            break;
        };
        rest = rest.get(at + 4..).unwrap_or_default();
        let Some(value) = rest.trim_start().strip_prefix('=') else {
            continue;
        };
        let value = value.trim_start();
        let target = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value.get(1..).and_then(|v| v.split_once(quote)),
            _ => None,
        };
        if let Some((target, after)) = target {
            text.push_str("\nlink: ");
            text.push_str(&target.replace("&amp;", "&"));
            rest = after;
        }
    }
    text
}

fn find_ignoring_case(text: &str, word: &str) -> Option<usize> {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    text.windows(word.len())
        .position(|w| w.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in(mail: &str, patterns: &[(Place, &str)]) -> Result<Found, String> {
        let patterns: Vec<_> = patterns
            .iter()
            .map(|(place, p)| MailPattern::parse(*place, p).unwrap())
            .collect();
        let mail = mail_parser::MessageParser::default()
            .parse(mail.as_bytes())
            .unwrap();
        find(&mail, &patterns)
    }

    const CALLED: (Place, &str) = (Place::Text, r"Called number:\s*(?<called>[+()\d -]+\d)");
    const LINK: (Place, &str) = (
        Place::Text,
        r"(?<link>https://portal\.example/hop/[A-Za-z0-9/?=&]+)",
    );

    #[test]
    fn subject_and_text_whatever_they_are_encoded_in() {
        let mail = "Subject: =?utf-8?Q?Hop_H=2D9?=\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n\
            Q2FsbGVkIG51bWJlcjogKDIwMikgNTU1LTAxMjMK\r\n";
        let found = find_in(mail, &[(Place::Subject, r"Hop (?<id>\S+)"), CALLED]).unwrap();
        assert_eq!(found.get(Field::Id), Some("H-9"));
        assert_eq!(found.get(Field::Called), Some("(202) 555-0123"));
    }

    #[test]
    fn html_alone_is_text_too_and_its_links_are_found() {
        let mail = "Subject: x\r\nContent-Type: text/html\r\n\r\n<table><tr><td>Called number:</td><td>(202) 555-0123</td></tr></table>\
            <A HREF='https://portal.example/hop/9?a=1&amp;b=2'>answer here</A>\r\n";
        let found = find_in(mail, &[CALLED, LINK]).unwrap();
        assert_eq!(found.get(Field::Called), Some("(202) 555-0123"));
        assert_eq!(
            found.get(Field::Link),
            Some("https://portal.example/hop/9?a=1&b=2")
        );
    }

    #[test]
    fn two_answers_to_one_question_are_none() {
        let mail =
            "Subject: x\r\n\r\nCalled number: 202-555-0123\r\n> Called number: 202-555-0199\r\n";
        let why = find_in(mail, &[CALLED]).unwrap_err();
        assert!(why.contains("twice"), "{why}");
        let same = mail.replace("0199", "0123");
        assert!(find_in(&same, &[CALLED]).is_ok());
    }

    #[test]
    fn patterns_name_fields() {
        assert!(MailPattern::parse(Place::Text, r"(?<callee>\d+)").is_err());
        assert!(MailPattern::parse(Place::Text, r"\d+").is_err());
        assert!(MailPattern::parse(Place::Text, r"(").is_err());
        assert!(
            find_in(
                "Subject: x\r\n\r\nhttp://portal.example/",
                &[(Place::Text, r"(?<link>https?://\S+)")]
            )
            .is_err()
        );
    }

    #[test]
    fn text_without_end_is_refused() {
        let mail = format!("Subject: x\r\n\r\n{}", "word ".repeat(MAX_TEXT / 4));
        assert!(find_in(&mail, &[CALLED]).is_err());
    }
}
