//! The engine: it carries out commands, and lets readers look at the model.
//!
//! One writer turns commands into events, makes a batch of them durable with one sync, and only then shows
//! them to the readers.
//!
//! **Invariant:** a guard of the model's lock never leaves this module, so no reader can hold it across an
//! await.

mod chat_list;
mod clock;
mod draft;
mod forwarding;
#[cfg(test)]
mod histories;
mod inbox;
mod live;
mod metrics;
mod projector;
mod read_marks;
mod scrubber;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::Either;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub use self::scrubber::ScrubSettings;
use self::scrubber::Scrubber;
use crate::domain::{Actor, Command, Epoch, IdempotencyKey, Position, Refusal};
pub use crate::log::LogId;
pub use crate::log::Progress as ReplayProgress;
pub use crate::log::stream::StreamStatus;
use crate::log::{AppendError, Caught, EventLog, LogError, Pace, SealedFrame};
use crate::model::{Model, Receipt};
use crate::system_clock;
use crate::thread::spawn;
use forwarding::Forwarding;
use inbox::{Inbox, Input, Job};
use live::Live;
pub use live::{
    Begin, EventId, FeedEvent, FeedEventKind, FollowError, Follower, ShownMessage, ShownReaction,
};
use metrics::EngineMetrics;
pub use read_marks::ReadMarks;
use writer::{Readers, Writer};

/// Carries out commands, and lets readers look at the model.
pub struct Engine {
    model: Arc<RwLock<Model>>,
    queue: Arc<Queue>,
    queued: Arc<Queued>,
    live: Arc<Live>,
    metrics: Arc<EngineMetrics>,
    log_id: LogId,
    epoch: Epoch,
    /// The stream of a log that servers share.
    stream: Option<Arc<StreamStatus>>,
    /// Where commands go that another server carries out.
    forwarding: Option<Arc<Forwarding>>,
}

/// The settings with which an engine starts.
#[derive(Debug, Clone, Copy)]
pub struct EngineSettings {
    /// Maximum commands that wait for the disk.
    pub queue_max: usize,
    /// Whether [`follow_all`](Engine::follow_all) may be called. It costs four bytes of memory an event.
    pub can_follow_all: bool,
    /// How the log is scrubbed, if it is to be.
    pub scrub: Option<ScrubSettings>,
}

/// A bounded queue: a command that does not fit is refused at once. `None` after [`close`](Engine::close), or
/// once the log has failed.
type Queue = RwLock<Option<SyncSender<Input>>>;

/// Maximum bytes of the commands that wait for the disk.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The number of writes that wait for the disk, and their bytes.
#[derive(Debug, Default)]
struct Queued {
    writes: AtomicUsize,
    bytes: AtomicUsize,
    /// Whether the writer is at a batch, which is no longer in the queue.
    is_committing: AtomicBool,
}

impl Queued {
    fn add(&self, bytes: usize) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn remove(&self, writes: usize, bytes: usize) {
        self.writes.fetch_sub(writes, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn check_room(&self) -> Result<(), SubmitError> {
        if self.bytes() >= QUEUE_BYTES_MAX { Err(SubmitError::Overloaded) } else { Ok(()) }
    }

    /// Adds a write that waits for another server, unless there are too many bytes already.
    fn wait_elsewhere(self: &Arc<Self>, bytes: usize) -> Result<WaitingElsewhere, SubmitError> {
        self.check_room()?;
        self.add(bytes);
        Ok(WaitingElsewhere { queued: Arc::clone(self), bytes })
    }

    fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A write that waits for another server. Dropping it removes it.
struct WaitingElsewhere {
    queued: Arc<Queued>,
    bytes: usize,
}

impl Drop for WaitingElsewhere {
    fn drop(&mut self) {
        self.queued.remove(1, self.bytes);
    }
}

/// The answer to a command.
type Answer = Result<Accepted, SubmitError>;

/// A write that is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The receipt of the write.
    pub receipt: Receipt,
    /// Whether the receipt is that of an earlier request with the same key.
    pub replayed: bool,
}

impl Accepted {
    fn first(receipt: Receipt) -> Self {
        Self { receipt, replayed: false }
    }

    fn replayed(receipt: Receipt) -> Self {
        Self { receipt, replayed: true }
    }
}

/// The reason why a command was not carried out, or perhaps not.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum SubmitError {
    /// The command breaks a rule.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many writes are waiting for the disk.
    #[error("too many writes are waiting for the disk")]
    Overloaded,
    /// The disk has no room for the events.
    #[error("there is no room on the disk")]
    StorageFull,
    /// The events do not fit into the log together.
    #[error("the events take {bytes} bytes in the log; those of one request may take {bytes_max}")]
    TooLarge {
        /// The length that they take.
        bytes: usize,
        /// The length that the events of one command may take.
        bytes_max: usize,
    },
    /// The stream of a cluster cannot be reached. Nothing has happened.
    #[error("the stream cannot be reached")]
    Unavailable,
    /// The stream of a cluster cannot be reached, and may have the events, or come to have them.
    #[error("the stream cannot be reached, and may have the events")]
    Unconfirmed,
    /// The engine accepts no more commands.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The log failed at these events. Only the next start will show whether they are in it.
    #[error("the log failed")]
    Failed,
}

/// The reason why the writer stopped.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// The log failed. **Invariant:** a failed write or sync is never retried.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// The writer has a bug.
    #[error("the writer panicked")]
    Panicked,
}

