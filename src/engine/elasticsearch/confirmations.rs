//! Confirmations of documents, shared by all callers that ask about the same document.
//!
//! For each document one confirmation is under way at a time. It answers the callers that asked before it was sent: it
//! began after their question, so its finding holds within their call. Later callers wait for the next one, which
//! begins [`PAUSE`] after the last one began, or when that has ended. So a document that many callers ask about costs
//! at most a hundred confirmations a second. More callers wait longer, and never get an old answer.
//!
//! Knows nothing of how a confirmation is made.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::engine::{StoreError, Version};

/// The time from the beginning of a confirmation to the beginning of the next one of the same document.
const PAUSE: Duration = Duration::from_millis(10);

/// Whether the document has the version, or, when asked for absence, whether there is none.
pub(super) type Confirmed = Result<bool, StoreError>;

/// The callers that wait for confirmations.
pub(super) struct Confirmations<Id> {
    max_waiting: usize,
    state: Mutex<State<Id>>,
}

struct State<Id> {
    /// By document. A document listed here has a task that serves it.
    open: HashMap<Id, Vec<Waiting>>,
    /// The total number of waiting callers.
    waiting: usize,
}

/// Whether the document already has a task that serves it.
#[derive(PartialEq, Eq)]
enum Place {
    First,
    Later,
}

struct Waiting {
    version: Option<Version>,
    reply: oneshot::Sender<Confirmed>,
}

impl<Id: Copy + Eq + Hash + Send + 'static> Confirmations<Id> {
    /// At most `max_waiting` callers may wait for confirmations that have not begun; one more is refused at once.
    pub(super) fn new(max_waiting: usize) -> Self {
        Self { max_waiting, state: Mutex::new(State { open: HashMap::new(), waiting: 0 }) }
    }

    fn state(&self) -> MutexGuard<'_, State<Id>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The result of the next confirmation of this document, which `make` makes.
    pub(super) async fn ask<Making>(
        self: &Arc<Self>,
        id: Id,
        version: Option<Version>,
        make: impl Fn(Option<Version>) -> Making + Send + 'static,
    ) -> Confirmed
    where
        Making: Future<Output = Confirmed> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        if self.wait(id, Waiting { version, reply })? == Place::First {
            // A runtime that shuts down drops the task at once, and the drop takes the lock.
            tokio::spawn(see_to(Seeing { confirmations: Arc::clone(self), id, ended: false }, make));
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::stopped()))
    }

    fn wait(&self, id: Id, waiting: Waiting) -> Result<Place, StoreError> {
        let mut state = self.state();
        if state.waiting >= self.max_waiting {
            return Err(StoreError::Overloaded);
        }
        state.waiting += 1;
        if let Some(others) = state.open.get_mut(&id) {
            others.push(waiting);
            return Ok(Place::Later);
        }
        state.open.insert(id, vec![waiting]);
        Ok(Place::First)
    }

    /// The callers of the confirmation to begin now: those that ask about one version. If there are none, the task
    /// gives up the document.
    fn next(&self, id: &Id) -> Option<(Option<Version>, Vec<oneshot::Sender<Confirmed>>)> {
        let mut guard = self.state();
        let state = &mut *guard;
        let all = state.open.get_mut(id)?;
        let before = all.len();
        all.retain(|waiting| !waiting.reply.is_closed());
        let first = all.first().map(|waiting| waiting.version);
        let now = all.extract_if(.., |waiting| Some(waiting.version) == first);
        let replies: Vec<_> = now.map(|waiting| waiting.reply).collect();
        state.waiting -= before - all.len();
        let Some(version) = first else {
            state.open.remove(id);
            return None;
        };
        Some((version, replies))
    }
}

/// Confirms one document again and again while callers ask.
async fn see_to<Id, Making>(mut seeing: Seeing<Id>, make: impl Fn(Option<Version>) -> Making + Send)
where
    Id: Copy + Eq + Hash + Send + 'static,
    Making: Future<Output = Confirmed> + Send,
{
    while let Some((version, mut replies)) = seeing.confirmations.next(&seeing.id) {
        let began = Instant::now();
        let left = join_all(replies.iter_mut().map(oneshot::Sender::closed));
        let confirmed = tokio::select! {
            confirmed = make(version) => Some(confirmed),
            // No caller waits any more.
            _ = left => None,
        };
        if let Some(confirmed) = confirmed {
            for reply in replies {
                // The caller may have gone meanwhile.
                let _ = reply.send(confirmed.clone());
            }
        }
        sleep_until(began + PAUSE).await;
    }
    seeing.ended = true;
}

