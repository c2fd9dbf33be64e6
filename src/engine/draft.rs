//! The draft of a batch: its decisions so far, on top of the index.
//!
//! **Invariant:** a batch is decided against the index plus its own draft. If the log refuses the batch, the
//! draft is dropped and nothing has happened: there is no roll-back.

use std::collections::{HashMap, HashSet};

use crate::domain::{ChatId, Event, Facts, Fingerprint, IdempotencyKey, KeyDigest, Seq, UserId};
use crate::model::Index;

/// The draft holds names, keys, memberships, read marks, revocations and the number of messages, but no ids. No client
/// knows the ids of this batch yet, so no command can name them.
pub(super) struct Draft<'i> {
    index: &'i Index,
    usernames: HashSet<Box<str>>,
    chat_names: HashSet<Box<str>>,
    memberships: HashMap<(ChatId, UserId), bool>,
    read_marks: HashMap<(ChatId, UserId), Seq>,
    tokens_from: HashMap<UserId, u64>,
    /// The chat of each message.
    messages: Vec<ChatId>,
    keys: HashMap<KeyDigest, DraftedKey>,
}

/// The use of a key in this batch.
#[derive(Clone, Copy)]
pub(super) struct DraftedKey {
    pub(super) fingerprint: Fingerprint,
    /// The index in the batch of the command that used the key.
    pub(super) command: usize,
}

impl<'i> Draft<'i> {
    pub(super) fn on(index: &'i Index) -> Self {
        Self {
            index,
            usernames: HashSet::new(),
            chat_names: HashSet::new(),
            memberships: HashMap::new(),
            read_marks: HashMap::new(),
            tokens_from: HashMap::new(),
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
            Event::TokensRevoked { user, from } => {
                self.tokens_from.insert(*user, *from);
            }
            Event::NothingChanged => {}
        }
    }

    pub(super) fn add_key(&mut self, key: &IdempotencyKey<'_>, command: usize) {
        self.keys.insert(key.digest(), DraftedKey { fingerprint: key.fingerprint(), command });
    }

    pub(super) fn drafted_key(&self, key: &IdempotencyKey<'_>) -> Option<DraftedKey> {
        if self.keys.is_empty() { None } else { self.keys.get(&key.digest()).copied() }
    }
}

impl Facts for Draft<'_> {
    fn user_exists(&self, user: UserId) -> bool {
        self.index.user_exists(user)
    }

    fn username_taken(&self, username: &str) -> bool {
        self.usernames.contains(username) || self.index.username_taken(username)
    }

    fn chat_exists(&self, chat: ChatId) -> bool {
        self.index.chat_exists(chat)
    }

    fn chat_name_taken(&self, name: &str) -> bool {
        self.chat_names.contains(name) || self.index.chat_name_taken(name)
    }

    fn is_member(&self, chat: ChatId, user: UserId) -> bool {
        let drafted = self.memberships.get(&(chat, user)).copied();
        drafted.unwrap_or_else(|| self.index.is_member(chat, user))
    }

    fn last_seq(&self, chat: ChatId) -> Seq {
        let drafted = self.messages.iter().filter(|of| **of == chat).count() as u64;
        Seq(self.index.last_seq(chat).0 + drafted)
    }

    fn read_mark(&self, chat: ChatId, user: UserId) -> Seq {
        let drafted = self.read_marks.get(&(chat, user)).copied();
        drafted.unwrap_or_else(|| self.index.read_mark(chat, user))
    }

    fn tokens_from(&self, user: UserId) -> u64 {
        self.tokens_from.get(&user).copied().unwrap_or_else(|| self.index.tokens_from(user))
    }
}
