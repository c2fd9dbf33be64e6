//! The nodes' network is parted: the node that leads is cut off from the others.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::load::Load;
use super::network::Network;
use super::node::{Nodes, urls};
use super::{Cluster, check_same, repeat, serve};
use crate::support::problem;

/// Nodes without servers, each in a network namespace.
fn parted() -> (Cluster, Network) {
    let (dir, network) = (TempDir::new().expect("a temporary directory"), Network::start());
    let nodes = Nodes::start_at(dir.path(), network.places());
    (Cluster::on(dir, nodes, "1GiB"), network)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server, root"]
async fn writes_go_on_without_a_leader_cut_off() {
    const WRITERS: usize = 12;
    const ALL: [usize; 3] = [0, 1, 2];
    let (mut cluster, network) = parted();
    let all = cluster.nodes.urls();
    cluster.servers = ["c1", "c2", "c3"].map(|name| serve(&all, &cluster.dir(name), &[])).into();
    let load = Load::start(&cluster.clients(), WRITERS).await;
    load.wait_for_answers_of(&ALL).await;
    // Every server has failed to reach the other nodes, and is connected to the one that will be cut off.
    let leader = cluster.nodes.leader();
    for node in 0..3 {
        cluster.nodes.kill(node);
    }
    cluster.nodes.revive(leader);
    tokio::time::sleep(Duration::from_secs(3)).await;
    for node in 0..3 {
        cluster.nodes.revive(node);
    }
    cluster.nodes.make_leader(leader);
    load.wait_for_answers_of(&ALL).await;
    network.cut_off(leader);
    let begun = Instant::now();
    // Any server may be connected to that node. It has to notice that, and to go to another one.
    load.wait_for_answers_of(&ALL).await;
    eprintln!("partition: all servers write after {:.1} s", begun.elapsed().as_secs_f64());
    network.rejoin(leader);
    load.wait_for_answers_of(&ALL).await;
    cluster.nodes.wait_until_current();
    let (chats, users) = (load.chats.clone(), load.users.clone());
    eprintln!("partition: {:?}", load.finish().await);
    let only = urls(&cluster.nodes.addresses()[leader..=leader]);
    cluster.servers.push(serve(&only, &cluster.dir("joined"), &[]));
    check_same(&cluster.clients(), &chats, &users).await;
    cluster.assert_running();
    cluster.check_copies();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server, root"]
async fn a_server_on_a_node_cut_off_answers_reads() {
    const STALE_MS: u64 = 3_000;
    let (mut cluster, network) = parted();
    let (leader, addresses) = (cluster.nodes.leader(), cluster.nodes.addresses());
    let others: Vec<_> = (0..3).filter(|node| *node != leader).map(|node| addresses[node].clone()).collect();
    let near = serve(&urls(&others), &cluster.dir("near"), &[]);
    let flags = ["--write-timeout-ms", "1500"];
    let far = serve(&urls(&addresses[leader..=leader]), &cluster.dir("far"), &flags);
    cluster.servers = vec![near, far];
    let [near, far] = [0, 1].map(|number| cluster.servers[number].client());
    let ann = near.add_user("ann").await;
    let den = near.add_chat("den", &[&ann]).await;
    let message = |text: &str| json!({ "chat": den, "author": ann, "text": text });
    repeat(&far, "before", "/messages/add", &message("before")).await;
    network.cut_off(leader);
    repeat(&near, "near", "/messages/add", &message("near")).await;
    // The node that is cut off still answers as a leader, and does not know of another one's messages.
    let bob = near.add_user("bob").await;
    let by_bob = json!({ "chat": den, "author": bob, "text": "hello" });
    let refused_by_bob = far.post("/messages/add", &by_bob).await;
    let refused = far.post_under("far", "/messages/add", &message("far")).await;
    for refused in [refused_by_bob, refused] {
        let code = refused.json()["code"].as_str().expect("a code").to_owned();
        assert!(["unavailable", "unconfirmed"].contains(&code.as_str()), "{}", refused.text);
        problem(&refused, 503, &code);
    }
    let asked = Instant::now();
    loop {
        let health = far.get("/health").await.json();
        if health["stream"]["stale_ms"].as_u64() > Some(STALE_MS) {
            break;
        }
        assert!(asked.elapsed() < Duration::from_mins(1), "{health}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let behind = far.get(&format!("/health?max_stale_ms={STALE_MS}")).await;
    problem(&behind, 503, "behind");
    assert_eq!(far.messages(&den).await.len(), 1, "reads go on");

    network.rejoin(leader);
    repeat(&far, "far", "/messages/add", &message("far")).await;
    let texts: Vec<_> = far.messages(&den).await.into_iter().map(|mut said| said["text"].take()).collect();
    let mut sorted = texts.clone();
    sorted.sort_by_key(ToString::to_string);
    assert_eq!(sorted, ["before", "far", "near"], "{texts:?}");
    check_same(&[near, far], &[den], &[ann]).await;
    cluster.assert_running();
    cluster.check_copies();
}
