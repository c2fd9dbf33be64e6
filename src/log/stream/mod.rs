//! A log on a stream that several servers share, and that a quorum of nodes keeps.
//!
//! | module | contents |
//! | --- | --- |
//! | `stream_log` | a server's log on a stream |
//! | `copier`, `copied` | writes this server's copy; what a copy holds |
//! | `error` | errors |
//! | `message` | the bytes of a message |
//! | `reader` | reads messages in their order, and as they were published |
//! | `judge` | the rule of what counts |
//! | `watch` | whether the stream is still the one that it was |
//! | `clocks` | how far a server's clock may be from that of the nodes |
//! | `source` | a log in a directory, from which a stream gets what it lacks |
//! | `marker` | the file that marks a directory as a copy |
//! | `nats` | a stream of NATS JetStream; `no_nats` in a binary without it |
//! | `settings`, `wanted`, `monitors` | how such a stream is reached, and how it and its nodes must be |
//! | `peers` | the other servers on the stream |
//! | `status` | what those who only look can see |
//! | `simulated` | a stream that behaves as badly as a real one, for tests |
//!
//! The stream is a total order of messages, and nothing more is asked of it. Its compare-and-set only keeps messages
//! that would not count out of it. Every server keeps the frames that count in segments of its own, as a witness: a
//! stream that has lost one of them is noticed.

mod clocks;
pub(super) mod copied;
mod copier;
mod error;
mod judge;
pub(super) mod marker;
mod message;
#[cfg(any(feature = "nats", test))]
mod monitors;
#[cfg_attr(not(feature = "nats"), path = "no_nats.rs")]
mod nats;
mod peers;
mod reader;
mod settings;
#[cfg(test)]
pub(crate) mod simulated;
mod source;
mod status;
mod stream_log;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "nats", test))]
mod wanted;
mod watch;

use std::sync::Arc;
use std::time::Duration;

pub use self::error::StreamError;
pub use self::marker::{check_is_copy, check_is_copy_of_another, check_is_own, detach, mark};
use self::message::Genesis;
pub use self::message::WriterId;
pub use self::nats::NatsStream;
pub use self::peers::{Answerer, PeerReply, Peers};
pub use self::settings::{NatsLogin, NatsSettings, NatsTls};
pub use self::source::Source;
pub use self::status::StreamStatus;
pub use self::stream_log::StreamLog;
use super::LogError;

/// A sequence of messages that a quorum of nodes keeps. The first message has the sequence 1.
pub trait Stream: Send {
    /// Checks that the stream is as it must be. Returns `false` if it cannot be reached; until it was, no other method
    /// reaches it.
    ///
    /// # Errors
    ///
    /// The stream does not exist, or is not as it must be.
    fn check(&mut self) -> Result<bool, LogError>;

    /// Returns the length of the longest message that the nodes accept.
    fn message_bytes_max(&self) -> usize;

    /// Publishes a message that is to follow the message `expected`, and waits for the outcome for this time at most.
    fn publish(&mut self, expected: u64, message: &[u8], patience: Duration) -> Published;

    /// Returns messages from this sequence on, with their sequences, of about this length together. A node may lack the
    /// latest messages, or leave out others.
    ///
    /// # Errors
    ///
    /// No node answers.
    fn read(&mut self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Vec<u8>)>, Unreachable>;

    /// Asks the node that leads for the sequence of the last message, which may not be committed yet. Returns `None` if
    /// no node leads.
    fn probe(&mut self) -> Option<u64>;

    /// Returns what was last heard of the stream, without asking.
    fn heard(&self) -> Heard;

    /// Sets what is called when something is heard.
    fn wake_by(&mut self, wake: Box<dyn Fn() + Send + Sync>);

    /// Returns the time since some moment.
    fn time(&self) -> Duration;

    /// Waits until something is heard, for this time at most.
    fn wait(&mut self, time: Duration);

    /// Returns the other servers, if servers can ask each other. `writer` is this server's id; `answer_timeout` bounds the
    /// wait for an answer.
    fn peers(&self, _writer: WriterId, _answer_timeout: Duration) -> Option<Arc<dyn Peers>> {
        None
    }
}

/// The outcome of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// A quorum has the message on disk, at this sequence.
    At(u64),
    /// Another message is at that place, or may come to be.
    Conflict,
    /// It was not stored, because no node leads.
    Nowhere,
    /// It was not stored, because the stream is as long as it may be.
    Full,
    /// It may have been stored, or may still come to be.
    Unknown,
}

/// No node answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreachable;

/// What is heard of a stream, as the nodes tell it from time to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The greatest sequence that was heard of.
    pub last: u64,
    /// What the node that leads told last.
    pub told: Option<Told>,
}

/// What the node that leads tells of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The sequence of the last message.
    pub last: u64,
    /// The time of the stream's creation, as the nodes write it.
    pub created: u64,
    /// The [time](Stream::time) at which it was asked.
    pub at: Duration,
    /// The time by which this server's clock is ahead of that node's, in milliseconds; negative if it is behind, and 0
    /// while the difference is not more than the time that the answer took.
    pub clock_ahead_ms: i64,
}

/// A stream that is to be created.
#[derive(Debug, Clone, Copy)]
pub struct CreateStream {
    /// The number of nodes that keep it.
    pub replicas: u32,
    /// The length to which it may grow, in bytes.
    pub bytes_max: Option<u64>,
    /// Whether a stream that exists is left as it is.
    pub if_missing: bool,
}

/// A stream that was created, or was there.
#[derive(Debug)]
pub struct Created {
    /// Whether it was created.
    pub is_new: bool,
    /// What an operator should know of it.
    pub warnings: Vec<String>,
}

/// Returns the first message of a new stream, which gives the log its id.
#[must_use]
pub fn new_genesis() -> Vec<u8> {
    Genesis::random().message(WriterId::random())
}
