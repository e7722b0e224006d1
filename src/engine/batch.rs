//! Batching without a timer: items that arrive while requests are under way go out together as the next request.
//!
//! An idle batcher sends at once, so latency at low load is that of a direct call; a busy one shares the cost of a
//! request among all items that waited. Knows nothing of the items.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

/// Bounds of a [`Batcher`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most items that may wait; one more is refused at once.
    pub(crate) max_queue: usize,
    /// The most items in one batch.
    pub(crate) max_batch: usize,
    /// Requests under way in normal operation. More would make smaller batches.
    pub(crate) lanes: usize,
    /// The most requests under way, including slow ones.
    pub(crate) max_lanes: usize,
    /// A request without an answer for this long counts as slow: another one may take its place meanwhile.
    pub(crate) slow: Duration,
}

type Sending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes items one by one and sends them in batches. After a drop, queued items are still sent.
pub(crate) struct Batcher<Item>(Arc<Shared<Item>>);

struct Shared<Item> {
    limits: Limits,
    still_wanted: fn(&Item) -> bool,
    send: Box<dyn Fn(Vec<Item>) -> Sending + Send + Sync>,
    state: Mutex<State<Item>>,
}

struct State<Item> {
    waiting: VecDeque<Item>,
    /// Open lanes. Each has a request under way or is about to start one.
    lanes: usize,
    /// Open lanes whose request is slow.
    slow_lanes: usize,
}

/// The queue is full.
pub(crate) struct Full;

impl<Item: Send + 'static> Batcher<Item> {
    /// A batcher that sends each batch with `send`, in a task of the runtime that it is used in. `still_wanted` says
    /// whether a caller still waits for an item.
    pub(crate) fn new<Sent>(
        limits: Limits,
        still_wanted: fn(&Item) -> bool,
        send: impl Fn(Vec<Item>) -> Sent + Send + Sync + 'static,
    ) -> Self
    where
        Sent: Future<Output = ()> + Send + 'static,
    {
        let state = State { waiting: VecDeque::new(), lanes: 0, slow_lanes: 0 };
        let send = Box::new(move |batch| Box::pin(send(batch)) as Sending);
        Self(Arc::new(Shared { limits, still_wanted, send, state: Mutex::new(state) }))
    }

    /// Queues an item, or says at once that there is no room.
    pub(crate) fn push(&self, item: Item) -> Result<(), Full> {
        let mut state = self.0.state();
        if state.waiting.len() >= self.0.limits.max_queue {
            return Err(Full);
        }
        state.waiting.push_back(item);
        let is_due = self.0.count_lane_if_due(&mut state);
        drop(state);
        if is_due {
            self.0.open_lane();
        }
        Ok(())
    }
}

impl<Item: Send + 'static> Shared<Item> {
    fn state(&self) -> MutexGuard<'_, State<Item>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// If items wait and there are too few lanes, counts one more, which the caller then opens.
    fn count_lane_if_due(&self, state: &mut State<Item>) -> bool {
        let Limits { lanes, max_lanes, .. } = self.limits;
        let is_due =
            !state.waiting.is_empty() && state.lanes < max_lanes && state.lanes - state.slow_lanes < lanes;
        state.lanes += usize::from(is_due);
        is_due
    }

    /// Opens a lane that was counted. Items that arrive before its task runs join its batch. Not called under the lock:
    /// a runtime that shuts down drops the task at once, and the drop takes the lock.
    fn open_lane(self: &Arc<Self>) {
        tokio::spawn(run(Lane { shared: Arc::clone(self), condition: Condition::Prompt }));
    }
}

/// A lane. It is closed at the latest when this is dropped.
struct Lane<Item: Send + 'static> {
    shared: Arc<Shared<Item>>,
    condition: Condition,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Prompt,
    Slow,
    Closed,
}

