//! The chat page and its files, all embedded in the binary.

use std::borrow::Cow;
use std::io::Write;
use std::sync::{Arc, LazyLock, OnceLock};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{CSS, HTML, SCRIPT, compressible_file};
use crate::http::app::App;

/// The browser runs only scripts and styles of this server, and connects only to it. The text of
/// a message cannot become HTML, and the only worker is that of the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types lit-html chinwag-worker";

const SVG: &str = "image/svg+xml";
const MANIFEST: &str = "application/manifest+json";

/// A file of the page.
pub(crate) struct File {
    pub(crate) path: &'static str,
    media_type: &'static str,
    policy: Option<&'static str>,
    content: &'static str,
    /// The compressed content, once a client has accepted it.
    gzip: OnceLock<Bytes>,
}

macro_rules! page_file {
    ($path:literal, $media_type:ident) => {
        page_file!($path, $media_type, None)
    };
    ($path:literal, $media_type:ident, $policy:expr) => {
        File {
            path: concat!("/page/", $path),
            media_type: $media_type,
            policy: $policy,
            content: include_str!(concat!("page/", $path)),
            gzip: OnceLock::new(),
        }
    };
}

/// The files that the page loads.
pub(crate) static FILES: [File; 42] = [
    page_file!("api.js", SCRIPT),
    page_file!("app.webmanifest", MANIFEST),
    page_file!("drafts.js", SCRIPT),
    page_file!("draw.js", SCRIPT),
    page_file!("follow.js", SCRIPT),
    page_file!("history.js", SCRIPT),
    page_file!("icon.svg", SVG),
    page_file!("kept.js", SCRIPT),
    page_file!("markup.js", SCRIPT),
    page_file!("names.js", SCRIPT),
    page_file!("notifications.js", SCRIPT),
    page_file!("outbox.js", SCRIPT),
    page_file!("page.css", CSS),
    page_file!("page.js", SCRIPT),
    page_file!("route.js", SCRIPT),
    page_file!("scroll.js", SCRIPT),
    page_file!("session.js", SCRIPT),
    page_file!("settings.js", SCRIPT),
    page_file!("store.js", SCRIPT),
    page_file!("stream.js", SCRIPT),
    page_file!("ui.js", SCRIPT),
    page_file!("words.js", SCRIPT),
    page_file!("worker.js", SCRIPT, Some(POLICY)),
    page_file!("actions/actions.js", SCRIPT),
    page_file!("actions/chats.js", SCRIPT),
    page_file!("actions/dialog.js", SCRIPT),
    page_file!("actions/messages.js", SCRIPT),
    page_file!("actions/people.js", SCRIPT),
    page_file!("actions/settings.js", SCRIPT),
    page_file!("views/chats.js", SCRIPT),
    page_file!("views/composer.js", SCRIPT),
    page_file!("views/dialogs.js", SCRIPT),
    page_file!("views/messages.js", SCRIPT),
    page_file!("views/people.js", SCRIPT),
    page_file!("views/sign-in.js", SCRIPT),
    page_file!("views/text.js", SCRIPT),
    page_file!("lit-html/directive-helpers.js", SCRIPT),
    page_file!("lit-html/directive.js", SCRIPT),
    page_file!("lit-html/lit-html.js", SCRIPT),
    page_file!("lit-html/directives/guard.js", SCRIPT),
    page_file!("lit-html/directives/live.js", SCRIPT),
    page_file!("lit-html/directives/repeat.js", SCRIPT),
];

impl File {
    /// Answers a request with these headers.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response {
        let gzip = || self.gzip.get_or_init(|| compressed(self.compact().as_bytes())).clone();
        let plain = || Bytes::from_static(self.content.as_bytes());
        compressible_file(self.media_type, self.policy, headers, gzip, plain)
    }

    /// Returns the content without the lines of our scripts that are only comments: a fifth of what a browser
    /// would load.
    fn compact(&self) -> Cow<'static, str> {
        if self.media_type != SCRIPT || self.path.contains("lit-html") {
            return self.content.into();
        }
        let is_comment = |line: &str| {
            let line = line.trim();
            line == "*" || ["//", "/**", "* ", "*/"].iter().any(|begin| line.starts_with(begin))
        };
        self.content.split_inclusive('\n').filter(|line| !is_comment(line)).collect::<String>().into()
    }
}

fn compressed(content: &[u8]) -> Bytes {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(content).expect("a vector takes all bytes");
    gzip.finish().expect("a vector takes all bytes").into()
}

/// A page to chat on.
#[utoipa::path(
    get,
    path = "/",
    tag = "server",
    responses((status = OK, description = "The page.", body = String, content_type = "text/html"))
)]
pub(crate) async fn get(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    /// The page that asks for a name, and the one that asks for a token.
    static PAGES: LazyLock<[Bytes; 2]> = LazyLock::new(|| {
        let page = include_str!("page/index.html");
        let keyed = page.replace(r#"<div id="page">"#, r#"<div id="page" data-needs-token>"#);
        [page.into(), keyed.into()]
    });
    static GZIP: LazyLock<[Bytes; 2]> = LazyLock::new(|| PAGES.each_ref().map(|page| compressed(page)));
    let which = usize::from(app.keyed().is_some());
    compressible_file(HTML, Some(POLICY), &headers, || GZIP[which].clone(), || PAGES[which].clone())
}
