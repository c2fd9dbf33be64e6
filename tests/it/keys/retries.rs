//! A request that is sent again under its key.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Call, KEY, assert_replayed, with, writes};
use crate::support::{Reply, Scene, TestServer};

/// Everything that can be read.
async fn everything(server: &TestServer, users: &[&String]) -> Vec<Vec<Value>> {
    let mut all = join_all(users.iter().map(|user| server.chats(user))).await;
    let chats: Vec<_> = all.iter().flatten().map(|chat| chat["id"].as_str().unwrap().to_owned()).collect();
    all.extend(join_all(chats.iter().map(|chat| server.messages(chat))).await);
    all
}

#[tokio::test]
async fn a_retried_write_is_answered_and_stored_once() {
    let scene = Scene::on(TestServer::start()).await;
    let server = &scene.server;
    let mut answered: Vec<(String, Call, Reply)> = Vec::new();
    for (number, call) in writes(&scene).into_iter().enumerate() {
        let key = format!("key-{number}");
        let first = server.post_under(&key, call.path, &call.body).await;
        assert!(first.status.is_success() && !first.is_replayed(), "{} {first:?}", call.path);
        // Under a key, even what changes nothing is an event.
        assert_eq!(first.position(), 4 + number as u64);
        for _ in 0..2 {
            assert_replayed(&server.post_under(&key, call.path, &call.body).await, &first);
        }
        assert_eq!(server.position().await, first.position());
        answered.push((key, call, first));
    }
    let users = [&scene.ann, &scene.bob];
    let before = everything(server, &users).await;
    let check = async |server: &TestServer| {
        for (key, call, first) in answered.iter().rev() {
            assert_replayed(&server.post_under(key, call.path, &call.body).await, first);
        }
        assert_eq!(server.position().await, 3 + answered.len() as u64);
        assert_eq!(everything(server, &users).await, before);
    };
    check(server).await;
    let server = scene.server.kill().restart();
    check(&server).await;
    let (stopped, ended) = server.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    check(&stopped.restart()).await;
}

