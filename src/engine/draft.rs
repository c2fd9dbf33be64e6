//! The draft of a batch: its decisions so far, on top of the model.
//!
//! **Invariant:** a batch is decided against the model plus its own draft. If the log refuses the batch, the
//! draft is dropped and nothing has happened: there is no roll-back.

use std::collections::{HashMap, HashSet};

use crate::domain::{
    ChatId, Command, EMOJI_MAX, ErasedMessages, Event, Facts, Fingerprint, IdempotencyKey, KeyDigest,
    MessageFacts, NewMessage, Reaction, ReactionFacts, Seq, UserId, in_order,
};
use crate::model::Model;

/// The draft holds names, keys, memberships, read marks, revocations and the number of messages, but no ids. No client
/// knows the ids of this batch yet, so no command can name them.
///
/// It does not hold what becomes of messages, nor what a rarer command changes: what rests on that
/// [waits](Self::must_wait) for the next batch.
pub(super) struct Draft<'m> {
    model: &'m Model,
    is_empty: bool,
    /// Whether an event was added after which nothing can be decided.
    is_closed: bool,
    usernames: HashMap<Box<str>, UserId>,
    chat_names: HashMap<Box<str>, ChatId>,
    memberships: HashMap<(ChatId, UserId), bool>,
    read_marks: HashMap<(ChatId, UserId), Seq>,
    tokens_from: HashMap<UserId, u64>,
    /// The chat of each message.
    messages: Vec<ChatId>,
    keys: HashMap<KeyDigest, DraftedKey>,
    /// The chats of two users, by their users in order.
    direct_chats: HashSet<[UserId; 2]>,
    /// The messages that are edited or deleted.
    rewritten: HashSet<(ChatId, Seq)>,
    /// The users whose reactions to a message change.
    reacting: HashMap<(ChatId, Seq), Vec<UserId>>,
}

/// The use of a key in this batch.
#[derive(Clone, Copy)]
pub(super) struct DraftedKey {
    pub(super) fingerprint: Fingerprint,
    /// The index in the batch of the command that used the key.
    pub(super) command: usize,
}

impl<'m> Draft<'m> {
    pub(super) fn on(model: &'m Model) -> Self {
        Self {
            model,
            is_empty: true,
            is_closed: false,
            usernames: HashMap::new(),
            chat_names: HashMap::new(),
            memberships: HashMap::new(),
            read_marks: HashMap::new(),
            tokens_from: HashMap::new(),
            messages: Vec::new(),
            keys: HashMap::new(),
            direct_chats: HashSet::new(),
            rewritten: HashSet::new(),
            reacting: HashMap::new(),
        }
    }

    /// Returns whether the command rests on what the draft has changed and does not hold. Then it must be decided on the
    /// model that the draft becomes.
    pub(super) fn must_wait(&self, command: &Command) -> bool {
        if self.is_empty {
            return false;
        }
        self.is_closed
            || match command {
                Command::EditChat { .. } | Command::EditUser { .. } | Command::EraseUser { .. } => true,
                Command::AddDirectChat { users } => self.direct_chats.contains(&in_order(*users)),
                Command::EditMessage(edit) => self.changes(edit.chat, edit.seq),
                Command::DeleteMessage { chat, seq, .. } => self.changes(*chat, *seq),
                Command::AddReaction(reaction) | Command::RemoveReaction(reaction) => {
                    self.changes_reactions(reaction)
                }
                Command::AddMessage(message) => self.changes_replied(message),
                Command::AddMessages(messages) => {
                    messages.iter().any(|message| self.changes_replied(message))
                }
                Command::AddUser { .. }
                | Command::AddChat { .. }
                | Command::AddMember { .. }
                | Command::RemoveMember { .. }
                | Command::MarkRead { .. }
                | Command::RevokeTokens { .. } => false,
            }
    }

    /// Returns whether the message is sent, edited or deleted here.
    fn changes(&self, chat: ChatId, seq: Seq) -> bool {
        let is_sent = || seq > self.model.last_seq(chat) && seq <= self.last_seq(chat);
        self.rewritten.contains(&(chat, seq)) || is_sent()
    }

