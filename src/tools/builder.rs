//! Makes a log, event by event, by the rules that the server has.

use crate::domain::{Command, Decision, Event, IdempotencyKey, Position, Record, Stamp, Timestamp, decide};
use crate::log::{EventLog, Frame};
use crate::model::Model;

use super::{ToolError, shown};

/// A frame is written when it holds so many bytes. The shortest segment holds one.
const FRAME_BYTES: usize = 32 * 1024;

/// A log that is being made.
pub(super) struct Builder<'l> {
    log: &'l mut dyn EventLog,
    frame: Frame,
    /// Without histories, on which no rule rests.
    model: Model,
}

impl<'l> Builder<'l> {
    /// On an empty log.
    pub(super) fn on(log: &'l mut dyn EventLog) -> Result<Self, ToolError> {
        log.make_ready()?;
        let mut model = Model::default();
        drop(model.detach_histories());
        Ok(Self { log, frame: Frame::new(Position(1)), model })
    }

    /// What has come of it so far.
    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// What a command comes to; none if it changes nothing.
    ///
    /// # Errors
    ///
    /// The rule that it breaks.
    pub(super) fn decide<'c>(&self, command: &'c Command, stamp: Stamp) -> Result<Option<Event<'c>>, String> {
        let id_is_taken = match command {
            Command::AddUser { .. } => self.model.user(stamp.id.into()).is_some(),
            Command::AddChat { .. } => self.model.chat(stamp.id.into()).is_some(),
            Command::AddMessage { .. }
            | Command::AddMessages(_)
            | Command::AddMember { .. }
            | Command::RemoveMember { .. }
            | Command::MarkRead { .. } => false,
        };
        if id_is_taken {
            return Err(format!("the id {} is there already", stamp.id));
        }
        match decide(&self.model, command, &[stamp]) {
            Ok(Decision::Event(event)) => Ok(Some(event)),
            Ok(Decision::Events(_)) => unreachable!("an event comes of a command of its own"),
            Ok(Decision::Unchanged) => Ok(None),
            Err(refusal) => Err(refusal.to_string()),
        }
    }

    /// # Errors
    ///
    /// It was used before.
    pub(super) fn check_free(&self, key: &IdempotencyKey<'_>) -> Result<(), String> {
        if self.model.is_used(key) {
            return Err(format!("the idempotency key {} was used before", shown(key.text())));
        }
        Ok(())
    }

    /// # Errors
    ///
    /// It is not later than the last event.
    pub(super) fn check_later(&self, time: Timestamp) -> Result<(), String> {
        let last = self.model.time();
        let is_later = self.model.position() == Position(0) || time > last;
        if is_later { Ok(()) } else { Err(format!("the time {time} is not later than {last}, the last one")) }
    }

    /// Adds an event that was found to break no rule.
    pub(super) fn push(&mut self, record: &Record<'_>) -> Result<(), ToolError> {
        self.frame.push(record);
        self.model.try_index(record).expect("it breaks no rule");
        if self.frame.payload_bytes() >= FRAME_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), ToolError> {
        self.log.append(&mut self.frame)?;
        self.frame.restart(self.model.position().next());
        Ok(())
    }

    /// Writes what is left to be written. All is durable then.
    pub(super) fn finish(mut self) -> Result<Position, ToolError> {
        if !self.frame.is_empty() {
            self.write()?;
        }
        Ok(self.model.position())
    }
}
