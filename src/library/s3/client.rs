//! Requests to S3 and links to its objects: signed, bounded, and retried when that may help. Knows objects, not albums.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, HeaderName};
use reqwest::{Method, StatusCode, Url};
use rusty_s3::actions::{ListObjectsV2, S3Action};
use rusty_s3::{Bucket, UrlStyle};
use tokio::sync::Semaphore;

use super::error::{Refusal, S3Error};
use super::settings::{Place, Settings};
use crate::environment::Clock;
use crate::library::album::Sha256Digest;
use crate::outbound::{self, BodyError};

/// The timeout for name resolution, connection and TLS handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The timeout of each try, from the first byte sent to the last byte received.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);
/// The most tries of a request.
const MAX_TRIES: u32 = 3;
/// The pause before the second try; the pause before the third is four times as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The lifetime of the signatures of our own requests: longer than a try takes, and than clocks usually differ.
const OWN_SIGNATURE_LIFE: Duration = Duration::from_mins(5);
/// The most requests under way at once.
const MAX_REQUESTS: usize = 16;
/// The most requests for one listing; each returns 1000 objects.
const MAX_PAGES: usize = 200;
/// The largest page of a listing that is read, in bytes: 1000 keys of 1024 bytes, each byte escaped,
/// with their metadata.
const MAX_PAGE_BYTES: u64 = 8 * 1024 * 1024;
/// The largest error that is read, in bytes.
const MAX_ERROR_BYTES: u64 = 64 * 1024;

/// The bucket, our credentials, and connections to it.
pub(super) struct Client {
    http: reqwest::Client,
    bucket: Bucket,
    credentials: rusty_s3::Credentials,
    place: Place,
    clock: Arc<dyn Clock>,
    permits: Semaphore,
    /// The seconds by which our clock was ahead of S3's at its last answer.
    skew_seconds: Mutex<Option<i64>>,
}

/// An object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    /// The name without the library's prefix.
    pub(super) name: String,
    pub(super) stamp: Stamp,
    /// The storage class, if the object must be restored before a download.
    pub(super) archived: Option<String>,
}

/// A stamp that changes when the object does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) etag: Option<String>,
    pub(super) modified: Option<String>,
    pub(super) bytes: u64,
}

/// The beginning and the lifetime of a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) issued_at: Timestamp,
    pub(super) lifetime: Duration,
}

struct Answer {
    headers: HeaderMap,
    body: Bytes,
}

