//! The time without writes after each kind of loss, as in the table of docs/cluster.md.
//!
//! `CHINWAG_OUTAGE_ROUNDS` sets the number of rounds of all kinds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::network::Network;
use super::node::Nodes;
use super::{Cluster, serve};
use crate::kernel::number;
use crate::support::Client;

#[derive(Debug, Clone, Copy)]
enum Loss {
    LeaderKilled,
    LeaderStopped,
    LeaderCutOff,
    LeaderStepsDown,
    LeaderRetired,
    FollowerKilled,
    /// From when one of them is back.
    TwoNodesKilled,
    /// From when all are back.
    AllNodesKilled,
    /// From when the server reaches the nodes again.
    ServerCutOff,
}

const LOSSES: [Loss; 9] = [
    Loss::LeaderKilled,
    Loss::LeaderStopped,
    Loss::LeaderCutOff,
    Loss::LeaderStepsDown,
    Loss::LeaderRetired,
    Loss::FollowerKilled,
    Loss::TwoNodesKilled,
    Loss::AllNodesKilled,
    Loss::ServerCutOff,
];

/// Writes that are acknowledged after a loss, until the next one.
const WRITES: usize = 20;

/// A client that writes one message after the other to one server.
struct Pulse {
    /// When each acknowledged write was sent and answered.
    acknowledged: Arc<Mutex<Vec<(Instant, Instant)>>>,
    is_over: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Pulse {
    fn start(client: Client, chat: &str, author: &str) -> Self {
        let (acknowledged, is_over) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        let body = json!({ "chat": chat, "author": author, "text": "hello" });
        let (writes, over) = (Arc::clone(&acknowledged), Arc::clone(&is_over));
        let task = tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let sent = Instant::now();
                let reply = client.post("/messages/add", &body).await;
                match reply.status.as_u16() {
                    201 => writes.lock().expect("not poisoned").push((sent, Instant::now())),
                    503 => tokio::time::sleep(Duration::from_millis(10)).await,
                    _ => panic!("{}", reply.text),
                }
            }
        });
        Self { acknowledged, is_over, task }
    }

    /// Waits until writes that are sent from now on are acknowledged. Returns the longest time without an
    /// acknowledgement since `begun`.
    async fn longest_since(&self, begun: Instant) -> Duration {
        let asked = Instant::now();
        loop {
            assert!(!self.task.is_finished(), "a write failed");
            assert!(asked.elapsed() < Duration::from_mins(2), "writes do not go on");
            tokio::time::sleep(Duration::from_millis(20)).await;
            let writes = self.acknowledged.lock().expect("not poisoned");
            if writes.iter().filter(|(sent, _)| *sent > asked).count() < WRITES {
                continue;
            }
            let mut times: Vec<_> =
                writes.iter().map(|(_, answered)| *answered).filter(|answered| *answered > begun).collect();
            times.insert(0, begun);
            return times.windows(2).map(|pair| pair[1] - pair[0]).max().expect("a pair");
        }
    }
}

async fn outage(loss: Loss, cluster: &mut Cluster, network: &Network, pulse: &Pulse) -> Duration {
    let nodes = &mut cluster.nodes;
    nodes.wait_until_current();
    let leader = nodes.leader();
    let (next, last) = ((leader + 1) % 3, (leader + 2) % 3);
    let mut begun = Instant::now();
    match loss {
        Loss::LeaderKilled => nodes.kill(leader),
        Loss::LeaderStopped => nodes.pause(leader),
        Loss::LeaderCutOff => network.cut_off(leader),
        Loss::LeaderStepsDown => nodes.step_down(),
        Loss::LeaderRetired => nodes.retire(leader),
        Loss::FollowerKilled => nodes.kill(next),
        Loss::TwoNodesKilled => {
            nodes.kill(leader);
            nodes.kill(next);
            tokio::time::sleep(Duration::from_secs(1)).await;
            begun = Instant::now();
            nodes.revive(next);
        }
        Loss::AllNodesKilled => {
            for node in [leader, next, last] {
                nodes.kill(node);
            }
            begun = Instant::now();
            for node in [leader, next, last] {
                nodes.revive(node);
            }
        }
        Loss::ServerCutOff => {
            network.cut_off_servers();
            tokio::time::sleep(Duration::from_secs(6)).await;
            begun = Instant::now();
            network.rejoin_servers();
        }
    }
    let longest = pulse.longest_since(begun).await;
    if matches!(loss, Loss::LeaderStopped) {
        nodes.resume(leader);
    }
    if matches!(loss, Loss::LeaderCutOff) {
        network.rejoin(leader);
    }
    for node in [leader, next, last] {
        nodes.revive(node);
    }
    longest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server, root"]
async fn writes_go_on_after_every_loss() {
    let rounds = number("CHINWAG_OUTAGE_ROUNDS", 1);
    let (dir, network) = (TempDir::new().expect("a temporary directory"), Network::start());
    let nodes = Nodes::start_at(dir.path(), network.places());
    let mut cluster = Cluster::on(dir, nodes, "1GiB");
    let server = serve(&cluster.nodes.urls(), &cluster.dir("c1"), &[]);
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    let pulse = Pulse::start(server.client(), &den, &ann);
    cluster.servers.push(server);
    for loss in LOSSES {
        let mut outages = Vec::new();
        for _ in 0..rounds {
            outages.push(outage(loss, &mut cluster, &network, &pulse).await.as_secs_f64());
        }
        outages.sort_by(f64::total_cmp);
        eprintln!("outages: {loss:?}, median {:.2} s of {outages:.2?}", outages[outages.len() / 2]);
    }
    pulse.is_over.store(true, Ordering::Relaxed);
    pulse.task.await.expect("no write failed");
    cluster.assert_running();
    cluster.check_copies();
}
