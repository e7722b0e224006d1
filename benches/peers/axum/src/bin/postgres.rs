//! Tickets as rows of PostgreSQL: a redemption is an UPDATE that only the first one can make.

use clap::Parser;
use jiff::Timestamp;
use peers::{Options, Outcome, Store};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

/// Redeems download keys on PostgreSQL
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// Connections to PostgreSQL, at most
    #[arg(long, default_value_t = 64)]
    connections: u32,
}

struct Postgres {
    pool: PgPool,
}

impl Store for Postgres {
    // The time is PostgreSQL's own.
    async fn redeem(&self, id: &[u8; 32], redemption: Uuid, _: Timestamp) -> anyhow::Result<Outcome> {
        let redeemed = sqlx::query(
            "UPDATE tickets SET redeemed_at = now(), redemption = $2 WHERE id = $1 AND redeemed_at IS NULL RETURNING \
             album",
        )
        .bind(id.as_slice())
        .bind(redemption)
        .fetch_optional(&self.pool)
        .await?;
        if redeemed.is_some() {
            return Ok(Outcome::Redeemed);
        }
        let known = sqlx::query("SELECT FROM tickets WHERE id = $1")
            .bind(id.as_slice())
            .fetch_optional(&self.pool)
            .await?;
        Ok(if known.is_some() { Outcome::Used } else { Outcome::Unknown })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { options, connections } = Cli::parse();
    let pool = PgPoolOptions::new().max_connections(connections).connect(&options.store_url).await?;
    peers::serve(&options, Postgres { pool }).await
}
