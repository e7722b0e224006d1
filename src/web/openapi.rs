//! `/openapi.json`: the description of all routes, made from the handlers and from the types that they answer with.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Header, PathItem, RefOr};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

use super::problem::Problem;
use crate::redemption::web::album::RedemptionBody;
use crate::redemption::web::redemptions::Hello;

/// What is sent to redeem a key.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyBody {
    /// As it is printed; case, spaces, dashes and dots do not matter.
    #[schema(example = "M9S34-6Q3D2-5VT4F-5V37E-3S3NJ")]
    pub(crate) key: String,
}

/// The content of a file, of its own media type.
#[derive(Serialize, ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct FileContent(String);

/// What a redemption can be answered with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum RedemptionResponses {
    /// Redeemed, or redeemed before by the same request (`Idempotency-Replayed: true`).
    #[response(status = 201, content_type = "application/json")]
    Redeemed(RedemptionBody),
    /// For browsers: redeemed; the receipt is at `Location`.
    #[response(status = 303)]
    SeeReceipt,
    /// `bad_request`: it cannot be understood.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// `not_yet_valid`; or `renewals_used_up`: redeemed before by the same request, and its links have expired for good.
    #[response(status = 403, content_type = "application/problem+json")]
    NotYetValid(Problem),
    /// `unknown`: no ticket has this key.
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(Problem),
    /// `request_timeout`: it did not arrive in time.
    #[response(status = 408, content_type = "application/problem+json")]
    RequestTimeout(Problem),
    /// `already_redeemed`: by another request.
    #[response(status = 409, content_type = "application/problem+json")]
    AlreadyRedeemed(Problem),
    /// `expired` or `revoked`.
    #[response(status = 410, content_type = "application/problem+json")]
    Gone(Problem),
    /// `too_large`: over 4096 bytes.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// `unsupported_media_type`: neither JSON nor a form.
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Problem),
    /// `malformed` or `mistyped`: not a key.
    #[response(status = 422, content_type = "application/problem+json")]
    NotAKey(Problem),
    /// `too_many_attempts`: too many unknown keys from this network; see `Retry-After`.
    #[response(status = 429, content_type = "application/problem+json")]
    TooManyAttempts(Problem),
    /// `store_unavailable`, `album_unavailable`: nothing was used up. `outcome_unknown`: the same request settles it. See
    /// `Retry-After`.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What a receipt can be answered with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum ReceiptResponses {
    /// The redemption, with links that work.
    #[response(status = 200, content_type = "application/json")]
    Redemption(RedemptionBody),
    /// `renewals_used_up`: the links have expired for good.
    #[response(status = 403, content_type = "application/problem+json")]
    RenewalsUsedUp(Problem),
    /// `receipt_unknown`: nobody here made it, or the ticket was given back.
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(Problem),
    /// `revoked`: the ticket was declared void.
    #[response(status = 410, content_type = "application/problem+json")]
    Revoked(Problem),
    /// `store_unavailable`, `album_unavailable`, `outcome_unknown`; see `Retry-After`.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What a link can be answered with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum FileResponses {
    /// The file.
    #[response(status = 200, content_type = "*/*")]
    Whole(FileContent),
    /// The part of it that `Range` asked for.
    #[response(status = 206, content_type = "*/*")]
    Part(FileContent),
    /// It is at `Location`: the library has moved since the link was made.
    #[response(status = 307)]
    Elsewhere,
    /// It is what `If-None-Match` names.
    #[response(status = 304)]
    NotModified,
    /// `link_invalid`: this server did not sign it.
    #[response(status = 403, content_type = "application/problem+json")]
    Invalid(Problem),
    /// `link_expired`: the receipt has fresh ones.
    #[response(status = 410, content_type = "application/problem+json")]
    Expired(Problem),
    /// It is not what `If-Match` names.
    #[response(status = 412)]
    PreconditionFailed,
    /// It is shorter than `Range` supposes.
    #[response(status = 416)]
    RangeNotSatisfiable,
    /// `too_many_downloads`: as many as may go on at once by this link, or from this network; see `Retry-After`.
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(Problem),
    /// `album_unavailable`: the file is not there at the moment.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What everything of the admin interface can be answered with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum AdminResponses {
    /// `unauthorized`: the admin token is missing or wrong.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// `too_many_attempts`: too many wrong tokens from this network; see `Retry-After`.
    #[response(status = 429, content_type = "application/problem+json")]
    TooManyAttempts(Problem),
    /// `store_unavailable`: nothing was changed. `outcome_unknown`: it may have been. See `Retry-After`.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What a request of the admin interface that holds something to be understood can be answered with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum MisunderstoodResponses {
    /// `bad_request`: it cannot be understood.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// `request_timeout`: it did not arrive in time.
    #[response(status = 408, content_type = "application/problem+json")]
    RequestTimeout(Problem),
    /// `too_large`: over 4096 bytes.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// `unsupported_media_type`: not JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Problem),
}

/// What minting can be answered with, besides.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum MintResponses {
    /// The keys; as CSV, as `tickey mint` writes it, when `Accept` asks for `text/csv`.
    #[response(status = 201, content_type = "application/json")]
    Minted(crate::redemption::web::admin::Minted),
    /// `album_unknown`: the library does not have it.
    #[response(status = 422, content_type = "application/problem+json")]
    AlbumUnknown(Problem),
    /// `store_unavailable`, `album_unavailable`: nothing was minted. `outcome_unknown`: tickets may be in the store whose
    /// keys nobody has. See `Retry-After`.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What a request for a ticket by its id can be answered with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum TicketResponses {
    /// `ticket_unknown`: no ticket has this id.
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(Problem),
}

