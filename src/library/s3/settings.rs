//! The settings of a library on S3: the place, and the `AWS_…` variables that every tool for S3 reads.
//!
//! Pure: texts in, checked values out.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use zeroize::Zeroizing;

use crate::environment::Clock;

/// The longest prefix, in bytes. S3 allows keys of 1024, and a folder and a file follow the prefix.
const MAX_PREFIX_BYTES: usize = 500;
/// The usual default region of servers other than Amazon's.
const USUAL_REGION: &str = "us-east-1";

/// A bucket, and where in it the library is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The bucket's name.
    pub(super) bucket: String,
    /// The prefix of the keys of all objects of the library: empty, or with a slash at the end.
    pub(super) prefix: String,
}

/// The text is not a place on S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give s3://BUCKET/PREFIX: a bucket's name has letters, digits, dots, dashes and underscores, and a prefix is \
     folders with a slash between them, none of them empty, `.` or `..`"
)]
pub struct PlaceError;

impl FromStr for Place {
    type Err = PlaceError;

    /// Parses the text after `s3://`.
    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
        let is_name = (1..=255).contains(&bucket.len())
            && bucket.starts_with(|c: char| c.is_ascii_alphanumeric())
            && bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let folders = prefix.strip_suffix('/').unwrap_or(prefix);
        // Clients would remove empty segments and dots from the path of a link, which would then lead
        // to another object.
        let is_prefix = prefix.is_empty()
            || (prefix.len() <= MAX_PREFIX_BYTES
                && !folders.chars().any(char::is_control)
                && folders.split('/').all(|folder| !matches!(folder, "" | "." | "..")));
        if !is_name || !is_prefix {
            return Err(PlaceError);
        }
        let prefix = if folders.is_empty() { String::new() } else { format!("{folders}/") };
        Ok(Self { bucket: bucket.to_owned(), prefix })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

/// The endpoint of S3 and the credentials for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub(super) credentials: Credentials,
    pub(super) region: String,
    /// The endpoint of a server other than Amazon's.
    pub(super) endpoint: Option<Url>,
    /// The only trusted CA; by default the system's CAs.
    pub(super) ca_file: Option<PathBuf>,
}

/// The server's credentials for S3. Debug output never shows them.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: Zeroizing<String>,
    pub(super) session_token: Option<Zeroizing<String>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}

/// Variables are missing or wrong. Names them, and never quotes their values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// No credentials.
    #[error("a library on S3 needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")]
    NoCredentials,
    /// The region or endpoint is missing.
    #[error(
        "a library on S3 needs AWS_REGION, the region of its bucket (or AWS_ENDPOINT_URL, for a server other than \
         Amazon's)"
    )]
    NoRegion,
    /// The region is not valid as a part of a host name.
    #[error("AWS_REGION is not the name of a region, such as eu-central-1")]
    Region,
    /// The endpoint is not a valid address.
    #[error("{0} is not an address such as https://s3.example:9000, without user, query and fragment")]
    Endpoint(&'static str),
}

impl Access {
    /// Reads the variables. Empty variables count as not set.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, AccessError> {
        let variable =
            |name| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let credentials = Credentials {
            access_key_id: variable("AWS_ACCESS_KEY_ID").ok_or(AccessError::NoCredentials)?,
            secret_access_key: variable("AWS_SECRET_ACCESS_KEY").ok_or(AccessError::NoCredentials)?.into(),
            session_token: variable("AWS_SESSION_TOKEN").map(Zeroizing::new),
        };
        // The variable for S3 alone takes precedence over the one for all services.
        let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
            .into_iter()
            .find_map(|name| variable(name).map(|url| endpoint(&url).ok_or(AccessError::Endpoint(name))))
            .transpose()?;
        let region = variable("AWS_REGION")
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .or_else(|| endpoint.is_some().then(|| USUAL_REGION.to_owned()))
            .ok_or(AccessError::NoRegion)?;
        if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            return Err(AccessError::Region);
        }
        Ok(Self { credentials, region, endpoint, ca_file: variable("AWS_CA_BUNDLE").map(PathBuf::from) })
    }
}

fn endpoint(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}

