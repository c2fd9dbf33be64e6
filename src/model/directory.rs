//! The directory: users and chats, by id and by name, and the members of each chat.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use super::members::Members;
use super::names::NamesInOrder;
use super::pieces::Pieces;
use super::table::Table;
use crate::domain::{ChatId, Position, Timestamp, UserId};

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// Returns the index of the next entry of a table of this length.
            ///
            /// # Panics
            ///
            /// Panics at 2³² entries. Memory ends long before.
            pub(super) fn from_len(len: usize) -> Self {
                Self(u32::try_from(len).expect("memory ends before 2^32 entries"))
            }

            /// Returns the index as a number.
            #[must_use]
            pub fn as_usize(self) -> usize {
                self.0 as usize
            }

            /// Returns the index as a number of 32 bits.
            #[must_use]
            pub fn to_u32(self) -> u32 {
                self.0
            }

            /// Returns the index that is this number. There may be no such entry.
            #[must_use]
            pub fn from_u32(index: u32) -> Self {
                Self(index)
            }
        }
    };
}

index! {
    /// The place of a user in this process's tables. No other process may know it.
    UserIndex
}
index! {
    /// The place of a chat in this process's tables. No other process may know it.
    ChatIndex
}

#[derive(Debug, Default)]
pub(super) struct Directory {
    users: Pieces<UserEntry>,
    users_by_id: Table<(UserId, UserIndex)>,
    usernames: Table<UserIndex>,
    names_in_order: NamesInOrder,
    chats: Pieces<ChatEntry>,
    chats_by_id: Table<(ChatId, ChatIndex)>,
    chat_names: Table<ChatIndex>,
    /// The chats of two users, by the users in the order of their indexes.
    direct_chats: BTreeMap<[UserIndex; 2], ChatIndex>,
    user_metadata: BTreeMap<UserIndex, Arc<str>>,
    chat_metadata: BTreeMap<ChatIndex, Arc<str>>,
    /// Clients choose the names, so their hash has a secret key.
    name_hash: RandomState,
}

/// The chats of which a user is a member, each with the number of the user's [stay](Stay).
pub(super) type StaysByChat = HashMap<ChatIndex, u32, OwnKeyHash>;

/// The hash of keys that the server makes itself, so that no client can choose keys that collide.
type OwnKeyHash = foldhash::fast::FixedState;

fn id_hash(id: impl Hash) -> u64 {
    OwnKeyHash::default().hash_one(id)
}

#[derive(Debug, PartialEq)]
pub(super) struct UserEntry {
    pub(super) id: UserId,
    /// `None` once the user is erased.
    pub(super) username: Option<Arc<str>>,
    pub(super) created_at: Timestamp,
    chats: StaysByChat,
    stays: Vec<Stay>,
    last_left: Position,
}

/// A user's stay in a chat, from joining to leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// The chat.
    pub chat: ChatIndex,
    /// The position at which the user joined. The first members of a chat join it when it is added.
    pub joined: Position,
    /// The position at which the user left, or the greatest possible one while the user is a member.
    pub left: Position,
}

impl UserEntry {
    fn join(&mut self, position: Position, chat: ChatIndex) {
        let number = u32::try_from(self.stays.len()).expect("memory ends before 2^32 stays");
        self.chats.insert(chat, number);
        self.stays.push(Stay { chat, joined: position, left: Position(u64::MAX) });
    }

    fn leave(&mut self, position: Position, chat: ChatIndex) {
        let number = self.chats.remove(&chat).expect("a member leaves");
        self.stays[number as usize].left = position;
        self.last_left = position;
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChatEntry {
    pub(super) id: ChatId,
    pub(super) name: Option<Arc<str>>,
    pub(super) users: Arc<Members>,
    pub(super) created_at: Timestamp,
    pub(super) is_direct: bool,
}

/// A chat that is added.
pub(super) struct NewChat<'a> {
    pub(super) id: ChatId,
    pub(super) name: Option<&'a str>,
    pub(super) users: &'a [UserId],
    pub(super) created_at: Timestamp,
    pub(super) is_direct: bool,
}

/// Returns a name. An empty one stands for a name that was erased from the log.
pub(super) fn name_of(name: &str) -> Option<Arc<str>> {
    (!name.is_empty()).then(|| name.into())
}

impl Directory {
    pub(super) fn add_user(&mut self, id: UserId, username: &str, created_at: Timestamp) -> UserIndex {
        let user = UserIndex::from_len(self.users.len());
        self.users.push(UserEntry {
            id,
            username: None,
            created_at,
            chats: StaysByChat::default(),
            stays: Vec::new(),
            last_left: Position(0),
        });
        self.users_by_id.insert(id_hash(id), (id, user), |(id, _)| id_hash(id));
        self.name_user(user, name_of(username));
        user
    }

