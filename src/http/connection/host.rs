//! The header `Host` (RFC 9112, 3.2): a request of HTTP/1.1 has it once, and its value is well-formed.

use std::net::Ipv6Addr;

use axum::body::Body;
use axum::http::{Request, Version, header};

use crate::http::answer::codes::Code;
use crate::http::answer::problem::{Problem, shown};

/// Returns the [`parts`] of a request's `Host`. Refuses one that is missing, given twice or malformed: a proxy in front
/// of the server might take such a request for one to another host. HTTP/1.0 does not define the header, so it may be
/// missing there.
pub(super) fn check(request: &Request<Body>) -> Result<Option<(&str, &str)>, Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => parts(host.as_bytes()).map(Some).ok_or_else(|| {
            let host = String::from_utf8_lossy(host.as_bytes());
            refused(&format!("must be a host and perhaps a port; it is {}", shown(&host)))
        }),
        (Some(_), Some(_)) => Err(refused("is given twice")),
        (None, _) if request.version() < Version::HTTP_11 => Ok(None),
        (None, _) => Err(Problem::usual(Code::InvalidHost).blaming("Host")),
    }
}

fn refused(problem: &str) -> Problem {
    Problem::new(Code::InvalidHost, format!("the header Host {problem}")).blaming("Host")
}

/// Returns the two parts of `host [ ":" port ]` (RFC 3986, 3.2), or `None` if this is something else. A port that
/// is absent is empty. The empty value is well-formed: a client sends it if the URI of its request has no
/// authority.
pub(super) fn parts(value: &[u8]) -> Option<(&str, &str)> {
    let (is_host, host_bytes) = if value.first() == Some(&b'[') {
        let end = value.iter().position(|&byte| byte == b']')?;
        (is_ip_literal(&value[1..end]), end + 1)
    } else {
        let end = value.iter().position(|&byte| byte == b':').unwrap_or(value.len());
        // A port needs a host.
        (is_name(&value[..end]) && (end > 0 || value.is_empty()), end)
    };
    let (host, after) = value.split_at(host_bytes);
    let port = if after.is_empty() { after } else { after.strip_prefix(b":")? };
    let is_well_formed = is_host && port.iter().all(u8::is_ascii_digit);
    if is_well_formed { Some((str::from_utf8(host).ok()?, str::from_utf8(port).ok()?)) } else { None }
}

/// Returns whether this is what stands between brackets: an IPv6 address, or one of a later version.
fn is_ip_literal(value: &[u8]) -> bool {
    if let Some(later) = value.strip_prefix(b"v").or_else(|| value.strip_prefix(b"V")) {
        let Some(dot) = later.iter().position(|&byte| byte == b'.') else { return false };
        let (version, address) = (&later[..dot], &later[dot + 1..]);
        let is_address = |&byte: &u8| is_name_byte(byte) || byte == b':';
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !address.is_empty()
            && address.iter().all(is_address);
    }
    str::from_utf8(value).is_ok_and(|value| value.parse::<Ipv6Addr>().is_ok())
}

/// Returns whether this is a registered name or an IPv4 address, percent-encoding included.
fn is_name(mut value: &[u8]) -> bool {
    loop {
        match value {
            [] => return true,
            [b'%', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                value = after;
            }
            [byte, after @ ..] if is_name_byte(*byte) => value = after,
            [..] => return false,
        }
    }
}

/// Returns whether this is an unreserved character or a sub-delimiter.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_the_form_of_an_authority() {
        for good in [
            "",
            "a",
            "localhost",
            "example.com:9000",
            "EXAMPLE.com.",
            "127.0.0.1:1",
            "a:",
            "a_b~!$&'()*+,;=",
            "%41.b",
            "[::1]",
            "[::1]:9000",
            "[::ffff:1.2.3.4]",
            "[2001:DB8::1]:",
            "[v1.a:b]",
            "[VF0.a]:9000",
        ] {
            assert!(parts(good.as_bytes()).is_some(), "{good:?}");
        }
        for bad in [
            ":",
            ":80",
            "a b",
            "a:b",
            "a:80:80",
            "a:-1",
            "a:+1",
            "ann@a",
            "ann:secret@a",
            "a/",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "http://a",
            "a,b:1:",
            "%",
            "%4",
            "%4g",
            "a%",
            "[",
            "]",
            "[]",
            "[::1",
            "::1",
            "[::1]a",
            "[::1]80",
            "[::1]:a",
            "[1.2.3.4]",
            "[::1%25eth0]",
            "[[::1]]",
            "[v1]",
            "[v.a]",
            "[v1.]",
            "[vg.a]",
            "[v1.a b]",
            "é",
            "a\tb",
            "<a>",
            "a|b",
        ] {
            assert!(parts(bad.as_bytes()).is_none(), "{bad:?}");
        }
        assert!(parts(b"\xff").is_none());
        assert_eq!(parts(b"a:80"), Some(("a", "80")));
        assert_eq!(parts(b"[::1]:"), Some(("[::1]", "")));
    }
}
