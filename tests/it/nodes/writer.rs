//! Which server writes: the one that wrote last. The others send it their writes, until it is gone.

use super::{Cluster, reached};
use crate::support::Client;

/// Adds a user on this server, and returns whether another server carried that out.
pub(super) async fn is_forwarded(client: &Client, username: &str) -> bool {
    let before = forwarded(client).await;
    client.add_user(username).await;
    forwarded(client).await > before
}

pub(super) async fn forwarded(client: &Client) -> u64 {
    let metrics = client.get("/metrics").await.text;
    let counted = metrics.lines().find_map(|line| line.strip_prefix("chinwag_stream_forwarded_total "));
    counted.expect("counted").parse().expect("a number")
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn the_last_writer_writes_until_killed() {
    let mut cluster = Cluster::start();
    let mut clients = cluster.clients();
    // Given a server to which the two others send their writes. They do so as soon as each has got an answer from
    // itself.
    let mut round = 0;
    let writer = loop {
        round += 1;
        assert!(round < 1_000, "the servers do not ask each other");
        let mut own = Vec::new();
        for (number, client) in clients.iter().enumerate() {
            if !is_forwarded(client, &format!("user {round} {number}")).await {
                own.push(number);
            }
            let position = client.position().await;
            for other in &clients {
                reached(other, position).await;
            }
        }
        if let [writer] = own[..] {
            break writer;
        }
    };
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