    /// Returns whether the reactions here may decide about this one.
    fn changes_reactions(&self, &Reaction { chat, seq, user, .. }: &Reaction) -> bool {
        let reacting = self.reacting.get(&(chat, seq)).map_or(&[][..], Vec::as_slice);
        let may_be_full = || {
            let emoji = self.model.reactions(chat, seq, user, "").emoji;
            emoji + reacting.len() >= EMOJI_MAX
        };
        self.changes(chat, seq) || !reacting.is_empty() && (reacting.contains(&user) || may_be_full())
    }

    fn changes_replied(&self, message: &NewMessage) -> bool {
        let replied = message.with.as_ref().and_then(|with| with.reply_to);
        replied.is_some_and(|seq| self.changes(message.chat, seq))
    }

    pub(super) fn add(&mut self, event: &Event<'_>) {
        self.is_empty = false;
        match event {
            Event::UserAdded { id, username } => {
                self.usernames.insert(username.as_ref().into(), *id);
            }
            Event::ChatAdded { id, name, .. } => {
                self.chat_names.insert(name.as_ref().into(), *id);
            }
            Event::DirectChatAdded { users, .. } => {
                self.direct_chats.insert(in_order(*users));
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
            Event::MessageAdded { chat, .. } | Event::MessageAddedWith { chat, .. } => {
                self.messages.push(*chat);
            }
            Event::MessageEdited { chat, seq, .. } | Event::MessageDeleted { chat, seq, .. } => {
                self.rewritten.insert((*chat, *seq));
            }
            Event::ReactionAdded { chat, seq, user, .. } | Event::ReactionRemoved { chat, seq, user, .. } => {
                self.reacting.entry((*chat, *seq)).or_default().push(*user);
            }
            Event::TokensRevoked { user, from } => {
                self.tokens_from.insert(*user, *from);
            }
            Event::ChatEdited { .. } | Event::UserEdited { .. } | Event::UserErased { .. } => {
                self.is_closed = true;
            }
            Event::NamelessChatAdded { .. } | Event::NothingChanged | Event::AlreadySo { .. } => {}
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
        self.model.user_exists(user)
    }

    fn user_named(&self, username: &str) -> Option<UserId> {
        self.usernames.get(username).copied().or_else(|| Facts::user_named(self.model, username))
    }

    fn erasure(&self, user: UserId) -> Option<ErasedMessages> {
        self.model.erasure(user)
    }

    fn user_metadata(&self, user: UserId) -> Option<&str> {
        self.model.user_metadata(user)
    }

    fn chat_exists(&self, chat: ChatId) -> bool {
        self.model.chat_exists(chat)
    }

    fn chat_named(&self, name: &str) -> Option<ChatId> {
        self.chat_names.get(name).copied().or_else(|| self.model.chat_named(name))
    }

    fn direct_chat(&self, users: [UserId; 2]) -> Option<ChatId> {
        self.model.direct_chat(users)
    }

    fn is_direct(&self, chat: ChatId) -> bool {
        self.model.is_direct(chat)
    }

    fn chat_metadata(&self, chat: ChatId) -> Option<&str> {
        self.model.chat_metadata(chat)
    }

    fn is_member(&self, chat: ChatId, user: UserId) -> bool {
        let drafted = self.memberships.get(&(chat, user)).copied();
        drafted.unwrap_or_else(|| self.model.is_member(chat, user))
    }

    fn last_seq(&self, chat: ChatId) -> Seq {
        let drafted = self.messages.iter().filter(|of| **of == chat).count() as u64;
        Seq(self.model.last_seq(chat).0 + drafted)
    }

    fn read_mark(&self, chat: ChatId, user: UserId) -> Seq {
        let drafted = self.read_marks.get(&(chat, user)).copied();
        drafted.unwrap_or_else(|| self.model.read_mark(chat, user))
    }

    fn tokens_from(&self, user: UserId) -> u64 {
        self.tokens_from.get(&user).copied().unwrap_or_else(|| Facts::tokens_from(self.model, user))
    }

    fn message(&self, chat: ChatId, seq: Seq) -> Option<MessageFacts<'_>> {
        self.model.message(chat, seq)
    }

    fn reactions(&self, chat: ChatId, seq: Seq, user: UserId, emoji: &str) -> ReactionFacts {
        self.model.reactions(chat, seq, user, emoji)
    }
}