/// A document that a task serves. It is given up at the latest when this is dropped, also after a panic: otherwise no
/// task would ever serve it again.
struct Seeing<Id: Copy + Eq + Hash + Send + 'static> {
    confirmations: Arc<Confirmations<Id>>,
    id: Id,
    /// The document was given up with no caller waiting, and another task may serve it by now.
    ended: bool,
}

impl<Id: Copy + Eq + Hash + Send + 'static> Drop for Seeing<Id> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut state = self.confirmations.state();
        let left = state.open.remove(&self.id).map_or(0, |waiting| waiting.len());
        state.waiting -= left;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const VERSION: Option<Version> = Some(Version { sequence: 1, term: 1 });

    fn confirmations(max_waiting: usize) -> Arc<Confirmations<u8>> {
        Arc::new(Confirmations::new(max_waiting))
    }

    #[tokio::test(start_paused = true)]
    async fn many_share_few_confirmations_each_of_which_begins_after_they_asked() {
        let confirmations = confirmations(10_000);
        let begun: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let log = Arc::clone(&begun);
        let make = move |_| {
            log.lock().unwrap().push(Instant::now());
            async {
                sleep(Duration::from_millis(3)).await;
                Ok(true)
            }
        };
        let people = (0..5000).map(|person| {
            let (confirmations, make) = (Arc::clone(&confirmations), make.clone());
            async move {
                sleep(Duration::from_micros(person * 200)).await;
                let asked = Instant::now();
                assert_eq!(confirmations.ask(1, VERSION, make).await, Ok(true));
                (asked, Instant::now())
            }
        });
        let answered = join_all(people).await;
        let begun = begun.lock().unwrap();
        for (asked, answered) in answered {
            assert!(begun.iter().any(|began| asked <= *began && *began < answered), "an answer of before");
            assert!(answered - asked <= PAUSE + Duration::from_millis(5));
        }
        assert!(begun.len() <= 102, "{} confirmations in a second", begun.len());
        assert!(begun.windows(2).all(|pair| pair[1] - pair[0] >= PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_ask_about_different_versions_or_documents_are_answered_apart() {
        let confirmations = confirmations(10);
        let other = Some(Version { sequence: 2, term: 1 });
        let make = |version| async move { Ok(version == VERSION) };
        let (a, b, c) = tokio::join!(
            confirmations.ask(1, VERSION, make),
            confirmations.ask(1, other, make),
            confirmations.ask(2, None, make)
        );
        assert_eq!((a, b, c), (Ok(true), Ok(false), Ok(false)));
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_who_wait_are_refused_at_once() {
        let confirmations = confirmations(2);
        let never = |_| std::future::pending();
        let waiting: Vec<_> = (0..2)
            .map(|id| {
                let confirmations = Arc::clone(&confirmations);
                tokio::spawn(async move { confirmations.ask(id, VERSION, never).await })
            })
            .collect();
        // Those whose confirmation has begun do not count as waiting for it.
        sleep(Duration::from_millis(1)).await;
        let queued: Vec<_> = (0..2)
            .map(|id| {
                let confirmations = Arc::clone(&confirmations);
                tokio::spawn(async move { confirmations.ask(id, VERSION, never).await })
            })
            .collect();
        sleep(Duration::from_millis(1)).await;
        assert_eq!(confirmations.ask(0, VERSION, never).await, Err(StoreError::Overloaded));
        for asked in waiting.into_iter().chain(queued) {
            asked.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_is_left_and_makes_room() {
        let confirmations = confirmations(1);
        for _ in 0..3 {
            let asking = Arc::clone(&confirmations);
            let never = |_| std::future::pending();
            let asked = tokio::spawn(async move { asking.ask(1, VERSION, never).await });
            sleep(Duration::from_millis(1)).await;
            asked.abort();
            sleep(PAUSE * 2).await;
            assert!(confirmations.state().open.is_empty());
            assert_eq!(confirmations.state().waiting, 0);
        }
        assert_eq!(confirmations.ask(1, VERSION, |_| async { Ok(true) }).await, Ok(true));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_panic_others_are_answered() {
        let confirmations = confirmations(10);
        let asking = Arc::clone(&confirmations);
        let panics = |version: Option<Version>| async move {
            assert!(version.is_none(), "planted");
            Ok(true)
        };
        assert!(asking.ask(1, VERSION, panics).await.is_err());
        assert_eq!(confirmations.ask(1, VERSION, |_| async { Ok(true) }).await, Ok(true));
    }
}
