//! A ticket's document, as far as redeeming it needs to know, and the requests of a program that treats each by itself.

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use tickey::redemption::key::TicketId;
use uuid::Uuid;

use super::super::Outcome;
use super::super::keys::{ALBUM, BATCH};
use super::cluster::{Answer, Client};

/// What is stored of a ticket.
#[derive(Serialize, Deserialize)]
pub(crate) struct Document {
    /// The album that it gives.
    pub(crate) album: String,
    batch: String,
    status: String,
    issued_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redemption: Option<Redemption>,
}

#[derive(Serialize, Deserialize)]
struct Redemption {
    id: Uuid,
    at: Timestamp,
    renewals: u32,
}

impl Document {
    /// A new ticket.
    pub(crate) fn issued(at: Timestamp) -> Self {
        Self {
            album: ALBUM.to_owned(),
            batch: BATCH.to_owned(),
            status: "issued".to_owned(),
            issued_at: at,
            valid_from: None,
            expires_at: None,
            redemption: None,
        }
    }

    /// Uses it up. `false`: it cannot be used.
    pub(crate) fn redeem(&mut self, id: Uuid, now: Timestamp) -> bool {
        let usable = self.status == "issued"
            && self.valid_from.is_none_or(|from| from <= now)
            && self.expires_at.is_none_or(|end| now < end);
        if usable {
            "redeemed".clone_into(&mut self.status);
            self.redemption = Some(Redemption { id, at: now, renewals: 0 });
        }
        usable
    }
}

/// A document as it was found.
#[derive(Deserialize)]
pub(crate) struct Found {
    #[serde(rename = "_seq_no")]
    pub(crate) sequence: u64,
    #[serde(rename = "_primary_term")]
    pub(crate) term: u64,
    #[serde(rename = "_source")]
    pub(crate) source: Document,
}

/// `GET /tickets/_doc/ID`.
pub(crate) async fn get(client: &Client, id: &TicketId) -> Outcome<Option<Found>> {
    let answer = client.send(Method::GET, &format!("{}/_doc/{id}", client.index), Bytes::new()).await?;
    match answer.status {
        StatusCode::OK => Ok(Some(serde_json::from_slice(&answer.body)?)),
        StatusCode::NOT_FOUND => Ok(None),
        _ => Err(unexpected(&answer)),
    }
}

/// `PUT /tickets/_doc/ID?if_seq_no=…&if_primary_term=…`. `false`: somebody was faster.
pub(crate) async fn put(client: &Client, id: &TicketId, found: &Found) -> Outcome<bool> {
    let Found { sequence, term, source } = found;
    let path = format!("{}/_doc/{id}?if_seq_no={sequence}&if_primary_term={term}", client.index);
    let answer = client.send(Method::PUT, &path, serde_json::to_vec(source)?).await?;
    match answer.status {
        StatusCode::OK => Ok(true),
        StatusCode::CONFLICT => Ok(false),
        _ => Err(unexpected(&answer)),
    }
}

fn unexpected(answer: &Answer) -> Box<dyn std::error::Error + Send + Sync> {
    format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)).into()
}
