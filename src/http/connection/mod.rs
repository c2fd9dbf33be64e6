//! Connections: accepted up to a maximum, served within deadlines, and drained when the server stops.
//!
//! They are served by hyper directly: `axum::serve` sets no limit on the time that a head may take.

mod browsers;
mod deadline;
mod host;
mod observe;
mod pacing;
pub(crate) mod panics;
mod record;
mod socket;
mod stream;
mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use self::deadline::{Arrival, ReadTimeouts};
use self::observe::observe;
use self::socket::PacedSocket;
use self::stream::{Timeouts, Transport, WatchedStream};
use self::tls::Handshakes;
pub use self::tls::Tls;
use crate::http::admission::Peer;
use crate::http::limits::{CONNECTIONS_WAITING_MAX, HEAD_BYTES_MAX};
use crate::http::router::Router;

/// Time for which connections stay open when the server stops. Each one closes with its next answer, which
/// announces that. If a connection were closed between two answers, a request that is on its way would be
/// lost.
const LINGER: Duration = Duration::from_millis(500);

/// Serves connections, over TLS or plainly, until `stop` resolves. Then it accepts no more of them, and answers the requests that
/// have arrived or are in flight, for at most `grace`. Returns whether all connections have finished.
pub async fn serve_connections(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    stop: impl Future<Output = ()>,
    grace: Duration,
) -> bool {
    let app = Arc::clone(&router.app);
    let server = Arc::new(Server::new(router, tls));
    let permits = Arc::new(Semaphore::new(app.limits.connections_max as usize));
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            accepted = server.accept(&listener, &permits) => server.serve(accepted),
            () = &mut stop => break,
        }
    }
    server.stopping.store(true, Ordering::Relaxed);
    // Connections beyond the first number have no permit. Those beyond the second came after the stop.
    let count_max = permits.available_permits().min(CONNECTIONS_WAITING_MAX as usize);
    for stream in still_waiting(listener, count_max) {
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { break };
        let slot = server.handshakes.as_ref().map(Handshakes::try_slot);
        // Without a slot, it would wait for one of those that are slow.
        let Ok(slot) = slot.transpose() else { break };
        server.serve(Accepted { stream, permit, slot });
    }
    let finished = tokio::time::timeout(grace, async {
        // All permits are back when no connection is left.
        let all_closed = permits.acquire_many(app.limits.connections_max);
        drop(tokio::time::timeout(LINGER, all_closed).await);
        server.drain.send_replace(());
        drop(permits.acquire_many(app.limits.connections_max).await);
    });
    let is_drained = finished.await.is_ok();
    if !is_drained {
        tracing::warn!(connections = app.connections(), "some connections did not finish in time");
    }
    is_drained
}

/// A connection, and what it may take up.
struct Accepted {
    stream: TcpStream,
    permit: OwnedSemaphorePermit,
    /// Given back after the handshake, if there is one.
    slot: Option<OwnedSemaphorePermit>,
}

/// The state that all connections share.
struct Server {
    router: Arc<Router>,
    /// Those of TLS, if the server speaks it.
    handshakes: Option<Handshakes>,
    http: http1::Builder,
    timeouts: Timeouts,
    /// Sends when each connection must close as soon as nothing has arrived on it.
    drain: watch::Sender<()>,
    /// Whether each answer announces that its connection closes.
    stopping: Arc<AtomicBool>,
}

impl Server {
    fn new(router: Router, tls: Option<Tls>) -> Self {
        let mut http = http1::Builder::new();
        // half_close: a client that closes its side after a request still gets its answer. It also saves
        // hyper a read in the middle of each request.
        http.max_buf_size(HEAD_BYTES_MAX).header_read_timeout(None).half_close(true);
        let limits = router.app.limits;
        let timeouts = Timeouts::new(ReadTimeouts {
            idle: Duration::from_secs(limits.idle_timeout_s.into()),
            request: Duration::from_secs(limits.request_timeout_s.into()),
        });
        let handshakes = tls.map(|tls| Handshakes::new(tls, limits.connections_max));
        let (router, drain) = (Arc::new(router), watch::Sender::new(()));
        Self { router, handshakes, http, timeouts, drain, stopping: Arc::default() }
    }

