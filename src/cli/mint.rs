//! `tickey mint`: creates new tickets, after writing their keys to a file.
//!
//! The file is complete and synced before the store gets any ticket, so that no key is lost in between. It also records
//! what was minted: the same command on the same file finishes an interrupted run and mints nothing.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::album_check::Albums;
use super::expiry::end_in_words;
use super::keys_csv::KeysCsv;
use super::options::{JsonOption, KnownLibraryOption, StoreOption};
use super::outcome::{Outcome, WrongUsage};
use super::output::count;
use super::{load, output};
use crate::environment::{Clock as _, Entropy, SystemClock, SystemEntropy};
use crate::redemption::mint::{BatchTerms, KeysWriter, new_keys, parse_time};
use crate::redemption::ticket::{Name, NewExpiry};

mod stream;

use stream::BUFFER_BYTES;

/// The most tickets of one batch.
const MAX_COUNT: u64 = 100_000_000;
/// The number of keys between two updates of the progress.
const KEYS_A_TICK: u64 = 1000;

/// Mint new tickets: their keys go to a file, the tickets to the store. Run it again on the same file to finish
/// an interrupted run
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  tickey mint --album night-ferry --batch tour-2026 --count 500 -o keys.csv
  tickey mint --album night-ferry --batch tour --count 500 -o - | gpg -er shop > keys.gpg")]
pub(super) struct Args {
    /// The album of the keys (its id)
    #[arg(long, env = "TICKEY_ALBUM")]
    album: Name,
    /// The name of the batch, for counting and revoking
    #[arg(long, env = "TICKEY_BATCH")]
    batch: Name,
    /// The number of keys
    #[arg(long, env = "TICKEY_COUNT", value_parser = clap::value_parser!(u64).range(1..=MAX_COUNT))]
    count: u64,
    /// The time from which the keys can be redeemed: RFC 3339 or a date (UTC)
    #[arg(long, env = "TICKEY_VALID_FROM", value_name = "TIME", value_parser = parse_time)]
    valid_from: Option<Timestamp>,
    /// The time from which they can no longer be redeemed: in the future, RFC 3339 or a date, which means the beginning
    /// of that day in UTC
    #[arg(long, env = "TICKEY_EXPIRES", value_name = "TIME", value_parser = parse_time)]
    expires: Option<Timestamp>,
    /// The file for the keys (CSV), readable by its owner only; or - for standard output, from which an interrupted run
    /// cannot be finished
    #[arg(long, short, env = "TICKEY_OUTPUT", value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    library: KnownLibraryOption,
    #[command(flatten)]
    json: JsonOption,
}

#[derive(Serialize)]
struct Report<'a> {
    /// Keys in the file that this run made.
    minted: u64,
    /// Tickets that this run added to the store.
    loaded: u64,
    /// The time from which the keys can no longer be redeemed.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    file: &'a Path,
}

pub(super) async fn run(args: Args) -> Outcome {
    let terms = BatchTerms {
        album: args.album,
        batch: args.batch,
        valid_from: args.valid_from,
        expires_at: args.expires,
    }
    .check()
    .map_err(|_| {
        WrongUsage("--valid-from must be before --expires, or the keys can never be redeemed".to_owned())
    })?;
    let now = SystemClock.now();
    if let Some(end) = terms.expires_at {
        NewExpiry::new(end, now).map_err(|past| WrongUsage(format!("--expires: {past}")))?;
    }
    let to_stdout = args.output.as_os_str() == "-";
    if to_stdout && args.json.json {
        return Err(
            WrongUsage("--json prints to standard output, where `-o -` puts the keys".to_owned()).into()
        );
    }
    let output_exists = match fs::metadata(&args.output) {
        _ if to_stdout => false,
        Ok(found) if found.is_file() => true,
        Ok(_) => {
            return Err(
                format!("{} is not a file: the keys need one that stays", args.output.display()).into()
            );
        }
        Err(_) => false,
    };
    // Before any key is made: errors of the store should be reported first.
    let albums = Albums::open(&args.library).await;
    if output_exists {
        // People may already have its keys: an interrupted run is finished in any case.
        albums.warn([&terms.album]).await;
    } else {
        albums.require(&terms.album).await?;
    }
    let store = args.store.open_or_make().await?;
    let end = terms.expires_at.map(|end| format!("; they end at {}", end_in_words(end))).unwrap_or_default();
    if to_stdout {
        stream::mint(&*store, &terms, args.count).await?;
        output::complain(&format!("{} minted and loaded{end}", count(args.count, "key")));
        return Ok(());
    }
    let minted = if output_exists {
        check_earlier_run(&args.output, &terms, args.count)?;
        0
    } else {
        write_keys(&args.output, &terms, args.count, &SystemEntropy)?
    };
    let file = File::open(&args.output).map_err(|error| unusable(&args.output, &error))?;
    let mut csv = KeysCsv::new(BufReader::with_capacity(BUFFER_BYTES, file))?;
    let bar = output::progress(Some(args.count), "tickets loaded");
    let loaded = load::load(&store, &mut csv, now, load::Existing::Count, &bar).await;
    bar.finish_and_clear();
    let unfinished = |error: &dyn Display| {
        format!(
            "{error}; the keys are safe in {}: run the same command again to finish",
            args.output.display()
        )
    };
    let report = loaded.map_err(|error| unfinished(&error))?;
    report.check_certain().map_err(|doubt| unfinished(&doubt))?;
    if args.json.json {
        let expires_at = terms.expires_at;
        output::say_json(&Report { minted, loaded: report.new, expires_at, file: &args.output })?;
    } else {
        let file = args.output.display();
        let (minted, loaded) = (count(minted, "key"), count(report.new, "ticket"));
        output::say(&format!("{minted} minted, {loaded} loaded; the keys are in {file}{end}"))?;
    }
    Ok(())
}

