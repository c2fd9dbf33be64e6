//! The writer: the loop that makes commands durable. It gathers, decides, appends, applies and answers.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use super::clock::Clock;
use super::draft::Draft;
use super::inbox::{Inbox, Input, Job};
use super::live::Live;
use super::metrics::EngineMetrics;
use super::projector;
use super::{Accepted, Answer, SubmitError};
use crate::domain::{
    Actor, Command, Decision, Event, IdempotencyKey, Position, Record, Refusal, Stamp, Timestamp, decide,
};
use crate::log::{AppendError, Caught, EventLog, Frame, LogError, SealedFrame};
use crate::model::{KeyReused, Model, Outcome, Receipt};

/// The resolution of one command of a batch.
enum Resolution<'b> {
    /// The record is to be written.
    Write(Record<'b>),
    /// All these records are to be written.
    WriteAll(Vec<Record<'b>>),
    /// The record is to be written, because it has a key, and says that nothing changed. This is the answer.
    Unchanged(Record<'b>, Outcome),
    /// The command at this index of the batch is the same request, with the same key.
    SameAs(usize),
    /// Nothing is to be written, and this is the answer.
    Answered(Answer),
}

impl<'b> Resolution<'b> {
    fn records(&self) -> &[Record<'b>] {
        match self {
            Self::Write(record) | Self::Unchanged(record, _) => std::slice::from_ref(record),
            Self::WriteAll(records) => records,
            Self::SameAs(_) | Self::Answered(_) => &[],
        }
    }
}

/// The result of an attempt to store a batch.
enum Stored {
    Durably,
    /// Others have changed what the batch was decided on.
    Superseded,
    NoRoom,
    /// The log cannot be reached, and does not have the batch.
    Not,
    /// The log cannot be reached, and may have the batch.
    Perhaps,
}

/// The readers of the model.
pub(super) struct Readers {
    pub(super) model: Arc<RwLock<Model>>,
    pub(super) live: Arc<Live>,
    /// Wakes the fan-out. A full channel already holds a wake-up.
    pub(super) wake_up: SyncSender<()>,
}

impl Readers {
    /// Shows a frame of another server. If it cannot be used, returns the cause.
    pub(super) fn show(&self, frame: &SealedFrame<'_>) -> Result<(), String> {
        let records: Result<Vec<_>, _> = frame.records().collect();
        let records = records.map_err(|error| error.to_string())?;
        let mut model = self.model.write();
        let is_followed = self.live.note(records.iter().map(|record| &record.event));
        model.enter_epoch(frame.epoch);
        for record in &records {
            let position = model.position().next();
            model.try_apply(record).ok_or_else(|| projector::contradiction(position))?;
        }
        drop(model);
        self.wake(is_followed);
        Ok(())
    }

    /// Wakes those who wait for what the model has now.
    fn wake(&self, is_followed: bool) {
        self.live.note_moved();
        if is_followed && matches!(self.wake_up.try_send(()), Err(TrySendError::Disconnected(()))) {
            // The fan-out has panicked. A closed stream is better than one without events.
            self.live.close();
        }
    }
}

pub(super) struct Writer {
    inbox: Inbox,
    log: Box<dyn EventLog>,
    pub(super) readers: Readers,
    pub(super) clock: Clock,
    frame: Frame,
    stamps: Vec<Stamp>,
    metrics: Arc<EngineMetrics>,
    /// Length of a frame for which there must be room if the server is to be writable.
    needed_bytes: usize,
    /// The time at which the log was last asked for room, or refused a frame.
    looked_for_room: Option<Instant>,
}

/// Time for which a batch is decided again and again because other servers are faster.
const SUPERSEDED_TIMEOUT: Duration = Duration::from_secs(10);

/// Time between two looks for room. Every write that arrives meanwhile is tried as well.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two looks for frames of others that are known to be there.
const BEHIND_INTERVAL: Duration = Duration::from_millis(2);

/// Length of a frame with the longest message, roughly.
const USUAL_FRAME_BYTES_MAX: usize = 17 * 1024;

impl Writer {
    pub(super) fn new(
        inbox: Inbox,
        log: Box<dyn EventLog>,
        readers: Readers,
        metrics: Arc<EngineMetrics>,
    ) -> Self {
        let (position, time) = {
            let model = readers.model.read();
            (model.position(), model.index().time())
        };
        let (clock, frame) = (Clock::after(time), Frame::new(position.next()));
        let (stamps, needed_bytes, looked_for_room) = (Vec::new(), USUAL_FRAME_BYTES_MAX, None);
        Self { inbox, log, readers, clock, frame, stamps, metrics, needed_bytes, looked_for_room }
    }

    /// Runs until the queue is closed and empty, or the log fails.
    pub(super) fn run(&mut self) -> Result<(), AppendError> {
        let ended = self.run_until_closed();
        if ended.is_err() {
            self.inbox.refuse_the_rest();
        }
        ended
    }

    fn run_until_closed(&mut self) -> Result<(), AppendError> {
        // The writes of those who wait for an answer, if each of them sends another one after it.
        let mut wanted = 0;
        while let Some(first) = self.next_job()? {
            let batch = self.inbox.gather(first, wanted, self.log.gather_time());
            // After a failure, the batch is dropped without an answer, which `submit` returns as
            // `SubmitError::Failed`.
            let answers = self.commit(&batch)?;
            wanted = batch.len() + self.inbox.queued.writes();
            for (job, answer) in batch.into_iter().zip(answers) {
                // **Invariant:** a client that goes away changes nothing.
                drop(job.reply.send(answer));
            }
            self.inbox.note_answered();
            for ended in std::mem::take(&mut self.inbox.segment_ends) {
                self.end_segment(&ended)?;
            }
        }
        Ok(())
    }

    fn end_segment(&mut self, ended: &SyncSender<()>) -> Result<(), AppendError> {
        self.log.end_segment().map_err(AppendError::Failed)?;
        // The receiver may have stopped.
        ended.try_send(()).unwrap_or_default();
        Ok(())
    }

    /// Waits for a command. In between, it looks for room, and takes in what others have written. Returns `None` if the
    /// queue is closed and empty.
    fn next_job(&mut self) -> Result<Option<Job>, AppendError> {
        loop {
            if self.looked_for_room.is_none_or(|looked| looked.elapsed() >= ROOM_INTERVAL) {
                self.look_for_room();
            }
            // A node may say that it has a message before all of them give it.
            let interval = if self.log.is_behind() { BEHIND_INTERVAL } else { ROOM_INTERVAL };
            match self.inbox.next(interval) {
                Ok(Input::Job(job)) => return Ok(Some(job)),
                Ok(Input::News) | Err(RecvTimeoutError::Timeout) => self.take_in_others()?,
                Ok(Input::EndSegment(ended)) => self.end_segment(&ended)?,
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    pub(super) fn take_in_others(&mut self) -> Result<(), AppendError> {
        self.log.others(&mut |frame| self.readers.show(&frame)).map_err(AppendError::Failed)
    }

    /// Looks whether there is room for writes, so that [`is_writable`](super::Engine::is_writable) does not
    /// wait for a client's write to change.
    fn look_for_room(&mut self) {
        self.looked_for_room = Some(Instant::now());
        match self.log.look_for_room(self.needed_bytes) {
            // It is not known yet.
            None => {}
            Some(Err(error)) => self.note_no_room(self.needed_bytes, &error),
            Some(Ok(())) => {
                if !self.metrics.has_room() {
                    tracing::info!("accepting writes again");
                }
                self.needed_bytes = USUAL_FRAME_BYTES_MAX;
                self.metrics.set_has_room(true);
            }
        }
    }

    /// Notes that the log has no room for a frame of this length.
    fn note_no_room(&mut self, bytes: usize, error: &LogError) {
        // Logged once: the full disk may also hold the process's log messages.
        if self.metrics.has_room() {
            tracing::error!(%error, bytes, "refusing writes");
        }
        // A shorter frame may fit where this one does not.
        self.needed_bytes = self.needed_bytes.max(bytes);
        self.looked_for_room = Some(Instant::now());
        self.metrics.set_has_room(false);
    }

    /// Decides a batch, makes it durable, applies it, and returns the answers.
    ///
    /// **Invariant:** durable before visible, visible before answered. No answer is sent before the sync.
    /// This includes refusals, because a refusal may rest on an event of the same batch.
    pub(super) fn commit(&mut self, batch: &[Job]) -> Result<Vec<Answer>, AppendError> {
        let mut superseded_since = None;
        loop {
            self.take_in_others()?;
            let resolutions = self.decide(batch);
            if resolutions.len() < batch.len() {
                let decided = resolutions.len();
                return self.commit_in_parts(batch, decided);
            }
            if self.frame.sealed_bytes() > self.log.frame_bytes_max() {
                if batch.len() == 1 {
                    let (bytes, bytes_max) = (self.frame.sealed_bytes(), self.log.frame_bytes_max());
                    return Ok(vec![Err(SubmitError::TooLarge { bytes, bytes_max })]);
                }
                return self.commit_in_parts(batch, batch.len() / 2);
            }
            match self.store(&resolutions)? {
                Stored::Durably => {
                    if !self.frame.is_empty() {
                        self.metrics.observe_batch(batch.len());
                    }
                    return Ok(self.apply(resolutions));
                }
                Stored::NoRoom => return Ok(self.refuse(batch)),
                Stored::Not => return Ok(unstored(resolutions, || SubmitError::Unavailable)),
                Stored::Perhaps => return Ok(unstored(resolutions, || SubmitError::Unconfirmed)),
                Stored::Superseded => {
                    let since = *superseded_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > SUPERSEDED_TIMEOUT {
                        return Ok(unstored(resolutions, || SubmitError::Unavailable));
                    }
                }
            }
        }
    }

    /// Commits a batch in two parts, the first of which has this number of commands.
    fn commit_in_parts(&mut self, batch: &[Job], first: usize) -> Result<Vec<Answer>, AppendError> {
        let (first, second) = batch.split_at(first);
        let mut answers = self.commit(first)?;
        answers.extend(self.commit(second)?);
        Ok(answers)
    }

    /// Makes the frame durable. If it is empty, the batch's answers are confirmed.
    fn store(&mut self, resolutions: &[Resolution<'_>]) -> Result<Stored, AppendError> {
        if self.frame.is_empty() {
            return self.confirm(resolutions);
        }
        match self.log.append(&mut self.frame) {
            Ok(()) => Ok(Stored::Durably),
            Err(AppendError::NoRoom(error)) => {
                self.note_no_room(self.frame.sealed_bytes(), &error);
                self.catch_up(Stored::NoRoom)
            }
            Err(AppendError::Superseded) => Ok(Stored::Superseded),
            Err(AppendError::Unavailable) => Ok(Stored::Not),
            Err(AppendError::Unconfirmed) => Ok(Stored::Perhaps),
            Err(failed @ AppendError::Failed(_)) => Err(failed),
        }
    }

    /// Confirms the answers to a batch without events: what they rest on must be the latest that there is. What is
    /// recalled by its key stays so for ever.
    fn confirm(&mut self, resolutions: &[Resolution<'_>]) -> Result<Stored, AppendError> {
        let is_recalled = |resolution: &Resolution<'_>| {
            matches!(resolution, Resolution::Answered(Ok(Accepted { replayed: true, .. })))
        };
        if resolutions.iter().all(is_recalled) { Ok(Stored::Durably) } else { self.catch_up(Stored::Durably) }
    }

    /// Returns `outcome` if nobody else has written anything that is not taken in.
    fn catch_up(&mut self, outcome: Stored) -> Result<Stored, AppendError> {
        let caught = self.log.catch_up(&mut |frame| self.readers.show(&frame));
        Ok(match caught.map_err(AppendError::Failed)? {
            Caught::Nothing => outcome,
            Caught::Events => Stored::Superseded,
            Caught::Unreachable => Stored::Not,
        })
    }

    /// Applies a batch that is durable, and returns the answers.
    fn apply(&mut self, resolutions: Vec<Resolution<'_>>) -> Vec<Answer> {
        let mut model = self.readers.model.write();
        let events = resolutions.iter().flat_map(Resolution::records).map(|record| &record.event);
        let is_followed = self.readers.live.note(events);
        if !self.frame.is_empty() {
            model.enter_epoch(self.log.epoch());
        }
        let mut answers: Vec<Answer> = Vec::with_capacity(resolutions.len());
        for resolution in resolutions {
            answers.push(match resolution {
                Resolution::Write(record) => Ok(Accepted::first(model.apply(&record))),
                Resolution::WriteAll(records) => Ok(Accepted::first(apply_all(&mut model, &records))),
                Resolution::Unchanged(record, outcome) => {
                    Ok(Accepted::first(Receipt { outcome, ..model.apply(&record) }))
                }
                Resolution::SameAs(index) => {
                    let same = answers[index].as_ref().expect("only an accepted command uses its key");
                    Ok(Accepted::replayed(same.receipt.clone()))
                }
                Resolution::Answered(answer) => answer,
            });
        }
        drop(model);
        self.readers.wake(is_followed);
        answers
    }

    /// Decides each command on the results of the commands before it, and pushes the events to the frame. Stops before a
    /// command that [must wait](Draft::must_wait) for the next batch.
    fn decide<'b>(&mut self, batch: &'b [Job]) -> Vec<Resolution<'b>> {
        let model = self.readers.model.read();
        self.clock.read(model.index().time());
        self.frame.restart(model.position().next());
        let mut draft = Draft::on(&model);
        let mut resolutions = Vec::with_capacity(batch.len());
        for (index, job) in batch.iter().enumerate() {
            if draft.must_wait(&job.command) {
                break;
            }
            self.clock.stamp_each(&mut self.stamps, job.command.events_max());
            let resolution = resolve(&model, &draft, job, &self.stamps, self.frame.last());
            for record in resolution.records() {
                draft.add(&record.event);
                if let Some(key) = &record.key {
                    draft.add_key(key, index);
                }
                self.frame.push(record);
            }
            resolutions.push(resolution);
        }
        resolutions
    }

    /// Answers a batch for which the log had no room. A command that was refused because of an event of the
    /// same batch may have been refused wrongly, so each command is decided again by itself.
    fn refuse(&mut self, batch: &[Job]) -> Vec<Answer> {
        let model = self.readers.model.read();
        let resolutions = batch.iter().map(|job| {
            self.clock.stamp_each(&mut self.stamps, job.command.events_max());
            resolve(&model, &Draft::on(&model), job, &self.stamps, model.position())
        });
        let answers = resolutions.map(|resolution| match resolution {
            Resolution::Write(_)
            | Resolution::WriteAll(_)
            | Resolution::Unchanged(..)
            | Resolution::SameAs(_) => Err(SubmitError::StorageFull),
            Resolution::Answered(answer) => answer,
        });
        answers.collect()
    }
}

/// Answers a batch on a log that cannot be reached, in which its events have this outcome. Only what is recalled by its
/// key is certain. What a refusal rests on may be an event of the batch, or no longer be the latest that there is.
fn unstored(resolutions: Vec<Resolution<'_>>, outcome: impl Fn() -> SubmitError) -> Vec<Answer> {
    let answers = resolutions.into_iter().map(|resolution| match resolution {
        Resolution::Write(_)
        | Resolution::WriteAll(_)
        | Resolution::Unchanged(..)
        | Resolution::SameAs(_) => Err(outcome()),
        Resolution::Answered(recalled @ Ok(Accepted { replayed: true, .. })) => recalled,
        Resolution::Answered(_) => Err(SubmitError::Unavailable),
    });
    answers.collect()
}

/// Resolves a command on the model and on the draft of its batch. `last` is the position of the draft's last
/// event. The key is checked first: a retry gets the answer of the first request, whatever has happened
/// since.
fn resolve<'b>(
    model: &Model,
    draft: &Draft<'_>,
    job: &'b Job,
    stamps: &[Stamp],
    last: Position,
) -> Resolution<'b> {
    if let Some(key) = &job.key {
        match (model.recall(key, &job.command), draft.drafted_key(key)) {
            (Some(Ok(receipt)), _) => return Resolution::Answered(Ok(Accepted::replayed(receipt))),
            (None, Some(drafted)) if drafted.fingerprint == key.fingerprint() => {
                return Resolution::SameAs(drafted.command);
            }
            (Some(Err(KeyReused)), _) | (None, Some(_)) => {
                let reused = Refusal::KeyReused { key: key.text().to_owned() };
                return Resolution::Answered(Err(reused.into()));
            }
            (None, None) => {}
        }
    }
    let key = job.key.as_ref().map(IdempotencyKey::borrowed);
    let record = |event, key| Record { time: stamps[0].time, by: job.by.borrowed(), key, event };
    let (event, outcome) = match decide(draft, &job.command, &job.by, stamps) {
        Ok(Decision::Event(event)) => return Resolution::Write(record(event, key)),
        Ok(Decision::Events(events)) => {
            return Resolution::WriteAll(under_key(events, stamps, &job.by, key));
        }
        Ok(Decision::Unchanged) => (already_so(&job.command, None), Outcome::Done),
        Ok(Decision::NothingEdited(edited_at)) => {
            (already_so(&job.command, edited_at), Outcome::EditedAt(edited_at))
        }
        Ok(Decision::ChatExists(chat)) => (Event::NothingChanged, Outcome::ExistingChat(chat)),
        Err(refusal) => return Resolution::Answered(Err(refusal.into())),
    };
    match key {
        // Under a key, a command that changed nothing is an event also: a late retry could undo what happened in between.
        Some(_) => Resolution::Unchanged(record(event, key), outcome),
        None => unchanged(last, outcome),
    }
}

/// Returns the event of a command under a key that changed nothing.
fn already_so(command: &Command, edited_at: Option<Timestamp>) -> Event<'static> {
    let (chat, seq, user) = match command {
        Command::EditMessage(edit) => (Some(edit.chat), Some(edit.seq), edit.user),
        Command::AddReaction(reaction) | Command::RemoveReaction(reaction) => {
            (Some(reaction.chat), Some(reaction.seq), Some(reaction.user))
        }
        Command::EditChat { chat, .. } => (Some(*chat), None, None),
        Command::EditUser { user, .. } => (None, None, Some(*user)),
        // The fingerprints of the others are no digests of what may be erased.
        Command::AddUser { .. }
        | Command::AddChat { .. }
        | Command::AddDirectChat { .. }
        | Command::AddMessage(_)
        | Command::AddMessages(_)
        | Command::AddMember { .. }
        | Command::RemoveMember { .. }
        | Command::MarkRead { .. }
        | Command::RevokeTokens { .. }
        | Command::DeleteMessage { .. }
        | Command::EraseUser { .. } => return Event::NothingChanged,
    };
    Event::AlreadySo { chat, seq, user, edited_at }
}

fn unchanged<'b>(position: Position, outcome: Outcome) -> Resolution<'b> {
    Resolution::Answered(Ok(Accepted::first(Receipt { position, outcome })))
}

/// Returns the records of events that happen together. The last record holds the key of them all.
fn under_key<'b>(
    events: Vec<Event<'b>>,
    stamps: &[Stamp],
    by: &'b Actor<'_>,
    key: Option<IdempotencyKey<'b>>,
) -> Vec<Record<'b>> {
    let record =
        |(event, stamp): (_, &Stamp)| Record { time: stamp.time, by: by.borrowed(), key: None, event };
    let mut records: Vec<_> = events.into_iter().zip(stamps).map(record).collect();
    if let Some(last) = records.last_mut() {
        last.key = key;
    }
    records
}

/// Applies messages that are sent together, and returns their common receipt.
fn apply_all(model: &mut Model, records: &[Record<'_>]) -> Receipt {
    let mut sent = Vec::with_capacity(records.len());
    for record in records {
        if let Outcome::Message(message) = model.apply(record).outcome {
            sent.push(message);
        }
    }
    Receipt { position: model.position(), outcome: Outcome::Messages(sent) }
}
