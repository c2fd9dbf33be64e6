//! The documentation page of the API, on which its calls can be tried: Swagger UI, embedded in the binary.

use std::borrow::Cow;
use std::io::Read;
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::response::Response;
use flate2::read::GzDecoder;
use utoipa_swagger_ui::Config;

use super::{CSS, HTML, SCRIPT, compressible_file, file};

/// The browser runs only scripts and styles of this server, and connects only to it. The icons of
/// Swagger UI are in its style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file that the page loads.
pub(crate) struct Asset {
    pub(crate) path: &'static str,
    /// Answers a request with these headers.
    pub(crate) answer: fn(&HeaderMap) -> Response,
}

/// The files that the page loads.
pub(crate) const ASSETS: [Asset; 4] = [
    Asset { path: "/docs/docs.css", answer: |_| file(CSS, Some(POLICY), include_str!("docs/docs.css")) },
    Asset { path: "/docs/start.js", answer: |_| file(SCRIPT, Some(POLICY), include_str!("docs/start.js")) },
    Asset { path: "/docs/swagger-ui.css", answer: |headers| STYLES.answer(CSS, headers) },
    Asset { path: "/docs/swagger-ui-bundle.js", answer: |headers| BUNDLE.answer(SCRIPT, headers) },
];

static STYLES: Vendored = Vendored::new("swagger-ui.css");
static BUNDLE: Vendored = Vendored::new("swagger-ui-bundle.js");

/// A page that shows the document, and on which the calls can be tried.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "server",
    responses((status = OK, description = "The page.", body = String, content_type = "text/html"))
)]
pub(crate) async fn get() -> Response {
    file(HTML, Some(POLICY), include_str!("docs/index.html"))
}

/// A file of Swagger UI. The binary contains it compressed, and most clients accept it as it is.
struct Vendored {
    name: &'static str,
    /// The decompressed content, for clients that do not accept gzip.
    plain: OnceLock<Bytes>,
}

impl Vendored {
    const fn new(name: &'static str) -> Self {
        Self { name, plain: OnceLock::new() }
    }

    fn answer(&self, media_type: &'static str, headers: &HeaderMap) -> Response {
        let vendored = utoipa_swagger_ui::serve(self.name, Arc::new(Config::default()));
        let vendored = vendored.ok().flatten().expect("a file of Swagger UI");
        if !vendored.gzpipped {
            return file(media_type, Some(POLICY), vendored.bytes);
        }
        let gzip = match vendored.bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        let plain = || self.plain.get_or_init(|| decompressed(&gzip)).clone();
        compressible_file(media_type, Some(POLICY), headers, || gzip.clone(), plain)
    }
}

fn decompressed(gzip: &[u8]) -> Bytes {
    let mut plain = Vec::new();
    GzDecoder::new(gzip).read_to_end(&mut plain).expect("the build has compressed it");
    plain.into()
}
