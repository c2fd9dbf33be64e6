//! What happened: the vocabulary on disk.
//!
//! **Invariant:** the order of variants and fields is the encoding. Variants are only added, at the end.

use std::borrow::Cow;

use bincode::{BorrowDecode, Encode};

use super::{ChatId, MessageId, Timestamp, UserId};

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Record<'a> {
    /// When it was decided; later than every record before it.
    pub time: Timestamp,
    /// The key under which a client may retry the request that made it.
    pub key: Option<IdempotencyKey<'a>>,
    /// What happened.
    pub event: Event<'a>,
}

/// Ties a record to the request that made it (draft-ietf-httpapi-idempotency-key-header).
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub struct IdempotencyKey<'a> {
    /// As the client sent it.
    pub key: Cow<'a, str>,
    /// A digest of the call and its values.
    pub fingerprint: [u8; 16],
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
}
