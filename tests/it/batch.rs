//! `/messages/batch`: many messages in one request, all of them or none.

use std::ops::Deref;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Client, RawConnection, Reply, Scene, TestRouter, TestServer, assert_id, assert_time, head, post_bytes,
    problem,
};

const V4: &str = "9b2f6e0a-54a3-4c36-8a55-0f6d3c1b7a10";
const PATH: &str = "/messages/batch";
/// The longest body of a batch.
const BATCH_BYTES_MAX: usize = 32 << 20;

fn message(chat: &str, author: &str, text: &str) -> Value {
    json!({ "chat": chat, "author": author, "text": text })
}

impl<S: Deref<Target = Client>> Scene<S> {
    /// Returns this number of right messages.
    fn messages(&self, count: usize) -> Vec<Value> {
        (0..count).map(|number| message(&self.den, &self.ann, &format!("text {number}"))).collect()
    }

    async fn batch(&self, messages: &[Value]) -> Reply {
        self.server.post(PATH, &json!({ "messages": messages })).await
    }

    /// Checks that the log and the chat are as the scene left them.
    async fn assert_nothing_stored(&self) {
        assert_eq!(self.server.position().await, 3);
        assert!(self.server.messages(&self.den).await.is_empty());
    }
}

#[tokio::test]
async fn a_batch_answers_each_message_in_order() {
    let scene = Scene::start().await;
    let Scene { server, ann, bob, den } = &scene;
    let pub_ = server.add_chat("pub", &[bob]).await;
    server.add_message(den, ann, "before").await;
    let messages =
        [message(den, ann, "a"), message(&pub_, bob, "b"), message(den, ann, "a"), message(&pub_, bob, "d")];
    let reply = scene.batch(&messages).await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.header("content-type"), "application/json");
    // The position is that of the last message.
    assert_eq!((reply.position(), server.position().await), (9, 9));
    let answers = reply.json();
    let answers = answers.as_array().expect("a list");
    assert_eq!(answers.iter().map(|answer| answer["seq"].clone()).collect::<Vec<_>>(), [2, 1, 3, 2]);
    assert!(answers.is_sorted_by(|one, next| one["created_at"].as_str() < next["created_at"].as_str()));
    for (answer, message) in answers.iter().zip(&messages) {
        assert_id(&answer["id"]);
        assert_time(&answer["created_at"]);
        assert_eq!(answer.as_object().expect("an object").len(), 3);
        let mut expected = message.clone();
        for member in ["id", "seq", "created_at"] {
            expected[member] = answer[member].clone();
        }
        let chat = server.messages(message["chat"].as_str().expect("an id")).await;
        assert!(chat.contains(&expected), "{expected} is not in {chat:?}");
    }
}

#[tokio::test]
async fn a_batch_counts_as_its_messages_one_by_one() {
    let server = TestRouter::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let mut chats = Vec::new();
    for name in ["first", "second", "third"] {
        chats.push(server.add_chat(name, &[&ann, &bob]).await);
    }
    let [first, second, third] = &chats[..] else { unreachable!("three were made") };
    let messages = [
        message(third, &ann, "1"),
        message(first, &bob, "2"),
        message(third, &ann, "3"),
        message(second, &bob, "4"),
        message(first, &ann, "5"),
    ];
    assert_eq!(server.post(PATH, &json!({ "messages": messages })).await.status, 201);
    let listed: Vec<_> = server
        .chats(&ann)
        .await
        .iter()
        .map(|chat| (chat["name"].clone(), chat["unread"].clone(), chat["last_message"]["text"].clone()))
        .collect();
    let expected = [("first", 1, "5"), ("second", 1, "4"), ("third", 0, "3")];
    assert_eq!(listed, expected.map(|(name, unread, text)| (json!(name), json!(unread), json!(text))));
}

