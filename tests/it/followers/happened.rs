//! What happens in a history, without the texts.

use chinwag::domain::{ChatId, UserId};
use chinwag::engine::{FeedEventKind, ShownMessage, ShownReaction};

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Happened {
    UserAdded(UserId),
    UserEdited(UserId),
    ChatAdded(ChatId),
    ChatEdited(ChatId),
    Message(ChatId, u64),
    Edited(ChatId, u64),
    Deleted(ChatId, u64),
    Reacted(ChatId, u64, UserId, &'static str),
    TookBack(ChatId, u64, UserId, &'static str),
    Joined(ChatId, UserId),
    Left(ChatId, UserId),
    Read(ChatId, UserId, u64),
    /// As the follower sees it who has joined, or who is of a chat that is added.
    Entered(ChatId),
}

/// The emoji of all reactions.
pub const EMOJI: [&str; 2] = ["👍", "🍵"];

impl From<&FeedEventKind> for Happened {
    fn from(kind: &FeedEventKind) -> Self {
        let seq_of = |shown: &ShownMessage| shown.run.messages().next().expect("a run of one").seq.0;
        let emoji_of = |shown: &ShownReaction| {
            EMOJI.into_iter().find(|emoji| **emoji == *shown.emoji).expect("an emoji of a step")
        };
        match kind {
            FeedEventKind::Message(shown) => Self::Message(shown.chat, seq_of(shown)),
            FeedEventKind::Edited(shown) => Self::Edited(shown.chat, seq_of(shown)),
            FeedEventKind::Deleted { chat, seq, .. } => Self::Deleted(*chat, seq.0),
            FeedEventKind::Reacted(shown) => {
                Self::Reacted(shown.chat, shown.seq.0, shown.user, emoji_of(shown))
            }
            FeedEventKind::TookBack(shown) => {
                Self::TookBack(shown.chat, shown.seq.0, shown.user, emoji_of(shown))
            }
            FeedEventKind::Entered(chat) => Self::Entered(chat.id),
            FeedEventKind::Joined { chat, user } => Self::Joined(*chat, *user),
            FeedEventKind::Left { chat, user } => Self::Left(*chat, *user),
            FeedEventKind::Read { chat, user, seq } => Self::Read(*chat, *user, seq.0),
            FeedEventKind::UserAdded(user) => Self::UserAdded(user.id),
            FeedEventKind::UserEdited(user) => Self::UserEdited(user.id),
            FeedEventKind::ChatAdded { chat, .. } => Self::ChatAdded(chat.id),
            FeedEventKind::ChatEdited(chat) => Self::ChatEdited(chat.id),
            FeedEventKind::UserErased(_) => panic!("no step erases a user"),
        }
    }
}

impl Happened {
    pub fn chat(self) -> Option<ChatId> {
        match self {
            Self::ChatAdded(chat)
            | Self::ChatEdited(chat)
            | Self::Message(chat, _)
            | Self::Edited(chat, _)
            | Self::Deleted(chat, _)
            | Self::Reacted(chat, ..)
            | Self::TookBack(chat, ..)
            | Self::Joined(chat, _)
            | Self::Left(chat, _)
            | Self::Read(chat, ..)
            | Self::Entered(chat) => Some(chat),
            Self::UserAdded(_) | Self::UserEdited(_) => None,
        }
    }

    /// Returns the message that is shown with it, or whose reaction it is.
    pub fn message(self) -> Option<(ChatId, u64)> {
        match self {
            Self::Message(chat, seq)
            | Self::Edited(chat, seq)
            | Self::Reacted(chat, seq, ..)
            | Self::TookBack(chat, seq, ..) => Some((chat, seq)),
            Self::UserAdded(_)
            | Self::UserEdited(_)
            | Self::ChatAdded(_)
            | Self::ChatEdited(_)
            | Self::Deleted(..)
            | Self::Joined(..)
            | Self::Left(..)
            | Self::Read(..)
            | Self::Entered(_) => None,
        }
    }

    /// Returns whether it changed this message after it was sent.
    pub fn changes(self, message: (ChatId, u64)) -> bool {
        match self {
            Self::Edited(..) | Self::Reacted(..) | Self::TookBack(..) => self.message() == Some(message),
            Self::Deleted(chat, seq) => (chat, seq) == message,
            Self::UserAdded(_)
            | Self::UserEdited(_)
            | Self::ChatAdded(_)
            | Self::ChatEdited(_)
            | Self::Message(..)
            | Self::Joined(..)
            | Self::Left(..)
            | Self::Read(..)
            | Self::Entered(_) => false,
        }
    }

    /// Returns whether a stream that catches up leaves it out, because of what happened later.
    pub fn is_overtaken_by(self, later: Self) -> bool {
        match (self, later) {
            (Self::Read(chat, user, _), Self::Read(later_chat, later_user, _)) => {
                (chat, user) == (later_chat, later_user)
            }
            (Self::Edited(..) | Self::UserEdited(_) | Self::ChatEdited(_), _) if self == later => true,
            (
                Self::Edited(chat, seq) | Self::Reacted(chat, seq, ..),
                Self::Deleted(later_chat, later_seq),
            ) => (chat, seq) == (later_chat, later_seq),
            (Self::Reacted(chat, seq, user, emoji), later) => later == Self::TookBack(chat, seq, user, emoji),
            _ => false,
        }
    }
}