#[tokio::test]
async fn a_retry_may_write_its_values_differently() {
    let scene = Scene::start().await;
    let Scene { server, ann, bob, den, .. } = &scene;
    let (big_ann, big_bob, big_den) = (ann.to_uppercase(), bob.to_uppercase(), den.to_uppercase());
    let cases = [
        (
            "/users/add",
            vec![
                r#"{"username":"cake"}"#.to_owned(),
                "\r\n{ \"username\"\t:\n\"cake\" } ".to_owned(),
                r#"{"username":"c\u0061ke"}"#.to_owned(),
                r#"{"user\u006eame":"\u0063\u0061\u006B\u0065"}"#.to_owned(),
            ],
        ),
        (
            "/chats/add",
            vec![
                format!(r#"{{"name":"a/b","users":["{ann}","{bob}"]}}"#),
                format!(r#"{{"users":["{ann}","{bob}"],"name":"a/b"}}"#),
                format!(r#"{{ "users" : [ "{big_ann}" , "{big_bob}" ] , "name" : "a\/b" }}"#),
            ],
        ),
        (
            "/messages/add",
            vec![
                format!(r#"{{"chat":"{den}","author":"{ann}","text":"tea 🦀\n"}}"#),
                format!(r#"{{"text":"te\u0061 \ud83e\udd80\u000a","author":"{ann}","chat":"{den}"}}"#),
                format!(r#"{{"author":"{big_ann}","text":"tea 🦀\n","chat":"{big_den}"}}"#),
            ],
        ),
        (
            "/chats/users/add",
            vec![
                format!(r#"{{"chat":"{den}","user":"{bob}"}}"#),
                format!(r#" {{"user":"{big_bob}","chat":"{big_den}"}}"#),
            ],
        ),
        (
            "/chats/read",
            vec![
                format!(r#"{{"chat":"{den}","user":"{ann}","seq":1}}"#),
                format!(r#"{{"seq": 1 ,"user":"{big_ann}","chat":"{den}"}}"#),
            ],
        ),
        (
            "/messages/edit",
            vec![
                format!(r#"{{"chat":"{den}","seq":1,"user":"{ann}","metadata":{{"a":1,"b":["é"]}}}}"#),
                format!(
                    r#"{{"metadata":{{ "b" : [ "\u00e9" ],"a":1}},"user":"{big_ann}","seq":1,"chat":"{den}"}}"#
                ),
                format!(
                    r#"{{"chat":"{big_den}","seq":1,"user":"{ann}","text":null,"metadata":{{"\u0061":1,"b":["é"]}}}}"#
                ),
            ],
        ),
        (
            "/chats/direct",
            vec![
                format!(r#"{{"users":["{ann}","{bob}"]}}"#),
                format!(r#"{{"users":["{big_bob}","{ann}"]}}"#),
            ],
        ),
        (
            "/chats/users/remove",
            vec![
                format!(r#"{{"chat":"{den}","user":"{bob}"}}"#),
                format!(r#"{{"user":"{big_bob}","chat":"{den}"}}"#),
            ],
        ),
    ];
    for (path, bodies) in cases {
        let mut replies = Vec::new();
        for (number, body) in bodies.into_iter().enumerate() {
            let media =
                ["application/json", "application/json; charset=utf-8", "Application/JSON"][number % 3];
            let key = [KEY, "idempotency-key", "IDEMPOTENCY-KEY"][number % 3];
            let request = server.request("POST", path).header("content-type", media);
            let request = request.header(key, format!("key of {path}").replace(' ', "-")).body(body);
            replies.push(server.send(request).await);
        }
        assert!(replies[0].status.is_success() && !replies[0].is_replayed(), "{path}: {:?}", replies[0]);
        for reply in &replies[1..] {
            assert_replayed(reply, &replies[0]);
        }
    }
    assert_eq!(server.position().await, 11);
}

#[tokio::test]
async fn a_retry_does_not_undo_later_changes() {
    let Scene { server, ann, bob, den } = Scene::on(TestServer::start()).await;
    let (of_ann, of_bob) = (json!({ "chat": den, "user": ann }), json!({ "chat": den, "user": bob }));
    let mark = json!({ "chat": den, "user": bob, "seq": 1 });
    let is_in = async |server: &TestServer, user: &str| !server.chats(user).await.is_empty();

    let first_join = server.post_under("join", "/chats/users/add", &of_ann).await;
    let first_leave = server.post_under("leave", "/chats/users/remove", &of_bob).await;
    assert_eq!((first_join.done(), first_leave.done()), (4, 5));
    server.leave(&den, &ann).await;
    server.join(&den, &bob).await;
    server.add_message(&den, &bob, "one").await;
    // A retry of a write that did change something also comes too late.
    let first_mark = server.post_under("mark", "/chats/read", &mark).await;
    let first_back = server.post_under("back", "/chats/users/add", &of_ann).await;
    server.leave(&den, &ann).await;
    let position = server.position().await;

    let check = async |server: &TestServer, position: u64, bob_stays: bool| {
        assert_replayed(&server.post_under("join", "/chats/users/add", &of_ann).await, &first_join);
        assert_replayed(&server.post_under("leave", "/chats/users/remove", &of_bob).await, &first_leave);
        assert_replayed(&server.post_under("mark", "/chats/read", &mark).await, &first_mark);
        assert_replayed(&server.post_under("back", "/chats/users/add", &of_ann).await, &first_back);
        assert_eq!((is_in(server, &ann).await, is_in(server, &bob).await), (false, bob_stays));
        assert_eq!(server.position().await, position);
    };
    check(&server, position, true).await;
    // He can no longer move his mark, but he did so once.
    server.leave(&den, &bob).await;
    check(&server, position + 1, false).await;
    check(&server.kill().restart(), position + 1, false).await;
}

#[tokio::test]
async fn a_retry_undoes_no_later_change_of_a_message() {
    let Scene { server, ann, bob, den } = Scene::on(TestServer::start()).await;
    server.add_message(&den, &ann, "tea").await;
    let of_message = |more: Value| with(&json!({ "chat": den, "seq": 1, "user": ann }), &more);
    let reaction = of_message(json!({ "emoji": "+1" }));
    let users = json!({ "users": [ann, bob] });
    let direct = server.post("/chats/direct", &users).await.id();
    let sent = json!({ "chat": den, "author": ann, "text": "milk?", "reply_to": 1, "metadata": { "a": 1 } });
    // Given writes under keys, some of which find nothing to change.
    let mut answered = Vec::new();
    for (key, path, body, status) in [
        ("unedited", "/messages/edit", of_message(json!({ "text": "tea" })), 200),
        ("edited", "/messages/edit", of_message(json!({ "text": "coffee" })), 200),
        ("as edited", "/messages/edit", of_message(json!({ "metadata": {} })), 200),
        ("not there", "/messages/reactions/remove", reaction.clone(), 204),
        ("there", "/messages/reactions/add", reaction.clone(), 204),
        ("there already", "/messages/reactions/add", reaction.clone(), 204),
        ("known", "/chats/direct", users, 200),
        ("named", "/chats/edit", json!({ "chat": den, "name": "lair" }), 204),
        ("renamed", "/users/edit", json!({ "user": ann, "username": "anna" }), 204),
        ("sent", "/messages/add", sent, 201),
    ] {
        let key = key.replace(' ', "-");
        let first = server.post_under(&key, path, &body).await;
        assert_eq!((first.status.as_u16(), first.is_replayed()), (status, false), "{key}: {first:?}");
        answered.push((key, path, body, first));
    }
    let of = |key: &str| {
        let mut answers = answered.iter();
        answers.find(|(of, ..)| of == key).map(|(.., first)| first.json()).expect("answered")
    };
    assert_eq!(of("unedited"), json!({ "edited_at": null }));
    assert_eq!(of("as-edited"), of("edited"));
    assert_eq!(of("known"), json!({ "id": direct }));
    // When all of it is changed again, and what they were about is at last gone.
    server.post("/messages/reactions/remove", &reaction).await.done();
    server.post("/messages/edit", &of_message(json!({ "text": "water", "metadata": { "b": 2 } }))).await;
    server.post("/chats/edit", &json!({ "chat": den, "name": "den" })).await.done();
    server.post("/users/edit", &json!({ "user": ann, "username": "ann" })).await.done();
    let check = async |server: &TestServer| {
        let before = everything(server, &[&ann, &bob]).await;
        let position = server.position().await;
        for (key, path, body, first) in &answered {
            assert_replayed(&server.post_under(key, path, body).await, first);
        }
        assert_eq!(server.position().await, position);
        assert_eq!(everything(server, &[&ann, &bob]).await, before);
    };
    check(&server).await;
    server.post("/messages/delete", &of_message(json!({}))).await.done();
    check(&server).await;
    check(&server.kill().restart()).await;
}

#[tokio::test]
async fn a_retry_is_answered_before_it_is_decided() {
    let scene = Scene::start().await;
    let Scene { server, ann, den, .. } = &scene;
    let user = json!({ "username": "cy" });
    let chat = json!({ "name": "pub", "users": [ann] });
    let message = json!({ "chat": den, "author": ann, "text": "hello" });
    let mark = json!({ "chat": den, "user": ann, "seq": 0 });
    let calls =
        [("/users/add", user), ("/chats/add", chat), ("/messages/add", message), ("/chats/read", mark)];
    let mut firsts = Vec::new();
    for (path, body) in &calls {
        firsts.push(server.post_under(path, path, body).await);
    }
    server.leave(den, ann).await;
    for ((path, body), (first, status)) in calls.iter().zip(firsts.iter().zip([409, 409, 403, 403])) {
        assert_eq!(server.post(path, body).await.status, status);
        assert_eq!(server.post_under("other", path, body).await.status, status);
        assert_replayed(&server.post_under(path, path, body).await, first);
    }
}
