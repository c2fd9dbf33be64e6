//! Several servers on one log, of which one writes: the others send it their writes.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{Client, Reply, SharedLog, SharedServer, problem, wait_until};

const NOBODY: &str = "9b2f6e0a-54a3-4c36-8a55-0f6d3c1b7a10";

/// Two servers on one log. The first one has written Ann, and the other knows her.
async fn two_servers(log: &SharedLog) -> (SharedServer, SharedServer, String) {
    let (here, there) = (log.serve(&[]).await, log.serve(&[]).await);
    let ann = here.post("/users/add", &json!({ "username": "ann" })).await;
    wait_until(async || there.position().await == ann.position()).await;
    (here, there, ann.id())
}

async fn add(server: &Client, username: &str) -> Reply {
    server.post("/users/add", &json!({ "username": username })).await
}

#[tokio::test]
async fn the_server_that_wrote_last_carries_out_the_writes_of_others() {
    let log = SharedLog::of_peers();
    let (here, there, ann) = two_servers(&log).await;
    // When the other one is sent writes of each kind.
    let bob = there.add_user("bob").await;
    let chat = there.add_chat("tea", &[&ann, &bob]).await;
    let sent = there.add_message(&chat, &ann, "hello").await;
    let both =
        json!([{ "chat": chat, "author": ann, "text": "a" }, { "chat": chat, "author": bob, "text": "b" }]);
    let batch = there.post("/messages/batch", &json!({ "messages": both })).await;
    let read = there.post("/chats/read", &json!({ "chat": chat, "user": bob, "seq": 3 })).await;
    let cy = there.add_user("cy").await;
    let member = json!({ "chat": chat, "user": cy });
    let added = there.post("/chats/users/add", &member).await;
    let removed = there.post("/chats/users/remove", &member).await;
    // Then the first one has written them,
    let done = [batch, read, added, removed].map(|reply| reply.status.as_u16());
    assert_eq!((sent["seq"].as_u64(), done), (Some(1), [201, 204, 204, 204]));
    assert_eq!((log.written_by(&here), log.written_by(&there)), (9, 0));
    assert_eq!(there.status.forwarded(), 8);
    // and both give the same answers.
    assert_eq!(there.position().await, here.position().await);
    assert_eq!(there.messages(&chat).await, here.messages(&chat).await);
}

#[tokio::test]
async fn a_write_is_answered_when_it_can_be_read() {
    let (here, there, _) = two_servers(&SharedLog::of_peers()).await;
    // Given a server that sees nothing of what it sends to the other one.
    there.hold();
    let client = Client::clone(&there);
    let mut adding = tokio::spawn(async move { add(&client, "bob").await });
    wait_until(async || here.position().await == 2).await;
    assert!(timeout(Duration::from_millis(100), &mut adding).await.is_err());
    // When it sees it, it answers, and shows it.
    there.release();
    let added = adding.await.expect("answered");
    let read = there.post("/users/get", &json!({ "username": "bob" })).await;
    assert_eq!((added.position(), read.json()["id"].clone()), (2, json!(added.id())));
}

/// The calls that are refused, each with its code and the field that it blames.
fn refused(ann: &str, chat: &str) -> Vec<(&'static str, Value, u16, &'static str, Option<&'static str>)> {
    let good = json!({ "chat": chat, "author": ann, "text": "a" });
    let of_nobody = json!({ "chat": chat, "author": NOBODY, "text": "a" });
    vec![
        ("/users/add", json!({ "username": "ann" }), 409, "username_taken", Some("username")),
        ("/chats/add", json!({ "name": "tea", "users": [ann] }), 409, "chat_name_taken", Some("name")),
        (
            "/chats/add",
            json!({ "name": "te", "users": [ann, NOBODY] }),
            404,
            "user_not_found",
            Some("users[1]"),
        ),
        (
            "/messages/add",
            json!({ "chat": NOBODY, "author": ann, "text": "a" }),
            404,
            "chat_not_found",
            Some("chat"),
        ),
        ("/messages/add", of_nobody.clone(), 404, "user_not_found", Some("author")),
        (
            "/messages/batch",
            json!({ "messages": [good, of_nobody] }),
            404,
            "user_not_found",
            Some("messages[1].author"),
        ),
        ("/chats/read", json!({ "chat": chat, "user": ann, "seq": 9 }), 400, "invalid_field", Some("seq")),
    ]
}

