//! The errors of a stream.

use std::io;
use std::path::PathBuf;

/// The reason why a stream cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The stream does not hold the history that this server has seen: it has lost messages, or is another one.
    #[error(
        "stream {stream} does not hold the history that this server has seen: {what}; if it has lost something, \
         `chinwag stream restore` publishes that from the longest copy"
    )]
    Diverged {
        /// The stream's name.
        stream: String,
        /// The difference.
        what: String,
    },
    /// There is no such stream, and the server has seen nothing of it.
    #[error("stream {stream} does not exist; `chinwag stream create` creates it")]
    Missing {
        /// The stream's name.
        stream: String,
    },
    /// The stream does not hold a beginning of the log that is to be published to it.
    #[error("stream {stream} does not hold a beginning of the log in {}: {what}", dir.display())]
    NoBeginning {
        /// The stream's name.
        stream: String,
        /// The directory of the log.
        dir: PathBuf,
        /// The difference, and what has been done.
        what: String,
    },
    /// A message was published by a later release, and may count.
    #[error("message {sequence} of stream {stream} is of a later release; this server must be upgraded")]
    LaterRelease {
        /// The stream's name.
        stream: String,
        /// The sequence of the message.
        sequence: u64,
    },
    /// The stream was upgraded for a later release.
    #[error(
        "the messages of stream {stream} are of format {format}, and this release knows format {known}: upgrade all \
         servers and tools first"
    )]
    LaterFormat {
        /// The stream's name.
        stream: String,
        /// The format that the stream's metadata names.
        format: String,
        /// The latest format that this release knows.
        known: u64,
    },
    /// The stream is as long as its configuration allows.
    #[error("stream {stream} is full")]
    Full {
        /// The stream's name.
        stream: String,
    },
    /// The stream, or the nodes that keep it, are not as they must be.
    #[error("stream {stream} cannot be used: {what}")]
    Unfit {
        /// The stream's name.
        stream: String,
        /// What is wrong, and how it must be.
        what: String,
    },
    /// No node answers to a tool. A server waits instead.
    #[error("stream {stream} cannot be reached: {what}")]
    Unreachable {
        /// The stream's name.
        stream: String,
        /// What was tried, and how it failed.
        what: String,
    },
    /// A file that is needed to connect cannot be used.
    #[error("failed to read {}, the file of {flag}: {source}", path.display())]
    File {
        /// Flag that names the file.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Error of the system, or the problem with the content.
        source: io::Error,
    },
    /// This binary has no client of NATS.
    #[error("this binary was built without NATS; one that was built with `--features nats` knows --nats")]
    NotBuilt,
    /// The directory is a copy of a stream, and is to be used as a log of its own.
    #[error(
        "the data directory {} is a copy of stream {stream}, and using it alone would begin another history: serve it \
         with --nats, give the stream back what it has lost with `chinwag stream restore`, or make it a log of its own \
         with `chinwag stream detach`",
        dir.display()
    )]
    IsCopy {
        /// The data directory.
        dir: PathBuf,
        /// The stream's name.
        stream: String,
    },
    /// The directory is a copy of another stream.
    #[error("the data directory {} is a copy of stream {of}, not of stream {stream}", dir.display())]
    IsCopyOf {
        /// The data directory.
        dir: PathBuf,
        /// The name of the stream that it is a copy of.
        of: String,
        /// The name of the stream that was given.
        stream: String,
    },
    /// The directory is a copy of the stream that is to take the place of another one.
    #[error(
        "the data directory {} is a copy of stream {stream}: --nats-stream names the new stream, which needs another name",
        dir.display()
    )]
    IsCopyOfNew {
        /// The data directory.
        dir: PathBuf,
        /// The stream's name.
        stream: String,
    },
    /// The mark of a copy does not say what the copy is.
    #[error("{} is not as this server writes it: the copy cannot be used; an empty directory gets another one", file.display())]
    BrokenMark {
        /// The file.
        file: PathBuf,
    },
    /// The directory holds a log that is not a copy of a stream.
    #[error("the data directory {} holds a log that is not a copy of a stream", dir.display())]
    IsNoCopy {
        /// The data directory.
        dir: PathBuf,
    },
}
