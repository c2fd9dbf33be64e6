//! Builds a log event by event, by the server's rules.

use std::borrow::Cow;

use crate::domain::{
    Actor, ChatId, Command, Decision, Event, Facts, IdempotencyKey, MessageEdit, MessageField, Metadata,
    NewMessage, Position, Reaction, Record, Refusal, Seq, Stamp, Timestamp, UserField, UserId, decide,
};
use crate::log::{EventLog, Frame};
use crate::model::Index;

use super::{ToolError, shown};

/// Payload length at which a frame is written, if it does not have all actors before. The shortest segment has room for such a frame.
const FRAME_BYTES: usize = 32 * 1024;

/// A log that is being built.
pub(super) struct Builder<'l> {
    /// The log to write to, or `None` if events are only checked.
    log: Option<&'l mut dyn EventLog>,
    frame: Frame,
    index: Index,
}

impl<'l> Builder<'l> {
    /// Returns a builder on an empty log.
    pub(super) fn on(log: &'l mut dyn EventLog) -> Result<Self, ToolError> {
        log.make_ready()?;
        Ok(Self { log: Some(log), ..Self::without_log() })
    }

    /// Returns a builder that checks events and writes nothing.
    pub(super) fn without_log() -> Self {
        Self { log: None, frame: Frame::new(Position(1)), index: Index::default() }
    }

