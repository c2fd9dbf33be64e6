//! Another request under the same key, and requests without a key.

use serde_json::json;

use super::{V4, assert_replayed, assert_reused, with, writes};
use crate::support::{Scene, TestServer, problem};

#[tokio::test]
async fn a_key_belongs_to_one_request() {
    let scene = Scene::on(TestServer::start()).await;
    let calls = writes(&scene);
    let mut answered = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        answered.push(scene.server.post_under(&format!("key-{number}"), call.path, &call.body).await);
    }
    let check = async |server: &TestServer| {
        let before = server.position().await;
        for (number, first) in answered.iter().enumerate() {
            let key = format!("key-{number}");
            for (other, call) in calls.iter().enumerate() {
                let reply = server.post_under(&key, call.path, &call.body).await;
                if other == number {
                    assert_replayed(&reply, first);
                } else {
                    assert_reused(&reply, &format!("{number} then {other}"));
                }
            }
        }
        assert_eq!(server.position().await, before);
    };
    check(&scene.server).await;
    check(&scene.server.kill().restart()).await;
}

#[tokio::test]
async fn a_used_key_refuses_every_other_value() {
    let scene = Scene::start().await;
    let Scene { server, bob, .. } = &scene;
    let sent = scene.body("/messages/add", "", &json!({ "text": "é" }));
    let first = server.post_under("key", "/messages/add", &sent).await;
    assert_eq!(first.status, 201);
    let others = [
        json!({ "text": "e\u{301}" }),
        json!({ "text": "É" }),
        json!({ "text": "é " }),
        json!({ "text": "é\0" }),
        json!({ "author": bob }),
        json!({ "author": V4 }),
        json!({ "chat": V4 }),
    ];
    for over in others {
        let body = scene.body("/messages/add", "", &over);
        assert_reused(&server.post_under("key", "/messages/add", &body).await, &over.to_string());
    }
    // So does one whose message is a reply, or has metadata.
    let members = |more| scene.body("/messages/add", "", &with(&json!({ "text": "é" }), &more));
    let both = members(json!({ "reply_to": 1, "metadata": { "a": 1 } }));
    assert_eq!(server.post_under("both", "/messages/add", &both).await.status, 201);
    for over in [
        json!({ "reply_to": 1 }),
        json!({ "metadata": { "a": 1 } }),
        json!({ "reply_to": 1, "metadata": { "a": 2 } }),
        json!({ "reply_to": 1, "metadata": { "a": 1, "b": null } }),
        json!({ "reply_to": 1, "metadata": {} }),
        json!({ "reply_to": 2, "metadata": { "a": 1 } }),
        json!({}),
    ] {
        let body = members(over);
        assert_reused(&server.post_under("both", "/messages/add", &body).await, &body.to_string());
        if body != sent {
            assert_reused(&server.post_under("key", "/messages/add", &body).await, &body.to_string());
        }
    }
    // The name is taken as well.
    assert_reused(
        &server.post_under("key", "/users/add", &json!({ "username": "ann" })).await,
        "another call",
    );
    // It is still the key of the first.
    assert_replayed(&server.post_under("key", "/messages/add", &sent).await, &first);
    let detail = server.post_under("key", "/users/add", &json!({ "username": "x" })).await.json();
    assert!(detail["detail"].as_str().is_some_and(|detail| detail.contains("key")), "{detail}");
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free() {
    let scene = Scene::start().await;
    let Scene { server, ann, bob, den, .. } = &scene;
    let message = |author: &str| json!({ "chat": den, "author": author, "text": "hello" });
    let refused = [
        ("/users/add", json!({ "username": "ann" }), 409),
        ("/chats/add", json!({ "name": "den", "users": [ann] }), 409),
        ("/chats/add", json!({ "name": "pub", "users": [V4] }), 404),
        ("/messages/add", json!({ "chat": V4, "author": ann, "text": "hello" }), 404),
        ("/messages/add", message(V4), 404),
        ("/messages/add", message(bob), 403),
        ("/chats/users/add", json!({ "chat": den, "user": V4 }), 404),
        ("/chats/users/remove", json!({ "chat": V4, "user": ann }), 404),
        ("/chats/read", json!({ "chat": den, "user": bob, "seq": 0 }), 403),
        ("/chats/read", json!({ "chat": den, "user": ann, "seq": 1 }), 400),
        ("/chats/read", json!({ "chat": den, "user": ann, "seq": -1 }), 400),
        ("/users/add", json!({ "username": "" }), 400),
    ];
    for (path, body, status) in &refused {
        for _ in 0..2 {
            let reply = server.post_under("key", path, body).await;
            assert_eq!((reply.status.as_u16(), reply.is_replayed()), (*status, false), "{path} {body}");
        }
    }
    assert_eq!(server.position().await, 3);
    // The refused request itself is accepted under the same key as soon as no rule refuses it.
    problem(&server.post_under("mine", "/messages/add", &message(bob)).await, 403, "not_a_member");
    server.join(den, bob).await;
    let first = server.post_under("mine", "/messages/add", &message(bob)).await;
    assert_eq!((first.status.as_u16(), first.is_replayed()), (201, false));
    assert_replayed(&server.post_under("mine", "/messages/add", &message(bob)).await, &first);
    // Another request is accepted under the key of the refused one.
    let first = server.post_under("key", "/users/add", &json!({ "username": "cy" })).await;
    assert_eq!((first.status.as_u16(), first.is_replayed()), (201, false));
    for (path, body, status) in &refused {
        let expected = if *body == json!({ "username": "" }) || body["seq"] == -1 { *status } else { 422 };
        assert_eq!(server.post_under("key", path, body).await.status, expected, "{path} {body}");
    }
}

#[tokio::test]
async fn without_a_key_requests_are_independent() {
    let scene = Scene::start().await;
    let Scene { server, ann, den, .. } = &scene;
    for seq in 1..=3 {
        let reply =
            server.post("/messages/add", &json!({ "chat": den, "author": ann, "text": "hello" })).await;
        assert_eq!((reply.json()["seq"].as_u64(), reply.is_replayed()), (Some(seq), false));
    }
}
