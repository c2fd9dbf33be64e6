//! The connection between a server and the nodes is held, cut and slow.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::load::Load;
use super::node::{Nodes, urls};
use super::{Cluster, check_same, repeat, serve};
use crate::support::{Proxy, problem};

/// All connections of one server to the nodes.
struct Link([Proxy; 3]);

impl Link {
    fn to(nodes: &Nodes) -> Self {
        Self(nodes.addresses().map(|address| Proxy::to(&address)))
    }

    fn urls(&self) -> String {
        urls(&self.0.each_ref().map(|proxy| proxy.address.clone()))
    }

    fn hold(&self) {
        self.0.iter().for_each(Proxy::hold);
    }

    fn hold_answers(&self) {
        self.0.iter().for_each(Proxy::hold_answers);
    }

    fn cut(&self) {
        self.0.iter().for_each(Proxy::cut);
    }

    fn pass(&self, delay: Duration) {
        self.0.iter().for_each(|proxy| proxy.pass(delay));
    }
}

/// Nodes with two servers, the second of which has a link that can fail.
fn two_servers(write_timeout_ms: &str) -> (Cluster, Link) {
    let mut cluster = Cluster::without_servers("1GiB");
    let link = Link::to(&cluster.nodes);
    let near = serve(&cluster.nodes.urls(), &cluster.dir("near"), &[]);
    let flags = ["--write-timeout-ms", write_timeout_ms];
    let far = serve(&link.urls(), &cluster.dir("far"), &flags);
    cluster.servers = vec![near, far];
    (cluster, link)
}

/// A server without a connection refuses writes and answers reads; afterwards everything is there once.
async fn without_a_connection(lose: impl Fn(&Link)) {
    let (mut cluster, link) = two_servers("1500");
    let (near, far) = (cluster.servers[0].client(), cluster.servers[1].client());
    let ann = near.add_user("ann").await;
    let den = near.add_chat("den", &[&ann]).await;
    let message = |text: &str| json!({ "chat": den, "author": ann, "text": text });
    repeat(&far, "first", "/messages/add", &message("first")).await;
    for round in 0..2 {
        lose(&link);
        let key = format!("far-{round}");
        let refused = far.post_under(&key, "/messages/add", &message(&key)).await;
        let code = refused.json()["code"].as_str().unwrap().to_owned();
        assert!(["unavailable", "unconfirmed"].contains(&code.as_str()), "{}", refused.text);
        problem(&refused, 503, &code);
        assert!(!far.messages(&den).await.is_empty(), "reads go on");
        near.add_message(&den, &ann, &format!("near {round}")).await;
        link.pass(Duration::ZERO);
        repeat(&far, &key, "/messages/add", &message(&key)).await;
    }
    assert_eq!(far.messages(&den).await.len(), 5);
    check_same(&[near, far], &[den], &[ann]).await;
    cluster.assert_running();
    cluster.check_copies();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_silent_connection_refuses_writes_until_it_returns() {
    without_a_connection(Link::hold).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_lost_connection_refuses_writes_until_it_returns() {
    without_a_connection(Link::cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_write_waits_for_a_short_interruption() {
    let (cluster, link) = two_servers("30000");
    let far = cluster.servers[1].client();
    let ann = far.add_user("ann").await;
    let den = far.add_chat("den", &[&ann]).await;
    for (text, lose) in [("held", Link::hold as fn(&Link)), ("cut", Link::cut), ("held again", Link::hold)] {
        lose(&link);
        let write = tokio::spawn({
            let (far, den, ann) = (far.clone(), den.clone(), ann.clone());
            async move { far.add_message(&den, &ann, text).await }
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!write.is_finished());
        link.pass(Duration::ZERO);
        write.await.expect("answered 201");
    }
    assert_eq!(far.messages(&den).await.len(), 3);
    check_same(&cluster.clients(), &[den], &[ann]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn interruptions_under_load_lose_and_double_nothing() {
    const WRITERS: usize = 12;
    let (mut cluster, link) = two_servers("1500");
    let load = Load::start(&cluster.clients(), WRITERS).await;
    load.wait_for_answers_of(&[0, 1]).await;
    for millis in [100, 700, 2_500] {
        for lose in [Link::hold, Link::cut, Link::hold_answers] {
            lose(&link);
            tokio::time::sleep(Duration::from_millis(millis)).await;
            load.wait_for_answers_of(&[0]).await;
            link.pass(Duration::from_millis(millis / 50));
            load.wait_for_answers_of(&[0, 1]).await;
        }
    }
    link.pass(Duration::ZERO);
    let done = load.finish().await;
    assert!(done.repeated.done_before + done.repeated.done_now > 0, "nothing was tried");
    eprintln!("links: {done:?}");
    cluster.assert_running();
    cluster.check_copies();
}

/// The nodes have stored it, and the server does not hear of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_write_without_an_acknowledgement_is_unconfirmed() {
    let (cluster, link) = two_servers("1500");
    let [near, far] = [0, 1].map(|number| cluster.servers[number].client());
    let ann = near.add_user("ann").await;
    let den = near.add_chat("den", &[&ann]).await;
    let message = json!({ "chat": den, "author": ann, "text": "hello" });
    // The connection is there, and the server knows of the chat.
    repeat(&far, "before", "/messages/add", &message).await;
    link.hold_answers();
    let refused = far.post_under("key", "/messages/add", &message).await;
    problem(&refused, 503, "unconfirmed");
    link.cut();
    super::reached(&near, 4).await;
    let answer = near.post_under("key", "/messages/add", &message).await;
    assert_eq!((answer.status.as_u16(), answer.is_replayed(), answer.position()), (201, true, 4));
    link.pass(Duration::ZERO);
    super::reached(&far, 4).await;
    check_same(&cluster.clients(), &[den], &[ann]).await;
}

/// The stopped server's publication arrives when others have written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_write_that_arrives_late_is_decided_again() {
    let (cluster, link) = two_servers("30000");
    let [near, far] = [0, 1].map(|number| cluster.servers[number].client());
    let ann = near.add_user("ann").await;
    let den = near.add_chat("den", &[&ann]).await;
    super::reached(&far, near.position().await).await;
    link.hold();
    let body = json!({ "username": "bob" });
    let late = tokio::spawn({
        let (far, body) = (far.clone(), body.clone());
        async move { far.post("/users/add", &body).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.servers[1].signal(Signal::STOP);
    let bob = near.post("/users/add", &body).await.id();
    near.add_message(&den, &ann, "hello").await;
    link.pass(Duration::ZERO);
    cluster.servers[1].signal(Signal::CONT);
    let refused = late.await.expect("answered");
    assert_eq!(problem(&refused, 409, "username_taken").as_deref(), Some("username"));
    check_same(&cluster.clients(), &[den], &[ann, bob]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn a_server_without_most_nodes_stops_as_planned() {
    for paused in [&[0, 1][..], &[0, 1, 2]] {
        let mut cluster = Cluster::start();
        for number in paused {
            cluster.nodes.pause(*number);
        }
        // Its questions to the nodes are under way, at different stages.
        for server in cluster.servers.drain(..) {
            tokio::time::sleep(Duration::from_millis(900)).await;
            let (_, ended) = tokio::task::spawn_blocking(|| server.terminate()).await.expect("no panic");
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        }
    }
}
