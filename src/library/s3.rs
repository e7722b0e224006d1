//! A library on S3: each folder under the prefix that has an `album.toml` is an album. Holders download from S3 itself.
//!
//! The whole library is listed at once: that takes one request per 1000 objects, while a listing of each folder
//! would take one per album. Changed manifests are fetched. Sizes come from the listing and digests from the
//! manifests, so this server never downloads music. [`Periods`] says when to look again, and how long a look stays
//! valid while S3 fails.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::album::{Album, AlbumFile, LibraryError, Listed, Remark, join};
use super::manifest::{MAX_MANIFEST_BYTES, Manifest};
use super::shelf::Shelf;
use crate::latest::Latest;
use catalogue::{Folder, MANIFEST};
use client::{Client, Life, Object, Stamp};
use error::S3Error;

mod catalogue;
mod client;
mod error;
mod settings;

pub use settings::{Access, AccessError, Credentials, Periods, Place, PlaceError, Settings};

/// The longest lifetime of a link that S3 accepts: seven days.
pub(super) const LONGEST_LINK: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long a request waits for a new look before it uses the last one.
const WAIT_FOR_LOOK: Duration = Duration::from_millis(500);
/// How long a request waits for a look that it needs: the album is unknown, or the last look is too old.
const WAIT_FOR_NEWS: Duration = Duration::from_secs(2);
/// The timeout of a look.
const LOOK_TIMEOUT: Duration = Duration::from_mins(2);
/// The pause after a failed look. Requests do not wait during it.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A library on S3.
pub struct S3Library {
    client: Arc<Client>,
    settings: Settings,
    latest: Latest<Look>,
}

/// The result and time of the last look, and whether a later one failed.
#[derive(Clone)]
struct Look {
    /// When the look began.
    at: Instant,
    found: Arc<Found>,
    failed: Option<(Instant, S3Error)>,
}

#[derive(Default)]
struct Found {
    shelf: Shelf,
    /// By folder.
    manifests: HashMap<String, (Stamp, Result<Manifest, String>)>,
}

impl S3Library {
    pub(super) async fn open(settings: &Settings) -> Result<Self, LibraryError> {
        let unreadable = |why: String| LibraryError::Unreadable { library: settings.place.to_string(), why };
        let client = Arc::new(Client::new(settings).map_err(unreadable)?);
        let at = Instant::now();
        let found = look(&client, &Found::default()).await.map_err(|error| unreadable(error.to_string()))?;
        let latest = Latest::new(Look { at, found: Arc::new(found), failed: None });
        Ok(Self { client, settings: settings.clone(), latest })
    }

    pub(super) async fn album(&self, id: &str) -> Result<Arc<Album>, LibraryError> {
        let mut last = self.look_if_old(WAIT_FOR_LOOK).await;
        let unknown = matches!(last.found.shelf.get(id), Err(LibraryError::NoSuchAlbum(_)));
        if !self.is_fresh(&last) && (unknown || self.is_too_old(&last)) {
            last = self.look_if_old(WAIT_FOR_NEWS).await;
        }
        let too_old = self.is_too_old(&last);
        match &last.failed {
            Some((_, error @ S3Error::Passing(_))) if too_old => return Err(self.unreadable(error)),
            Some((_, S3Error::Passing(_))) | None => {}
            // If S3 refuses this server, it refuses links as well.
            Some((_, error)) => return Err(self.unreadable(error)),
        }
        let album = last.found.shelf.get(id)?;
        if too_old {
            // A look at a large library takes long; a look at one album does not.
            self.check_files(album).await?;
        }
        Ok(Arc::clone(album))
    }

    pub(super) async fn list(&self) -> Result<Vec<Listed>, LibraryError> {
        let last = self.look_if_old(LOOK_TIMEOUT).await;
        match &last.failed {
            Some((_, error)) => Err(self.unreadable(error)),
            None => Ok(last.found.shelf.listed()),
        }
    }

