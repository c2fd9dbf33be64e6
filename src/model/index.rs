//! The index that rules and tools consult: users, chats, members, read marks, revocations, and used idempotency keys.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::activity::Activity;
use super::chunk::AddedMessage;
use super::directory::{ChatIndex, Directory, NewChat, UserIndex, name_of};
use super::epochs::Epochs;
use super::history::{Addition, MessageChange, Rare};
use super::keys::{Created, Keys, Recalled};
use super::recall::{Outcome, Receipt, SentMessage};
use super::subjects::{Subject, Subjects};
use super::timeline::{ChatEvent, TimelineEntry};
use crate::domain::{
    ChatId, Deletion, Epoch, ErasedMessages, Event, IdempotencyKey, MessageId, Metadata, Position, Record,
    Seq, Timestamp, UserId,
};

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
    /// The time of the erasure of each user who was erased, and what became of the messages.
    erased: BTreeMap<UserIndex, (Timestamp, ErasedMessages)>,
    /// The time of the last event by which a user lost a name.
    name_lost: Option<Timestamp>,
    /// The users whose names may have been those of others shortly before, each with the time at which the user got the
    /// name.
    renamed: BTreeMap<UserIndex, Timestamp>,
    /// The users who were edited or erased, by the position of the last such event.
    changed_users: BTreeMap<Position, UserIndex>,
    user_changes: BTreeMap<UserIndex, Position>,
    rewrites: Rewrites,
    /// The position of the last edit of each chat that was edited.
    chat_edits: BTreeMap<ChatIndex, Position>,
    pub(super) keys: Keys,
    /// `None` if nobody follows all events: they cost four bytes an event.
    subjects: Option<Subjects>,
}

/// Time after which a name that was free is taken for a new one: longer than a token may be older than its user.
const NAME_KEPT_MIN: Duration = Duration::from_mins(2);

/// What a scrub of the log may find due.
#[derive(Debug, Default, PartialEq)]
struct Rewrites {
    /// The first and the last time at which something was edited or deleted, of each hour since the Unix epoch.
    hours: BTreeMap<u64, (Timestamp, Timestamp)>,
    /// Number of events that made something due at once.
    erasures: u64,
}

impl Rewrites {
    fn note(&mut self, at: Timestamp, event: &Event<'_>) {
        match event {
            Event::UserErased { .. } | Event::MessageDeleted { erase: true, .. } => self.erasures += 1,
            Event::MessageEdited { .. }
            | Event::MessageDeleted { erase: false, .. }
            | Event::ChatEdited { .. }
            | Event::UserEdited { .. } => {
                self.hours.entry(hour_of(at)).or_insert((at, at)).1 = at;
            }
            Event::UserAdded { .. }
            | Event::ChatAdded { .. }
            | Event::NamelessChatAdded { .. }
            | Event::DirectChatAdded { .. }
            | Event::MessageAdded { .. }
            | Event::MessageAddedWith { .. }
            | Event::MemberAdded { .. }
            | Event::MemberRemoved { .. }
            | Event::ReadMarked { .. }
            | Event::ReactionAdded { .. }
            | Event::ReactionRemoved { .. }
            | Event::NothingChanged
            | Event::AlreadySo { .. }
            | Event::TokensRevoked { .. } => {}
        }
    }
}

fn hour_of(time: Timestamp) -> u64 {
    time.as_micros() / (3_600 * 1_000_000)
}

/// The last message that a user has read, and the position of the event that marked it.
#[derive(Debug, PartialEq)]
struct ReadMark {
    seq: Seq,
    position: Position,
}

/// The effect of an event.
struct Effect<'e> {
    outcome: Outcome,
    created: Created,
    subject: Option<Subject>,
    addition: Addition<&'e str>,
}

impl<'e> Effect<'e> {
    /// Returns the effect of an event whose answer has nothing of its own.
    fn on(subject: Subject, addition: Addition<&'e str>) -> Self {
        Self { outcome: Outcome::Done, created: Created::Nothing, subject: Some(subject), addition }
    }

    fn on_chat(chat: ChatIndex, entry: TimelineEntry, overtaken: Option<Position>) -> Self {
        Self::on(Subject::InChat(chat), Addition::Event { chat, entry, overtaken })
    }

    fn on_message(change: MessageChange, rare: Rare<&'e str>) -> Self {
        Self::on(Subject::InChat(change.chat), Addition::Rare(Box::new(rare)))
    }

