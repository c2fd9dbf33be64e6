//! What can be set, from flags and from the environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::log::{SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};

/// A chat server that never forgets.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; without it, serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: ServeConfig,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve (the default)
    Serve(ServeConfig),
    /// Ask the server at --listen for /health: exit 0 if it is ready, else 1
    Healthcheck {
        /// Address and port that the server listens on
        #[arg(long, env = "CHINWAG_LISTEN", value_name = "ADDR:PORT", default_value = LISTEN_DEFAULT)]
        listen: SocketAddr,
    },
    /// Look after a log
    #[command(subcommand)]
    Log(LogCommand),
    /// Print the whole history as JSON lines, for `import`; works beside a running server
    Export(Data),
    /// Make a log of the JSON lines on stdin, as printed by `export` or by names; all of it, or nothing
    ///
    /// Lines by names are {"op":"message","chat","user","time","text"}, {"op":"join","chat","user"} and
    /// {"op":"leave","chat","user"}, the latter two with or without "time".
    Import {
        /// Directory to make the log in; empty or missing
        #[arg(long, env = "CHINWAG_DATA", value_name = "DIR", default_value = DATA_DEFAULT)]
        data: PathBuf,
        /// Length of the log's segments, in bytes
        #[arg(long, env = "CHINWAG_SEGMENT_BYTES", value_name = "BYTES",
            default_value_t = SEGMENT_BYTES_DEFAULT,
            value_parser = clap::value_parser!(u64).range(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX))]
        segment_bytes: u64,
    },
}

/// What can be done with a log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Check every frame, and print what there is; exit 3 names the first damage; works beside a running server
    Verify(Data),
    /// Print a JSON object a line for each event; works beside a running server
    Dump {
        /// Where the log is
        #[command(flatten)]
        data: Data,
        /// Position of the first event to print
        #[arg(long, value_name = "POSITION", default_value_t = 1)]
        from: u64,
    },
    /// Cut a damaged log at its first damage, and keep what is cut off beside it; a sound log is left as it is
    Repair(Data),
}

/// Where the log is.
#[derive(Debug, Args)]
pub struct Data {
    /// Directory of the log
    #[arg(long, env = "CHINWAG_DATA", value_name = "DIR", default_value = DATA_DEFAULT)]
    pub data: PathBuf,
}

const LISTEN_DEFAULT: &str = "127.0.0.1:9000";
const DATA_DEFAULT: &str = "./data";

/// How to serve.
#[derive(Debug, Clone, Args)]
pub struct ServeConfig {
    /// Address and port to listen on; port 0 picks a free one
    #[arg(long, env = "CHINWAG_LISTEN", value_name = "ADDR:PORT", default_value = LISTEN_DEFAULT)]
    pub listen: SocketAddr,
    /// Directory that the log is kept in; made if it is missing
    #[arg(long, env = "CHINWAG_DATA", value_name = "DIR", default_value = DATA_DEFAULT)]
    pub data: PathBuf,
    /// Keep the log in memory: nothing outlives the process
    #[arg(long, env = "CHINWAG_EPHEMERAL")]
    pub ephemeral: bool,
    /// Length of a new segment of the log, in bytes
    #[arg(long, env = "CHINWAG_SEGMENT_BYTES", value_name = "BYTES", default_value_t = SEGMENT_BYTES_DEFAULT,
        value_parser = clap::value_parser!(u64).range(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX))]
    pub segment_bytes: u64,
    /// Limits that keep one client from harming others
    #[command(flatten)]
    pub limits: Limits,
}

/// Limits that keep one client from harming others.
#[derive(Debug, Clone, Copy, Args)]
pub struct Limits {
    /// Writes that may wait for the disk; more are refused with 503
    #[arg(long, env = "CHINWAG_QUEUE_MAX", value_name = "WRITES", default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub queue_max: u32,
    /// Length of a request's body, in bytes; longer ones are refused with 413; of /messages/batch, 32 times that
    #[arg(long, env = "CHINWAG_BODY_BYTES_MAX", value_name = "BYTES", default_value_t = 1024 * 1024,
        value_parser = clap::value_parser!(u32).range(1024..=64 * 1024 * 1024))]
    pub body_bytes_max: u32,
    /// Seconds within which a request must arrive whole; also how long a connection may be idle, or a client take none
    /// of its answer
    #[arg(long, env = "CHINWAG_REQUEST_TIMEOUT_S", value_name = "SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub request_timeout_s: u32,
    /// Connections open at a time; more wait to be accepted
    #[arg(long, env = "CHINWAG_CONNECTIONS_MAX", value_name = "CONNECTIONS", default_value_t = 16_384,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections_max: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
