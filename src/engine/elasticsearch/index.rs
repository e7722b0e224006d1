//! The index: created when it is missing, checked when it exists, and extended by fields that an older version
//! did not have.
//!
//! Elasticsearch creates a missing index on the first write to it, without our mapping: an index that is deleted while
//! new documents are loaded would come back with a wrong one. A template with `allow_auto_create: false` for its name
//! forbids that; explicit creation stays possible. If the user's role does not allow templates, a warning is logged.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use std::time::Duration;

use elasticsearch::http::Method;
use elasticsearch::indices::{
    IndicesCreateParts, IndicesGetMappingParts, IndicesPutIndexTemplateParts, IndicesPutMappingParts,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::answer::ErrorAnswer;
use super::document::Document;
use super::nodes::{Answer, Body, Call, Nodes, Repeat};
use super::scan::parse;
use crate::engine::{IfMissing, StoreError};

/// The timeout of each request about the index. Creating one takes a while on a busy cluster.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The priority of the template, above that of other people's templates for patterns that match everything.
const TEMPLATE_PRIORITY: u32 = 1000;

/// The name of an index, or of an alias of one: 1–255 of `a-z 0-9 . _ -`, not beginning with a sign or a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexName(Cow<'static, str>);

/// The text is not a valid name of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an index has 1 to 255 small letters, digits, dots, dashes and underscores, the first a letter or a digit"
)]
pub struct IndexNameError;

impl IndexName {
    /// A name in the program's code, known to be valid.
    pub(crate) const fn known(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The name as text, which is also its form in a URL path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IndexName {
    type Err = IndexNameError;

    fn from_str(text: &str) -> Result<Self, IndexNameError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = (1..=255).contains(&text.len())
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'));
        if fits { Ok(Self(Cow::Owned(text.to_owned()))) } else { Err(IndexNameError) }
    }
}

impl fmt::Display for IndexName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The definition of an index.
pub(super) struct Definition {
    /// The fields of its documents.
    mappings: Value,
    /// Fields that the mapping of an older version does not have: the only difference that is corrected. Old documents
    /// lack them and stay as they are.
    added_fields: &'static [&'static str],
    /// Its primary shards.
    shards: NonZeroU16,
}

impl Definition {
    /// The definition for documents of this kind.
    pub(super) fn of<D: Document>(shards: NonZeroU16) -> Self {
        Self { mappings: D::mappings(), added_fields: D::ADDED_FIELDS, shards }
    }

    /// The mapping that an index must have, given its current one: this version's, less the added fields that it lacks.
    /// Also returns whether it lacks any.
    fn expected_of(&self, found: &Value) -> (Value, bool) {
        let mut expected = self.mappings.clone();
        let mut is_older = false;
        for field in self.added_fields.iter().filter(|field| found.pointer(field).is_none()) {
            let parent = field.rsplit_once('/');
            if let Some((Some(Value::Object(fields)), name)) =
                parent.map(|(parent, name)| (expected.pointer_mut(parent), name))
            {
                is_older |= fields.remove(name).is_some();
            }
        }
        (expected, is_older)
    }
}

/// The kind of index that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No index.
    Nothing,
    /// An index with the mapping of this version.
    Ours,
    /// An index with the mapping of an older version, which lacks some added fields.
    Older,
}

/// The settings of a new index.
fn settings(shards: NonZeroU16) -> Value {
    json!({
        "number_of_shards": shards,
        // A second copy as soon as there is a second node; green without one.
        "auto_expand_replicas": "0-1",
        // An acknowledged write is durable: on disk before the answer, on every in-sync copy.
        "translog.durability": "request",
    })
}

/// Makes sure that the index exists and belongs to this program and, if it may be created here, that Elasticsearch does
/// not create it by itself.
pub(super) async fn ensure(
    nodes: &Nodes,
    index: &IndexName,
    definition: &Definition,
    if_missing: IfMissing,
) -> Result<(), StoreError> {
    let found = look(nodes, index, definition).await?;
    if if_missing == IfMissing::Create {
        forbid_auto_create(nodes, index, definition).await?;
    }
    match found {
        Found::Ours => return Ok(()),
        Found::Older => return add_fields(nodes, index, definition).await,
        Found::Nothing => {}
    }
    if if_missing == IfMissing::Fail {
        return Err(StoreError::Unavailable(format!(
            "there is no index `{index}` yet: start the server, which makes it, or give another with \
             --elasticsearch-index"
        )));
    }
    make(nodes, index, definition).await?;
    // Another server may have created it meanwhile, or a template may have changed it.
    match look(nodes, index, definition).await? {
        Found::Ours | Found::Older => Ok(()),
        Found::Nothing => Err(StoreError::Unavailable(format!("the index `{index}` was made and is gone"))),
    }
}

