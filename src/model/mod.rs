//! What the events add up to: the in-memory indexes that every read is served from.
//!
//! **Invariant:** [`Model::apply`] cannot fail and holds no rule: what would make it fail is refused by
//! [`decide`](crate::domain::decide) before there is an event. Two replays of one log give equal models.

mod activity;
mod directory;
mod facts;
mod history;
mod keys;

use std::sync::Arc;

use crate::domain::{ChatId, Event, IdempotencyKey, MessageId, Position, Record, Seq, Timestamp, UserId};
use activity::Activity;
pub use activity::Rank;
use directory::{ChatEntry, Directory, UserEntry};
pub use directory::{ChatIndex, UserIndex};
use history::History;
pub use history::{Message, MessageRun};
use keys::{Keys, Made, Recalled};

/// Everything that was ever said, and by whom, and where.
#[derive(Debug, Default, PartialEq)]
pub struct Model {
    position: Position,
    time: Timestamp,
    directory: Directory,
    activity: Activity,
    histories: Vec<History>,
    keys: Keys,
}

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The event's place in the log; of a write that changed nothing, the place at which that was so.
    pub position: Position,
    /// What there is now that was not before.
    pub outcome: Outcome,
}

/// What a write has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A user.
    User(UserId),
    /// A chat.
    Chat(ChatId),
    /// A message.
    Message {
        /// The message.
        id: MessageId,
        /// Its place in its chat.
        seq: Seq,
        /// When it was sent.
        created_at: Timestamp,
    },
    /// Nothing that has an id.
    Done,
}

/// A key was used for another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyReused;

/// A user, as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserView {
    /// The user.
    pub id: UserId,
    /// Its name.
    pub username: Arc<str>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A chat's place in a list, as it was when the list was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedChat {
    chat: ChatIndex,
    /// Where it stood among all chats.
    pub rank: Rank,
    last: Seq,
}

/// The highest-ranking of these below `below`, at most `limit`, in order.
#[must_use]
pub fn highest(listed: Vec<ListedChat>, below: Option<Rank>, limit: usize) -> Vec<ListedChat> {
    activity::highest(listed, |chat| chat.rank, below, limit)
}

/// A chat, as a member It shares what is large with the model, and holds no lock.
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
    /// How many messages others have sent since the member's read mark.
    pub unread: u64,
}

impl Model {
    /// Takes in the next event, as decided.
    ///
    /// # Panics
    ///
    /// If it [contradicts](Self::try_apply) those before it; then it was not decided on this model.
    pub fn apply(&mut self, record: &Record<'_>) -> Receipt {
        self.try_apply(record).expect("decided on this model")
    }

    /// Takes in the next event of a log that others may have written: none, and a model to be thrown away, if it
    /// contradicts those before it. That is what [`decide`](crate::domain::decide) would not have let happen, as far
    /// as the model rests on it.
    pub fn try_apply(&mut self, record: &Record<'_>) -> Option<Receipt> {
        let is_later = self.position == Position(0) || record.time > self.time;
        if !is_later {
            return None;
        }
        self.position = self.position.next();
        self.time = record.time;
        let (outcome, made) = self.try_apply_event(&record.event)?;
        if let Some(key) = &record.key {
            self.keys.add(key, Recalled { position: self.position, made });
        }
        Some(Receipt { position: self.position, outcome })
    }

    /// What the event came to, and where to find that again.
    fn try_apply_event(&mut self, event: &Event<'_>) -> Option<(Outcome, Made)> {
        match event {
            Event::UserAdded { id, username } => {
                if self.user(*id).is_some() || self.username_taken(username) {
                    return None;
                }
                let user = self.directory.add_user(*id, username, self.time);
                Some((Outcome::User(*id), Made::User(user)))
            }
            Event::ChatAdded { id, name, users } => {
                let users_exist = users.iter().all(|user| self.user(*user).is_some());
                if self.chat(*id).is_some() || self.chat_name_taken(name) || !users_exist {
                    return None;
                }
                let chat = self.directory.add_chat(*id, name, users, self.time);
                self.activity.add_chat(chat, self.position);
                self.histories.push(History::default());
                Some((Outcome::Chat(*id), Made::Chat(chat)))
            }
            Event::MessageAdded { id, chat, author, text } => {
                let (chat, index) = self.pair(*chat, *author)?;
                self.activity.message_added(chat, self.position);
                let seq = self.histories[chat.as_usize()].push(*id, (*author, index), self.time, text);
                Some((Outcome::Message { id: *id, seq, created_at: self.time }, Made::Message(chat, seq)))
            }
            Event::MemberAdded { chat, user } => {
                let (chat, user) = self.pair(*chat, *user)?;
                if self.is_member(chat, user) {
                    return None;
                }
                self.directory.add_member(chat, user);
                Some((Outcome::Done, Made::Nothing))
            }
            Event::MemberRemoved { chat, user } => {
                let (chat, user) = self.pair(*chat, *user)?;
                if !self.is_member(chat, user) {
                    return None;
                }
                self.directory.remove_member(chat, user);
                Some((Outcome::Done, Made::Nothing))
            }
            Event::ReadMarked { chat, user, seq } => {
                let (chat, index) = self.pair(*chat, *user)?;
                if *seq <= self.read_mark(chat, index) || *seq > self.last_seq(chat) {
                    return None;
                }
                self.histories[chat.as_usize()].mark_read((*user, index), *seq);
                Some((Outcome::Done, Made::Nothing))
            }
            Event::NothingChanged => Some((Outcome::Done, Made::Nothing)),
        }
    }

