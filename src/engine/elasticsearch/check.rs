//! Checks of a cluster for an operator: reachability, password, certificate, version, health, role, index.

use std::time::Duration;

use elasticsearch::InfoParts;
use elasticsearch::cluster::ClusterHealthParts;
use elasticsearch::http::Method;
use elasticsearch::security::SecurityHasPrivilegesParts;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::ErrorAnswer;
use super::document::Document;
use super::index::{self, Found};
use super::nodes::{Body, Call, Nodes, Repeat};
use super::scan::parse;
use super::settings::Settings;
use crate::engine::StoreError;

/// The timeout of each request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The oldest major version of Elasticsearch known to support every request used here.
const OLDEST_MAJOR: u32 = 8;
/// The privileges that the server needs on its index.
const PRIVILEGES: [&str; 5] = ["read", "index", "create_index", "view_index_metadata", "maintenance"];
/// The privilege for storing the index template, once. Without it, only that safeguard is missing.
const TEMPLATE_PRIVILEGE: &str = "manage_index_templates";

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Whether the check passed.
    pub ok: bool,
    /// The finding and, if the check failed, what to do.
    pub says: String,
}

/// The results of all checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkup {
    /// The single checks.
    pub checks: Vec<Check>,
    /// Whether the index exists and belongs to this program.
    pub has_index: bool,
}

type Finding = Result<String, String>;

/// Runs all checks, as far as the results of earlier checks allow.
pub(crate) async fn check<D: Document>(settings: &Settings) -> Checkup {
    let nodes = match settings.connect() {
        Ok(nodes) => nodes,
        Err(error) => {
            let checks = vec![Check::from(Err(error.to_string()))];
            return Checkup { checks, has_index: false };
        }
    };
    let (mut checks, mut has_index) = (Vec::new(), false);
    for url in nodes.urls() {
        checks.push(Check::from(version(&nodes, url).await));
    }
    if checks.iter().any(|check| check.ok) {
        let definition = index::Definition::of::<D>(settings.shards);
        let looked = index::look(&nodes, &settings.index, &definition).await;
        has_index = matches!(looked, Ok(Found::Ours | Found::Older));
        if looked != Ok(Found::Nothing) {
            checks.push(Check::from(health(&nodes, settings).await));
        }
        checks.push(Check::from(privileges(&nodes, settings).await));
        checks.push(Check::from(own_index(looked, settings)));
    }
    Checkup { checks, has_index }
}

impl From<Finding> for Check {
    fn from(found: Finding) -> Self {
        Self { ok: found.is_ok(), says: found.unwrap_or_else(|says| says) }
    }
}

fn call<'a>(path: &'a str, body: Option<&Value>) -> Call<'a> {
    Call {
        method: if body.is_some() { Method::Post } else { Method::Get },
        path,
        body: body.map_or(Body::None, |body| Body::Json(body.to_string().into())),
        timeout: TIMEOUT,
        repeat: Repeat::WheneverFailed,
    }
}

/// Whether a node answers, and is new enough.
async fn version(nodes: &Nodes, url: &Url) -> Finding {
    #[derive(Deserialize)]
    struct Hello {
        version: Version,
    }
    #[derive(Deserialize)]
    struct Version {
        number: String,
        distribution: Option<String>,
    }
    let answer =
        nodes.call_node(url, &call(&InfoParts::None.url(), None)).await.map_err(|error| error.to_string())?;
    if answer.status != StatusCode::OK {
        return Err(format!("{url}: {}", ErrorAnswer::read(answer.status, &answer.body).store_error()));
    }
    let hello: Hello = parse(&answer).map_err(|_| {
        format!("{url} does not answer as Elasticsearch does: is it the address of something else?")
    })?;
    let Version { number, distribution } = hello.version;
    if let Some(distribution) = distribution {
        return Err(format!(
            "{url} is {distribution} {number}, which was never tried: use Elasticsearch {OLDEST_MAJOR} or newer"
        ));
    }
    let major = number.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < OLDEST_MAJOR {
        return Err(format!("{url} is Elasticsearch {number}: upgrade it to {OLDEST_MAJOR} or newer"));
    }
    Ok(format!("{url} is Elasticsearch {number} and takes the password"))
}

async fn health(nodes: &Nodes, settings: &Settings) -> Finding {
    #[derive(Deserialize)]
    struct Health {
        status: String,
        number_of_nodes: u32,
    }
    let path = ClusterHealthParts::Index(&[settings.index.as_str()]).url();
    let path = format!("{path}?level=cluster&timeout=0s");
    let answer = nodes.call(&call(&path, None)).await.map_err(|error| error.to_string())?;
    if answer.status != StatusCode::OK {
        return Err(ErrorAnswer::read(answer.status, &answer.body).store_error().to_string());
    }
    let Health { status, number_of_nodes } = parse(&answer).map_err(|error| error.to_string())?;
    let nodes = if number_of_nodes == 1 { "1 node".to_owned() } else { format!("{number_of_nodes} nodes") };
    let found = format!("the index's health is {status}, on a cluster of {nodes}");
    match status.as_str() {
        "red" => Err(format!(
            "{found}: some of it cannot be read or written; bring the missing nodes back; if none is missing, \
             `POST /_cluster/reroute?retry_failed=true`; if the data is lost, restore a snapshot"
        )),
        _ => Ok(found),
    }
}

async fn privileges(nodes: &Nodes, settings: &Settings) -> Finding {
    if settings.login.is_none() {
        return Ok("no user name is given, so there are no privileges to look at".to_owned());
    }
    let wanted = json!({
        "cluster": [TEMPLATE_PRIVILEGE],
        "index": [{"names": [settings.index.as_str()], "privileges": PRIVILEGES}],
    });
    let path = SecurityHasPrivilegesParts::None.url();
    let answer = nodes.call(&call(&path, Some(&wanted))).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status != StatusCode::OK {
        return Err(ErrorAnswer::read(answer.status, &answer.body).store_error().to_string());
    }
    let found: Value = parse(&answer).map_err(|error| error.to_string())?;
    let has = |privilege: &&str| found["index"][settings.index.as_str()][*privilege] == json!(true);
    let lacking: Vec<&str> = PRIVILEGES.into_iter().filter(|privilege| !has(privilege)).collect();
    let advice = "give it the role that the documentation describes";
    if !lacking.is_empty() {
        let lacking = lacking.join(", ");
        Err(format!("the user lacks {lacking} on the index `{}`: {advice}", settings.index))
    } else if found["cluster"][TEMPLATE_PRIVILEGE] == json!(true) {
        Ok("the user may do all that is needed".to_owned())
    } else {
        Ok(format!(
            "the user may do all but store the index template ({TEMPLATE_PRIVILEGE}), so an index that is deleted \
             while documents are added comes back without its mapping: {advice}, or store `{}` by hand",
            index::template_name(&settings.index)
        ))
    }
}

fn own_index(looked: Result<Found, StoreError>, settings: &Settings) -> Finding {
    match looked {
        Ok(Found::Ours) => Ok(format!("the index `{}` is as it should be", settings.index)),
        Ok(Found::Older) => Ok(format!(
            "the index `{}` is of an older version: the server adds the fields that it lacks when it starts",
            settings.index
        )),
        Ok(Found::Nothing) => {
            Ok(format!("there is no index `{}` yet: the server makes it when it starts", settings.index))
        }
        Err(error) => Err(error.to_string()),
    }
}
