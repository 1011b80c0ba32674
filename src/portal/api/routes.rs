//! Which path leads where, and for whom. The table is what the router is made of, and what docs/api/portal.yaml is held against.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::problem::{Denied, METHOD, absent};
use super::{Api, about, answers, guard, pull, requests};
use crate::proof::sign::verify::MAX_SIGNED;

/// Largest body of what is no answer: as a question ([`crate::traceback::request::MAX_OCTETS`]).
pub const BODY_OCTETS: usize = crate::traceback::request::MAX_OCTETS;

/// Who may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// A provider's machine.
    Providers,
    /// A machine that hands requests in.
    Requesters,
    /// Everybody.
    Everybody,
    /// Who watches: where the listener is on loopback, and else nobody.
    Watchers,
}

/// A method and a path, and what is done there.
pub(super) struct Route {
    pub method: MethodFilter,
    pub path: &'static str,
    pub whose: For,
    /// Octets of a body that are read.
    pub most: usize,
    to: fn(MethodFilter) -> MethodRouter<Arc<Api>>,
}

macro_rules! routes {
    ($($method:ident $path:literal $whose:ident $most:ident $to:path;)*) => {
        /// Every one.
        pub(super) const ROUTES: &[Route] = &[$(Route {
            method: MethodFilter::$method,
            path: $path,
            whose: For::$whose,
            most: $most,
            to: |m| on(m, $to),
        }),*];
    };
}

routes! {
    GET "/v1/providers/{pid}/hop-requests" Providers BODY_OCTETS pull::questions;
    GET "/v1/providers/{pid}/events" Providers BODY_OCTETS pull::events;
    POST "/v1/hop-requests/{id}/ack" Providers BODY_OCTETS answers::acknowledge;
    PUT "/v1/hop-requests/{id}/answers/{answer_id}" Providers MAX_SIGNED answers::answer;
    PUT "/v1/hop-requests/{id}/drafts/{answer_id}" Providers MAX_SIGNED answers::draft;
    POST "/v1/providers/{pid}/reports/{key}" Providers MAX_SIGNED answers::report;
    POST "/v1/tracebacks" Requesters BODY_OCTETS requests::submit;
    GET "/v1/tracebacks/{id}" Requesters BODY_OCTETS requests::show;
    GET "/.well-known/traceback-portal" Everybody BODY_OCTETS about::document;
    GET "/metrics" Watchers BODY_OCTETS about::metrics;
    GET "/healthz" Watchers BODY_OCTETS about::health;
    GET "/readyz" Watchers BODY_OCTETS about::readiness;
}

/// All of them, each behind the guard.
pub(super) fn router(api: Arc<Api>) -> Router {
    let all = ROUTES.iter().enumerate();
    let routes = all.fold(Router::new(), |r, (place, route)| {
        let guard = from_fn_with_state((api.clone(), place, route), guard::guard);
        r.route(route.path, (route.to)(route.method).route_layer(guard))
    });
    routes
        .fallback(nowhere)
        .method_not_allowed_fallback(otherwise)
        // The guard reads bodies, within the route's bound.
        .layer(DefaultBodyLimit::disable())
        .with_state(api)
}

async fn nowhere(State(api): State<Arc<Api>>) -> Denied {
    api.counters.reply(None, 404);
    absent()
}

async fn otherwise(State(api): State<Arc<Api>>) -> Denied {
    api.counters.reply(None, 405);
    Denied::new(METHOD, "docs/api/portal.yaml says which methods there are.")
}
