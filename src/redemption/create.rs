//! The use case of adding tickets: they are sent to the store, and an uncertain outcome is settled by reading.
//!
//! A store may lose its reply to a call that added tickets. The caller then reads them: a ticket that is stored as it
//! was sent was added by this call, and a missing one is sent again. If the outcome is still uncertain at the deadline,
//! it is reported as unknown, never as present. Knows the store by its trait, and no HTTP.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::{Instant, sleep, timeout_at};

use super::key::TicketId;
use super::ticket::Ticket;
use crate::redemption::store::{Created, StoreError, TicketStore, Versioned};

/// The time limit for settling uncertain outcomes when the caller has no deadline.
const SETTLE_LIMIT: Duration = Duration::from_mins(1);
/// The pause before the store is asked again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// The number of tickets that are read in parallel: a part of a store's queue, since other callers use it too.
const READS_AT_ONCE: usize = 1000;

/// The outcome of one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Creation {
    /// Tickets that this call added.
    pub new: u64,
    /// Tickets that existed before, and stay as they are.
    pub present: u64,
    /// Those of `present`, as they were sent, that this call did not add by another of its tickets with the same id.
    pub existing: Vec<(TicketId, Ticket)>,
    /// Tickets whose outcome is unknown: they may have been added.
    pub unknown: u64,
    /// The reason for the doubt; `None` when there never was any.
    pub doubt: Option<Arc<str>>,
}

impl Creation {
    /// The creation, if its whole outcome is certain.
    pub fn certain(self) -> Result<Self, Doubt> {
        if self.unknown == 0 {
            return Ok(self);
        }
        let why = self.doubt.unwrap_or_else(|| Arc::from("the store did not say"));
        Err(Doubt { unknown: self.unknown, why })
    }
}

/// The outcome of some tickets is unknown: they may have been added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store did not say whether it took {unknown} of the tickets: {why}")]
pub struct Doubt {
    /// The number of these tickets.
    pub unknown: u64,
    /// The reason.
    pub why: Arc<str>,
}

/// Adds those of the tickets that do not exist yet, some thousands at most. Ends by `deadline`; without one,
/// the store's own timeouts apply, and uncertain outcomes are settled for up to a minute. An error means that
/// none was added.
pub async fn create(
    store: &dyn TicketStore,
    tickets: Vec<(TicketId, Ticket)>,
    deadline: Option<Instant>,
) -> Result<Creation, StoreError> {
    add(store, tickets, deadline, Present::IsAnothers).await
}

/// As [`create`], for tickets whose keys were made for this call. If the store reports one as present, its outcome is
/// uncertain too: a cluster that loses a node repeats a request by itself, and then finds the ticket that it has added.
pub async fn create_minted(
    store: &dyn TicketStore,
    tickets: Vec<(TicketId, Ticket)>,
    deadline: Option<Instant>,
) -> Result<Creation, StoreError> {
    add(store, tickets, deadline, Present::MayBeOurs).await
}

/// How a ticket is treated that the store reports as present.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Present {
    IsAnothers,
    MayBeOurs,
}

async fn add(
    store: &dyn TicketStore,
    tickets: Vec<(TicketId, Ticket)>,
    deadline: Option<Instant>,
    present: Present,
) -> Result<Creation, StoreError> {
    let sent = store.create(tickets.clone());
    let created = match deadline {
        None => sent.await?,
        Some(deadline) => match timeout_at(deadline, sent).await {
            Ok(created) => created?,
            Err(_) => vec![Created::Unknown(Arc::from("no answer in time")); tickets.len()],
        },
    };
    let mut settling = Settling { store, open: Vec::new(), creation: Creation::default() };
    let mut added = Vec::new();
    for (ticket, created) in tickets.into_iter().zip(created) {
        if created == Created::New {
            added.push(ticket.0);
        }
        settling.sort(ticket, created);
    }
    settling.drop_repetitions(&mut added);
    if present == Present::MayBeOurs {
        let found = std::mem::take(&mut settling.creation.existing);
        settling.creation.present -= found.len() as u64;
        settling.open.extend(found);
    }
    let deadline = deadline.unwrap_or_else(|| Instant::now() + SETTLE_LIMIT);
    // Tickets that are not settled by then stay open. With an expired deadline, `timeout_at` would still poll the
    // future once, so it is skipped.
    if Instant::now() < deadline {
        let _ = timeout_at(deadline, settling.run()).await;
    }
    let unknown = settling.open.len() as u64;
    Ok(Creation { unknown, ..settling.creation })
}

/// Tickets with an uncertain outcome.
struct Settling<'a> {
    store: &'a dyn TicketStore,
    open: Vec<(TicketId, Ticket)>,
    creation: Creation,
}

/// The result of looking at a ticket.
enum Look {
    Ours,
    AnotherCalls,
    Absent,
    Uncertain,
}

