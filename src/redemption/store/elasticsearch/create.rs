//! New tickets: sent by the thousand, retried while the cluster rejects them, and reported as unknown when in doubt.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use crate::engine::elasticsearch::answer::ItemOutcome;
use crate::engine::elasticsearch::documents::Documents;
use crate::engine::elasticsearch::tries::Tries;
use crate::redemption::key::TicketId;
use crate::redemption::store::{Created, StoreError};
use crate::redemption::ticket::Ticket;

/// The number of new tickets in one request.
const BATCH: usize = 2500;
/// The number of requests of one call that are under way.
const LANES: usize = 2;
/// How long new tickets are retried.
const LIMIT: Duration = Duration::from_mins(2);

/// Adds the tickets. Returns their outcomes, in order. An error means that none was added.
pub(super) async fn create(
    documents: &Documents<Ticket>,
    tickets: &[(TicketId, Ticket)],
) -> Result<Vec<Created>, StoreError> {
    let parts: Vec<_> = tickets.chunks(BATCH).map(|part| create_part(documents, part)).collect();
    let parts: Vec<_> = futures_util::stream::iter(parts).buffered(LANES).collect().await;
    // An error must mean that nothing was added, so one part's error becomes an unknown outcome when others were added.
    if parts.iter().all(Result::is_err)
        && let Some(Err(error)) = parts.first()
    {
        return Err(error.clone());
    }
    let sizes = tickets.chunks(BATCH).map(<[_]>::len);
    let created = parts.into_iter().zip(sizes).flat_map(|(part, size)| {
        part.unwrap_or_else(|error| vec![Created::Unknown(Arc::from(error.to_string())); size])
    });
    Ok(created.collect())
}

/// The outcomes of one part's tickets so far.
struct Part {
    created: Vec<Created>,
    /// The tickets to send again.
    open: Vec<usize>,
    /// Whether tickets may have been added without an acknowledgement.
    in_doubt: bool,
    /// Why the last try failed, and whether a retry would fail too.
    failure: Option<(StoreError, bool)>,
}

impl Part {
    /// A ticket that is present after a try with another outcome may have been added by that try, and is reported as
    /// unknown. This includes a rejected try: a cluster that loses a node repeats a request by itself, and may
    /// reject the repetition.
    fn note(&mut self, index: usize, outcome: ItemOutcome) {
        match outcome {
            ItemOutcome::Written(_) => self.created[index] = Created::New,
            ItemOutcome::Conflict => {}
            ItemOutcome::Refused(error) => {
                self.created[index] = Created::Unknown(Arc::from(error.to_string()));
                self.failure = Some((error, true));
            }
            ItemOutcome::Absent => {
                self.created[index] = Created::Unknown(Arc::from("a new ticket was not found"));
                self.in_doubt = true;
            }
            ItemOutcome::Unknown(why) | ItemOutcome::Rejected(why) => {
                self.created[index] = Created::Unknown(Arc::from(why.as_str()));
                self.in_doubt = true;
                self.try_again(index, why);
            }
            ItemOutcome::NotSent(why) => self.try_again(index, why),
        }
    }

    fn try_again(&mut self, index: usize, why: String) {
        self.open.push(index);
        if self.failure.is_none() {
            self.failure = Some((StoreError::Unavailable(why), false));
        }
    }

    /// The outcomes when the open tickets are given up.
    fn give_up(mut self, error: StoreError) -> Result<Vec<Created>, StoreError> {
        if !self.in_doubt && !self.created.contains(&Created::New) {
            return Err(error);
        }
        let why: Arc<str> = Arc::from(error.to_string());
        for index in self.open {
            self.created[index] = Created::Unknown(Arc::clone(&why));
        }
        Ok(self.created)
    }
}

/// Adds the tickets of one request. Tickets that were rejected, or whose outcome is unknown, are sent again.
async fn create_part(
    documents: &Documents<Ticket>,
    tickets: &[(TicketId, Ticket)],
) -> Result<Vec<Created>, StoreError> {
    let mut part = Part {
        created: vec![Created::Present; tickets.len()],
        open: (0..tickets.len()).collect(),
        in_doubt: false,
        failure: None,
    };
    let mut tries = Tries::new(&tickets.first().map(|(id, _)| *id), LIMIT);
    loop {
        let sent = std::mem::take(&mut part.open);
        let batch: Vec<_> = sent.iter().map(|index| &tickets[*index]).collect();
        for (index, outcome) in sent.iter().zip(documents.create(&batch).await) {
            part.note(*index, outcome);
        }
        match part.failure.take() {
            None => return Ok(part.created),
            Some((error, is_final)) => {
                if is_final || !tries.again().await {
                    return part.give_up(error);
                }
            }
        }
    }
}
