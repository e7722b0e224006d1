//! `tickey doctor`: checks the whole installation, and says what to do.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::options::{AdminTokenOption, JsonOption, LibraryOption, LinkKeysOption, StoreOption};
use super::outcome::Outcome;
use super::{albums, link_keys, output};
use crate::environment::{Clock, SystemClock};
use crate::library::{Library, Remark};
use crate::redemption::count;
use crate::redemption::report::StatsReport;
use crate::redemption::store::BatchCount;
use crate::redemption::store::elasticsearch;
use crate::redemption::store::location::{IfMissing, StoreLocation};
use crate::redemption::store::sqlite;
use crate::redemption::web::admin::{AdminToken, open_to_others};

/// The free space below which a disk counts as full, in bytes: the most that a checkpoint of the store needs.
const MIN_FREE_BYTES: u64 = 64 * 1024 * 1024;
/// The program did not exist before this, so a clock with an earlier time is wrong.
const EARLIEST: &str = "2026-11-01T00:00:00Z";

/// Check configuration, store, library and clock, and say what to do
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Example:
  tickey doctor --library file:/srv/albums          with the options or variables that the server has")]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    library: LibraryOption,
    #[command(flatten)]
    link_keys: LinkKeysOption,
    #[command(flatten)]
    admin_token: AdminTokenOption,
    #[command(flatten)]
    json: JsonOption,
}

/// The result of one check.
#[derive(Serialize)]
struct Finding {
    /// The subject of the check.
    what: &'static str,
    ok: bool,
    /// The finding and, if the check failed, what to do.
    says: String,
}

/// The library, opened once for all checks: opening it computes the digests that no manifest gives.
struct Albums {
    library: Outcome<Library>,
    /// Its address, in words.
    place: String,
}

pub(super) async fn run(args: Args) -> Outcome {
    let mut findings = vec![clock(&SystemClock), link_keys_file(&args.link_keys.link_keys_file)];
    findings.extend(args.admin_token.admin_token_file.as_deref().map(admin_token_file));
    let opened = output::waiting("opening the library", args.library.open()).await;
    let albums = Albums { library: opened, place: args.library.in_words() };
    let looked = match args.store.location()? {
        StoreLocation::Sqlite(path) => {
            output::waiting("checking the store", embedded_store(&path, &albums)).await
        }
        StoreLocation::Elasticsearch(settings) => {
            output::waiting("checking the store", cluster(&settings, &albums)).await
        }
    };
    findings.extend(looked);
    findings.extend(output::waiting("reading the albums", library(&albums)).await);
    if args.json.json {
        output::say_json(&findings)?;
    } else {
        for finding in &findings {
            let mark = if finding.ok { "ok  " } else { "FAIL" };
            output::say(&format!("{mark}  {:<10}  {}", finding.what, finding.says))?;
        }
    }
    match findings.iter().filter(|finding| !finding.ok).count() {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} failed", output::count(findings.len() as u64, "check")).into()),
    }
}

fn clock(clock: &dyn Clock) -> Finding {
    let now = clock.now();
    let ok = EARLIEST.parse::<Timestamp>().is_ok_and(|earliest| now > earliest);
    let says = if ok {
        format!("it is {now}")
    } else {
        format!("the clock shows {now}, which is in the past: set it, since keys and links expire by it")
    };
    Finding { what: "clock", ok, says }
}

fn link_keys_file(path: &Path) -> Finding {
    let what = "link keys";
    if !path.exists() {
        return not_there_yet(what, path);
    }
    match link_keys::read(path) {
        Ok(ring) => {
            let keys = output::count(ring.len() as u64, "key");
            Finding { what, ok: true, says: format!("{keys} in {}", path.display()) }
        }
        Err(error) => Finding { what, ok: false, says: error.to_string() },
    }
}

fn admin_token_file(path: &Path) -> Finding {
    let what = "admin";
    let shown = path.display();
    match (AdminToken::open(path), open_to_others(path)) {
        (Err(error), _) => Finding { what, ok: false, says: error.to_string() },
        (Ok(_), Some(mode)) => {
            let says = format!(
                "the admin token in {shown} can be read or changed by others (mode {mode:o}): run `chmod 600 \
                 {shown}`, and replace the token if somebody may have seen it"
            );
            Finding { what, ok: false, says }
        }
        (Ok(_), None) => Finding { what, ok: true, says: format!("a token is in {shown}") },
    }
}

async fn embedded_store(path: &Path, albums: &Albums) -> Vec<Finding> {
    let what = "store";
    if !path.exists() {
        return vec![not_there_yet(what, path), disk(path)];
    }
    let looked = async {
        // Before the store is opened, which may migrate the file.
        sqlite::check_integrity(path)?;
        let location = StoreLocation::Sqlite(path.to_owned());
        let store = location.open(IfMissing::Fail, Arc::new(())).await?;
        sqlite::check_writable(path)?;
        count::all(&*store, None).await
    };
    let mut findings = vec![disk(path)];
    findings
        .extend(sqlite::open_to_others(path).iter().map(|(file, mode)| open_to_others_finding(file, *mode)));
    match looked.await {
        Ok(counts) => {
            let tickets = StatsReport::new(&counts).totals.tickets;
            let tickets = output::count(tickets, "ticket");
            let says = format!("{tickets} in {}, intact and writable", path.display());
            findings.push(Finding { what, ok: true, says });
            findings.extend(missing_albums(&counts, albums).await);
        }
        Err(error) => findings.push(Finding { what, ok: false, says: error.to_string() }),
    }
    findings
}

