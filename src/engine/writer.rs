//! The loop at the heart: gather, decide, append, apply, answer.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

use parking_lot::RwLock;
use tokio::sync::oneshot;

use super::clock::Clock;
use super::draft::Draft;
use super::live::Live;
use super::metrics::EngineMetrics;
use super::{Accepted, Queued, SubmitError};
use crate::domain::{Command, Decision, Event, IdempotencyKey, Position, Record, Refusal, Stamp, decide};
use crate::log::{AppendError, EventLog, Frame};
use crate::model::{KeyReused, Model, Outcome, Receipt};

/// A batch takes no more commands than this,
const BATCH_COMMANDS_MAX: usize = 1024;
/// and none after it holds this many bytes: readers wait while it is applied.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// A command, and who waits for its answer.
pub(super) struct Job {
    pub(super) command: Command,
    pub(super) key: Option<IdempotencyKey<'static>>,
    pub(super) reply: oneshot::Sender<Answer>,
}

type Answer = Result<Accepted, SubmitError>;

/// What is to become of a command.
enum Verdict<'b> {
    /// This is written.
    Write(Record<'b>),
    /// All of this is written.
    WriteAll(Vec<Record<'b>>),
    /// Nothing need be written; that was so at this position.
    Unchanged(Position),
    /// It was done before, under its key.
    Recalled(Receipt),
    /// The command at this index of the batch is the same, under the same key.
    SameAs(usize),
    Refused(Refusal),
}

impl<'b> Verdict<'b> {
    fn records(&self) -> &[Record<'b>] {
        match self {
            Self::Write(record) => std::slice::from_ref(record),
            Self::WriteAll(records) => records,
            Self::Unchanged(_) | Self::Recalled(_) | Self::SameAs(_) | Self::Refused(_) => &[],
        }
    }
}

/// What has become of a frame.
enum Stored {
    Durably,
    NoRoom,
}

pub(super) struct Writer {
    jobs: Receiver<Job>,
    queued: Arc<Queued>,
    log: Box<dyn EventLog>,
    model: Arc<RwLock<Model>>,
    live: Arc<Live>,
    /// Of the fan-out; a full channel holds a wake-up already.
    wake_up: SyncSender<()>,
    clock: Clock,
    frame: Frame,
    stamps: Vec<Stamp>,
    metrics: Arc<EngineMetrics>,
    /// Whether the disk was full at the last write.
    is_full: bool,
}

impl Writer {
    pub(super) fn new(
        jobs: Receiver<Job>,
        queued: Arc<Queued>,
        log: Box<dyn EventLog>,
        model: Arc<RwLock<Model>>,
        (live, wake_up): (Arc<Live>, SyncSender<()>),
        metrics: Arc<EngineMetrics>,
    ) -> Self {
        let (position, time) = {
            let model = model.read();
            (model.position(), model.time())
        };
        let (clock, frame) = (Clock::after(time), Frame::new(position.next()));
        let (stamps, is_full) = (Vec::new(), false);
        Self { jobs, queued, log, model, live, wake_up, clock, frame, stamps, metrics, is_full }
    }

    /// Works until the queue is closed and empty, or the log fails.
    pub(super) fn run(&mut self) -> Result<(), AppendError> {
        while let Some(first) = self.next() {
            let batch = self.gather(first);
            let answers = self.commit(&batch)?;
            for (job, answer) in batch.into_iter().zip(answers) {
                // **Invariant:** a client that has gone away changes nothing.
                drop(job.reply.send(answer));
            }
        }
        Ok(())
    }

    /// Waits for a command; none when the queue is closed and empty. Whoever was just answered may be about to send
    /// the next one: letting them run first costs less than falling asleep and being woken.
    fn next(&self) -> Option<Job> {
        /// So often, before it sleeps.
        const YIELDS: usize = 4;
        for _ in 0..YIELDS {
            if let Ok(job) = self.jobs.try_recv() {
                return Some(job);
            }
            std::thread::yield_now();
        }
        self.jobs.recv().ok()
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
        self.queued.remove(batch.len(), bytes);
        batch
    }

    /// **Invariant:** durable before visible, visible before answered. No answer, refusals included (they may rest
    /// on an event of the same batch), gets ahead of the sync.
    fn commit(&mut self, batch: &[Job]) -> Result<Vec<Answer>, AppendError> {
        let verdicts = self.decide(batch);
        if let Stored::NoRoom = self.store(batch.len())? {
            return Ok(self.refuse(batch));
        }
        let mut model = self.model.write();
        let events = verdicts.iter().flat_map(Verdict::records).map(|record| &record.event);
        let is_followed = self.live.note(events);
        let mut answers: Vec<Answer> = Vec::with_capacity(batch.len());
        for verdict in verdicts {
            answers.push(match verdict {
                Verdict::Write(record) => Ok(Accepted::first(model.apply(&record))),
                Verdict::WriteAll(records) => Ok(Accepted::first(apply_all(&mut model, &records))),
                Verdict::Unchanged(position) => {
                    Ok(Accepted::first(Receipt { position, outcome: Outcome::Done }))
                }
                Verdict::Recalled(receipt) => Ok(Accepted::replayed(receipt)),
                Verdict::SameAs(index) => {
                    let same = answers[index].as_ref().expect("only what is accepted uses its key up");
                    Ok(Accepted::replayed(same.receipt.clone()))
                }
                Verdict::Refused(refusal) => Err(refusal.into()),
            });
        }
        drop(model);
        if is_followed && matches!(self.wake_up.try_send(()), Err(TrySendError::Disconnected(()))) {
            // The fan-out has panicked: better no stream than one that tells nothing.
            self.live.close();
        }
        Ok(answers)
    }

    /// Makes the frame durable, if there is anything in it.
    fn store(&mut self, commands: usize) -> Result<Stored, AppendError> {
        if self.frame.is_empty() {
            return Ok(Stored::Durably);
        }
        match self.log.append(&mut self.frame) {
            Ok(()) => {
                self.metrics.observe_batch(commands);
                if std::mem::replace(&mut self.is_full, false) {
                    tracing::info!("taking writes again");
                }
                Ok(Stored::Durably)
            }
            Err(AppendError::NoRoom(error)) => {
                // Said once: a full disk may hold what is logged, too.
                if !std::mem::replace(&mut self.is_full, true) {
                    tracing::error!(%error, commands, "refusing writes");
                }
                Ok(Stored::NoRoom)
            }
            Err(failed @ AppendError::Failed(_)) => Err(failed),
        }
    }

    /// Decides each command on what the ones before it came to, and puts the events into the frame.
    fn decide<'b>(&mut self, batch: &'b [Job]) -> Vec<Verdict<'b>> {
        let model = self.model.read();
        self.frame.restart(model.position().next());
        let mut draft = Draft::on(&model);
        let mut verdicts = Vec::with_capacity(batch.len());
        for (index, job) in batch.iter().enumerate() {
            self.clock.stamp_each(&mut self.stamps, job.command.events_max());
            let verdict = judge(&model, &draft, job, &self.stamps, self.frame.last());
            for record in verdict.records() {
                draft.add(&record.event);
                if let Some(key) = &record.key {
                    draft.add_key(key, index);
                }
                self.frame.push(record);
            }
            verdicts.push(verdict);
        }
        verdicts
    }

    /// The answers to a batch that the log had no room for. What was refused because of an event of the batch itself
    /// may have been refused wrongly: each command is judged again, by itself.
    fn refuse(&mut self, batch: &[Job]) -> Vec<Answer> {
        let model = self.model.read();
        let judged = batch.iter().map(|job| {
            self.clock.stamp_each(&mut self.stamps, job.command.events_max());
            judge(&model, &Draft::on(&model), job, &self.stamps, model.position())
        });
        let answers = judged.map(|verdict| match verdict {
            Verdict::Write(_) | Verdict::WriteAll(_) | Verdict::SameAs(_) => Err(SubmitError::StorageFull),
            Verdict::Unchanged(position) => Ok(Accepted::first(Receipt { position, outcome: Outcome::Done })),
            Verdict::Recalled(receipt) => Ok(Accepted::replayed(receipt)),
            Verdict::Refused(refusal) => Err(refusal.into()),
        });
        answers.collect()
    }
}