/// Receives the result with which the writer ended.
pub struct WriterEnd(oneshot::Receiver<Result<(), AppendError>>);

impl WriterEnd {
    /// Waits until the writer has ended: after [`Engine::close`], or because the log failed.
    ///
    /// # Errors
    ///
    /// Returns an error if the log failed or the writer panicked. Then the process must end.
    pub async fn wait(&mut self) -> Result<(), WriterError> {
        match (&mut self.0).await {
            Ok(ended) => Ok(ended?),
            Err(_) => Err(WriterError::Panicked),
        }
    }
}

impl Engine {
    /// Replays the log, and starts the writer. Blocks during the replay.
    ///
    /// # Errors
    ///
    /// Returns an error if the log cannot be replayed.
    pub fn start(
        mut log: Box<dyn EventLog>,
        settings: EngineSettings,
        progress: &ReplayProgress,
    ) -> Result<(Self, WriterEnd), LogError> {
        let started = Instant::now();
        let model = Arc::new(RwLock::new(projector::replay(log.as_mut(), settings, progress)?));
        let live = Arc::new(Live::default());
        // One waiting wake-up is enough, because a fan-out sends all pending news.
        let (wake_up, wake_ups) = sync_channel(1);
        let readers = Readers { model: Arc::clone(&model), live: Arc::clone(&live), wake_up };
        catch_up(log.as_mut(), &readers, progress)?;
        clock::warn_if_behind(model.read().index().time());
        let (log_id, epoch, stream) = (log.id(), log.epoch(), log.stream_status());
        let forwarding = Forwarding::of(log.as_ref(), &model, &live);
        let metrics = Arc::new(EngineMetrics::new(&log.metrics(), started.elapsed()));
        let to_scrub = settings.scrub.and_then(|scrub| {
            let pace = Arc::new(Pace::of(scrub.bytes_per_s));
            Some((scrub, log.to_scrub(Arc::clone(&pace))?, pace))
        });
        let (queue, inputs) = sync_channel(settings.queue_max);
        let queue = Arc::new(RwLock::new(Some(queue)));
        let queued = Arc::new(Queued::default());
        let woken = Arc::downgrade(&queue);
        log.wake_by(Box::new(move || {
            let queue = woken.upgrade();
            if let Some(queue) = queue.as_ref().and_then(|queue| queue.read().clone()) {
                // A writer with a full queue is awake, and one that is gone needs no news.
                drop(queue.try_send(Input::News));
            }
        }));
        let scrubber = to_scrub.map(|(settings, log, pace)| {
            let (model, queue, metrics) =
                (Arc::clone(&model), Arc::downgrade(&queue), metrics.scrubs().clone());
            Scrubber { log, settings, pace, model, queue, metrics }.start()
        });
        let scrubber = scrubber.transpose()?;
        let writer = Writer::new(
            Inbox::new(inputs, Arc::clone(&queued), Arc::downgrade(&queue)),
            log,
            readers,
            Arc::clone(&metrics),
        );
        let (ended, end) = oneshot::channel();
        spawn("writer", move || {
            // Locals are dropped in reverse order: the writer before the scrubber, which may be waiting for it, even if `run`
            // panics.
            let scrubber = scrubber;
            let mut writer = writer;
            let result = writer.run();
            // It uses the log's directory, too.
            drop(scrubber);
            if result.is_ok() {
                // The log is closed before the end is reported, because another process may then use its
                // directory.
                drop(writer);
            }
            // The receiver may be gone.
            drop(ended.send(result));
        })?;
        let (fan_out, read) = (Arc::clone(&live), Arc::clone(&model));
        spawn("fan-out", move || fan_out.fan_out_until_closed(&read, &wake_ups))?;
        let engine = Self { model, queue, queued, live, metrics, log_id, epoch, stream, forwarding };
        Ok((engine, WriterEnd(end)))
    }

