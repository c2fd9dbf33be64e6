//! What happened: the vocabulary on disk.
//!
//! **Invariant:** the order of variants and fields is the encoding. Variants are only added, at the end.

use std::borrow::Cow;

use bincode::{BorrowDecode, Encode};

use super::{ChatId, IdempotencyKey, MessageId, Seq, Timestamp, UserId};

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Record<'a> {
    /// When it was decided; later than every record before it.
    pub time: Timestamp,
    /// The key under which the client may send the request again that made it.
    pub key: Option<IdempotencyKey<'a>>,
    /// What happened.
    pub event: Event<'a>,
}

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub enum Event<'a> {
    /// A user was made.
    UserAdded {
        /// The user.
        id: UserId,
        /// The user's name, unique among users.
        username: Cow<'a, str>,
    },
    /// A chat was made.
    ChatAdded {
        /// The chat.
        id: ChatId,
        /// The chat's name, unique among chats.
        name: Cow<'a, str>,
        /// Its members, each once, in the order they were added.
        users: Vec<UserId>,
    },
    /// Something was said.
    MessageAdded {
        /// The message.
        id: MessageId,
        /// Where.
        chat: ChatId,
        /// Who; a member at the time.
        author: UserId,
        /// What.
        text: Cow<'a, str>,
    },
    /// A user was put into a chat.
    MemberAdded {
        /// The chat.
        chat: ChatId,
        /// The user; not a member before.
        user: UserId,
    },
    /// A user was taken out of a chat.
    MemberRemoved {
        /// The chat.
        chat: ChatId,
        /// The user; a member before.
        user: UserId,
    },
    /// A user has read a chat up to here.
    ReadMarked {
        /// The chat.
        chat: ChatId,
        /// The user; a member at the time.
        user: UserId,
        /// The last message read; beyond the user's mark before.
        seq: Seq,
    },
    /// A command under a key found done what it asked for. Without the record of it a retry, later, might undo what
    /// came between.
    NothingChanged,
}