    fn sending(message: &AddedMessage<&str>, seq: Seq, addition: Addition<&'e str>) -> Self {
        let &AddedMessage { id, chat, created_at, .. } = message;
        let outcome = Outcome::Message(SentMessage { id, seq, created_at });
        Self {
            outcome,
            created: Created::Message { chat, seq },
            subject: Some(Subject::InChat(chat)),
            addition,
        }
    }

    fn without_subject(outcome: Outcome, created: Created) -> Self {
        Self { outcome, created, subject: None, addition: Addition::Nothing }
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
        self.rewrites.note(record.time, &record.event);
        if let Some(subjects) = &mut self.subjects {
            subjects.push(effect.subject);
        }
        let Effect { outcome, created, addition, .. } = effect;
        if let Some(key) = &record.key {
            self.keys.add(key, Recalled { position: self.position, created });
        }
        Some((Receipt { position: self.position, outcome }, addition))
    }

    fn try_apply_event<'e>(&mut self, event: &'e Event<'_>) -> Option<Effect<'e>> {
        let created_at = self.time;
        match event {
            Event::UserAdded { id, username } => {
                if self.directory.user(*id).is_some() || self.directory.user_named(username).is_some() {
                    return None;
                }
                let user = self.directory.add_user(*id, username, created_at);
                let is_recent = |lost: &Timestamp| created_at.saturating_since(*lost) < NAME_KEPT_MIN;
                if self.name_lost.as_ref().is_some_and(is_recent) {
                    self.renamed.insert(user, created_at);
                }
                let (outcome, created) = (Outcome::User(*id), Created::User(user));
                let subject = Some(Subject::AddedUser(user));
                Some(Effect { outcome, created, subject, addition: Addition::Nothing })
            }
            Event::ChatAdded { id, name, users } => {
                self.add_chat(&NewChat { id: *id, name: Some(name), users, created_at, is_direct: false })
            }
            Event::NamelessChatAdded { id, users } => {
                self.add_chat(&NewChat { id: *id, name: None, users, created_at, is_direct: false })
            }
            Event::DirectChatAdded { id, users } => {
                let [one, other] = users.map(|user| self.directory.user(user));
                if one? == other? || self.directory.direct_chat([one?, other?]).is_some() {
                    return None;
                }
                self.add_chat(&NewChat { id: *id, name: None, users, created_at, is_direct: true })
            }
            Event::MessageAdded { id, chat, author, text } => {
                let (message, seq) = self.add_message(*id, *chat, *author, text)?;
                Some(Effect::sending(&message, seq, Addition::Message(message)))
            }
            Event::MessageAddedWith { id, chat, author, text, reply_to, metadata } => {
                if let Some(reply_to) = reply_to {
                    self.check_message(self.directory.chat(*chat)?, *reply_to)?;
                }
                let (message, seq) = self.add_message(*id, *chat, *author, text)?;
                let (reply_to, metadata) = (*reply_to, metadata.as_deref());
                let rare = Rare::MessageWith { message, reply_to, metadata };
                Some(Effect::sending(&message, seq, Addition::Rare(Box::new(rare))))
            }
            Event::MessageEdited { chat, seq, user: _, text, metadata } => {
                let change = self.change(*chat, *seq)?;
                let rare = Rare::Edited { change, text: text.as_deref(), metadata: metadata.as_deref() };
                let (outcome, created) = (Outcome::EditedAt(Some(created_at)), Created::EditedAt(created_at));
                Some(Effect { outcome, created, ..Effect::on_message(change, rare) })
            }
            Event::AlreadySo { edited_at, .. } => {
                let created = edited_at.map_or(Created::Nothing, Created::EditedAt);
                Some(Effect::without_subject(Outcome::EditedAt(*edited_at), created))
            }
            Event::MessageDeleted { chat, seq, user: _, erase } => {
                let deletion = if *erase { Deletion::Erased } else { Deletion::Kept };
                let change = self.change(*chat, *seq)?;
                Some(Effect::on_message(change, Rare::Deleted { change, deletion }))
            }
            Event::ReactionAdded { chat, seq, user, emoji } => {
                let (change, user) = (self.change(*chat, *seq)?, self.directory.user(*user)?);
                Some(Effect::on_message(change, Rare::Reaction { change, user, emoji, is_added: true }))
            }
            Event::ReactionRemoved { chat, seq, user, emoji } => {
                let (change, user) = (self.change(*chat, *seq)?, self.directory.user(*user)?);
                Some(Effect::on_message(change, Rare::Reaction { change, user, emoji, is_added: false }))
            }
            Event::ChatEdited { chat, name, metadata } => {
                self.edit_chat(*chat, name.as_deref(), metadata.as_deref())
            }
            Event::UserEdited { user, username, metadata } => {
                self.edit_user(*user, username.as_deref(), metadata.as_deref())
            }
            Event::UserErased { user, messages } => self.erase_user(*user, *messages),
            Event::MemberAdded { chat, user } => self.add_member(*chat, *user),
            Event::MemberRemoved { chat, user } => self.remove_member(*chat, *user),
            Event::ReadMarked { chat, user, seq } => self.mark_read(*chat, *user, *seq),
            Event::TokensRevoked { user, from } => self.revoke_tokens(*user, *from),
            Event::NothingChanged => Some(Effect::without_subject(Outcome::Done, Created::Nothing)),
        }
    }

