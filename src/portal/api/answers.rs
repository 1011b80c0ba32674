//! What a provider's machine sends: receipts, answers, drafts, reports. All of it may come twice, and counts once.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::guard::Machine;
use super::problem::{CONFLICT, Denied, WITHDRAWN, WRONG, absent};
use super::{Api, off};
use crate::portal::docket::Received;

/// A path that can't be read names nothing that is there.
pub(super) fn named<T>(path: Result<Path<T>, PathRejection>) -> Result<T, Denied> {
    path.map(|Path(path)| path).map_err(|_| absent())
}

/// `POST /v1/hop-requests/{id}/ack`
pub(super) async fn acknowledge(
    State(api): State<Arc<Api>>,
    Extension(machine): Extension<Machine>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Denied> {
    let (provider, id) = (Api::provider(&machine)?, named(id)?);
    let (docket, now) = (api.docket.clone(), (api.now)());
    off(move || docket.acknowledge(&provider, &id, now)).await??;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `PUT /v1/hop-requests/{id}/answers/{answer_id}`
pub(super) async fn answer(
    State(api): State<Arc<Api>>,
    Extension(machine): Extension<Machine>,
    path: Result<Path<(String, String)>, PathRejection>,
    body: Bytes,
) -> Result<Response, Denied> {
    let (provider, (id, answer)) = (Api::provider(&machine)?, named(path)?);
    let (docket, now) = (api.docket.clone(), (api.now)());
    let received = off(move || docket.answer(&provider, &id, &answer, &body, now)).await??;
    api.counters.answer(&received);
    replied(received)
}

/// `PUT /v1/hop-requests/{id}/drafts/{answer_id}`
pub(super) async fn draft(
    State(api): State<Arc<Api>>,
    Extension(machine): Extension<Machine>,
    path: Result<Path<(String, String)>, PathRejection>,
    body: Bytes,
) -> Result<Response, Denied> {
    let (provider, (id, answer)) = (Api::provider(&machine)?, named(path)?);
    let (docket, now) = (api.docket.clone(), (api.now)());
    replied(off(move || docket.draft(&provider, &id, &answer, &body, now)).await??)
}

/// `POST /v1/providers/{pid}/reports/{key}`
pub(super) async fn report(
    State(api): State<Arc<Api>>,
    Extension(machine): Extension<Machine>,
    path: Result<Path<(String, String)>, PathRejection>,
    body: Bytes,
) -> Result<Response, Denied> {
    let (pid, key) = named(path)?;
    let provider = Api::own(&machine, &pid)?;
    let (docket, now) = (api.docket.clone(), (api.now)());
    replied(off(move || docket.report(&provider, &key, &body, now)).await??)
}

fn replied(received: Received) -> Result<Response, Denied> {
    match received {
        Received::New => Ok(StatusCode::CREATED.into_response()),
        Received::Known => Ok(StatusCode::OK.into_response()),
        Received::Rejected(reasons) => {
            let text = reasons.join("; ");
            Err(Denied::new(WRONG, text).because(&reasons))
        }
        Received::Conflict(what) => Err(Denied::new(CONFLICT, what)),
        Received::Withdrawn => Err(Denied::new(
            WITHDRAWN,
            "Nothing is asked any more: no answer is needed.",
        )),
    }
}
