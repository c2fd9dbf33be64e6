//! Random histories of a log on a simulated disk: acknowledged ⊆ recovered ⊆ submitted, in order, each frame
//! whole.
//!
//! A history is a disk and several lives of a log on it. A life ends by a crash, the end of the process, a
//! failing or full disk, or a clean end: at any call, in the middle of it, and also during the recovery. The
//! seed determines the whole history. `CHINWAG_HISTORIES` sets the number of histories; a failure prints the
//! command that runs its history again.

mod every_call;
mod ledger;
mod life;
mod mutations;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use super::simulated_disk::Lie;
use ledger::Ledger;
use life::Life;

/// The place where a life ends that does not end in a call.
const BETWEEN_CALLS: &str = "(between two calls)";

/// Counts what happened.
#[derive(Default)]
struct Tally {
    histories: u64,
    lives: u64,
    acked: u64,
    refused: u64,
    torn: u64,
    failing: u64,
    /// By what the log was doing, and the call in which it stopped.
    stops: BTreeMap<String, u64>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.histories += other.histories;
        self.lives += other.lives;
        self.acked += other.acked;
        self.refused += other.refused;
        self.torn += other.torn;
        self.failing += other.failing;
        for (what, count) in other.stops {
            *self.stops.entry(what).or_default() += count;
        }
    }

    fn report(&self) -> String {
        let Self { histories, lives, acked, refused, torn, failing, stops } = self;
        let in_call = stops.iter().filter(|(what, _)| !what.ends_with(BETWEEN_CALLS));
        let cut: u64 = in_call.map(|(_, count)| count).sum();
        let mut text = format!(
            "{histories} histories: {lives} lives of a log, {acked} frames acknowledged, {refused} refused for \
             want of room, {torn} torn writes cut off, {failing} lives ended by EIO, {cut} stopped in a call:\n"
        );
        for (what, count) in stops {
            writeln!(text, "{count:>9} {what}").expect("memory");
        }
        text
    }
}

/// Runs the history of this seed on a disk that may lie. Fails with the promise that was broken.
fn run(seed: u64, lie: Option<(life::Step, Lie)>) -> Result<Tally, String> {
    let mut history = Life::history(seed, lie);
    let mut tally = Tally { histories: 1, ..Tally::default() };
    for _ in 0..2 + history.chance.below(10) {
        history.live(&mut tally)?;
    }
    history.end(&mut tally)?;
    Ok(tally)
}

fn run_many(seeds: impl Iterator<Item = u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        match run(seed, None) {
            Ok(one) => tally.add(one),
            Err(broken) => panic!(
                "seed {seed}: {broken}\nagain: CHINWAG_SEED={seed} cargo test --lib -- --nocapture histories::random"
            ),
        }
    }
    tally
}

fn number_in_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number: {text}")))
}

#[test]
#[expect(clippy::print_stdout, reason = "the README quotes the counts")]
fn random_histories_keep_what_was_acknowledged() {
    const DEFAULT: u64 = 500;
    if let Some(seed) = number_in_environment("CHINWAG_SEED") {
        print!("{}", run_many(seed..=seed).report());
        return;
    }
    let count = number_in_environment("CHINWAG_HISTORIES").unwrap_or(DEFAULT);
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let step = usize::try_from(threads).expect("few");
        let running: Vec<_> =
            (0..threads).map(|first| scope.spawn(move || run_many((first..count).step_by(step)))).collect();
        for thread in running {
            match thread.join() {
                Ok(part) => tally.add(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    println!("in {:.1} s: {}", begun.elapsed().as_secs_f64(), tally.report());
}