impl Client {
    /// The error says what is wrong with the settings.
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
        let Settings { place, access, clock, .. } = settings;
        let (endpoint, style) = match &access.endpoint {
            // Other servers seldom have a host name for each bucket.
            Some(endpoint) => (endpoint.clone(), UrlStyle::Path),
            None => amazon(&access.region, &place.bucket)?,
        };
        let bucket =
            Bucket::new(endpoint, style, place.bucket.clone(), access.region.clone()).map_err(|_| {
                format!("the bucket `{}` has no address: correct its name or AWS_REGION", place.bucket)
            })?;
        let ca = access.ca_file.as_deref().map(|file| outbound::read_ca_file(file).map(|pem| (file, pem)));
        let ca = ca.transpose()?;
        let http = outbound::client(ca.as_ref().map(|(file, pem)| (*file, pem.as_slice())), CONNECT_TIMEOUT)?;
        let given = &access.credentials;
        let (id, secret) = (given.access_key_id.as_str(), given.secret_access_key.as_str());
        let credentials = match &given.session_token {
            Some(token) => rusty_s3::Credentials::new_with_token(id, secret, token.as_str()),
            None => rusty_s3::Credentials::new(id, secret),
        };
        Ok(Self {
            http,
            bucket,
            credentials,
            place: place.clone(),
            clock: Arc::clone(clock),
            permits: Semaphore::new(MAX_REQUESTS),
            skew_seconds: Mutex::new(None),
        })
    }

    /// `scheme://host[:port]` of every link.
    pub(super) fn origin(&self) -> String {
        self.bucket.base_url().origin().ascii_serialization()
    }

    /// The address of the bucket, for people.
    pub(super) fn address(&self) -> &str {
        self.bucket.base_url().as_str()
    }

    /// The seconds by which our clock was ahead of S3's at its last answer, if known.
    pub(super) fn skew_seconds(&self) -> Option<i64> {
        *self.skew_seconds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All objects of the library whose names begin with `start`.
    pub(super) async fn list(&self, start: &str) -> Result<Vec<Object>, S3Error> {
        let prefix = format!("{}{start}", self.place.prefix);
        let mut objects = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut action = ListObjectsV2::new(&self.bucket, Some(&self.credentials));
            action.with_prefix(prefix.as_str());
            if let Some(token) = &token {
                action.with_continuation_token(token.as_str());
            }
            let answer = match self.ask(Method::GET, &action, &[], MAX_PAGE_BYTES).await {
                // A plain 404 without an S3 error: S3 would name what is missing.
                Err(S3Error::NoSuchObject) => {
                    Err(self.refusal(StatusCode::NOT_FOUND, &HeaderMap::new(), " ", None))
                }
                answer => answer,
            }?;
            let page = std::str::from_utf8(&answer.body)
                .ok()
                .and_then(|text| ListObjectsV2::parse_response(text).ok());
            let page = page.ok_or_else(|| self.refusal(StatusCode::OK, &answer.headers, "", None))?;
            objects.extend(page.contents.into_iter().filter_map(|found| self.object(found)));
            token = page.next_continuation_token;
            if token.is_none() {
                return Ok(objects);
            }
        }
        Err(S3Error::Refused(format!(
            "there are more than {MAX_PAGES}000 objects: give the library a prefix, or a bucket, of its own"
        )))
    }

    fn object(&self, found: rusty_s3::actions::list_objects_v2::ListObjectsContent) -> Option<Object> {
        Some(Object {
            name: found.key.strip_prefix(&self.place.prefix)?.to_owned(),
            stamp: Stamp { etag: found.etag, modified: found.last_modified, bytes: found.size? },
            archived: found
                .storage_class
                .filter(|class| matches!(class.as_str(), "GLACIER" | "DEEP_ARCHIVE")),
        })
    }

    /// The content of an object of at most `max_bytes`.
    pub(super) async fn get(&self, name: &str, max_bytes: u64) -> Result<Bytes, S3Error> {
        let key = self.key(name);
        let action = self.bucket.get_object(Some(&self.credentials), &key);
        Ok(self.ask(Method::GET, &action, &[], max_bytes).await?.body)
    }

    /// The digest of an object's whole content, if S3 knows it. Succeeds only if the object may be downloaded.
    pub(super) async fn digest(&self, name: &str) -> Result<Option<Sha256Digest>, S3Error> {
        const WANTED: (&str, &str) = ("x-amz-checksum-mode", "ENABLED");
        const SHA256: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");
        let key = self.key(name);
        let mut action = self.bucket.head_object(Some(&self.credentials), &key);
        action.headers_mut().insert(WANTED.0, WANTED.1);
        let answer = self.ask(Method::HEAD, &action, &[WANTED], 0).await?;
        // The digest of digests, left by a multipart upload, ends with a dash and a number.
        Ok(answer.headers.get(SHA256).and_then(|value| decode_digest(value.as_bytes())))
    }

    /// A link that serves an object to every client that has it, with the name to save it under. The same arguments
    /// give the same link.
    pub(super) fn link(&self, name: &str, life: Life, media_type: &str, disposition: &str) -> String {
        let key = self.key(name);
        let mut action = self.bucket.get_object(Some(&self.credentials), &key);
        action.query_mut().insert("response-content-disposition", disposition);
        action.query_mut().insert("response-content-type", media_type);
        action.sign_with_time(life.lifetime, &life.issued_at).into()
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.place.prefix)
    }

    async fn ask<'a>(
        &self,
        method: Method,
        action: &impl S3Action<'a>,
        headers: &[(&'static str, &'static str)],
        max_bytes: u64,
    ) -> Result<Answer, S3Error> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..MAX_TRIES {
            match self.try_once(method.clone(), action, headers, max_bytes).await {
                Err(S3Error::Passing(_)) => {}
                settled => return settled,
            }
            tokio::time::sleep(pause).await;
            pause *= 4;
        }
        self.try_once(method, action, headers, max_bytes).await
    }

    async fn try_once<'a>(
        &self,
        method: Method,
        action: &impl S3Action<'a>,
        headers: &[(&'static str, &'static str)],
        max_bytes: u64,
    ) -> Result<Answer, S3Error> {
        let Ok(_permit) = self.permits.acquire().await else {
            return Err(S3Error::Passing("the program is ending".to_owned()));
        };
        // Signed for each try, since the time has changed.
        let sent_at = self.clock.now();
        let url: Url = action.sign_with_time(OWN_SIGNATURE_LIFE, &sent_at);
        let mut request = self.http.request(method, url).timeout(TRY_TIMEOUT);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.map_err(|error| self.failure(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let skew_seconds = skew(&headers, sent_at);
        if skew_seconds.is_some() {
            *self.skew_seconds.lock().unwrap_or_else(PoisonError::into_inner) = skew_seconds;
        }
        let max_bytes = if status == StatusCode::OK { max_bytes } else { MAX_ERROR_BYTES };
        let body = outbound::read_body(response, max_bytes).await.map_err(|error| match error {
            BodyError::Broken(error) => self.failure(&error),
            BodyError::TooLong { .. } => S3Error::Refused(error.to_string()),
        })?;
        if status == StatusCode::OK {
            return Ok(Answer { headers, body });
        }
        Err(self.refusal(status, &headers, &String::from_utf8_lossy(&body), skew_seconds))
    }

    fn refusal(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &str,
        skew_seconds: Option<i64>,
    ) -> S3Error {
        let region = headers.get("x-amz-bucket-region").and_then(|region| region.to_str().ok());
        Refusal { status, body, region, skew_seconds }.explain(&self.place, &self.origin())
    }

    /// The meaning of a failed exchange. The error itself would print the URL, which is as good as a password.
    fn failure(&self, error: &reqwest::Error) -> S3Error {
        let origin = self.origin();
        if let Some(why) = outbound::certificate_error(error) {
            return S3Error::Refused(format!(
                "the certificate of {origin} is not trusted ({why}): give the CA that signed it with AWS_CA_BUNDLE, \
                 and a name \
                 that the certificate has"
            ));
        }
        let cause =
            if error.is_timeout() { "no answer in time".to_owned() } else { outbound::root_cause(error) };
        S3Error::Passing(if error.is_connect() {
            format!(
                "{origin} cannot be reached: {cause}; see to the network, and to AWS_ENDPOINT_URL and AWS_REGION"
            )
        } else {
            format!("{origin} did not answer: {cause}; see to the network, and to AWS_ENDPOINT_URL")
        })
    }
}

/// The address of an Amazon bucket in this region.
fn amazon(region: &str, bucket: &str) -> Result<(Url, UrlStyle), String> {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let endpoint = format!("https://s3.{region}.{domain}");
    let endpoint =
        endpoint.parse().map_err(|_| format!("AWS_REGION is not the name of a region: {region}"))?;
    // Amazon's certificates cover one label before the region's, and host names have no capitals or underscores.
    let is_label =
        bucket.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    Ok((endpoint, if is_label { UrlStyle::VirtualHost } else { UrlStyle::Path }))
}

/// The seconds by which our clock is ahead of the server's.
fn skew(headers: &HeaderMap, ours: Timestamp) -> Option<i64> {
    let theirs = headers.get(DATE)?.to_str().ok()?;
    let theirs = jiff::fmt::rfc2822::parse(theirs).ok()?.timestamp();
    Some(ours.as_second() - theirs.as_second())
}

fn decode_digest(base64: &[u8]) -> Option<Sha256Digest> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).ok()?;
    bytes.try_into().ok().map(Sha256Digest::from_bytes)
}

#[cfg(test)]
mod tests;
