//! The name and the origin of a request to an open server, which has nothing else to tell its own pages from others.
//!
//! A browser lets any page send requests to any server. It says in `Origin` whose page sends one, and gives that page
//! the answer only if the server allows it; but a write has happened by then. The name in `Host` must be one of the
//! server's own: the owner of another name can let it stand for the server's address, and a page of that name then
//! passes for one of the server's (DNS rebinding).

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::body::Body;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Request, header};

use super::host;
use crate::config::CorsOrigins;
use crate::http::answer::codes::Code;
use crate::http::answer::problem::{Problem, shown};
use crate::http::app::{Access, App};

/// The route that is answered under every name: probes of load balancers use names of their own.
const ANSWERED_UNDER_EVERY_NAME: &str = "/health";

/// Refuses a request to an open server under a name that is not the server's, or from a page of another origin. `host`
/// has the [parts](host::parts) of the header `Host`.
pub(super) fn check(
    app: &App,
    request: &Request<Body>,
    host: Option<(&str, &str)>,
    route: Option<&str>,
) -> Result<(), Problem> {
    let Access::Open { hosts } = &app.access else { return Ok(()) };
    if route != Some(ANSWERED_UNDER_EVERY_NAME) {
        let header = host.map(|(name, _)| name);
        // A target in absolute form names the server instead of `Host` (RFC 9112, 3.2.2).
        let target = request.uri().authority().map(Authority::host);
        if let Some(other) = header.into_iter().chain(target).find(|name| !is_own_name(name, hosts)) {
            return Err(host_refused(other));
        }
    }
    let allowed = match &app.cors_origins {
        Some(CorsOrigins::Any) => return Ok(()),
        Some(CorsOrigins::These(origins)) => origins.as_slice(),
        None => &[],
    };
    let mut origins = request.headers().get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => Ok(()),
        (Some(origin), None) if host.is_some_and(|host| is_same(origin, host)) => Ok(()),
        (Some(origin), None) if allowed.contains(origin) => Ok(()),
        (Some(origin), None) => {
            let origin = shown(&String::from_utf8_lossy(origin.as_bytes()));
            Err(origin_refused(format!(
                "pages of {origin} may not call this server; --cors-origins names those that may"
            )))
        }
        (Some(_), Some(_)) => Err(origin_refused("the header Origin is given twice".to_owned())),
    }
}

fn host_refused(name: &str) -> Problem {
    let detail = match name {
        "" => "the header Host is empty; it must name the server".to_owned(),
        name => format!("the server has no name {}; --hosts names the allowed ones", shown(name)),
    };
    Problem::new(Code::HostRefused, detail).blaming("Host")
}

fn origin_refused(detail: String) -> Problem {
    Problem::new(Code::OriginRefused, detail).blaming("Origin")
}

/// Returns whether this is an IP address, which nobody can let stand for another, or a name of this machine, or one of
/// these names, which are in lower case and do not end in a dot.
fn is_own_name(host: &str, hosts: &[String]) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if address.map_or_else(|| host.parse::<Ipv4Addr>().is_ok(), |address| address.parse::<Ipv6Addr>().is_ok())
    {
        return true;
    }
    let name = without_last_dot(host);
    let is = |own: &str| name.eq_ignore_ascii_case(own);
    is("localhost") || is_below_localhost(name) || hosts.iter().any(|own| is(own))
}

/// Returns whether this is a name below `localhost`, which every browser resolves to this machine (RFC 6761, 6.3).
fn is_below_localhost(name: &str) -> bool {
    const LOCALHOST: &str = ".localhost";
    let split = name.len().checked_sub(LOCALHOST.len()).and_then(|at| name.split_at_checked(at));
    split.is_some_and(|(labels, last)| !labels.is_empty() && last.eq_ignore_ascii_case(LOCALHOST))
}

