//! Tokens by client credentials (RFC 6749 §4.4): got with our name and secret, kept until they end.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use tokio::time::Instant;

use crate::responder::adapter::Trouble;
use crate::web::client::{Ask, Client, ClientSettings, escaped};

/// How long a token without a word about its end is kept.
const UNSAID: Duration = Duration::from_secs(300);

/// How long before its end a token is got anew: longer than an exchange takes.
const EARLY: Duration = Duration::from_secs(30);

/// Longest that a token is kept, whatever it says.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Where tokens are got.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSettings {
    /// The server of tokens: the whole URL.
    pub client: ClientSettings,
    /// Our name there.
    pub id: Box<str>,
    /// Our secret; never shown.
    pub secret: Box<str>,
    /// What the token is for, where that must be said.
    pub scope: Option<Box<str>>,
}

impl fmt::Debug for TokenSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSettings")
            .field("client", &self.client)
            .field("id", &self.id)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// Gets and keeps them.
#[derive(Debug)]
pub(super) struct Tokens {
    settings: TokenSettings,
    client: Client,
    kept: Option<(HeaderValue, Instant)>,
}

impl Tokens {
    pub fn new(settings: TokenSettings) -> Result<Self, Trouble> {
        let client = Client::new(settings.client.clone()).map_err(|e| Trouble(e.to_string()))?;
        Ok(Self {
            settings,
            client,
            kept: None,
        })
    }

    /// The portal no longer takes it.
    pub fn forget(&mut self) {
        self.kept = None;
    }

    /// The header's value.
    pub async fn bearer(&mut self) -> Result<HeaderValue, Trouble> {
        if let Some((value, until)) = &self.kept
            && Instant::now() < *until
        {
            return Ok(value.clone());
        }
        let answer = self.client.send(&self.ask()?).await;
        let answer = answer.map_err(|e| Trouble(format!("token: {e}")))?;
        if !answer.status.is_success() {
            return Err(Trouble(format!("token: status {}", answer.status)));
        }
        #[derive(serde::Deserialize)]
        struct Token {
            access_token: String,
            #[serde(default)]
            expires_in: Option<u64>,
        }
        // Not what serde says of it: the token might be in it.
        let token: Token = serde_json::from_slice(&answer.body)
            .map_err(|_| Trouble("token: the answer has no access_token".to_owned()))?;
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.access_token))
            .map_err(|_| Trouble("token: it can't be a header".to_owned()))?;
        value.set_sensitive(true);
        let long = token.expires_in.map_or(UNSAID, Duration::from_secs);
        let until = Instant::now() + long.saturating_sub(EARLY).min(LONGEST);
        self.kept = Some((value.clone(), until));
        Ok(value)
    }

    fn ask(&self) -> Result<Ask, Trouble> {
        let mut form = "grant_type=client_credentials".to_owned();
        if let Some(scope) = &self.settings.scope {
            form = format!("{form}&scope={}", escaped(scope));
        }
        // RFC 6749 §2.3.1: both are form-encoded first.
        let pair = format!(
            "{}:{}",
            escaped(&self.settings.id),
            escaped(&self.settings.secret)
        );
        let mut basic = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
            .map_err(|e| Trouble(format!("token: {e}")))?;
        basic.set_sensitive(true);
        let mut ask = Ask::get("");
        ask.method = Method::POST;
        ask.body = form.into();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        Ok(ask.header(AUTHORIZATION, basic).header(CONTENT_TYPE, kind))
    }
}
