//! Connections: accepted up to a bound, given so much time to send and to take, and let finish when the server stops.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::App;
use super::observed::observe;
use super::watched::{Arrival, Patience, WatchedStream};

/// The longest head, with room for one that is pipelined behind it.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Whoever takes none of an answer for so long is cut off, however long a request may take to arrive.
const UNTAKEN_TIME_MAX: Duration = Duration::from_secs(30);

/// When the server stops, connections stay open for so long, each until its next answer: a client that keeps one learns
/// from the answer that it closes. One that is closed between two answers may have a request on its way, which is lost.
const LINGER: Duration = Duration::from_millis(500);

/// Serves until `stop` resolves; then accepts no more, and answers what has arrived or is in flight, for at most `grace`.
pub async fn serve_connections(
    listener: TcpListener,
    router: Router,
    app: &Arc<App>,
    stop: impl Future<Output = ()>,
    grace: Duration,
) {
    let read_patience = Duration::from_secs(app.limits.request_timeout_s.into());
    let patience = Patience { read: read_patience, write: read_patience.min(UNTAKEN_TIME_MAX) };
    let mut http = http1::Builder::new();
    // half_close: whoever has sent all there is to send is answered all the same.
    http.max_buf_size(HEAD_BYTES_MAX).header_read_timeout(None).half_close(true);
    let permits = Arc::new(Semaphore::new(app.limits.connections_max as usize));
    let graceful = GracefulShutdown::new();
    let stopping = Arc::new(AtomicBool::new(false));
    let serve = |stream: TcpStream, permit: OwnedSemaphorePermit| {
        prepare(&stream, patience.write);
        let open = app.metrics.connections.clone();
        open.inc();
        let arrival = Arrival::default();
        let stream = TokioIo::new(WatchedStream::new(stream, arrival.clone(), patience));
        let (app, router, stopping) = (Arc::clone(app), router.clone(), Arc::clone(&stopping));
        let service = service_fn(move |request: Request<Incoming>| {
            arrival.begun();
            let (arrival, stopping) = (arrival.clone(), Arc::clone(&stopping));
            observe(&app, &router, request.map(Body::new)).map(move |mut answer| {
                arrival.answered(&answer);
                if stopping.load(Ordering::Relaxed) {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            })
        });
        let connection = graceful.watch(http.serve_connection(stream, service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            open.dec();
            drop(permit);
        });
    };

    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            (stream, permit) = accept(&listener, &permits) => serve(stream, permit),
            () = &mut stop => break,
        }
    }
    stopping.store(true, Ordering::Relaxed);
    for stream in still_waiting(listener) {
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { break };
        serve(stream, permit);
    }
    let finished = tokio::time::timeout(grace, async {
        // All permits are back when no connection is left.
        let all_closed = permits.acquire_many(app.limits.connections_max);
        drop(tokio::time::timeout(LINGER, all_closed).await);
        graceful.shutdown().await;
    });
    if finished.await.is_err() {
        tracing::warn!("some connections did not finish in time");
    }
}

async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let permit = Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            // The client went away, or there are no more file descriptors: then others must close first.
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Those whose connections the kernel has taken already. Nobody can connect afterwards.
fn still_waiting(listener: TcpListener) -> Vec<TcpStream> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let waiting = std::iter::from_fn(|| listener.accept().ok());
    let unblocked = waiting.filter_map(|(stream, _)| {
        stream.set_nonblocking(true).ok()?;
        TcpStream::from_std(stream).ok()
    });
    unblocked.collect()
}

fn prepare(stream: &TcpStream, write_timeout: Duration) {
    let unacknowledged_ms = u32::try_from(write_timeout.as_millis()).unwrap_or(u32::MAX);
    // Where these fail, the connection is gone already; serving it will tell.
    drop(stream.set_nodelay(true));
    // Whoever vanishes without a word is noticed when so long nothing was acknowledged.
    let _ = set_tcp_user_timeout(stream, unacknowledged_ms);
}
