//! A stream that gets what a directory holds: what it has lost, from a copy, or its beginning, from the log of one server.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::node::{Nodes, STREAM};
use super::{Cluster, check_same, create_stream, export, reached, run, serve};
use crate::support::{StoppedServer, TestServer, binary};

/// Runs a command on the stream of these nodes with the log in this directory. It must end with this exit code, and print
/// this, among other things.
#[track_caller]
fn check(nodes: &Nodes, command: &[&str], dir: &Path, code: i32, prints: &str) {
    let urls = nodes.urls();
    let mut command_line = binary();
    command_line.args(command).arg(dir).args(["--nats", &urls, "--max-bytes", "1GiB"]);
    let (ended, printed) = run(&mut command_line);
    assert_eq!(ended, Some(code), "{printed}");
    assert!(printed.contains(prints), "{printed}");
}

const RESTORE: [&str; 3] = ["stream", "restore", "--data"];
const CREATE_FROM: [&str; 4] = ["stream", "create", "--if-missing", "--from"];

fn delete(nodes: &Nodes) {
    let deleted = nodes.ask(&format!("STREAM.DELETE.{STREAM}"), "");
    assert_eq!(deleted["success"], true, "{deleted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_lost_stream_is_restored_from_the_longest_copy() {
    // Given three servers, of which one lacks the last events,
    let mut cluster = Cluster::start();
    let ann = cluster.servers[0].add_user("ann").await;
    let den = cluster.servers[0].add_chat("den", &[&ann]).await;
    cluster.servers[0].add_message(&den, &ann, "hello").await;
    reached(&cluster.servers[2], 3).await;
    // A server that is killed may lack what it has not copied yet.
    let (short, ended) = cluster.servers.remove(2).terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut stream = cluster.servers[0].follow(&ann, None).await;
    for text in ["one", "two", "three"] {
        cluster.servers[0].add_message(&den, &ann, text).await;
    }
    stream.take_events(2).await;
    let seen = stream.last_id.clone();
    let (chats, users) = ([den], [ann]);
    check_same(&cluster.clients(), &chats, &users).await;
    // whose stream is deleted, and begun anew, as an operator's script may do.
    delete(&cluster.nodes);
    create_stream(&cluster.nodes, "1GiB");
    let ended = cluster.servers.drain(..).map(|server| server.ended(Duration::from_mins(1)));
    let (mut stopped, ends): (Vec<_>, Vec<_>) = ended.unzip();
    for end in ends {
        assert_eq!(end.code, Some(5), "{}", end.stderr);
    }
    stopped.push(short);
    let [long, other, short] = &stopped[..] else { unreachable!("three servers") };

    // When the copies are to be restored to another log, nothing happens.
    let nodes = &cluster.nodes;
    check(nodes, &RESTORE, &long.data, 5, "and the directory holds log");
    assert_eq!(nodes.stream()["state"]["messages"], 1);
    // When that is deleted, the shorter copy is restored, and the longer one has more.
    delete(nodes);
    check(nodes, &RESTORE, &short.data, 0, "created   yes\npublished 3 frames that were not there\n");
    check(nodes, &RESTORE, &long.data, 0, "created   it was there\npublished 3 frames that were not there\n");
    check(nodes, &RESTORE, &other.data, 0, "published 0 frames that were not there\nposition  6\n");
    check(nodes, &RESTORE, &short.data, 5, "all events of the directory, and goes on with event 4");

    // Then all servers start on it, have everything, and go on, and so do those who followed.
    cluster.servers = stopped.into_iter().map(StoppedServer::restart).collect();
    check_same(&cluster.clients(), &chats, &users).await;
    cluster.servers[2].add_message(&chats[0], &users[0], "four").await;
    let mut stream = cluster.servers[2].resume(&users[0], &seen).await;
    assert_eq!(stream.begin().await.kind, "begin");
    let events = stream.take_events(2).await;
    assert_eq!(events.iter().map(|event| &event.data["text"]).collect::<Vec<_>>(), ["three", "four"]);
    check_same(&cluster.clients(), &chats, &users).await;
    cluster.check_copies();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_stream_begins_with_the_log_of_one_server() {
    // Given a log of an early release that has gone on, in a batch that is longer than a message may be.
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/old_logs/1/data");
    let alone = TestServer::start_on_copy_of(&old);
    let ann = alone.add_user("ann of the stream").await;
    let den = alone.add_chat("den of the stream", &[&ann]).await;
    let mut stream = alone.follow(&ann, None).await;
    let message = json!({ "chat": den, "author": ann, "text": "x".repeat(16_000) });
    let reply = alone.post("/messages/batch", &json!({ "messages": vec![message; 600] })).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    stream.take_events(1).await;
    let (seen, last) = (stream.last_id.clone(), reply.position());
    drop(stream);
    // When a server uses it, it is left alone.
    let dir = TempDir::new().expect("a temporary directory");
    let nodes = Nodes::start(dir.path());
    check(&nodes, &CREATE_FROM, &alone.data, 4, "is in use by another process");
    let (stopped, ended) = alone.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // When a stream begins with it,
    let exported = export(&stopped.data);
    check(&nodes, &CREATE_FROM, &stopped.data, 0, &format!("position  {last}\n"));
    check(&nodes, &CREATE_FROM, &stopped.data, 0, "published 0 frames that were not there\n");
    assert_eq!(export(&stopped.data), exported, "the directory is as it was");
    // Then servers on it have every event, at its position, and ids stay good.
    let urls = nodes.urls();
    let dirs = ["c1", "c2", "c3"].map(|name| dir.path().join(name));
    let servers = dirs.each_ref().map(|data| serve(&urls, data, &[])).into();
    assert!(export(&dirs[0]) == exported, "a server has other events");
    let mut cluster = Cluster { servers, nodes, dir };
    let mut stream = cluster.servers[1].resume(&ann, &seen).await;
    assert_eq!(stream.begin().await.kind, "begin");
    assert_eq!(stream.take_events(599).await.last().map(|event| event.id), Some(last));
    cluster.servers[2].add_message(&den, &ann, "on the stream").await;
    assert_eq!(stream.take_events(1).await[0].data["text"], "on the stream");
    check_same(&cluster.clients(), &[den], &[ann]).await;
    cluster.check_copies();
}
