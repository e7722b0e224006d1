//! One suite that every store must pass: the contract of [`tickey::redemption::store`] as code.
//!
//! `tests/conformance.rs` runs it on each store there is. It panics with what was broken. The store given may hold
//! other tickets and may be shared; every check makes its own.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use tickey::redemption::key::{DownloadKey, TicketId};
use tickey::redemption::store::{
    BatchCount, BatchPlace, Created, SharedStore, Version, Versioned, WriteOutcome,
};
use tickey::redemption::ticket::{
    Because, IdempotencyKey, Name, NewExpiry, Redeem, RedemptionId, State, Ticket,
};

/// Runs every check.
pub(crate) async fn run(store: &SharedStore) {
    what_is_not_there_is_not_found(store).await;
    what_is_created_is_read_back(store).await;
    creating_again_leaves_things_as_they_are(store).await;
    every_state_is_stored_whole(store).await;
    a_stale_version_conflicts(store).await;
    writing_what_does_not_exist_conflicts(store).await;
    versions_never_come_back(store).await;
    what_is_confirmed_is_so(store).await;
    of_many_writers_one_wins(store).await;
    many_tickets_at_once_are_independent(store).await;
    pages_list_everything_once(store).await;
    stats_count(store).await;
    store.ping().await.expect("a store that works answers");
}

/// How far pages and counts may lag behind.
const LAG: std::time::Duration = std::time::Duration::from_secs(5);

/// A key that no other check uses.
fn fresh_id() -> TicketId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut random = [0; 23];
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    for (place, byte) in random.iter_mut().take(8).enumerate() {
        *byte = u8::try_from(number >> (5 * place) & 31).unwrap_or_default();
    }
    let process = std::process::id();
    for (place, byte) in random.iter_mut().skip(8).take(6).enumerate() {
        *byte = u8::try_from(process >> (5 * place) & 31).unwrap_or_default();
    }
    DownloadKey::from_random(&random).id()
}

fn name(text: &str) -> Name {
    text.parse().expect("a name of the suite")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time of the suite")
}

fn issued() -> Ticket {
    Ticket::issue(name("album"), name("conformance"), at(1_700_000_000))
}

fn redeemed(id: &TicketId, ticket: Ticket, by: &str) -> Ticket {
    let key = IdempotencyKey::parse(by.as_bytes()).expect("an idempotency key of the suite");
    match ticket.redeem(RedemptionId::derive(id, 0, &key), at(1_700_000_100)) {
        Ok(Redeem::Now(ticket, _)) => ticket,
        other => panic!("the suite's ticket cannot be redeemed: {other:?}"),
    }
}

async fn create(store: &SharedStore, ticket: Ticket) -> (TicketId, Version) {
    let id = fresh_id();
    let created = store.create(vec![(id, ticket)]).await.expect("create");
    assert_eq!(created, [Created::New]);
    (id, read(store, id).await.version)
}

async fn read(store: &SharedStore, id: TicketId) -> Versioned<Ticket> {
    store.get(id).await.expect("get").expect("the ticket exists")
}

fn written(outcome: WriteOutcome) -> Version {
    match outcome {
        WriteOutcome::Written(version) => version,
        other => panic!("a write with the right version gave {other:?}"),
    }
}

async fn what_is_not_there_is_not_found(store: &SharedStore) {
    assert_eq!(store.get(fresh_id()).await, Ok(None));
}

async fn what_is_created_is_read_back(store: &SharedStore) {
    let mut ticket = issued();
    ticket.valid_from = Some(at(1_700_000_001));
    ticket.expires_at = Some(at(1_900_000_000));
    let (id, _) = create(store, ticket.clone()).await;
    assert_eq!(read(store, id).await.value, ticket);
}

async fn creating_again_leaves_things_as_they_are(store: &SharedStore) {
    let (id, version) = create(store, issued()).await;
    let used = redeemed(&id, issued(), "first");
    written(store.put_if(id, version, used.clone()).await);
    let other = fresh_id();
    let created = store.create(vec![(other, issued()), (id, issued())]).await;
    assert_eq!(created, Ok(vec![Created::New, Created::Present]));
    assert_eq!(read(store, id).await.value, used, "creating overwrote a ticket");
    // Twice the same in one call: the first counts.
    let twice = fresh_id();
    let created = store.create(vec![(twice, issued()), (twice, issued())]).await.expect("create");
    assert_eq!(created.iter().filter(|c| **c == Created::New).count(), 1);
    assert_eq!(store.create(Vec::new()).await, Ok(Vec::new()));
}

