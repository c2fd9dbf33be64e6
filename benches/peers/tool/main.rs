//! The tools of `benches/peers/run`: a load generator, servers to compare with, and generators of
//! logs.

#![expect(clippy::print_stdout, reason = "its results go to stdout")]

mod bare;
mod fill;
mod http;
mod load;
mod nats;
mod probe;
#[path = "../../support/mod.rs"]
#[expect(dead_code, reason = "the other benches use the rest of it")]
mod support;
mod wire;

use clap::Parser;

#[derive(Parser)]
enum Tool {
    /// Send from many connections, each the next request as soon as the last is answered; print counts and
    /// latencies
    Load(load::LoadArgs),
    /// Serve with axum only: bodies are parsed, answers are always the same
    Bare(bare::BareArgs),
    /// Measure how long a write and its sync take
    Probe(probe::ProbeArgs),
    /// Fill a data directory with a conversation
    Fill(fill::FillArgs),
    /// Fill a data directory with one user who is a member of many chats, and one of 20 chats
    FillLists(fill::FillListsArgs),
    /// Print the conversation that `fill` writes as Redis commands, for `redis-cli --pipe`
    RedisCommands(fill::RedisArgs),
}

fn main() {
    match Tool::parse() {
        Tool::Load(args) => load::run(args),
        Tool::Bare(args) => bare::run(args),
        Tool::Probe(args) => probe::run(&args),
        Tool::Fill(args) => fill::fill(&args),
        Tool::FillLists(args) => fill::fill_lists(&args),
        Tool::RedisCommands(args) => fill::redis_commands(&args),
    }
}