    fn add_chat<'e>(&mut self, chat: &NewChat<'_>) -> Option<Effect<'e>> {
        let &NewChat { id, name, users, .. } = chat;
        let users_exist = users.iter().all(|user| self.directory.user(*user).is_some());
        let is_name_taken = name.is_some_and(|name| self.directory.chat_named(name).is_some());
        if self.directory.chat(id).is_some() || is_name_taken || !users_exist {
            return None;
        }
        let chat = self.directory.add_chat(self.position, chat);
        self.activity.add_chat(chat, self.position);
        let (outcome, created) = (Outcome::Chat(id), Created::Chat(chat));
        Some(Effect { outcome, created, subject: Some(Subject::AddedChat(chat)), addition: Addition::Chat })
    }

    fn add_message<'e>(
        &mut self,
        id: MessageId,
        chat: ChatId,
        author: UserId,
        text: &'e str,
    ) -> Option<(AddedMessage<&'e str>, Seq)> {
        let (chat, author_index) = (self.directory.chat(chat)?, self.directory.user(author)?);
        let (position, created_at) = (self.position, self.time);
        let seq = self.activity.add_message(chat, position);
        Some((AddedMessage { position, chat, id, author, author_index, created_at, text }, seq))
    }

    fn add_member<'e>(&mut self, chat: ChatId, user: UserId) -> Option<Effect<'e>> {
        let position = self.position;
        let (chat, user) = (self.directory.chat(chat)?, self.directory.user(user)?);
        if self.directory.has_member(chat, user) {
            return None;
        }
        self.directory.add_member(position, chat, user);
        let entry = TimelineEntry { position, event: ChatEvent::Joined(user) };
        Some(Effect::on_chat(chat, entry, None))
    }

    fn remove_member<'e>(&mut self, chat: ChatId, user: UserId) -> Option<Effect<'e>> {
        let position = self.position;
        let (chat, user) = (self.directory.chat(chat)?, self.directory.user(user)?);
        if !self.directory.has_member(chat, user) {
            return None;
        }
        self.directory.remove_member(position, chat, user);
        let entry = TimelineEntry { position, event: ChatEvent::Left(user) };
        Some(Effect::on_chat(chat, entry, None))
    }

    fn mark_read<'e>(&mut self, chat: ChatId, user: UserId, seq: Seq) -> Option<Effect<'e>> {
        let position = self.position;
        let (chat, user) = (self.directory.chat(chat)?, self.directory.user(user)?);
        if seq <= self.mark_of(chat, user) || seq > self.activity.newest_seq(chat) {
            return None;
        }
        let before = self.read_marks.insert((chat, user), ReadMark { seq, position });
        let entry = TimelineEntry { position, event: ChatEvent::Read { user, seq } };
        let overtaken = before.map(|mark| mark.position);
        Some(Effect::on_chat(chat, entry, overtaken))
    }

    fn revoke_tokens<'e>(&mut self, user: UserId, from: u64) -> Option<Effect<'e>> {
        let user = self.directory.user(user)?;
        // No later revocation may reach the bit that marks the time of an edit.
        if from <= self.tokens_from_of(user) || from >= 1 << 63 {
            return None;
        }
        self.tokens_from.insert(user, from);
        self.revocations += 1;
        Some(Effect::without_subject(Outcome::TokensFrom(from), Created::TokensFrom(from)))
    }

    fn edit_chat<'e>(
        &mut self,
        chat: ChatId,
        name: Option<&str>,
        metadata: Option<&str>,
    ) -> Option<Effect<'e>> {
        let position = self.position;
        let chat = self.directory.chat(chat)?;
        if let Some(name) = name {
            if self.directory.chat_named(name).is_some() {
                return None;
            }
            self.directory.name_chat(chat, name_of(name));
        }
        if let Some(metadata) = metadata {
            self.directory.describe_chat(chat, Metadata::present(metadata).map(Arc::from));
        }
        let entry = TimelineEntry { position, event: ChatEvent::ChatEdited };
        let overtaken = self.chat_edits.insert(chat, position);
        Some(Effect::on_chat(chat, entry, overtaken))
    }

    fn edit_user<'e>(
        &mut self,
        user: UserId,
        username: Option<&str>,
        metadata: Option<&str>,
    ) -> Option<Effect<'e>> {
        let user = self.directory.user(user)?;
        if self.was_erased(user) {
            return None;
        }
        if let Some(username) = username {
            if self.directory.user_named(username).is_some() {
                return None;
            }
            self.directory.name_user(user, name_of(username));
            self.renamed.insert(user, self.time);
            self.name_lost = Some(self.time);
        }
        if let Some(metadata) = metadata {
            self.directory.describe_user(user, Metadata::present(metadata).map(Arc::from));
        }
        self.note_user_change(user);
        Some(Effect::on(Subject::ChangedUser(user), Addition::Nothing))
    }

    fn erase_user<'e>(&mut self, user: UserId, messages: ErasedMessages) -> Option<Effect<'e>> {
        let position = self.position;
        let user = self.directory.user(user)?;
        let before = self.erased.insert(user, (self.time, messages)).map(|(_, messages)| messages);
        match (before, messages) {
            (None, _) | (Some(ErasedMessages::Keep), ErasedMessages::Erase) => {}
            (Some(_), _) => return None,
        }
        self.directory.name_user(user, None);
        self.name_lost = Some(self.time);
        self.directory.describe_user(user, None);
        let chats = self.directory.leave_all(position, user);
        let chats = chats.into_iter().map(|chat| {
            let mark = self.read_marks.remove(&(chat, user));
            (chat, mark.map(|mark| mark.position))
        });
        let chats = chats.collect();
        self.note_user_change(user);
        self.revocations += 1;
        let at = self.time;
        let rare = Rare::UserErased { user, position, at, chats, messages };
        Some(Effect::on(Subject::ChangedUser(user), Addition::Rare(Box::new(rare))))
    }

    /// Returns a change, now, of a message that exists.
    fn change(&self, chat: ChatId, seq: Seq) -> Option<MessageChange> {
        let chat = self.directory.chat(chat)?;
        self.check_message(chat, seq)?;
        Some(MessageChange { chat, seq, position: self.position, at: self.time })
    }

    fn check_message(&self, chat: ChatIndex, seq: Seq) -> Option<()> {
        (Seq(1)..=self.activity.newest_seq(chat)).contains(&seq).then_some(())
    }

    fn note_user_change(&mut self, user: UserIndex) {
        if let Some(before) = self.user_changes.insert(user, self.position) {
            self.changed_users.remove(&before);
        }
        self.changed_users.insert(self.position, user);
    }

    /// Returns the users who were edited or erased after this position, by the position of the last such event.
    pub(super) fn users_changed_after(
        &self,
        position: Position,
    ) -> impl Iterator<Item = (Position, UserIndex)> {
        self.changed_users.range(position.next()..).map(|(position, user)| (*position, *user))
    }

    /// Returns the position of the last event that edited or erased the user, if there is one.
    pub(super) fn last_change_of(&self, user: UserIndex) -> Option<Position> {
        self.user_changes.get(&user).copied()
    }

    /// Returns the position of the last edit of the chat, if there was one.
    pub(super) fn last_edit_of_chat(&self, chat: ChatIndex) -> Option<Position> {
        self.chat_edits.get(&chat).copied()
    }

    /// Returns the time at which the user got the name, if it may have been another user's shortly before.
    pub(super) fn renamed_at(&self, user: UserIndex) -> Option<Timestamp> {
        self.renamed.get(&user).copied()
    }

    pub(super) fn was_erased(&self, user: UserIndex) -> bool {
        self.erasure_of(user).is_some()
    }

    pub(super) fn erasure_of(&self, user: UserIndex) -> Option<(Timestamp, ErasedMessages)> {
        self.erased.get(&user).copied()
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

    /// Returns the number of events that made something due at once, for a scrub of the log.
    #[must_use]
    pub fn erasures(&self) -> u64 {
        self.rewrites.erasures
    }

    /// Returns whether something was edited or deleted later than `after`, and not later than `until`. May be wrongly `true`
    /// if changes before and after these times fall into one hour.
    #[must_use]
    pub fn was_rewritten_within(&self, after: Timestamp, until: Timestamp) -> bool {
        let Self { rewrites: Rewrites { hours, .. }, .. } = self;
        let is_within = |(first, last): &(Timestamp, Timestamp)| after < *last && *first <= until;
        after < until && hours.range(hour_of(after)..=hour_of(until)).any(|(_, hour)| is_within(hour))
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
