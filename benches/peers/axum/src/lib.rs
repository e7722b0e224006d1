//! What the two servers have in common: they redeem download keys behind axum, as a first version would, and differ in
//! where the tickets are.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CACHE_CONTROL, HOST, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

mod answer;
mod key;

use answer::Signer;
use key::{TicketId, ticket_id};

/// The largest body that is read, in bytes.
const MAX_BODY: usize = 4096;

/// What became of a ticket.
pub enum Outcome {
    /// It was used up, and this request did it.
    Redeemed,
    /// It was used before.
    Used,
    /// There is none.
    Unknown,
}

/// Where the tickets are.
pub trait Store: Send + Sync + 'static {
    /// Uses a ticket up, durably, if nobody has.
    fn redeem(
        &self,
        id: &TicketId,
        redemption: Uuid,
        now: Timestamp,
    ) -> impl Future<Output = anyhow::Result<Outcome>> + Send;
}

/// What both servers are told.
#[derive(clap::Args)]
pub struct Options {
    /// The album that tickets give
    #[arg(long)]
    album: PathBuf,
    /// Where the tickets are
    #[arg(long, env = "STORE_URL", hide_env_values = true)]
    pub store_url: String,
    /// 32 bytes in hexadecimal
    #[arg(long, env, hide_env_values = true)]
    link_secret: String,
}

struct App<S> {
    store: S,
    signer: Signer,
}

/// Listens, prints the address, and serves.
pub async fn serve(options: &Options, store: impl Store) -> anyhow::Result<()> {
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).init();
    let signer = Signer::new(&options.album, &hex::decode(&options.link_secret)?)
        .with_context(|| options.album.display().to_string())?;
    let router = Router::new()
        .route("/redemptions", post(redeem))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(log))
        .with_state(Arc::new(App { store, signer }));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}

async fn log(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let elapsed_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    tracing::info!(%method, path, status = response.status().as_u16(), elapsed_us, "request");
    response
}

#[derive(Deserialize)]
struct Typed {
    key: String,
}

async fn redeem<S: Store>(
    State(app): State<Arc<App<S>>>,
    headers: HeaderMap,
    typed: Result<Json<Typed>, JsonRejection>,
) -> Response {
    let Ok(Json(Typed { key })) = typed else {
        return refuse(StatusCode::BAD_REQUEST, "not a request to redeem a key");
    };
    let Some(id) = ticket_id(&key) else {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "not a key");
    };
    let redemption = Uuid::new_v4();
    let now = whole_seconds(Timestamp::now());
    match app.store.redeem(&id, redemption, now).await {
        Ok(Outcome::Redeemed) => {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
            let answer = app.signer.answer(host, &id, redemption, now);
            let headers =
                [(LOCATION, answer.receipt_url().to_owned()), (CACHE_CONTROL, "no-store".to_owned())];
            (StatusCode::CREATED, headers, Json(answer)).into_response()
        }
        Ok(Outcome::Used) => refuse(StatusCode::CONFLICT, "the ticket was used before"),
        Ok(Outcome::Unknown) => refuse(StatusCode::NOT_FOUND, "no ticket has this key"),
        Err(error) => {
            tracing::error!(%error, "not redeemed");
            refuse(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer")
        }
    }
}

fn refuse(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
