//! The command line: flags, environment variables and their defaults.

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
    /// Command to run; `serve` if it is absent.
    #[command(subcommand)]
    pub command: Option<CliCommand>,
    /// Settings of `serve`, for a command line without a command.
    #[command(flatten)]
    pub serve: ServeConfig,
    /// Settings of the process's own log, for every command.
    #[command(flatten)]
    pub logging: Logging,
}

/// Settings of the process's own log, which goes to stderr.
#[derive(Debug, Args)]
pub struct Logging {
    /// Level of log messages: off, error, warn, info, debug or trace; or also one for each part, as in
    /// `info,chinwag::log=debug`
    #[arg(long, env = "CHINWAG_LOG", value_name = "FILTER", default_value = "info", global = true,
        value_parser = log_filter)]
    pub log: String,
    /// Format of log messages: lines of text, or one JSON object per line
    #[arg(long, env = "CHINWAG_LOG_FORMAT", value_name = "FORMAT", default_value = "text", global = true)]
    pub log_format: LogFormat,
}

/// Format of log messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Line of text for people to read
    Text,
    /// One JSON object per line
    Json,
}

/// Refuses what [`EnvFilter`] accepts: a level that does not exist, as the name of a part that logs nothing.
fn log_filter(filter: &str) -> Result<String, String> {
    let is_level = |level: &str| level.eq_ignore_ascii_case("off") || level.parse::<tracing::Level>().is_ok();
    for directive in filter.split(',') {
        let level = directive.rsplit('=').next().unwrap_or_default();
        if !is_level(level) {
            return Err(format!("{level:?} is not a level: off, error, warn, info, debug or trace"));
        }
    }
    EnvFilter::try_new(filter).map(|_| filter.to_owned()).map_err(|error| error.to_string())
}

/// Parses a variable that stands for a flag. Unlike clap's own parser, it takes an empty value for no, as a
/// variable that is not set.
fn yes_or_no(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "y" | "yes" | "on" => Ok(true),
        "" | "0" | "f" | "false" | "n" | "no" | "off" => Ok(false),
        _ => Err("yes or no, true or false, on or off, or 1 or 0".to_owned()),
    }
}

/// Commands of the binary.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Serve (the default)
    Serve(ServeConfig),
    /// Request /health from the server at --listen; exit 0 if it is ready, else 1
    Healthcheck {
        /// Address and port that the server listens on
        #[arg(long, env = "CHINWAG_LISTEN", value_name = "ADDR:PORT", default_value = LISTEN_DEFAULT)]
        listen: SocketAddr,
    },
    /// Verify, dump or repair a log
    #[command(subcommand)]
    Log(LogCommand),
    /// Print the whole history as JSON lines, for `import`; works while a server is running
    Export(Data),
    /// Create a log from JSON lines on stdin, as printed by `export` or by name; an invalid line stores
    /// nothing
    ///
    /// Events by name are {"op":"message","chat","user","time","text"}, {"op":"join","chat","user"} and
    /// {"op":"leave","chat","user"}. In the latter two, "time" is optional.
    Import {
        /// Directory for the new log; it must not hold one yet
        #[arg(long, env = "CHINWAG_DATA", value_name = "DIR", default_value = DATA_DEFAULT)]
        data: PathBuf,
        /// Length of each segment of the log, in bytes
        #[arg(long, env = "CHINWAG_SEGMENT_BYTES", value_name = "BYTES",
            default_value_t = SEGMENT_BYTES_DEFAULT,
            value_parser = clap::value_parser!(u64).range(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX))]
        segment_bytes: u64,
        /// Accept events that are more than a day ahead of this machine's clock; until the clock has caught up,
        /// a server dates new events one microsecond apart, after the last one
        #[arg(long)]
        allow_future: bool,
    },
}

/// Commands on a log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Check every frame and print a summary; exit 3 at the first damage; works while a server is running
    Verify(Data),
    /// Print each event as one JSON object per line; works while a server is running
    Dump {
        /// Location of the log
        #[command(flatten)]
        data: Data,
        /// Position of the first event to print
        #[arg(long, value_name = "POSITION", default_value_t = 1)]
        from: u64,
    },
    /// Mend damaged headers, and cut a log where other damage begins; what is cut off is kept beside it; a sound
    /// log is not changed
    Repair(Data),
}

/// Location of a log.
#[derive(Debug, Args)]
pub struct Data {
    /// Directory of the log
    #[arg(long, env = "CHINWAG_DATA", value_name = "DIR", default_value = DATA_DEFAULT)]
    pub data: PathBuf,
}

const LISTEN_DEFAULT: &str = "127.0.0.1:9000";
const DATA_DEFAULT: &str = "./data";

