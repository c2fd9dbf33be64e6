//! Erasures: what is to leave the disk of a log. Its events say so: texts that were edited or deleted, names that were
//! changed, users who were erased.

use std::collections::HashMap;

use super::{ChatId, ErasedMessages, Event, Position, Record, Seq, Timestamp, UserId};

/// What is to leave the disk.
#[derive(Debug, Default)]
pub struct Erasures {
    /// What was edited or deleted up to this time is due. What is to be erased is due at once.
    until: Timestamp,
    pub(super) messages: HashMap<(ChatId, Seq), Due>,
    pub(super) chats: HashMap<ChatId, Due>,
    pub(super) users: HashMap<UserId, Due>,
    pub(super) erased: HashMap<UserId, ErasedMessages>,
}

/// The positions before which what is written of a message, chat or user is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// That of the text or the name.
    pub(super) text: Position,
    pub(super) metadata: Position,
}

impl Due {
    pub(super) const ALL: Self = Self { text: Position(u64::MAX), metadata: Position(u64::MAX) };

    fn supersede(&mut self, position: Position, text: bool, metadata: bool) {
        if text {
            self.text = self.text.max(position);
        }
        if metadata {
            self.metadata = self.metadata.max(position);
        }
    }
}

impl Erasures {
    /// Returns an empty set, to which that will belong which was edited or deleted up to this time.
    #[must_use]
    pub fn of_changes_until(until: Timestamp) -> Self {
        Self { until, ..Self::default() }
    }

    /// Notes what an event makes due. All events are to be noted, in order.
    pub fn note(&mut self, position: Position, record: &Record<'_>) {
        let is_due = record.time <= self.until;
        match &record.event {
            Event::MessageEdited { chat, seq, text, metadata, .. } if is_due => {
                let due = self.messages.entry((*chat, *seq)).or_default();
                due.supersede(position, text.is_some(), metadata.is_some());
            }
            Event::MessageDeleted { chat, seq, erase, .. } if is_due || *erase => {
                self.messages.insert((*chat, *seq), Due::ALL);
            }
            Event::ChatEdited { chat, name, metadata } if is_due => {
                let due = self.chats.entry(*chat).or_default();
                due.supersede(position, name.is_some(), metadata.is_some());
            }
            Event::UserEdited { user, username, metadata } if is_due => {
                let due = self.users.entry(*user).or_default();
                due.supersede(position, username.is_some(), metadata.is_some());
            }
            Event::UserErased { user, messages } => {
                self.users.insert(*user, Due::ALL);
                self.erased.insert(*user, *messages);
            }
            Event::MessageEdited { .. }
            | Event::MessageDeleted { .. }
            | Event::ChatEdited { .. }
            | Event::UserEdited { .. }
            | Event::UserAdded { .. }
            | Event::ChatAdded { .. }
            | Event::NamelessChatAdded { .. }
            | Event::DirectChatAdded { .. }
            | Event::MessageAdded { .. }
            | Event::MessageAddedWith { .. }
            | Event::MemberAdded { .. }
            | Event::MemberRemoved { .. }
            | Event::ReadMarked { .. }
            | Event::ReactionAdded { .. }
            | Event::ReactionRemoved { .. }
            | Event::NothingChanged
            | Event::AlreadySo { .. }
            | Event::TokensRevoked { .. } => {}
        }
    }

    /// Returns whether nothing is due.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.chats.is_empty() && self.users.is_empty()
    }

    /// Returns the messages of which something is due. Those of erased users are not among them.
    pub fn messages(&self) -> impl Iterator<Item = (ChatId, Seq)> {
        self.messages.keys().copied()
    }
}
