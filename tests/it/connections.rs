//! Connections: several requests on one, clients that leave, that send garbage, or that come all at once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::golden;
use crate::support::{RawConnection, TestServer, head, post, post_many, problem};

const JSON: &str = "Content-Type: application/json";

#[test]
fn a_head_that_stops_halfway_times_out() {
    let server = TestServer::start_with(&["--idle-timeout-s", "1", "--request-timeout-s", "1"]);
    let mut connections =
        ["", "POST /users", "POST /users/add HTTP/1.1\r\nHost: localhost\r\n"].map(|begun| {
            let mut connection = RawConnection::open(&server.address);
            connection.send(begun);
            connection
        });
    for connection in &mut connections {
        // Bytes that never became a request may end the connection without an answer.
        let rest = connection.rest();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&rest));
    }
}

#[test]
fn an_idle_connection_outlasts_the_request_timeout() {
    let server = TestServer::start_with(&["--request-timeout-s", "1"]);
    let mut connection = RawConnection::open(&server.address);
    for name in ["ann", "bob"] {
        std::thread::sleep(Duration::from_millis(1_500));
        connection.send(post("/users/add", &json!({ "username": name })));
        assert_eq!(connection.reply().status, 201);
    }
}

#[test]
fn a_waiting_client_does_not_block_others() {
    let server = TestServer::start();
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let mut connection = RawConnection::open(&server.address);
            connection.send(head("POST", "/users/add", &[JSON, "Content-Length: 20"]) + "{");
            connection
        })
        .collect();
    let mut connection = RawConnection::open(&server.address);
    connection.send(post("/users/add", &json!({ "username": "ann" })));
    assert_eq!(connection.reply().status, 201);
    drop(waiting);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start();
    let user = |name: &str| post("/users/add", &json!({ "username": name }));
    let requests = [
        user("ann"),
        user("ann"),
        head("GET", "/health", &[]).into_bytes(),
        head("GET", "/nothing", &[]).into_bytes(),
        post("/users/add", &json!([])),
        user("bob"),
    ];
    let replies = RawConnection::open(&server.address).pipeline(&requests);
    let statuses: Vec<_> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    assert_eq!(statuses, [201, 409, 200, 404, 400, 201]);
    assert_eq!((replies[0].position(), replies[2].json()["position"].as_u64()), (1, Some(1)));
    assert_eq!(replies[5].position(), 2);
}

#[test]
fn a_pipelined_request_gets_one_deadline() {
    let server = TestServer::start_with(&["--request-timeout-s", "2"]);
    let mut connection = RawConnection::open(&server.address);
    let whole = post("/users/add", &json!({ "username": "ann" }));
    let begun = head("POST", "/users/add", &[JSON, "Content-Length: 20"]);
    connection.send([whole, begun.into_bytes()].concat());
    assert_eq!(connection.reply().status, 201);
    let answered = Instant::now();
    std::thread::sleep(Duration::from_millis(1_500));
    connection.send("{");
    assert_eq!(connection.head().expect("answered").0, 408);
    assert!(answered.elapsed() < Duration::from_secs(3), "{:?}", answered.elapsed());
}

#[test]
fn a_half_closed_client_is_answered() {
    let server = TestServer::start();
    let user = |name: &str| post("/users/add", &json!({ "username": name }));
    for requests in
        [vec![user("ann")], vec![user("bob"), user("bob"), head("GET", "/health", &[]).into_bytes()]]
    {
        let mut connection = RawConnection::open(&server.address);
        connection.send(requests.concat());
        connection.finish();
        let answers = String::from_utf8(connection.rest()).expect("text");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), requests.len(), "{answers}");
        assert!(answers.starts_with("HTTP/1.1 201"), "{answers}");
    }
}

#[tokio::test]
async fn an_abandoned_body_stores_nothing() {
    let server = TestServer::start();
    let whole = post("/users/add", &json!({ "username": "ann" }));
    for length in (1..whole.len()).step_by(7).chain([whole.len() - 1]) {
        let mut connection = RawConnection::open(&server.address);
        connection.send(&whole[..length]);
    }
    // A client that closes cleanly may still get an answer.
    let mut connection = RawConnection::open(&server.address);
    connection.send(&whole[..whole.len() - 1]);
    connection.finish();
    let rest = connection.rest();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&rest));
    assert_eq!(server.position().await, 0);
    server.add_user("ann").await;
}

