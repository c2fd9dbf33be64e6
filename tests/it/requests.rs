//! The rules for a request of any call: its content type, the length of its body, and its deadline.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{RawConnection, TestRouter, TestServer, head, post_bytes, problem};

const JSON: &str = "Content-Type: application/json";
const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn a_json_content_type_may_have_a_charset() {
    let server = TestRouter::start();
    let types = [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json ; charset=\"utf-8\"",
        "Application/Json",
        "APPLICATION/JSON; CHARSET=UTF-8",
    ];
    for (number, content_type) in types.into_iter().enumerate() {
        let request = server.request("POST", "/users/add").header("content-type", content_type);
        let request = request.body(json!({ "username": format!("user {number}") }).to_string());
        let reply = server.send(request).await;
        assert_eq!(reply.status, 201, "{content_type}: {}", reply.text);
    }
}

#[test]
fn a_wrong_or_missing_content_type_is_refused() {
    let server = TestServer::start();
    let types: [&[u8]; 14] = [
        b"",
        b"Content-Type:\r\n",
        b"Content-Type: text/plain\r\n",
        b"Content-Type: text/json\r\n",
        b"Content-Type: application\r\n",
        b"Content-Type: application/\r\n",
        b"Content-Type: application/jsonp\r\n",
        b"Content-Type: application/x-json\r\n",
        b"Content-Type: application/problem+json\r\n",
        b"Content-Type: application/json-seq\r\n",
        b"Content-Type: application/x-www-form-urlencoded\r\n",
        b"Content-Type: text/plain; a=application/json\r\n",
        b"Content-Type: */*\r\n",
        b"Content-Type: \xff\xfe\r\n",
    ];
    for path in ["/users/add", "/chats/add", "/chats/get", "/messages/add", "/messages/get"] {
        for content_type in types {
            let mut connection = RawConnection::open(&server.address);
            let start = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n");
            connection.send([start.as_bytes(), content_type, b"\r\n{}"].concat());
            let shown = String::from_utf8_lossy(content_type);
            assert_eq!(problem(&connection.reply(), 415, "unsupported_media_type"), None, "{path} {shown}");
        }
    }
}

#[test]
fn an_encoded_body_is_refused_and_identity_is_not() {
    let server = TestServer::start();
    let send = |encoding: &str, name: &str| {
        let body = json!({ "username": name }).to_string();
        let length = format!("Content-Length: {}", body.len());
        let mut connection = RawConnection::open(&server.address);
        connection.send(head("POST", "/users/add", &[JSON, &length, encoding]) + &body);
        connection.reply()
    };
    for encoding in ["gzip", "GZIP", "identity, gzip", "br", "identity\r\nContent-Encoding: gzip", "none"] {
        let reply = send(&format!("Content-Encoding: {encoding}"), "ann");
        assert_eq!(problem(&reply, 415, "unsupported_media_type"), None, "{encoding}");
        assert!(reply.text.contains("content encoding"), "{}", reply.text);
    }
    for (encoding, name) in
        [("identity", "ann"), ("Identity", "bob"), ("", "cy"), ("identity, identity", "di")]
    {
        assert_eq!(send(&format!("Content-Encoding: {encoding}"), name).status, 201, "{encoding}");
    }
}

/// Sends a request with these lines in place of `Host: …`.
fn send_with_host(server: &TestServer, start: &str, host: &str) -> RawConnection {
    let mut connection = RawConnection::open(&server.address);
    connection.send(format!("{start}\r\n{host}Content-Length: 2\r\n\r\n{{}}"));
    connection
}

#[test]
fn every_route_refuses_a_missing_or_bad_host() {
    let server = TestServer::start();
    let mut connection = RawConnection::open(&server.address);
    let call = [
        "GET /health",
        "GET /metrics",
        "GET /",
        "GET /docs",
        "POST /users/add",
        "GET /users/add",
        "GET /nothing",
    ];
    for call in call.into_iter().chain(["PUT /users%2Fadd", "OPTIONS *", "GET http://example.test/health"]) {
        for host in
            ["", "Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host: ann@a\r\n", "Host: a/\r\n", "Host: é\r\n"]
        {
            let start = format!("{call} HTTP/1.1\r\n{host}Content-Length: 2\r\n\r\n{{}}");
            // The connection goes on, because the body is discarded.
            connection.send(start);
            let reply = connection.reply();
            assert_eq!(problem(&reply, 400, "invalid_host").as_deref(), Some("Host"), "{call} {host}");
            assert_eq!(reply.json()["request_id"], reply.header("x-request-id"));
        }
    }
    connection.send(head("GET", "/metrics", &[]));
    let counted = "chinwag_http_requests_total{path=\"/users/add\",status=\"400\"} 12";
    assert!(connection.reply().text.contains(counted), "counted by its route");
}

