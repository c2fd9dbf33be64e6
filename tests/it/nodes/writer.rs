//! Which server writes: the one that wrote last. The others send it their writes, until it is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::sleep;

use super::{Cluster, reached};
use crate::support::Client;

/// Adds a user on this server, and returns whether another server carried that out.
pub(super) async fn is_forwarded(client: &Client, username: &str) -> bool {
    let before = forwarded(client).await;
    client.add_user(username).await;
    forwarded(client).await > before
}

/// Returns the number of writes that another server carried out for this one.
pub(super) async fn forwarded(client: &Client) -> u64 {
    let metrics = client.get("/metrics").await.text;
    let counted = metrics.lines().find_map(|line| line.strip_prefix("chinwag_stream_forwarded_total "));
    counted.expect("counted").parse().expect("a number")
}

/// Returns the index of the server that writes, once the others send it their writes. They do so as soon as each has got
/// an answer from itself.
pub(super) async fn writer_of(clients: &[Client]) -> usize {
    for _ in 0..1_000 {
        let mut own = Vec::new();
        for (number, client) in clients.iter().enumerate() {
            let position = client.position().await;
            if !is_forwarded(client, &format!("user {position}")).await {
                own.push(number);
            }
            let position = client.position().await;
            for other in clients {
                reached(other, position).await;
            }
        }
        if let [writer] = own[..] {
            return writer;
        }
    }
    panic!("the servers do not ask each other");
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn the_last_writer_writes_until_killed() {
    let mut cluster = Cluster::start();
    let mut clients = cluster.clients();
    // Given a server to which the two others send their writes.
    let writer = writer_of(&clients).await;
    // When it is killed, another one writes, and the third one sends it its writes.
    let killed = cluster.servers.remove(writer).kill();
    clients.remove(writer);
    assert!(!is_forwarded(&clients[0], "ann").await);
    reached(&clients[1], clients[0].position().await).await;
    assert!(is_forwarded(&clients[1], "bob").await);
    // Then the one that was killed follows.
    cluster.servers.push(killed.restart());
    reached(&cluster.clients()[2], clients[1].position().await).await;
    cluster.check_copies();
}

/// Adds users on this server until it is told to stop. Returns their number.
async fn add_until(client: Client, stop: Arc<AtomicBool>, name: String) -> usize {
    let mut added = 0;
    while !stop.load(Ordering::Relaxed) {
        let reply = client.post("/users/add", &json!({ "username": format!("{name} {added}") })).await;
        assert_eq!(reply.status, 201, "{name} {added}: {}", reply.text);
        added += 1;
    }
    added
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_writer_that_stops_answers_what_it_was_sent() {
    const CLIENTS: usize = 32;
    let mut cluster = Cluster::start();
    for round in 0..4 {
        let mut clients = cluster.clients();
        let writer = writer_of(&clients).await;
        clients.remove(writer);
        // Given two servers that send it all that they are asked to write,
        let stop = Arc::<AtomicBool>::default();
        let adding: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let client = clients[number % 2].clone();
                tokio::spawn(add_until(client, Arc::clone(&stop), format!("{round} {number}")))
            })
            .collect();
        sleep(Duration::from_millis(300)).await;
        // When it is told to end, no write fails.
        let stopping = cluster.servers.remove(writer);
        let (stopped, ended) = tokio::task::spawn_blocking(|| stopping.terminate()).await.expect("no panic");
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        sleep(Duration::from_millis(300)).await;
        stop.store(true, Ordering::Relaxed);
        let added = join_all(adding).await.into_iter().map(|added| added.expect("each write is stored"));
        assert!(added.sum::<usize>() > CLIENTS, "they write");
        cluster.servers.insert(writer, stopped.restart());
    }
    cluster.check_copies();
}
