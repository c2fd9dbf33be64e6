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
        let is_silent =
            |&(silent, since): &(WriterId, Instant)| silent == writer && since.elapsed() < SILENT_TIME;
        let silent = *self.silent.lock();
        silent.as_ref().is_none_or(|silent| !is_silent(silent)).then_some(writer)
    }

    /// Asks the server that writes. Returns `None` if the command has not happened there, and may be carried out here.
    async fn ask(&self, writer: WriterId, question: Vec<u8>) -> Option<Answer> {
        match self.peers.ask(writer, question).await {
            Asked::Answer(answer) => match serde_json::from_slice(&answer) {
                // It is about to end, or cannot reach the stream.
                Ok(Err(SubmitError::ShuttingDown | SubmitError::Unavailable)) => None,
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
        let question =
            Question { command: &command, key: key.as_ref().map(IdempotencyKey::text), by: by.clone() };
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{ChatName, NewMessage, Position, Refusal, Seq, Text, Timestamp, UserField, Username};
    use crate::model::{Outcome, Receipt, SentMessage};

    fn id<T: From<Uuid>>(number: u128) -> T {
        Uuid::from_u128(number).into()
    }

    fn message(text: &str) -> NewMessage {
        NewMessage { chat: id(1), author: id(2), text: Text::try_from(text.to_owned()).expect("a text") }
    }

    #[test]
    fn a_question_is_understood_as_it_is_asked() {
        let name = |name: &str| name.to_owned();
        let commands = [
            Command::AddUser { username: Username::try_from(name("ann \"é\"")).expect("a name") },
            Command::AddChat {
                name: ChatName::try_from(name("tea")).expect("a name"),
                users: vec![id(2), id(3)],
            },
            Command::AddMessage(message("\u{1}\n\u{1F600}\\")),
            Command::AddMessages(vec![message("a"), message("b")]),
            Command::AddMember { chat: id(1), user: id(2) },
            Command::RemoveMember { chat: id(1), user: id(2) },
            Command::MarkRead { chat: id(1), user: id(2), seq: Seq(u64::MAX) },
            Command::RevokeTokens { user: id(2), from: 7 },
        ];
        let actors = [Actor::Unknown, Actor::key(name("back-end")).expect("a key"), Actor::User(id(2))];
        for command in commands {
            for (by, key) in actors.iter().zip([None, Some("k"), Some("\"")]) {
                let asked = Question { command: &command, key, by: by.clone() };
                let asked = serde_json::to_vec(&asked).expect("JSON");
                let heard: Question<Command, String> = serde_json::from_slice(&asked).expect("understood");
                assert_eq!((&heard.command, heard.key.as_deref(), &heard.by), (&command, key, by));
            }
        }
    }

    #[test]
    fn what_breaks_a_rule_of_form_is_not_understood() {
        for text in ["", &"x".repeat(Text::BYTES_MAX + 1)] {
            let asked = serde_json::json!({
                "command": { "add_message": { "chat": id::<Uuid>(1), "author": id::<Uuid>(2), "text": text } },
                "key": null,
                "by": "unknown",
            });
            let heard = serde_json::from_value::<Question<Command, String>>(asked);
            assert!(heard.is_err_and(|error| error.to_string().contains("must")), "{} bytes", text.len());
        }
    }

    #[test]
    fn an_answer_is_understood_as_it_is_given() {
        let created_at = Timestamp::from_micros(1_700_000_000_000_001).expect("a time");
        let sent = |seq| SentMessage { id: id(9), seq: Seq(seq), created_at };
        let outcomes = [
            Outcome::User(id(1)),
            Outcome::Chat(id(1)),
            Outcome::Message(sent(1)),
            Outcome::Messages(vec![sent(1), sent(2)]),
            Outcome::TokensFrom(3),
            Outcome::Done,
        ];
        for (outcome, replayed) in outcomes.into_iter().zip([true, false].into_iter().cycle()) {
            let accepted = Accepted { receipt: Receipt { position: Position(u64::MAX), outcome }, replayed };
            let given = serde_json::to_vec(&Answer::Ok(accepted.clone())).expect("JSON");
            let heard: Answer = serde_json::from_slice(&given).expect("understood");
            assert_eq!(heard.expect("accepted"), accepted);
        }
        let refusals = [
            Refusal::UserNotFound { user: id(1), field: UserField::Users(3) },
            Refusal::ChatNotFound { chat: id(1) },
            Refusal::NotAMember { chat: id(1), user: id(2), field: UserField::Caller },
            Refusal::BeyondLastMessage { seq: Seq(2), last: Seq(1) },
            Refusal::UsernameTaken { username: "ann".to_owned() },
            Refusal::ChatNameTaken { name: "tea".to_owned() },
            Refusal::KeyReused { key: "k".to_owned() },
        ];
        let of_message = |refusal| Refusal::OfMessage { index: 1, refusal: Box::new(refusal) };
        let all = refusals.iter().cloned().chain(refusals.iter().cloned().map(of_message));
        let others = [
            SubmitError::Overloaded,
            SubmitError::StorageFull,
            SubmitError::TooLarge { bytes: 2, bytes_max: 1 },
            SubmitError::Unavailable,
            SubmitError::Unconfirmed,
            SubmitError::ShuttingDown,
            SubmitError::Failed,
        ];
        for refused in all.map(SubmitError::from).chain(others) {
            let given = serde_json::to_vec(&Answer::Err(refused)).expect("JSON");
            let heard: Answer = serde_json::from_slice(&given).expect("understood");
            // An error cannot be compared, but all that it holds is shown.
            let again = serde_json::to_vec(&heard).expect("JSON");
            assert_eq!(String::from_utf8(again), String::from_utf8(given));
        }
    }
}
