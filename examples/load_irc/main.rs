//! Loads a real conversation into a running server, and reads it back.
//!
//! `cargo run --release --example load_irc -- ubuntu-irc.jsonl.gz http://127.0.0.1:9000` loads the file and says how
//! fast it went; the same with `--verify`, after whatever was done to the server, compares all that the server
//! answers with the file.

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

/// Load a conversation into a running server, as fast as it takes it, and print how fast that was.
///
/// There is one user for each nickname (trimmed), and one chat for each chat. What happened in a chat is sent in
/// order, each write when the one before is answered; chats are loaded side by side.
///
/// Who is in a chat: from the start whoever speaks or leaves before any line has them join (if there is nobody like
/// that, the first to join); after that whoever joins, until they leave. The lines that have a member join change
/// nothing. Whoever speaks after having left is added again just before: an implied join.
///
/// Who has read what: whoever leaves has read all up to there; so has, of each 16th message of a chat, the author.
///
/// Every write goes under an idempotency key made of its line's number and its kind: a load that was cut short is run
/// again, just as it was, and does what is still to be done.
#[derive(Debug, Parser)]
struct Args {
    /// Conversation: JSON lines, plain or gzipped
    #[arg(value_name = "FILE")]
    corpus: PathBuf,
    /// Server's address, such as `http://127.0.0.1:9000`
    #[arg(value_name = "URL")]
    server: String,
    /// Writes or reads under way at a time; of what happens in chats, at most one for each chat
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Take the file to end after so many messages, empty ones included; a load is run again, and verified, with the
    /// same limit
    #[arg(long, value_name = "MESSAGES")]
    limit: Option<usize>,
    /// Send so many of a hundred writes twice, half of those at the same time, and check that it makes no difference
    #[arg(
        long, value_name = "PERCENT", default_value_t = 0, conflicts_with = "verify",
        value_parser = clap::value_parser!(u32).range(..=100)
    )]
    twice: u32,
    /// Load nothing: read all that was loaded back from the server, and fail at the first difference
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

#[expect(clippy::print_stdout, reason = "what was found out is what this program is for")]
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

/// A progress bar on stderr; none where that is not a terminal.
fn progress(what: &'static str, total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:8} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}")
        .expect("the template is well-formed");
    ProgressBar::new(total as u64).with_style(style).with_prefix(what)
}
