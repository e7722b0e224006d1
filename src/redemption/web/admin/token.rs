//! The admin token, which gives access to the admin interface.
//!
//! It is in a file, which is read again while the server runs, so that a token can be replaced without a restart, as
//! when a Kubernetes Secret changes. Only an HMAC of it is kept: a comparison of two HMACs takes the same time wherever
//! they differ, does not reveal the token's length, needs no further crate, and keeps no token in memory.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::latest::Latest;
use crate::secret_file::{self, Content, SecretFile, SecretFileError};

/// The shortest token, in characters: the length of 24 random bytes in base64.
const MIN_CHARACTERS: usize = 32;
/// The longest first line of a file, in bytes.
const MAX_LINE_BYTES: usize = 4096;
/// The most bytes of the file that are read.
const MAX_READ_BYTES: u64 = MAX_LINE_BYTES as u64 + 1;
/// The shortest time between two reads because of wrong tokens, and, separately, between two reads because
/// of right ones.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a request waits for a read of the file; the read's own timeout is shorter.
const WAIT_FOR_FILE: Duration = Duration::from_secs(3);
/// Permission bits that the file should not have: write for the group, and any for others.
const TOO_WIDE: u32 = 0o027;

/// The token in a file. Debug output hides it.
pub struct AdminToken {
    file: Arc<SecretFile>,
    /// The token as of the last read. Simultaneous requests with a new token all wait for the same read.
    known: Latest<Fingerprint>,
    looked: Mutex<Looked>,
}

/// The times of the last reads.
#[derive(Default)]
struct Looked {
    because_of_right: Option<Instant>,
    because_of_wrong: Option<Instant>,
}

/// The HMAC that is kept of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fingerprint([u8; 32]);

/// The file does not hold a valid token. Says what to do, and never quotes the file.
#[derive(Debug, thiserror::Error)]
pub enum AdminTokenError {
    /// The file cannot be read.
    #[error("the admin token in {0} cannot be read: {1}")]
    Unreadable(PathBuf, #[source] SecretFileError),
    /// The token is too short to be safe from guessing.
    #[error(
        "the admin token in {path} has {characters} characters and needs at least {MIN_CHARACTERS}: make one with \
         `openssl rand -base64 32`"
    )]
    TooShort {
        /// The file.
        path: PathBuf,
        /// The length of its first line.
        characters: usize,
    },
    /// The token is too long for a header.
    #[error(
        "the first line of {0} is longer than {MAX_LINE_BYTES} bytes: make an admin token with `openssl rand -base64 \
         32`"
    )]
    TooLong(PathBuf),
    /// The token has a character that cannot be sent in a header.
    #[error(
        "the admin token in {path} has a character at position {position} that is not visible ASCII: make one with \
         `openssl rand -base64 32`"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The 1-based position of the first such character.
        position: usize,
    },
}

impl AdminToken {
    /// Reads the token: the first line of the file, without white space around it.
    pub fn open(path: &Path) -> Result<Self, AdminTokenError> {
        let known = parse(path, secret_file::read(path, MAX_READ_BYTES))?;
        let file = Arc::new(SecretFile::new(path, MAX_READ_BYTES));
        Ok(Self { file, known: Latest::new(known), looked: Mutex::default() })
    }

    /// Whether this is the token. Reads the file again unless that was done within the last second; if the read fails,
    /// the last token stays valid.
    pub(crate) async fn admits(&self, presented: &[u8]) -> bool {
        let presented = Presented(presented);
        let matches = presented.is(self.known.get());
        if self.is_time_to_read(matches) {
            let file = Arc::clone(&self.file);
            let known = self.known.renew(WAIT_FOR_FILE, move |before| read_again(file, before)).await;
            return presented.is(known);
        }
        matches || presented.is(self.known.settled(WAIT_FOR_FILE).await)
    }

    /// Whether it is time to read the file again because of such a token; if so, notes the read.
    fn is_time_to_read(&self, matches: bool) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let last = if matches { &mut looked.because_of_right } else { &mut looked.because_of_wrong };
        let is_time = last.is_none_or(|last| last.elapsed() >= PAUSE);
        if is_time {
            *last = Some(Instant::now());
        }
        is_time
    }
}

async fn read_again(file: Arc<SecretFile>, before: Fingerprint) -> Fingerprint {
    match parse(file.path(), file.read().await) {
        Ok(found) => {
            if found != before {
                tracing::info!(file = %file.path().display(), "the admin token has changed");
            }
            found
        }
        Err(error) => {
            tracing::warn!(%error, "the admin token could not be read again: the old one stays in use");
            before
        }
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(redacted)")
    }
}

/// The token that a client sent.
struct Presented<'a>(&'a [u8]);

impl Presented<'_> {
    /// Compares in constant time.
    fn is(&self, known: Fingerprint) -> bool {
        mac(self.0).is_some_and(|mac| mac.verify_slice(&known.0).is_ok())
    }
}

