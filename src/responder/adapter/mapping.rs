//! What a foreign portal's request says, field by field, put into a hop request of our own protocol.
//!
//! What is not there is left out: the desk then asks for it, as it asks anybody. What is there and can't be read is a reason to refuse, because
//! then most likely the mapping is wrong and not the portal; a person looks.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::directory::Directory;
use super::field::Field;
use super::moment::TimeSettings;
use crate::base::Timestamp;
use crate::traceback::request::{
    MAX_IDS, MAX_OCTETS, ProviderIds, RawCall, RawCampaign, RawHopRequest, RawRequester, RawTime,
};

/// How fields are understood once they have been found.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct MappingSettings {
    /// Times.
    pub time: TimeSettings,
    /// Fields that are the same for every request, such as who asks.
    pub fixed: Vec<(Field, Box<str>)>,
    /// Whether a request that names no case is a case of its own.
    pub case_is_request: bool,
    /// What the portal's words for `true` and `false` are, beside those.
    pub words_true: Vec<Box<str>>,
    /// Likewise.
    pub words_false: Vec<Box<str>>,
    /// States of a request that mean that it was taken back.
    pub withdrawn: Vec<Box<str>>,
    /// Our neighbours and what the portal calls them.
    pub directory: Directory,
}

/// Fields as they were found, each bounded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found(BTreeMap<Field, String>);

impl Found {
    /// Takes a field in; an empty one is none.
    ///
    /// # Errors
    ///
    /// It is too long, or was there already and said something else.
    pub fn put(&mut self, field: Field, text: &str) -> Result<(), String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        if text.len() > field.most() {
            return Err(format!(
                "{}: {} octets; at most {} are read",
                field.label(),
                text.len(),
                field.most()
            ));
        }
        let before = self.0.get(&field);
        if before.is_some_and(|b| b != text) {
            return Err(format!("{} is there twice and differs", field.label()));
        }
        self.0.insert(field, text.to_owned());
        Ok(())
    }

    /// What was found.
    pub fn get(&self, field: Field) -> Option<&str> {
        self.0.get(&field).map(String::as_str)
    }
}

/// What fields come to.
#[derive(Clone, Debug, PartialEq)]
pub enum Mapped {
    /// A hop request, as JSON of our protocol.
    Request {
        /// The portal's id of it.
        id: Box<str>,
        /// The octets: the same for the same fields.
        octets: Vec<u8>,
    },
    /// The portal took this request back.
    Withdrawn {
        /// Its id.
        id: Box<str>,
    },
}

impl MappingSettings {
    /// Makes a hop request of what was found.
    ///
    /// # Errors
    ///
    /// Everything that can't be read, in words.
    pub fn map(&self, mut found: Found) -> Result<Mapped, String> {
        for (field, text) in &self.fixed {
            if found.get(*field).is_none() {
                found.put(*field, text)?;
            }
        }
        let Some(id) = found.get(Field::Id).map(Box::<str>::from) else {
            return Err("id: there is none, so nobody could answer it".to_owned());
        };
        if let Some(state) = found.get(Field::State)
            && self.withdrawn.iter().any(|w| w.eq_ignore_ascii_case(state))
        {
            return Ok(Mapped::Withdrawn { id });
        }
        let mut wrong = Vec::new();
        let request = self.request(&found, &mut wrong);
        if !wrong.is_empty() {
            return Err(wrong.join("; "));
        }
        let mut value = serde_json::to_value(&request).map_err(|e| e.to_string())?;
        if let (Some(link), Some(members)) = (found.get(Field::Link), value.as_object_mut()) {
            members.insert("source".to_owned(), json!({ "link": link }));
        }
        let octets = serde_json::to_vec(&value).map_err(|e| e.to_string())?;
        if octets.len() > MAX_OCTETS {
            return Err(format!(
                "{} octets; at most {MAX_OCTETS} are taken",
                octets.len()
            ));
        }
        Ok(Mapped::Request { id, octets })
    }

