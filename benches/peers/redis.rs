//! Redis with a hash for each ticket, on loopback, which ends with this program.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::super::Bench;
use super::super::support::Outcome;
use super::super::support::engine::{Engine, feed, find_program, random_password};
use super::super::support::keys::{ALBUM, BATCH};
use super::super::support::process::free_address;
use super::stores::{Store, all_ids};

/// Between two looks whether the log has been written anew.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The server, which ends with this.
pub(crate) struct Redis {
    engine: Engine,
    address: SocketAddr,
    password: String,
}

impl Redis {
    /// Starts it, empty.
    pub(crate) fn start(folder: &Path) -> Outcome<Self> {
        let program = find_program("redis-server")
            .ok_or("there is no Redis (`redis-server`, `redis-cli`): apt-get install redis-server")?;
        fs::create_dir_all(folder)?;
        let (address, password) = (free_address()?, random_password()?);
        // No snapshots, and the log is not written anew while others are measured.
        let settings = format!(
            "bind {}\nport {}\ndir {}\nrequirepass {password}\nsave \"\"\nappendonly yes\nappendfsync always\n\
             auto-aof-rewrite-percentage 0\n",
            address.ip(),
            address.port(),
            folder.display()
        );
        let file = folder.join("redis.conf");
        fs::write(&file, settings)?;
        let engine =
            Engine::start("Redis", Command::new(program).arg(&file), &folder.join("log"), Signal::TERM)?;
        let mut redis = Self { engine, address, password };
        redis.wait_until_ready()?;
        Ok(redis)
    }

    /// Where clients find it.
    pub(crate) fn url(&self) -> String {
        format!("redis://:{}@{}", self.password, self.address)
    }

    fn wait_until_ready(&mut self) -> Outcome {
        let (address, password) = (self.address, &self.password);
        self.engine
            .wait_until(|| ask(address, password, &["PING"], "").is_ok_and(|pong| pong.trim() == "PONG"))
    }

    fn ask(&self, arguments: &[&str]) -> Outcome<String> {
        ask(self.address, &self.password, arguments, "")
    }

    /// Has the log written anew, as long as its tickets and no longer.
    fn compact(&self) -> Outcome {
        self.ask(&["BGREWRITEAOF"])?;
        loop {
            std::thread::sleep(LOOK_EVERY);
            let state = self.ask(&["INFO", "persistence"])?;
            let idle =
                ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0", "aof_last_bgrewrite_status:ok"];
            if idle.iter().all(|line| state.contains(line)) {
                return Ok(());
            }
            if !state.contains("aof_last_bgrewrite_status:ok") {
                return Err("Redis could not write its log anew".into());
            }
        }
    }
}

impl Store for Redis {
    fn fill(&self, bench: &Bench) -> Outcome {
        let ids = all_ids(bench)?;
        let mut commands = String::with_capacity(ids.len() * 100);
        for id in &ids {
            write!(commands, "HSET ticket:{id} album {ALBUM} batch {BATCH} status issued\r\n")?;
        }
        self.ask(&["FLUSHALL"])?;
        self.ask(&["CONFIG", "SET", "appendfsync", "no"])?;
        let said = ask(self.address, &self.password, &["--pipe"], &commands)?;
        if !said.contains("errors: 0") {
            return Err(format!("Redis was not filled: {said}").into());
        }
        self.compact()?;
        self.ask(&["CONFIG", "SET", "appendfsync", "always"])?;
        let (count, durable) = (self.ask(&["DBSIZE"])?, self.ask(&["CONFIG", "GET", "appendfsync"])?);
        if count.trim() != ids.len().to_string() || !durable.contains("always") {
            return Err(format!("Redis has {count} tickets, and {durable}").into());
        }
        Ok(())
    }

    fn engine_pid(&self) -> Option<u32> {
        Some(self.engine.pid())
    }

    fn describe(&self) -> Outcome<String> {
        let info = self.ask(&["INFO", "server"])?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
        Ok(format!("Redis {}", version.unwrap_or("unknown").trim()))
    }
}

fn ask(address: SocketAddr, password: &str, arguments: &[&str], input: &str) -> Outcome<String> {
    let mut command = Command::new("redis-cli");
    command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
    command.args(arguments).env("REDISCLI_AUTH", password);
    feed(&mut command, input.as_bytes())
}
