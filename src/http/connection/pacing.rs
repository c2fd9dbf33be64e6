//! Paces the writes of answers: a write fails if its client reads nothing for too long, and a long answer is
//! interrupted by pauses.
//!
//! A client that reads a long answer as fast as the server can write it keeps a processor busy, and all
//! clients that send messages meanwhile share the other one. With a pause of a millisecond every 256 KiB, one
//! connection is sent some 100 MB a second, and the slowest sends take 1.6 times as long as on a quiet server
//! instead of 12 times.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// Bytes of an answer that are written without a pause.
const BURST_BYTES_MAX: usize = 256 * 1024;
/// Length of a pause: the shortest that a timer can make.
const PAUSE: Duration = Duration::from_millis(1);

/// The writes of one connection.
pub(super) struct Pacing {
    stall_timeout: Duration,
    /// Runs while the client reads nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Bytes written since the last pause, wait or read.
    burst_bytes: usize,
    /// Runs during a pause.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Pacing {
    /// Returns the pacing of a connection whose client must read something within this time.
    pub(super) fn new(stall_timeout: Duration) -> Self {
        Self { stall_timeout, stalled: None, burst_bytes: 0, pause: None }
    }

    /// Waits for the end of a pause, if one is due. It must be polled before each write.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.burst_bytes >= BURST_BYTES_MAX {
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(PAUSE)));
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
            self.burst_bytes = 0;
        }
        Poll::Ready(())
    }

    /// Returns the outcome of a write, or an error if the client has read nothing for too long.
    pub(super) fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.burst_bytes += bytes;
        }
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        self.burst_bytes = 0;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.stall_timeout)));
        timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Notes that the client has sent something: the answers to many short requests are not one long answer.
    pub(super) fn has_read(&mut self) {
        self.burst_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{Instant, timeout};

    use super::*;

    fn pacing() -> Pacing {
        Pacing::new(Duration::from_secs(30))
    }

    /// Writes this number of bytes. Returns whether a pause was due then. It has begun in that case, and on a busy
    /// machine it may be over.
    async fn is_paused_after(pacing: &mut Pacing, bytes: usize) -> bool {
        poll_fn(|cx| pacing.poll_written(cx, Poll::Ready(Ok(bytes)))).await.unwrap();
        let began = Instant::now();
        let is_paused = poll_fn(|cx| Poll::Ready(pacing.poll_ready(cx).is_pending())).await;
        is_paused || (pacing.burst_bytes == 0 && began.elapsed() >= PAUSE)
    }

    #[tokio::test]
    async fn each_burst_of_a_long_answer_ends_in_a_pause() {
        let mut pacing = pacing();
        for _ in 0..2 {
            assert!(!is_paused_after(&mut pacing, BURST_BYTES_MAX - 1).await);
            assert!(is_paused_after(&mut pacing, 1).await);
            poll_fn(|cx| pacing.poll_ready(cx)).await;
        }
    }

    #[tokio::test]
    async fn short_answers_are_not_interrupted() {
        let mut pacing = pacing();
        for _ in 0..4 {
            assert!(!is_paused_after(&mut pacing, BURST_BYTES_MAX - 1).await);
            pacing.has_read();
        }
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_disconnected() {
        let mut pacing = Pacing::new(Duration::from_millis(20));
        let stalled = poll_fn(|cx| pacing.poll_written(cx, Poll::Pending));
        let failed = timeout(Duration::from_secs(20), stalled).await.expect("in time");
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