    /// Gives the user this name, which nobody has, or none.
    pub(super) fn name_user(&mut self, user: UserIndex, name: Option<Arc<str>>) {
        let before = std::mem::replace(&mut self.users[user.as_usize()].username, name.clone());
        if let Some(before) = before {
            self.names_in_order.remove(&before, user);
            self.usernames.remove(self.name_hash.hash_one(Some(&*before)), |other| *other == user);
        }
        if let Some(name) = name {
            self.names_in_order.insert(&name, user);
            let (users, name_hash) = (&self.users, &self.name_hash);
            let hash_of = |user: &UserIndex| name_hash.hash_one(users[user.as_usize()].username.as_deref());
            self.usernames.insert(name_hash.hash_one(Some(&*name)), user, hash_of);
        }
    }

    pub(super) fn add_chat(&mut self, position: Position, chat: &NewChat<'_>) -> ChatIndex {
        let &NewChat { id, name, users, created_at, is_direct } = chat;
        let chat = ChatIndex::from_len(self.chats.len());
        let indexes = users.iter().map(|id| self.user(*id).expect("a member exists")).collect::<Vec<_>>();
        for user in &indexes {
            self.users[user.as_usize()].join(position, chat);
        }
        if let (true, &[first, second]) = (is_direct, indexes.as_slice()) {
            self.direct_chats.insert([first.min(second), first.max(second)], chat);
        }
        let users = Arc::new(users.iter().copied().collect());
        self.chats.push(ChatEntry { id, name: None, users, created_at, is_direct });
        self.chats_by_id.insert(id_hash(id), (id, chat), |(id, _)| id_hash(id));
        self.name_chat(chat, name.and_then(name_of));
        chat
    }

    /// Gives the chat this name, which no chat has, or none.
    pub(super) fn name_chat(&mut self, chat: ChatIndex, name: Option<Arc<str>>) {
        let before = std::mem::replace(&mut self.chats[chat.as_usize()].name, name.clone());
        if let Some(before) = before {
            self.chat_names.remove(self.name_hash.hash_one(Some(&*before)), |other| *other == chat);
        }
        if let Some(name) = name {
            let (chats, name_hash) = (&self.chats, &self.name_hash);
            let hash_of = |chat: &ChatIndex| name_hash.hash_one(chats[chat.as_usize()].name.as_deref());
            self.chat_names.insert(name_hash.hash_one(Some(&*name)), chat, hash_of);
        }
    }

    pub(super) fn add_member(&mut self, position: Position, chat: ChatIndex, user: UserIndex) {
        let user = &mut self.users[user.as_usize()];
        user.join(position, chat);
        Arc::make_mut(&mut self.chats[chat.as_usize()].users).push(user.id);
    }

    pub(super) fn remove_member(&mut self, position: Position, chat: ChatIndex, user: UserIndex) {
        let user = &mut self.users[user.as_usize()];
        user.leave(position, chat);
        Arc::make_mut(&mut self.chats[chat.as_usize()].users).remove(user.id);
    }

    /// Removes the user from all chats. Returns those that the user is or was a member of.
    pub(super) fn leave_all(&mut self, position: Position, user: UserIndex) -> Vec<ChatIndex> {
        let of_user = &self.users[user.as_usize()];
        let chats: BTreeSet<_> = of_user.stays.iter().map(|stay| stay.chat).collect();
        let current: Vec<_> = of_user.chats.keys().copied().collect();
        for chat in current {
            self.remove_member(position, chat, user);
        }
        chats.into_iter().collect()
    }

    /// Returns all stays of the user, in the order in which they began.
    pub(super) fn stays(&self, user: UserIndex) -> &[Stay] {
        &self.users[user.as_usize()].stays
    }

