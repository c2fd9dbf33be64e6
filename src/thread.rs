//! Threads, each with a name that a debugger and `top` show.

use std::io;
use std::thread::{Builder, JoinHandle};

/// The reason why a thread did not start.
#[derive(Debug, thiserror::Error)]
#[error("failed to start the thread {name}: {source}")]
pub struct SpawnError {
    name: &'static str,
    source: io::Error,
}

/// Runs the closure in a thread of this name.
///
/// # Errors
///
/// The system does not start another thread.
pub fn spawn<T: Send + 'static>(
    name: &'static str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, SpawnError> {
    Builder::new().name(name.to_owned()).spawn(run).map_err(|source| SpawnError { name, source })
}