fn without_last_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Returns whether an origin has the host and the port of `Host`. Its scheme may be another one: a proxy in front of
/// the server may speak HTTPS. So a port that is absent is the usual one of the origin's scheme.
fn is_same(origin: &HeaderValue, (host, port): (&str, &str)) -> bool {
    let origin = origin.as_bytes();
    let https = origin.strip_prefix(b"https://").map(|authority| (authority, 443));
    let Some((authority, usual)) = https.or_else(|| Some((origin.strip_prefix(b"http://")?, 80))) else {
        return false;
    };
    let Some((name, of_name)) = host::parts(authority) else { return false };
    let number = |port: &str| if port.is_empty() { Some(usual) } else { port.parse::<u16>().ok() };
    !name.is_empty()
        && without_last_dot(name).eq_ignore_ascii_case(without_last_dot(host))
        && number(of_name).is_some_and(|of_name| number(port) == Some(of_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nobody_else_can_own_pass() {
        let hosts = ["chinwag".to_owned(), "chat.example.com".to_owned()];
        for own in [
            "127.0.0.1",
            "192.0.2.7",
            "0.0.0.0",
            "[::1]",
            "[2001:DB8::1]",
            "[::ffff:127.0.0.1]",
            "localhost",
            "LocalHost.",
            "a.localhost",
            "a.b.LOCALHOST.",
            "chinwag",
            "CHINWAG.",
            "chat.Example.com",
            "chat.example.com.",
        ] {
            assert!(is_own_name(own, &hosts), "{own:?}");
        }
        for other in [
            "",
            ".",
            "evil.example",
            ".localhost",
            "notlocalhost",
            "localhost.evil.example",
            "localhost..",
            "127.0.0.1.evil.example",
            "127.0.0.1.",
            "127.1",
            "0x7f.0.0.1",
            "2130706433",
            "%6cocalhost",
            "[v1.a]",
            "chinwag.evil.example",
            "evil-chinwag",
            "example.com",
            "a.chat.example.com",
        ] {
            assert!(!is_own_name(other, &hosts), "{other:?}");
        }
        assert!(!is_own_name("chinwag", &[]));
    }

    #[test]
    fn an_origin_is_compared_by_host_and_port() {
        let is_same = |origin: &str, host: &str| {
            let origin = HeaderValue::from_str(origin).expect("a header");
            is_same(&origin, host::parts(host.as_bytes()).expect("well-formed"))
        };
        for (origin, host) in [
            ("http://127.0.0.1:9000", "127.0.0.1:9000"),
            ("http://[::1]:9000", "[::1]:9000"),
            ("http://localhost:9000", "LOCALHOST.:9000"),
            ("http://Chat.example.com.", "chat.example.com"),
            ("https://chat.example.com", "chat.example.com"),
            ("https://chat.example.com", "chat.example.com:443"),
            ("https://chat.example.com:443", "chat.example.com"),
            ("http://chat.example.com", "chat.example.com:80"),
            ("https://chat.example.com:8443", "chat.example.com:8443"),
        ] {
            assert!(is_same(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("null", "null"),
            ("null", "localhost"),
            ("", ""),
            ("http://", ""),
            ("http://evil.example", "localhost"),
            ("http://localhost:3000", "localhost:9000"),
            ("http://localhost", "localhost:9000"),
            ("http://localhost:9000", "localhost"),
            ("https://localhost", "localhost:80"),
            ("http://localhost:443", "localhost"),
            ("http://localhost:99999", "localhost:99999"),
            ("http://localhost:9000/", "localhost:9000"),
            ("http://localhost:9000 http://localhost:9000", "localhost:9000"),
            ("http://localhost:9000, http://localhost:9000", "localhost:9000"),
            ("http://ann@localhost:9000", "localhost:9000"),
            ("http://127.0.0.1:9000", "localhost:9000"),
            ("localhost:9000", "localhost:9000"),
            ("ftp://localhost:9000", "localhost:9000"),
            ("chrome-extension://localhost:9000", "localhost:9000"),
        ] {
            assert!(!is_same(origin, host), "{origin} {host}");
        }
    }
}
