//! The way to Elasticsearch: a client with pooled connections, and what is done around the measurements.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tickey::redemption::store::elasticsearch::{
    Batching, ElasticsearchStore, Login, PasswordSource, Settings,
};
use tickey::redemption::store::location::IfMissing;

use super::super::Outcome;

/// For each request.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Between two looks whether the index has come to rest.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Looks in a row that must find it so.
const QUIET_LOOKS: u32 = 3;
/// The variable that carries a password to a process in another role, and to the real program.
const PASSWORD_VARIABLE: &str = "TICKEY_ELASTICSEARCH_PASSWORD";

/// Where Elasticsearch is, and who we are to it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Access {
    /// Its address
    #[arg(long)]
    pub(crate) url: Url,
    /// Whose certificates are believed
    #[arg(long)]
    pub(crate) ca_file: PathBuf,
    /// The user
    #[arg(long)]
    pub(crate) username: String,
    /// The password
    #[arg(long, env = "TICKEY_ELASTICSEARCH_PASSWORD", hide_env_values = true)]
    pub(crate) password: String,
    /// The index
    #[arg(long)]
    pub(crate) index: String,
}

impl Access {
    /// This program in another role, with this access.
    pub(crate) fn role(&self, name: &str) -> Outcome<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([name, "--url", self.url.as_str(), "--username", &self.username]);
        command.args(["--index", &self.index, "--ca-file"]).arg(&self.ca_file);
        command.env(PASSWORD_VARIABLE, &self.password);
        Ok(command)
    }

    /// The real program with this access.
    pub(crate) fn tickey(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickey"));
        command.args(arguments).args(["--store", self.url.as_str(), "--elasticsearch-index", &self.index]);
        command.args(["--elasticsearch-username", &self.username, "--elasticsearch-ca-file"]);
        command.arg(&self.ca_file).env(PASSWORD_VARIABLE, &self.password);
        command
    }

    /// The store with this access.
    pub(crate) fn settings(&self, batching: Batching) -> Outcome<Settings> {
        let password = PasswordSource::Given(self.password.clone().into());
        Ok(Settings {
            login: Some(Login { username: self.username.clone(), password }),
            ca_file: Some(self.ca_file.clone()),
            batching,
            ..Settings::new(vec![self.url.clone()], self.index.parse()?)
        })
    }
}

/// Asks Elasticsearch, over as many connections as there are requests at a time, which are kept.
pub(crate) struct Client {
    http: reqwest::Client,
    url: Url,
    /// The index.
    pub(crate) index: String,
}

/// An answer as it came.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Client {
    /// A client that has not asked anything yet.
    pub(crate) fn new(access: &Access) -> Outcome<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&access.ca_file)? {
            roots.add(certificate?)?;
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let login = STANDARD.encode(format!("{}:{}", access.username, access.password));
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, HeaderValue::from_str(&format!("Basic {login}"))?),
            // Lines of JSON are taken as such wherever they are expected.
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ]);
        let http = reqwest::Client::builder()
            .use_preconfigured_tls(tls)
            .http1_only()
            .no_proxy()
            .timeout(TIMEOUT)
            .default_headers(headers)
            .build()?;
        Ok(Self { http, url: access.url.clone(), index: access.index.clone() })
    }

    /// Asks, whatever the answer.
    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Outcome<Answer> {
        let body: Bytes = body.into();
        let mut request = self.http.request(method, self.url.join(path)?);
        if !body.is_empty() {
            request = request.body(body);
        }
        let response = request.send().await?;
        Ok(Answer { status: response.status(), body: response.bytes().await? })
    }

    /// Asks for something that must go well.
    pub(crate) async fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Outcome<Value> {
        let text = body.map(Value::to_string).unwrap_or_default();
        let answer = self.send(method, path, text).await?;
        if answer.status.is_success() {
            Ok(serde_json::from_slice(&answer.body)?)
        } else {
            Err(format!("{path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body)).into())
        }
    }

    /// Deletes the index.
    pub(crate) async fn delete_index(&self) -> Outcome {
        let path = format!("{}?ignore_unavailable=true", self.index);
        self.json(Method::DELETE, &path, None).await.map(drop)
    }

    /// Makes the index anew, as the program makes it, and checks that it is what is to be measured.
    pub(crate) async fn make_index(&self, user: &Access) -> Outcome {
        self.delete_index().await?;
        let settings = user.settings(Batching::default())?;
        ElasticsearchStore::new(settings, IfMissing::Create, Arc::new(()))?.prepare().await?;
        let path = format!("{}/_settings?flat_settings=true", self.index);
        let found = self.json(Method::GET, &path, None).await?;
        let found = &found[&self.index]["settings"];
        for (name, value) in
            [("number_of_shards", "1"), ("number_of_replicas", "0"), ("translog.durability", "request")]
        {
            let is = &found[format!("index.{name}")];
            if !is.as_str().is_some_and(|is| is.eq_ignore_ascii_case(value)) {
                return Err(format!("{name} is {is}, not {value}").into());
            }
        }
        Ok(())
    }

    /// An index that nobody searches stops refreshing itself after half a minute. This makes it a second, so that all
    /// are measured in that state.
    pub(crate) async fn be_idle_for_searches(&self) -> Outcome {
        let settings = json!({"index.search.idle.after": "1s"});
        self.json(Method::PUT, &format!("{}/_settings", self.index), Some(&settings)).await.map(drop)
    }

    /// Checks how many tickets there are.
    pub(crate) async fn expect_count(&self, count: usize) -> Outcome {
        self.json(Method::POST, &format!("{}/_refresh", self.index), None).await?;
        let found = self.json(Method::GET, &format!("{}/_count", self.index), None).await?;
        if found["count"] == count {
            Ok(())
        } else {
            Err(format!("{} tickets are in the index, not {count}", found["count"]).into())
        }
    }

    /// Has everything that was written put into segments, and waits until no merge is under way.
    pub(crate) async fn settle(&self) -> Outcome {
        for action in ["_refresh", "_flush"] {
            self.json(Method::POST, &format!("{}/{action}", self.index), None).await?;
        }
        let path = format!("{}/_stats/merge", self.index);
        let mut quiet = 0;
        while quiet < QUIET_LOOKS {
            tokio::time::sleep(LOOK_EVERY).await;
            let found = self.json(Method::GET, &path, None).await?;
            quiet = if found["_all"]["primaries"]["merges"]["current"] == 0 { quiet + 1 } else { 0 };
        }
        Ok(())
    }

    /// What it is, in a few words.
    pub(crate) async fn describe(&self) -> Outcome<String> {
        let nodes = self.json(Method::GET, "_nodes/jvm", None).await?;
        let node =
            nodes["nodes"].as_object().and_then(|nodes| nodes.values().next()).ok_or("there is no node")?;
        let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
        let (version, java) = (text(&node["version"]), text(&node["jvm"]["version"]));
        Ok(format!("Elasticsearch {version} on Java {java}"))
    }
}
