//! The state of a stream as a server sees it, for those who only look: health and metrics.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::WriterId;
use super::clocks::ClockState;

/// The state of a stream. The writer's thread sets it, and never waits for those who look.
#[derive(Debug)]
pub struct StreamStatus {
    began: Instant,
    /// Milliseconds from `began` to the time up to which this server has everything.
    complete_ms: AtomicU64,
    sequence: AtomicU64,
    writes: Mutex<Writes>,
    is_copying: AtomicBool,
    clock_ahead_ms: AtomicI64,
    /// The server that wrote last, if it is another one.
    writer: Mutex<Option<WriterId>>,
    superseded: AtomicU64,
    strays: AtomicU64,
    forwarded: AtomicU64,
}

/// What became of the last write that the stream was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    Taken,
    Refused,
    /// It was refused because the stream is full. Refusals for other reasons do not change that.
    Full,
}

impl Default for StreamStatus {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            complete_ms: AtomicU64::new(0),
            sequence: AtomicU64::new(0),
            writes: Mutex::new(Writes::Taken),
            is_copying: AtomicBool::new(true),
            clock_ahead_ms: AtomicI64::new(0),
            writer: Mutex::new(None),
            superseded: AtomicU64::new(0),
            strays: AtomicU64::new(0),
            forwarded: AtomicU64::new(0),
        }
    }
}

impl StreamStatus {
    /// Notes that this server has everything that was in the stream this long ago.
    pub fn note_complete(&self, ago: Duration) {
        let at = self.began.elapsed().saturating_sub(ago);
        self.complete_ms.fetch_max(u64::try_from(at.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns the time for which this server may lack what others have written.
    #[must_use]
    pub fn stale(&self) -> Duration {
        let complete = Duration::from_millis(self.complete_ms.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(complete)
    }

    /// Sets the sequence of the last message that was judged.
    pub fn set_sequence(&self, sequence: u64) {
        self.sequence.store(sequence, Ordering::Relaxed);
    }

    /// Returns the sequence of the last message that was judged.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Relaxed)
    }

    /// Notes that the stream takes writes.
    pub fn note_taken(&self) {
        *self.writes.lock() = Writes::Taken;
    }

    /// Notes that the stream did not take a write.
    pub fn note_refused(&self) {
        let mut writes = self.writes.lock();
        if *writes == Writes::Taken {
            *writes = Writes::Refused;
        }
    }

    /// Notes that the stream did not take a write because it is full, here or on another server.
    pub fn note_full(&self) {
        *self.writes.lock() = Writes::Full;
    }

    /// Returns whether a write was refused because the stream is full, and no message that counts was seen since.
    #[must_use]
    pub fn is_full(&self) -> bool {
        *self.writes.lock() == Writes::Full
    }

    /// Returns whether the stream takes writes: `false` from a write that it did not take until it takes one, or until
    /// its leader is heard again, unless it was full; and while this server's clock is too far ahead to write.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        *self.writes.lock() == Writes::Taken && !self.is_clock_far_ahead()
    }

    /// Returns whether this server's clock is too far ahead for writes.
    #[must_use]
    pub fn is_clock_far_ahead(&self) -> bool {
        ClockState::of(self.clock_ahead_ms()) == ClockState::FarAhead
    }

    /// Sets the time by which this server's clock is ahead of that of the node which leads.
    pub fn set_clock_ahead_ms(&self, ahead_ms: i64) {
        self.clock_ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }

    /// Returns the time by which this server's clock is ahead of that of the node which leads, in milliseconds; negative
    /// if it is behind.
    #[must_use]
    pub fn clock_ahead_ms(&self) -> i64 {
        self.clock_ahead_ms.load(Ordering::Relaxed)
    }

    /// Notes that no more frames are copied, because there is no room for them.
    pub fn end_copying(&self, error: &dyn Display) {
        tracing::error!(%error, "the stream is not copied until the next start");
        self.is_copying.store(false, Ordering::Relaxed);
    }

    /// Returns whether each frame that counts is copied to this server's disk.
    #[must_use]
    pub fn is_copying(&self) -> bool {
        self.is_copying.load(Ordering::Relaxed)
    }

    /// Sets the server that wrote last, if it is another one.
    pub fn set_writer(&self, writer: Option<WriterId>) {
        *self.writer.lock() = writer;
    }

    /// Returns the server that wrote last, if it is another one.
    #[must_use]
    pub fn writer(&self) -> Option<WriterId> {
        *self.writer.lock()
    }

    /// Counts a message that does not count, because another was first.
    pub fn count_superseded(&self) {
        self.superseded.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of messages that do not count, because others were first.
    #[must_use]
    pub fn superseded(&self) -> u64 {
        self.superseded.load(Ordering::Relaxed)
    }

    /// Counts a message that is not one of this log.
    pub fn count_stray(&self) {
        self.strays.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a write that another server carried out.
    pub fn count_forwarded(&self) {
        self.forwarded.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of writes that another server carried out.
    #[must_use]
    pub fn forwarded(&self) -> u64 {
        self.forwarded.load(Ordering::Relaxed)
    }

    /// Returns the number of messages that are not ones of this log.
    #[must_use]
    pub fn strays(&self) -> u64 {
        self.strays.load(Ordering::Relaxed)
    }
}