/// Writes the keys of a new batch: first under another name, so that the file is either complete or absent.
fn write_keys(path: &Path, terms: &BatchTerms, count: u64, entropy: &dyn Entropy) -> Outcome<u64> {
    let failed = |error: io::Error| unusable(path, &error);
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(&partial)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(format!("another run is writing {} at this moment", partial.display()).into());
        }
        Err(TryLockError::Error(error)) => return Err(failed(error).into()),
    }
    // Another run may have finished between our check and our lock, and then the open file is its file.
    let held = file.metadata().map_err(failed)?;
    let still_there = fs::symlink_metadata(&partial).is_ok_and(|named| named.ino() == held.ino());
    if path.exists() || !still_there {
        return Err(
            format!("another run has written {} meanwhile: run the command again", path.display()).into()
        );
    }
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed)?;
    // The keys of an interrupted run were never stored or given to anybody.
    file.set_len(0).map_err(failed)?;
    let bar = output::progress(Some(count), "keys minted");
    let written = write_lines(&file, terms, count, entropy, &bar);
    bar.finish_and_clear();
    if let Err(error) = written {
        // An error here is ignored: the error above is reported.
        let _ = fs::remove_file(&partial);
        return Err(format!("{} cannot be written: {error}", path.display()).into());
    }
    fs::rename(&partial, path).map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(count)
}

fn write_lines(
    file: &File,
    terms: &BatchTerms,
    count: u64,
    entropy: &dyn Entropy,
    bar: &indicatif::ProgressBar,
) -> Outcome {
    let mut csv = KeysWriter::new(BufWriter::with_capacity(BUFFER_BYTES, file), terms);
    csv.header()?;
    for (made, key) in (1..=count).zip(new_keys(entropy)) {
        csv.key(&key?)?;
        // The bar reads the clock on each update.
        if made % KEYS_A_TICK == 0 {
            bar.set_position(made);
        }
    }
    csv.flush()?;
    Ok(file.sync_all()?)
}

/// Checks that this same command has written the file before.
fn check_earlier_run(path: &Path, terms: &BatchTerms, count: u64) -> Outcome {
    let file = File::open(path).map_err(|error| unusable(path, &error))?;
    let shown = path.display();
    let advice = "give another file, or the options that it was made with";
    let mut csv = KeysCsv::new(BufReader::with_capacity(BUFFER_BYTES, file))
        .map_err(|error| format!("{shown} exists and is not a file of keys ({error}): {advice}"))?;
    let mut found = 0;
    while let Some(line) = csv.next()? {
        let line =
            line.map_err(|bad| format!("{shown} exists, and its line {} is bad: {}", bad.line, bad.why))?;
        if line.terms != *terms {
            return Err(format!(
                "{shown} exists and holds keys of album `{}`, batch `{}`, or with other times: {advice}",
                line.terms.album, line.terms.batch
            )
            .into());
        }
        found += 1;
    }
    if found == count {
        Ok(())
    } else {
        let found = output::count(found, "key");
        Err(format!("{shown} exists and holds {found}, not {count}: {advice}").into())
    }
}

fn unusable(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be used: {error}", path.display())
}
