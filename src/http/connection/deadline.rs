//! The deadlines of a connection: for the next request to begin, and for a request that has begun to arrive
//! completely. The time of the first runs from the moment at which the server waits for the request, that of the
//! second from the request's first byte.
//!
//! A connection has one timer, not one for each request. The timer is not reset for each request either, unless
//! its deadline comes nearer: when it fires, it is set to the current deadline. That costs a fraction of a timer
//! for every head and body.
//!
//! ```text
//!                      a read waits                  a byte arrives
//!   Unobserved ──────────────────────▶ Awaited(since) ────────────────▶ Begun(since) ◀─┐
//!     ▲   │                                                               │   ▲        │ a byte arrives
//!     │   └───────────────── a byte arrives, or a head is parsed ─────────┼───┘        │
//!     │                                                                   │ └──────────┘
//!     ├──────────────────── answered ─────────────────────────────────────┤
//!     │                                                                   │
//!   Endless ◀────────────── answered, with an answer that has no end ─────┘
//! ```

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::Response;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::http::answer::Endless;

/// The progress of a connection's next request. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Arrival(Arc<Mutex<NextRequest>>);

#[derive(Clone, Copy, Default)]
enum NextRequest {
    /// The last request is answered, or being answered, and no read has waited for the next one since.
    #[default]
    Unobserved,
    /// The answer to the last request is [endless](Endless).
    Endless,
    /// A read has waited since then, and no byte has arrived.
    Awaited(Instant),
    /// The first byte arrived then. The request's time runs from that moment, not from the end of its head.
    Begun(Instant),
}

impl Arrival {
    /// Notes that a request was answered: the next byte belongs to another one.
    pub(super) fn answered(&self, answer: &Response) {
        let is_endless = answer.extensions().get::<Endless>().is_some();
        *self.0.lock() = if is_endless { NextRequest::Endless } else { NextRequest::Unobserved };
    }

    /// Notes that a part of a request has arrived. A request that was pipelined behind another one begins
    /// when its head is parsed.
    pub(super) fn begun(&self) {
        let mut next = self.0.lock();
        if !matches!(*next, NextRequest::Begun(_)) {
            *next = NextRequest::Begun(Instant::now());
        }
    }

    /// Returns whether the answer that is being sent is endless.
    pub(super) fn is_endless(&self) -> bool {
        matches!(*self.0.lock(), NextRequest::Endless)
    }

    /// Returns whether a part of a request has arrived, and no answer to it.
    pub(super) fn is_begun(&self) -> bool {
        matches!(*self.0.lock(), NextRequest::Begun(_))
    }

    /// Notes that a read waits, and returns its deadline.
    fn deadline(&self, timeouts: ReadTimeouts) -> Instant {
        let mut next = self.0.lock();
        match *next {
            NextRequest::Begun(since) => since + timeouts.request,
            NextRequest::Awaited(since) => since + timeouts.idle,
            NextRequest::Unobserved | NextRequest::Endless => {
                let now = Instant::now();
                *next = NextRequest::Awaited(now);
                now + timeouts.idle
            }
        }
    }
}

/// Maximum times for which a connection's reads wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadTimeouts {
    /// From the moment at which the server waits for a request to its first byte.
    pub(super) idle: Duration,
    /// From a request's first byte to its last.
    pub(super) request: Duration,
}

/// Fails a read that waits beyond its deadline.
pub(super) struct ReadDeadline {
    timeouts: ReadTimeouts,
    timer: Option<Pin<Box<Sleep>>>,
}

impl ReadDeadline {
    pub(super) fn new(timeouts: ReadTimeouts) -> Self {
        Self { timeouts, timer: None }
    }

    /// Returns an error once the deadline has passed. It must be polled whenever a read has to wait.
    pub(super) fn poll_passed(&mut self, cx: &mut Context<'_>, arrival: &Arrival) -> Poll<io::Result<()>> {
        let deadline = arrival.deadline(self.timeouts);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Waits for a read, at most this time. Returns whether it has failed.
    async fn fails_within(time: Duration, deadline: &mut ReadDeadline, arrival: &Arrival) -> bool {
        let failed = poll_fn(|cx| deadline.poll_passed(cx, arrival));
        match tokio::time::timeout(time, failed).await {
            Ok(failed) => {
                assert_eq!(failed.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
                true
            }
            Err(_) => false,
        }
    }

    #[tokio::test]
    async fn idle_connections_and_requests_have_their_own_times() {
        let timeouts = ReadTimeouts { idle: Duration::from_mins(10), request: Duration::from_millis(200) };
        let (arrival, mut deadline) = (Arrival::default(), ReadDeadline::new(timeouts));
        // Given a connection that waits longer than a request may take.
        assert!(!fails_within(timeouts.request * 2, &mut deadline, &arrival).await);
        // When a request begins and stops, then it fails in its own time.
        let began = Instant::now();
        arrival.begun();
        assert!(fails_within(timeouts.idle / 2, &mut deadline, &arrival).await);
        assert!(began.elapsed() >= timeouts.request);
        // And after an answer, the connection may wait again.
        arrival.answered(&Response::default());
        assert!(!fails_within(timeouts.request * 2, &mut deadline, &arrival).await);
    }
}
