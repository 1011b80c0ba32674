//! The fraud desk that wants calls traced: hands requests in over the portal's API, and asks what became of them.

use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use crate::base::Timestamp;
use crate::cli::Failure;
use crate::lab::carriers::plan::{Call, Source, carrier};
use crate::web::client::{Ask, BaseUrl, Client, ClientSettings, SecretHeader};

/// Octets of an answer: a path of ten hops has some three thousand.
const MOST: usize = 256 * 1024;

/// The desk.
pub struct Desk {
    client: Client,
    runtime: tokio::runtime::Runtime,
}

/// What the portal says of a case.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Where it stands.
    pub state: String,
    /// How it ended.
    pub outcome: Option<String>,
    /// The provider that this is about: its name.
    pub ended_at: Option<String>,
    /// Answered hops.
    pub hops: u32,
    /// Whether every step holds.
    pub verified: bool,
    /// Who was asked.
    pub path: Vec<Step>,
}

/// Somebody who was asked.
#[derive(Clone, Debug, Deserialize)]
pub struct Step {
    /// His name.
    pub provider: String,
    /// Where the question stands.
    pub state: String,
}

#[derive(Deserialize)]
struct Submitted {
    case: String,
}

impl Desk {
    /// At a port of loopback.
    pub fn new(port: u16, token: &str) -> Result<Self, Failure> {
        let url = BaseUrl::parse(&format!("http://127.0.0.1:{port}"));
        let url = url.ok_or_else(|| Failure::software("the portal's URL"))?;
        let settings = ClientSettings {
            url,
            secret: SecretHeader::bearer(token),
            roots: None,
            identity: None,
            timeout: Duration::from_secs(10),
            most: MOST,
            inside: true,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::io)?;
        let client = Client::new(settings).map_err(Failure::software)?;
        Ok(Self { client, runtime })
    }

    /// Hands a call in; gives the case.
    pub fn hand_in(&mut self, call: &Call) -> Result<String, Failure> {
        let last = call.route.path.last().copied().unwrap_or_default();
        let at = Timestamp::from_nanos(call.at + 500_000_000);
        // As the called party would tell it: to the second.
        let told = Timestamp::from_secs(at.secs());
        let body = json!({
            "called": format!("+{}", call.called),
            "calling": format!("+{}", call.calling),
            "time": told.to_string(),
            "precision_s": 1.0,
            "answered": true,
            "duration_s": (call.lasts / 1_000_000_000) as f64,
            "provider": carrier(last).id,
            "priority": if call.route.areas.0 == 312 { "tdos" } else { "routine" },
            "legal_basis": "47 CFR 64.1200(n)(1)",
            "campaign": call.route.campaign,
            "evidence": match call.route.source {
                Source::Abroad => "The caller said that he was the bank's security desk, from a number of the bank's own carrier.",
                Source::Customer => "A recorded voice; the called party has never dealt with the caller.",
            },
        });
        let answer = self.ask(Ask::new(Method::POST, "/v1/tracebacks", body.to_string()))?;
        let submitted: Submitted = serde_json::from_slice(&answer).map_err(Failure::software)?;
        Ok(submitted.case)
    }

    /// What became of it.
    pub fn look(&mut self, case: &str) -> Result<Case, Failure> {
        let answer = self.ask(Ask::get(format!("/v1/tracebacks/{case}")))?;
        serde_json::from_slice(&answer).map_err(Failure::software)
    }

    fn ask(&mut self, ask: Ask) -> Result<Vec<u8>, Failure> {
        let sent = self.client.send(&ask);
        let answer = self.runtime.block_on(sent).map_err(Failure::io)?;
        match answer.status.is_success() {
            true => Ok(answer.body.to_vec()),
            false => Err(Failure::software(format!(
                "the portal says {}: {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            ))),
        }
    }
}
