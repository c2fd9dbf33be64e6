//! Secrets are in the hands of their owners alone: not in logs, answers, metrics, or the log of events.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fresh_address;
use crate::support::keyed::{b64, now_s, replace};
use crate::support::{Client, KeyedServer, Keyring, RawConnection, binary, head, run_to_end};

/// Begins a secret that the server reads from a file.
const CANARY: &str = "CANARYCANARYCANARYCANARYCANARYCANARYCANARYA";

/// Secrets, as text or as bytes.
#[derive(Default)]
struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    /// Adds a secret, of which no half may be seen either.
    fn add(&mut self, secret: impl AsRef<[u8]>) {
        let secret = secret.as_ref();
        let half = secret.len() / 2;
        assert!(half >= 16, "too short to be found by accident");
        self.0.extend([secret[..half].to_vec(), secret[half..].to_vec()]);
    }

    #[track_caller]
    fn assert_absent(&self, place: &str, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        for secret in &self.0 {
            let found = bytes.windows(secret.len()).any(|window| window == &secret[..]);
            let shown = String::from_utf8_lossy(secret);
            assert!(!found, "{place} shows {shown}: {}", String::from_utf8_lossy(bytes));
        }
    }
}

/// Sends a request, and checks its whole answer. Of a stream, only the head is read.
async fn check(secrets: &Secrets, what: &str, request: RequestBuilder) -> u16 {
    let response = request.header("x-forwarded-for", fresh_address()).send().await.expect("answered");
    let status = response.status().as_u16();
    secrets.assert_absent(what, format!("{:?}", response.headers()));
    if response.headers()["content-type"] != "text/event-stream; charset=utf-8" {
        secrets.assert_absent(what, response.bytes().await.expect("whole"));
    }
    status
}

#[tokio::test]
async fn no_secret_is_shown_anywhere() {
    let dir = TempDir::new().unwrap();
    let secret_file = dir.path().join("secret");
    fs::write(&secret_file, CANARY).unwrap();
    let server = KeyedServer::start_with(&["--log", "trace", "--secret", secret_file.to_str().unwrap()]);
    let (ann, bob, keys) = (server.add_user("ann").await, server.add_user("bob").await, &server.keys);
    let den = server.add_chat("den", &[&ann, &bob]).await;

    // Given all that the server knows or is sent, good and bad,
    let mut secrets = Secrets::default();
    secrets.add(CANARY);
    for name in ["backend", "reader", "scraper", "former"] {
        secrets.add(keys.server_key(name));
    }
    for line in keys.api_keys().lines() {
        secrets.add(line.split(' ').nth(2).unwrap());
    }
    let jwks = keys.token_keys();
    for (at, member) in [(0, "k"), (1, "x"), (2, "x"), (3, "n")] {
        secrets.add(jwks["keys"][at][member].as_str().unwrap());
    }
    let stranger = Keyring::new();
    let wrong_key = stranger.server_key("backend").to_owned();
    let expired = keys.token_with(&ann, json!({ "iat": now_s() - 900, "exp": now_s() - 600 }));
    let tokens =
        [keys.token(&ann), keys.scoped(&ann, "chats"), stranger.token(&ann), expired, keys.token(&bob)];
    let claims_of_no_token = b64(format!("{{\"sub\":\"{CANARY}\"}}"));
    for token in &tokens {
        secrets.add(token.rsplit_once('.').unwrap().1);
        secrets.add(token.split('.').nth(1).unwrap());
    }
    secrets.add(&claims_of_no_token);
    secrets.add(&wrong_key);
    let bought = server.with(&tokens[0]).post("/events/token", &json!({})).await.json();
    let bought = bought["token"].as_str().unwrap().to_owned();
    secrets.add(bought.strip_prefix("cwe_").unwrap());

    // when callers of every kind make calls of every kind,
    let malformed = format!("a.{claims_of_no_token}.c");
    let backend = keys.server_key("backend");
    let credentials = [backend, keys.server_key("reader"), keys.server_key("former"), &wrong_key, &malformed]
        .into_iter()
        .chain(tokens.iter().map(String::as_str))
        .chain([&*bought]);
    let mut statuses = Vec::new();
    let post = |client: &Client, path: &str, body: Value| client.json_request(path).body(body.to_string());
    for credential in credentials {
        let client = server.with(credential);
        for request in [
            post(&client, "/messages/add", json!({ "chat": den, "author": ann, "text": "a" })),
            post(&client, "/messages/add", json!({ "chat": den, "author": ann, "text": "" })),
            post(&client, "/messages/batch", json!({})),
            post(&client, "/chats/get", json!({ "user": ann })),
            post(&client, "/chats/show", json!({ "chat": ann })),
            post(&client, "/users/add", json!({ "username": "ann" })).header("idempotency-key", "k"),
            client.request("GET", "/metrics"),
            client.request("GET", "/health"),
            client.request("PUT", "/health"),
            client.request("GET", "/nothing"),
            client.request("GET", "/events").header("authorization", "twice"),
            client.request("GET", &format!("/events?token={credential}")),
            client.bearing(None).request("GET", &format!("/events?token={credential}")),
            client.bearing(None).request("GET", &format!("/events?token={credential}&token=x&after=x")),
            client.bearing(None).request("GET", &format!("/events?token={credential}&after=x")),
            client.bearing(None).request("GET", &format!("/health?token={credential}")),
            client.bearing(None).request("GET", &format!("/nothing?token={credential}")),
            client.bearing(None).request("PUT", &format!("/metrics?token={credential}")),
        ] {
            statuses.push(check(&secrets, "an answer", request).await);
        }
        // Some are slowed, and some are no requests.
        let guess = head("GET", "/metrics", &[&format!("Authorization: Bearer {credential}x")]).into_bytes();
        for reply in RawConnection::open(&server.server.address).pipeline(&vec![guess; 20]) {
            statuses.push(reply.status.as_u16());
            secrets.assert_absent("an answer", reply.text);
        }
        let mut broken = RawConnection::open(&server.server.address);
        broken.send(head("GET", "/metrics", &[&format!("Authorization: Bearer {credential}\0")]));
        secrets.assert_absent("an answer", broken.rest());
    }
    for status in [200, 201, 400, 401, 403, 404, 405, 409, 429] {
        assert!(statuses.contains(&status), "{status} is one of the answers");
    }
    server.post("/users/tokens/revoke", &json!({ "user": bob })).await;
    check(&secrets, "an answer", server.with(&tokens[4]).request("GET", "/events")).await;

    // and bad files are read again,
    reload_bad_files(&server, backend, &tokens[0]).await;
    check(&secrets, "the metrics", server.with(keys.server_key("scraper")).request("GET", "/metrics")).await;

    // then no secret is in what the server logs, in what it stores, and in what the tools show of that.
    let (dir, ended) = server.terminate();
    assert_eq!(ended.code, Some(0));
    for logged in ["the keys of a file stay as they were", "is ignored", "answered"] {
        assert!(ended.stderr.contains(logged), "{logged} is logged");
    }
    secrets.assert_absent("the server's log", &ended.stderr);
    let data = dir.path().join("data");
    for entry in fs::read_dir(&data).unwrap() {
        let file = entry.unwrap().path();
        secrets.assert_absent(&file.display().to_string(), fs::read(&file).unwrap());
    }
    for tool in [&["export"][..], &["log", "dump"], &["log", "verify"]] {
        let output = binary().args(tool).arg("--data").arg(&data).args(["--log", "trace"]).output().unwrap();
        assert!(output.status.success(), "{tool:?}");
        secrets.assert_absent("a tool", output.stdout);
        secrets.assert_absent("a tool", output.stderr);
    }
}

