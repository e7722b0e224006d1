//! A node of Elasticsearch, as the tests have it but with the compiler of production, which ends with this program.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tickey::redemption::key::TicketId;
use tokio::runtime::Runtime;

use super::super::Outcome;
use super::super::engine::random_password;
use super::super::process::free_address;
use super::bare;
use super::cluster::{Access, Client};

/// How long it may take to start, once it is assembled.
const PATIENCE: Duration = Duration::from_mins(3);
/// Between two questions whether it has.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// The index that is measured; the role that servers have allows this name.
const INDEX: &str = "tickets";

/// The node, which ends with this.
pub(crate) struct Node {
    child: Child,
    heap: String,
    /// For what is asked of it by [`Self::admin`].
    runtime: Runtime,
    /// As the superuser, for what is not measured.
    pub(crate) admin: Client,
    /// Who may do what a server needs: whoever is measured.
    pub(crate) user: Access,
}

impl Node {
    /// Starts it, and waits until it answers.
    pub(crate) fn start(folder: &Path, heap: &str) -> Outcome<Self> {
        fs::create_dir_all(folder)?;
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/elasticsearch");
        let certificates = folder.join("certificates");
        let made =
            Command::new(scripts.join("certificates.sh")).arg(&certificates).arg("127.0.0.1").status()?;
        if !made.success() {
            return Err("no certificates could be made".into());
        }
        // Before the clock of the start runs: the first time takes minutes.
        let assembled = Command::new(scripts.join("assemble.sh")).stdout(Stdio::null()).status()?;
        if !assembled.success() {
            return Err("Elasticsearch could not be assembled".into());
        }
        let address = free_address()?;
        let access = |username: &str| -> Outcome<Access> {
            Ok(Access {
                url: format!("https://{address}/").parse()?,
                ca_file: certificates.join("ca.crt"),
                username: username.to_owned(),
                password: random_password()?,
                index: INDEX.to_owned(),
            })
        };
        let (superuser, user) = (access("elastic")?, access("tickey")?);
        let admin = Client::new(&superuser)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let log_path = folder.join("node.log");
        let log = File::create(&log_path)?;
        let child = Command::new(scripts.join("node.sh"))
            .arg("benchmark")
            .arg(folder)
            .env("ES_HTTP", address.to_string())
            .env("ES_TRANSPORT", free_address()?.to_string())
            .env("ES_PASSWORD", &superuser.password)
            .env("ES_CERTIFICATES", &certificates)
            .env("ES_HEAP", heap)
            .env("ES_TIERED", "4")
            // It ends when this pipe does.
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut node = Self { child, heap: heap.to_owned(), runtime, admin, user };
        node.wait_until_ready(&log_path)?;
        node.wait(node.make_user())?;
        Ok(node)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for what was asked of it.
    pub(crate) fn wait<T>(&self, asked: impl Future<Output = T>) -> T {
        self.runtime.block_on(asked)
    }

    /// Makes the index anew, with these tickets, which nobody has used, and lets it come to rest.
    pub(crate) fn refill(&self, ids: &[TicketId]) -> Outcome {
        let Self { admin, user, .. } = self;
        self.wait(async {
            admin.make_index(user).await?;
            admin.be_idle_for_searches().await?;
            bare::load(admin, bare::bodies(ids, 2500)?, 2).await?;
            admin.expect_count(ids.len()).await?;
            admin.settle().await
        })
    }

    /// Lets the index come to rest.
    pub(crate) fn settle(&self) -> Outcome {
        self.wait(self.admin.settle())
    }

    /// Bytes of the index and of its log.
    pub(crate) fn disk_bytes(&self) -> Outcome<u64> {
        let path = format!("{}/_stats/store,translog", self.admin.index);
        let found = self.wait(self.admin.json(Method::GET, &path, None))?;
        let bytes = |of: &str| found["_all"]["primaries"][of]["size_in_bytes"].as_u64();
        Ok(bytes("store").ok_or("the index has no size")? + bytes("translog").unwrap_or_default())
    }

    /// What it is, in a few words.
    pub(crate) fn describe(&self) -> Outcome<String> {
        Ok(format!("{}, heap {}", self.wait(self.admin.describe())?, self.heap))
    }

    fn wait_until_ready(&mut self, log: &Path) -> Outcome {
        let begun = Instant::now();
        let health = "_cluster/health?wait_for_status=yellow&timeout=1s";
        while self.wait(self.admin.json(Method::GET, health, None)).is_err() {
            if begun.elapsed() > PATIENCE || self.child.try_wait()?.is_some() {
                return Err(format!("Elasticsearch does not start; its log is {}", log.display()).into());
            }
            std::thread::sleep(ASK_EVERY);
        }
        Ok(())
    }

    async fn make_user(&self) -> Outcome {
        let role = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/elasticsearch-role.json");
        let role: Value = serde_json::from_slice(&fs::read(role)?)?;
        let user = json!({"password": self.user.password, "roles": ["tickey"]});
        for (path, body) in [("_security/role/tickey", role), ("_security/user/tickey", user)] {
            self.admin.json(Method::PUT, path, Some(&body)).await?;
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It has ended already, or there is nothing more to do about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
