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
use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode, Serialize, Deserialize)]
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
    /// A message was sent that is more than its text.
    MessageAddedWith {
        /// The message.
        id: MessageId,
        /// The chat that it was sent to.
        chat: ChatId,
        /// The author, a member at the time.
        author: UserId,
        /// The text.
        text: Cow<'a, str>,
        /// The message of the same chat that it replies to.
        reply_to: Option<Seq>,
        /// Its [metadata](super::Metadata).
        metadata: Option<Cow<'a, str>>,
    },
    /// A chat without a name was added.
    NamelessChatAdded {
        /// The chat.
        id: ChatId,
        /// The first members, each once, in the client's order.
        users: Vec<UserId>,
    },
    /// The chat of two users was added, in which nobody else can be.
    DirectChatAdded {
        /// The chat.
        id: ChatId,
        /// The users, who had no such chat.
        users: [UserId; 2],
    },
    /// A message was edited.
    MessageEdited {
        /// The chat.
        chat: ChatId,
        /// The message, which was not deleted.
        seq: Seq,
        /// The author, who edited it, or `None` if the application did.
        user: Option<UserId>,
        /// The new text, if it changed.
        text: Option<Cow<'a, str>>,
        /// The new metadata, if they changed; an object without members if they were removed.
        metadata: Option<Cow<'a, str>>,
    },
    /// A command under a key changed nothing, because everything was already as it asks.
    ///
    /// The event names what the command is about, so that a scrub can find the fingerprint of its key, a digest of a text.
    AlreadySo {
        /// The chat, or that of the message.
        chat: Option<ChatId>,
        /// The message.
        seq: Option<Seq>,
        /// The user whom the command names.
        user: Option<UserId>,
        /// The time of the message's last edit, which is the answer to another one.
        edited_at: Option<Timestamp>,
    },
    /// A message was deleted, or one that was deleted before was deleted for good.
    MessageDeleted {
        /// The chat.
        chat: ChatId,
        /// The message.
        seq: Seq,
        /// The user who deleted it, or `None` if the application did.
        user: Option<UserId>,
        /// Whether the text is to leave the disk at once.
        erase: bool,
    },
    /// A member reacted to a message.
    ReactionAdded {
        /// The chat.
        chat: ChatId,
        /// The message, which was not deleted.
        seq: Seq,
        /// The user, a member at the time.
        user: UserId,
        /// The emoji, with which the user had not reacted to the message.
        emoji: Cow<'a, str>,
    },
    /// A member took back a reaction.
    ReactionRemoved {
        /// The chat.
        chat: ChatId,
        /// The message.
        seq: Seq,
        /// The user, a member at the time.
        user: UserId,
        /// The emoji.
        emoji: Cow<'a, str>,
    },
    /// A chat was edited.
    ChatEdited {
        /// The chat.
        chat: ChatId,
        /// The new name, unique among chats, if it changed.
        name: Option<Cow<'a, str>>,
        /// The new metadata, if they changed; an object without members if they were removed.
        metadata: Option<Cow<'a, str>>,
    },
    /// A user was edited.
    UserEdited {
        /// The user.
        user: UserId,
        /// The new name, unique among users, if it changed.
        username: Option<Cow<'a, str>>,
        /// The new metadata, if they changed; an object without members if they were removed.
        metadata: Option<Cow<'a, str>>,
    },
    /// A user was erased, or the messages of one who was erased before: the name, the metadata, the memberships, the read marks and the reactions are gone. The id stays.
    UserErased {
        /// The user.
        user: UserId,
        /// What becomes of the user's messages.
        messages: ErasedMessages,
    },
}

/// What becomes of the messages of a user who is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErasedMessages {
    /// They are deleted, and leave the disk.
    Erase,
    /// They stay, by an author without a name.
    Keep,
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
            | Self::MessageAddedWith { author: user, .. }
            | Self::ReadMarked { user, .. }
            | Self::MemberAdded { user, .. }
            | Self::MemberRemoved { user, .. }
            | Self::ReactionAdded { user, .. }
            | Self::ReactionRemoved { user, .. }
            | Self::UserEdited { user, .. } => Some(*user),
            Self::MessageEdited { user, .. }
            | Self::MessageDeleted { user, .. }
            | Self::AlreadySo { user, .. } => *user,
            Self::UserAdded { .. }
            | Self::ChatAdded { .. }
            | Self::NamelessChatAdded { .. }
            | Self::DirectChatAdded { .. }
            | Self::ChatEdited { .. }
            | Self::NothingChanged
            | Self::TokensRevoked { .. }
            | Self::UserErased { .. } => None,
        }
    }

    /// Returns the chat in which the event happened, or `None` if it did not happen in a chat. Adding a chat
    /// happens in that chat.
    #[must_use]
    pub fn chat(&self) -> Option<ChatId> {
        match self {
            Self::ChatAdded { id: chat, .. }
            | Self::NamelessChatAdded { id: chat, .. }
            | Self::DirectChatAdded { id: chat, .. }
            | Self::ChatEdited { chat, .. }
            | Self::MessageAdded { chat, .. }
            | Self::MessageAddedWith { chat, .. }
            | Self::MessageEdited { chat, .. }
            | Self::MessageDeleted { chat, .. }
            | Self::ReactionAdded { chat, .. }
            | Self::ReactionRemoved { chat, .. }
            | Self::MemberAdded { chat, .. }
            | Self::MemberRemoved { chat, .. }
            | Self::ReadMarked { chat, .. } => Some(*chat),
            Self::UserAdded { .. }
            | Self::UserEdited { .. }
            | Self::UserErased { .. }
            | Self::NothingChanged
            | Self::AlreadySo { .. }
            | Self::TokensRevoked { .. } => None,
        }
    }
}
