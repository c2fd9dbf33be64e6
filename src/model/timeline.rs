//! The timeline of a chat: all its events besides messages, which are joins, leaves and read marks.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

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

/// Of the read marks of each member, the timeline holds only the last one.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Timeline(BTreeMap<Position, ChatEvent>);

impl Timeline {
    /// Appends an event that is later than all others, and removes the one at `overtaken`.
    pub(super) fn push(&mut self, entry: TimelineEntry, overtaken: Option<Position>) {
        if let Some(position) = overtaken {
            self.0.remove(&position);
        }
        self.0.insert(entry.position, entry.event);
    }

    /// Returns the first event after this position.
    pub(super) fn first_after(&self, position: Position) -> Option<TimelineEntry> {
        let (&position, &event) = self.0.range((Excluded(position), Unbounded)).next()?;
        Some(TimelineEntry { position, event })
    }
}
