//! The index that rules and tools consult: users, chats, members, read marks, revocations, and used idempotency keys.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::activity::Activity;
use super::chunk::AddedMessage;
use super::directory::{ChatIndex, Directory, UserIndex};
use super::epochs::Epochs;
use super::history::Addition;
use super::keys::{Created, Keys, Recalled};
use super::recall::{Outcome, Receipt, SentMessage};
use super::subjects::{Subject, Subjects};
use super::timeline::{ChatEvent, TimelineEntry};
use crate::domain::{ChatId, Epoch, Event, Facts, IdempotencyKey, Position, Record, Seq, Timestamp, UserId};

/// The part of the model besides the [histories](super::Histories) of the chats.
#[derive(Debug, Default, PartialEq)]
pub struct Index {
    pub(super) position: Position,
    pub(super) time: Timestamp,
    epochs: Epochs,
    pub(super) directory: Directory,
    pub(super) activity: Activity,
    read_marks: BTreeMap<(ChatIndex, UserIndex), ReadMark>,
    /// The time of the last revocation of each user who has one, in Unix seconds.
    tokens_from: BTreeMap<UserIndex, u64>,
    pub(super) revocations: u64,
    pub(super) keys: Keys,
    /// `None` if nobody follows all events: they cost four bytes an event.
    subjects: Option<Subjects>,
}

/// The last message that a user has read, and the position of the event that marked it.
#[derive(Debug, PartialEq)]
struct ReadMark {
    seq: Seq,
    position: Position,
}

/// The effect of an event: its outcome, and its addition to the histories.
struct Effect<'e> {
    outcome: Outcome,
    created: Created,
    addition: Addition<&'e str>,
}

impl Effect<'_> {
    /// Returns the effect of an event that creates nothing with an id.
    fn creating_nothing(addition: Addition<&str>) -> Effect<'_> {
        Effect { outcome: Outcome::Done, created: Created::Nothing, addition }
    }

    fn subject(&self) -> Option<Subject> {
        match self.created {
            Created::User(user) => Some(Subject::AddedUser(user)),
            Created::Chat(chat) => Some(Subject::AddedChat(chat)),
            Created::Message { chat, .. } => Some(Subject::InChat(chat)),
            Created::Nothing | Created::TokensFrom(_) => match self.addition {
                Addition::Event { chat, .. } => Some(Subject::InChat(chat)),
                Addition::Nothing | Addition::Chat | Addition::Message(_) => None,
            },
        }
    }
}

impl Index {
    /// Returns an empty index that also keeps the [subject](Self::subject_at) of each event.
    #[must_use]
    pub fn keeping_subjects() -> Self {
        Self { subjects: Some(Subjects::default()), ..Self::default() }
    }

