//! The errors of a stream.

/// The reason why a stream cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The stream does not hold the history that this server has seen: it has lost messages, or is another one.
    #[error("stream {stream} holds another history than this server has seen: {what}")]
    Diverged {
        /// The stream's name.
        stream: String,
        /// The difference.
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
    /// The stream is as long as its configuration allows.
    #[error("stream {stream} is full")]
    Full {
        /// The stream's name.
        stream: String,
    },
}
