//! Who made a write: the log says so, `dump` and `export` show it, and nothing else does.

use serde_json::{Value, json};

use super::fixture::{API_KEYS, KeyFiles, line, open, server_key, token};
use crate::support::{TestServer, binary, exported, imported};

/// Returns what a tool prints about a log.
fn printed(words: &[&str], data: &std::path::Path) -> String {
    let output = binary().args(words).arg("--data").arg(data).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn by(lines: &str) -> Vec<Value> {
    let event = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["by"].clone();
    lines.lines().map(event).collect()
}

#[tokio::test]
async fn the_log_names_who_made_a_write() {
    let keys = KeyFiles::new();
    keys.write(API_KEYS, &(line("backend", "all", 1) + &line("night-job", "all", 2)));
    // Given events from before the server had keys,
    let data = keys.path("data");
    let server = TestServer::start_at(&data, &[]);
    let ann = server.add_user("ann").await;
    server.terminate();
    // And writes by two server keys and by a user.
    let flags = keys.flags();
    let server = TestServer::start_at(&data, &flags.iter().map(String::as_str).collect::<Vec<_>>());
    let backend = server.bearing(Some(&server_key(1)));
    let mut stream = open(&backend, "/events").await;
    let bob = backend.add_user("bob").await;
    let den = server.bearing(Some(&server_key(2))).add_chat("den", &[&ann, &bob]).await;
    let page = server.bearing(Some(&token(&ann)));
    let mut replies = vec![
        page.post("/messages/add", &json!({ "chat": den, "text": "hello" })).await,
        page.post("/chats/read", &json!({ "chat": den, "seq": 1 })).await,
        page.post_under("k", "/chats/read", &json!({ "chat": den, "seq": 1 })).await,
        backend.post("/users/tokens/revoke", &json!({ "user": bob })).await,
    ];
    // Then dump and export name them,
    let expected = [
        Value::Null,
        json!({ "key": "backend" }),
        json!({ "key": "night-job" }),
        json!({ "user": ann }),
        json!({ "user": ann }),
        json!({ "user": ann }),
        json!({ "key": "backend" }),
    ];
    let lines = printed(&["export"], &data);
    assert_eq!(by(&lines), expected);
    assert_eq!(by(&printed(&["log", "dump"], &data)), expected);
    // And no answer and no stream does.
    for (path, body) in [
        ("/users/get", json!({ "user": ann })),
        ("/users/list", json!({})),
        ("/chats/get", json!({ "user": ann })),
        ("/chats/show", json!({ "chat": den })),
        ("/messages/get", json!({ "chat": den })),
    ] {
        replies.push(backend.post(path, &body).await);
    }
    for reply in replies {
        assert!(reply.status.is_success(), "{reply:?}");
        for name in ["\"by\"", "night-job", "backend"] {
            assert!(!reply.text.contains(name), "{reply:?}");
            assert!(!format!("{:?}", reply.headers).contains(name), "{reply:?}");
        }
    }
    for event in stream.take_events(4).await {
        assert!(!event.data.to_string().contains("\"by\""), "{event:?}");
    }
    assert!(!backend.get("/metrics").await.text.contains("night-job"));
    // And an import keeps them.
    let copy = imported(&lines);
    assert_eq!(exported(copy.path()), lines);
}

#[tokio::test]
async fn a_user_retries_a_write_over_a_restart() {
    let keys = KeyFiles::new();
    let server = keys.start(&[]);
    let backend = server.bearing(Some(&server_key(1)));
    let (ann, bob) = (backend.add_user("ann").await, backend.add_user("bob").await);
    let den = backend.add_chat("den", &[&ann, &bob]).await;
    let body = json!({ "chat": den, "text": "hello" });
    let first = server.bearing(Some(&token(&ann))).post_under("k", "/messages/add", &body).await;
    assert_eq!((first.status.as_u16(), first.is_replayed()), (201, false));
    let server = server.kill().restart();
    // With another token, and with the author written out, it is the same write.
    let page = server.bearing(Some(&token(&ann)));
    for author in [Value::Null, json!(ann)] {
        let body = json!({ "chat": den, "text": "hello", "author": author });
        let again = page.post_under("k", "/messages/add", &body).await;
        assert!(again.is_replayed());
        assert_eq!((again.text.as_str(), again.position()), (first.text.as_str(), first.position()));
    }
    // Another user's key of the same name is another one, and so is the server's.
    let other = server.bearing(Some(&token(&bob))).post_under("k", "/messages/add", &body).await;
    assert_eq!((other.status.as_u16(), other.is_replayed()), (201, false));
    let body = json!({ "chat": den, "text": "hello", "author": ann });
    let servers = server.bearing(Some(&server_key(1))).post_under("k", "/messages/add", &body).await;
    assert_eq!((servers.status.as_u16(), servers.is_replayed()), (201, false));
    let seqs = [&first, &other, &servers].map(|reply| reply.json()["seq"].as_u64());
    assert_eq!(seqs, [Some(1), Some(2), Some(3)]);
}
