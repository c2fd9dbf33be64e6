//! Resources that a server gets from the system: a socket, open files, signals and a runtime.

use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use super::ServeError;
use crate::config::ListenAddress;
use crate::http::CONNECTIONS_WAITING_MAX;
use crate::thread;

/// A socket that is bound to an address, to which nobody can connect yet.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) address: SocketAddr,
    socket: TcpSocket,
}

/// Binds the first address of the name that can be bound.
pub(super) fn bind(to: &ListenAddress) -> Result<Bound, ServeError> {
    let failed = |address, source| ServeError::Listen { address, source };
    let addresses = to.resolve().map_err(|source| failed(to.to_string(), source))?;
    bind_first(&addresses).map_err(|source| {
        let tried = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        failed(if tried == to.to_string() { tried } else { format!("{to} ({tried})") }, source)
    })
}

/// Binds the first of these addresses that can be bound. Returns the error of the first one if there is none.
fn bind_first(addresses: &[SocketAddr]) -> io::Result<Bound> {
    let mut first_error = None;
    for &address in addresses {
        match bind_one(address) {
            Ok(bound) => return Ok(bound),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

fn bind_one(address: SocketAddr) -> io::Result<Bound> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server can bind the port while connections of the previous process are in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(Bound { address: socket.local_addr()?, socket })
}

impl Bound {
    /// Listens, with a backlog that has room for all clients that reconnect after a restart. The system may grant a
    /// shorter backlog.
    pub(super) fn listen(self) -> Result<(TcpListener, SocketAddr), ServeError> {
        let Self { address, socket } = self;
        // It fails if another server has bound the address at the same time.
        let failed = |source| ServeError::Listen { address: address.to_string(), source };
        Ok((socket.listen(CONNECTIONS_WAITING_MAX).map_err(failed)?, address))
    }
}

/// Raises the limit on open files, and returns `connections_max`, lowered to what that limit leaves for
/// connections.
pub(super) fn fit_open_files(connections_max: u32) -> u32 {
    /// Open files that are not connections: the log's, standard streams, and the runtime's.
    const OTHER_FILES: u64 = 64;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files_max) => {
            let room = u32::try_from(files_max.saturating_sub(OTHER_FILES).max(1)).unwrap_or(u32::MAX);
            if room < connections_max {
                tracing::warn!(files_max, "limited to {room} connections: each one is an open file");
            }
            connections_max.min(room)
        }
        Err(error) => {
            tracing::warn!(%error, "failed to raise the limit on open files");
            connections_max
        }
    }
}

/// Returns a future that resolves at SIGTERM, SIGINT or SIGQUIT. From the call on, none of these ends the
/// process by itself, nor does SIGHUP.
pub(super) fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    // tokio keeps the handler of the signal, so a terminal that is closed does not end the server, whether files
    // are read again at the signal or not.
    drop(signal(SignalKind::hangup())?);
    Ok(async move {
        let signal = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = quit.recv() => "SIGQUIT",
        };
        tracing::info!(signal, "stopping");
    })
}

/// Returns a runtime that serves requests in the order of their arrival, even under load.
///
/// The runtime waits silently for workers that the system does not start, and panics without the first one.
/// So it is started only if there is room for its workers and for the threads of the engine.
pub(super) fn runtime() -> Result<Runtime, ServeError> {
    /// Maximum threads of the engine and the log at the same time: three of the replay, the writer, the
    /// fan-out, and the one that prepares the next segment.
    const ENGINE_THREADS: usize = 6;
    let workers = available_parallelism().map_or(1, NonZero::get);
    thread::check_room(workers + ENGINE_THREADS)?;
    Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        // A worker's own queue holds 256 tasks; when more arrive, its older half moves to the end of the
        // global queue, behind later arrivals. So a worker accepts few events at a time, and runs all of
        // their tasks before it polls for others.
        .max_io_events_per_tick(64)
        .event_interval(256)
        // The writer's thread sends answers through the global queue, and their clients have waited longest.
        .global_queue_interval(1)
        .build()
        .map_err(ServeError::Runtime)
}

#[cfg(test)]
mod tests {
    use std::net;

    use super::*;

    #[tokio::test]
    async fn the_first_address_that_can_be_bound_is_used() {
        let taken = net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let taken = taken.local_addr().expect("bound");
        let [second, third] =
            ["127.0.0.2:0", "127.0.0.3:0"].map(|address| address.parse().expect("an address"));
        // Another machine's address.
        let foreign = "192.0.2.1:0".parse().expect("an address");
        let bound = bind_first(&[foreign, taken, second, third]).expect("bound");
        assert_eq!(bound.address.ip(), second.ip());
        let refused = bind_first(&[taken, foreign]).expect_err("neither");
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }
}
