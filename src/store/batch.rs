//! Batching while waiting, without a timer: whatever arrives while requests are under way goes out together as the next.
//!
//! An idle batcher sends at once, so latency at low load is that of a direct call; a busy one shares the cost of a request
//! among all that waited for it. Knows nothing of what it carries.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Bounds of a [`Batcher`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Items that may wait; one more is refused at once.
    pub(super) max_queue: usize,
    /// Items that go out together, at most.
    pub(super) max_batch: usize,
    /// Requests under way while all goes well. More would make smaller batches.
    pub(super) lanes: usize,
    /// Requests under way at most, when those before have been slow.
    pub(super) max_lanes: usize,
    /// After how long without an answer the latest request counts as slow, so that the next one waits no longer for it.
    pub(super) slow: Duration,
}

/// Takes items one by one and sends them in batches. Dropping it lets what is queued be sent.
pub(super) struct Batcher<Item> {
    queue: mpsc::Sender<Item>,
}

/// There is no room in the queue.
pub(super) struct Full;

impl<Item: Send + 'static> Batcher<Item> {
    /// Starts the task that sends, with `send` for each batch. `still_wanted` says whether anybody waits for an item yet.
    pub(super) fn start<Sending>(
        limits: Limits,
        still_wanted: fn(&Item) -> bool,
        send: impl Fn(Vec<Item>) -> Sending + Send + Sync + 'static,
    ) -> Self
    where
        Sending: Future<Output = ()> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(limits.max_queue);
        tokio::spawn(run(limits, waiting, still_wanted, Arc::new(send)));
        Self { queue }
    }

    /// Queues an item, or says at once that there is no room.
    pub(super) fn push(&self, item: Item) -> Result<(), Full> {
        self.queue.try_send(item).map_err(|_| Full)
    }
}

async fn run<Item, Send, Sending>(
    limits: Limits,
    mut waiting: mpsc::Receiver<Item>,
    still_wanted: fn(&Item) -> bool,
    send: Arc<Send>,
) where
    Item: std::marker::Send + 'static,
    Send: Fn(Vec<Item>) -> Sending + std::marker::Send + Sync + 'static,
    Sending: Future<Output = ()> + std::marker::Send + 'static,
{
    let mut under_way = JoinSet::new();
    let mut last_sent = Instant::now();
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, limits.max_batch).await > 0 {
        wait_for_a_lane(&limits, &mut under_way, last_sent).await;
        // What came in the meantime comes along.
        while batch.len() < limits.max_batch
            && let Ok(item) = waiting.try_recv()
        {
            batch.push(item);
        }
        batch.retain(still_wanted);
        if batch.is_empty() {
            continue;
        }
        last_sent = Instant::now();
        under_way.spawn(send(std::mem::take(&mut batch)));
    }
    while under_way.join_next().await.is_some() {}
}

async fn wait_for_a_lane(limits: &Limits, under_way: &mut JoinSet<()>, last_sent: Instant) {
    while under_way.try_join_next().is_some() {}
    while under_way.len() >= limits.lanes {
        let may_open_another = under_way.len() < limits.max_lanes;
        tokio::select! {
            _ = under_way.join_next() => {}
            () = sleep_until(last_sent + limits.slow), if may_open_another => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::{Semaphore, oneshot};

    use super::*;

    const LIMITS: Limits =
        Limits { max_queue: 8, max_batch: 4, lanes: 1, max_lanes: 2, slow: Duration::from_millis(100) };

    type Sent = Arc<Mutex<Vec<Vec<u32>>>>;

    /// A batcher whose requests end when the semaphore lets them, and what it has sent.
    fn batcher(gate: &Arc<Semaphore>) -> (Batcher<(u32, oneshot::Sender<()>)>, Sent) {
        let sent = Sent::default();
        let (gate, log) = (Arc::clone(gate), Arc::clone(&sent));
        let batcher = Batcher::start(
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
    async fn a_full_queue_refuses_and_what_nobody_waits_for_is_not_sent() {
        let gate = Arc::new(Semaphore::new(0));
        let (batcher, sent) = batcher(&gate);
        let _first = push(&batcher, 0);
        settle().await;
        let mut waiting: Vec<_> = (1..100).map_while(|number| push(&batcher, number)).collect();
        assert!(waiting.len() < 99, "the queue is bounded");
        waiting.truncate(1);
        gate.add_permits(100);
        waiting.remove(0).await.unwrap();
        settle().await;
        assert_eq!(*sent.lock().unwrap(), [[0], [1]]);
    }
}
