//! A log that is ahead of the system's clock, as one is if it was imported, or if the clock was set back.

use serde_json::json;

use crate::observed::sample;
use crate::support::TestServer;
use crate::tools::import_allowing_future;

#[tokio::test]
async fn a_log_ahead_of_the_clock_is_reported() {
    const CENTURY_S: u64 = 100 * 365 * 24 * 60 * 60;
    let dir = tempfile::tempdir().unwrap();
    let last = "9998-12-31T23:59:59.999998Z";
    let line = json!({ "op": "message", "chat": "tea", "user": "ann", "time": "9998-12-31T23:59:59.999996Z", "text": "hi" });
    import_allowing_future(dir.path(), &format!("{line}\n"));
    let server = TestServer::start_at(dir.path(), &[]);

    let health = server.get("/health").await.json();
    let behind_s = health["clock_behind_s"].as_u64().unwrap_or_else(|| panic!("not reported: {health}"));
    assert!(behind_s > CENTURY_S, "{health}");
    let metrics = server.get("/metrics").await.text;
    let sampled = sample(&metrics, "chinwag_clock_behind_log_seconds");
    let whole = format!("{:.0}", sampled.ceil()).parse::<u64>().unwrap();
    assert!((behind_s - 60..=behind_s).contains(&whole), "{behind_s} and {sampled}");

    // The last time that a line can have leaves a year for these.
    let mut times = Vec::new();
    for name in ["bob", "cid", "dee"] {
        let user = server.add_user(name).await;
        server.add_chat(name, &[&user]).await;
        times.push(server.chats(&user).await[0]["created_at"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        times,
        ["9999-01-01T00:00:00.000000Z", "9999-01-01T00:00:00.000002Z", "9999-01-01T00:00:00.000004Z"]
    );

    let (_, ended) = server.terminate();
    let warnings: Vec<_> =
        ended.stderr.lines().filter(|line| line.contains("clock is behind the log")).collect();
    let [warning] = warnings[..] else { panic!("not one warning: {}", ended.stderr) };
    for words in ["WARN", last, "clock=20", "behind_s=", "one microsecond apart"] {
        assert!(warning.contains(words), "no {words} in {warning}");
    }
}

#[tokio::test]
async fn a_clock_that_is_right_is_not_reported() {
    let server = TestServer::start();
    server.add_user("ann").await;
    let server = server.terminate().0.restart();
    let health = server.get("/health").await.json();
    assert_eq!(health.get("clock_behind_s"), None, "{health}");
    let metrics = server.get("/metrics").await.text;
    assert!(sample(&metrics, "chinwag_clock_behind_log_seconds") < 1.0, "{metrics}");
    let (_, ended) = server.terminate();
    assert!(!ended.stderr.contains("clock is behind"), "{}", ended.stderr);
}