    fn request(&self, found: &Found, wrong: &mut Vec<String>) -> RawHopRequest {
        let text = |f| found.get(f).map(str::to_owned);
        let case_id = text(Field::CaseId).or_else(|| {
            let own = self.case_is_request.then(|| text(Field::Id));
            own.flatten()
        });
        let requester = [Field::RequesterId, Field::RequesterRole].map(text);
        let [id, role] = requester;
        let campaign = [Field::CampaignName, Field::CampaignSummary, Field::MediaUrl].map(text);
        let [name, summary, media_url] = campaign;
        RawHopRequest {
            id: text(Field::Id),
            case_id,
            hop_no: self.number(found, Field::HopNo, wrong),
            issued_at: self.stamp(found, Field::IssuedAt, wrong),
            due_at: self.stamp(found, Field::DueAt, wrong),
            priority: text(Field::Priority).map(|p| p.to_ascii_lowercase()),
            legal_basis: text(Field::LegalBasis),
            requester: (id.is_some() || role.is_some()).then_some(RawRequester { id, role }),
            downstream: self.downstream(found),
            call: self.call(found, wrong),
            campaign: (name.is_some() || summary.is_some() || media_url.is_some()).then_some(
                RawCampaign {
                    name,
                    summary,
                    media_url,
                },
            ),
            previous_hop_digest: text(Field::PreviousHopDigest),
        }
    }

    /// The portal's id of the downstream, and what our own records know that provider by.
    fn downstream(&self, found: &Found) -> Option<ProviderIds> {
        let name = found.get(Field::DownstreamName).map(str::to_owned);
        let mut provider_ids = Vec::new();
        if let Some(id) = found.get(Field::Downstream) {
            provider_ids.push(id.to_owned());
            let own = self.directory.our_ids(id).iter().map(|i| i.to_string());
            // A request may bear sixteen; a name that stands for more neighbours says nothing.
            provider_ids.extend(own.take(MAX_IDS - 1));
            provider_ids.dedup();
        }
        (name.is_some() || !provider_ids.is_empty()).then_some(ProviderIds { provider_ids, name })
    }

    fn call(&self, found: &Found, wrong: &mut Vec<String>) -> Option<RawCall> {
        let text = |f| found.get(f).map(str::to_owned);
        let call = RawCall {
            called: text(Field::Called),
            calling: text(Field::Calling),
            time: self.time(found, wrong),
            duration_s: self.number(found, Field::DurationS, wrong),
            answered: self.truth(found, Field::Answered, wrong),
            sip_call_id: text(Field::SipCallId),
            session_id: text(Field::SessionId),
            origid: text(Field::Origid),
            identity_sha256: text(Field::IdentitySha256),
            identity: text(Field::Identity),
        };
        (call != RawCall::default()).then_some(call)
    }

    fn time(&self, found: &Found, wrong: &mut Vec<String>) -> Option<RawTime> {
        let time = found.get(Field::Time)?;
        let whole = match found.get(Field::Date) {
            Some(date) => format!("{date} {time}"),
            None => time.to_owned(),
        };
        let mut read = match self.time.read(&whole, found.get(Field::Zone)) {
            Ok(read) => read,
            Err(why) => {
                wrong.push(format!("time: {why}"));
                return None;
            }
        };
        if let Some(p) = self.number::<f64>(found, Field::PrecisionS, wrong) {
            // What the portal says holds, unless we know that less is known.
            let least = read.precision_s.unwrap_or(0.0);
            read.precision_s = Some(p.max(least));
        }
        Some(read)
    }

    /// A point in time of the request itself: without a doubt, or not at all.
    fn stamp(&self, found: &Found, field: Field, wrong: &mut Vec<String>) -> Option<Timestamp> {
        let text = found.get(field)?;
        match self.time.read(text, None) {
            // A time that was twice is none here.
            Ok(time) if time.precision_s.unwrap_or(0.0) > 60.0 => None,
            Ok(time) => Timestamp::parse_rfc3339(time.value.as_deref()?),
            Err(why) => {
                wrong.push(format!("{}: {why}", field.label()));
                None
            }
        }
    }

    fn number<T: std::str::FromStr>(
        &self,
        found: &Found,
        field: Field,
        wrong: &mut Vec<String>,
    ) -> Option<T> {
        let text = found.get(field)?;
        let read = text.parse().ok();
        if read.is_none() {
            wrong.push(format!("{}: {text:?} is no number", field.label()));
        }
        read
    }

