//! `kill -9` while the log is scrubbed

use std::time::Duration;

use serde_json::json;

use super::{AT_ONCE, CANARY, holding, wait_until_scrubbed};
use crate::support::TestServer;

/// Rounds of the test, each of which ends with a kill.
const ROUNDS: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_scrub_loses_nothing_and_the_next_one_finishes() {
    let flags = [&AT_ONCE[..4], &["--scrub-mib-per-s", "8", "--segment-bytes", "64KiB"]].concat();
    let mut server = TestServer::start_with(&flags);
    let bob = server.add_user("bob").await;
    let den = server.add_chat("den", &[&bob]).await;
    for round in 0..ROUNDS {
        let messages: Vec<_> = (0..200)
            .map(|number| {
                let text = if number % 2 == 0 { CANARY } else { "kept" };
                json!({ "chat": den, "author": bob, "text": format!("{text} {round} {number} {}", "x".repeat(1_000)) })
            })
            .collect();
        let sent = server.post("/messages/batch", &json!({ "messages": messages })).await;
        assert_eq!(sent.status, 201);
        let first = round * 200 + 1;
        for seq in (first..first + 200).step_by(2) {
            let erase = seq % 4 == 1;
            let body = json!({ "chat": den, "seq": seq, "erase": erase });
            server.post("/messages/delete", &body).await.done();
        }
        // The scrub of the next second is somewhere in the middle.
        tokio::time::sleep(Duration::from_millis(900 + 60 * round)).await;
        server = server.kill().restart();
        let messages = server.messages(&den).await;
        assert_eq!(messages.len() as u64, (round + 1) * 200);
        for (index, message) in messages.iter().enumerate() {
            let text = message["text"].as_str().expect("a text");
            assert!(if index % 2 == 0 { text.is_empty() } else { text.starts_with("kept") }, "{message}");
        }
    }
    wait_until_scrubbed(&server.data).await;
    let server = server.kill().restart();
    assert!(holding(CANARY, &server.data).is_empty());
    assert_eq!(server.messages(&den).await.len() as u64, ROUNDS * 200);
}