/// A user who can read the store learns what was redeemed when; a user who can write it can redeem at will.
fn open_to_others_finding(file: &Path, mode: u32) -> Finding {
    let shown = file.display();
    let can_write = mode & 0o022 != 0;
    let who = if can_write { "changed" } else { "read" };
    let says =
        format!("{shown} can be {who} by others (mode {mode:o}): run `chmod 600 {shown}` unless they should");
    Finding { what: "store", ok: !can_write, says }
}

async fn cluster(settings: &elasticsearch::Settings, albums: &Albums) -> Vec<Finding> {
    let what = "store";
    let elasticsearch::Checkup { checks, has_index } = elasticsearch::check(settings).await;
    let well = checks.iter().all(|check| check.ok);
    let mut findings: Vec<Finding> =
        checks.into_iter().map(|check| Finding { what, ok: check.ok, says: check.says }).collect();
    if !well || !has_index {
        return findings;
    }
    let location = StoreLocation::Elasticsearch(Box::new(settings.clone()));
    let looked = async {
        let store = location.open(IfMissing::Fail, Arc::new(())).await?;
        store.ping().await?;
        count::all(&*store, None).await
    };
    match looked.await {
        Ok(counts) => {
            let tickets = StatsReport::new(&counts).totals.tickets;
            let tickets = output::count(tickets, "ticket");
            let says = format!("{tickets} in the index `{}`, which takes writes", settings.index);
            findings.push(Finding { what, ok: true, says });
            findings.extend(missing_albums(&counts, albums).await);
        }
        Err(error) => findings.push(Finding { what, ok: false, says: error.to_string() }),
    }
    findings
}

/// Albums of redeemable tickets that the library does not have.
async fn missing_albums(counts: &[BatchCount], albums: &Albums) -> Vec<Finding> {
    // Another check reports that the library cannot be opened.
    let Albums { library: Ok(library), place } = albums else { return Vec::new() };
    // Waits for the digests of all albums; another check reports a failure of this list.
    if library.list().await.is_err() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for album in count::albums_in_use(counts) {
        if let Err(error) = library.album(album).await {
            findings.push(Finding {
                what: "tickets",
                ok: false,
                says: format!("those for `{album}` cannot be redeemed: {error} (looked into {place})"),
            });
        }
    }
    findings
}

/// A file that the server creates when it starts, if it can.
fn not_there_yet(what: &'static str, path: &Path) -> Finding {
    let shown = path.display();
    let can_make = existing_folder(path).is_some_and(|folder| {
        rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
    });
    let says = if can_make {
        format!("{shown} is not there yet: the server makes it when it starts")
    } else {
        format!(
            "{shown} is not there, and this user cannot make it: give another path, or the right to write there"
        )
    };
    Finding { what, ok: can_make, says }
}

/// The nearest existing folder above a file.
fn existing_folder(path: &Path) -> Option<&Path> {
    let above = path.ancestors().skip(1);
    above
        .map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        .find(|folder| folder.is_dir())
}

/// The free space on the disk of a file, which may not exist yet.
fn disk(path: &Path) -> Finding {
    let what = "disk";
    let Some(folder) = existing_folder(path) else {
        return Finding { what, ok: false, says: format!("no folder above {} exists", path.display()) };
    };
    match rustix::fs::statvfs(folder) {
        Err(error) => {
            Finding { what, ok: false, says: format!("{} cannot be looked at: {error}", folder.display()) }
        }
        Ok(disk) => {
            let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
            let free_mib = free_bytes / (1024 * 1024);
            if free_bytes >= MIN_FREE_BYTES {
                Finding { what, ok: true, says: format!("{free_mib} MiB free where the store is") }
            } else {
                let says = format!(
                    "only {free_mib} MiB are free where the store is: make room, or redemptions will fail"
                );
                Finding { what, ok: false, says }
            }
        }
    }
}

async fn library(albums: &Albums) -> Vec<Finding> {
    let what = "library";
    let failed = |error: &dyn std::fmt::Display| Finding { what, ok: false, says: error.to_string() };
    let mut findings = vec![Finding { what, ok: true, says: format!("looked into {}", albums.place) }];
    let library = match &albums.library {
        Err(error) => {
            findings.push(failed(error));
            return findings;
        }
        Ok(library) => library,
    };
    findings.extend(library.remarks().into_iter().map(|Remark { ok, says }| Finding { what, ok, says }));
    match albums::check(library).await {
        Err(error) => findings.push(failed(&error)),
        Ok(reports) if reports.is_empty() => {
            findings.push(failed(&"it has no albums: an album is a folder with album.toml and its files"));
        }
        Ok(reports) => findings.extend(reports.iter().map(|report| Finding {
            what,
            ok: report.problem.is_none(),
            says: report.lines().join(";"),
        })),
    }
    findings
}
