//! Which path leads where. The table is what the router is made of, and what docs/api/hop-answer.yaml is held against.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

use super::refusal::{BODY_OCTETS, Refusal, guard};
use super::{Api, operator, provider, push, requests};

/// A path, and what is done there by method.
pub(super) struct Route {
    pub path: &'static str,
    pub methods: &'static [&'static str],
    to: fn() -> MethodRouter<Arc<Api>>,
}

/// Every one.
pub(super) const ROUTES: &[Route] = &[
    Route {
        path: "/v1/hop-requests",
        methods: &["get", "post"],
        to: || get(operator::list).post(push::push),
    },
    Route {
        path: "/v1/hop-requests/{id}",
        methods: &["get"],
        to: || get(requests::state),
    },
    Route {
        path: "/v1/hop-requests/{id}/answer",
        methods: &["get"],
        to: || get(requests::answer),
    },
    Route {
        path: "/v1/hop-requests/{id}/evidence",
        methods: &["get"],
        to: || get(requests::evidence),
    },
    Route {
        path: "/v1/hop-requests/{id}/decision",
        methods: &["post"],
        to: || post(operator::decide),
    },
    Route {
        path: "/v1/lookups",
        methods: &["post"],
        to: || post(operator::look_up),
    },
    Route {
        path: "/v1/coverage",
        methods: &["get"],
        to: || get(operator::coverage),
    },
    Route {
        path: "/v1/audit/head",
        methods: &["get"],
        to: || get(operator::audit_head),
    },
    Route {
        path: "/v1/audit/proof",
        methods: &["get"],
        to: || get(operator::audit_proof),
    },
    Route {
        path: "/v1/halt",
        methods: &["post"],
        to: || post(operator::halt),
    },
    Route {
        path: "/v1/resume",
        methods: &["post"],
        to: || post(operator::resume),
    },
    Route {
        path: "/.well-known/traceback-provider",
        methods: &["get"],
        to: || get(provider::document),
    },
    Route {
        path: "/.well-known/jwks.json",
        methods: &["get"],
        to: || get(provider::keys),
    },
];

/// All of them, behind the guard.
pub(super) fn router(api: Arc<Api>) -> Router {
    let all = ROUTES.iter();
    let router = all.fold(Router::new(), |r, route| r.route(route.path, (route.to)()));
    router
        .fallback(|| async { Refusal::NoRoute })
        .method_not_allowed_fallback(|| async { Refusal::NoMethod })
        // The guard has read the body already, within the same bound.
        .layer(DefaultBodyLimit::max(BODY_OCTETS))
        .layer(from_fn_with_state(api.clone(), guard))
        .with_state(api)
}