/// Sends a request about an index. Repeating it is harmless.
async fn ask(nodes: &Nodes, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, StoreError> {
    let call = Call {
        method,
        path,
        body: body.map_or(Body::None, |body| Body::Json(body.to_string().into())),
        timeout: TIMEOUT,
        repeat: Repeat::WheneverFailed,
    };
    nodes.call(&call).await.map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// Looks up the index. Fails if it belongs to another program or to a newer version.
pub(super) async fn look(
    nodes: &Nodes,
    index: &IndexName,
    definition: &Definition,
) -> Result<Found, StoreError> {
    let path = IndicesGetMappingParts::Index(&[index.as_str()]).url();
    let answer = ask(nodes, Method::Get, &path, None).await?;
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
    let (expected, is_older) = definition.expected_of(&found["mappings"]);
    match difference("", &expected, &found["mappings"]) {
        None if is_older => Ok(Found::Older),
        None => Ok(Found::Ours),
        Some(difference) => Err(StoreError::Corrupt(format!(
            "the index `{name}` is not one of this version's ({difference}): nothing was changed; give another one \
             with --elasticsearch-index, or delete it if nobody needs it, and start again"
        ))),
    }
}

/// Prevents Elasticsearch from creating the index by itself. A failure is only logged: everything else works without.
async fn forbid_auto_create(
    nodes: &Nodes,
    index: &IndexName,
    definition: &Definition,
) -> Result<(), StoreError> {
    let name = template_name(index);
    let path = IndicesPutIndexTemplateParts::Name(&name).url();
    let template = json!({
        "index_patterns": [index.as_str()],
        "priority": TEMPLATE_PRIORITY,
        "allow_auto_create": false,
        "template": {"settings": settings(definition.shards), "mappings": definition.mappings},
    });
    let answer = ask(nodes, Method::Put, &path, Some(&template)).await?;
    if !answer.status.is_success() {
        let error = ErrorAnswer::read(answer.status, &answer.body).says();
        tracing::warn!(
            error,
            template = name,
            "the index template could not be stored: if the index is deleted while documents are added, Elasticsearch \
             makes it anew without its mapping; give the user the role that the documentation describes"
        );
    }
    Ok(())
}

/// The name of the template of an index.
pub(super) fn template_name(index: &IndexName) -> String {
    format!("tickey-{index}")
}

async fn make(nodes: &Nodes, index: &IndexName, definition: &Definition) -> Result<(), StoreError> {
    let path =
        format!("{}?wait_for_active_shards=1&timeout=20s", IndicesCreateParts::Index(index.as_str()).url());
    let body = json!({"settings": settings(definition.shards), "mappings": definition.mappings});
    let answer = ask(nodes, Method::Put, &path, Some(&body)).await?;
    let error = ErrorAnswer::read(answer.status, &answer.body);
    if answer.status.is_success() {
        tracing::info!(index = index.as_str(), shards = definition.shards, "the index was made");
    } else if !error.is("resource_already_exists_exception") {
        return Err(error.store_error());
    }
    Ok(())
}

/// Adds the fields that the index of an older version lacks. Without the privilege for it, the server continues: only
/// changes that are recorded in those fields cannot be written then.
async fn add_fields(nodes: &Nodes, index: &IndexName, definition: &Definition) -> Result<(), StoreError> {
    let path = IndicesPutMappingParts::Index(&[index.as_str()]).url();
    let body = json!({"properties": definition.mappings["properties"]});
    let answer = ask(nodes, Method::Put, &path, Some(&body)).await?;
    match answer.status {
        status if status.is_success() => {
            tracing::info!(index = index.as_str(), "the fields of this version were added to the index");
            Ok(())
        }
        StatusCode::FORBIDDEN => {
            tracing::warn!(
                index = index.as_str(),
                "the user may not add fields to the index: until an administrator does (docs/elasticsearch.md, \
                 Upgrading), \
                 changes that are recorded in them cannot be written"
            );
            Ok(())
        }
        _ => Err(ErrorAnswer::read(answer.status, &answer.body).store_error()),
    }
}

/// The first difference between two mappings, in words.
fn difference(path: &str, expected: &Value, found: &Value) -> Option<String> {
    let (Value::Object(wanted), Value::Object(given)) = (expected, found) else {
        return (expected != found).then(|| format!("`{path}` is {found} instead of {expected}"));
    };
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    // Other keys of the mapping, such as `_meta`, are the choice of the index's owner.
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
        let number = json!({"type": "integer"});
        let ours = json!({"properties": {"name": number, "added": number, "old": {"properties": {"added": number}}}});
        let definition = Definition {
            mappings: ours.clone(),
            added_fields: &["/properties/added", "/properties/old/properties/added"],
            shards: NonZeroU16::MIN,
        };
        assert_eq!(definition.expected_of(&ours), (ours.clone(), false));
        let mut older = ours.clone();
        older["properties"].as_object_mut().unwrap().remove("added");
        older["properties"]["old"]["properties"].as_object_mut().unwrap().remove("added");
        assert_eq!(definition.expected_of(&older), (older.clone(), true));
        older["properties"].as_object_mut().unwrap().remove("name");
        let (expected, _) = definition.expected_of(&older);
        assert_eq!(difference("", &expected, &older).as_deref(), Some("`properties.name` is missing"));
    }

    #[test]
    fn another_mapping_is_told_from_ours() {
        let keyword = json!({"type": "keyword"});
        let ours = json!({"dynamic": "strict", "properties": {"album": keyword, "batch": keyword}});
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
