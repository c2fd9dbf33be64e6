//! Several servers on one log: a client that was answered by one of them, and asks another one that is behind.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::support::keyed::replace;
use crate::support::{Client, Keyring, Reply, SharedLog, SharedServer, TestRouter, problem, wait_until};

const MIN_POSITION: &str = "Chinwag-Min-Position";
const NOBODY: &str = "9b2f6e0a-54a3-4c36-8a55-0f6d3c1b7a10";

/// Two servers on one log, which has a user.
async fn two_servers(flags: &[&str]) -> (SharedServer, SharedServer, String) {
    let log = SharedLog::default();
    let (here, there) = (log.serve(flags).await, log.serve(flags).await);
    let ann = here.post("/users/add", &json!({ "username": "ann" })).await;
    wait_until(async || there.position().await == ann.position()).await;
    (here, there, ann.id())
}

/// Posts JSON, to be answered from this position on.
async fn from(server: &Client, min_position: u64, path: &str, body: &Value) -> Reply {
    let request = server.json_request(path).header(MIN_POSITION, min_position).body(body.to_string());
    server.send(request).await
}

/// Calls of each kind: a read, a write, and a stream.
async fn call_each(server: &Client, ann: &str, position: u64) -> Vec<Reply> {
    let bob = json!({ "username": "bob" });
    let read = from(server, position, "/users/get", &bob);
    let write = from(server, position, "/users/add", &bob);
    let stream = server.request("GET", &format!("/events?user={ann}")).header(MIN_POSITION, position);
    let stream = async {
        let response = stream.send().await.expect("answered");
        let (status, headers) = (response.status(), response.headers().clone());
        // A stream has no end.
        let text = if status == 200 { String::new() } else { response.text().await.expect("read") };
        Reply { status, headers, text }
    };
    let (read, write, stream) = tokio::join!(read, write, stream);
    vec![read, write, stream]
}

#[tokio::test]
async fn a_call_waits_for_its_position() {
    let (here, there, ann) = two_servers(&["--follow-timeout-ms", "60000"]).await;
    // Given a server that lacks Bob.
    there.hold();
    let position = here.post("/users/add", &json!({ "username": "bob" })).await.position();
    // Then it does not answer what asks for his position,
    let calls = call_each(&there, &ann, position);
    let mut calls = std::pin::pin!(calls);
    assert!(timeout(Duration::from_millis(100), &mut calls).await.is_err());
    assert_eq!(there.position().await, position - 1);
    // until it has him.
    there.release();
    let answers = calls.await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [200, 409, 200]);
    assert_eq!(answers[0].position(), position);
}

#[tokio::test]
async fn a_server_that_stays_behind_says_so() {
    let (here, there, ann) = two_servers(&["--follow-timeout-ms", "20"]).await;
    there.hold();
    let position = here.post("/users/add", &json!({ "username": "cy" })).await.position();
    for answer in call_each(&there, &ann, position).await {
        assert_eq!(problem(&answer, 503, "behind"), None);
        assert!(answer.text.contains(&format!("not yet up to {position}")), "{}", answer.text);
    }
    there.release();
    wait_until(async || there.position().await == position).await;
    let stored = there.post("/users/get", &json!({ "username": "bob" })).await;
    problem(&stored, 404, "user_not_found");
}

#[tokio::test]
async fn a_write_of_ones_own_reaches_a_position_too() {
    let (here, _, _) = two_servers(&["--follow-timeout-ms", "60000"]).await;
    let next = here.position().await + 1;
    let bob = json!({ "username": "bob" });
    let asked = from(&here, next, "/users/get", &bob);
    let mut asked = std::pin::pin!(asked);
    assert!(timeout(Duration::from_millis(50), &mut asked).await.is_err());
    here.add_user("bob").await;
    assert_eq!(asked.await.position(), next);
}

#[tokio::test]
async fn a_server_that_stops_ends_the_wait() {
    let (_, there, ann) = two_servers(&["--follow-timeout-ms", "60000"]).await;
    let (client, next) = (Client::clone(&there), there.position().await + 1);
    let asked = tokio::spawn(async move { call_each(&client, &ann, next).await });
    sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    there.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for answer in asked.await.expect("answered") {
        assert_eq!(answer.status, 503, "{}", answer.text);
    }
}

