//! What can be set, from flags and from the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use axum::http::{HeaderValue, Uri};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::log::{SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};

/// A chat server that never forgets.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; without it, serve.
    #[command(subcommand)]
    pub command: Option<CliCommand>,
    /// How to serve.
    #[command(flatten)]
    pub serve: ServeConfig,
    /// What is logged.
    #[command(flatten)]
    pub logging: Logging,
}

/// What is logged, on stderr.
#[derive(Debug, Args)]
pub struct Logging {
    /// What is logged: error, warn, info or debug; or for each part, as in `info,chinwag::log=debug`
    #[arg(long, env = "CHINWAG_LOG", value_name = "FILTER", default_value = "info", global = true,
        value_parser = log_filter)]
    pub log: String,
    /// How it is logged: lines for people, or a JSON object a line
    #[arg(long, env = "CHINWAG_LOG_FORMAT", value_name = "FORMAT", default_value = "text", global = true)]
    pub log_format: LogFormat,
}

/// How something is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object on a line.
    Json,
}

fn log_filter(filter: &str) -> Result<String, String> {
    match EnvFilter::try_new(filter) {
        Ok(_) => Ok(filter.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
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
    #[arg(long, env = "CHINWAG_EPHEMERAL", value_parser = clap::builder::FalseyValueParser::new())]
    pub ephemeral: bool,
    /// Length of a new segment of the log, in bytes
    #[arg(long, env = "CHINWAG_SEGMENT_BYTES", value_name = "BYTES", default_value_t = SEGMENT_BYTES_DEFAULT,
        value_parser = clap::value_parser!(u64).range(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX))]
    pub segment_bytes: u64,
    /// Origins of web pages that may call from a browser, separated by commas, or * for any; none if absent
    #[arg(long, env = "CHINWAG_CORS_ORIGINS", value_name = "ORIGINS")]
    pub cors_origins: Option<CorsOrigins>,
    /// Limits that keep one client from harming others
    #[command(flatten)]
    pub limits: Limits,
}

/// Web origins (RFC 6454) whose pages may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Every page.
    Any,
    /// Pages of these.
    These(Vec<HeaderValue>),
}

impl FromStr for CorsOrigins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        text.split(',').map(origin).collect::<Result<_, _>>().map(Self::These)
    }
}

fn origin(text: &str) -> Result<HeaderValue, String> {
    let refused = match text {
        "*" => "* cannot be given beside others".to_owned(),
        _ => format!("{text:?} is no origin, such as https://example.com or http://localhost:3000"),
    };
    let uri = text.parse::<Uri>().ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    let whole = uri.as_ref().and_then(|uri| Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?)));
    match whole.filter(|whole| whole == text) {
        Some(origin) => HeaderValue::try_from(origin).map_err(|_| refused),
        None => Err(refused),
    }
}

/// Limits that keep one client from harming others.
///
/// **Invariant:** everything that a client can make grow has a limit: these, and those of the domain's
/// values, of a batch, of a page, of the queue's bytes, each where it is kept.
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
    /// Seconds within which a request must arrive whole; also how long a connection may be idle, and, up to 30, how long
    /// a client may take none of its answer
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

    #[test]
    fn origins_are_any_or_a_list() {
        assert_eq!("*".parse(), Ok(CorsOrigins::Any));
        let list = ["https://example.com", "http://localhost:3000"];
        let these = list.iter().map(|origin| HeaderValue::from_static(origin)).collect();
        assert_eq!(list.join(",").parse(), Ok(CorsOrigins::These(these)));
        for refused in
            ["", "*,https://example.com", "example.com", "https://example.com/", "ftp://example.com"]
        {
            let error = refused.parse::<CorsOrigins>().expect_err(refused);
            assert!(error.contains("origin") || error.contains('*'), "{error}");
        }
    }
}
