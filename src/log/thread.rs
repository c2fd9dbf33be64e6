//! Threads, by name.

use std::thread::{Builder, JoinHandle};

use super::LogError;

/// Runs this in a thread of its own.
///
/// # Errors
///
/// [`LogError::Thread`] where the system gives no more threads.
pub fn spawn<T: Send + 'static>(
    name: &'static str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, LogError> {
    Builder::new().name(name.to_owned()).spawn(run).map_err(|source| LogError::Thread { name, source })
}
