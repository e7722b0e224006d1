//! The description of the admin interface.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::keys::Minted;
use super::{batch, batches, mint, tickets};
use crate::web::openapi::{add_header, add_text, responses};

#[derive(OpenApi)]
#[openapi(
    paths(
        batches::batches,
        mint::mint,
        batch::revoke,
        batch::reinstate,
        batch::extend,
        tickets::lookup,
        tickets::show,
        tickets::revoke,
        tickets::reinstate,
        tickets::extend,
        batches::stats,
    ),
    components(schemas(Minted)),
    modifiers(&Bearer),
    tags((name = "admin", description = "For whoever issues the tickets, with the admin token"))
)]
struct Document;

/// Adds the security scheme of the admin token.
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

/// The description.
pub(crate) fn description() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    for (_, status, response) in responses(&mut document) {
        match status {
            "201" => add_text(response, "text/csv"),
            "401" => add_header(response, "WWW-Authenticate", "`Bearer`"),
            _ => {}
        }
    }
    document
}