#[tokio::test]
async fn a_batch_has_1_to_1000_messages() {
    let scene = Scene::on(TestServer::start()).await;
    for count in [0, 1_001] {
        let reply = scene.batch(&scene.messages(count)).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("messages"), "{count}");
    }
    scene.assert_nothing_stored().await;
    let mut sent = Vec::new();
    for count in [1, 1_000, 255, 256, 257] {
        let messages = scene.messages(count);
        let reply = scene.batch(&messages).await;
        assert_eq!(reply.status, 201);
        let seqs: Vec<_> =
            reply.json().as_array().expect("a list").iter().map(|m| m["seq"].clone()).collect();
        assert_eq!(seqs, (sent.len() + 1..=sent.len() + count).collect::<Vec<_>>());
        sent.extend(messages);
        assert_eq!(reply.position(), 3 + sent.len() as u64);
    }
    let check = async |server: &TestServer| {
        let stored = server.messages(&scene.den).await;
        assert_eq!(stored.len(), sent.len());
        for (stored, sent) in stored.iter().zip(&sent) {
            assert_eq!(stored["text"], sent["text"]);
        }
        stored
    };
    let before = check(&scene.server).await;
    assert_eq!(check(&scene.server.kill().restart()).await, before);
}

#[tokio::test]
async fn an_item_that_is_not_a_message_is_named() {
    let scene = Scene::start().await;
    for messages in [json!({}), json!("x"), json!(5), json!(true), scene.messages(1)[0].clone()] {
        let reply = scene.server.post(PATH, &json!({ "messages": messages })).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("messages"), "{messages}");
    }
    for item in [json!(null), json!(5), json!("x"), json!([]), json!([scene.messages(1)[0]])] {
        let mut messages = scene.messages(3);
        messages[1] = item;
        let reply = scene.batch(&messages).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("messages[1]"), "{}", messages[1]);
    }
    scene.assert_nothing_stored().await;
}

