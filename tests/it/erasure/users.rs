//! `/users/erase`

use std::time::Duration;

use serde_json::{Value, json};

use crate::membership::Company;
use crate::support::{Client, KeyedServer, TestServer, problem};

async fn erase(server: &Client, user: &str, messages: &str) -> u64 {
    let reply = server.post("/users/erase", &json!({ "user": user, "messages": messages })).await;
    assert_eq!(reply.status, 202);
    reply.position()
}

#[tokio::test]
async fn an_erased_user_has_an_id_and_nothing_else() {
    let server = TestServer::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let den = server.add_chat("den", &[&ann, &bob]).await;
    let direct = server.post("/chats/direct", &json!({ "users": [ann, bob] })).await.id();
    server.post("/users/edit", &json!({ "user": ann, "metadata": { "m": 1 } })).await.done();
    for (author, text) in [(&ann, "hers"), (&bob, "his"), (&ann, "hers, too")] {
        server.add_message(&den, author, text).await;
    }
    let react = json!({ "chat": den, "seq": 2, "user": ann, "emoji": "👍" });
    server.post("/messages/reactions/add", &react).await.done();
    let mut stream = server.follow(&bob, None).await;
    stream.begin().await;
    let position = erase(&server, &ann, "erase").await;
    // A second time changes nothing.
    assert_eq!(erase(&server, &ann, "keep").await, position);
    let event = stream.next().await.expect("an event");
    assert_eq!((&*event.kind, event.id), ("user_erased", position));
    let at = event.data["deleted_at"].clone();
    assert_eq!(event.data, json!({ "user": ann, "messages": "erase", "deleted_at": at }));
    let mut server = server;
    for is_restarted in [false, true] {
        if is_restarted {
            server = server.kill().restart();
        }
        let user = server.post("/users/get", &json!({ "user": ann })).await.json();
        assert_eq!(
            (&user["username"], &user["erased"], &user["metadata"]),
            (&Value::Null, &json!(true), &Value::Null)
        );
        let messages = server.messages(&den).await;
        let texts: Vec<_> =
            messages.iter().map(|message| message["text"].as_str().expect("a text")).collect();
        assert_eq!(texts, ["", "his", ""]);
        assert_eq!((&messages[0]["deleted_at"], &messages[0]["author"]), (&at, &json!(ann)));
        assert!(messages[1].get("reactions").is_none());
        let chat = server.post("/chats/show", &json!({ "chat": den })).await.json();
        assert!(!chat["users"].as_array().expect("a list").contains(&json!(ann)));
        assert_eq!(server.chats(&ann).await, Vec::<Value>::new());
    }
    // Nobody gets the user back, and the name is free.
    for (path, body) in [
        ("/chats/users/add", json!({ "chat": den, "user": ann })),
        ("/chats/add", json!({ "name": "new", "users": [ann] })),
        ("/users/edit", json!({ "user": ann, "username": "ann" })),
    ] {
        problem(&server.post(path, &body).await, 409, "user_erased");
    }
    let again = server.post("/chats/direct", &json!({ "users": [bob, ann] })).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["id"]),
        (200, &json!(direct)),
        "it opens to nobody else"
    );
    let sent = server.post("/messages/add", &json!({ "chat": den, "author": ann, "text": "back" })).await;
    problem(&sent, 403, "not_a_member");
    assert_ne!(server.add_user("ann").await, ann);
}

#[tokio::test]
async fn messages_of_an_erased_user_may_stay() {
    let server = TestServer::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let den = server.add_chat("den", &[&ann, &bob]).await;
    server.add_message(&den, &ann, "hers").await;
    erase(&server, &ann, "keep").await;
    assert_eq!(server.messages(&den).await[0]["text"], "hers");
    assert_eq!(server.chats(&bob).await[0]["unread"], 1);
    let server = server.kill().restart();
    assert_eq!(server.messages(&den).await[0]["text"], "hers");
    // They can still be erased, and not be kept again.
    let position = erase(&server, &ann, "erase").await;
    assert_eq!(erase(&server, &ann, "keep").await, position);
    for server in [server.kill().restart()] {
        let message = server.messages(&den).await.remove(0);
        assert_eq!((&message["text"], message["deleted_at"].is_string()), (&json!(""), true));
        assert_eq!(server.chats(&bob).await[0]["unread"], 0);
    }
}

