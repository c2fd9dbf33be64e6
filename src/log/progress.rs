//! The progress of a replay.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::SealedFrame;

/// The progress of a replay, which other threads can watch.
#[derive(Debug, Default)]
pub struct Progress {
    events: AtomicU64,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
    is_reading_stream: AtomicBool,
}

impl Progress {
    /// Returns the number of events read so far.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Returns the bytes of frames read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns the bytes of the whole log.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total.load(Ordering::Relaxed)
    }

    /// Returns whether the copy is replayed, and the server reads the stream or waits for it.
    pub fn is_reading_stream(&self) -> bool {
        self.is_reading_stream.load(Ordering::Relaxed)
    }

    /// Begins to count what is read from the stream.
    pub(crate) fn begin_stream(&self) {
        self.is_reading_stream.store(true, Ordering::Relaxed);
    }

    /// Adds a frame of the stream, whose length [`bytes_total`](Self::bytes_total) does not include yet.
    pub(crate) fn add_from_stream(&self, frame: &SealedFrame<'_>) {
        let bytes = frame.sealed_bytes();
        self.bytes_total.fetch_add(bytes as u64, Ordering::Relaxed);
        self.add(frame.count, bytes);
    }

    pub(super) fn set_bytes_total(&self, bytes: u64) {
        self.bytes_total.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn add(&self, events: u32, bytes: usize) {
        self.events.fetch_add(u64::from(events), Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
