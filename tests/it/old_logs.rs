//! Logs of every version of the format are readable for ever: each has a directory here, written by the
//! release that brought it, and what its reads answered then. So has a log that went on from one version to
//! the next, one with actors and revocations, and one with everything that changes messages, chats and users.

mod changes;

use std::path::{Path, PathBuf};

use chinwag::domain::{Actor, ChatId, ChatName, Command, NewMessage, Seq, Text, UserId};
use chinwag::model::{Outcome, Receipt};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Client, Reply, TestEngine, TestServer, add_user, segments, server_key};

/// The version that this release writes.
const WRITTEN: &str = "2";
/// A log of the version before, which this release has continued.
const CONTINUED: (&str, &str) = ("1", "1-2");
/// A log of the second version with every kind of actor, and with revocations.
const WITH_ACTORS: &str = "2-actors";
/// A log of the second version with every event that changes a message, a chat or a user.
const WITH_CHANGES: &str = "2-changes";
/// Every version that this release reads, and the other logs.
const READ: [&str; 5] = ["1", "2", "1-2", WITH_ACTORS, WITH_CHANGES];

/// Number of events that the continued log had before.
const OLD_EVENTS: u64 = 612;

fn fixture(version: &str) -> PathBuf {
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
    let health = client.get("/health").await.json();
    let mut reads = json!({ "health": { "status": health["status"], "position": health["position"] } });
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

#[tokio::test]
async fn an_event_of_an_old_log_is_resumed_from() {
    for version in READ {
        let server = TestServer::start_on_copy_of(&fixture(version).join("data"));
        let bob = names(version)["user bob"].as_str().unwrap().to_owned();
        let mut stream = server.follow(&bob, Some(0)).await;
        stream.take_events(100).await;
        let id = stream.last_id.clone();
        assert_eq!(id.ends_with("-0"), version.starts_with('1'), "{version}: {id}");
        let mut resumed = server.resume(&bob, &id).await;
        assert_eq!(resumed.take_events(10).await, stream.take_events(10).await, "{version}");
    }
}

#[tokio::test]
async fn an_event_behind_an_old_log_has_an_epoch() {
    let server = TestServer::start_on_copy_of(&fixture(CONTINUED.1).join("data"));
    let mut stream =
        server.resume(names(CONTINUED.1)["user bob"].as_str().unwrap(), &format!("{OLD_EVENTS}-0")).await;
    assert_eq!(stream.next().await.unwrap().id, OLD_EVENTS + 1);
    assert!(!stream.last_id.ends_with("-0"), "{}", stream.last_id);
}

fn names(version: &str) -> Value {
    let answers = std::fs::read_to_string(fixture(version).join("answers.json")).unwrap();
    serde_json::from_str::<Value>(&answers).unwrap()["names"].take()
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

    write(&dir, server, &names, &keyed.json(), json!({})).await;
}

/// Writes the fixture of a log of the version before that this release has continued.
#[tokio::test]
#[ignore = "writes the fixture of a log that went on to a new version of the format"]
async fn write_the_continued_fixture() {
    let (dir, old) = (fixture(CONTINUED.1), fixture(CONTINUED.0));
    assert!(!dir.exists(), "{} already exists, and is not changed", dir.display());
    let server = TestServer::start_on_copy_of(&old.join("data"));
    let names = names(CONTINUED.0);
    for number in 0..20 {
        let (tea, bob) = (names["chat tea"].as_str().unwrap(), names["user bob"].as_str().unwrap());
        server.add_message(tea, bob, &format!("{number} continued")).await;
    }
    let keyed = keyed_message(&server, &names).await.json();
    write(&dir, server, &names, &keyed, json!({})).await;
}

/// The time from which Ann's tokens are good in the log with actors.
const TOKENS_FROM: u64 = 1_795_446_257;

/// Ann sends this under the key that a server key used for another message.
fn of_ann(names: &Value) -> (Actor<'static>, Command) {
    let ann: UserId = names["user ann"].as_str().unwrap().parse().unwrap();
    let chat: ChatId = names["chat tea"].as_str().unwrap().parse().unwrap();
    (Actor::User(ann), message(chat, ann, "under her own key"))
}

fn message(chat: ChatId, author: UserId, text: &str) -> Command {
    Command::AddMessage(NewMessage {
        chat,
        author,
        text: Text::try_from(text.to_owned()).unwrap(),
        with: None,
    })
}

#[tokio::test]
async fn an_old_log_keeps_keys_of_users_and_revocations() {
    let dir = TempDir::new().unwrap();
    for segment in segments(&fixture(WITH_ACTORS).join("data")) {
        std::fs::copy(&segment, dir.path().join(segment.file_name().unwrap())).unwrap();
    }
    let server = TestEngine::start_at(dir);
    let names = names(WITH_ACTORS);
    let (ann, command) = of_ann(&names);
    let retried = server.submit_keyed("old-key", command, ann).await.unwrap();
    assert!(retried.replayed, "{retried:?}");
    let user = names["user ann"].as_str().unwrap().parse().unwrap();
    let revoke = Command::RevokeTokens { user, from: 1 };
    let retried = server.submit_keyed("revoke", revoke, server_key("other")).await.unwrap();
    let Receipt { outcome, .. } = retried.receipt;
    assert_eq!((retried.replayed, outcome), (true, Outcome::TokensFrom(TOKENS_FROM - 1)));
    server.engine.read(|model| {
        assert_eq!((model.tokens_from(model.user(user).unwrap()), model.revocations()), (TOKENS_FROM, 2));
    });
}

/// Writes the fixture of a log with actors.
#[tokio::test]
#[ignore = "writes the fixture of a log with actors"]
async fn write_the_fixture_with_actors() {
    let dir = fixture(WITH_ACTORS);
    assert!(!dir.exists(), "{} already exists, and is not changed", dir.display());
    let server = TestEngine::start();
    let backend = || server_key("backend");
    let added = async |command, by| match server.submit(command, by).await {
        Outcome::User(id) => id.to_string(),
        Outcome::Chat(id) => id.to_string(),
        other @ (Outcome::Message(_)
        | Outcome::Messages(_)
        | Outcome::TokensFrom(_)
        | Outcome::ExistingChat(_)
        | Outcome::EditedAt(_)
        | Outcome::Done) => panic!("neither a user nor a chat: {other:?}"),
    };
    let user = |id: &str| id.parse::<UserId>().unwrap();
    let by = |id: &str| Actor::User(user(id));
    let chat = |name: &str, users: &[&String]| Command::AddChat {
        name: Some(ChatName::try_from(name.to_owned()).unwrap()),
        users: users.iter().map(|id| user(id)).collect(),
    };
    let ann = added(add_user("ann"), backend()).await;
    let bob = added(add_user("bob"), Actor::Unknown).await;
    let cid = added(add_user("cíd"), server_key("cron.2_eu-west")).await;
    let tea = added(chat("tea", &[&ann, &bob]), by(&ann)).await;
    let den = added(chat("den", &[&cid]), backend()).await;
    let names =
        json!({ "user ann": ann, "user bob": bob, "user cíd": cid, "chat tea": tea, "chat den": den });
    let chat: ChatId = tea.parse().unwrap();
    let actors = [Actor::Unknown, backend(), server_key("cron.2_eu-west"), by(&ann), by(&bob), by(&cid)];
    // Ten at a time, so that several actors are in one frame.
    for tens in 0..60 {
        let messages = (10 * tens..10 * tens + 10).map(|number| {
            let author = if number % 4 == 0 { &bob } else { &ann };
            let text = format!("{number} \0\u{1f}é🦀 {}", "x".repeat(number % 90));
            server.submit(message(chat, user(author), &text), actors[number % actors.len()].clone())
        });
        futures_util::future::join_all(messages).await;
    }
    server.submit_keyed("old-key", message(chat, user(&ann), "under a key"), backend()).await.unwrap();
    let (by_ann, command) = of_ann(&names);
    server.submit_keyed("old-key", command, by_ann).await.unwrap();
    let add = Command::AddMember { chat, user: user(&cid) };
    server.submit(add.clone(), by(&ann)).await;
    server.submit_keyed("no-op", add.clone(), by(&bob)).await.unwrap();
    server.submit_keyed("no-op", add, Actor::Unknown).await.unwrap();
    server.submit(Command::MarkRead { chat, user: user(&bob), seq: Seq(399) }, by(&bob)).await;
    server.submit(Command::MarkRead { chat, user: user(&cid), seq: Seq(300) }, backend()).await;
    server.submit(Command::RemoveMember { chat, user: user(&ann) }, by(&ann)).await;
    server.submit(Command::RemoveMember { chat, user: user(&cid) }, by(&bob)).await;
    let revoke = Command::RevokeTokens { user: user(&ann), from: TOKENS_FROM - 1 };
    server.submit_keyed("revoke", revoke.clone(), backend()).await.unwrap();
    server.submit(revoke, Actor::Unknown).await;

    let server = TestServer::start_on_copy_of(server.stop().await.path());
    let keyed = keyed_message(&server, &names).await;
    assert_eq!(keyed.header("idempotent-replayed"), "true");
    write(&dir, server, &names, &keyed.json(), json!({})).await;
}

/// Writes a log and what its reads answer, and `more` that a test of its own compares.
async fn write(dir: &Path, server: TestServer, names: &Value, keyed: &Value, more: Value) {
    let reads = answers(&server, names).await;
    let (stopped, _) = server.terminate();
    std::fs::create_dir_all(dir.join("data")).unwrap();
    assert!(stopped.segments().len() > 1, "several segments");
    for segment in stopped.segments() {
        std::fs::copy(&segment, dir.join("data").join(segment.file_name().unwrap())).unwrap();
    }
    let mut answers = json!({ "names": names, "keyed": keyed, "reads": reads });
    answers.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    std::fs::write(dir.join("answers.json"), serde_json::to_string_pretty(&answers).unwrap()).unwrap();
}
