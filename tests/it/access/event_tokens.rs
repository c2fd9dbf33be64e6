//! `/events/token`: tokens for the URL of a stream, for clients that cannot send a header.

use serde_json::json;
use tempfile::TempDir;

use super::fixture::{KeyFiles, event_token, now_s, open, server_key, token, token_of};
use crate::support::{Reply, TestServer, problem, segments};

fn seconds_of(reply: &Reply) -> u64 {
    let time: jiff::Timestamp = reply.json()["expires_at"].as_str().expect("a time").parse().expect("a time");
    time.as_second().try_into().unwrap()
}

#[tokio::test]
async fn a_token_for_streams_is_for_its_buyer() {
    let keys = KeyFiles::new();
    let server = keys.start(&[]);
    let backend = server.bearing(Some(&server_key(1)));
    let (ann, bob) = (backend.add_user("ann").await, backend.add_user("bob").await);
    let page = server.bearing(Some(&token(&ann)));
    // A user gets one for oneself, whether the user is named or not.
    for body in [json!({}), json!({ "user": null }), json!({ "user": ann })] {
        let reply = page.post("/events/token", &body).await;
        assert_eq!((reply.status.as_u16(), reply.position()), (201, server.position().await), "{reply:?}");
        assert!(reply.json()["token"].as_str().is_some_and(|token| token.starts_with("cwe_")));
        let url = format!("/events?token={}", reply.json()["token"].as_str().unwrap());
        open(&server, &url).await;
        open(&server, &format!("{url}&user={ann}")).await;
        let refused = server.get(&format!("{url}&user={bob}")).await;
        assert_eq!(problem(&refused, 403, "not_yourself").as_deref(), Some("user"));
    }
    let reply = page.post("/events/token", &json!({ "user": bob })).await;
    assert_eq!(problem(&reply, 403, "not_yourself").as_deref(), Some("user"));
    // A server gets one for anyone.
    let bought = event_token(&backend, Some(&bob)).await;
    open(&server, &format!("/events?token={bought}")).await;
    for body in [json!({}), json!({ "user": null })] {
        let reply = backend.post("/events/token", &body).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("user"));
    }
    let nobody = json!({ "user": "01a20aa4-0a09-74de-9d72-3ca94e1ae31f" });
    let reply = backend.post("/events/token", &nobody).await;
    assert_eq!(problem(&reply, 404, "user_not_found").as_deref(), Some("user"));
}

#[tokio::test]
async fn a_token_for_streams_ends_with_the_hour_or_its_buyer() {
    let keys = KeyFiles::new();
    let server = keys.start(&[]);
    let backend = server.bearing(Some(&server_key(1)));
    let ann = backend.add_user("ann").await;
    let bought_by = async |token: String| {
        server.bearing(Some(&token)).post("/events/token", &json!({ "user": ann })).await
    };
    // A long-lived token and a server key buy an hour,
    for credentials in [token_of("main", &ann, &json!({ "exp": now_s() + 86_400 })), server_key(1)] {
        let before = now_s();
        let reply = bought_by(credentials).await;
        let hour = (before + 3_600)..=(now_s() + 3_600);
        assert!(hour.contains(&seconds_of(&reply)), "{hour:?}: {reply:?}");
    }
    // And one that ends sooner buys what it has left.
    let exp = now_s() + 100;
    let reply = bought_by(token_of("main", &ann, &json!({ "exp": exp }))).await;
    assert_eq!(seconds_of(&reply), exp);
    assert_eq!(reply.status, 201);
}

#[tokio::test]
async fn a_token_for_streams_is_good_in_the_url_only() {
    let keys = KeyFiles::new();
    let server = keys.start(&[]);
    let backend = server.bearing(Some(&server_key(1)));
    let ann = backend.add_user("ann").await;
    let full = token(&ann);
    let bought = event_token(&server.bearing(Some(&full)), None).await;
    // Not in the header,
    let in_header = server.bearing(Some(&bought));
    for path in ["/users/get", "/chats/get", "/events/token", "/chats/users/remove"] {
        problem(&in_header.post(path, &json!({ "user": ann })).await, 401, "credentials_invalid");
    }
    problem(&in_header.get("/events").await, 401, "credentials_invalid");
    // Nor in the URL of another call,
    for path in ["/users/get", "/chats/get", "/messages/add", "/events/token"] {
        let reply = server.post(&format!("{path}?token={bought}"), &json!({ "user": ann })).await;
        problem(&reply, 401, "credentials_missing");
    }
    problem(&server.get(&format!("/metrics?token={bought}")).await, 401, "credentials_missing");
    // Nor beside a header, nor twice, nor changed.
    let both = server.bearing(Some(&full)).get(&format!("/events?token={bought}")).await;
    assert_eq!(problem(&both, 400, "invalid_field").as_deref(), Some("token"));
    let twice = server.get(&format!("/events?token={bought}&token={bought}")).await;
    assert_eq!(problem(&twice, 400, "invalid_field").as_deref(), Some("token"));
    let (begin, end) = bought.split_at(40);
    let changed = if end.starts_with('A') { "B" } else { "A" };
    for wrong in [&*format!("{begin}{changed}{}", &end[1..]), begin, "cwe_", "", "anything"] {
        problem(&server.get(&format!("/events?token={wrong}")).await, 401, "credentials_invalid");
    }
    // And full credentials do not belong into a URL.
    for broad in [&*full, &server_key(1), &server_key(9), "a.b.c"] {
        let reply = server.get(&format!("/events?token={broad}")).await;
        assert_eq!(problem(&reply, 403, "token_too_broad").as_deref(), Some("token"));
        assert!(!reply.text.contains(broad), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_shared_secret_keeps_tokens_for_streams() {
    let keys = KeyFiles::new();
    for (name, secret) in [("secret", "0123456789abcdef0123456789abcdef\n"), ("other", &*"x".repeat(40))] {
        keys.write(name, secret);
    }
    let (secret, other) = (keys.path("secret"), keys.path("other"));
    let (secret, other) = (secret.to_str().unwrap(), other.to_str().unwrap());
    let flags = keys.flags();
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    // Given a token for streams of a server with a secret,
    let server = keys.start(&["--secret", secret]);
    let backend = server.bearing(Some(&server_key(1)));
    let ann = backend.add_user("ann").await;
    let bought = event_token(&server.bearing(Some(&token(&ann))), None).await;
    let url = format!("/events?token={bought}");
    // Then it is good after a restart,
    let server = server.kill().restart();
    open(&server, &url).await;
    // And on another server with the same log and the same secret,
    let second = |more: &[&str]| {
        let copy = TempDir::new().unwrap();
        for segment in segments(&server.data) {
            std::fs::copy(&segment, copy.path().join(segment.file_name().unwrap())).unwrap();
        }
        (TestServer::start_at(copy.path(), &[&flags, more].concat()), copy)
    };
    open(&second(&["--secret", secret]).0, &url).await;
    // But not with another one.
    problem(&second(&["--secret", other]).0.get(&url).await, 401, "credentials_invalid");
    // And a server without a secret forgets it at a restart.
    let (second, _copy) = second(&[]);
    problem(&second.get(&url).await, 401, "credentials_invalid");
    let own = event_token(&second.bearing(Some(&token(&ann))), None).await;
    open(&second, &format!("/events?token={own}")).await;
    let second = second.kill().restart();
    problem(&second.get(&format!("/events?token={own}")).await, 401, "credentials_invalid");
}
