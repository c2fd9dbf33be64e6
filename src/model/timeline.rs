//! The timeline of a chat: all its events besides new messages.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use super::directory::UserIndex;
use super::extras::{EmojiIndex, ShortSeq};
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
    /// A message was edited.
    Edited(Seq),
    /// A message was deleted.
    Deleted(Seq),
    /// A member reacted to a message.
    Reacted {
        /// The message.
        seq: ShortSeq,
        /// The member.
        user: UserIndex,
        /// The emoji.
        emoji: EmojiIndex,
    },
    /// A member took back a reaction to a message.
    TookBack {
        /// The message.
        seq: ShortSeq,
        /// The member.
        user: UserIndex,
        /// The emoji.
        emoji: EmojiIndex,
    },
    /// The chat was edited.
    ChatEdited,
}

/// An event of a chat, with its place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimelineEntry {
    /// The position of the event.
    pub position: Position,
    /// The event.
    pub event: ChatEvent,
}

/// Of the read marks of each member, the timeline holds only the last one; so it does of the edits of a message
/// and of the chat. It holds no reaction that was taken back, and no edit of a deleted message or reaction to it.
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

    /// Removes an event.
    pub(super) fn remove(&mut self, position: Position) {
        self.0.remove(&position);
    }

    /// Removes the ends of a user's reactions. Returns the messages that they were to.
    pub(super) fn remove_taken_back(&mut self, of: UserIndex) -> Vec<Seq> {
        let mut seqs = Vec::new();
        self.0.retain(|_, event| {
            if let ChatEvent::TookBack { seq, user, .. } = *event
                && user == of
            {
                seqs.push(seq.into());
                return false;
            }
            true
        });
        seqs
    }

    /// Returns the first event after this position.
    pub(super) fn first_after(&self, position: Position) -> Option<TimelineEntry> {
        let (&position, &event) = self.0.range((Excluded(position), Unbounded)).next()?;
        Some(TimelineEntry { position, event })
    }
}
