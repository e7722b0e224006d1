//! All that take part: built, started on stores of their own, and checked.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;

use clap::ValueEnum as _;
use serde_json::{Value, json};
use tickey::environment::{Entropy as _, SystemEntropy};
use tickey::library::{Album, Library, LibraryLocation};
use tickey::redemption::link::{LinkLifetimes, SECRET_BYTES};

use super::super::Bench;
use super::super::support::elasticsearch::node::Node;
use super::super::support::elasticsearch::server;
use super::super::support::keys::ALBUM;
use super::super::support::server::Server;
use super::super::support::wire::Answer;
use super::super::support::{Outcome, embedded, say};
use super::build;
use super::contestants::{Contestant, Name, Start};
use super::postgres::Postgres;
use super::redis::Redis;
use super::stores::{Embedded, Index, Nothing, Tickets};

/// All that take part.
pub(crate) struct Field {
    /// In the order of the tables.
    pub(crate) contestants: Vec<Contestant>,
    /// The index of Elasticsearch, and the node that it is on, if anybody needs them.
    pub(crate) index: Option<(Rc<Tickets>, Rc<Node>)>,
    /// What they are built with and run on, each in a few words.
    pub(crate) versions: Vec<String>,
    /// Of each answer.
    pub(crate) answer_bytes: usize,
}

impl Field {
    /// Builds, starts, fills and checks all that take part.
    pub(crate) fn gather(bench: &Bench) -> Outcome<Self> {
        let mut field = Self { contestants: Vec::new(), index: None, versions: Vec::new(), answer_bytes: 0 };
        let kit = Kit::new(bench)?;
        let takes_part =
            |name: &Name| bench.options.contestants.is_empty() || bench.options.contestants.contains(name);
        let mut example: Option<Answer> = None;
        for name in Name::value_variants().iter().copied().filter(takes_part) {
            say(&format!("{}: is built, started and filled", name.title()));
            let (tickets, start) = match (name, example) {
                (Name::Nothing, Some(example)) => nothing(bench, example)?,
                (Name::Nothing, None) => return Err("nobody shows how to answer".into()),
                _ => field.equip(bench, &kit, name)?,
            };
            let mut contestant = Contestant::enter(name, tickets, start)?;
            if name != Name::Nothing {
                contestant.prepare(bench)?;
                let answer = contestant.verify(bench, &kit.album)?;
                let bytes = example.get_or_insert(answer).body_bytes;
                if answer.body_bytes != bytes {
                    let is = answer.body_bytes;
                    return Err(format!("{} answers with {is} bytes, not {bytes}", name.title()).into());
                }
            }
            field.contestants.push(contestant);
        }
        field.answer_bytes = example.map_or(0, |example| example.body_bytes);
        Ok(field)
    }

    /// A store with tickets, and how to start a server on it.
    fn equip(&mut self, bench: &Bench, kit: &Kit, name: Name) -> Outcome<(Rc<Tickets>, Start)> {
        let (tickets, start) = match name {
            Name::Sqlite => ours_on_sqlite(bench, embedded::Variant::Batched, "batched.db")?,
            Name::SqliteUnbatched => ours_on_sqlite(bench, embedded::Variant::Unbatched, "unbatched.db")?,
            Name::Elasticsearch => self.ours_on_elasticsearch(bench, server::Variant::Batched)?,
            Name::ElasticsearchUnbatched => self.ours_on_elasticsearch(bench, server::Variant::Unbatched)?,
            Name::Go => {
                let program = build::go(&bench.folder)?;
                self.note(build::version("go", "version")?);
                self.other_on_elasticsearch(bench, kit, name, move || Command::new(&program))?
            }
            Name::Node => {
                let script = build::node(&bench.folder)?;
                self.note(format!("Node {}", build::version("node", "--version")?));
                let workers = bench.options.node_workers.map(|count| format!("--workers={count}"));
                let command = move || {
                    let mut command = Command::new("node");
                    command.arg(&script).args(&workers);
                    command
                };
                self.other_on_elasticsearch(bench, kit, name, command)?
            }
            Name::Postgres => {
                let program = build::axum(&bench.folder)?.join("postgres");
                let postgres = Postgres::start(&bench.scratch.join("postgres"))?;
                let connections = bench.options.postgres_connections.to_string();
                let arguments = ["--connections".to_owned(), connections];
                let start = kit.axum(name, program, &postgres.url(), arguments.into());
                (Rc::new(Tickets::new(postgres, bench)?), start)
            }
            Name::Redis => {
                let program = build::axum(&bench.folder)?.join("redis");
                let redis = Redis::start(&bench.scratch.join("redis"))?;
                let start = kit.axum(name, program, &redis.url(), Vec::new());
                (Rc::new(Tickets::new(redis, bench)?), start)
            }
            Name::Nothing => return Err("it needs no store".into()),
        };
        self.note(tickets.store.describe()?);
        Ok((tickets, start))
    }

