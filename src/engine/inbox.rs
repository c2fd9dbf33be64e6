//! The writer's queue: commands wait in it, and the writer takes them out in batches.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Answer, Queue, Queued, SubmitError};
use crate::domain::{Actor, Command, IdempotencyKey};
use crate::log::Frame;

/// Maximum commands of a batch.
const BATCH_COMMANDS_MAX: usize = 1024;
/// Bytes at which a batch gets no more commands. They are few, because readers wait while a batch is applied.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// A command, and the channel on which its client waits for the answer.
pub(super) struct Job {
    pub(super) command: Command,
    pub(super) key: Option<IdempotencyKey<'static>>,
    pub(super) by: Actor<'static>,
    pub(super) reply: oneshot::Sender<Answer>,
}

impl Job {
    /// Returns whether the actor may take a place in the frame's table of actors.
    fn may_take_a_place(&self) -> bool {
        match self.by {
            Actor::Unknown => false,
            Actor::Key(_) => true,
            Actor::User(user) => !self.command.names_doer(user),
        }
    }
}

/// What a writer waits for.
pub(super) enum Input {
    Job(Job),
    /// The log may have frames of others.
    News,
    /// The log is to [end its segment](crate::log::EventLog::end_segment). The sender reports that it has.
    EndSegment(SyncSender<()>),
}

/// The share of a frame that the jobs of a batch may need.
#[derive(Default)]
struct Load {
    bytes: usize,
    /// The actors who may take a place in the frame's table of actors.
    actors: HashSet<Actor<'static>>,
}

impl Load {
    fn add(&mut self, job: &Job) {
        self.bytes += job.command.payload_bytes();
        if job.may_take_a_place() && !self.actors.contains(&job.by) {
            self.actors.insert(job.by.clone());
        }
    }

    fn is_below_limits(&self) -> bool {
        self.bytes < BATCH_BYTES_MAX && self.actors.len() < Frame::ACTORS_MAX
    }
}

/// The writer's end of the queue.
pub(super) struct Inbox {
    pub(super) inputs: Receiver<Input>,
    pub(super) queued: Arc<Queued>,
    /// The engine's end. The reference is weak, so that the queue closes when the engine is dropped.
    pub(super) queue: Weak<Queue>,
    /// Senders to notify when the segment has ended after the gathered batch.
    pub(super) segment_ends: Vec<SyncSender<()>>,
}

impl Inbox {
    pub(super) fn new(inputs: Receiver<Input>, queued: Arc<Queued>, queue: Weak<Queue>) -> Self {
        Self { inputs, queued, queue, segment_ends: Vec::new() }
    }

    /// Waits for an input, for this time at most. Returns [`Disconnected`](RecvTimeoutError::Disconnected)
    /// if the queue is closed and empty.
    ///
    /// A client that was just answered may be about to send its next command. Yielding to it costs less than
    /// sleeping and being woken.
    pub(super) fn next(&self, timeout: Duration) -> Result<Input, RecvTimeoutError> {
        /// Number of yields before the writer sleeps.
        const YIELDS: usize = 4;
        for _ in 0..YIELDS {
            if let Ok(input) = self.inputs.try_recv() {
                return Ok(input);
            }
            std::thread::yield_now();
        }
        self.inputs.recv_timeout(timeout)
    }

    /// Gathers what is in the queue: while one batch is being synced, the next one queues up. If that is fewer than
    /// `wanted`, more are waited for, for this time at most.
    pub(super) fn gather(&mut self, first: Job, wanted: usize, time_max: Duration) -> Vec<Job> {
        /// Time between two looks into the queue.
        const LOOK_INTERVAL: Duration = Duration::from_micros(200);
        // Before the batch is out of the queue.
        self.queued.is_committing.store(true, Ordering::SeqCst);
        let mut load = Load::default();
        load.add(&first);
        let mut batch = vec![first];
        let mut time = Duration::ZERO;
        while batch.len() < BATCH_COMMANDS_MAX && load.is_below_limits() {
            match self.inputs.try_recv() {
                Ok(Input::Job(job)) => {
                    load.add(&job);
                    batch.push(job);
                }
                // Every batch begins with the frames of others.
                Ok(Input::News) => {}
                Ok(Input::EndSegment(wanted)) => self.segment_ends.push(wanted),
                Err(TryRecvError::Empty) if batch.len() < wanted && time < time_max => {
                    std::thread::sleep(LOOK_INTERVAL);
                    time += LOOK_INTERVAL;
                }
                Err(_) => break,
            }
        }
        self.queued.remove(batch.len(), load.bytes);
        batch
    }

    /// Notes that the batch that was gathered is answered.
    pub(super) fn note_answered(&self) {
        self.queued.is_committing.store(false, Ordering::SeqCst);
    }

    /// Closes the queue after a failed append, and refuses what is in it.
    ///
    /// The events of the failed batch may be in the log or not. Those of all other commands are certainly not
    /// in it. The queue closes before the batch is answered, so a client that has seen such an answer cannot
    /// add a command any more.
    pub(super) fn refuse_the_rest(&self) {
        if let Some(queue) = self.queue.upgrade() {
            queue.write().take();
        }
        // The queue is closed, so this ends when it is empty.
        while let Ok(input) = self.inputs.recv() {
            let Input::Job(job) = input else { continue };
            self.queued.remove(1, job.command.payload_bytes());
            drop(job.reply.send(Err(SubmitError::ShuttingDown)));
        }
    }
}
