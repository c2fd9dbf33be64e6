//! The binary: the command line becomes a call, and an error becomes an exit code.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use chinwag::access::Grant;
use chinwag::config::{
    Cli, CliCommand, KeysCommand, ListenAddress, LogCommand, LogFormat, Logging, NatsConfig, NewKeyArgs,
    NewStream, ServeConfig, StreamCommand, TokenArgs,
};
use chinwag::domain::Position;
use chinwag::healthcheck::healthcheck;
use chinwag::log::LogError;
use chinwag::log::stream::{CreateStream, NatsSettings, StreamError};
use chinwag::server::{self, ServeError, log_panics};
use chinwag::tools::{self, CredentialsError, Import, Lenience, ToolError};
use clap::Parser;
use signal_hook::consts::{SIGHUP, SIGXFSZ};
use tracing_subscriber::EnvFilter;

/// Exit code of a command that failed while it ran.
const RUNTIME_FAILURE: u8 = 1;
/// Exit code of a configuration that cannot be carried out.
const BAD_CONFIGURATION: u8 = 2;
/// Exit code of a log that is damaged or of an unknown version.
const DAMAGED_LOG: u8 = 3;
/// Exit code of a data directory that another process uses.
const DATA_IN_USE: u8 = 4;
/// Exit code of a stream that holds another history than the server has seen.
const OTHER_HISTORY: u8 = 5;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(&cli.logging);
    log_panics();

    match survive_file_limit().and_then(|()| run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if tracing::enabled!(tracing::Level::ERROR) {
                tracing::error!("{}", failure.message);
            } else {
                drop(writeln!(io::stderr(), "{}", failure.message));
            }
            ExitCode::from(failure.exit_code)
        }
    }
}

fn start_logging(logging: &Logging) {
    let colours = io::stderr().is_terminal();
    // What the client of NATS logs of a connection, the server logs itself.
    let filter = format!("async_nats=off,{}", logging.log);
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(io::stderr)
        // If stderr is a file that cannot grow, the message about that would panic.
        .log_internal_errors(false)
        .with_ansi(colours);
    match logging.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// Makes a write beyond the limit on a file's length (`ulimit -f`) fail with an error. Without a handler,
/// SIGXFSZ ends the process.
fn survive_file_limit() -> Result<(), Failure> {
    // Nothing reads the flag, because the failed write is itself reported.
    signal_hook::flag::register(SIGXFSZ, Arc::default())
        .map(|_| ())
        .map_err(|error| Failure::new(RUNTIME_FAILURE, format!("failed to handle SIGXFSZ: {error}")))
}

/// Makes SIGHUP, which asks a server to read its files again, end no server that is starting. The server handles it
/// once it has files.
fn survive_hangup() -> Result<(), Failure> {
    // Nothing reads the flag: the files are about to be read.
    signal_hook::flag::register(SIGHUP, Arc::default())
        .map(|_| ())
        .map_err(|error| Failure::new(RUNTIME_FAILURE, format!("failed to handle SIGHUP: {error}")))
}

fn run_server(config: ServeConfig) -> Result<(), Failure> {
    survive_hangup()?;
    Ok(server::run(config)?)
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        None => run_server(cli.serve),
        Some(CliCommand::Serve(config)) => run_server(config),
        Some(CliCommand::Healthcheck { listen, tls_cert, writable }) => {
            run_healthcheck(&listen, tls_cert.as_deref(), writable)
        }
        Some(CliCommand::Keys(KeysCommand::New(NewKeyArgs { name, scope, expires, append }))) => {
            let (out, notes) = (io::stdout().lock(), io::stderr().lock());
            Ok(tools::new_server_key(&name, scope, expires, append.as_deref(), out, notes)?)
        }
        Some(CliCommand::Token(args)) => run_token(&args),
        Some(CliCommand::Log(LogCommand::Verify(log))) => Ok(tools::verify(&log.data, io::stdout().lock())?),
        Some(CliCommand::Log(LogCommand::Dump { data: log, from })) => {
            Ok(tools::dump(&log.data, Position(from), io::stdout().lock())?)
        }
        Some(CliCommand::Log(LogCommand::Repair(log))) => Ok(tools::repair(&log.data, io::stdout().lock())?),
        Some(CliCommand::Log(LogCommand::Scrub { data: log, erasures_of, keep })) => {
            Ok(tools::scrub(&log.data, erasures_of.as_deref(), keep.time(), io::stdout().lock())?)
        }
        Some(CliCommand::Stream(command)) => run_on_stream(command),
        Some(CliCommand::Export(log)) => Ok(tools::dump(&log.data, Position(1), io::stdout().lock())?),
        Some(CliCommand::Import { data, segment_bytes, check, allow_future, skip_bad, split_long }) => {
            let lenience = Lenience { allow_future, skip_bad, split_long };
            let (input, out) = (io::stdin().lock(), io::stdout().lock());
            if check {
                return Ok(tools::check_import(&lenience, input, out)?);
            }
            Ok(tools::import(&Import { data, segment_bytes }, &lenience, input, out)?)
        }
    }
}

