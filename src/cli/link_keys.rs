//! The file with the keys that sign links: read, checked, and created when it is missing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::outcome::Outcome;
use crate::environment::{Clock, Entropy};
use crate::redemption::link::{KeyRing, SECRET_BYTES};
use crate::secret_file::{self, Content, SecretFileError};

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// Permission bits that it must not have: write for the group, and any for others.
const TOO_WIDE: u32 = 0o027;

const HEADER: &str = "\
# The keys that sign download links and receipts. Secret: whoever has them can make both.
# A line a key: the time from which it signs, and 32 random bytes in base64url. All of them verify.
# To rotate: add a line with a time in the near future, give the file to all servers, restart them. Remove the old
# line when its receipts may end.
";

/// Reads the ring, or creates it when there is none.
pub(super) fn read_or_make(path: &Path, clock: &dyn Clock, entropy: &dyn Entropy) -> Outcome<KeyRing> {
    match read(path) {
        Err(error) if is_missing(&*error) => {
            make(path, clock, entropy)?;
            read(path)
        }
        other => other,
    }
}

/// Reads the ring.
pub(super) fn read(path: &Path) -> Outcome<KeyRing> {
    let content = secret_file::read(path, MAX_FILE_BYTES);
    let Content { bytes, is_cut, mode } =
        content.map_err(|error| Unreadable(path.display().to_string(), error))?;
    if mode & TOO_WIDE != 0 {
        return Err(format!(
            "the link keys in {path} can be read or changed by others (mode {mode:o}): run `chmod 600 {path}`, and \
             replace the keys if somebody may have seen them",
            path = path.display()
        )
        .into());
    }
    let text = std::str::from_utf8(&bytes).ok().filter(|_| !is_cut);
    let text = text.ok_or_else(|| format!("{} is no file of link keys", path.display()))?;
    KeyRing::parse(text)
        .map_err(|error| format!("the link keys in {} are wrong: {error}", path.display()).into())
}

#[derive(Debug, thiserror::Error)]
#[error("the link keys in {0} cannot be read: {1}")]
struct Unreadable(String, #[source] SecretFileError);

fn is_missing(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<Unreadable>().is_some_and(|Unreadable(_, why)| {
        matches!(why, SecretFileError::Failed(error) if error.kind() == io::ErrorKind::NotFound)
    })
}

/// Creates the file atomically, and never replaces another: two servers may start at once.
fn make(path: &Path, clock: &dyn Clock, entropy: &dyn Entropy) -> Outcome {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error: io::Error| format!("the link keys cannot be written to {}: {error}", path.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    entropy.fill(secret.as_mut())?;
    let mut suffix = [0; 4];
    entropy.fill(&mut suffix)?;
    let partial = folder.join(format!(".link-keys-{:08x}.partial", u32::from_ne_bytes(suffix)));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.write_all(HEADER.as_bytes())?;
        file.write_all(KeyRing::line(clock.now(), &secret).as_bytes())?;
        file.sync_all()?;
        match fs::hard_link(&partial, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }?;
        fs::File::open(folder)?.sync_all()
    })();
    // An error here is ignored: the file is already gone, or the error above is reported.
    let _ = fs::remove_file(&partial);
    Ok(written.map_err(failed)?)
}
