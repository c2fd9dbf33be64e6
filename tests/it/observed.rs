//! Request ids, metrics and logs, as an operator sees them; and the web pages that may call.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{RawConnection, Reply, TestServer, head, problem};

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
        ("chinwag_writable", 1.0),
        (concat!("chinwag_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        assert!((sample(metrics, name) - value).abs() < f64::EPSILON, "{name} is not {value}: {metrics}");
    }
    // Each was sent after the one before was answered. One was decided and refused.
    for name in ["chinwag_log_sync_duration_seconds_count", "chinwag_log_write_duration_seconds_count"] {
        assert!((sample(metrics, name) - 8.0).abs() < f64::EPSILON, "{name}: {metrics}");
    }
    let used = sample(metrics, "chinwag_log_used_bytes");
    assert!((400.0..4_000.0).contains(&used), "the bytes of eight short frames: {metrics}");
    assert!(sample(metrics, "chinwag_log_filesystem_free_bytes") > 65_536.0, "{metrics}");
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
    for name in [
        "chinwag_log_segments",
        "chinwag_log_bytes",
        "chinwag_log_used_bytes",
        "chinwag_log_position",
        "chinwag_messages",
    ] {
        assert!((sample(&before, name) - sample(&after, name)).abs() < f64::EPSILON, "{name}");
    }
}

/// Returns the names and labels of the samples whose value only grows, but for those of buckets.
fn counters(metrics: &str) -> BTreeSet<String> {
    let samples =
        metrics.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    let names = samples.map(|(name, _)| name.to_owned());
    names
        .filter(|name| ["_total", "_count"].iter().any(|end| name.split('{').next().unwrap().ends_with(end)))
        .collect()
}

/// A rate misses the first increase of a series that begins above 0.
#[tokio::test]
async fn counters_start_at_0() {
    let server = TestServer::start();
    let first = server.get("/metrics").await.text;
    for name in counters(&first).iter().filter(|name| !name.starts_with("process_")) {
        assert!(sample(&first, name).abs() < f64::EPSILON, "{name}");
    }
    // Answers of many kinds.
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    server.add_message(&den, &ann, "hello").await;
    server.chats(&ann).await;
    server.messages(&den).await;
    server.mark_read(&den, &ann, 1).await;
    server.leave(&den, &ann).await;
    let _stream = server.follow(&ann, None).await;
    for (path, body) in [
        ("/users/add", json!({ "username": "ann" })),
        ("/users/add", json!({})),
        ("/users/get", json!({ "username": "nobody" })),
        ("/messages/add", json!({ "chat": den, "author": ann, "text": "hello" })),
        ("/messages/add", json!({ "chat": ann, "author": ann, "text": "hello" })),
        ("/messages/add", json!({ "chat": ann, "author": ann, "text": "x".repeat(2 << 20) })),
    ] {
        assert!(!server.post(path, &body).await.status.is_success());
    }
    server.send(server.request("POST", "/users/add").body("{}")).await;
    for path in ["/", "/docs", "/openapi.json", "/health", "/users/add", "/nothing", "/page/page.js"] {
        server.get(path).await;
    }
    let last = counters(&server.get("/metrics").await.text);
    let first = counters(&first);
    let began_later: Vec<_> = last.difference(&first).collect();
    assert!(began_later.is_empty(), "{began_later:?}");
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

/// Returns the lines that a server logged in JSON.
fn logged(stderr: &str) -> Vec<Value> {
    stderr.lines().map(|line| serde_json::from_str(line).expect("JSON on each line")).collect()
}

/// Returns the only line with this message.
#[track_caller]
fn line<'l>(lines: &'l [Value], message: &str) -> &'l Value {
    let found: Vec<_> = lines.iter().filter(|line| line["message"] == message).collect();
    let [line] = found.as_slice() else { panic!("{message}: {found:?} in {lines:?}") };
    line
}

