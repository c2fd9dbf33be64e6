//! `HAProxy`, with the configuration of `examples/cluster`, before three servers.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::follow::Readers;
use super::load::Load;
use super::{Cluster, check_same, repeat};
use crate::support::{Client, TestServer, free_address};

const WRITERS: usize = 12;

/// A balancer before the servers of a cluster. It is killed when dropped.
struct Balancer {
    process: Child,
    client: Client,
}

impl Balancer {
    async fn before(cluster: &Cluster) -> Self {
        Self::configured(cluster, &[]).await
    }

    /// Starts it with the example, in which these words are replaced by others.
    async fn configured(cluster: &Cluster, changes: &[(&str, &str)]) -> Self {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cluster/haproxy.cfg");
        let mut config = std::fs::read_to_string(example).expect("the example");
        let address = free_address();
        let mut replace = |from: &str, to: &str| {
            assert!(config.contains(from), "{from}");
            config = config.replace(from, to);
        };
        replace("bind :9000", &format!("bind {address}"));
        for (from, to) in changes {
            replace(from, to);
        }
        for (number, server) in cluster.servers.iter().enumerate() {
            replace(&format!("chinwag{}:9000", number + 1), &server.address);
        }
        let path = cluster.dir("haproxy.cfg");
        std::fs::write(&path, config).expect("written");
        let mut command = Command::new("haproxy");
        command.args(["-db", "-f"]).arg(path).stdin(Stdio::null());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("haproxy starts");
        let balancer = Self { process, client: Client::new(&address) };
        let asked = Instant::now();
        while balancer.client.try_send(balancer.client.request("GET", "/health")).await.is_err() {
            assert!(asked.elapsed() < Duration::from_secs(20), "haproxy does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        balancer
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Returns the number of requests to this path that a server has answered so.
async fn answered(server: &TestServer, path: &str, status: u16) -> u64 {
    let start = format!("chinwag_http_requests_total{{path=\"{path}\",status=\"{status}\"}} ");
    let metrics = server.get("/metrics").await.text;
    let count = metrics.lines().find_map(|line| line.strip_prefix(&start));
    count.map_or(0, |count| count.parse().expect("a number"))
}

/// Waits until both parts of the balancer have seen often enough that a server is up.
async fn wait_until_balanced(server: &TestServer) {
    const CHECKS: u64 = 2 * 2;
    let asked = Instant::now();
    while answered(server, "/health", 200).await <= CHECKS {
        assert!(asked.elapsed() < Duration::from_mins(1), "the balancer does not look");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server, haproxy"]
async fn writes_move_on_when_their_server_is_killed() {
    let mut cluster = Cluster::start();
    let balancer = Balancer::before(&cluster).await;
    let load = Load::start_behind(&balancer.client, &cluster.clients(), WRITERS).await;
    load.wait_for_answers_of(&[0]).await;
    let chat = json!({ "chat": load.chats[0] });
    let (mut is_read, asked) = (false, Instant::now());
    while !is_read {
        assert!(asked.elapsed() < Duration::from_secs(30), "a server takes no reads");
        let status = balancer.client.post("/messages/get", &chat).await.status;
        // A server that has just started may not have the chat yet.
        assert!(status == 200 || status == 404, "{status}");
        is_read = true;
        for server in &cluster.servers {
            is_read &= answered(server, "/messages/get", 200).await > 0;
        }
    }
    for (number, server) in cluster.servers.iter().enumerate() {
        let writes = answered(server, "/messages/add", 201).await;
        assert_eq!(writes > 0, number == 0, "the first server takes the writes: {number}, {writes}");
    }

    let killed = cluster.servers.remove(0).kill();
    let begun = Instant::now();
    load.wait_for_answers_of(&[0]).await;
    let moved = begun.elapsed();
    assert!(answered(&cluster.servers[0], "/messages/add", 201).await > 0, "the next server takes them");
    cluster.servers.insert(0, killed.restart());
    wait_until_balanced(&cluster.servers[0]).await;
    load.wait_for_answers_of(&[0]).await;
    let done = load.finish().await;
    eprintln!("balancer: writes went on after {:.2} s; {done:?}", moved.as_secs_f64());
    cluster.check_copies();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server, haproxy"]
async fn a_rolling_restart_fails_no_client() {
    /// Any client tries again for that time.
    const LONGEST: Duration = Duration::from_secs(15);
    let mut cluster = Cluster::start();
    let balancer = Balancer::before(&cluster).await;
    let load = Load::start_behind(&balancer.client, &cluster.clients(), WRITERS).await;
    let readers = Readers::start(std::slice::from_ref(&balancer.client), &load.users[..3]);
    load.wait_for_answers_of(&[0]).await;
    for number in 0..cluster.servers.len() {
        let (stopped, ended) = cluster.servers.remove(number).terminate();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        load.wait_for_answers_of(&[0]).await;
        cluster.servers.insert(number, stopped.restart());
        wait_until_balanced(&cluster.servers[number]).await;
        load.wait_for_answers_of(&[0]).await;
    }
    let done = load.finish().await;
    readers.finish(&cluster.servers[0].data).await;
    eprintln!("rolling restart: {done:?}");
    assert!(done.longest < LONGEST, "{:?}", done.longest);
    cluster.check_copies();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server, haproxy"]
async fn reads_go_on_when_most_nodes_are_killed() {
    /// After this number of failed checks, a server is down for the balancer.
    const FAILED_CHECKS: u64 = 3;
    let mut cluster = Cluster::start();
    // The example waits longer.
    let balancer = Balancer::configured(&cluster, &[("max_stale_ms=10000", "max_stale_ms=2000")]).await;
    let ann = cluster.servers[0].add_user("ann").await;
    let den = cluster.servers[0].add_chat("den", &[&ann]).await;
    cluster.servers[0].add_message(&den, &ann, "hello").await;
    check_same(&cluster.clients(), std::slice::from_ref(&den), std::slice::from_ref(&ann)).await;
    for server in &cluster.servers {
        wait_until_balanced(server).await;
    }
    cluster.nodes.kill(0);
    cluster.nodes.kill(1);
    let (mut are_all_stale, mut reads, killed) = (false, 0, Instant::now());
    while !are_all_stale || reads < 20 {
        assert!(killed.elapsed() < Duration::from_mins(1), "the balancer does not look");
        assert_eq!(balancer.client.messages(&den).await[0]["text"], "hello");
        if are_all_stale {
            reads += 1;
        } else {
            are_all_stale = true;
            for server in &cluster.servers {
                are_all_stale &= answered(server, "/health", 503).await > FAILED_CHECKS;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.nodes.revive(0);
    cluster.nodes.revive(1);
    repeat(&balancer.client, "bob", "/users/add", &json!({ "username": "bob" })).await;
    check_same(&cluster.clients(), &[den], &[ann]).await;
    cluster.check_copies();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server, haproxy"]
async fn the_balancer_keeps_metrics_from_the_public() {
    let cluster = Cluster::start();
    let balancer = Balancer::before(&cluster).await;
    for server in &cluster.servers {
        wait_until_balanced(server).await;
    }
    for (path, status) in [("/health", 200), ("/metrics", 403), ("/%6detrics", 403), ("/metrics?a=b", 403)] {
        assert_eq!(balancer.client.get(path).await.status, status, "{path}");
    }
}
