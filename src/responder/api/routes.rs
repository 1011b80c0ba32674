//! Which path leads where. The table is what the router is made of, and what docs/api/hop-answer.yaml is held against.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::refusal::{BODY_OCTETS, Refusal, guard};
use super::{Api, operator, provider, push, requests};

/// A method and a path, and what is done there.
pub(super) struct Route {
    pub method: MethodFilter,
    pub path: &'static str,
    to: fn(MethodFilter) -> MethodRouter<Arc<Api>>,
}

/// Every one.
pub(super) const ROUTES: &[Route] = &[
    Route {
        method: MethodFilter::GET,
        path: "/v1/hop-requests",
        to: |m| on(m, operator::list),
    },
    Route {
        method: MethodFilter::POST,
        path: "/v1/hop-requests",
        to: |m| on(m, push::push),
    },
    Route {
        method: MethodFilter::GET,
        path: "/v1/hop-requests/{id}",
        to: |m| on(m, requests::state),
    },
    Route {
        method: MethodFilter::GET,
        path: "/v1/hop-requests/{id}/answer",
        to: |m| on(m, requests::answer),
    },
    Route {
        method: MethodFilter::GET,
        path: "/v1/hop-requests/{id}/evidence",
        to: |m| on(m, requests::evidence),
    },
    Route {
        method: MethodFilter::POST,
        path: "/v1/hop-requests/{id}/decision",
        to: |m| on(m, operator::decide),
    },
    Route {
        method: MethodFilter::POST,
        path: "/v1/lookups",
        to: |m| on(m, operator::look_up),
    },
    Route {
        method: MethodFilter::GET,
        path: "/v1/coverage",
        to: |m| on(m, operator::coverage),
    },
    Route {
        method: MethodFilter::GET,
        path: "/v1/audit/head",
        to: |m| on(m, operator::audit_head),
    },
    Route {
        method: MethodFilter::GET,
        path: "/v1/audit/proof",
        to: |m| on(m, operator::audit_proof),
    },
    Route {
        method: MethodFilter::POST,
        path: "/v1/halt",
        to: |m| on(m, operator::halt),
    },
    Route {
        method: MethodFilter::POST,
        path: "/v1/resume",
        to: |m| on(m, operator::resume),
    },
    Route {
        method: MethodFilter::GET,
        path: "/.well-known/traceback-provider",
        to: |m| on(m, provider::document),
    },
    Route {
        method: MethodFilter::GET,
        path: "/.well-known/jwks.json",
        to: |m| on(m, provider::keys),
    },
];

/// All of them, behind the guard.
pub(super) fn router(api: Arc<Api>) -> Router {
    let all = ROUTES.iter();
    let routes = all.fold(Router::new(), |r, route| {
        r.route(route.path, (route.to)(route.method))
    });
    let routes = routes
        .fallback(|| async { Refusal::NoRoute })
        .method_not_allowed_fallback(|| async { Refusal::NoMethod })
        // The guard has read the body already, within the same bound.
        .layer(DefaultBodyLimit::max(BODY_OCTETS))
        .with_state(api.clone());
    // Around all of it: the router itself adds a header to what has another method.
    Router::new()
        .fallback_service(routes)
        .layer(from_fn_with_state(api, guard))
}