    fn pair(&self, chat: ChatId, user: UserId) -> Option<(ChatIndex, UserIndex)> {
        Some((self.chat(chat)?, self.user(user)?))
    }

    fn receipt(&self, Recalled { position, made }: Recalled) -> Receipt {
        let outcome = match made {
            Made::Nothing => Outcome::Done,
            Made::User(user) => Outcome::User(self.directory.user_entry(user).id),
            Made::Chat(chat) => Outcome::Chat(self.directory.chat_entry(chat).id),
            Made::Message(chat, seq) => {
                let run = self.run_at(chat, seq);
                let message = run.messages().next().expect("a run is never empty");
                Outcome::Message { id: message.id, seq, created_at: message.created_at }
            }
        };
        Receipt { position, outcome }
    }

    /// What the request with this key came to, the first time; none if the key is free.
    #[must_use]
    pub fn recall(&self, key: &IdempotencyKey<'_>) -> Option<Result<Receipt, KeyReused>> {
        let recalled = self.keys.recall(key)?;
        Some(recalled.map(|recalled| self.receipt(recalled)).map_err(|keys::KeyMismatch| KeyReused))
    }

    /// Makes a model that has taken in a whole log ready for reads that need an order of all chats. From then on it is
    /// kept.
    pub fn put_in_order(&mut self) {
        self.activity.put_in_order();
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

    /// Finds a user by name.
    #[must_use]
    pub fn user_named(&self, username: &str) -> Option<UserIndex> {
        self.directory.user_named(username)
    }

    /// Whether a user has this name.
    #[must_use]
    pub fn username_taken(&self, username: &str) -> bool {
        self.user_named(username).is_some()
    }

    /// A user.
    #[must_use]
    pub fn user_view(&self, user: UserIndex) -> UserView {
        let UserEntry { id, username, created_at, .. } = self.directory.user_entry(user);
        UserView { id: *id, username: Arc::clone(username), created_at: *created_at }
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

    /// The user's chats, highest rank first: those below `below`, at most `limit` of them. None if that takes looking
    /// at more chats than `looks_max`.
    ///
    /// # Panics
    ///
    /// Before the model has been [put in order](Self::put_in_order).
    #[must_use]
    pub fn top_chats(
        &self,
        user: UserIndex,
        below: Option<Rank>,
        limit: usize,
        looks_max: usize,
    ) -> Option<Vec<ListedChat>> {
        let top = self.activity.top(self.directory.chats_of(user), below, limit, looks_max)?;
        Some(top.into_iter().map(|(rank, chat)| self.listed(chat, rank)).collect())
    }

    /// The user's chats, in no order.
    #[must_use]
    pub fn chats_of(&self, user: UserIndex) -> Vec<ChatIndex> {
        self.directory.chats_of(user).iter().copied().collect()
    }

    /// These chats, as they are now.
    #[must_use]
    pub fn list(&self, chats: &[ChatIndex]) -> Vec<ListedChat> {
        chats.iter().map(|&chat| self.listed(chat, self.activity.rank(chat))).collect()
    }

    fn listed(&self, chat: ChatIndex, rank: Rank) -> ListedChat {
        ListedChat { chat, rank, last: self.last_seq(chat) }
    }

    /// A listed chat: its last message, and what is unread up to there, as it was when listed, all else as it is.
    #[must_use]
    pub fn view(&self, user: UserIndex, listed: ListedChat) -> ChatView {
        let ListedChat { chat, rank, last } = listed;
        let ChatEntry { id, name, users, created_at } = self.directory.chat_entry(chat).clone();
        let last_message = (last > Seq(0)).then(|| self.run_at(chat, last).starting_at(last, 1));
        let reader = (self.directory.user_entry(user).id, user);
        let unread = self.histories[chat.as_usize()].unread(reader, last);
        ChatView { id, name, users, created_at, rank, last_message, unread }
    }

    /// The chat's last message; 0 if it has none.
    #[must_use]
    pub fn last_seq(&self, chat: ChatIndex) -> Seq {
        self.histories[chat.as_usize()].last()
    }

    /// Up to where the user has read the chat; 0 if nothing.
    #[must_use]
    pub fn read_mark(&self, chat: ChatIndex, user: UserIndex) -> Seq {
        self.histories[chat.as_usize()].read_mark(user)
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
