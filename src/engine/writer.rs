//! The loop at the heart: gather, decide, append, apply, answer.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use parking_lot::RwLock;
use tokio::sync::oneshot;

use super::SubmitError;
use super::clock::Clock;
use super::draft::Draft;
use crate::domain::{Command, Record, Refusal, Stamp, decide};
use crate::log::{AppendError, EventLog, Frame};
use crate::model::{Model, Receipt};

/// A batch takes no more commands than this,
const BATCH_COMMANDS_MAX: usize = 1024;
/// and none after it holds this many bytes.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A command, and who waits for its answer.
pub(super) struct Job {
    pub(super) command: Command,
    pub(super) reply: oneshot::Sender<Answer>,
}

type Answer = Result<Receipt, SubmitError>;

pub(super) struct Writer {
    jobs: Receiver<Job>,
    log: Box<dyn EventLog>,
    model: Arc<RwLock<Model>>,
    clock: Clock,
    frame: Frame,
}

impl Writer {
    pub(super) fn new(jobs: Receiver<Job>, log: Box<dyn EventLog>, model: Arc<RwLock<Model>>) -> Self {
        let (position, time) = {
            let model = model.read();
            (model.position(), model.time())
        };
        Self { jobs, log, model, clock: Clock::after(time), frame: Frame::new(position.next()) }
    }

    /// Works until the queue is closed and empty, or the log fails.
    pub(super) fn run(mut self) -> Result<(), AppendError> {
        while let Ok(first) = self.jobs.recv() {
            let batch = self.gather(first);
            let answers = self.commit(&batch)?;
            for (job, answer) in batch.into_iter().zip(answers) {
                // A client that has gone away changes nothing.
                drop(job.reply.send(answer));
            }
        }
        Ok(())
    }

    /// What waits, without waiting: while one batch is being synced, the next one gathers by itself.
    fn gather(&self, first: Job) -> Vec<Job> {
        let mut bytes = first.command.bytes();
        let mut batch = vec![first];
        while batch.len() < BATCH_COMMANDS_MAX && bytes < BATCH_BYTES_MAX {
            let Ok(job) = self.jobs.try_recv() else { break };
            bytes += job.command.bytes();
            batch.push(job);
        }
        batch
    }

    /// **Invariant:** durable before visible, visible before answered. No answer, refusals included (they may rest
    /// on an event of the same batch), gets ahead of the sync.
    fn commit(&mut self, batch: &[Job]) -> Result<Vec<Answer>, AppendError> {
        let decided = self.decide(batch);
        if !self.frame.is_empty() {
            match self.log.append(&mut self.frame) {
                Ok(()) => {}
                Err(AppendError::NoRoom(error)) => {
                    tracing::error!(%error, commands = batch.len(), "refusing writes");
                    return Ok(self.refuse(batch));
                }
                Err(failed @ AppendError::Failed(_)) => return Err(failed),
            }
        }
        let mut model = self.model.write();
        Ok(decided.into_iter().map(|decided| Ok(model.apply(&decided?))).collect())
    }

    /// Decides each command on what the ones before it came to, and puts the events into the frame.
    fn decide<'b>(&mut self, batch: &'b [Job]) -> Vec<Result<Record<'b>, Refusal>> {
        let model = self.model.read();
        self.frame.restart(model.position().next());
        let mut draft = Draft::on(&model);
        batch
            .iter()
            .map(|job| {
                let stamp = self.clock.stamp();
                let event = decide(&draft, &job.command, stamp)?;
                draft.add(&event);
                let record = Record { time: stamp.time, key: None, event };
                self.frame.push(&record);
                Ok(record)
            })
            .collect()
    }

    /// The answers to a batch that the log had no room for. What was refused because of an event of the batch itself
    /// may have been refused wrongly: the rules are asked again, each command by itself.
    fn refuse(&mut self, batch: &[Job]) -> Vec<Answer> {
        let model = self.model.read();
        let stamp: Stamp = self.clock.stamp();
        batch
            .iter()
            .map(|job| match decide(&Draft::on(&model), &job.command, stamp) {
                Ok(_) => Err(SubmitError::StorageFull),
                Err(refusal) => Err(refusal.into()),
            })
            .collect()
    }
}
