//! What the engine promises to whoever brings work, apart from what is kept.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::TransactionBehavior;
use tokio::time::timeout;

use super::*;

const SCHEMA: Schema = Schema {
    application_id: 0x7465_7374,
    migrations: &["CREATE TABLE things (name TEXT NOT NULL PRIMARY KEY) STRICT"],
};
const NEWER: Schema =
    Schema { migrations: &[SCHEMA.migrations[0], "CREATE TABLE more (name TEXT)"], ..SCHEMA };
const BROKEN: Schema =
    Schema { migrations: &[SCHEMA.migrations[0], "CREATE TABLE more (name TEXT); nonsense"], ..SCHEMA };
/// Longer than anything here takes, unless it hangs.
const LONG: Duration = Duration::from_secs(30);

struct World {
    engine: Engine,
    path: PathBuf,
    folder: tempfile::TempDir,
}

fn world() -> World {
    world_of(Settings::default())
}

fn world_of(settings: Settings) -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("things.db");
    let engine = Engine::open(&path, IfMissing::Create, &SCHEMA, settings, Arc::new(())).unwrap();
    World { engine, path, folder }
}

fn add(connection: &Connection, name: &str) -> rusqlite::Result<usize> {
    connection.execute("INSERT INTO things VALUES (?1)", [name])
}

fn names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection.prepare("SELECT name FROM things ORDER BY name")?.query_map([], |row| row.get(0))?.collect()
}

/// Long enough to be looked at more than once.
const LONG_SCAN: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200000) SELECT count(*) FROM n";