    /// Submits a command, and returns its answer, which is there when the command is refused or its events are durable.
    /// `by` is the one who caused its events. A command with a key is carried out only once, even if it is submitted
    /// again. A command in the queue is carried out even if nobody waits for the answer any more.
    ///
    /// # Errors
    ///
    /// See [`SubmitError`].
    ///
    /// # Panics
    ///
    /// May panic if the key is not one of this actor's.
    // A small future: that of an `async fn` would hold the command, which is in the queue by then.
    pub fn submit(
        &self,
        command: Command,
        key: Option<IdempotencyKey<'static>>,
        by: Actor<'static>,
    ) -> impl Future<Output = Result<Accepted, SubmitError>> {
        debug_assert!(key.as_ref().is_none_or(|key| key.is_of(&by)), "a key of the one who submits");
        let there = self.forwarding.as_ref().filter(|forwarding| forwarding.sends(&command));
        let answered = match there {
            None => Either::Left(Self::wait_for_answer(self.enqueue(command, key, by))),
            Some(there) => Either::Right(Box::pin(self.submit_there(there, command, key, by))),
        };
        answered.inspect(|answer| {
            if let Err(refused) = answer {
                self.metrics.count_refused(refused);
            }
        })
    }

    /// Waits for the answer of the writer, unless the command was refused before.
    async fn wait_for_answer(enqueued: Result<oneshot::Receiver<Answer>, SubmitError>) -> Answer {
        enqueued?.await.unwrap_or(Err(SubmitError::Failed))
    }

    fn enqueue(
        &self,
        command: Command,
        key: Option<IdempotencyKey<'static>>,
        by: Actor<'static>,
    ) -> Result<oneshot::Receiver<Answer>, SubmitError> {
        let queue = self.queue.read();
        let queue = queue.as_ref().ok_or(SubmitError::ShuttingDown)?;
        self.queued.check_room()?;
        let bytes = command.payload_bytes();
        self.queued.add(bytes);
        let (reply, answer) = oneshot::channel();
        let sent = queue.try_send(Input::Job(Job { command, key, by, reply }));
        sent.map(|()| answer).map_err(|error| {
            self.queued.remove(1, bytes);
            match error {
                TrySendError::Full(_) => SubmitError::Overloaded,
                // The writer has panicked, and the process is about to end.
                TrySendError::Disconnected(_) => SubmitError::ShuttingDown,
            }
        })
    }

    /// Reads the model.
    ///
    /// **Invariant:** a reader never stalls the writer. The writer waits while `look` runs, so `look` only
    /// copies what is small or shared.
    pub fn read<T>(&self, look: impl FnOnce(&Model) -> T) -> T {
        look(&self.model.read())
    }

    /// Returns the position of the last event.
    #[must_use]
    pub fn position(&self) -> Position {
        self.read(Model::position)
    }

    /// Returns the number of times that tokens of users were revoked.
    #[must_use]
    pub fn revocations(&self) -> u64 {
        self.read(Model::revocations)
    }

    /// Returns the number of followers.
    #[must_use]
    pub fn followers(&self) -> usize {
        self.live.followers()
    }

    /// Returns whether writes are taken: `false` from a write that was refused because there was no room until there is
    /// room for one as long, while there is no room for a long message, and while a stream that servers share
    /// [takes none](StreamStatus::is_writable).
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.metrics.has_room() && self.stream().is_none_or(StreamStatus::is_writable)
    }

    /// Returns the id of the log.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.log_id
    }

    /// Returns the epoch of the events that this engine writes.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns the state of the stream that the log is on, if servers share it.
    #[must_use]
    pub fn stream(&self) -> Option<&StreamStatus> {
        self.stream.as_deref()
    }

    /// Returns the time by which the system's clock is behind the log's last event.
    fn clock_behind(&self) -> Duration {
        let last = self.read(|model| model.index().time());
        last.saturating_since(system_clock::now())
    }

    /// Returns the seconds by which the system's clock is behind the log's last event, rounded up, or `None`
    /// if that is less than a second.
    #[must_use]
    pub fn clock_behind_s(&self) -> Option<u64> {
        clock::whole_seconds(self.clock_behind())
    }

    /// Ends all feeds: a [follower](Follower) still sees what has happened, and then its feed ends.
    pub fn end_following(&self) {
        self.live.finish(&self.model);
    }

    /// Returns whether no command waits for the writer, or is being carried out.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queued.writes() == 0 && !self.queued.is_committing.load(Ordering::SeqCst)
    }

    /// Accepts no more commands. The writer ends when it has carried out those in the queue.
    pub fn close(&self) {
        self.queue.write().take();
    }
}

/// Takes in what others have written to a shared log. Waits until the log can be reached.
fn catch_up(log: &mut dyn EventLog, readers: &Readers, progress: &ReplayProgress) -> Result<(), LogError> {
    /// Time between two attempts.
    const INTERVAL: Duration = Duration::from_millis(200);
    if log.stream_status().is_some() {
        progress.begin_stream();
    }
    let mut take_in = |frame: SealedFrame<'_>| {
        progress.add_from_stream(&frame);
        readers.show(&frame)
    };
    while let Caught::Unreachable = log.catch_up(&mut take_in)? {
        std::thread::sleep(INTERVAL);
    }
    Ok(())
}
