//! Turns a listing into albums. Pure: objects and manifests in, albums or their faults out.

use std::collections::{BTreeMap, HashMap};

use super::client::Object;
use crate::library::album::{Album, AlbumFile, MAX_FOLDERS, join};
use crate::library::manifest::{Manifest, ManifestFile};

/// The name of the manifest that makes a folder an album.
pub(super) const MANIFEST: &str = "album.toml";

/// The objects of a folder by their names in it.
pub(super) type Folder = HashMap<String, Object>;

/// Objects by folder, in an order that is the same on all servers. Objects outside folders, and those in subfolders,
/// belong to no album. The error says what to do.
pub(super) fn folders(objects: Vec<Object>) -> Result<BTreeMap<String, Folder>, String> {
    let mut folders: BTreeMap<String, Folder> = BTreeMap::new();
    for object in objects {
        let Some((folder, name)) = object.name.split_once('/') else { continue };
        // As in a folder on disk. Also, clients would remove dots from the path of a link.
        if folder.is_empty() || folder.starts_with('.') {
            continue;
        }
        let name = name.to_owned();
        let files = folders.entry(folder.to_owned()).or_default();
        if !name.is_empty() && !name.contains('/') {
            files.insert(name, object);
        }
        if folders.len() > MAX_FOLDERS {
            return Err(format!(
                "there are more than {MAX_FOLDERS} folders: give the library a prefix, or a bucket, of its own"
            ));
        }
    }
    Ok(folders)
}

/// The album of a folder with this manifest, or its fault.
pub(super) fn album(name: &str, manifest: Manifest, folder: &Folder) -> Result<Album, String> {
    let mut files = Vec::with_capacity(manifest.files.len());
    let mut wrong = Vec::new();
    for file in manifest.files {
        match examine(file, folder) {
            Ok(file) => files.push(file),
            Err(why) => wrong.push(why),
        }
    }
    if !wrong.is_empty() {
        return Err(join(&wrong));
    }
    Ok(Album {
        id: manifest.id.to_string(),
        title: manifest.title,
        artist: manifest.artist,
        folder: name.to_owned(),
        cover: manifest.cover,
        files,
    })
}

fn examine(file: ManifestFile, folder: &Folder) -> Result<AlbumFile, String> {
    let bytes = look_at(&file.name, file.bytes, folder)?;
    let sha256 = file.sha256.ok_or_else(|| {
        format!(
            "`{0}` has no sha256 in album.toml, which a library on S3 needs, since it is not downloaded to compute \
             one: list it \
             as {{ name = \"{0}\", sha256 = \"…\" }} with what `sha256sum` prints",
            file.name
        )
    })?;
    Ok(AlbumFile { name: file.name, ascii_name: file.ascii_name, media_type: file.media_type, bytes, sha256 })
}

/// The size of a file, if it can be downloaded and has the expected size.
fn look_at(name: &str, expected_bytes: Option<u64>, folder: &Folder) -> Result<u64, String> {
    let object = folder.get(name).ok_or_else(|| format!("`{name}` is not there: upload it"))?;
    if let Some(expected) = expected_bytes.filter(|expected| *expected != object.stamp.bytes) {
        return Err(format!(
            "`{name}` has {} bytes instead of {expected}: upload it again",
            object.stamp.bytes
        ));
    }
    match &object.archived {
        Some(class) => Err(format!(
            "`{name}` is archived ({class}) and cannot be downloaded: copy it to the class STANDARD"
        )),
        None => Ok(object.stamp.bytes),
    }
}

/// Whether all files of an album exist. The error names those that do not.
pub(super) fn check(album: &Album, folder: &Folder) -> Result<(), String> {
    let wrong: Vec<String> =
        album.files.iter().filter_map(|file| look_at(&file.name, Some(file.bytes), folder).err()).collect();
    if wrong.is_empty() { Ok(()) } else { Err(join(&wrong)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::s3::client::Stamp;

    fn object(name: &str, bytes: u64) -> Object {
        let stamp = Stamp { bytes, ..Stamp::default() };
        Object { name: name.to_owned(), stamp, archived: None }
    }

    fn manifest(files: &str) -> Manifest {
        Manifest::parse(&format!("id = 'a'\ntitle = 'A'\nartist = 'B'\nfiles = [{files}]")).unwrap()
    }

    fn listed(name: &str) -> String {
        format!("{{ name = '{name}', sha256 = '{}' }}", "ab".repeat(32))
    }

    #[test]
    fn a_folder_has_what_lies_in_it_and_nothing_else() {
        let names = [
            "a/",
            "a/x.flac",
            "a/deep/y.flac",
            "b/album.toml",
            "stray.txt",
            ".hidden/z",
            "../z",
            "/z",
            "c/deep/w",
        ];
        let folders = folders(names.map(|name| object(name, 1)).into()).unwrap();
        let names: Vec<(&str, Vec<&str>)> = folders
            .iter()
            .map(|(folder, files)| (folder.as_str(), files.keys().map(String::as_str).collect()))
            .collect();
        assert_eq!(names, [("a", vec!["x.flac"]), ("b", vec!["album.toml"]), ("c", vec![])]);
    }

    #[test]
    fn folders_are_bounded() {
        let many = (0..=MAX_FOLDERS).map(|number| object(&format!("{number}/album.toml"), 1)).collect();
        assert!(folders(many).unwrap_err().contains("a prefix, or a bucket, of its own"));
    }

    #[test]
    fn an_album_has_the_sizes_that_the_listing_has() {
        let folder = Folder::from([("x.flac".to_owned(), object("a/x.flac", 7))]);
        let album = album("a", manifest(&listed("x.flac")), &folder).unwrap();
        assert_eq!((album.files[0].bytes, album.folder.as_str()), (7, "a"));
        assert_eq!(check(&album, &folder), Ok(()));
        assert!(check(&album, &Folder::new()).unwrap_err().contains("upload it"));
    }

    #[test]
    fn what_is_wrong_with_an_album_is_said() {
        let mut archived = object("a/z.flac", 7);
        archived.archived = Some("GLACIER".to_owned());
        let folder =
            Folder::from([("x.flac".to_owned(), object("a/x.flac", 7)), ("z.flac".to_owned(), archived)]);
        for (files, said) in [
            ("'x.flac'".to_owned(), "sha256sum"),
            (listed("y.flac"), "`y.flac` is not there: upload it"),
            (listed("z.flac"), "archived (GLACIER)"),
            (listed("x.flac").replace(" }", ", bytes = 8 }"), "7 bytes instead of 8"),
        ] {
            let why = album("a", manifest(&files), &folder).unwrap_err();
            assert!(why.contains(said), "{why}");
        }
    }
}