    /// Applies the next event of a log. Returns its receipt, and its addition to the histories.
    ///
    /// Returns `None` if the event contradicts those before it. [`decide`](crate::domain::decide) never
    /// decides such an event, but another program may have written the log. The index must not be used after
    /// that.
    pub fn try_apply<'r>(&mut self, record: &'r Record<'_>) -> Option<(Receipt, Addition<&'r str>)> {
        let is_later = self.position == Position(0) || record.time > self.time;
        if !is_later {
            return None;
        }
        self.position = self.position.next();
        self.time = record.time;
        let effect = self.try_apply_event(&record.event)?;
        if let Some(subjects) = &mut self.subjects {
            subjects.push(effect.subject());
        }
        let Effect { outcome, created, addition } = effect;
        if let Some(key) = &record.key {
            self.keys.add(key, Recalled { position: self.position, created });
        }
        Some((Receipt { position: self.position, outcome }, addition))
    }

    fn try_apply_event<'e>(&mut self, event: &'e Event<'_>) -> Option<Effect<'e>> {
        let (position, created_at) = (self.position, self.time);
        match event {
            Event::UserAdded { id, username } => {
                if self.user_exists(*id) || self.username_taken(username) {
                    return None;
                }
                let user = self.directory.add_user(*id, username, created_at);
                let (outcome, created) = (Outcome::User(*id), Created::User(user));
                Some(Effect { outcome, created, addition: Addition::Nothing })
            }
            Event::ChatAdded { id, name, users } => {
                let users_exist = users.iter().all(|user| self.user_exists(*user));
                if self.chat_exists(*id) || self.chat_name_taken(name) || !users_exist {
                    return None;
                }
                let chat = self.directory.add_chat(position, *id, name, users, created_at);
                self.activity.add_chat(chat, position);
                let (outcome, created) = (Outcome::Chat(*id), Created::Chat(chat));
                Some(Effect { outcome, created, addition: Addition::Chat })
            }
            Event::MessageAdded { id, chat, author, text } => {
                let (chat, author_index) = (self.directory.chat(*chat)?, self.directory.user(*author)?);
                let seq = self.activity.add_message(chat, position);
                let (id, author, text) = (*id, *author, &**text);
                let message = AddedMessage { position, chat, id, author, author_index, created_at, text };
                let outcome = Outcome::Message(SentMessage { id, seq, created_at });
                let created = Created::Message { chat, seq };
                Some(Effect { outcome, created, addition: Addition::Message(message) })
            }
            Event::MemberAdded { chat, user } => {
                let (chat, user) = (self.directory.chat(*chat)?, self.directory.user(*user)?);
                if self.directory.has_member(chat, user) {
                    return None;
                }
                self.directory.add_member(position, chat, user);
                let entry = TimelineEntry { position, event: ChatEvent::Joined(user) };
                Some(Effect::creating_nothing(Addition::Event { chat, entry, overtaken: None }))
            }
            Event::MemberRemoved { chat, user } => {
                let (chat, user) = (self.directory.chat(*chat)?, self.directory.user(*user)?);
                if !self.directory.has_member(chat, user) {
                    return None;
                }
                self.directory.remove_member(position, chat, user);
                let entry = TimelineEntry { position, event: ChatEvent::Left(user) };
                Some(Effect::creating_nothing(Addition::Event { chat, entry, overtaken: None }))
            }
            Event::ReadMarked { chat, user, seq } => {
                let (chat, user, seq) = (self.directory.chat(*chat)?, self.directory.user(*user)?, *seq);
                if seq <= self.mark_of(chat, user) || seq > self.activity.newest_seq(chat) {
                    return None;
                }
                let before = self.read_marks.insert((chat, user), ReadMark { seq, position });
                let entry = TimelineEntry { position, event: ChatEvent::Read { user, seq } };
                let overtaken = before.map(|mark| mark.position);
                Some(Effect::creating_nothing(Addition::Event { chat, entry, overtaken }))
            }
            Event::TokensRevoked { user, from } => {
                let (user, from) = (self.directory.user(*user)?, *from);
                // After the last second of all, no other could come.
                if from <= self.tokens_from_of(user) || from == u64::MAX {
                    return None;
                }
                self.tokens_from.insert(user, from);
                self.revocations += 1;
                let (outcome, created) = (Outcome::TokensFrom(from), Created::TokensFrom(from));
                Some(Effect { outcome, created, addition: Addition::Nothing })
            }
            Event::NothingChanged => Some(Effect::creating_nothing(Addition::Nothing)),
        }
    }

    /// Returns the position of the last event, or 0 before the first.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Begins an epoch with the next event, unless it is the current one.
    pub fn enter_epoch(&mut self, epoch: Epoch) {
        self.epochs.enter(self.position.next(), epoch);
    }

    /// Returns the epoch of the event at this position, which must not be beyond the last.
    #[must_use]
    pub fn epoch_at(&self, position: Position) -> Epoch {
        self.epochs.at(position)
    }

    /// Returns whether this index keeps the [subject](Self::subject_at) of each event.
    #[must_use]
    pub fn keeps_subjects(&self) -> bool {
        self.subjects.is_some()
    }

    /// Returns the user or chat that the event at this position is about, or `None` if it is about neither.
    ///
    /// # Panics
    ///
    /// Panics if there is no such event, or if this index does not [keep subjects](Self::keeping_subjects).
    #[must_use]
    pub fn subject_at(&self, position: Position) -> Option<Subject> {
        self.subjects.as_ref().expect("the index keeps subjects").at(position)
    }

    /// Returns the time of the last event.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Returns whether a request had this key.
    #[must_use]
    pub fn is_used(&self, key: &IdempotencyKey<'_>) -> bool {
        self.keys.recall(key).is_some()
    }

    /// Returns the read marks of the chat after that of this user, in the order of the users' indexes. Those of
    /// former members are among them.
    pub(super) fn marks_after(
        &self,
        chat: ChatIndex,
        user: Option<UserIndex>,
    ) -> impl Iterator<Item = (UserIndex, Seq)> {
        let start = user
            .map_or(Bound::Included((chat, UserIndex::from_u32(0))), |user| Bound::Excluded((chat, user)));
        let marks = self.read_marks.range((start, Bound::Included((chat, UserIndex::from_u32(u32::MAX)))));
        marks.map(|(&(_, user), mark)| (user, mark.seq))
    }

    /// Returns the seq up to which the user has read the chat, or 0 if they have read nothing.
    pub(super) fn mark_of(&self, chat: ChatIndex, user: UserIndex) -> Seq {
        self.read_marks.get(&(chat, user)).map_or(Seq(0), |mark| mark.seq)
    }

    /// Returns the time from which the user's tokens are good, in Unix seconds, or 0 if none was ever revoked.
    pub(super) fn tokens_from_of(&self, user: UserIndex) -> u64 {
        self.tokens_from.get(&user).copied().unwrap_or(0)
    }
}

impl Facts for Index {
    fn user_exists(&self, user: UserId) -> bool {
        self.directory.user(user).is_some()
    }

    fn username_taken(&self, username: &str) -> bool {
        self.directory.user_named(username).is_some()
    }

    fn chat_exists(&self, chat: ChatId) -> bool {
        self.directory.chat(chat).is_some()
    }

    fn chat_name_taken(&self, name: &str) -> bool {
        self.directory.chat_named(name).is_some()
    }

    fn is_member(&self, chat: ChatId, user: UserId) -> bool {
        let (chat, user) = (self.directory.chat(chat), self.directory.user(user));
        chat.zip(user).is_some_and(|(chat, user)| self.directory.has_member(chat, user))
    }

    fn last_seq(&self, chat: ChatId) -> Seq {
        self.directory.chat(chat).map_or(Seq(0), |chat| self.activity.newest_seq(chat))
    }

    fn read_mark(&self, chat: ChatId, user: UserId) -> Seq {
        let (chat, user) = (self.directory.chat(chat), self.directory.user(user));
        chat.zip(user).map_or(Seq(0), |(chat, user)| self.mark_of(chat, user))
    }

    fn tokens_from(&self, user: UserId) -> u64 {
        self.directory.user(user).map_or(0, |user| self.tokens_from_of(user))
    }
}
