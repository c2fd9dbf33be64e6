//! The addition of an event to the histories. The index makes it, and the histories take it, perhaps on another thread.

use super::chunk::AddedMessage;
use super::directory::{ChatIndex, UserIndex};
use super::timeline::TimelineEntry;
use crate::domain::{Deletion, ErasedMessages, Position, Seq, Timestamp};

/// The addition of an event to the histories. `T` is a text, or the length that stands for it.
#[derive(Debug, Clone)]
pub enum Addition<T> {
    /// Nothing.
    Nothing,
    /// A chat with the next index.
    Chat,
    /// A message.
    Message(AddedMessage<T>),
    /// An event that only the timeline holds.
    Event {
        /// The chat.
        chat: ChatIndex,
        /// The event.
        entry: TimelineEntry,
        /// The position of the event that it overtakes: of a member's read marks, only the last one is kept.
        overtaken: Option<Position>,
    },
    /// Something rarer. It is boxed, so that additions stay small.
    Rare(Box<Rare<T>>),
}

/// A rarer addition. `T` is a text, or the length that stands for it.
#[derive(Debug, Clone)]
pub enum Rare<T> {
    /// A message that is more than its text.
    MessageWith {
        /// The message.
        message: AddedMessage<T>,
        /// The message that it replies to.
        reply_to: Option<Seq>,
        /// Its metadata.
        metadata: Option<T>,
    },
    /// An edit of a message.
    Edited {
        /// The message, and the event.
        change: MessageChange,
        /// The new text.
        text: Option<T>,
        /// The new metadata.
        metadata: Option<T>,
    },
    /// A deletion of a message.
    Deleted {
        /// The message, and the event.
        change: MessageChange,
        /// How it is deleted.
        deletion: Deletion,
    },
    /// A reaction to a message, or the end of one.
    Reaction {
        /// The message, and the event.
        change: MessageChange,
        /// The user.
        user: UserIndex,
        /// The emoji.
        emoji: T,
        /// Whether the reaction was added.
        is_added: bool,
    },
    /// The erasure of a user.
    UserErased {
        /// The user.
        user: UserIndex,
        /// The position of the event.
        position: Position,
        /// The time of the event.
        at: Timestamp,
        /// The chats that the user is or was a member of, each with the position of the user's read mark.
        chats: Vec<(ChatIndex, Option<Position>)>,
        /// What becomes of the user's messages.
        messages: ErasedMessages,
    },
}

/// A change of a message.
#[derive(Debug, Clone, Copy)]
pub struct MessageChange {
    /// The chat.
    pub chat: ChatIndex,
    /// The message, which the chat has.
    pub seq: Seq,
    /// The position of the event.
    pub position: Position,
    /// The time of the event.
    pub at: Timestamp,
}

impl<T> Addition<T> {
    /// Replaces all texts, in order.
    pub fn map_text<U>(self, mut map: impl FnMut(T) -> U) -> Addition<U> {
        match self {
            Self::Nothing => Addition::Nothing,
            Self::Chat => Addition::Chat,
            Self::Message(message) => Addition::Message(message.map_text(map)),
            Self::Event { chat, entry, overtaken } => Addition::Event { chat, entry, overtaken },
            Self::Rare(rare) => Addition::Rare(Box::new(match *rare {
                Rare::MessageWith { message, reply_to, metadata } => {
                    let message = message.map_text(&mut map);
                    Rare::MessageWith { message, reply_to, metadata: metadata.map(map) }
                }
                Rare::Edited { change, text, metadata } => {
                    let text = text.map(&mut map);
                    Rare::Edited { change, text, metadata: metadata.map(map) }
                }
                Rare::Deleted { change, deletion } => Rare::Deleted { change, deletion },
                Rare::Reaction { change, user, emoji, is_added } => {
                    Rare::Reaction { change, user, emoji: map(emoji), is_added }
                }
                Rare::UserErased { user, position, at, chats, messages } => {
                    Rare::UserErased { user, position, at, chats, messages }
                }
            })),
        }
    }
}
