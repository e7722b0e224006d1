//! Everything a server needs, in a folder of its own: a library of albums, a store, a file of link keys; and the
//! command line tools run on it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::elasticsearch::Elasticsearch;
use super::key::Key;
use super::server::{Server, tickey};

/// The album that tickets are for unless a test says otherwise.
pub(crate) const ALBUM: &str = "harbour-lights";
pub(crate) const TITLE: &str = "Harbour Lights & Other <Songs>";
pub(crate) const ARTIST: &str = "Zoë & the Ferrymen";

/// A file whose name is only ASCII, and large enough to be cut into pieces.
pub(crate) const PLAIN_FILE: &str = "01 First Ferry.flac";
/// A file whose name has every difficulty that a name can have.
pub(crate) const ODD_FILE: &str = "02 \"Über\" 100% 日本; a=b.mp3";

/// The name and size of every file of [`ALBUM`].
const FILES: &[(&str, usize)] = &[(PLAIN_FILE, 300_007), (ODD_FILE, 70_001), ("booklet.pdf", 1)];

/// The header of the CSV of tickets.
pub(crate) const CSV_HEADER: &str = "key,album,batch,valid_from,expires_at";

/// A folder with all that a server needs.
pub(crate) struct Shop {
    folder: TempDir,
    store: Store,
    next_key: AtomicU64,
}

impl Shop {
    /// A library with [`ALBUM`], and no tickets yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::of_this_target(&folder);
        let shop = Self { folder, store, next_key: AtomicU64::new(0) };
        let files: Vec<(&str, Vec<u8>)> =
            FILES.iter().map(|(name, bytes)| (*name, content(name, *bytes))).collect();
        shop.add_album(ALBUM, TITLE, ARTIST, &files);
        shop
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts an album into the library.
    pub(crate) fn add_album(&self, id: &str, title: &str, artist: &str, files: &[(&str, Vec<u8>)]) {
        let folder = self.path("library").join(id);
        fs::create_dir_all(&folder).expect("a folder for the album");
        let mut description = format!("id = {id:?}\ntitle = {title:?}\nartist = {artist:?}\n");
        for (name, content) in files {
            fs::write(folder.join(name), content).expect("a file of the album");
            description.push_str(&file_entry(name, content.len() as u64, &hexadecimal_sha256(content)));
        }
        fs::write(folder.join("album.toml"), description).expect("the album's description");
    }

    /// Adds a file of so many zero bytes to an album: a hole, which has a size but takes no room.
    pub(crate) fn add_hole(&self, album: &str, name: &str, bytes: u64) {
        let folder = self.path("library").join(album);
        fs::File::create(folder.join(name)).and_then(|file| file.set_len(bytes)).expect("a large file");
        let mut digest = Sha256::new();
        let block = [0; 1 << 13];
        let mut left = bytes;
        while left > 0 {
            let size = left.min(block.len() as u64);
            digest.update(&block[..usize::try_from(size).expect("no more than a block")]);
            left -= size;
        }
        let entry = file_entry(name, bytes, &hexadecimal(&digest.finalize()));
        let mut description =
            fs::OpenOptions::new().append(true).open(folder.join("album.toml")).expect("the album");
        description.write_all(entry.as_bytes()).expect("the album's description");
    }

    pub(crate) fn store(&self) -> String {
        match &self.store {
            Store::Embedded { file } => format!("sqlite:{}", file.display()),
            Store::Elasticsearch { cluster, .. } => cluster.urls.join(","),
        }
    }

    /// The index of its tickets.
    #[allow(dead_code, reason = "only of use on Elasticsearch")]
    pub(crate) fn index(&self) -> &str {
        match &self.store {
            Store::Embedded { file } => panic!("{} has no index", file.display()),
            Store::Elasticsearch { index, .. } => index,
        }
    }

    fn library(&self) -> String {
        format!("file:{}", self.path("library").display())
    }

