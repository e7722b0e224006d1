//! Many new tickets: `tickey mint` and `tickey load` beside a bare loop of inserts.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use rusqlite::{Connection, TransactionBehavior};
use tickey::environment::{Clock as _, SystemClock};
use tickey::redemption::store::location::IfMissing;
use tickey::redemption::store::sqlite::{Settings, SqliteStore};

use super::super::Bench;
use super::super::support::Outcome;
use super::super::support::dataset::remove_store;
use super::super::support::keys::{ALBUM, BATCH, id, read_keys};
use super::super::support::limits::PRAGMAS;
use super::super::support::process::{ToolFigures, run};
use super::super::support::report::{Row, Section, Series};

/// Rows that the bare loop writes in a transaction.
const CHUNK_ROWS: usize = 10_000;

/// What the bare loop inserts, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct BareLoadArgs {
    /// The file with the keys
    #[arg(long)]
    keys: PathBuf,
    /// How many there are
    #[arg(long)]
    count: usize,
    /// The file to make
    #[arg(long)]
    data: PathBuf,
}

pub(crate) fn measure(bench: &Bench) -> Outcome<Section> {
    let tickets = bench.options.tickets;
    let csv = bench.scratch.join("minted.csv");
    let data = bench.scratch.join("bulk.db");
    let store = format!("sqlite:{}", data.display());
    let tickey = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickey"));
        command.args(arguments).args(["--store", &store]).stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    let (mut mint, mut load, mut bare) = (ToolFigures::default(), ToolFigures::default(), Series::default());
    bench.rounds("bulk", || {
        remove_store(&data)?;
        // Of the round before.
        if csv.exists() {
            std::fs::remove_file(&csv)?;
        }
        let count = tickets.to_string();
        let minting = ["mint", "--album", ALBUM, "--batch", BATCH, "--count", &count];
        mint.push(&run(tickey(&minting).arg("--output").arg(&csv))?);
        remove_store(&data)?;
        load.push(&run(tickey(&["load"]).arg(&csv))?);
        remove_store(&data)?;
        let output = Command::new(std::env::current_exe()?)
            .args(["bare-load", "--count", &count, "--keys"])
            .arg(&bench.dataset.keys)
            .arg("--data")
            .arg(&data)
            .stderr(Stdio::inherit())
            .output()?;
        bare.push(String::from_utf8(output.stdout)?.trim().parse()?);
        remove_store(&data)
    })?;
    let (loading, minting) = (bare.over(&load.seconds), bare.over(&mint.seconds));
    Ok(Section {
        title: "Mint and load",
        about: format!(
            "{tickets} tickets into a new store, with the real program, from exec to exit. `mint` makes the keys, \
             writes and syncs the \
             CSV, and loads it; `load` reads the CSV, checks each key and digests it, and loads it. The bare loop has \
             all \
             rows in memory when its clock starts, sorts {CHUNK_ROWS} at a time and inserts them in a transaction, \
             into the same schema \
             with the same settings; its clock stops when the file is closed."
        ),
        rows: vec![
            Row::plain("tickey mint", mint.seconds.show(2, " s")),
            Row::plain("tickey load", load.seconds.show(2, " s")),
            Row::plain("bare loop", bare.show(2, " s")),
            Row::with_bar("load / bare (rate)", loading.show_percent(), "≥ 80 %", loading.median() >= 0.8),
            Row::plain("mint / bare (rate)", minting.show_percent()),
            mint.memory_row("memory of mint, peak"),
            load.memory_row("memory of load, peak"),
        ],
    })
}

/// The bare loop, in a process of its own. Prints its seconds.
pub(crate) fn bare_load(args: &BareLoadArgs) -> Outcome {
    let ids = read_keys(&args.keys, 0..args.count)?.iter().map(|key| id(key)).collect::<Outcome<Vec<_>>>()?;
    let issued_at = SystemClock.now().as_second();
    // Only to have the schema and the settings that live in the file.
    drop(SqliteStore::open(&args.data, IfMissing::Create, Settings::default(), Arc::new(()))?);
    let begun = Instant::now();
    let mut connection = Connection::open(&args.data)?;
    connection.execute_batch(PRAGMAS)?;
    for chunk in ids.chunks(CHUNK_ROWS) {
        let mut chunk = chunk.to_vec();
        chunk.sort_unstable();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut insert = transaction.prepare_cached(
            "INSERT INTO tickets (id, version, status, album, batch, issued_at) VALUES (?1, 1, 'issued', ?2, ?3, ?4)",
        )?;
        for id in chunk {
            insert.execute((id.as_bytes(), ALBUM, BATCH, issued_at))?;
        }
        drop(insert);
        transaction.commit()?;
    }
    connection.close().map_err(|(_, error)| error)?;
    writeln!(io::stdout(), "{}", begun.elapsed().as_secs_f64())?;
    Ok(())
}