/// Sends batch after batch until the queue is empty or there are enough other lanes.
async fn run<Item: Send + 'static>(mut lane: Lane<Item>) {
    let slow = lane.shared.limits.slow;
    while let Some(batch) = lane.next_batch() {
        let mut sending = pin!((lane.shared.send)(batch));
        if timeout(slow, &mut sending).await.is_err() {
            lane.make_room();
            sending.await;
            lane.take_room_back();
        }
    }
}

impl<Item: Send + 'static> Lane<Item> {
    /// The next batch. If the queue is empty, or there are enough other lanes, this lane is closed under the same lock,
    /// so that an item that arrives afterwards finds it closed.
    fn next_batch(&mut self) -> Option<Vec<Item>> {
        let shared = Arc::clone(&self.shared);
        let Limits { lanes, max_batch, .. } = shared.limits;
        let mut state = shared.state();
        let is_needed = state.lanes - state.slow_lanes <= lanes;
        while is_needed && !state.waiting.is_empty() {
            let size = state.waiting.len().min(max_batch);
            let batch: Vec<Item> = state.waiting.drain(..size).filter(shared.still_wanted).collect();
            if !batch.is_empty() {
                return Some(batch);
            }
        }
        self.enter(Condition::Closed, &mut state);
        None
    }

    /// Lets another lane open while this one's request is slow.
    fn make_room(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        self.enter(Condition::Slow, &mut state);
        let is_due = shared.count_lane_if_due(&mut state);
        drop(state);
        if is_due {
            shared.open_lane();
        }
    }

    fn take_room_back(&mut self) {
        let shared = Arc::clone(&self.shared);
        self.enter(Condition::Prompt, &mut shared.state());
    }

    fn enter(&mut self, condition: Condition, state: &mut State<Item>) {
        let was = std::mem::replace(&mut self.condition, condition);
        state.lanes -= usize::from(was != Condition::Closed && condition == Condition::Closed);
        state.slow_lanes += usize::from(condition == Condition::Slow);
        state.slow_lanes -= usize::from(was == Condition::Slow);
    }
}

