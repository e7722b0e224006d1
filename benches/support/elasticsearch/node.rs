//! A node of Elasticsearch, as the tests have it but with the compiler of production, which ends with this program.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::super::Outcome;
use super::super::engine::random_password;
use super::super::process::free_address;
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
    /// Who may do anything.
    pub(crate) superuser: Access,
    /// Who may do what a server needs: whoever is measured.
    pub(crate) user: Access,
}

impl Node {
    /// Starts it, and waits until it answers.
    pub(crate) fn start(folder: &Path, heap: &str, runtime: &Runtime) -> Outcome<Self> {
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
        let mut node = Self { child, superuser, user };
        let client = Client::new(&node.superuser)?;
        node.wait_until_ready(&client, runtime, &log_path)?;
        runtime.block_on(node.make_user(&client))?;
        Ok(node)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_ready(&mut self, client: &Client, runtime: &Runtime, log: &Path) -> Outcome {
        let begun = Instant::now();
        let health = "_cluster/health?wait_for_status=yellow&timeout=1s";
        while runtime.block_on(client.json(Method::GET, health, None)).is_err() {
            if begun.elapsed() > PATIENCE || self.child.try_wait()?.is_some() {
                return Err(format!("Elasticsearch does not start; its log is {}", log.display()).into());
            }
            std::thread::sleep(ASK_EVERY);
        }
        Ok(())
    }

    async fn make_user(&self, client: &Client) -> Outcome {
        let role = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/elasticsearch-role.json");
        let role: Value = serde_json::from_slice(&fs::read(role)?)?;
        let user = json!({"password": self.user.password, "roles": ["tickey"]});
        for (path, body) in [("_security/role/tickey", role), ("_security/user/tickey", user)] {
            client.json(Method::PUT, path, Some(&body)).await?;
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
