//! The log: events as bytes, in frames, on disk. It knows nothing of what they add up to.
//!
//! **Invariant:** a frame is a commit: one batch, one write, one sync, one checksum, never two in flight.
//!
//! The header of each segment names the version of the format and the codec of the events:
//!
//! | version | codec | written by | read by |
//! | --- | --- | --- | --- |
//! | 1 | `bincode-2-legacy` | 0.1 and later | 0.1 and later |
//!
//! A version is never taken off the list of those that are read; `tests/it/old_logs` holds a log of each. Within a
//! version, events are only added, at the end: an older release refuses a log that holds one it does not know.

#[cfg(test)]
mod byte_tests;
mod chain;
mod codec;
mod disk;
mod error;
mod files;
#[cfg(test)]
mod files_tests;
mod frame;
#[cfg(test)]
mod histories;
mod memory;
mod metrics;
mod read_ahead;
mod reader;
#[cfg(test)]
mod reader_tests;
mod recovery;
mod repair;
mod segment;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod sim_tests;
mod spare;
mod staged;
mod thread;

use std::sync::atomic::{AtomicU64, Ordering};

pub use codec::DecodeError;
pub use disk::{DirToRead, Disk, DiskFile, Files, RealDisk};
pub use error::{AppendError, LogError};
pub use files::{FileLog, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use frame::{FRAME_BYTES_MAX, Frame, SealedFrame};
pub use memory::MemoryLog;
pub use metrics::LogMetrics;
pub use reader::{Contents, LogReader, Torn};
pub use repair::{Cut, cut};
pub use staged::StagedLog;
pub use thread::spawn;

/// Keeps frames in order, for ever.
pub trait EventLog: Send {
    /// Shows every frame to the visitor, first to last, and makes ready for [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// The log cannot be read, is damaged or of an unknown version, or the visitor could not decode a frame.
    fn replay(&mut self, progress: &Progress, visit: &mut Visitor<'_>) -> Result<(), LogError>;

    /// Adds a frame, whose first position follows the last one's end. It is durable on `Ok`.
    ///
    /// # Errors
    ///
    /// [`AppendError::NoRoom`]: nothing has happened. [`AppendError::Failed`]: nobody knows what has; the log
    /// must not be used again.
    fn append(&mut self, frame: &mut Frame) -> Result<(), AppendError>;

    /// What is measured of it. Of a log that keeps nothing on disk, that stays at 0.
    fn metrics(&self) -> LogMetrics {
        LogMetrics::default()
    }
}

/// Takes the frames of a replay.
pub type Visitor<'v> = dyn FnMut(&SealedFrame<'_>) -> Result<(), DecodeError> + 'v;

/// How far a replay has come, for others to watch.
#[derive(Debug, Default)]
pub struct Progress {
    events: AtomicU64,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
}

impl Progress {
    /// Events replayed so far.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Bytes of log read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of log in all.
    pub fn bytes_total(&self) -> u64 {
        self.bytes_total.load(Ordering::Relaxed)
    }

    fn set_bytes_total(&self, bytes: u64) {
        self.bytes_total.store(bytes, Ordering::Relaxed);
    }

    fn add(&self, events: u64, bytes: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
