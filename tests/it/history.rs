//! A position is good only in the history that it comes from: a log that was restored from an older copy goes
//! on with other events at the same positions.

use serde_json::{Value, json};

use crate::support::TestServer;

/// A server on a log that was restored from a copy with 5 events, and a user and a chat of it.
struct Restored {
    server: TestServer,
    ann: String,
    tea: String,
    /// The id of an event in the part that both histories have.
    common: String,
    /// The id of an event of the former history only.
    former: String,
}

async fn restored() -> Restored {
    let server = TestServer::start();
    let ann = server.add_user("ann").await;
    let tea = server.add_chat("tea", &[&ann]).await;
    let mut stream = server.follow(&ann, Some(0)).await;
    for number in 3..=5 {
        server.add_message(&tea, &ann, &format!("{number}")).await;
    }
    assert_eq!(stream.take_events(4).await.last().unwrap().id, 5);
    let common = stream.last_id.clone();
    let restored = TestServer::start_on_copy_of(&server.data);
    for number in 6..=8 {
        server.add_message(&tea, &ann, &format!("{number}")).await;
    }
    assert_eq!(stream.take_events(3).await.last().unwrap().id, 8);
    let former = stream.last_id.clone();
    Restored { server: restored, ann, tea, common, former }
}

async fn health(server: &TestServer) -> Value {
    server.get("/health").await.json()
}

#[tokio::test]
async fn an_id_of_another_history_is_reset() {
    let Restored { server, ann, tea, former, .. } = restored().await;
    for written in [0, 1, 2] {
        // Beyond the end of the restored log, and before its end.
        for _ in 0..written {
            server.add_message(&tea, &ann, "anew").await;
        }
        let position = health(&server).await["position"].clone();
        let mut stream = server.resume(&ann, &former).await;
        let reset = stream.next().await.unwrap();
        assert_eq!((reset.kind.as_str(), reset.data), ("reset", json!({ "position": position })));
        // From there on the stream goes on live, and its ids are good.
        server.add_message(&tea, &ann, "live").await;
        assert_eq!(stream.next().await.unwrap().data["text"], "live");
        let mut resumed = server.resume(&ann, &stream.last_id).await;
        server.add_message(&tea, &ann, "again").await;
        assert_eq!(resumed.next().await.unwrap().data["text"], "again");
    }
}

#[tokio::test]
async fn an_id_of_both_histories_leaves_no_gap() {
    let Restored { server, ann, tea, common, .. } = restored().await;
    server.add_message(&tea, &ann, "anew").await;
    let mut stream = server.resume(&ann, &common).await;
    let event = stream.next().await.unwrap();
    assert_eq!((event.id, event.kind.as_str(), &event.data["text"]), (6, "message", &json!("anew")));
}

#[tokio::test]
async fn position_0_is_of_every_history() {
    let Restored { server, ann, .. } = restored().await;
    assert_eq!(server.resume(&ann, "0-0").await.next().await.unwrap().kind, "chat");
    assert_eq!(server.resume(&ann, "0-00000000000000ab").await.next().await.unwrap().kind, "reset");
}

#[tokio::test]
async fn each_start_begins_an_epoch_of_the_same_log() {
    let server = TestServer::start();
    server.add_user("ann").await;
    let first = health(&server).await;
    let second = health(&server.kill().restart()).await;
    assert_eq!(first["log"].as_str().map(str::len), Some(36));
    assert_eq!(first["log"], second["log"]);
    assert_eq!(first["epoch"].as_str().map(str::len), Some(16));
    assert_ne!(first["epoch"], second["epoch"]);
}