/// All settings of a library on S3.
#[derive(Clone)]
pub struct Settings {
    /// The place.
    pub place: Place,
    /// The endpoint and the credentials.
    pub access: Access,
    /// When to look again, and how long a look is valid.
    pub periods: Periods,
    /// The clock that dates signatures.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("place", &self.place)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// The greatest ages of a look at S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// The library is looked through again when a request needs it and the last look is older than this.
    ///
    /// A look costs a request per 1000 objects, each of which takes some tens of milliseconds and costs money, so looks
    /// are rarer than in a folder. An album that is deleted within this time may still be redeemed; its receipt works
    /// as soon as the files are back.
    pub look_again_after: Duration,
    /// While S3 fails or is slow, the last look is valid until it is older than this. By default this is shorter than
    /// the lifetime of links: a holder who gets a link while S3 is down for that long can still use it when S3 is back.
    pub keep_look_for: Duration,
}

impl Default for Periods {
    fn default() -> Self {
        Self { look_again_after: Duration::from_secs(10), keep_look_for: Duration::from_mins(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];

    fn access(variables: &[(&str, &str)]) -> Result<Access, AccessError> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Access::from_variables(variable)
    }

    fn with_keys(variables: &[(&'static str, &'static str)]) -> Result<Access, AccessError> {
        access(&[&KEYS[..], variables].concat())
    }

    #[test]
    fn a_place_is_a_bucket_and_folders() {
        for (text, bucket, prefix) in [
            ("music", "music", ""),
            ("music/", "music", ""),
            ("my.music-2026/albums", "my.music-2026", "albums/"),
            ("music/a b/Ü/", "music", "a b/Ü/"),
        ] {
            let place: Place = text.parse().unwrap();
            assert_eq!((place.bucket.as_str(), place.prefix.as_str()), (bucket, prefix), "{text}");
        }
        for text in [
            "",
            "/",
            "/x",
            "..",
            "a b/x",
            "music//",
            "music/a//b",
            "music/../x",
            "music/./x",
            "music/a\nb",
            "ü/x",
        ] {
            assert_eq!(text.parse::<Place>(), Err(PlaceError), "{text:?}");
        }
    }

    #[test]
    fn the_usual_variables_are_read() {
        assert_eq!(access(&[]), Err(AccessError::NoCredentials));
        assert_eq!(
            access(&[("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "")]),
            Err(AccessError::NoCredentials)
        );
        assert_eq!(with_keys(&[]), Err(AccessError::NoRegion));
        assert_eq!(with_keys(&[("AWS_REGION", "evil.example/")]), Err(AccessError::Region));
        let on_amazon =
            with_keys(&[("AWS_DEFAULT_REGION", "eu-central-1"), ("AWS_ENDPOINT_URL", " ")]).unwrap();
        assert_eq!((on_amazon.region.as_str(), on_amazon.endpoint), ("eu-central-1", None));
        let both = with_keys(&[("AWS_DEFAULT_REGION", "eu-central-1"), ("AWS_REGION", "eu-west-1")]).unwrap();
        assert_eq!(both.region, "eu-west-1");
        let elsewhere = with_keys(&[
            ("AWS_ENDPOINT_URL", "http://localhost:4566"),
            ("AWS_ENDPOINT_URL_S3", "https://s3.example:9000"),
        ])
        .unwrap();
        assert_eq!(elsewhere.region, USUAL_REGION);
        assert_eq!(elsewhere.endpoint.unwrap().as_str(), "https://s3.example:9000/");
        for url in
            ["s3.example", "ftp://s3.example", "http://", "http://u:p@s3.example", "http://s3.example/?a=b"]
        {
            assert_eq!(
                with_keys(&[("AWS_ENDPOINT_URL", url)]),
                Err(AccessError::Endpoint("AWS_ENDPOINT_URL")),
                "{url}"
            );
        }
    }

    #[test]
    fn credentials_print_as_nothing() {
        let access = with_keys(&[("AWS_REGION", "eu-west-1"), ("AWS_SESSION_TOKEN", "swordfish")]).unwrap();
        let printed = format!("{access:?}");
        assert!(
            !printed.contains("hunter2") && !printed.contains("swordfish") && !printed.contains("AKID"),
            "{printed}"
        );
    }
}
