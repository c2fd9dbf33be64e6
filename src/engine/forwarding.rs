//! Writes that another server carries out. On a shared log, the server that wrote last writes on: if several write,
//! they overtake each other. The others send it their commands. A server that cannot be asked is not waited for:
//! any server may write, so the command is carried out here, and the next ones are sent here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{Accepted, Answer, Engine, SubmitError};
use crate::domain::{Actor, Command, IdempotencyKey};
use crate::log::EventLog;
use crate::log::stream::{Asked, Peers, StreamStatus, WriterId};

/// Time for which a server is not asked that has not answered.
const SILENT_TIME: Duration = Duration::from_secs(30);
/// Time for which this server waits for the events of a command that was carried out elsewhere, so that its client
/// reads here what it has written.
const APPLY_TIME: Duration = Duration::from_secs(5);

/// Sends commands to the server that writes.
pub(super) struct Forwarding {
    peers: Arc<dyn Peers>,
    status: Arc<StreamStatus>,
    /// The server that was asked last without an answer, and the time of that.
    silent: Mutex<Option<(WriterId, Instant)>>,
}

/// What a server asks of the one that writes, as JSON. The answer is an [`Answer`], or empty if the question is not
/// understood: the servers may be of different releases.
#[derive(Serialize, Deserialize)]
struct Question<C, K> {
    command: C,
    key: Option<K>,
    by: Actor<'static>,
}

impl Forwarding {
    /// Returns what sends commands to others, if the log is shared with any.
    pub(super) fn of(log: &dyn EventLog) -> Option<Self> {
        Some(Self { peers: log.peers()?, status: log.stream_status()?, silent: Mutex::default() })
    }

    /// Returns the server that writes, if it is another one and answers.
    fn writer(&self) -> Option<WriterId> {
        let writer = self.status.writer()?;
        let is_silent = |&(silent, since): &(WriterId, Instant)| silent == writer && since.elapsed() < SILENT_TIME;
        let silent = *self.silent.lock();
        silent.as_ref().is_none_or(|silent| !is_silent(silent)).then_some(writer)
    }

    /// Asks the server that writes. Returns `None` if the command has not happened there, and may be carried out here.
    async fn ask(&self, writer: WriterId, question: Vec<u8>) -> Option<Answer> {
        match self.peers.ask(writer, question).await {
            Asked::Answer(answer) => match serde_json::from_slice(&answer) {
                // It is about to end.
                Ok(Err(SubmitError::ShuttingDown)) => None,
                Ok(Err(SubmitError::Failed)) => Some(Err(SubmitError::Unconfirmed)),
                Ok(answer) => Some(answer),
                Err(_) if answer.is_empty() => None,
                // It is the answer of another release.
                Err(_) => Some(Err(SubmitError::Unconfirmed)),
            },
            Asked::Nobody => None,
            Asked::Silent => {
                tracing::warn!(%writer, "the server that writes does not answer; this one writes");
                *self.silent.lock() = Some((writer, Instant::now()));
                Some(Err(SubmitError::Unconfirmed))
            }
        }
    }
}

impl Engine {
    /// Lets other servers on the log send this one their commands.
    pub fn answer_others(self: &Arc<Self>) {
        let Some(Forwarding { peers, .. }) = &self.forwarding else { return };
        let engine = Arc::downgrade(self);
        peers.answer_by(Box::new(move |question| {
            let engine = engine.upgrade();
            Box::pin(async move {
                match engine {
                    Some(engine) => engine.answer(&question).await,
                    None => Vec::new(),
                }
            })
        }));
    }

    /// Returns the server to which a command is sent, unless it is this one.
    pub(super) fn writer_elsewhere(&self) -> Option<(&Forwarding, WriterId)> {
        let forwarding = self.forwarding.as_ref()?;
        Some((forwarding, forwarding.writer()?))
    }

    /// Sends a command to the server that writes, and waits until what happened is here. If the command did not reach
    /// that server, it is carried out here.
    pub(super) async fn submit_there(
        &self,
        (forwarding, writer): (&Forwarding, WriterId),
        command: Command,
        key: Option<IdempotencyKey<'static>>,
        by: Actor<'static>,
    ) -> Answer {
        let waiting = self.queued.share(command.payload_bytes())?;
        let question = Question { command: &command, key: key.as_ref().map(IdempotencyKey::text), by: by.clone() };
        let question = serde_json::to_vec(&question).expect("it is written to memory");
        let answer = forwarding.ask(writer, question).await;
        drop(waiting);
        match answer {
            None => Self::answered(self.enqueue(command, key, by)).await,
            Some(answer) => {
                if let Ok(Accepted { receipt, .. }) = &answer {
                    forwarding.status.count_forwarded();
                    self.reached(receipt.position, APPLY_TIME).await;
                }
                answer
            }
        }
    }

    /// Carries out the command of another server, and returns the answer to it.
    async fn answer(&self, question: &[u8]) -> Vec<u8> {
        let Ok(Question { command, key, by }) = serde_json::from_slice::<Question<Command, String>>(question)
        else {
            return Vec::new();
        };
        let Ok(key) = key.map(|key| IdempotencyKey::new(key, &command, &by)).transpose() else {
            return Vec::new();
        };
        let answer = Self::answered(self.enqueue(command, key, by)).await;
        serde_json::to_vec(&answer).expect("it is written to memory")
    }
}
