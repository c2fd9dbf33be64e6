//! A server without credentials: where it may listen, the names that it answers to, and the pages that may call it.

use std::net::TcpListener;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Ended, RawConnection, Reply, TestServer, binary, problem, run_to_end};

/// Runs a server that must not start: on a directory that does not exist, and on an empty one.
#[track_caller]
fn refused(dir: &Path, flags: &[&str], open: &str, words: &[&str]) {
    let (missing, empty) = (dir.join("parent/data"), dir.join("empty"));
    std::fs::create_dir_all(&empty).unwrap();
    for data in [&missing, &empty] {
        let mut command = binary();
        command.args(["serve", "--data"]).arg(data).args(flags).env("CHINWAG_OPEN", open);
        let Ended { code, stderr } = run_to_end(&mut command);
        assert_eq!(code, Some(2), "{flags:?}: {stderr}");
        for word in words {
            assert!(stderr.contains(word), "no {word:?} in: {stderr}");
        }
    }
    assert!(!dir.join("parent").exists(), "{flags:?}: nothing is left behind");
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0, "{flags:?}: nothing is left behind");
}

#[test]
fn other_addresses_than_loopback_are_refused() {
    let dir = TempDir::new().unwrap();
    let addresses = ["0.0.0.0:0", "[::]:0"];
    // A machine may lack IPv6.
    let addresses = addresses.into_iter().filter(|address| TcpListener::bind(address).is_ok());
    for (address, open) in addresses.flat_map(|address| ["", "0", "no"].map(|open| (address, open))) {
        let ip = address.trim_end_matches('0');
        refused(dir.path(), &["--listen", address], open, &[ip, "--open", "--api-keys", "--token-keys"]);
        refused(dir.path(), &["--listen", address, "--ephemeral"], open, &[ip, "CHINWAG_OPEN=1"]);
    }
}

#[test]
fn open_beside_keys_is_refused() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("keys");
    std::fs::write(&file, "# nobody\n").unwrap();
    let file = file.to_str().unwrap();
    for keys in ["--api-keys", "--token-keys"] {
        refused(dir.path(), &["--listen", "127.0.0.1:0", keys, file, "--open"], "", &["--open", keys]);
        refused(dir.path(), &["--listen", "0.0.0.0:0", keys, file], "1", &["CHINWAG_OPEN", keys]);
    }
}

#[tokio::test]
async fn open_serves_everyone_and_warns() {
    const WARNING: &str = "everyone who reaches this address";
    let dir = TempDir::new().unwrap();
    for (address, flag, variable, warns) in [
        ("0.0.0.0:0", "--open", "CHINWAG_OPEN=0", true),
        ("0.0.0.0:0", "--log=info", "CHINWAG_OPEN=1", true),
        ("127.0.0.1:0", "--open", "CHINWAG_OPEN=", false),
        ("127.0.0.1:0", "--log=info", "CHINWAG_OPEN=1", false),
    ] {
        let flags = ["--listen", address, "--ephemeral", flag];
        let server = TestServer::start_under(&["env", variable], dir.path(), &flags);
        server.add_user("ann").await;
        let metrics = server.get("/metrics").await.text;
        assert!(metrics.contains("\nchinwag_open 1\n"), "{metrics}");
        let (_, ended) = server.terminate();
        assert_eq!(ended.stderr.contains(WARNING), warns, "{address} {flag} {variable}: {}", ended.stderr);
    }
}

#[test]
fn a_keyed_server_has_no_names() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("keys");
    std::fs::write(&file, "# nobody\n").unwrap();
    let flags = ["--listen", "0.0.0.0:0", "--api-keys", file.to_str().unwrap()];
    let server = TestServer::start_under(&["env", "CHINWAG_OPEN=0"], &dir.path().join("data"), &flags);
    let reply = ask(&server, "GET /nothing", &["Host: evil.example", "Origin: http://evil.example"]);
    assert_eq!(problem(&reply, 404, "route_not_found"), None);
    let (_, ended) = server.terminate();
    assert!(!ended.stderr.contains("the server is open"), "{}", ended.stderr);
}