/// A read that keeps the reading thread until the sender is dropped, once it has begun.
async fn keep_reader_busy(engine: &Engine) -> (mpsc::Sender<()>, tokio::task::JoinHandle<()>) {
    let (release, released) = mpsc::channel::<()>();
    let (say, begun) = oneshot::channel();
    let read = engine.read(move |_| {
        let _ = say.send(());
        let _ = released.recv();
        Ok(())
    });
    let reading = tokio::spawn(async { read.await.unwrap() });
    begun.await.unwrap();
    (release, reading)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_nobody_waits_for_is_not_made() {
    let world = world();
    let mut other = Connection::open(&world.path).unwrap();
    // Another process writes, so that everything here waits for its turn.
    let lock = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let first = world.engine.write_one(|connection| add(connection, "waited for"));
    let given_up = world.engine.write_one(|connection| add(connection, "given up"));
    drop(given_up);
    lock.rollback().unwrap();
    assert_eq!(first.await, Ok(1));
    let last = world.engine.write_one(|connection| add(connection, "waited for, too"));
    assert_eq!(last.await, Ok(1));
    assert_eq!(world.engine.read(names).await.unwrap(), ["waited for", "waited for, too"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_given_up_while_the_file_is_locked_is_not_made() {
    let world = world();
    let mut other = Connection::open(&world.path).unwrap();
    let lock = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let alone = world.engine.write_one(|connection| add(connection, "given up"));
    // By then the writing thread has taken it and waits for the lock.
    assert!(timeout(Duration::from_millis(200), alone).await.is_err());
    lock.rollback().unwrap();
    let next = world.engine.write_one(|connection| add(connection, "waited for"));
    assert_eq!(next.await, Ok(1));
    assert_eq!(world.engine.read(names).await.unwrap(), ["waited for"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_nobody_waits_for_is_not_begun() {
    let world = world();
    let (release, reading) = keep_reader_busy(&world.engine).await;
    let begun = Arc::new(AtomicUsize::new(0));
    let count = |_: usize| {
        let begun = Arc::clone(&begun);
        world.engine.read(move |_| {
            begun.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    };
    let mut reads: Vec<_> = (0..10).map(count).collect();
    reads.truncate(1);
    drop(release);
    reading.await.unwrap();
    reads.remove(0).await.unwrap();
    assert_eq!(world.engine.read(|_| Ok(7)).await, Ok(7));
    assert_eq!(begun.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_nobody_waits_for_is_interrupted_and_the_next_one_is_not() {
    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let world = world();
    let (ended, end) = mpsc::channel();
    let endless = world.engine.scan(
        move |connection| {
            let counted = connection.query_row(ENDLESS, [], |row| row.get::<_, i64>(0));
            ended.send(counted.as_ref().err().and_then(rusqlite::Error::sqlite_error_code)).unwrap();
            counted
        },
        |_| 1,
    );
    assert!(timeout(Duration::from_millis(100), endless).await.is_err());
    let interrupted = end.recv_timeout(LONG).unwrap();
    assert_eq!(interrupted, Some(rusqlite::ErrorCode::OperationInterrupted));
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    drop(world.engine.scan(
        move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(())
        },
        |()| 1,
    ));
    let next = world
        .engine
        .scan(|connection| connection.query_row(LONG_SCAN, [], |row| row.get::<_, i64>(0)), |_| 1);
    assert_eq!(timeout(LONG, next).await.unwrap(), Ok(200_000));
    assert!(begun.load(Ordering::Relaxed) <= 1, "it may have begun before it was dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_statements_are_made_together_or_not_at_all() {
    let world = world();
    let failing = world.engine.write_all(Operation::Create, 2, |connection| {
        add(connection, "first")?;
        add(connection, "first")
    });
    let beside = world.engine.write_one(|connection| add(connection, "of somebody else"));
    let (failed, made) = tokio::join!(failing, beside);
    assert!(matches!(failed, Err(WriteError::Unavailable(_))), "{failed:?}");
    assert_eq!(made, Ok(1));
    assert_eq!(world.engine.read(names).await.unwrap(), ["of somebody else"]);
    let both = world
        .engine
        .write_all(Operation::Create, 2, |connection| Ok(add(connection, "a")? + add(connection, "b")?));
    assert_eq!(both.await, Ok(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once() {
    let world = world_of(Settings { max_queue: 4, max_batch: 2 });
    let (release, reading) = keep_reader_busy(&world.engine).await;
    let mut waiting = Vec::new();
    let refused = loop {
        let read = world.engine.read(names);
        match tokio::time::timeout(Duration::from_millis(1), read).await {
            Ok(answer) => break answer,
            // Given up, and yet in the queue until its turn.
            Err(_) => waiting.push(()),
        }
        assert!(waiting.len() <= 4, "the queue is bounded");
    };
    assert_eq!(refused, Err(StoreError::Overloaded));
    drop(release);
    reading.await.unwrap();
    // Those that were given up leave the queue when the reading thread comes to them.
    let answer = loop {
        match world.engine.read(names).await {
            Err(StoreError::Overloaded) => tokio::task::yield_now().await,
            answer => break answer,
        }
    };
    assert_eq!(answer, Ok(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_needs_the_writer_and_the_reader() {
    let world = world();
    assert_eq!(world.engine.ping().await, Ok(()));
    // A thread that is gone, whyever.
    let read = world.engine.read(|_| -> rusqlite::Result<()> { panic!("planted") });
    assert!(read.await.is_err());
    assert!(world.engine.ping().await.is_err(), "nothing can be read any more");
    let write = world.engine.write_one(|connection| add(connection, "writes go on"));
    assert_eq!(write.await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_sees_that_the_file_is_gone() {
    let world = world();
    std::fs::rename(&world.path, world.folder.path().join("elsewhere.db")).unwrap();
    let why = world.engine.ping().await.unwrap_err().to_string();
    assert!(why.contains("was removed or replaced"), "{why}");
}

#[test]
fn two_that_open_a_new_file_at_once_both_find_it_migrated() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.db"));
        let open =
            || Engine::open(&path, IfMissing::Create, &SCHEMA, Settings::default(), Arc::new(())).map(drop);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
            for thread in threads {
                thread.join().unwrap().unwrap();
            }
        });
    }
}

#[test]
fn a_file_of_another_context_or_of_a_newer_version_is_refused() {
    let world = world();
    drop(world.engine);
    let open = |schema: &Schema| {
        let opened = Engine::open(&world.path, IfMissing::Fail, schema, Settings::default(), Arc::new(()));
        opened.map(drop).map_err(|error| error.to_string())
    };
    let of_another = Schema { application_id: 7, ..SCHEMA };
    assert!(open(&of_another).unwrap_err().contains("of another program"));
    assert_eq!(open(&NEWER), Ok(()));
    let older = open(&SCHEMA).unwrap_err();
    assert!(older.contains("newer version of tickey (schema 2, this one knows 1)"), "{older}");
    assert_eq!(open(&NEWER), Ok(()), "it was left alone");
}

#[test]
fn a_migration_that_fails_leaves_the_file_as_it_was() {
    let world = world();
    drop(world.engine);
    assert!(Engine::open(&world.path, IfMissing::Fail, &BROKEN, Settings::default(), Arc::new(())).is_err());
    let engine = Engine::open(&world.path, IfMissing::Fail, &SCHEMA, Settings::default(), Arc::new(()));
    drop(engine.unwrap());
}
