//! What machines are told when something is not done: kinds of [`crate::web::problem`].

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::portal::docket::DocketError;
use crate::web::problem::{Kind, Problem};

macro_rules! kinds {
    ($($(#[$what:meta])* $id:ident $name:literal $status:ident $title:literal;)*) => {
        $( $(#[$what])* pub const $id: Kind = Kind { name: $name, status: StatusCode::$status, title: $title }; )*
        /// Every one.
        pub const ALL: &[Kind] = &[$($id),*];
    };
}

kinds! {
    /// Nobody whom we know.
    UNKNOWN "unknown" UNAUTHORIZED "We don't know you";
    /// It is not there, or not the asker's.
    ABSENT "absent" NOT_FOUND "There is no such thing here for you";
    /// Another method.
    METHOD "method" METHOD_NOT_ALLOWED "This is not done here so";
    /// The path, query or body can't be read.
    MALFORMED "malformed" BAD_REQUEST "This can't be read";
    /// Another answer bears the id, or the question is over.
    CONFLICT "conflict" CONFLICT "Not possible as things stand";
    /// The question was taken back.
    WITHDRAWN "withdrawn" GONE "The question was taken back";
    /// More octets than are read.
    TOO_LARGE "too-large" PAYLOAD_TOO_LARGE "This is too large";
    /// It did not come in time, or broke off.
    SLOW "slow" REQUEST_TIMEOUT "This did not come whole in time";
    /// What was handed in is wrong; `problems` lists all of it.
    WRONG "wrong" UNPROCESSABLE_ENTITY "This can't be taken";
    /// More requests than may be.
    TOO_MANY "too-many-requests" TOO_MANY_REQUESTS "Too many requests";
    /// A fault of ours; it may be over soon.
    TROUBLE "trouble" SERVICE_UNAVAILABLE "We can't do this now";
}

/// When to come again after a fault of ours: a few turns of a file system that was full.
const RETRY: Duration = Duration::from_secs(30);

/// Why a handler gives nothing.
#[derive(Debug)]
pub struct Denied(Box<Problem>, Kind);

impl Denied {
    /// A problem of a kind, explained.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(kind, detail)), kind)
    }

    /// With when to come again.
    pub fn after(self, wait: Duration) -> Self {
        Self(Box::new(self.0.after(wait)), self.1)
    }

    /// With everything that is wrong.
    pub fn because(self, reasons: &[String]) -> Self {
        let problem = self.0.with("reasons", json!(reasons));
        Self(Box::new(problem), self.1)
    }
}

/// What is not there, whoever asks.
pub fn absent() -> Denied {
    Denied::new(
        ABSENT,
        "It is not there, or not yours: the two are never told apart.",
    )
}

/// A fault of ours, of which the log says more.
pub fn trouble() -> Denied {
    Denied::new(TROUBLE, "A fault on our side; the portal's log says which.").after(RETRY)
}

impl From<DocketError> for Denied {
    fn from(e: DocketError) -> Self {
        match e {
            DocketError::Absent(_) => absent(),
            DocketError::Refused(what) => Self::new(CONFLICT, what),
            DocketError::Wrong(problems) => {
                let problem = Problem::new(WRONG, "Everything that is wrong is in problems.");
                let problem = problem.with("problems", json!(problems));
                Self(Box::new(problem), WRONG)
            }
            DocketError::TooMany { what, after_s } => {
                Self::new(TOO_MANY, what).after(Duration::from_secs(after_s))
            }
            e @ (DocketError::Open(_)
            | DocketError::Database { .. }
            | DocketError::Later { .. }) => {
                tracing::error!("the portal's docket: {e}");
                trouble()
            }
        }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let Self(problem, kind) = self;
        let mut response = problem.into_response();
        if kind == UNKNOWN {
            let value = axum::http::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, value);
        }
        response
    }
}
