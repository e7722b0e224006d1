//! The index: made when it is missing, looked at when it is there, and given the fields that an older version did not have.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::bulk::ErrorAnswer;
use super::nodes::{Body, Call, Nodes, Repeat};
use super::read::parse;
use crate::redemption::store::StoreError;
use crate::redemption::store::location::IfMissing;

/// For each request about the index. Making one takes a while on a busy cluster.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// The name of an index, or of an alias of one: 1–255 of `a-z 0-9 . _ -`, not beginning with a sign or a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexName(String);

/// A text is not the name of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an index has 1 to 255 small letters, digits, dots, dashes and underscores, the first a letter or a digit"
)]
pub struct IndexNameError;

impl IndexName {
    /// The name as text, which is also its form in a path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for IndexName {
    fn default() -> Self {
        Self("tickets".to_owned())
    }
}

impl FromStr for IndexName {
    type Err = IndexNameError;

    fn from_str(text: &str) -> Result<Self, IndexNameError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = (1..=255).contains(&text.len())
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'));
        if fits { Ok(Self(text.to_owned())) } else { Err(IndexNameError) }
    }
}

impl fmt::Display for IndexName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a document may hold. Strict, so that nothing is stored that another version would drop.
fn mappings() -> Value {
    // Without other forms, such as a date alone, which would be read as other moments by different programs.
    let time = json!({"type": "date", "format": "strict_date_time_no_millis||strict_date_time"});
    let keyword = json!({"type": "keyword"});
    let number = json!({"type": "integer"});
    let because = json!({"type": "keyword", "index": false, "doc_values": false});
    let change = json!({"properties": {"at": time, "because": because}});
    json!({
        "dynamic": "strict",
        "properties": {
            "album": keyword,
            "batch": keyword,
            "status": keyword,
            "issued_at": time,
            "valid_from": time,
            "expires_at": time,
            "redemption": {"properties": {"id": keyword, "at": time, "renewals": number, "renewed_at": time}},
            "revoked": change,
            "reinstated": {"properties": {"times": number, "restored": number, "at": time, "because": because}},
            "extended": change,
        },
    })
}

/// Fields that the mapping of an older version does not have: the only difference that is mended. Old documents lack them
/// and stay as they are.
const ADDED_FIELDS: [&str; 3] =
    ["/properties/revoked", "/properties/extended", "/properties/reinstated/properties/restored"];

/// What kind of index was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// None.
    Nothing,
    /// One with the mapping of this version.
    Ours,
    /// One with the mapping of an older version, which lacks [`ADDED_FIELDS`] or some of them.
    Older,
}

/// The settings of a new index.
fn settings(shards: NonZeroU16) -> Value {
    json!({
        "number_of_shards": shards,
        // A second copy as soon as there is a second node, and green without one.
        "auto_expand_replicas": "0-1",
        // Acknowledged is durable: on disk before the answer, on every copy that counts.
        "translog.durability": "request",
    })
}

/// Makes sure that the index is there and ours.
pub(super) async fn ensure(
    nodes: &Nodes,
    index: &IndexName,
    shards: NonZeroU16,
    if_missing: IfMissing,
) -> Result<(), StoreError> {
    match look(nodes, index).await? {
        Found::Ours => return Ok(()),
        Found::Older => return add_fields(nodes, index).await,
        Found::Nothing => {}
    }
    if if_missing == IfMissing::Fail {
        return Err(StoreError::Unavailable(format!(
            "there is no index `{index}` yet: start the server or load tickets, or give another with --elasticsearch-index"
        )));
    }
    make(nodes, index, shards).await?;
    // Another server may have made it meanwhile, or a template may have had its say.
    match look(nodes, index).await? {
        Found::Ours | Found::Older => Ok(()),
        Found::Nothing => Err(StoreError::Unavailable(format!("the index `{index}` was made and is gone"))),
    }
}

/// Looks for the index. An error if it is another program's, or of a newer version.
pub(super) async fn look(nodes: &Nodes, index: &IndexName) -> Result<Found, StoreError> {
    let path = format!("{index}/_mapping");
    let call = Call {
        method: Method::GET,
        path: &path,
        body: Body::None,
        timeout: TIMEOUT,
        repeat: Repeat::WheneverFailed,
    };
    let answer = nodes.call(&call).await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(Found::Nothing),
        _ => return Err(ErrorAnswer::read(answer.status, &answer.body).store_error()),
    }
    let found: serde_json::Map<String, Value> = parse(&answer)?;
    if found.len() != 1 {
        return Err(StoreError::Corrupt(format!(
            "`{index}` stands for {} indices: give the name of one, or an alias of one",
            found.len()
        )));
    }
    let (name, found) = found.into_iter().next().unwrap_or_default();
    let (expected, is_older) = expected_of(&found["mappings"]);
    match difference("", &expected, &found["mappings"]) {
        None if is_older => Ok(Found::Older),
        None => Ok(Found::Ours),
        Some(difference) => Err(StoreError::Corrupt(format!(
            "the index `{name}` is not one of this version's ({difference}): nothing was changed; give another one with \
             --elasticsearch-index, or delete it if nobody needs it, and start again"
        ))),
    }
}

