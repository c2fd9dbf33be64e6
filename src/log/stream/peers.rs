//! The servers on a stream, which can ask each other. A server sends its writes to the one that wrote last.

use std::future::Future;
use std::pin::Pin;

use super::WriterId;

/// The other servers on a stream.
pub trait Peers: Send + Sync {
    /// Asks the server that writes under this id.
    fn ask(
        &self,
        writer: WriterId,
        question: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = PeerReply> + Send + '_>>;

    /// Sets what answers the questions of others. It is set once.
    fn answer_by(&self, answerer: Answerer);
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerReply {
    /// This is the answer.
    Answer(Vec<u8>),
    /// The server has not got it: it has ended, or cannot be asked.
    Undelivered,
    /// The server may have got it, and has not answered in time.
    Silent,
}

/// Answers a question of another server.
pub type Answerer = Box<dyn Fn(Vec<u8>) -> Pin<Box<dyn Future<Output = Vec<u8>> + Send>> + Send + Sync>;
