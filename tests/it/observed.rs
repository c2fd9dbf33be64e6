//! Request ids, metrics and logs, as an operator sees them; and the web pages that may call.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Reply, TestServer, problem};

const ID: &str = "x-request-id";

async fn with_id(server: &TestServer, id: &str, path: &str, body: &Value) -> Reply {
    let request = server.request("POST", path).header("content-type", "application/json");
    server.send(request.header(ID, id).body(body.to_string())).await
}

#[tokio::test]
async fn every_answer_carries_a_request_id() {
    let server = TestServer::start();
    let reply = with_id(&server, "mine-1", "/users/add", &json!({ "username": "ann" })).await;
    assert_eq!((reply.status.as_u16(), reply.header(ID)), (201, "mine-1"));
    let refused = with_id(&server, "mine-2", "/users/add", &json!({ "username": "ann" })).await;
    problem(&refused, 409, "username_taken");
    assert_eq!((refused.header(ID), &refused.json()["request_id"]), ("mine-2", &json!("mine-2")));

    let mut made = std::collections::HashSet::new();
    for (method, path) in
        [("GET", "/health"), ("GET", "/nothing"), ("POST", "/health"), ("POST", "/users/add")]
    {
        let reply = server.send(server.request(method, path)).await;
        if !reply.status.is_success() {
            assert_eq!(reply.json()["request_id"], reply.header(ID));
        }
        assert!(made.insert(reply.header(ID).to_owned()), "made twice: {made:?}");
    }
    let reply = with_id(&server, "no id of ours", "/users/add", &json!({ "username": "bob" })).await;
    assert!(made.insert(reply.header(ID).to_owned()) && !reply.header(ID).contains(' '));
}

