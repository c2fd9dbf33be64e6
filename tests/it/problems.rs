//! Refusals: the code and the field of each mistake, the part of the value that is shown, and the order in
//! which several mistakes are reported.

use serde_json::json;

use crate::support::{CALLS, RawConnection, Scene, TestRouter, TestServer, head, problem};

const V4: &str = "9b2f6e0a-54a3-4c36-8a55-0f6d3c1b7a10";
const NIL: &str = "00000000-0000-0000-0000-000000000000";

#[tokio::test]
async fn every_code_has_its_status_and_field() {
    let scene = Scene::start().await;
    let cases = [
        ("/chats/get", json!({ "limit": 0 }), 400, "invalid_field", "limit"),
        ("/messages/add", json!({ "author": scene.bob }), 403, "not_a_member", "author"),
        ("/messages/add", json!({ "author": V4 }), 404, "user_not_found", "author"),
        ("/messages/add", json!({ "chat": V4 }), 404, "chat_not_found", "chat"),
        ("/messages/get", json!({ "chat": V4 }), 404, "chat_not_found", "chat"),
        ("/chats/get", json!({ "user": V4 }), 404, "user_not_found", "user"),
        ("/users/get", json!({ "user": V4 }), 404, "user_not_found", "user"),
        ("/users/get", json!({ "user": null, "username": "eve" }), 404, "user_not_found", "username"),
        ("/chats/users/add", json!({ "user": V4 }), 404, "user_not_found", "user"),
        ("/chats/users/add", json!({ "chat": V4 }), 404, "chat_not_found", "chat"),
        ("/chats/users/remove", json!({ "user": V4 }), 404, "user_not_found", "user"),
        ("/chats/users/remove", json!({ "chat": V4 }), 404, "chat_not_found", "chat"),
        ("/chats/read", json!({ "user": V4 }), 404, "user_not_found", "user"),
        ("/chats/read", json!({ "chat": V4 }), 404, "chat_not_found", "chat"),
        ("/chats/read", json!({ "user": scene.bob }), 403, "not_a_member", "user"),
        ("/chats/read", json!({ "seq": 1 }), 400, "invalid_field", "seq"),
        ("/chats/add", json!({ "users": [V4] }), 404, "user_not_found", "users[0]"),
        ("/chats/add", json!({ "users": [scene.ann, scene.bob, V4] }), 404, "user_not_found", "users[2]"),
        ("/users/add", json!({ "username": "ann" }), 409, "username_taken", "username"),
        ("/chats/add", json!({ "name": "den" }), 409, "chat_name_taken", "name"),
    ];
    for (path, over, status, code, field) in cases {
        let reply = scene.post_over(path, over).await;
        assert_eq!(problem(&reply, status, code).as_deref(), Some(field), "{path}");
    }
    assert_eq!(scene.server.position().await, 3);
}

