//! What the rules ask for.

use super::Model;
use super::index::Index;
use crate::domain::{ChatId, Deletion, ErasedMessages, Facts, MessageFacts, ReactionFacts, Seq, UserId};

/// The index knows all but the messages: to it, no message exists.
impl Facts for Index {
    fn user_exists(&self, user: UserId) -> bool {
        self.directory.user(user).is_some()
    }

    fn user_named(&self, username: &str) -> Option<UserId> {
        self.directory.user_named(username).map(|user| self.directory.user_entry(user).id)
    }

    fn erasure(&self, user: UserId) -> Option<ErasedMessages> {
        self.erasure_of(self.directory.user(user)?).map(|(_, messages)| messages)
    }

    fn user_metadata(&self, user: UserId) -> Option<&str> {
        self.directory.user_metadata(self.directory.user(user)?).map(|json| &**json)
    }

    fn chat_exists(&self, chat: ChatId) -> bool {
        self.directory.chat(chat).is_some()
    }

    fn chat_named(&self, name: &str) -> Option<ChatId> {
        self.directory.chat_named(name).map(|chat| self.directory.chat_entry(chat).id)
    }

    fn direct_chat(&self, users: [UserId; 2]) -> Option<ChatId> {
        let [one, other] = users.map(|user| self.directory.user(user));
        self.directory.direct_chat([one?, other?]).map(|chat| self.directory.chat_entry(chat).id)
    }

    fn is_direct(&self, chat: ChatId) -> bool {
        self.directory.chat(chat).is_some_and(|chat| self.directory.chat_entry(chat).is_direct)
    }

    fn chat_metadata(&self, chat: ChatId) -> Option<&str> {
        self.directory.chat_metadata(self.directory.chat(chat)?).map(|json| &**json)
    }

    fn is_member(&self, chat: ChatId, user: UserId) -> bool {
        let (chat, user) = (self.directory.chat(chat), self.directory.user(user));
        chat.zip(user).is_some_and(|(chat, user)| self.directory.has_member(chat, user))
    }

    fn last_seq(&self, chat: ChatId) -> Seq {
        self.directory.chat(chat).map_or(Seq(0), |chat| self.activity.newest_seq(chat))
    }

    fn read_mark(&self, chat: ChatId, user: UserId) -> Seq {
        let (chat, user) = (self.directory.chat(chat), self.directory.user(user));
        chat.zip(user).map_or(Seq(0), |(chat, user)| self.mark_of(chat, user))
    }

    fn tokens_from(&self, user: UserId) -> u64 {
        self.directory.user(user).map_or(0, |user| self.tokens_from_of(user))
    }

    fn message(&self, _chat: ChatId, _seq: Seq) -> Option<MessageFacts<'_>> {
        None
    }

    fn reactions(&self, _chat: ChatId, _seq: Seq, _user: UserId, _emoji: &str) -> ReactionFacts {
        ReactionFacts::default()
    }
}

impl Facts for Model {
    fn user_exists(&self, user: UserId) -> bool {
        self.index.user_exists(user)
    }

    fn user_named(&self, username: &str) -> Option<UserId> {
        self.index.user_named(username)
    }

    fn erasure(&self, user: UserId) -> Option<ErasedMessages> {
        self.index.erasure(user)
    }

    fn user_metadata(&self, user: UserId) -> Option<&str> {
        self.index.user_metadata(user)
    }

    fn chat_exists(&self, chat: ChatId) -> bool {
        self.index.chat_exists(chat)
    }

    fn chat_named(&self, name: &str) -> Option<ChatId> {
        self.index.chat_named(name)
    }

    fn direct_chat(&self, users: [UserId; 2]) -> Option<ChatId> {
        self.index.direct_chat(users)
    }

    fn is_direct(&self, chat: ChatId) -> bool {
        self.index.is_direct(chat)
    }

    fn chat_metadata(&self, chat: ChatId) -> Option<&str> {
        self.index.chat_metadata(chat)
    }

    fn is_member(&self, chat: ChatId, user: UserId) -> bool {
        self.index.is_member(chat, user)
    }

    fn last_seq(&self, chat: ChatId) -> Seq {
        self.index.last_seq(chat)
    }

    fn read_mark(&self, chat: ChatId, user: UserId) -> Seq {
        self.index.read_mark(chat, user)
    }

    fn tokens_from(&self, user: UserId) -> u64 {
        Facts::tokens_from(&self.index, user)
    }

    fn message(&self, chat: ChatId, seq: Seq) -> Option<MessageFacts<'_>> {
        let chat = self.chat(chat)?;
        if !(Seq(1)..=self.newest_seq(chat)).contains(&seq) {
            return None;
        }
        let message = self.histories.of(chat).message(seq);
        let extras = message.extras;
        Some(MessageFacts {
            author: message.author,
            text: message.text,
            metadata: extras.and_then(|extras| extras.metadata.as_deref()),
            edited_at: extras.and_then(|extras| extras.edited_at),
            deleted: extras.and_then(|extras| extras.deleted).map(|(_, deletion): (_, Deletion)| deletion),
        })
    }

    fn reactions(&self, chat: ChatId, seq: Seq, user: UserId, emoji: &str) -> ReactionFacts {
        let (Some(chat), Some(user)) = (self.chat(chat), self.user(user)) else {
            return ReactionFacts::default();
        };
        let history = self.histories.of(chat);
        let of_message = history.message(seq).extras.map_or(&[][..], |extras| &extras.reactions);
        let has_reacted = |emoji: &str| {
            let index = self.histories.emoji().find(emoji);
            index.is_some_and(|index| history.has_reacted(seq, index, user))
        };
        ReactionFacts {
            has_reacted: has_reacted(emoji),
            has_emoji: of_message.iter().any(|(known, _)| **known == *emoji),
            of_user: of_message.iter().filter(|(known, _)| has_reacted(known)).count(),
            emoji: of_message.len(),
        }
    }
}
