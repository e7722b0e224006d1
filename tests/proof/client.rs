//! One person's requests over HTTP, and what their answers mean.
//!
//! The line between "nothing was done" and "nobody knows" is drawn here, and only where the contract draws it: what was
//! never sent and what was answered with `store_unavailable` was not done; every other failure is open. Knows the
//! contract, and nothing of who asks and when.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{RequestBuilder, Response};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tickey::redemption::key::TicketId;
use tickey::redemption::ticket::{IdempotencyKey, RedemptionId};
use uuid::Uuid;

use super::history::LINK_LIFE;
use super::model::{Claim, Links, Outcome, Seconds};

/// People who may ask for one ticket, at most.
pub(crate) const MAX_PEOPLE: u8 = 16;
/// Rounds that a redemption is looked for in.
const MAX_ROUNDS: u32 = 40;

/// What somebody is known by. Redemption ids depend on the ticket, too, so it may be the same for all tickets.
pub(crate) fn idempotency_key(person: u8) -> String {
    format!("person-{person}")
}

/// Whose redemption this is; `None` when it is nobody's.
pub(crate) fn claim_of(ticket: &TicketId, redemption: Uuid, likely: u8) -> Option<Claim> {
    let people = std::iter::once(likely).chain((0..MAX_PEOPLE).filter(|person| *person != likely));
    let claims = people.flat_map(|person| (0..MAX_ROUNDS).map(move |round| Claim { round, person }));
    claims.into_iter().find(|claim| {
        IdempotencyKey::parse(idempotency_key(claim.person).as_bytes())
            .is_some_and(|key| RedemptionId::derive(ticket, claim.round, &key).0 == redemption)
    })
}

