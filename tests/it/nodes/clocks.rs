//! Servers whose clocks are wrong, by way of libfaketime, which `CHINWAG_FAKETIME` names.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cluster, check_same};
use crate::support::{TestServer, free_address, problem};

const MESSAGES: usize = 30;

/// Starts a server whose clock is off.
fn serve_at(cluster: &Cluster, name: &str, offset: &str) -> TestServer {
    let library = std::env::var("CHINWAG_FAKETIME").expect("CHINWAG_FAKETIME names libfaketime");
    let (library, offset) = (format!("LD_PRELOAD={library}"), format!("FAKETIME={offset}"));
    // The clock that measures durations is right.
    let wrapper = ["env", &library, &offset, "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1"];
    let flags = ["--nats", &cluster.nodes.urls(), "--listen", &free_address()];
    TestServer::start_under(&wrapper, &cluster.dir(name), &flags)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server, libfaketime"]
async fn times_rise_whatever_the_clocks() {
    let mut cluster = Cluster::without_servers("1GiB");
    cluster.servers = [("behind", "-30s"), ("right", "+0s"), ("ahead", "+3s")]
        .map(|(name, offset)| serve_at(&cluster, name, offset))
        .into();
    let clients = cluster.clients();
    let ann = clients[0].add_user("ann").await;
    let den = clients[0].add_chat("den", &[&ann]).await;
    // The first is behind until it has heard of a later time, and the last is ahead.
    let off = |said: &Value| {
        let time: Timestamp = said["created_at"].as_str().expect("a time").parse().expect("a time");
        time.duration_since(Timestamp::now()).as_secs()
    };
    let first = off(&clients[0].add_message(&den, &ann, "first").await);
    assert!((-40..-25).contains(&first), "{first}");
    super::reached(&clients[2], 3).await;
    // Each writes for itself while the other one is gone.
    let behind = cluster.servers.remove(0).kill();
    let second = off(&clients[2].add_message(&den, &ann, "second").await);
    assert!((1..=3).contains(&second), "{second}");
    cluster.servers.insert(0, behind.restart());
    let ahead = cluster.servers.remove(2).kill();
    super::reached(&clients[0], 4).await;
    clients[0].add_message(&den, &ann, "third").await;
    cluster.servers.insert(2, ahead.restart());
    for client in &clients {
        super::reached(client, 5).await;
    }
    for number in 0..MESSAGES {
        clients[number % clients.len()].add_message(&den, &ann, &number.to_string()).await;
    }
    let messages = clients[1].messages(&den).await;
    assert!(messages.is_sorted_by(|one, two| one["created_at"].as_str() < two["created_at"].as_str()));
    check_same(&clients, &[den], &[ann]).await;
    cluster.assert_running();
    cluster.check_copies();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server, libfaketime"]
async fn a_server_a_minute_ahead_writes_nothing() {
    let mut cluster = Cluster::without_servers("1GiB");
    cluster.servers =
        [("right", "+0s"), ("ahead", "+60s")].map(|(name, offset)| serve_at(&cluster, name, offset)).into();
    let [right, ahead] = [0, 1].map(|number| cluster.servers[number].client());
    // It knows as soon as the node that leads has told its time.
    let asked = Instant::now();
    while ahead.get("/health").await.json()["stream"]["writable"] != false {
        assert!(asked.elapsed() < Duration::from_mins(1), "its clock is not noticed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    problem(&ahead.post("/users/add", &json!({ "username": "ann" })).await, 503, "unavailable");
    // The other one writes, and it reads.
    let ann = right.add_user("ann").await;
    super::reached(&ahead, 1).await;
    assert_eq!(ahead.post("/users/get", &json!({ "user": ann })).await.status, 200);
    problem(&ahead.post("/users/add", &json!({ "username": "bob" })).await, 503, "unavailable");
    cluster.assert_running();
    cluster.check_copies();
}
