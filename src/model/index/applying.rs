//! Applies events to the index, and returns their receipts and their additions to the histories.

use std::sync::Arc;
use std::time::Duration;

use super::{Index, ReadMark};
use crate::domain::{
    ChatId, Deletion, ErasedMessages, Event, MessageId, Metadata, Position, Record, Seq, Timestamp, UserId,
};
use crate::model::addition::{Addition, MessageChange, Rare};
use crate::model::chunk::AddedMessage;
use crate::model::directory::{ChatIndex, NewChat, UserIndex, name_of};
use crate::model::keys::{Created, Recalled};
use crate::model::recall::{Outcome, Receipt, SentMessage};
use crate::model::subjects::Subject;
use crate::model::timeline::{ChatEvent, TimelineEntry};

/// Time after which a name that was free is taken for a new one: longer than a token may be older than its user.
const NAME_KEPT_MIN: Duration = Duration::from_mins(2);

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

    /// Returns a change of a message by the current event, or `None` if there is no such message.
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
}
