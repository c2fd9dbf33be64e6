//! Several servers on one simulated stream, and the clients that call them.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Tally;
use super::ledger::Ledger;
use crate::domain::{
    Actor, ChatId, Command, Emoji, IdempotencyKey, MessageEdit, MessageExtras, Metadata, NewMessage,
    Reaction, Seq, Text, Timestamp, UserId,
};
use crate::engine::inbox::{Inbox, Job};
use crate::engine::live::Live;
use crate::engine::metrics::EngineMetrics;
use crate::engine::writer::{Readers, Writer};
use crate::engine::{EngineSettings, Queued, SubmitError, projector};
use crate::log::stream::StreamError;
use crate::log::stream::simulated::{Among, Chance, Faults, SimDisk, SimStream, Stop};
use crate::log::{AppendError, Caught, EventLog, LogError, MemoryLog, Progress};
use crate::model::Model;
use crate::system_clock;

pub(super) struct Cluster {
    pub(super) chance: Chance,
    stream: SimStream,
    servers: Vec<Server>,
    ledger: Ledger,
    /// The number of texts so far. No two messages, edits, metadata or reactions have the same text.
    texts: u64,
    /// Whether strangers publish. If one of their messages is lost, that is not noticed: it may differ from node to node.
    has_strays: bool,
    pub(super) tally: Tally,
}

/// A server: a disk, and perhaps a process.
struct Server {
    disk: SimDisk,
    writer: Option<Writer>,
}

const SETTINGS: EngineSettings = EngineSettings { queue_max: 1, can_follow_all: false, scrub: None };

/// The metrics of all servers. Nothing reads them, and new ones would take a tenth of a history's time.
static METRICS: LazyLock<Arc<EngineMetrics>> =
    LazyLock::new(|| Arc::new(EngineMetrics::new(&MemoryLog::default().metrics(), Duration::ZERO)));

/// Starts a server without threads, as [`Engine::start`](crate::engine::Engine::start) does with them. Returns `None` if
/// the stream cannot be reached.
fn start(stream: &SimStream, disk: &SimDisk) -> Result<Option<Writer>, LogError> {
    let mut log = stream.log(disk.clone());
    let model = projector::replay(log.as_mut(), SETTINGS, &Progress::default())?;
    let (wake_up, _) = sync_channel(1);
    let model = Arc::new(RwLock::new(model));
    let readers = Readers { model, live: Arc::new(Live::default()), wake_up };
    for _ in 0..3 {
        if log.catch_up(&mut |frame| readers.show(&frame))? != Caught::Unreachable {
            let (_, inputs) = sync_channel(1);
            let inbox = Inbox::new(inputs, Arc::new(Queued::default()), Weak::new());
            return Ok(Some(Writer::new(inbox, log, readers, METRICS.clone())));
        }
    }
    Ok(None)
}

impl Cluster {
    pub(super) fn new(seed: u64, has_strays: bool) -> Self {
        let mut chance = Chance::from_seed(seed);
        let mut other = || Chance::from_seed(chance.below(usize::MAX) as u64);
        let stream = SimStream::new(other());
        let servers = (0..3).map(|_| Server { disk: SimDisk::new(other()), writer: None }).collect();
        let (ledger, tally) = (Ledger::default(), Tally { histories: 1, ..Tally::default() });
        Self { chance, stream, servers, ledger, texts: 0, has_strays, tally }
    }

    /// Something happens: a server is called, waits, or ends, or the stream gets other faults.
    pub(super) fn step(&mut self) -> Result<(), String> {
        let server = self.chance.below(self.servers.len());
        match self.chance.below(12) {
            0 => self.end_server(server),
            1 => {
                let faults = Faults::any(&mut self.chance);
                let stray = faults.stray.filter(|_| self.has_strays);
                self.stream.set_faults(Faults { stray, ..faults });
            }
            2 => self.stream.set_faults(Faults { full: Some(1), ..Faults::default() }),
            3 => self.stream.set_faults(Faults::default()),
            4 => {
                if let Some(writer) = self.running(server).map_err(|error| error.to_string())? {
                    writer.take_in_others().map_err(|error| error.to_string())?;
                }
            }
            _ => self.call(server)?.map_err(|error| format!("a server stopped: {error}"))?,
        }
        Ok(())
    }