#[tokio::test]
async fn a_bad_message_is_named_and_nothing_stored() {
    let scene = Scene::start().await;
    let bob = &scene.bob;
    let cases = [
        (json!({ "text": "" }), 400, "invalid_field", "text"),
        (json!({ "text": null }), 400, "invalid_field", "text"),
        (json!({ "text": 5 }), 400, "invalid_field", "text"),
        (json!({ "text": "x".repeat(16_385) }), 400, "invalid_field", "text"),
        (json!({ "author": "ann" }), 400, "invalid_field", "author"),
        (json!({ "chat": [V4] }), 400, "invalid_field", "chat"),
        (json!({ "more": 1 }), 400, "invalid_field", "more"),
        (json!({ "author": V4 }), 404, "user_not_found", "author"),
        (json!({ "chat": V4 }), 404, "chat_not_found", "chat"),
        (json!({ "author": bob }), 403, "not_a_member", "author"),
    ];
    for (over, status, code, field) in cases {
        for index in [0, 37, 999] {
            let mut messages = scene.messages(1_000);
            // Later messages may also be invalid.
            for message in &mut messages[index..] {
                for (name, value) in over.as_object().expect("members") {
                    message[name] = value.clone();
                }
            }
            let reply = scene.batch(&messages).await;
            let blamed = problem(&reply, status, code);
            assert_eq!(blamed, Some(format!("messages[{index}].{field}")), "{}", reply.text);
        }
    }
    for (inside, field) in
        [(r#""chat":1,"chat":1"#, "chat"), (r#""text":"a","author":null,"te\u0078t":"b""#, "text")]
    {
        let body = format!(r#"{{"messages":[{},{{{inside}}}]}}"#, scene.messages(1)[0]);
        let reply = scene.server.post_raw(PATH, body).await;
        assert_eq!(problem(&reply, 400, "invalid_field"), Some(format!("messages[1].{field}")));
    }
    scene.assert_nothing_stored().await;
}

#[tokio::test]
async fn batch_form_is_checked_before_any_message_is_decided() {
    let scene = Scene::start().await;
    let Scene { ann, bob, den, .. } = &scene;
    let (right, empty) = (message(den, ann, "hello"), message(den, ann, ""));
    let (nowhere, nobody, stranger) =
        (message(V4, ann, "hello"), message(den, V4, "hello"), message(den, bob, "hello"));
    let cases = [
        (vec![&nowhere, &empty], 400, "messages[1].text"),
        (vec![&stranger, &right, &empty, &nowhere], 400, "messages[2].text"),
        // The messages are checked one by one, so the first refused one is reported, whatever the reason.
        (vec![&right, &stranger, &nowhere], 403, "messages[1].author"),
        (vec![&right, &nobody, &stranger], 404, "messages[1].author"),
    ];
    for (messages, status, field) in cases {
        let reply = scene.server.post(PATH, &json!({ "messages": messages })).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["field"]), (status, &json!(field)));
    }
    let unknown = json!({ "messages": [nowhere], "more": 1 });
    assert_eq!(
        problem(&scene.server.post(PATH, &unknown).await, 400, "invalid_field").as_deref(),
        Some("more")
    );
    scene.assert_nothing_stored().await;
}

#[test]
fn a_batch_body_may_be_32_times_longer() {
    let server = TestServer::start_with(&["--body-bytes-max", "2048"]);
    let reply = |request: Vec<u8>| {
        let mut connection = RawConnection::open(&server.address);
        connection.send(request);
        connection.reply()
    };
    let of_length = |bytes: usize| {
        let mut body = br#"{"messages":[]}"#.to_vec();
        body.resize(bytes, b' ');
        body
    };
    let bytes_max = 2_048 * 32;
    problem(&reply(post_bytes(PATH, &of_length(bytes_max))), 400, "invalid_field");
    problem(&reply(post_bytes(PATH, &of_length(bytes_max + 1))), 413, "body_too_large");
    let chunked = |bytes: usize| {
        let head = head("POST", PATH, &["Content-Type: application/json", "Transfer-Encoding: chunked"]);
        let size = format!("{bytes:x}\r\n");
        [head.as_bytes(), size.as_bytes(), &of_length(bytes), b"\r\n0\r\n\r\n"].concat()
    };
    problem(&reply(chunked(bytes_max)), 400, "invalid_field");
    problem(&reply(chunked(bytes_max + 1)), 413, "body_too_large");
}

#[tokio::test]
async fn the_longest_batch_is_stored_and_read_back() {
    let scene = Scene::on(TestServer::start()).await;
    // Each character of the text takes six in the body, so that the body is full before the texts are their
    // longest.
    let text = |number: usize| format!("{number:04}{}", "\u{1}".repeat(5_560));
    let messages: Vec<_> = (0..1_000).map(|number| message(&scene.den, &scene.ann, &text(number))).collect();
    let mut body = json!({ "messages": messages }).to_string().into_bytes();
    assert!((BATCH_BYTES_MAX - 100_000..=BATCH_BYTES_MAX).contains(&body.len()), "{}", body.len());
    body.resize(BATCH_BYTES_MAX, b' ');
    assert_eq!(scene.server.post_raw(PATH, body).await.status, 201);
    // The longest texts, in the fewest characters.
    let long = message(&scene.den, &scene.ann, &"x".repeat(16_384));
    assert_eq!(scene.batch(&vec![long; 1_000]).await.status, 201);
    let server = scene.server.kill().restart();
    let stored = server.messages(&scene.den).await;
    assert_eq!(stored.len(), 2_000);
    assert!(stored[..1_000].iter().enumerate().all(|(number, message)| message["text"] == text(number)));
    assert!(stored[1_000..].iter().all(|message| message["text"].as_str().map(str::len) == Some(16_384)));
}

#[tokio::test]
async fn a_retried_batch_gets_its_first_answer() {
    let scene = Scene::on(TestServer::start()).await;
    let Scene { server, ann, bob, den } = &scene;
    let pub_ = server.add_chat("pub", &[ann, bob]).await;
    let mut messages = scene.messages(600);
    for message in messages.iter_mut().step_by(3) {
        message["chat"] = json!(pub_);
    }
    let body = json!({ "messages": messages });
    // Others write before, beside and after it.
    server.add_message(&pub_, bob, "before").await;
    let noise = messages[..50].iter().map(|message| server.post("/messages/add", message));
    let (first, _) =
        tokio::join!(server.post_under("key", PATH, &body), futures_util::future::join_all(noise));
    assert_eq!((first.status.as_u16(), first.is_replayed()), (201, false));
    server.add_message(den, ann, "after").await;
    server.leave(&pub_, ann).await;
    let last = server.position().await;

    let mut fewer = body.clone();
    fewer["messages"].as_array_mut().expect("a list").pop();
    let mut other = body.clone();
    other["messages"][300]["text"] = json!("another");
    let mut turned = body.clone();
    turned["messages"].as_array_mut().expect("a list").swap(1, 2);
    let check = async |server: &TestServer| {
        let again = server.post_under("key", PATH, &body).await;
        assert!(again.is_replayed());
        assert_eq!(
            (again.status, &again.text, again.position()),
            (first.status, &first.text, first.position())
        );
        for request in [&fewer, &other, &turned] {
            problem(&server.post_under("key", PATH, request).await, 422, "idempotency_key_reused");
        }
        let single = &body["messages"][599];
        problem(&server.post_under("key", "/messages/add", single).await, 422, "idempotency_key_reused");
        assert_eq!(server.position().await, last);
    };
    check(server).await;
    check(&scene.server.kill().restart()).await;
}

#[tokio::test]
async fn a_refused_batch_leaves_its_key_free() {
    let scene = Scene::start().await;
    let body =
        json!({ "messages": [message(&scene.den, &scene.ann, "a"), message(&scene.den, &scene.bob, "b")] });
    let refused = scene.server.post_under("key", PATH, &body).await;
    assert_eq!(problem(&refused, 403, "not_a_member").as_deref(), Some("messages[1].author"));
    scene.server.join(&scene.den, &scene.bob).await;
    let sent = scene.server.post_under("key", PATH, &body).await;
    assert_eq!((sent.status.as_u16(), sent.is_replayed()), (201, false));
}

#[tokio::test]
async fn concurrent_batches_under_one_key_are_stored_once() {
    let scene = Scene::start().await;
    let body = json!({ "messages": scene.messages(300) });
    let sends = (0..16).map(|_| scene.server.post_under("key", PATH, &body));
    let replies = futures_util::future::join_all(sends).await;
    assert!(replies.iter().all(|reply| reply.status == 201 && reply.text == replies[0].text));
    assert_eq!(replies.iter().filter(|reply| !reply.is_replayed()).count(), 1);
    assert_eq!(scene.server.position().await, 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_never_seen_or_kept_partly() {
    const SIZE: usize = 300;
    let scene = Scene::on(TestServer::start()).await;
    let (den, ann) = (scene.den.clone(), scene.ann.clone());
    let mut server = scene.server;
    let mut stored = 0;
    for round in 0..6 {
        let writers = (0..4).map(|writer| {
            let (client, den, ann) = (server.client(), den.clone(), ann.clone());
            tokio::spawn(async move {
                let mut acknowledged = 0;
                loop {
                    let text = format!("{round} {writer} {acknowledged}");
                    let messages = vec![message(&den, &ann, &text); SIZE];
                    match client.try_post(PATH, &json!({ "messages": messages })).await {
                        Ok(reply) if reply.status == 201 => acknowledged += 1,
                        _ => return acknowledged,
                    }
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        let until = tokio::time::Instant::now() + Duration::from_millis(150 + 67 * round);
        while tokio::time::Instant::now() < until {
            let newest = server.list("/messages/get", &json!({ "chat": den, "limit": 1 })).await;
            let seen = newest.first().map_or(0, |message| message["seq"].as_u64().expect("a number"));
            assert_eq!(seen % SIZE as u64, 0, "a part of a batch is seen");
        }
        server = server.kill().restart();
        let mut acknowledged = 0;
        for writer in writers {
            acknowledged += writer.await.expect("no writer panics");
        }
        let messages = server.messages(&den).await;
        for batch in messages.chunks(SIZE) {
            assert_eq!(batch.len(), SIZE, "a part of a batch is left");
            assert!(batch.iter().all(|message| message["text"] == batch[0]["text"]), "batches are mixed");
        }
        let batches = messages.len() / SIZE;
        // Each writer may have one stored batch without an answer: the one that the kill interrupted.
        assert!((stored + acknowledged..=stored + acknowledged + 4).contains(&batches));
        stored = batches;
    }
    assert!(stored > 0, "nothing was tried");
}
