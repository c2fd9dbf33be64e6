//! The directory: users and chats, by id and by name, and the members of each chat.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::domain::{ChatId, Position, Timestamp, UserId};

/// A map whose keys the server makes itself, so that no client can choose keys that collide.
pub(super) type OwnKeyMap<K, V> = HashMap<K, V, foldhash::fast::FixedState>;
type OwnKeySet<K> = HashSet<K, foldhash::fast::FixedState>;

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

            pub(super) fn as_usize(self) -> usize {
                self.0 as usize
            }

            pub(super) fn to_u32(self) -> u32 {
                self.0
            }

            pub(super) fn from_u32(index: u32) -> Self {
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

/// A user who is or was a member of a chat, by id and by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The id.
    pub id: UserId,
    /// The index.
    pub index: UserIndex,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Directory {
    users: Vec<UserEntry>,
    users_by_id: OwnKeyMap<UserId, UserIndex>,
    /// Clients choose the names, so these maps keep the standard library's keyed hash.
    usernames: HashMap<Arc<str>, UserIndex>,
    chats: Vec<ChatEntry>,
    chats_by_id: OwnKeyMap<ChatId, ChatIndex>,
    chat_names: HashMap<Arc<str>, ChatIndex>,
}

#[derive(Debug, PartialEq)]
pub(super) struct UserEntry {
    pub(super) id: UserId,
    pub(super) username: Arc<str>,
    pub(super) created_at: Timestamp,
    chats: OwnKeySet<ChatIndex>,
    changes: Vec<MembershipChange>,
}

/// A user joined or left a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembershipChange {
    /// The position of the event.
    pub position: Position,
    /// The chat.
    pub chat: ChatIndex,
    /// Whether the user was a member after the event.
    pub is_member: bool,
}

impl UserEntry {
    fn join(&mut self, position: Position, chat: ChatIndex) {
        self.chats.insert(chat);
        self.changes.push(MembershipChange { position, chat, is_member: true });
    }

    fn leave(&mut self, position: Position, chat: ChatIndex) {
        self.chats.remove(&chat);
        self.changes.push(MembershipChange { position, chat, is_member: false });
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChatEntry {
    pub(super) id: ChatId,
    pub(super) name: Arc<str>,
    pub(super) users: Arc<Vec<UserId>>,
    pub(super) created_at: Timestamp,
}

impl Directory {
    pub(super) fn add_user(&mut self, id: UserId, username: &str, created_at: Timestamp) -> UserIndex {
        let user = UserIndex::from_len(self.users.len());
        let username: Arc<str> = username.into();
        self.usernames.insert(Arc::clone(&username), user);
        self.users_by_id.insert(id, user);
        self.users.push(UserEntry {
            id,
            username,
            created_at,
            chats: OwnKeySet::default(),
            changes: Vec::new(),
        });
        user
    }

    pub(super) fn add_chat(
        &mut self,
        position: Position,
        id: ChatId,
        name: &str,
        users: &[UserId],
        created_at: Timestamp,
    ) -> ChatIndex {
        let chat = ChatIndex::from_len(self.chats.len());
        let name: Arc<str> = name.into();
        for user in users {
            let user = self.users_by_id[user];
            self.users[user.as_usize()].join(position, chat);
        }
        self.chat_names.insert(Arc::clone(&name), chat);
        self.chats_by_id.insert(id, chat);
        self.chats.push(ChatEntry { id, name, users: Arc::new(users.to_vec()), created_at });
        chat
    }

    pub(super) fn add_member(&mut self, position: Position, chat: ChatIndex, user: UserIndex) {
        let user = &mut self.users[user.as_usize()];
        user.join(position, chat);
        Arc::make_mut(&mut self.chats[chat.as_usize()].users).push(user.id);
    }

    pub(super) fn remove_member(&mut self, position: Position, chat: ChatIndex, user: UserIndex) {
        let user = &mut self.users[user.as_usize()];
        user.leave(position, chat);
        Arc::make_mut(&mut self.chats[chat.as_usize()].users).retain(|member| *member != user.id);
    }

    /// Returns the user's changes after this position, in the order of the log.
    pub(super) fn membership_changes(&self, user: UserIndex, after: Position) -> &[MembershipChange] {
        let changes = &self.users[user.as_usize()].changes;
        &changes[changes.partition_point(|change| change.position <= after)..]
    }

    pub(super) fn user_count(&self) -> u64 {
        self.users.len() as u64
    }

    pub(super) fn chat_count(&self) -> u64 {
        self.chats.len() as u64
    }

    pub(super) fn user(&self, id: UserId) -> Option<UserIndex> {
        self.users_by_id.get(&id).copied()
    }

    pub(super) fn chat(&self, id: ChatId) -> Option<ChatIndex> {
        self.chats_by_id.get(&id).copied()
    }

    pub(super) fn user_named(&self, username: &str) -> Option<UserIndex> {
        self.usernames.get(username).copied()
    }

    pub(super) fn chat_named(&self, name: &str) -> Option<ChatIndex> {
        self.chat_names.get(name).copied()
    }

    pub(super) fn has_member(&self, chat: ChatIndex, user: UserIndex) -> bool {
        self.chats_of(user).contains(&chat)
    }

    pub(super) fn chats_of(&self, user: UserIndex) -> &OwnKeySet<ChatIndex> {
        &self.users[user.as_usize()].chats
    }

    pub(super) fn user_entry(&self, user: UserIndex) -> &UserEntry {
        &self.users[user.as_usize()]
    }

    pub(super) fn chat_entry(&self, chat: ChatIndex) -> &ChatEntry {
        &self.chats[chat.as_usize()]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::model) fn chat_index(number: u32) -> ChatIndex {
        ChatIndex(number)
    }
}
