//! What a user sees of some chats between two positions, in the order of the log.

use std::collections::{BTreeMap, HashMap};

use crate::domain::Position;
use crate::model::{ChatIndex, Happening, MembershipChange, Model, UserIndex};

/// A merge of chats. It costs a look at each of them, and then in proportion to what is seen.
#[derive(Debug, Default)]
pub(super) struct Merge {
    /// Chats that are still to be looked at, of which the user was a member at `after`.
    unlooked: Vec<ChatIndex>,
    after: Position,
    upto: Position,
    /// Of each chat the first that is not yet seen. Every event is of one chat, so no two are at one position.
    next: BTreeMap<Position, (ChatIndex, Step)>,
}

/// What is seen of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The user was put into the chat, and sees from now on what happens there.
    Entered,
    /// A member sees this.
    Happened(Happening),
}

impl Merge {
    /// What a user sees after the one position and up to the other, who is now in these chats, after these changes
    /// since then.
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
        // Whoever was first taken out had been in.
        chats.extend(first_changes.iter().filter(|(_, is_member)| !**is_member).map(|(chat, _)| *chat));
        let entered = changes.iter().filter(|change| change.is_member && change.position <= upto);
        let next = entered.map(|change| (change.position, (change.chat, Step::Entered))).collect();
        Self { unlooked: chats, after, upto, next }
    }

    /// Looks at some chats for the first time; false when there are no more of them.
    pub(super) fn look(&mut self, model: &Model) -> bool {
        /// So many under one hold of the lock.
        const LOOKS_MAX: usize = 1024;
        let rest = self.unlooked.len().saturating_sub(LOOKS_MAX);
        for chat in self.unlooked.split_off(rest) {
            self.go_on(model, chat, self.after);
        }
        !self.unlooked.is_empty()
    }

    /// Whether all was seen.
    pub(super) fn is_done(&self) -> bool {
        self.unlooked.is_empty() && self.next.is_empty()
    }

    /// The next event that the user sees. All chats were [looked at](Self::look).
    pub(super) fn pop(&mut self, model: &Model, user: UserIndex) -> Option<(Position, ChatIndex, Step)> {
        let (position, (chat, step)) = self.next.pop_first()?;
        if step != Step::Happened(Happening::Left(user)) {
            self.go_on(model, chat, position);
        }
        Some((position, chat, step))
    }

    fn go_on(&mut self, model: &Model, chat: ChatIndex, after: Position) {
        let next = model.first_after(chat, after).filter(|(position, _)| *position <= self.upto);
        self.next.extend(next.map(|(position, happening)| (position, (chat, Step::Happened(happening)))));
    }
}
