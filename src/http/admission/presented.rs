//! The credentials that a request presents: in its header, or, of a stream, in its URL.

use axum::http::{HeaderMap, Uri, header};

use crate::access::ServerKeys;
use crate::http::answer::codes::Code;
use crate::http::answer::problem::Problem;

/// The credentials that a request presents.
#[derive(Debug, PartialEq)]
pub(super) enum Presented<'r> {
    /// A server key or a user's token (RFC 6750, 2.1).
    Bearer(&'r str),
    /// A header `Authorization` that holds neither.
    Other,
    /// A token in the URL of a stream.
    InUrl(String),
}

/// The parameter of a stream's URL that holds a token.
pub(crate) const TOKEN: &str = "token";

/// Returns what a request presents, or `None` if it presents nothing. `takes_url` is whether the call takes a token
/// in its URL.
pub(super) fn presented<'r>(
    uri: &Uri,
    headers: &'r HeaderMap,
    takes_url: bool,
) -> Result<Option<Presented<'r>>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let in_header = match (values.next(), values.next()) {
        (None, _) => None,
        (Some(value), None) => Some(bearer(value.as_bytes())),
        (Some(_), Some(_)) => return Err(Problem::invalid_field("Authorization", "is given twice", None)),
    };
    let mut in_url = Vec::new();
    if takes_url {
        let parameters = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        in_url.extend(parameters.filter(|(name, _)| name == TOKEN).map(|(_, value)| value.into_owned()));
    }
    match (in_header, in_url.pop()) {
        (presented, None) => Ok(presented),
        (_, Some(_)) if !in_url.is_empty() => Err(Problem::invalid_field(TOKEN, "is given twice", None)),
        (Some(_), Some(_)) => {
            Err(Problem::invalid_field(TOKEN, "and the header Authorization cannot be given together", None))
        }
        (None, Some(token)) => Ok(Some(Presented::InUrl(token))),
    }
}

/// Returns the credentials of a header `Bearer CREDENTIALS`. The scheme is in either case (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Presented<'_> {
    let text = str::from_utf8(value).ok();
    let bearer = text.and_then(|text| text.split_once(' '));
    match bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) {
        Some((_, credentials)) => Presented::Bearer(credentials.trim_start_matches(' ')),
        None => Presented::Other,
    }
}

/// Refuses a server key or a user's token in a URL: URLs are logged by proxies and kept by browsers.
pub(super) fn too_broad(token: &str) -> Option<Problem> {
    let is_too_broad =
        token.starts_with(ServerKeys::PREFIX) || token.bytes().filter(|&byte| byte == b'.').count() == 2;
    is_too_broad.then(|| Problem::usual(Code::TokenTooBroad).blaming(TOKEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented_by(query: &str, values: &[&'static str]) -> Result<Option<Presented<'static>>, ()> {
        let uri: Uri = format!("/events?{query}").parse().expect("a URI");
        let value = |&value: &&'static str| (header::AUTHORIZATION, value.parse().expect("a value"));
        let headers: HeaderMap = values.iter().map(value).collect();
        let headers = Box::leak(Box::new(headers));
        presented(&uri, headers, true).map_err(drop)
    }

    #[test]
    fn credentials_come_once() {
        let url = |token: &str| Ok(Some(Presented::InUrl(token.to_owned())));
        for (query, values, expected) in [
            ("", &[][..], Ok(None)),
            ("", &["Bearer abc"], Ok(Some(Presented::Bearer("abc")))),
            ("user=1", &["bEARER  abc"], Ok(Some(Presented::Bearer("abc")))),
            ("", &["Bearer"], Ok(Some(Presented::Other))),
            ("", &["Bearer "], Ok(Some(Presented::Bearer("")))),
            ("", &["Bearerabc"], Ok(Some(Presented::Other))),
            ("", &["Basic YTpi"], Ok(Some(Presented::Other))),
            ("", &[""], Ok(Some(Presented::Other))),
            ("", &["abc"], Ok(Some(Presented::Other))),
            ("token=a.b.c", &[], url("a.b.c")),
            ("after=3&token=%61b", &[], url("ab")),
            ("token=", &[], url("")),
            ("token=a&token=a", &[], Err(())),
            ("token=a", &["Bearer a"], Err(())),
            ("token=a", &["Basic a"], Err(())),
            ("", &["Bearer a", "Bearer a"], Err(())),
        ] {
            assert_eq!(presented_by(query, values), expected, "{query} {values:?}");
        }
        let uri = "/users/get?token=a".parse().expect("a URI");
        assert_eq!(
            presented(&uri, &HeaderMap::new(), false).map_err(drop),
            Ok(None),
            "other calls take none"
        );
    }

    #[test]
    fn full_credentials_do_not_belong_in_a_url() {
        assert!(too_broad("cw_AAAA").is_some());
        assert!(too_broad("eyJh.eyJz.c2ln").is_some());
        assert!(too_broad("cwe_AAAA").is_none());
        assert!(too_broad("anything").is_none());
    }
}
