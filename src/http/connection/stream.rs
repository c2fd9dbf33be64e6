//! The stream of a connection: the socket, with the [deadline](super::deadline) of its requests, the
//! [pacing](super::pacing) of its answers, and a check that the client is still connected.
//!
//! The stream is below hyper, so that one timer serves both heads and bodies, and so that a short answer is
//! sent in one piece.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::deadline::{Arrival, ReadDeadline, ReadTimeouts};
use super::pacing::Pacing;
use crate::http::limits::UNREAD_TIME_MAX;

/// Deadlines after which a connection fails.
#[derive(Clone, Copy)]
pub(super) struct Timeouts {
    /// Deadlines for a request to begin, and to arrive completely.
    pub(super) read: ReadTimeouts,
    /// Deadline for a client to read some of its answer.
    pub(super) write: Duration,
}

impl Timeouts {
    /// Returns the deadlines of a server with these times for reads.
    pub(super) fn new(read: ReadTimeouts) -> Self {
        Self { read, write: read.request.min(UNREAD_TIME_MAX) }
    }
}

/// A connection's stream. It fails when a request does not arrive in time, when an answer is not read in
/// time, and when the client closes during an endless one.
pub(super) struct WatchedStream {
    stream: TcpStream,
    arrival: Arrival,
    deadline: ReadDeadline,
    pacing: Pacing,
    /// Changes when the server stops and the connection must close as soon as nothing has arrived on it.
    drain: watch::Receiver<()>,
}

impl WatchedStream {
    pub(super) fn new(
        stream: TcpStream,
        arrival: Arrival,
        timeouts: Timeouts,
        drain: watch::Receiver<()>,
    ) -> Self {
        let (deadline, pacing) = (ReadDeadline::new(timeouts.read), Pacing::new(timeouts.write));
        Self { stream, arrival, deadline, pacing, drain }
    }

    /// Returns whether the server drains this connection, and no part of a request has arrived.
    fn is_drained(&self) -> bool {
        // A change that cannot be seen is the end of the server.
        let must_drain = self.drain.has_changed().unwrap_or(true);
        must_drain && !self.arrival.is_begun() && {
            // The runtime may not know yet what has arrived.
            let peeked = recv(&self.stream, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
            peeked.is_err()
        }
    }

    /// Returns whether the client has closed the connection. It costs a system call only if something has
    /// arrived.
    fn is_closed(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0; 1];
        let peeked = self.stream.poll_peek(cx, &mut ReadBuf::new(&mut byte));
        matches!(peeked, Poll::Ready(Ok(0) | Err(_)))
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_pending() && self.is_drained() {
            // As if the client had closed its side: what is in progress is answered, and then all is over.
            return Poll::Ready(Ok(()));
        }
        let Self { arrival, deadline, pacing, .. } = &mut *self;
        if read.is_pending() {
            return deadline.poll_passed(cx, arrival);
        }
        if buffer.filled().len() > before {
            pacing.has_read();
            arrival.begun();
        }
        read
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.pacing.poll_ready(cx));
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.pacing.poll_written(cx, written)
    }

    /// Also notices that the client of an endless answer has disconnected, because no read would notice it.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.arrival.is_endless() && self.is_closed(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Joins the head and the body of a short answer, because one piece costs the kernel less than two.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        const SHORT_BYTES_MAX: usize = 1024;
        let bytes = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if bytes > SHORT_BYTES_MAX {
            ready!(self.pacing.poll_ready(cx));
            let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
            return self.pacing.poll_written(cx, written);
        }
        let mut joined = [0; SHORT_BYTES_MAX];
        let mut end = 0;
        for slice in slices {
            joined[end..end + slice.len()].copy_from_slice(slice);
            end += slice.len();
        }
        self.poll_write(cx, &joined[..end])
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Instant;

    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn an_unread_answer_waits_30_seconds_at_most() {
        for (request_s, unread_s) in [(1, 1), (30, 30), (31, 30), (3_600, 30)] {
            let timeouts = timeouts(request_s);
            assert_eq!(timeouts.write.as_secs(), unread_s);
        }
    }

    /// Returns a served stream whose client reads all that is sent.
    async fn stream_that_is_read() -> WatchedStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tokio::spawn(async move {
            let mut buffer = vec![0; 1024 * 1024];
            while client.read(&mut buffer).await.is_ok_and(|bytes| bytes > 0) {}
        });
        let (stream, _) = listener.accept().await.unwrap();
        watched(stream, &watch::Sender::new(()))
    }

    fn watched(stream: TcpStream, drain: &watch::Sender<()>) -> WatchedStream {
        WatchedStream::new(stream, Arrival::default(), timeouts(30), drain.subscribe())
    }

    fn timeouts(request_s: u64) -> Timeouts {
        Timeouts::new(ReadTimeouts { idle: Duration::from_secs(75), request: Duration::from_secs(request_s) })
    }

    #[tokio::test]
    async fn a_drained_connection_ends_when_nothing_has_arrived() {
        for request in ["", "GET"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let drain = watch::Sender::new(());
            let mut stream = watched(stream, &drain);
            let mut read = [0; 10];
            assert_eq!(stream.read(&mut read).now_or_never().map(Result::ok), None, "nothing has arrived");
            // What the client has sent is read, even if the runtime has not heard of it.
            client.write_all(request.as_bytes()).await.unwrap();
            drain.send_replace(());
            assert_eq!(stream.read(&mut read).await.unwrap(), request.len());
            // The request has begun, so the rest of it may come.
            let rest = stream.read(&mut read).now_or_never().map(Result::unwrap);
            assert_eq!(rest, if request.is_empty() { Some(0) } else { None });
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_long_answer_is_interrupted() {
        static CHUNK: [u8; 64 * 1024] = [0; 64 * 1024];
        /// A burst ends with the chunk that exceeds its 256 KiB.
        const BETWEEN_PAUSES_MAX: usize = (256 + 64) * 1024;
        for vectored in [false, true] {
            let mut stream = stream_that_is_read().await;
            let (mut sent, mut burst) = (0, 0);
            while sent < 16 * 1024 * 1024 {
                let write = poll_fn(|cx| {
                    let began = Instant::now();
                    let stream = Pin::new(&mut stream);
                    let written = if vectored {
                        stream.poll_write_vectored(cx, &[IoSlice::new(&CHUNK)])
                    } else {
                        stream.poll_write(cx, &CHUNK)
                    };
                    // On a busy machine, a pause may be over before it is waited for.
                    if written.is_pending() || began.elapsed() >= Duration::from_millis(1) {
                        burst = 0;
                    }
                    written
                });
                let bytes = write.await.unwrap();
                sent += bytes;
                burst += bytes;
                assert!(burst <= BETWEEN_PAUSES_MAX, "{burst} bytes without a pause");
            }
        }
    }
}
