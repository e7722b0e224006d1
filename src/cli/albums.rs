//! `tickey albums`: lists the albums of the library, and checks that they are complete.

use serde::Serialize;

use super::options::{JsonOption, LibraryOption};
use super::outcome::Outcome;
use super::output;
use super::output::count;
use crate::library::{Album, Library, Listed};

/// List the albums of the library and check every byte of their files (on S3: what S3 knows of them without a download)
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  tickey albums --library file:/srv/albums")]
pub(super) struct Args {
    #[command(flatten)]
    library: LibraryOption,
    #[command(flatten)]
    json: JsonOption,
}

/// An album, or a folder that should have been one.
#[derive(Serialize)]
pub(super) struct AlbumReport {
    folder: String,
    complete: bool,
    /// The fault, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    album: Option<AlbumView>,
}

#[derive(Serialize)]
struct AlbumView {
    id: String,
    title: String,
    artist: String,
    files: Vec<FileView>,
}

#[derive(Serialize)]
struct FileView {
    name: String,
    media_type: String,
    bytes: u64,
    sha256: String,
}

impl AlbumView {
    fn new(album: &Album) -> Self {
        let file = |file: &crate::library::AlbumFile| FileView {
            name: file.name.clone(),
            media_type: file.media_type.clone(),
            bytes: file.bytes,
            sha256: file.sha256.to_string(),
        };
        Self {
            id: album.id.clone(),
            title: album.title.clone(),
            artist: album.artist.clone(),
            files: album.files.iter().map(file).collect(),
        }
    }
}

pub(super) async fn run(args: Args) -> Outcome {
    let reports = async { check(&args.library.open().await?).await };
    let reports = output::waiting("reading the albums", reports).await?;
    if args.json.json {
        output::say_json(&reports)?;
    } else {
        for report in &reports {
            for line in report.lines() {
                output::say(&line)?;
            }
        }
    }
    match reports.iter().filter(|report| !report.complete).count() {
        0 if reports.is_empty() => {
            Err("the library has no albums: an album is a folder with album.toml and its files".into())
        }
        0 => Ok(()),
        broken => Err(format!("{broken} of {} not complete", count(reports.len() as u64, "album")).into()),
    }
}

impl AlbumReport {
    /// In words.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = match &self.album {
            Some(album) => {
                let bytes: u64 = album.files.iter().map(|file| file.bytes).sum();
                let size = format!("{}, {}", count(album.files.len() as u64, "file"), count(bytes, "byte"));
                vec![format!("{}: {} by {} ({size})", album.id, album.title, album.artist)]
            }
            None => vec![format!("{}/:", self.folder)],
        };
        lines.extend(self.problem.as_ref().map(|problem| format!("  not complete: {problem}")));
        lines
    }
}

/// Checks every album as thoroughly as its library can.
pub(super) async fn check(library: &Library) -> Outcome<Vec<AlbumReport>> {
    let mut reports = Vec::new();
    for Listed { folder, album } in library.list().await? {
        let (album, problem) = match album {
            Err(why) => (None, Some(why)),
            Ok(album) => {
                let problem = library.verify(&album).await.err().map(|error| error.to_string());
                (Some(AlbumView::new(&album)), problem)
            }
        };
        reports.push(AlbumReport { folder, complete: problem.is_none(), problem, album });
    }
    Ok(reports)
}
