//! One writer turns commands into events, makes a batch of them durable with one sync, and only then shows them to
//! the readers.
//!
//! **Invariant:** a guard of the model's lock never leaves this module, so no reader can hold it across an await.

mod chat_list;
mod clock;
mod draft;
mod live;
mod metrics;
mod projector;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Instant;

use parking_lot::RwLock;
use tokio::sync::oneshot;

use crate::domain::{Command, IdempotencyKey, Refusal};
pub use crate::log::Progress as ReplayProgress;
use crate::log::{AppendError, EventLog, LogError};
use crate::model::{Model, Receipt};
use crate::thread::spawn;
use live::Live;
pub use live::{FollowError, Follower, Seen};
use metrics::EngineMetrics;
use writer::{Job, Writer};

/// Takes commands, and shows what they have come to.
pub struct Engine {
    model: Arc<RwLock<Model>>,
    /// Bounded: what does not fit is refused at once. None after [`close`](Engine::close).
    queue: RwLock<Option<SyncSender<Job>>>,
    queued: Arc<Queued>,
    live: Arc<Live>,
    metrics: Arc<EngineMetrics>,
}

/// When so many bytes wait for the disk, no more are taken.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many writes wait for the disk, and their bytes.
#[derive(Debug, Default)]
struct Queued {
    writes: AtomicUsize,
    bytes: AtomicUsize,
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

    fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A write that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What it came to.
    pub receipt: Receipt,
    /// Whether that was at an earlier request with the same key.
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

/// Why a command came to nothing, as far as anybody knows.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// It breaks a rule.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many are waiting for the disk.
    #[error("too many writes are waiting for the disk")]
    Overloaded,
    /// There is no room for it on the disk.
    #[error("there is no room on the disk")]
    StorageFull,
    /// The engine takes no more.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The log failed; whether the event is in it will be seen at the next start.
    #[error("the log failed")]
    Failed,
}

/// Why the writer stopped.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// **Invariant:** a failed write or sync is never tried again.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// A bug.
    #[error("the writer panicked")]
    Panicked,
}

/// Tells how the writer ended.
pub struct WriterEnd(oneshot::Receiver<Result<(), AppendError>>);

impl WriterEnd {
    /// Waits until the writer has ended: after [`Engine::close`], or because the log failed.
    ///
    /// # Errors
    ///
    /// The log failed, or the writer panicked: the process must end.
    pub async fn wait(&mut self) -> Result<(), WriterError> {
        match (&mut self.0).await {
            Ok(ended) => Ok(ended?),
            Err(_) => Err(WriterError::Panicked),
        }
    }
}

impl Engine {
    /// Replays the log, then starts the writer, with room for `queue_max` waiting commands. Blocks for as long as
    /// the replay takes.
    ///
    /// # Errors
    ///
    /// The log cannot be replayed.
    pub fn start(
        mut log: Box<dyn EventLog>,
        queue_max: usize,
        progress: &ReplayProgress,
    ) -> Result<(Self, WriterEnd), LogError> {
        let started = Instant::now();
        let model = Arc::new(RwLock::new(projector::replay(log.as_mut(), progress)?));
        let metrics = Arc::new(EngineMetrics::new(&log.metrics(), started.elapsed()));
        let (queue, jobs) = sync_channel(queue_max);
        let queued = Arc::new(Queued::default());
        let live = Arc::new(Live::default());
        // One wake-up that waits is enough: a fan-out takes all there is.
        let (wake_up, wake_ups) = sync_channel(1);
        let mut writer = Writer::new(
            jobs,
            Arc::clone(&queued),
            log,
            Arc::clone(&model),
            (Arc::clone(&live), wake_up),
            Arc::clone(&metrics),
        );
        let (ended, end) = oneshot::channel();
        spawn("writer", move || {
            let result = writer.run();
            if result.is_ok() {
                // Whoever waits for the end may use the directory then.
                drop(writer);
            }
            // Nobody may be left who wants to know.
            drop(ended.send(result));
        })?;
        let (told, of) = (Arc::clone(&live), Arc::clone(&model));
        spawn("fan-out", move || told.fan_out_until_closed(&of, &wake_ups))?;
        Ok((Self { model, queue: RwLock::new(Some(queue)), queued, live, metrics }, WriterEnd(end)))
    }

    /// Has the command decided and made durable; under a key, once and for all. A command that was taken runs to its
    /// end, whether or not somebody still waits for the answer.
    ///
    /// # Errors
    ///
    /// See [`SubmitError`].
    pub async fn submit(
        &self,
        command: Command,
        key: Option<IdempotencyKey<'static>>,
    ) -> Result<Accepted, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let answered = match self.enqueue(Job { command, key, reply }) {
            Ok(()) => answer.await.unwrap_or(Err(SubmitError::Failed)),
            Err(refused) => Err(refused),
        };
        if let Err(refused) = &answered {
            self.metrics.count_refused(refused);
        }
        answered
    }

    fn enqueue(&self, job: Job) -> Result<(), SubmitError> {
        let queue = self.queue.read();
        let queue = queue.as_ref().ok_or(SubmitError::ShuttingDown)?;
        if self.queued.bytes() >= QUEUE_BYTES_MAX {
            return Err(SubmitError::Overloaded);
        }
        let bytes = job.command.bytes();
        self.queued.add(bytes);
        queue.try_send(job).map_err(|error| {
            self.queued.remove(1, bytes);
            match error {
                TrySendError::Full(_) => SubmitError::Overloaded,
                // The writer has ended, and the process is about to.
                TrySendError::Disconnected(_) => SubmitError::ShuttingDown,
            }
        })
    }

    /// Looks something up.
    ///
    /// **Invariant:** a reader never stalls the writer, who waits meanwhile: copy what is small or shared, and leave.
    pub fn read<T>(&self, look: impl FnOnce(&Model) -> T) -> T {
        look(&self.model.read())
    }

    /// Ends all [following](Self::follow): what is there to be seen is seen, then no more.
    pub fn end_following(&self) {
        self.live.close();
    }

    /// Takes no more commands; the writer ends when those taken are done.
    pub fn close(&self) {
        self.queue.write().take();
    }
}
