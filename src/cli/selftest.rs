//! `tickey selftest`: redeems at a running server, as a person would, and leaves nothing redeemable behind.
//!
//! It always uses the same ticket for an album: the key is derived from the link keys, which only operators have. So
//! the store gets only one more ticket, however often this runs; it is revoked except while the test runs.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response, StatusCode, Url};
use serde::{Deserialize, Deserializer};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::change::change;
use super::options::{LibraryOption, LinkKeysOption, StoreOption};
use super::outcome::{Outcome, WrongUsage};
use super::{link_keys, output};
use crate::environment::{Clock as _, Entropy as _, SystemClock, SystemEntropy};
use crate::library::{Album, Library, LibraryError, Sha256Digest};
use crate::outbound;
use crate::redemption::create::create;
use crate::redemption::key::DownloadKey;
use crate::redemption::link::KeyRing;
use crate::redemption::store::TicketStore;
use crate::redemption::store::location::IfMissing;
use crate::redemption::ticket::{Because, Name, Ticket};

/// The batch of the self-test's tickets.
const BATCH: &str = "selftest";
/// The timeout for a connection, and for the next bytes of an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// The largest answer that is not a file, in bytes.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;

/// Redeem a test ticket at a running server, download the album, and try to redeem it twice
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The URL of the server
    #[arg(long, env = "TICKEY_URL", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: Url,
    /// The album to download; by default the smallest
    #[arg(long, env = "TICKEY_ALBUM", value_name = "ALBUM")]
    album: Option<Name>,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    library: LibraryOption,
    #[command(flatten)]
    link_keys: LinkKeysOption,
}

pub(super) async fn run(args: Args) -> Outcome {
    let server = Server::new(args.url)?;
    let ring = link_keys::read(&args.link_keys.link_keys_file)?;
    let store = args.store.open(IfMissing::Fail).await?;
    let album = choose(&args.library.open().await?, args.album.as_ref()).await?;
    let key = key_for(&ring, &album);
    make_redeemable(&*store, &key, &album).await?;
    let tried = try_out(&server, &key, &album).await;
    // Whatever the result, the ticket must not stay usable.
    let revoked = change(&*store, key.id(), |ticket| ticket.revoke(None, SystemClock.now())).await;
    let receipt_url = tried?;
    revoked.map_err(|error| format!("the ticket of this test could not be revoked again: {error}"))?;
    let receipt = server.get(&receipt_url).await?;
    expect(&receipt, StatusCode::GONE, "the receipt of a ticket that was revoked")?;
    Ok(output::say("ok    the ticket is revoked again, and its receipt with it")?)
}

/// Redeems, downloads, and redeems again. Returns the receipt's URL.
async fn try_out(server: &Server, key: &DownloadKey, album: &Album) -> Outcome<Url> {
    let mine = idempotency_key()?;
    let first = server.redeem(key, &mine).await?;
    expect(&first, StatusCode::CREATED, "a key that nobody has used")?;
    let first = server.read(first).await?;
    let answer: Answer = serde_json::from_slice(&first)?;
    output::say(&format!("ok    the key was redeemed, for album {}", answer.album.id))?;

    let promised = |file: &File| album.file(&file.name).is_ok_and(|known| known.sha256 == file.sha256.0);
    if answer.files.len() != album.files.len() || !answer.files.iter().all(promised) {
        return Err(
            "the server offers other files than the library has: do both use the same library?".into()
        );
    }
    let receipt_url = answer.redemption.receipt_url.0;
    for file in &answer.files {
        server.download(file, &receipt_url).await?;
    }
    let files = output::count(answer.files.len() as u64, "file");
    output::say(&format!("ok    {files} came whole, by their SHA-256"))?;

    let again = server.redeem(key, &mine).await?;
    expect(&again, StatusCode::CREATED, "the same request once more")?;
    if server.read(again).await? != first {
        return Err("the same request got another answer when it was made again".into());
    }
    output::say("ok    the same request got the same answer again")?;

    let other = server.redeem(key, &idempotency_key()?).await?;
    expect(&other, StatusCode::CONFLICT, "a second person with the same key")?;
    output::say("ok    a second person was refused")?;
    Ok(server.reach(&receipt_url, &receipt_url))
}

/// The requested album, or the smallest complete one.
async fn choose(library: &Library, wanted: Option<&Name>) -> Outcome<Arc<Album>> {
    if let Some(id) = wanted {
        loop {
            match library.album(id.as_str()).await {
                Err(LibraryError::BeingRead(_)) => tokio::time::sleep(Duration::from_secs(1)).await,
                found => return Ok(found?),
            }
        }
    }
    let whole = library.list().await?.into_iter().filter_map(|listed| listed.album.ok());
    let bytes = |album: &Arc<Album>| album.files.iter().map(|file| file.bytes).sum::<u64>();
    whole.min_by_key(bytes).ok_or_else(|| "the library has no album: see `tickey albums`".into())
}

