//! The chat page, and what it is made of: all of it in the binary, nothing from elsewhere.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const CSS: &str = "text/css; charset=utf-8";
pub(super) const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Only our own scripts and styles are run, and only we are talked to; whatever a message holds stays text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types lit-html";

/// A file of the page.
pub(super) struct File {
    pub(super) path: &'static str,
    media_type: &'static str,
    content: &'static str,
}

macro_rules! file {
    ($path:literal, $media_type:ident) => {
        File {
            path: concat!("/page/", $path),
            media_type: $media_type,
            content: include_str!(concat!("page/", $path)),
        }
    };
}

/// All that the page loads.
pub(super) const FILES: [File; 11] = [
    file!("page.css", CSS),
    file!("page.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("history.js", SCRIPT),
    file!("outbox.js", SCRIPT),
    file!("store.js", SCRIPT),
    file!("view.js", SCRIPT),
    file!("lit-html/lit-html.js", SCRIPT),
    file!("lit-html/directive.js", SCRIPT),
    file!("lit-html/directive-helpers.js", SCRIPT),
    file!("lit-html/directives/repeat.js", SCRIPT),
];

impl IntoResponse for &File {
    fn into_response(self) -> Response {
        answer(self.media_type, POLICY, self.content)
    }
}

/// A page to chat on.
#[utoipa::path(
    get,
    path = "/",
    tag = "server",
    responses((status = OK, description = "The page.", body = String, content_type = "text/html"))
)]
pub(super) async fn get() -> Response {
    answer(HTML, POLICY, include_str!("page/index.html"))
}

/// A file for a browser, and what it may do there.
pub(super) fn answer(media_type: &'static str, policy: &'static str, content: impl IntoResponse) -> Response {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        // A later version of the server has a later page.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, content).into_response()
}
