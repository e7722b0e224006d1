//! What is wrong with a cluster, for an operator: unreachable, password, certificate, version, health, role, index.

use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::bulk::ErrorAnswer;
use super::index::Found;
use super::nodes::{Body, Call, Nodes, Repeat};
use super::read::parse;
use super::{Settings, connect, index};
use crate::redemption::store::StoreError;

/// For each question.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The oldest Elasticsearch that is known to have all that is used.
const OLDEST_MAJOR: u32 = 8;
/// What the server does with its index.
const PRIVILEGES: [&str; 5] = ["read", "index", "create_index", "view_index_metadata", "maintenance"];

/// What one look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Whether it is well.
    pub ok: bool,
    /// What was found and, when it is not well, what to do.
    pub says: String,
}

/// What all looks came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkup {
    /// Each of them.
    pub checks: Vec<Check>,
    /// Whether there is an index, and it is ours.
    pub has_index: bool,
}

type Finding = Result<String, String>;

/// Looks at everything, as far as what was found before lets it.
pub async fn check(settings: &Settings) -> Checkup {
    let nodes = match connect(settings) {
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
        let looked = index::look(&nodes, &settings.index).await;
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
        method: if body.is_some() { Method::POST } else { Method::GET },
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
    let answer = nodes.call_node(url, &call("", None)).await.map_err(|error| error.to_string())?;
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
    let path = format!("_cluster/health/{}?level=cluster&timeout=0s", settings.index);
    let answer = nodes.call(&call(&path, None)).await.map_err(|error| error.to_string())?;
    if answer.status != StatusCode::OK {
        return Err(ErrorAnswer::read(answer.status, &answer.body).store_error().to_string());
    }
    let Health { status, number_of_nodes } = parse(&answer).map_err(|error| error.to_string())?;
    let nodes = if number_of_nodes == 1 { "1 node".to_owned() } else { format!("{number_of_nodes} nodes") };
    let found = format!("the index's health is {status}, on a cluster of {nodes}");
    match status.as_str() {
        "red" => Err(format!(
            "{found}: some tickets cannot be read or redeemed; bring the missing nodes back; if none is missing, \
             `POST /_cluster/reroute?retry_failed=true`; if the data is lost, restore a snapshot"
        )),
        _ => Ok(found),
    }
}

async fn privileges(nodes: &Nodes, settings: &Settings) -> Finding {
    if settings.login.is_none() {
        return Ok("no user name is given, so there are no privileges to look at".to_owned());
    }
    let wanted = json!({"index": [{"names": [settings.index.as_str()], "privileges": PRIVILEGES}]});
    let answer = nodes.call(&call("_security/user/_has_privileges", Some(&wanted))).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status != StatusCode::OK {
        return Err(ErrorAnswer::read(answer.status, &answer.body).store_error().to_string());
    }
    let found: Value = parse(&answer).map_err(|error| error.to_string())?;
    let has = |privilege: &&str| found["index"][settings.index.as_str()][*privilege] == json!(true);
    let lacking: Vec<&str> = PRIVILEGES.into_iter().filter(|privilege| !has(privilege)).collect();
    if lacking.is_empty() {
        Ok("the user may do all that is needed".to_owned())
    } else {
        Err(format!(
            "the user lacks {} on the index `{}`: give it the role that the documentation describes",
            lacking.join(", "),
            settings.index
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
