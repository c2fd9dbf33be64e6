//! `/health`, and the positions that it and the answers to writes name.

use serde_json::json;

use crate::support::{RawConnection, TestRouter, TestServer, head};

#[tokio::test]
async fn an_empty_log_is_at_position_0() {
    let reply = TestRouter::start().get("/health").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/json");
    let health = reply.json();
    assert_eq!((&health["status"], &health["position"]), (&json!("ready"), &json!(0)));
}

#[tokio::test]
async fn only_writes_move_the_position() {
    let server = TestRouter::start();
    let mut position = 0;
    let user = server.add_user("ann").await;
    let chat = server.add_chat("den", &[&user]).await;
    position += 2;
    for round in 0..20 {
        let writes = [
            ("/users/add", json!({ "username": format!("user {round}") })),
            ("/chats/add", json!({ "name": format!("chat {round}"), "users": [user] })),
            ("/messages/add", json!({ "chat": chat, "author": user, "text": "hello" })),
        ];
        for (path, body) in writes {
            position += 1;
            assert_eq!(server.post(path, &body).await.position(), position);
            assert_eq!(server.position().await, position);
        }
        let others = [
            ("/users/add", json!({ "username": "ann" }), 409),
            ("/users/add", json!({ "username": "" }), 400),
            ("/chats/add", json!({ "name": "den", "users": [user] }), 409),
            ("/messages/add", json!({ "chat": chat, "author": chat, "text": "hello" }), 404),
            ("/messages/get", json!({ "chat": chat }), 200),
            ("/chats/get", json!({ "user": user }), 200),
        ];
        for (path, body, status) in others {
            let reply = server.post(path, &body).await;
            assert_eq!(reply.status, status, "{}", reply.text);
            let shown = (status == 200).then(|| reply.position());
            assert!(shown.is_none_or(|shown| shown == position), "{path} {shown:?}");
            assert_eq!(reply.headers.contains_key("chinwag-position"), shown.is_some(), "{path} {status}");
        }
    }
}

#[tokio::test]
async fn positions_go_on_after_a_restart() {
    let server = TestServer::start();
    server.add_user("ann").await;
    let (stopped, ended) = server.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let server = stopped.restart();
    assert_eq!(server.position().await, 1);
    assert_eq!(server.post("/users/add", &json!({ "username": "bob" })).await.position(), 2);
}

#[test]
fn head_is_answered_without_a_body() {
    let server = TestServer::start();
    let mut connection = RawConnection::open(&server.address);
    connection.send(head("HEAD", "/health", &[]) + &head("GET", "/health", &[]));
    let (status, mut headers) = connection.head().expect("answered");
    // The next bytes are the next answer: there was no body in between.
    let mut get = connection.reply();
    assert_eq!((status.as_u16(), get.status.as_u16()), (200, 200));
    for headers in [&mut headers, &mut get.headers] {
        headers.remove("date");
        headers.remove("x-request-id");
    }
    assert_eq!(headers, get.headers);
    assert_eq!(headers["content-length"], get.text.len().to_string());
}
