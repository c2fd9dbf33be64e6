//! The nodes' disks are full: writes are refused, reads go on, and after a restart with room nothing is lost.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::node::Nodes;
use super::{Cluster, check_same, repeat, serve};
use crate::kernel::block::{Mounted, text};
use crate::kernel::run;

/// Messages in a batch, of some 300 KiB in all.
const BATCH: usize = 20;
const BATCHES_MAX: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server, root, mounts"]
async fn nodes_with_full_disks_lose_nothing() {
    let (disks, dir) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    // One is full long before the others.
    let mount = |(name, mib)| Mounted::tmpfs(mib, &disks.path().join(name).join("data"));
    let mounts = [("n1", 12), ("n2", 32), ("n3", 32)].map(mount);
    let nodes = Nodes::start(disks.path());
    let mut cluster = Cluster::on(dir, nodes, "1GiB");
    let urls = cluster.nodes.urls();
    let flags = ["--write-timeout-ms", "3000"];
    cluster.servers = ["c1", "c2"].map(|name| serve(&urls, &cluster.dir(name), &flags)).into();
    let [one, two] = [0, 1].map(|number| cluster.servers[number].client());
    let ann = one.add_user("ann").await;
    let den = one.add_chat("den", &[&ann]).await;

    let batch = |number: usize| {
        let message =
            json!({ "chat": den, "author": ann, "text": format!("{number} {}", "x".repeat(15_000)) });
        json!({ "messages": vec![message; BATCH] })
    };
    let mut acknowledged = 0;
    // The first node's disk is full, and the writes have gone on, perhaps after a change of the leader.
    let mut refusals = Vec::new();
    while refusals.len() < 5 {
        assert!(acknowledged < BATCHES_MAX, "the disks are never full");
        let key = format!("batch-{acknowledged}");
        let reply = one.post_under(&key, "/messages/batch", &batch(acknowledged)).await;
        if reply.status == 201 {
            acknowledged += 1;
            refusals.clear();
            continue;
        }
        let code = reply.json()["code"].as_str().expect("a code").to_owned();
        let known = [(503, "unavailable"), (503, "unconfirmed"), (507, "storage_full")];
        assert!(known.contains(&(reply.status.as_u16(), code.as_str())), "{}", reply.text);
        refusals.push(code);
    }
    let mib = (acknowledged * BATCH * 15_000) >> 20;
    eprintln!("full: {acknowledged} batches, {mib} MiB, then {refusals:?}");
    assert!(mib > 6, "the first node's disk was full, which stopped the others");
    let before = one.messages(&den).await.len();
    assert!(before >= acknowledged * BATCH, "reads go on");

    for (node, mount) in mounts.iter().enumerate() {
        cluster.nodes.kill(node);
        run("mount", &["-o", "remount,size=256m", text(&mount.at)]);
        cluster.nodes.revive(node);
    }
    // What was refused last is carried out once, whether it came to be stored or not.
    let key = format!("batch-{acknowledged}");
    repeat(&one, &key, "/messages/batch", &batch(acknowledged)).await;
    repeat(&two, "later", "/messages/batch", &batch(acknowledged + 1)).await;
    let texts: Vec<_> = two.messages(&den).await.into_iter().map(|mut said| said["text"].take()).collect();
    let expected: Vec<Value> = (0..acknowledged + 2)
        .flat_map(|number| vec![batch(number)["messages"][0]["text"].clone(); BATCH])
        .collect();
    assert!(texts == expected, "{} messages and not {}", texts.len(), expected.len());
    check_same(&cluster.clients(), &[den], &[ann]).await;
    cluster.assert_running();
    cluster.check_copies();
}
