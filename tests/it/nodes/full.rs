//! A stream that is as long as it may be.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::node::{Nodes, STREAM};
use super::{Cluster, check_same, run, serve};
use crate::support::{binary, problem, wait_until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_full_stream_refuses_writes_until_it_is_given_room() {
    let mut cluster = Cluster::without_servers("1MiB");
    let urls = cluster.nodes.urls();
    cluster.servers = ["c1", "c2"].map(|name| serve(&urls, &cluster.dir(name), &[])).into();
    let [one, two] = [0, 1].map(|number| cluster.servers[number].client());
    let ann = one.add_user("ann").await;
    let den = one.add_chat("den", &[&ann]).await;
    super::reached(&two, 2).await;
    let message = json!({ "chat": den, "author": ann, "text": "x".repeat(16_000) });
    let mut stored = 0;
    let refused = loop {
        let reply = one.post("/messages/add", &message).await;
        if reply.status != 201 {
            break reply;
        }
        stored += 1;
        assert!(stored < 80, "it has no end");
    };
    problem(&refused, 507, "storage_full");
    assert!(stored > 20, "{stored}");
    problem(&two.post("/messages/add", &message).await, 507, "storage_full");
    for client in [&one, &two] {
        let health = client.get("/health").await.json();
        assert_eq!((&health["writable"], &health["stream"]["writable"]), (&json!(false), &json!(false)));
    }
    assert_eq!(one.messages(&den).await.len(), stored, "reads go on");

    let mut config: Value = cluster.nodes.stream()["config"].take();
    config["max_bytes"] = json!(64 << 20);
    let updated = cluster.nodes.ask(&format!("STREAM.UPDATE.{STREAM}"), &config.to_string());
    assert!(updated["error"].is_null(), "{updated}");
    for client in [&one, &two] {
        let asked = Instant::now();
        loop {
            let reply = client.post("/messages/add", &message).await;
            if reply.status == 201 {
                break;
            }
            problem(&reply, 507, "storage_full");
            assert!(asked.elapsed() < Duration::from_secs(30), "it does not go on");
        }
    }
    assert_eq!(two.messages(&den).await.len(), stored + 2);
    for client in [&one, &two] {
        wait_until(async || client.get("/health").await.json()["writable"] == true).await;
    }
    check_same(&cluster.clients(), &[den], &[ann]).await;
    cluster.check_copies();
}

#[test]
#[ignore = "needs nats-server"]
fn an_operator_hears_of_a_stream_without_a_limit() {
    let dir = TempDir::new().expect("a temporary directory");
    let nodes = Nodes::start(dir.path());
    for (command, also) in [("create", "created   yes"), ("check", ", unlimited")] {
        let (ended, printed) = run(binary().args(["stream", command, "--nats", &nodes.urls()]));
        assert_eq!(ended, Some(0), "{printed}");
        assert!(printed.contains("warning   max_bytes is unlimited") && printed.contains(also), "{printed}");
    }
}
