//! Nodes with the users of `examples/cluster`: the servers' user, and the operator.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::node::Nodes;
use super::writer::{forwarded, is_forwarded, writer_of};
use super::{Cluster, check_same, reached, run, serve};
use crate::support::binary;

const PASSWORD: &str = "a-long-password";

/// Starts nodes with the example's users and one more, `mute`, who may not publish answers; and a server for each user of
/// this list.
fn start(users: &[&str]) -> Cluster {
    let dir = TempDir::new().expect("a temporary directory");
    let examples = include_str!("../../../examples/cluster/users.conf");
    let users_begin = "  users = [\n";
    let mute = format!(
        "  mute = {{ publish: [\"chinwag.log\", \"$JS.API.>\", \"chinwag.write.>\"], subscribe: [\"chinwag.>\", \"_INBOX.>\"] }}\n\
         {users_begin}    {{ user: mute, password: {PASSWORD}, permissions: $mute }}\n"
    );
    assert!(examples.contains(users_begin), "the example has users");
    let config = examples.replace(users_begin, &mute);
    // The test asks the nodes without a password.
    let config = format!(
        "CHINWAG_PASSWORD: {PASSWORD}\nOPERATOR_PASSWORD: {PASSWORD}\n{config}\nno_auth_user: operator\n"
    );
    let nodes = Nodes::start_with(dir.path(), &config);
    let mut cluster = Cluster::on(dir, nodes, "1GiB");
    std::fs::write(cluster.dir("password"), PASSWORD).expect("written");
    let urls = cluster.nodes.urls();
    let serve = |(number, user): (usize, &&str)| {
        let flags = login(&cluster, user, "password");
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        serve(&urls, &cluster.dir(&format!("c{number}")), &flags)
    };
    let servers = users.iter().enumerate().map(serve).collect();
    cluster.servers = servers;
    cluster
}

/// Returns the flags with which this user connects, with the password in this file.
fn login(cluster: &Cluster, user: &str, file: &str) -> [String; 4] {
    let file = cluster.dir(file).to_str().expect("text").to_owned();
    ["--nats-user".to_owned(), user.to_owned(), "--nats-password-file".to_owned(), file]
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn the_examples_users_may_do_what_they_need() {
    let mut cluster = start(&["chinwag", "chinwag"]);
    let clients = cluster.clients();
    writer_of(&clients).await;
    check_same(&clients, &[], &[]).await;
    for server in cluster.servers.drain(..) {
        let (_, ended) = server.terminate();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains("WARN chinwag::log::stream"), "{}", ended.stderr);
    }
    let urls = cluster.nodes.urls();
    let stream = |command: &[&str], login: [String; 4]| {
        let mut command_line = binary();
        command_line.arg("stream").args(command).args(["--nats", &urls]).args(login);
        run(&mut command_line)
    };
    let data = cluster.dir("c0");
    let data = data.to_str().expect("text");
    for command in [
        &["check"][..],
        &["upgrade"],
        &["restore", "--data", data, "--max-bytes", "1GiB"],
        &["create", "--if-missing", "--max-bytes", "1GiB"],
    ] {
        let (code, printed) = stream(command, login(&cluster, "operator", "password"));
        assert_eq!(code, Some(0), "{command:?}: {printed}");
        assert!(!printed.contains("WARN") && !printed.contains("warning"), "{command:?}: {printed}");
    }
    std::fs::write(cluster.dir("wrong"), "wrong").expect("written");
    let (code, printed) = stream(&["check"], login(&cluster, "operator", "wrong"));
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("every node refuses the login"), "{printed}");
}

#[tokio::test]
#[ignore = "needs nats-server"]
async fn nobody_waits_for_a_server_that_may_not_answer() {
    // Given two servers that ask each other, and one that may not publish answers.
    let mut cluster = start(&["chinwag", "chinwag", "mute"]);
    let clients = cluster.clients();
    writer_of(&clients[..2]).await;
    let [one, _, mute] = &clients[..] else { unreachable!("three servers") };
    reached(mute, one.position().await).await;
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
