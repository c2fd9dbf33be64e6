//! Everything for browsers: the chat page, the documentation page, and the rule for pages of other origins.

pub(crate) mod chat_page;
pub(crate) mod cors;
pub(crate) mod docs_page;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Answers with a file for a browser, and with the policy that restricts the file there.
fn file(media_type: &'static str, policy: &'static str, content: impl IntoResponse) -> Response {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        // A later version of the server has another page, so the browser asks each time.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, content).into_response()
}

/// Returns whether a client accepts an answer that is compressed with gzip. One that names no encodings
/// accepts any (RFC 9110, 12.5.3), and browsers name gzip.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING);
    if values.iter().next().is_none() {
        return true;
    }
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
        assert!(accepts(&[]), "no header");
        assert!(accepts(&["br", "gzip"]), "two lines");
    }
}
