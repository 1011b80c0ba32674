//! The console: what people see of the portal, in a browser. Pages are made here, whole; script only makes them livelier.
//!
//! Comes in: requests for pages and posted forms. Goes out: HTML, one style sheet, one script, pictures in SVG, events of a page that is watched.
//! Refused: whoever has not logged in, forms without their token or from another site, pages that are not the asker's (they are "not there").
//!
//! A page is a file in `pages/` and a function that fills it:
//!
//! ```ignore
//! async fn list(State(console): State<Console>, visitor: Visitor) -> Answer {
//!     visitor.is(&[Role::Analyst, Role::Auditor])?;
//!     let users = console.look(|docket, _now| docket.users()).await?;
//!     console.page(&visitor, "users.html", context! { users => Serde(users) })
//! }
//! ```
//!
//! An act takes [`Posted`], which has checked token and origin, does its act by [`Console::look`], and ends with [`done`]: the page anew, with a
//! sentence of [`page::SAID`] on it.
//!
//! - [`visitor`]: who asks: session, role, address
//! - [`posted`]: forms, and that they are ours
//! - [`page`]: templates, filters, what every page shows
//! - [`asset`]: style sheet, script, icon
//! - [`trouble`]: what is said where there is no page
//! - [`headers`]: what every answer forbids the browser
//! - [`login`]: in, out, another password
//! - [`patience`]: wrong passwords of one address
//! - [`cases`], [`case`], [`intake`]: the list of cases, one of them with its picture, a new request
//! - [`inbox`]: a provider's own questions; [`evidence`]: answers in words
//! - [`campaigns`], [`providers`], [`statistics`], [`audit`]: what analysts and auditors look at; [`chart`], [`sheet`]: as pictures, as CSV; `tally`: figures that take a while
//!
//! Bounds: a form has [`posted::MOST_OCTETS`]; hashes at once: [`HASHES`]; files: [`UPLOADS`]; streams of events: [`case`].

mod asset;
mod audit;
mod campaigns;
mod case;
mod cases;
mod chart;
mod evidence;
mod headers;
mod inbox;
mod intake;
mod login;
mod page;
mod patience;
mod posted;
mod providers;
mod sheet;
mod statistics;
mod tally;
#[cfg(test)]
mod tests;
mod trouble;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use tokio::sync::Semaphore;

pub use page::problems;
pub use posted::Posted;
pub use trouble::{Answer, Trouble};
pub use visitor::Visitor;

use super::docket::{self, Docket};
use crate::base::Timestamp;
use case::Watchers;
use patience::Patience;
use tally::Tally;

/// Passwords hashed at once: 19 MiB and 20 ms each; who comes then waits.
const HASHES: usize = 2;

/// Files that are taken at once: each is held whole.
const UPLOADS: usize = 4;

/// What every page has at hand.
#[derive(Clone, Debug)]
pub struct Console(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    docket: Arc<Docket>,
    now: fn() -> Timestamp,
    hashes: Semaphore,
    patience: Patience,
    watchers: Watchers,
    uploads: Semaphore,
    tally: Tally,
}

/// All pages. `now` is the clock.
pub fn router(docket: Arc<Docket>, now: fn() -> Timestamp) -> Router {
    let console = Console(Arc::new(Inner {
        docket,
        now,
        hashes: Semaphore::new(HASHES),
        patience: Patience::default(),
        watchers: Watchers::default(),
        uploads: Semaphore::new(UPLOADS),
        tally: Tally::default(),
    }));
    Router::new()
        .merge(asset::routes())
        .merge(login::routes())
        .merge(cases::routes())
        .merge(case::routes())
        .merge(intake::routes())
        .merge(inbox::routes())
        .merge(campaigns::routes())
        .merge(providers::routes())
        .merge(statistics::routes())
        .merge(audit::routes())
        .fallback(trouble::no_page)
        .layer(DefaultBodyLimit::max(posted::MOST_OCTETS))
        .layer(middleware::from_fn_with_state(
            console.clone(),
            headers::set,
        ))
        .with_state(console)
}

impl Console {
    /// Looks into the docket, or acts on it, where waiting for the disk is allowed.
    ///
    /// # Errors
    ///
    /// What the docket says.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Docket, Timestamp) -> docket::Result<T> + Send + 'static,
    ) -> Result<T, Trouble> {
        let docket = self.0.docket.clone();
        let now = self.now();
        match tokio::task::spawn_blocking(move || look(&docket, now)).await {
            Ok(seen) => Ok(seen?),
            Err(e) => Err(Trouble::home(&e)),
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.0.now)()
    }

    fn watchers(&self) -> &Watchers {
        &self.0.watchers
    }

    fn tally(&self) -> &Tally {
        &self.0.tally
    }

    fn uploads(&self) -> &Semaphore {
        &self.0.uploads
    }

    /// The docket, for what does not wait.
    pub fn docket(&self) -> &Arc<Docket> {
        &self.0.docket
    }
}

/// After an act: the page at `path` anew, with the sentence of `said` on it.
pub fn done(path: &str, said: &'static str) -> Response {
    let mark = if path.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{path}{mark}said={said}")).into_response()
}
