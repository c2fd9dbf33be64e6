//! What the rules may ask of the state.

use super::{ChatId, ErasedMessages, Seq, Timestamp, UserId};

/// The facts about the state that a decision may ask for, by ids and names.
pub trait Facts {
    /// Returns whether the user exists.
    fn user_exists(&self, user: UserId) -> bool;
    /// Returns the user who has this name.
    fn user_named(&self, username: &str) -> Option<UserId>;
    /// Returns what became of the user's messages, if the user was erased.
    fn erasure(&self, user: UserId) -> Option<ErasedMessages>;
    /// Returns whether the user was erased.
    fn is_erased(&self, user: UserId) -> bool {
        self.erasure(user).is_some()
    }
    /// Returns the metadata of the user, if there are some.
    fn user_metadata(&self, user: UserId) -> Option<&str>;
    /// Returns whether the chat exists.
    fn chat_exists(&self, chat: ChatId) -> bool;
    /// Returns the chat that has this name.
    fn chat_named(&self, name: &str) -> Option<ChatId>;
    /// Returns the chat of these two users.
    fn direct_chat(&self, users: [UserId; 2]) -> Option<ChatId>;
    /// Returns whether the chat is one of two users.
    fn is_direct(&self, chat: ChatId) -> bool;
    /// Returns the metadata of the chat, if there are some.
    fn chat_metadata(&self, chat: ChatId) -> Option<&str>;
    /// Returns whether the user is a member of the chat.
    fn is_member(&self, chat: ChatId, user: UserId) -> bool;
    /// Returns the seq of the chat's last message, or 0 if it has no messages.
    fn last_seq(&self, chat: ChatId) -> Seq;
    /// Returns the seq up to which the user has read the chat, or 0 if they have read nothing.
    fn read_mark(&self, chat: ChatId, user: UserId) -> Seq;
    /// Returns the time from which the user's tokens are good, in Unix seconds, or 0 if none was ever revoked.
    fn tokens_from(&self, user: UserId) -> u64;
    /// Returns the message, if the chat has it.
    fn message(&self, chat: ChatId, seq: Seq) -> Option<MessageFacts<'_>>;
    /// Returns what bears on a reaction of the user to the message, which the chat has.
    fn reactions(&self, chat: ChatId, seq: Seq, user: UserId, emoji: &str) -> ReactionFacts;
}

/// The facts about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageFacts<'f> {
    /// The author.
    pub author: UserId,
    /// The text; empty if the message is deleted.
    pub text: &'f str,
    /// The metadata, if there are some.
    pub metadata: Option<&'f str>,
    /// The time of the last edit, if there was one.
    pub edited_at: Option<Timestamp>,
    /// How it is deleted, if it is.
    pub deleted: Option<Deletion>,
}

/// How a message is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// Its text leaves the disk after `--keep-deleted-days`.
    Kept,
    /// Its text leaves the disk with the next scrub.
    Erased,
}

/// The facts that bear on a reaction of a user to a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReactionFacts {
    /// Whether the user has reacted with the emoji.
    pub has_reacted: bool,
    /// Whether somebody has.
    pub has_emoji: bool,
    /// The number of emoji with which the user has reacted.
    pub of_user: usize,
    /// The number of emoji of the message.
    pub emoji: usize,
}
