//! Scrubs of a server that goes on serving

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{AT_ONCE, CANARY, holding, wait_until_scrubbed};
use crate::support::{TestServer, problem};

/// A server, a chat, and messages of which some are edited or deleted.
async fn talked(flags: &[&str]) -> (TestServer, String, String) {
    let server = TestServer::start_with(flags);
    let bob = server.add_user("bob").await;
    let den = server.add_chat("den", &[&bob]).await;
    for number in 1..=3 {
        let body = json!({ "chat": den, "author": bob, "text": format!("{CANARY} {number}") });
        server.post_under(&format!("k{number}"), "/messages/add", &body).await.json();
    }
    let batch = ["batch", "of two"]
        .map(|text| json!({ "chat": den, "author": bob, "text": format!("{CANARY} {text}") }));
    server.post_under("batch", "/messages/batch", &json!({ "messages": batch })).await.json();
    for seq in 1..=5 {
        let edit = json!({ "chat": den, "seq": seq, "text": format!("edited {seq}") });
        server.post("/messages/edit", &edit).await.json();
    }
    (server, den, bob)
}

#[tokio::test]
async fn what_was_replaced_leaves_the_disk_and_stays_away() {
    let (server, den, bob) = talked(&AT_ONCE).await;
    wait_until_scrubbed(&server.data).await;
    let shown = server.messages(&den).await;
    let texts: Vec<_> = shown.iter().map(|message| message["text"].as_str().expect("a text")).collect();
    assert_eq!(texts, ["edited 1", "edited 2", "edited 3", "edited 4", "edited 5"]);
    let revisions = |seq: u64| json!({ "chat": den, "seq": seq });
    // The log is scrubbed before the model forgets.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.list("/messages/revisions/get", &revisions(1)).await, Vec::<Value>::new());
    // A retry of a request that is forgotten is refused, and is no second write.
    let first = json!({ "chat": den, "author": bob, "text": format!("{CANARY} 1") });
    let position = server.position().await;
    problem(&server.post_under("k1", "/messages/add", &first).await, 422, "idempotency_key_reused");
    let batch = ["batch", "of two"]
        .map(|text| json!({ "chat": den, "author": bob, "text": format!("{CANARY} {text}") }));
    let batch = json!({ "messages": batch });
    problem(&server.post_under("batch", "/messages/batch", &batch).await, 422, "idempotency_key_reused");
    assert_eq!(server.position().await, position);
    // So it is after a restart.
    let server = server.kill().restart();
    assert_eq!(server.messages(&den).await, shown);
    problem(&server.post_under("k1", "/messages/add", &first).await, 422, "idempotency_key_reused");
    assert_eq!(server.list("/messages/revisions/get", &revisions(1)).await, Vec::<Value>::new());
    assert!(holding(CANARY, &server.data).is_empty());
}

#[tokio::test]
async fn what_is_kept_longer_stays_until_it_is_erased() {
    let (server, den, _) = talked(&["--scrub-every-s", "1"]).await;
    server.post("/messages/delete", &json!({ "chat": den, "seq": 1 })).await.done();
    // What is erased goes at once, and nothing else does.
    server.post("/messages/delete", &json!({ "chat": den, "seq": 2, "erase": true })).await.done();
    let is_gone = |text: &str| holding(text, &server.data).is_empty();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_gone(&format!("{CANARY} 2")) || !is_gone("edited 2") {
        assert!(Instant::now() < deadline, "still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for kept in ["CANARY 1", "edited 1", "CANARY 3", "CANARY batch"] {
        assert!(!is_gone(kept), "{kept}");
    }
    let revisions = |seq: u64| json!({ "chat": den, "seq": seq });
    assert_eq!(server.list("/messages/revisions/get", &revisions(1)).await.len(), 2);
    assert_eq!(server.list("/messages/revisions/get", &revisions(2)).await.len(), 0);
}

#[tokio::test]
async fn scrubs_are_seen_in_metrics() {
    let (server, den, _) = talked(&AT_ONCE).await;
    server.post("/messages/delete", &json!({ "chat": den, "seq": 1, "erase": true })).await.done();
    let metrics = async || server.get("/metrics").await.text;
    let value = |metrics: &str, name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} "))).expect(name);
        line.rsplit_once(' ').and_then(|(_, value)| value.parse::<f64>().ok()).expect("a number")
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let metrics = metrics().await;
        if value(&metrics, "chinwag_erasures_due") == 0.0 {
            assert_eq!(holding(CANARY, &server.data), Vec::<String>::new());
            assert!(value(&metrics, "chinwag_scrubs_total") >= 1.0);
            assert!(value(&metrics, "chinwag_scrubbed_segments_total") >= 1.0);
            assert!(value(&metrics, "chinwag_scrubbed_bytes_total") > 0.0);
            assert!(value(&metrics, "chinwag_scrub_last_success_timestamp_seconds") > 1.0e9);
            assert!(value(&metrics, "chinwag_scrub_failures_total") == 0.0);
            return;
        }
        assert!(Instant::now() < deadline, "{metrics}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
