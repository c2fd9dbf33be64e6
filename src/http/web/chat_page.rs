//! The chat page and its files, all embedded in the binary.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::{CSS, HTML, SCRIPT, file};
use crate::http::app::App;

/// The browser runs only scripts and styles of this server, and connects only to it. The text of
/// a message cannot become HTML.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types lit-html";

/// A file of the page.
pub(crate) struct File {
    pub(crate) path: &'static str,
    media_type: &'static str,
    content: &'static str,
}

macro_rules! page_file {
    ($path:literal, $media_type:ident) => {
        File {
            path: concat!("/page/", $path),
            media_type: $media_type,
            content: include_str!(concat!("page/", $path)),
        }
    };
}

/// The files that the page loads.
pub(crate) const FILES: [File; 11] = [
    page_file!("page.css", CSS),
    page_file!("page.js", SCRIPT),
    page_file!("api.js", SCRIPT),
    page_file!("history.js", SCRIPT),
    page_file!("outbox.js", SCRIPT),
    page_file!("store.js", SCRIPT),
    page_file!("view.js", SCRIPT),
    page_file!("lit-html/lit-html.js", SCRIPT),
    page_file!("lit-html/directive.js", SCRIPT),
    page_file!("lit-html/directive-helpers.js", SCRIPT),
    page_file!("lit-html/directives/repeat.js", SCRIPT),
];

impl IntoResponse for &File {
    fn into_response(self) -> Response {
        file(self.media_type, POLICY, self.content)
    }
}

/// A page to chat on.
#[utoipa::path(
    get,
    path = "/",
    tag = "server",
    responses((status = OK, description = "The page.", body = String, content_type = "text/html"))
)]
pub(crate) async fn get(State(app): State<Arc<App>>) -> Response {
    const PAGE: &str = include_str!("page/index.html");
    if app.keyed().is_none() {
        return file(HTML, POLICY, PAGE);
    }
    // The page asks for a token, not for a name.
    file(HTML, POLICY, PAGE.replace(r#"<div id="page">"#, r#"<div id="page" data-needs-token>"#))
}
