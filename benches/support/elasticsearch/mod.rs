//! Elasticsearch for whoever measures on it: a node, the way to it, servers, and the same reads and writes without one.
//!
//! | module | what it does |
//! |---|---|
//! | [`node`] | a node that ends with the program |
//! | [`cluster`] | the way to it, and what is done around the measurements |
//! | [`document`] | a ticket as it is stored, and requests for one |
//! | [`server`] | the servers that are measured |
//! | [`direct`] | one of them, a first version: a GET and a conditional PUT for each redemption |
//! | [`bare`] | tickets in bulk: a loop that redeems them, and one that makes them |

use tickey::redemption::key::TicketId;

use super::Outcome;
use cluster::{Access, Client};

pub(crate) mod bare;
pub(crate) mod cluster;
pub(crate) mod direct;
pub(crate) mod document;
pub(crate) mod node;
pub(crate) mod server;

/// Makes the index of a user anew, with these tickets, which nobody has used, and lets it come to rest.
pub(crate) async fn refill(admin: &Client, user: &Access, ids: &[TicketId]) -> Outcome {
    admin.make_index(user).await?;
    admin.be_idle_for_searches().await?;
    bare::load(admin, bare::bodies(ids, 2500)?, 2).await?;
    admin.expect_count(ids.len()).await?;
    admin.settle().await
}
