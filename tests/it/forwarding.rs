//! Several servers on one log, of which one writes: the others send it their writes.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
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
async fn the_last_writer_carries_out_others_writes() {
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

#[tokio::test]
async fn each_of_many_gets_its_own_answer() {
    let log = SharedLog::of_peers();
    let (here, there, _) = two_servers(&log).await;
    // Every name is asked for twice.
    let names: Vec<_> = (0..100).map(|number| format!("user {}", number % 50)).collect();
    let replies = join_all(names.iter().map(|name| add(&there, name))).await;
    let mut added = 0;
    for (name, reply) in names.iter().zip(replies) {
        if reply.status == 409 {
            assert!(reply.text.contains(name.as_str()), "{name}: {}", reply.text);
            continue;
        }
        let user = here.post("/users/get", &json!({ "user": reply.id() })).await.json();
        assert_eq!(user["username"], **name);
        added += 1;
    }
    assert_eq!((added, log.written_by(&there)), (50, 0));
}

#[tokio::test]
async fn a_long_batch_is_carried_out_where_it_arrives() {
    let log = SharedLog::of_peers();
    let (here, there, ann) = two_servers(&log).await;
    let den = here.add_chat("den", &[&ann]).await;
    wait_until(async || there.position().await == 2).await;
    let message = json!({ "chat": den, "author": ann, "text": "a" });
    let batch = |messages: usize| json!({ "messages": vec![message.clone(); messages] });
    let before = log.written_by(&here);
    assert_eq!(there.post("/messages/batch", &batch(256)).await.status, 201);
    assert_eq!((log.written_by(&here), log.written_by(&there)), (before + 1, 0));
    assert_eq!(there.post("/messages/batch", &batch(257)).await.status, 201);
    assert_eq!((log.written_by(&here), log.written_by(&there)), (before + 1, 1));
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
async fn a_key_is_carried_out_once_on_all_servers() {
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
async fn another_server_writes_when_the_writer_ends() {
    let log = SharedLog::of_peers();
    let (here, there, _) = two_servers(&log).await;
    here.stop().await;
    assert_eq!(add(&there, "bob").await.position(), 2);
    assert_eq!((log.written_by(&there), there.status.forwarded()), (1, 0));
}

#[tokio::test]
async fn a_silent_server_is_not_asked_again() {
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
async fn a_server_that_dies_with_a_question_is_noticed() {
    let log = SharedLog::of_peers();
    let (here, there, _) = two_servers(&log).await;
    here.die_with_questions();
    // More of them than are sent at a time.
    let names: Vec<_> = (0..10).map(|number| format!("user {number}")).collect();
    let began = Instant::now();
    for reply in join_all(names.iter().map(|name| add(&there, name))).await {
        if reply.status != 201 {
            problem(&reply, 503, "unconfirmed");
        }
    }
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    // From then on, this server writes.
    assert_eq!(add(&there, "cy").await.status, 201);
}

/// A question of another server.
fn question(asked_at: Timestamp, command: &Value, by: &Value) -> String {
    let command = json!({ "command": command, "key": null, "by": by });
    json!({ "asked_at": asked_at.to_string(), "commands": [command] }).to_string()
}

#[tokio::test]
async fn a_question_is_heard_within_its_time() {
    let (here, _there, _) = two_servers(&SharedLog::of_peers()).await;
    let user = |name: &str| json!({ "add_user": { "username": name } });
    let ago = |seconds| Timestamp::now() - SignedDuration::from_secs(seconds);
    for seconds in [31, -90] {
        assert_eq!(here.answer_to(&question(ago(seconds), &user("bob"), &json!("unknown"))).await, "");
    }
    assert_eq!(here.position().await, 1);
    // The clock of the server that asks may be ahead.
    for (name, seconds) in [("cy", 25), ("dee", -60)] {
        let answer = here.answer_to(&question(ago(seconds), &user(name), &json!("unknown"))).await;
        assert!(answer.starts_with(r#"[{"Ok""#), "{answer}");
    }
}

#[tokio::test]
async fn a_stream_that_is_full_there_is_full_here() {
    let (here, there, _) = two_servers(&SharedLog::of_peers()).await;
    here.say(r#"[{"Err":"storage_full"}]"#);
    problem(&add(&there, "bob").await, 507, "storage_full");
    let health = there.get("/health").await.json();
    assert_eq!((&health["writable"], &health["stream"]["writable"]), (&json!(false), &json!(false)));
    let metrics = there.get("/metrics").await.text;
    assert!(metrics.contains("\nchinwag_writable 0\n"), "{metrics}");
}

#[tokio::test]
async fn a_command_that_no_call_makes_is_not_carried_out() {
    let (here, _there, ann) = two_servers(&SharedLog::of_peers()).await;
    let user = json!({ "add_user": { "username": "bob" } });
    let asked = |command: Value, by: Value| question(Timestamp::now(), &command, &by);
    let message = json!({ "chat": NOBODY, "author": ann, "text": "a" });
    for question in [
        asked(json!({ "revoke_tokens": { "user": ann, "from": u64::MAX } }), json!("unknown")),
        asked(json!({ "add_messages": [] }), json!("unknown")),
        asked(json!({ "add_messages": vec![message; 257] }), json!("unknown")),
        asked(json!({ "add_chat": { "name": "den", "users": [] } }), json!("unknown")),
        asked(user.clone(), json!({ "user": NOBODY })),
        asked(user.clone(), json!({ "key": "no name\n" })),
        "[[[[".to_owned(),
    ] {
        assert_eq!(here.answer_to(&question).await, "", "{question}");
    }
    assert!(here.answer_to(&asked(user, json!({ "user": ann }))).await.starts_with(r#"[{"Ok""#));
    assert_eq!(here.position().await, 2);
}

#[tokio::test]
async fn a_server_whose_clock_is_far_ahead_sends_nothing() {
    let log = SharedLog::of_peers();
    let (_here, there, _) = two_servers(&log).await;
    there.status.set_clock_ahead_ms(60_000);
    // A stream would refuse it here.
    add(&there, "bob").await;
    assert_eq!((log.written_by(&there), there.status.forwarded()), (1, 0));
}

#[tokio::test]
async fn a_write_undone_there_is_carried_out_here() {
    // Another release may not know the command, and then says nothing.
    for answer in ["", r#"[{"Err":"shutting_down"}]"#, r#"[{"Err":"unavailable"}]"#] {
        let log = SharedLog::of_peers();
        let (here, there, _) = two_servers(&log).await;
        here.say(answer);
        assert_eq!(add(&there, "bob").await.position(), 2, "{answer}");
        assert_eq!(log.written_by(&there), 1);
    }
}

#[tokio::test]
async fn a_write_perhaps_done_there_is_unconfirmed() {
    for answer in
        [r#"[{"Err":"failed"}]"#, r#"[{"Err":"unconfirmed"}]"#, r#"[{"Ok":{"of":"a later release"}}]"#, "[]"]
    {
        let log = SharedLog::of_peers();
        let (here, there, _) = two_servers(&log).await;
        here.say(answer);
        problem(&add(&there, "bob").await, 503, "unconfirmed");
        assert_eq!(log.written_by(&there), 0);
    }
}
