//! Common parts of the HTTP interface, whatever a route is about.
//!
//! A context provides a [`Part`]: its routes, its description, and its conditions for readiness. A handler parses its
//! request into types that cannot be invalid, calls a use case, and returns its result or a failure. A failure becomes
//! a `problem`, and the `envelope` around all routes renders it. Knows no context.

use std::sync::Arc;

use axum::Router;

use crate::lifecycle::{Completion, Leaving};
use crate::telemetry::Registry;

pub(crate) mod assets;
pub mod attempts;
pub(crate) mod body;
pub mod envelope;
pub(crate) mod failure;
mod hardening;
pub(crate) mod health;
mod host;
pub(crate) mod intent;
pub(crate) mod log;
pub(crate) mod negotiation;
pub(crate) mod occupancy;
pub(crate) mod openapi;
pub(crate) mod page;
pub(crate) mod problem;
pub mod public_url;
mod render;
pub(crate) mod request;
pub(crate) mod sending;
pub(crate) mod words;

use envelope::Envelope;
use health::{Check, Readiness};

/// The contribution of a context to a server.
pub struct Part {
    /// Its routes.
    pub(crate) routes: Router,
    /// The description of the routes, for `/openapi.json`.
    pub(crate) description: utoipa::openapi::OpenApi,
    /// Conditions for readiness.
    pub(crate) checks: Vec<Check>,
    /// Work that a shutdown must let finish.
    pub(crate) underway: Completion,
}

/// A server of several contexts.
pub struct Site {
    /// The routes for clients: people and programs.
    pub public: Router,
    /// The routes that only operators reach.
    pub ops: Router,
    /// Work that a shutdown waits for after the last request.
    pub underway: Vec<Completion>,
}

impl Site {
    /// Combines the parts.
    #[must_use]
    pub fn new(envelope: &Arc<Envelope>, parts: Vec<Part>, registry: Registry, leaving: Leaving) -> Self {
        let mut routes = Router::new();
        let mut description = openapi::general();
        let (mut checks, mut underway) = (Vec::new(), Vec::new());
        for part in parts {
            routes = routes.merge(part.routes);
            description.merge(part.description);
            checks.extend(part.checks);
            underway.push(part.underway);
        }
        let health = health::routes(Arc::new(Readiness { leaving, checks }));
        let routes = routes
            .merge(health.clone())
            .merge(assets::routes())
            .merge(openapi::route(description))
            .fallback(failure::no_such_route)
            .method_not_allowed_fallback(failure::no_such_method);
        let ops = health::metrics_route(Arc::new(registry))
            .merge(health)
            .fallback(failure::no_such_route)
            .method_not_allowed_fallback(failure::no_such_method);
        Self { public: envelope.around(routes), ops: envelope.around_ops(ops), underway }
    }
}
