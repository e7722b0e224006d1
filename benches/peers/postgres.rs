//! PostgreSQL with a table of tickets, on loopback, which ends with this program.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::super::Bench;
use super::super::support::Outcome;
use super::super::support::engine::{Engine, feed, find_program, random_password};
use super::super::support::keys::{ALBUM, BATCH};
use super::super::support::process::free_address;
use super::stores::{Store, all_ids};

/// What makes a commit durable, and must be as it is by default.
const DURABLE: [&str; 3] = ["fsync", "synchronous_commit", "full_page_writes"];
/// As much memory as Elasticsearch has, and no checkpoint for its log's sake before all is measured; otherwise the
/// defaults.
const SETTINGS: [&str; 4] =
    ["shared_buffers=1GB", "max_wal_size=8GB", "max_connections=300", "unix_socket_directories="];
const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS tickets (
        id bytea PRIMARY KEY, album text NOT NULL, batch text NOT NULL, issued_at timestamptz NOT NULL DEFAULT now(),
        redemption uuid, redeemed_at timestamptz);
    TRUNCATE tickets;
    COPY tickets (id, album, batch) FROM STDIN;\n";
/// The superuser, and the only user.
const USER: &str = "tickey";

/// The server, which ends with this.
pub(crate) struct Postgres {
    engine: Engine,
    psql: PathBuf,
    address: SocketAddr,
    password: String,
}

impl Postgres {
    /// Starts it on an empty database.
    pub(crate) fn start(folder: &Path) -> Outcome<Self> {
        let programs = programs()?;
        let (data, password_file) = (folder.join("data"), folder.join("password"));
        let (address, password) = (free_address()?, random_password()?);
        fs::create_dir_all(folder)?;
        fs::write(&password_file, &password)?;
        let made = as_nobody_special(&programs.join("initdb"))
            .args(["--username", USER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--pwfile"])
            .arg(&password_file)
            .arg("--pgdata")
            .arg(&data)
            .stdin(Stdio::null())
            .output()?;
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)).into());
        }
        let mut server = as_nobody_special(&programs.join("postgres"));
        server.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string(), "-D"]).arg(&data);
        for setting in SETTINGS {
            server.args(["-c", setting]);
        }
        let engine = Engine::start("PostgreSQL", &mut server, &folder.join("log"), Signal::QUIT)?;
        let mut postgres = Self { engine, psql: programs.join("psql"), address, password };
        postgres.wait_until_ready()?;
        for setting in DURABLE {
            let is = postgres.run(&format!("SHOW {setting}"))?;
            if is.trim() != "on" {
                return Err(format!("{setting} is {is}, not on").into());
            }
        }
        Ok(postgres)
    }

    /// Where clients find it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{USER}:{}@{}/postgres", self.password, self.address)
    }

    fn wait_until_ready(&mut self) -> Outcome {
        let (psql, address, password) = (&self.psql, self.address, &self.password);
        self.engine.wait_until(|| run(psql, address, password, "SELECT 1").is_ok())
    }

    fn run(&self, script: &str) -> Outcome<String> {
        run(&self.psql, self.address, &self.password, script)
    }
}

impl Store for Postgres {
    fn fill(&self, bench: &Bench) -> Outcome {
        let ids = all_ids(bench)?;
        let mut script = String::with_capacity(TABLE.len() + ids.len() * 100);
        script.push_str(TABLE);
        for id in &ids {
            script.push_str("\\\\x");
            for byte in id.as_bytes() {
                write!(script, "{byte:02x}")?;
            }
            writeln!(script, "\t{ALBUM}\t{BATCH}")?;
        }
        script.push_str("\\.\nVACUUM ANALYZE tickets;\nCHECKPOINT;\nSELECT count(*) FROM tickets;\n");
        let count = self.run(&script)?;
        if count.trim() == ids.len().to_string() {
            Ok(())
        } else {
            Err(format!("{count} tickets are in PostgreSQL, not {}", ids.len()).into())
        }
    }

    fn engine_pid(&self) -> Option<u32> {
        Some(self.engine.pid())
    }

    fn describe(&self) -> Outcome<String> {
        Ok(format!("PostgreSQL {}", self.run("SHOW server_version")?.trim()))
    }
}

fn run(psql: &Path, address: SocketAddr, password: &str, script: &str) -> Outcome<String> {
    let mut command = Command::new(psql);
    command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
    command.args(["--host", &address.ip().to_string(), "--port", &address.port().to_string()]);
    command.args(["--username", USER, "--dbname", "postgres"]).env("PGPASSWORD", password);
    feed(&mut command, script.as_bytes())
}

/// The folder with its programs: of `PATH`, or where distributions put them, of which the newest is taken.
fn programs() -> Outcome<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    let mut installed: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        if let Some(version) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            installed.push((version, entry.path().join("bin")));
        }
    }
    installed.sort_unstable();
    folders.extend(installed.into_iter().rev().map(|(_, folder)| folder));
    folders.extend(find_program("initdb").and_then(|path| Some(path.parent()?.to_path_buf())));
    let whole =
        |folder: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).exists());
    folders.into_iter().find(whole).ok_or_else(|| {
        "there is no PostgreSQL (`initdb`, `postgres`, `psql`): apt-get install postgresql".into()
    })
}

/// PostgreSQL refuses to run as root. In a namespace of its own root has another name, and may still go where the files
/// are, which another user may not when they are below root's home.
fn as_nobody_special(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-user=1000", "--map-group=1000", "--"]).arg(program);
    command
}