/// The key of the test ticket. It cannot be guessed without the link keys.
fn key_for(ring: &KeyRing, album: &Album) -> DownloadKey {
    let secret = ring.derive_secret(&format!("tickey selftest v1\0{}", album.id));
    let mut random = Zeroizing::new([0; 23]);
    random.copy_from_slice(&secret[..23]);
    DownloadKey::from_random(&random)
}

/// Creates the ticket, or reinstates it if it is from an earlier test.
async fn make_redeemable(store: &dyn TicketStore, key: &DownloadKey, album: &Album) -> Outcome {
    let now = SystemClock.now();
    let ticket = Ticket::issue(album.id.parse()?, BATCH.parse()?, now);
    create(store, vec![(key.id(), ticket)], Some(Instant::now() + PATIENCE)).await?.certain()?;
    let because: Because = "selftest".parse()?;
    change(store, key.id(), |ticket| ticket.reinstate(because.clone(), now)).await?;
    Ok(())
}

fn idempotency_key() -> Outcome<String> {
    let mut random = [0; 16];
    SystemEntropy.fill(&mut random)?;
    Ok(uuid::Uuid::from_bytes(random).to_string())
}

/// The parts of an answer that the test checks.
#[derive(Deserialize)]
struct Answer {
    redemption: Redemption,
    album: AlbumOfAnswer,
    files: Vec<File>,
}

#[derive(Deserialize)]
struct Redemption {
    receipt_url: Parsed<Url>,
}

#[derive(Deserialize)]
struct AlbumOfAnswer {
    id: String,
}

#[derive(Deserialize)]
struct File {
    name: String,
    bytes: u64,
    sha256: Parsed<Sha256Digest>,
    url: Parsed<Url>,
}

/// A field of the answer that is parsed from text.
struct Parsed<T>(T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// The tested server.
struct Server {
    url: Url,
    client: reqwest::Client,
}

impl Server {
    fn new(url: Url) -> Outcome<Self> {
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || url.path() != "/" {
            let wrong = "--url: give the server's address, such as http://127.0.0.1:8080, without a path";
            return Err(WrongUsage(wrong.to_owned()).into());
        }
        Ok(Self { url, client: outbound::client(None, PATIENCE)? })
    }

    async fn redeem(&self, key: &DownloadKey, idempotency_key: &str) -> Outcome<Response> {
        let body = serde_json::json!({ "key": key.reveal() }).to_string();
        let request = self
            .client
            .request(Method::POST, self.url.join("redemptions")?)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .header("Idempotency-Key", idempotency_key)
            .body(body);
        self.in_time(request.send()).await
    }

    async fn get(&self, url: &Url) -> Outcome<Response> {
        self.in_time(self.client.get(url.clone()).header(ACCEPT, "application/json").send()).await
    }

    /// The next part of an answer. Errors are reported without their URL, which may hold a signature.
    async fn in_time<T>(&self, part: impl Future<Output = Result<T, reqwest::Error>>) -> Outcome<T> {
        match timeout(PATIENCE, part).await {
            Ok(Ok(part)) => Ok(part),
            Ok(Err(error)) => Err(self.did_not_answer(&outbound::root_cause(&error)).into()),
            Err(_) => Err(self.did_not_answer("it took too long").into()),
        }
    }

    fn did_not_answer(&self, why: &str) -> String {
        format!("the server at {} did not answer: {why}", self.url)
    }

    async fn download(&self, file: &File, receipt_url: &Url) -> Outcome {
        let mut answer = self.get(&self.reach(&file.url.0, receipt_url)).await?;
        expect(&answer, StatusCode::OK, &format!("the link to `{}`", file.name))?;
        let mut digest = Sha256::new();
        let mut bytes = 0;
        while let Some(chunk) = self.in_time(answer.chunk()).await? {
            digest.update(&chunk);
            bytes += chunk.len() as u64;
        }
        if bytes != file.bytes || Sha256Digest::from_bytes(digest.finalize().into()) != file.sha256.0 {
            return Err(format!("`{}` came with other bytes than were promised", file.name).into());
        }
        Ok(())
    }

    /// The complete body of an answer that is not a file.
    async fn read(&self, answer: Response) -> Outcome<Bytes> {
        let content = timeout(PATIENCE, outbound::read_body(answer, MAX_ANSWER_BYTES)).await;
        let content = content.map_err(|_| self.did_not_answer("it took too long"))?;
        Ok(content.map_err(|error| self.did_not_answer(&error.to_string()))?)
    }

    /// Rewrites a URL of the server's own origin to the given address: the public one may not be reachable from here.
    /// Links to other servers, which serve the files, stay unchanged.
    fn reach(&self, url: &Url, own: &Url) -> Url {
        if url.origin() != own.origin() {
            return url.clone();
        }
        let mut reached = self.url.clone();
        reached.set_path(url.path());
        reached.set_query(url.query());
        reached
    }
}

fn expect(answer: &Response, status: StatusCode, what: &str) -> Outcome {
    let got = answer.status();
    if got == status { Ok(()) } else { Err(format!("{what} got {got} instead of {status}").into()) }
}
