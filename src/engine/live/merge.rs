//! Merges the events of several chats between two positions, as a user sees them, in the order of the log.

use std::collections::{BTreeMap, HashMap};

use crate::domain::Position;
use crate::model::{ChatEvent, ChatIndex, MembershipChange, Model, UserIndex};

/// A merge of chats. It looks once at each chat; after that, its cost is proportional to the number of
/// events.
#[derive(Debug, Default)]
pub(super) struct Merge {
    /// The chats that are not looked at yet. The user was a member of them at `after`.
    unlooked: Vec<ChatIndex>,
    after: Position,
    upto: Position,
    /// The next event of each chat. An event is of one chat only, so no two entries have the same position.
    next: BTreeMap<Position, FeedEntry>,
}

/// An event that the user sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FeedEntry {
    /// The user joined the chat, and sees from now on what happens in it.
    Entered(ChatIndex),
    /// Something happened in a chat of which the user was a member.
    Happened {
        /// The chat.
        chat: ChatIndex,
        /// The event.
        event: ChatEvent,
    },
}

impl Merge {
    /// Returns the merge of what a user sees after position `after` and up to position `upto`. `chats` are
    /// the user's chats as they are now, `changes` the changes of membership since `after`.
    pub(super) fn new(
        mut chats: Vec<ChatIndex>,
        changes: &[MembershipChange],
        after: Position,
        upto: Position,
    ) -> Self {
        let mut first_changes = HashMap::new();
        for change in changes {
            first_changes.entry(change.chat).or_insert(change.is_member);
        }
        chats.retain(|chat| !first_changes.contains_key(chat));
        // A user whose first change is to leave was a member before.
        chats.extend(first_changes.iter().filter(|(_, is_member)| !**is_member).map(|(chat, _)| *chat));
        let entered = changes.iter().filter(|change| change.is_member && change.position <= upto);
        let next = entered.map(|change| (change.position, FeedEntry::Entered(change.chat))).collect();
        Self { unlooked: chats, after, upto, next }
    }

    /// Looks at some chats for the first time. Returns whether more chats are left to look at.
    pub(super) fn look(&mut self, model: &Model) -> bool {
        /// Maximum chats that are looked at while the lock is held once.
        const LOOKS_MAX: usize = 1024;
        let rest = self.unlooked.len().saturating_sub(LOOKS_MAX);
        for chat in self.unlooked.split_off(rest) {
            self.go_on(model, chat, self.after);
        }
        !self.unlooked.is_empty()
    }

    /// Returns whether the user has seen everything.
    pub(super) fn is_done(&self) -> bool {
        self.unlooked.is_empty() && self.next.is_empty()
    }

    /// Removes and returns the next event. All chats must have been [looked at](Self::look).
    pub(super) fn pop(&mut self, model: &Model, user: UserIndex) -> Option<(Position, FeedEntry)> {
        let (position, entry) = self.next.pop_first()?;
        match entry {
            FeedEntry::Happened { event, .. } if event == ChatEvent::Left(user) => {}
            FeedEntry::Entered(chat) | FeedEntry::Happened { chat, .. } => self.go_on(model, chat, position),
        }
        Some((position, entry))
    }

    fn go_on(&mut self, model: &Model, chat: ChatIndex, after: Position) {
        let next = model.first_after(chat, after).filter(|next| next.position <= self.upto);
        self.next.extend(next.map(|next| (next.position, FeedEntry::Happened { chat, event: next.event })));
    }
}
