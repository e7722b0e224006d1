//! The servers that are measured: ours, ours without batching, and a first version.

use std::sync::Arc;

use clap::ValueEnum;
use tickey::lifecycle::Leaving;
use tickey::redemption::metrics::Metrics;
use tickey::redemption::store::elasticsearch::{Batching, ElasticsearchStore};
use tickey::redemption::store::location::IfMissing;
use tickey::telemetry;

use super::super::Outcome;
use super::super::server::{self, Server};
use super::cluster::{Access, Client};
use super::direct;

/// Requests for reading, and for writing, that are under way without batching: together as many as the connections that
/// the store's client keeps. With more of them it opens connections over and over, and then Elasticsearch is busy with
/// TLS handshakes, most of which take longer than the client waits.
pub(crate) const UNBATCHED_LANES: usize = 16;

/// What a server does with a redemption.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Variant {
    /// What `tickey serve` does.
    Batched,
    /// The same with a request of the store for each operation.
    Unbatched,
    /// A GET and a conditional PUT.
    Direct,
}

/// Which server to be.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// What it does
    #[arg(long, value_enum)]
    variant: Variant,
    #[command(flatten)]
    access: Access,
}

/// Starts one.
pub(crate) fn start(variant: Variant, access: &Access) -> Outcome<Server> {
    let name = variant.to_possible_value().ok_or("the variant has no name")?;
    Server::start(name.get_name(), access.role("serve-elasticsearch")?.args(["--variant", name.get_name()]))
}

/// The role of the process that [`start`] starts.
pub(crate) fn serve(args: ServeArgs) -> Outcome {
    server::run(serve_variant(args))
}

async fn serve_variant(args: ServeArgs) -> Outcome {
    let leaving = Leaving::default();
    let mut registry = telemetry::registry();
    let metrics = Arc::new(Metrics::register(&mut registry));
    let batching = match args.variant {
        Variant::Unbatched => Batching { max_batch: 1, lanes: UNBATCHED_LANES, ..Batching::default() },
        Variant::Batched | Variant::Direct => Batching::default(),
    };
    let settings = args.access.settings(batching)?;
    let store = ElasticsearchStore::new(settings, IfMissing::Create, Arc::clone(&metrics) as _)?;
    // Nobody asks this store anything when the server has requests of its own.
    let around = server::around(Arc::new(store), Arc::clone(&metrics), registry, leaving.clone()).await?;
    let router = match args.variant {
        Variant::Batched | Variant::Unbatched => around.site.public,
        Variant::Direct => direct::router(Client::new(&args.access)?, &around.envelope, metrics).await?,
    };
    server::listen(vec![router, around.site.ops], leaving).await
}