#[tokio::test]
async fn an_abandoned_write_is_stored_whole_or_never() {
    let server = TestServer::start();
    let bodies: Vec<_> = (0..50).map(|number| json!({ "username": format!("user {number}") })).collect();
    for body in &bodies {
        RawConnection::open(&server.address).send(post("/users/add", body));
    }
    for body in &bodies {
        let reply = server.post("/users/add", body).await;
        if reply.status != 201 {
            problem(&reply, 409, "username_taken");
        }
    }
    assert_eq!(server.position().await, 50);
}

#[tokio::test]
async fn a_head_beyond_its_limit_is_refused() {
    let server = TestServer::start();
    let long = "x".repeat(200_000);
    let lines: Vec<_> = (0..5_000).map(|number| format!("X-{number}: {}", &long[..40])).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let heads = [
        head("GET", "/health", &[&format!("X-Long: {long}")]),
        head("GET", "/health", &lines),
        head("GET", &format!("/{long}"), &[]),
        head("GET", "/health", &[&format!("{long}: x")]),
        head(&long.to_uppercase(), "/health", &[]),
    ];
    for head in heads {
        let mut connection = RawConnection::open(&server.address);
        // The server may close the connection before everything is sent.
        drop(connection.try_send(head));
        let rest = connection.rest();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&rest));
    }
    assert_eq!(server.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_head_below_its_limit_is_accepted() {
    let server = TestServer::start();
    let mut connection = RawConnection::open(&server.address);
    connection.send(head("GET", "/health", &[&format!("Cookie: {}", "x".repeat(16_000))]));
    assert_eq!(connection.reply().status, 200);
}

#[tokio::test]
async fn garbage_does_no_harm() {
    let server = TestServer::start();
    // The same bytes in each run: a linear congruential generator.
    let mut state: u64 = 1;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    let starts: [&[u8]; 8] = [
        b"", b"\r\n\r\n", b"GET", b"\x16\x03\x01\x02\0\x01\0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
        b"POST /users/add HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /users/add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ];
    for round in 0..200 {
        let noise: Vec<_> = (0..round * 5).map(|_| byte()).collect();
        let mut connection = RawConnection::open(&server.address);
        drop(connection.try_send([starts[round % starts.len()], &noise].concat()));
        if round % 2 == 0 {
            connection.finish();
            let rest = connection.rest();
            assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&rest));
        }
    }
    assert_eq!(server.position().await, 0);
    server.add_user("ann").await;
}

#[test]
fn http_1_0_is_answered() {
    let server = TestServer::start();
    let mut connection = RawConnection::open(&server.address);
    connection.send("GET /health HTTP/1.0\r\n\r\n");
    let rest = String::from_utf8(connection.rest()).expect("text");
    assert!(rest.starts_with("HTTP/1.0 200"), "{rest}");
}

#[test]
fn a_connection_is_closed_when_asked() {
    let server = TestServer::start();
    let mut connection = RawConnection::open(&server.address);
    connection.send(head("GET", "/health", &["Connection: close"]));
    assert_eq!(connection.reply().status, 200);
    assert!(connection.rest().is_empty());
}

#[tokio::test]
async fn overload_refuses_writes_and_keeps_only_the_others() {
    let server = TestServer::start_with(&["--queue-max", "1"]);
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    let mut kept = BTreeSet::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    for round in 0.. {
        let texts: Vec<_> = (0..256).map(|number| format!("{round} {number}")).collect();
        let bodies: Vec<_> =
            texts.iter().map(|text| json!({ "chat": den, "author": ann, "text": text })).collect();
        let replies = post_many(&server.address, "/messages/add", &bodies);
        let mut refused = 0;
        for (reply, text) in replies.iter().zip(texts) {
            if reply.status == 201 {
                kept.insert(text);
            } else {
                assert_eq!(problem(reply, 503, "overloaded"), None);
                golden::check("overloaded", &[], reply);
                refused += 1;
            }
        }
        if refused > 0 {
            break;
        }
        assert!(Instant::now() < deadline, "none is refused");
    }
    let messages = server.messages(&den).await;
    let stored: BTreeSet<_> =
        messages.iter().map(|message| message["text"].as_str().expect("text").to_owned()).collect();
    assert_eq!((stored.len(), &stored), (messages.len(), &kept));
    assert!(!kept.is_empty());
    // When the rush is over, writes are accepted again.
    server.add_message(&den, &ann, "quiet again").await;
}