/// Settings of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeConfig {
    /// Address and port to listen on; port 0 selects a free port
    #[arg(long, env = "CHINWAG_LISTEN", value_name = "ADDR:PORT", default_value = LISTEN_DEFAULT)]
    pub listen: SocketAddr,
    /// Directory of the log; created if it is missing
    #[arg(long, env = "CHINWAG_DATA", value_name = "DIR", default_value = DATA_DEFAULT)]
    pub data: PathBuf,
    /// Keep the log in memory only; all data is lost when the process ends
    #[arg(long, env = "CHINWAG_EPHEMERAL", value_parser = yes_or_no)]
    pub ephemeral: bool,
    /// Length of each new segment of the log, in bytes
    #[arg(long, env = "CHINWAG_SEGMENT_BYTES", value_name = "BYTES", default_value_t = SEGMENT_BYTES_DEFAULT,
        value_parser = clap::value_parser!(u64).range(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX))]
    pub segment_bytes: u64,
    /// Origins whose web pages may call the API from a browser, separated by commas; * allows every origin;
    /// without this flag, other origins are not allowed
    #[arg(long, env = "CHINWAG_CORS_ORIGINS", value_name = "ORIGINS")]
    pub cors_origins: Option<CorsOrigins>,
    /// Limits that keep one client from harming others
    #[command(flatten)]
    pub limits: Limits,
}

/// Web origins (RFC 6454) whose pages may call the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Every origin.
    Any,
    /// The listed origins only.
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
        "*" => "* cannot be combined with other origins".to_owned(),
        _ => format!("{text:?} is not an origin, such as https://example.com or http://localhost:3000"),
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
/// **Invariant:** everything that a client can make grow has a limit. The limits that an operator can set
/// stand here; those of the domain's values, of a batch, of a page and of the queue's bytes stand where they
/// are enforced.
#[derive(Debug, Clone, Copy, Args)]
pub struct Limits {
    /// Maximum writes waiting for the disk; further writes are refused with 503
    #[arg(long, env = "CHINWAG_QUEUE_MAX", value_name = "WRITES", default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub queue_max: u32,
    /// Maximum length of a request's body, in bytes (32 times that for /messages/batch); longer bodies are
    /// refused with 413
    #[arg(long, env = "CHINWAG_BODY_BYTES_MAX", value_name = "BYTES", default_value_t = 1024 * 1024,
        value_parser = clap::value_parser!(u32).range(1024..=64 * 1024 * 1024))]
    pub body_bytes_max: u32,
    /// Maximum time for which a connection stays open while no request has begun, in seconds. Set it to more than the
    /// same time of a load balancer in front
    #[arg(long, env = "CHINWAG_IDLE_TIMEOUT_S", value_name = "SECONDS", default_value_t = 75,
        value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub idle_timeout_s: u32,
    /// Deadline for a whole request to arrive, in seconds, from its first byte; also (but at most 30 s) the maximum
    /// time without progress while a client reads an answer
    #[arg(long, env = "CHINWAG_REQUEST_TIMEOUT_S", value_name = "SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub request_timeout_s: u32,
    /// Maximum open connections; further connections wait to be accepted
    #[arg(long, env = "CHINWAG_CONNECTIONS_MAX", value_name = "CONNECTIONS", default_value_t = 16_384,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections_max: u32,
    /// Maximum open event streams, and never more than seven eighths of the connections; further streams are
    /// refused with 503
    #[arg(long, env = "CHINWAG_STREAMS_MAX", value_name = "STREAMS", default_value_t = 14_336,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub streams_max: u32,
}

impl Limits {
    /// Lowers the maximum of connections to the number that the system allows, and that of streams so far that
    /// some connections remain for other calls.
    pub fn fit_connections(&mut self, allowed: u32) {
        self.connections_max = self.connections_max.min(allowed);
        self.streams_max = self.streams_max.min((self.connections_max - self.connections_max / 8).max(1));
    }
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
    fn a_mistyped_level_is_refused() {
        for good in ["info", "OFF", "warn,chinwag::log=debug", "chinwag=trace"] {
            assert_eq!(log_filter(good).as_deref(), Ok(good));
        }
        for bad in ["", "inof", "chinwag::log", "info,", "chinwag::log=loud", "info,debgu"] {
            assert!(log_filter(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_variable_for_a_flag_says_yes_or_no() {
        for (value, means) in [("", Ok(false)), ("off", Ok(false)), ("Yes", Ok(true)), ("1", Ok(true))] {
            assert_eq!(yes_or_no(value), means);
        }
        assert!(yes_or_no("maybe").is_err());
    }

    #[test]
    fn streams_leave_connections_for_other_calls() {
        let Limits { connections_max, streams_max, .. } = Cli::parse_from(["chinwag"]).serve.limits;
        assert_eq!(streams_max, connections_max / 8 * 7);
        for (allowed, connections, streams) in [(u32::MAX, 16_384, 14_336), (1_000, 1_000, 875), (1, 1, 1)] {
            let mut limits = Cli::parse_from(["chinwag"]).serve.limits;
            limits.fit_connections(allowed);
            assert_eq!((limits.connections_max, limits.streams_max), (connections, streams));
        }
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
