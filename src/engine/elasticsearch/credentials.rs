//! User name and password, which may change while the server runs.
//!
//! The elastic/elasticsearch chart makes a new password on every upgrade. Until its nodes have restarted, some accept
//! only the old one and some only the new one. So the last two passwords are kept, each node is asked with the one that
//! it accepted last, and the file is read again when a node accepts none.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::secret_file::{self, Content, SecretFile, SecretFileError};

/// The password file is read again at most this often.
const RELOAD_PAUSE: Duration = Duration::from_millis(500);
/// The longest password file that is read, in bytes.
const MAX_PASSWORD_BYTES: u64 = 4096;

/// The server's account on Elasticsearch.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user's name.
    pub username: String,
    /// The source of the password.
    pub password: PasswordSource,
}

/// The source of a password. Its debug output never shows the password.
#[derive(Clone)]
pub enum PasswordSource {
    /// Given at the start; it never changes.
    Given(Zeroizing<String>),
    /// In a file, which may change; its last line end is left out.
    File(PathBuf),
}

impl fmt::Debug for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given(redacted)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// A password as it is sent, with its generation: the order in which passwords were loaded.
#[derive(Clone, Debug)]
pub(super) struct Password {
    pub(super) generation: u64,
    /// Marked as sensitive, so that debug output hides it.
    pub(super) header: HeaderValue,
}

/// The passwords that may be valid, the newest first.
pub(super) struct Credentials {
    login: Login,
    /// The password file, if there is one.
    file: Option<SecretFile>,
    known: Mutex<Known>,
}

struct Known {
    newest: Password,
    previous: Option<Password>,
    looked_at: Instant,
}

impl Credentials {
    /// The error says what is wrong with the password file.
    pub(super) fn new(login: Login) -> Result<Self, String> {
        let (file, password) = match &login.password {
            PasswordSource::Given(password) => (None, password.clone()),
            PasswordSource::File(path) => (
                Some(SecretFile::new(path, MAX_PASSWORD_BYTES)),
                password(path, secret_file::read(path, MAX_PASSWORD_BYTES))?,
            ),
        };
        let newest = Password { generation: 1, header: header(&login.username, &password)? };
        let known = Mutex::new(Known { newest, previous: None, looked_at: Instant::now() });
        Ok(Self { login, file, known })
    }

    /// The passwords to try, first the one that the node accepted last (by its generation).
    pub(super) fn candidates(&self, taken_last: u64) -> Vec<Password> {
        let known = self.known();
        let mut candidates = vec![known.newest.clone()];
        candidates.extend(known.previous.clone());
        candidates.sort_by_key(|password| password.generation != taken_last);
        candidates
    }

    /// Reads the file again after a node accepted no password, unless it was read just now. Returns the new password,
    /// if there is one.
    pub(super) async fn reload(&self) -> Option<Password> {
        let file = self.file.as_ref()?;
        {
            let mut known = self.known();
            if known.looked_at.elapsed() < RELOAD_PAUSE {
                return None;
            }
            known.looked_at = Instant::now();
        }
        let path = file.path();
        let read = password(path, file.read().await);
        let read = read.and_then(|password| header(&self.login.username, &password));
        let mut known = self.known();
        match read {
            Ok(header) if header == known.newest.header => None,
            Ok(header) => {
                tracing::info!(file = %path.display(), "the password file has changed and was read again");
                let newest = Password { generation: known.newest.generation + 1, header };
                known.previous = Some(std::mem::replace(&mut known.newest, newest.clone()));
                Some(newest)
            }
            Err(error) => {
                tracing::warn!(
                    error,
                    "the password file could not be read again: the old password stays in use"
                );
                None
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Basic authentication (RFC 7617).
fn header(username: &str, password: &str) -> Result<HeaderValue, String> {
    let plain = Zeroizing::new(format!("{username}:{password}"));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(plain.as_bytes())));
    let mut header = HeaderValue::from_str(&text).map_err(|error| error.to_string())?;
    header.set_sensitive(true);
    Ok(header)
}

/// The password, from the result of reading its file.
fn password(path: &Path, read: Result<Content, SecretFileError>) -> Result<Zeroizing<String>, String> {
    let shown = path.display();
    let content = read.map_err(|error| format!("the password file {shown} cannot be read: {error}"))?;
    if content.is_cut {
        return Err(format!("the password file {shown} is longer than {MAX_PASSWORD_BYTES} bytes"));
    }
    let text = std::str::from_utf8(&content.bytes);
    let text = text.map_err(|_| format!("the password file {shown} is not UTF-8"))?;
    let password = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if password.is_empty() {
        return Err(format!("the password file {shown} is empty"));
    }
    Ok(Zeroizing::new(password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_file(path: &Path) -> Credentials {
        let password = PasswordSource::File(path.to_owned());
        Credentials::new(Login { username: "elastic".to_owned(), password }).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_two_passwords_are_kept_and_the_one_taken_last_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "old\n").unwrap();
        let credentials = in_file(&path);
        let old = credentials.candidates(0).remove(0);
        assert_eq!(old.header, "Basic ZWxhc3RpYzpvbGQ=");
        std::fs::write(&path, "new").unwrap();
        assert!(credentials.reload().await.is_none(), "not again at once");
        tokio::time::advance(RELOAD_PAUSE).await;
        let new = credentials.reload().await.unwrap();
        assert_eq!(new.header, "Basic ZWxhc3RpYzpuZXc=");
        let order = |taken_last| {
            credentials
                .candidates(taken_last)
                .into_iter()
                .map(|password| password.generation)
                .collect::<Vec<_>>()
        };
        assert_eq!(order(0), [new.generation, old.generation]);
        assert_eq!(order(old.generation), [old.generation, new.generation]);
        tokio::time::advance(RELOAD_PAUSE).await;
        assert!(credentials.reload().await.is_none(), "nothing has changed");
        std::fs::remove_file(&path).unwrap();
        tokio::time::advance(RELOAD_PAUSE).await;
        assert!(credentials.reload().await.is_none(), "a file that is gone changes nothing");
        assert_eq!(order(0).len(), 2);
    }

    #[test]
    fn passwords_print_as_nothing() {
        let login = Login {
            username: "elastic".to_owned(),
            password: PasswordSource::Given(Zeroizing::new("hunter2".to_owned())),
        };
        let credentials = Credentials::new(login.clone()).unwrap();
        let printed = format!("{login:?} {:?}", credentials.candidates(0));
        assert!(!printed.contains("hunter2") && !printed.contains("ZWxhc3Rp"), "{printed}");
    }
}