/// Returns the value of the sample with this name and these labels.
#[track_caller]
pub fn sample(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().expect("a number")
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let server = TestServer::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let den = server.add_chat("den", &[&ann, &bob]).await;
    for _ in 0..5 {
        server.add_message(&den, &ann, "hello").await;
    }
    problem(&server.post("/users/add", &json!({ "username": "ann" })).await, 409, "username_taken");
    problem(&server.post("/users/add", &json!({})).await, 400, "invalid_field");
    for path in ["/one", "/two", "/three?four"] {
        problem(&server.get(path).await, 404, "route_not_found");
    }
    let _stream = server.follow(&ann, None).await;

    let reply = server.get("/metrics").await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "text/plain; version=0.0.4"));
    let metrics = &reply.text;
    for (name, value) in [
        (r#"chinwag_http_requests_total{path="/users/add",status="201"}"#, 2.0),
        (r#"chinwag_http_requests_total{path="/users/add",status="409"}"#, 1.0),
        (r#"chinwag_http_requests_total{path="/users/add",status="400"}"#, 1.0),
        (r#"chinwag_http_requests_total{path="/messages/add",status="201"}"#, 5.0),
        (r#"chinwag_http_requests_total{path="none",status="404"}"#, 3.0),
        (r#"chinwag_http_request_duration_seconds_count{path="/messages/add"}"#, 5.0),
        (r#"chinwag_writes_refused_total{reason="rule"}"#, 1.0),
        ("chinwag_log_position", 8.0),
        ("chinwag_log_segments", 1.0),
        ("chinwag_log_bytes", 65_536.0),
        ("chinwag_users", 2.0),
        ("chinwag_chats", 1.0),
        ("chinwag_messages", 5.0),
        ("chinwag_streams", 1.0),
        ("chinwag_queue_writes", 0.0),
        ("chinwag_queue_bytes", 0.0),
        ("chinwag_clock_behind_log_seconds", 0.0),
        (concat!("chinwag_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        assert!((sample(metrics, name) - value).abs() < f64::EPSILON, "{name} is not {value}: {metrics}");
    }
    // Each was sent after the one before was answered. One was decided and refused.
    for name in ["chinwag_log_sync_duration_seconds_count", "chinwag_log_write_duration_seconds_count"] {
        assert!((sample(metrics, name) - 8.0).abs() < f64::EPSILON, "{name}: {metrics}");
    }
    for name in ["chinwag_replay_duration_seconds", "process_resident_memory_bytes", "process_open_fds"] {
        assert!(sample(metrics, name) > 0.0, "{name}: {metrics}");
    }
    assert!(sample(metrics, "chinwag_http_connections") >= 1.0);
    assert!(!metrics.contains("/one") && !metrics.contains("four"), "{metrics}");
}

#[tokio::test]
async fn metrics_count_an_existing_log() {
    let server = TestServer::start();
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    let text = "x".repeat(10_000);
    for _ in 0..20 {
        server.add_message(&den, &ann, &text).await;
    }
    let before = server.get("/metrics").await.text;
    assert!(sample(&before, "chinwag_log_segments") > 2.0, "{before}");
    let server = server.kill().restart();
    let after = server.get("/metrics").await.text;
    for name in ["chinwag_log_segments", "chinwag_log_bytes", "chinwag_log_position", "chinwag_messages"] {
        assert!((sample(&before, name) - sample(&after, name)).abs() < f64::EPSILON, "{name}");
    }
}

/// Sends words that must not be logged, in valid and invalid requests of every call.
async fn speak(server: &TestServer) {
    let (secret, id) = ("kingfisher", "request-of-kingfisher-s-friend");
    let ann = server.add_user(secret).await;
    let den = server.add_chat(secret, &[&ann]).await;
    let message = json!({ "chat": den, "author": ann, "text": secret });
    for (path, body) in [
        ("/messages/add", message.clone()),
        ("/messages/batch", json!({ "messages": [message] })),
        ("/messages/get", json!({ "chat": den })),
        ("/chats/get", json!({ "user": ann })),
        ("/users/get", json!({ "username": secret })),
        ("/users/add", json!({ "username": secret })),
        ("/chats/add", json!({ "name": secret, "users": [ann] })),
        ("/messages/add", json!({ "chat": den, "author": ann, "text": secret, secret: secret })),
        ("/messages/add", json!({ "chat": secret, "author": ann, "text": secret })),
    ] {
        with_id(server, "plain-id", path, &body).await;
    }
    server.post_raw("/messages/add", format!("{{\"text\": {secret}")).await;
    with_id(server, id, "/health", &json!({})).await;
}

#[tokio::test]
async fn logs_hold_request_ids_but_no_content() {
    let server = TestServer::start_with(&["--log", "trace", "--log-format", "json"]);
    speak(&server).await;
    let (_, ended) = server.terminate();
    let lines: Vec<Value> =
        ended.stderr.lines().map(|line| serde_json::from_str(line).expect("JSON on each line")).collect();
    let answered = lines.iter().filter(|line| line["message"] == "answered");
    let ids: Vec<_> = answered.map(|line| line["request_id"].as_str().expect("an id")).collect();
    assert!(ids.contains(&"request-of-kingfisher-s-friend") && ids.len() > 10, "{ids:?}");
    for line in ended.stderr.lines().filter(|line| line.contains("kingfisher")) {
        assert!(line.contains("request-of-kingfisher-s-friend"), "told: {line}");
    }

    let server = TestServer::start_with(&["--log", "debug"]);
    speak(&server).await;
    let (_, ended) = server.terminate();
    assert!(ended.stderr.contains("request_id=\"plain-id\""), "{}", ended.stderr);
    assert!(ended.stderr.lines().any(|line| serde_json::from_str::<Value>(line).is_err()));
}

#[tokio::test]
async fn only_configured_origins_may_call() {
    let origin = "https://chat.example.com";
    let asked = async |server: &TestServer, method: &str, from: &str| {
        let request = server.request(method, "/users/add").header("origin", from);
        let request = request.header("content-type", "application/json");
        let request = match method {
            "OPTIONS" => request
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "content-type,idempotency-key"),
            _ => request.body(json!({ "username": "ann" }).to_string()),
        };
        server.send(request).await.headers
    };
    let allowed = "access-control-allow-origin";

    let server = TestServer::start_with(&["--cors-origins", &format!("http://localhost:3000,{origin}")]);
    let preflight = asked(&server, "OPTIONS", origin).await;
    assert_eq!(preflight[allowed], origin);
    let headers = preflight["access-control-allow-headers"].to_str().unwrap().to_owned();
    for name in ["content-type", "idempotency-key", "last-event-id", ID] {
        assert!(headers.to_ascii_lowercase().contains(name), "{headers}");
    }
    let answer = asked(&server, "POST", origin).await;
    assert_eq!(answer[allowed], origin);
    let exposed = answer["access-control-expose-headers"].to_str().unwrap().to_ascii_lowercase();
    for name in ["chinwag-position", "idempotent-replayed", "retry-after", ID] {
        assert!(exposed.contains(name), "{name}: {exposed}");
    }
    assert!(!asked(&server, "POST", "https://example.com").await.contains_key(allowed));

    let server = TestServer::start_with(&["--cors-origins", "*"]);
    assert_eq!(asked(&server, "POST", "https://example.com").await[allowed], "*");

    let server = TestServer::start();
    assert!(!asked(&server, "POST", origin).await.contains_key(allowed));
    let preflight = server.send(server.request("OPTIONS", "/users/add")).await;
    problem(&preflight, 405, "method_not_allowed");
}

#[tokio::test]
async fn only_slow_requests_are_logged_with_their_id() {
    let server = TestServer::start();
    let body = json!({ "username": "ann" }).to_string();
    for (id, pause) in [("swift", Duration::ZERO), ("slow", Duration::from_millis(1_500))] {
        let (first, rest) = body.split_at(5);
        let (first, rest) = (first.to_owned(), rest.to_owned());
        let parts = futures_util::stream::unfold(0, move |part| {
            let (first, rest) = (first.clone(), rest.clone());
            async move {
                match part {
                    0 => Some((Ok::<_, std::io::Error>(first), 1)),
                    1 => {
                        tokio::time::sleep(pause).await;
                        Some((Ok(rest), 2))
                    }
                    _ => None,
                }
            }
        });
        let request = server.request("POST", "/users/%61dd").header("content-type", "application/json");
        let request = request.header(ID, id).body(reqwest::Body::wrap_stream(parts));
        server.send(request).await;
    }
    let (_, ended) = server.terminate();
    let slow: Vec<_> = ended.stderr.lines().filter(|line| line.contains("a request was slow")).collect();
    assert!(slow.len() == 1 && slow[0].contains("\"slow\"") && slow[0].contains("/users/add"), "{slow:?}");
}