    /// Compares an album with its current objects, including digests that S3 knows.
    pub(super) async fn verify(&self, album: &Album) -> Result<(), LibraryError> {
        self.check_files(album).await?;
        let mut asked = JoinSet::new();
        for (index, file) in album.files.iter().enumerate() {
            let (client, name) = (Arc::clone(&self.client), path_of(album, file));
            asked.spawn(async move { (index, client.digest(&name).await) });
        }
        let mut answers = asked.join_all().await;
        answers.sort_by_key(|(index, _)| *index);
        let wrong: Vec<String> = answers
            .into_iter()
            .filter_map(|(index, answer)| {
                let AlbumFile { name, sha256, .. } = &album.files[index];
                match answer {
                    Ok(Some(digest)) if digest != *sha256 => {
                        Some(format!("`{name}` differs from its sha256: upload it again"))
                    }
                    Ok(_) => None,
                    Err(error) => Some(format!("`{name}` cannot be downloaded: {error}")),
                }
            })
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(incomplete(album, join(&wrong))) }
    }

    /// A link to a file, with its beginning and lifetime, which is at most [`LONGEST_LINK`].
    pub(super) fn link(
        &self,
        album: &Album,
        file: &AlbumFile,
        issued_at: Timestamp,
        lifetime: SignedDuration,
        disposition: &str,
    ) -> String {
        let life = Life { issued_at, lifetime: lifetime.unsigned_abs() };
        self.client.link(&path_of(album, file), life, &file.media_type, disposition)
    }

    /// The origin of links.
    pub(super) fn origin(&self) -> String {
        self.client.origin()
    }

    /// Remarks to the operator.
    pub(super) fn remarks(&self) -> Vec<Remark> {
        let mut remarks = vec![Remark {
            ok: true,
            says: format!("{} can be listed; links lead to {}", self.settings.place, self.client.address()),
        }];
        if let Some(skew) = self.client.skew_seconds() {
            let ok = skew.abs() <= error::MAX_SKEW_SECONDS;
            let says =
                if ok { "this machine and S3 agree about the time".to_owned() } else { error::skewed(skew) };
            remarks.push(Remark { ok, says });
        }
        if self.settings.access.credentials.session_token.is_some() {
            let says = "AWS_SESSION_TOKEN is set: links end when these temporary credentials do, and every server has \
                to have the \
                        same ones; a key of a user for this alone has no end";
            remarks.push(Remark { ok: true, says: says.to_owned() });
        }
        remarks
    }

    fn is_fresh(&self, look: &Look) -> bool {
        let just_failed = look.failed.as_ref().is_some_and(|(at, _)| at.elapsed() < PAUSE_AFTER_FAILURE);
        just_failed || look.at.elapsed() < self.settings.periods.look_again_after
    }

    fn is_too_old(&self, look: &Look) -> bool {
        look.at.elapsed() >= self.settings.periods.keep_look_for
    }

    /// The last look. If it is too old, a new one is started and waited for.
    async fn look_if_old(&self, wait: Duration) -> Look {
        let last = self.latest.get();
        if self.is_fresh(&last) {
            return last;
        }
        let client = Arc::clone(&self.client);
        self.latest.renew(wait, async move |before| look_again(&client, before).await).await
    }

    /// Checks whether the files of one album exist.
    async fn check_files(&self, album: &Album) -> Result<(), LibraryError> {
        let folder = format!("{}/", album.folder);
        let objects = timeout(WAIT_FOR_NEWS, self.client.list(&folder)).await;
        let objects =
            objects.unwrap_or_else(|_| Err(S3Error::Passing("S3 did not answer in time".to_owned())));
        let objects = objects.map_err(|error| self.unreadable(&error))?;
        let in_folder = |object: Object| Some((object.name.strip_prefix(&folder)?.to_owned(), object));
        let found: Folder = objects.into_iter().filter_map(in_folder).collect();
        catalogue::check(album, &found).map_err(|why| incomplete(album, why))
    }

    fn unreadable(&self, error: &S3Error) -> LibraryError {
        LibraryError::Unreadable { library: self.settings.place.to_string(), why: error.to_string() }
    }
}

/// The path of a file: the album's own folder, and a checked name from its manifest.
fn path_of(album: &Album, file: &AlbumFile) -> String {
    format!("{}/{}", album.folder, file.name)
}