async fn make(nodes: &Nodes, index: &IndexName, shards: NonZeroU16) -> Result<(), StoreError> {
    let path = format!("{index}?wait_for_active_shards=1&timeout=20s");
    let body = json!({"settings": settings(shards), "mappings": mappings()});
    let call = Call {
        method: Method::PUT,
        path: &path,
        body: Body::Json(body.to_string().into()),
        timeout: TIMEOUT,
        repeat: Repeat::WheneverFailed,
    };
    let answer = nodes.call(&call).await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let error = ErrorAnswer::read(answer.status, &answer.body);
    if answer.status.is_success() {
        tracing::info!(index = index.as_str(), shards, "the index was made");
    } else if !error.is("resource_already_exists_exception") {
        return Err(error.store_error());
    }
    Ok(())
}

/// Adds the fields that the index of an older version lacks. A user that may not do so can go on without them: only what is
/// recorded in them cannot be written then.
async fn add_fields(nodes: &Nodes, index: &IndexName) -> Result<(), StoreError> {
    let path = format!("{index}/_mapping");
    let body = json!({"properties": mappings()["properties"]});
    let call = Call {
        method: Method::PUT,
        path: &path,
        body: Body::Json(body.to_string().into()),
        timeout: TIMEOUT,
        repeat: Repeat::WheneverFailed,
    };
    let answer = nodes.call(&call).await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    match answer.status {
        status if status.is_success() => {
            tracing::info!(index = index.as_str(), "the index has the fields of this version now");
            Ok(())
        }
        StatusCode::FORBIDDEN => {
            tracing::warn!(
                index = index.as_str(),
                "the user may not add fields to the index: until an administrator does (docs/elasticsearch.md, Upgrading), \
                 tickets can be redeemed, and neither revoked nor extended"
            );
            Ok(())
        }
        _ => Err(ErrorAnswer::read(answer.status, &answer.body).store_error()),
    }
}

/// The mapping that an index must have, given the one that it has: this version's, less the added fields that it lacks. And
/// whether it lacks any.
fn expected_of(found: &Value) -> (Value, bool) {
    let mut expected = mappings();
    let mut is_older = false;
    for field in ADDED_FIELDS.into_iter().filter(|field| found.pointer(field).is_none()) {
        let parent = field.rsplit_once('/');
        if let Some((Some(Value::Object(fields)), name)) =
            parent.map(|(parent, name)| (expected.pointer_mut(parent), name))
        {
            is_older |= fields.remove(name).is_some();
        }
    }
    (expected, is_older)
}

/// Where two mappings differ, in words.
fn difference(path: &str, expected: &Value, found: &Value) -> Option<String> {
    let (Value::Object(wanted), Value::Object(given)) = (expected, found) else {
        return (expected != found).then(|| format!("`{path}` is {found} instead of {expected}"));
    };
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    // What an index is told beside its fields is its owner's business.
    let is_ours = |key: &str| !(path.is_empty() && key.starts_with('_'));
    let missing = wanted.iter().find_map(|(key, wanted)| match given.get(key) {
        None => Some(format!("`{}` is missing", below(key))),
        Some(found) => difference(&below(key), wanted, found),
    });
    let foreign = || given.keys().find(|key| !wanted.contains_key(*key) && is_ours(key));
    missing.or_else(|| foreign().map(|key| format!("`{}` is unknown", below(key))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_indices() {
        for good in ["tickets", "tickets-2026", "a", "0.t_1"] {
            assert_eq!(good.parse::<IndexName>().unwrap().as_str(), good);
        }
        for bad in
            ["", "Tickets", "-tickets", "_all", "*", "a,b", "a/b", ".security", "tickéts", &"a".repeat(256)]
        {
            assert_eq!(bad.parse::<IndexName>(), Err(IndexNameError), "{bad}");
        }
    }

    #[test]
    fn the_mapping_of_an_older_version_is_known_and_no_other_gap_is_taken_for_one() {
        let ours = mappings();
        assert_eq!(expected_of(&ours), (ours.clone(), false));
        let mut older = ours.clone();
        let fields = older["properties"].as_object_mut().unwrap();
        fields.remove("revoked");
        fields.remove("extended");
        fields["reinstated"]["properties"].as_object_mut().unwrap().remove("restored");
        assert_eq!(expected_of(&older), (older.clone(), true));
        older["properties"].as_object_mut().unwrap().remove("batch");
        let (expected, _) = expected_of(&older);
        assert_eq!(difference("", &expected, &older).as_deref(), Some("`properties.batch` is missing"));
    }

    #[test]
    fn another_mapping_is_told_from_ours() {
        let ours = mappings();
        assert_eq!(difference("", &ours, &ours), None);
        let mut with_meta = ours.clone();
        with_meta["_meta"] = json!({"owner": "us"});
        assert_eq!(difference("", &ours, &with_meta), None);
        for (pointer, value, says) in [
            ("/dynamic", json!("true"), "`dynamic` is \"true\" instead of \"strict\""),
            (
                "/properties/album/type",
                json!("text"),
                "`properties.album.type` is \"text\" instead of \"keyword\"",
            ),
        ] {
            let mut other = ours.clone();
            *other.pointer_mut(pointer).unwrap() = value;
            assert_eq!(difference("", &ours, &other).as_deref(), Some(says));
        }
        let mut more = ours.clone();
        more["properties"]["price"] = json!({"type": "long"});
        assert_eq!(difference("", &ours, &more).as_deref(), Some("`properties.price` is unknown"));
        assert_eq!(difference("", &ours, &json!({})).as_deref(), Some("`dynamic` is missing"));
    }
}
