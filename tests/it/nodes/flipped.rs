//! A bit is flipped in a node's files: a server reads over it, or ends, and never differs without a word.

use serde_json::json;

use super::{Cluster, check_same, serve};
use crate::support::{TestServer, free_address};

/// Batches of messages that fill more than one file of a node. A node checks the last one when it starts.
const BATCHES: usize = 20;
const BATCH: usize = 20;
/// Messages that are sent afterwards.
const LATER: usize = 20;
/// Servers that read the whole stream, for each leader.
const SERVERS: usize = 4;

#[derive(Debug, Clone, Copy)]
enum End {
    Killed,
    Terminated,
}

async fn a_node_with_a_flipped_bit_changes_nothing(end: End) {
    let mut cluster = Cluster::without_servers("16MiB");
    let all = cluster.nodes.urls();
    cluster.servers.push(serve(&all, &cluster.dir("before"), &[]));
    let client = cluster.servers[0].client();
    let ann = client.add_user("ann").await;
    let den = client.add_chat("den", &[&ann]).await;
    let message = json!({ "chat": den, "author": ann, "text": "x".repeat(16_000) });
    let batch = json!({ "messages": vec![message; BATCH] });
    for _ in 0..BATCHES {
        assert_eq!(client.post("/messages/batch", &batch).await.status, 201);
    }
    cluster.nodes.wait_until_current();
    let node = (cluster.nodes.leader() + 1) % 3;
    match end {
        End::Killed => cluster.nodes.kill(node),
        End::Terminated => cluster.nodes.terminate(node),
    }
    let blocks = cluster.nodes.blocks(node);
    assert!(blocks.len() > 1, "{blocks:?}");
    let block = &blocks[0];
    let mut bytes = std::fs::read(block).expect("read");
    // In the text of a message, about in the middle.
    let text = bytes.windows(100).skip(bytes.len() / 2).position(|part| part == [b'x'; 100]).expect("a text");
    let at = bytes.len() / 2 + text + 50;
    bytes[at] ^= 1;
    std::fs::write(block, bytes).expect("written");
    cluster.nodes.revive(node);
    // Written by way of all nodes, so that the node has to follow.
    for number in 0..LATER {
        client.add_message(&den, &ann, &format!("after {number}")).await;
    }
    cluster.nodes.wait_until_current();

    // A node that was killed reads its files when it starts, notices the damage, and gets the message from the others.
    // One that was terminated does not look.
    if matches!(end, End::Terminated) {
        let left_out = cluster.nodes.left_out();
        eprintln!("flipped: a node leaves out message {left_out}");
    }
    // Any node answers a server that reads. The leader is also asked for single messages.
    for leader in [(node + 1) % 3, node] {
        cluster.nodes.make_leader(leader);
        for number in 0..SERVERS {
            let data = cluster.dir(&format!("after {leader} {number}"));
            let flags = ["--nats", &all, "--listen", &free_address()];
            match TestServer::starting_at(&data, &flags).ready_or_ended() {
                Ok(server) => {
                    let messages = server.messages(&den).await.len();
                    assert_eq!(messages, BATCHES * BATCH + LATER, "when it is ready, it has all");
                    cluster.servers.push(server);
                }
                Err(ended) => {
                    eprintln!("flipped: a server ended: {}", ended.stderr);
                    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
                }
            }
        }
    }
    client.post("/messages/add", &json!({ "chat": den, "author": ann, "text": "still here" })).await.id();
    check_same(&cluster.clients(), &[den], &[ann]).await;
    cluster.assert_running();
    cluster.check_copies();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_bit_flipped_on_a_killed_node_changes_nothing() {
    a_node_with_a_flipped_bit_changes_nothing(End::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_bit_flipped_on_a_terminated_node_changes_nothing() {
    a_node_with_a_flipped_bit_changes_nothing(End::Terminated).await;
}
