//! The position of each read: a client that loads a list and then follows from its position misses nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::{Client, Scene, TestRouter, TestServer};

#[tokio::test]
async fn every_read_carries_the_position_that_it_shows() {
    let Scene { server, ann, den, .. } = Scene::start().await;
    for (path, body) in [
        ("/users/get", json!({ "user": ann })),
        ("/users/get", json!({ "users": [ann] })),
        ("/users/list", json!({})),
        ("/users/find", json!({ "prefix": "a" })),
        ("/chats/get", json!({ "user": ann })),
        ("/chats/show", json!({ "chat": den })),
        ("/messages/get", json!({ "chat": den })),
        ("/messages/get", json!({ "chat": den, "limit": 1 })),
    ] {
        let sent = server.post("/messages/add", &json!({ "chat": den, "author": ann, "text": "text" })).await;
        let read = server.post(path, &body).await;
        assert_eq!((read.status.as_u16(), read.position()), (200, sent.position()), "{path}");
    }
}

#[tokio::test]
async fn a_read_of_an_empty_log_is_at_position_0() {
    assert_eq!(TestRouter::start().post("/users/list", &json!({})).await.position(), 0);
}

/// What a client knows of its chats: the text of each message, by chat and seq.
type Known = BTreeMap<String, BTreeMap<u64, String>>;

/// Loads all chats of the user with all their messages, and then follows, until a chat named `end` comes. This is the
/// recipe of docs/api.md.
async fn load_and_follow(server: &Client, user: &str, loading: &AtomicUsize) -> Known {
    let mut known = Known::new();
    // The position of the first read is the one to follow from: what the later reads show beyond it comes again.
    let chats = server.post("/chats/get", &json!({ "user": user })).await;
    for chat in chats.json().as_array().expect("a list") {
        load(server, &mut known, chat).await;
    }
    loading.fetch_sub(1, Ordering::Relaxed);
    let mut stream = server.follow(user, Some(chats.position())).await;
    loop {
        let event = stream.next().await.expect("the stream goes on");
        match event.kind.as_str() {
            "message" => add(&mut known, &event.data),
            "chat" if event.data["name"] == "end" => return known,
            "chat" => load(server, &mut known, &event.data).await,
            _ => {}
        }
    }
}

async fn load(server: &Client, known: &mut Known, chat: &Value) {
    known.entry(text(chat, "id")).or_default();
    for message in server.list("/messages/get", &json!({ "chat": chat["id"] })).await {
        add(known, &message);
    }
}

fn add(known: &mut Known, message: &Value) {
    let seq = message["seq"].as_u64().expect("a number");
    known.entry(text(message, "chat")).or_default().insert(seq, text(message, "text"));
}

fn text(of: &Value, member: &str) -> String {
    of[member].as_str().expect("text").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_loads_and_then_follows_misses_nothing() {
    const CHATS: usize = 6;
    const CLIENTS: usize = 10;
    // Given a server to which writers send as fast as they can, in chats that are there and in new ones.
    let server = TestServer::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let loading = AtomicUsize::new(CLIENTS);
    let write = async |number: usize| {
        let mut chats = vec![server.add_chat(&format!("chat {number}"), &[&ann, &bob]).await];
        let mut sent = 0;
        while loading.load(Ordering::Relaxed) > 0 || sent < 200 {
            server.add_message(&chats[0], &bob, &format!("text {sent}")).await;
            sent += 1;
            if sent % 50 == 0 {
                let chat = server.add_chat(&format!("chat {number} {sent}"), &[&bob]).await;
                server.add_message(&chat, &bob, "before ann joins").await;
                server.join(&chat, &ann).await;
                server.add_message(&chat, &bob, "after").await;
                chats.push(chat);
            }
        }
        chats
    };
    // When clients load and follow meanwhile.
    let read = async |number: usize| {
        while server.position().await < 100 * number as u64 {
            tokio::task::yield_now().await;
        }
        load_and_follow(&server, &ann, &loading).await
    };
    let writers = async {
        let chats = futures_util::future::join_all((0..CHATS).map(write)).await;
        server.add_chat("end", &[&ann]).await;
        chats.into_iter().flatten().collect::<Vec<_>>()
    };
    let readers = futures_util::future::join_all((0..CLIENTS).map(read));
    let (chats, all_known) = tokio::join!(writers, readers);
    // Then each knows every message of every chat.
    let mut sent = Known::new();
    for chat in chats {
        load(&server, &mut sent, &json!({ "id": chat })).await;
    }
    for known in all_known {
        assert!(known == sent, "{} chats of {}", known.len(), sent.len());
    }
}
