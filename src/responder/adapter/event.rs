//! Events of our own protocol: a portal's word about a request, pushed or asked for.
//!
//! Comes in: an event's type and its `data`, octet by octet. Goes out: [`Incoming`]. Types that we don't know are no fault: a later portal may have more.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::responder::case::Incoming;

/// An event as it stands in a list or in a pushed body.
#[derive(Debug, Deserialize)]
pub struct RawEvent<'a> {
    /// Which kind.
    #[serde(rename = "type", borrow)]
    pub kind: std::borrow::Cow<'a, str>,
    /// What it is about.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

/// What the events other than requests name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct About {
    request_id: Box<str>,
    answer_id: Box<str>,
    case_id: Box<str>,
    reason: Box<str>,
    by: Box<str>,
}

impl RawEvent<'_> {
    /// What it says; `None` for a type that we don't know.
    ///
    /// # Errors
    ///
    /// What its data lack.
    pub fn read(&self) -> Result<Option<Incoming>, &'static str> {
        let kind = &*self.kind;
        if matches!(kind, "hop_request.created" | "hop_request.clarified") {
            let octets = self.data.get().as_bytes().to_vec();
            return Ok(Some(Incoming::Request(octets)));
        }
        let about = || serde_json::from_str::<About>(self.data.get()).map_err(|_| "data");
        let request = |about: &About| match about.request_id.is_empty() {
            true => Err("data.request_id"),
            false => Ok(about.request_id.clone()),
        };
        Ok(Some(match kind {
            "hop_request.reminder" => Incoming::Reminder {
                request: request(&about()?)?,
            },
            "hop_request.withdrawn" => Incoming::Withdrawn {
                request: request(&about()?)?,
            },
            "answer.accepted" => {
                let about = about()?;
                Incoming::Accepted {
                    request: request(&about)?,
                    answer: about.answer_id,
                }
            }
            "answer.disputed" => {
                let about = about()?;
                Incoming::Disputed {
                    request: request(&about)?,
                    answer: about.answer_id,
                    reason: about.reason,
                }
            }
            "draft.approved" | "draft.rejected" => {
                let about = about()?;
                Incoming::Drafted {
                    request: request(&about)?,
                    draft: about.answer_id,
                    by: about.by,
                    approved: kind == "draft.approved",
                    reason: about.reason,
                }
            }
            "case.closed" => {
                let case = about()?.case_id;
                if case.is_empty() {
                    return Err("data.case_id");
                }
                Incoming::CaseClosed { case }
            }
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Incoming>, &'static str> {
        serde_json::from_str::<RawEvent>(text).unwrap().read()
    }

    #[test]
    fn a_request_keeps_its_octets() {
        let read = read(r#"{"type":"hop_request.created","data":{ "id" : "R-1" }}"#).unwrap();
        assert_eq!(
            read,
            Some(Incoming::Request(br#"{ "id" : "R-1" }"#.to_vec()))
        );
    }

    #[test]
    fn every_event_names_what_it_is_about() {
        let about =
            |kind: &str, data: &str| read(&format!("{{\"type\":\"{kind}\",\"data\":{data}}}"));
        let r = r#"{"request_id":"R-1","answer_id":"A-1","reason":"no"}"#;
        assert_eq!(
            about("hop_request.reminder", r).unwrap(),
            Some(Incoming::Reminder {
                request: "R-1".into()
            })
        );
        assert_eq!(
            about("answer.disputed", r).unwrap(),
            Some(Incoming::Disputed {
                request: "R-1".into(),
                answer: "A-1".into(),
                reason: "no".into()
            })
        );
        let by = r#"{"request_id":"R-1","answer_id":"D-1","by":"mara"}"#;
        assert_eq!(
            about("draft.approved", by).unwrap(),
            Some(Incoming::Drafted {
                request: "R-1".into(),
                draft: "D-1".into(),
                by: "mara".into(),
                approved: true,
                reason: "".into()
            })
        );
        assert_eq!(about("draft.rejected", "{}"), Err("data.request_id"));
        assert_eq!(about("answer.accepted", "{}"), Err("data.request_id"));
        assert_eq!(about("case.closed", r), Err("data.case_id"));
        assert_eq!(about("hop_request.withdrawn", "[]"), Err("data.request_id"));
        assert_eq!(about("hop_request.withdrawn", "7"), Err("data"));
        assert_eq!(about("portal.moved", "7"), Ok(None));
    }
}