#[test]
fn a_host_may_be_empty_and_in_http_1_0_missing() {
    let server = TestServer::start();
    for host in ["Host:\r\n", "Host: [::1]:9000\r\n", "Host: EXAMPLE.test:\r\n", "hOST: 127.0.0.1:1\r\n"] {
        assert_eq!(send_with_host(&server, "GET /health HTTP/1.1", host).reply().status, 200, "{host}");
    }
    for (host, status) in
        [("", 200), ("Host: a\r\n", 200), ("Host: a b\r\n", 400), ("Host: a\r\nHost: a\r\n", 400)]
    {
        let reply = send_with_host(&server, "GET /health HTTP/1.0", host).reply();
        assert_eq!(reply.status, status, "{host}");
    }
}

#[test]
fn a_body_may_have_1_mib() {
    let server = TestServer::start();
    check_body_bytes_max(&server, MIB);
}

#[test]
fn the_longest_body_can_be_set() {
    for bytes_max in [1_024, 100_000, 3 * MIB] {
        let server = TestServer::start_with(&["--body-bytes-max", &bytes_max.to_string()]);
        check_body_bytes_max(&server, bytes_max);
    }
}

fn check_body_bytes_max(server: &TestServer, bytes_max: usize) {
    // With its length, and twice on one connection: it must stay in step.
    let mut connection = RawConnection::open(&server.address);
    connection.send(post_bytes("/users/add", &user_in("ann", bytes_max)));
    assert_eq!(connection.reply().status, 201);
    connection.send(post_bytes("/users/add", &user_in("bob", bytes_max)));
    assert_eq!(connection.reply().status, 201);
    let mut connection = RawConnection::open(&server.address);
    connection.send(post_bytes("/users/add", &user_in("cy", bytes_max + 1)));
    assert_eq!(problem(&connection.reply(), 413, "body_too_large"), None);

    // In chunks.
    for chunk in [bytes_max + 1, 4_000] {
        let mut connection = RawConnection::open(&server.address);
        connection.send(in_chunks("/users/add", &user_in(&format!("dan {chunk}"), bytes_max), chunk));
        assert_eq!(connection.reply().status, 201);
        let mut connection = RawConnection::open(&server.address);
        connection.send(in_chunks("/users/add", &user_in("eve", bytes_max + 1), chunk));
        assert_eq!(problem(&connection.reply(), 413, "body_too_large"), None);
    }

    // With `Expect: 100-continue`, the server does not ask for a body that is too long.
    let expecting = |length: usize| {
        let length = format!("Content-Length: {length}");
        head("POST", "/users/add", &[JSON, &length, "Expect: 100-continue"])
    };
    for too_long in [bytes_max + 1, 1_000_000_000_000_000] {
        let mut connection = RawConnection::open(&server.address);
        connection.send(expecting(too_long));
        assert_eq!(problem(&connection.reply(), 413, "body_too_large"), None);
    }
    let mut connection = RawConnection::open(&server.address);
    connection.send(expecting(bytes_max));
    assert_eq!(connection.reply().status, 100);
    connection.send(user_in("fay", bytes_max));
    assert_eq!(connection.reply().status, 201);
    // Without an announced length, only the body itself shows it.
    let mut connection = RawConnection::open(&server.address);
    connection.send(head(
        "POST",
        "/users/add",
        &[JSON, "Transfer-Encoding: chunked", "Expect: 100-continue"],
    ));
    assert_eq!(connection.reply().status, 100);
    connection.send(chunks(&user_in("gus", bytes_max + 1), 4_000));
    assert_eq!(problem(&connection.reply(), 413, "body_too_large"), None);
}

#[test]
fn a_long_body_is_refused_while_being_sent() {
    let server = TestServer::start();
    let mut connection = RawConnection::open(&server.address);
    let length = format!("Content-Length: {}", 8 * MIB);
    connection.send(head("POST", "/users/add", &[JSON, &length]));
    for _ in 0..8 {
        connection.send(vec![b' '; MIB]);
    }
    assert_eq!(problem(&connection.reply(), 413, "body_too_large"), None);
}

