//! Who can take part, and how each is checked and put under load.

use std::rc::Rc;

use clap::ValueEnum;
use serde::{Serialize, Serializer};
use serde_json::Value;
use tickey::environment::SystemEntropy;
use tickey::redemption::mint::new_keys;

use super::super::Bench;
use super::super::support::Outcome;
use super::super::support::generator::order::Step;
use super::super::support::generator::{self, GenerateArgs, Load};
use super::super::support::keys::{Unused, read_keys};
use super::super::support::server::Server;
use super::super::support::wire::{Answer, CREATED, IN_FLIGHT};
use super::stores::Tickets;

/// Requests that may wait for a connection at a fixed rate.
const QUEUE: usize = 20_000;
/// Keys for the requests that are sent beside those of a measurement.
const SPARE_KEYS: usize = 1000;
/// A ticket that was used before.
const CONFLICT: u16 = 409;
/// A key that no ticket has.
const NOT_FOUND: u16 = 404;

/// A contestant, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// Ours on SQLite
    Sqlite,
    /// The same with a transaction for each operation
    SqliteUnbatched,
    /// Ours on Elasticsearch
    Elasticsearch,
    /// The same with a request of the store for each operation
    ElasticsearchUnbatched,
    /// Go on Elasticsearch
    Go,
    /// Node on Elasticsearch
    Node,
    /// axum on PostgreSQL
    Postgres,
    /// axum on Redis
    Redis,
    /// A handler that does nothing, in ours
    Nothing,
}

impl Name {
    /// What it is called in tables and pictures.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Sqlite => "tickey, SQLite",
            Self::SqliteUnbatched => "tickey, SQLite, no batching",
            Self::Elasticsearch => "tickey, Elasticsearch",
            Self::ElasticsearchUnbatched => "tickey, Elasticsearch, no batching",
            Self::Go => "Go, Elasticsearch",
            Self::Node => "Node, Elasticsearch",
            Self::Postgres => "axum, PostgreSQL",
            Self::Redis => "axum, Redis",
            Self::Nothing => "a handler that does nothing",
        }
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.title())
    }
}

/// How much load.
#[derive(Clone, Copy)]
pub(crate) enum Loop {
    /// So many requests in flight.
    Closed(usize),
    /// So many requests a second, whatever the answers do.
    Open(f64),
}

/// Starts a server.
pub(crate) type Start = Box<dyn Fn() -> Outcome<Server>>;

/// A server on its store.
pub(crate) struct Contestant {
    /// Who it is.
    pub(crate) name: Name,
    tickets: Rc<Tickets>,
    start: Start,
    /// None while its store is filled.
    server: Option<Server>,
}

impl Contestant {
    /// Starts its server.
    pub(crate) fn enter(name: Name, tickets: Rc<Tickets>, start: Start) -> Outcome<Self> {
        let server = Some(start().map_err(|error| format!("{}: {error}", name.title()))?);
        Ok(Self { name, tickets, start, server })
    }

    /// Puts load on it, with tickets that nobody has used; every answer must be a 201.
    pub(crate) fn load(&mut self, bench: &Bench, how: Loop) -> Outcome<Load> {
        let load = self.generate(bench, how)?;
        load.only(CREATED).map_err(|error| format!("{}: {error}", self.name.title()))?;
        Ok(load)
    }

    /// Lets it open its connections and compile what it compiles. Looks at no answer: until Elasticsearch has done the
    /// same, a TLS handshake can take longer than a client waits.
    pub(crate) fn prepare(&mut self, bench: &Bench) -> Outcome {
        self.generate(bench, Loop::Closed(IN_FLIGHT)).map(drop)
    }

    fn generate(&mut self, bench: &Bench, how: Loop) -> Outcome<Load> {
        let seconds = bench.options.seconds;
        let (connections, steps, queue) = match how {
            Loop::Closed(in_flight) => (in_flight, Vec::new(), None),
            Loop::Open(rate) => (IN_FLIGHT, vec![Step { rate, seconds }], Some(QUEUE)),
        };
        self.provide(bench, how)?;
        let server = self.server()?;
        let Unused { first, count } = self.tickets.supply.unused();
        let load = generator::run(&GenerateArgs {
            addresses: vec![server.address],
            server_pids: vec![server.pid()],
            engine_pid: self.tickets.store.engine_pid(),
            connections,
            steps,
            queue,
            warm_up: bench.options.warm_up,
            seconds,
            until_used: false,
            keys: Some(bench.dataset.keys.clone()),
            first_key: first,
            key_count: count,
        })?;
        self.tickets.supply.use_up(load.used_keys);
        Ok(load)
    }

    /// Makes sure that there are enough tickets, and that the store has come to rest.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and far below 2^52"
    )]
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    fn provide(&mut self, bench: &Bench, how: Loop) -> Outcome {
        let seconds = (bench.options.warm_up + bench.options.seconds) as f64;
        let needed = SPARE_KEYS
            + match how {
                // A measurement that uses more than this fails, and asks for more tickets.
                Loop::Closed(_) => bench.dataset.tickets / 4,
                Loop::Open(rate) => (rate * seconds) as usize,
            };
        if self.tickets.supply.unused().count < needed && self.tickets.store.is_file() {
            self.server = None;
        }
        self.tickets.provide(bench, needed)?;
        if self.server.is_none() {
            self.server = Some((self.start)()?);
        }
        Ok(())
    }

    fn server(&self) -> Outcome<&Server> {
        self.server.as_ref().ok_or_else(|| format!("{} does not run", self.name.title()).into())
    }

    /// A key is redeemed once, with all that belongs to the answer, and not again, and one that nobody minted is not
    /// redeemed.
    pub(crate) fn verify(&self, bench: &Bench, album: &Value) -> Outcome<Answer> {
        let server = self.server()?;
        let Unused { first, .. } = self.tickets.supply.unused();
        self.tickets.supply.use_up(1);
        let key = read_keys(&bench.dataset.keys, first..first + 1)?.concat();
        let (answer, body) = server.ask_whole(&key)?;
        let again = server.ask(&key)?.status;
        let unknown = new_keys(&SystemEntropy).next().ok_or("there is no key")??;
        let unknown = server.ask(unknown.reveal().as_bytes())?.status;
        if (answer.status, again, unknown) != (CREATED, CONFLICT, NOT_FOUND) {
            let statuses =
                format!("{} the first time, {again} again, {unknown} without a ticket", answer.status);
            return Err(format!("{} answers {statuses}", self.name.title()).into());
        }
        if !is_whole(&serde_json::from_slice(&body)?, album) {
            let body = String::from_utf8_lossy(&body);
            return Err(format!("{} does not answer as it should: {body}", self.name.title()).into());
        }
        Ok(answer)
    }
}

/// Whether an answer is about this album, and has a link to each of its files.
fn is_whole(answer: &Value, album: &Value) -> bool {
    let is_link = |url: &Value| {
        url.as_str().is_some_and(|url| {
            url.starts_with("http://") && url.contains("?expires=") && url.contains("&signature=")
        })
    };
    let has_file = |(found, file): (&Value, &Value)| {
        ["name", "media_type", "bytes", "sha256"].iter().all(|field| found[field] == file[field])
            && is_link(&found["url"])
            && found["expires_at"].is_string()
    };
    let (Some(found), Some(files)) = (answer["files"].as_array(), album["files"].as_array()) else {
        return false;
    };
    ["id", "title", "artist"].iter().all(|field| answer["album"][field] == album[field])
        && answer["redemption"]["receipt_url"].is_string()
        && found.len() == files.len()
        && found.iter().zip(files).all(has_file)
}