fn run_on_stream(command: StreamCommand) -> Result<(), Failure> {
    let out = io::stdout().lock();
    match command {
        StreamCommand::Create { nats, new, if_missing, from } => {
            let NewStream { replicas, max_bytes: bytes_max } = new;
            let create = CreateStream { replicas, bytes_max, if_missing };
            match from {
                None => Ok(tools::create_stream(settings(&nats)?, create, out)?),
                Some(dir) => Ok(tools::create_stream_from(settings(&nats)?, create, &dir, out)?),
            }
        }
        StreamCommand::Check { nats } => Ok(tools::check_stream(settings(&nats)?, out)?),
        StreamCommand::Upgrade { nats } => Ok(tools::upgrade_stream(settings(&nats)?, out)?),
        StreamCommand::Restore { nats, new, copy } => {
            let NewStream { replicas, max_bytes: bytes_max } = new;
            let create = CreateStream { replicas, bytes_max, if_missing: true };
            Ok(tools::restore_stream(settings(&nats)?, create, &copy.data, out)?)
        }
        StreamCommand::Regenerate { nats, new, from } => {
            let NewStream { replicas, max_bytes: bytes_max } = new;
            let create = CreateStream { replicas, bytes_max, if_missing: true };
            Ok(tools::regenerate_stream(settings(&nats)?, create, &from, out)?)
        }
        StreamCommand::Detach(copy) => Ok(tools::detach(&copy.data, out)?),
    }
}

fn settings(nats: &NatsConfig) -> Result<NatsSettings, Failure> {
    let missing =
        || Failure::new(BAD_CONFIGURATION, "--nats (CHINWAG_NATS) is needed: the nodes of the stream");
    nats.settings().ok_or_else(missing)
}

fn run_token(args: &TokenArgs) -> Result<(), Failure> {
    let grant = Grant {
        sub: &args.user,
        audience: &args.token_audience,
        scope: args.scope.as_deref(),
        ttl_s: args.ttl,
    };
    let (out, notes) = (io::stdout().lock(), io::stderr().lock());
    Ok(tools::mint_token(&args.token_keys, args.kid.as_deref(), &grant, out, notes)?)
}