    fn truth(&self, found: &Found, field: Field, wrong: &mut Vec<String>) -> Option<bool> {
        let text = found.get(field)?;
        let is = |words: &[Box<str>], word: &str| {
            text.eq_ignore_ascii_case(word) || words.iter().any(|w| w.eq_ignore_ascii_case(text))
        };
        if is(&self.words_true, "true") {
            return Some(true);
        }
        if is(&self.words_false, "false") {
            return Some(false);
        }
        wrong.push(format!(
            "{}: {text:?} is neither true nor false",
            field.label()
        ));
        None
    }
}

/// A JSON value as the text of a field; `None` for null and for what is no text, number or truth.
///
/// # Errors
///
/// It is an object or an array.
pub fn text_of(field: Field, value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(s) => Ok(Some(s.clone())),
        Value::Number(n) => Ok(Some(n.to_string())),
        Value::Bool(b) => Ok(Some(b.to_string())),
        Value::Array(_) | Value::Object(_) => Err(format!(
            "{}: a list or an object; the pointer must lead to a text or a number",
            field.label()
        )),
    }
}

/// Where in a JSON object each field stands.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Pointers(pub Vec<(Field, Box<str>)>);

impl Pointers {
    /// Finds the fields of an object.
    ///
    /// # Errors
    ///
    /// What can't be read.
    pub fn find(&self, item: &Value) -> Result<Found, String> {
        let mut found = Found::default();
        for (field, pointer) in &self.0 {
            let Some(value) = item.pointer(pointer) else {
                continue;
            };
            if let Some(text) = text_of(*field, value)? {
                found.put(*field, &text)?;
            }
        }
        Ok(found)
    }
}

