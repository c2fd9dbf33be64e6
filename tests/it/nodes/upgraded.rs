//! The format of a stream's messages: a release leaves alone what a later one may have written.

use serde_json::{Value, json};

use super::Cluster;
use super::node::{Nodes, STREAM};
use crate::support::{Ended, TestServer, binary, run_to_end};

fn set_metadata(nodes: &Nodes, metadata: &Value) {
    let mut config: Value = nodes.stream()["config"].take();
    config["metadata"] = metadata.clone();
    let updated = nodes.ask(&format!("STREAM.UPDATE.{STREAM}"), &config.to_string());
    assert!(updated["error"].is_null(), "{updated}");
}

fn upgrade(nodes: &Nodes) -> Ended {
    run_to_end(binary().args(["stream", "upgrade", "--nats", &nodes.urls()]))
}

#[test]
#[ignore = "needs nats-server"]
fn a_stream_of_a_later_format_is_refused() {
    let cluster = Cluster::without_servers("1GiB");
    let ended = upgrade(&cluster.nodes);
    assert_eq!((ended.code, ended.stdout.contains("it is up to date")), (Some(0), true), "{}", ended.stderr);
    // Given a stream whose metadata does not name the format.
    set_metadata(&cluster.nodes, &json!({ "owner": "ann" }));
    let ended = upgrade(&cluster.nodes);
    assert_eq!((ended.code, ended.stdout.contains("upgraded  yes")), (Some(0), true), "{}", ended.stderr);
    let metadata = &cluster.nodes.stream()["config"]["metadata"];
    assert_eq!((&metadata["chinwag.format"], &metadata["owner"]), (&json!("1"), &json!("ann")));
    // Given a stream that a later release has upgraded.
    set_metadata(&cluster.nodes, &json!({ "chinwag.format": "2" }));
    let urls = cluster.nodes.urls();
    let check = run_to_end(binary().args(["stream", "check", "--nats", &urls]));
    let serve = TestServer::starting_at(&cluster.dir("c1"), &["--nats", &urls]).ready_or_ended();
    let serve = serve.err().expect("it does not start");
    for ended in [check, serve, upgrade(&cluster.nodes)] {
        assert_eq!(ended.code, Some(3), "{}", ended.stderr);
        assert!(ended.stderr.contains("format 2, and this release knows format 1"), "{}", ended.stderr);
    }
    assert_eq!(cluster.nodes.stream()["config"]["metadata"]["chinwag.format"], "2");
}