    /// Returns the index of the events so far.
    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// Returns the event that the command becomes, or `None` if it changes nothing.
    ///
    /// # Errors
    ///
    /// Returns the rule that the command breaks.
    pub(super) fn decide<'c>(&self, command: &'c Command, stamp: Stamp) -> Result<Option<Event<'c>>, String> {
        let adds_user = matches!(command, Command::AddUser { .. });
        let adds_chat = matches!(command, Command::AddChat { .. } | Command::AddDirectChat { .. });
        let is_user_there = adds_user && self.index.user_exists(stamp.id.into());
        let is_chat_there = adds_chat && self.index.chat_exists(stamp.id.into());
        check_new_id(stamp.id, is_user_there || is_chat_there)?;
        if let Some(event) = self.recorded_change(command, stamp)? {
            return Ok(Some(event));
        }
        // The server, not the history, decides who may ask for a command.
        match decide(&self.index, command, &Actor::Unknown, &[stamp]) {
            Ok(Decision::Event(event)) => Ok(Some(event)),
            Ok(Decision::Events(_)) => unreachable!("each event has a command of its own"),
            Ok(Decision::Unchanged | Decision::NothingEdited(_) | Decision::ChatExists(_)) => Ok(None),
            Err(refusal) => Err(refusal.to_string()),
        }
    }

    /// Returns the event of a command that depends on messages, or on an earlier name or metadata. A history says that it
    /// happened, so only what it names must exist: an import needs no memory for messages, and what was before may have left
    /// the log.
    fn recorded_change<'c>(&self, command: &'c Command, stamp: Stamp) -> Result<Option<Event<'c>>, String> {
        let borrowed =
            |metadata: &'c Option<Metadata>| metadata.as_ref().map(|json| Cow::Borrowed(json.json()));
        let event = match command {
            Command::AddMessage(NewMessage { chat, author, text, with: Some(with) }) => {
                let (id, text, reply_to) = (stamp.id.into(), Cow::Borrowed(&**text), with.reply_to);
                let metadata = borrowed(&with.metadata);
                Event::MessageAddedWith { id, chat: *chat, author: *author, text, reply_to, metadata }
            }
            Command::EditMessage(edit) => {
                let MessageEdit { chat, seq, user, text, metadata } = &**edit;
                let text = text.as_ref().map(|text| Cow::Borrowed(&**text));
                let (chat, seq, user, metadata) = (*chat, *seq, *user, borrowed(metadata));
                Event::MessageEdited { chat, seq, user, text, metadata }
            }
            &Command::DeleteMessage { chat, seq, user, is_moderator: _, erase } => {
                Event::MessageDeleted { chat, seq, user, erase }
            }
            Command::AddReaction(reaction) => {
                let Reaction { chat, seq, user, emoji } = &**reaction;
                let (chat, seq, user, emoji) = (*chat, *seq, *user, Cow::Borrowed(&**emoji));
                Event::ReactionAdded { chat, seq, user, emoji }
            }
            Command::RemoveReaction(reaction) => {
                let Reaction { chat, seq, user, emoji } = &**reaction;
                let (chat, seq, user, emoji) = (*chat, *seq, *user, Cow::Borrowed(&**emoji));
                Event::ReactionRemoved { chat, seq, user, emoji }
            }
            Command::EditChat { chat, name, metadata } => {
                let name = name.as_ref().map(|name| Cow::Borrowed(&**name));
                Event::ChatEdited { chat: *chat, name, metadata: borrowed(metadata) }
            }
            Command::EditUser { user, username, metadata } => {
                let username = username.as_ref().map(|name| Cow::Borrowed(&**name));
                Event::UserEdited { user: *user, username, metadata: borrowed(metadata) }
            }
            Command::AddMessage(NewMessage { with: None, .. })
            | Command::AddMessages(_)
            | Command::AddUser { .. }
            | Command::AddChat { .. }
            | Command::AddDirectChat { .. }
            | Command::AddMember { .. }
            | Command::RemoveMember { .. }
            | Command::MarkRead { .. }
            | Command::RevokeTokens { .. }
            | Command::EraseUser { .. } => return Ok(None),
        };
        self.check_recorded(&event)?;
        Ok(Some(event))
    }

    /// Checks that everything that a recorded event names exists, and that the names and the id that it gives are free.
    pub(super) fn check_recorded(&self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::UserAdded { id, .. } => check_new_id(*id, self.index.user_exists(*id)),
            Event::ChatAdded { id, users, .. } => {
                users.iter().try_for_each(|user| self.check_exist(Some(*user), None, None))?;
                check_new_id(*id, self.index.chat_exists(*id))
            }
            Event::MessageAdded { chat, author, .. } => self.check_author(*chat, *author),
            Event::MessageAddedWith { chat, author, reply_to, .. } => {
                self.check_exist(None, Some(*chat), *reply_to)?;
                self.check_author(*chat, *author)
            }
            Event::MessageEdited { chat, seq, user, .. } | Event::MessageDeleted { chat, seq, user, .. } => {
                self.check_exist(*user, Some(*chat), Some(*seq))
            }
            Event::ReactionAdded { chat, seq, user, .. } | Event::ReactionRemoved { chat, seq, user, .. } => {
                self.check_exist(Some(*user), Some(*chat), Some(*seq))
            }
            Event::ChatEdited { chat, name, .. } => {
                self.check_exist(None, Some(*chat), None)?;
                self.check_chat_name(*chat, name.as_deref())
            }
            Event::UserEdited { user, username, .. } => {
                self.check_exist(Some(*user), None, None)?;
                self.check_username(*user, username.as_deref())
            }
            Event::AlreadySo { chat, seq, user, .. } => self.check_exist(*user, *chat, *seq),
            Event::NothingChanged => Ok(()),
            Event::NamelessChatAdded { .. }
            | Event::DirectChatAdded { .. }
            | Event::MemberAdded { .. }
            | Event::MemberRemoved { .. }
            | Event::ReadMarked { .. }
            | Event::TokensRevoked { .. }
            | Event::UserErased { .. } => unreachable!("the rules decide such an event"),
        }
    }

    fn check_exist(
        &self,
        user: Option<UserId>,
        chat: Option<ChatId>,
        seq: Option<Seq>,
    ) -> Result<(), String> {
        if let Some(user) = user.filter(|user| !self.index.user_exists(*user)) {
            return Err(format!("there is no user {user}"));
        }
        if let Some(chat) = chat.filter(|chat| !self.index.chat_exists(*chat)) {
            return Err(format!("there is no chat {chat}"));
        }
        chat.zip(seq).map_or(Ok(()), |(chat, seq)| self.check_message(chat, seq))
    }

    fn check_chat_name(&self, chat: ChatId, name: Option<&str>) -> Result<(), String> {
        let Some(name) = name else { return Ok(()) };
        if self.index.is_direct(chat) {
            return Err(Refusal::DirectChat { chat }.to_string());
        }
        match self.index.chat_named(name) {
            None => Ok(()),
            Some(_) => Err(Refusal::ChatNameTaken { name: name.to_owned() }.to_string()),
        }
    }

    fn check_username(&self, user: UserId, username: Option<&str>) -> Result<(), String> {
        if self.index.is_erased(user) {
            return Err(Refusal::UserErased { user, field: UserField::User }.to_string());
        }
        let is_taken = |name: &&str| self.index.user_named(name).is_some();
        match username.filter(is_taken) {
            None => Ok(()),
            Some(name) => Err(Refusal::UsernameTaken { username: name.to_owned() }.to_string()),
        }
    }

    fn check_author(&self, chat: ChatId, author: UserId) -> Result<(), String> {
        if self.index.is_member(chat, author) {
            return Ok(());
        }
        Err(format!("user {author} is not a member of chat {chat}"))
    }

    fn check_message(&self, chat: ChatId, seq: Seq) -> Result<(), String> {
        let last = self.index.last_seq(chat);
        if (Seq(1)..=last).contains(&seq) {
            return Ok(());
        }
        Err(Refusal::MessageNotFound { chat, seq, field: MessageField::Seq }.to_string())
    }

    /// Checks that the key was not used before.
    pub(super) fn check_free(&self, key: &IdempotencyKey<'_>) -> Result<(), String> {
        if self.index.is_used(key) {
            return Err(format!("the idempotency key {} was used before", shown(key.text())));
        }
        Ok(())
    }

    /// Checks that the time is later than that of the last event.
    pub(super) fn check_later(&self, time: Timestamp) -> Result<(), String> {
        let last = self.index.time();
        let is_later = self.index.position() == Position(0) || time > last;
        if is_later { Ok(()) } else { Err(format!("the time {time} is not later than {last}, the last one")) }
    }

    /// Adds an event that breaks no rule.
    pub(super) fn push(&mut self, record: &Record<'_>) -> Result<(), ToolError> {
        self.frame.push(record);
        self.index.try_apply(record).expect("it breaks no rule");
        let is_full = self.frame.payload_bytes() >= FRAME_BYTES || self.frame.has_all_actors();
        if is_full { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), ToolError> {
        if let Some(log) = &mut self.log {
            log.append(&mut self.frame)?;
        }
        self.frame.restart(self.index.position().next());
        Ok(())
    }

    /// Writes the last frame, and returns the last position. All events are durable then.
    pub(super) fn finish(mut self) -> Result<Position, ToolError> {
        if !self.frame.is_empty() {
            self.write()?;
        }
        Ok(self.index.position())
    }
}

fn check_new_id(id: impl std::fmt::Display, exists: bool) -> Result<(), String> {
    if exists { Err(format!("the id {id} already exists")) } else { Ok(()) }
}
