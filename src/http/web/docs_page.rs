//! The documentation page of the API, on which its calls can be tried: Swagger UI, embedded in the binary.

use std::sync::Arc;

use axum::http::{HeaderValue, header};
use axum::response::Response;
use utoipa_swagger_ui::Config;

use super::{CSS, HTML, SCRIPT, file};

/// The browser runs only scripts and styles of this server, and connects only to it. The icons of
/// Swagger UI are in its style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file that the page loads.
pub(crate) struct Asset {
    pub(crate) path: &'static str,
    pub(crate) answer: fn() -> Response,
}

/// The files that the page loads.
pub(crate) const ASSETS: [Asset; 3] = [
    Asset { path: "/docs/start.js", answer: || file(SCRIPT, POLICY, include_str!("docs/start.js")) },
    Asset { path: "/docs/swagger-ui.css", answer: || vendored(CSS, "swagger-ui.css") },
    Asset { path: "/docs/swagger-ui-bundle.js", answer: || vendored(SCRIPT, "swagger-ui-bundle.js") },
];

/// A page that shows the document, and on which the calls can be tried.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "server",
    responses((status = OK, description = "The page.", body = String, content_type = "text/html"))
)]
pub(crate) async fn get() -> Response {
    file(HTML, POLICY, include_str!("docs/index.html"))
}

/// Answers with a file of Swagger UI, compressed as it is in the binary: a client that names no encodings
/// accepts any (RFC 9110, 12.5.3), and browsers name gzip.
fn vendored(media_type: &'static str, name: &str) -> Response {
    let vendored = utoipa_swagger_ui::serve(name, Arc::new(Config::default()));
    let vendored = vendored.ok().flatten().expect("a file of Swagger UI");
    let mut response = file(media_type, POLICY, vendored.bytes);
    if vendored.gzpipped {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
