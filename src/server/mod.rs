//! The life of a server: it starts, is ready, and stops.

mod listen;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::config::{CorsOrigins, Limits, ServeConfig};
use crate::engine::{Engine, ReplayProgress, WriterError};
pub use crate::http::log_panics;
use crate::http::{self, App};
use crate::log::{EventLog, FileLog, LogError, MemoryLog, RealDisk};
use crate::system_clock::{self, OutOfRange};
use crate::thread::{SpawnError, spawn};

/// Deadline for requests in flight when the server stops.
const GRACE: Duration = Duration::from_secs(7);

/// Deadline for the last sync of the log, after [`GRACE`]: a disk may hang.
const LAST_SYNC: Duration = Duration::from_millis(1_500);

/// A reason why a server did not start, or ended before a signal.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The system's clock shows a time that neither an event nor an answer's `Date` can have.
    #[error(transparent)]
    Clock(#[from] OutOfRange),
    /// The system does not start the threads of the server.
    #[error(transparent)]
    Thread(#[from] SpawnError),
    /// The log could not be opened or replayed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The server could not listen on its address.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// Address that was configured.
        address: SocketAddr,
        /// Error of the system.
        source: io::Error,
    },
    /// The runtime could not be started.
    #[error("failed to start the runtime: {0}")]
    Runtime(io::Error),
    /// The handlers of signals could not be installed.
    #[error("failed to wait for signals: {0}")]
    Signals(io::Error),
    /// The log failed at a write or a sync.
    #[error(transparent)]
    Writer(#[from] WriterError),
    /// The disk did not finish the last write before the server had to stop. That write was not answered.
    #[error("the log did not finish its last write in time")]
    Unfinished,
    /// The replay of the log panicked.
    #[error("the replay of the log panicked")]
    ReplayPanicked,
    /// A task of the server panicked.
    #[error("the server panicked: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

/// Runs a server as configured until SIGTERM or SIGINT, and prints its address when it is ready.
///
/// # Errors
///
/// See [`ServeError`]. The process must end then, because requests in flight are never answered.
pub fn run(config: ServeConfig) -> Result<(), ServeError> {
    // hyper panics at each request if it cannot write the date.
    system_clock::check()?;
    let runtime = listen::runtime()?;
    let ended = runtime.block_on(run_until_signal(config));
    // The grace period of clients that are still connected is over.
    runtime.shutdown_background();
    ended
}

async fn run_until_signal(mut config: ServeConfig) -> Result<(), ServeError> {
    let allowed = listen::fit_open_files(config.limits.connections_max);
    config.limits.fit_connections(allowed);
    // A directory that exists is locked first. So a second server on it is refused because of the directory,
    // even if it is given the same address. A missing one is created only after the server listens, so that a
    // server that cannot listen leaves nothing behind.
    let opened = if config.ephemeral || config.data.exists() { Some(open_log(&config)?) } else { None };
    let failed = |source| ServeError::Listen { address: config.listen, source };
    let listener = listen::listen(config.listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let log = opened.map_or_else(|| open_log(&config), Ok)?;
    let ready = || {
        // A closed stdout does not stop the server.
        drop(writeln!(io::stdout(), "chinwag listening on http://{address}"));
    };
    let shutdown = listen::stop_signal().map_err(ServeError::Signals)?;
    serve(listener, log, config.limits, config.cors_origins, ready, shutdown).await
}

/// Opens the log, and creates its directory if it is missing.
fn open_log(config: &ServeConfig) -> Result<Box<dyn EventLog>, LogError> {
    if config.ephemeral {
        tracing::warn!("all data is lost when this process ends, because the log is kept in memory only");
        return Ok(Box::new(MemoryLog::default()));
    }
    let disk = RealDisk::lock(&config.data)?;
    disk.warn_if_others_may_open_it()?;
    Ok(Box::new(FileLog::new(disk, config.segment_bytes)))
}

/// Serves the log on the listener until `shutdown` resolves. Answers 503 during the replay, and calls `ready`
/// after it. Before it returns, requests in flight are answered and their writes synced.
///
/// # Errors
///
/// See [`ServeError`]. The process must end then, because requests in flight are never answered.
pub async fn serve(
    listener: TcpListener,
    log: Box<dyn EventLog>,
    limits: Limits,
    cors_origins: Option<CorsOrigins>,
    ready: impl FnOnce(),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let progress = Arc::new(ReplayProgress::default());
    let app = Arc::new(App::starting(Arc::clone(&progress), limits));
    let (stop, stopped) = oneshot::channel::<()>();
    let router = http::router(Arc::clone(&app), cors_origins.as_ref());
    let served = Arc::clone(&app);
    let connections = tokio::spawn(async move {
        let stop = async { drop(stopped.await) };
        http::serve_connections(listener, router, &served, stop, GRACE).await;
    });

    let mut shutdown = std::pin::pin!(shutdown);
    let queue_max = limits.queue_max as usize;
    let (started, starting) = oneshot::channel();
    // It is not a blocking task of the runtime, which would wait for ever for a thread that does not start.
    spawn("replay", move || {
        // At a signal, the server ends without waiting for the replay.
        drop(started.send(Engine::start(log, queue_max, &progress)));
    })?;
    let (engine, mut writer) = tokio::select! {
        started = starting => started.map_err(|_| ServeError::ReplayPanicked)??,
        // The server has accepted no write yet, so nothing is lost.
        () = &mut shutdown => return Ok(()),
    };
    let engine = Arc::new(engine);
    app.ready(Arc::clone(&engine));
    ready();

    tokio::select! {
        ended = writer.wait() => return Ok(ended?),
        () = &mut shutdown => {}
    }
    // An event stream would otherwise stay open for the whole grace period.
    engine.end_following();
    // Dropping the sender resolves `stopped`.
    drop(stop);
    connections.await?;
    engine.close();
    tokio::time::timeout(LAST_SYNC, writer.wait()).await.map_err(|_| ServeError::Unfinished)??;
    Ok(())
}
