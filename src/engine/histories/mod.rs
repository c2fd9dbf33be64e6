//! Random histories of several servers on one simulated stream: acknowledged ⊆ recovered ⊆ submitted, and equal models
//! on all servers, whatever the stream does. If it loses something, every server that had more stops.
//!
//! A seed determines the whole history. `CHINWAG_HISTORIES` sets the number of histories; a failure prints the command
//! that runs its history again.

mod cluster;
mod ledger;

use std::iter::StepBy;
use std::num::NonZero;
use std::ops::Range;
use std::time::Instant;

use self::cluster::Cluster;

/// Counts what happened.
#[derive(Debug, Default)]
struct Tally {
    histories: u64,
    acknowledged: u64,
    refused: u64,
    unavailable: u64,
    unconfirmed: u64,
    restarts: u64,
    /// Servers that stopped because the stream had lost something.
    stopped: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.unavailable += other.unavailable;
        self.unconfirmed += other.unconfirmed;
        self.restarts += other.restarts;
        self.stopped += other.stopped;
    }
}

/// Runs the history of this seed on a stream that loses nothing.
fn run(seed: u64) -> Result<Tally, String> {
    let mut cluster = Cluster::new(seed, true);
    for _ in 0..10 + cluster.chance.below(40) {
        cluster.step()?;
    }
    cluster.end()?;
    Ok(cluster.tally)
}

/// Runs the history of this seed on a stream that loses messages, or all of them.
fn run_with_a_loss(seed: u64) -> Result<Tally, String> {
    let mut cluster = Cluster::new(seed, false);
    for _ in 0..5 + cluster.chance.below(20) {
        cluster.step()?;
    }
    cluster.lose()?;
    Ok(cluster.tally)
}

#[expect(clippy::print_stdout, reason = "the documents quote the counts")]
fn run_many(name: &str, histories: u64, run: impl Fn(u64) -> Result<Tally, String> + Sync) -> Tally {
    let (first, count) = match std::env::var("CHINWAG_SEED") {
        Ok(seed) => (seed.parse().expect("a seed"), 1),
        Err(_) => (0, histories),
    };
    let run_all = &|seeds: StepBy<Range<u64>>| {
        let mut tally = Tally::default();
        for seed in seeds {
            let outcome = run(seed).unwrap_or_else(|broken| {
                panic!("{broken}\nagain: CHINWAG_SEED={seed} cargo test --lib -- {name}")
            });
            tally.add(&outcome);
        }
        tally
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (mut tally, began) = (Tally::default(), Instant::now());
    std::thread::scope(|scope| {
        let end = first + count;
        let firsts = (first..end).take(threads);
        let running: Vec<_> =
            firsts.map(|first| scope.spawn(move || run_all((first..end).step_by(threads)))).collect();
        for thread in running {
            tally.add(&thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    println!("{tally:?} in {:?}", began.elapsed());
    tally
}

fn histories(default: u64) -> u64 {
    std::env::var("CHINWAG_HISTORIES").map_or(default, |count| count.parse().expect("a number"))
}

#[test]
fn servers_on_a_bad_stream_have_one_history() {
    let tally = run_many("servers_on_a_bad_stream", histories(300), run);
    let Tally { acknowledged, refused, unavailable, unconfirmed, restarts, .. } = tally;
    let each = [acknowledged, refused, unavailable, unconfirmed, restarts];
    assert!(tally.histories == 1 || each.iter().all(|count| *count > 0));
}

#[test]
fn servers_on_a_stream_with_a_loss_stop() {
    let tally = run_many("servers_on_a_stream_with_a_loss", histories(300), run_with_a_loss);
    assert!(tally.histories == 1 || tally.stopped > 0);
}