    /// Returns the number of the user's stay in the chat, if the user is a member.
    pub(super) fn stay_in(&self, user: UserIndex, chat: ChatIndex) -> Option<u32> {
        self.chats_of(user).get(&chat).copied()
    }

    /// Returns the position at which the user last left any chat, or 0.
    pub(super) fn last_left(&self, user: UserIndex) -> Position {
        self.users[user.as_usize()].last_left
    }

    pub(super) fn user_count(&self) -> u64 {
        self.users.len() as u64
    }

    pub(super) fn chat_count(&self) -> u64 {
        self.chats.len() as u64
    }

    pub(super) fn user(&self, id: UserId) -> Option<UserIndex> {
        self.users_by_id.find(id_hash(id), |(other, _)| *other == id).map(|(_, user)| *user)
    }

    pub(super) fn chat(&self, id: ChatId) -> Option<ChatIndex> {
        self.chats_by_id.find(id_hash(id), |(other, _)| *other == id).map(|(_, chat)| *chat)
    }

    pub(super) fn user_named(&self, username: &str) -> Option<UserIndex> {
        let name = Some(username);
        let is_it = |user: &UserIndex| self.user_entry(*user).username.as_deref() == name;
        self.usernames.find(self.name_hash.hash_one(name), is_it).copied()
    }

    /// Returns the users whose names begin with `prefix`, in the order of their names.
    pub(super) fn users_beginning_with(&self, prefix: &str) -> impl Iterator<Item = UserIndex> {
        self.names_in_order.beginning_with(prefix)
    }

    /// Returns the users who were added after this time, or all, in the order in which they were added.
    pub(super) fn users_added_after(&self, time: Option<Timestamp>) -> impl Iterator<Item = UserIndex> {
        // Times increase strictly in the order of the log.
        let first = time.map_or(0, |time| self.users.partition_point(|user| user.created_at <= time));
        (first..self.users.len()).map(UserIndex::from_len)
    }

    pub(super) fn chat_named(&self, name: &str) -> Option<ChatIndex> {
        let name = Some(name);
        let is_it = |chat: &ChatIndex| self.chat_entry(*chat).name.as_deref() == name;
        self.chat_names.find(self.name_hash.hash_one(name), is_it).copied()
    }

    /// Returns the chat of these two users, if they have one.
    pub(super) fn direct_chat(&self, [one, other]: [UserIndex; 2]) -> Option<ChatIndex> {
        self.direct_chats.get(&[one.min(other), one.max(other)]).copied()
    }

    pub(super) fn user_metadata(&self, user: UserIndex) -> Option<&Arc<str>> {
        self.user_metadata.get(&user)
    }

    pub(super) fn chat_metadata(&self, chat: ChatIndex) -> Option<&Arc<str>> {
        self.chat_metadata.get(&chat)
    }

    /// Replaces the metadata of a user.
    pub(super) fn describe_user(&mut self, user: UserIndex, metadata: Option<Arc<str>>) {
        replace(&mut self.user_metadata, user, metadata);
    }

    /// Replaces the metadata of a chat.
    pub(super) fn describe_chat(&mut self, chat: ChatIndex, metadata: Option<Arc<str>>) {
        replace(&mut self.chat_metadata, chat, metadata);
    }

    pub(super) fn has_member(&self, chat: ChatIndex, user: UserIndex) -> bool {
        self.chats_of(user).contains_key(&chat)
    }

    pub(super) fn chats_of(&self, user: UserIndex) -> &StaysByChat {
        &self.users[user.as_usize()].chats
    }

    pub(super) fn user_entry(&self, user: UserIndex) -> &UserEntry {
        &self.users[user.as_usize()]
    }

    pub(super) fn chat_entry(&self, chat: ChatIndex) -> &ChatEntry {
        &self.chats[chat.as_usize()]
    }
}

fn replace<K: Ord, V>(all: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        None => drop(all.remove(&key)),
        Some(value) => drop(all.insert(key, value)),
    }
}

/// Names are not compared a second time: the tables of names follow from the users and chats.
impl PartialEq for Directory {
    fn eq(&self, other: &Self) -> bool {
        self.users == other.users
            && self.chats == other.chats
            && self.direct_chats == other.direct_chats
            && self.user_metadata == other.user_metadata
            && self.chat_metadata == other.chat_metadata
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::model) fn chat_index(number: u32) -> ChatIndex {
        ChatIndex(number)
    }
}
