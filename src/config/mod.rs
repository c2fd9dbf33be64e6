//! The command line: flags, environment variables and their defaults.

mod access;
mod credentials;
mod log_filter;
mod nats;
mod scrub;
mod tls;
mod values;

use std::path::PathBuf;
use std::str::FromStr;

use axum::http::{HeaderValue, Uri};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::log::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use access::{AccessConfig, UserLimits};
pub use credentials::{KeysCommand, NewKeyArgs, TokenArgs};
use log_filter::log_filter;
pub use nats::{NatsConfig, NewStream, StreamCommand, StreamTimeouts};
pub use scrub::{KeepDeleted, ScrubConfig};
pub use tls::TlsConfig;
pub use values::ListenAddress;
use values::{number, size, yes_or_no};

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
    /// Level of log messages: off, error, warn, info, debug or trace, in upper or lower case; or also one for each
    /// part, as in `info,chinwag::log=debug`
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

/// Commands of the binary.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, at the start")]
pub enum CliCommand {
    /// Serve (the default)
    Serve(ServeConfig),
    /// Request /health from the server at --listen; exit 0 if it is ready, else 1
    Healthcheck {
        /// Address and port that the server listens on
        #[arg(long, env = "CHINWAG_LISTEN", value_name = "ADDR:PORT", default_value = LISTEN_DEFAULT)]
        listen: ListenAddress,
        /// PEM file of the server's certificate, if it speaks HTTPS. It must be the one that the server serves;
        /// its names and dates do not matter
        #[arg(long, env = "CHINWAG_TLS_CERT", value_name = "FILE")]
        tls_cert: Option<PathBuf>,
        /// Also exit 1 if the server refuses writes, because its disk has no room
        #[arg(long)]
        writable: bool,
    },
    /// Make server keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Print a user's token, signed with a key of a JWK Set, to try a server with
    Token(TokenArgs),
    /// Verify, dump or repair a log
    #[command(subcommand)]
    Log(LogCommand),
    /// Create, check, restore, upgrade or leave the stream that several servers share
    #[command(subcommand)]
    Stream(StreamCommand),
    /// Print the whole history as JSON lines, for `import`; works while a server is running
    Export(Data),
    /// Create a log from JSON lines on stdin, as printed by `export` or by name; an invalid line stores
    /// nothing
    ///
    /// Events by name are {"op":"message","chat","user","time","text"}, {"op":"join","chat","user"} and
    /// {"op":"leave","chat","user"}. In the latter two, "time" is optional. In all three, so are `chat_id` and
    /// `user_id`, which tell chats and users of the same name apart. A time is RFC 3339, or a number of Unix
    /// seconds or milliseconds. docs/import.md has recipes for the exports of other systems.
    Import {
        /// Directory for the new log; it must not hold one yet
        #[arg(long, env = "CHINWAG_DATA", value_name = "DIR", default_value = DATA_DEFAULT)]
        data: PathBuf,
        /// Maximum length of a segment of the log, in bytes, or as in 64MiB
        #[arg(long, env = "CHINWAG_SEGMENT_BYTES", value_name = "SIZE", default_value = "64MiB",
            value_parser = size::<u64>(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX, "64MiB"))]
        segment_bytes: u64,
        /// Write nothing: read all lines and name each bad one; exit 2 if there is one. --data is not used
        #[arg(long, conflicts_with = "skip_bad")]
        check: bool,
        /// Accept events that are more than a day ahead of this machine's clock; until the clock has caught up,
        /// a server dates new events one microsecond apart, after the last one
        #[arg(long)]
        allow_future: bool,
        /// Leave out bad lines, and count them; only for events by name
        #[arg(long)]
        skip_bad: bool,
        /// Split each text of more than 16,384 bytes into several messages; only for events by name
        #[arg(long)]
        split_long: bool,
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
    /// Remove from a log what was erased, and what was edited or deleted more than --keep-deleted-days ago; exit 2 if
    /// --erasures-of holds another log
    ///
    /// The segments that hold it are rewritten. A server does this by itself; this command is for copies.
    Scrub {
        /// Location of the log
        #[command(flatten)]
        data: Data,
        /// Directory of the live log of which --data is an earlier copy: what is due there is removed here. A server may
        /// be running on it
        #[arg(long, value_name = "DIR")]
        erasures_of: Option<PathBuf>,
        /// Time for which deleted data is kept
        #[command(flatten)]
        keep: KeepDeleted,
    },
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
    /// Address or name, and port to listen on; port 0 selects a free port. If it is a name, the server listens on
    /// the first of its addresses that it can bind
    #[arg(long, env = "CHINWAG_LISTEN", value_name = "ADDR:PORT", default_value = LISTEN_DEFAULT)]
    pub listen: ListenAddress,
    /// Directory of the log; created if it is missing
    #[arg(long, env = "CHINWAG_DATA", value_name = "DIR", default_value = DATA_DEFAULT)]
    pub data: PathBuf,
    /// Keep the log in memory only; all data is lost when the process ends
    #[arg(long, env = "CHINWAG_EPHEMERAL", value_parser = yes_or_no)]
    pub ephemeral: bool,
    /// Maximum length of a new segment of the log, in bytes, or as in 64MiB; the first segments of a log are
    /// shorter
    #[arg(long, env = "CHINWAG_SEGMENT_BYTES", value_name = "SIZE", default_value = "64MiB",
        value_parser = size::<u64>(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX, "64MiB"))]
    pub segment_bytes: u64,
    /// The stream that holds the log, if several servers share it
    #[command(flatten)]
    pub nats: NatsConfig,
    /// The waits of a server whose log is a stream
    #[command(flatten)]
    pub stream_timeouts: StreamTimeouts,
    /// Origins whose web pages may call the API from a browser, separated by commas; * allows every origin;
    /// without this flag, other origins are not allowed
    #[arg(long, env = "CHINWAG_CORS_ORIGINS", value_name = "ORIGINS")]
    pub cors_origins: Option<CorsOrigins>,
    /// Whether the server speaks TLS
    #[command(flatten)]
    pub tls: TlsConfig,
    /// Callers, and the rates at which they may call
    #[command(flatten)]
    pub access: AccessConfig,
    /// The scrubs, by which what was deleted leaves the disk
    #[command(flatten)]
    pub scrub: ScrubConfig,
    /// Limits that keep one client from harming others
    #[command(flatten)]
    pub limits: Limits,
}

