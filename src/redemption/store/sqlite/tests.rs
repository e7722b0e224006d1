//! What is this table's own; that it keeps the contract of a store is tested in `tests/conformance.rs`.

use std::path::PathBuf;

use rusqlite::Connection;

use super::*;
use crate::engine::sqlite::Schema;
use crate::redemption::key::DownloadKey;

/// The schema of the first version.
const FIRST: Schema = Schema { migrations: &[SCHEMA.migrations[0]], ..SCHEMA };
const BATCHES: usize = 7;
const NOW: &str = "2026-11-21T10:00:00Z";

struct World {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    World { path: folder.path().join("tickets.db"), _folder: folder }
}

impl World {
    fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path, IfMissing::Create, Settings::default(), Arc::new(())).unwrap()
    }

    /// What the table itself says, and what is kept beside it.
    fn counts(&self) -> [Vec<(String, String, [i64; 3])>; 2] {
        let connection = Connection::open(&self.path).unwrap();
        let kept = "SELECT album, batch, issued, redeemed, revoked FROM batches
                    WHERE issued + redeemed + revoked > 0 ORDER BY album, batch";
        let counted =
            "SELECT album, batch, sum(status = 'issued'), sum(status = 'redeemed'), sum(status = 'revoked')
                       FROM tickets GROUP BY album, batch ORDER BY album, batch";
        [kept, counted].map(|sql| {
            let mut statement = connection.prepare(sql).unwrap();
            let rows = statement
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, [row.get(2)?, row.get(3)?, row.get(4)?])));
            rows.unwrap().collect::<Result<_, _>>().unwrap()
        })
    }

    fn check_counts(&self) {
        let [kept, counted] = self.counts();
        assert!(!counted.is_empty());
        assert_eq!(kept, counted);
    }
}

fn id(number: usize) -> TicketId {
    let random = std::array::from_fn(|place| u8::try_from(number >> (5 * place.min(6)) & 31).unwrap());
    DownloadKey::from_random(&random).id()
}

fn ticket(number: usize) -> Ticket {
    let batch = format!("batch {}", number % BATCHES);
    Ticket::issue(
        format!("album {}", number % 2).parse().unwrap(),
        batch.parse().unwrap(),
        NOW.parse().unwrap(),
    )
}

async fn add(store: &SqliteStore, count: usize) {
    let tickets = (0..count).map(|number| (id(number), ticket(number))).collect();
    let created = store.create(tickets).await.unwrap();
    assert!(created.iter().all(|created| *created == Created::New));
}

async fn list(store: &SqliteStore, batch: &str) -> Vec<TicketId> {
    let page = store.page(Some(batch.parse().unwrap()), None, MAX_PAGE).await.unwrap();
    page.tickets.into_iter().map(|(id, _)| id).collect()
}

/// What SQLite does to answer, in its own words.
fn plan(connection: &Connection, sql: &str) -> String {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
    rows.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_first_version_opens_with_all_that_it_holds() {
    let world = world();
    let engine = Engine::open(&world.path, IfMissing::Create, &FIRST, Settings::default(), Arc::new(()));
    let engine = engine.unwrap();
    let old: Vec<(TicketId, Ticket)> = (0..100).map(|number| (id(number), ticket(number))).collect();
    let added = engine.write_all(Operation::Create, 100, move |connection| {
        let sql = "INSERT INTO tickets (id, version, status, album, batch, issued_at) VALUES (?1, 1, 'issued', ?2, ?3, \
            ?4)";
        let mut insert = connection.prepare(sql)?;
        for (id, ticket) in old {
            let Ticket { album, batch, issued_at, .. } = ticket;
            insert.execute((id.as_bytes(), album.as_str(), batch.as_str(), issued_at.as_second()))?;
        }
        Ok(())
    });
    assert_eq!(added.await, Ok(()));
    drop(engine);
    let store = world.open();
    world.check_counts();
    assert_eq!(list(&store, "batch 3").await.len(), 100_usize.div_ceil(BATCHES) - 1);
    assert_eq!(store.get(id(42)).await.unwrap().unwrap().value, ticket(42));
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_follow_every_change_whoever_makes_it() {
    let world = world();
    let store = world.open();
    add(&store, 50).await;
    world.check_counts();
    for number in 0..50 {
        let found = store.get(id(number)).await.unwrap().unwrap();
        let changed = match number % 3 {
            0 => found.value.revoke(None, NOW.parse().unwrap()).unwrap(),
            1 => Ticket { batch: "moved".parse().unwrap(), ..found.value },
            _ => continue,
        };
        let outcome = store.put_if(id(number), found.version, changed.clone()).await;
        assert!(matches!(outcome, WriteOutcome::Written(_)), "{outcome:?}");
        assert_eq!(store.get(id(number)).await.unwrap().unwrap().value, changed);
    }
    world.check_counts();
    assert_eq!(list(&store, "moved").await.len(), 17);
    let by_hand = Connection::open(&world.path).unwrap();
    by_hand
        .execute_batch(
            "DELETE FROM tickets WHERE batch = 'batch 1'; UPDATE tickets SET status = 'revoked', album = \
            'other'",
        )
        .unwrap();
    world.check_counts();
    let counts = store.stats(Some("moved".parse().unwrap()), None, 10).await.unwrap();
    assert_eq!(counts.iter().map(|count| count.revoked).sum::<u64>(), 17);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lists_or_counts_one_batch_reads_no_other() {
    let world = world();
    drop(world.open());
    let connection = Connection::open(&world.path).unwrap();
    let page = plan(&connection, "SELECT * FROM tickets WHERE batch = 'a' AND id > x'' ORDER BY id LIMIT 10");
    assert!(page.contains("tickets_by_batch (batch=? AND id>?)") && !page.contains("B-TREE"), "{page}");
    let one = "SELECT * FROM batches WHERE batch = 'a' AND (album, batch) > ('', '') ORDER BY album";
    assert!(plan(&connection, one).contains("batches_by_name (batch=?"), "{}", plan(&connection, one));
    let all =
        plan(&connection, "SELECT * FROM batches WHERE (album, batch) > ('a', 'b') ORDER BY album, batch");
    assert!(all.contains("SEARCH batches USING PRIMARY KEY") && !all.contains("B-TREE"), "{all}");
}

/// With an index to keep, each redemption would write two pages more, at random places of the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_redemption_touches_no_index_of_tickets() {
    let world = world();
    drop(world.open());
    let connection = Connection::open(&world.path).unwrap();
    let written = |sql: &str| {
        let mut statement = connection.prepare(&format!("EXPLAIN {sql}")).unwrap();
        // Nothing is bound, since nothing is carried out.
        let rows = statement.raw_query().mapped(|row| row.get::<_, String>(1));
        let opcodes: Vec<String> = rows.collect::<Result<_, _>>().unwrap();
        let deletes = |opcode: &&String| opcode.starts_with("Idx") && opcode.ends_with("Delete");
        opcodes.iter().filter(deletes).count()
    };
    assert_eq!(written(writes::CHANGED), 0);
    assert!(written(writes::REPLACED) > 0, "it would be seen");
}
