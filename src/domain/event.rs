//! Events: the vocabulary of the log and of its export.
//!
//! **Invariant:** the order of variants and fields is the encoding on disk. A variant is only ever added at
//! the end.
//!
//! **Invariant:** the names of variants and fields are those of the exported history. They never change.

use std::borrow::Cow;

use bincode::{BorrowDecode, Encode};
use serde::Serialize;

use super::{ChatId, IdempotencyKey, MessageId, Seq, Timestamp, UserId};

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Record<'a> {
    /// The time of the decision, later than that of every record before.
    pub time: Timestamp,
    /// The key under which the client may retry the request of this record.
    pub key: Option<IdempotencyKey<'a>>,
    /// The event.
    pub event: Event<'a>,
}

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event<'a> {
    /// A user was added.
    UserAdded {
        /// The user.
        id: UserId,
        /// The user's name, unique among users.
        username: Cow<'a, str>,
    },
    /// A chat was added.
    ChatAdded {
        /// The chat.
        id: ChatId,
        /// The chat's name, unique among chats.
        name: Cow<'a, str>,
        /// The first members, each once, in the client's order.
        users: Vec<UserId>,
    },
    /// A message was sent.
    MessageAdded {
        /// The message.
        id: MessageId,
        /// The chat that it was sent to.
        chat: ChatId,
        /// The author, a member at the time.
        author: UserId,
        /// The text.
        text: Cow<'a, str>,
    },
    /// A user joined a chat after it was added.
    MemberAdded {
        /// The chat.
        chat: ChatId,
        /// The user, who was not a member.
        user: UserId,
    },
    /// A user left a chat.
    MemberRemoved {
        /// The chat.
        chat: ChatId,
        /// The user, who was a member.
        user: UserId,
    },
    /// A member's read mark moved forward.
    ReadMarked {
        /// The chat.
        chat: ChatId,
        /// The user, a member at the time.
        user: UserId,
        /// The last message that the user has read, later than the mark before.
        seq: Seq,
    },
    /// A command under a key found nothing to change.
    ///
    /// The record keeps its key: without it, a late retry could undo what happened in between.
    NothingChanged,
}

impl Event<'_> {
    /// Returns the chat in which the event happened, or `None` if it did not happen in a chat. Adding a chat
    /// happens in that chat.
    #[must_use]
    pub fn chat(&self) -> Option<ChatId> {
        match self {
            Self::ChatAdded { id: chat, .. }
            | Self::MessageAdded { chat, .. }
            | Self::MemberAdded { chat, .. }
            | Self::MemberRemoved { chat, .. }
            | Self::ReadMarked { chat, .. } => Some(*chat),
            Self::UserAdded { .. } | Self::NothingChanged => None,
        }
    }
}
