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
///
/// A change of which nothing was heard is not made again when somebody has given the ticket back meanwhile: that would take
/// it away from whoever has it by now. If the giving back is the change itself, it is done; otherwise nobody can say.
pub async fn change(
    store: &dyn TicketStore,
    id: TicketId,
    deadline: Instant,
    transition: impl Fn(Ticket) -> Option<Ticket>,
) -> Result<Changed, RedeemError> {
    let mut write = ConditionalWrite::new(store, id, deadline);
    let mut attempted: Option<Ticket> = None;
    loop {
        let Some(Versioned { version, value: ticket }) = write.read().await? else {
            if write.confirm(None).await? {
                return Err(RedeemError::Unknown);
            }
            continue;
        };
        if let Some(made) =
            attempted.take_if(|made| write.is_overtaken(&ticket) && made.reinstated == ticket.reinstated)
        {
            if write.confirm(Some(version)).await? {
                return Ok(Changed { ticket: made, changed: true });
            }
            attempted = Some(made);
            continue;
        }
        write.check_not_overtaken(&ticket)?;
        let round = ticket.reinstatements();
        match transition(ticket.clone()) {
            Some(changed) => {
                attempted = Some(changed.clone());
                if write.put(version, changed.clone(), round).await? {
                    return Ok(Changed { ticket: changed, changed: true });
                }
            }
            // After a conflict or a lost reply this may be the change that was asked for.
            None if write.confirm(Some(version)).await? => {
                return Ok(Changed { ticket, changed: attempted.is_some() });
            }
            None => {}
        }
    }
}
