//! Refusals: the rules that a command may break.

use serde::{Deserialize, Serialize};

use super::decide::{EMOJI_MAX, REACTIONS_OF_USER_MAX};
use super::{ChatId, Seq, UserId};

/// The rule that a well-formed command broke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The user does not exist.
    #[error("there is no user {user}")]
    UserNotFound {
        /// The id.
        user: UserId,
        /// Where the command names the user.
        field: UserField,
    },
    /// The chat does not exist.
    #[error("there is no chat {chat}")]
    ChatNotFound {
        /// The id.
        chat: ChatId,
    },
    /// The user is not a member of the chat.
    #[error("user {user} is not a member of chat {chat}")]
    NotAMember {
        /// The chat.
        chat: ChatId,
        /// The user.
        user: UserId,
        /// Where the command names the user.
        field: UserField,
    },
    /// The chat has no such message.
    #[error("there is no message with seq {} in chat {chat}", seq.0)]
    MessageNotFound {
        /// The chat.
        chat: ChatId,
        /// The message.
        seq: Seq,
        /// Where the command names the message.
        field: MessageField,
    },
    /// The message is another user's.
    #[error("user {user} is not the author of message {} of chat {chat}", seq.0)]
    NotTheAuthor {
        /// The chat.
        chat: ChatId,
        /// The message.
        seq: Seq,
        /// The user.
        user: UserId,
    },
    /// The message is deleted.
    #[error("message {} of chat {chat} is deleted", seq.0)]
    MessageDeleted {
        /// The chat.
        chat: ChatId,
        /// The message.
        seq: Seq,
        /// Where the command names the message.
        field: MessageField,
    },
    /// The message has, or the user has added to it, as many emoji as there may be.
    #[error("message {} of chat {chat} has {emoji} emoji, {of_user} of them by user {user}; a message may have {EMOJI_MAX}, and a user {REACTIONS_OF_USER_MAX}", seq.0)]
    TooManyReactions {
        /// The chat.
        chat: ChatId,
        /// The message.
        seq: Seq,
        /// The user.
        user: UserId,
        /// The number of emoji of the message.
        emoji: usize,
        /// The number of those with which the user has reacted.
        of_user: usize,
    },
    /// The chat is one of two users: it has no name, and its members stay.
    #[error("chat {chat} is the direct chat of two users: it has no name, and nobody joins or leaves it")]
    DirectChat {
        /// The chat.
        chat: ChatId,
    },
    /// The user was erased.
    #[error("user {user} was erased")]
    UserErased {
        /// The id.
        user: UserId,
        /// Where the command names the user.
        field: UserField,
    },
    /// The read mark lies beyond the chat's last message.
    #[error("seq {} is beyond the last message of the chat, which has seq {}", seq.0, last.0)]
    BeyondLastMessage {
        /// The read mark.
        seq: Seq,
        /// The seq of the chat's last message, or 0 if it has no messages.
        last: Seq,
    },
    /// Another user has this name.
    #[error("the username is taken")]
    UsernameTaken {
        /// The name.
        username: String,
    },
    /// Another chat has this name.
    #[error("the chat name is taken")]
    ChatNameTaken {
        /// The name.
        name: String,
    },
    /// The key was used for another request.
    #[error("the key was used for another request")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// One of several messages was refused, and so all of them were.
    #[error("message {index}: {refusal}")]
    OfMessage {
        /// The index of the message.
        index: usize,
        /// The refusal of the message.
        refusal: Box<Refusal>,
    },
}

/// The place where a command names a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserField {
    /// As a message's author.
    Author,
    /// As the user whose membership, read mark or tokens the command changes.
    User,
    /// In a list of users, at this index.
    Users(usize),
    /// As the user who asks for the command.
    Caller,
}

/// The place where a command names a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageField {
    /// As the one that the command is about.
    Seq,
    /// As the one that a message replies to.
    ReplyTo,
}
