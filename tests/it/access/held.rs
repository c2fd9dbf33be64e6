//! Credentials that end while a request or a stream is under way.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::fixture::{API_KEYS, KeyFiles, line, now_s, server_key, token, token_of, wait_for_status};
use crate::support::{RawConnection, head as head_of, problem};

/// Returns a request with this credential, cut before its last byte, and that byte.
fn cut(path: &str, credential: &str, body: &Value) -> (String, String) {
    let mut body = body.to_string();
    let (length, authorization) = (body.len(), format!("Authorization: Bearer {credential}"));
    let last = body.pop().expect("a body").to_string();
    let head = ["Content-Type: application/json", &format!("Content-Length: {length}"), &authorization];
    (head_of("POST", path, &head) + &body, last)
}

#[tokio::test]
async fn a_request_that_was_held_back_is_refused() {
    let keys = KeyFiles::new();
    keys.write(API_KEYS, &(line("backend", "all", 1) + &line("stolen", "all", 2)));
    let server = keys.start(&[]);
    let backend = server.bearing(Some(&server_key(1)));
    let ann = backend.add_user("ann").await;
    let den = backend.add_chat("den", &[&ann]).await;
    // Given requests whose last byte is missing,
    let message = json!({ "chat": den, "text": "from the past" });
    let mut held = Vec::new();
    for (path, credential, body, code) in [
        ("/messages/add", token(&ann), message, "token_revoked"),
        ("/messages/get", token(&ann), json!({ "chat": den }), "token_revoked"),
        ("/events/token", token(&ann), json!({}), "token_revoked"),
        ("/users/add", server_key(2), json!({ "username": "mallory" }), "credentials_invalid"),
    ] {
        let (request, last) = cut(path, &credential, &body);
        let mut connection = RawConnection::open(&server.address);
        connection.send(request);
        held.push((connection, last, path, code));
    }
    // When their credentials end,
    let reply = backend.post("/users/tokens/revoke", &json!({ "user": ann })).await;
    assert_eq!(reply.status, 200);
    keys.write(API_KEYS, &line("backend", "all", 1));
    server.signal(Signal::HUP);
    let stolen = server.bearing(Some(&server_key(2)));
    wait_for_status(&stolen, "/users/list", &json!({ "limit": 1 }), 401).await;
    // Then they are refused, and nothing is written.
    let position = server.position().await;
    for (mut connection, last, path, code) in held {
        connection.send(last);
        let reply = connection.reply();
        assert_eq!(reply.json()["code"], code, "{path}");
        problem(&reply, 401, code);
    }
    assert_eq!(server.position().await, position);
}

#[tokio::test]
async fn an_unread_stream_keeps_no_place_after_a_revocation() {
    // Given a user with as many streams as are allowed, more events than the sockets hold, and no reader,
    let keys = KeyFiles::new();
    let server = keys.start(&["--ephemeral", "--user-streams-max", "1"]);
    let backend = server.bearing(Some(&server_key(1)));
    let ann = backend.add_user("ann").await;
    let den = backend.add_chat("den", &[&ann]).await;
    let message = json!({ "chat": den, "author": ann, "text": "x".repeat(16_384) });
    let batch = json!({ "messages": vec![message; 600] });
    assert_eq!(backend.post("/messages/batch", &batch).await.status, 201);
    let mut unread = RawConnection::open(&server.address);
    let authorization = format!("Authorization: Bearer {}", token(&ann));
    unread.send(format!("GET /events?after=0 HTTP/1.1\r\nHost: localhost\r\n{authorization}\r\n\r\n"));
    let (status, _) = unread.head().expect("answered");
    assert_eq!(status, 200);
    // When her tokens are revoked,
    let reply = backend.post("/users/tokens/revoke", &json!({ "user": ann })).await;
    let from = reply.json()["tokens_from"].as_u64().expect("a time");
    // Then she may open another one at once, and not two.
    let page = server.bearing(Some(&token_of("main", &ann, &json!({ "iat": from, "exp": now_s() + 600 }))));
    let _open = page.get_stream("/events", None::<u64>).await.expect("admitted");
    problem(&page.get("/events").await, 429, "rate_limited");
}