impl Settling<'_> {
    fn sort(&mut self, ticket: (TicketId, Ticket), created: Created) {
        match created {
            Created::New => self.creation.new += 1,
            Created::Present => {
                self.creation.present += 1;
                self.creation.existing.push(ticket);
            }
            Created::Unknown(why) => {
                self.creation.doubt = Some(why);
                self.open.push(ticket);
            }
        }
    }

    /// Of several tickets with one id the first counts, as it does in the store. `added` are those that are new.
    fn drop_repetitions(&mut self, added: &mut [TicketId]) {
        let before = self.open.len();
        self.open.sort_by_key(|(id, _)| *id);
        self.open.dedup_by_key(|(id, _)| *id);
        self.creation.present += (before - self.open.len()) as u64;
        if self.creation.existing.is_empty() {
            return;
        }
        added.sort_unstable();
        let existing = &mut self.creation.existing;
        existing.sort_by_key(|(id, _)| *id);
        existing.dedup_by_key(|(id, _)| *id);
        existing.retain(|(id, _)| {
            added.binary_search(id).is_err() && self.open.binary_search_by_key(id, |(open, _)| *open).is_err()
        });
    }

    /// Can be dropped at any await: tickets that are not settled are then still open.
    async fn run(&mut self) {
        let mut pause = FIRST_PAUSE;
        while !self.open.is_empty() {
            let absent = self.look().await;
            self.send_again(absent).await;
            if !self.open.is_empty() {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Reads the open tickets, and returns the missing ones.
    async fn look(&mut self) -> Vec<(TicketId, Ticket)> {
        let store = self.store;
        let looks = self.open.iter().map(|(id, ticket)| look(store, *id, ticket));
        let looks: Vec<Look> =
            stream::iter(looks.collect::<Vec<_>>()).buffered(READS_AT_ONCE).collect().await;
        let mut absent = Vec::new();
        let mut looks = looks.into_iter();
        self.open.retain(|ticket| match looks.next() {
            Some(Look::Ours) => {
                self.creation.new += 1;
                false
            }
            Some(Look::AnotherCalls) => {
                self.creation.present += 1;
                self.creation.existing.push(ticket.clone());
                false
            }
            Some(Look::Absent) => {
                absent.push(ticket.clone());
                true
            }
            Some(Look::Uncertain) | None => true,
        });
        absent
    }

    /// Adds the missing tickets again. A ticket that is now reported as present was late, or was added by another call:
    /// the next look tells.
    async fn send_again(&mut self, absent: Vec<(TicketId, Ticket)>) {
        if absent.is_empty() {
            return;
        }
        let ids: Vec<TicketId> = absent.iter().map(|(id, _)| *id).collect();
        match self.store.create(absent).await {
            Err(error) => self.creation.doubt = Some(Arc::from(error.to_string())),
            Ok(created) => {
                let mut new: Vec<TicketId> = ids
                    .into_iter()
                    .zip(created)
                    .filter(|(_, made)| *made == Created::New)
                    .map(|(id, _)| id)
                    .collect();
                new.sort_unstable();
                self.creation.new += new.len() as u64;
                self.open.retain(|(id, _)| new.binary_search(id).is_err());
            }
        }
    }
}

/// A ticket that is stored with other terms than it was sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The id of the ticket.
    pub id: TicketId,
    /// The names of the columns that differ, as in the file of keys.
    pub columns: Vec<&'static str>,
}

/// Compares tickets as they were sent with the tickets that are stored. Without confirmation, since the result is only
/// a hint of what to look at.
pub async fn differences(
    store: &dyn TicketStore,
    sent: &[(TicketId, Ticket)],
) -> Result<Vec<Difference>, StoreError> {
    let reads = sent.iter().map(|(id, sent)| async move {
        let stored = store.get(*id).await?;
        let columns = stored.map(|stored| differing_columns(sent, &stored.value)).unwrap_or_default();
        Ok((!columns.is_empty()).then_some(Difference { id: *id, columns }))
    });
    let found: Vec<Result<Option<Difference>, StoreError>> =
        stream::iter(reads.collect::<Vec<_>>()).buffered(READS_AT_ONCE).collect().await;
    found.into_iter().filter_map(Result::transpose).collect()
}

fn differing_columns(sent: &Ticket, stored: &Ticket) -> Vec<&'static str> {
    [
        ("album", sent.album != stored.album),
        ("batch", sent.batch != stored.batch),
        ("valid_from", sent.valid_from != stored.valid_from),
        ("expires_at", sent.expires_at != stored.expires_at),
    ]
    .into_iter()
    .filter_map(|(column, differs)| differs.then_some(column))
    .collect()
}

/// A read alone is not enough: it may return a write that is never acknowledged.
async fn look(store: &dyn TicketStore, id: TicketId, sent: &Ticket) -> Look {
    match store.get(id).await {
        Err(_) => Look::Uncertain,
        Ok(None) => Look::Absent,
        Ok(Some(Versioned { version, value })) => match store.confirm(id, Some(version)).await {
            Ok(true) if value.is_of_the_same_issue(sent) => Look::Ours,
            Ok(true) => Look::AnotherCalls,
            Ok(false) | Err(_) => Look::Uncertain,
        },
    }
}
