//! What the events add up to: the in-memory indexes that every read is served from.
//!
//! **Invariant:** [`Model::apply`] cannot fail and holds no rule: what would make it fail is refused by
//! [`decide`](crate::domain::decide) before there is an event. Two replays of one log give equal models.

mod activity;
mod directory;
mod facts;
mod history;
mod keys;
mod timeline;

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::{
    ChatId, Command, Event, IdempotencyKey, MessageId, NewMessage, Position, Record, Seq, Timestamp, UserId,
};
use activity::Activity;
pub use activity::Rank;
use directory::{ChatEntry, Directory, OwnKeyMap, UserEntry};
pub use directory::{ChatIndex, MembershipChange, UserIndex};
pub use history::{Addition, Histories, Message, MessageRun};
use keys::{Keys, Made, Recalled};
pub use timeline::Happening;

/// Everything that was ever said, and by whom, and where.
#[derive(Debug, Default, PartialEq)]
pub struct Model {
    position: Position,
    time: Timestamp,
    directory: Directory,
    activity: Activity,
    /// Up to where each user has read each chat.
    read_marks: OwnKeyMap<(ChatIndex, UserIndex), Seq>,
    keys: Keys,
    histories: Histories,
}

/// What a write came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The place in the log of its (last) event; of a write that changed nothing, the place at which that was so.
    pub position: Position,
    /// What there is now that was not before.
    pub outcome: Outcome,
}

/// What a write has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A user.
    User(UserId),
    /// A chat.
    Chat(ChatId),
    /// A message.
    Message(SentMessage),
    /// Messages, in the order asked for.
    Messages(Vec<SentMessage>),
    /// Nothing that has an id.
    Done,
}

/// What a message got when it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentMessage {
    /// The message.
    pub id: MessageId,
    /// Its place in its chat.
    pub seq: Seq,
    /// When it was sent.
    pub created_at: Timestamp,
}

/// A key was used for another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyReused;

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Users.
    pub users: u64,
    /// Chats.
    pub chats: u64,
    /// Messages in all chats.
    pub messages: u64,
}

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

