//! One exchange: what is asked, as whom, and what the answer means.

use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::Value;

use super::token::{TokenSettings, Tokens};
use crate::responder::adapter::Trouble;
use crate::responder::adapter::template::Template;
use crate::responder::case::Delivered;
use crate::web::client::{Answer, Ask, Client, ClientSettings};

/// Most characters of a refusal that are kept.
const REASON: usize = 300;

/// A call at the portal.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CallSettings {
    /// Method.
    #[serde(serialize_with = "as_text")]
    pub method: Method,
    /// Path and query behind the portal's URL; values in percent signs.
    pub path: Template,
    /// Type of the body, and its template.
    pub body: Option<(Box<str>, Template)>,
    /// Statuses beside 2xx that mean that the portal has it, such as 409 where it says so of an answer that it took before.
    pub taken: Vec<u16>,
}

fn as_text<S: serde::Serializer>(method: &Method, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(method.as_str())
}

/// A call, filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Type and octets of the body.
    pub body: Option<(Box<str>, String)>,
}

impl CallSettings {
    /// Fills it in.
    ///
    /// # Errors
    ///
    /// A value that is not there, or a body that is not what its type says.
    pub fn fill(&self, values: &Value) -> Result<Submission, String> {
        let path = self.path.render(values).map_err(|e| format!("path: {e}"))?;
        if !path.starts_with('/') {
            return Err("path: does not begin with a slash".to_owned());
        }
        let body = match &self.body {
            None => None,
            Some((kind, template)) => {
                let text = template.render(values).map_err(|e| format!("body: {e}"))?;
                Some((kind.clone(), text))
            }
        };
        Ok(Submission {
            method: self.method.clone(),
            path,
            body,
        })
    }
}

impl Submission {
    /// As the client takes it.
    pub fn ask(&self) -> Ask {
        let mut ask = Ask::get(self.path.clone());
        ask.method = self.method.clone();
        if let Some((kind, text)) = &self.body {
            ask.body = text.clone().into();
            if let Ok(kind) = HeaderValue::from_str(kind) {
                ask.headers.push((CONTENT_TYPE, kind));
            }
        }
        ask
    }
}

/// Speaks to the portal, with a token where it wants one.
#[derive(Debug)]
pub(super) struct Speaker {
    client: Client,
    tokens: Option<Tokens>,
}

impl Speaker {
    pub fn new(client: ClientSettings, token: Option<TokenSettings>) -> Result<Self, Trouble> {
        Ok(Self {
            client: Client::new(client).map_err(|e| Trouble(e.to_string()))?,
            tokens: token.map(Tokens::new).transpose()?,
        })
    }

    /// One exchange; a token that the portal no longer takes is got anew, once.
    pub async fn send(&mut self, ask: &Ask) -> Result<Answer, Trouble> {
        let answer = self.once(ask).await?;
        match (answer.status.as_u16(), &mut self.tokens) {
            (401, Some(tokens)) => {
                tokens.forget();
                self.once(ask).await
            }
            _ => Ok(answer),
        }
    }

    async fn once(&mut self, ask: &Ask) -> Result<Answer, Trouble> {
        let mut ask = ask.clone();
        if let Some(tokens) = &mut self.tokens {
            ask.headers.push((AUTHORIZATION, tokens.bearer().await?));
        }
        self.client
            .send(&ask)
            .await
            .map_err(|e| Trouble(e.to_string()))
    }
}

/// What the portal's answer to something handed in means.
pub(super) fn judge(answer: &Answer, taken: &[u16]) -> Delivered {
    let status = answer.status.as_u16();
    let why = || {
        let body = String::from_utf8_lossy(&answer.body);
        let plain = body.chars().map(|c| if c.is_control() { ' ' } else { c });
        format!(
            "status {status}: {}",
            plain.take(REASON).collect::<String>()
        )
    };
    match status {
        200..=299 => Delivered::Taken,
        s if taken.contains(&s) => Delivered::Taken,
        // Not 404: that may as well be a proxy's, or a path that is wrong. A person looks.
        410 => Delivered::Gone,
        // Credentials are the operator's to mend, and the answer is as good as before.
        401 | 403 | 407 | 408 | 425 | 429 | 500..=599 => Delivered::Again {
            why: why(),
            after: answer.retry_after(),
        },
        _ => Delivered::Refused { why: why() },
    }
}
