//! The form of a key, and the order of its check.

use serde_json::{Value, json};

use super::{KEY, V4, assert_replayed, writes};
use crate::support::{RawConnection, Scene, TestServer, head, problem};

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