#[tokio::test]
async fn alone_a_server_has_every_position() {
    let server = TestRouter::start();
    let ann = server.post("/users/add", &json!({ "username": "ann" })).await;
    assert_eq!(from(&server, ann.position(), "/users/get", &json!({ "user": ann.id() })).await.status, 200);
    let calls = [
        ("POST /users/get", json!({ "user": ann.id() })),
        ("POST /users/add", json!({ "username": "bob" })),
        (&*format!("GET /events?user={}", ann.id()), Value::Null),
    ];
    for (call, body) in calls {
        let (method, path) = call.split_once(' ').expect("two words");
        for values in [&["2"][..], &["x"], &[""], &["1-0"], &["1", "1"]] {
            let request = server.request(method, path).header("content-type", "application/json");
            let request = values.iter().fold(request, |request, value| request.header(MIN_POSITION, *value));
            let reply = server.send(request.body(body.to_string())).await;
            assert_eq!(
                problem(&reply, 400, "invalid_field").as_deref(),
                Some(MIN_POSITION),
                "{call} {values:?}"
            );
        }
    }
    assert_eq!(server.position().await, 1);
}

#[tokio::test]
async fn only_a_request_that_is_well_formed_waits() {
    let (_, there, _) = two_servers(&["--follow-timeout-ms", "0"]).await;
    let beyond = |body: &str, key: &str| {
        let request = there.json_request("/users/add").header(MIN_POSITION, "99");
        there.send(request.header("idempotency-key", key).body(body.to_owned()))
    };
    // The form comes first,
    assert_eq!(problem(&beyond("{}", "k").await, 400, "invalid_field").as_deref(), Some("username"));
    let good = r#"{"username":"bob"}"#;
    assert_eq!(problem(&beyond(good, "").await, 400, "invalid_field").as_deref(), Some("Idempotency-Key"));
    assert_eq!(problem(&beyond(good, "k").await, 503, "behind"), None);
    // and ids come after it.
    problem(&from(&there, 99, "/users/get", &json!({ "user": NOBODY })).await, 503, "behind");
    // Credentials are looked at before it.
    let keyed = TestRouter::start_keyed();
    problem(&from(&keyed, 99, "/users/get", &json!({ "user": NOBODY })).await, 401, "credentials_missing");
}

#[tokio::test]
async fn a_token_that_was_revoked_meanwhile_is_refused() {
    let (keys, dir) = (Keyring::new(), TempDir::new().unwrap());
    let files = ["api-keys", "token-keys"].map(|file| dir.path().join(file));
    replace(&files[0], &keys.api_keys());
    replace(&files[1], &keys.token_keys().to_string());
    let files = files.map(|file| file.display().to_string());
    let flags = ["--api-keys", &files[0], "--token-keys", &files[1], "--follow-timeout-ms", "60000"];
    let log = SharedLog::default();
    let (here, there) = (log.serve(&flags).await, log.serve(&flags).await);
    let backend = here.bearing(Some(keys.server_key("backend")));
    let ann = backend.add_user("ann").await;
    let page = there.bearing(Some(&keys.token(&ann)));
    wait_until(async || page.post("/chats/get", &json!({})).await.status == 200).await;
    // Given a server that does not know yet that her token is revoked.
    there.hold();
    let revoked = backend.post("/users/tokens/revoke", &json!({ "user": ann })).await.position();
    assert_eq!(page.post("/chats/get", &json!({})).await.status, 200);
    // When it is asked to answer from there on.
    let body = json!({});
    let asked = from(&page, revoked, "/chats/get", &body);
    let mut asked = std::pin::pin!(asked);
    assert!(timeout(Duration::from_millis(50), &mut asked).await.is_err());
    there.release();
    problem(&asked.await, 401, "token_revoked");
}

