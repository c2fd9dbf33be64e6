//! `/users/tokens/revoke`: a user's tokens that were issued before are refused.

use serde_json::json;

use super::fixture::{KeyFiles, now_s, server_key, token, token_of};
use crate::support::{Client, TestRouter, TestServer, exported, imported, problem};

async fn revoke(client: &Client, user: &str) -> u64 {
    let reply = client.post("/users/tokens/revoke", &json!({ "user": user })).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.json().as_object().unwrap().len(), 1, "{}", reply.text);
    reply.json()["tokens_from"].as_u64().expect("a time")
}

/// Calls with a token of this user that was issued at this time.
fn issued_at(server: &Client, user: &str, iat: u64) -> Client {
    server.bearing(Some(&token_of("main", user, &json!({ "iat": iat, "exp": iat + 600 }))))
}

#[tokio::test]
async fn tokens_from_before_a_revocation_are_refused() {
    let keys = KeyFiles::new();
    let server = keys.start(&[]);
    let backend = server.bearing(Some(&server_key(1)));
    let (ann, bob) = (backend.add_user("ann").await, backend.add_user("bob").await);
    let asked = json!({ "user": ann });
    let old = server.bearing(Some(&token(&ann)));
    assert_eq!(old.post("/users/get", &asked).await.status, 200);
    let before = now_s();
    let from = revoke(&backend, &ann).await;
    // No token of this moment can have been issued then, even by a clock that is as fast as may be.
    assert!((before + 12..=now_s() + 12).contains(&from), "{from} is 11 to 12 s ahead");
    // The one that was good, also on its own connection, one issued since, and one of a clock that is fast:
    problem(&old.post("/users/get", &asked).await, 401, "token_revoked");
    for iat in [now_s(), from - 1] {
        problem(&issued_at(&server, &ann, iat).post("/users/get", &asked).await, 401, "token_revoked");
    }
    // But one issued from then on is good at once, and so is another user's.
    assert_eq!(issued_at(&server, &ann, from).post("/users/get", &asked).await.status, 200);
    let other = server.bearing(Some(&token(&bob)));
    assert_eq!(other.post("/users/get", &asked).await.status, 200);
    // And the next revocation also refuses that one, however soon it comes.
    let second = revoke(&backend, &ann).await;
    assert!(second > from, "{second} > {from}");
    problem(&issued_at(&server, &ann, from).post("/users/get", &asked).await, 401, "token_revoked");
    // One of the second time is good at once, though it is further ahead than others may be.
    assert_eq!(issued_at(&server, &ann, second).post("/users/get", &asked).await.status, 200);
    // And only servers revoke.
    let reply = other.post("/users/tokens/revoke", &json!({ "user": bob })).await;
    problem(&reply, 403, "server_key_required");
    let nobody = json!({ "user": "01a20aa4-0a09-74de-9d72-3ca94e1ae31f" });
    let reply = backend.post("/users/tokens/revoke", &nobody).await;
    assert_eq!(problem(&reply, 404, "user_not_found").as_deref(), Some("user"));
}

#[tokio::test]
async fn a_revocation_outlives_the_server_and_its_log() {
    let keys = KeyFiles::new();
    let server = keys.start(&[]);
    let backend = server.bearing(Some(&server_key(1)));
    let ann = backend.add_user("ann").await;
    let (asked, old) = (json!({ "user": ann }), token(&ann));
    let first = backend.post_under("k", "/users/tokens/revoke", &asked).await;
    let from = first.json()["tokens_from"].as_u64().expect("a time");
    let check = async |server: &TestServer| {
        problem(&server.bearing(Some(&old)).post("/users/get", &asked).await, 401, "token_revoked");
        assert_eq!(issued_at(server, &ann, from).post("/users/get", &asked).await.status, 200);
        let again =
            server.bearing(Some(&server_key(1))).post_under("k", "/users/tokens/revoke", &asked).await;
        assert!(again.is_replayed());
        assert_eq!((again.text.as_str(), again.position()), (first.text.as_str(), first.position()));
        let reused = server
            .bearing(Some(&server_key(1)))
            .post_under("k", "/users/add", &json!({ "username": "bob" }))
            .await;
        problem(&reused, 422, "idempotency_key_reused");
    };
    check(&server).await;
    let server = server.kill().restart();
    check(&server).await;
    let copy = imported(&exported(&server.data));
    let flags = keys.flags();
    check(&TestServer::start_at(copy.path(), &flags.iter().map(String::as_str).collect::<Vec<_>>())).await;
}

#[tokio::test]
async fn an_open_server_has_no_calls_about_tokens() {
    const PATHS: [&str; 2] = ["/users/tokens/revoke", "/events/token"];
    let router = TestRouter::start();
    let server = TestServer::start_with(&["--ephemeral"]);
    let ann = server.add_user("ann").await;
    for path in PATHS {
        problem(&router.post(path, &json!({ "user": ann })).await, 404, "route_not_found");
        problem(&server.post(path, &json!({ "user": ann })).await, 404, "route_not_found");
        problem(&server.get(path).await, 404, "route_not_found");
        assert!(!server.get("/metrics").await.text.contains(path));
        assert!(!server.get("/openapi.json").await.text.contains(path));
    }
    // A server with keys counts them.
    let keys = KeyFiles::new();
    let server = keys.start(&["--ephemeral"]);
    let backend = server.bearing(Some(&server_key(1)));
    for path in PATHS {
        backend.post(path, &json!({})).await;
        let metrics = backend.get("/metrics").await.text;
        assert!(metrics.contains(&format!("path=\"{path}\",status=\"400\"}} 1")), "{metrics}");
    }
}