/// Lets the server read bad files of keys, and at last one with a key that it ignores.
async fn reload_bad_files(server: &KeyedServer, key: &str, token: &str) {
    let (api_keys, token_keys) = (server.api_keys_file(), server.token_keys_file());
    let jwks = server.keys.token_keys().to_string();
    for (file, content) in [
        (&api_keys, format!("{}backend all {key}\n", server.keys.api_keys())),
        (&api_keys, format!("{CANARY}\n")),
        (&token_keys, jwks.replace("\"kid\":\"p256\"", &format!("\"kid\":[\"{CANARY}\"]"))),
        (&token_keys, jwks.replace("\"AQAB\"", &format!("\"{CANARY}!\""))),
    ] {
        let good = fs::read_to_string(file).unwrap();
        assert_ne!(content, good);
        for (content, is_stale) in [(content, true), (good, false)] {
            replace(file, &content);
            server.server.signal(Signal::HUP);
            until(async || are_keys_stale(server).await == is_stale).await;
        }
    }
    replace(&token_keys, &jwks.replace("OKP", CANARY));
    server.server.signal(Signal::HUP);
    until(async || server.with(token).post("/chats/get", &json!({})).await.status == 401).await;
}

async fn are_keys_stale(server: &KeyedServer) -> bool {
    let scraper = server.with(server.keys.server_key("scraper"));
    scraper.get("/metrics").await.text.contains("\nchinwag_keys_stale 1\n")
}

/// Waits until this is so.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < deadline, "it is never so");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs a server that cannot start with this file, and checks what it says.
fn check_bad_start(secrets: &Secrets, dir: &Path, flag: &str, content: &str) {
    let (file, good) = (dir.join("file"), dir.join("good"));
    fs::write(&file, content).unwrap();
    fs::write(&good, "# nobody\n").unwrap();
    let mut command = binary();
    command.args(["serve", "--listen", "127.0.0.1:0", "--ephemeral", "--log", "trace"]);
    command.arg(flag).arg(&file);
    if flag == "--secret" {
        command.arg("--api-keys").arg(&good);
    }
    let ended = run_to_end(&mut command);
    assert_eq!(ended.code, Some(2), "{flag}: {}", ended.stderr);
    assert!(ended.stderr.contains(flag) && ended.stderr.contains(file.to_str().unwrap()), "{}", ended.stderr);
    secrets.assert_absent(flag, ended.stderr);
}

#[test]
fn a_bad_file_at_the_start_is_not_quoted() {
    let dir = TempDir::new().unwrap();
    let mut secrets = Secrets::default();
    let keys = Keyring::new();
    let key = keys.server_key("backend");
    secrets.add(CANARY);
    secrets.add(key);
    for content in [
        format!("backend all {key}\n"),
        format!("{key}\n"),
        format!("backend all {CANARY}{}\n", "0".repeat(21)),
        format!("{CANARY} all {}\n", "0".repeat(64)),
    ] {
        check_bad_start(&secrets, dir.path(), "--api-keys", &content);
    }
    for content in [
        format!("{{\"keys\":[{{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"{CANARY}!\"}}]}}"),
        format!("{{\"keys\":[{{\"kty\":\"oct\",\"k\":{{\"{CANARY}\":1}}}}]}}"),
        format!("{{\"keys\":[{{\"kty\":\"oct\",\"k\":\"{CANARY}"),
        CANARY.to_owned(),
    ] {
        check_bad_start(&secrets, dir.path(), "--token-keys", &content);
    }
    check_bad_start(&secrets, dir.path(), "--secret", &CANARY[..31]);
}
