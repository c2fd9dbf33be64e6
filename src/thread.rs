//! Threads, each with a name that a debugger and `top` show.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use parking_lot::Mutex;

/// The reason why a thread did not start.
#[derive(Debug, thiserror::Error)]
#[error("failed to start {what}: {source}{}", limit_named(*limit))]
pub struct SpawnError {
    what: String,
    source: io::Error,
    /// The limit on the user's threads, if that may be the reason.
    limit: Option<u64>,
}

impl SpawnError {
    fn new(what: String, source: io::Error) -> Self {
        let may_be_limit = source.kind() == io::ErrorKind::WouldBlock;
        let limit = rlimit::Resource::NPROC.get_soft().ok();
        Self { what, source, limit: limit.filter(|&limit| may_be_limit && limit != rlimit::INFINITY) }
    }
}

fn limit_named(limit: Option<u64>) -> String {
    match limit {
        Some(limit) => format!("; the limit on this user's threads and processes (ulimit -u) is {limit}"),
        None => String::new(),
    }
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
    start(name, run).map_err(|source| SpawnError::new(format!("the thread {name}"), source))
}

/// Checks that the system starts this number of threads at a time. It is for the use of a library that would
/// wait for ever for a thread that does not start.
///
/// # Errors
///
/// The system does not start all of them.
pub fn check_room(count: usize) -> Result<(), SpawnError> {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock();
    let threads: io::Result<Vec<_>> = (0..count)
        .map(|_| {
            let gate = Arc::clone(&gate);
            start("check", move || drop(gate.lock()))
        })
        .collect();
    drop(closed);
    let threads = threads.map_err(|source| SpawnError::new(format!("{count} threads"), source))?;
    for thread in threads {
        // The thread cannot panic.
        drop(thread.join());
    }
    Ok(())
}

fn start<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).spawn(run)
}
