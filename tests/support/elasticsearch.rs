//! A real Elasticsearch for tests, with TLS and passwords as in production.
//!
//! Where it comes from: the address in `TICKEY_TEST_ELASTICSEARCH_URL`; or else a Docker engine and the official image;
//! or else the server's Maven artifacts, see `tests/elasticsearch/assemble.sh`. If there is none of these the test
//! fails and says what is missing. Nothing here knows the program under test.

#![allow(dead_code, reason = "one target needs a node, another a cluster")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::time::within;

/// The superuser's password on the nodes that are started here.
const PASSWORD: &str = "only-for-tests";
/// How long a node, or a cluster, may take to be usable; the first start on a machine fetches the server before.
const START: Duration = Duration::from_mins(4);
/// Failures are noticed within seconds, as tests have no minutes; and a lost copy is made anew at once.
const IMPATIENT: &str = "cluster.fault_detection.leader_check.timeout: 1s
cluster.fault_detection.leader_check.retry_count: 2
cluster.fault_detection.follower_check.timeout: 1s
cluster.fault_detection.follower_check.retry_count: 2
cluster.publish.timeout: 3s
cluster.follower_lag.timeout: 5s";

/// How to reach a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Elasticsearch {
    pub(crate) urls: Vec<String>,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) ca_file: PathBuf,
}

