//! An answer as a mail that a person reads, and sends from his own mail program (RFC 5322, MIME). It has no date: it gets one when it is sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::responder::adapter::NO_DRAFTS;
use crate::responder::adapter::directory::Directory;
use crate::responder::adapter::submission::{Words, answer_values, report_values};
use crate::responder::adapter::template::Template;
use crate::responder::case::{Parcel, ParcelKind};

/// How drafts are written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DraftSettings {
    /// To whom.
    pub to: Box<str>,
    /// From whom.
    pub from: Box<str>,
    /// Subject.
    pub subject: Template,
    /// Text.
    pub body: Template,
}

/// Whether a text may stand in To or From: one plain address.
pub fn is_address(text: &str) -> bool {
    let plain = |t: &str| {
        !t.is_empty()
            && t.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-_+=".contains(&b))
    };
    text.len() <= 254
        && text
            .split_once('@')
            .is_some_and(|(local, domain)| plain(local) && plain(domain))
}

impl DraftSettings {
    /// Writes the mail; the signed document is attached. The same parcel gives the same octets.
    ///
    /// # Errors
    ///
    /// Why a person must look.
    pub fn write(
        &self,
        portal: &str,
        parcel: &Parcel,
        words: &Words,
        directory: &Directory,
    ) -> Result<Vec<u8>, String> {
        let (subject, body) = self.texts(portal, parcel, words, directory)?;
        let name = super::super::folder::file_name(&parcel.key);
        let mut out = String::new();
        let mut line = |text: String| {
            out.push_str(&text);
            out.push_str("\r\n");
        };
        line(format!("From: {}", self.from));
        line(format!("To: {}", self.to));
        line(format!("Subject: {}", encoded(&subject)));
        line(format!("Message-ID: <{name}@tracehop.invalid>"));
        line("MIME-Version: 1.0".to_owned());
        line(format!(
            "Content-Type: multipart/mixed; boundary=\"={name}\""
        ));
        line(String::new());
        line(format!("--={name}"));
        line("Content-Type: text/plain; charset=utf-8".to_owned());
        line("Content-Transfer-Encoding: base64".to_owned());
        line(String::new());
        line(wrapped(body.as_bytes()));
        line(format!("--={name}"));
        line("Content-Type: application/json".to_owned());
        line(format!(
            "Content-Disposition: attachment; filename=\"{name}.json\""
        ));
        line("Content-Transfer-Encoding: base64".to_owned());
        line(String::new());
        line(wrapped(&parcel.body));
        line(format!("--={name}--"));
        Ok(out.into_bytes())
    }

    /// Subject and text of the mail.
    ///
    /// # Errors
    ///
    /// Why a person must look.
    pub fn texts(
        &self,
        portal: &str,
        parcel: &Parcel,
        words: &Words,
        directory: &Directory,
    ) -> Result<(String, String), String> {
        Ok(match parcel.kind {
            ParcelKind::Answer => {
                let values = answer_values(portal, &parcel.body, words, directory);
                let values = values.map_err(|e| e.to_string())?;
                let subject = self.subject.render(&values).map_err(|e| e.to_string())?;
                (
                    subject,
                    self.body.render(&values).map_err(|e| e.to_string())?,
                )
            }
            ParcelKind::Draft => return Err(NO_DRAFTS.to_owned()),
            ParcelKind::Report => {
                let values = report_values(portal, &parcel.body).map_err(|e| e.to_string())?;
                let subject = format!("Traceback report of campaign {}", parcel.subject);
                let report = values.get("report");
                let text = serde_json::to_string_pretty(&report).map_err(|e| e.to_string())?;
                (subject, text)
            }
        })
    }
}

/// A subject on one line, in words of at most 75 characters where it is not plain (RFC 2047 §2).
fn encoded(text: &str) -> String {
    let plain = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    if plain && text.len() <= 200 && !text.contains("=?") {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars().take(500) {
        // 45 octets are 60 characters of base64, and twelve go around them.
        if word.len() + c.len_utf8() > 45 {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let word = |w: &String| format!("=?utf-8?B?{}?=", STANDARD.encode(w));
    words.iter().map(word).collect::<Vec<_>>().join("\r\n ")
}

/// Base64 in lines of 76 (RFC 2045 §6.8).
fn wrapped(octets: &[u8]) -> String {
    let lines = octets.chunks(57).map(|line| STANDARD.encode(line));
    lines.collect::<Vec<_>>().join("\r\n")
}
