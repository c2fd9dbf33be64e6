//! A connection's stream, watched: when a request began to arrive, and whether its answer is being taken.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// Of one connection: when the request that is being read began. Its time runs from its first byte, not from the end
/// of its head.
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

/// A stream whose reads are noticed, and whose writes fail when the other end takes nothing for too long.
pub(super) struct WatchedStream {
    stream: TcpStream,
    arrival: Arrival,
    write_timeout: Duration,
    /// While the other end takes nothing: when that has been too long.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl WatchedStream {
    pub(super) fn new(stream: TcpStream, arrival: Arrival, write_timeout: Duration) -> Self {
        Self { stream, arrival, write_timeout, stalled: None }
    }

    /// What a write has come to, or an error if none could for too long.
    fn in_time(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timeout = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.write_timeout)));
        timeout.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
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
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
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
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
