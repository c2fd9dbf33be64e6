//! `/chats/direct`, chats without a name, and `/chats/edit` and `/users/edit`

use serde_json::{Value, json};

use crate::membership::Company;
use crate::support::problem;

#[tokio::test]
async fn two_users_have_one_direct_chat() {
    let Company { server, ann, bob, cy, .. } = Company::start().await;
    let direct = |users: [&str; 2]| {
        let body = json!({ "users": users });
        let server = &server;
        async move { server.post("/chats/direct", &body).await }
    };
    let first = direct([&ann, &bob]).await;
    assert_eq!(first.status, 201);
    let position = server.position().await;
    for users in [[&ann, &bob], [&bob, &ann]] {
        let again = direct([users[0], users[1]]).await;
        assert_eq!((again.status.as_u16(), again.json()), (200, first.json()));
    }
    assert_eq!(server.position().await, position);
    assert_ne!(direct([&ann, &cy]).await.json(), first.json());
    let chat = first.json()["id"].as_str().expect("an id").to_owned();
    let shown = server.post("/chats/show", &json!({ "chat": chat })).await.json();
    assert_eq!((&shown["name"], &shown["direct"]), (&Value::Null, &json!(true)));
    // Nobody joins, leaves or renames it.
    for (path, body) in [
        ("/chats/users/add", json!({ "chat": chat, "user": cy })),
        ("/chats/users/add", json!({ "chat": chat, "user": ann })),
        ("/chats/users/remove", json!({ "chat": chat, "user": ann })),
        ("/chats/edit", json!({ "chat": chat, "name": "ours" })),
    ] {
        let reply = server.post(path, &body).await;
        assert_eq!(problem(&reply, 409, "direct_chat").as_deref(), Some("chat"), "{path} {body}");
    }
    server.post("/chats/edit", &json!({ "chat": chat, "metadata": { "a": 1 } })).await.done();
    for users in [json!([ann]), json!([ann, ann]), json!([ann, bob, cy]), json!([])] {
        let reply = server.post("/chats/direct", &json!({ "users": users })).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("users"), "{users}");
    }
}

#[tokio::test]
async fn a_direct_chat_under_a_key_is_answered_as_the_first_time() {
    let Company { server, ann, bob, .. } = Company::start().await;
    let body = json!({ "users": [ann, bob] });
    let first = server.post_under("k1", "/chats/direct", &body).await;
    let found = server.post_under("k2", "/chats/direct", &body).await;
    assert_eq!((first.status.as_u16(), found.status.as_u16()), (201, 200));
    for (key, before) in [("k1", &first), ("k2", &found)] {
        let again = server.post_under(key, "/chats/direct", &body).await;
        assert_eq!(
            (again.status, again.json(), again.position()),
            (before.status, before.json(), before.position())
        );
        assert!(again.is_replayed());
    }
}

#[tokio::test]
async fn many_who_ask_at_once_get_one_direct_chat() {
    let Company { server, ann, bob, .. } = Company::start().await;
    let body = json!({ "users": [ann, bob] });
    let asked = (0..50).map(|_| server.post("/chats/direct", &body));
    let replies = futures_util::future::join_all(asked).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    assert!(replies.iter().all(|reply| reply.json() == replies[0].json()));
}

#[tokio::test]
async fn a_chat_without_a_name_gets_one() {
    let Company { server, ann, bob, den, .. } = Company::start().await;
    let add = json!({ "users": [ann] });
    let [one, other] =
        [server.post("/chats/add", &add).await.id(), server.post("/chats/add", &add).await.id()];
    assert_ne!(one, other);
    let name = |chat: &str| {
        let body = json!({ "chat": chat });
        let server = &server;
        async move { server.post("/chats/show", &body).await.json()["name"].clone() }
    };
    assert_eq!(name(&one).await, Value::Null);
    let rename = |chat: &str, to: &str| {
        let body = json!({ "chat": chat, "name": to });
        let server = &server;
        async move { server.post("/chats/edit", &body).await }
    };
    rename(&one, "tea").await.done();
    assert_eq!(name(&one).await, "tea");
    for chat in [&other, &den] {
        assert_eq!(problem(&rename(chat, "tea").await, 409, "chat_name_taken").as_deref(), Some("name"));
    }
    // A name that was given up is free.
    rename(&one, "coffee").await.done();
    rename(&den, "tea").await.done();
    let position = server.position().await;
    assert_eq!(rename(&den, "tea").await.done(), position);
    server.add_chat("den", &[&bob]).await;
}

#[tokio::test]
async fn users_are_edited() {
    let Company { server, ann, bob, .. } = Company::start().await;
    let edit = |user: &str, more: Value| {
        let mut body = json!({ "user": user });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let server = &server;
        async move { server.post("/users/edit", &body).await }
    };
    edit(&ann, json!({ "username": "anna", "metadata": { "color": "red" } })).await.done();
    let shown = server.post("/users/get", &json!({ "user": ann })).await.json();
    assert_eq!((&shown["username"], &shown["metadata"]), (&json!("anna"), &json!({ "color": "red" })));
    assert_eq!(server.post("/users/get", &json!({ "username": "anna" })).await.json(), shown);
    problem(&server.post("/users/get", &json!({ "username": "ann" })).await, 404, "user_not_found");
    let found = |prefix: &str| {
        let body = json!({ "prefix": prefix });
        let server = &server;
        async move { server.list("/users/find", &body).await }
    };
    assert_eq!(found("ann").await, [shown]);
    assert_eq!(
        problem(&edit(&bob, json!({ "username": "anna" })).await, 409, "username_taken").as_deref(),
        Some("username")
    );
    edit(&bob, json!({ "username": "ann" })).await.done();
    let position = server.position().await;
    assert_eq!(edit(&bob, json!({ "username": "ann", "metadata": {} })).await.done(), position);
    problem(&edit(&bob, json!({})).await, 400, "invalid_field");
}
