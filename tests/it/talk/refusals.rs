//! Changes that are refused: of what is not there, of what is gone, and beyond a limit

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Reply, Scene, problem};

/// Names no user and no chat.
const V7: &str = "0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";

/// Returns the calls that change a message of ann, each with a right body for the message with this seq.
fn changes(scene: &Scene, seq: u64) -> [(&'static str, Value); 4] {
    let Scene { ann, den, .. } = scene;
    let emoji = json!({ "chat": den, "seq": seq, "user": ann, "emoji": "👍" });
    [
        ("/messages/edit", json!({ "chat": den, "seq": seq, "user": ann, "text": "x" })),
        ("/messages/reactions/add", emoji.clone()),
        ("/messages/reactions/remove", emoji),
        ("/messages/delete", json!({ "chat": den, "seq": seq, "user": ann })),
    ]
}

async fn post_over(scene: &Scene, path: &str, body: &Value, over: Value) -> Reply {
    let mut body = body.clone();
    body.as_object_mut().expect("an object").extend(over.as_object().expect("an object").clone());
    scene.server.post(path, &body).await
}

#[tokio::test]
async fn a_change_names_what_there_is() {
    // Given a message of ann, and one of another chat, which has more of them.
    let scene = Scene::start().await;
    let Scene { server, ann, bob, den, .. } = &scene;
    let pub_ = server.add_chat("pub", &[ann]).await;
    server.add_message(den, ann, "tea").await;
    for text in ["one", "two"] {
        server.add_message(&pub_, ann, text).await;
    }
    let position = server.position().await;
    for (path, body) in changes(&scene, 1) {
        // What does not exist comes before what the user may not do, in the order of chat, user, message.
        for (over, status, code, field) in [
            (json!({ "chat": V7, "user": V7, "seq": 9 }), 404, "chat_not_found", "chat"),
            (json!({ "user": V7, "seq": 9 }), 404, "user_not_found", "user"),
            (json!({ "user": bob, "seq": 9 }), 404, "message_not_found", "seq"),
            (json!({ "seq": 2 }), 404, "message_not_found", "seq"),
            (json!({ "seq": 0 }), 404, "message_not_found", "seq"),
            (json!({ "user": bob }), 403, "not_a_member", "user"),
        ] {
            let reply = post_over(&scene, path, &body, over.clone()).await;
            assert_eq!(problem(&reply, status, code).as_deref(), Some(field), "{path} {over}");
        }
    }
    assert_eq!(server.position().await, position, "nothing was stored");
}

#[tokio::test]
async fn a_deleted_message_is_not_changed() {
    let scene = Scene::start().await;
    let Scene { server, ann, bob, den, .. } = &scene;
    server.join(den, bob).await;
    server.add_message(den, ann, "tea").await;
    let [edit, react, take_back, delete] = changes(&scene, 1);
    server.post(react.0, &react.1).await.done();
    let deleted = server.post(delete.0, &delete.1).await.done();
    for (path, body) in [&edit, &react, &take_back] {
        let reply = server.post(path, body).await;
        assert_eq!(problem(&reply, 409, "message_deleted").as_deref(), Some("seq"), "{path}");
    }
    // Who may not change it is told so, and not whether it is deleted.
    let reply = post_over(&scene, edit.0, &edit.1, json!({ "user": bob })).await;
    problem(&reply, 403, "not_the_author");
    let reply = post_over(&scene, delete.0, &delete.1, json!({ "user": bob })).await;
    problem(&reply, 403, "not_the_author");
    // It is deleted already.
    assert_eq!(server.post(delete.0, &delete.1).await.done(), deleted);
    // A reply to it is refused, also in a batch whose other messages are right.
    let reply_to = json!({ "chat": den, "author": ann, "text": "milk?", "reply_to": 1 });
    let reply = server.post("/messages/add", &reply_to).await;
    assert_eq!(problem(&reply, 409, "message_deleted").as_deref(), Some("reply_to"));
    let plain = json!({ "chat": den, "author": ann, "text": "milk?" });
    let reply = server.post("/messages/batch", &json!({ "messages": [plain, reply_to] })).await;
    assert_eq!(problem(&reply, 409, "message_deleted").as_deref(), Some("messages[1].reply_to"));
    assert_eq!(server.position().await, deleted);
}

#[tokio::test]
async fn a_reply_is_to_a_message_of_the_same_chat() {
    let scene = Scene::start().await;
    let Scene { server, ann, bob, den, .. } = &scene;
    let pub_ = server.add_chat("pub", &[ann]).await;
    server.add_message(&pub_, ann, "one").await;
    let reply = |author: &str, seq: u64| {
        let body = json!({ "chat": den, "author": author, "text": "x", "reply_to": seq });
        async move { server.post("/messages/add", &body).await }
    };
    for seq in [0, 1, u64::MAX] {
        assert_eq!(problem(&reply(ann, seq).await, 404, "message_not_found").as_deref(), Some("reply_to"));
    }
    // What does not exist comes before membership.
    problem(&reply(bob, 1).await, 404, "message_not_found");
    server.add_message(den, ann, "tea").await;
    problem(&reply(bob, 1).await, 403, "not_a_member");
    // Within a batch, messages that come before it in other chats do not count.
    let message = |chat: &str, reply_to: Option<u64>| json!({ "chat": chat, "author": ann, "text": "x", "reply_to": reply_to });
    let batch = json!({ "messages": [message(&pub_, None), message(&pub_, None), message(den, Some(2))] });
    let refused = server.post("/messages/batch", &batch).await;
    assert_eq!(problem(&refused, 404, "message_not_found").as_deref(), Some("messages[2].reply_to"));
}

#[tokio::test]
async fn metadata_is_refused_beyond_its_limits() {
    let scene = Scene::start().await;
    let Scene { server, ann, den, .. } = &scene;
    server.add_message(den, ann, "tea").await;
    let of_bytes = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    let of_levels = |levels: usize| {
        let inner = levels - 1;
        format!(r#"{{"a":{}1{}}}"#, r#"{"a":"#.repeat(inner), "}".repeat(inner))
    };
    let calls = [
        ("/messages/add", json!({ "chat": den, "author": ann, "text": "x" }), "metadata"),
        (
            "/messages/batch",
            json!({ "messages": [{ "chat": den, "author": ann, "text": "x" }] }),
            "messages[0].metadata",
        ),
        ("/messages/edit", json!({ "chat": den, "seq": 1, "user": ann }), "metadata"),
        ("/chats/edit", json!({ "chat": den }), "metadata"),
        ("/users/edit", json!({ "user": ann }), "metadata"),
    ];
    for (path, body, field) in calls {
        let post = |metadata: &str| {
            let body = body.to_string();
            let end = if path == "/messages/batch" { body.len() - 3 } else { body.len() - 1 };
            let body = format!(r#"{},"metadata":{metadata}{}"#, &body[..end], &body[end..]);
            async move { server.post_raw(path, body).await }
        };
        for bad in [
            &*of_bytes(4_097),
            // White space counts, as it is written.
            &format!("{{{}}}", " ".repeat(4_095)),
            &of_levels(9),
            &format!(r#"{{"a":{}{}}}"#, "[".repeat(8), "]".repeat(8)),
            "[]",
            "[{}]",
            "1",
            "true",
            r#""{}""#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"b":[{"a":{"c":1,"c":2}}]}"#,
        ] {
            let reply = post(bad).await;
            let what = &bad[..bad.len().min(80)];
            assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some(field), "{path} {what}");
        }
        for good in [&*of_bytes(4_096), &of_levels(8), r#"{"a":{"a":1},"b":[{"a":1}]}"#, "null", "{}"] {
            let reply = post(good).await;
            let is_nothing =
                good == "null" && !path.starts_with("/messages/add") && path != "/messages/batch";
            let what = &good[..good.len().min(80)];
            assert_eq!(reply.status.is_success(), !is_nothing, "{path} {what}: {}", reply.text);
        }
    }
}

#[tokio::test]
async fn an_emoji_is_short_and_printable() {
    let scene = Scene::start().await;
    let Scene { server, ann, den, .. } = &scene;
    server.add_message(den, ann, "tea").await;
    let [_, add, remove, _] = changes(&scene, 1);
    let long = [&*"x".repeat(65), &"👍".repeat(17), &"x".repeat(1_024)].map(str::to_owned);
    let controls = ["\0", "a\nb", "\t", "\u{7f}", "\u{85}", "👍\u{1b}[0m"].map(str::to_owned);
    let listed = ("/messages/reactions/get", json!({ "chat": den, "seq": 1 }));
    for (path, body) in [&add, &remove, &listed] {
        for emoji in [String::new()].iter().chain(&long).chain(&controls) {
            let reply = post_over(&scene, path, body, json!({ "emoji": emoji })).await;
            let field = problem(&reply, 400, "invalid_field");
            assert_eq!(field.as_deref(), Some("emoji"), "{path} {emoji:?}");
            assert!(!reply.text.contains(&"x".repeat(65)), "it is cut: {}", reply.text);
        }
    }
    // Up to there, the server does not ask whether it is one.
    let odd = [" ", "👩‍👩‍👧‍👦", "\u{202e}"].map(str::to_owned);
    for emoji in ["x".repeat(64), "👍".repeat(16)].into_iter().chain(odd) {
        post_over(&scene, add.0, &add.1, json!({ "emoji": emoji })).await.done();
    }
    assert_eq!(server.list(listed.0, &listed.1).await.len(), 5);
}

#[tokio::test]
async fn a_direct_chat_has_two_users_and_no_name() {
    let scene = Scene::start().await;
    let Scene { server, ann, bob, .. } = &scene;
    let cid = server.add_user("cid").await;
    let direct = |users: Value| async move { server.post("/chats/direct", &json!({ "users": users })).await };
    for bad in [json!([]), json!([ann]), json!([ann, bob, cid]), json!([ann, ann]), json!(ann)] {
        let reply = direct(bad.clone()).await;
        assert!(
            problem(&reply, 400, "invalid_field").is_some_and(|field| field.starts_with("users")),
            "{bad}"
        );
    }
    let reply = direct(json!([ann, V7])).await;
    assert_eq!(problem(&reply, 404, "user_not_found").as_deref(), Some("users[1]"));
    let chat = direct(json!([ann, bob])).await.id();
    let position = server.position().await;
    for (path, body) in [
        ("/chats/users/add", json!({ "chat": chat, "user": cid })),
        ("/chats/users/add", json!({ "chat": chat, "user": ann })),
        ("/chats/users/remove", json!({ "chat": chat, "user": ann })),
        ("/chats/users/remove", json!({ "chat": chat, "user": cid })),
        ("/chats/edit", json!({ "chat": chat, "name": "pair" })),
        ("/chats/edit", json!({ "chat": chat, "name": "den", "metadata": { "a": 1 } })),
    ] {
        problem(&server.post(path, &body).await, 409, "direct_chat");
    }
    assert_eq!(server.position().await, position);
    // Whoever asks, and in whatever order, finds the same one.
    let again = direct(json!([bob, ann])).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, json!({ "id": chat })));
    assert_ne!(direct(json!([bob, cid])).await.id(), chat);
    let shown = server.post("/chats/show", &json!({ "chat": chat })).await.json();
    assert_eq!((&shown["name"], &shown["direct"]), (&Value::Null, &json!(true)));
}

#[tokio::test]
async fn two_users_get_one_direct_chat_at_once() {
    let scene = Scene::start().await;
    let Scene { server, ann, .. } = &scene;
    for number in 0..8 {
        let other = &server.add_user(&format!("user {number}")).await;
        let asked = (0..16).map(|asker| async move {
            let users = if asker % 2 == 0 { [ann, other] } else { [other, ann] };
            server.post("/chats/direct", &json!({ "users": users })).await
        });
        let replies = join_all(asked).await;
        assert!(replies.iter().all(|reply| reply.json() == replies[0].json()), "{replies:?}");
        assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1, "{replies:?}");
    }
}

