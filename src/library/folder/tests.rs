//! Folders on a real disk.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::PathBuf;

use tokio::time::timeout;

use super::album_folder::WAIT_FOR_DIGESTS;
use super::*;
use crate::disk::ReadError;

/// How long anything that should happen soon may take on a busy machine.
const SOON: Duration = Duration::from_secs(30);

struct Shelf {
    folder: tempfile::TempDir,
}

impl Shelf {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An album with one file, `song`, whose digest its manifest does not give.
    fn add(&self, folder: &str, id: &str, content: &str) {
        fs::create_dir_all(self.path(folder)).unwrap();
        fs::write(self.path(folder).join("song"), content).unwrap();
        self.write_manifest(folder, id, "'song'");
    }

    fn write_manifest(&self, folder: &str, id: &str, files: &str) {
        let manifest = format!("id = '{id}'\ntitle = 'T'\nartist = 'A'\nfiles = [{files}]\n");
        fs::write(self.path(folder).join("album.toml"), manifest).unwrap();
    }

    async fn open(&self) -> FolderLibrary {
        FolderLibrary::open(self.folder.path()).await.unwrap()
    }
}

async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < SOON, "{what}: not within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Overwrites a file until its time of change shows it, since clocks of file systems tick slowly.
fn overwrite(path: &Path, content: &str) {
    let changed = |path: &Path| {
        let metadata = fs::metadata(path).unwrap();
        (metadata.ctime(), metadata.ctime_nsec())
    };
    let before = changed(path);
    while changed(path) == before {
        fs::write(path, content).unwrap();
    }
}

async fn content(file: &OpenFile) -> Result<Vec<u8>, ReadError> {
    let Content::Disk(disk) = &file.content else { panic!("it is on disk") };
    disk.read_at(0, vec![0; usize::try_from(file.bytes).unwrap()]).await
}

async fn sha256(library: &FolderLibrary, id: &str) -> String {
    eventually("the album is read", async || library.album(id).await.ok()).await.files[0].sha256.to_string()
}