/// The settings of the environment alone.
impl Default for ServeConfig {
    fn default() -> Self {
        Cli::parse_from(["chinwag"]).serve
    }
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
        value_parser = number(1..=1_000_000, 1024))]
    pub queue_max: u32,
    /// Maximum length of a request's body, in bytes, or as in 1MiB (32 times that for /messages/batch);
    /// longer bodies are refused with 413
    #[arg(long, env = "CHINWAG_BODY_BYTES_MAX", value_name = "SIZE", default_value = "1MiB",
        value_parser = size::<u32>(1024..=64 * 1024 * 1024, "1MiB"))]
    pub body_bytes_max: u32,
    /// Maximum time for which a connection stays open while no request has begun, in seconds. Set it to more than the
    /// same time of a load balancer in front
    #[arg(long, env = "CHINWAG_IDLE_TIMEOUT_S", value_name = "SECONDS", default_value_t = 75,
        value_parser = number(1..=3600, 75))]
    pub idle_timeout_s: u32,
    /// Deadline for a whole request to arrive, in seconds, from its first byte; also (but at most 30 s) the maximum
    /// time without progress while a client reads an answer
    #[arg(long, env = "CHINWAG_REQUEST_TIMEOUT_S", value_name = "SECONDS", default_value_t = 30,
        value_parser = number(1..=3600, 30))]
    pub request_timeout_s: u32,
    /// Maximum open connections; further connections wait to be accepted
    #[arg(long, env = "CHINWAG_CONNECTIONS_MAX", value_name = "CONNECTIONS", default_value_t = 16_384,
        value_parser = number(1..=1_000_000, 16_384))]
    pub connections_max: u32,
    /// Maximum open event streams, and never more than seven eighths of the connections; further streams are
    /// refused with 503
    #[arg(long, env = "CHINWAG_STREAMS_MAX", value_name = "STREAMS", default_value_t = 14_336,
        value_parser = number(1..=1_000_000, 14_336))]
    pub streams_max: u32,
    /// Maximum time for which a request with Chinwag-Min-Position waits until this server has that position, in
    /// milliseconds; then it is refused with 503. Only where several servers share a log
    #[arg(long, env = "CHINWAG_FOLLOW_TIMEOUT_MS", value_name = "MILLISECONDS", default_value_t = 5_000,
        value_parser = number(0..=60_000, 5_000))]
    pub follow_timeout_ms: u32,
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
    use crate::log::SEGMENT_BYTES_DEFAULT;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn parsed<const N: usize>(flags: [&str; N]) -> Result<ServeConfig, String> {
        let words = ["chinwag"].into_iter().chain(flags);
        Cli::try_parse_from(words).map(|cli| cli.serve).map_err(|error| error.to_string())
    }

    #[test]
    fn a_size_may_have_a_unit() {
        let config = parsed([]).expect("the defaults");
        assert_eq!((config.segment_bytes, config.limits.body_bytes_max), (SEGMENT_BYTES_DEFAULT, 1 << 20));
        for (text, bytes) in
            [("65536", 65_536), ("64KiB", 65_536), ("100MiB", 104_857_600), ("1GiB", SEGMENT_BYTES_MAX)]
        {
            assert_eq!(parsed(["--segment-bytes", text]).expect(text).segment_bytes, bytes);
        }
        assert_eq!(parsed(["--body-bytes-max", "64KiB"]).expect("a size").limits.body_bytes_max, 65_536);
        for bad in
            ["65535", "63KiB", "2GiB", "64MB", "64 MiB", "MiB", "+65536", "1e6", "99999999999999GiB", ""]
        {
            let refused = parsed(["--segment-bytes", bad]).expect_err(bad);
            for word in ["--segment-bytes", bad, "from 64KiB to 1GiB", "as in 64MiB"] {
                assert!(refused.contains(word), "no {word:?} in {refused}");
            }
        }
    }

    #[test]
    fn a_number_out_of_range_is_refused_with_an_example() {
        for (flag, bad, example) in [
            ("--queue-max", "0", "as in 1024"),
            ("--idle-timeout-s", "0", "from 1 to 3600, as in 75"),
            ("--request-timeout-s", "3601", "from 1 to 3600, as in 30"),
            ("--connections-max", "many", "as in 16384"),
            ("--streams-max", "-1", "as in 14336"),
        ] {
            let refused = parsed([&format!("{flag}={bad}")]).expect_err(bad);
            for word in [flag, bad, example] {
                assert!(refused.contains(word), "no {word:?} in {refused}");
            }
        }
    }

    #[test]
    fn a_server_listens_on_an_address_or_a_name() {
        for (text, port) in [("127.0.0.1:9000", 9000), ("[::1]:0", 0), ("localhost:9000", 9000)] {
            let listen: ListenAddress = text.parse().expect(text);
            assert_eq!(listen.to_string(), text);
            let addresses = listen.resolve().expect(text);
            assert!(!addresses.is_empty());
            assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == port));
        }
        "a-host.example.com:80".parse::<ListenAddress>().expect("a name");
        for bad in [
            "",
            "nowhere",
            ":9000",
            "localhost:",
            "localhost:70000",
            "localhost:+9000",
            "::1:9000",
            "[::1]",
            "http://a:9000",
            "a b:1",
        ] {
            let refused = parsed(["--listen", bad]).expect_err(bad);
            assert!(refused.contains(bad) && refused.contains("as in 127.0.0.1:9000"), "{refused}");
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