#[tokio::test]
async fn a_stream_begins_when_its_place_is_reached() {
    let (here, there, ann) = two_servers(&[]).await;
    let den = here.add_chat("den", &[&ann]).await;
    let mut first = here.follow(&ann, None).await;
    first.begin().await;
    // Given a server that lacks a message, a user and her chat, and clients that have seen them.
    wait_until(async || there.position().await == 2).await;
    there.hold();
    here.add_message(&den, &ann, "one").await;
    let bob = here.add_user("bob").await;
    here.join(&den, &bob).await;
    first.take_events(2).await;
    // When they resume there, by an id or by a position.
    let mut by_id = there.resume(&ann, &first.last_id).await;
    let mut by_position = there.follow(&ann, Some(5)).await;
    let mut of_bob = there.follow(&bob, Some(4)).await;
    // Then nothing but comments comes,
    by_id.assert_silent(Duration::from_millis(50)).await;
    assert!(by_id.comments > 0);
    // until the server has caught up.
    there.release();
    for stream in [&mut by_id, &mut by_position] {
        let begin = stream.begin().await;
        assert_eq!((&*begin.kind, begin.id), ("begin", 5));
    }
    assert_eq!((of_bob.begin().await.id, of_bob.next().await.expect("an event").kind.as_str()), (4, "chat"));
    there.add_message(&den, &ann, "two").await;
    let texts = join_all(
        [&mut by_id, &mut by_position, &mut of_bob]
            .map(async |stream| stream.next().await.expect("an event").data["text"].clone()),
    );
    assert_eq!(texts.await, ["two", "two", "two"]);
}

#[tokio::test]
async fn a_stream_whose_place_does_not_come_ends() {
    let (_, there, ann) = two_servers(&[]).await;
    let mut stream = there.follow(&ann, Some(99)).await;
    stream.assert_silent(Duration::from_millis(50)).await;
    // It ends when the server stops, as it does after a time.
    let ((), ended) = tokio::join!(there.stop(), stream.next());
    assert_eq!(ended, None);
}

#[tokio::test]
async fn an_id_of_another_history_is_not_waited_for() {
    let (_, there, ann) = two_servers(&[]).await;
    let mut stream = there.resume(&ann, "99-00000000000000ab").await;
    let reset = stream.next().await.expect("an event");
    assert_eq!((&*reset.kind, reset.id), ("reset", 1));
}

#[tokio::test]
async fn health_shows_the_stream() {
    let (here, there, _) = two_servers(&[]).await;
    let health = there.get("/health").await.json();
    let stream = &health["stream"];
    assert_eq!(
        (&stream["writable"], &stream["copy"], &stream["sequence"]),
        (&json!(true), &json!(true), &json!(1))
    );
    // Given a server that hears nothing.
    there.hold();
    there.status.note_refused();
    there.status.end_copying(&"there is no room");
    wait_until(async || there.get("/health").await.json()["stream"]["stale_ms"].as_u64() > Some(20)).await;
    // Then it is healthy for those only who allow that.
    assert_eq!(problem(&there.get("/health?max_stale_ms=20").await, 503, "behind"), None);
    let health = there.get("/health?max_stale_ms=3600000").await.json();
    assert_eq!((&health["stream"]["writable"], &health["stream"]["copy"]), (&json!(false), &json!(false)));
    // A server whose clock is too far ahead writes nothing.
    here.status.set_clock_ahead_ms(5_001);
    let health = here.get("/health").await.json();
    assert_eq!((&health["writable"], &health["stream"]["writable"]), (&json!(false), &json!(false)));
    for bad in ["x", "", "-1", "+1", "9223372036854775808", "1&max_stale_ms=1"] {
        let reply = here.get(&format!("/health?max_stale_ms={bad}")).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("max_stale_ms"), "{bad}");
    }
}

#[tokio::test]
async fn metrics_show_the_stream() {
    let (_, there, _) = two_servers(&[]).await;
    there.status.count_stray();
    there.status.end_copying(&"there is no room");
    there.status.set_clock_ahead_ms(-1_500);
    let metrics = there.get("/metrics").await.text;
    for line in [
        "chinwag_stream_sequence 1",
        "chinwag_stream_writable 1",
        "chinwag_stream_copying 0",
        "chinwag_stream_superseded_total 0",
        "chinwag_stream_strays_total 1",
        "chinwag_stream_clock_ahead_seconds -1.5",
    ] {
        assert!(metrics.lines().any(|shown| shown == line), "{line}");
    }
    assert!(metrics.contains("\nchinwag_stream_stale_seconds "));
}

#[tokio::test]
async fn alone_a_server_shows_no_stream() {
    let server = TestRouter::start();
    let health = server.get("/health?max_stale_ms=0").await;
    assert_eq!(health.status, 200);
    assert!(health.json().get("stream").is_none());
    assert!(!server.get("/metrics").await.text.contains("chinwag_stream_"));
}