#[tokio::test]
async fn every_unknown_route_is_not_found() {
    let server = TestRouter::start();
    let paths = [
        "/nothing",
        "/users",
        "/users/",
        "/users/add/",
        "//users/add",
        "/users//add",
        "/Users/add",
        "/users%2Fadd",
        "/health/",
        "/healthz",
        "/%00",
        "/%ff",
        "/..",
        "/users/add/../add",
        "/favicon.ico",
        "/users/add;x",
    ];
    for path in paths {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "NONSENSE"] {
            let reply = server.request_exactly(method, path).await;
            assert_eq!(problem(&reply, 404, "route_not_found"), None, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn an_encoded_path_is_its_decoded_self() {
    let server = TestServer::start();
    let ann = json!({ "username": "ann" });
    assert_eq!(server.post("/%75sers/add", &ann).await.status, 201);
    assert_eq!(server.post("/%55sers/add", &ann).await.status, 404, "an upper-case letter");
    problem(&server.post("/use%72s/a%64%64?x=%2F", &ann).await, 409, "username_taken");
    problem(&server.get("/users/%61dd").await, 405, "method_not_allowed");
    assert_eq!(server.get("/%64ocs/st%61rt.js").await.status, 200);
    // The query stays.
    problem(&server.get("/%65vents?user=nobody").await, 400, "invalid_field");
    let send = |target: &str| {
        let mut connection = RawConnection::open(&server.address);
        connection.send(head("GET", target, &[]));
        connection.reply()
    };
    assert_eq!(send("http://example.test/%68ealth").status, 200);
    for target in [
        "/users%2Fadd",
        "/users%2fadd",
        "/%2Fusers/add",
        "/%ff",
        "/users/add%",
        "/users/add%0",
        "/%2575sers/add",
    ] {
        let reply = send(target);
        problem(&reply, 404, "route_not_found");
        assert!(reply.text.contains(target), "{}", reply.text);
    }
    let metrics = server.get("/metrics").await.text;
    for (path, status, count) in [
        ("/users/add", 201, 1),
        ("/users/add", 409, 1),
        ("/users/add", 405, 1),
        ("/health", 200, 1),
        ("none", 404, 8),
    ] {
        let line = format!("chinwag_http_requests_total{{path=\"{path}\",status=\"{status}\"}} {count}\n");
        assert!(metrics.contains(&line), "no {line} in {metrics}");
    }
}

#[test]
fn a_target_that_is_not_a_path_is_not_found() {
    let server = TestServer::start();
    for (method, target) in [("OPTIONS", "*"), ("CONNECT", "localhost:443"), ("GET", "http://localhost/x")] {
        let mut connection = RawConnection::open(&server.address);
        connection.send(head(method, target, &[]));
        let reply = connection.reply();
        assert_eq!(problem(&reply, 404, "route_not_found"), None, "{method} {target}");
    }
}

#[tokio::test]
async fn a_query_does_not_change_the_route() {
    let server = TestRouter::start();
    assert_eq!(server.get("/health?verbose=1").await.status, 200);
    assert_eq!(server.post("/users/add?x", &json!({ "username": "ann" })).await.status, 201);
}

#[tokio::test]
async fn a_wrong_method_gets_the_allowed_ones() {
    let server = TestRouter::start();
    for path in CALLS {
        for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "NONSENSE"] {
            check_method_refused(&server, method, path, &["POST"]).await;
        }
    }
    for path in ["/health", "/events", "/metrics", "/openapi.json", "/docs", "/"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "NONSENSE"] {
            check_method_refused(&server, method, path, &["GET", "HEAD"]).await;
        }
    }
}

async fn check_method_refused(server: &TestRouter, method: &str, path: &str, allowed: &[&str]) {
    let reply = server.request_exactly(method, path).await;
    assert_eq!(problem(&reply, 405, "method_not_allowed"), None, "{method} {path}");
    let mut allow: Vec<_> = reply.header("allow").split(',').map(str::trim).collect();
    allow.sort_unstable();
    assert_eq!(allow, allowed, "{method} {path}");
}

#[test]
fn a_refused_head_has_no_body() {
    let server = TestServer::start();
    let mut connection = RawConnection::open(&server.address);
    for (path, status) in [("/users/add", 405), ("/chats/get", 405), ("/nothing", 404)] {
        connection.send(head("HEAD", path, &[]) + &head("GET", path, &[]));
        let (answered, headers) = connection.head().expect("answered");
        assert_eq!(answered, status);
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(headers.get("allow").is_some(), status == 405);
        // The next bytes are the next answer: there was no body in between.
        assert_eq!(connection.reply().status, status);
    }
}

#[test]
fn a_head_matches_the_headers_of_get() {
    let server = TestServer::start();
    let mut connection = RawConnection::open(&server.address);
    for path in ["/health", "/metrics", "/openapi.json", "/docs", "/"] {
        connection.send(head("HEAD", path, &[]) + &head("GET", path, &[]));
        let (status, headers) = connection.head().expect("answered");
        let whole = connection.reply();
        assert!(status == 200 && whole.status == 200, "{path}: {status}, {}", whole.status);
        assert_eq!(headers["content-type"], whole.header("content-type"), "{path}");
        // The metrics have changed in between.
        if path != "/metrics" {
            assert_eq!(headers["content-length"], whole.header("content-length"), "{path}");
        }
        assert!(!whole.text.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_id_is_not_found() {
    let scene = Scene::start().await;
    let Scene { ann, den, .. } = &scene;
    for id in [NIL, V4, "ffffffff-ffff-ffff-ffff-ffffffffffff", "019aaaaa-aaaa-7aaa-8aaa-aaaaaaaaaaaa"] {
        let of_users = [
            ("/users/get", "user"),
            ("/chats/get", "user"),
            ("/chats/users/add", "user"),
            ("/chats/users/remove", "user"),
            ("/chats/read", "user"),
            ("/messages/add", "author"),
        ];
        for (path, name) in of_users {
            let reply = scene.post_over(path, json!({ name: id })).await;
            assert_eq!(problem(&reply, 404, "user_not_found").as_deref(), Some(name));
        }
        let of_chats =
            ["/chats/users/add", "/chats/users/remove", "/chats/read", "/messages/add", "/messages/get"];
        for path in of_chats {
            let reply = scene.post_over(path, json!({ "chat": id })).await;
            assert_eq!(problem(&reply, 404, "chat_not_found").as_deref(), Some("chat"));
        }
    }
    // A chat is not a user, and a user is not a chat.
    problem(&scene.post_over("/chats/get", json!({ "user": den })).await, 404, "user_not_found");
    problem(&scene.post_over("/messages/get", json!({ "chat": ann })).await, 404, "chat_not_found");
}

#[tokio::test]
async fn mistakes_are_reported_in_a_fixed_order() {
    let scene = Scene::start().await;
    let Scene { ann, bob, .. } = &scene;
    let long = "x".repeat(16_385);
    let cases = [
        // 400 before 404, 403 and 409.
        ("/messages/add", json!({ "chat": V4, "text": "" }), 400, "text"),
        ("/messages/add", json!({ "chat": V4, "author": V4, "text": long }), 400, "text"),
        ("/messages/add", json!({ "chat": V4, "author": "x" }), 400, "author"),
        ("/messages/add", json!({ "author": bob, "text": null }), 400, "text"),
        ("/messages/add", json!({ "author": bob, "more": 1 }), 400, "more"),
        ("/chats/add", json!({ "name": "den", "users": [] }), 400, "users"),
        ("/chats/add", json!({ "name": "den", "users": [V4, "x"] }), 400, "users[1]"),
        ("/chats/add", json!({ "name": "", "users": [V4] }), 400, "name"),
        ("/users/add", json!({ "username": "ann", "more": 1 }), 400, "more"),
        ("/chats/get", json!({ "user": V4, "limit": 0 }), 400, "limit"),
        ("/chats/get", json!({ "user": V4, "cursor": "x" }), 400, "cursor"),
        ("/messages/get", json!({ "chat": V4, "limit": 10_001 }), 400, "limit"),
        ("/messages/get", json!({ "chat": V4, "before": -1 }), 400, "before"),
        ("/users/get", json!({ "user": V4, "more": 1 }), 400, "more"),
        ("/chats/users/add", json!({ "chat": V4, "user": "x" }), 400, "user"),
        ("/chats/users/remove", json!({ "chat": "x", "user": V4 }), 400, "chat"),
        ("/chats/read", json!({ "chat": V4, "seq": -1 }), 400, "seq"),
        ("/chats/read", json!({ "user": V4, "seq": "1" }), 400, "seq"),
        ("/chats/read", json!({ "user": bob, "seq": null }), 400, "seq"),
        // 403 before a mark beyond the last message.
        ("/chats/read", json!({ "user": bob, "seq": 1 }), 403, "user"),
        // 404 before 403 and all that depends on state.
        ("/chats/read", json!({ "user": V4, "seq": 1 }), 404, "user"),
        ("/chats/read", json!({ "chat": V4, "user": bob, "seq": 1 }), 404, "chat"),
        ("/messages/add", json!({ "author": V4 }), 404, "author"),
        ("/messages/add", json!({ "chat": V4, "author": bob }), 404, "chat"),
        ("/chats/add", json!({ "name": "den", "users": [ann, V4] }), 404, "users[1]"),
    ];
    for (path, over, status, field) in cases {
        let reply = scene.post_over(path, over.clone()).await;
        assert_eq!(reply.status, status, "{path} {over}: {}", reply.text);
        assert_eq!(reply.json()["field"], field, "{path} {over}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_detail_shows_the_offending_value() {
    let scene = Scene::start().await;
    let Scene { bob, den, .. } = &scene;
    let cases = [
        ("/users/add", json!({ "username": " x" }), " x"),
        ("/users/add", json!({ "username": 4711 }), "4711"),
        ("/users/add", json!({ "username": "ann" }), "ann"),
        ("/users/add", json!({ "stranger": 1 }), "stranger"),
        ("/chats/add", json!({ "name": "den" }), "den"),
        ("/chats/add", json!({ "users": "nobody" }), "nobody"),
        ("/chats/add", json!({ "users": ["nobody"] }), "nobody"),
        ("/chats/add", json!({ "users": [V4] }), V4),
        ("/chats/get", json!({ "user": "nobody" }), "nobody"),
        ("/chats/get", json!({ "user": V4 }), V4),
        ("/chats/get", json!({ "limit": 10_001 }), "10001"),
        ("/chats/get", json!({ "cursor": 4711 }), "4711"),
        ("/users/get", json!({ "user": V4 }), V4),
        ("/users/get", json!({ "user": null, "username": "eve" }), "eve"),
        ("/chats/users/add", json!({ "user": V4 }), V4),
        ("/chats/users/remove", json!({ "chat": V4 }), V4),
        ("/chats/read", json!({ "user": bob }), bob),
        ("/chats/read", json!({ "user": bob }), den),
        ("/chats/read", json!({ "seq": 4711 }), "4711"),
        ("/chats/read", json!({ "seq": -4711 }), "-4711"),
        ("/messages/add", json!({ "author": bob }), bob),
        ("/messages/add", json!({ "author": bob }), den),
        ("/messages/get", json!({ "after": -4711 }), "-4711"),
        ("/messages/get", json!({ "chat": V4 }), V4),
    ];
    for (path, over, shown) in cases {
        let reply = scene.post_over(path, over.clone()).await;
        let detail = reply.json()["detail"].as_str().expect("text").to_owned();
        assert!(detail.contains(shown), "{path} {over}: {detail}");
    }
    for (path, method) in [("/nowhere", "GET"), ("/users/add", "DELETE")] {
        let reply = scene.server.request_exactly(method, path).await;
        let detail = reply.json()["detail"].as_str().expect("text").to_owned();
        assert!(detail.contains(path) && (path == "/nowhere" || detail.contains(method)), "{detail}");
    }
}

#[tokio::test]
async fn a_detail_truncates_values_to_64_characters() {
    let scene = Scene::start().await;
    for letter in ["x", "é", "🦀"] {
        let long = letter.repeat(10_000);
        let cases = [
            ("/users/add", json!({ "username": long })),
            ("/users/add", json!({ long.as_str(): 1 })),
            ("/chats/add", json!({ "name": long })),
            ("/chats/add", json!({ "users": long })),
            ("/chats/add", json!({ "users": [long] })),
            ("/chats/get", json!({ "user": long })),
            ("/chats/get", json!({ "limit": long })),
            ("/users/get", json!({ "username": long })),
            ("/chats/users/add", json!({ "user": long })),
            ("/chats/users/remove", json!({ "chat": long })),
            ("/chats/read", json!({ "seq": long })),
            ("/messages/add", json!({ "text": long.repeat(2) })),
            ("/messages/get", json!({ "chat": [long] })),
        ];
        for (path, over) in cases {
            let reply = scene.post_over(path, over).await;
            problem(&reply, 400, "invalid_field");
            let shown = reply.json()["detail"].as_str().expect("text").matches(letter).count();
            // The quotes and brackets of JSON may be among the 64; the sentence's own words hold an x or two.
            assert!((60..=70).contains(&shown), "{path}: {shown} of {letter} in {}", reply.text);
            assert!(reply.text.len() < 1_000, "{}", reply.text);
        }
    }
    let path = format!("/{}", "x".repeat(10_000));
    let shown =
        scene.server.request_exactly("GET", &path).await.json()["detail"].as_str().expect("text").len();
    assert!(shown < 120, "{shown}");
}

#[tokio::test]
async fn a_detail_shows_a_refused_cursor() {
    let scene = Scene::start().await;
    let reply = scene.post_over("/chats/get", json!({ "cursor": "nonsense" })).await;
    assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("cursor"));
    assert!(reply.text.contains("nonsense"), "{}", reply.text);
    let reply = scene.post_over("/chats/get", json!({ "cursor": "x".repeat(10_000) })).await;
    assert!((60..=70).contains(&reply.text.matches('x').count()), "{}", reply.text);
}

#[tokio::test]
async fn a_refused_write_leaves_nothing() {
    let scene = Scene::start().await;
    let writes = [
        ("/users/add", json!({ "more": 1 })),
        ("/chats/add", json!({ "users": [scene.ann, V4] })),
        ("/chats/add", json!({ "users": [scene.ann, "x"] })),
        ("/messages/add", json!({ "author": scene.bob })),
        ("/chats/users/add", json!({ "more": 1 })),
        ("/chats/users/remove", json!({ "user": scene.ann, "more": 1 })),
        ("/chats/read", json!({ "seq": 1 })),
        ("/chats/read", json!({ "user": scene.bob })),
    ];
    for (path, over) in writes {
        assert!(scene.post_over(path, over).await.status.is_client_error());
    }
    assert_eq!(scene.server.position().await, 3);
    assert_eq!(scene.server.chats(&scene.ann).await.len(), 1);
    assert!(scene.server.messages(&scene.den).await.is_empty());
    // The names that were refused with it are still free.
    for path in ["/users/add", "/chats/add"] {
        assert_eq!(scene.post_over(path, json!({})).await.status, 201);
    }
}
