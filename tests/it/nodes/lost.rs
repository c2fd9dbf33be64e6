//! A stream that is another than it was: no server goes on as if it were the same.

use std::time::Duration;

use super::node::STREAM;
use super::{Cluster, check_same, create_stream};
use crate::support::TestServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_stream_made_anew_ends_every_server() {
    let mut cluster = Cluster::start();
    let ann = cluster.servers[0].add_user("ann").await;
    let den = cluster.servers[0].add_chat("den", &[&ann]).await;
    cluster.servers[0].add_message(&den, &ann, "hello").await;
    check_same(&cluster.clients(), &[den], &[ann]).await;
    let deleted = cluster.nodes.ask(&format!("STREAM.DELETE.{STREAM}"), "");
    assert_eq!(deleted["success"], true, "{deleted}");
    create_stream(&cluster.nodes, "1GiB");
    let urls = cluster.nodes.urls();
    for server in cluster.servers.drain(..) {
        let (stopped, ended) = server.ended(Duration::from_mins(1));
        assert_eq!(ended.code, Some(5), "{}", ended.stderr);
        assert!(ended.stderr.contains(STREAM), "{}", ended.stderr);
        // Nor does it start again: it holds what the stream does not.
        let again = TestServer::starting_at(&stopped.data, &["--nats", &urls]).ready_or_ended();
        let Err(again) = again else { panic!("it follows another stream") };
        assert_eq!(again.code, Some(5), "{}", again.stderr);
    }
}
