//! What is said where there is no page.

use std::fmt::Display;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use minijinja::context;

use super::page;
use crate::portal::docket::{DocketError, Problem};

/// What a page is: itself, or why there is none.
pub type Answer = Result<Response, Trouble>;

/// Why there is no page.
#[derive(Debug)]
pub struct Trouble {
    status: StatusCode,
    says: String,
    after_s: Option<u64>,
    problems: Vec<Problem>,
}

impl Trouble {
    /// With these words.
    pub fn said(status: StatusCode, says: impl Into<String>) -> Self {
        Self {
            status,
            says: says.into(),
            after_s: None,
            problems: Vec::new(),
        }
    }

    /// There is no such thing, or it is not the asker's to see: nobody can tell the two apart.
    pub fn absent(what: &str) -> Self {
        let says = format!("There is no such {what} here, or it is not yours to see.");
        Self::said(StatusCode::NOT_FOUND, says)
    }

    /// Something at home; the log has the details.
    pub fn home(e: &dyn Display) -> Self {
        tracing::error!("console: {e}");
        let says = "The portal is in trouble of its own; its log says more. Nothing was done.";
        Self::said(StatusCode::SERVICE_UNAVAILABLE, says)
    }

    /// What was wrong with a form, where that is why: to be shown at its fields.
    ///
    /// # Errors
    ///
    /// Any other trouble, as it is.
    pub fn problems(self) -> Result<Vec<Problem>, Self> {
        if self.problems.is_empty() {
            Err(self)
        } else {
            Ok(self.problems)
        }
    }
}

impl From<DocketError> for Trouble {
    fn from(e: DocketError) -> Self {
        match e {
            DocketError::Absent(what) => Self::absent(what),
            DocketError::Refused(why) => Self::said(StatusCode::CONFLICT, why),
            DocketError::Wrong(problems) => Self {
                problems: problems.clone(),
                ..Self::said(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    DocketError::Wrong(problems).to_string(),
                )
            },
            DocketError::TooMany { what, after_s } => Self {
                after_s: Some(after_s),
                ..Self::said(StatusCode::TOO_MANY_REQUESTS, what)
            },
            DocketError::Open(_) | DocketError::Database { .. } | DocketError::Later { .. } => {
                Self::home(&e)
            }
        }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let title = match self.status {
            StatusCode::NOT_FOUND => "Not here",
            StatusCode::FORBIDDEN => "Not done",
            StatusCode::CONFLICT => "It can't be done as things stand",
            StatusCode::UNPROCESSABLE_ENTITY => "Something is wrong with the form",
            StatusCode::TOO_MANY_REQUESTS => "Too much at once",
            StatusCode::PAYLOAD_TOO_LARGE => "Too large",
            StatusCode::SERVICE_UNAVAILABLE => "Not now",
            other => other.canonical_reason().unwrap_or("No page"),
        };
        let data = context! { title, says => self.says, after_s => self.after_s };
        let text = page::render("trouble.html", data).unwrap_or_else(|_| title.to_owned());
        let mut response = (self.status, Html(text)).into_response();
        if let Some(after) = self.after_s {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from(after));
        }
        response
    }
}

/// No such path.
pub(super) async fn no_page() -> Trouble {
    Trouble::absent("page")
}