impl Fingerprint {
    fn of(token: &str) -> Self {
        // The fingerprint of an invalid key: no token has it.
        Self(mac(token.as_bytes()).map_or([0; 32], |mac| mac.finalize().into_bytes().into()))
    }
}

/// `None` is for key lengths that HMAC does not support; there are none.
fn mac(token: &[u8]) -> Option<Hmac<Sha256>> {
    let mac = Hmac::<Sha256>::new_from_slice(b"tickey admin token v1").ok()?;
    Some(mac.chain_update(token))
}

/// The permission bits of the file that it should not have, if any.
#[must_use]
pub fn open_to_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & TOO_WIDE != 0).then_some(mode)
}

fn parse(path: &Path, read: Result<Content, SecretFileError>) -> Result<Fingerprint, AdminTokenError> {
    let bytes = read.map_err(|error| AdminTokenError::Unreadable(path.to_owned(), error))?.bytes;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.len() > MAX_LINE_BYTES {
        return Err(AdminTokenError::TooLong(path.to_owned()));
    }
    let line = Zeroizing::new(String::from_utf8_lossy(line).into_owned());
    let token = line.trim();
    if let Some(place) = token.chars().position(|character| !character.is_ascii_graphic()) {
        return Err(AdminTokenError::Foreign { path: path.to_owned(), position: place + 1 });
    }
    if token.len() < MIN_CHARACTERS {
        return Err(AdminTokenError::TooShort { path: path.to_owned(), characters: token.len() });
    }
    Ok(Fingerprint::of(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "a-token-of-32-visible-characters";
    const SECOND: &str = "another-one-of-more-than-32-visible-characters";

    fn folder_with(content: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin-token");
        fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[tokio::test]
    async fn the_first_line_is_the_token() {
        for content in [FIRST.to_owned(), format!("{FIRST}\n"), format!("  {FIRST}\t\r\nand more\n")] {
            let (_folder, path) = folder_with(&content);
            let token = AdminToken::open(&path).unwrap();
            assert!(token.admits(FIRST.as_bytes()).await, "{content:?}");
            for wrong in ["", SECOND, &FIRST[1..], &format!("{FIRST}x"), &FIRST.to_uppercase()] {
                assert!(!token.admits(wrong.as_bytes()).await, "{wrong:?}");
            }
        }
    }

    #[test]
    fn what_is_no_good_token_is_refused_with_advice_and_without_being_shown() {
        for content in [
            "",
            "\n",
            "short-and-secret",
            "\na-token-of-32-visible-characters",
            "secret of many words and of more than 32 characters",
            "secret-that-is-lóng-enough-but-not-visible-ascii",
            "secret-\u{7f}-that-is-long-enough-but-not-visible-ascii",
            &"secret".repeat(1000),
        ] {
            let (_folder, path) = folder_with(content);
            let error = AdminToken::open(&path).unwrap_err().to_string();
            assert!(error.contains("openssl rand -base64 32"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("missing")] {
            assert!(AdminToken::open(&path).is_err());
        }
    }

    #[test]
    fn a_token_prints_as_nothing() {
        let (_folder, path) = folder_with(FIRST);
        assert_eq!(format!("{:?}", AdminToken::open(&path).unwrap()), "AdminToken(redacted)");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_token_counts_at_once_and_the_old_one_ends() {
        let (_folder, path) = folder_with(FIRST);
        let token = AdminToken::open(&path).unwrap();
        fs::write(&path, SECOND).unwrap();
        assert!(token.admits(SECOND.as_bytes()).await);
        assert!(!token.admits(FIRST.as_bytes()).await);
        fs::write(&path, FIRST).unwrap();
        assert!(!token.admits(FIRST.as_bytes()).await, "the file is read for every wrong token");
        tokio::time::advance(PAUSE).await;
        assert!(token.admits(FIRST.as_bytes()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_token_ends_even_if_nobody_sends_the_new_one() {
        let (_folder, path) = folder_with(FIRST);
        let token = AdminToken::open(&path).unwrap();
        assert!(token.admits(FIRST.as_bytes()).await);
        fs::write(&path, SECOND).unwrap();
        tokio::time::advance(PAUSE).await;
        assert!(!token.admits(FIRST.as_bytes()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_no_good_any_more_changes_nothing() {
        let (_folder, path) = folder_with(FIRST);
        let token = AdminToken::open(&path).unwrap();
        for content in [Some(""), Some("short"), None] {
            match content {
                Some(content) => fs::write(&path, content).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            tokio::time::advance(PAUSE).await;
            assert!(!token.admits(SECOND.as_bytes()).await);
            assert!(!token.admits(b"").await);
            assert!(token.admits(FIRST.as_bytes()).await);
        }
    }
}