#[tokio::test]
async fn an_erasure_under_a_key_is_answered_as_the_first_time() {
    let Company { server, ann, .. } = Company::start().await;
    let body = json!({ "user": ann, "messages": "erase" });
    let first = server.post_under("k", "/users/erase", &body).await;
    let again = server.post_under("k", "/users/erase", &body).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (202, 202));
    assert_eq!((again.position(), again.is_replayed()), (first.position(), true));
    let other = json!({ "user": ann, "messages": "keep" });
    problem(&server.post_under("k", "/users/erase", &other).await, 422, "idempotency_key_reused");
}

#[tokio::test]
async fn what_is_to_be_erased_is_named() {
    let Company { server, ann, .. } = Company::start().await;
    for (body, field) in [
        (json!({ "user": ann }), "messages"),
        (json!({ "user": ann, "messages": "all" }), "messages"),
        (json!({ "messages": "keep" }), "user"),
    ] {
        let reply = server.post("/users/erase", &body).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some(field), "{body}");
    }
    let nobody = "9b2f6e0a-54a3-4c36-8a55-0f6d3c1b7a10";
    let reply = server.post("/users/erase", &json!({ "user": nobody, "messages": "keep" })).await;
    problem(&reply, 404, "user_not_found");
    let reply = server.post("/messages/delete", &json!({ "chat": ann, "seq": 1, "erase": 1 })).await;
    assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("erase"));
}

#[tokio::test]
async fn tokens_of_an_erased_user_are_refused_and_streams_end() {
    let server = KeyedServer::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let den = server.add_chat("den", &[&ann, &bob]).await;
    let hers = server.with(&server.keys.token(&ann));
    let mut streams = [hers.follow(&ann, None).await, server.follow(&ann, None).await];
    for stream in &mut streams {
        stream.begin().await;
    }
    let erased = server.post("/users/erase", &json!({ "user": ann, "messages": "keep" })).await;
    assert_eq!(erased.status, 202);
    for mut stream in streams {
        let rest = async { while stream.next_ever().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(2), rest).await.expect("ends within a second");
    }
    problem(&hers.post("/chats/get", &json!({})).await, 401, "token_revoked");
    problem(&server.get(&format!("/events?user={ann}")).await, 409, "user_erased");
    // Who has not been erased goes on.
    let his = server.with(&server.keys.token(&bob));
    his.post("/messages/add", &json!({ "chat": den, "text": "alone" })).await.json();
    let server = server.restart();
    let hers = server.with(&server.keys.token(&ann));
    problem(&hers.post("/chats/get", &json!({})).await, 401, "token_revoked");
}

#[tokio::test]
async fn a_users_token_erases_nothing() {
    let server = KeyedServer::start();
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    server.add_message(&den, &ann, "hers").await;
    let hers = server.with(&server.keys.token(&ann));
    for path in ["/users/erase", "/users/export"] {
        let reply = hers.post(path, &json!({ "user": ann, "messages": "erase" })).await;
        problem(&reply, 403, "server_key_required");
    }
    let delete = |erase: bool| json!({ "chat": den, "seq": 1, "erase": erase });
    let reply = hers.post("/messages/delete", &delete(true)).await;
    assert_eq!(problem(&reply, 403, "server_key_required").as_deref(), Some("erase"));
    hers.post("/messages/delete", &delete(false)).await.done();
    // What is deleted can still be erased, once.
    let erased = server.post("/messages/delete", &delete(true)).await.done();
    assert_eq!(server.post("/messages/delete", &delete(true)).await.done(), erased);
}
