//! The tools behind `benches/peers/run`: what it measures with, measures against, and fills logs with.

#![expect(clippy::print_stdout, reason = "its answers go to whoever runs it")]

mod bare;
mod fill;
mod http;
mod load;
mod nats;
mod probe;
#[path = "../../support/mod.rs"]
#[expect(dead_code, reason = "the other benches use the rest of it")]
mod support;

use clap::Parser;

#[derive(Parser)]
enum Tool {
    /// Sends from many connections, each the next request as soon as the last is answered; tells how it went
    Load(load::LoadArgs),
    /// Serves with axum and no more: the bodies are parsed, the answers are always the same
    Bare(bare::BareArgs),
    /// Tells how long a write and its sync take
    Probe(probe::ProbeArgs),
    /// Fills a data directory with a conversation
    Fill(fill::FillArgs),
    /// Fills a data directory with the chats of one user who is in many, and of one who is in 20
    FillLists(fill::FillListsArgs),
    /// Prints the conversation that `fill` makes as Redis commands, for `redis-cli --pipe`
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
