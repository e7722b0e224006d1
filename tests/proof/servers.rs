//! The servers under proof: processes that can be killed, stopped and started again.
//!
//! They are the real program, or this one with a bug planted in its store. The first of them knows all nodes; each
//! other one knows only one node, so that a node that was cut off goes on being asked. Knows nothing of what they are
//! asked.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use tickey::redemption::store::elasticsearch::{Login, PasswordSource};
use tickey::redemption::store::location::{IfMissing, StoreLocation};
use tickey::redemption::store::{SharedStore, StoreError};

use super::cluster::{Cluster, NODES, server_address};
use super::history::{LINK_LIFE, MAX_RENEWALS};
use super::planted::Bug;

/// Seconds in which a server answers, whatever the store does.
pub(crate) const REQUEST_TIMEOUT_SECONDS: u32 = 6;

/// Where the store is.
#[derive(Clone, Debug)]
pub(crate) enum StoreAt {
    Sqlite(PathBuf),
    Elasticsearch { ca_file: PathBuf, password_file: PathBuf, index: String },
}

impl StoreAt {
    /// As `--store` says it; with only one of the nodes, or all.
    fn text(&self, only: Option<usize>) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Elasticsearch { .. } => {
                let urls = Cluster::urls();
                only.map_or_else(|| urls.join(","), |node| urls[node].clone())
            }
        }
    }

    fn variables(&self, only: Option<usize>) -> Vec<(&'static str, String)> {
        let mut variables = vec![("TICKEY_STORE", self.text(only))];
        if let Self::Elasticsearch { ca_file, password_file, index } = self {
            variables.extend([
                ("TICKEY_ELASTICSEARCH_USERNAME", Cluster::username()),
                ("TICKEY_ELASTICSEARCH_PASSWORD_FILE", password_file.display().to_string()),
                ("TICKEY_ELASTICSEARCH_CA_FILE", ca_file.display().to_string()),
                ("TICKEY_ELASTICSEARCH_INDEX", index.clone()),
            ]);
        }
        variables
    }

    /// Opens the store itself, which operators work on.
    pub(crate) async fn open(&self) -> Result<SharedStore, StoreError> {
        let mut location: StoreLocation = self.text(None).parse().expect("a store's location");
        if let (
            StoreLocation::Elasticsearch(settings),
            Self::Elasticsearch { ca_file, password_file, index },
        ) = (&mut location, self)
        {
            let password = PasswordSource::File(password_file.clone());
            settings.login = Some(Login { username: Cluster::username(), password });
            settings.ca_file = Some(ca_file.clone());
            settings.index = index.parse().expect("an index's name");
        }
        location.open(IfMissing::Create, Arc::new(())).await
    }
}

/// The servers. They end with this.
pub(crate) struct Servers {
    folder: PathBuf,
    store: StoreAt,
    planted: Option<Bug>,
    running: Vec<Server>,
}

struct Server {
    child: Mutex<Option<Child>>,
    starts: AtomicUsize,
    /// The only node that it knows, or [`ALL`].
    home: AtomicU8,
}

/// In place of a node's number.
const ALL: u8 = u8::MAX;

impl Servers {
    /// Starts so many servers.
    pub(crate) fn start(count: u8, store: StoreAt, planted: Option<Bug>, folder: &Path) -> Self {
        let server =
            |_| Server { child: Mutex::new(None), starts: AtomicUsize::new(0), home: AtomicU8::new(ALL) };
        let running = (0..count).map(server).collect();
        let servers = Self { folder: folder.to_owned(), store, planted, running };
        (0..count).for_each(|server| servers.start_one(server));
        servers
    }

    pub(crate) fn count(&self) -> u8 {
        u8::try_from(self.running.len()).unwrap_or(u8::MAX)
    }

    /// The only node that the server knows; `None` when it knows all.
    pub(crate) fn home(&self, server: u8) -> Option<usize> {
        let home = self.running[usize::from(server)].home.load(Ordering::Relaxed);
        (home != ALL).then_some(usize::from(home))
    }

    /// Starts a server that is not running. With fewer servers than it takes to have one for each node, they take
    /// turns.
    pub(crate) fn start_one(&self, number: u8) {
        let server = &self.running[usize::from(number)];
        let mut child = server.child.lock().unwrap_or_else(PoisonError::into_inner);
        if child.is_some() {
            return;
        }
        let turn = if self.running.len() > NODES { 0 } else { server.starts.fetch_add(1, Ordering::Relaxed) };
        let home = usize::from(number).checked_sub(1).map(|place| (place + turn) % NODES);
        server.home.store(home.and_then(|home| u8::try_from(home).ok()).unwrap_or(ALL), Ordering::Relaxed);
        let log =
            File::options().create(true).append(true).open(self.folder.join(format!("server{number}.log")));
        let log = log.expect("the server's log can be written");
        let started = self
            .command(number)
            .env_clear()
            .envs(self.store.variables(home))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        *child = Some(started.expect("the server starts"));
    }

    fn command(&self, number: u8) -> Command {
        let address = server_address(number).to_string();
        let link_keys = self.folder.join("link-keys");
        let Some(bug) = self.planted else {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tickey"));
            command
                .args(["serve", "--log", "warn", "--library", "demo:", "--listen", &address])
                .args([
                    "--ops-listen",
                    "127.0.0.1:0",
                    "--public-url",
                    "http://proof.example",
                    "--link-keys-file",
                ])
                .arg(link_keys)
                .args([
                    "--link-min-seconds",
                    &LINK_LIFE.to_string(),
                    "--link-max-seconds",
                    &LINK_LIFE.to_string(),
                ])
                .args(["--max-renewals", &MAX_RENEWALS.to_string()])
                .args(["--request-timeout-seconds", &REQUEST_TIMEOUT_SECONDS.to_string()])
                .args(["--unknown-burst", "1000000000"]);
            return command;
        };
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        let bug = clap::ValueEnum::to_possible_value(&bug).expect("every bug has a name");
        command
            .args(["server", "--planted", bug.get_name(), "--listen", &address, "--link-keys-file"])
            .arg(link_keys);
        command
    }

    /// `kill -9`.
    pub(crate) fn kill(&self, server: u8) {
        let child =
            self.running[usize::from(server)].child.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = child {
            let _ = child.kill();
            tokio::task::block_in_place(|| {
                let _ = child.wait();
            });
        }
    }

    /// SIGSTOP, or SIGCONT.
    pub(crate) fn signal(&self, server: u8, signal: Signal) {
        let child = self.running[usize::from(server)].child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = &*child {
            kill_process(Pid::from_child(child), signal).expect("the server can be signalled");
        }
    }

    /// Servers that have ended although nobody has killed them.
    pub(crate) fn ended_by_themselves(&self) -> Vec<u8> {
        let ended = |server: &u8| {
            let mut child =
                self.running[usize::from(*server)].child.lock().unwrap_or_else(PoisonError::into_inner);
            child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)))
        };
        (0..self.count()).filter(ended).collect()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for server in &self.running {
            if let Some(mut child) = server.child.lock().unwrap_or_else(PoisonError::into_inner).take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}