/// A chat, as a member sees it. It shares what is large with the model, and holds no lock.
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
        let (receipt, addition) = self.try_index(record)?;
        self.histories.add(addition);
        Some(receipt)
    }

    /// Takes in the next event but for what it adds to the [histories](Self::detach_histories), which is returned.
    /// None is as of [`try_apply`](Self::try_apply).
    pub fn try_index<'r>(&mut self, record: &'r Record<'_>) -> Option<(Receipt, Addition<&'r str>)> {
        let is_later = self.position == Position(0) || record.time > self.time;
        if !is_later {
            return None;
        }
        self.position = self.position.next();
        self.time = record.time;
        let (outcome, made, addition) = self.try_index_event(&record.event)?;
        if let Some(key) = &record.key {
            self.keys.add(key, Recalled { position: self.position, made });
        }
        Some((Receipt { position: self.position, outcome }, addition))
    }

    /// What the event came to, where to find that again, and what it adds to the histories.
    fn try_index_event<'e>(&mut self, event: &'e Event<'_>) -> Option<(Outcome, Made, Addition<&'e str>)> {
        let done = |addition| Some((Outcome::Done, Made::Nothing, addition));
        match event {
            Event::UserAdded { id, username } => {
                if self.user(*id).is_some() || self.username_taken(username) {
                    return None;
                }
                let user = self.directory.add_user(*id, username, self.time);
                Some((Outcome::User(*id), Made::User(user), Addition::Nothing))
            }
            Event::ChatAdded { id, name, users } => {
                let users_exist = users.iter().all(|user| self.user(*user).is_some());
                if self.chat(*id).is_some() || self.chat_name_taken(name) || !users_exist {
                    return None;
                }
                let chat = self.directory.add_chat(self.position, *id, name, users, self.time);
                self.activity.add_chat(chat, self.position);
                Some((Outcome::Chat(*id), Made::Chat(chat), Addition::Chat))
            }
            Event::MessageAdded { id, chat, author, text } => {
                let (chat, index) = self.pair(*chat, *author)?;
                let seq = self.activity.message_added(chat, self.position);
                let (position, id, created_at) = (self.position, *id, self.time);
                let author = (*author, index);
                let addition = Addition::Message { position, chat, id, author, created_at, text: &**text };
                let sent = SentMessage { id, seq, created_at };
                Some((Outcome::Message(sent), Made::Message(chat, seq), addition))
            }
            Event::MemberAdded { chat, user } => {
                let (chat, user) = self.pair(*chat, *user)?;
                if self.is_member(chat, user) {
                    return None;
                }
                self.directory.add_member(self.position, chat, user);
                done(Addition::Joined { position: self.position, chat, user })
            }
            Event::MemberRemoved { chat, user } => {
                let (chat, user) = self.pair(*chat, *user)?;
                if !self.is_member(chat, user) {
                    return None;
                }
                self.directory.remove_member(self.position, chat, user);
                done(Addition::Left { position: self.position, chat, user })
            }
            Event::ReadMarked { chat, user, seq } => {
                let (chat, index) = self.pair(*chat, *user)?;
                let after = self.read_mark(chat, index);
                if *seq <= after || *seq > self.last_seq(chat) {
                    return None;
                }
                self.read_marks.insert((chat, index), *seq);
                let (position, reader) = (self.position, (*user, index));
                done(Addition::Mark { position, chat, reader, after, to: *seq })
            }
            Event::NothingChanged => done(Addition::Nothing),
        }
    }

    /// The histories, to be filled elsewhere while this model takes in the events otherwise. Until they are
    /// [attached](Self::attach_histories) again, it has none to show.
    #[must_use]
    pub fn detach_histories(&mut self) -> Histories {
        std::mem::take(&mut self.histories)
    }

    /// Puts the histories back, with all that was added.
    pub fn attach_histories(&mut self, histories: Histories) {
        self.histories = histories;
    }

    fn pair(&self, chat: ChatId, user: UserId) -> Option<(ChatIndex, UserIndex)> {
        Some((self.chat(chat)?, self.user(user)?))
    }

    /// None if the command cannot have made that.
    fn receipt(&self, Recalled { position, made }: Recalled, command: &Command) -> Option<Receipt> {
        let outcome = match made {
            Made::Nothing => Outcome::Done,
            Made::User(user) => Outcome::User(self.directory.user_entry(user).id),
            Made::Chat(chat) => Outcome::Chat(self.directory.chat_entry(chat).id),
            Made::Message(chat, seq) => match command {
                Command::AddMessages(messages) => {
                    Outcome::Messages(self.sent_together(messages, (chat, seq))?)
                }
                Command::AddUser { .. }
                | Command::AddChat { .. }
                | Command::AddMessage(_)
                | Command::AddMember { .. }
                | Command::RemoveMember { .. }
                | Command::MarkRead { .. } => Outcome::Message(self.sent(chat, seq)),
            },
        };
        Some(Receipt { position, outcome })
    }

    fn sent(&self, chat: ChatIndex, seq: Seq) -> SentMessage {
        let run = self.run_at(chat, seq);
        let message = run.messages().next().expect("a run is never empty");
        SentMessage { id: message.id, seq, created_at: message.created_at }
    }

    /// What these messages got, which were sent together, the last of them as this one: each is the latest of its chat
    /// up to then that none of those behind it is.
    fn sent_together(
        &self,
        messages: &[NewMessage],
        (chat, seq): (ChatIndex, Seq),
    ) -> Option<Vec<SentMessage>> {
        let last_sent = self.sent(chat, seq).created_at;
        let mut latest = HashMap::new();
        let sent_before = |message: &NewMessage| {
            let chat = self.chat(message.chat)?;
            let history = self.histories.of(chat);
            let seq = latest.entry(chat).or_insert_with(|| history.last_until(last_sent));
            let before = seq.0.checked_sub(1)?;
            let sent = self.sent(chat, *seq);
            *seq = Seq(before);
            Some(sent)
        };
        let mut sent: Vec<_> = messages.iter().rev().map(sent_before).collect::<Option<_>>()?;
        sent.reverse();
        Some(sent)
    }

    /// What the request with this key, for this command, came to, the first time; none if the key is free.
    #[must_use]
    pub fn recall(&self, key: &IdempotencyKey<'_>, command: &Command) -> Option<Result<Receipt, KeyReused>> {
        let recalled = self.keys.recall(key)?.ok();
        Some(recalled.and_then(|recalled| self.receipt(recalled, command)).ok_or(KeyReused))
    }

    /// Whether a request had this key.
    #[must_use]
    pub fn is_used(&self, key: &IdempotencyKey<'_>) -> bool {
        self.keys.recall(key).is_some()
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

    /// How much there is.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (users, chats) = self.directory.counts();
        Counts { users, chats, messages: self.activity.messages() }
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
        let unread = self.histories.of(chat).unread(reader, self.read_mark(chat, user), last);
        ChatView { id, name, users, created_at, rank, last_message, unread }
    }

    /// The chat's last message; 0 if it has none.
    #[must_use]
    pub fn last_seq(&self, chat: ChatIndex) -> Seq {
        self.activity.last_seq(chat)
    }

    /// Up to where the user has read the chat; 0 if nothing.
    #[must_use]
    pub fn read_mark(&self, chat: ChatIndex, user: UserIndex) -> Seq {
        self.read_marks.get(&(chat, user)).copied().unwrap_or_default()
    }

    /// Messages of the chat from this one on, as many as lie together in memory. At least that one.
    ///
    /// # Panics
    ///
    /// If the chat has no such message.
    #[must_use]
    pub fn run_at(&self, chat: ChatIndex, seq: Seq) -> MessageRun {
        self.histories.of(chat).run_at(seq)
    }

    /// A message of the chat.
    ///
    /// # Panics
    ///
    /// If the chat has no such message.
    #[must_use]
    pub fn message(&self, chat: ChatIndex, seq: Seq) -> Message<'_> {
        self.histories.of(chat).message(seq)
    }

    /// The first that happened in the chat after this position. Its making is nothing that happened in it.
    #[must_use]
    pub fn first_after(&self, chat: ChatIndex, position: Position) -> Option<(Position, Happening)> {
        self.histories.of(chat).first_after(position)
    }

    /// When the user was put into chats, at their making or later, and taken out of them, after this position.
    #[must_use]
    pub fn membership_changes(&self, user: UserIndex, after: Position) -> &[MembershipChange] {
        self.directory.membership_changes(user, after)
    }

    /// The id of a chat.
    #[must_use]
    pub fn chat_id(&self, chat: ChatIndex) -> ChatId {
        self.directory.chat_entry(chat).id
    }

    /// The id of a user.
    #[must_use]
    pub fn user_id(&self, user: UserIndex) -> UserId {
        self.directory.user_entry(user).id
    }

    /// The members of a chat, in the order they were added.
    #[must_use]
    pub fn members(&self, chat: ChatIndex) -> &Arc<Vec<UserId>> {
        &self.directory.chat_entry(chat).users
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::Text;

    #[test]
    fn a_key_whose_request_cannot_have_made_what_the_log_says_counts_as_reused() {
        // Given a log, as somebody may import it, in which one message stands for a request for two.
        let [user, chat, id] = [1, 2, 3].map(Uuid::from_u128);
        let text = |text: &str| Text::try_from(text.to_owned()).expect("a text");
        let message = |words| NewMessage { chat: chat.into(), author: user.into(), text: text(words) };
        let request = Command::AddMessages(vec![message("a"), message("b")]);
        let key = IdempotencyKey::new("key".to_owned(), &request).expect("a key");
        let mut model = Model::default();
        let events = [
            Event::UserAdded { id: user.into(), username: "ann".into() },
            Event::ChatAdded { id: chat.into(), name: "tea".into(), users: vec![user.into()] },
            Event::MessageAdded { id: id.into(), chat: chat.into(), author: user.into(), text: "b".into() },
        ];
        let last = events.len() - 1;
        for (number, event) in events.into_iter().enumerate() {
            let time = Timestamp::from_micros(number as u64).expect("in range");
            let key = (number == last).then(|| key.borrowed());
            model.apply(&Record { time, key, event });
        }
        // When the request comes again, it is none that is known.
        assert_eq!(model.recall(&key, &request), Some(Err(KeyReused)));
    }
}
