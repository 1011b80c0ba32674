//! What those who are known are told when something is not done: the kinds of [`crate::web::problem`] that this API has.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::refusal::Refusal;
use crate::responder::desk::DeskError;
pub use crate::web::problem::{Kind, Problem, TAG};

macro_rules! kinds {
    ($($(#[$what:meta])* $id:ident $name:literal $status:ident $title:literal;)*) => {
        impl Kind {
            $( $(#[$what])* pub const $id: Self = Self { name: $name, status: StatusCode::$status, title: $title }; )*
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$id),*];
        }
    };
}

kinds! {
    /// The body or the query can't be read.
    MALFORMED "malformed" BAD_REQUEST "This can't be read";
    /// The hop request lacks something; `problems` lists all of it.
    INSUFFICIENT "insufficient-request" UNPROCESSABLE_ENTITY "The request can't be worked on";
    /// It is not possible as the request stands.
    NOT_NOW "not-now" CONFLICT "Not possible as the request stands";
    /// The answer is another than the one that was decided about.
    CHANGED "answer-changed" CONFLICT "The answer has changed meanwhile";
    /// The answer that was given can't be one.
    WRONG "wrong-answer" UNPROCESSABLE_ENTITY "No such answer can be given";
    /// More requests than may be.
    TOO_MANY "too-many-requests" TOO_MANY_REQUESTS "Too many requests in a minute";
    /// As many requests are under way as may be.
    FULL "full" SERVICE_UNAVAILABLE "Too many requests are under way";
    /// A fault of ours; it may be over soon.
    TROUBLE "trouble" SERVICE_UNAVAILABLE "We can't do this now";
}

/// Why a handler gives nothing.
#[derive(Debug)]
pub enum Denied {
    /// To somebody who is not known, or asks for what is not his.
    No(Refusal),
    /// To somebody who is known.
    Problem(Box<Problem>),
}

impl From<Refusal> for Denied {
    fn from(why: Refusal) -> Self {
        Self::No(why)
    }
}

impl From<Problem> for Denied {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<DeskError> for Denied {
    fn from(e: DeskError) -> Self {
        match e {
            DeskError::NotThere(_) => Self::No(Refusal::NotThere),
            DeskError::NotNow { why, state, .. } => {
                Problem::new(Kind::NOT_NOW, format!("it is {state}: {why}")).into()
            }
            DeskError::Changed(_) => {
                let text = "The answer is another now: look at it again.";
                Problem::new(Kind::CHANGED, text).into()
            }
            DeskError::Wrong(what) => Problem::new(Kind::WRONG, what).into(),
            DeskError::Unsigned(what) => {
                tracing::error!("an answer can't be signed: {what}");
                trouble()
            }
            e => {
                tracing::error!("the desk of the responder: {e}");
                trouble()
            }
        }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        match self {
            Self::No(why) => why.into_response(),
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

/// A fault of ours, of which the log says more.
pub fn trouble() -> Denied {
    let text = "A fault on our side; the log of the provider says which.";
    Problem::new(Kind::TROUBLE, text).after(RETRY).into()
}

/// When to come again after a fault of ours: a few turns of a file system that was full.
const RETRY: Duration = Duration::from_secs(30);
