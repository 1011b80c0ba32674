//! Floor 5: metrics and health over HTTP, for whoever watches the probe. It shows what others publish and decides nothing.
//!
//! | path | says | codes |
//! |---|---|---|
//! | `/` | the probe's own page, as HTML without scripts; `?refresh=0` holds it still | 200 |
//! | `/style.css` | its style | 200 |
//! | `/metrics` | Prometheus' text format 0.0.4 | 200 |
//! | `/healthz` | whether the process and its stages turn | 200, 503 |
//! | `/readyz` | whether it does its work: trust loaded, capture open, store writable | 200, 503 |
//!
//! The provider's side of a traceback has a server of its own ([`responder::api`](crate::responder::api)) over the same [`listen`].
//!
//! Health is text, or JSON where `Accept` or `?format=json` asks for it. Nobody is asked who he is, so the default is loopback, and nothing here tells of
//! calls beyond counts. Bounds: see [`listen`].
//!
//! - [`listen`]: connections and their bounds, of every HTTP server here
//! - [`tls`]: certificates and keys of what listens
//! - [`server`]: socket and thread of metrics and health
//! - [`routes`]: what is answered there
//! - [`body`], [`rate`], [`problem`]: what the APIs of both sides share
//! - [`client`]: the other direction: to a server that the operator names

pub(crate) mod body;
pub mod client;
pub mod listen;
pub mod problem;
pub(crate) mod rate;
pub mod routes;
pub mod server;
pub mod tls;

use std::net::SocketAddr;

pub use listen::WebCounters;
pub use server::{RunningWeb, WebError, WebServer, WebView};

/// Where to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSettings {
    /// The address; `None` serves nothing.
    pub listen: Option<SocketAddr>,
    /// Most connections at once.
    pub connections: usize,
}

impl WebSettings {
    /// What the operator should know when others than this host reach it.
    pub fn note(&self) -> Option<String> {
        let listen = self.listen.filter(|a| !a.ip().is_loopback())?;
        Some(format!(
            "metrics and health are served at {listen} to everybody who reaches it: keep it inside"
        ))
    }
}

/// The paths that everybody has who is watched.
const INDEX: &str = "<!doctype html><html lang=\"en\"><title>tracehop</title><ul><li><a href=\"/metrics\">/metrics</a><li><a href=\"/healthz\">/healthz</a><li><a href=\"/readyz\">/readyz</a></ul></html>\n";

/// What is shown. Each call is for one request, and must not wait for anything slow: it reads what the stages have published.
pub trait Status: Send + Sync + 'static {
    /// The metrics, rendered.
    fn metrics(&self) -> String;

    /// A page for people; `again`: whether it is to ask for itself again. Who has none shows what else there is.
    fn page(&self, again: bool) -> String {
        let _ = again;
        INDEX.to_owned()
    }

    /// The page's style.
    fn style(&self) -> &'static str {
        ""
    }

    /// Whether process and stages turn.
    fn health(&self) -> Vec<Check>;

    /// Whether all is there that the work needs.
    fn readiness(&self) -> Vec<Check>;
}

/// One thing that is in order or not.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What was looked at: `judge`, `store`, `capture edge1`.
    pub name: String,
    /// Whether it is in order.
    pub ok: bool,
    /// In which state it is, in words.
    pub state: String,
}

impl Check {
    /// Something that is in order.
    pub fn good(name: impl Into<String>, state: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ok: true,
            state: state.into(),
        }
    }

    /// Something that is not.
    pub fn bad(name: impl Into<String>, state: impl Into<String>) -> Self {
        Self {
            ok: false,
            ..Self::good(name, state)
        }
    }
}

#[cfg(test)]
pub(crate) mod spec;
#[cfg(test)]
mod tests;