#[tokio::test]
async fn names_stay_unique_when_they_change() {
    let scene = Scene::start().await;
    let Scene { server, ann, den, .. } = &scene;
    server.add_chat("pub", &[ann]).await;
    let rename = |name: &str| {
        let body = json!({ "chat": den, "name": name });
        async move { server.post("/chats/edit", &body).await }
    };
    let call_ann = |name: &str| {
        let body = json!({ "user": ann, "username": name });
        async move { server.post("/users/edit", &body).await }
    };
    assert_eq!(problem(&rename("pub").await, 409, "chat_name_taken").as_deref(), Some("name"));
    assert_eq!(problem(&call_ann("bob").await, 409, "username_taken").as_deref(), Some("username"));
    for bad in ["", " a", "a\tb", &"x".repeat(129)] {
        assert_eq!(problem(&rename(bad).await, 400, "invalid_field").as_deref(), Some("name"), "{bad:?}");
        assert_eq!(
            problem(&call_ann(bad).await, 400, "invalid_field").as_deref(),
            Some("username"),
            "{bad:?}"
        );
    }
    // Its own name is not taken, and one that was given up is free again.
    let position = server.position().await;
    assert_eq!((rename("den").await.done(), call_ann("ann").await.done()), (position, position));
    rename("lair").await.done();
    call_ann("anna").await.done();
    server.add_chat("den", &[ann]).await;
    server.add_user("ann").await;
    problem(&rename("den").await, 409, "chat_name_taken");
    problem(&call_ann("ann").await, 409, "username_taken");
}
