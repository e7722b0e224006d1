//! The admin interface: mint, look up, revoke, reinstate, extend and count tickets, with the admin token.
//!
//! The use cases and the JSON are those of the command line. Its routes exist only when a token is set. Keys occur in
//! bodies only; URLs name tickets by their ids. Every change is logged: the client's network, what was changed and how
//! many tickets, but never a key, nor the reason of a change, since people write keys into those.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::state::Shared;

mod access;
mod batch;
mod batches;
mod changes;
mod failure;
mod keys;
mod mint;
pub(crate) mod openapi;
mod responses;
mod tickets;
mod token;

pub use access::Admin;
use access::AdminState;
pub use token::{AdminToken, AdminTokenError, open_to_others};

/// The routes.
pub(super) fn routes(state: &Shared, admin: Arc<Admin>) -> Router {
    let state = AdminState { state: Arc::clone(state), admin };
    Router::new()
        .route("/admin/batches", get(batches::batches).post(mint::mint))
        .route("/admin/batches/{batch}/revoke", post(batch::revoke))
        .route("/admin/batches/{batch}/reinstate", post(batch::reinstate))
        .route("/admin/batches/{batch}/extend", post(batch::extend))
        .route("/admin/tickets/lookup", post(tickets::lookup))
        .route("/admin/tickets/{id}", get(tickets::show))
        .route("/admin/tickets/{id}/revoke", post(tickets::revoke))
        .route("/admin/tickets/{id}/reinstate", post(tickets::reinstate))
        .route("/admin/tickets/{id}/extend", post(tickets::extend))
        .route("/admin/stats", get(batches::stats))
        .route_layer(from_fn_with_state(state.clone(), access::admit))
        .with_state(state)
}
