//! Writes that another server carries out. On a shared log, the server that wrote last writes on: if several write,
//! they overtake each other. The others send it their commands.
//!
//! Any server may write. So if that server cannot be asked, this one carries out the command, and then it is the one that
//! wrote last. If that server may have the command and does not answer, the command is unconfirmed, and this server
//! writes for itself for a while.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use tokio::sync::{RwLock as AsyncRwLock, oneshot};
use tokio::time::{sleep, timeout};

use super::live::Live;
use super::{Answer, Engine, SubmitError, WaitingElsewhere};
use crate::domain::{Actor, Command, Facts, IdempotencyKey, InvalidKeyName, Timestamp};
use crate::log::EventLog;
use crate::log::stream::{PeerReply, Peers, StreamStatus, WriterId};
use crate::model::Model;
use crate::system_clock;

/// Time for which a server that stops still answers that it carries nothing out. Each of the others then backs off.
const REFUSE_TIME: Duration = Duration::from_millis(100);
/// Time for which a server that has not answered, or carries nothing out, is not asked again.
const BACKOFF_TIME: Duration = Duration::from_secs(30);
/// Time for which this server waits for the events of commands that were carried out elsewhere, so that their clients
/// read here what they have written. After it, the writes are answered all the same: they are durable.
const APPLY_TIME: Duration = Duration::from_secs(5);
/// Time after which a server that owes an answer is asked whether it answers at all, and in which it must say so.
const LOOK_TIME: Duration = Duration::from_millis(1_500);
/// Time by which the clock of a server that asks may be ahead of this one's.
const AHEAD_MAX: Duration = Duration::from_mins(1);
/// Age beyond which a question is not carried out. The server that asked has reported the writes as unconfirmed long
/// before, unless the clocks differ by as much.
const QUESTION_AGE_MAX: Duration = Duration::from_secs(30);
/// Maximum questions to the server that writes that are under way. Meanwhile, commands gather for the next ones.
const QUESTIONS_MAX: usize = 4;
/// Length at which a question gets no more commands. Each node takes messages of 64 KiB.
const QUESTION_BYTES_MAX: usize = 48 * 1024;
/// Maximum events of a command that is sent: the answer to more may be too long for a message.
const EVENTS_MAX: usize = 256;

/// Sends commands to the server that writes.
pub(super) struct Forwarding {
    peers: Arc<dyn Peers>,
    status: Arc<StreamStatus>,
    model: Arc<RwLock<Model>>,
    live: Arc<Live>,
    outbox: Mutex<Outbox>,
    /// The server that last carried nothing out, or did not answer, and the time of that.
    backed_off: Mutex<Option<(WriterId, Instant)>>,
    /// Whether this server carries out commands of others. Each question holds a read lock until it is answered.
    accepts: AsyncRwLock<bool>,
}

/// Commands that are to be sent.
#[derive(Default)]
struct Outbox {
    waiting: VecDeque<Pending>,
    /// The number of tasks that send them.
    senders: usize,
}

impl Outbox {
    /// Adds a command. Returns whether another task is to send commands.
    fn add(&mut self, pending: Pending) -> bool {
        self.waiting.push_back(pending);
        let is_sender_needed = self.senders < QUESTIONS_MAX;
        self.senders += usize::from(is_sender_needed);
        is_sender_needed
    }
}

/// A command that is to be sent, and the channel on which its client waits.
struct Pending {
    /// The [`Asked`], as JSON.
    asked: Vec<u8>,
    /// `None` if the command has not happened there, and may be carried out here.
    reply: oneshot::Sender<Option<Answer>>,
    _waiting: WaitingElsewhere,
}

/// What a server asks the one that writes, as JSON. The answer is a JSON list with each command's [`Answer`]. It is empty
/// if no command is carried out: the question is too old, or of a release that this one does not understand, or has a
/// command that is not sound; or the server is about to end.
#[derive(Deserialize)]
struct Question {
    /// The time at which it was asked, by the clock of the server that asks.
    asked_at: Timestamp,
    commands: Vec<Asked<Command, String>>,
}

