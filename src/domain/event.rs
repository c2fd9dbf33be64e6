//! Events: the vocabulary of the log and of its export.
//!
//! **Invariant:** the order of variants and fields is the encoding on disk. A variant is only ever added at
//! the end.
//!
//! **Invariant:** the names of variants and fields are those of the exported history. They never change.

use std::borrow::Cow;

use bincode::de::BorrowDecoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Encode};
use serde::Serialize;

use super::{Actor, ChatId, Fingerprint, IdempotencyKey, MessageId, Seq, Timestamp, UserId};

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// The time of the decision, later than that of every record before.
    pub time: Timestamp,
    /// The one who caused the event.
    pub by: Actor<'a>,
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
    /// The tokens of a user that were issued before a time were revoked.
    TokensRevoked {
        /// The user.
        user: UserId,
        /// The time, in Unix seconds, later than that of the user's revocation before.
        from: u64,
    },
}

/// The actor is not encoded: the log keeps actors beside the records.
impl Encode for Record<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.time.encode(encoder)?;
        self.key.encode(encoder)?;
        self.event.encode(encoder)
    }
}

impl<'a> Record<'a> {
    /// Decodes a record. `actor_of` returns the actor of its event, which the log keeps beside the record.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are not a record, and the error of `actor_of`.
    #[inline]
    pub fn decode<D: BorrowDecoder<'a>>(
        decoder: &mut D,
        actor_of: impl FnOnce(&Event<'a>) -> Result<Actor<'a>, DecodeError>,
    ) -> Result<Self, DecodeError> {
        let time = Timestamp::borrow_decode(decoder)?;
        let key = Option::<(Cow<'a, str>, Fingerprint)>::borrow_decode(decoder)?;
        let event = Event::borrow_decode(decoder)?;
        let by = actor_of(&event)?;
        // Whose key it is follows from the actor, who may follow from the event.
        let key = key.map(|(text, fingerprint)| IdempotencyKey::recorded(text, fingerprint, &by));
        Ok(Self { time, by, key, event })
    }
}

impl Event<'_> {
    /// Returns the user whom the event names as the one who did it, or `None` if it names no such user.
    #[must_use]
    pub fn doer(&self) -> Option<UserId> {
        match self {
            Self::MessageAdded { author: user, .. }
            | Self::ReadMarked { user, .. }
            | Self::MemberAdded { user, .. }
            | Self::MemberRemoved { user, .. } => Some(*user),
            Self::UserAdded { .. }
            | Self::ChatAdded { .. }
            | Self::NothingChanged
            | Self::TokensRevoked { .. } => None,
        }
    }

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
            Self::UserAdded { .. } | Self::NothingChanged | Self::TokensRevoked { .. } => None,
        }
    }
}
