//! `tickey demo`: a complete demonstration server.

use std::path::PathBuf;
use std::sync::Arc;

use super::outcome::Outcome;
use super::serve::{Server, ServerArgs, Tickets};
use super::{link_keys, output, seed};
use crate::environment::{Clock as _, SystemClock, SystemEntropy};
use crate::library::{Library, LibraryLocation};
use crate::redemption::create::create;
use crate::redemption::metrics::Metrics;
use crate::redemption::store::TicketStore;
use crate::redemption::store::location::{IfMissing, StoreLocation};
use crate::redemption::ticket::{IdempotencyKey, Redeem, RedemptionId};
use crate::telemetry;

/// Try it: serve two small albums, with keys that can be redeemed right now
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder of the store and the link keys; created when missing
    #[arg(long, env = "TICKEY_DATA_DIR", value_name = "DIR", default_value = "tickey-data")]
    data_dir: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: Args) -> Outcome {
    let mut registry = telemetry::registry();
    let metrics = Arc::new(Metrics::register(&mut registry));
    let location = StoreLocation::Sqlite(args.data_dir.join("tickets.db"));
    let store = location.open(IfMissing::Create, Arc::clone(&metrics) as _).await?;
    let link_keys_file = args.data_dir.join("link-keys");
    if store.page(None, None, 1).await?.tickets.is_empty() {
        // Made first: new link keys beside a store with redemptions, which are about to be added, look like a loss.
        link_keys::read_or_make(&link_keys_file, &SystemClock, &SystemEntropy)?;
        create(&*store, seed::tickets()?, None).await?.certain()?;
    }
    let keys = redeemable(&*store).await?;
    let library = Library::open(&LibraryLocation::Demo).await?;
    let tickets = Tickets { store, library, metrics, registry };
    let server = Server::prepare(&args.server, link_keys_file, None, tickets).await?;
    let url = format!("http://{}", server.address);
    output::say(&format!("tickey is at {url}"))?;
    output::say("")?;
    if let Some(first) = keys.first() {
        output::say("These keys can be redeemed right now:")?;
        output::say("")?;
        for key in &keys {
            output::say(&format!("  {key}"))?;
        }
        output::say("")?;
        output::say("Open the address in a browser and enter one of them, or")?;
        output::say("")?;
        output::say(&format!("  curl -d key={first} -H 'Idempotency-Key: my-first-try' {url}/redemptions"))?;
        output::say("")?;
    } else {
        let data_dir = args.data_dir.display();
        output::say(&format!("All of its keys have been used: remove {data_dir} to begin anew."))?;
        output::say("")?;
    }
    server.run().await
}

/// The demonstration's keys that are unused and valid now.
async fn redeemable(store: &dyn TicketStore) -> Outcome<Vec<String>> {
    let anybody = IdempotencyKey::from_random([0; 16]);
    let now = SystemClock.now();
    let mut keys = Vec::new();
    for (key, id) in seed::keys()? {
        let Some(found) = store.get(id).await? else { continue };
        let redemption = RedemptionId::derive(&id, found.value.generation(), &anybody);
        if matches!(found.value.redeem(redemption, now), Ok(Redeem::Now(..))) {
            keys.push(key);
        }
    }
    Ok(keys)
}