#[tokio::test]
async fn start_and_stop_are_logged_at_info() {
    let server = TestServer::start_with(&["--log", "INFO", "--log-format", "json"]);
    for number in 0..3 {
        server.add_user(&format!("user {number}")).await;
    }
    let data = server.data.display().to_string();
    let server = server.kill().restart();
    let (address, ann) = (server.address.clone(), server.add_user("ann").await);
    let _stream = server.follow(&ann, None).await;
    let (_, ended) = server.terminate();
    let lines = logged(&ended.stderr);
    assert!(lines.iter().all(|line| line["level"] == "INFO"), "{lines:?}");
    let starting = line(&lines, "starting");
    assert_eq!((&starting["version"], &starting["data"]), (&json!(env!("CARGO_PKG_VERSION")), &json!(data)));
    let replayed = line(&lines, "replayed the log");
    assert_eq!(replayed["events"], 3);
    assert!(replayed["bytes"].as_u64().is_some_and(|bytes| bytes > 100), "{replayed}");
    assert!(replayed["took_ms"].is_u64(), "{replayed}");
    assert!(replayed["events_per_s"].as_u64().is_some_and(|rate| rate > 0), "{replayed}");
    assert_eq!(line(&lines, "ready")["address"], json!(address));
    assert_eq!(line(&lines, "stopping")["signal"], "SIGTERM");
    let stopped = lines.last().unwrap();
    assert!(stopped["message"].as_str().unwrap().starts_with("stopped"), "{stopped}");
    assert_eq!(
        (&stopped["streams"], &stopped["events"], &stopped["requests"]),
        (&json!(1), &json!(0), &json!(0))
    );
    assert!(stopped["connections"].as_u64().is_some_and(|count| count >= 1), "{stopped}");
    assert!(stopped["took_ms"].is_u64(), "{stopped}");
}

/// Requests that have arrived when the server stops are drained, and counted.
#[tokio::test]
async fn what_was_drained_is_logged() {
    let server = TestServer::start_with(&["--log-format", "json"]);
    // What was answered before does not count.
    server.add_user("bob").await;
    let body = json!({ "username": "ann" }).to_string();
    let mut connection = RawConnection::open(&server.address);
    let length = format!("Content-Length: {}", body.len());
    let headers = ["Content-Type: application/json", "Expect: 100-continue", &length];
    connection.send(head("POST", "/users/add", &headers));
    assert_eq!(connection.head().expect("asked for the body").0, 100);
    server.signal(Signal::TERM);
    let stopping = Instant::now();
    while RawConnection::try_open(&server.address).is_ok() {
        assert!(stopping.elapsed() < Duration::from_secs(5), "it accepts connections");
    }
    connection.send(&body);
    assert_eq!(connection.reply().status, 201);
    let (_, ended) = server.ended(Duration::from_secs(15));
    let lines = logged(&ended.stderr);
    let stopped = lines.last().unwrap();
    assert_eq!((&stopped["requests"], &stopped["events"]), (&json!(1), &json!(1)), "{stopped}");
}

#[tokio::test]
async fn lines_about_requests_say_who_asked_what() {
    let server = TestServer::start_with(&["--log", "debug", "--log-format", "json"]);
    let asked = server.request("GET", "/he%61lth?secret=kingfisher").header(ID, "encoded");
    assert_eq!(server.send(asked).await.status, 200);
    let unknown = format!("/{}", "x".repeat(100));
    server.send(server.request("DELETE", &unknown).header(ID, "unknown")).await;
    let (_, ended) = server.terminate();
    assert!(!ended.stderr.contains("kingfisher"), "{}", ended.stderr);
    let lines = logged(&ended.stderr);
    let of = |id: &str| lines.iter().find(|line| line["request_id"] == id).expect("a line");
    let encoded = of("encoded");
    for (field, value) in [
        ("method", json!("GET")),
        ("path", json!("/he%61lth")),
        ("route", json!("/health")),
        ("status", json!(200)),
    ] {
        assert_eq!(encoded[field], value, "{encoded}");
    }
    assert!(encoded["took_us"].is_u64(), "a number: {encoded}");
    let client = encoded["client"].as_str().expect("an address");
    assert!(client.parse::<std::net::SocketAddr>().is_ok_and(|client| client.ip().is_loopback()), "{client}");
    let unknown = of("unknown");
    assert_eq!((&unknown["method"], &unknown["status"]), (&json!("DELETE"), &json!(404)));
    assert_eq!(unknown["path"].as_str().unwrap().chars().count(), 65, "it is cut: {unknown}");
    assert!(unknown.get("route").is_none(), "{unknown}");
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
    for name in ["content-type", "idempotency-key", "last-event-id", "chinwag-min-position", ID] {
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
    let server = TestServer::start_with(&["--log-format", "json"]);
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
    let lines = logged(&ended.stderr);
    let slow = line(&lines, "a request was slow");
    for (field, value) in [
        ("request_id", json!("slow")),
        ("method", json!("POST")),
        ("path", json!("/users/%61dd")),
        ("route", json!("/users/add")),
        ("status", json!(409)),
        ("others_before", json!(0)),
    ] {
        assert_eq!(slow[field], value, "{slow}");
    }
    assert!(slow["took_ms"].as_u64().is_some_and(|took| took > 1_000), "a number: {slow}");
    assert!(slow["client"].is_string(), "{slow}");
}
