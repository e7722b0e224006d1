//! The use case of whoever issued a ticket: to declare it void, or to give it back.
//!
//! Safe in the way of [`super::redeem`]: every change is a conditional write, and what became of it is read again
//! whenever that is in doubt. Knows the store by its trait, and no HTTP.

use tokio::time::Instant;

use super::key::TicketId;
use super::redeem::{ConditionalWrite, RedeemError};
use super::ticket::Ticket;
use crate::store::{TicketStore, Versioned};

/// What became of a ticket that was to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The ticket as it is now.
    pub ticket: Ticket,
    /// Whether it was changed; it was in that state before otherwise.
    pub changed: bool,
}

/// Changes the ticket by `transition`, which gives `None` when there is nothing to change. Ends by `deadline`.
pub async fn change(
    store: &dyn TicketStore,
    id: TicketId,
    deadline: Instant,
    transition: impl Fn(Ticket) -> Option<Ticket>,
) -> Result<Changed, RedeemError> {
    let mut write = ConditionalWrite::new(store, id, deadline);
    let mut attempted = false;
    loop {
        let Some(Versioned { version, value: ticket }) = write.read().await? else {
            if write.confirm(None).await? {
                return Err(RedeemError::Unknown);
            }
            continue;
        };
        match transition(ticket.clone()) {
            Some(ticket) => {
                attempted = true;
                if write.put(version, ticket.clone()).await? {
                    return Ok(Changed { ticket, changed: true });
                }
            }
            // After a conflict or a lost reply this may be the change that was asked for.
            None if write.confirm(Some(version)).await? => return Ok(Changed { ticket, changed: attempted }),
            None => {}
        }
    }
}