fn run_healthcheck(
    listen: &ListenAddress,
    certificate: Option<&Path>,
    must_be_writable: bool,
) -> Result<(), Failure> {
    let addresses = listen
        .resolve()
        .map_err(|error| Failure::new(RUNTIME_FAILURE, format!("failed to resolve {listen}: {error}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(RUNTIME_FAILURE, format!("failed to start the runtime: {error}")))?;
    let checked = runtime.block_on(healthcheck(&addresses, certificate, must_be_writable));
    checked.map_err(|error| Failure::new(RUNTIME_FAILURE, error))
}

/// An error, and the exit code of the process that it ends.
struct Failure {
    exit_code: u8,
    message: String,
}

impl Failure {
    fn new(exit_code: u8, error: impl std::fmt::Display) -> Self {
        Self { exit_code, message: error.to_string() }
    }
}

fn is_access_denied(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | IsADirectory)
}

/// Returns whether the process, or the system, has no open file left.
fn is_out_of_files(error: &io::Error) -> bool {
    matches!(
        rustix::io::Errno::from_io_error(error),
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)
    )
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        let exit_code = match &error {
            LogError::Directory { source, .. } if is_out_of_files(source) => RUNTIME_FAILURE,
            LogError::Directory { .. }
            | LogError::HoldsLog { .. }
            | LogError::NoLog { .. }
            | LogError::Misnamed { .. }
            | LogError::Stream(
                StreamError::Unfit { .. }
                | StreamError::Missing { .. }
                | StreamError::File { .. }
                | StreamError::NotBuilt
                | StreamError::IsCopy { .. }
                | StreamError::IsCopyOf { .. }
                | StreamError::IsCopyOfNew { .. }
                | StreamError::BrokenMark { .. }
                | StreamError::IsNoCopy { .. },
            ) => BAD_CONFIGURATION,
            LogError::InUse { .. } => DATA_IN_USE,
            LogError::Damaged { .. }
            | LogError::UnknownVersion { .. }
            | LogError::Stream(StreamError::LaterRelease { .. } | StreamError::LaterFormat { .. }) => {
                DAMAGED_LOG
            }
            LogError::Stream(StreamError::Diverged { .. } | StreamError::NoBeginning { .. }) => OTHER_HISTORY,
            LogError::Io { source, .. } if is_access_denied(source) => BAD_CONFIGURATION,
            LogError::Io { .. }
            | LogError::Thread { .. }
            | LogError::Vanished { .. }
            | LogError::NoWriter
            | LogError::Stream(StreamError::Full { .. } | StreamError::Unreachable { .. }) => RUNTIME_FAILURE,
        };
        Self::new(exit_code, error)
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Log(error) => error.into(),
            ServeError::Listen { ref source, .. } if is_out_of_files(source) => {
                Self::new(RUNTIME_FAILURE, error)
            }
            ServeError::Listen { .. }
            | ServeError::NotLoopback { .. }
            | ServeError::OpenWithKeys { .. }
            | ServeError::EphemeralCopy
            | ServeError::KeyFile(_)
            | ServeError::Tls(_) => Self::new(BAD_CONFIGURATION, error),
            ServeError::Clock(_)
            | ServeError::Thread(_)
            | ServeError::Runtime(_)
            | ServeError::Signals(_)
            | ServeError::Writer(_)
            | ServeError::Unfinished
            | ServeError::ReplayPanicked
            | ServeError::Panicked(_) => Self::new(RUNTIME_FAILURE, error),
        }
    }
}

impl From<ToolError> for Failure {
    fn from(error: ToolError) -> Self {
        match error {
            ToolError::Log(error) => error.into(),
            ToolError::BadLine { .. }
            | ToolError::BadLines { .. }
            | ToolError::ByNamesOnly
            | ToolError::OtherLog { .. }
            | ToolError::NoContinuation { .. } => Self::new(BAD_CONFIGURATION, error),
            ToolError::Append(_) | ToolError::Input(_) | ToolError::Output(_) => {
                Self::new(RUNTIME_FAILURE, error)
            }
        }
    }
}

impl From<CredentialsError> for Failure {
    fn from(error: CredentialsError) -> Self {
        let exit_code = match &error {
            CredentialsError::File { source, .. } if is_out_of_files(source) => RUNTIME_FAILURE,
            CredentialsError::File { doing: "open" | "read", .. }
            | CredentialsError::BadFile { .. }
            | CredentialsError::NoSigningKey { .. }
            | CredentialsError::Expired(_) => BAD_CONFIGURATION,
            CredentialsError::File { .. } | CredentialsError::Output(_) => RUNTIME_FAILURE,
        };
        Self::new(exit_code, error)
    }
}
