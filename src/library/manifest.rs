//! `album.toml`, the manifest of an album.
//!
//! ```toml
//! id = "night-ferry"
//! title = "Night Ferry"
//! artist = "The Harbour Lights"
//! cover = "cover.png"                  # optional: one of the files
//! files = ["01 Casting Off.flac", "cover.png"]
//! ```
//!
//! Instead of a name, a file can be a table with `name` and, each optional, `media_type`, `bytes` and `sha256`. Pure:
//! text in, checked values out.

use std::collections::HashSet;

use serde::Deserialize;

use super::album::Sha256Digest;
use super::ascii_name::ascii_names;
use crate::name::Name;

/// The longest manifest, in bytes.
pub(super) const MAX_MANIFEST_BYTES: u64 = 1024 * 1024;
/// The most files of an album.
const MAX_FILES: usize = 1000;
/// The longest title or artist, in bytes.
const MAX_TEXT_BYTES: usize = 500;
/// The longest file name, in bytes: the limit of Linux.
const MAX_FILE_NAME_BYTES: usize = 255;

/// A checked manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) id: Name,
    pub(super) title: String,
    pub(super) artist: String,
    /// An index into `files`.
    pub(super) cover: Option<usize>,
    pub(super) files: Vec<ManifestFile>,
}

/// A file as the manifest has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ManifestFile {
    pub(super) name: String,
    /// See [`super::AlbumFile::ascii_name`].
    pub(super) ascii_name: String,
    pub(super) media_type: String,
    pub(super) bytes: Option<u64>,
    pub(super) sha256: Option<Sha256Digest>,
}

/// The fault of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("album.toml: {0}")]
pub struct ManifestError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    id: Name,
    title: String,
    artist: String,
    cover: Option<String>,
    files: Vec<RawFile>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawFile {
    Name(String),
    Table(RawTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    name: String,
    media_type: Option<String>,
    bytes: Option<u64>,
    sha256: Option<String>,
}

impl Manifest {
    pub(super) fn parse(text: &str) -> Result<Self, ManifestError> {
        let raw: RawManifest = toml::from_str(text).map_err(|error| wrong(error.message()))?;
        // Clients would remove them from the path of a link.
        if matches!(raw.id.as_str(), "." | "..") {
            return Err(wrong("the id must be more than dots"));
        }
        for (what, value) in [("title", &raw.title), ("artist", &raw.artist)] {
            let fits = (1..=MAX_TEXT_BYTES).contains(&value.len()) && !value.chars().any(char::is_control);
            if !fits {
                return Err(wrong(format!(
                    "{what} has 1 to {MAX_TEXT_BYTES} bytes and no control characters"
                )));
            }
        }
        if !(1..=MAX_FILES).contains(&raw.files.len()) {
            return Err(wrong(format!("an album has 1 to {MAX_FILES} files")));
        }
        let mut files = raw.files.into_iter().map(ManifestFile::check).collect::<Result<Vec<_>, _>>()?;
        let mut names = HashSet::new();
        if let Some(twice) = files.iter().find(|file| !names.insert(&file.name)) {
            return Err(wrong(format!("`{}` is listed twice", twice.name)));
        }
        let own_names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let ascii_names = ascii_names(&own_names);
        for (file, ascii_name) in files.iter_mut().zip(ascii_names) {
            file.ascii_name = ascii_name;
        }
        let cover = match raw.cover {
            None => None,
            Some(cover) => Some(
                files
                    .iter()
                    .position(|file| file.name == cover)
                    .ok_or_else(|| wrong(format!("the cover `{cover}` is not among the files")))?,
            ),
        };
        Ok(Self { id: raw.id, title: raw.title, artist: raw.artist, cover, files })
    }
}

impl ManifestFile {
    fn check(raw: RawFile) -> Result<Self, ManifestError> {
        let raw = match raw {
            RawFile::Table(table) => table,
            RawFile::Name(name) => RawTable { name, media_type: None, bytes: None, sha256: None },
        };
        // Only names, never paths: nothing in a manifest leads out of its folder. A leading dot also covers `..`.
        let fits = (1..=MAX_FILE_NAME_BYTES).contains(&raw.name.len())
            && !raw.name.starts_with('.')
            && !raw.name.contains(['/', '\\'])
            && !raw.name.chars().any(char::is_control);
        if !fits {
            return Err(wrong(format!(
                "`{}` is not a file name: 1 to {MAX_FILE_NAME_BYTES} bytes, no folder, no leading dot, no control \
                 characters",
                raw.name.escape_debug()
            )));
        }
        let media_type = match raw.media_type {
            None => guess_media_type(&raw.name),
            Some(given) if is_media_type(&given) => given,
            Some(given) => return Err(wrong(format!("`{}` is not a media type", given.escape_debug()))),
        };
        let sha256 = match raw.sha256 {
            None => None,
            Some(text) => Some(text.parse().map_err(|why| wrong(format!("`{}`: {why}", raw.name)))?),
        };
        // The ASCII name depends on the other files.
        Ok(Self { name: raw.name, ascii_name: String::new(), media_type, bytes: raw.bytes, sha256 })
    }
}

fn guess_media_type(name: &str) -> String {
    mime_guess::from_path(name).first_raw().unwrap_or("application/octet-stream").to_owned()
}

/// `type/subtype`, both of them tokens (RFC 9110, section 8.3.1).
fn is_media_type(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    text.len() <= 100 && text.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

fn wrong(why: impl Into<String>) -> ManifestError {
    ManifestError(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_files(files: &str) -> Result<Manifest, ManifestError> {
        Manifest::parse(&format!("id = 'a'\ntitle = 'A'\nartist = 'B'\n{files}"))
    }

    #[test]
    fn names_alone_are_enough() {
        let manifest = with_files("files = ['01 Café.flac', 'b.mp3', 'notes']").unwrap();
        let types: Vec<_> = manifest.files.iter().map(|file| file.media_type.as_str()).collect();
        assert_eq!(types, ["audio/flac", "audio/mpeg", "application/octet-stream"]);
        assert_eq!(manifest.cover, None);
    }

    #[test]
    fn tables_say_more() {
        let manifest = with_files(&format!(
            "cover = 'c.png'\nfiles = [{{ name = 'c.png', bytes = 7, sha256 = '{}' }}]",
            "ab".repeat(32)
        ))
        .unwrap();
        assert_eq!(manifest.cover, Some(0));
        assert_eq!(manifest.files[0].sha256.unwrap().to_string(), "ab".repeat(32));
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        for name in ["../x", "/etc/passwd", "a/b", "..", ".", ".hidden", "a\\\\b", "", "a\\nb", "a\\u0000b"] {
            let error = with_files(&format!("files = [\"{name}\"]")).unwrap_err();
            assert!(error.to_string().contains("is not a file name"), "{name:?}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (files, said) in [
            ("", "missing field"),
            ("files = []", "1 to 1000 files"),
            ("files = ['a', 'a']", "listed twice"),
            ("cover = 'c'\nfiles = ['a']", "not among the files"),
            ("files = [{ name = 'a', sha256 = 'xyz' }]", "64 hexadecimal digits"),
            ("files = [{ name = 'a', media_type = 'audio' }]", "not a media type"),
            ("fils = ['a']", "unknown field"),
        ] {
            let error = with_files(files).unwrap_err().to_string();
            assert!(error.contains(said), "{files}: {error}");
        }
    }
}