async fn every_state_is_stored_whole(store: &SharedStore) {
    let (id, mut version) = create(store, issued()).await;
    let because: Because = "scratched before it was sold — “sorry”".parse().expect("a reason");
    let used = redeemed(&id, issued(), "holder");
    let (renewed, _) = used.clone().renew(at(1_700_009_000)).expect("a redeemed ticket renews");
    let reason = || because.clone();
    let revoked = renewed.clone().revoke(None, at(1_700_009_500)).expect("a redeemed ticket can be revoked");
    let undone =
        revoked.clone().restore(None, reason(), at(1_700_009_600)).expect("a revoked ticket is restored");
    let back = undone.clone().reinstate(reason(), at(1_700_010_000)).expect("a redeemed ticket comes back");
    let void =
        back.clone().revoke(Some(reason()), at(1_700_011_000)).expect("an issued ticket can be revoked");
    let later = NewExpiry::new(at(1_900_000_000), at(0)).expect("a later end");
    let bounded = Ticket { expires_at: Some(at(1_800_000_000)), ..void.clone() };
    let longer =
        bounded.clone().extend(later, Some(reason()), at(1_700_012_000)).expect("a later end is taken");
    let unexplained = bounded.extend(later, None, at(1_700_012_000)).expect("a later end is taken");
    for ticket in [used, renewed, revoked, undone, back, void, longer, unexplained] {
        version = written(store.put_if(id, version, ticket.clone()).await);
        assert_eq!(read(store, id).await, Versioned { version, value: ticket });
    }
}

async fn a_stale_version_conflicts(store: &SharedStore) {
    let (id, version) = create(store, issued()).await;
    let winner = redeemed(&id, issued(), "winner");
    written(store.put_if(id, version, winner.clone()).await);
    let loser = redeemed(&id, issued(), "loser");
    assert_eq!(store.put_if(id, version, loser).await, WriteOutcome::Conflict);
    assert_eq!(read(store, id).await.value, winner, "a stale write went through");
}

async fn writing_what_does_not_exist_conflicts(store: &SharedStore) {
    let (_, version) = create(store, issued()).await;
    let nobody = fresh_id();
    assert_eq!(store.put_if(nobody, version, issued()).await, WriteOutcome::Conflict);
    assert_eq!(store.get(nobody).await, Ok(None), "a conditional write created a ticket");
}

async fn versions_never_come_back(store: &SharedStore) {
    let (id, first) = create(store, issued()).await;
    let mut seen = vec![first];
    for _ in 0..3 {
        for ticket in [redeemed(&id, issued(), "someone"), issued()] {
            let last = seen[seen.len() - 1];
            let version = written(store.put_if(id, last, ticket).await);
            assert!(!seen.contains(&version), "version {version:?} came back");
            seen.push(version);
        }
    }
    for stale in &seen[..seen.len() - 1] {
        assert_eq!(store.put_if(id, *stale, issued()).await, WriteOutcome::Conflict);
    }
}

async fn what_is_confirmed_is_so(store: &SharedStore) {
    assert_eq!(store.confirm(fresh_id(), None).await, Ok(true), "nothing is there");
    let (id, first) = create(store, issued()).await;
    assert_eq!(store.confirm(id, None).await, Ok(false), "there is a ticket");
    assert_eq!(store.confirm(id, Some(first)).await, Ok(true), "it has this version");
    assert_eq!(read(store, id).await.value, issued(), "confirming changed the ticket");
    let version = read(store, id).await.version;
    let used = redeemed(&id, issued(), "someone");
    written(store.put_if(id, version, used.clone()).await);
    for stale in [None, Some(first), Some(version)] {
        assert_eq!(store.confirm(id, stale).await, Ok(false), "{stale:?} is no longer so");
    }
    assert_eq!(store.confirm(fresh_id(), Some(version)).await, Ok(false), "there is no such ticket");
    // Many at once, of one version: those that come after another's may have to read again, but some are told.
    let version = read(store, id).await.version;
    let asked: Vec<_> = (0..32).map(|_| tokio::spawn(store.confirm(id, Some(version)))).collect();
    let mut confirmed = 0;
    for answer in asked {
        confirmed +=
            u32::from(answer.await.expect("a confirmation ends").expect("an undisturbed store answers"));
    }
    assert!(confirmed > 0, "nobody could confirm the version");
    assert_eq!(read(store, id).await.value, used, "confirming changed the ticket");
}

