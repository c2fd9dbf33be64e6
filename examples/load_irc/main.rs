//! Loads a real conversation into a running server, and reads it back.
//!
//! `cargo run --release --example load_irc -- ubuntu-irc.jsonl.gz http://127.0.0.1:9000` loads the file and
//! prints how fast that was. The same command with `--verify` compares everything that the server returns
//! with the file.

mod api;
mod corpus;
mod error;
mod expected;
mod load;
mod tally;
mod verify;
mod write;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use api::Api;
use corpus::Corpus;
use error::Error;

/// Load a conversation into a running server as fast as possible, and print the speed
///
/// Each nickname (trimmed) becomes a user, and each chat a chat. The steps in a chat are sent in order, each
/// after the answer to the one before. Chats are loaded concurrently.
///
/// Members: a user who writes or leaves before a line says that they join is a member from the start. A chat
/// without such a user starts with the first user to join. Joins of a member change nothing. A user who
/// writes after leaving is added again just before: an implied join.
///
/// Read marks: a user who leaves has read everything up to that point. The author of each 16th message of a
/// chat has read up to that message.
///
/// Every write has an idempotency key made of its line number and its kind: an interrupted load can be
/// repeated with the same arguments, and completes the rest.
#[derive(Debug, Parser)]
struct Args {
    /// Conversation: JSON lines, plain or gzipped
    #[arg(value_name = "FILE")]
    corpus: PathBuf,
    /// Address of the server, such as `http://127.0.0.1:9000`
    #[arg(value_name = "URL")]
    server: String,
    /// Maximum concurrent requests; the steps of one chat are never concurrent
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Maximum messages to read from the file, empty ones included; repeat or verify a load with the same
    /// limit
    #[arg(long, value_name = "MESSAGES")]
    limit: Option<usize>,
    /// Percentage of writes to send twice, half of those concurrently, to check that the second one changes
    /// nothing
    #[arg(
        long, value_name = "PERCENT", default_value_t = 0, conflicts_with = "verify",
        value_parser = clap::value_parser!(u32).range(..=100)
    )]
    twice: u32,
    /// Read everything back from the server instead of loading, and fail at the first difference
    #[arg(long)]
    verify: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result goes to stdout")]
async fn run(args: Args) -> Result<(), Error> {
    let api = Api::new(&args.server)?;
    let corpus = Corpus::read(&args.corpus, args.limit)?;
    let connections = args.connections.into();
    if args.verify {
        println!("{}", verify::verify(&api, &corpus, connections).await?);
    } else {
        println!("{}", load::load(&api, &corpus, connections, args.twice).await?);
    }
    Ok(())
}

/// Returns a progress bar on stderr, which is hidden if that is not a terminal.
fn progress(what: &'static str, total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:8} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}")
        .expect("the template is well-formed");
    ProgressBar::new(total as u64).with_style(style).with_prefix(what)
}