/// What a request for a ticket by its key can be answered with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum LookupResponses {
    /// `unknown`: no ticket has this key.
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(Problem),
    /// `malformed` or `mistyped`: not a key.
    #[response(status = 422, content_type = "application/problem+json")]
    NotAKey(Problem),
}

/// What a request for a batch can be answered with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum BatchResponses {
    /// `batch_unknown`: no ticket is of this batch.
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(Problem),
}

#[derive(OpenApi)]
#[openapi(
    info(title = "tickey", description = "A key becomes a download, exactly once."),
    paths(
        crate::redemption::web::redemptions::form,
        crate::redemption::web::redemptions::redeem,
        crate::redemption::web::redemptions::show,
        crate::redemption::web::files::download,
        crate::redemption::web::files::download_head,
        super::health::alive,
        super::health::ready,
        document,
    ),
    components(schemas(FileContent, Hello, Problem, RedemptionBody)),
    tags(
        (name = "redemption", description = "Redeeming keys, and what holders see"),
        (name = "files", description = "Downloads by signed link"),
        (name = "operation", description = "For whoever runs the server"),
    )
)]
struct Document;

/// What is added when there is an admin interface.
#[derive(OpenApi)]
#[openapi(
    paths(
        crate::redemption::web::admin::batches,
        crate::redemption::web::admin::mint,
        crate::redemption::web::admin::revoke_all,
        crate::redemption::web::admin::lookup,
        crate::redemption::web::admin::show,
        crate::redemption::web::admin::revoke,
        crate::redemption::web::admin::reinstate,
        crate::redemption::web::admin::stats,
    ),
    components(schemas(crate::redemption::web::admin::Minted)),
    modifiers(&Bearer),
    tags((name = "admin", description = "For whoever issues the tickets, with the admin token"))
)]
struct AdminDocument;

/// Adds the way to show the admin token.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The first line of the server's --admin-token-file"))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("admin_token", SecurityScheme::Http(bearer));
    }
}

/// Where the admin interface is, which speaks to programs only.
const ADMIN: &str = "/admin/";

/// Adds the forms of answer for people, which every refusal and every redemption has, as `Accept` says.
struct OtherForms;

impl Modify for OtherForms {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut openapi.paths.paths {
            if path.starts_with(ADMIN) {
                continue;
            }
            let redemption = path.starts_with("/redemptions");
            for response in responses(item) {
                let json = response.content.contains_key("application/json");
                if (redemption && json) || response.content.contains_key("application/problem+json") {
                    for form in ["text/html", "text/plain"] {
                        response.content.insert(form.to_owned(), RefOr::T(text()));
                    }
                }
            }
        }
    }
}

/// Adds the headers of answers.
struct Headers;

impl Modify for Headers {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut openapi.paths.paths {
            let admin = path.starts_with(ADMIN);
            for (status, response) in statuses(item) {
                let mut add = |name: &str, description: &str| {
                    response.headers.insert(name.to_owned(), RefOr::T(header(description)));
                };
                add("X-Request-Id", "Names this request; to quote when asking for help");
                match status {
                    "201" if admin => {
                        response.content.insert("text/csv".to_owned(), RefOr::T(text()));
                    }
                    "401" => add("WWW-Authenticate", "`Bearer`"),
                    "201" => {
                        add("Location", "The receipt's address");
                        add(
                            "Idempotency-Replayed",
                            "`true` when another request with this Idempotency-Key was first",
                        );
                    }
                    "303" => add("Location", "The receipt's address"),
                    "307" => add("Location", "A link that lives as long as this one"),
                    "429" | "503" => add("Retry-After", "Seconds after which to try again"),
                    "200" | "206" if response.content.contains_key("*/*") => {
                        add("ETag", "The file's SHA-256, a strong entity tag");
                        add("Accept-Ranges", "`bytes`");
                        add("Content-Disposition", "The name to save it under");
                    }
                    _ => {}
                }
            }
        }
    }
}

fn text() -> Content {
    Content::new(Some(Object::with_type(Type::String)))
}

fn header(description: &str) -> Header {
    HeaderBuilder::new().schema(Some(Object::with_type(Type::String))).description(Some(description)).build()
}

fn responses(item: &mut PathItem) -> impl Iterator<Item = &mut utoipa::openapi::Response> {
    statuses(item).map(|(_, response)| response)
}

/// The answers of every method of a route.
fn statuses(item: &mut PathItem) -> impl Iterator<Item = (&str, &mut utoipa::openapi::Response)> {
    let operations = [&mut item.get, &mut item.head, &mut item.post].into_iter().flatten();
    let responses = operations.flat_map(|operation| operation.responses.responses.iter_mut());
    responses.filter_map(|(status, response)| match response {
        RefOr::T(response) => Some((status.as_str(), response)),
        RefOr::Ref(_) => None,
    })
}

/// `GET /openapi.json`
#[utoipa::path(get, path = "/openapi.json", tag = "operation", responses((status = 200, description = "This document", content_type = "application/json")))]
pub(crate) async fn document() -> Response {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| written(Document::openapi()));
    answer(&DOCUMENT)
}

/// The same where there is an admin interface.
pub(crate) async fn document_with_admin() -> Response {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
        let mut document = Document::openapi();
        document.merge(AdminDocument::openapi());
        written(document)
    });
    answer(&DOCUMENT)
}

/// The document with what holds for all of its routes.
fn written(mut document: utoipa::openapi::OpenApi) -> Bytes {
    OtherForms.modify(&mut document);
    Headers.modify(&mut document);
    serde_json::to_vec(&document).unwrap_or_default().into()
}

fn answer(document: &Bytes) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], document.clone()).into_response()
}
