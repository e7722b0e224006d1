//! Links and clocks, without any server.

use super::*;
use crate::library::s3::settings::{Access, Credentials, Periods};

#[derive(Clone, Copy)]
struct Stopped(Timestamp);

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn client(place: &str, region: &str, endpoint: Option<&str>, now: i64) -> Client {
    let credentials = Credentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned().into(),
        session_token: None,
    };
    let endpoint = endpoint.map(|url| url.parse().unwrap());
    let access = Access { credentials, region: region.to_owned(), endpoint, ca_file: None };
    let (place, clock) = (place.parse().unwrap(), Arc::new(Stopped(at(now))));
    Client::new(&Settings { place, access, periods: Periods::default(), clock }).unwrap()
}

const LIFE: Life = Life { issued_at: Timestamp::UNIX_EPOCH, lifetime: Duration::from_hours(1) };

#[test]
fn links_lead_to_where_the_bucket_is() {
    for (place, region, endpoint, start) in [
        ("music", "eu-west-1", None, "https://music.s3.eu-west-1.amazonaws.com/a/b.flac?"),
        ("music/albums", "cn-north-1", None, "https://music.s3.cn-north-1.amazonaws.com.cn/albums/a/b.flac?"),
        ("my.music", "eu-west-1", None, "https://s3.eu-west-1.amazonaws.com/my.music/a/b.flac?"),
        ("music", "us-east-1", Some("http://127.0.0.1:7070"), "http://127.0.0.1:7070/music/a/b.flac?"),
        ("music/x y", "us-east-1", Some("https://s3.example/"), "https://s3.example/music/x%20y/a/b.flac?"),
    ] {
        let client = client(place, region, endpoint, 0);
        let link = client.link("a/b.flac", LIFE, "audio/flac", "attachment");
        assert!(link.starts_with(start), "{link}");
        assert!(link.starts_with(&client.origin()), "{link}");
    }
}

/// The time of signing is the one that the ticket has; that of asking does not matter.
#[test]
fn a_link_is_determined_by_when_it_begins_to_live() {
    let link = |now, issued_at| {
        let life = Life { issued_at: at(issued_at), lifetime: Duration::from_mins(10) };
        client("music", "eu-west-1", None, now).link(
            "a/Ü &+%.flac",
            life,
            "audio/flac",
            "attachment; filename=\"_\"",
        )
    };
    let first = link(1_800_000_000, 1_800_000_000);
    assert_eq!(link(1_800_000_599, 1_800_000_000), first);
    assert_ne!(link(1_800_000_599, 1_800_000_599), first);
    for part in [
        "/a/%C3%9C%20%26%2B%25.flac?",
        "X-Amz-Date=20270115T080000Z&",
        "X-Amz-Expires=600&",
        "response-content-disposition=attachment%3B%20filename%3D%22_%22&",
        "response-content-type=audio%2Fflac&",
    ] {
        assert!(first.contains(part), "{part} is not in {first}");
    }
    assert!(!first.contains("wJalrXUt"));
}

#[test]
fn the_clocks_are_compared() {
    let mut headers = HeaderMap::new();
    assert_eq!(skew(&headers, at(0)), None);
    headers.insert(DATE, "Fri, 15 Jan 2027 08:00:00 GMT".parse().unwrap());
    assert_eq!(skew(&headers, at(1_800_000_060)), Some(60));
    assert_eq!(skew(&headers, at(1_799_999_990)), Some(-10));
    headers.insert(DATE, "yesterday".parse().unwrap());
    assert_eq!(skew(&headers, at(0)), None);
}

#[test]
fn only_the_digest_of_the_whole_counts() {
    let digest = decode_digest(b"mOpuTyFvL7S2n/+bOkSELDhobKaF8/VdxIxdP7EQe+Q=").unwrap();
    assert_eq!(digest.to_string(), "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4");
    assert_eq!(decode_digest(b"mOpuTyFvL7S2n/+bOkSELDhobKaF8/VdxIxdP7EQe+Q=-2"), None);
    assert_eq!(decode_digest(b""), None);
}
