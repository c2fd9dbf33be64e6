//! Nodes with the users of `examples/cluster`: the servers' user, and the operator.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::node::Nodes;
use super::writer::forwarded;
use super::{Cluster, check_same, run, serve};
use crate::support::binary;

const PASSWORD: &str = "a-long-password";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn the_examples_users_may_do_what_they_need() {
    let dir = TempDir::new().expect("a temporary directory");
    let users = include_str!("../../../examples/cluster/users.conf");
    // The test asks the nodes without a password.
    let config = format!(
        "CHINWAG_PASSWORD: {PASSWORD}\nOPERATOR_PASSWORD: {PASSWORD}\n{users}\nno_auth_user: operator\n"
    );
    let nodes = Nodes::start_with(dir.path(), &config);
    let mut cluster = Cluster::on(dir, nodes, "1GiB");
    let (urls, password) = (cluster.nodes.urls(), cluster.dir("password"));
    std::fs::write(&password, PASSWORD).expect("written");
    let login = |user| ["--nats-user", user, "--nats-password-file", password.to_str().expect("text")];
    cluster.servers = ["c1", "c2"].map(|name| serve(&urls, &cluster.dir(name), &login("chinwag"))).into();
    // A server sends its writes to the other one.
    let (clients, asked) = (cluster.clients(), Instant::now());
    let mut users = Vec::new();
    while forwarded(&clients[0]).await + forwarded(&clients[1]).await == 0 {
        assert!(asked.elapsed() < Duration::from_secs(30), "the servers do not ask each other");
        for client in &clients {
            users.push(client.add_user(&format!("user {}", users.len())).await);
        }
    }
    check_same(&clients, &[], &users).await;
    for server in cluster.servers.drain(..) {
        let (_, ended) = server.terminate();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains("WARN chinwag::log::stream"), "{}", ended.stderr);
    }
    let data = cluster.dir("c1");
    let data = data.to_str().expect("text");
    for command in [
        &["check"][..],
        &["upgrade"],
        &["restore", "--data", data, "--max-bytes", "1GiB"],
        &["create", "--if-missing", "--max-bytes", "1GiB"],
    ] {
        let mut command_line = binary();
        command_line.arg("stream").args(command).args(["--nats", &urls]).args(login("operator"));
        let (code, printed) = run(&mut command_line);
        assert_eq!(code, Some(0), "{command:?}: {printed}");
        assert!(!printed.contains(" WARN "), "{command:?}: {printed}");
    }
}
