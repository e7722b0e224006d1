//! What becomes of new tickets when the store loses the reply, or the call: what `tickey mint`, `tickey load` and the
//! admin interface have in common.

use std::sync::Arc;
use std::time::Duration;

use tickey::environment::SystemEntropy;
use tickey::redemption::change::{BatchError, ChangedBatch, change_batch};
use tickey::redemption::count;
use tickey::redemption::create::{Creation, create};
use tickey::redemption::issue::{IssueError, issue};
use tickey::redemption::key::{DownloadKey, TicketId};
use tickey::redemption::mint::BatchTerms;
use tickey::redemption::store::location::{IfMissing, StoreLocation};
use tickey::redemption::store::{StoreError, TicketStore as _};
use tickey::redemption::ticket::Ticket;
use tickey::redemption::write::WriteError;
use tokio::time::{Instant, timeout};

use crate::store::faulty::CreateFault::{
    Duplicate, FindsItsOwn, Late, LostInPart, LostReply, LostRequest, Silent, Unavailable,
};
use crate::store::faulty::{AskFault, CreateFault, FaultyStore, ReadFault};

/// How long a caller waits in these tests.
const PATIENCE: Duration = Duration::from_secs(2);
const NOW: &str = "2026-11-21T10:00:00Z";

struct World {
    store: FaultyStore,
    _folder: tempfile::TempDir,
}

fn terms() -> BatchTerms {
    BatchTerms {
        album: "slow-tide".parse().unwrap(),
        batch: "faults".parse().unwrap(),
        valid_from: None,
        expires_at: None,
    }
}

fn tickets(numbers: std::ops::Range<u8>) -> Vec<(TicketId, Ticket)> {
    let ticket =
        |number| (DownloadKey::from_random(&[number; 23]).id(), terms().ticket(NOW.parse().unwrap()));
    numbers.map(ticket).collect()
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location: StoreLocation =
            format!("sqlite:{}/tickets.db", folder.path().display()).parse().unwrap();
        let store = location.open(IfMissing::Create, Arc::new(())).await.unwrap();
        Self { store: FaultyStore::new(store), _folder: folder }
    }

    /// Adds the tickets as `mint` and `load` do, but with less patience.
    async fn create(&self, tickets: Vec<(TicketId, Ticket)>) -> Result<Creation, StoreError> {
        create(&self.store, tickets, Some(Instant::now() + PATIENCE)).await
    }

    /// Mints as the admin interface does.
    async fn issue(&self, count: usize) -> Result<Vec<DownloadKey>, IssueError> {
        let (now, deadline) = (NOW.parse().unwrap(), Instant::now() + PATIENCE);
        issue(&self.store, &terms(), count, now, &SystemEntropy, deadline).await
    }

    async fn revoke_batch(&self) -> Result<ChangedBatch, BatchError> {
        let deadline = Some(Instant::now() + PATIENCE);
        change_batch(&self.store, &terms().batch, &revoke, PATIENCE, deadline, &|_| {}).await
    }

    async fn stored(&self) -> u64 {
        let counts = count::all(&self.store, None).await.unwrap();
        counts.iter().map(|count| count.issued + count.redeemed + count.revoked).sum()
    }

    fn told(&self) {
        assert_eq!(self.store.faults_left(), 0, "faults that never happened");
    }
}

fn revoke(ticket: Ticket) -> Option<Ticket> {
    ticket.revoke(None, NOW.parse().unwrap())
}

fn counts(creation: &Creation) -> (u64, u64, u64) {
    (creation.new, creation.present, creation.unknown)
}

#[tokio::test]
async fn tickets_whose_reply_was_lost_are_counted_as_new_and_others_as_present() {
    for fault in [LostReply, LostRequest, LostInPart(3), Duplicate, Late(Duration::from_millis(100)), Silent]
    {
        let world = World::new().await;
        assert_eq!(counts(&world.create(tickets(0..5)).await.unwrap()), (5, 0, 0));
        // Of the five that are there, two were issued at another time; the three that are loaded again are told from
        // them.
        let mut again = tickets(3..20);
        for (_, ticket) in again.iter_mut().take(2) {
            ticket.issued_at = "2026-11-22T10:00:00Z".parse().unwrap();
        }
        world.store.fail_creates([fault]);
        let created = world.create(again).await.unwrap();
        world.told();
        if fault == Silent {
            // The whole patience went into the answer that never came.
            assert_eq!(counts(&created), (0, 0, 17), "{fault:?}");
            assert!(created.certain().unwrap_err().to_string().contains("no answer in time"));
        } else {
            assert_eq!(counts(&created), (15, 2, 0), "{fault:?}");
        }
        assert_eq!(world.stored().await, 20, "{fault:?}");
    }
}

#[tokio::test]
async fn a_ticket_that_comes_twice_in_one_call_is_new_once() {
    for faults in [vec![], vec![LostReply], vec![LostRequest]] {
        let world = World::new().await;
        world.store.fail_creates(faults);
        let twice = [tickets(0..5), tickets(0..5)].concat();
        let created = world.create(twice).await.unwrap();
        assert_eq!(counts(&created), (5, 5, 0));
        assert_eq!(created.existing, [], "nothing was there before");
        world.told();
    }
}

#[tokio::test]
async fn a_ticket_that_was_used_while_its_reply_was_lost_is_still_ours() {
    let world = World::new().await;
    let sent = tickets(0..1);
    world.store.fail_creates([LostReply]);
    // Before the doubt is settled, an operator voids the batch.
    world.store.fail_reads([ReadFault::Held]);
    let revoked = async {
        world.store.held().await;
        let revoked = world.revoke_batch().await;
        world.store.let_go();
        revoked
    };
    let (created, revoked) = tokio::join!(world.create(sent), revoked);
    assert_eq!(revoked.unwrap().changed.revoked, 1);
    assert_eq!(counts(&created.unwrap()), (1, 0, 0));
    world.told();
}

