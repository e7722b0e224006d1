//! A real Elasticsearch for tests, with TLS and passwords as in production.
//!
//! Where it comes from: the address in `TICKEY_TEST_ELASTICSEARCH_URL`; or else a Docker engine and the official image;
//! or else the server's Maven artifacts, see `tests/elasticsearch/assemble.sh`. If there is none of these the test
//! fails and says what is missing. Nothing here knows the program under test.

#![allow(dead_code, reason = "one target needs a node, another a cluster")]

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
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
/// How long a node, or a cluster, may take to be usable, once the server has been fetched.
const START: Duration = Duration::from_mins(4);
const FOLDER_PREFIX: &str = "tickey-elasticsearch-";

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

    /// Asks the first node that answers, as the superuser. Gives the status, 0 if none answered, and the body as JSON.
    ///
    /// What a node did without answering is done again by the next one.
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
        self.ask(&format!("{username}:{password}"), method, path, body.as_ref())
    }

    /// The same with lines of JSON, as `_bulk` takes them.
    pub(crate) fn request_lines(&self, method: &str, path: &str, lines: &str) -> (u16, Value) {
        let body = ("application/x-ndjson", lines.to_owned());
        self.ask(&self.superuser(), method, path, Some(&body))
    }

    fn superuser(&self) -> String {
        format!("{}:{}", self.username, self.password)
    }

    fn ask(&self, user: &str, method: &str, path: &str, body: Option<&(&str, String)>) -> (u16, Value) {
        let mut answers = self.urls.iter().map(|url| self.ask_node(url, user, method, path, body));
        answers.find(|(status, _)| *status != 0).unwrap_or_default()
    }

    fn ask_node(
        &self,
        node: &str,
        user: &str,
        method: &str,
        path: &str,
        body: Option<&(&str, String)>,
    ) -> (u16, Value) {
        let url = format!("{}{path}", node.trim_end_matches('/'));
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--max-time", "30", "--write-out", "\n%{http_code}", "--request", method])
            .arg("--cacert")
            .arg(&self.ca_file)
            .args(["--user", user, &url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some((content_type, _)) = body {
            command.args(["--header", &format!("content-type: {content_type}"), "--data-binary", "@-"]);
        }
        let mut child = command.spawn().expect("curl runs: apt-get install curl");
        let mut input = child.stdin.take().expect("standard input is piped");
        if let Some((_, content)) = body {
            input.write_all(content.as_bytes()).expect("curl reads the body");
        }
        drop(input);
        let output = child.wait_with_output().expect("curl ends");
        let answer = String::from_utf8_lossy(&output.stdout);
        let (body, status) = answer.rsplit_once('\n').expect("curl ends with the status");
        (status.parse().expect("a status"), serde_json::from_str(body).unwrap_or_default())
    }

    /// Waits until so many nodes have joined, and each that is known here takes the superuser's password, which a node
    /// refuses for a second or two after it has begun to answer.
    pub(crate) fn wait(&self, nodes: usize, mut alive: impl FnMut() -> Result<(), String>) {
        let path = format!("/_cluster/health?wait_for_nodes=>={nodes}&wait_for_status=yellow&timeout=1s");
        let superuser = self.superuser();
        let usable = |url: &String| {
            let (status, health) = self.ask_node(url, &superuser, "GET", &path, None);
            status == 200 && health["timed_out"] == false
        };
        let ready = within(START, || match alive() {
            Ok(()) => self.urls.iter().all(usable).then_some(Ok(())),
            Err(why) => Some(Err(why)),
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
    let image = format!("docker.elastic.co/elasticsearch/elasticsearch:{}", version());
    // Before the clock of readiness starts. If it fails, `docker run` says so below.
    let fetch = format!("docker image inspect {image} >/dev/null 2>&1 || docker pull --quiet {image}");
    let _ = Command::new("sh").args(["-c", &fetch]).status();
    // A container that ends too early ends the shell, which is what tells us; later on the shell ends the container.
    let script = format!(
        "(docker run --rm --name {name} -p 127.0.0.1:{port}:9200 -v {folder}:/usr/share/elasticsearch/config/tls:ro \
         -e discovery.type=single-node -e ELASTIC_PASSWORD={PASSWORD} -e ES_JAVA_OPTS='-Xms512m -Xmx512m' \
         -e cluster.routing.allocation.disk.threshold_enabled=false \
         -e xpack.security.enabled=true -e xpack.security.http.ssl.enabled=true \
         -e xpack.security.http.ssl.key=tls/node.key -e xpack.security.http.ssl.certificate=tls/node.crt \
         {image} >{folder}/node.log 2>&1 </dev/null; kill $$ 2>/dev/null) & \
         cat >/dev/null; trap '' TERM; docker rm --force --volumes {name} >/dev/null 2>&1; rm -rf {folder}",
        folder = folder.display(),
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
    // A node that fails leaves its log; one that ends with this process leaves nothing.
    let mut script = Command::new("sh");
    script
        .args(["-c", "\"$0\" node \"$1/node\" >\"$1/node.log\" 2>&1 && rm -rf \"$1\""])
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
    /// Nodes on addresses of their own, which have found each other.
    pub(crate) fn start(count: usize) -> Self {
        assemble();
        let folder = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir().expect("a temporary folder");
        // Not 127.0.0.1, where every connection begins: one of them could take the port of a node that is down.
        let addresses: Vec<String> =
            (2..).take(count).map(|number: u8| format!("127.0.0.{number}")).collect();
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
    /// Starts it, also again after a kill, on the data that it has. Does not wait until it is of use.
    pub(crate) fn start(&mut self) {
        self.kill();
        fs::create_dir_all(&self.folder).expect("a folder for the node");
        let log = File::options().create(true).append(true).open(self.log()).expect("a log for the node");
        let mut command = Command::new(scripts().join("node.sh"));
        command
            .arg(&self.name)
            .arg(&self.folder)
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        self.process = Some(spawn(&mut command));
    }

    /// Gives the superuser another password on this node alone, from its next start on, as a chart does that makes a
    /// new one on every upgrade.
    pub(crate) fn set_password(&mut self, password: &str) {
        for (name, value) in &mut self.environment {
            if *name == "ES_PASSWORD" {
                password.clone_into(value);
            }
        }
    }

    /// Where its clients reach it.
    pub(crate) fn http(&self) -> &str {
        let http = self.environment.iter().find(|(name, _)| *name == "ES_HTTP");
        &http.expect("it has an address").1
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
    assert!(
        output.status.success(),
        "no Elasticsearch for the tests: TICKEY_TEST_ELASTICSEARCH_URL is not set, no Docker engine answers, and:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn certificates(folder: &Path, names: &[impl AsRef<std::ffi::OsStr>]) {
    let made = Command::new(scripts().join("certificates.sh")).arg(folder).args(names).output();
    let made = made.expect("bash runs");
    assert!(made.status.success(), "no certificates: {}", String::from_utf8_lossy(&made.stderr));
}

/// A folder that outlives this function: whoever is started on it removes it.
fn lasting_folder() -> PathBuf {
    tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir().expect("a temporary folder").keep()
}

/// Starts what ends with its standard input, and so with this process, however this ends.
///
/// In a process group of its own: Ctrl-C in a terminal reaches us alone, and if we end while it is stopped, the kernel
/// wakes it, as the group is then an orphan.
fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).process_group(0).spawn().expect("a shell starts")
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