    /// The command `serve` on this shop, with these flags besides.
    pub(crate) fn serve_command(&self, mut command: Command, flags: &[&str]) -> Command {
        self.store.configure(&mut command);
        command
            .args(["serve", "--store", &self.store(), "--library", &self.library(), "--link-keys-file"])
            .arg(self.path("link-keys"))
            .args(flags);
        command
    }

    #[track_caller]
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    #[track_caller]
    pub(crate) fn serve_with(&self, flags: &[&str]) -> Server {
        Server::start(self.serve_command(tickey(self.folder()), flags))
    }

    /// A key that nobody has a ticket for: well-formed, and unknown to the store.
    pub(crate) fn key(&self) -> Key {
        Key::numbered(self.next_key.fetch_add(1, Ordering::Relaxed))
    }

    /// A key that can be redeemed.
    #[track_caller]
    pub(crate) fn ticket(&self) -> Key {
        self.ticket_with(Ticket::new)
    }

    /// A key of a ticket that is out of the ordinary.
    #[track_caller]
    pub(crate) fn ticket_with(&self, describe: impl Fn(&Key) -> Ticket) -> Key {
        let key = self.key();
        self.load(&[describe(&key)]);
        key
    }

    /// Keys that can be redeemed.
    #[track_caller]
    pub(crate) fn tickets(&self, count: usize) -> Vec<Key> {
        let keys: Vec<Key> = (0..count).map(|_| self.key()).collect();
        self.load(&keys.iter().map(Ticket::new).collect::<Vec<_>>());
        keys
    }

    #[track_caller]
    pub(crate) fn load(&self, tickets: &[Ticket]) {
        self.tool_reading(&["load", "-"], &csv(tickets)).expect(0);
    }

    /// Runs a tool on the shop's store.
    #[track_caller]
    pub(crate) fn tool(&self, arguments: &[&str]) -> Outcome {
        self.tool_reading(arguments, "")
    }

    /// Runs a tool on the shop's store without a library.
    #[track_caller]
    pub(crate) fn tool_without_library(&self, arguments: &[&str]) -> Outcome {
        let mut command = tickey(self.folder());
        self.store.configure(&mut command);
        command.args(arguments).env("TICKEY_STORE", self.store());
        Outcome::of(command, "")
    }

    /// Runs a tool on the shop's store with this on its standard input.
    #[track_caller]
    pub(crate) fn tool_reading(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut command = tickey(self.folder());
        self.store.configure(&mut command);
        command.args(arguments).env("TICKEY_STORE", self.store()).env("TICKEY_LIBRARY", self.library());
        Outcome::of(command, input)
    }
}

/// Where a shop's tickets are.
enum Store {
    Embedded { file: PathBuf },
    Elasticsearch { cluster: &'static Elasticsearch, index: String },
}

impl Store {
    /// The same tests are compiled into two targets, one for each store.
    fn of_this_target(folder: &TempDir) -> Self {
        static INDICES: AtomicU64 = AtomicU64::new(0);
        if env!("CARGO_CRATE_NAME") == "contract_elasticsearch" {
            let number = INDICES.fetch_add(1, Ordering::Relaxed);
            let index = format!("shop-{}-{number}", std::process::id());
            Self::Elasticsearch { cluster: Elasticsearch::shared(), index }
        } else {
            Self::Embedded { file: folder.path().join("tickets.db") }
        }
    }

    /// What the store needs to be told beside where it is.
    fn configure(&self, command: &mut Command) {
        let Self::Elasticsearch { cluster, index } = self else { return };
        command
            .env("TICKEY_ELASTICSEARCH_USERNAME", &cluster.username)
            .env("TICKEY_ELASTICSEARCH_PASSWORD", &cluster.password)
            .env("TICKEY_ELASTICSEARCH_CA_FILE", &cluster.ca_file)
            .env("TICKEY_ELASTICSEARCH_INDEX", index);
    }
}

/// A row of the CSV of tickets.
#[derive(Clone)]
pub(crate) struct Ticket {
    pub(crate) key: String,
    pub(crate) album: String,
    pub(crate) batch: String,
    pub(crate) valid_from: String,
    pub(crate) expires_at: String,
}

impl Ticket {
    /// A ticket for [`ALBUM`] that can be redeemed at any time.
    pub(crate) fn new(key: &Key) -> Self {
        let (album, batch) = (ALBUM.to_owned(), "tests".to_owned());
        Self { key: key.dashed(), album, batch, valid_from: String::new(), expires_at: String::new() }
    }

