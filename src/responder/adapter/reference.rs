//! A portal that speaks our own protocol, asked over HTTPS.
//!
//! | what | how |
//! |---|---|
//! | requests | `GET /v1/providers/{us}/hop-requests?state=open&cursor=…&wait=30` gives `{"requests":[HopRequest, …],"cursor":"…"}` |
//! | events | `GET /v1/providers/{us}/events?cursor=…&wait=30` gives `{"events":[{"type","data"}, …],"cursor":"…"}` |
//! | receipt | `POST /v1/hop-requests/{id}/ack` |
//! | answers | `PUT /v1/hop-requests/{id}/answers/{answer_id}`: the same twice is the same once |
//! | reports | `POST /v1/providers/{us}/reports/{key}`: likewise |
//!
//! Both lists are asked for at once; what comes first counts. A cursor moves on only when all that came with it is settled here, and begins anew with the
//! process: so nothing is passed over, and what comes twice the desk knows.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::event::RawEvent;
use super::{Arrival, Inlet, Outlet, Trouble};
use crate::base::text::Masked;
use crate::responder::case::{Delivered, Incoming, Parcel, ParcelKind, Way};
use crate::web::client::{Answer, Ask, Client, ClientError, ClientSettings, escaped};

/// What a portal says in an error that is kept for people.
const SAID: usize = 300;

/// A portal of our own protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceSettings {
    /// Where, and who we are there.
    pub client: ClientSettings,
    /// Our id at the portal.
    pub provider: Arc<str>,
    /// How long the portal is asked to wait when it has nothing.
    pub wait: Duration,
}

/// Asks for requests and events.
#[derive(Debug)]
pub struct ReferenceInlet {
    provider: String,
    wait: Duration,
    requests: List,
    events: List,
    /// Acknowledges; the other two wait for lists.
    client: Client,
}

/// Carries answers and reports.
#[derive(Debug)]
pub struct ReferenceOutlet {
    provider: String,
    client: Client,
}

/// One of the two lists, and how far we are in it.
#[derive(Debug)]
struct List {
    client: Client,
    cursor: String,
    /// Where the list goes on once all that came is settled.
    next: Option<String>,
    /// What came and is not settled yet.
    open: usize,
}

impl List {
    fn new(settings: &ClientSettings) -> Result<Self, ClientError> {
        Ok(Self {
            client: Client::new(settings.clone())?,
            cursor: String::new(),
            next: None,
            open: 0,
        })
    }

    async fn ask(&mut self, path: &str, wait: Duration) -> Result<Answer, Trouble> {
        match self.next.take() {
            Some(next) if self.open == 0 => self.cursor = next,
            // Something was not settled: all of it comes again.
            _ => {}
        }
        self.open = 0;
        let cursor = escaped(&self.cursor);
        let wait_s = wait.as_secs();
        let ask = Ask::get(format!("{path}cursor={cursor}&wait={wait_s}")).waiting(wait);
        let answer = self.client.send(&ask).await.map_err(trouble)?;
        match answer.status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(answer),
            other => Err(Trouble(format!("the portal answers {other} to {path}"))),
        }
    }

    fn came(&mut self, next: Option<Cow<'_, str>>, all: Vec<Arrival>) -> Vec<Arrival> {
        self.next = next.map(Cow::into_owned);
        self.open = all.len();
        all
    }

    fn settled(&mut self) {
        self.open = self.open.saturating_sub(1);
    }
}

#[derive(Deserialize)]
struct Requests<'a> {
    #[serde(borrow)]
    requests: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    cursor: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Events<'a> {
    #[serde(borrow)]
    events: Vec<RawEvent<'a>>,
    #[serde(borrow, default)]
    cursor: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl ReferenceSettings {
    /// Both ends.
    ///
    /// # Errors
    ///
    /// When TLS can't be set up.
    pub fn open(&self) -> Result<(ReferenceInlet, ReferenceOutlet), ClientError> {
        let provider = escaped(&self.provider);
        let inlet = ReferenceInlet {
            provider: provider.clone(),
            wait: self.wait,
            requests: List::new(&self.client)?,
            events: List::new(&self.client)?,
            client: Client::new(self.client.clone())?,
        };
        let outlet = ReferenceOutlet {
            provider,
            client: Client::new(self.client.clone())?,
        };
        Ok((inlet, outlet))
    }
}

impl Inlet for ReferenceInlet {
    async fn poll(&mut self) -> Result<Vec<Arrival>, Trouble> {
        let us = &self.provider;
        let requests = format!("/v1/providers/{us}/hop-requests?state=open&");
        let events = format!("/v1/providers/{us}/events?");
        // Whoever is dropped here had told us nothing yet, and is asked again from where it was.
        tokio::select! {
            answer = self.requests.ask(&requests, self.wait) => {
                let body = answer?.body;
                let (all, next) = read_requests(&body)?;
                Ok(self.requests.came(next, all))
            }
            answer = self.events.ask(&events, self.wait) => {
                let body = answer?.body;
                let (all, next) = read_events(&body)?;
                Ok(self.events.came(next, all))
            }
        }
    }

