//! What a batch has decided so far, on top of the model.
//!
//! **Invariant:** a batch is decided against the model plus its own draft. If the log refuses the batch, the draft
//! is dropped and nothing has happened: there is no roll-back.

use std::collections::{HashMap, HashSet};

use crate::domain::{ChatId, Event, Facts, Fingerprint, IdempotencyKey, KeyDigest, Seq, UserId};
use crate::model::Model;

/// The draft holds names, keys, memberships, marks and how many messages there are, but no ids: those of this batch
/// were not answered or shown to anybody yet, so no command can name them.
pub(super) struct Draft<'m> {
    model: &'m Model,
    usernames: HashSet<Box<str>>,
    chat_names: HashSet<Box<str>>,
    memberships: HashMap<(ChatId, UserId), bool>,
    read_marks: HashMap<(ChatId, UserId), Seq>,
    /// The chat of each message.
    messages: Vec<ChatId>,
    /// With the index in the batch of the command that had it.
    keys: HashMap<KeyDigest, (Fingerprint, usize)>,
}

impl<'m> Draft<'m> {
    pub(super) fn on(model: &'m Model) -> Self {
        Self {
            model,
            usernames: HashSet::new(),
            chat_names: HashSet::new(),
            memberships: HashMap::new(),
            read_marks: HashMap::new(),
            messages: Vec::new(),
            keys: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, event: &Event<'_>) {
        match event {
            Event::UserAdded { username, .. } => {
                self.usernames.insert(username.as_ref().into());
            }
            Event::ChatAdded { name, .. } => {
                self.chat_names.insert(name.as_ref().into());
            }
            Event::MemberAdded { chat, user } => {
                self.memberships.insert((*chat, *user), true);
            }
            Event::MemberRemoved { chat, user } => {
                self.memberships.insert((*chat, *user), false);
            }
            Event::ReadMarked { chat, user, seq } => {
                self.read_marks.insert((*chat, *user), *seq);
            }
            Event::MessageAdded { chat, .. } => self.messages.push(*chat),
            Event::NothingChanged => {}
        }
    }

    pub(super) fn add_key(&mut self, key: &IdempotencyKey<'_>, index: usize) {
        self.keys.insert(key.digest(), (key.fingerprint(), index));
    }

    /// The command of this batch that had the key, and what it asked for.
    pub(super) fn key_used(&self, key: &IdempotencyKey<'_>) -> Option<(Fingerprint, usize)> {
        if self.keys.is_empty() { None } else { self.keys.get(&key.digest()).copied() }
    }
}

impl Facts for Draft<'_> {
    fn user_exists(&self, user: UserId) -> bool {
        self.model.user_exists(user)
    }

    fn username_taken(&self, username: &str) -> bool {
        self.usernames.contains(username) || self.model.username_taken(username)
    }

    fn chat_exists(&self, chat: ChatId) -> bool {
        self.model.chat_exists(chat)
    }

    fn chat_name_taken(&self, name: &str) -> bool {
        self.chat_names.contains(name) || self.model.chat_name_taken(name)
    }

    fn is_member(&self, chat: ChatId, user: UserId) -> bool {
        let drafted = self.memberships.get(&(chat, user)).copied();
        drafted.unwrap_or_else(|| Facts::is_member(self.model, chat, user))
    }

    fn last_seq(&self, chat: ChatId) -> Seq {
        let drafted = self.messages.iter().filter(|of| **of == chat).count() as u64;
        Seq(Facts::last_seq(self.model, chat).0 + drafted)
    }

    fn read_mark(&self, chat: ChatId, user: UserId) -> Seq {
        let drafted = self.read_marks.get(&(chat, user)).copied();
        drafted.unwrap_or_else(|| Facts::read_mark(self.model, chat, user))
    }
}
