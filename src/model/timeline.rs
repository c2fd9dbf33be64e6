//! The timeline of a chat: all its events besides messages, which are joins, leaves and read marks.

use super::directory::UserIndex;
use crate::domain::{Position, Seq};

/// Something that happened in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatEvent {
    /// A message was sent.
    Message(Seq),
    /// A user joined the chat after it was added.
    Joined(UserIndex),
    /// A user left the chat.
    Left(UserIndex),
    /// A member's read mark moved forward.
    Read {
        /// The member.
        user: UserIndex,
        /// The last message that the member has read.
        seq: Seq,
    },
}

/// An event of a chat, with its place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimelineEntry {
    /// The position of the event.
    pub position: Position,
    /// The event.
    pub event: ChatEvent,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Timeline(Vec<TimelineEntry>);

impl Timeline {
    /// Appends an event that is later than all others.
    pub(super) fn push(&mut self, entry: TimelineEntry) {
        self.0.push(entry);
    }

    /// Returns the first event after this position.
    pub(super) fn first_after(&self, position: Position) -> Option<TimelineEntry> {
        self.0.get(self.0.partition_point(|entry| entry.position <= position)).copied()
    }
}
