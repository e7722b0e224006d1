//! Section 3, `GET` and `HEAD` of `/files/…`: "a signed link of the built-in library: `Range`, `ETag`,
//! `Content-Disposition`; 403 `link_invalid`, 410 `link_expired`".

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::Command;

use crate::support::http::{Answer, Request, connect, find, percent_decode, target_of};
use crate::support::redeemed::{File, Redeemed};
use crate::support::server::Server;
use crate::support::shop::{
    ODD_FILE, PLAIN_FILE, Shop, Ticket, content, content_of, file_names, hexadecimal_sha256,
};
use crate::support::time::eventually;

/// A server with one redemption, and the link of one of its files.
struct Download {
    _shop: Shop,
    server: Server,
    redeemed: Redeemed,
    content: Vec<u8>,
}

impl Download {
    fn new() -> Self {
        let shop = Shop::new();
        let server = shop.serve();
        let redeemed = server.redeemed(&shop.ticket());
        Self { _shop: shop, server, redeemed, content: content_of(PLAIN_FILE) }
    }

    fn file(&self) -> &File {
        self.redeemed.file(PLAIN_FILE)
    }

    fn target(&self) -> &str {
        target_of(&self.file().url)
    }

    #[track_caller]
    fn with(&self, headers: &[(&str, &str)]) -> Answer {
        let request = Request::get(self.target());
        self.server.send(&headers.iter().fold(request, |request, (name, value)| request.header(name, value)))
    }

    #[track_caller]
    fn range(&self, range: &str) -> Answer {
        self.with(&[("Range", range)])
    }

    #[track_caller]
    fn etag(&self) -> String {
        self.with(&[]).required_header("etag").to_owned()
    }

    /// Fails unless the answer is the whole file.
    #[track_caller]
    fn whole(&self, answer: &Answer) {
        assert!(answer.expect(200).body == self.content, "not the file's bytes: {}", answer.head());
        assert!(answer.header("content-range").is_none(), "{}", answer.head());
    }
}

#[test]
fn a_file_comes_with_its_size_and_type_and_as_a_download() {
    let download = Download::new();
    for name in file_names() {
        let file = download.redeemed.file(name);
        let answer = download.server.follow(&file.url);
        let content = content_of(name);
        assert!(answer.expect(200).body == content, "{name}");
        assert_eq!(answer.header("content-length"), Some(content.len().to_string().as_str()));
        assert_eq!(answer.media_type(), file.media_type);
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        assert_eq!(hexadecimal_sha256(&answer.body), file.sha256);
        assert_eq!(saved_as(&answer), name, "{}", answer.head());
    }
}

/// The name under which a browser saves the file, by RFC 6266: `filename*` is decoded, else `filename` is unquoted.
#[track_caller]
fn saved_as(answer: &Answer) -> String {
    let disposition = answer.required_header("content-disposition");
    assert!(disposition.is_ascii(), "{disposition}");
    let mut parameters = disposition.strip_prefix("attachment").expect("a file is to be saved, not shown");
    let (mut plain, mut extended) = (None, None);
    while let Some(rest) = parameters.trim_start().strip_prefix(';') {
        let (name, value) = rest.trim_start().split_once('=').expect("a parameter has a value");
        let (value, rest) = if let Some(quoted) = value.strip_prefix('"') {
            unquote(quoted)
        } else {
            let end = value.find(';').unwrap_or(value.len());
            (value[..end].to_owned(), &value[end..])
        };
        match name.trim().to_lowercase().as_str() {
            "filename" => plain = Some(value),
            "filename*" => extended = Some(value),
            _ => {}
        }
        parameters = rest;
    }
    assert_eq!(parameters.trim(), "", "{disposition}");
    match extended {
        Some(value) => percent_decode(value.strip_prefix("UTF-8''").expect("RFC 8187 with UTF-8")),
        None => plain.expect("a name"),
    }
}

