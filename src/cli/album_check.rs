//! Checks that the library has the albums of keys: a key of a mistyped album can never be redeemed.
//!
//! Knows the library and the names of albums, and neither keys nor stores.

use std::time::Duration;

use tokio::time::timeout;

use super::options::KnownLibraryOption;
use super::outcome::Outcome;
use super::output;
use crate::library::{Library, LibraryError};
use crate::redemption::ticket::Name;

/// How similar two ids must be for one to be a mistyped form of the other: 0 for nothing in common, 1 for equal.
const MIN_LIKENESS: f64 = 0.8;
/// How long a list of the albums may take.
const LIST_LIMIT: Duration = Duration::from_secs(5);
/// The most ids that are suggested.
const MAX_SUGGESTIONS: usize = 3;

/// The library to check, if one is known.
pub(super) enum Albums {
    /// The library, with its name.
    Known { library: Library, place: String },
    /// It could not be opened. Holds the reason.
    Unreadable(String),
    /// None was given.
    NoLibrary,
}

impl Albums {
    pub(super) async fn open(option: &KnownLibraryOption) -> Self {
        let Some(option) = option.option() else { return Self::NoLibrary };
        match option.open().await {
            Ok(library) => Self::Known { library, place: option.in_words() },
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }

    /// Refuses a missing album, and warns of other reasons that keep its keys from being redeemed.
    pub(super) async fn require(&self, album: &Name) -> Outcome {
        match self.missing([album]).await.pop() {
            None => Ok(()),
            Some(missing) => Err(format!(
                "{missing}. To mint for an album that is still to come, leave --library and TICKEY_LIBRARY out"
            )
            .into()),
        }
    }

    /// Warns of what keeps the keys of some albums from being redeemed.
    pub(super) async fn warn(&self, albums: impl IntoIterator<Item = &Name>) {
        for missing in self.missing(albums).await {
            output::complain(&format!("warning: {missing}. Its keys cannot be redeemed until it is there"));
        }
    }

    /// A sentence about each of these albums that the library does not have. Warns at once of other faults.
    async fn missing(&self, albums: impl IntoIterator<Item = &Name>) -> Vec<String> {
        let mut missing = Vec::new();
        let mut listed = None;
        let (library, place) = match self {
            Self::Known { library, place } => (library, place),
            Self::NoLibrary => {
                output::complain(
                    "note: without --library nobody looked whether the album exists: `tickey doctor` does, with the \
                     server's --library",
                );
                return missing;
            }
            Self::Unreadable(why) => {
                output::complain(&format!("warning: nobody could look whether the album exists: {why}"));
                return missing;
            }
        };
        for album in albums {
            match library.album(album.as_str()).await {
                // Files that are still being hashed exist.
                Ok(_) | Err(LibraryError::BeingRead(_)) => {}
                Err(LibraryError::NoSuchAlbum(_)) => {
                    if listed.is_none() {
                        listed = Some(ids(library).await);
                    }
                    missing.push(not_there(listed.as_deref().unwrap_or_default(), place, album));
                }
                Err(error) => output::complain(&format!("warning: {error}")),
            }
        }
        missing
    }
}

/// The ids of all albums, for suggestions. Gives none after a timeout, since a list waits for files that
/// are being hashed.
async fn ids(library: &Library) -> Vec<String> {
    let listed = timeout(LIST_LIMIT, library.list()).await.map(Result::unwrap_or_default).unwrap_or_default();
    listed.into_iter().filter_map(|listed| listed.album.ok()).map(|album| album.id.clone()).collect()
}

/// The message about a missing album.
fn not_there(ids: &[String], place: &str, album: &Name) -> String {
    let near = nearest(album.as_str(), ids);
    let hint = if near.is_empty() {
        "`tickey albums` lists what it has".to_owned()
    } else {
        format!("did you mean `{}`?", near.join("`, or `"))
    };
    format!("there is no album `{album}` in the library ({place}); {hint}")
}

/// The ids that are most similar to one, the most likely first.
fn nearest<'a>(id: &str, ids: &'a [String]) -> Vec<&'a str> {
    let lower = id.to_lowercase();
    let likeness = |other: &String| strsim::jaro_winkler(&lower, &other.to_lowercase());
    let mut near: Vec<(f64, &str)> = ids
        .iter()
        .map(|other| (likeness(other), other.as_str()))
        .filter(|(like, _)| *like >= MIN_LIKENESS)
        .collect();
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    near.into_iter().take(MAX_SUGGESTIONS).map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_suggested_and_nothing_else() {
        let ids = ["night-ferry", "night-train", "harbour", "Für Elise"].map(str::to_owned);
        assert_eq!(nearest("night-fery", &ids)[0], "night-ferry");
        assert_eq!(nearest("NIGHT-FERRY", &ids)[0], "night-ferry");
        assert_eq!(nearest("fur elise", &ids), ["Für Elise"]);
        assert_eq!(nearest("something-else", &ids), [""; 0]);
        assert!(nearest("night", &Vec::<String>::new()).is_empty());
    }
}
