//! What the events add up to: the in-memory indexes that every read is served from.
//!
//! **Invariant:** [`Model::apply`] is total and holds no rule: what would make it fail is refused by
//! [`decide`](crate::domain::decide) before there is an event. Two replays of one log give equal models.

mod activity;
mod directory;
mod history;

use std::sync::Arc;

use uuid::Uuid;

use crate::domain::{ChatId, Event, Position, Record, Seq, Timestamp, UserId};
use activity::Activity;
pub use activity::Rank;
use directory::{ChatEntry, Directory};
pub use directory::{ChatIndex, UserIndex};
use history::History;
pub use history::{Message, MessageRun};

/// Everything that was ever said, and by whom, and where.
#[derive(Debug, Default, PartialEq)]
pub struct Model {
    position: Position,
    time: Timestamp,
    directory: Directory,
    activity: Activity,
    histories: Vec<History>,
}

/// What an event came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The event's place in the log.
    pub position: Position,
    /// The event's time.
    pub time: Timestamp,
    /// The id of what it made.
    pub id: Uuid,
    /// Of a message, its place in the chat.
    pub seq: Option<Seq>,
}

/// A chat's place in a list, as it was when the list was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedChat {
    chat: ChatIndex,
    /// Where it stood among all chats.
    pub rank: Rank,
    last: Option<Seq>,
}

/// A chat, as a reader sees it. It shares what is large with the model, and holds no lock.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatView {
    /// The chat.
    pub id: ChatId,
    /// Its name.
    pub name: Arc<str>,
    /// Its members, in the order they were added.
    pub users: Arc<Vec<UserId>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where it stood among all chats.
    pub rank: Rank,
    /// Its last message, if there is one.
    pub last_message: Option<MessageRun>,
}

impl Model {
    /// Whether this record can be the next one: the check that [`decide`](crate::domain::decide) made for it, as
    /// far as [`apply`](Self::apply) rests on it. For records that were not decided here but read from a log.
    #[must_use]
    pub fn admits(&self, record: &Record<'_>) -> bool {
        let first_or_later = self.position == Position(0) || record.time > self.time;
        first_or_later
            && match &record.event {
                Event::UserAdded { id, username } => {
                    self.user(*id).is_none() && !self.username_taken(username)
                }
                Event::ChatAdded { id, name, users } => {
                    self.chat(*id).is_none()
                        && !self.chat_name_taken(name)
                        && users.iter().all(|user| self.user(*user).is_some())
                }
                Event::MessageAdded { chat, .. } => self.chat(*chat).is_some(),
            }
    }

    /// Takes in the next event of the log.
    ///
    /// # Panics
    ///
    /// If the model does not [admit](Self::admits) it.
    pub fn apply(&mut self, record: &Record<'_>) -> Receipt {
        self.position = self.position.next();
        self.time = record.time;
        let (id, seq) = match &record.event {
            Event::UserAdded { id, username } => {
                self.directory.add_user(*id, username, record.time);
                ((*id).into(), None)
            }
            Event::ChatAdded { id, name, users } => {
                let chat = self.directory.add_chat(*id, name, users, record.time);
                self.activity.add_chat(chat, self.position);
                self.histories.push(History::default());
                ((*id).into(), None)
            }
            Event::MessageAdded { id, chat, author, text } => {
                let chat = self.directory.chat(*chat).expect("decided: the chat exists");
                self.activity.message_added(chat, self.position);
                let seq = self.histories[chat.as_usize()].push(*id, *author, record.time, text);
                ((*id).into(), Some(seq))
            }
        };
        Receipt { position: self.position, time: record.time, id, seq }
    }

    /// The position of the last event; 0 before the first.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The time of the last event.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Finds a user.
    #[must_use]
    pub fn user(&self, id: UserId) -> Option<UserIndex> {
        self.directory.user(id)
    }

    /// Finds a chat.
    #[must_use]
    pub fn chat(&self, id: ChatId) -> Option<ChatIndex> {
        self.directory.chat(id)
    }

    /// Whether a user has this name.
    #[must_use]
    pub fn username_taken(&self, username: &str) -> bool {
        self.directory.username_taken(username)
    }

    /// Whether a chat has this name.
    #[must_use]
    pub fn chat_name_taken(&self, name: &str) -> bool {
        self.directory.chat_name_taken(name)
    }

    /// Whether the user is in the chat.
    #[must_use]
    pub fn is_member(&self, chat: ChatIndex, user: UserIndex) -> bool {
        self.directory.chats_of(user).contains(&chat)
    }

    /// The user's chats, highest rank first: those below `below`, at most `limit` of them.
    #[must_use]
    pub fn list_chats(&self, user: UserIndex, below: Option<Rank>, limit: usize) -> Vec<ListedChat> {
        self.activity
            .top(self.directory.chats_of(user), below, limit)
            .into_iter()
            .map(|(rank, chat)| ListedChat { chat, rank, last: self.last_seq(chat) })
            .collect()
    }

    /// A listed chat: its last message as it was when listed, all else as it is.
    #[must_use]
    pub fn view(&self, listed: ListedChat) -> ChatView {
        let ListedChat { chat, rank, last } = listed;
        let ChatEntry { id, name, users, created_at } = self.directory.chat_entry(chat).clone();
        let last_message = last.map(|seq| self.run_at(chat, seq).starting_at(seq, 1));
        ChatView { id, name, users, created_at, rank, last_message }
    }

    /// The seq of the chat's last message.
    #[must_use]
    pub fn last_seq(&self, chat: ChatIndex) -> Option<Seq> {
        self.histories[chat.as_usize()].last()
    }

    /// Messages of the chat from this one on, as many as lie together in memory. At least that one.
    ///
    /// # Panics
    ///
    /// If the chat has no such message.
    #[must_use]
    pub fn run_at(&self, chat: ChatIndex, seq: Seq) -> MessageRun {
        self.histories[chat.as_usize()].run_at(seq)
    }

    /// The id of a chat.
    #[must_use]
    pub fn chat_id(&self, chat: ChatIndex) -> ChatId {
        self.directory.chat_entry(chat).id
    }
}
