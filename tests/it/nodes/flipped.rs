//! A bit is flipped in a node's files: a server reads over it, or ends, and never differs without a word.

use serde_json::json;

use super::node::urls;
use super::{Cluster, check_same, serve};
use crate::support::{TestServer, free_address};

const MESSAGES: usize = 120;

#[derive(Debug, Clone, Copy)]
enum End {
    Killed,
    Terminated,
}

async fn a_node_with_a_flipped_bit_changes_nothing(end: End) {
    let mut cluster = Cluster::without_servers("1GiB");
    let all = cluster.nodes.urls();
    cluster.servers.push(serve(&all, &cluster.dir("before"), &[]));
    let client = cluster.servers[0].client();
    let ann = client.add_user("ann").await;
    let den = client.add_chat("den", &[&ann]).await;
    for number in 0..MESSAGES {
        client.add_message(&den, &ann, &format!("{number} {}", "x".repeat(400))).await;
    }
    cluster.nodes.wait_until_current();
    let node = (cluster.nodes.leader() + 1) % 3;
    match end {
        End::Killed => cluster.nodes.kill(node),
        End::Terminated => cluster.nodes.terminate(node),
    }
    let block = cluster.nodes.blocks(node).swap_remove(0);
    let mut bytes = std::fs::read(&block).expect("read");
    // In the text of a message, about in the middle.
    let text = bytes.windows(100).skip(bytes.len() / 2).position(|part| part == [b'x'; 100]).expect("a text");
    let at = bytes.len() / 2 + text + 50;
    bytes[at] ^= 1;
    std::fs::write(&block, bytes).expect("written");
    cluster.nodes.revive(node);
    // Written by way of all nodes, so that the node has to follow.
    for number in 0..MESSAGES {
        client.add_message(&den, &ann, &format!("after {number}")).await;
    }
    cluster.nodes.wait_until_current();

    // One server asks any node, and one is connected to the damaged one, which answers it first.
    let damaged = urls(&cluster.nodes.addresses()[node..=node]);
    for (name, urls) in [("any", &all), ("damaged", &damaged)] {
        let flags = ["--nats", urls, "--listen", &free_address()];
        match TestServer::starting_at(&cluster.dir(name), &flags).ready_or_ended() {
            Ok(server) => {
                eprintln!("flipped: {end:?}, {name}: read over");
                assert_eq!(server.messages(&den).await.len(), 2 * MESSAGES, "when it is ready, it has all");
                cluster.servers.push(server);
            }
            Err(ended) => {
                eprintln!("flipped: {end:?}, {name}: ended: {}", ended.stderr);
                assert_eq!(ended.code, Some(5), "{}", ended.stderr);
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