impl Elasticsearch {
    /// One node for all tests of this process, which ends with it.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<(Elasticsearch, Option<ChildStdin>)> = OnceLock::new();
        &SHARED.get_or_init(|| given().or_else(in_docker).unwrap_or_else(assembled)).0
    }

    /// Asks the first node as the superuser. Gives the status, 0 if there was no answer, and the body as JSON.
    pub(crate) fn request(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.request_as(&self.username, &self.password, method, path, body)
    }

    /// The same as another user.
    pub(crate) fn request_as(
        &self,
        username: &str,
        password: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let body = body.map(|body| ("application/json", body.to_string()));
        self.curl(username, password, method, path, body)
    }

    /// The same with lines of JSON, as `_bulk` takes them.
    pub(crate) fn request_lines(&self, method: &str, path: &str, lines: &str) -> (u16, Value) {
        let body = Some(("application/x-ndjson", lines.to_owned()));
        self.curl(&self.username, &self.password, method, path, body)
    }

    fn curl(
        &self,
        username: &str,
        password: &str,
        method: &str,
        path: &str,
        body: Option<(&str, String)>,
    ) -> (u16, Value) {
        let url = format!("{}{path}", self.urls[0].trim_end_matches('/'));
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--max-time", "30", "--write-out", "\n%{http_code}", "--request", method])
            .arg("--cacert")
            .arg(&self.ca_file)
            .args(["--user", &format!("{username}:{password}"), &url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some((content_type, _)) = &body {
            command.args(["--header", &format!("content-type: {content_type}"), "--data-binary", "@-"]);
        }
        let mut child = command.spawn().expect("curl runs: apt-get install curl");
        let mut input = child.stdin.take().expect("standard input is piped");
        input.write_all(body.unwrap_or_default().1.as_bytes()).expect("curl reads the body");
        drop(input);
        let output = child.wait_with_output().expect("curl ends");
        let answer = String::from_utf8_lossy(&output.stdout);
        let (body, status) = answer.rsplit_once('\n').expect("curl ends with the status");
        (status.parse().expect("a status"), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Waits until so many nodes have joined, and the superuser's password is taken.
    fn wait(&self, nodes: usize, alive: impl FnMut() -> Result<(), String>) {
        let path = format!("/_cluster/health?wait_for_nodes=>={nodes}&wait_for_status=yellow&timeout=1s");
        let mut alive = alive;
        let ready = within(START, || {
            if let Err(why) = alive() {
                return Some(Err(why));
            }
            let (status, health) = self.request("GET", &path, None);
            (status == 200 && health["timed_out"] == false).then_some(Ok(()))
        });
        match ready {
            Some(Ok(())) => {}
            Some(Err(why)) => panic!("Elasticsearch did not start: {why}"),
            None => panic!("Elasticsearch was not ready within {START:?}"),
        }
    }
}

/// The one that whoever runs the tests has given.
fn given() -> Option<(Elasticsearch, Option<ChildStdin>)> {
    let variable = |name: &str| std::env::var(format!("TICKEY_TEST_ELASTICSEARCH_{name}")).ok();
    let url = variable("URL")?;
    let needed = |name: &str| {
        variable(name).unwrap_or_else(|| {
            panic!("with TICKEY_TEST_ELASTICSEARCH_URL, TICKEY_TEST_ELASTICSEARCH_{name} is needed as well")
        })
    };
    let given = Elasticsearch {
        urls: vec![url],
        username: variable("USERNAME").unwrap_or_else(|| "elastic".to_owned()),
        password: needed("PASSWORD"),
        ca_file: needed("CA_FILE").into(),
    };
    given.wait(1, || Ok(()));
    Some((given, None))
}

/// The official image, if an engine answers. The container ends when this process does, however it ends.
fn in_docker() -> Option<(Elasticsearch, Option<ChildStdin>)> {
    let engine = Command::new("docker").arg("info").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !engine.is_ok_and(|status| status.success()) {
        return None;
    }
    let folder = lasting_folder();
    certificates(&folder, &["localhost", "127.0.0.1"]);
    let port = free_port("127.0.0.1");
    let name = format!("tickey-test-{}", std::process::id());
    let script = format!(
        "docker run --rm --name {name} -p 127.0.0.1:{port}:9200 -v {folder}:/usr/share/elasticsearch/config/tls:ro \
         -e discovery.type=single-node -e ELASTIC_PASSWORD={PASSWORD} -e ES_JAVA_OPTS='-Xms512m -Xmx512m' \
         -e cluster.routing.allocation.disk.threshold_enabled=false \
         -e xpack.security.enabled=true -e xpack.security.http.ssl.enabled=true \
         -e xpack.security.http.ssl.key=tls/node.key -e xpack.security.http.ssl.certificate=tls/node.crt \
         docker.elastic.co/elasticsearch/elasticsearch:{version} >{folder}/node.log 2>&1 & \
         cat >/dev/null; docker rm --force {name} >/dev/null; rm -rf {folder}",
        folder = folder.display(),
        version = version(),
    );
    let mut watcher = spawn(Command::new("sh").args(["-c", &script]));
    let docker =
        Elasticsearch::started_here(vec![format!("https://127.0.0.1:{port}")], folder.join("ca.crt"));
    docker.wait(1, || still_running(&mut watcher, &folder.join("node.log")));
    Some((docker, watcher.stdin.take()))
}

/// A node of the Maven artifacts.
fn assembled() -> (Elasticsearch, Option<ChildStdin>) {
    assemble();
    let folder = lasting_folder();
    certificates(&folder, &["localhost", "127.0.0.1"]);
    let port = free_port("127.0.0.1");
    let mut script = Command::new("sh");
    script
        .args(["-c", "\"$0\" node \"$1/node\" >\"$1/node.log\" 2>&1; rm -rf \"$1\""])
        .arg(scripts().join("node.sh"))
        .arg(&folder)
        .env("ES_HTTP", format!("127.0.0.1:{port}"))
        .env("ES_TRANSPORT", format!("127.0.0.1:{}", free_port("127.0.0.1")))
        .env("ES_PASSWORD", PASSWORD)
        .env("ES_CERTIFICATES", &folder);
    let mut process = spawn(&mut script);
    let node = Elasticsearch::started_here(vec![format!("https://127.0.0.1:{port}")], folder.join("ca.crt"));
    node.wait(1, || still_running(&mut process, &folder.join("node.log")));
    (node, process.stdin.take())
}

impl Elasticsearch {
    fn started_here(urls: Vec<String>, ca_file: PathBuf) -> Self {
        Self { urls, username: "elastic".to_owned(), password: PASSWORD.to_owned(), ca_file }
    }
}

/// Several nodes, each a process that can be killed and stopped.
pub(crate) struct Cluster {
    pub(crate) access: Elasticsearch,
    pub(crate) nodes: Vec<Node>,
    _folder: TempDir,
}

/// A node of a [`Cluster`].
pub(crate) struct Node {
    pub(crate) name: String,
    folder: PathBuf,
    environment: Vec<(&'static str, String)>,
    process: Option<Child>,
}

impl Cluster {
    /// Nodes on addresses of their own, `127.0.0.1` and so on, which have found each other.
    pub(crate) fn start(count: usize) -> Self {
        assemble();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let addresses: Vec<String> = (1..=count).map(|number| format!("127.0.0.{number}")).collect();
        certificates(folder.path(), &addresses);
        let with_port = |address: &String| format!("{address}:{}", free_port(address));
        let http: Vec<String> = addresses.iter().map(with_port).collect();
        let transport: Vec<String> = addresses.iter().map(with_port).collect();
        let names: Vec<String> = (1..=count).map(|number| format!("n{number}")).collect();
        let nodes = names.iter().zip(http.iter().zip(&transport)).map(|(name, (http, own))| Node {
            name: name.clone(),
            folder: folder.path().join(name),
            environment: vec![
                ("ES_HTTP", http.clone()),
                ("ES_TRANSPORT", own.clone()),
                ("ES_SEEDS", transport.join(" ")),
                ("ES_MASTERS", names.join(",")),
                ("ES_PASSWORD", PASSWORD.to_owned()),
                ("ES_CERTIFICATES", folder.path().display().to_string()),
                ("ES_EXTRA", IMPATIENT.to_owned()),
            ],
            process: None,
        });
        let mut nodes: Vec<Node> = nodes.collect();
        nodes.iter_mut().for_each(Node::start);
        let urls = http.iter().map(|http| format!("https://{http}")).collect();
        let access = Elasticsearch::started_here(urls, folder.path().join("ca.crt"));
        access.wait(count, || nodes.iter_mut().try_for_each(Node::still_running));
        Self { access, nodes, _folder: folder }
    }

    /// The node of this name.
    pub(crate) fn node(&mut self, name: &str) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.name == name).expect("a node of this name")
    }
}

impl Node {
    /// Starts it, also again after a kill, on the data that it has.
    pub(crate) fn start(&mut self) {
        fs::create_dir_all(&self.folder).expect("a folder for the node");
        let log = File::options().create(true).append(true).open(self.log()).expect("a log for the node");
        let mut command = Command::new(scripts().join("node.sh"));
        command
            .arg(&self.name)
            .arg(&self.folder)
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        self.process = Some(command.spawn().expect("the script starts"));
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Fails only when it has ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// SIGSTOP: it is there and does nothing.
    pub(crate) fn pause(&self) {
        kill_process(self.pid(), Signal::STOP).expect("it is running");
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        kill_process(self.pid(), Signal::CONT).expect("it is running");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.process.as_ref().expect("it is running"))
    }

    fn log(&self) -> PathBuf {
        self.folder.join("node.log")
    }

    fn still_running(&mut self) -> Result<(), String> {
        let log = self.log();
        self.process.as_mut().map_or(Ok(()), |process| still_running(process, &log))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/elasticsearch")
}

/// The version that is tested with.
fn version() -> String {
    let pom = fs::read_to_string(scripts().join("pom.xml")).expect("the list of artifacts");
    let (_, rest) = pom.split_once("<elasticsearch.version>").expect("a version");
    rest.split('<').next().unwrap_or_default().to_owned()
}

/// Fetches the server and lays it out, which takes a while once on a machine.
fn assemble() {
    let output = Command::new(scripts().join("assemble.sh")).stdin(Stdio::null()).output();
    let output = output.expect("bash runs");
    if !output.status.success() {
        let mut says = String::new();
        let _ = write!(says, "{}", String::from_utf8_lossy(&output.stderr));
        panic!(
            "no Elasticsearch for the tests: TICKEY_TEST_ELASTICSEARCH_URL is not set, no Docker engine answers, and:\n{says}"
        );
    }
}

fn certificates(folder: &Path, names: &[impl AsRef<std::ffi::OsStr>]) {
    let made = Command::new(scripts().join("certificates.sh")).arg(folder).args(names).output();
    let made = made.expect("bash runs");
    assert!(made.status.success(), "no certificates: {}", String::from_utf8_lossy(&made.stderr));
}

/// A folder that outlives this function: whoever is started on it removes it.
fn lasting_folder() -> PathBuf {
    tempfile::Builder::new().prefix("tickey-elasticsearch-").tempdir().expect("a temporary folder").keep()
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).spawn().expect("a shell starts")
}

fn still_running(process: &mut Child, log: &Path) -> Result<(), String> {
    match process.try_wait().expect("it is our child") {
        None => Ok(()),
        Some(status) => {
            let log = fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(30).collect();
            let tail: Vec<&str> = lines.into_iter().rev().collect();
            Err(format!("it ended with {status}:\n{}", tail.join("\n")))
        }
    }
}

/// A port that nobody has just now.
fn free_port(address: &str) -> u16 {
    let listener = TcpListener::bind((address, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}
