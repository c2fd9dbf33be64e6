//! The format of a stream's messages: a release leaves alone what a later one may have written.

use serde_json::{Value, json};

use super::node::{Nodes, STREAM};
use super::{Cluster, run};
use crate::support::{TestServer, binary};

fn set_metadata(nodes: &Nodes, metadata: &Value) {
    let mut config: Value = nodes.stream()["config"].take();
    config["metadata"] = metadata.clone();
    let updated = nodes.ask(&format!("STREAM.UPDATE.{STREAM}"), &config.to_string());
    assert!(updated["error"].is_null(), "{updated}");
}

#[test]
#[ignore = "needs nats-server"]
fn a_stream_of_a_later_format_is_refused() {
    let cluster = Cluster::without_servers("1GiB");
    let urls = cluster.nodes.urls();
    let on_stream = |command: &str| run(binary().args(["stream", command, "--nats", &urls]));
    let upgrade = |prints: &str| {
        let (code, printed) = on_stream("upgrade");
        assert_eq!(code, Some(0), "{printed}");
        assert!(printed.contains(prints), "{printed}");
    };
    upgrade("upgraded  it is up to date\n");
    // Given a stream whose metadata does not name the format.
    set_metadata(&cluster.nodes, &json!({ "owner": "ann" }));
    upgrade("upgraded  yes\n");
    let metadata = &cluster.nodes.stream()["config"]["metadata"];
    assert_eq!((&metadata["chinwag.format"], &metadata["owner"]), (&json!("1"), &json!("ann")));
    // Given a stream that a later release has upgraded.
    set_metadata(&cluster.nodes, &json!({ "chinwag.format": "2" }));
    let serve = TestServer::starting_at(&cluster.dir("c1"), &["--nats", &urls]).ready_or_ended();
    let serve = serve.err().expect("it does not start");
    for (code, printed) in [on_stream("check"), on_stream("upgrade"), (serve.code, serve.stderr)] {
        assert_eq!(code, Some(3), "{printed}");
        assert!(printed.contains("format 2, and this release knows format 1"), "{printed}");
    }
    assert_eq!(cluster.nodes.stream()["config"]["metadata"]["chinwag.format"], "2");
}