async fn of_many_writers_one_wins(store: &SharedStore) {
    for _ in 0..20 {
        let (id, version) = create(store, issued()).await;
        let writers = (0..32).map(|writer| {
            let ticket = redeemed(&id, issued(), &format!("writer-{writer}"));
            let write = store.put_if(id, version, ticket.clone());
            tokio::spawn(async move { (ticket, write.await) })
        });
        let writers: Vec<_> = writers.collect();
        let mut winners = Vec::new();
        for writer in writers {
            match writer.await.expect("a writer ends") {
                (ticket, WriteOutcome::Written(_)) => winners.push(ticket),
                (_, WriteOutcome::Conflict) => {}
                (_, other) => panic!("an undisturbed store answered {other:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "so many writers won");
        assert_eq!(read(store, id).await.value, winners[0], "the winner is not what is stored");
    }
}

/// A batch in which some conditions hold and others do not gives each its own outcome.
async fn many_tickets_at_once_are_independent(store: &SharedStore) {
    let ids: Vec<TicketId> = (0..200).map(|_| fresh_id()).collect();
    store.create(ids.iter().map(|id| (*id, issued())).collect()).await.expect("create");
    let mut first = Vec::new();
    for id in &ids {
        first.push(read(store, *id).await.version);
    }
    for (id, version) in ids.iter().zip(&first).step_by(2) {
        written(store.put_if(*id, *version, redeemed(id, issued(), "early")).await);
    }
    let late = |(id, version): (&TicketId, &Version)| {
        tokio::spawn(store.put_if(*id, *version, redeemed(id, issued(), "late")))
    };
    let writes: Vec<_> = ids.iter().zip(&first).map(late).collect();
    for (index, write) in writes.into_iter().enumerate() {
        let outcome = write.await.expect("a write ends");
        let value = read(store, ids[index]).await.value;
        let early = value == redeemed(&ids[index], issued(), "early");
        assert_eq!(matches!(outcome, WriteOutcome::Conflict), early, "ticket {index}: {outcome:?}");
    }
}

/// Pages and counts may lag behind: looks again until the answer is the expected one, or time is up.
async fn eventually<T: PartialEq + std::fmt::Debug, Answer: Future<Output = T>>(
    look: impl Fn() -> Answer,
    expected: &T,
) {
    let deadline = tokio::time::Instant::now() + LAG;
    loop {
        let found = look().await;
        if found == *expected {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{found:?} instead of {expected:?}");
        tokio::time::sleep(LAG / 100).await;
    }
}

async fn pages_list_everything_once(store: &SharedStore) {
    let batch = name(&format!("pages {}", fresh_id()));
    let ticket = Ticket { batch: batch.clone(), ..issued() };
    let mut ids: Vec<TicketId> = (0..25).map(|_| fresh_id()).collect();
    store.create(ids.iter().map(|id| (*id, ticket.clone())).collect()).await.expect("create");
    ids.sort_unstable();
    let list = || async {
        let (mut listed, mut from) = (Vec::new(), None);
        loop {
            let page = store.page(Some(batch.clone()), from, 10).await.expect("page");
            assert!(page.tickets.len() <= 10, "a page of {} instead of at most 10", page.tickets.len());
            listed.extend(page.tickets.iter().map(|(id, _)| *id));
            assert!(page.tickets.iter().all(|(_, found)| found.value == ticket));
            from = page.next;
            if from.is_none() {
                listed.sort_unstable();
                return listed;
            }
        }
    };
    eventually(list, &ids).await;
    let all = store.page(None, None, 10).await.expect("page");
    assert_eq!(all.tickets.len(), 10);
    assert!(all.next.is_some(), "there are more than ten tickets");
    let (id, found) = &store.page(Some(batch), None, 1).await.expect("page").tickets[0];
    written(store.put_if(*id, found.version, redeemed(id, ticket, "by-its-listed-version")).await);
}

async fn stats_count(store: &SharedStore) {
    let batch = name(&format!("stats {}", fresh_id()));
    let ids: Vec<TicketId> = (0..9).map(|_| fresh_id()).collect();
    let tickets = ids.iter().enumerate().map(|(index, id)| {
        let album = name(if index < 6 { "a" } else { "b" });
        (*id, Ticket { batch: batch.clone(), album, ..issued() })
    });
    store.create(tickets.collect()).await.expect("create");
    let used = read(store, ids[0]).await;
    let ticket = redeemed(&ids[0], used.value, "someone");
    written(store.put_if(ids[0], used.version, ticket).await);
    let void = read(store, ids[8]).await;
    let ticket = void.value.revoke(None, at(1_700_000_200)).expect("an issued ticket can be revoked");
    assert!(matches!(ticket.state, State::Revoked(None)));
    written(store.put_if(ids[8], void.version, ticket).await);
    let count = |after: Option<BatchPlace>, limit| {
        let batch = batch.clone();
        async move { store.stats(Some(batch), after, limit).await.expect("stats") }
    };
    let place = |album: &str| BatchPlace { album: name(album), batch: batch.clone() };
    let a = BatchCount { place: place("a"), issued: 5, redeemed: 1, revoked: 0 };
    let b = BatchCount { place: place("b"), issued: 2, redeemed: 0, revoked: 1 };
    eventually(|| count(None, 10), &vec![a.clone(), b.clone()]).await;
    assert_eq!(count(None, 1).await, std::slice::from_ref(&a), "one was asked for");
    assert_eq!(count(Some(a.place), 10).await, std::slice::from_ref(&b), "those after the first");
    assert_eq!(count(Some(b.place), 10).await, [], "there is none after the last");
    assert!(store.stats(None, None, 1).await.expect("stats").len() == 1, "there are some of all batches");
}
