//! Nodes and servers are killed, stopped and asked to step down under load.
//!
//! `CHINWAG_CHAOS_ROUNDS` and `CHINWAG_CHAOS_WRITERS` set the number of rounds, each of all faults, and of writers;
//! `CHINWAG_SEED` the random seed.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Cluster;
use super::follow::Readers;
use super::load::Load;
use crate::kernel::{Dice, number, seed};

#[derive(Debug, Clone, Copy)]
enum Fault {
    NodeKilled,
    LeaderKilled,
    TwoNodesKilled,
    AllNodesKilled,
    LeaderStopped,
    TwoNodesStopped,
    StepDowns,
    NodeRetired,
    ServerKilled,
    ServerStopped,
    ServerAndLeaderKilled,
}

const FAULTS: [Fault; 11] = [
    Fault::NodeKilled,
    Fault::LeaderKilled,
    Fault::TwoNodesKilled,
    Fault::AllNodesKilled,
    Fault::LeaderStopped,
    Fault::TwoNodesStopped,
    Fault::StepDowns,
    Fault::NodeRetired,
    Fault::ServerKilled,
    Fault::ServerStopped,
    Fault::ServerAndLeaderKilled,
];

const ALL: [usize; 3] = [0, 1, 2];

/// Causes a fault and repairs it. While enough of the nodes work, writes go on.
async fn cause(fault: Fault, cluster: &mut Cluster, load: &Load, dice: &mut Dice) {
    let one = dice.choose(&ALL);
    let two = [one, (one + 1) % 3];
    match fault {
        Fault::NodeKilled => {
            cluster.nodes.kill(one);
            load.wait_for_answers_of(&ALL).await;
            cluster.nodes.revive(one);
        }
        Fault::LeaderKilled => {
            let leader = cluster.nodes.leader();
            cluster.nodes.kill(leader);
            load.wait_for_answers_of(&ALL).await;
            cluster.nodes.revive(leader);
        }
        Fault::TwoNodesKilled => {
            for node in two {
                cluster.nodes.kill(node);
            }
            some_time(dice).await;
            for node in two {
                cluster.nodes.revive(node);
            }
        }
        Fault::AllNodesKilled => {
            for node in ALL {
                cluster.nodes.kill(node);
            }
            some_time(dice).await;
            for node in ALL {
                cluster.nodes.revive(node);
            }
        }
        Fault::LeaderStopped => {
            let leader = cluster.nodes.leader();
            cluster.nodes.pause(leader);
            load.wait_for_answers_of(&ALL).await;
            cluster.nodes.resume(leader);
        }
        Fault::TwoNodesStopped => {
            for node in two {
                cluster.nodes.pause(node);
            }
            some_time(dice).await;
            for node in two {
                cluster.nodes.resume(node);
            }
        }
        Fault::StepDowns => {
            for _ in 0..5 {
                cluster.nodes.step_down();
                tokio::time::sleep(Duration::from_millis(dice.below(300))).await;
            }
        }
        Fault::NodeRetired => {
            cluster.nodes.retire(one);
            load.wait_for_answers_of(&ALL).await;
            cluster.nodes.revive(one);
        }
        Fault::ServerKilled => {
            for server in ALL {
                cluster.restart(server);
                load.wait_for_answers_of(&[server]).await;
            }
        }
        Fault::ServerStopped => {
            cluster.servers[one].signal(Signal::STOP);
            load.wait_for_answers_of(&[(one + 1) % 3, (one + 2) % 3]).await;
            some_time(dice).await;
            cluster.servers[one].signal(Signal::CONT);
        }
        Fault::ServerAndLeaderKilled => {
            let leader = cluster.nodes.leader();
            cluster.nodes.kill(leader);
            cluster.restart(one);
            load.wait_for_answers_of(&ALL).await;
            cluster.nodes.revive(leader);
        }
    }
    cluster.assert_running();
    load.wait_for_answers_of(&ALL).await;
}

/// Waits for a second to four, of which a stopped server's clients notice some.
async fn some_time(dice: &mut Dice) {
    tokio::time::sleep(Duration::from_millis(1_000 + dice.below(3_000))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats-server"]
async fn acknowledged_writes_are_everywhere_once() {
    let (rounds, writers) = (number("CHINWAG_CHAOS_ROUNDS", 1), number("CHINWAG_CHAOS_WRITERS", 24));
    let (seed, started) = (seed(), Instant::now());
    eprintln!("chaos: CHINWAG_CHAOS_ROUNDS={rounds} CHINWAG_CHAOS_WRITERS={writers} CHINWAG_SEED={seed}");
    let mut dice = Dice(seed);
    let mut cluster = Cluster::start();
    let load = Load::start(&cluster.clients(), writers as usize).await;
    let readers = Readers::start(&cluster.clients(), &load.users[..ALL.len()]);
    load.wait_for_answers_of(&ALL).await;
    for _ in 0..rounds {
        let mut faults = FAULTS.map(|fault| (dice.roll(), fault));
        faults.sort_by_key(|(order, _)| *order);
        for (_, fault) in faults {
            let begun = Instant::now();
            cause(fault, &mut cluster, &load, &mut dice).await;
            eprintln!("chaos: {fault:?}, {:.1} s", begun.elapsed().as_secs_f64());
        }
    }
    let done = load.finish().await;
    assert!(done.repeated.done_before + done.repeated.done_now > 0, "nothing was tried");
    readers.finish(&cluster.servers[0].data).await;
    cluster.check_copies();
    eprintln!(
        "chaos: {} faults, {writers} writers: {} writes, each there once on each server; of those sent again, {} had \
         been done and {} had not; {} names; {:.1} s",
        FAULTS.len() * rounds as usize,
        done.writes,
        done.repeated.done_before,
        done.repeated.done_now,
        done.names,
        started.elapsed().as_secs_f64(),
    );
}
