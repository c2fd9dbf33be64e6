//! A server's life: starting, ready, stopping.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::config::{CorsOrigins, Limits};
use crate::engine::{Engine, ReplayProgress, WriterError};
pub use crate::http::log_panics;
use crate::http::{self, App};
use crate::log::{EventLog, LogError};

/// How long what is in flight may take when the server stops.
const GRACE: Duration = Duration::from_secs(7);

/// How long the log may take after that: a disk may hang.
const LAST_SYNC: Duration = Duration::from_millis(1_500);

/// Why the server ended otherwise than it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The log could not be replayed.
    #[error(transparent)]
    Replay(#[from] LogError),
    /// The log failed while it was written.
    #[error(transparent)]
    Writer(#[from] WriterError),
    /// The disk did not take what was written before the server had to stop. It was not answered.
    #[error("the log did not finish its last write in time")]
    Unfinished,
    /// A task of the server panicked.
    #[error("the server panicked: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

/// Serves the log on the listener: answers 503 while it replays, calls `ready` when it is done, stops when `shutdown`
/// resolves, with everything in flight answered and synced.
///
/// # Errors
///
/// See [`ServeError`]. The process must end then: what waits for an answer gets none.
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
    let starting = tokio::task::spawn_blocking(move || Engine::start(log, queue_max, &progress));
    let (engine, mut writer) = tokio::select! {
        started = starting => started??,
        // Nothing was accepted yet, so nothing is lost.
        () = &mut shutdown => return Ok(()),
    };
    let engine = Arc::new(engine);
    app.ready(Arc::clone(&engine));
    ready();

    tokio::select! {
        ended = writer.wait() => return Ok(ended?),
        () = &mut shutdown => {}
    }
    // Whoever follows would stay for ever.
    engine.end_following();
    // Dropping it has the same effect as sending.
    drop(stop);
    connections.await?;
    engine.close();
    tokio::time::timeout(LAST_SYNC, writer.wait()).await.map_err(|_| ServeError::Unfinished)??;
    Ok(())
}
