//! The `chinwag` binary: arguments, logging, runtime, exit code.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use chinwag::config::{Cli, Command, LogCommand, LogFormat, Logging, ServeConfig};
use chinwag::domain::Position;
use chinwag::healthcheck::healthcheck;
use chinwag::log::{EventLog, FileLog, LogError, MemoryLog, RealDisk};
use chinwag::server::{ServeError, log_panics, serve};
use chinwag::tools::{self, Import, ToolError};
use clap::Parser;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Something failed while the server ran.
const RUNTIME_FAILURE: u8 = 1;
/// What the operator asked for cannot be.
const BAD_CONFIGURATION: u8 = 2;
/// The log is damaged or of an unknown version.
const DAMAGED_LOG: u8 = 3;
/// Another process uses the data directory.
const DATA_IN_USE: u8 = 4;

/// An error, and the exit code that it ends the process with.
struct Failure {
    exit_code: u8,
    message: String,
}

impl Failure {
    fn new(exit_code: u8, error: impl std::fmt::Display) -> Self {
        Self { exit_code, message: error.to_string() }
    }
}

fn is_no_access(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | IsADirectory)
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        let exit_code = match &error {
            LogError::Directory { .. } | LogError::HoldsLog { .. } => BAD_CONFIGURATION,
            LogError::InUse { .. } => DATA_IN_USE,
            LogError::Damaged { .. } | LogError::UnknownVersion { .. } => DAMAGED_LOG,
            LogError::Io { source, .. } if is_no_access(source) => BAD_CONFIGURATION,
            LogError::Io { .. } | LogError::Thread { .. } => RUNTIME_FAILURE,
        };
        Self::new(exit_code, error)
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Replay(error) => error.into(),
            ServeError::Writer(_) | ServeError::Unfinished | ServeError::Panicked(_) => {
                Self::new(RUNTIME_FAILURE, error)
            }
        }
    }
}

impl From<ToolError> for Failure {
    fn from(error: ToolError) -> Self {
        match error {
            ToolError::Log(error) => error.into(),
            ToolError::BadLine { .. } => Self::new(BAD_CONFIGURATION, error),
            ToolError::Append(_) | ToolError::Input(_) | ToolError::Output(_) => {
                Self::new(RUNTIME_FAILURE, error)
            }
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(&cli.logging);
    log_panics();

    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if tracing::enabled!(tracing::Level::ERROR) {
                tracing::error!("{}", failure.message);
            } else {
                eprintln!("{}", failure.message);
            }
            ExitCode::from(failure.exit_code)
        }
    }
}

fn start_logging(logging: &Logging) {
    let colours = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&logging.log))
        .with_writer(io::stderr)
        .with_ansi(colours);
    match logging.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        None => block_on(run_server(cli.serve)),
        Some(Command::Serve(config)) => block_on(run_server(config)),
        Some(Command::Healthcheck { listen }) => block_on(async move {
            healthcheck(listen).await.map_err(|error| Failure::new(RUNTIME_FAILURE, error))
        }),
        Some(Command::Log(LogCommand::Verify(log))) => Ok(tools::verify(&log.data, io::stdout().lock())?),
        Some(Command::Log(LogCommand::Dump { data: log, from })) => {
            Ok(tools::dump(&log.data, Position(from), io::stdout().lock())?)
        }
        Some(Command::Log(LogCommand::Repair(log))) => Ok(tools::repair(&log.data, io::stdout().lock())?),
        Some(Command::Export(log)) => Ok(tools::dump(&log.data, Position(1), io::stdout().lock())?),
        Some(Command::Import { data, segment_bytes }) => {
            let into = Import { data, segment_bytes };
            Ok(tools::import(&into, io::stdin().lock(), io::stdout().lock())?)
        }
    }
}

fn block_on(task: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // First come, first served, however many there are. A worker's own queue holds 256 tasks; of more, the older half
        // goes to the end of the global one. So a worker takes in few arrivals at once, and all of those are done before
        // it looks for others;
        .max_io_events_per_tick(64)
        .event_interval(256)
        // and answers, which come from the writer's thread by the global queue, have waited longest.
        .global_queue_interval(1)
        .build()
        .map_err(|error| Failure::new(RUNTIME_FAILURE, format!("failed to start the runtime: {error}")))?;
    let ended = runtime.block_on(task);
    // Whoever is still connected has had its time.
    runtime.shutdown_background();
    ended
}

/// As many connections as the system lets be open beside the log.
fn within_open_files(connections_max: u32) -> u32 {
    /// The log, what is printed, and what the runtime waits with.
    const OTHER_FILES: u64 = 64;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files_max) => {
            let room = u32::try_from(files_max.saturating_sub(OTHER_FILES).max(1)).unwrap_or(u32::MAX);
            if room < connections_max {
                tracing::warn!(files_max, "no more than {room} connections: each is an open file");
            }
            connections_max.min(room)
        }
        Err(error) => {
            tracing::warn!(%error, "failed to raise the limit on open files");
            connections_max
        }
    }
}

async fn run_server(mut config: ServeConfig) -> Result<(), Failure> {
    config.limits.connections_max = within_open_files(config.limits.connections_max);
    let log: Box<dyn EventLog> = if config.ephemeral {
        Box::new(MemoryLog::default())
    } else {
        Box::new(FileLog::new(RealDisk::lock(&config.data)?, config.segment_bytes))
    };
    let listener = listen(config.listen).map_err(|error| {
        Failure::new(BAD_CONFIGURATION, format!("failed to listen on {}: {error}", config.listen))
    })?;
    let address = listener.local_addr().map_err(|error| Failure::new(RUNTIME_FAILURE, error))?;
    let ready = || {
        // Nobody may be reading; the server serves all the same.
        drop(writeln!(io::stdout(), "chinwag listening on http://{address}"));
    };
    serve(listener, log, config.limits, config.cors_origins, ready, asked_to_stop()?).await?;
    Ok(())
}

/// Listens, with room for all who come back at once after a restart; the system may grant less.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    const BACKLOG: u32 = 4096;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // The port of a server that was just here can be used again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Resolves at SIGTERM or SIGINT.
fn asked_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    let failed = |error| Failure::new(RUNTIME_FAILURE, format!("failed to wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    })
}
