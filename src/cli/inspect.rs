//! `tickey inspect`: a ticket by its key.

use jiff::Timestamp;
use serde::Serialize;

use super::key_argument::KeyArgument;
use super::options::{JsonOption, StoreOption};
use super::{Outcome, output};
use crate::redemption::key::TicketId;
use crate::redemption::ticket::{Redemption, Status, Ticket};
use crate::store::location::IfMissing;

/// Look at the ticket of a key
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The key, or - to read it from standard input, out of sight of ps and shell histories
    key: KeyArgument,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    json: JsonOption,
}

/// A ticket as it is printed: everything that is stored, and never a key.
#[derive(Serialize)]
pub(super) struct TicketView {
    id: String,
    album: String,
    batch: String,
    status: Status,
    issued_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redemption: Option<RedemptionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reinstated: Option<ReinstatementView>,
}

#[derive(Serialize)]
struct RedemptionView {
    id: String,
    at: Timestamp,
    renewals: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    renewed_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct ReinstatementView {
    times: u32,
    at: Timestamp,
    because: String,
}

impl TicketView {
    pub(super) fn new(id: &TicketId, ticket: &Ticket) -> Self {
        Self {
            id: id.to_string(),
            album: ticket.album.to_string(),
            batch: ticket.batch.to_string(),
            status: ticket.status(),
            issued_at: ticket.issued_at,
            valid_from: ticket.valid_from,
            expires_at: ticket.expires_at,
            redemption: ticket.last_redemption().map(RedemptionView::new),
            reinstated: ticket.reinstated.as_ref().map(|last| ReinstatementView {
                times: last.times,
                at: last.at,
                because: last.because.clone(),
            }),
        }
    }

    /// As lines of `name: value`.
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("ticket:      {}", self.id),
            format!("album:       {}", self.album),
            format!("batch:       {}", self.batch),
            format!("status:      {}", self.status.as_str()),
            format!("issued at:   {}", self.issued_at),
        ];
        lines.extend(self.valid_from.map(|time| format!("valid from:  {time}")));
        lines.extend(self.expires_at.map(|time| format!("expires at:  {time}")));
        if let Some(redemption) = &self.redemption {
            lines.push(format!("redeemed at: {}", redemption.at));
            lines.push(format!("redemption:  {}", redemption.id));
            lines.push(format!("renewals:    {}", redemption.renewals));
            lines.extend(redemption.renewed_at.map(|time| format!("renewed at:  {time}")));
        }
        if let Some(last) = &self.reinstated {
            lines.push(format!(
                "reinstated:  {} times, last at {}, because: {}",
                last.times, last.at, last.because
            ));
        }
        lines
    }
}

impl RedemptionView {
    fn new(redemption: &Redemption) -> Self {
        Self {
            id: redemption.id.to_string(),
            at: redemption.at,
            renewals: redemption.renewals,
            renewed_at: redemption.renewed_at,
        }
    }
}

pub(super) async fn run(args: Args) -> Outcome {
    let id = args.key.read()?.id();
    let store = args.store.open(IfMissing::Fail).await?;
    let found = store.get(id).await?.ok_or("no ticket has this key")?;
    show(&id, &found.value, args.json)
}

/// Prints a ticket.
pub(super) fn show(id: &TicketId, ticket: &Ticket, json: JsonOption) -> Outcome {
    let view = TicketView::new(id, ticket);
    if json.json {
        output::say_json(&view)?;
    } else {
        for line in view.lines() {
            output::say(&line)?;
        }
    }
    Ok(())
}
