//! The log: events as bytes, in frames, on disk. It does not know the model.
//!
//! **Invariant:** a frame is a commit: one batch, one write, one sync, one checksum, never two in flight. A copy of a
//! stream is the exception: its frames are commits of the stream, and several get one write (`stream/copier.rs`).
//!
//! The header of each segment names the version of the format and the codec of the events:
//!
//! | version | codec | written by | read by |
//! | --- | --- | --- | --- |
//! | 1 | `bincode-2-legacy` | 0.1 | 0.1 and later |
//! | 2 | `bincode-2-legacy` | 0.2 and later | 0.2 and later |
//!
//! A log of version 1 goes on in version 2: the first frame that is appended begins a new segment.
//!
//! A version that was once readable stays readable; `tests/it/old_logs` holds a log of each. Within a
//! version, events are only added, at the end: an older release refuses a log that holds an event it does not
//! know.

mod actors;
mod chain;
mod codec;
mod disk;
mod error;
mod file_log;
mod frame;
mod memory;
mod metrics;
mod paced;
mod progress;
mod read_ahead;
mod reader;
mod recovery;
mod repair;
mod scrub;
mod segment;
mod spare;
mod staged;
pub mod stream;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Epoch;

pub use codec::{DecodeError, FRAME_BYTES_MAX, Records};
pub use disk::{Disk, DiskFile, ReadDisk, ReadOnlyDisk, RealDisk};
pub use error::{AppendError, LogError};
pub use file_log::FileLog;
pub use frame::{Frame, SealedFrame};
pub use memory::MemoryLog;
pub use metrics::LogMetrics;
pub use paced::{Pace, PacedDisk};
pub use progress::Progress;
pub use reader::{Contents, LogReader, TornWrite, Walk};
pub use repair::{Cut, MendedHeader, cut, mend_headers};
pub use scrub::{DueInLog, EndSegment, Place, Scrub, Scrubbed, find_due, place_up_to, scrub};
pub use segment::{LogId, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use staged::StagedLog;

/// An append-only sequence of frames.
pub trait EventLog: Send {
    /// Begins to read the log. Only after the replay has returned its last frame can frames be
    /// [appended](Self::append).
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    fn replay<'l>(&'l mut self, progress: &'l Progress) -> Result<Box<dyn Replay + 'l>, LogError>;

    /// Replays the log without decoding its events, to append to it.
    ///
    /// # Errors
    ///
    /// The log cannot be read, is damaged or of an unknown version.
    fn make_ready(&mut self) -> Result<(), LogError> {
        let progress = Progress::default();
        let mut replay = self.replay(&progress)?;
        while replay.next_frame()?.is_some() {}
        Ok(())
    }

    /// Appends a frame, whose first position must be the one after the last event. On `Ok` the frame is
    /// durable.
    ///
    /// # Errors
    ///
    /// After [`AppendError::NoRoom`] the log is as it was. After [`AppendError::Failed`] it is unknown
    /// whether the frame is in the log, and the log must not be used again.
    fn append(&mut self, frame: &mut Frame) -> Result<(), AppendError>;

    /// Returns the time for which commands may be gathered for a frame: where an append takes long, a fuller frame is
    /// worth a wait.
    fn gather_time(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns the length of the longest frame that can be [appended](Self::append), in bytes, padding included.
    fn frame_bytes_max(&self) -> usize {
        FRAME_BYTES_MAX
    }

    /// Sets what is called when others may have appended a frame.
    fn wake_by(&mut self, _wake: Box<dyn Fn() + Send + Sync>) {}

    /// Shows frames that others have appended since. It waits for none.
    ///
    /// # Errors
    ///
    /// The log cannot be read, or is not what it was. It must not be used again.
    fn others(&mut self, _visit: &mut Visit<'_>) -> Result<(), LogError> {
        Ok(())
    }

    /// Returns whether others are known to have appended frames that were not shown yet.
    fn is_behind(&self) -> bool {
        false
    }

    /// Shows all frames that others had appended when this was called. After the replay, it must be called before a
    /// frame is [appended](Self::append).
    ///
    /// # Errors
    ///
    /// The log cannot be read, or is not what it was. It must not be used again.
    fn catch_up(&mut self, _visit: &mut Visit<'_>) -> Result<Caught, LogError> {
        Ok(Caught::Nothing)
    }

    /// Ends the segment that frames are appended to: the next frame begins another one.
    ///
    /// # Errors
    ///
    /// The log has failed. It must not be used again.
    fn end_segment(&mut self) -> Result<(), LogError> {
        Ok(())
    }

    /// Returns the log on its disk, to be scrubbed at this pace, if it is on a disk.
    fn to_scrub(&self, _pace: Arc<Pace>) -> Option<Box<dyn Scrub>> {
        None
    }

    /// Looks whether there is room for a frame of this length: returns an error if there is none, and `None`
    /// while that is not known. It does not wait for the spare segment. For a frame that is longer than a segment,
    /// it prepares one and removes it again. All failures but a lack of room are left to
    /// [`append`](Self::append).
    fn look_for_room(&mut self, _frame_bytes: usize) -> Option<Result<(), LogError>> {
        Some(Ok(()))
    }

    /// Returns the epoch that is stored in each frame that is [appended](Self::append).
    fn epoch(&self) -> Epoch;

    /// Returns the id of the log, which is known after the replay.
    fn id(&self) -> LogId;

    /// Returns the state of the stream that the log is on, if servers share it.
    fn stream_status(&self) -> Option<Arc<stream::StreamStatus>> {
        None
    }

    /// Returns the other servers on the stream, if they can ask each other.
    fn peers(&self) -> Option<Arc<dyn stream::Peers>> {
        None
    }

    /// Returns the metrics of the log. They stay 0 for a log that keeps nothing on disk.
    fn metrics(&self) -> LogMetrics {
        LogMetrics::default()
    }
}

/// Receives a frame. Returns the cause if the frame cannot be used.
pub type Visit<'v> = dyn FnMut(SealedFrame<'_>) -> Result<(), String> + 'v;

/// What was found when a log was [caught up](EventLog::catch_up) with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caught {
    /// No frame that was not known.
    Nothing,
    /// Frames of others, which were shown.
    Events,
    /// The log cannot be reached.
    Unreachable,
}

/// A pass over the frames of a log, from the first to the last.
pub trait Replay {
    /// Returns the next frame, or `None` after the last one.
    ///
    /// # Errors
    ///
    /// The log cannot be read, is damaged or of an unknown version. The replay must not be continued.
    fn next_frame(&mut self) -> Result<Option<SealedFrame<'_>>, LogError>;

    /// Returns the error for a last returned frame that cannot be used although its checksum is right.
    fn damaged(&self, cause: &dyn Display) -> LogError;
}
