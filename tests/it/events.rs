//! `/events`: what a user sees, as it happens and from any point of the past.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, Event, RawConnection, Scene, TestServer, head, problem};

const V4: &str = "9b2f6e0a-54a3-4c36-8a55-0f6d3c1b7a10";

fn event(id: u64, kind: &str, data: Value) -> Event {
    Event { id, kind: kind.to_owned(), data }
}

/// A message as it was sent and answered.
fn sent(position: u64, chat: &str, author: &str, text: &str, answer: &Value) -> Event {
    let data = json!({
        "id": answer["id"], "chat": chat, "author": author, "text": text, "created_at": answer["created_at"],
        "seq": answer["seq"],
    });
    event(position, "message", data)
}

async fn chat_of(server: &Client, user: &str, chat: &str) -> Value {
    let chats = server.chats(user).await;
    chats.into_iter().find(|listed| listed["id"] == chat).expect("a member")
}

#[tokio::test]
async fn a_stream_carries_everything_a_member_sees() {
    let Scene { server, ann, bob, den } = Scene::on(TestServer::start()).await;
    server.add_message(&den, &ann, "before").await;
    let mut stream = server.follow(&ann, None).await;

    let answer = server.add_message(&den, &ann, "hello\n\"data: x\"\r\n\n🦀").await;
    assert_eq!(stream.next().await, Some(sent(5, &den, &ann, "hello\n\"data: x\"\r\n\n🦀", &answer)));
    assert!(stream.retry.is_some_and(|milliseconds| milliseconds > 0));

    let membership = json!({ "chat": den, "user": bob });
    server.join(&den, &bob).await;
    assert_eq!(stream.next().await, Some(event(6, "member", membership.clone())));

    let answer = server.add_message(&den, &bob, "hi").await;
    assert_eq!(stream.next().await, Some(sent(7, &den, &bob, "hi", &answer)));

    server.mark_read(&den, &bob, 2).await;
    assert_eq!(stream.next().await, Some(event(8, "read", json!({ "chat": den, "user": bob, "seq": 2 }))));

    server.leave(&den, &bob).await;
    assert_eq!(stream.next().await, Some(event(9, "member_removed", membership)));

    let pub_ = server.add_chat("pub", &[&bob, &ann]).await;
    let shown = stream.next().await.expect("the stream goes on");
    assert_eq!(shown, event(10, "chat", chat_of(&server, &ann, &pub_).await));

    // An event without effect, or outside of every chat, is not streamed.
    server.join(&pub_, &ann).await;
    server.add_user("cy").await;
    stream.assert_silent(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn a_stream_follows_joining_and_leaving() {
    let Scene { server, ann, bob, den } = Scene::on(TestServer::start()).await;
    let mut stream = server.follow(&bob, None).await;
    server.add_message(&den, &ann, "not for bob").await;
    server.join(&den, &bob).await;
    let shown = stream.next().await.expect("the stream goes on");
    assert_eq!(shown, event(5, "chat", chat_of(&server, &bob, &den).await));
    assert_eq!(shown.data["last_message"]["text"], "not for bob");
    assert_eq!(shown.data["unread"], 1);
    let answer = server.add_message(&den, &ann, "for bob").await;
    assert_eq!(stream.next().await, Some(sent(6, &den, &ann, "for bob", &answer)));
    server.leave(&den, &bob).await;
    let membership = json!({ "chat": den, "user": bob });
    assert_eq!(stream.next().await, Some(event(7, "member_removed", membership)));
    server.add_message(&den, &ann, "not for bob any more").await;
    server.mark_read(&den, &ann, 2).await;
    server.join(&den, &bob).await;
    assert_eq!(stream.next().await.map(|event| (event.id, event.kind)), Some((10, "chat".to_owned())));
}

#[tokio::test]
async fn a_former_member_streams_only_the_past() {
    let Scene { server, ann, bob, den } = Scene::on(TestServer::start()).await;
    server.join(&den, &bob).await;
    let answer = server.add_message(&den, &ann, "for bob").await;
    server.leave(&den, &bob).await;
    server.add_message(&den, &ann, "not for bob any more").await;
    let mut stream = server.follow(&bob, Some(0)).await;
    let chat = stream.next().await.expect("bob was put into it");
    assert_eq!((chat.kind.as_str(), &chat.data["id"]), ("chat", &json!(den)));
    let known = (&chat.data["last_message"], &chat.data["users"], &chat.data["unread"]);
    assert_eq!(known, (&Value::Null, &json!([]), &json!(0)));
    assert_eq!(stream.next().await, Some(sent(chat.id + 1, &den, &ann, "for bob", &answer)));
    let membership = json!({ "chat": den, "user": bob });
    assert_eq!(stream.next().await, Some(event(chat.id + 2, "member_removed", membership)));
    stream.assert_silent(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn a_stream_resumes_from_any_position() {
    let Scene { server, ann, bob, den } = Scene::on(TestServer::start()).await;
    let mut whole = server.follow(&ann, Some(0)).await;
    // Made by the scene: ann, bob, and their chat.
    assert_eq!(whole.next().await.map(|event| (event.id, event.kind)), Some((3, "chat".to_owned())));
    let mut told = Vec::new();
    for number in 0..40_u64 {
        match number % 8 {
            3 => drop(server.join(&den, &bob).await),
            5 => drop(server.mark_read(&den, &ann, usize::try_from(number / 2).expect("small")).await),
            7 => drop(server.leave(&den, &bob).await),
            _ => drop(server.add_message(&den, &ann, &format!("text {number}")).await),
        }
    }
    let last = server.position().await;
    while told.last().is_none_or(|event: &Event| event.id < last) {
        told.push(whole.next().await.expect("the stream goes on"));
    }
    assert!(told.is_sorted_by(|one, next| one.id < next.id));
    // A stream that catches up sends only the last of ann's read marks.
    let last_mark = told.iter().rfind(|event| event.kind == "read").expect("ann has read").id;
    told.retain(|event| event.kind != "read" || event.id == last_mark);
    let check = async |server: &Client, after: u64| {
        let expected: Vec<_> = told.iter().filter(|event| event.id > after).cloned().collect();
        let mut stream = server.follow(&ann, Some(after)).await;
        assert_eq!(stream.take_events(expected.len()).await, expected, "after {after}");
        stream
    };
    for after in 0..=last {
        check(&server, after.max(3)).await;
    }
    // By a parameter. The header takes precedence, then `lastEventId`.
    let by_parameters = [
        (format!("after={}", last - 1), None),
        (format!("lastEventId={}", last - 1), None),
        (format!("after=5&lastEventId={}", last - 1), None),
        ("after=5&lastEventId=6".to_owned(), Some(last - 1)),
    ];
    for (parameters, header) in by_parameters {
        let stream = server.get_stream(&format!("/events?user={ann}&{parameters}"), header).await;
        assert_eq!(stream.expect("connected").next().await, told.last().cloned(), "{parameters}");
    }
    // After a restart, and on into new events.
    let server = server.kill().restart();
    let mut stream = check(&server, last - 10).await;
    let answer = server.add_message(&den, &ann, "new").await;
    assert_eq!(stream.next().await, Some(sent(last + 1, &den, &ann, "new", &answer)));
}

#[tokio::test]
async fn a_stream_says_where_it_begins() {
    let Scene { server, ann, den, .. } = Scene::on(TestServer::start()).await;
    // Given a client that is cut off before any message.
    let mut stream = server.follow(&ann, None).await;
    let begin = stream.begin().await;
    assert_eq!((begin.id, begin.kind.as_str(), &begin.data), (3, "begin", &json!({ "position": 3 })));
    assert_eq!(stream.retry, Some(1000));
    let last_id = std::mem::take(&mut stream.last_id);
    drop(stream);
    // When messages are sent while it is away.
    server.add_message(&den, &ann, "missed").await;
    // Then it gets them when it resumes.
    let mut stream = server.resume(&ann, &last_id).await;
    assert_eq!(stream.next().await.map(|event| event.data["text"].clone()), Some(json!("missed")));
    assert_eq!(stream.begin().await, begin);
    // A stream after a bare position begins with a whole id.
    assert_eq!(server.follow(&ann, Some(3)).await.begin().await, begin);
}

#[tokio::test]
async fn no_proxy_holds_events_back() {
    let Scene { server, ann, .. } = Scene::on(TestServer::start()).await;
    let reply = server.send(server.request("HEAD", &format!("/events?user={ann}"))).await;
    assert_eq!(reply.header("cache-control"), "no-store, no-transform");
    assert_eq!(reply.header("x-accel-buffering"), "no");
}

#[tokio::test]
async fn a_batch_is_streamed_message_by_message() {
    let Scene { server, ann, den, .. } = Scene::on(TestServer::start()).await;
    let pub_ = server.add_chat("pub", &[&ann]).await;
    let mut stream = server.follow(&ann, None).await;
    let messages: Vec<_> = (0..1_000)
        .map(|number| {
            let chat = if number % 3 == 0 { &pub_ } else { &den };
            json!({ "chat": chat, "author": ann, "text": format!("text {number}") })
        })
        .collect();
    assert_eq!(server.post("/messages/batch", &json!({ "messages": messages })).await.status, 201);
    for (position, (event, message)) in (5..).zip(stream.take_events(1_000).await.iter().zip(&messages)) {
        assert_eq!(
            (event.id, &event.data["text"], &event.data["chat"]),
            (position, &message["text"], &message["chat"])
        );
    }
}

#[tokio::test]
async fn a_bad_stream_request_is_refused() {
    let Scene { server, ann, .. } = Scene::start().await;
    let cases = [
        (format!("?user={ann}&lastEventId=x"), "lastEventId"),
        (format!("?user={ann}&after=1&lastEventId=4"), "lastEventId"),
        (format!("?user={ann}&lastEventId=1&after=x"), "after"),
        (format!("?user={ann}&lastEventId=1&lastEventId=1"), "lastEventId"),
        (String::new(), "user"),
        ("?".to_owned(), "user"),
        ("?user=".to_owned(), "user"),
        ("?user=ann".to_owned(), "user"),
        (format!("?user={ann}&user={ann}"), "user"),
        (format!("?user={ann}&after="), "after"),
        (format!("?user={ann}&after=x"), "after"),
        (format!("?user={ann}&after=-1"), "after"),
        (format!("?user={ann}&after=1.5"), "after"),
        (format!("?user={ann}&after=4"), "after"),
        (format!("?user={ann}&after=18446744073709551615"), "after"),
        (format!("?user={ann}&after=18446744073709551616"), "after"),
        (format!("?user={ann}&after=1&after=1"), "after"),
        (format!("?user={ann}&more=1"), "more"),
        ("?user=%ff".to_owned(), "user"),
    ];
    for (query, field) in cases {
        let reply = server.get(&format!("/events{query}")).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some(field), "{query}");
    }
    let beyond = server.get(&format!("/events?user={ann}&after=4")).await;
    assert!(
        beyond.json()["detail"].as_str().is_some_and(|detail| detail.contains('3') && detail.contains('4'))
    );
    let unknown = server.get(&format!("/events?user={V4}")).await;
    assert_eq!(problem(&unknown, 404, "user_not_found").as_deref(), Some("user"));
    for id in ["", "x", "-1", "4", "1, 2", "18446744073709551616"] {
        let request = server.request("GET", &format!("/events?user={ann}")).header("Last-Event-ID", id);
        let reply = server.send(request).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("Last-Event-ID"), "{id}");
    }
}

#[test]
fn a_head_of_a_stream_ends() {
    let server = TestServer::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let ann = runtime.block_on(server.add_user("ann"));
    let mut connection = RawConnection::open(&server.address);
    connection.send(head("HEAD", &format!("/events?user={ann}"), &[]) + &head("GET", "/health", &[]));
    let (status, headers) = connection.head().expect("answered");
    assert_eq!(
        (status.as_u16(), &headers["content-type"]),
        (200, &"text/event-stream; charset=utf-8".parse().expect("a header"))
    );
    assert_eq!(connection.reply().status, 200);
}

#[tokio::test]
async fn a_silent_stream_is_kept_open_by_comments() {
    let Scene { server, ann, den, .. } = Scene::on(TestServer::start()).await;
    let mut stream = server.follow(&ann, None).await;
    stream.wait_for_comment().await;
    server.add_message(&den, &ann, "hello").await;
    assert_eq!(stream.next().await.map(|event| event.id), Some(4));
}

#[tokio::test]
async fn a_server_that_stops_ends_its_streams() {
    let Scene { server, ann, den, .. } = Scene::on(TestServer::start()).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(server.follow(&ann, Some(0)).await);
    }
    server.add_message(&den, &ann, "last words").await;
    for stream in &mut streams {
        let told = stream.take_events(2).await;
        assert_eq!(told.iter().map(|event| event.id).collect::<Vec<_>>(), [3, 4]);
    }
    let started = std::time::Instant::now();
    let (stopped, ended) = server.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(started.elapsed() < Duration::from_secs(5), "nobody had to be cut off: {:?}", started.elapsed());
    for mut stream in streams {
        assert_eq!(stream.next().await, None);
    }
    let server = stopped.restart();
    server.add_message(&den, &ann, "first words").await;
    assert_eq!(server.follow(&ann, Some(4)).await.next().await.map(|event| event.id), Some(5));
}

#[tokio::test]
async fn streams_have_a_maximum_and_leave_room_for_other_calls() {
    let Scene { server, ann, .. } = Scene::on(TestServer::start_with(&["--streams-max", "2"])).await;
    let first = server.follow(&ann, None).await;
    let _second = server.follow(&ann, None).await;
    let third = format!("/events?user={ann}");
    let refused = tokio::time::timeout(Duration::from_secs(20), server.get(&third)).await;
    let refused = refused.expect("an answer that ends");
    problem(&refused, 503, "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(server.get("/health").await.status, 200);
    // A stream that ends makes room for another one.
    drop(first);
    let mut again = server.try_follow(&ann, None).await;
    while again.is_err() {
        again = server.try_follow(&ann, None).await;
    }
}

#[tokio::test]
async fn catching_up_sends_only_last_marks() {
    let Scene { server, ann, bob, den } = Scene::on(TestServer::start()).await;
    server.join(&den, &bob).await;
    for seq in 1..=3 {
        server.add_message(&den, &ann, "text").await;
        server.mark_read(&den, &bob, seq).await;
    }
    let last = server.mark_read(&den, &ann, 2).await;
    let mark = |user: &str, seq: u64| json!({ "chat": den, "user": user, "seq": seq });
    let mut stream = server.follow(&ann, Some(4)).await;
    let told = stream.take_events(5).await;
    let kinds: Vec<_> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["message", "message", "message", "read", "read"]);
    assert_eq!(told[3..], [event(last - 1, "read", mark(&bob, 3)), event(last, "read", mark(&ann, 2))]);
    // After a restart, too.
    let server = server.kill().restart();
    assert_eq!(server.follow(&ann, Some(4)).await.take_events(5).await, told);
}