/// Whether a text is a JSON pointer (RFC 6901) to something inside.
pub fn is_pointer(text: &str) -> bool {
    let good = |part: &str| {
        let mut rest = part.split('~').skip(1);
        rest.all(|after| after.starts_with(['0', '1']))
    };
    text.starts_with('/') && text.split('/').all(good)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::call::peer::{Peer, PeerKind, PeerTable};
    use crate::number::NumberPlan;
    use crate::responder::adapter::moment::{Format, Zone};
    use crate::traceback::request::HopRequest;
    use proptest::prelude::*;

    /// Eastbridge is P-77 at the portal, and EB-07 in our records.
    pub(in crate::responder::adapter) fn directory() -> Directory {
        let eastbridge = Peer {
            name: "Eastbridge Telecom".into(),
            portal_id: Some("EB-07".into()),
            ocn: Some("7077".into()),
            ..Peer::new("eastbridge", PeerKind::Provider)
        };
        let mut directory = Directory::new(vec![(Arc::from("eastbridge"), "P-77".into())]);
        let wrong = directory.resolve(&PeerTable::new(vec![eastbridge], Vec::new(), 1));
        assert_eq!(wrong, Vec::<String>::new());
        directory
    }

    pub(in crate::responder::adapter) fn settings() -> MappingSettings {
        MappingSettings {
            time: TimeSettings {
                formats: vec![
                    Format::parse("rfc3339").unwrap(),
                    Format::parse("%m/%d/%Y %H:%M").unwrap(),
                ],
                zone: Zone::parse("UTC"),
                zones: Vec::new(),
            },
            fixed: vec![(Field::RequesterId, "portal".into())],
            withdrawn: vec!["CANCELLED".into()],
            words_true: vec!["yes".into()],
            words_false: vec!["no".into()],
            directory: directory(),
            case_is_request: false,
        }
    }

    fn found(fields: &[(Field, &str)]) -> Found {
        let mut found = Found::default();
        for (field, text) in fields {
            found.put(*field, text).unwrap();
        }
        found
    }

    const CALL: [(Field, &str); 5] = [
        (Field::Id, "H-9"),
        (Field::CaseId, "C-7"),
        (Field::Called, "(202) 555-0123"),
        (Field::Time, "11/24/2026 09:30"),
        (Field::Downstream, "p-77"),
    ];

    fn octets(mapped: Result<Mapped, String>) -> Vec<u8> {
        match mapped {
            Ok(Mapped::Request { octets, .. }) => octets,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn fields_become_a_request_that_the_matcher_takes() {
        let octets = octets(settings().map(found(&CALL)));
        let request = HopRequest::parse(&octets, &NumberPlan::default()).unwrap();
        assert_eq!(&*request.id, "H-9");
        assert_eq!(request.call.called.as_str(), "12025550123");
        assert_eq!(request.call.at.to_string(), "2026-11-24T09:30:00Z");
        assert_eq!(request.call.precision_s, 60.0);
        let downstream = request.downstream.unwrap();
        assert_eq!(downstream.provider_ids, ["p-77", "EB-07", "7077"]);
    }

    #[test]
    fn a_link_is_kept_for_the_person_and_nothing_reads_it() {
        let mut found = found(&CALL);
        found
            .put(Field::Link, "https://portal.example/h/9?t=x")
            .unwrap();
        let octets = octets(settings().map(found));
        let value: Value = serde_json::from_slice(&octets).unwrap();
        let link = value.pointer("/source/link").and_then(Value::as_str);
        assert_eq!(link, Some("https://portal.example/h/9?t=x"));
        assert!(HopRequest::parse(&octets, &NumberPlan::default()).is_ok());
    }

    #[test]
    fn what_is_missing_is_left_to_the_desk_and_what_is_unreadable_is_refused() {
        let without = |f: Field| found(&CALL.into_iter().filter(|c| c.0 != f).collect::<Vec<_>>());
        assert!(settings().map(without(Field::Time)).is_ok());
        assert!(
            settings()
                .map(without(Field::Id))
                .unwrap_err()
                .contains("id")
        );
        for (field, text, says) in [
            (Field::Time, "yesterday", "time: \"yesterday\""),
            (Field::Answered, "perhaps", "neither true nor false"),
            (Field::DurationS, "long", "no number"),
            (Field::DueAt, "soon", "due_at"),
        ] {
            let mut f = without(field);
            f.put(field, text).unwrap();
            let why = settings().map(f).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn a_request_taken_back_is_no_request() {
        let mut f = found(&CALL);
        f.put(Field::State, "cancelled").unwrap();
        assert_eq!(
            settings().map(f),
            Ok(Mapped::Withdrawn { id: "H-9".into() })
        );
    }

    #[test]
    fn a_field_that_is_there_twice_must_say_the_same() {
        let mut f = found(&CALL);
        assert!(f.put(Field::Called, " (202) 555-0123 ").is_ok());
        assert!(f.put(Field::Called, "(202) 555-0124").is_err());
        assert!(f.put(Field::Calling, &"1".repeat(300)).is_err());
    }

    #[test]
    fn precision_that_the_portal_states_never_hides_what_we_know() {
        let mut f = found(&CALL);
        f.put(Field::PrecisionS, "5").unwrap();
        let octets = octets(settings().map(f));
        let request = HopRequest::parse(&octets, &NumberPlan::default()).unwrap();
        assert_eq!(request.call.precision_s, 60.0);
    }

    #[test]
    fn pointers_lead_to_texts_and_numbers() {
        let item = serde_json::json!({"a": {"b/c": 7}, "t": null, "l": [1]});
        let at = |p: &str| Pointers(vec![(Field::Id, p.into())]).find(&item);
        assert_eq!(at("/a/b~1c").unwrap().get(Field::Id), Some("7"));
        assert_eq!(at("/t").unwrap().get(Field::Id), None);
        assert_eq!(at("/none").unwrap().get(Field::Id), None);
        assert!(at("/l").is_err());
        assert!(is_pointer("/a/b~1c") && !is_pointer("a") && !is_pointer("/~") && !is_pointer(""));
    }

    proptest! {
        /// Whatever is mapped reads back: as a request, or with problems of its call, never as broken JSON.
        #[test]
        fn what_is_mapped_is_json_of_our_protocol(texts in proptest::collection::vec((0..Field::ALL.len(), ".{0,24}"), 0..12)) {
            let mut found = Found::default();
            for (i, text) in &texts {
                let _ = found.put(Field::ALL[*i], text);
            }
            let id = found.get(Field::Id).map(str::to_owned);
            if let Ok(Mapped::Request { id: told, octets }) = settings().map(found) {
                prop_assert_eq!(Some(&*told), id.as_deref());
                let raw: RawHopRequest = serde_json::from_slice(&octets).unwrap();
                prop_assert_eq!(raw.id, id);
                let _ = HopRequest::parse(&octets, &NumberPlan::default());
            }
        }
    }
}
