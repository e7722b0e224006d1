//! Faults of an album's file, as messages that say what to do.

use std::io;

/// The fault of a file that cannot be used.
pub(super) fn wrong(name: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("`{name}` is missing: copy it into the album's folder"),
        // The error itself says what the file is.
        io::ErrorKind::Other => format!("`{name}` {error}: put the file itself there"),
        _ => format!("`{name}` cannot be read: {error}"),
    }
}

/// Whether a file has the size that the manifest gives, if it gives one.
pub(super) fn check_size(name: &str, bytes: u64, given: Option<u64>) -> Result<(), String> {
    match given {
        Some(given) if given != bytes => {
            Err(format!("`{name}` has {bytes} bytes instead of {given}: copy it again"))
        }
        _ => Ok(()),
    }
}