#[tokio::test]
async fn a_store_that_is_away_added_nothing_and_says_so() {
    let world = World::new().await;
    world.store.fail_creates([Unavailable]);
    assert!(matches!(world.create(tickets(0..5)).await, Err(StoreError::Unavailable(_))));
    assert_eq!(world.stored().await, 0);
}

#[tokio::test]
async fn doubt_that_lasts_is_told_as_unknown_and_never_as_present() {
    let world = World::new().await;
    world.store.fail_creates([LostReply]);
    world.store.fail_reads(vec![ReadFault::Slow(PATIENCE * 3); 5]);
    let created = world.create(tickets(0..5)).await.unwrap();
    assert_eq!(counts(&created), (0, 0, 5));
    let doubt = created.certain().unwrap_err().to_string();
    assert!(doubt.contains("5 of the tickets") && doubt.contains("the reply was lost"), "{doubt}");
    // The same again settles it.
    assert_eq!(counts(&world.create(tickets(0..5)).await.unwrap()), (0, 5, 0));
}

#[tokio::test]
async fn nothing_is_called_new_on_account_of_a_read_alone() {
    let world = World::new().await;
    let [one] = &tickets(0..1)[..] else { panic!("one was made") };
    world.store.fail_creates([LostRequest]);
    // A primary that was cut off shows a ticket that never came to be acknowledged.
    let dirty = tickey::redemption::store::Versioned {
        version: tickey::redemption::store::Version { sequence: 1, term: 0 },
        value: one.1.clone(),
    };
    world.store.fail_reads([ReadFault::Stale(Some(Box::new(dirty)))]);
    let created = world.create(vec![one.clone()]).await.unwrap();
    assert_eq!(counts(&created), (1, 0, 0));
    world.told();
    assert_eq!(world.stored().await, 1, "it was sent again, since the read was not confirmed");
}

#[tokio::test]
async fn a_confirmation_that_is_denied_or_late_delays_and_does_not_mislead() {
    for fault in [AskFault::Denied, AskFault::Unavailable, AskFault::Slow(Duration::from_millis(50))] {
        let world = World::new().await;
        world.store.fail_creates([LostReply]);
        world.store.fail_confirmations([fault; 3]);
        assert_eq!(counts(&world.create(tickets(0..2)).await.unwrap()), (2, 0, 0), "{fault:?}");
    }
}

#[tokio::test]
async fn whoever_mints_without_a_file_gets_keys_that_all_have_tickets() {
    let faults =
        [LostReply, LostRequest, LostInPart(7), Duplicate, FindsItsOwn, Late(Duration::from_millis(100))];
    for fault in faults {
        let world = World::new().await;
        world.store.fail_creates([fault]);
        let keys = world.issue(20).await.unwrap();
        world.told();
        assert_eq!((keys.len(), world.stored().await), (20, 20), "{fault:?}");
        for key in keys {
            assert!(world.store.get(key.id()).await.unwrap().is_some(), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn whoever_mints_without_a_file_is_told_whether_tickets_may_be_left_over() {
    let told = async |ping: &[AskFault], create: &[CreateFault], read: usize| {
        let world = World::new().await;
        world.store.fail_pings(ping.iter().copied());
        world.store.fail_creates(create.iter().copied());
        world.store.fail_reads(vec![ReadFault::Unavailable; read]);
        let refused = timeout(PATIENCE * 2, world.issue(3)).await.unwrap().unwrap_err();
        (refused, world.stored().await)
    };
    let nothing_made =
        |refused: &IssueError| matches!(refused, IssueError::Store(WriteError::StoreUnavailable(_)));
    let in_doubt = |refused: &IssueError| matches!(refused, IssueError::Store(WriteError::OutcomeUnknown(_)));
    for ping in [AskFault::Unavailable, AskFault::Silent] {
        let (refused, stored) = told(&[ping], &[], 0).await;
        assert!(nothing_made(&refused) && stored == 0, "{refused}");
    }
    let (refused, stored) = told(&[], &[Unavailable], 0).await;
    assert!(nothing_made(&refused) && stored == 0, "{refused}");
    // Away until the deadline, after a reply that was lost; or no answer at all.
    let (refused, stored) = told(&[], &[LostReply], 1000).await;
    assert!(in_doubt(&refused) && stored == 3, "{refused}");
    let (refused, stored) = told(&[], &[Silent], 0).await;
    assert!(in_doubt(&refused) && stored == 3, "{refused}");
}

#[tokio::test]
async fn a_batch_is_revoked_to_its_end_or_it_is_said_where_it_stopped() {
    let world = World::new().await;
    world.create(tickets(0..5)).await.unwrap();
    for fault in [AskFault::Unavailable, AskFault::Silent] {
        world.store.fail_pages([fault]);
        let stopped = world.revoke_batch().await.unwrap_err();
        assert_eq!(stopped.done, ChangedBatch::default(), "{fault:?}");
    }
    world.store.fail_pages([AskFault::Slow(Duration::from_millis(50))]);
    assert_eq!(world.revoke_batch().await.unwrap().changed.revoked, 5);
    world.told();
}

#[tokio::test]
async fn a_store_that_cannot_be_counted_is_told_as_such() {
    let world = World::new().await;
    world.store.fail_stats([AskFault::Unavailable, AskFault::Slow(Duration::from_millis(50))]);
    assert!(count::all(&world.store, None).await.is_err());
    assert!(count::all(&world.store, None).await.is_ok());
    world.told();
}
