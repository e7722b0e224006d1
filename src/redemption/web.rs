//! The HTTP interface of this context: redeeming, receipts, downloads, and the admin interface. `routes` is the
//! table of routes.
//!
//! Knows the core and the library, and uses the general web module for what all contexts share.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

pub mod admin;
mod answer;
mod attempt;
mod disposition;
mod downloads;
mod failure;
mod files;
mod hello;
mod log;
mod members;
mod openapi;
mod pages;
mod readiness;
mod receipt;
mod redeem;
mod state;

use admin::Admin;
pub use downloads::DownloadLimits;
pub use state::{Parts, Settings, Shared, State};

use crate::web::Part;

/// This context as a part of a server; with `/admin`, protected by the admin token, if one is set.
#[must_use]
pub fn part(state: &Shared, admin: Option<Arc<Admin>>) -> Part {
    let description = openapi::description(admin.is_some());
    let mut routes = routes(state);
    if let Some(admin) = admin {
        routes = routes.merge(admin::routes(state, admin));
    }
    let underway = state.underway.clone();
    Part { routes, description, checks: vec![readiness::check(state)], underway }
}

fn routes(state: &Shared) -> Router {
    Router::new()
        .route("/", get(hello::root))
        .route("/redemptions", post(redeem::redeem))
        .route("/redemptions/{receipt}", get(receipt::show))
        .route("/redemptions/{receipt}/links", post(receipt::renew))
        .route("/files/receipts/{receipt}/{name}", get(receipt::file))
        .route("/files/{album}/{name}", get(files::download))
        .with_state(Arc::clone(state))
}