/// What is to become of a command, given what there is and, in the draft, will be; `last` is the position of the last
/// event of it all. A key comes first: a retry is answered as the first time, whatever has happened since.
fn judge<'b>(
    model: &Model,
    draft: &Draft<'_>,
    job: &'b Job,
    stamps: &[Stamp],
    last: Position,
) -> Verdict<'b> {
    if let Some(key) = &job.key {
        match (model.recall(key, &job.command), draft.key_used(key)) {
            (Some(Ok(receipt)), _) => return Verdict::Recalled(receipt),
            (None, Some((fingerprint, index))) if fingerprint == key.fingerprint() => {
                return Verdict::SameAs(index);
            }
            (Some(Err(KeyReused)), _) | (None, Some(_)) => {
                return Verdict::Refused(Refusal::KeyReused { key: key.text().to_owned() });
            }
            (None, None) => {}
        }
    }
    let key = job.key.as_ref().map(IdempotencyKey::borrowed);
    let record = |event, key| Record { time: stamps[0].time, key, event };
    match decide(draft, &job.command, stamps) {
        Ok(Decision::Event(event)) => Verdict::Write(record(event, key)),
        Ok(Decision::Events(events)) => Verdict::WriteAll(under_key(events, stamps, key)),
        Ok(Decision::Unchanged) if key.is_some() => Verdict::Write(record(Event::NothingChanged, key)),
        Ok(Decision::Unchanged) => Verdict::Unchanged(last),
        Err(refusal) => Verdict::Refused(refusal),
    }
}

/// Records of events that happen together. Their key stands with the last of them, and so for all.
fn under_key<'b>(
    events: Vec<Event<'b>>,
    stamps: &[Stamp],
    key: Option<IdempotencyKey<'b>>,
) -> Vec<Record<'b>> {
    let record = |(event, stamp): (_, &Stamp)| Record { time: stamp.time, key: None, event };
    let mut records: Vec<_> = events.into_iter().zip(stamps).map(record).collect();
    if let Some(last) = records.last_mut() {
        last.key = key;
    }
    records
}

/// Messages that were sent together.
fn apply_all(model: &mut Model, records: &[Record<'_>]) -> Receipt {
    let mut sent = Vec::with_capacity(records.len());
    for record in records {
        if let Outcome::Message(message) = model.apply(record).outcome {
            sent.push(message);
        }
    }
    Receipt { position: model.position(), outcome: Outcome::Messages(sent) }
}
