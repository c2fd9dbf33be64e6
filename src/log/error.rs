//! The errors of a log.

use std::fmt::Display;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::stream::StreamError;
use crate::domain::Position;
use crate::thread::SpawnError;

/// The reason why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The data directory cannot be created, read or written.
    #[error("failed to use {} as the data directory: {source}", dir.display())]
    Directory {
        /// The data directory.
        dir: PathBuf,
        /// The file system's reason.
        source: io::Error,
    },
    /// Another process holds the lock of the data directory.
    #[error("the data directory {} is in use by another process", dir.display())]
    InUse {
        /// The data directory.
        dir: PathBuf,
    },
    /// The data directory must be empty for this operation, but it holds a log.
    #[error("the data directory {} holds a log", dir.display())]
    HoldsLog {
        /// The data directory.
        dir: PathBuf,
    },
    /// The data directory has no log, and the operation needs one.
    #[error("the data directory {} holds no log", dir.display())]
    NoLog {
        /// The data directory.
        dir: PathBuf,
    },
    /// The data directory has a file whose name looks like the changed name of a segment that is not there.
    #[error("{} looks like a segment under a changed name; rename it, or move it away", file.display())]
    Misnamed {
        /// The file.
        file: PathBuf,
    },
    /// The segment that is written was removed, moved or replaced, or its directory was. A frame that is
    /// written to it would be lost.
    #[error("{} is no longer there: it was removed, moved or replaced while it was being written", file.display())]
    Vanished {
        /// The segment.
        file: PathBuf,
    },
    /// Acknowledged events are missing or unreadable.
    #[error("the log is damaged: {} at byte {offset}: {what}; {}", file.display(), missing(*from, *until))]
    Damaged {
        /// The file in which the damage was found.
        file: PathBuf,
        /// The offset of the damage in that file, in bytes.
        offset: u64,
        /// The kind of damage.
        what: String,
        /// The first missing event.
        from: Position,
        /// The first event after the missing ones, or `None` if no later event was found.
        until: Option<Position>,
    },
    /// A segment was written in a format that this release does not know.
    #[error("{} at byte {offset} is of an unknown {what}", file.display())]
    UnknownVersion {
        /// The segment.
        file: PathBuf,
        /// The offset of the unknown value in that file, in bytes.
        offset: u64,
        /// The unknown value: the version or the codec.
        what: String,
    },
    /// The file system failed.
    #[error("failed to {doing} {}: {source}", path.display())]
    Io {
        /// The operation, as a verb.
        doing: &'static str,
        /// The file or directory of the operation.
        path: PathBuf,
        /// The file system's reason.
        source: io::Error,
    },
    /// The writer of the log has ended.
    #[error("the log is no longer written")]
    NoWriter,
    /// The stream that servers share cannot be used.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The system does not start another thread.
    #[error(transparent)]
    Thread(#[from] SpawnError),
}

fn missing(from: Position, until: Option<Position>) -> String {
    match until {
        Some(until) if until <= from => format!("no event is missing before {until}"),
        Some(until) if until == from.next() => format!("event {from} is lost"),
        Some(until) => format!("events {from} to {} are lost", until.0 - 1),
        None => format!("event {from} and all after it are lost"),
    }
}

/// The reason why a frame was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk has no room for the frame, or a limit of the system forbids so long a file. The log is as it
    /// was, and the next frame may fit.
    #[error("no room: {0}")]
    NoRoom(#[source] LogError),
    /// It is unknown whether the frame is in the log. The log must not be used again.
    #[error(transparent)]
    Failed(LogError),
    /// Another server has appended a frame first. What was decided may be wrong now.
    #[error("another server was first")]
    Superseded,
    /// The log cannot be reached. It is as it was.
    #[error("the log cannot be reached")]
    Unavailable,
    /// The log cannot be reached. The frame may be in it, or come to be; then it is shown as those of
    /// [others](super::EventLog::others) are.
    #[error("the log cannot be reached, and may have the frame")]
    Unconfirmed,
}

/// Adds the failed operation and its file to an error.
pub(super) trait Context<T> {
    fn doing(self, doing: &'static str, path: impl FnOnce() -> PathBuf) -> Result<T, LogError>;
}

impl<T> Context<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: impl FnOnce() -> PathBuf) -> Result<T, LogError> {
        self.map_err(|source| LogError::Io { doing, path: path(), source })
    }
}

impl LogError {
    /// Returns whether the file system had no room, or a limit of the system forbids so long a file.
    pub(super) fn is_no_room(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        ))
    }

    /// Returns the damage of a frame whose checksum is right and whose events cannot be used.
    pub(super) fn unusable(file: PathBuf, offset: u64, cause: &dyn Display, lost: Range<Position>) -> Self {
        let what = format!("a frame with a right checksum does not decode ({cause})");
        Self::Damaged { file, offset, what, from: lost.start, until: Some(lost.end) }
    }
}
