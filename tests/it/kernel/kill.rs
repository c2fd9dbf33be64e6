//! `kill -9`, many times over.

use std::time::Duration;

use super::{Dice, number, seed};
use crate::crash::kill_under_load;

const WRITERS: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long"]
async fn acked_messages_survive_many_kills() {
    let (rounds, seed) = (number("CHINWAG_KILL_ROUNDS", 50), seed());
    eprintln!("kill: CHINWAG_KILL_ROUNDS={rounds} CHINWAG_SEED={seed}");
    let load = |round| Duration::from_millis(60 + Dice(seed + u64::from(round)).below(300));
    let acknowledged = kill_under_load(rounds, WRITERS, load).await;
    eprintln!("kill: {rounds} kills, {WRITERS} writers, {acknowledged} acknowledged messages, none lost");
}
