//! Logs of every version of the format are readable for ever: each has a directory here, written by the
//! release that brought it, and what its reads answered then.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Client, Reply, TestServer};

/// The version that this release writes.
const WRITTEN: u32 = 1;
/// Every version that it reads.
const READ: [u32; 1] = [1];

fn fixture(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/old_logs/{version}"))
}

#[tokio::test]
async fn old_logs_read_as_when_written() {
    for version in READ {
        let dir = fixture(version);
        let server = TestServer::start_on_copy_of(&dir.join("data"));
        let expected = std::fs::read_to_string(dir.join("answers.json")).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        assert_eq!(answers(&server, &expected["names"]).await, expected["reads"], "version {version}");
        let retried = keyed_message(&server, &expected["names"]).await;
        assert_eq!(retried.json(), expected["keyed"], "version {version}");
        assert_eq!(retried.header("idempotent-replayed"), "true");
    }
}

/// Returns the answers of every read.
async fn answers(client: &Client, names: &Value) -> Value {
    let mut reads = json!({ "health": client.get("/health").await.json() });
    for (name, id) in names.as_object().unwrap() {
        reads[name] = match name.split_once(' ').unwrap().0 {
            "user" => json!({
                "user": client.post("/users/get", &json!({ "user": id })).await.json(),
                "chats": client.chats(id.as_str().unwrap()).await,
            }),
            _ => json!(client.messages(id.as_str().unwrap()).await),
        };
    }
    reads
}

async fn keyed_message(client: &Client, names: &Value) -> Reply {
    let body = json!({ "chat": names["chat tea"], "author": names["user ann"], "text": "under a key" });
    let request = client.request("POST", "/messages/add").header("content-type", "application/json");
    client.send(request.header("idempotency-key", "old-key").body(body.to_string())).await
}

/// Writes the fixture of this version. It is run once for each version of the format, by the release that
/// introduces it, and its files are never written again.
#[tokio::test]
#[ignore = "writes the fixture of a new version of the format"]
async fn write_the_fixture() {
    let dir = fixture(WRITTEN);
    assert!(!dir.exists(), "{} already exists, and is not changed", dir.display());
    let server = TestServer::start();
    let (ann, bob, cid) =
        (server.add_user("ann").await, server.add_user("bob").await, server.add_user("cíd").await);
    let tea = server.add_chat("tea", &[&ann, &bob]).await;
    let den = server.add_chat("den", &[&cid]).await;
    let names =
        json!({ "user ann": ann, "user bob": bob, "user cíd": cid, "chat tea": tea, "chat den": den });
    for number in 0..600 {
        let author = if number % 3 == 0 { &bob } else { &ann };
        server.add_message(&tea, author, &format!("{number} \0\u{1f}é🦀 {}", "x".repeat(number % 90))).await;
    }
    let keyed = keyed_message(&server, &names).await;
    assert_eq!(keyed.status, 201);
    for (path, body) in [
        ("/chats/users/add", json!({ "chat": tea, "user": cid })),
        ("/chats/read", json!({ "chat": tea, "user": cid, "seq": 450 })),
        ("/chats/read", json!({ "chat": tea, "user": bob, "seq": 599 })),
        ("/chats/users/remove", json!({ "chat": tea, "user": ann })),
        ("/chats/users/remove", json!({ "chat": den, "user": cid })),
    ] {
        assert_eq!(server.post(path, &body).await.status, 204, "{path}");
    }
    let unchanged = server.request("POST", "/chats/users/add").header("content-type", "application/json");
    let unchanged =
        unchanged.header("idempotency-key", "no-op").body(json!({ "chat": tea, "user": cid }).to_string());
    assert_eq!(server.send(unchanged).await.status, 204);

    let reads = answers(&server, &names).await;
    let (stopped, _) = server.terminate();
    std::fs::create_dir_all(dir.join("data")).unwrap();
    assert!(stopped.segments().len() > 1, "several segments");
    for segment in stopped.segments() {
        std::fs::copy(&segment, dir.join("data").join(segment.file_name().unwrap())).unwrap();
    }
    let answers = json!({ "names": names, "keyed": keyed.json(), "reads": reads });
    std::fs::write(dir.join("answers.json"), serde_json::to_string_pretty(&answers).unwrap()).unwrap();
}
