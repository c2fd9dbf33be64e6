//! `Idempotency-Key`: a write that is sent again is answered again, and done once.
//!
//! | module | what it shows |
//! | --- | --- |
//! | `concurrent` | requests under one key at the same time |
//! | `form` | which keys are accepted, where, and when that is checked |
//! | `retries` | the answer to a request that is sent again |
//! | `reuse` | another request under a used key, and a key that is still free |

mod concurrent;
mod form;
mod retries;
mod reuse;

use serde_json::{Value, json};

use crate::support::{Reply, Scene, problem};

const V4: &str = "9b2f6e0a-54a3-4c36-8a55-0f6d3c1b7a10";
const KEY: &str = "Idempotency-Key";

struct Call {
    path: &'static str,
    body: Value,
}

/// Writes of each call. Each of them is accepted after the ones before it, and no two are equal. Some of them
/// change nothing.
fn writes<S>(Scene { ann, bob, den, .. }: &Scene<S>) -> Vec<Call> {
    let call = |path, body| Call { path, body };
    let message = |author: &str, text: &str| {
        call("/messages/add", json!({ "chat": den, "author": author, "text": text }))
    };
    let of = |user: &str| json!({ "chat": den, "user": user });
    let read = |seq: u64| json!({ "chat": den, "user": ann, "seq": seq });
    let sent_with = |more: Value| call("/messages/add", with(&of_author(den, ann), &more));
    let edit = |more: Value| call("/messages/edit", with(&json!({ "chat": den, "seq": 1 }), &more));
    let delete = |more: Value| call("/messages/delete", with(&json!({ "chat": den, "seq": 3 }), &more));
    let react = |path, user: &str, emoji: &str| {
        call(path, json!({ "chat": den, "seq": 1, "user": user, "emoji": emoji }))
    };
    vec![
        call("/users/add", json!({ "username": "cy" })),
        call("/users/add", json!({ "username": "dan" })),
        call("/chats/add", json!({ "name": "cy", "users": [ann] })),
        call("/chats/add", json!({ "name": "pub", "users": [ann, bob] })),
        call("/chats/add", json!({ "name": "bar", "users": [bob, ann] })),
        call("/chats/users/remove", of(bob)),
        call("/chats/users/add", of(bob)),
        call("/chats/users/add", of(ann)),
        message(ann, "hello"),
        message(bob, "hello"),
        message(ann, "hello "),
        call("/messages/batch", json!({ "messages": [{ "chat": den, "author": ann, "text": "hello" }] })),
        call("/chats/read", read(0)),
        call("/chats/read", read(2)),
        call("/chats/read", read(1)),
        call("/chats/read", read(3)),
        sent_with(json!({ "reply_to": 1 })),
        sent_with(json!({ "metadata": { "a": 1 } })),
        sent_with(json!({ "reply_to": 1, "metadata": { "a": 1 } })),
        // It is so already.
        edit(json!({ "user": ann, "text": "hello" })),
        edit(json!({ "user": ann, "text": "tea" })),
        edit(json!({ "user": ann, "metadata": { "a": 1 } })),
        // It is so already, since the edit before.
        edit(json!({ "user": ann, "text": "tea", "metadata": { "a": 1 } })),
        edit(json!({ "text": "tea" })),
        edit(json!({ "text": "milk" })),
        edit(json!({ "metadata": {} })),
        react("/messages/reactions/add", ann, "+1"),
        react("/messages/reactions/add", bob, "+1"),
        react("/messages/reactions/add", ann, "-1"),
        react("/messages/reactions/remove", ann, "+1"),
        react("/messages/reactions/remove", bob, "-1"),
        delete(json!({ "user": ann })),
        delete(json!({})),
        call("/chats/add", json!({ "users": [ann] })),
        call("/chats/direct", json!({ "users": [ann, bob] })),
        call("/chats/edit", json!({ "chat": den, "name": "lair" })),
        call("/chats/edit", json!({ "chat": den, "metadata": { "a": 1 } })),
        call("/chats/edit", json!({ "chat": den, "name": "lair", "metadata": { "a": 1 } })),
        call("/users/edit", json!({ "user": ann, "username": "anna" })),
        call("/users/edit", json!({ "user": ann, "metadata": { "a": 1 } })),
        call("/users/edit", json!({ "user": ann, "metadata": {} })),
        call("/chats/users/remove", of(ann)),
    ]
}

fn of_author(chat: &str, author: &str) -> Value {
    json!({ "chat": chat, "author": author, "text": "hello" })
}

/// Returns a body with these members as well.
fn with(body: &Value, more: &Value) -> Value {
    let mut body = body.clone();
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    body
}

/// Checks that an answer repeats the first one.
#[track_caller]
fn assert_replayed(again: &Reply, first: &Reply) {
    assert!(again.is_replayed(), "{again:?}");
    assert_eq!((again.status, &again.text, again.position()), (first.status, &first.text, first.position()));
    assert_eq!(again.headers.get("content-type"), first.headers.get("content-type"));
}

#[track_caller]
fn assert_reused(reply: &Reply, what: &str) {
    assert_eq!(problem(reply, 422, "idempotency_key_reused").as_deref(), Some(KEY), "{what}");
    assert!(!reply.is_replayed() && !reply.headers.contains_key("chinwag-position"), "{what}");
}