/// Returns a body of this length that creates a user.
fn user_in(username: &str, bytes: usize) -> Vec<u8> {
    let mut body = json!({ "username": username }).to_string().into_bytes();
    body.resize(bytes, b' ');
    body
}

fn in_chunks(path: &str, body: &[u8], chunk_bytes: usize) -> Vec<u8> {
    let head = head("POST", path, &[JSON, "Transfer-Encoding: chunked"]);
    [head.into_bytes(), chunks(body, chunk_bytes)].concat()
}

fn chunks(body: &[u8], chunk_bytes: usize) -> Vec<u8> {
    let mut chunks = Vec::new();
    for chunk in body.chunks(chunk_bytes) {
        chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    chunks
}

#[test]
fn a_body_that_stops_halfway_times_out() {
    let server = TestServer::start_with(&["--request-timeout-s", "1"]);
    let begun = [
        head("POST", "/users/add", &[JSON, "Content-Length: 20"]) + "{\"username",
        head("POST", "/users/add", &[JSON, "Content-Length: 20"]),
        head("POST", "/users/add", &[JSON, "Transfer-Encoding: chunked"]) + "a\r\n{\"userna",
        head("POST", "/users/add", &[JSON, "Content-Length: 20", "Expect: 100-continue"]),
    ];
    let start = Instant::now();
    let connections: Vec<_> = begun
        .iter()
        .map(|begun| {
            let mut connection = RawConnection::open(&server.address);
            connection.send(begun);
            connection
        })
        .collect();
    for mut connection in connections {
        let mut reply = connection.reply();
        if reply.status == 100 {
            reply = connection.reply();
        }
        assert_eq!(problem(&reply, 408, "request_timeout"), None);
    }
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(10), "{waited:?}");
}

#[test]
fn a_body_that_trickles_times_out() {
    let server = TestServer::start_with(&["--request-timeout-s", "1"]);
    let mut connection = RawConnection::open(&server.address);
    connection.send(head("POST", "/users/add", &[JSON, "Content-Length: 1000"]));
    let start = Instant::now();
    while connection.is_silent(Duration::from_millis(100)) {
        assert!(start.elapsed() < Duration::from_secs(10), "it is still waited for");
        connection.send(" ");
    }
    assert_eq!(problem(&connection.reply(), 408, "request_timeout"), None);
}

#[test]
fn head_and_body_share_one_deadline() {
    let server = TestServer::start_with(&["--request-timeout-s", "2"]);
    let mut connection = RawConnection::open(&server.address);
    let body = json!({ "username": "ann" }).to_string();
    let request = post_bytes("/users/add", body.as_bytes());
    let (in_head, in_body) = (20, request.len() - 5);
    connection.send(&request[..in_head]);
    assert!(connection.is_silent(Duration::from_millis(1_400)));
    connection.send(&request[in_head..in_body]);
    // Each part takes less than the deadline, both together take more.
    let mut silent = connection.is_silent(Duration::from_millis(1_400));
    if silent {
        connection.send(&request[in_body..]);
        silent = connection.is_silent(Duration::from_secs(1));
    }
    assert!(!silent, "neither answered nor hung up");
    assert_eq!(problem(&connection.reply(), 408, "request_timeout"), None);
}

#[test]
fn a_body_that_ends_early_is_invalid_json() {
    let server = TestServer::start();
    let begun = [
        head("POST", "/users/add", &[JSON, "Content-Length: 40"]) + "{}",
        head("POST", "/users/add", &[JSON, "Transfer-Encoding: chunked"]) + "2\r\n{}\r\n",
    ];
    for begun in begun {
        let mut connection = RawConnection::open(&server.address);
        connection.send(begun);
        connection.finish();
        assert_eq!(problem(&connection.reply(), 400, "invalid_json"), None);
    }
}

#[test]
fn malformed_chunks_end_only_their_connection() {
    let server = TestServer::start();
    for chunks in ["zz\r\n", "2\r\n{}zz", "-2\r\n{}\r\n0\r\n\r\n"] {
        let mut connection = RawConnection::open(&server.address);
        connection.send(head("POST", "/users/add", &[JSON, "Transfer-Encoding: chunked"]) + chunks);
        connection.rest();
        let mut other = RawConnection::open(&server.address);
        other.send(head("GET", "/health", &[]));
        assert_eq!(other.reply().status, 200, "{chunks:?}");
    }
}
