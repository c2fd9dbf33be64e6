//! What can go wrong with a log.

use std::io;
use std::path::PathBuf;

use super::DecodeError;
use crate::domain::Position;

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The data directory cannot be made, read or written.
    #[error("failed to use {} as the data directory: {source}", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process holds the lock.
    #[error("the data directory {} is in use by another process", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// What is for an empty directory was to be done in one that holds a log.
    #[error("the data directory {} holds a log", dir.display())]
    HoldsLog {
        /// The directory.
        dir: PathBuf,
    },
    /// Acknowledged events are missing or unreadable.
    #[error("the log is damaged: {} at byte {offset}: {what}; {}", file.display(), missing(*from, *until))]
    Damaged {
        /// Where it was noticed.
        file: PathBuf,
        /// Bytes from the start of that file.
        offset: u64,
        /// What is wrong there.
        what: String,
        /// The first event that is missing.
        from: Position,
        /// The first event that is there again; none if none is.
        until: Option<Position>,
    },
    /// A segment was written by a version that this one does not know.
    #[error("{} at byte {offset} is of an unknown {what}", file.display())]
    UnknownVersion {
        /// The segment.
        file: PathBuf,
        /// Bytes from the start of that file.
        offset: u64,
        /// What is unknown.
        what: String,
    },
    /// The file system failed.
    #[error("failed to {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The system gives no more threads.
    #[error("failed to start the thread {name}: {source}")]
    Thread {
        /// What it is called.
        name: &'static str,
        /// Why.
        source: io::Error,
    },
}

fn missing(from: Position, until: Option<Position>) -> String {
    match until {
        Some(until) if until <= from => format!("no event is missing before {until}"),
        Some(until) if until == from.next() => format!("event {from} is lost"),
        Some(until) => format!("events {from} to {} are lost", until.0 - 1),
        None => format!("event {from} and all after it are lost"),
    }
}

/// Why a frame was not added.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// There is no room for it; nothing has happened, and the next one may fit.
    #[error("no room on the disk: {0}")]
    NoRoom(#[source] LogError),
    /// Nobody knows whether it is there. The log must not be used again.
    #[error(transparent)]
    Failed(LogError),
}

/// Says what was being done, and to which file.
pub(super) trait Context<T> {
    fn doing(self, doing: &'static str, path: impl FnOnce() -> PathBuf) -> Result<T, LogError>;
}

impl<T> Context<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: impl FnOnce() -> PathBuf) -> Result<T, LogError> {
        self.map_err(|source| LogError::Io { doing, path: path(), source })
    }
}

impl LogError {
    /// Whether it says that there is no room.
    pub(super) fn is_no_room(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        ))
    }

    pub(super) fn undecodable(
        file: PathBuf,
        offset: u64,
        cause: &DecodeError,
        lost: (Position, Position),
    ) -> Self {
        let what = format!("a frame with a right checksum does not decode ({cause})");
        Self::Damaged { file, offset, what, from: lost.0, until: Some(lost.1) }
    }
}
