//! Campaigns that providers report unasked: signed by them, kept as they came, once. What is made of them, an analyst decides.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use super::directory::{self, NO_CASE};
use super::{Docket, DocketError, Received, Result};
use crate::base::Timestamp;
use crate::proof::Who;
use crate::proof::sign::Kind;

/// Reports of one provider in a day: its daemon tells of one upstream ten times at most, and of some dozens of upstreams.
const PER_DAY: i64 = 500;
const DAY: Duration = Duration::from_secs(86_400);
/// Longest key: a UUID, or what another program makes.
const KEY: usize = 128;
/// Longest summary that lists show.
const SUMMARY: usize = 300;

impl Docket {
    /// Takes a report, signed JSON octet by octet. The same key with the same content is the same once.
    ///
    /// # Errors
    ///
    /// [`DocketError::TooMany`]; the database.
    pub fn report(
        &self,
        provider: &str,
        key: &str,
        octets: &[u8],
        now: Timestamp,
    ) -> Result<Received> {
        let rejected = |why: String| Ok(Received::Rejected(vec![why]));
        if key.is_empty() || key.len() > KEY || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return rejected(format!("key: 1 to {KEY} visible characters of ASCII"));
        }
        let opened = match self.verifier_of(provider)?.open(octets, Kind::Report) {
            Ok(opened) => opened,
            Err(flaw) => return rejected(flaw.to_string()),
        };
        let Ok(Value::Object(body)) = serde_json::from_slice(&opened.payload) else {
            return rejected("the report is no JSON object".to_owned());
        };
        let text = |at: &[&str]| {
            let mut value = body.get(*at.first()?)?;
            for name in at.iter().skip(1) {
                value = value.get(*name)?;
            }
            value.as_str().map(str::to_owned)
        };
        if let Some(id) = text(&["id"])
            && id != key
        {
            return rejected(format!("id: the report says {id:?}, the path {key:?}"));
        }
        let flag = text(&["campaign", "flag"]).unwrap_or_default();
        let calls = body.get("campaign").and_then(|c| c.get("calls"));
        let calls = calls.and_then(Value::as_u64).unwrap_or(0);
        let name = text(&["upstream", "name"]).unwrap_or_default();
        let plain = |t: String| -> String {
            let shown = t.chars().filter(|c| !c.is_control());
            shown.take(SUMMARY).collect()
        };
        let summary = plain(format!("{flag}: {calls} calls by way of {name}"));
        let ids = ["portal_id", "rmd", "frn", "ocn"];
        let ids: Vec<String> = ids.iter().filter_map(|m| text(&["upstream", m])).collect();
        self.write(now, |w| {
            let there: Option<Vec<u8>> = w
                .tx
                .prepare_cached("SELECT octets FROM report WHERE provider = ? AND key = ?")?
                .query_row(params![provider, key], |row| row.get(0))
                .optional()?;
            match there {
                Some(there) if there == octets => return Ok(Received::Known),
                Some(_) => return Ok(Received::Conflict("another report has this key")),
                None => {}
            }
            let since = now.minus(DAY).nanos();
            let n: i64 = w.tx.query_row(
                "SELECT count(*) FROM report WHERE provider = ? AND received > ?",
                params![provider, since],
                |row| row.get(0),
            )?;
            if n >= PER_DAY {
                let what = format!("{PER_DAY} reports in a day are taken");
                return Err(DocketError::TooMany {
                    what,
                    after_s: 3_600,
                }
                .into());
            }
            let mut upstream = None;
            for id in &ids {
                upstream = directory::named(w.tx, id)?;
                if upstream.is_some() {
                    break;
                }
            }
            w.tx.execute(
                "INSERT INTO report (provider, key, received, octets, upstream, summary) VALUES (?, ?, ?, ?, ?, ?)",
                params![provider, key, now.nanos(), octets, upstream, summary],
            )?;
            let who = Who::Provider(provider.into());
            w.note(&who, "reported", NO_CASE, None, json!({ "key": key, "kid": opened.kid }))?;
            w.touch(None, &[]);
            Ok(Received::New)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::docket::directory::Card;
    use crate::portal::docket::testing::{docket, now, signer};

    #[test]
    fn a_report_counts_once_and_only_with_its_providers_signature() {
        let (_dir, docket) = docket();
        for (id, key) in [("A", 1), ("B", 2)] {
            let card = Card {
                ocns: vec![format!("{key}077").into()],
                ..Card::new(id, id)
            };
            docket.add_provider(&Who::Automatic, &card, now()).unwrap();
            let set = signer(key).jwks().to_string();
            docket
                .add_keys(&Who::Automatic, id, set.as_bytes(), now())
                .unwrap();
        }
        let body = json!({ "id": "K-1", "upstream": { "name": "B Telecom\u{7}", "ocn": "2077" },
            "campaign": { "flag": "invalid-nanp", "calls": 1000 } });
        let signed = signer(1).sign_value(Kind::Report, &body).unwrap().json;
        let report = |provider: &str, key: &str, octets: &[u8]| {
            docket.report(provider, key, octets, now()).unwrap()
        };
        let rejected = |r: Received| match r {
            Received::Rejected(why) => why.join(" "),
            other => panic!("{other:?}"),
        };
        assert!(rejected(report("B", "K-1", &signed)).contains("not known"));
        assert!(rejected(report("A", "K-2", &signed)).contains("K-2"));
        let as_answer = signer(1).sign_value(Kind::Answer, &body).unwrap().json;
        assert!(rejected(report("A", "K-1", &as_answer)).contains("signed as"));
        assert_eq!(report("A", "K-1", &signed), Received::New);
        assert_eq!(report("A", "K-1", &signed), Received::Known);
        let mut other = body.clone();
        other["campaign"]["calls"] = json!(2);
        let other = signer(1).sign_value(Kind::Report, &other).unwrap().json;
        assert!(matches!(report("A", "K-1", &other), Received::Conflict(_)));
        let (upstream, summary): (Option<String>, String) = docket
            .read(|tx| {
                Ok(
                    tx.query_row("SELECT upstream, summary FROM report", [], |r| {
                        Ok((r.get(0)?, r.get(1)?))
                    })?,
                )
            })
            .unwrap();
        assert_eq!(upstream.as_deref(), Some("B"));
        assert_eq!(summary, "invalid-nanp: 1000 calls by way of B Telecom");
    }
}
