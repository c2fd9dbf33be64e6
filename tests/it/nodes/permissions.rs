//! Servers whose user on the nodes has the permissions that docs/operations.md names, and not more.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::node::Nodes;
use super::writer::{forwarded, is_forwarded};
use super::{Cluster, reached, run, serve};
use crate::support::{Client, binary};

/// An operator, as whom everyone connects who names no user; a server; and a server that may not answer others.
const USERS: &str = r#"
no_auth_user: operator
authorization { users: [
  { user: operator, password: operator }
  { user: server, password: secret, permissions: {
    publish: [
      "chinwag.log", "$JS.API.STREAM.INFO.chinwag", "$JS.API.DIRECT.GET.chinwag", "$JS.API.STREAM.MSG.GET.chinwag",
      "chinwag.write.>", "_INBOX.>"
    ]
    subscribe: ["chinwag.stored", "_INBOX.>", "chinwag.write.>"]
  } }
  { user: mute, password: secret, permissions: {
    publish: [
      "chinwag.log", "$JS.API.STREAM.INFO.chinwag", "$JS.API.DIRECT.GET.chinwag", "$JS.API.STREAM.MSG.GET.chinwag",
      "chinwag.write.>"
    ]
    subscribe: ["chinwag.stored", "_INBOX.>", "chinwag.write.>"]
  } }
] }
"#;

/// Starts nodes with these users, and a server as each of these.
fn start(users: &[&str]) -> Cluster {
    let dir = TempDir::new().expect("a temporary directory");
    let nodes = Nodes::start_with(dir.path(), USERS);
    let mut cluster = Cluster::on(dir, nodes, "1GiB");
    let (urls, password) = (cluster.nodes.urls(), password(&cluster, "secret"));
    let password = password.to_str().expect("text");
    cluster.servers = (1..)
        .zip(users)
        .map(|(number, user)| {
            let flags = ["--nats-user", user, "--nats-password-file", password];
            serve(&urls, &cluster.dir(&format!("c{number}")), &flags)
        })
        .collect();
    cluster
}

/// Writes a file of a password.
fn password(cluster: &Cluster, password: &str) -> PathBuf {
    let file = cluster.dir(password);
    std::fs::write(&file, password).expect("written");
    file
}

/// Lets two servers write in turn until the first sends a write to the second, and lets the second write last.
async fn write_in_turn(one: &Client, two: &Client) {
    for round in 0..1_000 {
        two.add_user(&format!("two {round}")).await;
        reached(one, two.position().await).await;
        let is_sent = is_forwarded(one, &format!("one {round}")).await;
        reached(two, one.position().await).await;
        if is_sent {
            return;
        }
    }
    panic!("no write is sent to another server");
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn servers_with_the_permissions_ask_each_other() {
    let mut cluster = start(&["server", "server"]);
    let clients = cluster.clients();
    write_in_turn(&clients[0], &clients[1]).await;
    // A tool with a wrong password says so.
    let (urls, wrong) = (cluster.nodes.urls(), password(&cluster, "wrong"));
    let mut check = binary();
    check
        .args(["stream", "check", "--nats", &urls, "--nats-user", "server", "--nats-password-file"])
        .arg(wrong);
    let (ended, printed) = run(&mut check);
    assert_eq!(ended, Some(2), "{printed}");
    assert!(printed.contains("every node refuses the login"), "{printed}");
    cluster.check_copies();
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn nobody_waits_for_a_server_that_may_not_answer() {
    // Given two servers that ask each other, and one that may not publish answers.
    let mut cluster = start(&["server", "server", "mute"]);
    let clients = cluster.clients();
    let [one, two, mute] = &clients[..] else { unreachable!("three servers") };
    write_in_turn(one, two).await;
    reached(mute, two.position().await).await;
    // It has waited 2 s for an answer from itself.
    tokio::time::sleep(Duration::from_secs(3)).await;
    // When it writes, it writes for itself, and so does another one after it, at once.
    let before = forwarded(one).await;
    assert!(!is_forwarded(mute, "mute").await);
    reached(one, mute.position().await).await;
    let asked = Instant::now();
    one.add_user("after mute").await;
    assert!(asked.elapsed() < Duration::from_secs(1), "it waited for {:?}", asked.elapsed());
    assert_eq!(forwarded(one).await, before);
    // Then its log says why.
    let (stopped, ended) = cluster.servers.pop().expect("the third").terminate();
    assert!(ended.stderr.contains("may not publish its answers as _INBOX.>"), "{}", ended.stderr);
    cluster.servers.push(stopped.restart());
    reached(&cluster.clients()[2], one.position().await).await;
    cluster.check_copies();
}