/// A client that believes only this CA, or none.
pub(crate) fn http_client(ca_file: Option<&Path>) -> reqwest::Client {
    let mut roots = RootCertStore::empty();
    if let Some(ca_file) = ca_file {
        for certificate in CertificateDer::pem_file_iter(ca_file).expect("the CA file can be read") {
            roots.add(certificate.expect("a certificate")).expect("a certificate of an authority");
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS can be set up")
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .use_preconfigured_tls(config)
        .http1_only()
        .no_proxy()
        .connect_timeout(Duration::from_secs(1))
        .build()
        .expect("an HTTP client can be set up")
}

/// What came of a request.
pub(crate) struct Answered {
    pub(crate) outcome: Outcome,
    /// Of the answer's bytes.
    pub(crate) digest: u64,
    /// The path of the receipt, when the album was given.
    pub(crate) receipt: Option<String>,
}

/// Sends requests to the servers.
pub(crate) struct Client {
    http: reqwest::Client,
    servers: Vec<SocketAddr>,
}

impl Client {
    pub(crate) fn new(servers: Vec<SocketAddr>) -> Self {
        Self { http: http_client(None), servers }
    }

    /// Types in a key.
    pub(crate) async fn redeem(
        &self,
        server: u8,
        (ticket, key, person): (&TicketId, &str, u8),
        patience: Duration,
    ) -> Answered {
        let request = self
            .http
            .post(self.url(server, "/redemptions"))
            .header("idempotency-key", idempotency_key(person))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("key={key}"));
        answer(request, ticket, person, patience).await
    }

    /// Comes back with a receipt.
    pub(crate) async fn look(
        &self,
        server: u8,
        (ticket, receipt, person): (&TicketId, &str, u8),
        patience: Duration,
    ) -> Answered {
        answer(self.http.get(self.url(server, receipt)), ticket, person, patience).await
    }

    /// Whether the server answers at all.
    pub(crate) async fn is_alive(&self, server: u8) -> bool {
        let request = self.http.get(self.url(server, "/healthz")).timeout(Duration::from_secs(2));
        request.send().await.is_ok_and(|answer| answer.status().is_success())
    }

    fn url(&self, server: u8, path: &str) -> String {
        format!("http://{}{path}", self.servers[usize::from(server)])
    }
}

async fn answer(request: RequestBuilder, ticket: &TicketId, person: u8, patience: Duration) -> Answered {
    let nothing = |outcome| Answered { outcome, digest: 0, receipt: None };
    let response = match request.timeout(patience).send().await {
        Ok(response) => response,
        Err(error) if error.is_connect() => return nothing(Outcome::Nothing("no connection".to_owned())),
        Err(error) => return nothing(Outcome::Open(cause(&error))),
    };
    match read(response, ticket, person).await {
        Ok(answered) => answered,
        Err(error) => nothing(Outcome::Open(cause(&error))),
    }
}

fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

async fn read(response: Response, ticket: &TicketId, person: u8) -> Result<Answered, reqwest::Error> {
    let status = response.status().as_u16();
    let bytes = response.bytes().await?;
    if !matches!(status, 200 | 201) {
        return Ok(Answered { outcome: refusal(status, &bytes), digest: 0, receipt: None });
    }
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let wrong = |what: String| Answered { outcome: Outcome::Wrong(what), digest: 0, receipt: None };
    Ok(match serde_json::from_slice::<Album>(&bytes) {
        Err(error) => wrong(format!("{status} with something unreadable: {error}")),
        Ok(album) => match album.outcome(ticket, person) {
            Ok(outcome) => Answered { outcome, digest: hasher.finish(), receipt: album.receipt() },
            Err(what) => wrong(what),
        },
    })
}

#[derive(Deserialize)]
struct Problem {
    reason: String,
    redeemed_at: Option<Timestamp>,
}

fn refusal(status: u16, bytes: &[u8]) -> Outcome {
    let Ok(problem) = serde_json::from_slice::<Problem>(bytes) else {
        return Outcome::Wrong(format!("{status} without a reason"));
    };
    match (status, problem.reason.as_str(), problem.redeemed_at) {
        (503, "store_unavailable", _) => Outcome::Nothing("store_unavailable".to_owned()),
        (503, "outcome_unknown", _) => Outcome::Open("outcome_unknown".to_owned()),
        (409, "already_redeemed", Some(at)) => Outcome::AlreadyRedeemed { at: at.as_second() },
        (410, "revoked", _) => Outcome::Revoked,
        (404, "receipt_unknown", _) => Outcome::ReceiptUnknown,
        (404, "unknown", _) => Outcome::Unknown,
        (403, "renewals_used_up", _) => Outcome::RenewalsUsedUp,
        (_, reason, _) => Outcome::Wrong(format!("{status} {reason}")),
    }
}

#[derive(Deserialize)]
struct Album {
    redemption: RedemptionPart,
    files: Vec<FilePart>,
}

#[derive(Deserialize)]
struct RedemptionPart {
    id: Uuid,
    redeemed_at: Timestamp,
    receipt_url: String,
}

#[derive(Deserialize)]
struct FilePart {
    expires_at: Timestamp,
}

impl Album {
    fn outcome(&self, ticket: &TicketId, person: u8) -> Result<Outcome, String> {
        let claim = claim_of(ticket, self.redemption.id, person).ok_or("a redemption that is nobody's")?;
        let ends: Vec<Seconds> = self.files.iter().map(|file| file.expires_at.as_second()).collect();
        let first = *ends.first().ok_or("an album without files")?;
        if ends.iter().any(|end| *end != first) {
            return Err("links that end at different times".to_owned());
        }
        let links = Links { since: first - LINK_LIFE, may_be_found: true };
        Ok(Outcome::Given { claim, at: self.redemption.redeemed_at.as_second(), links })
    }

    /// Without the origin, which is not where this server is.
    fn receipt(&self) -> Option<String> {
        let url = &self.redemption.receipt_url;
        url.find("/redemptions/").map(|start| url[start..].to_owned())
    }
}