impl<Item: Send + 'static> Drop for Lane<Item> {
    fn drop(&mut self) {
        if self.condition == Condition::Closed {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        self.enter(Condition::Closed, &mut state);
        // Another lane takes over the queue after a panic. Not when the runtime ends, the other case that drops
        // an open lane.
        let is_due = std::thread::panicking() && shared.count_lane_if_due(&mut state);
        drop(state);
        if is_due {
            shared.open_lane();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{Semaphore, oneshot};

    use super::*;

    const LIMITS: Limits =
        Limits { max_queue: 8, max_batch: 4, lanes: 1, max_lanes: 2, slow: Duration::from_millis(100) };

    type Sent = Arc<Mutex<Vec<Vec<u32>>>>;

    /// A batcher whose requests end when the semaphore lets them, and what it has sent.
    fn batcher(gate: &Arc<Semaphore>) -> (Batcher<(u32, oneshot::Sender<()>)>, Sent) {
        let sent = Sent::default();
        let (gate, log) = (Arc::clone(gate), Arc::clone(&sent));
        let batcher = Batcher::new(
            LIMITS,
            |(_, reply): &(u32, oneshot::Sender<()>)| !reply.is_closed(),
            move |batch| {
                let gate = Arc::clone(&gate);
                log.lock().unwrap().push(batch.iter().map(|(number, _)| *number).collect());
                async move {
                    gate.acquire().await.unwrap().forget();
                    for (_, reply) in batch {
                        let _ = reply.send(());
                    }
                }
            },
        );
        (batcher, sent)
    }

    fn push(batcher: &Batcher<(u32, oneshot::Sender<()>)>, number: u32) -> Option<oneshot::Receiver<()>> {
        let (reply, answer) = oneshot::channel();
        batcher.push((number, reply)).ok().map(|()| answer)
    }

    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_goes_at_once_and_the_others_together() {
        let gate = Arc::new(Semaphore::new(0));
        let (batcher, sent) = batcher(&gate);
        let first = push(&batcher, 1);
        settle().await;
        assert_eq!(*sent.lock().unwrap(), [[1]]);
        let later: Vec<_> = (2..8).map(|number| push(&batcher, number)).collect();
        settle().await;
        assert_eq!(sent.lock().unwrap().len(), 1, "one is under way");
        gate.add_permits(3);
        for answer in later.into_iter().chain([first]) {
            answer.unwrap().await.unwrap();
        }
        assert_eq!(*sent.lock().unwrap(), [vec![1], vec![2, 3, 4, 5], vec![6, 7]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_request_holds_up_the_next_only_for_a_while() {
        let gate = Arc::new(Semaphore::new(0));
        let (batcher, sent) = batcher(&gate);
        let _first = push(&batcher, 1);
        settle().await;
        let _second = push(&batcher, 2);
        settle().await;
        assert_eq!(sent.lock().unwrap().len(), 1);
        tokio::time::sleep(LIMITS.slow * 2).await;
        assert_eq!(*sent.lock().unwrap(), [[1], [2]]);
        let _third = push(&batcher, 3);
        tokio::time::sleep(LIMITS.slow * 2).await;
        assert_eq!(sent.lock().unwrap().len(), 2, "both lanes are taken");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_was_opened_for_a_slow_one_closes_when_that_goes_on() {
        let gate = Arc::new(Semaphore::new(0));
        let (batcher, sent) = batcher(&gate);
        let _first = push(&batcher, 1);
        settle().await;
        let _second = push(&batcher, 2);
        tokio::time::sleep(LIMITS.slow * 3).await;
        assert_eq!(sent.lock().unwrap().len(), 2, "both are slow");
        let _third = push(&batcher, 3);
        gate.add_permits(2);
        settle().await;
        assert_eq!(sent.lock().unwrap().len(), 3);
        let _fourth = push(&batcher, 4);
        settle().await;
        assert_eq!(sent.lock().unwrap().len(), 3, "one lane is enough again");
    }

    #[tokio::test]
    async fn a_panic_while_sending_holds_up_nobody_else() {
        let batcher = Batcher::new(
            LIMITS,
            |(_, reply): &(u32, oneshot::Sender<()>)| !reply.is_closed(),
            |batch: Vec<(u32, oneshot::Sender<()>)>| async move {
                assert!(batch.iter().all(|(number, _)| *number != 1), "planted");
                for (_, reply) in batch {
                    let _ = reply.send(());
                }
            },
        );
        let first = push(&batcher, 1);
        settle().await;
        assert!(first.unwrap().await.is_err());
        push(&batcher, 2).unwrap().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_until_there_is_room_again() {
        let gate = Arc::new(Semaphore::new(0));
        let (batcher, sent) = batcher(&gate);
        let _under_way = push(&batcher, 0);
        settle().await;
        let waiting: Vec<_> = (1..100).map_while(|number| push(&batcher, number)).collect();
        assert_eq!(waiting.len(), LIMITS.max_queue, "as many wait as may");
        assert!(push(&batcher, 100).is_none(), "and no more");
        gate.add_permits(1);
        settle().await;
        let taken = sent.lock().unwrap().last().map_or(0, Vec::len);
        assert_eq!(taken, LIMITS.max_batch, "the next request took some of them");
        let room: Vec<_> = (101..200).map_while(|number| push(&batcher, number)).collect();
        assert_eq!(room.len(), taken);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_is_not_sent() {
        let gate = Arc::new(Semaphore::new(0));
        let (batcher, sent) = batcher(&gate);
        let _under_way = push(&batcher, 0);
        settle().await;
        let mut waiting: Vec<_> = (1..=6).map(|number| push(&batcher, number)).collect();
        // The last two of the first batch, and all of the second.
        waiting.truncate(2);
        gate.add_permits(100);
        for answer in waiting {
            answer.unwrap().await.unwrap();
        }
        settle().await;
        assert_eq!(*sent.lock().unwrap(), [vec![0], vec![1, 2]]);
    }
}