    async fn settle(&mut self, arrival: &Arrival) -> Result<(), Trouble> {
        if &*arrival.receipt == EVENT {
            self.events.settled();
            return Ok(());
        }
        let id = escaped(&arrival.receipt);
        let ask = Ask::new(Method::POST, format!("/v1/hop-requests/{id}/ack"), "");
        let answer = self.client.send(&ask).await.map_err(trouble)?;
        // What is gone needs no receipt.
        let gone = matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE);
        if !answer.status.is_success() && !gone {
            let status = answer.status;
            return Err(Trouble(format!("the portal answers {status} to a receipt")));
        }
        self.requests.settled();
        Ok(())
    }

    async fn reject(&mut self, arrival: &Arrival, why: &str) -> Result<(), Trouble> {
        tracing::warn!("what the portal gave is left out: {}", Masked(why));
        match &*arrival.receipt == EVENT {
            true => self.events.settled(),
            false => self.requests.settled(),
        }
        Ok(())
    }
}

/// Receipt of an event: none is owed. No request has a control character in its id.
const EVENT: &str = "\u{1}event";

fn read_requests(body: &[u8]) -> Result<(Vec<Arrival>, Option<Cow<'_, str>>), Trouble> {
    if body.is_empty() {
        return Ok((Vec::new(), None));
    }
    let page: Requests<'_> = serde_json::from_slice(body).map_err(|e| garbage(&e))?;
    let arrival = |raw: &&RawValue| {
        let named = serde_json::from_str::<Named<'_>>(raw.get());
        let id = named.map(|n| n.id.into()).unwrap_or_default();
        Arrival {
            what: Incoming::Request(raw.get().as_bytes().to_vec()),
            way: Way::Pull,
            receipt: id,
        }
    };
    Ok((page.requests.iter().map(arrival).collect(), page.cursor))
}

fn read_events(body: &[u8]) -> Result<(Vec<Arrival>, Option<Cow<'_, str>>), Trouble> {
    if body.is_empty() {
        return Ok((Vec::new(), None));
    }
    let page: Events<'_> = serde_json::from_slice(body).map_err(|e| garbage(&e))?;
    let arrival = |event: &RawEvent<'_>| match event.read() {
        Ok(what) => Some(Arrival {
            what: what?,
            way: Way::Pull,
            receipt: EVENT.into(),
        }),
        // One that can't be read must not keep the others.
        Err(lacks) => {
            tracing::warn!("an event of the portal is left out: it lacks {lacks}");
            None
        }
    };
    Ok((
        page.events.iter().filter_map(arrival).collect(),
        page.cursor,
    ))
}

impl Outlet for ReferenceOutlet {
    async fn deliver(&mut self, parcel: &Parcel) -> Delivered {
        let key = escaped(&parcel.key);
        let (method, path) = match parcel.kind {
            ParcelKind::Answer => {
                let request = escaped(&parcel.subject);
                let path = format!("/v1/hop-requests/{request}/answers/{key}");
                (Method::PUT, path)
            }
            ParcelKind::Draft => {
                let request = escaped(&parcel.subject);
                let path = format!("/v1/hop-requests/{request}/drafts/{key}");
                (Method::PUT, path)
            }
            ParcelKind::Report => {
                let path = format!("/v1/providers/{}/reports/{key}", self.provider);
                (Method::POST, path)
            }
        };
        let ask = Ask::new(method, path, parcel.body.clone());
        match self.client.send(&ask).await {
            Ok(answer) => outcome(&answer),
            Err(why) => Delivered::Again {
                why: why.to_string(),
                after: None,
            },
        }
    }
}

/// What a portal's status means. Credentials that it does not take are for the operator to mend, and nothing is lost meanwhile.
pub fn outcome(answer: &Answer) -> Delivered {
    let status = answer.status;
    let why = || format!("{status}: {}", said(&answer.body));
    match status {
        s if s.is_success() => Delivered::Taken,
        StatusCode::GONE => Delivered::Gone,
        StatusCode::NOT_FOUND if is_problem(answer) => Delivered::Gone,
        // A 404 in other words is that of a proxy that has lost its portal.
        StatusCode::NOT_FOUND
        | StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS => Delivered::Again {
            why: why(),
            after: answer.retry_after(),
        },
        s if s.is_client_error() => Delivered::Refused { why: why() },
        _ => Delivered::Again {
            why: why(),
            after: answer.retry_after(),
        },
    }
}

/// The beginning of what a portal says, without what a terminal would obey.
/// Whether the portal itself says so: its errors are problems (RFC 9457).
fn is_problem(answer: &Answer) -> bool {
    let kind = answer.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|k| k.starts_with(b"application/problem+json"))
}

fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(SAID).collect()
}

fn trouble(why: ClientError) -> Trouble {
    Trouble(why.to_string())
}

fn garbage(why: &dyn fmt::Display) -> Trouble {
    Trouble(format!("what the portal gave can't be read: {why}"))
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;

    use super::*;

    #[test]
    fn only_the_portal_itself_says_that_a_request_is_gone() {
        let with = |status, kind: &'static str| {
            outcome(&Answer {
                status,
                headers: [(CONTENT_TYPE, HeaderValue::from_static(kind))]
                    .into_iter()
                    .collect(),
                body: Bytes::new(),
            })
        };
        let problem = "application/problem+json; charset=utf-8";
        assert_eq!(with(StatusCode::NOT_FOUND, problem), Delivered::Gone);
        assert_eq!(with(StatusCode::GONE, "text/html"), Delivered::Gone);
        let proxy = with(StatusCode::NOT_FOUND, "text/html");
        assert!(matches!(proxy, Delivered::Again { .. }), "{proxy:?}");
    }
}