    pub(crate) fn of_album(mut self, album: &str) -> Self {
        album.clone_into(&mut self.album);
        self
    }

    pub(crate) fn of_batch(mut self, batch: &str) -> Self {
        batch.clone_into(&mut self.batch);
        self
    }

    pub(crate) fn valid_from(mut self, instant: jiff::Timestamp) -> Self {
        self.valid_from = instant.to_string();
        self
    }

    pub(crate) fn expiring(mut self, instant: jiff::Timestamp) -> Self {
        self.expires_at = instant.to_string();
        self
    }
}

/// The CSV of these tickets.
pub(crate) fn csv(tickets: &[Ticket]) -> String {
    let mut csv = format!("{CSV_HEADER}\n");
    for Ticket { key, album, batch, valid_from, expires_at } in tickets {
        writeln!(csv, "{key},{album},{batch},{valid_from},{expires_at}").expect("text grows");
    }
    csv
}

/// How a tool ended and what it wrote.
pub(crate) struct Outcome {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Runs a command to its end with this on its standard input.
    pub(crate) fn of(mut command: Command, input: &str) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("standard input is piped");
        // A tool that reads no input may have gone before it is all written, which is its right.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Fails unless the exit status is this one.
    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{}", self.all());
        self
    }

    /// Everything it wrote.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.all()))
    }

    /// The documents on standard output: one array of them, or one a line.
    #[track_caller]
    pub(crate) fn json_rows(&self) -> Vec<Value> {
        match serde_json::from_str(&self.stdout) {
            Ok(Value::Array(rows)) => rows,
            Ok(row) => vec![row],
            Err(_) => {
                let rows: Result<Vec<Value>, _> = self.stdout.lines().map(serde_json::from_str).collect();
                rows.unwrap_or_else(|error| panic!("neither JSON nor JSON lines ({error}): {}", self.all()))
            }
        }
    }

    /// The whole numbers it wrote, each as often as it was written.
    pub(crate) fn numbers(&self) -> BTreeMap<u64, usize> {
        let mut numbers = BTreeMap::new();
        for word in self.all().split(|character: char| !character.is_alphanumeric()) {
            if let Ok(number) = word.parse() {
                *numbers.entry(number).or_default() += 1;
            }
        }
        numbers
    }
}

/// The bytes of a file of the library: noise that is the same in every run.
pub(crate) fn content(name: &str, bytes: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(bytes + 32);
    let mut block = Sha256::digest(name);
    while content.len() < bytes {
        content.extend_from_slice(&block);
        block = Sha256::digest(block);
    }
    content.truncate(bytes);
    content
}

/// The bytes of a file of [`ALBUM`].
pub(crate) fn content_of(name: &str) -> Vec<u8> {
    let size = FILES.iter().find(|(file, _)| *file == name).map(|(_, bytes)| *bytes);
    content(name, size.expect("a file of the album"))
}

/// The names of the files of [`ALBUM`], in order.
pub(crate) fn file_names() -> Vec<&'static str> {
    FILES.iter().map(|(name, _)| *name).collect()
}

pub(crate) fn hexadecimal_sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text grows");
        text
    })
}

/// How `album.toml` lists a file.
fn file_entry(name: &str, bytes: u64, sha256: &str) -> String {
    format!("\n[[files]]\nname = {name:?}\nbytes = {bytes}\nsha256 = {sha256:?}\n")
}
