//! Everything for browsers: the chat page, the documentation page, and the rule for pages of other origins.

pub(crate) mod chat_page;
pub(crate) mod cors;
pub(crate) mod docs_page;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Answers with a file for a browser. A page or a worker comes with the policy that restricts it; what it loads
/// needs none.
fn file(media_type: &'static str, policy: Option<&'static str>, content: impl IntoResponse) -> Response {
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // A later version of the server has another page, so the browser asks each time.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    let mut response = (headers, content).into_response();
    if let Some(policy) = policy {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    response
}

/// Does what [`file`] does, with the compressed content if the client accepts it.
fn compressible_file(
    media_type: &'static str,
    policy: Option<&'static str>,
    headers: &HeaderMap,
    gzip: impl FnOnce() -> Bytes,
    plain: impl FnOnce() -> Bytes,
) -> Response {
    let is_compressed = accepts_gzip(headers);
    let mut response = file(media_type, policy, if is_compressed { gzip() } else { plain() });
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_name(header::ACCEPT_ENCODING));
    if is_compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Returns whether a client accepts an answer that is compressed with gzip. Browsers name it. One that names
/// no encodings would have to take any (RFC 9110, 12.5.3), but is better served with text that can be read.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING);
    let items = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let (mut gzip, mut any_other) = (None, false);
    for item in items {
        let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
        let is_accepted = !is_zero_weight(weight);
        match coding.trim() {
            "*" => any_other = is_accepted,
            coding if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => {
                gzip = Some(is_accepted);
            }
            _ => {}
        }
    }
    gzip.unwrap_or(any_other)
}

/// Returns whether a weight such as `q=0.5` is zero, which means "not acceptable".
fn is_zero_weight(weight: &str) -> bool {
    let value = weight.trim().strip_prefix(['q', 'Q']).and_then(|rest| rest.trim_start().strip_prefix('='));
    value.and_then(|value| value.trim().parse::<f32>().ok()) == Some(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(values: &[&'static str]) -> bool {
        let value = |&value: &&'static str| (header::ACCEPT_ENCODING, HeaderValue::from_static(value));
        accepts_gzip(&values.iter().map(value).collect())
    }

    #[test]
    fn a_client_gets_gzip_unless_it_refuses() {
        for yes in [
            "gzip",
            "GZIP",
            "x-gzip",
            "gzip, deflate, br",
            "br;q=1, gzip;q=0.001",
            "*",
            "identity;q=0, *;q=0.1",
            "*;q=0, gzip",
        ] {
            assert!(accepts(&[yes]), "{yes:?}");
        }
        for no in [
            "",
            "identity",
            "br, deflate",
            "gzip;q=0",
            "gzip; Q=0.000",
            "gzip ; q = 0",
            "*;q=0",
            "gzip;q=0, *",
        ] {
            assert!(!accepts(&[no]), "{no:?}");
        }
        assert!(!accepts(&[]), "no header");
        assert!(accepts(&["br", "gzip"]), "two lines");
    }
}
