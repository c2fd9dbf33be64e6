//! What a client asks for.

use uuid::Uuid;

use super::{ChatId, ChatName, Seq, Text, Timestamp, UserId, Username};

/// A wish to change something; it becomes an [`Event`](super::Event) or a [`Refusal`](super::Refusal).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make a user.
    AddUser {
        /// Unique among users.
        username: Username,
    },
    /// Make a chat.
    AddChat {
        /// Unique among chats.
        name: ChatName,
        /// Its first members, as the client listed them; repeated ids count once.
        users: Vec<UserId>,
    },
    /// Say something in a chat.
    AddMessage(NewMessage),
    /// Say all of this, in this order, or nothing; at least one message.
    AddMessages(Vec<NewMessage>),
    /// Put a user into a chat.
    AddMember {
        /// The chat.
        chat: ChatId,
        /// The user; nothing changes if it is a member.
        user: UserId,
    },
    /// Take a user out of a chat.
    RemoveMember {
        /// The chat.
        chat: ChatId,
        /// The user; nothing changes if it is no member.
        user: UserId,
    },
    /// Say that a user has read a chat up to here.
    MarkRead {
        /// The chat.
        chat: ChatId,
        /// The user; must be a member.
        user: UserId,
        /// The last message read; nothing changes if a later one was read before.
        seq: Seq,
    },
}

/// Something to be said in a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Where.
    pub chat: ChatId,
    /// Who; must be a member.
    pub author: UserId,
    /// What.
    pub text: Text,
}

/// What the server adds to each event that a command may become, before it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The event's time, later than that of every event before it.
    pub time: Timestamp,
    /// The id of what the event makes.
    pub id: Uuid,
}

impl Command {
    /// How many events it becomes, at most.
    #[must_use]
    pub fn events_max(&self) -> usize {
        match self {
            Self::AddMessages(messages) => messages.len(),
            Self::AddUser { .. }
            | Self::AddChat { .. }
            | Self::AddMessage(_)
            | Self::AddMember { .. }
            | Self::RemoveMember { .. }
            | Self::MarkRead { .. } => 1,
        }
    }

    /// About how many bytes its events take, for bounding what is gathered.
    #[must_use]
    pub fn bytes(&self) -> usize {
        /// What an event takes besides names and texts.
        const EVENT_BYTES: usize = 72;
        let texts = match self {
            Self::AddUser { username } => username.len(),
            Self::AddChat { name, users } => name.len() + size_of_val(users.as_slice()),
            Self::AddMessage(message) => message.text.len(),
            Self::AddMessages(messages) => messages.iter().map(|message| message.text.len()).sum(),
            Self::AddMember { .. } | Self::RemoveMember { .. } | Self::MarkRead { .. } => 0,
        };
        texts + self.events_max() * EVENT_BYTES
    }
}
