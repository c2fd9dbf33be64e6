//! The stream of a connection: what carries its bytes, with the [deadline](super::deadline) of its requests and a
//! check that the client is still connected.
//!
//! The stream is below hyper, so that one timer serves both heads and bodies.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::deadline::{Arrival, ReadDeadline, ReadTimeouts};
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

/// A carrier of requests and answers: a socket, or TLS on one.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Returns whether bytes of a request may have arrived that no read has returned. It is asked when a read
    /// has to wait.
    fn has_unread(&self) -> bool;

    /// Returns whether the client has closed the connection. The task is woken when it does.
    fn is_closed(&mut self, cx: &mut Context<'_>) -> bool;
}

/// A connection's stream. It fails when a request does not arrive in time, and when the client closes during an
/// endless answer.
pub(super) struct WatchedStream<T> {
    transport: T,
    arrival: Arrival,
    deadline: ReadDeadline,
    /// Changes when the server stops and the connection must close as soon as nothing has arrived on it.
    drain: watch::Receiver<()>,
}

impl<T: Transport> WatchedStream<T> {
    pub(super) fn new(
        transport: T,
        arrival: Arrival,
        timeouts: ReadTimeouts,
        drain: watch::Receiver<()>,
    ) -> Self {
        Self { transport, arrival, deadline: ReadDeadline::new(timeouts), drain }
    }

    /// Returns whether the server drains this connection, and no part of a request has arrived.
    fn is_drained(&self) -> bool {
        // A change that cannot be seen is the end of the server.
        let must_drain = self.drain.has_changed().unwrap_or(true);
        must_drain && !self.arrival.is_begun() && !self.transport.has_unread()
    }
}

impl<T: Transport> AsyncRead for WatchedStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.transport).poll_read(cx, buffer);
        if read.is_pending() && self.is_drained() {
            // As if the client had closed its side: what is in progress is answered, and then all is over.
            return Poll::Ready(Ok(()));
        }
        let Self { arrival, deadline, .. } = &mut *self;
        if read.is_pending() {
            return deadline.poll_passed(cx, arrival);
        }
        if buffer.filled().len() > before {
            arrival.begun();
        }
        match read {
            // A client of TLS has closed its socket without saying so first. A request shows its own end, so
            // nothing can be taken for whole that is not.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => read,
        }
    }
}

impl<T: Transport> AsyncWrite for WatchedStream<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, bytes)
    }

    /// Also notices that the client of an endless answer has disconnected, because no read would notice it.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.arrival.is_endless() && self.transport.is_closed(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::http::connection::socket::PacedSocket;

    #[test]
    fn an_unread_answer_waits_30_seconds_at_most() {
        for (request_s, unread_s) in [(1, 1), (30, 30), (31, 30), (3_600, 30)] {
            let timeouts = timeouts(request_s);
            assert_eq!(timeouts.write.as_secs(), unread_s);
        }
    }

    fn watched(stream: TcpStream, drain: &watch::Sender<()>) -> WatchedStream<PacedSocket> {
        let Timeouts { read, write } = timeouts(30);
        WatchedStream::new(PacedSocket::new(stream, write), Arrival::default(), read, drain.subscribe())
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
}