    fn note(&mut self, version: String) {
        if !self.versions.contains(&version) {
            self.versions.push(version);
        }
    }

    /// The index, on a node that is started when it is first asked for.
    pub(crate) fn index(&mut self, bench: &Bench) -> Outcome<(Rc<Tickets>, Rc<Node>)> {
        if let Some((tickets, node)) = &self.index {
            return Ok((Rc::clone(tickets), Rc::clone(node)));
        }
        let index = Index::start(bench)?;
        let node = Rc::clone(&index.node);
        let tickets = Rc::new(Tickets::new(index, bench)?);
        self.index = Some((Rc::clone(&tickets), Rc::clone(&node)));
        Ok((tickets, node))
    }

    fn ours_on_elasticsearch(
        &mut self,
        bench: &Bench,
        variant: server::Variant,
    ) -> Outcome<(Rc<Tickets>, Start)> {
        let (tickets, node) = self.index(bench)?;
        Ok((tickets, Box::new(move || server::start(variant, &node.user))))
    }

    /// A server of another language, which is told where Elasticsearch is.
    fn other_on_elasticsearch(
        &mut self,
        bench: &Bench,
        kit: &Kit,
        name: Name,
        command: impl Fn() -> Command + 'static,
    ) -> Outcome<(Rc<Tickets>, Start)> {
        let (tickets, node) = self.index(bench)?;
        let (album_file, secret) = (kit.album_file.clone(), kit.link_secret.clone());
        let start = move || {
            let mut command = command();
            let user = &node.user;
            command.args(["--url", user.url.as_str(), "--username", &user.username, "--index", &user.index]);
            command.arg("--ca-file").arg(&user.ca_file).arg("--album").arg(&album_file);
            command.env("ELASTICSEARCH_PASSWORD", &user.password).env("LINK_SECRET", &secret);
            Server::start(name.title(), &mut command)
        };
        Ok((tickets, Box::new(start)))
    }
}

fn ours_on_sqlite(bench: &Bench, variant: embedded::Variant, file: &str) -> Outcome<(Rc<Tickets>, Start)> {
    let path = bench.scratch.join(file);
    let tickets = Rc::new(Tickets::new(Embedded::new(&path), bench)?);
    Ok((tickets, Box::new(move || embedded::on_store(variant, &path))))
}

/// Ours, with a handler that answers so without looking at the request.
fn nothing(bench: &Bench, example: Answer) -> Outcome<(Rc<Tickets>, Start)> {
    let path = bench.scratch.join("nothing.db");
    let tickets = Rc::new(Tickets::new(Nothing, bench)?);
    Ok((tickets, Box::new(move || embedded::of_nothing(&path, example))))
}

/// What the servers of others are given.
struct Kit {
    album: Value,
    /// The same.
    album_file: PathBuf,
    link_secret: String,
}

impl Kit {
    fn new(bench: &Bench) -> Outcome<Self> {
        let mut secret = [0; SECRET_BYTES];
        SystemEntropy.fill(&mut secret)?;
        let link_secret = secret.map(|byte| format!("{byte:02x}")).concat();
        let (album, album_file) = (describe(&*album()?), bench.scratch.join("album.json"));
        fs::write(&album_file, album.to_string())?;
        Ok(Self { album, album_file, link_secret })
    }

    /// A server with axum.
    fn axum(&self, name: Name, program: PathBuf, url: &str, arguments: Vec<String>) -> Start {
        let (album_file, secret, url) = (self.album_file.clone(), self.link_secret.clone(), url.to_owned());
        Box::new(move || {
            let mut command = Command::new(&program);
            command.arg("--album").arg(&album_file).args(&arguments);
            Server::start(name.title(), command.env("STORE_URL", &url).env("LINK_SECRET", &secret))
        })
    }
}

/// The album of every ticket.
fn album() -> Outcome<Arc<Album>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Ok(Library::open(&LibraryLocation::Demo).await?.album(ALBUM).await?) })
}

/// An album as the servers of others read it, with how long a link to each file is good.
fn describe(album: &Album) -> Value {
    let lifetimes = LinkLifetimes::default();
    let files = album.files.iter().map(|file| {
        json!({
            "name": file.name,
            "media_type": file.media_type,
            "bytes": file.bytes,
            "sha256": file.sha256.to_string(),
            "link_seconds": lifetimes.of(file.bytes).as_secs(),
        })
    });
    let files: Vec<Value> = files.collect();
    json!({"id": album.id, "title": album.title, "artist": album.artist, "files": files})
}