/// Sends a request of HTTP/1.1 with these headers, and with a body that adds a user.
fn ask(server: &TestServer, call: &str, headers: &[&str]) -> Reply {
    ask_in(server, "HTTP/1.1", call, headers)
}

fn ask_in(server: &TestServer, version: &str, call: &str, headers: &[&str]) -> Reply {
    let body = json!({ "username": "ann" }).to_string();
    let headers: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
    let length = body.len();
    let mut connection = RawConnection::open(&server.address);
    connection.send(format!(
        "{call} {version}\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    connection.reply()
}

/// The owner of evil.example lets that name stand for 127.0.0.1, and loads a page from there. To the browser, page and
/// server are of one origin.
#[tokio::test]
async fn a_rebound_name_reaches_nothing() {
    let server = TestServer::start();
    let (_, port) = server.address.rsplit_once(':').unwrap();
    let (host, origin) =
        (format!("Host: evil.example:{port}"), format!("Origin: http://evil.example:{port}"));
    for call in
        ["POST /users/add", "GET /metrics", "GET /", "GET /docs", "GET /openapi.json", "OPTIONS /users/add"]
    {
        for headers in [&[&*host][..], &[&*host, &*origin], &["Host: localhost.evil.example"], &["Host:"]] {
            let reply = ask(&server, call, headers);
            assert_eq!(problem(&reply, 403, "host_refused").as_deref(), Some("Host"), "{call} {headers:?}");
        }
    }
    let reply = ask(&server, "POST /users/add", &[&host, &origin]);
    assert!(reply.text.contains("the server has no name evil.example; --hosts names"), "{}", reply.text);
    assert_eq!(server.position().await, 0, "nothing is written");
}

#[test]
fn the_host_of_a_target_counts_too() {
    let server = TestServer::start();
    for call in
        ["GET http://evil.example/metrics", "GET http://ann@evil.example:9000/", "CONNECT evil.example:80"]
    {
        let reply = ask(&server, call, &["Host: localhost"]);
        assert_eq!(problem(&reply, 403, "host_refused").as_deref(), Some("Host"), "{call}");
        let reply = ask_in(&server, "HTTP/1.0", call, &[]);
        assert_eq!(problem(&reply, 403, "host_refused").as_deref(), Some("Host"), "{call}");
    }
    let reply = ask(&server, "GET http://localhost/metrics", &["Host: evil.example"]);
    problem(&reply, 403, "host_refused");
    for target in ["http://127.0.0.1:9000", "http://localhost", "http://[::1]"] {
        let reply = ask(&server, &format!("GET {target}/metrics"), &["Host: localhost"]);
        assert_eq!(reply.status, 200, "{target}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_write_nothing() {
    let server = TestServer::start();
    let host = format!("Host: {}", server.address);
    for origin in [
        "http://evil.example",
        "https://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost:9000",
        "null",
        "",
        "evil",
        "file://",
        "chrome-extension://abcdefghijklmnop",
    ] {
        let origin = format!("Origin: {origin}");
        for call in ["POST /users/add", "OPTIONS /users/add", "GET /events", "GET /health", "GET /nothing"] {
            for more in ["Access-Control-Request-Method: POST", "Content-Type: text/plain"] {
                let reply = ask(&server, call, &[&host, &origin, more]);
                assert_eq!(
                    problem(&reply, 403, "origin_refused").as_deref(),
                    Some("Origin"),
                    "{call} {origin}"
                );
                assert!(!reply.headers.contains_key("access-control-allow-origin"), "{call} {origin}");
            }
        }
    }
    let own = format!("Origin: http://{}", server.address);
    problem(&ask(&server, "POST /users/add", &[&host, &own, &own]), 403, "origin_refused");
    let without_host = ask_in(&server, "HTTP/1.0", "POST /users/add", &[&own]);
    problem(&without_host, 403, "origin_refused");
    assert_eq!(server.position().await, 0, "nothing is written");

    assert_eq!(ask(&server, "POST /users/add", &[&host, &own]).status, 201);
    problem(
        &ask(&server, "POST /users/add", &[&host, &own.replace("http:", "https:")]),
        409,
        "username_taken",
    );
    problem(&ask(&server, "POST /users/add", &[&host]), 409, "username_taken");
}

#[test]
fn names_that_were_given_are_answered() {
    let server = TestServer::start_with(&["--hosts", "chinwag,Chat.Example.com."]);
    for host in
        ["chinwag", "chinwag:9000", "CHAT.example.com", "chat.example.com.:443", "a.localhost", "10.0.0.1"]
    {
        assert_eq!(ask(&server, "GET /metrics", &[&format!("Host: {host}")]).status, 200, "{host}");
    }
    problem(&ask(&server, "GET /metrics", &["Host: www.chat.example.com"]), 403, "host_refused");
    // A proxy that speaks HTTPS passes the names on.
    let page = ["Host: chat.example.com", "Origin: https://chat.example.com"];
    assert_eq!(ask(&server, "POST /users/add", &page).status, 201);
    // A name of the server is not therefore an origin that may call.
    let other = ["Host: chat.example.com", "Origin: https://chinwag"];
    problem(&ask(&server, "POST /users/add", &other), 403, "origin_refused");
}

#[test]
fn health_is_answered_under_every_name() {
    let server = TestServer::start();
    for host in ["Host: probe.internal", "Host: evil.example:80", "Host:"] {
        for path in ["/health", "/he%61lth", "/health?from=probe"] {
            assert_eq!(ask(&server, &format!("GET {path}"), &[host]).status, 200, "{host} {path}");
        }
        problem(&ask(&server, "GET /health/", &[host]), 403, "host_refused");
    }
    assert_eq!(ask(&server, "GET http://probe.internal/health", &["Host: probe.internal"]).status, 200);
    // No browser leaves the name out.
    assert_eq!(ask_in(&server, "HTTP/1.0", "GET /metrics", &[]).status, 200);
}

#[test]
fn the_name_is_refused_first_then_the_origin() {
    let server = TestServer::start();
    let (good, bad, evil) = ("Host: localhost", "Host: evil.example", "Origin: http://evil.example");
    for call in ["GET /nothing", "PUT /users/add", "POST /users/add"] {
        problem(&ask(&server, call, &[bad, bad, evil]), 400, "invalid_host");
        problem(&ask(&server, call, &["Host: a b", evil]), 400, "invalid_host");
        problem(&ask(&server, call, &[bad, evil]), 403, "host_refused");
        problem(&ask(&server, call, &[good, evil]), 403, "origin_refused");
    }
    problem(&ask(&server, "GET /nothing", &[good]), 404, "route_not_found");
}

#[test]
fn origins_that_were_given_may_call() {
    let allowed = "access-control-allow-origin";
    let preflight = ["Host: localhost", "Access-Control-Request-Method: POST"];
    let page = "Origin: https://chat.example.com";

    let server = TestServer::start_with(&["--cors-origins", "https://chat.example.com"]);
    let reply = ask(&server, "OPTIONS /users/add", &[preflight[0], preflight[1], page]);
    assert_eq!((reply.status.as_u16(), reply.header(allowed)), (200, "https://chat.example.com"));
    let reply = ask(&server, "POST /users/add", &["Host: localhost", page]);
    assert_eq!((reply.status.as_u16(), reply.header(allowed)), (201, "https://chat.example.com"));
    problem(&ask(&server, "POST /users/add", &["Host: evil.example", page]), 403, "host_refused");
    problem(
        &ask(&server, "POST /users/add", &["Host: localhost", &page[..page.len() - 1]]),
        403,
        "origin_refused",
    );

    let server = TestServer::start_with(&["--cors-origins", "*"]);
    for origin in [&["Origin: null"][..], &["Origin: evil"], &[page, page]] {
        let reply = ask(&server, "OPTIONS /users/add", &[&preflight, origin].concat());
        assert_eq!((reply.status.as_u16(), reply.header(allowed)), (200, "*"), "{origin:?}");
    }
    let rebound = ["Host: evil.example", "Origin: http://evil.example"];
    problem(&ask(&server, "POST /users/add", &rebound), 403, "host_refused");
}
