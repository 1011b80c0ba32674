//! Requests for a traceback, from machines of those who hand them in: an agency's, a provider's fraud desk's.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::response::{IntoResponse, Response};

use super::guard::{Machine, malformed};
use super::problem::{Denied, absent, trouble};
use super::{Api, off};
use crate::portal::docket::{Actor, Handed};
use crate::portal::word::Role;
use crate::proof::Who;

fn actor(machine: &Machine) -> Result<Actor, Denied> {
    match machine {
        Machine::Requester(name, organisation) => Ok(Actor {
            who: Who::Operator(name.clone()),
            role: Role::Requester,
            organisation: organisation.clone(),
            provider: None,
        }),
        // The guard lets nobody else through.
        Machine::Provider(_) => Err(trouble()),
    }
}

/// `POST /v1/tracebacks`
pub(super) async fn submit(
    State(api): State<Arc<Api>>,
    Extension(machine): Extension<Machine>,
    body: Bytes,
) -> Result<Response, Denied> {
    let actor = actor(&machine)?;
    let handed: Handed = serde_json::from_slice(&body)
        .map_err(|e| malformed(&format!("The request can't be read: {e}")))?;
    let (docket, now) = (api.docket.clone(), (api.now)());
    let submitted = off(move || docket.submit(&actor, &handed, now)).await??;
    let place = [(LOCATION, format!("/v1/tracebacks/{}", submitted.case))];
    Ok((StatusCode::CREATED, place, axum::Json(submitted)).into_response())
}

/// `GET /v1/tracebacks/{id}`
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Extension(machine): Extension<Machine>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Denied> {
    let actor = actor(&machine)?;
    let Path(id) = id.map_err(|_| absent())?;
    let docket = api.docket.clone();
    let found = off(move || docket.traceback(&id, Some(&actor.organisation))).await??;
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(found)).into_response())
}
