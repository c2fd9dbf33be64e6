//! A connection's stream, watched: whether its requests arrive in time, whether their answers are taken, and whether
//! the other end is still there.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::response::Response;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// An answer's bytes that are sent without a pause,
const BURST_BYTES_MAX: usize = 256 * 1024;
/// and the pause: as short as a timer can make it.
const PAUSE: Duration = Duration::from_millis(1);

/// Of one connection: how far its next request has come.
#[derive(Clone, Default)]
pub(super) struct Arrival(Arc<Mutex<NextRequest>>);

#[derive(Clone, Copy, Default)]
enum NextRequest {
    /// The last one is answered, or being answered, and nobody has looked for the next.
    #[default]
    NotYet,
    /// The answer to the last one has no end of its own.
    Never,
    /// No byte of it has come, since then.
    Awaited(Instant),
    /// Its first byte came then: its time runs from there, not from the end of its head.
    Begun(Instant),
}

impl Arrival {
    /// The next byte is another request's.
    pub(super) fn answered(&self, answer: &Response) {
        let is_endless = answer.extensions().get::<Endless>().is_some();
        *self.0.lock() = if is_endless { NextRequest::Never } else { NextRequest::NotYet };
    }

    /// Some of it has come. What was pipelined behind another request has begun when its head is read.
    pub(super) fn begun(&self) {
        let mut next = self.0.lock();
        if !matches!(*next, NextRequest::Begun(_)) {
            *next = NextRequest::Begun(Instant::now());
        }
    }

    /// Since when somebody waits for bytes of a request, who waits now.
    fn waits_since(&self) -> Instant {
        let mut next = self.0.lock();
        match *next {
            NextRequest::Awaited(since) | NextRequest::Begun(since) => since,
            NextRequest::NotYet | NextRequest::Never => {
                let now = Instant::now();
                *next = NextRequest::Awaited(now);
                now
            }
        }
    }

    fn is_never(&self) -> bool {
        matches!(*self.0.lock(), NextRequest::Never)
    }
}

/// For how long a connection is patient.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// With a request that is to arrive, and whole.
    pub(super) read: Duration,
    /// With an answer of which nothing is taken.
    pub(super) write: Duration,
}

/// Among the extensions of an answer: it goes on for as long as its client listens.
#[derive(Clone, Copy)]
pub(super) struct Endless;

/// A stream that fails when a request does not arrive whole in time, when an answer is not taken in time, and when the
/// other end closes during an endless one.
pub(super) struct WatchedStream {
    stream: TcpStream,
    arrival: Arrival,
    patience: Patience,
    /// Rings when a read may be overdue. It is not wound for each request: whoever it wakes winds it anew.
    overdue: Option<Pin<Box<Sleep>>>,
    /// While the other end takes nothing: when that has been too long.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Bytes of an answer that were taken one after the other.
    burst: usize,
    /// After a long one: until others have had their turn.
    pause: Option<Pin<Box<Sleep>>>,
}

impl WatchedStream {
    pub(super) fn new(stream: TcpStream, arrival: Arrival, patience: Patience) -> Self {
        Self { stream, arrival, patience, overdue: None, stalled: None, burst: 0, pause: None }
    }

    /// For a read that has to wait: an error once it has waited for too long.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let due = self.arrival.waits_since() + self.patience.read;
        let overdue = self.overdue.get_or_insert_with(|| Box::pin(sleep_until(due)));
        while overdue.as_mut().poll(cx).is_ready() {
            if due <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            overdue.as_mut().reset(due);
        }
        Poll::Pending
    }

    /// A client that takes a long answer as fast as it can be made keeps a processor busy: whoever sends a message
    /// meanwhile waits for a turn. So there are pauses.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.burst >= BURST_BYTES_MAX {
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(PAUSE)));
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
            self.burst = 0;
        }
        Poll::Ready(())
    }

    /// What a write has come to, or an error if none could for too long.
    fn in_time(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.burst += bytes;
        }
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        self.burst = 0;
        let timeout = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.patience.write)));
        timeout.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Whether the other end has closed. Costs a system call only if something has come.
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
        if read.is_pending() {
            return self.poll_overdue(cx);
        }
        if buffer.filled().len() > before {
            self.burst = 0;
            self.arrival.begun();
        }
        read
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_pause(cx));
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    /// While there is an answer nobody reads: this is where an endless one learns that its client has gone.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.arrival.is_never() && self.is_closed(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// A short answer's head and body are put together: sending one piece costs the kernel less than gathering two.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        const SHORT_BYTES_MAX: usize = 1024;
        let bytes = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if bytes > SHORT_BYTES_MAX {
            ready!(self.poll_pause(cx));
            let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
            return self.in_time(cx, written);
        }
        let mut whole = [0; SHORT_BYTES_MAX];
        let mut end = 0;
        for slice in slices {
            whole[end..end + slice.len()].copy_from_slice(slice);
            end += slice.len();
        }
        self.poll_write(cx, &whole[..end])
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
