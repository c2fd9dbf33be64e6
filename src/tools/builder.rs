//! Builds a log event by event, by the server's rules.

use crate::domain::{
    Actor, Command, Decision, Event, Facts, IdempotencyKey, Position, Record, Stamp, Timestamp, decide,
};
use crate::log::{EventLog, Frame};
use crate::model::Index;

use super::{ToolError, shown};

/// Payload length at which a frame is written, if it does not have all actors before. The shortest segment has room for such a frame.
const FRAME_BYTES: usize = 32 * 1024;

/// A log that is being built.
pub(super) struct Builder<'l> {
    /// The log to write to, or `None` if events are only checked.
    log: Option<&'l mut dyn EventLog>,
    frame: Frame,
    index: Index,
}

impl<'l> Builder<'l> {
    /// Returns a builder on an empty log.
    pub(super) fn on(log: &'l mut dyn EventLog) -> Result<Self, ToolError> {
        log.make_ready()?;
        Ok(Self { log: Some(log), ..Self::without_log() })
    }

    /// Returns a builder that checks events and writes nothing.
    pub(super) fn without_log() -> Self {
        Self { log: None, frame: Frame::new(Position(1)), index: Index::default() }
    }

    /// Returns the index of the events so far.
    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// Returns the event that the command becomes, or `None` if it changes nothing.
    ///
    /// # Errors
    ///
    /// Returns the rule that the command breaks.
    pub(super) fn decide<'c>(&self, command: &'c Command, stamp: Stamp) -> Result<Option<Event<'c>>, String> {
        let adds_user = matches!(command, Command::AddUser { .. });
        let adds_chat = matches!(command, Command::AddChat { .. });
        if adds_user && self.index.user_exists(stamp.id.into())
            || adds_chat && self.index.chat_exists(stamp.id.into())
        {
            return Err(format!("the id {} already exists", stamp.id));
        }
        // The server, not the history, decides who may ask for a command.
        match decide(&self.index, command, &Actor::Unknown, &[stamp]) {
            Ok(Decision::Event(event)) => Ok(Some(event)),
            Ok(Decision::Events(_)) => unreachable!("each event has a command of its own"),
            Ok(Decision::Unchanged) => Ok(None),
            Err(refusal) => Err(refusal.to_string()),
        }
    }

    /// Checks that the key was not used before.
    pub(super) fn check_free(&self, key: &IdempotencyKey<'_>) -> Result<(), String> {
        if self.index.is_used(key) {
            return Err(format!("the idempotency key {} was used before", shown(key.text())));
        }
        Ok(())
    }

    /// Checks that the time is later than that of the last event.
    pub(super) fn check_later(&self, time: Timestamp) -> Result<(), String> {
        let last = self.index.time();
        let is_later = self.index.position() == Position(0) || time > last;
        if is_later { Ok(()) } else { Err(format!("the time {time} is not later than {last}, the last one")) }
    }

    /// Adds an event that breaks no rule.
    pub(super) fn push(&mut self, record: &Record<'_>) -> Result<(), ToolError> {
        self.frame.push(record);
        self.index.try_apply(record).expect("it breaks no rule");
        let is_full = self.frame.payload_bytes() >= FRAME_BYTES || self.frame.has_all_actors();
        if is_full { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), ToolError> {
        if let Some(log) = &mut self.log {
            log.append(&mut self.frame)?;
        }
        self.frame.restart(self.index.position().next());
        Ok(())
    }

    /// Writes the last frame, and returns the last position. All events are durable then.
    pub(super) fn finish(mut self) -> Result<Position, ToolError> {
        if !self.frame.is_empty() {
            self.write()?;
        }
        Ok(self.index.position())
    }
}