    /// Ends a server, perhaps while it writes what its copy lacks.
    fn end_server(&mut self, server: usize) {
        let Server { disk, writer } = &mut self.servers[server];
        let stop = if self.chance.one_in(2) { Stop::Machine } else { Stop::Process };
        disk.stop_after(Some((stop, self.chance.below(4), Among::Changes)));
        *writer = None;
        match stop {
            Stop::Machine => disk.crash(),
            Stop::Process => disk.restart(),
        }
        self.tally.restarts += 1;
    }

    /// Returns the server, started if it is not running and the stream can be reached.
    fn running(&mut self, server: usize) -> Result<Option<&mut Writer>, LogError> {
        let Server { disk, writer } = &mut self.servers[server];
        if writer.is_none() {
            *writer = start(&self.stream, disk)?;
            // Some servers act as if the last event were stamped by a clock that is ahead.
            let ahead_s = self.chance.below(3) as u64 * 3_600;
            let ahead = Timestamp::from_micros(system_clock::now().as_micros() + ahead_s * 1_000_000);
            if let (Some(writer), Some(ahead)) = (writer.as_mut(), ahead) {
                writer.clock.read(ahead);
            }
        }
        Ok(writer.as_mut())
    }

    /// Has a server carry out a batch, if it can be started. The inner error is that with which it stopped.
    fn call(&mut self, server: usize) -> Result<Result<(), AppendError>, String> {
        match self.running(server) {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(AppendError::Failed(error))),
        }
        let batch: Vec<_> = (0..=self.chance.below(4)).map(|_| self.job()).collect();
        for job in &batch {
            self.ledger.submit(&job.command);
        }
        let writer = self.servers[server].writer.as_mut().expect("it is running");
        let answers = match writer.commit(&batch) {
            Ok(answers) => answers,
            Err(stopped) => return Ok(Err(stopped)),
        };
        for (job, answer) in batch.iter().zip(&answers) {
            *match answer {
                Ok(_) => &mut self.tally.acknowledged,
                Err(SubmitError::Unavailable) => &mut self.tally.unavailable,
                Err(SubmitError::Unconfirmed) => &mut self.tally.unconfirmed,
                Err(_) => &mut self.tally.refused,
            } += 1;
            self.ledger.note(&job.command, job.key.as_ref(), answer.as_ref())?;
        }
        Ok(Ok(()))
    }

    fn job(&mut self) -> Job {
        let command = self.command();
        let by = Actor::Unknown;
        let key = self.chance.one_in(3).then(|| format!("key {}", self.chance.below(20)).replace(' ', "-"));
        let key = key.map(|key| IdempotencyKey::new(key, &command, &by).expect("a key"));
        let (reply, _) = oneshot::channel();
        Job { command, key, by, reply }
    }

    fn command(&mut self) -> Command {
        // Without users and chats, most commands are refused.
        let is_early = self.ledger.users.is_empty() || self.ledger.chats.is_empty();
        match self.chance.below(if is_early { 2 } else { 14 }) {
            0 => Command::AddUser { username: self.name("user", 6).try_into().expect("a name") },
            1 => Command::AddChat {
                name: Some(self.name("chat", 4).try_into().expect("a name")),
                users: vec![self.user()],
            },
            2 => Command::AddMember { chat: self.chat(), user: self.user() },
            3 => Command::RemoveMember { chat: self.chat(), user: self.user() },
            4 => Command::MarkRead {
                chat: self.chat(),
                user: self.user(),
                seq: Seq(self.chance.below(3) as u64),
            },
            5 => self.command_about_company(),
            6..=9 => self.command_about_message(),
            _ => {
                let metadata = self.chance.one_in(3).then(|| self.metadata());
                let reply_to = self.chance.one_in(5).then(|| Seq(self.chance.below(4) as u64));
                let (chat, author, text) = (self.chat(), self.user(), self.text());
                let with = MessageExtras::of(reply_to, metadata);
                Command::AddMessage(NewMessage { chat, author, text, with })
            }
        }
    }

    fn command_about_company(&mut self) -> Command {
        match self.chance.below(3) {
            0 => {
                let one = self.user();
                let other = Some(self.user()).filter(|other| *other != one);
                let other = other.unwrap_or_else(|| Uuid::from_u128(3).into());
                Command::AddDirectChat { users: [one, other] }
            }
            1 => Command::EditChat {
                chat: self.chat(),
                name: self.chance.one_in(2).then(|| self.name("chat", 4).try_into().expect("a name")),
                metadata: Some(self.metadata()),
            },
            _ => Command::EditUser { user: self.user(), username: None, metadata: Some(self.metadata()) },
        }
    }

    /// Edits, deletes, or reacts to, mostly a message that was acknowledged.
    fn command_about_message(&mut self) -> Command {
        let known = self.any_of(self.ledger.messages.len());
        let (chat, seq, author) =
            known.map_or((self.chat(), Seq(1), self.user()), |known| self.ledger.messages[known]);
        let user = Some(author).filter(|_| !self.chance.one_in(3));
        match self.chance.below(5) {
            0 => Command::DeleteMessage { chat, seq, user, is_moderator: false, erase: false },
            1 => {
                let known = self.any_of(self.ledger.reactions.len());
                let reaction = known.map(|known| self.ledger.reactions[known].clone());
                Command::RemoveReaction(Box::new(reaction.unwrap_or_else(|| self.reaction(chat, seq))))
            }
            2 => Command::AddReaction(Box::new(self.reaction(chat, seq))),
            _ => {
                let metadata = self.chance.one_in(2).then(|| self.metadata());
                let text = Some(self.text());
                Command::EditMessage(Box::new(MessageEdit { chat, seq, user, text, metadata }))
            }
        }
    }

    fn name(&mut self, kind: &str, names: usize) -> String {
        format!("{kind} {}", self.chance.below(names))
    }

    fn next_text(&mut self, kind: &str) -> String {
        self.texts += 1;
        format!("{kind} {}", self.texts)
    }

    fn text(&mut self) -> Text {
        self.next_text("text").try_into().expect("a text")
    }

    fn metadata(&mut self) -> Metadata {
        format!(r#"{{"a":"{}"}}"#, self.next_text("metadata")).try_into().expect("metadata")
    }

    fn reaction(&mut self, chat: ChatId, seq: Seq) -> Reaction {
        let emoji = Emoji::try_from(self.next_text("emoji")).expect("an emoji");
        Reaction { chat, seq, user: self.user(), emoji }
    }

    fn user(&mut self) -> UserId {
        let known = self.any_of(self.ledger.users.len());
        known.map_or_else(|| Uuid::from_u128(1).into(), |known| self.ledger.users[known])
    }

    fn chat(&mut self) -> ChatId {
        let known = self.any_of(self.ledger.chats.len());
        known.map_or_else(|| Uuid::from_u128(2).into(), |known| self.ledger.chats[known])
    }

    /// Returns the index of something that is known, or sometimes `None`.
    fn any_of(&mut self, known: usize) -> Option<usize> {
        (known > 0 && !self.chance.one_in(10)).then(|| self.chance.below(known))
    }

    /// Lets the faults end, and compares all servers, and one that begins with an empty disk.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.stream.settle();
        self.servers.push(Server { disk: SimDisk::default(), writer: None });
        for server in 0..self.servers.len() {
            let writer = self.running(server).map_err(|error| error.to_string())?;
            let writer = writer.ok_or("a sound stream cannot be reached")?;
            writer.take_in_others().map_err(|error| format!("a server stopped: {error}"))?;
        }
        self.compare_models()?;
        self.ledger.check(&model(self.servers[0].writer.as_ref().expect("it is running")).read())?;
        self.check_copies()
    }

    /// Compares the models of all servers that run.
    fn compare_models(&self) -> Result<(), String> {
        let running = self.servers.iter().filter_map(|server| server.writer.as_ref());
        let models: Vec<_> = running.map(model).collect();
        if models.windows(2).any(|pair| *pair[0].read() != *pair[1].read()) {
            let positions: Vec<_> = models.iter().map(|model| model.read().position()).collect();
            return Err(format!("the models differ; their positions are {positions:?}"));
        }
        Ok(())
    }

    /// Checks that every server's copy is the whole log.
    fn check_copies(&mut self) -> Result<(), String> {
        let expected = model(self.servers[0].writer.as_ref().expect("it is running")).read().position();
        for Server { disk, writer } in &mut self.servers {
            *writer = None;
            disk.crash();
            let mut log = self.stream.log(disk.clone());
            let copied = projector::replay(log.as_mut(), SETTINGS, &Progress::default());
            let copied = copied.map_err(|error| error.to_string())?.position();
            if copied != expected {
                return Err(format!("a copy ends at {copied} instead of {expected}"));
            }
        }
        Ok(())
    }

    /// The stream loses messages. Servers that had one of them must stop, and others must agree.
    pub(super) fn lose(&mut self) -> Result<(), String> {
        self.stream.settle();
        for server in 0..self.servers.len() {
            // Some are behind.
            if self.chance.one_in(2)
                && let Some(writer) = self.running(server).map_err(|error| error.to_string())?
            {
                writer.take_in_others().map_err(|error| error.to_string())?;
            }
        }
        if self.chance.one_in(4) {
            self.stream.recreate();
        } else {
            let all = self.stream.messages();
            // Another message may come to stand where the last one stood.
            let messages = if self.chance.one_in(2) { all.max(2) - 1 } else { 1 + self.chance.below(all) };
            self.stream.roll_back(messages);
        }
        // The position of the last event that is left.
        let kept = start(&self.stream, &SimDisk::default());
        let kept = kept.map_err(|error| error.to_string())?.ok_or("a sound stream cannot be reached")?;
        let kept = model(&kept).read().position().0;
        let goes_on = self.chance.one_in(2);
        let before: Vec<_> = self.servers.iter().map(Server::position).collect();
        let mut stopped = vec![false; self.servers.len()];
        // The stream is looked at for some time, because a node that led before may tell of fewer messages. In the end,
        // nobody writes any more, so that all can catch up.
        for round in 0..60 {
            for (server, stopped) in stopped.iter_mut().enumerate().filter(|(_, stopped)| !**stopped) {
                let looked = match self.running(server) {
                    Ok(Some(writer)) => writer.take_in_others(),
                    Ok(None) => Ok(()),
                    Err(error) => Err(AppendError::Failed(error)),
                };
                let writes = goes_on && round < 40 && self.chance.one_in(4);
                match looked.and_then(|()| if writes { self.call_unnoted(server) } else { Ok(()) }) {
                    Ok(()) => {}
                    Err(AppendError::Failed(LogError::Stream(StreamError::Diverged { .. }))) => {
                        *stopped = true;
                        self.servers[server].writer = None;
                        self.tally.stopped += 1;
                    }
                    Err(other) => return Err(format!("a server stopped with another error: {other}")),
                }
            }
            self.stream.pass(Duration::from_secs(1));
        }
        let had_more = |server: usize| before[server].is_some_and(|before| before > kept);
        if let Some(server) =
            (0..stopped.len()).find(|&server| !goes_on && had_more(server) && !stopped[server])
        {
            return Err(format!("server {server} goes on, although the stream has lost what it had"));
        }
        self.compare_models()
    }

    fn call_unnoted(&mut self, server: usize) -> Result<(), AppendError> {
        let batch = vec![self.job()];
        match self.servers[server].writer.as_mut() {
            Some(writer) => writer.commit(&batch).map(drop),
            None => Ok(()),
        }
    }
}

impl Server {
    fn position(&self) -> Option<u64> {
        self.writer.as_ref().map(|writer| model(writer).read().position().0)
    }
}

fn model(writer: &Writer) -> &RwLock<Model> {
    &writer.readers.model
}
