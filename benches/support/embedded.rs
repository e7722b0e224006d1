//! The servers that are measured: ours, ours without batching, and one that does nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::post;
use bytes::Bytes;
use clap::ValueEnum;
use tickey::lifecycle::Leaving;
use tickey::redemption::metrics::Metrics;
use tickey::redemption::store::location::IfMissing;
use tickey::redemption::store::sqlite::{Settings, SqliteStore};
use tickey::telemetry;

use super::Outcome;
use super::server::{self, Around, Server};
use super::wire::Answer;

/// What a server does with a redemption.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Variant {
    /// What `tickey serve` does.
    Batched,
    /// The same with a transaction for each operation.
    Unbatched,
    /// Answers, without looking at the request.
    Nothing,
}

/// Which server to be.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// What it does
    #[arg(long, value_enum)]
    variant: Variant,
    /// Its store
    #[arg(long)]
    data: PathBuf,
    /// The status of the answer that does nothing
    #[arg(long, default_value_t = 201)]
    answer_status: u16,
    /// The size of its body
    #[arg(long, default_value_t = 0)]
    answer_bytes: usize,
}

/// Ours, on a store.
pub(crate) fn on_store(variant: Variant, data: &Path) -> Outcome<Server> {
    start(variant, data, &[])
}

/// One that does nothing, and whose answers have this status and size.
pub(crate) fn of_nothing(data: &Path, like: Answer) -> Outcome<Server> {
    let (status, bytes) = (like.status.to_string(), like.body_bytes.to_string());
    start(Variant::Nothing, data, &["--answer-status", &status, "--answer-bytes", &bytes])
}

fn start(variant: Variant, data: &Path, arguments: &[&str]) -> Outcome<Server> {
    let name = variant.to_possible_value().ok_or("the variant has no name")?;
    let mut role = Command::new(std::env::current_exe()?);
    role.args(["serve-embedded", "--variant", name.get_name(), "--data"]).arg(data).args(arguments);
    Server::start(name.get_name(), &mut role)
}

/// The role of the process that is started for a server.
pub(crate) fn serve(args: ServeArgs) -> Outcome {
    server::run(serve_variant(args))
}

async fn serve_variant(args: ServeArgs) -> Outcome {
    let leaving = Leaving::default();
    let around = around(&args, leaving.clone()).await?;
    let router = match args.variant {
        Variant::Batched | Variant::Unbatched => around.site.public,
        Variant::Nothing => nothing(&around, args.answer_status, args.answer_bytes)?,
    };
    server::listen(vec![router], leaving).await
}

async fn around(args: &ServeArgs, leaving: Leaving) -> Outcome<Around> {
    let mut registry = telemetry::registry();
    let metrics = Arc::new(Metrics::register(&mut registry));
    let mut settings = Settings::default();
    if matches!(args.variant, Variant::Unbatched) {
        settings.max_batch = 1;
    }
    let store = SqliteStore::open(&args.data, IfMissing::Create, settings, Arc::clone(&metrics) as _)?;
    server::around(Arc::new(store), metrics, registry, leaving).await
}

/// A handler that does nothing, in the envelope that all routes have.
fn nothing(around: &Around, status: u16, bytes: usize) -> Outcome<Router> {
    let status = StatusCode::from_u16(status)?;
    let body = Bytes::from(vec![b'x'; bytes]);
    let handler = move || async move {
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        (status, headers, body).into_response()
    };
    Ok(around.envelope.around(Router::new().route("/redemptions", post(handler))))
}