/// The text up to the closing quote, and what follows it.
#[track_caller]
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return (value, &text[place + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    panic!("a quote is not closed: {text}");
}

#[test]
fn head_is_get_without_the_body() {
    let download = Download::new();
    let get = download.with(&[]);
    let head = download.server.send(&Request::new("HEAD", download.target()));
    assert!(head.expect(200).body.is_empty());
    for name in ["content-length", "content-type", "content-disposition", "etag", "accept-ranges"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
}

#[test]
fn a_range_gives_just_these_bytes() {
    let download = Download::new();
    let content = &download.content;
    let size = content.len();
    let cases = [
        ("bytes=0-0".to_owned(), 0..1),
        ("bytes=0-99".to_owned(), 0..100),
        ("bytes=100-199".to_owned(), 100..200),
        ("bytes=200000-".to_owned(), 200_000..size),
        ("bytes=0-".to_owned(), 0..size),
        (format!("bytes={}-", size - 1), size - 1..size),
        ("bytes=-1".to_owned(), size - 1..size),
        ("bytes=-500".to_owned(), size - 500..size),
        (format!("bytes=-{}", size * 2), 0..size),
        (format!("bytes=10-{}", size * 2), 10..size),
    ];
    for (range, expected) in cases {
        let answer = download.range(&range);
        let from_to = format!("bytes {}-{}/{size}", expected.start, expected.end - 1);
        assert_eq!(answer.expect(206).header("content-range"), Some(from_to.as_str()), "{range}");
        assert_eq!(answer.header("content-length"), Some(expected.len().to_string().as_str()), "{range}");
        assert!(answer.body == content[expected], "{range}");
        assert_eq!(answer.header("etag"), Some(download.etag().as_str()), "{range}");
    }
}

#[test]
fn a_range_outside_of_the_file_cannot_be_satisfied() {
    let download = Download::new();
    let size = download.content.len();
    for range in
        [format!("bytes={size}-"), format!("bytes={}-{}", size + 10, size + 20), "bytes=-0".to_owned()]
    {
        let answer = download.range(&range);
        let unsatisfied = format!("bytes */{size}");
        assert_eq!(answer.expect(416).header("content-range"), Some(unsatisfied.as_str()), "{range}");
    }
}

/// RFC 9110 14.2: a unit that is not known is as if it were not there; a range that cannot be read, or that has no
/// bytes in it, may also be refused.
#[test]
fn a_range_that_makes_no_sense_is_ignored_or_refused() {
    let download = Download::new();
    download.whole(&download.range("lines=1-2"));
    for range in ["bytes", "bytes=", "bytes=a-b", "bytes=-", "bytes=5-2", "0-5"] {
        let answer = download.range(range);
        match answer.status {
            200 => download.whole(&answer),
            400 | 416 => {}
            status => panic!("{status} for {range}"),
        }
    }
}

/// Several ranges may be answered in parts, as one, or with everything, but not wrongly. A thousand overlapping ones
/// must not make a giant of a small file.
#[test]
fn several_ranges_get_a_valid_answer() {
    let download = Download::new();
    let overlapping: Vec<String> = (0..300).map(|start| format!("{start}-")).collect();
    for range in [
        "bytes=0-9,20-29".to_owned(),
        "bytes=0-9, -10".to_owned(),
        format!("bytes={}", overlapping.join(",")),
    ] {
        let answer = download.range(&range);
        assert!(
            answer.body.len() <= download.content.len() + 4096,
            "{} bytes for {range}",
            answer.body.len()
        );
        match answer.status {
            200 => download.whole(&answer),
            206 if answer.media_type() == "multipart/byteranges" => {
                let (head, tail) =
                    (&download.content[..10], &download.content[download.content.len() - 10..]);
                let second = if range.contains("-10") { tail } else { &download.content[20..30] };
                assert!(
                    find(&answer.body, head).is_some() && find(&answer.body, second).is_some(),
                    "{range}"
                );
            }
            206 => assert!(find(&download.content, &answer.body).is_some(), "{range}"),
            416 => {}
            status => panic!("{status} for {range}"),
        }
    }
}

/// A strong tag is what makes it safe to put two pieces together.
#[test]
fn the_etag_is_strong_and_stays_with_the_content() {
    let download = Download::new();
    let etag = download.etag();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");
    assert_eq!(download.range("bytes=5-6").header("etag"), Some(etag.as_str()));
    let other = download.server.follow(&download.redeemed.file(ODD_FILE).url);
    assert_ne!(other.header("etag"), Some(etag.as_str()));
}

#[test]
fn what_the_client_has_already_is_not_sent_again() {
    let download = Download::new();
    let etag = download.etag();
    for matching in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let answer = download.with(&[("If-None-Match", &matching)]);
        assert!(answer.expect(304).body.is_empty(), "{matching}");
        assert_eq!(answer.header("etag"), Some(etag.as_str()), "{matching}");
        // RFC 9110 13.2.2: this condition comes before the range.
        download.with(&[("If-None-Match", &matching), ("Range", "bytes=0-9")]).expect(304);
    }
    download.whole(&download.with(&[("If-None-Match", "\"other\"")]));
}

/// RFC 9110 13.1.5: the piece if it is still the same file, else all of it.
#[test]
fn if_range_gives_a_piece_only_of_the_same_file() {
    let download = Download::new();
    let etag = download.etag();
    let range = ("Range", "bytes=100-199");
    let piece = download.with(&[range, ("If-Range", &etag)]);
    assert!(piece.expect(206).body == download.content[100..200]);
    for other in ["\"other\"".to_owned(), format!("W/{etag}"), "Sat, 01 Jan 2000 00:00:00 GMT".to_owned()] {
        download.whole(&download.with(&[range, ("If-Range", &other)]));
    }
    download.whole(&download.with(&[("If-Range", &etag)]));
}

/// A train goes into a tunnel; the rest comes later, and the whole is the file.
#[test]
fn a_download_that_was_cut_off_can_be_resumed() {
    let download = Download::new();
    let mut stream = connect(download.server.address).expect("a connection");
    let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", download.target());
    stream.write_all(request.as_bytes()).expect("it is read");
    let mut received = vec![0; 100_000];
    stream.read_exact(&mut received).expect("more than this comes");
    drop(stream);
    let end = find(&received, b"\r\n\r\n").expect("a whole head") + 4;
    let mut file = received.split_off(end);

    let range = format!("bytes={}-", file.len());
    let rest = download.with(&[("Range", &range), ("If-Range", &download.etag())]);
    file.extend_from_slice(&rest.expect(206).body);
    assert_eq!(hexadecimal_sha256(&file), download.file().sha256);
}

/// Each character of a link is signed. What only breaks the link's form may also be called not found or malformed.
#[test]
fn a_link_with_any_character_changed_is_invalid() {
    let download = Download::new();
    let target = download.target();
    let signed = "/files/".len();
    for place in signed..target.len() {
        let old = target.as_bytes()[place];
        let in_escape = target[..place].rfind('%').is_some_and(|escape| place - escape <= 2);
        for new in [b'A', b'b', b'7', old ^ 1] {
            // Both cases of a hexadecimal digit in an escape are the same URL.
            if new.eq_ignore_ascii_case(&old) || !new.is_ascii_alphanumeric() {
                continue;
            }
            let mut forged = target.as_bytes().to_owned();
            forged[place] = new;
            let answer = download.server.get(std::str::from_utf8(&forged).expect("ASCII"));
            if old.is_ascii_alphanumeric() && !in_escape {
                answer.problem(403, "link_invalid");
            } else {
                assert!(
                    matches!(answer.status, 400 | 403 | 404),
                    "{}: {answer}",
                    String::from_utf8_lossy(&forged)
                );
            }
        }
        if old.is_ascii_alphabetic() && !in_escape {
            let mut forged = target.as_bytes().to_owned();
            forged[place] ^= 0x20;
            download.server.get(std::str::from_utf8(&forged).expect("ASCII")).problem(403, "link_invalid");
        }
    }
    download.whole(&download.with(&[]));
}

/// The parts of a link belong together: those of two links do not make a third.
#[test]
fn the_parts_of_two_links_do_not_make_a_third() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--link-min-seconds", "600"]);
    let first = server.redeemed(&shop.ticket());
    let second = server.redeemed(&shop.ticket());
    let links: Vec<&str> = first.files.iter().chain(&second.files).map(|file| target_of(&file.url)).collect();
    let mut tried = 0;
    for link in &links {
        for other in &links {
            for forged in crosses(link, other) {
                if !links.contains(&forged.as_str()) {
                    assert!(matches!(server.get(&forged).status, 403 | 404), "{forged}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 0, "links have no parts that could be exchanged: {links:?}");
}

/// Every link that comes of putting one part of the other into this one.
fn crosses(link: &str, other: &str) -> Vec<String> {
    let delimiters = ['/', '?', '&', '='];
    let (parts, other_parts): (Vec<&str>, Vec<&str>) =
        (link.split_inclusive(delimiters).collect(), other.split_inclusive(delimiters).collect());
    if parts.len() != other_parts.len() {
        return Vec::new();
    }
    let cross =
        |place: usize| [&parts[..place], &[other_parts[place]], &parts[place + 1..]].concat().concat();
    (0..parts.len()).map(cross).collect()
}

/// Leaving out any part, or the whole signature, opens nothing.
#[test]
fn a_link_with_a_part_left_out_is_no_link() {
    let download = Download::new();
    let target = download.target();
    let mut shortened: Vec<String> =
        (1..target.len() - "/files/".len()).map(|cut| target[..target.len() - cut].to_owned()).collect();
    if let Some((path, query)) = target.split_once('?') {
        let parameters: Vec<&str> = query.split('&').collect();
        for left_out in 0..parameters.len() {
            let kept: Vec<&str> = [&parameters[..left_out], &parameters[left_out + 1..]].concat();
            shortened.push(format!("{path}?{}", kept.join("&")));
        }
    }
    for forged in shortened {
        assert!(matches!(download.server.get(&forged).status, 400 | 403 | 404), "{forged}");
    }
}

#[test]
fn a_link_that_has_expired_says_so_and_a_forged_one_does_not_pretend_to() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--link-min-seconds", "1", "--link-max-seconds", "2"]);
    let redeemed = server.redeemed(&shop.ticket());
    let link = target_of(&redeemed.files[0].url);
    server.get(link).expect(200);
    let answer = eventually("the link expires", || {
        let answer = server.get(link);
        (answer.status != 200).then_some(answer)
    });
    answer.problem(410, "link_expired");
    let head = server.send(&Request::new("HEAD", link));
    assert!(head.expect(410).body.is_empty());
    server.send(&Request::get(link).header("Range", "bytes=0-9")).problem(410, "link_expired");
}

/// The library is not the file system.
#[test]
fn no_path_leads_out_of_the_library() {
    let download = Download::new();
    let depth = "../".repeat(12);
    let escaped = "%2e%2e%2f".repeat(12);
    let (path, query) = download.target().split_once('?').unwrap_or((download.target(), ""));
    let name_at = path.rfind('/').expect("a path") + 1;
    let mut targets = vec![
        "/files/".to_owned(),
        "/files".to_owned(),
        "/files/album.toml".to_owned(),
        format!("/files/{}album.toml?{query}", &path["/files/".len()..name_at]),
    ];
    for passwd in [format!("{depth}etc/passwd"), format!("{escaped}etc%2fpasswd"), "/etc/passwd".to_owned()] {
        targets.push(format!("/files/{passwd}"));
        targets.push(format!("/files/{passwd}?{query}"));
        targets.push(format!("{}{passwd}?{query}", &path[..name_at]));
        targets.push(format!("{path}/{passwd}?{query}"));
    }
    targets.push(format!("/files/{}link-keys?{query}", "..%5c".repeat(3)));
    targets.push(format!("{path}%00.flac?{query}"));
    for target in targets {
        let answer = download.server.get(&target);
        assert!(matches!(answer.status, 400 | 403 | 404), "{target}: {answer}");
        assert!(!answer.text().contains("root:"), "{target}");
    }
}

/// Only reading: a link gives its holder no way to change anything.
#[test]
fn a_link_can_only_be_read() {
    let download = Download::new();
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = download.server.send(&Request::new(method, download.target()));
        answer.expect(405).required_header("allow");
    }
    download.whole(&download.with(&[]));
}

/// A link is of a file of one album: other albums' links are other links.
#[test]
fn files_of_the_same_name_in_two_albums_are_two_files() {
    let shop = Shop::new();
    shop.add_album("other", "Other", "Other", &[(PLAIN_FILE, b"something else".to_vec())]);
    let server = shop.serve();
    let mine = server.redeemed(&shop.ticket());
    let other = server.redeemed(&shop.ticket_with(|key| Ticket::new(key).of_album("other")));
    assert_eq!(server.follow(&other.file(PLAIN_FILE).url).body, b"something else");
    assert_eq!(server.follow(&mine.file(PLAIN_FILE).url).body, content_of(PLAIN_FILE));
}

/// `curl -OJ` saves a file under `filename=` and never overwrites one: each file of an album has its own there,
/// whatever letters its name has, and one that can be read.
#[test]
fn curl_saves_every_file_of_an_album_whatever_letters_the_names_have() {
    let shop = Shop::new();
    let names =
        ["夜.flac", "朝.flac", "昼.flac", "01 Für Élise.flac", "CON.flac", "Ye.flac", "名.pdf", "😀.flac"];
    let files: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (*name, content(name, 100))).collect();
    shop.add_album("names", "T", "A", &files);
    let server = shop.serve();
    let redeemed = server.redeemed(&shop.ticket_with(|key| Ticket::new(key).of_album("names")));
    let saved = shop.path("saved");
    fs::create_dir(&saved).expect("a folder");
    for file in &redeemed.files {
        let status = Command::new("curl").args(["-sfOJ", &file.url]).current_dir(&saved).status();
        assert!(status.expect("this test needs curl").success(), "{}", file.name);
    }
    let mut found: Vec<(String, Vec<u8>)> = fs::read_dir(&saved)
        .expect("the folder")
        .map(|entry| entry.expect("a file").path())
        .map(|path| {
            (
                path.file_name().expect("a name").to_string_lossy().into_owned(),
                fs::read(&path).expect("a file"),
            )
        })
        .collect();
    found.sort();
    let found_names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        found_names,
        [
            "01 Fur Elise.flac",
            "Chao.flac",
            "Ming.pdf",
            "Ye-2.flac",
            "Ye.flac",
            "Zhou.flac",
            "_CON.flac",
            "_grinning_.flac"
        ]
    );
    for (name, content) in &files {
        assert!(found.iter().any(|(_, saved)| saved == content), "{name}");
    }
}
