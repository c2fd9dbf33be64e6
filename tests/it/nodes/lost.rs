//! A stream that is another than it was: no server goes on as if it were the same.

use std::time::Duration;

use super::node::STREAM;
use super::{Cluster, check_same, create_stream, serve};
use crate::support::TestServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_stream_made_anew_ends_every_server() {
    let cluster = Cluster::start();
    let ann = cluster.servers[0].add_user("ann").await;
    let den = cluster.servers[0].add_chat("den", &[&ann]).await;
    cluster.servers[0].add_message(&den, &ann, "hello").await;
    check_same(&cluster.clients(), &[den], &[ann]).await;
    let deleted = cluster.nodes.ask(&format!("STREAM.DELETE.{STREAM}"), "");
    assert_eq!(deleted["success"], true, "{deleted}");
    create_stream(&cluster.nodes, "1GiB");
    every_server_ends(cluster);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_stream_deleted_meanwhile_ends_a_start() {
    let cluster = Cluster::without_servers("1GiB");
    let urls = cluster.nodes.urls();
    // Given a copy of a stream that was deleted while no server ran.
    let server = serve(&urls, &cluster.dir("c1"), &[]);
    server.add_user("ann").await;
    let (stopped, ended) = server.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let deleted = cluster.nodes.ask(&format!("STREAM.DELETE.{STREAM}"), "");
    assert_eq!(deleted["success"], true, "{deleted}");
    // Then the server ends, and names the way to get it back. One without a copy names the way to a new stream.
    for (data, code, remedy) in [
        (stopped.data.clone(), 5, "`chinwag stream restore`"),
        (cluster.dir("c2"), 2, "`chinwag stream create`"),
    ] {
        let ended = TestServer::starting_at(&data, &["--nats", &urls]).ready_or_ended();
        let ended = ended.err().expect("there is no stream");
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert!(ended.stderr.contains("does not exist") && ended.stderr.contains(remedy), "{}", ended.stderr);
    }
}

/// All nodes get back what they held before: an operator restored a backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_stream_rolled_back_ends_every_server() {
    let mut cluster = Cluster::start();
    let ann = cluster.servers[0].add_user("ann").await;
    let den = cluster.servers[0].add_chat("den", &[&ann]).await;
    let backups = [0, 1, 2].map(|node| cluster.dir(&format!("backup {node}")));
    for (node, backup) in backups.iter().enumerate() {
        cluster.nodes.terminate(node);
        cluster.nodes.back_up(node, backup);
    }
    for node in 0..3 {
        cluster.nodes.revive(node);
    }
    cluster.nodes.leader();
    cluster.servers[0].add_message(&den, &ann, "hello").await;
    check_same(&cluster.clients(), &[den], &[ann]).await;
    for (node, backup) in backups.iter().enumerate() {
        cluster.nodes.kill(node);
        cluster.nodes.put_back(node, backup);
    }
    for node in 0..3 {
        cluster.nodes.revive(node);
    }
    every_server_ends(cluster);
}

/// Checks that every server ends with exit code 5, and does not start again: it holds what the stream does not.
fn every_server_ends(mut cluster: Cluster) {
    let urls = cluster.nodes.urls();
    let end = |server: TestServer| {
        let (stopped, ended) = server.ended(Duration::from_mins(1));
        let again = TestServer::starting_at(&stopped.data, &["--nats", &urls]).ready_or_ended();
        [Some(ended), again.err()]
    };
    // At once, because each waits for a while until it believes that the stream is shorter.
    let ends: Vec<_> = std::thread::scope(|scope| {
        let ends: Vec<_> = cluster.servers.drain(..).map(|server| scope.spawn(|| end(server))).collect();
        ends.into_iter().flat_map(|end| end.join().expect("it ends")).collect()
    });
    for end in ends {
        let end = end.expect("it does not follow another stream");
        assert_eq!(end.code, Some(5), "{}", end.stderr);
        assert!(end.stderr.contains(STREAM), "{}", end.stderr);
    }
}