/// Returns a [`Question`] of commands that are JSON already.
fn question_of(asked_at: Timestamp, commands: &[&[u8]]) -> Vec<u8> {
    let begin = format!(r#"{{"asked_at":"{asked_at}","commands":["#);
    [begin.as_bytes(), &commands.join(&b','), b"]}"].concat()
}

/// A command that a server asks the one that writes to carry out.
///
/// It is generic so that it borrows the command when it is asked, and owns it when it is heard.
#[derive(Serialize, Deserialize)]
struct Asked<C, K> {
    command: C,
    key: Option<K>,
    by: Actor<'static>,
}

impl Forwarding {
    /// Returns what sends commands to others, if the log is shared with any.
    pub(super) fn of(log: &dyn EventLog, model: &Arc<RwLock<Model>>, live: &Arc<Live>) -> Option<Arc<Self>> {
        Some(Arc::new(Self {
            peers: log.peers()?,
            status: log.stream_status()?,
            model: Arc::clone(model),
            live: Arc::clone(live),
            outbox: Mutex::default(),
            backed_off: Mutex::default(),
            accepts: AsyncRwLock::new(true),
        }))
    }

    /// Returns the server that writes, if it is another one and carries out commands. A server whose clock is far ahead
    /// writes nothing, there or here: some commands hold a time.
    fn writer(&self) -> Option<WriterId> {
        let writer = self.status.writer().filter(|_| !self.status.is_clock_far_ahead())?;
        let backed_off = *self.backed_off.lock();
        let has_backed_off =
            backed_off.is_some_and(|(server, since)| server == writer && since.elapsed() < BACKOFF_TIME);
        (!has_backed_off).then_some(writer)
    }

    /// Returns whether this command is sent to another server.
    pub(super) fn sends(&self, command: &Command) -> bool {
        command.events_max() <= EVENTS_MAX && self.writer().is_some()
    }

    /// Sends a command, and waits for the answer. Returns `None` if the command has not happened there, and may be carried
    /// out here.
    async fn send(self: &Arc<Self>, asked: Vec<u8>, waiting: WaitingElsewhere) -> Option<Answer> {
        let (reply, answer) = oneshot::channel();
        if self.outbox.lock().add(Pending { asked, reply, _waiting: waiting }) {
            let forwarding = Arc::clone(self);
            tokio::spawn(async move {
                while let Some(batch) = forwarding.next_batch() {
                    forwarding.send_batch(batch).await;
                }
            });
        }
        answer.await.unwrap_or(Some(Err(SubmitError::Unconfirmed)))
    }

    /// Takes the commands of the next question. Returns `None` if there are none; then the sender ends.
    fn next_batch(&self) -> Option<Vec<Pending>> {
        let mut outbox = self.outbox.lock();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(next) = outbox.waiting.front() {
            bytes += next.asked.len() + 1;
            if bytes > QUESTION_BYTES_MAX && !batch.is_empty() {
                break;
            }
            batch.extend(outbox.waiting.pop_front());
        }
        if batch.is_empty() {
            outbox.senders -= 1;
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Asks the server that writes to carry these commands out, and waits until what happened is here.
    async fn send_batch(&self, batch: Vec<Pending>) {
        let asked: Vec<_> = batch.iter().map(|pending| pending.asked.as_slice()).collect();
        let question = question_of(system_clock::now(), &asked);
        let answers = match self.writer() {
            Some(writer) => self.ask(writer, question, batch.len()).await,
            None => batch.iter().map(|_| None).collect(),
        };
        let accepted = answers.iter().filter_map(|answer| answer.as_ref()?.as_ref().ok());
        if let Some(last) = accepted.map(|accepted| accepted.receipt.position).max() {
            drop(timeout(APPLY_TIME, self.live.reached(&self.model, last)).await);
        }
        if answers.iter().any(|answer| matches!(answer, Some(Err(SubmitError::StorageFull)))) {
            self.status.note_full();
        }
        for (pending, answer) in batch.into_iter().zip(answers) {
            // A client that goes away changes nothing.
            drop(pending.reply.send(answer));
        }
    }

    /// Asks the server that writes. Once its answer takes long, looks whether the server still answers at all.
    async fn reply_to(&self, writer: WriterId, question: Vec<u8>) -> PeerReply {
        let mut asking = self.peers.ask(writer, question);
        loop {
            if let Ok(reply) = timeout(LOOK_TIME, &mut asking).await {
                return reply;
            }
            match timeout(LOOK_TIME, self.peers.ask(writer, Vec::new())).await {
                Ok(PeerReply::Answer(_)) => {}
                // It has got the question, and is gone or hangs.
                Ok(PeerReply::Undelivered | PeerReply::Silent) | Err(_) => return PeerReply::Silent,
            }
        }
    }

    /// Asks the server that writes. Returns `None` for each command that has not happened there.
    async fn ask(&self, writer: WriterId, question: Vec<u8>, commands: usize) -> Vec<Option<Answer>> {
        let all = |answer: fn() -> Option<Answer>| (0..commands).map(|_| answer()).collect();
        let unconfirmed = || Some(Err(SubmitError::Unconfirmed));
        match self.reply_to(writer, question).await {
            PeerReply::Answer(answers) if answers.is_empty() => {
                self.back_off_from(writer);
                all(|| None)
            }
            PeerReply::Answer(answers) => match serde_json::from_slice::<Vec<Answer>>(&answers) {
                Ok(answers) if answers.len() == commands => answers.into_iter().map(unless_undone).collect(),
                // It is the answer of another release.
                Ok(_) | Err(_) => all(unconfirmed),
            },
            PeerReply::Undelivered => all(|| None),
            PeerReply::Silent => {
                tracing::warn!(%writer, "the server that writes does not answer; this one writes");
                self.back_off_from(writer);
                all(unconfirmed)
            }
        }
    }

    /// Asks this server no more for a while.
    fn back_off_from(&self, writer: WriterId) {
        *self.backed_off.lock() = Some((writer, Instant::now()));
    }
}

/// Returns whether a question is not too old. If it is dated further ahead than a clock may be, its age is not known.
fn is_timely(asked_at: Timestamp, now: Timestamp) -> bool {
    now.saturating_since(asked_at) <= QUESTION_AGE_MAX && asked_at.saturating_since(now) <= AHEAD_MAX
}

/// Returns whether a command of another server is one that the API could have made: what the types do not say.
///
/// **Invariant:** the events that a sound command becomes can be written to a frame, read from it, and applied. One that
/// cannot would make the shared log useless for every server.
fn is_sound(facts: &impl Facts, command: &Command, by: &Actor<'_>, now: Timestamp) -> bool {
    let is_known = match by {
        Actor::Unknown => true,
        Actor::Key(name) => InvalidKeyName::check(name).is_ok(),
        Actor::User(user) => facts.user_exists(*user),
    };
    let is_possible = match command {
        Command::AddChat { users, .. } => !users.is_empty(),
        Command::AddMessages(messages) => (1..=EVENTS_MAX).contains(&messages.len()),
        Command::RevokeTokens { from, .. } => *from <= now.as_micros() / 1_000_000 + AHEAD_MAX.as_secs(),
        Command::AddDirectChat { users: [one, other] } => one != other,
        Command::AddUser { .. }
        | Command::AddMessage(_)
        | Command::EditMessage(_)
        | Command::DeleteMessage { .. }
        | Command::AddReaction(_)
        | Command::RemoveReaction(_)
        | Command::EditChat { .. }
        | Command::EditUser { .. }
        | Command::EraseUser { .. }
        | Command::AddMember { .. }
        | Command::RemoveMember { .. }
        | Command::MarkRead { .. } => true,
    };
    is_known && is_possible
}

/// Returns `None` if the answer says that the command has not happened.
fn unless_undone(answer: Answer) -> Option<Answer> {
    match answer {
        // It is about to end, or cannot reach the stream.
        Err(SubmitError::ShuttingDown | SubmitError::Unavailable) => None,
        Err(SubmitError::Failed) => Some(Err(SubmitError::Unconfirmed)),
        answer => Some(answer),
    }
}

impl Engine {
    /// Lets other servers on the log send this one their commands.
    pub fn answer_others(self: &Arc<Self>) {
        let Some(forwarding) = &self.forwarding else { return };
        let engine = Arc::downgrade(self);
        forwarding.peers.answer_by(Box::new(move |question| {
            let engine = engine.upgrade();
            Box::pin(async move {
                match engine {
                    Some(engine) => engine.carry_out_for_other(&question).await,
                    None => Vec::new(),
                }
            })
        }));
    }

    /// Waits until the commands of other servers are answered, then refuses further ones for a moment, so that the others
    /// learn of it.
    pub async fn end_answering_others(&self) {
        if let Some(forwarding) = &self.forwarding {
            *forwarding.accepts.write().await = false;
            sleep(REFUSE_TIME).await;
        }
    }

    /// Sends a command to the server that writes, and waits until what happened is here.
    ///
    /// **Invariant:** a command is carried out here only if it has not happened elsewhere.
    pub(super) async fn submit_there(
        &self,
        forwarding: &Arc<Forwarding>,
        command: Command,
        key: Option<IdempotencyKey<'static>>,
        by: Actor<'static>,
    ) -> Answer {
        let waiting = self.queued.wait_elsewhere(command.payload_bytes())?;
        let asked = Asked { command: &command, key: key.as_ref().map(IdempotencyKey::text), by: by.clone() };
        let asked = serde_json::to_vec(&asked).expect("it is written to memory");
        match forwarding.send(asked, waiting).await {
            None => Self::wait_for_answer(self.enqueue(command, key, by)).await,
            Some(answer) => {
                if answer.is_ok() {
                    forwarding.status.count_forwarded();
                }
                answer
            }
        }
    }

    /// Carries out the commands of another server, and returns the answers to them.
    async fn carry_out_for_other(&self, question: &[u8]) -> Vec<u8> {
        let Some(forwarding) = &self.forwarding else { return Vec::new() };
        let Ok(Question { asked_at, commands }) = serde_json::from_slice(question) else {
            return Vec::new();
        };
        let now = system_clock::now();
        // Held until the answers are known, because a server that ends waits for it.
        let accepts = forwarding.accepts.read().await;
        if !*accepts || !is_timely(asked_at, now) {
            return Vec::new();
        }
        let keyed = |Asked { command, key, by }| {
            let key = key.map(|key: String| IdempotencyKey::new(key, &command, &by)).transpose().ok()?;
            Some((command, key, by))
        };
        let Some(commands) = commands.into_iter().map(keyed).collect::<Option<Vec<_>>>() else {
            return Vec::new();
        };
        let are_sound =
            self.read(|model| commands.iter().all(|(command, _, by)| is_sound(model, command, by, now)));
        if !are_sound {
            return Vec::new();
        }
        // All are queued before one is waited for, so that they may be decided together.
        let enqueued: Vec<_> =
            commands.into_iter().map(|(command, key, by)| self.enqueue(command, key, by)).collect();
        let answers = join_all(enqueued.into_iter().map(Self::wait_for_answer)).await;
        serde_json::to_vec(&answers).expect("it is written to memory")
    }
}

#[cfg(test)]
mod tests;
