//! The order of refusals: of two mistakes, the first in the order is refused. A caller who may not call is not read.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use chinwag::access::{Credentials, Secret};
use chinwag::config::ServeConfig;
use chinwag::engine::ReplayProgress;
use chinwag::http::{App, Keyed, Router};
use serde_json::json;

use super::fresh_address;
use crate::support::keyed::now_s;
use crate::support::{KeyedServer, RawConnection, Reply, head, problem};

const JSON: &str = "Content-Type: application/json";
/// Names no user and no chat.
const V7: &str = "0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";

/// Returns a whole request.
fn request(call: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let (method, path) = call.split_once(' ').unwrap();
    let (address, length) = (fresh_address(), body.len());
    let more = [&*format!("X-Forwarded-For: {address}"), &*format!("Content-Length: {length}")];
    [head(method, path, &[headers, &more].concat()).as_bytes(), body.as_bytes()].concat()
}

fn send(server: &KeyedServer, call: &str, headers: &[&str], body: &str) -> Reply {
    let mut connection = RawConnection::open(&server.server.address);
    connection.send(request(call, headers, body));
    connection.reply()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a list of mistakes")]
async fn of_two_mistakes_the_first_is_refused() {
    let server = KeyedServer::start_with(&["--body-bytes-max", "1024"]);
    let (ann, bob, cat) =
        (server.add_user("ann").await, server.add_user("bob").await, server.add_user("cat").await);
    let den = server.add_chat("den", &[&ann, &bob]).await;
    let bearer = |credential: &str| format!("Authorization: Bearer {credential}");
    let scoped = |user: &str, scope: &str| bearer(&server.keys.scoped(user, scope));
    let all = "read write chats moderate events";
    let (ann_all, cat_all) = (scoped(&ann, all), scoped(&cat, all));
    let (wrong, few) = (bearer("cw_wrong"), scoped(&ann, "events"));
    let expired = json!({ "iat": now_s() - 900, "exp": now_s() - 600, "scope": "events" });
    let expired = bearer(&server.keys.token_with(&ann, expired));
    let metrics = bearer(server.keys.server_key("scraper"));
    let backend = bearer(server.keys.server_key("backend"));
    let long = json!({ "user": bob, "more": "x".repeat(2_000) }).to_string();
    let text = "Content-Type: text/plain";
    let host = "Host: twice";
    let body = |value: serde_json::Value| value.to_string();

    let cases: &[(&str, &[&str], String, u16, &str)] = &[
        // The name of the server, then the route.
        ("GET /nothing", &[host], body(json!({})), 400, "invalid_host"),
        ("PUT /users/add", &[host], body(json!({})), 400, "invalid_host"),
        ("POST /users/add", &[host, &wrong], body(json!({})), 400, "invalid_host"),
        // The route, then credentials.
        ("GET /nothing", &[], String::new(), 404, "route_not_found"),
        ("POST /nothing", &[&wrong], String::new(), 404, "route_not_found"),
        ("PUT /users/add", &[], String::new(), 405, "method_not_allowed"),
        ("GET /users/add", &[&wrong, &wrong], String::new(), 405, "method_not_allowed"),
        ("POST /metrics", &[&few], String::new(), 405, "method_not_allowed"),
        // The form of credentials, then whether they are good, then what they are good for.
        ("POST /users/add", &[&wrong, &wrong], String::new(), 400, "invalid_field"),
        ("GET /events?token=x", &[&wrong], String::new(), 400, "invalid_field"),
        ("POST /users/add", &[&expired, JSON], body(json!({})), 401, "token_expired"),
        ("POST /chats/get", &[&expired, JSON], body(json!({})), 401, "token_expired"),
        ("POST /messages/add", &[&wrong, text], long.clone(), 401, "credentials_invalid"),
        ("POST /messages/add", &[], "{".to_owned(), 401, "credentials_missing"),
        ("GET /events?user=x&more=1", &[], String::new(), 401, "credentials_missing"),
        // What credentials are good for, then the form.
        ("POST /chats/get", &[&few, text], long.clone(), 403, "scope_missing"),
        ("POST /chats/get", &[&few, JSON], "{".to_owned(), 403, "scope_missing"),
        ("POST /users/add", &[&ann_all, text], long.clone(), 403, "server_key_required"),
        ("POST /messages/add", &[&metrics, text], long.clone(), 403, "scope_missing"),
        ("POST /messages/add", &[&few, JSON, "Idempotency-Key: a b"], body(json!({})), 403, "scope_missing"),
        ("GET /events?user=x", &[&scoped(&ann, "write")], String::new(), 403, "scope_missing"),
        // The form, then for whom the call is.
        ("POST /chats/get", &[&ann_all, text], body(json!({ "user": bob })), 415, "unsupported_media_type"),
        ("POST /chats/get", &[&ann_all, JSON], long, 413, "body_too_large"),
        (
            "POST /chats/get",
            &[&ann_all, JSON],
            body(json!({ "user": bob, "limit": 0 })),
            400,
            "invalid_field",
        ),
        (
            "POST /messages/add",
            &[&ann_all, JSON],
            body(json!({ "chat": den, "author": bob, "text": "" })),
            400,
            "invalid_field",
        ),
        (
            "POST /messages/add",
            &[&ann_all, JSON, "Idempotency-Key: a b"],
            body(json!({ "chat": den, "author": bob, "text": "a" })),
            400,
            "invalid_field",
        ),
        (&format!("GET /events?user={bob}&after=x"), &[&ann_all], String::new(), 400, "invalid_field"),
        // For whom the call is, then whether they exist.
        ("POST /chats/get", &[&ann_all, JSON], body(json!({ "user": V7 })), 403, "not_yourself"),
        (
            "POST /messages/add",
            &[&ann_all, JSON],
            body(json!({ "chat": V7, "author": bob, "text": "a" })),
            403,
            "not_yourself",
        ),
        (
            "POST /chats/show",
            &[&ann_all, JSON],
            body(json!({ "chat": V7, "user": bob })),
            403,
            "not_yourself",
        ),
        (
            "POST /chats/add",
            &[&ann_all, JSON],
            body(json!({ "name": "den", "users": [bob, V7] })),
            403,
            "not_yourself",
        ),
        (
            "POST /chats/users/remove",
            &[&scoped(&cat, "chats"), JSON],
            body(json!({ "chat": V7, "user": V7 })),
            403,
            "not_yourself",
        ),
        (&format!("GET /events?user={V7}"), &[&ann_all], String::new(), 403, "not_yourself"),
        ("POST /events/token", &[&ann_all, JSON], body(json!({ "user": V7 })), 403, "not_yourself"),
        // Whether they exist, then membership.
        (
            "POST /chats/users/add",
            &[&cat_all, JSON],
            body(json!({ "chat": V7, "user": V7 })),
            404,
            "chat_not_found",
        ),
        (
            "POST /chats/users/add",
            &[&cat_all, JSON],
            body(json!({ "chat": den, "user": V7 })),
            404,
            "user_not_found",
        ),
        (
            "POST /chats/users/remove",
            &[&cat_all, JSON],
            body(json!({ "chat": den, "user": V7 })),
            404,
            "user_not_found",
        ),
        ("POST /messages/get", &[&cat_all, JSON], body(json!({ "chat": V7 })), 404, "chat_not_found"),
        // Membership, then the state.
        ("POST /chats/read", &[&cat_all, JSON], body(json!({ "chat": den, "seq": 99 })), 403, "not_a_member"),
        (
            "POST /chats/read",
            &[&ann_all, JSON],
            body(json!({ "chat": den, "seq": 99 })),
            400,
            "invalid_field",
        ),
        (
            "POST /chats/add",
            &[&ann_all, JSON],
            body(json!({ "name": "den", "users": [ann] })),
            409,
            "chat_name_taken",
        ),
        ("POST /users/add", &[&backend, JSON], body(json!({ "username": "ann" })), 409, "username_taken"),
    ];
    for (call, headers, body, status, code) in cases {
        let reply = send(&server, call, headers, body);
        let answer = (reply.status.as_u16(), reply.json()["code"].as_str().map(str::to_owned));
        assert_eq!(answer, (*status, Some((*code).to_owned())), "{call} {body} {headers:?}");
        problem(&reply, *status, code);
        let realm = reply.headers.get("www-authenticate").map(|value| value.to_str().unwrap());
        assert_eq!(realm, (*status == 401).then_some(r#"Bearer realm="chinwag""#), "{call}");
    }
}

#[tokio::test]
async fn routes_come_before_starting_before_credentials() {
    let config = ServeConfig::default();
    let keyed = Keyed::new(&config.access, Credentials::default(), Secret::random());
    let app = App::starting(Arc::new(ReplayProgress::default()), &config).with_credentials(Arc::new(keyed));
    let router = Router::new(Arc::new(app));
    for (method, path, status) in [
        ("GET", "/nothing", 404),
        ("PUT", "/users/add", 405),
        ("POST", "/users/add", 503),
        ("GET", "/events?token=x", 503),
        ("GET", "/metrics", 503),
        ("GET", "/docs", 200),
    ] {
        for authorization in ["Bearer wrong", "Basic eDp5"] {
            let request = Request::builder().method(method).uri(path).header("authorization", authorization);
            let answer = router.answer(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status(), status, "{method} {path}");
        }
    }
}

/// Requests that are pipelined are admitted at once.
#[tokio::test]
async fn rates_come_after_scopes_and_before_the_form() {
    let server = KeyedServer::start_with(&["--user-reads-burst", "1", "--user-reads-per-s", "1"]);
    let ann = server.add_user("ann").await;
    let bearer = |scope| format!("Authorization: Bearer {}", server.keys.scoped(&ann, scope));
    let (reads, writes) = (bearer("read"), bearer("write"));
    let requests = [
        // A refused caller uses up nothing.
        request("POST /chats/get", &[&writes, JSON], "{}"),
        request("POST /users/list", &[&reads, JSON], "{}"),
        request("POST /chats/get", &[&reads, JSON], "{}"),
        request("POST /chats/get", &[&writes, JSON], "{}"),
        request("POST /users/list", &[&reads, JSON], "{}"),
        request("POST /chats/get", &[&reads, "Content-Type: text/plain"], "{}"),
        request("POST /chats/get", &[&reads, JSON], "{"),
        request("GET /events?user=x", &[&reads], ""),
    ];
    let replies = RawConnection::open(&server.server.address).pipeline(&requests);
    let codes: Vec<_> =
        replies.iter().map(|reply| (reply.status.as_u16(), reply.json()["code"].clone())).collect();
    let refused = |status: u16, code: &str| (status, json!(code));
    let expected = [
        refused(403, "scope_missing"),
        refused(403, "server_key_required"),
        (200, json!(null)),
        refused(403, "scope_missing"),
        refused(403, "server_key_required"),
        refused(429, "rate_limited"),
        refused(429, "rate_limited"),
        refused(429, "rate_limited"),
    ];
    assert_eq!(codes, expected);
    assert_eq!(replies[5].header("retry-after"), "1");
}

#[tokio::test]
async fn the_number_of_streams_comes_before_the_form() {
    // Given a user who has as many streams as a user may have, and one more user.
    let server = KeyedServer::start_with(&["--user-streams-max", "1"]);
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let [page, writer, other] = [(&ann, "read"), (&ann, "write"), (&bob, "read")]
        .map(|(user, scope)| server.with(&server.keys.scoped(user, scope)));
    let mut stream = page.get_stream("/events", None::<u64>).await.unwrap();
    stream.begin().await;
    // Then the number is refused before the form, before another user, and before one whom there is not.
    for query in ["", "?user=x", "?more=1", &format!("?user={bob}"), &format!("?user={V7}")] {
        let path = format!("/events{query}");
        let reply = page.get(&path).await;
        problem(&reply, 429, "rate_limited");
        assert!(reply.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
        problem(&writer.get(&path).await, 403, "scope_missing");
    }
    problem(&other.get("/events?more=1").await, 400, "invalid_field");
    other.get_stream("/events", None::<u64>).await.unwrap().begin().await;
}

#[tokio::test]
async fn a_caller_who_may_not_call_is_not_read() {
    const TEN_GB: &str = "Content-Length: 10000000000";
    let server = KeyedServer::start();
    let ann = server.add_user("ann").await;
    let bearer = |credential: &str| format!("Authorization: Bearer {credential}");
    let (reader, all) =
        (bearer(&server.keys.scoped(&ann, "read")), bearer(server.keys.server_key("backend")));
    let wrong = bearer(&server.keys.token(V7));
    for (headers, path, status, code) in [
        (&[][..], "/messages/add", 401, "credentials_missing"),
        (&[&*wrong], "/messages/batch", 401, "credentials_invalid"),
        (&[&*reader], "/messages/add", 403, "scope_missing"),
        (&[&*reader], "/messages/batch", 403, "server_key_required"),
        (&[&*reader, &*reader], "/messages/batch", 400, "invalid_field"),
    ] {
        for more in
            [&[JSON, TEN_GB, "Expect: 100-continue"][..], &[JSON, TEN_GB], &[JSON, "Content-Length: 10"]]
        {
            // No byte of the body is sent.
            let mut connection = RawConnection::open(&server.server.address);
            connection.send(head("POST", path, &[headers, more].concat()));
            problem(&connection.reply(), status, code);
        }
    }
    // Whereas one who may call is told to go on, or why not.
    let mut connection = RawConnection::open(&server.server.address);
    connection.send(head(
        "POST",
        "/messages/add",
        &[&all, JSON, "Content-Length: 10", "Expect: 100-continue"],
    ));
    assert_eq!(connection.head().unwrap().0, 100);
    let mut connection = RawConnection::open(&server.server.address);
    connection.send(head("POST", "/messages/add", &[&all, JSON, TEN_GB, "Expect: 100-continue"]));
    problem(&connection.reply(), 413, "body_too_large");
}

#[tokio::test]
async fn bodies_of_refused_callers_take_no_memory() {
    // Given half-sent bodies of refused callers, together longer than all bodies may be.
    let server = KeyedServer::start_with(&["--body-bytes-max", "1024"]);
    let half = "x".repeat(30_000);
    let stalled: Vec<_> = (0..40)
        .map(|_| {
            let mut connection = RawConnection::open(&server.server.address);
            connection.send(head("POST", "/messages/batch", &[JSON, "Content-Length: 32000"]));
            connection.send(&half);
            problem(&connection.reply(), 401, "credentials_missing");
            connection
        })
        .collect();
    // Then a long body of one who may call is read.
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    let messages: Vec<_> =
        (0..2).map(|_| json!({ "chat": den, "author": ann, "text": "x".repeat(15_000) })).collect();
    let reply = server.post("/messages/batch", &json!({ "messages": messages })).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    drop(stalled);
}

#[tokio::test]
async fn credentials_are_given_once() {
    let server = KeyedServer::start();
    let ann = server.add_user("ann").await;
    let key = format!("Authorization: Bearer {}", server.keys.server_key("backend"));
    let token = server.with(&server.keys.token(&ann)).post("/events/token", &json!({})).await.json();
    let token = token["token"].as_str().unwrap();
    let by_url = format!("GET /events?token={token}");
    for (call, headers, field) in [
        ("POST /users/list", &[&*key, &*key][..], "Authorization"),
        ("GET /metrics", &[&key, "authorization: Basic eDp5"], "Authorization"),
        (&by_url, &[&key], "token"),
        (&by_url, &["Authorization: x"], "token"),
        (&by_url, &["Authorization:"], "token"),
        (&format!("{by_url}&token={token}"), &[], "token"),
        (&format!("{by_url}&%74oken={token}"), &[], "token"),
    ] {
        let reply = send(&server, call, headers, "");
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some(field), "{call} {headers:?}");
        assert!(!reply.text.contains(token), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_can_see_its_refusal() {
    let page = "Origin: https://chat.example.com";
    let server = KeyedServer::start_with(&["--cors-origins", "https://chat.example.com"]);
    // A browser sends no credentials with a preflight.
    let asks = ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization"];
    let preflight = send(&server, "OPTIONS /messages/add", &[page, asks[0], asks[1]], "");
    assert_eq!(preflight.status, 200);
    assert_eq!(preflight.header("access-control-allow-origin"), "https://chat.example.com");
    assert!(preflight.header("access-control-allow-headers").contains("authorization"));
    assert!(!preflight.headers.contains_key("access-control-allow-credentials"), "there are no cookies");
    for (headers, code) in
        [(&[page][..], "credentials_missing"), (&[page, "Authorization: Bearer x"], "credentials_invalid")]
    {
        let reply = send(&server, "POST /messages/add", headers, "");
        problem(&reply, 401, code);
        assert_eq!(reply.header("access-control-allow-origin"), "https://chat.example.com");
        assert!(reply.header("access-control-expose-headers").contains("www-authenticate"));
    }
    let reply = send(&server, "POST /messages/add", &["Origin: https://evil.example"], "");
    problem(&reply, 401, "credentials_missing");
    assert!(!reply.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_head_is_admitted_as_its_get() {
    let server = KeyedServer::start();
    let ann = server.add_user("ann").await;
    let token = server.keys.token(&ann);
    for (path, client, status) in [
        ("/metrics", server.nobody(), 401),
        ("/metrics", server.with("wrong"), 401),
        ("/metrics", server.with(&token), 403),
        ("/metrics", server.with(server.keys.server_key("scraper")), 200),
        ("/events", server.nobody(), 401),
        ("/events", server.with(&server.keys.scoped(&ann, "write")), 403),
        ("/events", server.with(&token), 200),
        ("/health", server.nobody(), 200),
        ("/openapi.json", server.with("wrong"), 200),
        ("/users/add", server.nobody(), 405),
    ] {
        let reply = client.send(client.request("HEAD", path)).await;
        assert_eq!((reply.status.as_u16(), &*reply.text), (status, ""), "{path}");
        assert_eq!(reply.headers.contains_key("www-authenticate"), status == 401, "{path}");
    }
}
