//! The use case of whoever adds tickets: they go to the store, and what became of each is settled by reading.
//!
//! A store may lose its reply to a call that added tickets. The caller then reads them: a ticket that is stored as it
//! was sent was added by this call, and one that is not there is sent again. What is still not known when the time is
//! up is told as unknown, never as present. Knows the store by its trait, and no HTTP.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::{Instant, sleep, timeout_at};

use super::key::TicketId;
use super::ticket::Ticket;
use crate::redemption::store::{Created, StoreError, TicketStore, Versioned};

/// How long doubt is settled by a caller without a deadline of its own.
const SETTLE_LIMIT: Duration = Duration::from_mins(1);
/// How long to wait before the store is asked again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest such wait.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Tickets that are read at once: a part of what a store's queue holds, since others use it too.
const READS_AT_ONCE: usize = 1000;

/// What became of the tickets of one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Creation {
    /// Tickets that this call added.
    pub new: u64,
    /// Tickets that existed before, and stay as they are.
    pub present: u64,
    /// Those of them that this call did not add by another of its tickets with the same id, as they were sent.
    pub existing: Vec<(TicketId, Ticket)>,
    /// Tickets of which nobody can say whether they were added.
    pub unknown: u64,
    /// Why; `None` when nothing was ever in doubt.
    pub doubt: Option<Arc<str>>,
}

impl Creation {
    /// The creation, if all of it is certain.
    pub fn certain(self) -> Result<Self, Doubt> {
        if self.unknown == 0 {
            return Ok(self);
        }
        let why = self.doubt.unwrap_or_else(|| Arc::from("the store did not say"));
        Err(Doubt { unknown: self.unknown, why })
    }
}

/// Of some tickets nobody can say whether they were added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store did not say whether it took {unknown} of the tickets: {why}")]
pub struct Doubt {
    /// How many.
    pub unknown: u64,
    /// Why.
    pub why: Arc<str>,
}

/// Adds those of the tickets that do not exist yet, some thousands at most. Ends by `deadline`; without one the store
/// takes its own time, and doubt is settled for a minute. An error means that none was added.
pub async fn create(
    store: &dyn TicketStore,
    tickets: Vec<(TicketId, Ticket)>,
    deadline: Option<Instant>,
) -> Result<Creation, StoreError> {
    add(store, tickets, deadline, Present::IsAnothers).await
}

/// As [`create`], for tickets whose keys were made for this call. One that is present is in doubt, too: a cluster that
/// loses a node repeats a request by itself, and then finds what it has added.
pub async fn create_minted(
    store: &dyn TicketStore,
    tickets: Vec<(TicketId, Ticket)>,
    deadline: Option<Instant>,
) -> Result<Creation, StoreError> {
    add(store, tickets, deadline, Present::MayBeOurs).await
}

/// What is thought of a ticket that the store says it had.
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
    // What is not settled by then stays open. A timer that is due gives its future one more turn, which is not wanted.
    if Instant::now() < deadline {
        let _ = timeout_at(deadline, settling.run()).await;
    }
    let unknown = settling.open.len() as u64;
    Ok(Creation { unknown, ..settling.creation })
}

/// Tickets of which it is not known what became of them.
struct Settling<'a> {
    store: &'a dyn TicketStore,
    open: Vec<(TicketId, Ticket)>,
    creation: Creation,
}

/// What a look at a ticket came to.
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

    /// Can be dropped at any await: whatever is not settled is still open then.
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

    /// Reads what is open, and gives what is not there.
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

    /// Adds again what was not there. One that is found present now was late, or is another's: the next look tells.
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

/// A ticket that is stored on other terms than it was sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which ticket.
    pub id: TicketId,
    /// The names of what differs, as columns of the file that keys travel in.
    pub columns: Vec<&'static str>,
}

/// Compares tickets as they were sent with the tickets that are stored. Who only wants to know what to look at needs no
/// confirmation, so none is made.
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

/// A read alone is not enough: it may give what never comes to be acknowledged.
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