fn incomplete(album: &Album, why: String) -> LibraryError {
    LibraryError::Incomplete { album: album.id.clone(), why }
}

async fn look_again(client: &Arc<Client>, before: Look) -> Look {
    let at = Instant::now();
    let looked = timeout(LOOK_TIMEOUT, look(client, &before.found)).await;
    let looked =
        looked.unwrap_or_else(|_| Err(S3Error::Passing("it could not be listed in time".to_owned())));
    match looked {
        Ok(found) => {
            if before.failed.is_some() {
                tracing::info!("the library can be read again");
            }
            Look { at, found: Arc::new(found), failed: None }
        }
        Err(error) => {
            tracing::warn!(%error, "the library cannot be read: the last look stays valid for a while, unless S3 \
                refuses");
            Look { failed: Some((Instant::now(), error)), ..before }
        }
    }
}

/// Looks through the whole library. Fails when listing it fails, or any later request.
async fn look(client: &Arc<Client>, before: &Found) -> Result<Found, S3Error> {
    let folders = catalogue::folders(client.list("").await?).map_err(S3Error::Refused)?;
    let mut manifests = manifests(client, &folders, before).await?;
    let mut found = Found::default();
    for (name, folder) in &folders {
        let Some((stamp, manifest)) = manifests.remove(name) else {
            found.shelf.add_broken(name.clone(), None, "it has no album.toml".to_owned());
            continue;
        };
        match &manifest {
            // The album's keys are still requested by its last id.
            Err(why) => found.shelf.add_broken(name.clone(), before.shelf.id_of(name), why.clone()),
            Ok(manifest) => {
                let id = manifest.id.to_string();
                if found.shelf.admits(name, &id) {
                    match catalogue::album(name, manifest.clone(), folder) {
                        Ok(album) => found.shelf.add(album),
                        Err(why) => found.shelf.add_broken(name.clone(), Some(id), why),
                    }
                }
            }
        }
        found.manifests.insert(name.clone(), (stamp, manifest));
    }
    Ok(found)
}

type Manifests = HashMap<String, (Stamp, Result<Manifest, String>)>;

/// The manifest of each folder that has one: the known one, or fetched if it has changed.
async fn manifests(
    client: &Arc<Client>,
    folders: &std::collections::BTreeMap<String, Folder>,
    before: &Found,
) -> Result<Manifests, S3Error> {
    let mut manifests = Manifests::new();
    let mut fetched = JoinSet::new();
    for (name, folder) in folders {
        let Some(object) = folder.get(MANIFEST) else { continue };
        let stamp = object.stamp.clone();
        match before.manifests.get(name) {
            Some(known) if known.0 == stamp && stamp.etag.is_some() => {
                manifests.insert(name.clone(), known.clone());
            }
            _ if object.stamp.bytes > MAX_MANIFEST_BYTES => {
                let why = format!("album.toml has more than {MAX_MANIFEST_BYTES} bytes");
                manifests.insert(name.clone(), (stamp, Err(why)));
            }
            _ => {
                let (client, name) = (Arc::clone(client), name.clone());
                fetched.spawn(async move {
                    let content = client.get(&format!("{name}/{MANIFEST}"), MAX_MANIFEST_BYTES).await;
                    (name, stamp, content)
                });
            }
        }
    }
    while let Some(task) = fetched.join_next().await {
        let (name, stamp, content) = task.map_err(|error| S3Error::Passing(error.to_string()))?;
        let read = match content {
            Ok(content) => (stamp, read(&content)),
            Err(error @ S3Error::Passing(_)) => return Err(error),
            // An empty stamp: it is fetched again next time.
            Err(error) => (Stamp::default(), Err(format!("album.toml: {error}"))),
        };
        manifests.insert(name, read);
    }
    Ok(manifests)
}

fn read(content: &[u8]) -> Result<Manifest, String> {
    let text = std::str::from_utf8(content).map_err(|_| "album.toml is not UTF-8")?;
    Manifest::parse(text).map_err(|error| error.to_string())
}
