//! Loads a real conversation into a running server, and reads it back.
//!
//! `cargo run --release --example load_irc -- ubuntu-irc.jsonl.gz http://127.0.0.1:9000` loads the file and says how
//! fast it went; the same with `--verify`, after whatever was done to the server, compares all that the server
//! answers with the file.

mod api;
mod corpus;
mod error;
mod ids;
mod load;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use api::Api;
use corpus::Corpus;
use error::Error;
use ids::Ids;

/// Load a conversation into a running server, as fast as it takes it, and print how fast that was.
///
/// There is one user for each nickname (trimmed), and one chat for each chat, its members all who speak or join in
/// it. A chat's messages are sent one after the other, in order; chats are loaded side by side.
#[derive(Debug, Parser)]
struct Args {
    /// Conversation: JSON lines, plain or gzipped
    #[arg(value_name = "FILE")]
    corpus: PathBuf,
    /// Server's address, such as `http://127.0.0.1:9000`
    #[arg(value_name = "URL")]
    server: String,
    /// Requests under way at a time, each on a connection that is kept alive; of messages, at most one for each chat
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Load only the first so many messages of the file, empty ones included
    #[arg(long, value_name = "MESSAGES", conflicts_with = "verify")]
    limit: Option<usize>,
    /// Load nothing: read all that was loaded back from the server, and fail at the first difference
    #[arg(long)]
    verify: bool,
    /// File that remembers the ids that the server gave, for --verify
    #[arg(long, value_name = "FILE", default_value = "target/load_irc.ids.json")]
    ids: PathBuf,
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
    let connections = args.connections.into();
    if args.verify {
        let ids = Ids::read(&args.ids)?;
        let corpus = Corpus::read(&args.corpus, ids.limit)?;
        println!("{}", verify::verify(&api, &corpus, &ids, connections).await?);
    } else {
        let corpus = Corpus::read(&args.corpus, args.limit)?;
        println!("{}", load::load(&api, &corpus, connections, &args.ids, args.limit).await?);
    }
    Ok(())
}

/// A progress bar on stderr; none where that is not a terminal.
fn progress(what: &'static str, total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:8} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}")
        .expect("the template is well-formed");
    ProgressBar::new(total as u64).with_style(style).with_prefix(what)
}
