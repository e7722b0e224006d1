//! The description of this context's routes.

use utoipa::OpenApi;

use super::answer::body::RedemptionBody;
use super::hello::Hello;
use super::members::Refusal;
use super::{admin, files, hello, receipt, redeem};
use crate::web::openapi::{add_forms_of_problems, add_header, add_text, responses};

pub(crate) mod responses;

#[derive(OpenApi)]
#[openapi(
    paths(hello::root, redeem::redeem, receipt::show, receipt::renew, receipt::file, receipt::file_head,
        files::download, files::download_head),
    components(schemas(responses::FileContent, Hello, Refusal, RedemptionBody)),
    tags(
        (name = "redemption", description = "Redeeming keys, and what holders see"),
        (name = "files", description = "Downloads by signed link"),
    )
)]
struct Document;

/// The description; with the admin interface if it is enabled.
pub(super) fn description(with_admin: bool) -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    add_forms_of_problems(&mut document);
    for (path, status, response) in responses(&mut document) {
        if path.starts_with("/redemptions") && response.content.contains_key("application/json") {
            add_text(response, "text/html");
            add_text(response, "text/plain");
        }
        match status {
            "201" => {
                add_header(response, "Location", "The receipt's address");
                let replayed = "`true` when another request with this Idempotency-Key was first";
                add_header(response, "Idempotency-Replayed", replayed);
            }
            "303" => add_header(response, "Location", "The receipt's address"),
            "307" => add_header(response, "Location", "A link that lives as long as this one"),
            "416" => add_header(response, "Content-Range", "The file's size"),
            "200" | "206" if response.content.contains_key("*/*") => {
                add_header(response, "ETag", "The file's SHA-256, a strong entity tag");
                add_header(response, "Accept-Ranges", "`bytes`");
                add_header(response, "Content-Disposition", "The name to save it under");
            }
            _ => {}
        }
    }
    if with_admin {
        document.merge(admin::openapi::description());
    }
    document
}
