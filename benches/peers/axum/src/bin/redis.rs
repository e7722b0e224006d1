//! Tickets as hashes of Redis: a redemption sets a field that only the first one can set.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Parser;
use jiff::Timestamp;
use peers::{Options, Outcome, Store};
use redis::Script;
use redis::aio::ConnectionManager;
use uuid::Uuid;

/// In one step, and one way there and back. `HSETNX` alone would make a ticket where there is none.
const REDEEM: &str = "
    if redis.call('EXISTS', KEYS[1]) == 0 then return 'unknown' end
    if redis.call('HSETNX', KEYS[1], 'redemption', ARGV[1]) == 0 then return 'used' end
    redis.call('HSET', KEYS[1], 'redeemed_at', ARGV[2])
    return 'redeemed'";

/// Redeems download keys on Redis
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

struct Redis {
    /// One connection, over which all requests go without waiting for each other.
    connection: ConnectionManager,
    redeem: Script,
}

impl Store for Redis {
    async fn redeem(&self, id: &[u8; 32], redemption: Uuid, now: Timestamp) -> anyhow::Result<Outcome> {
        let mut connection = self.connection.clone();
        let outcome: String = self
            .redeem
            .key(format!("ticket:{}", URL_SAFE_NO_PAD.encode(id)))
            .arg(redemption.to_string())
            .arg(now.as_second())
            .invoke_async(&mut connection)
            .await?;
        match outcome.as_str() {
            "redeemed" => Ok(Outcome::Redeemed),
            "used" => Ok(Outcome::Used),
            _ => Ok(Outcome::Unknown),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { options } = Cli::parse();
    let connection = ConnectionManager::new(redis::Client::open(options.store_url.as_str())?).await?;
    peers::serve(&options, Redis { connection, redeem: Script::new(REDEEM) }).await
}
