//! What servers keep of the stream in their own directories.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Cluster, check_same, serve};
use crate::support::problem;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_server_with_an_empty_directory_joins() {
    const BATCHES: usize = 30;
    const BATCH: usize = 50;
    let mut cluster = Cluster::start();
    let clients = cluster.clients();
    let (ann, bob) = (clients[0].add_user("ann").await, clients[1].add_user("bob").await);
    super::reached(&clients[2], 2).await;
    let den = clients[2].add_chat("den", &[&ann, &bob]).await;
    for number in 0..BATCHES {
        let client = &clients[number % clients.len()];
        let text = format!("{number} {}", "x".repeat(number * 137 % 900));
        let message = json!({ "chat": den, "author": ann, "text": text });
        // A server may not have heard of the chat yet; a refusal is confirmed, so this is none.
        let reply = client.post("/messages/batch", &json!({ "messages": vec![message; BATCH] })).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
    }
    let (chats, users) = ([den.clone()], [ann.clone(), bob]);
    check_same(&cluster.clients(), &chats, &users).await;

    let urls = cluster.nodes.urls();
    let joined = serve(&urls, &cluster.dir("c4"), &[]);
    assert_eq!(joined.messages(&den).await.len(), BATCHES * BATCH, "when it is ready, it has all");
    let (joined, ended) = joined.terminate();
    let read = format!("replayed the log events={}", 3 + BATCHES * BATCH);
    assert!(ended.stderr.contains(&read), "{}", ended.stderr);
    let joined = joined.restart();
    joined.add_message(&den, &ann, "from the fourth").await;
    cluster.servers.push(joined);

    let emptied = cluster.servers.remove(1).kill();
    std::fs::remove_dir_all(&emptied.data).expect("removed");
    clients[0].add_message(&den, &ann, "while the second is away").await;
    let emptied = emptied.restart();
    assert_eq!(emptied.messages(&den).await.len(), BATCHES * BATCH + 2);
    cluster.servers.insert(1, emptied);

    check_same(&cluster.clients(), &chats, &users).await;
    cluster.check_copies();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn servers_wait_for_nodes_that_are_away() {
    let mut cluster = Cluster::start();
    let ann = cluster.servers[0].add_user("ann").await;
    let den = cluster.servers[0].add_chat("den", &[&ann]).await;
    cluster.servers[0].add_message(&den, &ann, "hello").await;
    check_same(&cluster.clients(), std::slice::from_ref(&den), std::slice::from_ref(&ann)).await;
    for node in 0..3 {
        cluster.nodes.kill(node);
    }
    let (client, stopped) = (cluster.servers[0].client(), cluster.servers.remove(0).kill());
    let restarted = std::thread::spawn(move || stopped.restart());
    let asked = Instant::now();
    let health = loop {
        match client.try_send(client.request("GET", "/health")).await {
            Ok(health) => break health,
            Err(_) => assert!(asked.elapsed() < Duration::from_secs(20), "it does not listen"),
        }
    };
    problem(&health, 503, "starting");
    for node in 0..3 {
        cluster.nodes.revive(node);
    }
    let restarted = restarted.join().expect("it is ready when the nodes are");
    restarted.add_message(&den, &ann, "again").await;
    cluster.servers.insert(0, restarted);
    check_same(&cluster.clients(), &[den], &[ann]).await;
    cluster.check_copies();
}