#[tokio::test]
async fn a_refusal_is_the_same_from_each_server() {
    let log = SharedLog::of_peers();
    let (here, there, ann) = two_servers(&log).await;
    let chat = here.add_chat("tea", &[&ann]).await;
    for (path, body, status, code, field) in refused(&ann, &chat) {
        let (ours, theirs) = (here.post(path, &body).await, there.post(path, &body).await);
        assert_eq!(problem(&theirs, status, code).as_deref(), field, "{path}");
        let without_id = |reply: &Reply| {
            let mut body = reply.json();
            body.as_object_mut().expect("an object").remove("request_id");
            body
        };
        assert_eq!(without_id(&theirs), without_id(&ours));
    }
    assert_eq!((log.written_by(&there), there.position().await), (0, 2));
}

#[tokio::test]
async fn a_key_is_carried_out_once_whichever_server_it_is_sent_to() {
    let (here, there, _) = two_servers(&SharedLog::of_peers()).await;
    let bob = json!({ "username": "bob" });
    let first = there.post_under("k", "/users/add", &bob).await;
    for server in [&here, &there] {
        let again = server.post_under("k", "/users/add", &bob).await;
        assert_eq!((again.id(), again.header("idempotent-replayed")), (first.id(), "true"));
        let other = server.post_under("k", "/users/add", &json!({ "username": "cy" })).await;
        problem(&other, 422, "idempotency_key_reused");
    }
}

#[tokio::test]
async fn without_the_server_that_wrote_last_another_one_writes() {
    let log = SharedLog::of_peers();
    let (here, there, _) = two_servers(&log).await;
    here.stop().await;
    assert_eq!(add(&there, "bob").await.position(), 2);
    assert_eq!((log.written_by(&there), there.status.forwarded()), (1, 0));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for_again() {
    let log = SharedLog::of_peers();
    let (here, there, _) = two_servers(&log).await;
    here.keep_silent();
    // It may have carried out the write.
    problem(&add(&there, "bob").await, 503, "unconfirmed");
    // The next one is carried out here, and so are those that the silent one gets.
    assert_eq!(add(&there, "cy").await.position(), 2);
    wait_until(async || here.position().await == 2).await;
    assert_eq!(add(&here, "dee").await.position(), 3);
    assert_eq!((log.written_by(&here), log.written_by(&there)), (1, 2));
}

#[tokio::test]
async fn what_has_not_happened_there_is_carried_out_here() {
    // Another release may not know the command, and then says nothing.
    for answer in ["", r#"{"Err":"shutting_down"}"#, r#"{"Err":"unavailable"}"#] {
        let log = SharedLog::of_peers();
        let (here, there, _) = two_servers(&log).await;
        here.say(answer);
        assert_eq!(add(&there, "bob").await.position(), 2, "{answer}");
        assert_eq!(log.written_by(&there), 1);
    }
}

#[tokio::test]
async fn what_may_have_happened_there_is_unconfirmed() {
    for answer in [r#"{"Err":"failed"}"#, r#"{"Err":"unconfirmed"}"#, r#"{"Ok":{"of":"a later release"}}"#] {
        let log = SharedLog::of_peers();
        let (here, there, _) = two_servers(&log).await;
        here.say(answer);
        problem(&add(&there, "bob").await, 503, "unconfirmed");
        assert_eq!(log.written_by(&there), 0);
    }
}
