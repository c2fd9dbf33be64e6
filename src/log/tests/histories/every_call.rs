//! One short history that goes wrong at every call, in every way.

use super::Tally;
use super::life::{Life, Next};
use crate::log::tests::simulated_disk::{Among, Chance, Fault, SimDisk, Stop};

/// Maximum number of ways that are tried in order; if there are more, as many random ones follow.
const WAYS_MAX: usize = if cfg!(debug_assertions) { 16 } else { 4_096 };
/// Number of random ways that are tried for each pair of a stop and another stop during the recovery.
const WAYS_TWICE: u64 = if cfg!(debug_assertions) { 1 } else { 32 };
/// Step between the first stops of such pairs.
const FIRST_STEP: usize = if cfg!(debug_assertions) { 3 } else { 1 };

/// A stop or a fault after a number of calls.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Stop(Stop),
    Fault(Fault),
}

/// Frames that fit the segment, need the next one, and need one of their own length.
const FRAMES: [(u64, usize); 4] = [(1, 0), (2, 200), (1, 600), (1, 1100)];

/// Creates a log, appends, replays, and appends again. Returns whether the fate struck.
fn short_history(life: &mut Life, fate: Fate, after: usize) -> Result<bool, String> {
    match fate {
        Fate::Stop(stop) => life.disk.stop_after(Some((stop, after, Among::All))),
        Fate::Fault(fault) => life.disk.fail_after(Some((fault, after))),
    }
    let mut tally = Tally::default();
    'lives: for frames in [&FRAMES[..], &FRAMES[..2]] {
        let mut log = life.log();
        if life.replay(&mut log, &mut tally)? == Next::Ends {
            break;
        }
        for &(count, text_bytes) in frames {
            if life.append(&mut log, count, text_bytes, &mut tally)? == Next::Ends {
                break 'lives;
            }
        }
    }
    let struck = life.disk.stopped().is_some() || life.disk.eio_met();
    life.end_life(&mut tally);
    Ok(struck)
}

/// Runs the history with this fate, then on a sound disk. Returns whether the fate struck.
fn once(disk: SimDisk, fate: Fate, after: usize) -> Result<(bool, SimDisk), String> {
    let mut life = Life::on(disk, Chance::default());
    let struck = short_history(&mut life, fate, after)?;
    life.end(&mut Tally::default())?;
    Ok((struck, life.disk))
}

/// Tries every way in which the history can go on after this fate, or many of them. Returns their number and
/// whether these are all; `None` if the fate did not strike.
fn every_way(fate: Fate, after: usize) -> Option<(usize, bool)> {
    let mut chance = Chance::every();
    for way in 1..=WAYS_MAX {
        let disk = SimDisk::new(chance);
        let outcome = once(disk, fate, after);
        let (struck, disk) =
            outcome.unwrap_or_else(|how| panic!("{fate:?} after {after} calls, way {way}: {how}"));
        if !struck {
            return None;
        }
        chance = disk.take_chance();
        if !chance.advance() {
            return Some((way, true));
        }
    }
    for seed in 0..WAYS_MAX as u64 {
        let outcome = once(SimDisk::new(Chance::from_seed(seed)), fate, after);
        outcome.unwrap_or_else(|how| panic!("{fate:?} after {after} calls, seed {seed}: {how}"));
    }
    Some((2 * WAYS_MAX, false))
}

#[test]
#[expect(clippy::print_stdout, reason = "the README quotes the counts")]
fn a_history_survives_every_call_that_goes_wrong() {
    let fates = [Fate::Stop(Stop::Machine), Fate::Stop(Stop::Process), Fate::Fault(Fault::Write)];
    for fate in fates.into_iter().chain([Fate::Fault(Fault::Sync)]) {
        let ways: Vec<_> = (0..).map_while(|after| every_way(fate, after)).collect();
        let total: usize = ways.iter().map(|(ways, _)| ways).sum();
        let all = ways.iter().filter(|(_, all)| *all).count();
        println!("{fate:?}: {} points, {total} outcomes, all there are at {all} points", ways.len());
        assert!(ways.len() >= 14, "{fate:?}: {}", ways.len());
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the README quotes the counts")]
fn a_history_survives_a_stop_and_one_in_the_recovery() {
    let (mut pairs, mut outcomes) = (0, 0);
    for first in (0..).step_by(FIRST_STEP).take_while(|&first| stop_twice(first, None, 0).is_some()) {
        for second in 0.. {
            let strikes = |&seed: &u64| stop_twice(first, Some(second), seed) == Some(true);
            let struck = (0..WAYS_TWICE).filter(strikes).count();
            if struck == 0 {
                break;
            }
            pairs += 1;
            outcomes += struck;
        }
    }
    println!("{pairs} pairs of stops, {outcomes} outcomes");
    assert!(pairs > 400, "{pairs}");
}

/// Stops the machine in the history and again in the replay that follows. Returns whether the second stop
/// struck, or `None` if the first did not.
fn stop_twice(first: usize, second: Option<usize>, seed: u64) -> Option<bool> {
    let mut life = Life::on(SimDisk::new(Chance::from_seed(seed)), Chance::default());
    let mut lives = || {
        if !short_history(&mut life, Fate::Stop(Stop::Machine), first)? {
            return Ok(None);
        }
        life.disk.stop_after(second.map(|after| (Stop::Machine, after, Among::All)));
        let mut tally = Tally::default();
        life.replay(&mut life.log(), &mut tally)?;
        let struck = life.disk.stopped().is_some();
        life.end_life(&mut tally);
        life.end(&mut tally)?;
        Ok(Some(struck))
    };
    let outcome: Result<_, String> = lives();
    outcome.unwrap_or_else(|how| panic!("stops after {first} and {second:?} calls, seed {seed}: {how}"))
}
