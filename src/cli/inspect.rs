//! `tickey inspect`: shows a ticket by its key, by its id, or by the id of a request about it.

use std::path::PathBuf;

use serde::Serialize;
use tokio::time::Instant;

use super::change::PATIENCE;
use super::key_argument::{KeyArgument, explain, ticket_id};
use super::options::{JsonOption, StoreOption};
use super::outcome::{Outcome, WrongUsage};
use super::output;
use super::output::count;
use super::server_log::{self, Entry, Subject};
use crate::redemption::change::{ChangeError, look};
use crate::redemption::key::TicketId;
use crate::redemption::report::{ChangeReport, TicketReport};
use crate::redemption::store::TicketStore;
use crate::redemption::store::location::IfMissing;
use crate::redemption::ticket::Ticket;

/// Look at a ticket: by its key, by its id, or by the id of a request
///
/// A refusal shows the request's id to a person ("quote this number"). Only the server's log contains it, so the log
/// must be given: the command shows the lines about the request, and then the ticket that they name. With a key or a
/// ticket's id, it shows the log's lines about that ticket. The id of a redemption works like the id of a request.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  tickey inspect -                        reads the key from standard input
  kubectl logs -l app.kubernetes.io/name=redeemer --tail=-1 |
    tickey inspect 3f2504e0-4f89-41d3-9a0c-0305e82c3301 --server-log -
  journalctl -u tickey -o cat | tickey inspect 3f2504e0-4f89-41d3-9a0c-0305e82c3301 --server-log -")]
pub(super) struct Args {
    /// The key, the ticket's id, the id of a request, or - to read it from standard input, hidden from ps
    /// and shell histories
    #[arg(value_name = "KEY|ID")]
    subject: KeyArgument,
    /// The server's log (JSON lines), or - for standard input
    #[arg(long, env = "TICKEY_SERVER_LOG", value_name = "FILE")]
    server_log: Option<PathBuf>,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    json: JsonOption,
}

/// The lines of the log, and the tickets that they name.
#[derive(Serialize)]
struct Report {
    log: Vec<Entry>,
    tickets: Vec<TicketReport>,
}

pub(super) async fn run(args: Args) -> Outcome {
    let log = args.server_log.as_deref();
    if args.subject.is_stdin() && log.is_some_and(|path| path.as_os_str() == "-") {
        return Err(WrongUsage(
            "standard input is either the key or the log: give the other as a file".to_owned(),
        )
        .into());
    }
    let typed = args.subject.read()?;
    match (ticket_id(&typed), log) {
        (Ok(id), None) => {
            let store = args.store.open(IfMissing::Fail).await?;
            let ticket = look(&*store, id, Instant::now() + PATIENCE).await?;
            show(&id, &ticket, args.json)
        }
        (Ok(id), Some(log)) => {
            let entries = server_log::find(log, Subject::Ticket(&id))?;
            show_found(entries, [id], &args).await
        }
        (Err(_), Some(log)) if is_request_id(typed.trim()) => {
            let entries = server_log::find(log, Subject::Request(typed.trim()))?;
            let ids = server_log::tickets(&entries);
            show_found(entries, ids, &args).await
        }
        (Err(_), None) if is_uuid(typed.trim()) => {
            Err("this looks like the id of a request or of a redemption, which only the server's log \
             can be searched for: give that with --server-log FILE, or - for standard input, for instance `kubectl \
             logs -l \
             app.kubernetes.io/name=redeemer --tail=-1 | tickey inspect ID --server-log -`"
                .into())
        }
        (Err(error), _) => Err(explain(&error).into()),
    }
}

/// Whether a text can be the id of a request: a server makes UUIDs, and accepts an id of a client or proxy if it is
/// short and plain.
fn is_request_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn is_uuid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok()
}

async fn show_found(entries: Vec<Entry>, ids: impl IntoIterator<Item = TicketId>, args: &Args) -> Outcome {
    let mut tickets = Vec::new();
    let mut unknown = Vec::new();
    let mut ids = ids.into_iter().peekable();
    if ids.peek().is_some() {
        let store = args.store.open(IfMissing::Fail).await?;
        for id in ids {
            match find(&*store, id).await? {
                Some(ticket) => tickets.push(TicketReport::new(&id, &ticket)),
                None => unknown.push(id),
            }
        }
    }
    if args.json.json {
        output::say_json(&Report { log: entries, tickets })?;
    } else {
        for entry in &entries {
            output::say(&entry.line())?;
        }
        for ticket in &tickets {
            output::say("")?;
            for line in lines(ticket) {
                output::say(&line)?;
            }
        }
    }
    for id in unknown {
        output::complain(&format!(
            "ticket {id} is not in this store: its key was never loaded into it, or belongs to another store"
        ));
    }
    Ok(())
}

async fn find(store: &dyn TicketStore, id: TicketId) -> Outcome<Option<Ticket>> {
    match look(store, id, Instant::now() + PATIENCE).await {
        Ok(ticket) => Ok(Some(ticket)),
        Err(ChangeError::Unknown) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Prints a ticket.
pub(super) fn show(id: &TicketId, ticket: &Ticket, json: JsonOption) -> Outcome {
    let report = TicketReport::new(id, ticket);
    if json.json {
        output::say_json(&report)?;
    } else {
        for line in lines(&report) {
            output::say(&line)?;
        }
    }
    Ok(())
}

/// As lines of `name: value`.
fn lines(ticket: &TicketReport) -> Vec<String> {
    let mut lines = vec![
        format!("ticket:      {}", ticket.id),
        format!("album:       {}", ticket.album),
        format!("batch:       {}", ticket.batch),
        format!("status:      {}", ticket.status.as_str()),
        format!("issued at:   {}", ticket.issued_at),
    ];
    lines.extend(ticket.valid_from.map(|time| format!("valid from:  {time}")));
    lines.extend(ticket.expires_at.map(|time| format!("expires at:  {time}")));
    if let Some(redemption) = &ticket.redemption {
        lines.push(format!("redeemed at: {}", redemption.at));
        lines.push(format!("redemption:  {}", redemption.id));
        lines.push(format!("renewals:    {}", redemption.renewals));
        lines.extend(redemption.renewed_at.map(|time| format!("renewed at:  {time}")));
    }
    lines.extend(ticket.revoked.as_ref().map(|last| format!("revoked:     at {}", in_words(last))));
    if let Some(last) = &ticket.reinstated {
        let times = count(u64::from(last.times), "time");
        lines.push(format!("reinstated:  {times}, last at {}, because: {}", last.at, last.because));
    }
    lines.extend(ticket.extended.as_ref().map(|last| format!("extended:    at {}", in_words(last))));
    lines
}

fn in_words(change: &ChangeReport) -> String {
    match &change.because {
        Some(because) => format!("{}, because: {because}", change.at),
        None => change.at.to_string(),
    }
}
