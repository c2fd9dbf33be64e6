//! When a request began to arrive: its time runs from its first byte, not from the end of its head.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Of one connection: when the request that is being read began.
#[derive(Clone, Default)]
pub(super) struct Arrival(Arc<Mutex<Option<Instant>>>);

/// Of one request, among its extensions: when its first byte came.
#[derive(Clone, Copy)]
pub(super) struct Began(pub(super) Instant);

impl Arrival {
    /// When the request began whose head has come. What was pipelined behind another one begins only now.
    pub(super) fn began(&self) -> Began {
        Began(self.0.lock().unwrap_or_else(Instant::now))
    }

    /// The next byte is another request's.
    pub(super) fn answered(&self) {
        self.0.lock().take();
    }

    fn byte_came(&self) {
        self.0.lock().get_or_insert_with(Instant::now);
    }
}

/// A stream whose reads are noticed.
pub(super) struct WatchedStream {
    stream: TcpStream,
    arrival: Arrival,
}

impl WatchedStream {
    pub(super) fn new(stream: TcpStream, arrival: Arrival) -> Self {
        Self { stream, arrival }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.arrival.byte_came();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
