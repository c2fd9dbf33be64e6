//! Several servers on one stream of three real nodes of NATS. `.ci/stream` installs nats-server, names it in
//! `CHINWAG_NATS_SERVER`, and runs this.
//!
//! | module | the promise |
//! | --- | --- |
//! | `chaos` | nodes and servers are killed and stopped: each acknowledged write is there once, on every server |
//! | `links` | the connection of a server to the nodes is held and cut |
//! | `copies` | a server with an empty directory joins, and every copy is the same |
//! | `lost` | a stream that was made anew or rolled back ends every server |
//! | `restored` | a stream gets back what it has lost, or begins with the log of one server |
//! | `upgraded` | a stream that was upgraded for a later release is left alone |
//! | `full` | a full stream refuses writes until it is given room |
//! | `writer` | the server that wrote last writes, and the others send it their writes |
//! | `users` | the users of `examples/cluster` may do what they need; nobody waits for a server that may do less |
//! | `flipped` | a bit is flipped in a node's files |
//! | `sync_order` | each answer comes after the syncs of two nodes |
//! | `disk_full` | nodes with full disks refuse writes and lose nothing |
//! | `partition` | the node that leads is cut off from the others, in network namespaces |
//! | `outages` | writes go on after every loss, and the time until then |
//! | `balancer` | `HAProxy` before the servers: one is killed, all are restarted in turn, and most nodes are killed |
//! | `clocks` | the servers' clocks are wrong |
//!
//! What the nodes could do, but do not do on demand, is tried with the stream of `src/log/stream/simulated.rs`.

mod balancer;
mod chaos;
mod clocks;
mod copies;
mod disk_full;
mod flipped;
mod follow;
mod full;
mod links;
mod load;
mod lost;
mod network;
mod node;
mod outages;
mod partition;
mod restored;
mod sync_order;
mod upgraded;
mod users;
mod wire;
mod writer;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use self::node::Nodes;
use crate::support::{Client, TestServer, binary, free_address, run_to_end};

/// Three nodes with a stream, and three servers on it. The servers listen on addresses that stay over restarts.
struct Cluster {
    servers: Vec<TestServer>,
    nodes: Nodes,
    dir: TempDir,
}

impl Cluster {
    /// Starts the nodes and the servers.
    fn start() -> Self {
        let mut cluster = Self::without_servers("1GiB");
        let urls = cluster.nodes.urls();
        cluster.servers = ["c1", "c2", "c3"].map(|name| serve(&urls, &cluster.dir(name), &[])).into();
        cluster
    }

    /// Starts the nodes, and creates a stream of this length.
    fn without_servers(bytes_max: &str) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let nodes = Nodes::start(dir.path());
        Self::on(dir, nodes, bytes_max)
    }

    /// Creates a stream of this length on these nodes. The servers' files will be in the directory.
    fn on(dir: TempDir, nodes: Nodes, bytes_max: &str) -> Self {
        create_stream(&nodes, bytes_max);
        Self { servers: Vec::new(), nodes, dir }
    }

    /// Returns the data directory of a server.
    fn dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn clients(&self) -> Vec<Client> {
        self.servers.iter().map(TestServer::client).collect()
    }

    /// Kills a server and starts it again.
    fn restart(&mut self, number: usize) {
        let server = self.servers.remove(number).kill().restart();
        self.servers.insert(number, server);
    }

    /// Checks that no server has ended by itself.
    fn assert_running(&mut self) {
        for number in 0..self.servers.len() {
            if self.servers[number].is_running() {
                continue;
            }
            let (_, ended) = self.servers.remove(number).ended(Duration::from_secs(1));
            panic!("a server ended: {ended:?}");
        }
    }

    /// Ends the servers, and checks that their copies are sound and the same.
    fn check_copies(&mut self) {
        let mut exports = self.servers.drain(..).map(|server| {
            let (stopped, ended) = server.terminate();
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            let verified = run_to_end(binary().args(["log", "verify", "--data"]).arg(&stopped.data));
            assert_eq!(verified.code, Some(0), "{}", verified.stderr);
            export(&stopped.data)
        });
        let first = exports.next().expect("a server");
        assert!(!first.is_empty());
        for (number, other) in exports.enumerate() {
            assert!(other == first, "the copy of server {} is another", number + 2);
        }
    }
}

/// Creates the stream, as an operator does.
fn create_stream(nodes: &Nodes, bytes_max: &str) {
    let urls = nodes.urls();
    let create = ["stream", "create", "--nats", &urls, "--replicas", "3", "--max-bytes", bytes_max];
    let ended = run_to_end(binary().args(create));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// Runs a command to its end. Returns its exit code, and all that it printed.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().expect("it runs");
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text"));
    (output.status.code(), printed.concat())
}

/// Starts a server on these nodes, on an address that stays over restarts.
fn serve(urls: &str, data: &Path, flags: &[&str]) -> TestServer {
    let address = free_address();
    TestServer::start_at(data, &[&["--nats", urls, "--listen", &address], flags].concat())
}

/// Returns the events of a log, line by line.
fn export(data: &Path) -> String {
    let output = binary().args(["export", "--data"]).arg(data).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Waits until a server has reached a position.
async fn reached(client: &Client, position: u64) {
    let asked = Instant::now();
    loop {
        let at = client.position().await;
        if at >= position {
            return;
        }
        assert!(asked.elapsed() < Duration::from_mins(1), "it is at {at} and not at {position}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sends a write again under its key until it is answered 201.
async fn repeat(client: &Client, key: &str, path: &str, body: &Value) {
    let asked = Instant::now();
    loop {
        let reply = client.post_under(key, path, body).await;
        if reply.status == 201 {
            return;
        }
        assert_eq!(reply.status, 503, "{}", reply.text);
        assert!(asked.elapsed() < Duration::from_mins(1), "it does not recover: {}", reply.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until every server has reached the greatest position of them, and checks that they give the same answers
/// about these chats and users.
async fn check_same(clients: &[Client], chats: &[String], users: &[String]) {
    let mut position = 0;
    for client in clients {
        position = position.max(client.position().await);
    }
    let mut first: Option<Vec<Vec<Value>>> = None;
    for (number, client) in clients.iter().enumerate() {
        reached(client, position).await;
        assert_eq!(client.position().await, position, "nobody writes");
        let mut lists = Vec::new();
        for chat in chats {
            lists.push(client.messages(chat).await);
        }
        for user in users {
            lists.push(client.chats(user).await);
        }
        let first = first.get_or_insert_with(|| lists.clone());
        assert!(*first == lists, "server {} gives other lists", number + 1);
    }
}
