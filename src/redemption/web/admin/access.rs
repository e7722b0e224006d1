//! Admits only requests with the admin token.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRef, Request, State as AxumState};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use headers::authorization::Bearer;
use headers::{Authorization, HeaderMapExt as _};
use tokio::sync::Semaphore;

use super::failure::AdminFailure;
use super::token::AdminToken;
use crate::redemption::web::state::{Settings, Shared};
use crate::web::attempts::Attempts;
use crate::web::negotiation::{Format, OnlyForm};
use crate::web::request::RequestInfo;

/// The most requests that mint at once, since each holds all of its keys in memory until they are sent; one more is
/// refused at once.
const MAX_MINTING: usize = 4;

/// The admin interface's state, in addition to the state of all handlers.
pub struct Admin {
    token: AdminToken,
    /// Counts wrong tokens. The allowance is that of unknown keys, with a separate count.
    attempts: Attempts,
    pub(super) minting: Arc<Semaphore>,
}

impl Admin {
    /// An admin interface with this token.
    #[must_use]
    pub fn new(token: AdminToken, settings: &Settings) -> Arc<Self> {
        let attempts = Attempts::new(settings.unknown);
        Arc::new(Self { token, attempts, minting: Arc::new(Semaphore::new(MAX_MINTING)) })
    }

    /// Admits only a request with the token.
    async fn admit(&self, request: &RequestInfo, headers: &HeaderMap) -> Result<(), AdminFailure> {
        // A request without a token is not counted as a guess.
        let presented = bearer(headers).ok_or(AdminFailure::Unauthorized)?;
        let checked = self.attempts.check(request.client, Instant::now());
        checked.map_err(|retry_after_seconds| AdminFailure::TooManyTokens { retry_after_seconds })?;
        if self.token.admits(presented.token().trim().as_bytes()).await {
            return Ok(());
        }
        self.attempts.count_failure(request.client, Instant::now());
        tracing::warn!(request_id = request.id.as_str(), client = %request.client, "wrong admin token");
        Err(AdminFailure::Unauthorized)
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750, section 2.1), sent once.
fn bearer(headers: &HeaderMap) -> Option<Bearer> {
    let once = headers.get_all(AUTHORIZATION).iter().count() == 1;
    headers.typed_get::<Authorization<Bearer>>().filter(|_| once).map(|Authorization(bearer)| bearer)
}

/// State that the handlers of the admin interface share.
#[derive(Clone)]
pub(crate) struct AdminState {
    pub(super) state: Shared,
    pub(super) admin: Arc<Admin>,
}

impl FromRef<AdminState> for Shared {
    fn from_ref(state: &AdminState) -> Self {
        Arc::clone(&state.state)
    }
}

/// Wraps every route here: checks the token first, and always answers with JSON.
pub(super) async fn admit(
    AxumState(state): AxumState<AdminState>,
    info: RequestInfo,
    request: Request,
    next: Next,
) -> Response {
    let mut answer = match state.admin.admit(&info, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    answer.extensions_mut().insert(OnlyForm(Format::Json));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_read_from_one_header() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(|bearer| bearer.token().trim().to_owned())
        };
        for value in ["Bearer secret", "bearer secret", "BEARER   secret "] {
            assert_eq!(read(&[value]).as_deref(), Some("secret"), "{value:?}");
        }
        for values in [&[][..], &["Basic secret"], &["secret"], &["Bearer"], &["Bearer a", "Bearer a"]] {
            assert_eq!(read(values), None, "{values:?}");
        }
    }
}