    /// Waits for a connection. All that it may take up is there before it is accepted: until then it waits in
    /// the kernel.
    async fn accept(&self, listener: &TcpListener, permits: &Arc<Semaphore>) -> Accepted {
        let permit = Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed");
        let slot = match &self.handshakes {
            Some(handshakes) => Some(handshakes.slot().await),
            None => None,
        };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Accepted { stream, permit, slot },
                // The client has disconnected, or no file descriptor is left until another connection closes.
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Serves a connection in a task of its own, which drops the permit when the connection is closed.
    fn serve(self: &Arc<Self>, Accepted { stream, permit, slot }: Accepted) {
        prepare(&stream, self.timeouts.write);
        let open = self.router.app.metrics.connections.clone();
        open.inc();
        // A client that has disconnected has no address any more.
        let client = stream.peer_addr().ok();
        let socket = PacedSocket::new(stream, self.timeouts.write);
        let closed = move || {
            open.dec();
            drop(permit);
        };
        let Some(slot) = slot else {
            let connection = self.connection(socket, client);
            tokio::spawn(connection.map(|()| closed()));
            return;
        };
        let (server, drain) = (Arc::clone(self), self.drain.subscribe());
        tokio::spawn(async move {
            let handshakes = server.handshakes.as_ref().expect("a slot is one of these");
            match handshakes.shake(socket, slot, drain).await {
                Ok(stream) => {
                    let connection = server.connection(stream, client);
                    drop(server);
                    connection.await;
                }
                Err(error) => {
                    tracing::debug!(client = client.map(tracing::field::display), %error, "a handshake failed");
                }
            }
            closed();
        });
    }

    /// Returns what serves the requests that this transport carries.
    fn connection<T: Transport + Send + 'static>(
        &self,
        transport: T,
        client: Option<SocketAddr>,
    ) -> impl Future<Output = ()> + Send + use<T> {
        let peer = self.router.app.keyed().map(|_| Peer::new(client.map(|client| client.ip())));
        let arrival = Arrival::default();
        let mut drain = self.drain.subscribe();
        let stream = WatchedStream::new(transport, arrival.clone(), self.timeouts.read, drain.clone());
        let (router, stopping) = (Arc::clone(&self.router), Arc::clone(&self.stopping));
        let service = service_fn(move |request: Request<Incoming>| {
            arrival.begun();
            let (arrival, stopping, peer) = (arrival.clone(), Arc::clone(&stopping), peer.clone());
            let mut request = request.map(Body::new);
            if let Some(peer) = &peer {
                request.extensions_mut().insert(peer.clone());
            }
            observe(&router, client, request).map(move |mut answer| {
                arrival.answered(&answer);
                if let Some(peer) = peer {
                    peer.add_quota(answer.headers_mut());
                }
                if stopping.load(Ordering::Relaxed) {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            })
        });
        let mut connection = self.http.serve_connection(TokioIo::new(stream), service);
        async move {
            let ended = tokio::select! {
                ended = &mut connection => ended,
                // The connection is polled once more, so that its stream sees that it must close.
                _ = drain.changed() => connection.await,
            };
            if let Err(error) = ended {
                tracing::debug!(client = client.map(tracing::field::display), %error, "a connection broke");
            }
        }
    }
}

/// Returns at most `count_max` connections that the kernel has already accepted, and closes the listener.
/// Without a maximum, clients that connect all the time would keep it open.
fn still_waiting(listener: TcpListener, count_max: usize) -> Vec<TcpStream> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let waiting = std::iter::from_fn(|| listener.accept().ok()).take(count_max);
    let unblocked = waiting.filter_map(|(stream, _)| {
        stream.set_nonblocking(true).ok()?;
        TcpStream::from_std(stream).ok()
    });
    unblocked.collect()
}

fn prepare(stream: &TcpStream, write_timeout: Duration) {
    // The kernel's time runs from its first retransmission or probe, a fraction of a second after a byte begins
    // to wait, so it gets a tenth less.
    let unread_ms = u32::try_from((write_timeout * 9 / 10).as_millis()).unwrap_or(u32::MAX);
    // If one of these fails, the connection is already closed, and serving it will fail.
    drop(stream.set_nodelay(true));
    // The kernel closes the connection of a client that has acknowledged nothing for this time (RFC 5482), and
    // of one that has read nothing while bytes wait in the socket. The pacing of writes does not see these
    // bytes: their write is over. Other systems than Linux do not have this timeout.
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, unread_ms);
    #[cfg(not(target_os = "linux"))]
    let _: u32 = unread_ms;
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net;

    use super::*;

    #[tokio::test]
    async fn a_stop_accepts_a_bounded_number() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let mut clients: Vec<_> =
            (0..5).map(|_| net::TcpStream::connect(address).expect("waits in the kernel")).collect();
        let waiting = still_waiting(listener, 3);
        assert_eq!(waiting.len(), 3);
        let refused = clients.pop().expect("five").read(&mut [0]);
        assert!(refused.is_err(), "reset: {refused:?}");
    }
}
