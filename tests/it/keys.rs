//! `Idempotency-Key`: a write that is sent again is answered again, and done once.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{RawConnection, Reply, Scene, TestServer, head, problem};

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
        call("/chats/users/remove", of(ann)),
    ]
}

/// Checks that an answer repeats the first one.
#[track_caller]
fn assert_replayed(again: &Reply, first: &Reply) {
    assert!(again.is_replayed(), "{again:?}");
    assert_eq!((again.status, &again.text, again.position()), (first.status, &first.text, first.position()));
    assert_eq!(again.headers.get("content-type"), first.headers.get("content-type"));
}

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

#[track_caller]
fn assert_reused(reply: &Reply, what: &str) {
    assert_eq!(problem(reply, 422, "idempotency_key_reused").as_deref(), Some(KEY), "{what}");
    assert!(!reply.is_replayed() && !reply.headers.contains_key("chinwag-position"), "{what}");
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
    assert_eq!(server.position().await, 9);
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
async fn form_is_checked_before_the_key() {
    let scene = Scene::on(TestServer::start()).await;
    let Scene { server, .. } = &scene;
    assert_eq!(server.post_under("used", "/users/add", &json!({ "username": "cy" })).await.status, 201);
    let bad_bodies = [
        ("/users/add", json!({ "username": "" }), "username"),
        ("/users/add", json!({ "username": "cy", "more": 1 }), "more"),
        ("/chats/add", json!({ "name": "pub", "users": [] }), "users"),
        ("/messages/add", json!({ "chat": "x", "author": scene.ann, "text": "x" }), "chat"),
        ("/chats/users/add", json!({ "chat": scene.den }), "user"),
        ("/chats/users/remove", json!({ "chat": scene.den, "user": 5 }), "user"),
        ("/chats/read", json!({ "chat": scene.den, "user": scene.ann, "seq": 2.5 }), "seq"),
    ];
    for (path, body, field) in bad_bodies {
        for key in ["used", "fresh", "", "two words"] {
            let reply = server.post_under(key, path, &body).await;
            assert_eq!(
                problem(&reply, 400, "invalid_field").as_deref(),
                Some(field),
                "{key:?} {path} {body}"
            );
        }
        let mut connection = RawConnection::open(&server.address);
        connection.send(raw(path, &[b"used", b"used"], &body));
        assert_eq!(problem(&connection.reply(), 400, "invalid_field").as_deref(), Some(field), "{path}");
    }
    let not_json = server.request("POST", "/users/add").header("content-type", "application/json");
    let reply = server.send(not_json.header(KEY, "used").body("{")).await;
    assert_eq!(problem(&reply, 400, "invalid_json"), None);
    let text = server.request("POST", "/users/add").header("content-type", "text/plain");
    let reply = server.send(text.header(KEY, "used").body("cy")).await;
    assert_eq!(problem(&reply, 415, "unsupported_media_type"), None);
}

/// A request with these keys, byte for byte.
fn raw(path: &str, keys: &[&[u8]], body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = format!("Content-Length: {}", body.len());
    let head = head("POST", path, &["Content-Type: application/json", &length]);
    let head = head.strip_suffix("\r\n").expect("the empty line");
    let mut request = head.as_bytes().to_vec();
    for key in keys {
        request.extend([b"Idempotency-Key: ", *key, b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    request.extend(body.as_bytes());
    request
}

#[tokio::test]
async fn a_key_is_1_to_255_visible_characters() {
    let scene = Scene::on(TestServer::start()).await;
    let Scene { server, .. } = &scene;
    let (too_long, much_too_long) = ([b'k'; 256], [b'k'; 4_000]);
    let refused: [&[&[u8]]; 18] = [
        &[b""],
        &[b"   "],
        &[&too_long],
        &[&much_too_long],
        &[b"two words"],
        &[b"a\tb"],
        &["é".as_bytes()],
        &["key🦀".as_bytes()],
        &[b"\xff"],
        &[b"key\x80"],
        &[b"\xc2\xa0"],
        &[b"key", b"key"],
        &[b"key", b"other"],
        &[b"key", b""],
        &[b"", b"key"],
        &[b"", b""],
        &[b"key", b"\xff"],
        &[b"key", b"key", b"key"],
    ];
    let calls = writes(&scene);
    let of_each_call = |path: &str| calls.iter().find(|call| call.path == path).expect("a write");
    let paths = [
        "/users/add",
        "/chats/add",
        "/messages/add",
        "/chats/users/add",
        "/chats/users/remove",
        "/chats/read",
    ];
    for path in paths {
        let call = of_each_call(path);
        let mut connection = RawConnection::open(&server.address);
        for keys in refused {
            connection.send(raw(path, keys, &call.body));
            let reply = connection.reply();
            let shown = String::from_utf8_lossy(keys[0]);
            assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some(KEY), "{path} {shown:?}");
            assert!(reply.text.len() < 500, "{}", reply.text);
        }
        // This comes before the ids are resolved as well.
        let unknown = json!({ "chat": V4, "author": V4, "text": "x" });
        connection.send(raw("/messages/add", &[b"two words"], &unknown));
        assert_eq!(problem(&connection.reply(), 400, "invalid_field").as_deref(), Some(KEY));
    }
    assert_eq!(server.position().await, 3);
}

#[tokio::test]
async fn keys_of_visible_ascii_are_distinct() {
    let server = TestServer::start();
    let mut keys: Vec<String> = ('!'..='~').map(String::from).collect();
    let long = "k".repeat(254);
    keys.extend(["kk".to_owned(), long.clone(), format!("{long}k"), format!("{long}l"), format!("l{long}")]);
    keys.extend(
        ["a,b", "\"quoted\"", "a;b=c", "8e03978e-40d5-43dd-bc93-6894a57f9324", "%20"].map(String::from),
    );
    let mut connection = RawConnection::open(&server.address);
    let mut send = |key: &str, number: usize| {
        connection.send(raw(
            "/users/add",
            &[key.as_bytes()],
            &json!({ "username": format!("user {number}") }),
        ));
        connection.reply()
    };
    let mut firsts = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        let first = send(key, number);
        assert_eq!((first.status.as_u16(), first.is_replayed()), (201, false), "{key:?}: {}", first.text);
        firsts.push(first);
    }
    for (number, (key, first)) in keys.iter().zip(&firsts).enumerate() {
        assert_replayed(&send(key, number), first);
        // White space around a header's value is not part of it.
        assert_replayed(&send(&format!(" \t{key} \t"), number), first);
    }
}

#[tokio::test]
async fn a_key_on_a_read_is_ignored() {
    let scene = Scene::on(TestServer::start()).await;
    let Scene { server, ann, den, .. } = &scene;
    let long = [b'k'; 300];
    let keys: [&[&[u8]]; 7] =
        [&[b"used"], &[b"fresh"], &[b""], &[b"two words"], &[b"\xff"], &[&long], &[b"used", b"used"]];
    assert_eq!(server.post_under("used", "/users/add", &json!({ "username": "cy" })).await.status, 201);
    let reads = [
        ("/users/get", json!({ "user": ann })),
        ("/users/get", json!({ "username": "ann" })),
        ("/chats/get", json!({ "user": ann })),
        ("/messages/get", json!({ "chat": den })),
    ];
    for (path, body) in reads {
        let plain = server.post(path, &body).await;
        for keys in keys {
            for _ in 0..2 {
                let mut connection = RawConnection::open(&server.address);
                connection.send(raw(path, keys, &body));
                let (status, headers) = connection.head().expect("answered");
                assert_eq!(status, 200, "{path} {}", String::from_utf8_lossy(keys[0]));
                assert!(!headers.contains_key("idempotent-replayed"));
            }
        }
        let request = server.request("POST", path).header("content-type", "application/json");
        let reply = server.send(request.header(KEY, "fresh").body(body.to_string())).await;
        assert_eq!(reply.text, plain.text);
    }
    for key in ["used", "", "two words"] {
        let reply = server.send(server.request("GET", "/health").header(KEY, key)).await;
        assert_eq!((reply.status.as_u16(), reply.json()["position"].as_u64()), (200, Some(4)));
    }
    // No read has used up the key.
    let first = server.post_under("fresh", "/users/add", &json!({ "username": "dan" })).await;
    assert_eq!((first.status.as_u16(), first.is_replayed(), first.position()), (201, false, 5));
}

#[tokio::test]
async fn concurrent_equal_requests_are_done_once() {
    let scene = Scene::start().await;
    let Scene { server, .. } = &scene;
    let mut position = 3;
    for (number, Call { path, body, .. }) in writes(&scene).into_iter().enumerate() {
        let key = format!("key-{number}");
        let replies = join_all((0..64).map(|_| server.post_under(&key, path, &body))).await;
        let (again, first): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.is_replayed());
        assert_eq!((first.len(), again.len()), (1, 63), "{path}");
        assert!(first[0].status.is_success(), "{path}");
        for reply in again {
            assert_replayed(reply, first[0]);
        }
        position += 1;
        assert_eq!((server.position().await, first[0].position()), (position, position), "{path}");
    }
}

#[tokio::test]
async fn concurrent_different_requests_give_a_key_once() {
    let scene = Scene::start().await;
    let Scene { server, ann, den, .. } = &scene;
    for round in 0..8 {
        let key = format!("key-{round}");
        let body = |number: usize| json!({ "chat": den, "author": ann, "text": format!("{round} {number}") });
        // Each twice.
        let replies = (0..32).map(|index| {
            let (key, body) = (&key, body(index / 2));
            async move { server.post_under(key, "/messages/add", &body).await }
        });
        let replies = join_all(replies).await;
        let winners: Vec<_> = replies
            .iter()
            .enumerate()
            .filter(|(_, reply)| reply.status == 201)
            .map(|(index, _)| index)
            .collect();
        assert_eq!((winners.len(), winners[0] / 2), (2, winners[1] / 2), "{winners:?}");
        assert_eq!(replies[winners[0]].text, replies[winners[1]].text);
        assert_eq!(winners.iter().filter(|&&index| replies[index].is_replayed()).count(), 1);
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            assert_reused(reply, &key);
        }
        let last = server.messages(den).await.pop().expect("a message");
        assert_eq!(last["text"], body(winners[0] / 2)["text"]);
        assert_eq!(last["seq"], round + 1);
    }
    assert_eq!(server.position().await, 3 + 8);
}

#[tokio::test]
async fn a_concurrent_refusal_leaves_the_key_free() {
    let scene = Scene::start().await;
    let Scene { server, ann, bob, den, .. } = &scene;
    for round in 0..8 {
        let key = format!("key-{round}");
        let body = |author: &str| json!({ "chat": den, "author": author, "text": "hello" });
        let (of_bob, of_ann) = (body(bob), body(ann));
        let bodies = [&of_bob, &of_bob, &of_ann, &of_bob, &of_ann, &of_bob];
        let replies = join_all(bodies.map(|body| server.post_under(&key, "/messages/add", body))).await;
        assert_eq!((replies[2].status.as_u16(), replies[4].status.as_u16()), (201, 201));
        assert_eq!(replies[2].text, replies[4].text);
        for index in [0, 1, 3, 5] {
            // Before the other request, he is not a member. After it, the key is used.
            assert!([403, 422].contains(&replies[index].status.as_u16()), "{}", replies[index].text);
        }
        assert_eq!(server.messages(den).await.len(), round + 1);
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
