//! Views of what the model holds of one person.

use std::collections::HashSet;
use std::sync::Arc;

use super::Model;
use super::chunk::MessageRun;
use super::directory::{ChatIndex, UserIndex};
use super::extras::ReactionKey;
use crate::domain::{Seq, Timestamp};

/// A reaction of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnReaction {
    /// The message.
    pub seq: Seq,
    /// The emoji.
    pub emoji: Arc<str>,
    /// The time.
    pub at: Timestamp,
}

impl Model {
    /// Returns the chats that the user is or was a member of, each once, in the order of the first joining.
    #[must_use]
    pub fn chats_ever_of(&self, user: UserIndex) -> Vec<ChatIndex> {
        let mut seen = HashSet::new();
        let chats = self.stays(user).iter().map(|stay| stay.chat);
        chats.filter(|chat| seen.insert(*chat)).collect()
    }

    /// Returns the seq up to which the user has read the chat, or 0.
    #[must_use]
    pub fn mark_of(&self, chat: ChatIndex, user: UserIndex) -> Seq {
        self.index.mark_of(chat, user)
    }

    /// Returns the first messages of the chat from this one on that lie together and may be by the user, or `None` if
    /// there are none. Others are among them.
    #[must_use]
    pub fn run_by(&self, chat: ChatIndex, user: UserIndex, from: Seq) -> Option<MessageRun> {
        self.histories.of(chat).run_by(user, from)
    }

    /// Returns the user's reactions among the next `looks_max` reactions in the chat after one, and the reaction to go on
    /// after, if there may be more.
    #[must_use]
    pub fn reactions_by(
        &self,
        chat: ChatIndex,
        user: UserIndex,
        after: Option<ReactionKey>,
        looks_max: usize,
    ) -> (Vec<OwnReaction>, Option<ReactionKey>) {
        let Some(changes) = self.histories.of(chat).changes() else { return (Vec::new(), None) };
        let (of_user, next) = changes.reactions_by(user, after, looks_max);
        let text = |emoji| Arc::clone(self.histories.emoji().text(emoji));
        let view = |(seq, emoji, at)| OwnReaction { seq, emoji: text(emoji), at };
        (of_user.into_iter().map(view).collect(), next)
    }
}
