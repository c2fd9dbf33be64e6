//! The deadline for a request to arrive completely. Its time runs from the moment at which the server waits
//! for the request, or from the request's first byte.
//!
//! A connection has one timer, not one for each request. The timer is not reset for each request either: when
//! it fires, it is set to the current deadline. That costs a fraction of a timer for every head and body.
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

    /// Notes that a read waits, and returns the moment from which the time of the request that it waits for
    /// counts.
    fn waits_since(&self) -> Instant {
        let mut next = self.0.lock();
        match *next {
            NextRequest::Awaited(since) | NextRequest::Begun(since) => since,
            NextRequest::Unobserved | NextRequest::Endless => {
                let now = Instant::now();
                *next = NextRequest::Awaited(now);
                now
            }
        }
    }
}

/// Fails a read that waits beyond the deadline of its request.
pub(super) struct ReadDeadline {
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl ReadDeadline {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, timer: None }
    }

    /// Returns an error once the deadline has passed. It must be polled whenever a read has to wait.
    pub(super) fn poll_passed(&mut self, cx: &mut Context<'_>, arrival: &Arrival) -> Poll<io::Result<()>> {
        let deadline = arrival.waits_since() + self.timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        while timer.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}