#[tokio::test]
async fn albums_come_move_and_go() {
    let shelf = Shelf::new();
    shelf.add("first", "a", "1");
    let library = shelf.open().await;
    let first = sha256(&library, "a").await;
    shelf.add("second", "b", "22");
    eventually("a new album", async || library.album("b").await.ok()).await;
    fs::rename(shelf.path("first"), shelf.path("third")).unwrap();
    let moved =
        eventually("it moves", async || library.album("a").await.ok().filter(|a| a.folder == "third")).await;
    assert_eq!(moved.files[0].sha256.to_string(), first);
    fs::remove_dir_all(shelf.path("third")).unwrap();
    let gone = eventually("it goes", async || library.album("a").await.err()).await;
    assert!(matches!(gone, LibraryError::NoSuchAlbum(_) | LibraryError::Incomplete { .. }), "{gone:?}");
    eventually("it is gone", async || {
        matches!(library.album("a").await, Err(LibraryError::NoSuchAlbum(_))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_id_belongs_to_the_first_folder_that_has_it() {
    let shelf = Shelf::new();
    shelf.add("2", "a", "two");
    shelf.add("1", "a", "one");
    let library = shelf.open().await;
    let listed = library.list().await.unwrap();
    assert_eq!(listed[0].album.as_ref().unwrap().id, "a");
    assert_eq!(listed[1].album.as_ref().unwrap_err(), "its id `a` is that of the album in `1`");
    assert_eq!(library.album("a").await.unwrap().folder, "1");
}

#[tokio::test]
async fn a_link_is_named_as_one_wherever_it_is() {
    let (shelf, elsewhere) = (Shelf::new(), Shelf::new());
    elsewhere.add("jp", "jp", "song");
    symlink(elsewhere.path("jp"), shelf.path("jp")).unwrap();
    shelf.add("file", "file", "song");
    fs::remove_file(shelf.path("file/song")).unwrap();
    symlink(elsewhere.path("jp/song"), shelf.path("file/song")).unwrap();
    shelf.add("manifest", "manifest", "song");
    fs::rename(shelf.path("manifest/album.toml"), elsewhere.path("album.toml")).unwrap();
    symlink(elsewhere.path("album.toml"), shelf.path("manifest/album.toml")).unwrap();
    let library = shelf.open().await;
    for listed in library.list().await.unwrap() {
        let why = listed.album.unwrap_err();
        assert!(why.contains("is a symbolic link, which is not followed: "), "{}: {why}", listed.folder);
        let error = library.album(&listed.folder).await.unwrap_err();
        assert!(matches!(error, LibraryError::Incomplete { .. }), "{error}");
        assert!(error.to_string().contains(&why), "{error}");
    }
    assert_eq!(library.list().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_pipe_is_no_file_and_nobody_waits_for_its_writer() {
    let shelf = Shelf::new();
    for (folder, name) in [("song", "song"), ("manifest", "album.toml")] {
        shelf.add(folder, folder, "x");
        let pipe = shelf.path(folder).join(name);
        fs::remove_file(&pipe).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    }
    let library = shelf.open().await;
    for folder in ["song", "manifest"] {
        let error = library.album(folder).await.unwrap_err().to_string();
        assert!(error.contains("is a pipe"), "{error}");
    }
}

/// Case: "nobody waits for an album that is not theirs".
#[tokio::test]
async fn while_an_album_is_read_the_others_are_there() {
    let shelf = Shelf::new();
    shelf.add("small", "small", "x");
    let library = shelf.open().await;
    shelf.add("large", "large", "");
    let large = fs::OpenOptions::new().write(true).open(shelf.path("large/song")).unwrap();
    large.set_len(1 << 40).unwrap();
    eventually("it is found", async || {
        (library.album("large").await.unwrap_err() == LibraryError::BeingRead("large".to_owned()))
            .then_some(())
    })
    .await;
    for _ in 0..3 {
        // Those who ask for the album that is read wait for it half a second.
        timeout(WAIT_FOR_DIGESTS / 2, library.album("small")).await.expect("at once").unwrap();
        assert_eq!(library.album("large").await.unwrap_err(), LibraryError::BeingRead("large".to_owned()));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    large.set_len(1).unwrap();
    let album = eventually("it is read", async || library.album("large").await.ok()).await;
    assert_eq!(album.files[0].bytes, 1);
}

/// Issue: "a file replaced in place is served under its old `ETag`".
#[tokio::test]
async fn an_entity_tag_is_of_what_is_open_and_a_changed_file_is_not_read_on() {
    let shelf = Shelf::new();
    shelf.add("a", "a", "old");
    let digest = "ab".repeat(32);
    shelf.write_manifest("a", "a", &format!("{{ name = 'song', sha256 = '{digest}' }}"));
    let library = shelf.open().await;
    let album = library.album("a").await.unwrap();
    let before = library.open_file(&album, &album.files[0]).await.unwrap();
    assert_eq!(content(&before).await.unwrap(), b"old");
    let same = library.open_file(&album, &album.files[0]).await.unwrap();
    assert_eq!(same.entity_tag, before.entity_tag);
    overwrite(&shelf.path("a/song"), "new");
    assert!(matches!(content(&before).await, Err(ReadError::Changed)));
    let after = library.open_file(&album, &album.files[0]).await.unwrap();
    assert_ne!(after.entity_tag, before.entity_tag);
    assert_eq!(content(&after).await.unwrap(), b"new");
}

#[tokio::test]
async fn a_file_that_was_replaced_is_given_while_it_is_read_anew() {
    let shelf = Shelf::new();
    shelf.add("a", "a", "old");
    let library = shelf.open().await;
    let first = sha256(&library, "a").await;
    let song = fs::OpenOptions::new().write(true).open(shelf.path("a/song")).unwrap();
    song.set_len(1 << 40).unwrap();
    eventually("it is seen", async || library.album("a").await.err()).await;
    let album = library.downloadable("a").await.unwrap();
    let open = library.open_file(&album, &album.files[0]).await.unwrap();
    assert_eq!(open.bytes, 1 << 40);
    overwrite(&shelf.path("a/song"), "new");
    drop(song);
    eventually("another digest", async || {
        library.album("a").await.ok().filter(|album| album.files[0].sha256.to_string() != first)
    })
    .await;
}

#[tokio::test]
async fn a_size_that_the_manifest_gives_counts() {
    let shelf = Shelf::new();
    shelf.add("a", "a", "four");
    shelf.write_manifest("a", "a", "{ name = 'song', bytes = 4 }");
    let library = shelf.open().await;
    sha256(&library, "a").await;
    let album = library.album("a").await.unwrap();
    fs::write(shelf.path("a/song"), "fo").unwrap();
    match library.open_file(&album, &album.files[0]).await {
        Err(error) => {
            assert!(error.to_string().contains("has 2 bytes instead of 4: copy it again"), "{error}");
        }
        Ok(_) => panic!("half a file was opened"),
    }
}

#[tokio::test]
async fn a_library_that_vanishes_says_so_and_comes_back() {
    let shelf = Shelf::new();
    let root = shelf.path("library");
    fs::create_dir(&root).unwrap();
    let library = FolderLibrary::open(&root).await.unwrap();
    assert_eq!(library.album("a").await.unwrap_err(), LibraryError::NoSuchAlbum("a".to_owned()));
    fs::rename(&root, shelf.path("away")).unwrap();
    eventually("it is missed", async || {
        matches!(library.album("a").await, Err(LibraryError::Unreadable { .. })).then_some(())
    })
    .await;
    shelf.add("away/a", "a", "x");
    fs::rename(shelf.path("away"), &root).unwrap();
    eventually("it is back", async || library.album("a").await.ok()).await;
    assert!(FolderLibrary::open(&shelf.path("nowhere")).await.is_err());
}
