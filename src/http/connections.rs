//! Connections: accepted up to a bound, given so much time to send and to take, and let finish when the server stops.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::App;
use super::watched::{Arrival, WatchedStream};

/// The longest head, with room for one that is pipelined behind it.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Whoever takes none of an answer for so long is cut off, however long a request may take to arrive.
const UNTAKEN_TIME_MAX: Duration = Duration::from_secs(30);

/// Serves until `stop` resolves; then accepts no more, answers what is in flight, for at most `grace`.
pub async fn serve_connections(
    listener: TcpListener,
    router: Router,
    app: &App,
    stop: impl Future<Output = ()>,
    grace: Duration,
) {
    let timeout = Duration::from_secs(app.limits.request_timeout_s.into());
    let write_timeout = timeout.min(UNTAKEN_TIME_MAX);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(timeout).max_buf_size(HEAD_BYTES_MAX);
    let service = TowerToHyperService::new(router);
    let permits = Arc::new(Semaphore::new(app.limits.connections_max as usize));
    let graceful = GracefulShutdown::new();

    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, permit) = tokio::select! {
            accepted = accept(&listener, &permits, write_timeout) => accepted,
            () = &mut stop => break,
        };
        let arrival = Arrival::default();
        let stream = TokioIo::new(WatchedStream::new(stream, arrival.clone(), write_timeout));
        let service = service.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(arrival.began());
            let (answer, arrival) = (service.call(request), arrival.clone());
            async move {
                let answer = answer.await;
                arrival.answered();
                answer
            }
        });
        let connection = graceful.watch(http.serve_connection(stream, service));
        let open = app.metrics.connections.clone();
        open.inc();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            open.dec();
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections did not finish in time");
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    write_timeout: Duration,
) -> (TcpStream, OwnedSemaphorePermit) {
    let unacknowledged_ms = u32::try_from(write_timeout.as_millis()).unwrap_or(u32::MAX);
    let permit = Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Where these fail, the connection is gone already; serving it will tell.
                drop(stream.set_nodelay(true));
                // Whoever vanishes without a word is noticed when so long nothing was acknowledged.
                let _ = set_tcp_user_timeout(&stream, unacknowledged_ms);
                return (stream, permit);
            }
            // The client went away, or there are no more file descriptors: then others must close first.
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
